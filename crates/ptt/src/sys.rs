//! The ioctls of modem lines and hidraw, and the fork of the guardian, as safe functions.
//!
//! `serialport` sets RTS and DTR one after the other and opens with its own settings; a key needs both
//! lines in one call, TIOCEXCL and HUPCL, and the moment of opening in its own hands.
// (nix makes its ioctl functions, and so the types they take, `pub`.)
#![allow(unsafe_code, unreachable_pub)]

use nix::libc::{self, c_int};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::unistd::{ForkResult, Pid, fork};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

// asm-generic/ioctls.h; see TIOCMSET(2const) and tty_ioctl(4)
nix::ioctl_write_ptr_bad!(tiocmbis, libc::TIOCMBIS, c_int);
nix::ioctl_write_ptr_bad!(tiocmbic, libc::TIOCMBIC, c_int);
nix::ioctl_read_bad!(tiocmget, libc::TIOCMGET, c_int);
nix::ioctl_none_bad!(tiocexcl, libc::TIOCEXCL);
nix::ioctl_none_bad!(tiocnxcl, libc::TIOCNXCL);
// linux/hidraw.h
nix::ioctl_read!(hidiocgrawinfo, b'H', 0x03, HidrawDevinfo);

/// `struct hidraw_devinfo`.
#[repr(C)]
#[derive(Default)]
pub struct HidrawDevinfo {
    bustype: u32,
    vendor: i16,
    product: i16,
}

/// Raises these lines (`TIOCM_RTS`, `TIOCM_DTR`) in one call.
pub(crate) fn raise(port: BorrowedFd<'_>, lines: c_int) -> nix::Result<()> {
    // SAFETY: the kernel reads an int there.
    unsafe { tiocmbis(port.as_raw_fd(), &raw const lines) }.map(drop)
}

/// Lowers these lines in one call.
pub(crate) fn lower(port: BorrowedFd<'_>, lines: c_int) -> nix::Result<()> {
    // SAFETY: the kernel reads an int there.
    unsafe { tiocmbic(port.as_raw_fd(), &raw const lines) }.map(drop)
}

/// The lines as the driver knows them.
pub(crate) fn lines(port: BorrowedFd<'_>) -> nix::Result<c_int> {
    let mut lines = 0;
    // SAFETY: the kernel writes an int there.
    unsafe { tiocmget(port.as_raw_fd(), &raw mut lines) }?;
    Ok(lines)
}

/// TIOCEXCL or TIOCNXCL: whether others may open the port (root may in any case).
pub(crate) fn set_exclusive(port: BorrowedFd<'_>, exclusive: bool) -> nix::Result<()> {
    // SAFETY: neither takes an argument.
    match exclusive {
        true => unsafe { tiocexcl(port.as_raw_fd()) },
        false => unsafe { tiocnxcl(port.as_raw_fd()) },
    }
    .map(drop)
}

/// Vendor and product of a hidraw device.
pub(crate) fn hid_product(device: BorrowedFd<'_>) -> nix::Result<(u16, u16)> {
    let mut info = HidrawDevinfo::default();
    // SAFETY: the kernel writes a struct hidraw_devinfo there.
    unsafe { hidiocgrawinfo(device.as_raw_fd(), &raw mut info) }?;
    Ok((info.vendor.cast_unsigned(), info.product.cast_unsigned()))
}

/// Whether the other end has gone: the device unplugged, the process ended.
pub(crate) fn hung_up(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::new(fd, PollFlags::empty())];
    let gone = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
    poll(&mut fds, PollTimeout::ZERO).is_ok()
        && fds[0].revents().is_some_and(|r| r.intersects(gone))
}

/// Runs `work` in a child process that has descriptor 0 for `first`, 1 for `second`, and no other; all
/// signals are blocked there. It ends when `work` returns.
///
/// `work` may only make system calls: no memory may be allocated, no lock taken, nothing may panic,
/// since another thread of the parent may have held the allocator when it was copied.
pub(crate) fn fork_with(
    first: BorrowedFd<'_>,
    second: BorrowedFd<'_>,
    work: impl FnOnce(BorrowedFd<'_>, BorrowedFd<'_>),
) -> io::Result<Pid> {
    let mut old = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), Some(&mut old))?;
    // SAFETY: the child makes system calls only, as the caller promises, and leaves by _exit.
    let forked = unsafe { fork() };
    if let Ok(ForkResult::Child) = forked {
        // SAFETY: plain numbers. Both are above 1, since Rust's runtime keeps 0 to 2 open.
        unsafe {
            libc::dup2(first.as_raw_fd(), 0);
            libc::dup2(second.as_raw_fd(), 1);
            if libc::syscall(libc::SYS_close_range, 2, libc::c_uint::MAX, 0) != 0 {
                for fd in 2..1024 {
                    libc::close(fd); // a kernel before 5.9
                }
            }
        }
        // SAFETY: they were opened above, and live as long as the process.
        let (first, second) = unsafe { (BorrowedFd::borrow_raw(0), BorrowedFd::borrow_raw(1)) };
        work(first.as_fd(), second.as_fd());
        // SAFETY: ends the process, whose parent flushes what it has buffered.
        unsafe { libc::_exit(0) }
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&old), None)?;
    match forked? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => unreachable!("the child has ended above"),
    }
}
