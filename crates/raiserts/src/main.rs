//! raiserts keys a transmitter while a command runs.
//!
//! `session` is the main path; what happens when is decided by `state`, without a system call.

mod args;
mod child;
mod error;
mod session;
mod signals;
mod state;
mod sys;

use crate::args::Request;
use crate::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

const TOOL: &str = "raiserts";

/// The exit status of a failure of raiserts itself.
const FAILED: u8 = 125;

fn main() -> ExitCode {
    let done = match args::parse(std::env::args_os().skip(1)) {
        Ok(Request::Transmit(args)) => session::run(&args),
        Ok(Request::List) => list(),
        Ok(Request::Help) => print(args::HELP),
        Ok(Request::Version) => print(concat!("raiserts ", env!("CARGO_PKG_VERSION"), "\n")),
        Err(message) => {
            cli::diag::usage(TOOL, message);
            return ExitCode::from(FAILED);
        }
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            cli::diag::report(TOOL, &error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// One line a device: its name, its lasting name or `-`, and what it is, with tabs between.
fn list() -> Result<u8, Error> {
    let mut text = String::new();
    for port in ptt::ports()? {
        let by_id = port.by_id.as_deref().unwrap_or(Path::new("-"));
        let [path, by_id] = [&port.path, by_id].map(cli::diag::name);
        let description = cli::diag::name(&port.description);
        text += &format!("{path}\t{by_id}\t{description}\n");
    }
    print(&text)
}

fn print(text: &str) -> Result<u8, Error> {
    let mut out = cli::output::Output::stdout();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.finish());
    match written {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(0), // its reader has seen enough
        written => written.map(|()| 0).map_err(Error::Output),
    }
}
