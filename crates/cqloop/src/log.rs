//! `--log`: a line for all that happens, with the time in UTC.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::clock;
use crate::error::Error;
use crate::ready;

/// A log, or none.
#[derive(Debug)]
pub(crate) struct Log {
    file: Option<File>,
    path: PathBuf,
    /// Why a line is missing; the first one that is.
    failed: Option<Error>,
}

impl Log {
    /// Opens `path` for appending.
    pub(crate) fn open(path: Option<&Path>) -> Result<Log, Error> {
        let file = path.map(|path| {
            let opened = File::options().append(true).create(true).open(path);
            opened.map_err(|e| Error::system(path, e))
        });
        Ok(Log {
            file: file.transpose()?,
            path: path.unwrap_or(Path::new("")).to_owned(),
            failed: None,
        })
    }

    /// Adds a line. A failure does not end the run: [`finish`](Log::finish) tells of it.
    pub(crate) fn say(&mut self, what: impl std::fmt::Display) {
        let Some(file) = &mut self.file else { return };
        let line = format!("{} {what}\n", clock::stamp());
        let why = match ready::to_write(&*file) {
            true => match file.write_all(line.as_bytes()) {
                Ok(()) => return,
                Err(error) => cli::diag::system_text(&error),
            },
            false => "lines are missing, since nobody reads it".to_owned(),
        };
        let name = cli::diag::name(&self.path).to_string();
        self.failed.get_or_insert(Error::failed(name, why));
    }

    /// Whether all lines have been written.
    pub(crate) fn finish(self) -> Result<(), Error> {
        self.failed.map_or(Ok(()), Err)
    }
}
