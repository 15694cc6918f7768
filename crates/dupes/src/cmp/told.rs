//! Standard output of cmp, and its order with standard error: as that of a C program.
//!
//! There, what was printed waits in a buffer of one block of the file system. A message that a file
//! has ended overtakes what waits; one about trouble lets it go first. On a terminal nothing waits.

use std::io::{self, IsTerminal, Write};

use cli::output::Output;

/// The buffer of a C program.
const C_BUFFER: usize = 4096;
/// Ours; a multiple.
const BUFFER: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Stdout {
    waiting: Vec<u8>,
    output: Output,
    /// A write failed while more was to come.
    failed: bool,
}

impl Stdout {
    pub(super) fn new() -> Stdout {
        Stdout {
            waiting: Vec::new(),
            output: Output::stdout(),
            failed: false,
        }
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() > BUFFER {
            self.write_blocks();
        }
    }

    /// Writes what a C program would not have in its buffer any more.
    pub(super) fn write_blocks(&mut self) {
        let blocks = self.waiting.len().saturating_sub(1) / C_BUFFER * C_BUFFER;
        let len = match io::stdout().is_terminal() {
            true => self.waiting.len(),
            false => blocks,
        };
        if len > 0 {
            self.failed |= self.failed || self.write(len).is_err();
        }
    }

    /// Writes all. Trouble of this is told, if at all, by what follows.
    pub(super) fn write_all(&mut self) {
        let len = self.waiting.len();
        self.failed |= self.failed || self.write(len).is_err();
    }

    fn write(&mut self, len: usize) -> io::Result<()> {
        self.output.write_all(&self.waiting[..len])?;
        self.output.flush()?;
        self.waiting.drain(..len);
        Ok(())
    }

    /// Writes the rest; the error is what to say of it.
    pub(super) fn finish(mut self) -> Result<(), String> {
        self.write_blocks();
        if self.failed {
            return Err("write failed".to_owned());
        }
        let len = self.waiting.len();
        let done = self.write(len).and_then(|()| self.output.finish());
        done.map_err(|e| format!("standard output: {}", cli::diag::system_text(&e)))
    }
}
