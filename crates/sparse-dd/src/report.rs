//! What is said of a copy: progress while it goes on, statistics at its end.

use crate::destination::Destination;
use crate::{Error, Source};
use cli::output::Output;
use cli::progress::{Mode, Progress};
use serde_json::{Map, Value};
use std::io::Write;
use std::time::{Duration, Instant};

/// Counts the bytes that the steps of a plan are done with.
pub(crate) struct Meter {
    started: Instant,
    progress: Progress,
    total: Option<u64>,
    machine: Option<Machine>,
}

/// The lines `Progress: N` of `--machine`: each percentage once, 100 only at the very end.
struct Machine {
    output: Output,
    printed: u64,
}

impl Meter {
    pub(crate) fn start(machine: bool, mode: Mode, total: Option<u64>) -> Result<Meter, Error> {
        let progress = Progress::start(mode, "copied", total);
        let mut meter = Meter {
            started: Instant::now(),
            progress,
            total,
            machine: None,
        };
        if machine {
            let mut lines = Machine {
                output: Output::stdout(),
                printed: 0,
            };
            lines.print(0)?;
            meter.machine = Some(lines);
        }
        Ok(meter)
    }

    /// Adds `n` bytes.
    pub(crate) fn add(&mut self, n: u64) -> Result<(), Error> {
        self.progress.add(n);
        let (Some(machine), Some(total)) = (&mut self.machine, self.total) else {
            return Ok(());
        };
        let done = u128::from(self.progress.done());
        let percent = (done * 100 / u128::from(total.max(1))).min(99) as u64;
        if percent > machine.printed {
            machine.print(percent)
        } else {
            Ok(())
        }
    }

    /// Says that all is done.
    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        self.progress.finish();
        let Some(mut machine) = self.machine.take() else {
            return Ok(());
        };
        machine.print(100)?;
        machine.output.finish().map_err(Error::stdout)
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

impl Machine {
    fn print(&mut self, percent: u64) -> Result<(), Error> {
        self.printed = percent;
        let written = writeln!(self.output, "Progress: {percent}");
        written
            .and_then(|()| self.output.flush())
            .map_err(Error::stdout)
    }
}

/// The lines at the end, on stderr.
pub(crate) fn statistics(elapsed: Duration, source: &Source, destination: &Destination) {
    let counts = destination.counts();
    cli::diag::print(&format!(
        "Time: {:.2} seconds\n\
         Number of writes: {}\n\
         Number of bytes: {}\n\
         Number of bytes read: {}\n\
         Number of bytes made zero: {}\n",
        elapsed.as_secs_f64(),
        counts.writes,
        counts.written,
        source.bytes_read(),
        counts.cleared,
    ));
}

/// The same for scripts, on stdout.
pub(crate) fn json(
    size: u64,
    elapsed: Duration,
    source: &Source,
    destination: &Destination,
) -> Result<(), Error> {
    let counts = destination.counts();
    let mut object = Map::new();
    cli::json::insert_path(&mut object, "source", source.path());
    cli::json::insert_path(&mut object, "destination", destination.path());
    for (key, number) in [
        ("size", size),
        ("bytes_read", source.bytes_read()),
        ("writes", counts.writes),
        ("bytes_written", counts.written),
        ("bytes_cleared", counts.cleared),
    ] {
        object.insert(key.to_owned(), number.into());
    }
    object.insert("seconds".to_owned(), elapsed.as_secs_f64().into());
    // The copy is complete.
    cli::signal::default_sigpipe();
    let mut output = Output::stdout();
    let written = writeln!(output, "{}", Value::Object(object));
    written
        .and_then(|()| output.finish())
        .map_err(Error::stdout)
}
