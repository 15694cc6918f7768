//! Checked, buffered stdout.
//!
//! std's own stdout takes EBADF for success and is flushed at exit with the result thrown away;
//! here every write counts, and `main` asks for the last one with [`Output::finish`].

use nix::errno::Errno;
use std::io::{self, BufWriter, Write};
use std::os::fd::{AsFd, OwnedFd};

use crate::process;

const BUFFER: usize = 64 * 1024;

/// A descriptor of its own for stdout, for tools that write more than text to it.
///
/// # Errors
/// EBADF when stdout was closed at the start of the process; std has put `/dev/null` in its place.
pub fn descriptor() -> io::Result<OwnedFd> {
    if process::stdout_was_closed() {
        return Err(Errno::EBADF.into());
    }
    io::stdout().as_fd().try_clone_to_owned()
}

/// Stdout. Make one, and write all of stdout through it.
///
/// Unlike std's it is fully buffered on a terminal too: finish a progress line before the first
/// write, or the two may meet. A write to a stdout that was closed when the process started
/// (`>&-`) fails with EBADF; one that has nothing written to it does no harm.
#[derive(Debug)]
pub struct Output {
    writer: BufWriter<Descriptor>,
}

impl Output {
    /// Nothing is written or checked yet.
    pub fn stdout() -> Output {
        let descriptor = Descriptor {
            closed: process::stdout_was_closed(),
            written: false,
        };
        Output {
            writer: BufWriter::with_capacity(BUFFER, descriptor),
        }
    }

    /// Writes what is still buffered, and asks the file system for errors that it tells only at
    /// close (NFS, quotas). Dropping an `Output` flushes it too, but nobody hears how that went.
    pub fn finish(mut self) -> io::Result<()> {
        let flushed = self.writer.flush();
        // Taken apart so that dropping it does not try the failed write again.
        let (descriptor, _) = self.writer.into_parts();
        flushed?;
        if descriptor.written {
            close_copy(io::stdout())
        } else {
            Ok(())
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Closes a copy of a descriptor: closing any of an open file makes the file system flush it, and tell
/// errors that it tells only then.
///
/// # Errors
/// What close(2) says, but for EINTR: on Linux it is closed by then.
pub fn close_copy(file: impl AsFd) -> io::Result<()> {
    let Ok(copy) = file.as_fd().try_clone_to_owned() else {
        return Ok(()); // out of descriptors: nothing wrong with the data
    };
    match nix::unistd::close(copy) {
        Ok(()) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[derive(Debug)]
struct Descriptor {
    closed: bool,
    written: bool,
}

impl Write for Descriptor {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.closed {
            return Err(Errno::EBADF.into());
        }
        let len = nix::unistd::write(io::stdout(), bytes)?;
        self.written = true;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
