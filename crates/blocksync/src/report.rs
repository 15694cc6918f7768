//! What is said meanwhile and at the end.

use crate::Error;
use crate::args::{Args, Place};
use crate::client::Outcome;
use crate::layout::Layout;
use crate::source::Counts;
use cli::output::Output;
use cli::progress::{Mode, Progress};
use serde_json::{Map, Value};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Progress: on a terminal the line that the original had, `same: N, diff: N, N/N`.
#[derive(Debug)]
pub(crate) struct Live {
    progress: Progress,
    tally: Arc<Tally>,
}

#[derive(Debug, Default)]
struct Tally {
    same: AtomicU64,
    different: AtomicU64,
    all: AtomicU64,
}

impl Live {
    pub(crate) fn start(mode: Mode) -> Live {
        let tally = Arc::new(Tally::default());
        let shown = Arc::clone(&tally);
        let count = move || {
            let [same, different, all] =
                [&shown.same, &shown.different, &shown.all].map(|n| n.load(Relaxed));
            line(Counts { same, different }, same + different, all)
        };
        Live {
            progress: Progress::start_counted(mode, "compared", None, count),
            tally,
        }
    }

    /// Takes what is to be compared.
    pub(crate) fn set_layout(&self, layout: &Layout) {
        self.tally.all.store(layout.count(), Relaxed);
        self.progress.set_total(layout.total());
    }

    /// Takes how far it is: bytes, and the segments that were compared.
    pub(crate) fn set(&self, bytes: u64, counts: Counts) {
        self.tally.same.store(counts.same, Relaxed);
        self.tally.different.store(counts.different, Relaxed);
        self.progress.set(bytes);
    }

    pub(crate) fn finish(&self) {
        self.progress.finish();
    }
}

fn line(counts: Counts, done: u64, all: u64) -> String {
    let Counts { same, different } = counts;
    format!("same: {same}, diff: {different}, {done}/{all}")
}

/// Says that what a state knew was not so any more.
pub(crate) fn changed_since(outcome: &Outcome) {
    let (before, since) = (outcome.finished_before, outcome.changed_since);
    if since > 0 {
        let what = format!("{since} of {before} segments that were finished before differ again");
        cli::diag::report(crate::TOOL, what);
    }
}

/// Prints the line that the original ended with, or JSON.
pub(crate) fn result(args: &Args, outcome: &Outcome, elapsed: Duration) -> Result<(), Error> {
    if args.quiet && !args.json {
        return Ok(());
    }
    let counts = outcome.counts;
    let segments = outcome.layout.count();
    let text = if args.json {
        let mut object = Map::new();
        for (key, place) in [("source", &args.source), ("destination", &args.destination)] {
            insert_place(&mut object, key, place);
        }
        for (key, number) in [
            ("size", outcome.layout.size()),
            ("segment", outcome.layout.segment()),
            ("segments", segments),
            ("same", counts.same),
            ("different", counts.different),
            ("finished_before", outcome.finished_before),
            ("changed_since", outcome.changed_since),
            ("bytes_sent", outcome.sent),
            ("bytes_received", outcome.received),
        ] {
            object.insert(key.to_owned(), number.into());
        }
        object.insert("seconds".to_owned(), elapsed.as_secs_f64().into());
        format!("{}\n", Value::Object(object))
    } else {
        format!("{}\n", line(counts, segments, segments))
    };
    print(&text)
}

/// Prints to standard output. The work is done by then: nothing is lost if nobody reads it.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    let mut output = Output::stdout();
    let written = output
        .write_all(text.as_bytes())
        .and_then(|()| output.finish());
    written.map_err(|e| {
        if e.kind() == io::ErrorKind::BrokenPipe {
            cli::signal::end_by_sigpipe();
        }
        Error::usage(Path::new("standard output"), &e)
    })
}

fn insert_place(object: &mut Map<String, Value>, key: &str, place: &Place) {
    match place {
        Place::Local(path) => cli::json::insert_path(object, key, path),
        Place::Remote(remote) => {
            let mut name = remote.host.clone();
            name.push(":");
            name.push(remote.path.as_deref().unwrap_or(Path::new("")));
            cli::json::insert_path(object, key, Path::new(&name));
        }
    }
}
