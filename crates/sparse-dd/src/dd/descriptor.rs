//! Opening, moving in and closing descriptors, with what dd adds to it. `None` stands for a standard
//! descriptor that was closed when the process started.
#![allow(unsafe_code)]

use super::operands::Flags;
use super::{Stop, signals};
use cli::quote;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::sys::stat::{Mode, SFlag};
use nix::unistd::Whence;
use std::ffi::OsStr;
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// open(2); a new file gets the mode 0666 less the umask.
pub(super) fn open(name: &OsStr, flags: OFlag) -> Result<File, Errno> {
    loop {
        signals::check();
        match nix::fcntl::open(
            name,
            flags | OFlag::O_CLOEXEC,
            Mode::from_bits_truncate(0o666),
        ) {
            Err(Errno::EINTR) => {}
            opened => return opened.map(File::from),
        }
    }
}

/// Sets the flags of an inherited descriptor, which others that have it see too.
pub(super) fn set_flags(file: Option<&File>, flags: &Flags, name: &OsStr) -> Result<(), Stop> {
    let open = flags.open - (OFlag::O_NOCTTY | OFlag::O_NOFOLLOW);
    if open.is_empty() && !flags.need_descriptor() {
        return Ok(());
    }
    add_flags(file, open).map_err(|error| {
        let name = quote::always(name.as_bytes());
        Stop::errno(error, &format!("setting flags for {name}"))
    })
}

fn add_flags(file: Option<&File>, flags: OFlag) -> Result<(), Errno> {
    let file = file.ok_or(Errno::EBADF)?;
    let old = OFlag::from_bits_retain(fcntl(file, FcntlArg::F_GETFL)?);
    let mut new = old | flags;
    if new == old {
        return Ok(());
    }
    if new.contains(OFlag::O_DIRECTORY) {
        if kind(file)? != SFlag::S_IFDIR {
            return Err(Errno::ENOTDIR);
        }
        new -= OFlag::O_DIRECTORY;
    }
    if new != old {
        fcntl(file, FcntlArg::F_SETFL(new))?;
    }
    Ok(())
}

/// lseek(2).
pub(super) fn seek(file: Option<&File>, offset: i64, whence: Whence) -> Result<u64, Errno> {
    let file = file.ok_or(Errno::EBADF)?;
    nix::unistd::lseek(file, offset, whence).map(|at| at as u64)
}

/// The kind of file, by fstat(2) under its own number: `std` asks statx(2), and newer glibc
/// newfstatat(2), which who watches system calls may not expect.
pub(super) fn kind(file: &File) -> Result<SFlag, Errno> {
    let mut stat = MaybeUninit::<libc::stat>::zeroed();
    #[cfg(target_pointer_width = "64")]
    // SAFETY: the kernel's structure is libc's where offsets are 64 bits wide anyway.
    let done = unsafe { libc::syscall(libc::SYS_fstat, file.as_raw_fd(), stat.as_mut_ptr()) };
    #[cfg(not(target_pointer_width = "64"))]
    // SAFETY: `stat` has room for what is written there.
    let done = unsafe { libc::fstat(file.as_raw_fd(), stat.as_mut_ptr()) };
    Errno::result(done)?;
    // SAFETY: all zeros is a valid `stat`, and so is what was put in its place.
    let stat = unsafe { stat.assume_init() };
    Ok(SFlag::from_bits_truncate(stat.st_mode & libc::S_IFMT))
}

/// close(2), which may tell of a failed write.
pub(super) fn close(file: Option<File>) -> Result<(), Errno> {
    match nix::unistd::close(OwnedFd::from(file.ok_or(Errno::EBADF)?)) {
        Err(Errno::EINTR) => Ok(()), // Linux has closed it
        closed => closed,
    }
}
