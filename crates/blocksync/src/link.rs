//! The connection of a peer: one thread reads messages, one writes them, and whoever runs the session
//! takes events from one queue. It never blocks on the peer, so that signals and time-outs are heard.

use crate::Error;
use crate::frame::{self, FrameReader, FrameWriter};
use crate::layout::{Digest, Layout};
use crate::message::{Message, Patch};
use crate::segments::{Bytes, Found};
use crate::source::Wanted;
use std::io::{self, BufWriter, Read, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, channel, sync_channel,
};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Events that wait.
const EVENTS: usize = 16;
/// Bytes of messages that wait; one message may be larger.
const WAITING: usize = 8 << 20;
/// How often signals are looked for.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(200);
/// How long small messages are gathered, while the peer may have to act upon them and while it
/// will most likely not: then what they cost on the way counts more.
const GATHERING: Duration = Duration::from_millis(20);
const CALM_GATHERING: Duration = Duration::from_millis(500);
/// A peer that has nothing to say says so this often, and often enough for a short time-out.
const PING_INTERVAL: Duration = Duration::from_secs(15);
/// How long the last message may take to leave.
const LINGER: Duration = Duration::from_secs(5);
/// Data is compressed when this many bytes at its start become smaller by an eighth.
const SAMPLE: usize = 16 << 10;
const LEVEL: i32 = 1;

/// What happens in a session.
#[derive(Debug)]
pub(crate) enum Event {
    Message(Message),
    /// Something was found in the peer's own object: number and thing.
    Found(u64, Result<Found, Error>),
    /// The connection is over.
    Closed(Option<Error>),
}

/// What is sent.
#[derive(Debug)]
pub(crate) enum Out {
    Message(Message),
    /// DATA with pages of a segment; compressed by the thread that writes.
    Pages {
        layout: Layout,
        segment: u64,
        wanted: Wanted,
        bytes: Bytes,
    },
    /// PATCH likewise.
    Patch {
        layout: Layout,
        segment: u64,
        digest: Digest,
        check: Digest,
        wanted: Wanted,
        bytes: Bytes,
    },
}

/// One end of a connection.
pub(crate) struct Link {
    out: Option<Sender<Out>>,
    events: Receiver<Event>,
    feed: SyncSender<Event>,
    room: Arc<Room>,
    left: Receiver<()>,
    traffic: Arc<Traffic>,
    heard: Instant,
    timeout: Duration,
    /// The peer may end the connection now.
    may_end: bool,
    /// When the opening must be over, whatever the peer says meanwhile.
    opening: Option<Instant>,
}

/// Bounds the bytes of messages that were read and not taken yet.
#[derive(Debug, Default)]
struct Room {
    taken: Mutex<usize>,
    freed: Condvar,
}

impl Room {
    /// Waits for room, unless nothing else is there.
    fn take(&self, bytes: usize) {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = |taken: &mut usize| *taken > 0 && *taken + bytes > WAITING;
        let taken = self.freed.wait_while(taken, is_full);
        *taken.unwrap_or_else(PoisonError::into_inner) += bytes;
    }

    fn free(&self, bytes: usize) {
        *self.taken.lock().unwrap_or_else(PoisonError::into_inner) -= bytes;
        self.freed.notify_all();
    }
}

/// What a message takes while it waits: only data is large.
fn weight(message: &Message) -> usize {
    match message {
        Message::Data { bytes, .. } => bytes.len(),
        Message::Patch(patch) => patch.bytes.len(),
        _ => 0,
    }
}

/// Bytes of frames, both ways, and how large they may be.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    sent: AtomicU64,
    received: AtomicU64,
    /// The largest segment that is taken; none before that is agreed upon.
    segment: AtomicUsize,
}

impl Link {
    /// Starts the threads over two streams. A peer that is silent for `timeout` is given up.
    pub(crate) fn new(
        input: impl Read + Send + 'static,
        output: impl Write + Send + 'static,
        timeout: Duration,
    ) -> Link {
        let (out, outgoing) = channel();
        let (feed, events) = sync_channel(EVENTS);
        let (leaving, left) = channel();
        let traffic = Arc::new(Traffic::default());
        let room = Arc::new(Room::default());
        let (reader_feed, reader_traffic) = (feed.clone(), Arc::clone(&traffic));
        let reader_room = Arc::clone(&room);
        let (reading, all_read) = channel::<()>();
        std::thread::spawn(move || {
            let over = read_messages(input, &reader_feed, &reader_room, &reader_traffic).err();
            let _ = reader_feed.send(Event::Closed(over));
            drop(reading);
        });
        let (writer_feed, writer_traffic) = (feed.clone(), Arc::clone(&traffic));
        std::thread::spawn(move || {
            let interval = PING_INTERVAL.min(timeout / 4);
            if let Err(e) = write_messages(output, &outgoing, &writer_traffic, interval) {
                // What the peer said last may wait to be read: that comes first.
                let _ = all_read.recv_timeout(LINGER);
                let _ = writer_feed.send(Event::Closed(Some(Error::lost(&e))));
            }
            let _ = leaving.send(());
        });
        Link {
            out: Some(out),
            events,
            feed,
            room,
            left,
            traffic,
            heard: Instant::now(),
            timeout,
            may_end: false,
            opening: Some(Instant::now() + timeout),
        }
    }

