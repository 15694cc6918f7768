//! Checked stdin.

use crate::process;
use nix::errno::Errno;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// A descriptor of its own for stdin.
///
/// # Errors
/// EBADF when stdin was closed at the start of the process; std has put `/dev/null` in its place.
pub fn descriptor() -> io::Result<OwnedFd> {
    if process::stdin_was_closed() {
        return Err(Errno::EBADF.into());
    }
    io::stdin().as_fd().try_clone_to_owned()
}
