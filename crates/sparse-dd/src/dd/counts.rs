//! How many records were read and written. The thread that hears signals prints them too, so they
//! are in one place for the whole process.

use super::{figures, talk};
use cli::locale;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Full and partial records, and bytes.
pub(super) struct Counts {
    pub(super) read_full: AtomicU64,
    pub(super) read_partial: AtomicU64,
    pub(super) written_full: AtomicU64,
    pub(super) written_partial: AtomicU64,
    /// Bytes written; those of holes count.
    pub(super) bytes: AtomicU64,
    /// Records that conv=block cut.
    pub(super) truncated: AtomicU64,
}

/// The counts of this process.
pub(super) static COUNTS: Counts = Counts {
    read_full: AtomicU64::new(0),
    read_partial: AtomicU64::new(0),
    written_full: AtomicU64::new(0),
    written_partial: AtomicU64::new(0),
    bytes: AtomicU64::new(0),
    truncated: AtomicU64::new(0),
};

static STARTED: OnceLock<Instant> = OnceLock::new();

/// What of the statistics is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Status {
    None,
    NoTransfer,
    #[default]
    Normal,
    Progress,
}

/// The level of this process; set once, when the operands are known.
pub(super) static STATUS: OnceLock<Status> = OnceLock::new();

/// Adds to one of the counts. Only the copying thread does.
pub(super) fn add(count: &AtomicU64, n: u64) {
    count.store(count.load(Relaxed).wrapping_add(n), Relaxed);
}

/// The copy begins now.
pub(super) fn start() {
    let _ = STARTED.set(Instant::now());
}

/// Time since [`start`].
pub(super) fn elapsed() -> Duration {
    STARTED.get().map_or(Duration::ZERO, Instant::elapsed)
}

/// Prints the lines at the end, or those that SIGUSR1 asks for.
pub(super) fn print() {
    let status = STATUS.get().copied().unwrap_or_default();
    if status == Status::None {
        return;
    }
    let count = |count: &AtomicU64| count.load(Relaxed);
    let mut lines = format!(
        "{}+{} records in\n{}+{} records out\n",
        count(&COUNTS.read_full),
        count(&COUNTS.read_partial),
        count(&COUNTS.written_full),
        count(&COUNTS.written_partial),
    );
    match count(&COUNTS.truncated) {
        0 => {}
        1 => lines += "1 truncated record\n",
        n => lines += &format!("{n} truncated records\n"),
    }
    if status != Status::NoTransfer {
        lines += &transfer(false);
        lines.push('\n');
    }
    talk::say(lines.as_bytes());
}

/// The line of transfer statistics, without its end.
pub(super) fn transfer(whole_seconds: bool) -> String {
    let bytes = COUNTS.bytes.load(Relaxed);
    let point = locale::decimal_point();
    figures::transfer(bytes, elapsed(), whole_seconds, &point)
}

/// The line of `status=progress`, at most once a second.
#[derive(Debug)]
pub(super) struct Progress {
    /// When the next line is due; `None` if none is wanted.
    next: Option<Duration>,
    reported: Option<u64>,
}

impl Progress {
    pub(super) fn new(status: Status) -> Progress {
        Progress {
            next: (status == Status::Progress).then_some(Duration::from_secs(1)),
            reported: None,
        }
    }

    /// Prints the line if it is due.
    pub(super) fn tick(&mut self) {
        if let Some(next) = &mut self.next
            && *next <= elapsed()
        {
            *next += Duration::from_secs(1);
            talk::progress(&transfer(true));
            self.reported = Some(COUNTS.bytes.load(Relaxed));
        }
    }

    /// A last line before the wait for the disk, if there was one before and more was copied since.
    pub(super) fn before_sync(&self) {
        let bytes = COUNTS.bytes.load(Relaxed);
        if self.reported.is_some_and(|reported| reported < bytes) {
            // GNU dd goes on in the line of the progress.
            talk::append(&format!("{}\n", transfer(false)));
        }
    }
}
