//! xen-migrate: moves a running Xen domain with its local disks to another host, with a pause as short
//! as the last changed blocks allow, and never two running copies.
//!
//! The main path: `args` → [`migrate`], which makes a [`plan`] of what the [`survey`] finds at the two
//! hosts (each a [`shell`]) and takes the [`step`]s: disks go by [`passes`] of blocksync, [`memory`] by
//! xl, whose handshake stands still at the [`gate`] of our [`transport`] until the [`journal`]s say
//! whose the domain is. [`recover`] finds the [`owner`] after a crash.

mod args;
mod error;
mod gate;
mod instance;
mod journal;
mod memory;
mod migrate;
mod owner;
mod passes;
mod plan;
mod recover;
mod report;
mod running;
mod shell;
mod step;
mod stream;
mod survey;
mod toolstack;
mod transport;

use args::Request;
use error::Error;
use std::process::ExitCode;

const TOOL: &str = "xen-migrate";

fn main() -> ExitCode {
    let request = match args::parse(std::env::args_os().skip(1)) {
        Ok(request) => request,
        Err(why) => {
            cli::diag::usage(TOOL, why);
            return ExitCode::from(2);
        }
    };
    // A transport belongs to xl, and ends when xl wants it to.
    let signals = match request {
        Request::Transport(..) => Ok(()),
        _ => cli::signal::start(TOOL),
    };
    if let Err(e) = signals {
        cli::diag::report(
            TOOL,
            format_args!("signals: {}", cli::diag::system_text(&e)),
        );
        return ExitCode::from(2);
    }
    let done = match request {
        Request::Migrate(args) => migrate::run(&args),
        Request::Status(args) => recover::status(&args),
        Request::Recover(args) => recover::recover(&args),
        Request::Transport(socket, words) => {
            transport::run(&socket, &words).map_err(Error::NotMoved)
        }
        Request::Help => report::print(args::HELP),
        Request::Version => report::print(concat!("xen-migrate ", env!("CARGO_PKG_VERSION"), "\n")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = error.to_string();
            if !text.is_empty() {
                cli::diag::report(TOOL, text);
            }
            ExitCode::from(error.status())
        }
    }
}
