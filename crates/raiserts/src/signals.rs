//! Signals, read one after the other instead of handled: from a descriptor that poll(2) waits for.

use crate::Error;
use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, raise, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::os::fd::{AsFd, BorrowedFd};

/// What would end us: each of them releases the transmitter and goes to the command.
const ENDING: [Signal; 15] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGPIPE,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGVTALRM,
    Signal::SIGPROF,
    Signal::SIGXCPU,
    Signal::SIGXFSZ,
    Signal::SIGIO,
    Signal::SIGPWR,
    Signal::SIGSTKFLT,
];

/// What would stop us. (Reading from a terminal in the background stops the whole job.)
const STOPPING: [Signal; 3] = [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU];

/// The signals that we take, blocked from now on.
#[derive(Debug)]
pub(crate) struct Signals {
    fd: SignalFd,
    /// What was blocked when we were started.
    pub(crate) blocked_before: SigSet,
    pub(crate) sigpipe_ignored: bool,
}

impl Signals {
    /// Blocks them. Those that were ignored when we were started (nohup, a job in the background of a
    /// script) stay so.
    pub(crate) fn block() -> Result<Signals, Error> {
        let error = |e| Error::system("blocking signals", e);
        cli::signal::default_sigpipe();
        crate::sys::default_sigchld().map_err(error)?;
        let mut set = SigSet::empty();
        set.add(Signal::SIGCHLD);
        set.add(Signal::SIGCONT);
        for signal in ENDING.into_iter().chain(STOPPING) {
            if !cli::signal::is_ignored(signal) {
                set.add(signal);
            }
        }
        let mut blocked_before = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), Some(&mut blocked_before)).map_err(error)?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        Ok(Signals {
            fd: SignalFd::with_flags(&set, flags).map_err(error)?,
            blocked_before,
            sigpipe_ignored: cli::signal::is_ignored(Signal::SIGPIPE),
        })
    }

    /// The next one that has come, and whether it was the kernel that sent it, to the whole
    /// foreground: a key was pressed, or the terminal has gone.
    pub(crate) fn next(&self) -> Result<Option<(Signal, bool)>, Error> {
        let info = self.fd.read_signal();
        let info = info.map_err(|e| Error::system("reading signals", e))?;
        Ok(info.and_then(|info| {
            let signal = Signal::try_from(i32::try_from(info.ssi_signo).ok()?).ok()?;
            Some((signal, info.ssi_code == libc::SI_KERNEL))
        }))
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Stops us as `signal` does by default, until SIGCONT. In a process group without a parent in the
/// session (an orphaned one: `ssh -t HOST raiserts`) the kernel stops nobody.
pub(crate) fn stop_by(signal: Signal) -> Result<(), Error> {
    let error = |e| Error::system("stopping", e);
    let mut only = SigSet::empty();
    only.add(signal);
    raise(signal).map_err(error)?; // waits until it is not blocked
    only.thread_unblock().map_err(error)?;
    only.thread_block().map_err(error)
}
