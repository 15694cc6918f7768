//! What the user of a session (`--session`) says between its passes, on standard input.

use crate::Error;
use crate::link::Link;
use nix::poll::{PollFd, PollFlags, poll};
use std::io::{self, Read};
use std::os::fd::AsFd;

/// How long (milliseconds) a command is waited for before the next look at the connection.
const INTERVAL: u8 = 100;
/// The longest command.
const LONGEST: usize = 100;

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// One more pass.
    Again,
    /// The end, said or by the end of the input.
    End,
}

/// Waits for a line, and meanwhile for signals and the end of the connection.
pub(crate) fn wait(link: &mut Link) -> Result<Command, Error> {
    let mut line = Vec::new();
    loop {
        link.check_alive()?;
        let stdin = io::stdin();
        let mut polled = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        if poll(&mut polled, INTERVAL) == Ok(0) {
            continue;
        }
        // A byte at a time: what follows the line is for later.
        let mut byte = [0];
        let mut file = &std::fs::File::from(stdin.as_fd().try_clone_to_owned().map_err(failed)?);
        match file.read(&mut byte) {
            Ok(0) if line.is_empty() => return Ok(Command::End),
            Ok(n) => {
                if n > 0 && byte[0] != b'\n' && line.len() < LONGEST {
                    line.push(byte[0]);
                    continue;
                }
                return match line.trim_ascii() {
                    b"again" => Ok(Command::Again),
                    b"end" => Ok(Command::End),
                    other => {
                        let text = String::from_utf8_lossy(other);
                        Err(Error::Usage(format!(
                            "standard input: {text}: neither again nor end"
                        )))
                    }
                };
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(failed(e)),
        }
    }
}

fn failed(error: io::Error) -> Error {
    Error::Usage(format!(
        "standard input: {}",
        cli::diag::system_text(&error)
    ))
}
