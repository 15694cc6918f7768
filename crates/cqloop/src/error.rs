//! What can keep a recording from being played, and the exit status that says so.

use nix::sys::signal::Signal;
use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Why it ended. Displays as one line.
#[derive(Debug)]
pub(crate) enum Error {
    /// The system refused something.
    System {
        subject: String,
        doing: Option<&'static str>,
        error: io::Error,
    },
    /// What was given cannot be played so. Nothing has been keyed.
    Unfit { subject: String, why: String },
    /// It went wrong while it played.
    Failed { subject: String, why: String },
    /// There is no key to be had. Nothing has been keyed.
    NoKey(ptt::Error),
    /// The key failed while it was in use.
    Key(ptt::Error),
    /// The transmitter was keyed for so long.
    TimedOut(Duration),
    /// A signal asked to stop.
    Interrupted(Signal),
}

impl Error {
    /// `NAME: TEXT`.
    pub(crate) fn system(path: &Path, error: io::Error) -> Error {
        Error::System {
            subject: cli::diag::name(path).to_string(),
            doing: None,
            error,
        }
    }

    /// `NAME: DOING: TEXT`.
    pub(crate) fn doing(subject: &str, doing: &'static str, error: io::Error) -> Error {
        Error::System {
            subject: subject.to_owned(),
            doing: Some(doing),
            error,
        }
    }

    pub(crate) fn unfit(path: &Path, why: impl Into<String>) -> Error {
        Error::Unfit {
            subject: cli::diag::name(path).to_string(),
            why: why.into(),
        }
    }

    pub(crate) fn too_long(path: &Path, limit: f64) -> Error {
        Error::unfit(
            path,
            format!("lasts longer than the {limit} s that the time-out leaves for it (--timeout)"),
        )
    }

    pub(crate) fn failed(subject: impl Into<String>, why: impl Into<String>) -> Error {
        Error::Failed {
            subject: subject.into(),
            why: why.into(),
        }
    }

    /// Standard output cannot be written to. That its reader has gone needs no words.
    pub(crate) fn stdout(error: io::Error) -> Error {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Error::Interrupted(Signal::SIGPIPE);
        }
        Error::failed("standard output", cli::diag::system_text(&error))
    }

    /// The signal that a shell is to see.
    pub(crate) fn signal(&self) -> Option<Signal> {
        match self {
            Error::Interrupted(signal) => Some(*signal),
            _ => None,
        }
    }

    /// As in EXIT STATUS of the man page.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Error::Failed { .. } | Error::Key(_) => 1,
            Error::System { .. } | Error::Unfit { .. } | Error::NoKey(_) => 2,
            Error::TimedOut(_) => 124,
            Error::Interrupted(signal) => 128u8.saturating_add(*signal as u8),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::System {
                subject,
                doing,
                error,
            } => {
                write!(f, "{subject}: ")?;
                if let Some(doing) = doing {
                    write!(f, "{doing}: ")?;
                }
                f.write_str(&cli::diag::system_text(error))
            }
            Error::Unfit { subject, why } | Error::Failed { subject, why } => {
                write!(f, "{subject}: {why}")
            }
            Error::NoKey(error) | Error::Key(error) => error.fmt(f),
            Error::TimedOut(time) => {
                let time = time.as_secs_f64();
                write!(f, "keyed for {time} s: released by the time-out")
            }
            Error::Interrupted(signal) => write!(f, "stopped by {signal}"),
        }
    }
}
