//! What developers and packagers run: `cargo xtask COMMAND`.
//!
//! One file a command. Each command is a function that takes the words after its name; what it
//! returns becomes the exit status. Text for people goes to stdout, trouble to stderr.

#![allow(clippy::print_stdout, clippy::print_stderr)] // A developer's tool: it may panic on a closed pipe.

mod agreement;
mod bench;
mod bench_blkcore;
mod bench_blocksync;
mod bench_dupes;
mod bench_sparse_dd;
mod bench_unzip_cjk;
mod check;
mod completions;
mod delay;
mod demo;
mod demo_blocksync;
mod demo_cqloop;
mod demo_dupes;
mod demo_raiserts;
mod demo_sparse_dd;
mod demo_unzip_cjk;
mod demo_xen_migrate;
mod differential;
mod differential_cmp;
mod differential_dd;
mod gnu_cmp;
mod gnu_dd;
mod install;
mod lab;
mod lab_radio;
mod lab_timeline;
mod lexer;
mod licences;
mod measure;
mod model;
mod model_score;
mod model_sources;
mod model_train;
mod network;
mod options;
mod setup;
mod test;
mod workspace;
mod zip_suites;

/// What `model` measures, out of the tool itself.
#[allow(dead_code)] // The tool uses the rest of it.
#[path = "../../crates/unzip-cjk/src"]
mod unzip_cjk {
    pub(crate) mod names;
}

use std::ffi::OsString;
use std::process::ExitCode;

/// Trouble ends a command with one line that is ready to print.
type Result<T = ()> = std::result::Result<T, String>;

/// What a command does with the words after its name.
type Run = fn(&[OsString]) -> Result;

/// One command: its name, its operands, what it does in one line, and the function.
pub(crate) struct Command {
    pub(crate) name: &'static str,
    operands: &'static str,
    summary: &'static str,
    run: Run,
}

/// The dispatch table, in the order in which a newcomer meets the commands.
pub(crate) const COMMANDS: &[Command] = &[
    Command {
        name: "setup",
        operands: "[--build | --lab]",
        summary: "install the system packages that building and testing need",
        run: setup::run,
    },
    Command {
        name: "demo",
        operands: "[TOOL]...",
        summary: "build the tools and show each at work on real input",
        run: demo::run,
    },
    Command {
        name: "test",
        operands: "[ARG]...",
        summary: "run every test; ARGs go to cargo test",
        run: test::run,
    },
    Command {
        name: "check",
        operands: "",
        summary: "formatting, lints, options, manual pages, licences, documents",
        run: check::run,
    },
    Command {
        name: "install",
        operands: "[--prefix=DIR] [--destdir=DIR] | --drop-in[=DIR]",
        summary: "install binaries, manual pages and completions",
        run: install::run,
    },
    Command {
        name: "model",
        operands: "[--dir=DIR] [--score[=WORDS]]",
        summary: "make the name model of unzip-cjk from word lists, or measure it",
        run: model::run,
    },
    Command {
        name: "bench",
        operands: "[--runs=N] [--cold] [--dir=DIR] [--write] [CRATE]...",
        summary: "measure the tools side by side with installed peers",
        run: bench::run,
    },
    Command {
        name: "gnu-dd",
        operands: "TREE [TEST]...",
        summary: "run the tests of coreutils for dd, from an unpacked release",
        run: gnu_dd::run,
    },
    Command {
        name: "gnu-cmp",
        operands: "TREE",
        summary: "run the test of a diffutils release for cmp with our cmp",
        run: gnu_cmp::run,
    },
    Command {
        name: "differential",
        operands: "[--count=N] [--seed=N] [--peer=PATH] cmp|dd",
        summary: "run random commands with a drop-in and with the system's own",
        run: differential::run,
    },
    Command {
        name: "lab",
        operands: "xen|radio [ARG]... [SCENARIO]...",
        summary: "try the tools on real machines in emulation",
        run: lab::run,
    },
    Command {
        name: "zip-suites",
        operands: "DIR...",
        summary: "compare unzip-cjk with unzip on trees of real archives",
        run: zip_suites::run,
    },
];

/// What `bench` starts in its network namespaces. Not for people.
const HIDDEN: &[(&str, Run)] = &[("bench-delay", delay::run), ("bench-serve", network::serve)];

fn usage() -> String {
    let mut text = String::from("Usage: cargo xtask COMMAND [ARG]...\n\nCommands:\n");
    for command in COMMANDS {
        let call = format!("{} {}", command.name, command.operands);
        text += &format!("  {}\n          {}\n", call.trim_end(), command.summary);
    }
    text
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let Some((name, rest)) = arguments.split_first() else {
        print!("{}", usage());
        return ExitCode::SUCCESS;
    };
    let name = name.to_string_lossy();
    if matches!(&*name, "-h" | "--help" | "help") {
        print!("{}", usage());
        return ExitCode::SUCCESS;
    }
    let shown = COMMANDS.iter().map(|command| (command.name, command.run));
    let mut all = shown.chain(HIDDEN.iter().copied());
    let Some((_, run)) = all.find(|(known, _)| *known == name) else {
        eprint!("xtask: {name}: no such command\n\n{}", usage());
        return ExitCode::from(2);
    };
    match run(rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask {name}: {message}");
            ExitCode::FAILURE
        }
    }
}
