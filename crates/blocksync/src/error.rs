//! What can end a run, and the exit status that says so.

use nix::sys::signal::Signal;
use std::fmt;
use std::io;
use std::path::Path;

/// Why the destination is not known to be equal. Displays as one line.
#[derive(Clone, Debug)]
pub(crate) enum Error {
    /// Nothing could be done: a size that does not fit, an object that is not one.
    Usage(String),
    /// No connection, or no handshake.
    Connection(String),
    /// The peer broke the protocol, or its bytes were damaged.
    Protocol(String),
    /// The source cannot be read.
    Source(String),
    /// The destination cannot be read or written.
    Destination(String),
    /// A guard refused.
    Refused(String),
    /// What was written is not what was sent.
    Verify(String),
    /// A signal asked to stop.
    Interrupted(Signal),
    /// The other side failed, and said so.
    Remote { status: u8, text: String },
}

impl Error {
    pub(crate) fn protocol(text: impl Into<String>) -> Error {
        Error::Protocol(format!("protocol: {}", text.into()))
    }

    /// A stream to the peer that fails.
    pub(crate) fn lost(error: &io::Error) -> Error {
        Error::Connection(format!(
            "the connection broke: {}",
            cli::diag::system_text(error)
        ))
    }

    pub(crate) fn usage(path: &Path, error: &io::Error) -> Error {
        Error::Usage(text(path, error))
    }

    pub(crate) fn destination(path: &Path, error: &io::Error) -> Error {
        Error::Destination(text(path, error))
    }

    /// The error that a status stands for.
    pub(crate) fn of_status(status: u8, text: String) -> Error {
        match status {
            2 => Error::Usage(text),
            3 => Error::Connection(text),
            4 => Error::Protocol(text),
            5 => Error::Source(text),
            6 => Error::Destination(text),
            7 => Error::Refused(text),
            8 => Error::Verify(text),
            status => Error::Remote { status, text },
        }
    }

    /// As in EXIT STATUS of the man page.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Error::Usage(_) => 2,
            Error::Connection(_) => 3,
            Error::Protocol(_) => 4,
            Error::Source(_) => 5,
            Error::Destination(_) => 6,
            Error::Refused(_) => 7,
            Error::Verify(_) => 8,
            Error::Interrupted(_) => 9,
            // Never 0 or 1: those say that all was compared.
            Error::Remote { status, .. } => {
                if *status < 2 {
                    4
                } else {
                    *status
                }
            }
        }
    }
}

fn text(path: &Path, error: &io::Error) -> String {
    format!(
        "{}: {}",
        cli::diag::name(path),
        cli::diag::system_text(error)
    )
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Usage(text)
            | Error::Connection(text)
            | Error::Protocol(text)
            | Error::Source(text)
            | Error::Destination(text)
            | Error::Refused(text)
            | Error::Verify(text) => f.write_str(text),
            Error::Interrupted(signal) => write!(f, "stopped by {signal}"),
            Error::Remote { text, .. } => write!(f, "the other side: {text}"),
        }
    }
}
