//! One thread waits for INT, TERM, HUP, QUIT and USR1; no handler runs anywhere.
//!
//! The signals are blocked in every thread, so no system call is interrupted: a tool looks at
//! [`stop_requested`] between two pieces of work, undoes what must not be left half-way, and ends
//! with [`die_by`]. One that cannot get there (it waits for a pipe) is ended by the second signal.

use nix::sys::signal::{SigSet, Signal, raise};
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::time::{Duration, Instant};
use std::{io, thread};

use crate::{diag, line, process, progress};

/// The first signal that asked to stop, or 0.
static STOP: AtomicI32 = AtomicI32::new(0);

/// Blocks INT, TERM, HUP, QUIT and USR1 and starts the thread that waits for them. Call this first in
/// `main`, before any other thread.
///
/// The first INT, TERM, HUP or QUIT is remembered, a second one ends the process at once, unless it
/// comes with the first, as those of timeout(1) and of a terminal do. XFSZ is blocked too: a write
/// beyond the limit of file sizes then fails with EFBIG as any other does. USR1 prints
/// `tool: STATUS` of the progress that is going on, or nothing. A signal that was ignored when the
/// process started (nohup, a job in the background of a script) stays ignored.
///
/// A child inherits what is blocked (std's `Command` leaves the mask alone): unblock it there.
pub fn start(tool: &'static str) -> io::Result<()> {
    let mut signals = SigSet::empty();
    for signal in [
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGQUIT,
        Signal::SIGUSR1,
    ] {
        if !process::is_ignored(signal) {
            signals.add(signal);
        }
    }
    if signals == SigSet::empty() {
        return Ok(());
    }
    signals.thread_block()?;
    SigSet::from(Signal::SIGXFSZ).thread_block()?;
    let spawned = thread::Builder::new()
        .name("signals".into())
        .spawn(move || wait(tool, signals));
    if let Err(error) = spawned {
        signals.thread_unblock()?;
        return Err(error);
    }
    Ok(())
}

/// Blocks `signals` and has a thread call `heard` with each that comes: for tools whose signals mean
/// something else than those of [`start`]. Call this before any other thread is started. What is
/// blocked is heard even if the process was started with it ignored.
pub fn watch(signals: SigSet, mut heard: impl FnMut(Signal) + Send + 'static) -> io::Result<()> {
    if signals == SigSet::empty() {
        return Ok(());
    }
    signals.thread_block()?;
    let spawned = thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            while let Ok(signal) = signals.wait() {
                heard(signal);
            }
        });
    if let Err(error) = spawned {
        signals.thread_unblock()?;
        return Err(error);
    }
    Ok(())
}

/// The signal that asked the tool to stop. One relaxed load: cheap enough for every turn of a loop.
pub fn stop_requested() -> Option<Signal> {
    match STOP.load(Relaxed) {
        0 => None,
        number => Signal::try_from(number).ok(),
    }
}

/// Ends the process by `signal`, so that a shell sees 128+N and a script stops too. Erases a live
/// progress line, but runs no destructor: drop what must be undone before.
pub fn die_by(signal: Signal) -> ! {
    line::erase();
    die_at_once(signal)
}

/// SIGPIPE back to its default action, which Rust changed: for tools that only write text, and
/// end quietly when their reader does. If the parent had it ignored it stays so, as in C.
pub fn default_sigpipe() {
    if !process::sigpipe_was_ignored() {
        let _ = process::set_default(Signal::SIGPIPE); // fails only for KILL and STOP
    }
}

/// Ends the process as a reader of standard output that went away does, unless SIGPIPE was ignored:
/// for tools that had to go on until what they write to was complete.
pub fn end_by_sigpipe() {
    default_sigpipe();
    if !is_ignored(Signal::SIGPIPE) {
        die_by(Signal::SIGPIPE);
    }
}

/// Whether a signal is ignored now. Until a program changes that, it is what its parent has left it,
/// except for SIGPIPE (see [`default_sigpipe`]).
pub fn is_ignored(signal: Signal) -> bool {
    process::is_ignored(signal)
}

/// Whether a blocked signal has come that no thread has heard of yet.
pub fn is_pending(signal: Signal) -> bool {
    process::is_pending(signal)
}

/// Signals within this time are one.
const TOGETHER: Duration = Duration::from_millis(500);

fn wait(tool: &str, signals: SigSet) {
    let mut first: Option<Instant> = None;
    loop {
        match signals.wait() {
            Ok(Signal::SIGUSR1) => {
                if let Some(status) = progress::current_status() {
                    diag::report(tool, status);
                }
            }
            Ok(signal) => match first {
                None => {
                    first = Some(Instant::now());
                    STOP.store(signal as i32, Relaxed);
                }
                Some(first) if first.elapsed() < TOGETHER => {}
                Some(_) => die_at_once(signal),
            },
            Err(_) => return, // EINVAL: not for a set of valid signals
        }
    }
}

/// Writes nothing: the terminal may be what everybody waits for.
fn die_at_once(signal: Signal) -> ! {
    let _ = process::set_default(signal);
    let mut only = SigSet::empty();
    only.add(signal);
    let _ = only.thread_unblock();
    let _ = raise(signal);
    // Still here: as process 1 of a container, or by a signal whose default is to be ignored.
    #[allow(clippy::exit)]
    std::process::exit(128 + signal as i32)
}
