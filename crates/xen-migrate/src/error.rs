//! How a run ends that does not end well: the exit status and the message.

use crate::step::Trouble;
use std::fmt;

#[derive(Debug)]
pub(crate) enum Error {
    /// The domain runs at the source, as before.
    NotMoved(String),
    /// Standard output cannot be written; the domain is where it was asked to be.
    Output(String),
    /// It has moved, and volumes of the source cannot be removed.
    Behind(String),
    /// All that stands against the plan; nothing if that has been printed.
    Impossible(Vec<String>),
    /// `--recover` is needed, or could not decide.
    Recover(String),
}

impl Error {
    /// The exit status.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Error::NotMoved(_) => 1,
            Error::Output(_) | Error::Behind(_) => 2,
            Error::Impossible(_) => 3,
            Error::Recover(_) => 4,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotMoved(why)
            | Error::Output(why)
            | Error::Behind(why)
            | Error::Recover(why) => out.write_str(why),
            Error::Impossible(all) => out.write_str(&all.join("; ")),
        }
    }
}

/// Before anything was begun, every trouble leaves the domain as it is.
impl From<Trouble> for Error {
    fn from(trouble: Trouble) -> Error {
        Error::NotMoved(trouble.to_string())
    }
}
