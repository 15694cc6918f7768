//! What may be taken at one time: open files and memory for what is in them.

use rustix::fs::OFlags;
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Descriptors that a thread needs for a moment while it opens a file or reads a folder.
const PER_THREAD: u64 = 4;

/// More files than this are never held open: it would gain nothing.
const MOST_OPEN: u64 = 16384;

/// A number of things of which threads take some and give them back.
#[derive(Debug)]
pub(crate) struct Stock(AtomicU64);

impl Stock {
    pub(crate) fn new(amount: u64) -> Stock {
        Stock(AtomicU64::new(amount))
    }

    /// Takes `amount` if that much is left.
    pub(crate) fn take(&self, amount: u64) -> bool {
        let taken = self
            .0
            .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(amount));
        taken.is_ok()
    }

    pub(crate) fn give(&self, amount: u64) {
        self.0.fetch_add(amount, Relaxed);
    }
}

/// What a run may use.
#[derive(Debug)]
pub(crate) struct Limits {
    pub(crate) threads: usize,
    /// Files that may be kept open, beside those that are open for a moment.
    pub(crate) open_files: Stock,
    /// Bytes for blocks that have to be kept for comparison, beside the buffers of the threads.
    pub(crate) memory: Stock,
    /// The largest block that is compared at a time.
    pub(crate) block: u64,
}

impl Limits {
    /// For the contents of files at most `memory` bytes, if that is enough for two blocks of 8 KiB
    /// a thread.
    pub(crate) fn new(memory: u64) -> Limits {
        let free = free_descriptors();
        let processors = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
        let threads = processors.min(free / PER_THREAD).max(1);
        // Each thread has two blocks: one to compare with, one to read into. At least half of
        // the memory is for blocks that are kept.
        let share = (memory / (threads * 4)).clamp(1, 1 << 40);
        let block = (1u64 << share.ilog2()).clamp(4096, crate::class::BLOCK_MAX);
        Limits {
            threads: threads as usize,
            open_files: Stock::new((free.saturating_sub(threads * PER_THREAD)).min(MOST_OPEN)),
            memory: Stock::new(memory.saturating_sub(threads * 2 * block)),
            block,
        }
    }
}

/// Raises the limit on open files to what the system allows, and makes the table of descriptors
/// large enough for as many as will be kept open.
///
/// Call this before any thread is started: later, the kernel waits for all processors (for
/// milliseconds) each time it makes the table of a process with threads twice as large.
pub(crate) fn widen_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Neither is needed, only good.
    let _ = setrlimit(Resource::Nofile, raised);
    let last = limit.maximum.unwrap_or(MOST_OPEN).clamp(1, MOST_OPEN) - 1;
    if let Ok(any) = crate::open::open(b"/", OFlags::PATH) {
        let _ = fcntl_dupfd_cloexec(any, last as i32);
    }
}

/// How many descriptors this process can still open.
fn free_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile).current;
    let used = std::fs::read_dir("/proc/self/fd").map_or(8, |entries| entries.count() as u64);
    limit.unwrap_or(MOST_OPEN * 2).saturating_sub(used + 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stock_gives_no_more_than_it_has() {
        let stock = Stock::new(10);
        assert!(stock.take(4) && stock.take(6) && !stock.take(1));
        stock.give(3);
        assert!(!stock.take(4) && stock.take(3));
    }

    #[test]
    fn blocks_fit_into_the_memory() {
        for memory in [0, 1 << 16, 1 << 20, 256 << 20, u64::MAX] {
            let limits = Limits::new(memory);
            let buffers = limits.threads as u64 * 2 * limits.block;
            assert!(limits.block == 4096 || buffers <= memory / 2, "{limits:?}");
            assert!(limits.block.is_power_of_two() && limits.block <= crate::class::BLOCK_MAX);
        }
    }
}
