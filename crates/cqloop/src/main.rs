//! cqloop: plays a recording over and over to a radio, and keys the transmitter while it plays.
//!
//! The main path: `args` → [`run`] → [`recording`] (what is in the file) → [`card`] (what the card takes) →
//! [`message`] (what it gets, with the tone) → [`key`] → [`player`] (by [`schedule`]).

mod args;
mod card;
mod clock;
mod error;
mod key;
mod list;
mod log;
mod message;
mod player;
mod ready;
mod recording;
mod resample;
mod run;
mod schedule;
mod signals;
mod status;
mod terminal;
mod timeline;

use args::Request;
use error::Error;
use std::io::Write;
use std::process::ExitCode;

const TOOL: &str = "cqloop";

fn main() -> ExitCode {
    let done = match args::parse(std::env::args_os().skip(1)) {
        Ok(Request::Play(args)) => run::run(&args),
        Ok(Request::List) => list::run(),
        Ok(Request::Help) => print(args::HELP),
        Ok(Request::Version) => print(concat!("cqloop ", env!("CARGO_PKG_VERSION"), "\n")),
        Err(why) => {
            cli::diag::usage(TOOL, why);
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(signal) = error.signal() {
                cli::signal::die_by(signal);
            }
            cli::diag::report(TOOL, &error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn print(text: &str) -> Result<(), Error> {
    let mut out = cli::output::Output::stdout();
    out.write_all(text.as_bytes())
        .and_then(|()| out.finish())
        .map_err(Error::stdout)
}
