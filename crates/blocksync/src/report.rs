//! What is said at the end.

use crate::Error;
use crate::args::{Args, Place};
use crate::client::Outcome;
use cli::output::Output;
use serde_json::{Map, Value};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

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
            ("bytes_sent", outcome.sent),
            ("bytes_received", outcome.received),
        ] {
            object.insert(key.to_owned(), number.into());
        }
        object.insert("seconds".to_owned(), elapsed.as_secs_f64().into());
        format!("{}\n", Value::Object(object))
    } else {
        format!(
            "same: {}, diff: {}, {segments}/{segments}\n",
            counts.same, counts.different
        )
    };
    let mut output = Output::stdout();
    let written = output
        .write_all(text.as_bytes())
        .and_then(|()| output.finish());
    written.map_err(|e| Error::usage(Path::new("standard output"), &e))
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