    pub(crate) fn send(&self, message: Message) {
        self.put(Out::Message(message));
    }

    pub(crate) fn put(&self, out: Out) {
        // A writer that is gone has left an event.
        if let Some(queue) = &self.out {
            let _ = queue.send(out);
        }
    }

    /// Where those who read the peer's own object put what they find.
    pub(crate) fn feed(
        &self,
    ) -> impl Fn(u64, Result<Found, Error>) -> bool + Clone + Send + 'static {
        let feed = self.feed.clone();
        move |number, found| feed.send(Event::Found(number, found)).is_ok()
    }

    /// The next event, if there is one already.
    pub(crate) fn poll(&mut self) -> Result<Option<Event>, Error> {
        match self.events.try_recv() {
            Ok(event) => self.admit(event),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => Ok(None),
        }
    }

    /// Waits for an event; an error when a signal asks to stop, or the peer is silent or gone.
    pub(crate) fn wait(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(signal) = cli::signal::stop_requested() {
                return Err(Error::Interrupted(signal));
            }
            match self.events.recv_timeout(SIGNAL_INTERVAL) {
                Ok(event) => {
                    if let Some(event) = self.admit(event)? {
                        return Ok(event);
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            self.check_silence()?;
        }
    }

    /// Waits for an event, but not long: what is worth sending soon may be gathered meanwhile.
    pub(crate) fn wait_briefly(&mut self, is_calm: bool) -> Result<Option<Event>, Error> {
        let time = if is_calm { CALM_GATHERING } else { GATHERING };
        match self.events.recv_timeout(time) {
            Ok(event) => self.admit(event),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Ok(None),
        }
    }

    /// The next message, if there is one already.
    pub(crate) fn poll_message(&mut self) -> Result<Option<Message>, Error> {
        match self.poll()? {
            Some(Event::Message(message)) => Ok(Some(message)),
            Some(Event::Found(..) | Event::Closed(_)) => Err(Error::protocol("out of turn")),
            None => Ok(None),
        }
    }

    /// An error when the connection is over, the peer failed or says something, or a signal asks to
    /// stop: to be called while it is our turn.
    pub(crate) fn check_alive(&mut self) -> Result<(), Error> {
        if let Some(signal) = cli::signal::stop_requested() {
            return Err(Error::Interrupted(signal));
        }
        match self.poll_message()? {
            Some(_) => Err(Error::protocol("out of turn")),
            None => self.check_silence(),
        }
    }

    /// Waits for the peer to ask for one more pass; false when it ends instead.
    pub(crate) fn is_wanted_again(&mut self) -> Result<bool, Error> {
        self.may_end = true;
        let wanted = match self.wait()? {
            Event::Message(Message::Again) => true,
            Event::Closed(_) => false,
            _ => return Err(Error::protocol("out of turn")),
        };
        self.may_end = false;
        Ok(wanted)
    }

    /// Waits for a message.
    pub(crate) fn message(&mut self) -> Result<Message, Error> {
        match self.wait()? {
            Event::Message(message) => Ok(message),
            Event::Found(..) | Event::Closed(_) => Err(Error::protocol("out of turn")),
        }
    }

    /// Says that the peer has said what opens a session.
    pub(crate) fn is_open(&mut self) {
        self.opening = None;
    }

    fn check_silence(&self) -> Result<(), Error> {
        if self.heard.elapsed() > self.timeout {
            let seconds = self.timeout.as_secs();
            return Err(Error::Connection(format!(
                "the other side was silent for {seconds} s"
            )));
        }
        if self.opening.is_some_and(|until| Instant::now() > until) {
            return Err(Error::Connection(
                "the other side did not open a session in time".to_owned(),
            ));
        }
        Ok(())
    }

    /// Lets through what the session is concerned with.
    fn admit(&mut self, event: Event) -> Result<Option<Event>, Error> {
        match event {
            Event::Closed(None) if self.may_end => Ok(Some(Event::Closed(None))),
            Event::Closed(error) => Err(error.unwrap_or_else(|| {
                Error::Connection("the other side ended before its time".to_owned())
            })),
            Event::Message(message) => {
                self.heard = Instant::now();
                self.room.free(weight(&message));
                match message {
                    Message::Ping => Ok(None),
                    Message::Fail { status, text } => Err(Error::Remote { status, text }),
                    message => Ok(Some(Event::Message(message))),
                }
            }
            found => Ok(Some(found)),
        }
    }

    /// From now on data for segments of this size is taken.
    pub(crate) fn take_segments(&self, segment: u64) {
        self.traffic
            .segment
            .store(segment as usize, Ordering::Relaxed);
    }

    /// Bytes sent and received.
    pub(crate) fn traffic(&self) -> (u64, u64) {
        let Traffic { sent, received, .. } = &*self.traffic;
        (
            sent.load(Ordering::Relaxed),
            received.load(Ordering::Relaxed),
        )
    }

    /// Ends the connection when all that was sent has left, or takes too long.
    pub(crate) fn close(mut self) {
        drop(self.out.take());
        let _ = self.left.recv_timeout(LINGER);
    }

    /// Tells the peer of an error, unless it is the peer's own or there is no way, and ends.
    pub(crate) fn fail(self, error: &Error) {
        if !matches!(error, Error::Remote { .. } | Error::Connection(_)) {
            let mut text = error.to_string();
            while text.len() > 4000 {
                text.pop();
            }
            self.send(Message::Fail {
                status: error.status(),
                text,
            });
        }
        self.close();
    }
}

fn read_messages(
    input: impl Read,
    feed: &SyncSender<Event>,
    room: &Room,
    traffic: &Traffic,
) -> Result<(), Error> {
    let mut frames = FrameReader::new(io::BufReader::with_capacity(128 << 10, input))?;
    while let Some((kind, payload)) = frames.read(traffic.segment.load(Ordering::Relaxed))? {
        traffic
            .received
            .fetch_add(frame::bytes_of(payload.len()), Ordering::Relaxed);
        let message = Message::decode(kind, payload)?;
        room.take(weight(&message));
        if feed.send(Event::Message(message)).is_err() {
            break;
        }
    }
    Ok(())
}

fn write_messages(
    output: impl Write,
    queue: &Receiver<Out>,
    traffic: &Traffic,
    ping_interval: Duration,
) -> io::Result<()> {
    let mut frames = FrameWriter::new(BufWriter::with_capacity(128 << 10, output))?;
    let mut compressor = Compressor::new()?;
    loop {
        let out = match queue.try_recv() {
            Ok(out) => out,
            Err(TryRecvError::Disconnected) => return frames.flush(),
            Err(TryRecvError::Empty) => {
                frames.flush()?;
                match queue.recv_timeout(ping_interval) {
                    Ok(out) => out,
                    Err(RecvTimeoutError::Timeout) => Out::Message(Message::Ping),
                    Err(RecvTimeoutError::Disconnected) => return Ok(()),
                }
            }
        };
        let message = match out {
            Out::Message(message) => message,
            Out::Pages {
                layout,
                segment,
                wanted,
                bytes,
            } => {
                let bytes = gather(&layout, segment, &wanted, &bytes);
                let (is_compressed, bytes) = compressor.compress(bytes);
                Message::Data {
                    segment,
                    is_compressed,
                    bytes,
                }
            }
            Out::Patch {
                layout,
                segment,
                digest,
                check,
                wanted,
                bytes,
            } => {
                let bytes = gather(&layout, segment, &wanted, &bytes);
                let (is_compressed, bytes) = compressor.compress(bytes);
                let bitmap = wanted.into_bitmap(layout.pages(segment));
                Message::Patch(Patch {
                    segment,
                    digest,
                    check,
                    is_compressed,
                    bitmap,
                    bytes,
                })
            }
        };
        let (kind, head, body) = message.encode();
        traffic
            .sent
            .fetch_add(frame::bytes_of(head.len() + body.len()), Ordering::Relaxed);
        frames.write(kind, &head, body)?;
    }
}

/// The wanted pages of a segment, one after the other.
fn gather(layout: &Layout, segment: u64, wanted: &Wanted, bytes: &Bytes) -> Vec<u8> {
    let ranges = wanted.ranges(layout, segment);
    let parts = ranges
        .iter()
        .map(|r| &bytes.as_ref()[r.start as usize..r.end as usize]);
    parts.collect::<Vec<_>>().concat()
}

/// Compresses what becomes smaller by it.
struct Compressor(zstd::bulk::Compressor<'static>);

impl Compressor {
    fn new() -> io::Result<Compressor> {
        zstd::bulk::Compressor::new(LEVEL).map(Compressor)
    }

    fn compress(&mut self, bytes: Vec<u8>) -> (bool, Vec<u8>) {
        if bytes.len() > 4 * SAMPLE && !self.samples(&bytes).any(|good| good) {
            return (false, bytes);
        }
        match self.0.compress(&bytes) {
            Ok(small) if small.len() < bytes.len() - bytes.len() / 16 => (true, small),
            _ => (false, bytes),
        }
    }

    /// Whether each of three places of `bytes` is worth it.
    fn samples(&mut self, bytes: &[u8]) -> impl Iterator<Item = bool> {
        let places = [0, bytes.len() / 2, bytes.len() - SAMPLE];
        places.into_iter().map(|at| {
            let sample = &bytes[at..at + SAMPLE];
            self.0
                .compress(sample)
                .is_ok_and(|small| small.len() < SAMPLE - SAMPLE / 8)
        })
    }
}
