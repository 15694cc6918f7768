//! What std and nix do not offer as safe functions: a child that is started without waiting for it, and
//! which descriptors and signals it is given.
#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc::{self, c_char};
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
use nix::unistd::{ForkResult, Pid, fork, pipe2, read, write};
use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

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

/// Starts a program as execvp(3) finds it, with `blocked` signals blocked, and SIGPIPE ignored if it was.
/// Returns at once, with a descriptor for [`refusal`].
///
/// std's `Command` waits until the program has been executed. Ctrl-Z may stop the child just before
/// that, and then we would wait with the transmitter keyed, deaf to signals, until somebody continues it.
pub(crate) fn spawn(
    words: &[OsString],
    blocked: &SigSet,
    sigpipe_ignored: bool,
) -> io::Result<(Pid, OwnedFd)> {
    let words = words.iter().map(|word| CString::new(word.as_bytes()));
    let words = words.collect::<Result<Vec<_>, _>>()?;
    let mut pointers: Vec<*const c_char> = words.iter().map(|word| word.as_ptr()).collect();
    pointers.push(std::ptr::null());
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    // SAFETY: there is one thread, and the child makes system calls only, and leaves by _exit.
    if let ForkResult::Parent { child } = unsafe { fork() }? {
        return Ok((child, reader));
    }
    let sigpipe = match sigpipe_ignored {
        true => SigHandler::SigIgn,
        false => SigHandler::SigDfl, // Rust's runtime ignores it
    };
    // SAFETY: no handler is installed.
    let _ = unsafe { signal(Signal::SIGPIPE, sigpipe) };
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(blocked), None);
    // SAFETY: the list ends with null; its strings end with zero, and live until the program does.
    unsafe { libc::execvp(pointers[0], pointers.as_ptr()) };
    let _ = write(&writer, &Errno::last_raw().to_ne_bytes());
    // SAFETY: ends the process, whose parent flushes what it has buffered.
    unsafe { libc::_exit(127) }
}

/// Why the program of a child that has ended could not be executed, if that is how it ended.
pub(crate) fn refusal(told: &OwnedFd) -> Option<io::Error> {
    let mut number = [0; 4];
    let is_told = read(told, &mut number) == Ok(number.len());
    is_told.then(|| io::Error::from_raw_os_error(i32::from_ne_bytes(number)))
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
