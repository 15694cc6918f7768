//! What the operator sees: the two lines of the original script, byte for byte.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use crate::clock;
use crate::error::Error;
use crate::ready;

/// `Started at: DATE`, and below it one line that is written over.
#[derive(Debug)]
pub(crate) struct Status {
    delay: String,
    started: Duration,
    is_terminal: bool,
}

impl Status {
    /// Prints the first line.
    pub(crate) fn start(delay: &str) -> Result<Status, Error> {
        put(&format!("Started at: {}\n", clock::date()))?;
        Ok(Status {
            delay: delay.to_owned(),
            started: clock::now(),
            is_terminal: io::stdout().is_terminal(),
        })
    }

    /// The transmitter is on, or it is off.
    pub(crate) fn show(&self, is_on: bool) -> Result<(), Error> {
        let minutes = (clock::now().saturating_sub(self.started)).as_secs() / 60;
        let state = if is_on { "TRANSMIT" } else { "off         " };
        put(&format!("\r{minutes}m/{}s: {state}", self.delay))
    }

    /// Leaves the line to the shell's next prompt. Elsewhere not a byte is added.
    pub(crate) fn end(&self) {
        if self.is_terminal {
            let _ = put("\n"); // the run is over either way
        }
    }
}

/// What nobody reads now is left out: the line is written over anyway.
fn put(text: &str) -> Result<(), Error> {
    if !ready::to_write(io::stdout()) {
        return Ok(());
    }
    let mut out = cli::output::Output::stdout();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Error::stdout)
}
