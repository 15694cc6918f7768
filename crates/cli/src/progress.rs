//! How far the work has come: on the terminal, for a front end, or when SIGUSR1 asks.
//!
//! The work bumps a counter; a thread, started only when there is something to show, looks at it
//! ten times a second. Nothing in the work waits for the terminal.

use nix::errno::Errno;
use std::ffi::OsStr;
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::{diag, line, process, size};

/// Where progress is shown. In every mode, SIGUSR1 prints the status.
#[derive(Debug)]
pub enum Mode {
    /// On stderr if it is a terminal and the work takes longer than a second.
    Auto,
    /// On stderr at once; without a terminal that can redraw a line, a new line every second.
    Always,
    /// As lines `DONE TOTAL` (decimal bytes, `-` for an unknown total) for a front end.
    Fd(OwnedFd),
    /// Nowhere.
    Off,
}

/// The mode that `--progress[=FD]` asks for. `value` is the number of a descriptor that the parent
/// left open for writing; the error is a text such as `'9': not open for writing`.
pub fn mode(value: Option<&OsStr>) -> Result<Mode, String> {
    let Some(value) = value else {
        return Ok(Mode::Always);
    };
    let number = value
        .to_str()
        .filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    let Some(number) = number.and_then(|text| text.parse().ok()) else {
        return Err(format!("'{}': not a file descriptor", diag::name(value)));
    };
    match process::inherited_writer(number) {
        Ok(fd) => Ok(Mode::Fd(fd)),
        Err(Errno::EBADF) => Err(format!("'{number}': not open for writing")),
        Err(error) => Err(format!("'{number}': {}", error.desc())),
    }
}

/// One piece of work, counted in bytes. Clones are one counter; threads may bump it freely.
///
/// Show one at a time. The last clone that goes away finishes it.
#[derive(Clone, Debug)]
pub struct Progress(Arc<Work>);

impl Progress {
    /// Starts the clock. `what` says on the line what is done to the bytes: `copied`, `compared`.
    pub fn start(mode: Mode, what: &'static str, total: Option<u64>) -> Progress {
        Progress::launch(mode, what, total, None)
    }

    /// [`Progress::start`] for work that is not best told in bytes: `count` says how far it is, as in
    /// `same: 7, diff: 1, 8/40`. Shown are its words, the time, and the rate in bytes; SIGUSR1 prints
    /// the usual line.
    pub fn start_counted(
        mode: Mode,
        what: &'static str,
        total: Option<u64>,
        count: impl Fn() -> String + Send + Sync + 'static,
    ) -> Progress {
        Progress::launch(mode, what, total, Some(Box::new(count)))
    }

    fn launch(mode: Mode, what: &'static str, total: Option<u64>, count: Count) -> Progress {
        let counter = Arc::new(Counter {
            what,
            count,
            started: Instant::now(),
            done: AtomicU64::new(0),
            total: AtomicU64::new(total.unwrap_or(UNKNOWN)),
            stopped: Mutex::new(false),
            wake: Condvar::new(),
        });
        let shower = line::sink(mode).and_then(|sink| {
            let counter = Arc::clone(&counter);
            let first = counter.numbers();
            let show = move || line::show(&counter, sink, &first);
            // Without a thread the work still can be done, unseen.
            thread::Builder::new()
                .name("progress".into())
                .spawn(show)
                .ok()
        });
        *current() = Some(Arc::clone(&counter));
        Progress(Arc::new(Work {
            counter,
            shower: Mutex::new(shower),
        }))
    }

    /// Sets the total, once it is known.
    pub fn set_total(&self, total: u64) {
        self.0.counter.total.store(total, Relaxed);
    }

    /// Adds `n` bytes: one relaxed atomic add, for hot loops.
    pub fn add(&self, n: u64) {
        self.0.counter.done.fetch_add(n, Relaxed);
    }

    /// Sets the bytes done.
    pub fn set(&self, done: u64) {
        self.0.counter.done.store(done, Relaxed);
    }

    /// The bytes done.
    pub fn done(&self) -> u64 {
        self.0.counter.done.load(Relaxed)
    }

    /// One line as SIGUSR1 prints it: `1.2 GiB of 8.0 GiB copied (15%), 12 s, 102.4 MiB/s`.
    pub fn status(&self) -> String {
        self.0.counter.status()
    }

