//! Why a transmitter cannot be keyed, or not surely be released.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Displays as one line, `DEVICE: WHAT`, without the name of the tool.
#[derive(Debug)]
pub enum Error {
    /// The system refused something.
    System {
        /// The device, or a file of its lock.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What it said.
        error: io::Error,
    },
    /// The device cannot key a transmitter, or not safely.
    Unfit {
        /// The device.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Another program has the device.
    Busy {
        /// The device.
        path: PathBuf,
        /// Its process number, where the lock tells it.
        holder: Option<u32>,
    },
    /// The device is gone: unplugged, or hung up. Nothing is keyed by it any more.
    Gone {
        /// The device.
        path: PathBuf,
    },
    /// The guardian process has ended or hangs, so that nobody would release the transmitter.
    Unguarded {
        /// The device.
        path: PathBuf,
    },
}

impl Error {
    pub(crate) fn system(path: &Path, doing: &'static str, error: impl Into<io::Error>) -> Error {
        Error::System {
            path: path.to_owned(),
            doing,
            error: error.into(),
        }
    }

    pub(crate) fn unfit(path: &Path, why: impl Into<String>) -> Error {
        Error::Unfit {
            path: path.to_owned(),
            why: why.into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Error::System { path, .. }
        | Error::Unfit { path, .. }
        | Error::Busy { path, .. }
        | Error::Gone { path }
        | Error::Unguarded { path }) = self;
        write!(f, "{}: ", cli::diag::name(path))?;
        match self {
            Error::System { doing, error, .. } => {
                write!(f, "{doing}: {}", cli::diag::system_text(error))
            }
            Error::Unfit { why, .. } => f.write_str(why),
            Error::Busy {
                holder: Some(process),
                ..
            } => write!(f, "in use by process {process}"),
            Error::Busy { .. } => f.write_str("in use by another program"),
            Error::Gone { .. } => f.write_str("the device is gone"),
            Error::Unguarded { .. } => f.write_str("the guardian process has ended or hangs"),
        }
    }
}

impl std::error::Error for Error {}
