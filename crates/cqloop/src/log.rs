//! `--log`: a line for all that happens, with the time in UTC.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::clock;
use crate::error::Error;

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
        if let Err(error) = file.write_all(line.as_bytes())
            && self.failed.is_none()
        {
            let text = cli::diag::system_text(&error);
            self.failed = Some(Error::failed(cli::diag::name(&self.path).to_string(), text));
        }
    }

    /// Whether all lines have been written.
    pub(crate) fn finish(self) -> Result<(), Error> {
        self.failed.map_or(Ok(()), Err)
    }
}
