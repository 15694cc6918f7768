//! What std and nix do not offer as safe functions: what a child does before exec, and which
//! descriptors and signals it is given.
#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
use nix::unistd::Pid;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};

/// Keeps every descriptor above 2 from the command: a copy of the port's would hold the line when we
/// are killed. Ours are closed by exec anyway; this is for what we were started with.
pub(crate) fn keep_descriptors_to_ourselves() {
    // SAFETY: plain numbers; no descriptor is closed.
    let done = unsafe {
        let flags = libc::CLOSE_RANGE_CLOEXEC;
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, flags)
    };
    if done != 0 {
        // A kernel before 5.11.
        for fd in 3..1024 {
            // SAFETY: plain numbers; EBADF for one that is not open.
            unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
}

/// SIGCHLD as it is by default: a parent that ignored it would leave us without the status.
pub(crate) fn default_sigchld() -> nix::Result<()> {
    // SAFETY: no handler is installed, nor ever was.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) }.map(drop)
}

/// Starts the command with the signals blocked that were when we were started, and SIGPIPE ignored if
/// it was.
pub(crate) fn with_signals(command: &mut Command, blocked: SigSet, sigpipe_ignored: bool) {
    // SAFETY: the closure makes two system calls that are async-signal-safe, and allocates nothing.
    unsafe {
        command.pre_exec(move || {
            if sigpipe_ignored {
                signal(Signal::SIGPIPE, SigHandler::SigIgn)?; // std has made it the default
            }
            sigprocmask(SigmaskHow::SIG_SETMASK, Some(&blocked), None)?;
            Ok(())
        });
    }
}

/// Whether a child has stopped, gone on or ended. (nix's `waitpid` fails for one that a real-time
/// signal has killed, after it has reaped it.)
pub(crate) fn wait_for(child: Pid) -> nix::Result<Option<ExitStatus>> {
    let mut status = 0;
    let flags = libc::WNOHANG | libc::WUNTRACED | libc::WCONTINUED;
    // SAFETY: the kernel writes an int there; the child is ours and not reaped.
    let found = unsafe { libc::waitpid(child.as_raw(), &raw mut status, flags) };
    Ok((Errno::result(found)? != 0).then(|| ExitStatus::from_raw(status)))
}
