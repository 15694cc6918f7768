//! The threads that compare: each takes the class that can save most, follows it until it is proven
//! or falls apart, and helps with a large round of another thread when there is nothing to take.
//!
//! No recursion: what a class falls into goes on a list, to any depth.

use crate::candidates::SizeClass;
use crate::class::{Class, Step};
use crate::groups::Groups;
use crate::member::{Member, Scan};
use crate::round::{Outcome, Round, Scratch};
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;

/// A part with less left to read is finished by the thread that split it off, unless another
/// thread has nothing to do.
const SMALL_REST: u64 = 256 * 1024;

/// More threads than this on one round would mostly wait for each other.
const MOST_HELPERS: usize = 8;

/// Compares all classes, given with the largest saving first. Returns what was proven and how many
/// bytes were read; not everything if a signal stops the run.
pub(crate) fn compare(scan: &Scan, classes: &[SizeClass]) -> (Groups, u64) {
    let shared = Shared {
        classes,
        parts: BinaryHeap::new(),
        offers: Vec::new(),
        offered: 0,
        working: 0,
    };
    let pool = Pool {
        scan,
        shared: Mutex::new(shared),
        wake: Condvar::new(),
        helped: Condvar::new(),
        idle: AtomicUsize::new(0),
        results: Mutex::default(),
    };
    std::thread::scope(|scope| {
        for _ in 1..scan.limits.threads.min(scan.tree.files.len()) {
            let spawned = Builder::new().spawn_scoped(scope, || pool.work());
            if spawned.is_err() {
                break; // Fewer threads do it too.
            }
        }
        pool.work();
    });
    pool.results
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
}

struct Pool<'p, 'a> {
    scan: &'p Scan<'a>,
    shared: Mutex<Shared<'p, 'a>>,
    /// Something was added to what is shared, or the last one stopped working.
    wake: Condvar,
    /// A helper is done.
    helped: Condvar,
    /// Threads that wait for something to be added.
    idle: AtomicUsize,
    results: Mutex<(Groups, u64)>,
}

struct Shared<'p, 'a> {
    /// Sizes that no thread has taken.
    classes: &'p [SizeClass],
    /// Parts of classes.
    parts: BinaryHeap<Part<'a>>,
    /// Rounds that can be helped with.
    offers: Vec<Offer<'a>>,
    offered: u64,
    /// Threads that may add parts.
    working: usize,
}

struct Offer<'a> {
    number: u64,
    round: Arc<Round<'a>>,
    helpers: usize,
}

/// A class in the order of what it can save.
struct Part<'a>(Class<'a>);

impl Ord for Part<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.saving().cmp(&other.0.saving())
    }
}

impl PartialOrd for Part<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Part<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Part<'_> {}

