//! What std does not tell about the process: how it was started, signal dispositions, descriptors by number.
//!
//! Rust's runtime opens /dev/null over a closed descriptor 0, 1 or 2 and ignores SIGPIPE before
//! `main` runs, so what the parent left can only be seen earlier: from `.init_array`, which the
//! loader runs before the runtime starts.
#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SigHandler, Signal, signal};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static STDIN_CLOSED: AtomicBool = AtomicBool::new(false);
static STDOUT_CLOSED: AtomicBool = AtomicBool::new(false);
static STDERR_CLOSED: AtomicBool = AtomicBool::new(false);
static SIGPIPE_IGNORED: AtomicBool = AtomicBool::new(false);

// SAFETY: the loader calls each pointer in this section once, as a C function whose arguments may
// be left unread; it is called before Rust's runtime is set up, and uses nothing of it.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    // SAFETY: F_GETFD takes no pointer and changes nothing; any number may be asked for.
    let is_closed = |fd| unsafe { libc::fcntl(fd, libc::F_GETFD) } == -1;
    STDIN_CLOSED.store(is_closed(libc::STDIN_FILENO), Relaxed);
    STDOUT_CLOSED.store(is_closed(libc::STDOUT_FILENO), Relaxed);
    STDERR_CLOSED.store(is_closed(libc::STDERR_FILENO), Relaxed);
    SIGPIPE_IGNORED.store(is_ignored(Signal::SIGPIPE), Relaxed);
}

/// Whether the parent started this process without a descriptor 0.
pub(crate) fn stdin_was_closed() -> bool {
    STDIN_CLOSED.load(Relaxed)
}

/// Whether the parent started this process without a descriptor 1.
pub(crate) fn stdout_was_closed() -> bool {
    STDOUT_CLOSED.load(Relaxed)
}

/// Whether the parent started this process without a descriptor 2.
pub(crate) fn stderr_was_closed() -> bool {
    STDERR_CLOSED.load(Relaxed)
}

/// Whether SIGPIPE was ignored when the process started, before Rust's runtime ignored it.
pub(crate) fn sigpipe_was_ignored() -> bool {
    SIGPIPE_IGNORED.load(Relaxed)
}

pub(crate) fn is_ignored(signal: Signal) -> bool {
    let mut old = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: no new action is given, and `old` has room for the present one.
    let failed = unsafe { libc::sigaction(signal as i32, std::ptr::null(), old.as_mut_ptr()) } != 0;
    // SAFETY: all zeros is a valid `sigaction`, and so is what the kernel put in its place.
    let old = unsafe { old.assume_init() };
    !failed && old.sa_sigaction == libc::SIG_IGN
}

pub(crate) fn is_pending(signal: Signal) -> bool {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: `set` has room for what is written there.
    if unsafe { libc::sigpending(set.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: sigpending(2) has filled it.
    let set = unsafe { set.assume_init() };
    // SAFETY: a set that the system made, and a number of a signal.
    unsafe { libc::sigismember(&set, signal as i32) == 1 }
}

/// Gives `which` its default action. Fails for signals that have no other (KILL, STOP).
pub(crate) fn set_default(which: Signal) -> nix::Result<()> {
    // SAFETY: no handler of ours is installed, nor ever was: nothing relies on the old action.
    unsafe { signal(which, SigHandler::SigDfl) }.map(drop)
}

/// A duplicate, not passed on to children, of a descriptor that the parent left open for writing.
///
/// EBADF if there is none such: it is closed, open for reading only, or this process's own (which
/// all are close-on-exec, as no inherited one can be).
pub(crate) fn inherited_writer(fd: RawFd) -> nix::Result<OwnedFd> {
    // SAFETY: neither call takes a pointer or changes anything; any number may be asked for.
    let (flags, status) = unsafe {
        (
            libc::fcntl(fd, libc::F_GETFD),
            libc::fcntl(fd, libc::F_GETFL),
        )
    };
    if Errno::result(flags)? & libc::FD_CLOEXEC != 0
        || Errno::result(status)? & libc::O_ACCMODE == libc::O_RDONLY
    {
        return Err(Errno::EBADF);
    }
    // SAFETY: takes no pointer; makes a new descriptor or fails.
    let new = Errno::result(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) })?;
    // SAFETY: the kernel has just made `new`, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(new) })
}
