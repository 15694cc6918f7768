//! Reads the segments of an object and makes their digests, on several threads, and hands them on
//! in order. Buffers are few and of fixed size: they bound the memory and how far reading runs ahead.

use crate::Error;
use crate::layout::{Digest, Digester, Layout};
use crate::object::Reader;
use blkcore::{AlignedBuffer, is_zero};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// Bytes read at once: hashed while they are in the cache.
const PIECE: usize = 256 << 10;

/// What was found in an object, in order.
#[derive(Debug)]
pub(crate) enum Found {
    /// So many segments of zeros.
    Zeros(u64),
    Segment {
        bytes: Bytes,
        digest: Digest,
    },
}

/// The bytes of a segment; the buffer goes back to its pool with the last clone.
#[derive(Clone, Debug)]
pub(crate) struct Bytes(Arc<Lent>);

#[derive(Debug)]
struct Lent {
    buffer: Option<AlignedBuffer>,
    len: usize,
    home: Sender<AlignedBuffer>,
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self.0
            .buffer
            .as_ref()
            .map_or(&[], |buffer| &buffer[..self.0.len])
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            // Nobody to take it: the reading is over.
            let _ = self.home.send(buffer);
        }
    }
}

/// How far reading may run ahead of what was taken in order: zeros hold no buffer.
const AHEAD: u64 = 4096;
/// How often that is looked at.
const PAUSE: Duration = Duration::from_millis(1);

/// The next thing to read.
struct Plan {
    next: u64,
    sequence: u64,
}

/// Starts `threads` that read all of `reader`, holding at most `buffers` segments, and call `give`
/// with what they found, in any order but numbered from 0 on; after an error with nothing more.
/// `give` returns false to stop them. What they give is to be put into what is returned, and taken
/// from there in order.
pub(crate) fn start(
    reader: &Arc<Reader>,
    layout: &Layout,
    digester: &Digester,
    buffers: usize,
    threads: usize,
    give: impl Fn(u64, Result<Found, Error>) -> bool + Clone + Send + 'static,
) -> Ordered<Found> {
    let taken = Arc::new(AtomicU64::new(0));
    let (home, pool) = channel();
    for _ in 0..buffers {
        let _ = home.send(AlignedBuffer::new(layout.segment() as usize, 4096));
    }
    let pool = Arc::new(Mutex::new(pool));
    let plan = Arc::new(Mutex::new(Plan {
        next: 0,
        sequence: 0,
    }));
    for _ in 0..threads {
        let worker = Worker {
            reader: Arc::clone(reader),
            layout: layout.clone(),
            digester: digester.clone(),
            pool: Arc::clone(&pool),
            home: home.clone(),
            plan: Arc::clone(&plan),
            taken: Arc::downgrade(&taken),
        };
        let give = give.clone();
        std::thread::spawn(move || while worker.turn(&give) {});
    }
    Ordered {
        taken,
        early: BTreeMap::new(),
    }
}

struct Worker {
    reader: Arc<Reader>,
    layout: Layout,
    digester: Digester,
    pool: Arc<Mutex<Receiver<AlignedBuffer>>>,
    home: Sender<AlignedBuffer>,
    plan: Arc<Mutex<Plan>>,
    taken: Weak<AtomicU64>,
}

impl Worker {
    /// Reads one segment, or passes over a hole. False when there is no more to do.
    fn turn(&self, give: &impl Fn(u64, Result<Found, Error>) -> bool) -> bool {
        // The buffer first: whoever has taken a number can finish it.
        let buffer = match self.pool.lock().map(|pool| pool.recv()) {
            Ok(Ok(buffer)) => buffer,
            _ => return false,
        };
        let Ok(mut plan) = self.plan.lock() else {
            return false;
        };
        if plan.next >= self.layout.count() {
            let _ = self.home.send(buffer);
            return false;
        }
        let (index, sequence) = (plan.next, plan.sequence);
        plan.sequence += 1;
        let holes = match self.reader.holes(&self.layout, index) {
            Ok(holes) => holes,
            Err(error) => {
                plan.next = u64::MAX;
                give(sequence, Err(error));
                return false;
            }
        };
        plan.next += holes.max(1);
        drop(plan);
        // Whoever takes may be gone.
        while sequence
            > self
                .taken
                .upgrade()
                .map_or(u64::MAX - AHEAD, |n| n.load(Relaxed))
                + AHEAD
        {
            std::thread::sleep(PAUSE);
        }
        if holes > 0 {
            let _ = self.home.send(buffer);
            return give(sequence, Ok(Found::Zeros(holes)));
        }
        let found = self.read(index, buffer);
        let is_error = found.is_err();
        give(sequence, found) && !is_error
    }

    fn read(&self, index: u64, mut buffer: AlignedBuffer) -> Result<Found, Error> {
        let range = self.layout.range(index);
        let len = range.len() as usize;
        // Nothing is hashed before something is not zero, and then what was passed over.
        let mut hashing = None;
        let mut at = 0;
        while at < len {
            let end = (at + PIECE).min(len);
            self.reader
                .read(&mut buffer[at..end], range.start + at as u64)?;
            if hashing.is_none() && !is_zero(&buffer[at..end]) {
                let mut begun = self.digester.begin();
                begun.update(&buffer[..at]);
                hashing = Some(begun);
            }
            if let Some(hashing) = &mut hashing {
                hashing.update(&buffer[at..end]);
            }
            at = end;
        }
        let Some(hashing) = hashing else {
            let _ = self.home.send(buffer);
            return Ok(Found::Zeros(1));
        };
        let lent = Lent {
            buffer: Some(buffer),
            len,
            home: self.home.clone(),
        };
        Ok(Found::Segment {
            bytes: Bytes(Arc::new(lent)),
            digest: hashing.finish(),
        })
    }
}

/// Puts what was found in order.
#[derive(Debug)]
pub(crate) struct Ordered<T> {
    /// How many were taken: the number of the next one. The readers keep near.
    taken: Arc<AtomicU64>,
    early: BTreeMap<u64, T>,
}

impl<T> Ordered<T> {
    pub(crate) fn put(&mut self, number: u64, thing: T) {
        self.early.insert(number, thing);
    }

    /// The next one, if it is there.
    pub(crate) fn next(&mut self) -> Option<T> {
        let thing = self.early.remove(&self.taken.load(Relaxed))?;
        self.taken.fetch_add(1, Relaxed);
        Some(thing)
    }
}

/// Of nothing that is read.
impl<T> Default for Ordered<T> {
    fn default() -> Ordered<T> {
        Ordered {
            taken: Arc::default(),
            early: BTreeMap::new(),
        }
    }
}
