//! sparse-dd: copies disks and images, reading only what is allocated and writing only what is
//! needed.
//!
//! The main path: `args` → [`job`] → [`source`] (what is allocated) and [`destination`] (what it may hold, and
//! the guards) → [`plan`] (what to do with which range) → [`copy`] (doing it) → [`report`].
//!
//! By the name dd, or with dd's operands, it is [`dd`] instead.

mod args;
mod copy;
mod dd;
mod destination;
mod error;
mod job;
mod new_file;
mod plan;
mod report;
mod selftest;
mod source;

use args::Request;
use error::Error;
use source::Source;
use std::io::Write;
use std::process::ExitCode;

const TOOL: &str = "sparse-dd";

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    if dd::is_wanted(&words) {
        return dd::run(words);
    }
    if let Err(e) = cli::signal::start(TOOL) {
        cli::diag::report(
            TOOL,
            format_args!("signals: {}", cli::diag::system_text(&e)),
        );
        return ExitCode::from(1);
    }
    let done = match args::parse(words.into_iter().skip(1)) {
        Ok(Request::Copy(args)) => job::run(args),
        Ok(Request::Test) => selftest::run(),
        Ok(Request::Help) => print(args::HELP),
        Ok(Request::Version) => print(concat!("sparse-dd ", env!("CARGO_PKG_VERSION"), "\n")),
        Err(why) => {
            cli::diag::usage(TOOL, why);
            return ExitCode::from(1);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cli::diag::report(TOOL, &error);
            if let Some(signal) = error.signal() {
                cli::signal::die_by(signal);
            }
            ExitCode::from(error.exit_code())
        }
    }
}

fn print(text: &str) -> Result<(), Error> {
    cli::signal::default_sigpipe();
    let mut out = cli::output::Output::stdout();
    out.write_all(text.as_bytes())
        .and_then(|()| out.finish())
        .map_err(Error::stdout)
}
