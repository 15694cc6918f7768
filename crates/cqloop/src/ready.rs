//! Whether a descriptor would keep us waiting. Nothing but the card may: signals are read from a
//! descriptor, so a write that waits for a reader could be ended by SIGKILL alone.

use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// There is something to read, or the other end has gone.
pub(crate) fn to_read(fd: impl AsFd) -> bool {
    is(&fd, PollFlags::POLLIN)
}

/// A line can be written, or that fails at once.
pub(crate) fn to_write(fd: impl AsFd) -> bool {
    is(&fd, PollFlags::POLLOUT)
}

fn is(fd: &impl AsFd, what: PollFlags) -> bool {
    let mut fds = [PollFd::new(fd.as_fd(), what)];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|count| count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn a_pipe() {
        let (mut reader, mut writer) = std::io::pipe().unwrap();
        assert!(!to_read(&reader) && to_write(&writer));
        while to_write(&writer) {
            writer.write_all(&[0; 4096]).unwrap();
        }
        assert!(to_read(&reader));
        reader.read_exact(&mut [0; 4096]).unwrap();
        assert!(to_write(&writer));
        drop(reader);
        assert!(to_write(&writer)); // it fails at once
    }
}
