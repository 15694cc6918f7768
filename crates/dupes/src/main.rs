//! dupes: lists groups of identical files, proven byte by byte, reading as little as possible.
//!
//! The main path: [`args`] → [`walk`] (all files, as a [`tree`]) → [`candidates`] (sizes that more
//! than one file has) → [`pool`] (threads that compare a [`class`] of files in [`round`]s) →
//! [`groups`] → [`report`]. Called as cmp, it is another program: [`cmp`].

mod args;
mod candidates;
mod class;
mod clones;
mod cmp;
mod distinct;
mod groups;
mod limits;
mod member;
mod names;
mod open;
mod pool;
mod problems;
mod report;
mod round;
mod tree;
mod walk;

use args::{Args, Request};
use cli::progress::Progress;
use std::io;
use std::process::ExitCode;

const TOOL: &str = "dupes";

fn main() -> ExitCode {
    if let Some((program, args)) = cmp::called(std::env::args_os()) {
        return cmp::run(&program, &args);
    }
    limits::widen_descriptors();
    cli::signal::default_sigpipe();
    if let Err(e) = cli::signal::start(TOOL) {
        return fail("signals", &e);
    }
    let done = match args::parse(std::env::args_os().skip(1)) {
        Ok(Request::Find(args)) => find(args),
        Ok(Request::Help) => report::text(args::HELP),
        Ok(Request::Version) => report::text(args::VERSION),
        Err(why) => {
            cli::diag::usage(TOOL, why);
            return ExitCode::from(2);
        }
    };
    done.unwrap_or_else(|e| fail("standard output", &e))
}

fn find(args: Args) -> io::Result<ExitCode> {
    let limits = limits::Limits::new(args.memory);
    let problems = problems::Problems::default();
    let progress = Progress::start(args.progress, "compared", None);
    let mut tree = walk::walk(args.sources, args.nul, &limits, &problems);
    let classes = candidates::select(&mut tree);
    progress.set_total(candidates::bytes(&classes));
    let scan = member::Scan::new(&tree, &limits, &problems, &progress);
    let (mut groups, bytes_read) = pool::compare(&scan, &classes);
    groups.sort(&tree);
    progress.finish();
    let stopped = cli::signal::stop_requested();
    let summary = report::Summary::new(&tree, &classes, bytes_read, &problems, stopped.is_some());
    let printed = report::print(&tree, &groups, args.format, &summary);
    if !args.quiet {
        summary.print();
    }
    if let Some(signal) = stopped {
        cli::signal::die_by(signal);
    }
    printed.map(|()| problems.exit_code())
}

fn fail(subject: &str, error: &io::Error) -> ExitCode {
    let text = cli::diag::system_text(error);
    cli::diag::report(TOOL, format_args!("{subject}: {text}"));
    ExitCode::from(2)
}
