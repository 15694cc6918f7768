//! Signals as a descriptor to wait for, together with keys and with time.
//!
//! A thread receives them. It ends the program itself when that does not obey: a sound server that
//! hangs makes a call hang that nothing else could end but SIGKILL.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::signal::{SigSet, Signal, raise};
use nix::unistd::{pipe2, read, write};

use crate::ready;
use crate::terminal;

/// What ends a run.
const STOP: [Signal; 4] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
];

/// How long the program may take to end: longer than a key that does not let itself be released.
const PATIENCE: Duration = Duration::from_secs(5);
/// A second signal after this time ends it at once. (Those of a terminal and of timeout(1) come in twos.)
const IMPATIENCE: Duration = Duration::from_millis(500);

/// The signals that have come. They are blocked, so that no handler runs and nothing is cut short.
#[derive(Debug)]
pub(crate) struct Signals {
    heard: OwnedFd,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To end, and to die by this signal.
    Stop(Signal),
    /// To stop for a while (Ctrl-Z).
    Pause,
    /// A line about how it goes (SIGUSR1).
    Status,
}

impl Signals {
    /// Blocks INT, TERM, HUP, QUIT, TSTP and USR1, those that are not ignored (nohup). XFSZ too: a
    /// log beyond the limit of file sizes then fails with EFBIG.
    pub(crate) fn block() -> std::io::Result<Signals> {
        let mut set = SigSet::empty();
        let all = STOP.into_iter().chain([Signal::SIGTSTP, Signal::SIGUSR1]);
        for signal in all.filter(|signal| !cli::signal::is_ignored(*signal)) {
            set.add(signal);
        }
        SigSet::from(Signal::SIGXFSZ).thread_block()?;
        // If it is full, the program does not listen.
        let (heard, tell) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let mut first = None;
        cli::signal::watch(set, move |signal| {
            let _ = write(&tell, &[signal as u8]);
            if STOP.contains(&signal) {
                let since = *first.get_or_insert_with(|| {
                    let late = move || {
                        thread::sleep(PATIENCE);
                        end(signal)
                    };
                    // Without it, a second signal is needed.
                    let _ = thread::Builder::new().spawn(late);
                    Instant::now()
                });
                if since.elapsed() >= IMPATIENCE {
                    end(signal);
                }
            }
        })?;
        Ok(Signals { heard })
    }

    /// The next one, if any.
    pub(crate) fn next(&self) -> Option<Asked> {
        let mut number = [0];
        read(&self.heard, &mut number).ok().filter(|len| *len > 0)?;
        let signal = Signal::try_from(i32::from(number[0])).ok()?;
        Some(match signal {
            Signal::SIGTSTP => Asked::Pause,
            Signal::SIGUSR1 => Asked::Status,
            signal => Asked::Stop(signal),
        })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.heard.as_fd()
    }
}

/// Ends a program that hangs. The kernel or the guardian releases the key.
fn end(signal: Signal) -> ! {
    terminal::restore();
    if ready::to_write(std::io::stderr()) {
        cli::diag::report(crate::TOOL, format_args!("hangs: ended by {signal}"));
    }
    cli::signal::die_by(signal)
}

/// Stops this process until SIGCONT. Where nobody could send that (an orphaned process group, such as
/// that of `ssh -t HOST cqloop`) the kernel does not stop it.
pub(crate) fn pause() {
    let only = SigSet::from(Signal::SIGTSTP);
    let _ = raise(Signal::SIGTSTP); // waits until it is not blocked
    let _ = only.thread_unblock();
    let _ = only.thread_block();
}
