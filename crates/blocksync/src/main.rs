//! blocksync: makes a block device or image equal to another one, here or over ssh, moving only what
//! differs.
//!
//! The main path: `args` → [`client`] (or [`server`] at the other side) → [`handshake`] → [`session`],
//! which feeds the machine of its side, [`source`] or [`sink`], with what [`segments`] reads of the
//! [`object`] and what the [`link`] brings. PROTOCOL.md says what goes over the wire.

mod again;
mod args;
mod client;
mod control;
#[cfg(test)]
mod dialogue;
mod encoding;
mod error;
mod frame;
mod handshake;
mod layout;
mod link;
mod message;
mod object;
mod pairing;
mod ranges;
mod remote;
mod repair;
mod report;
mod segments;
mod server;
mod session;
mod sink;
mod source;
mod state;

use args::{Args, Request};
use cli::progress::Mode;
use error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const TOOL: &str = "blocksync";

fn main() -> ExitCode {
    if let Err(e) = cli::signal::start(TOOL) {
        cli::diag::report(
            TOOL,
            format_args!("signals: {}", cli::diag::system_text(&e)),
        );
        return ExitCode::from(2);
    }
    let done = match args::parse(std::env::args_os().skip(1)) {
        Ok(Request::Sync(args)) => sync(*args),
        Ok(Request::Serve(args)) => {
            let served = server::run(&args);
            let status = served.as_ref().err().map_or(0, Error::status);
            served.err().iter().for_each(server::report);
            return ExitCode::from(status);
        }
        Ok(Request::Help) => print(args::HELP),
        Ok(Request::Version) => print(concat!("blocksync ", env!("CARGO_PKG_VERSION"), "\n")),
        Err(why) => {
            cli::diag::usage(TOOL, why);
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            cli::diag::report(TOOL, &error);
            ExitCode::from(error.status())
        }
    }
}

fn sync(mut args: Args) -> Result<ExitCode, Error> {
    let started = Instant::now();
    let mut mode = std::mem::replace(&mut args.progress, Mode::Off);
    let mut state = client::state(&args)?;
    let mut pass = |outcome: &_| report::result(&args, outcome, started.elapsed());
    let mut next = || {
        let next = another(&mode);
        std::mem::replace(&mut mode, next)
    };
    let mut outcome = client::run(&args, next(), state.as_mut(), &mut pass);
    for attempt in 0..args.retry {
        let why = match &outcome {
            Err(Error::Connection(why)) => why,
            // The server of the connection before may not have heard that it broke.
            Err(Error::Remote { status: 7, text }) if attempt > 0 => text,
            _ => break,
        };
        cli::diag::report(TOOL, format_args!("{why}; connecting again"));
        wait(Duration::from_secs(1 << attempt.min(5)))?;
        outcome = client::run(&args, next(), state.as_mut(), &mut pass);
    }
    let outcome = outcome?;
    report::changed_since(&outcome);
    if !args.session {
        pass(&outcome)?;
    }
    let differ = args.check && outcome.counts.different > 0;
    Ok(ExitCode::from(u8::from(differ)))
}

/// The same, for one more attempt.
fn another(mode: &Mode) -> Mode {
    match mode {
        Mode::Auto => Mode::Auto,
        Mode::Always => Mode::Always,
        Mode::Fd(fd) => fd.try_clone().map_or(Mode::Off, Mode::Fd),
        Mode::Off => Mode::Off,
    }
}

/// Lets time pass, unless a signal asks to stop.
fn wait(time: Duration) -> Result<(), Error> {
    let until = Instant::now() + time;
    while Instant::now() < until {
        if let Some(signal) = cli::signal::stop_requested() {
            return Err(Error::Interrupted(signal));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn print(text: &str) -> Result<ExitCode, Error> {
    report::print(text).map(|()| ExitCode::SUCCESS)
}