/// What a thread does next.
enum Task<'a> {
    Settle(Class<'a>),
    Help(u64, Arc<Round<'a>>),
}

impl<'p, 'a> Pool<'p, 'a> {
    fn shared(&self) -> MutexGuard<'_, Shared<'p, 'a>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What one thread does.
    fn work(&self) {
        let mut scratch = Scratch::new(self.scan.limits.block);
        let mut own = Vec::new();
        while let Some(task) = self.next() {
            match task {
                Task::Help(number, round) => {
                    round.work_on(self.scan, &mut scratch);
                    drop(round);
                    self.has_helped(number);
                }
                Task::Settle(class) => {
                    own.push(class);
                    while let Some(class) = own.pop() {
                        self.settle(class, &mut own, &mut scratch);
                        if own.len() > 1 && self.idle.load(Relaxed) > 0 {
                            let half = own.len() / 2;
                            self.share(own.drain(..half));
                        }
                    }
                    self.is_settled();
                }
            }
        }
        let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        results.1 += scratch.reader.bytes_read;
    }

    fn next(&self) -> Option<Task<'a>> {
        let mut shared = self.shared();
        loop {
            if cli::signal::stop_requested().is_some() {
                shared.classes = &[];
                shared.parts.clear();
            }
            if let Some(class) = shared.take(self.scan) {
                shared.working += 1;
                return Some(Task::Settle(class));
            }
            if let Some(offer) = shared.offers.iter_mut().find(|o| o.round.has_work()) {
                offer.helpers += 1;
                return Some(Task::Help(offer.number, Arc::clone(&offer.round)));
            }
            if shared.working == 0 {
                self.wake.notify_all();
                return None;
            }
            self.idle.fetch_add(1, Relaxed);
            shared = self
                .wake
                .wait(shared)
                .unwrap_or_else(PoisonError::into_inner);
            self.idle.fetch_sub(1, Relaxed);
        }
    }

    fn is_settled(&self) {
        let mut shared = self.shared();
        shared.working -= 1;
        if shared.working == 0 {
            self.wake.notify_all();
        }
    }

    fn has_helped(&self, number: u64) {
        let mut shared = self.shared();
        if let Some(offer) = shared.offers.iter_mut().find(|o| o.number == number) {
            offer.helpers -= 1;
        }
        self.helped.notify_all();
    }

    /// Follows a class until it is proven or split. Small parts go to `own`, large ones to all.
    fn settle(&self, mut class: Class<'a>, own: &mut Vec<Class<'a>>, scratch: &mut Scratch) {
        let scan = self.scan;
        let block_max = scan.limits.block;
        let clones = self.find_clones(&mut class, scratch);
        while cli::signal::stop_requested().is_none() && class.members.len() > 1 {
            if clones {
                self.skip_shared(&mut class);
            }
            let Some(step) = class.next(block_max) else {
                self.prove(class, scratch);
                return;
            };
            if class.starts_in_step(step) {
                class.members.iter_mut().for_each(|m| m.start_in_step(scan));
            }
            let outcome = self.round(&mut class, step, scratch);
            class.members = outcome.members;
            if !outcome.verdicts.is_empty() {
                let (before, each) = (class.members.len(), class.uncounted());
                let parts = class.split(step, &outcome.verdicts, block_max);
                let left: usize = parts.iter().map(|p| p.members.len()).sum();
                scan.count(each, before - left);
                self.share_out(parts, own);
                return;
            }
            let mut newly = class.advance(step, block_max);
            if outcome.is_hole && !step.is_probe {
                let data = class
                    .members
                    .iter()
                    .map(|m| m.next_data(scan, class.front(), &mut scratch.reader));
                let data = data.min().unwrap_or(0);
                newly += class.skip_to(data);
            }
            if newly > 0 {
                scan.count(newly, class.members.len());
            }
        }
    }

    /// Compares one range of all members, with the help of other threads if it is much.
    fn round(&self, class: &mut Class<'a>, step: Step, scratch: &mut Scratch) -> Outcome<'a> {
        let members = std::mem::take(&mut class.members);
        let round = Round::new(self.scan, members, step.range, class.pattern(), scratch);
        if !round.is_large() || self.scan.limits.threads == 1 {
            round.work_on(self.scan, scratch);
            return round.finish(scratch);
        }
        let round = Arc::new(round);
        let number = {
            let mut shared = self.shared();
            shared.offered += 1;
            let (number, round) = (shared.offered, Arc::clone(&round));
            shared.offers.push(Offer {
                number,
                round,
                helpers: 0,
            });
            number
        };
        self.wake_up(MOST_HELPERS);
        round.work_on(self.scan, scratch);
        let mut shared = self.shared();
        while shared
            .offers
            .iter()
            .any(|o| o.number == number && o.helpers > 0)
        {
            shared = self
                .helped
                .wait(shared)
                .unwrap_or_else(PoisonError::into_inner);
        }
        shared.offers.retain(|o| o.number != number);
        drop(shared);
        let round = Arc::into_inner(round).expect("the offer is withdrawn and no helper is left");
        round.finish(scratch)
    }

    fn share_out(&self, parts: Vec<Class<'a>>, own: &mut Vec<Class<'a>>) {
        let (large, small): (Vec<_>, Vec<_>) =
            parts.into_iter().partition(|p| p.rest() >= SMALL_REST);
        own.extend(small);
        if !large.is_empty() {
            self.share(large.into_iter());
        }
    }

    fn share(&self, parts: impl ExactSizeIterator<Item = Class<'a>>) {
        let count = parts.len();
        self.shared().parts.extend(parts.map(Part));
        self.wake_up(count);
    }

    /// Wakes up to `most` threads that wait. None is missed: what is new for them was added under
    /// the lock that they hold until they wait.
    fn wake_up(&self, most: usize) {
        for _ in 0..self.idle.load(Relaxed).min(most) {
            self.wake.notify_one();
        }
    }

    /// Asks where the members lie on the disk, if they are large and their file systems can share
    /// blocks. Whether it is worth looking at the answers.
    fn find_clones(&self, class: &mut Class<'a>, scratch: &mut Scratch) -> bool {
        if class.size() < crate::clones::LEAST_SIZE {
            return false;
        }
        let scan = self.scan;
        let (size, mut sharing) = (class.size(), 0);
        class.members.retain(
            |member| match member.find_blocks(scan, &mut scratch.reader) {
                Ok(shares) => {
                    sharing += usize::from(shares);
                    true
                }
                Err(problem) => {
                    member.failed(scan, &problem);
                    scan.progress.add(size);
                    false
                }
            },
        );
        sharing > 1
    }

    /// Passes over what all members share, without reading it.
    fn skip_shared(&self, class: &mut Class<'a>) {
        let front = class.front();
        let Some((first, others)) = class.members.split_first() else {
            return;
        };
        let ahead = blkcore::Extent::new(front, (front + 1).min(class.size()));
        if front >= class.size() || first.place(ahead).is_none() {
            return;
        }
        let until = others.iter().map(|m| match m.place(ahead) {
            Some(_) => first.shares_until(m, front),
            None => front,
        });
        let until = until.min().unwrap_or(front);
        let newly = class.skip_to(until);
        self.scan.count(newly, class.members.len());
    }

    /// Takes a class whose members are equal to the last byte into the result.
    fn prove(&self, mut class: Class<'a>, scratch: &mut Scratch) {
        let scan = self.scan;
        scan.progress
            .add(class.uncounted() * class.members.len() as u64);
        class
            .members
            .retain(|member| match member.check(scan, &mut scratch.reader) {
                Ok(()) => true,
                Err(problem) => {
                    member.failed(scan, &problem);
                    false
                }
            });
        if class.members.len() > 1 {
            let size = class.size();
            let files = class.members.into_iter().map(|m| m.file).collect();
            let files = crate::groups::in_order(scan.tree, files);
            let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
            results.0.push(size, &files);
        }
    }
}

impl<'a> Shared<'_, 'a> {
    /// Takes the class that can save most.
    fn take(&mut self, scan: &Scan<'a>) -> Option<Class<'a>> {
        let whole = self.classes.first().map(SizeClass::saving);
        let part = self.parts.peek().map(|p| p.0.saving());
        if part.is_some() && part >= whole {
            return self.parts.pop().map(|p| p.0);
        }
        let (class, rest) = self.classes.split_first()?;
        self.classes = rest;
        let files = class.start..class.start + class.count;
        let members = files.map(|file| Member::new(scan, file)).collect();
        Some(Class::new(class.size, members))
    }
}
