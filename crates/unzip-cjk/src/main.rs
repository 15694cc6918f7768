//! unzip-cjk: extracts ZIP archives with the right names.
//!
//! The main path: [`args`] → [`session`] (each archive) → [`archive`] and [`directory`] (what it
//! holds) → [`naming`] and [`names`] (in which characters) → [`list`], [`zipinfo`], or [`extract`] →
//! [`plan`] (entry by entry) → [`job`] and [`decode`] (in threads) → [`report`] (in order).

mod archive;
mod args;
mod ask;
mod attributes;
mod clock;
mod cover;
mod decode;
mod deferred;
mod directory;
mod existing;
mod extra;
mod extract;
mod guess;
mod job;
mod list;
mod local;
mod locate;
mod method;
mod names;
mod naming;
mod output;
mod password;
mod path;
mod pattern;
mod place;
mod plan;
mod pool;
mod report;
mod say;
mod select;
mod session;
mod stamp;
mod status;
mod target;
mod text;
mod unicode_path;
mod zipinfo;
mod zipinfo_args;
mod zipinfo_extra;
mod zipinfo_long;

use args::{Options, Request, Wrong};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;

const TOOL: &str = "unzip-cjk";

fn main() -> ExitCode {
    if let Err(e) = cli::signal::start(TOOL) {
        let why = cli::diag::system_text(&e);
        cli::diag::report(TOOL, format_args!("signals: {why}"));
        return ExitCode::from(status::ERROR);
    }
    let mut words = std::env::args_os();
    let called = words.next().unwrap_or_default();
    let called = Path::new(&called).file_name().unwrap_or_default();
    let as_zipinfo = called.as_bytes().starts_with(b"zipinfo");
    let status = match args::parse(words, as_zipinfo, |name| std::env::var_os(name)) {
        Ok(Request::Run(options)) => run(&options),
        Ok(Request::Help) => print(args::HELP),
        Ok(Request::Version) => print(args::VERSION),
        Err(Wrong::Said(words)) => {
            cli::diag::print(&words);
            status::USAGE
        }
        Err(Wrong::Usage(why)) => {
            cli::diag::usage(TOOL, why);
            status::USAGE
        }
    };
    ExitCode::from(status)
}

fn run(options: &Options) -> status::Status {
    // A reader that goes away ends it at once, unless there are files that would stay incomplete.
    if !options.extracts() {
        cli::signal::default_sigpipe();
    }
    // -t of zipinfo prints totals, and sends errors to stdout just as well.
    let totals = options.zipinfo.is_some_and(|listing| listing.totals);
    let mut say = say::Say::new(options.test || totals, options.more);
    let status = session::Session::new(options, &mut say).run();
    written(say, status)
}

fn print(text: &str) -> status::Status {
    cli::signal::default_sigpipe();
    let mut say = say::Say::new(false, false);
    say.out(text);
    written(say, status::OK)
}

/// The status, unless not all could be printed.
fn written(say: say::Say, status: status::Status) -> status::Status {
    match say.finish() {
        Ok(()) => status,
        Err(e) => {
            if e.kind() == std::io::ErrorKind::BrokenPipe {
                cli::signal::end_by_sigpipe();
            }
            let why = cli::diag::system_text(&e);
            cli::diag::report(TOOL, format_args!("standard output: {why}"));
            status.max(status::DISK)
        }
    }
}
