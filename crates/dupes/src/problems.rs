//! What could not be read: told at once, counted for the exit status.

use crate::TOOL;
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fmt::Display;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[derive(Debug, Default)]
pub(crate) struct Problems {
    count: AtomicU64,
    /// Operands and lists that led to something.
    useful: AtomicU64,
}

/// Why a file or folder is not in the result.
#[derive(Debug)]
pub(crate) enum Problem {
    System(io::Error),
    Other(&'static str),
}

impl From<Errno> for Problem {
    fn from(error: Errno) -> Problem {
        Problem::System(error.into())
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Problem {
        Problem::System(error)
    }
}

impl Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Problem::System(error) => f.write_str(&cli::diag::system_text(error)),
            Problem::Other(text) => f.write_str(text),
        }
    }
}

impl Problems {
    /// Reports that `path` could not be read.
    pub(crate) fn failed(&self, path: &[u8], problem: &Problem) {
        self.count.fetch_add(1, Relaxed);
        let path = OsStr::from_bytes(path);
        cli::diag::report(TOOL, format_args!("{}: {problem}", cli::diag::name(path)));
    }

    /// Reports that a list of names could not be read.
    pub(crate) fn failed_list(&self, list: &OsStr, error: io::Error) {
        self.failed(list.as_bytes(), &Problem::System(error));
    }

    /// Notes that an operand could be used.
    pub(crate) fn was_useful(&self) {
        self.useful.fetch_add(1, Relaxed);
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }

    /// 0 if all went well, 2 if no operand could be used, 1 for anything between.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match (self.count(), self.useful.load(Relaxed)) {
            (0, _) => ExitCode::SUCCESS,
            (_, 0) => ExitCode::from(2),
            _ => ExitCode::from(1),
        }
    }
}
