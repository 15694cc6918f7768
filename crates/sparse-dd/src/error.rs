//! What can end a copy, and the exit status that says so.

use blkcore::At;
use nix::sys::signal::Signal;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why there is no (good) copy. Displays as one line.
#[derive(Debug)]
pub(crate) enum Error {
    /// The system refused something.
    System {
        path: PathBuf,
        doing: Option<String>,
        error: io::Error,
    },
    /// What was given cannot be copied so.
    Unfit { path: PathBuf, why: String },
    /// A guard of the destination refused.
    Refused { path: PathBuf, why: String },
    /// The source was written to while it was read.
    Changed { path: PathBuf, why: String },
    /// A signal asked to stop.
    Interrupted(Signal),
    /// Any of them, with a destination that holds a part of the copy.
    Incomplete {
        error: Box<Error>,
        destination: PathBuf,
    },
    /// The self-test found a wrong copy.
    Wrong(String),
}

impl Error {
    /// `NAME: TEXT`.
    pub(crate) fn system(path: &Path, error: io::Error) -> Error {
        Error::System {
            path: path.to_owned(),
            doing: None,
            error,
        }
    }

    /// `NAME: DOING: TEXT`.
    pub(crate) fn doing(path: &Path, doing: &str, error: io::Error) -> Error {
        Error::System {
            path: path.to_owned(),
            doing: Some(doing.to_owned()),
            error,
        }
    }

    /// `NAME: DOING at byte N: TEXT`.
    pub(crate) fn at(path: &Path, doing: &str, at: At) -> Error {
        let doing = Some(format!("{doing} at byte {}", at.offset));
        Error::System {
            path: path.to_owned(),
            doing,
            error: at.error,
        }
    }

    pub(crate) fn unfit(path: &Path, why: impl Into<String>) -> Error {
        Error::Unfit {
            path: path.to_owned(),
            why: why.into(),
        }
    }

    pub(crate) fn refused(path: &Path, why: impl Into<String>) -> Error {
        Error::Refused {
            path: path.to_owned(),
            why: why.into(),
        }
    }

    pub(crate) fn stdout(error: io::Error) -> Error {
        Error::system(Path::new("standard output"), error)
    }

    /// The signal that a shell is to see.
    pub(crate) fn signal(&self) -> Option<Signal> {
        match self {
            Error::Interrupted(signal) => Some(*signal),
            Error::Incomplete { error, .. } => error.signal(),
            _ => None,
        }
    }

    /// As in EXIT STATUS of the man page.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Error::System { .. } | Error::Unfit { .. } | Error::Wrong(_) => 1,
            Error::Changed { .. } => 5,
            Error::Refused { .. } => 7,
            Error::Interrupted(signal) => 128u8.saturating_add(*signal as u8),
            Error::Incomplete { error, .. } => error.exit_code(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::System { path, doing, error } => {
                write!(f, "{}: ", cli::diag::name(path))?;
                if let Some(doing) = doing {
                    write!(f, "{doing}: ")?;
                }
                f.write_str(&cli::diag::system_text(error))
            }
            Error::Unfit { path, why }
            | Error::Refused { path, why }
            | Error::Changed { path, why } => write!(f, "{}: {why}", cli::diag::name(path)),
            Error::Interrupted(signal) => write!(f, "stopped by {signal}"),
            Error::Incomplete { error, destination } => {
                write!(
                    f,
                    "{error} ({} is left incomplete)",
                    cli::diag::name(destination)
                )
            }
            Error::Wrong(what) => f.write_str(what),
        }
    }
}
