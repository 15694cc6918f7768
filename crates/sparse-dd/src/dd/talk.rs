//! Standard error: messages that begin with the name dd was called by, statistics, and the progress
//! line. A failed write is remembered, since GNU dd fails by it.

use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use std::ffi::OsString;

struct Talk {
    name: Vec<u8>,
    /// Characters of the progress line; 0 where there is none.
    progress: usize,
    failed: bool,
}

static TALK: Mutex<Talk> = Mutex::new(Talk {
    name: Vec::new(),
    progress: 0,
    failed: false,
});

fn talk() -> MutexGuard<'static, Talk> {
    TALK.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Talk {
    fn write(&mut self, bytes: &[u8]) {
        if cli::diag::stderr_was_closed() || io::stderr().write_all(bytes).is_err() {
            self.failed = true;
        }
    }

    fn end_progress(&mut self, lines: &mut Vec<u8>) {
        if self.progress > 0 {
            lines.push(b'\n');
            self.progress = 0;
        }
    }
}

/// Sets the name that messages begin with: `argv[0]`, as it is.
pub(super) fn start(name: Option<&OsString>) {
    talk().name = name.map_or(b"dd".to_vec(), |name| name.as_bytes().to_vec());
}

/// The name that was set, for a help text.
pub(super) fn name() -> String {
    String::from_utf8_lossy(&talk().name).into_owned()
}

/// Prints `NAME: MESSAGE`.
pub(super) fn diagnose(message: &str) {
    let mut talk = talk();
    let mut line = Vec::new();
    talk.end_progress(&mut line);
    line.extend_from_slice(&talk.name);
    line.extend_from_slice(b": ");
    line.extend_from_slice(message.as_bytes());
    line.push(b'\n');
    talk.write(&line);
}

/// `MESSAGE: TEXT OF THE ERROR`.
pub(super) fn diagnose_errno(error: nix::errno::Errno, message: &str) {
    diagnose(&format!("{message}: {}", text(error)));
}

/// What the system says of an error.
pub(super) fn text(error: nix::errno::Errno) -> String {
    cli::diag::system_text(&error.into())
}

/// Prints whole lines.
pub(super) fn say(lines: &[u8]) {
    let mut talk = talk();
    let mut all = Vec::new();
    talk.end_progress(&mut all);
    all.extend_from_slice(lines);
    talk.write(&all);
}

/// Prints as it is, also behind a progress line.
pub(super) fn append(text: &str) {
    talk().write(text.as_bytes());
}

/// Prints the progress line over the one before.
pub(super) fn progress(line: &str) {
    let mut talk = talk();
    let text = format!("\r{line:<width$}", width = talk.progress);
    talk.progress = line.chars().count();
    talk.write(text.as_bytes());
}

/// Whether anything could not be printed.
pub(super) fn has_failed() -> bool {
    talk().failed
}
