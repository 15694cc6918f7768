//! Why raiserts itself failed, and the exit status that says so.

use crate::FAILED;
use std::ffi::OsString;
use std::fmt;
use std::io;

/// Displays as one line, without the name of the tool.
#[derive(Debug)]
pub(crate) enum Error {
    /// The device.
    Ptt(ptt::Error),
    /// The command cannot be run.
    Command {
        program: OsString,
        error: io::Error,
        code: u8,
    },
    /// Something of the system that does not usually fail.
    System {
        doing: &'static str,
        error: io::Error,
    },
    /// Standard output cannot be written to.
    Output(io::Error),
}

impl Error {
    pub(crate) fn system(doing: &'static str, error: impl Into<io::Error>) -> Error {
        Error::System {
            doing,
            error: error.into(),
        }
    }

    /// As in EXIT STATUS of the man page.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Error::Command { code, .. } => *code,
            _ => FAILED,
        }
    }
}

impl From<ptt::Error> for Error {
    fn from(error: ptt::Error) -> Error {
        Error::Ptt(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = cli::diag::system_text;
        match self {
            Error::Ptt(error) => error.fmt(f),
            Error::Command { program, error, .. } => {
                write!(f, "{}: {}", cli::diag::name(program), text(error))
            }
            Error::System { doing, error } => write!(f, "{doing}: {}", text(error)),
            Error::Output(error) => write!(f, "standard output: {}", text(error)),
        }
    }
}
