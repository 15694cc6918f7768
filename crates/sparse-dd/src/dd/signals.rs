//! SIGUSR1 prints the statistics, SIGINT too and then ends the process. One thread waits for both, so
//! no system call is interrupted and no read is short because of them.

use super::{counts, talk};
use nix::sys::signal::{SigSet, Signal};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

static ASKED: AtomicBool = AtomicBool::new(false);
static STOP: AtomicBool = AtomicBool::new(false);
static ENDING: AtomicBool = AtomicBool::new(false);

/// How long the copying thread has to count what it is just writing, and to answer itself. If it does
/// not, it waits for something.
const PATIENCE: Duration = Duration::from_millis(100);

/// Starts listening. With POSIXLY_CORRECT set, SIGUSR1 keeps its default action.
pub(super) fn start() {
    let mut signals = SigSet::empty();
    if std::env::var_os("POSIXLY_CORRECT").is_none() {
        signals.add(Signal::SIGUSR1);
    }
    if !cli::signal::is_ignored(Signal::SIGINT) {
        signals.add(Signal::SIGINT);
    }
    let started = cli::signal::watch(signals, |signal| match signal {
        Signal::SIGUSR1 => {
            ASKED.store(true, SeqCst);
            thread::sleep(PATIENCE);
            answer();
        }
        _ => {
            STOP.store(true, SeqCst);
            thread::sleep(PATIENCE);
            end();
        }
    });
    if let Err(error) = started {
        talk::diagnose(&format!("signals: {}", cli::diag::system_text(&error)));
    }
}

/// Does what a signal asked for. To be called between two system calls that may take long, when all
/// that was done is counted.
pub(super) fn check() {
    if ASKED.load(Relaxed) {
        answer();
    }
    if STOP.load(Relaxed) {
        end();
    }
}

/// The same at the end of the copy: also for a SIGINT of which the thread has not heard yet, since the
/// copy ended before it got its turn.
pub(super) fn check_last() {
    check();
    if cli::signal::is_pending(Signal::SIGINT) && !cli::signal::is_ignored(Signal::SIGINT) {
        end();
    }
}

/// Prints the statistics if nobody else has.
fn answer() {
    if ASKED.swap(false, SeqCst) {
        counts::print();
    }
}

/// The last lines, once, and the end.
fn end() {
    if ENDING.swap(true, SeqCst) {
        loop {
            thread::park();
        }
    }
    counts::print();
    cli::signal::die_by(Signal::SIGINT);
}