    /// Erases the line, or writes the last one, and waits until that is done. Harmless twice.
    pub fn finish(&self) {
        self.0.finish();
    }
}

/// The status of the work that was started last, unless it is finished.
pub(crate) fn current_status() -> Option<String> {
    current().as_ref().map(|counter| counter.status())
}

static CURRENT: Mutex<Option<Arc<Counter>>> = Mutex::new(None);

fn current() -> MutexGuard<'static, Option<Arc<Counter>>> {
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What all clones share. The thread has only the counter, so that this can be dropped.
#[derive(Debug)]
struct Work {
    counter: Arc<Counter>,
    shower: Mutex<Option<JoinHandle<()>>>,
}

impl Work {
    fn finish(&self) {
        self.counter.stop();
        let mut current = current();
        if current
            .as_ref()
            .is_some_and(|counter| Arc::ptr_eq(counter, &self.counter))
        {
            *current = None;
        }
        drop(current);
        let mut shower = self.shower.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = shower.take() {
            let _ = thread.join(); // a panic there has been told, and harms nothing here
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Stands for a total that is not known: no file is as large.
const UNKNOWN: u64 = u64::MAX;

type Count = Option<Box<dyn Fn() -> String + Send + Sync>>;

pub(crate) struct Counter {
    what: &'static str,
    count: Count,
    started: Instant,
    done: AtomicU64,
    total: AtomicU64,
    stopped: Mutex<bool>,
    wake: Condvar,
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Counter").field(&self.status()).finish()
    }
}

impl Counter {
    fn stop(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.wake.notify_all();
    }

    /// Waits for the end of the work, at most as long as given; whether it has come.
    pub(crate) fn stopped_within(&self, time: Duration) -> bool {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .wake
            .wait_timeout_while(stopped, time, |stopped| !*stopped);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn total(&self) -> Option<u64> {
        Some(self.total.load(Relaxed)).filter(|total| *total != UNKNOWN)
    }

    /// The line for a front end, with its end.
    pub(crate) fn numbers(&self) -> String {
        let done = self.done.load(Relaxed);
        match self.total() {
            Some(total) => format!("{done} {total}\n"),
            None => format!("{done} -\n"),
        }
    }

    /// The line that is shown while the work goes on.
    pub(crate) fn shown(&self) -> String {
        let Some(count) = &self.count else {
            return self.status();
        };
        let (time, rate) = pace(self.done.load(Relaxed), self.started.elapsed());
        format!("{}, {time}, {rate}/s", count())
    }

    pub(crate) fn status(&self) -> String {
        status(
            self.what,
            self.done.load(Relaxed),
            self.total(),
            self.started.elapsed(),
        )
    }
}

fn status(what: &str, done: u64, total: Option<u64>, elapsed: Duration) -> String {
    let (time, rate) = pace(done, elapsed);
    let human = size::human(done);
    match total {
        Some(total) => {
            let percent = percent(done, total);
            let total = size::human(total);
            format!("{human} of {total} {what} ({percent}%), {time}, {rate}/s")
        }
        None => format!("{human} {what}, {time}, {rate}/s"),
    }
}

/// The time, and the bytes of a second.
fn pace(done: u64, elapsed: Duration) -> (String, String) {
    // A rate over less than a millisecond says nothing, and none must be divided by.
    let millis = elapsed.as_millis().max(1);
    let rate = u64::try_from(u128::from(done) * 1000 / millis).unwrap_or(u64::MAX);
    (duration(elapsed.as_secs()), size::human(rate))
}

/// Rounded down, so that 100 means all; no more than 100, should a file have grown.
fn percent(done: u64, total: u64) -> u64 {
    if done >= total {
        100
    } else {
        (u128::from(done) * 100 / u128::from(total)) as u64
    }
}

fn duration(seconds: u64) -> String {
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min {} s", seconds % 60),
        _ => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, PipeReader, Read, pipe};

    fn to_pipe(total: Option<u64>) -> (Progress, PipeReader) {
        let (reader, writer) = pipe().unwrap();
        (
            Progress::start(Mode::Fd(writer.into()), "copied", total),
            reader,
        )
    }

    fn rest(mut reader: impl Read) -> String {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_front_end_gets_the_first_and_the_last_line() {
        let (progress, reader) = to_pipe(Some(1000));
        progress.add(400);
        progress.clone().add(600);
        progress.finish();
        progress.finish();
        let text = rest(reader);
        assert!(
            text.starts_with("0 1000\n") && text.ends_with("1000 1000\n"),
            "{text}"
        );
    }

    #[test]
    fn a_front_end_sees_changes_while_they_happen() {
        let (progress, reader) = to_pipe(None);
        let mut lines = BufReader::new(reader).lines();
        let mut next = || lines.next().unwrap().unwrap();
        assert_eq!(next(), "0 -");
        progress.add(7);
        assert_eq!(next(), "7 -");
        progress.set_total(20);
        assert_eq!(next(), "7 20");
        progress.set(5);
        assert_eq!(next(), "5 20");
        drop(progress);
        assert!(lines.next().is_none(), "the same numbers again");
    }

    #[test]
    fn lines_come_ten_times_a_second_at_most() {
        let (progress, reader) = to_pipe(Some(9));
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(350) {
            progress.add(1);
        }
        let most = 2 + started.elapsed().as_millis() / 100;
        progress.finish();
        let text = rest(reader);
        assert!(
            (2..=most).contains(&(text.lines().count() as u128)),
            "{text}"
        );
    }

    #[test]
    fn many_threads_count_together() {
        let progress = Progress::start(Mode::Off, "read", None);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..1000).for_each(|_| progress.add(3)));
            }
        });
        assert_eq!(progress.done(), 24000);
    }

    #[test]
    fn a_front_end_that_went_away_is_no_error() {
        let (progress, reader) = to_pipe(Some(10));
        drop(reader);
        progress.add(10);
        progress.finish();
    }

    #[test]
    fn finishing_does_not_wait_for_the_next_tick() {
        let started = Instant::now();
        for _ in 0..20 {
            let (progress, _reader) = to_pipe(None);
            progress.finish();
        }
        assert!(started.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn modes() {
        assert!(matches!(mode(None), Ok(Mode::Always)));
        assert!(matches!(mode(Some(OsStr::new("2"))), Ok(Mode::Fd(_))));
        for (value, text) in [
            ("", "'': not a file descriptor"),
            ("-1", "'-1': not a file descriptor"),
            ("+1", "'+1': not a file descriptor"),
            ("out\n", "'out\\n': not a file descriptor"),
            ("99999999999", "'99999999999': not a file descriptor"),
            ("1023456", "'1023456': not open for writing"),
        ] {
            assert_eq!(mode(Some(OsStr::new(value))).unwrap_err(), text);
        }
        let own = std::fs::File::create("/dev/null").unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&own).to_string();
        assert!(mode(Some(OsStr::new(&number))).is_err(), "not inherited");
    }

    #[test]
    fn a_count_in_words_of_the_work() {
        let count = || "same: 7, diff: 1, 8/40".to_owned();
        let progress = Progress::start_counted(Mode::Off, "compared", Some(40 << 20), count);
        progress.set(8 << 20);
        let shown = progress.0.counter.shown();
        assert!(
            shown.starts_with("same: 7, diff: 1, 8/40, 0 s, "),
            "{shown}"
        );
        assert!(
            progress
                .status()
                .starts_with("8.0 MiB of 40.0 MiB compared")
        );
    }

    #[test]
    fn statuses() {
        let gib = |tenths: u64| (tenths << 30).div_ceil(10);
        let at = Duration::from_secs;
        for (line, text) in [
            (
                status("copied", gib(12), Some(gib(80)), at(12)),
                "1.2 GiB of 8.0 GiB copied (15%), 12 s, 102.4 MiB/s",
            ),
            (
                status("compared", 512, None, at(60)),
                "512 B compared, 1 min 0 s, 8 B/s",
            ),
            (
                status("copied", 0, Some(0), at(0)),
                "0 B of 0 B copied (100%), 0 s, 0 B/s",
            ),
            (
                status("copied", 999, Some(1000), at(3725)),
                "999 B of 1000 B copied (99%), 1 h 2 min, 0 B/s",
            ),
            (
                status("copied", 30, Some(20), at(1)),
                "30 B of 20 B copied (100%), 1 s, 30 B/s",
            ),
            (
                status("read", u64::MAX, None, at(0)),
                "16.0 EiB read, 0 s, 16.0 EiB/s",
            ),
        ] {
            assert_eq!(line, text);
        }
    }
}
