//! Signals as a descriptor to wait for, together with keys and with time.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// What ends a run.
const STOP: [Signal; 4] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
];

/// The signals that have come. They are blocked, so that no handler runs and nothing is cut short.
#[derive(Debug)]
pub(crate) struct Signals {
    fd: SignalFd,
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
    pub(crate) fn block() -> nix::Result<Signals> {
        let mut set = SigSet::empty();
        let all = STOP.into_iter().chain([Signal::SIGTSTP, Signal::SIGUSR1]);
        for signal in all.filter(|signal| !cli::signal::is_ignored(*signal)) {
            set.add(signal);
        }
        set.thread_block()?;
        SigSet::from(Signal::SIGXFSZ).thread_block()?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Signals { fd })
    }

    /// The next one, if any.
    pub(crate) fn next(&self) -> Option<Asked> {
        let info = self.fd.read_signal().ok()??;
        let signal = Signal::try_from(info.ssi_signo as i32).ok()?;
        Some(match signal {
            Signal::SIGTSTP => Asked::Pause,
            Signal::SIGUSR1 => Asked::Status,
            signal => Asked::Stop(signal),
        })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Stops this process until SIGCONT.
pub(crate) fn pause() {
    let _ = raise(Signal::SIGSTOP); // cannot be refused
}
