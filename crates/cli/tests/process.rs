//! What only a whole process can show: signals, SIGPIPE, a closed stdout, a progress line on a terminal.
//!
//! This program tests itself: started with `CLI_ROLE` it behaves as a small tool would, otherwise
//! it starts itself in each role and looks at what comes out. libtest cannot do that, since it has
//! threads before the signals are blocked. The first argument selects checks by part of the name.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::exit)]

#[path = "process/output.rs"]
mod output;
#[path = "process/roles.rs"]
mod roles;
#[path = "process/signals.rs"]
mod signals;
#[path = "process/terminal.rs"]
mod terminal;

use cli::output::Output;
use cli::progress::{Mode, Progress};
use cli::{diag, progress, signal};
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::panic::catch_unwind;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The name of a check, and the check.
type Check = (&'static str, fn());

const CHECKS: [&[Check]; 3] = [signals::CHECKS, output::CHECKS, terminal::CHECKS];

fn main() {
    if let Ok(role) = std::env::var("CLI_ROLE") {
        std::process::exit(roles::play(&role));
    }
    let first = std::env::args().nth(1).unwrap_or_default();
    let checks = CHECKS.concat();
    if first == "--list" {
        checks.iter().for_each(|(name, _)| println!("{name}: test"));
        return;
    }
    let filter = if first.starts_with('-') { "" } else { &first };
    let (chosen, others): (Vec<_>, Vec<_>) =
        checks.iter().partition(|(name, _)| name.contains(filter));
    println!("\nrunning {} tests", chosen.len());
    let started = Instant::now();
    let mut failed = 0;
    for (name, check) in &chosen {
        let good = catch_unwind(check).is_ok();
        println!("test {name} ... {}", if good { "ok" } else { "FAILED" });
        failed += usize::from(!good);
    }
    println!(
        "\ntest result: {}. {} passed; {failed} failed; 0 ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
        if failed == 0 { "ok" } else { "FAILED" },
        chosen.len() - failed,
        others.len(),
        started.elapsed().as_secs_f64()
    );
    std::process::exit(if failed == 0 { 0 } else { 101 });
}

/// No role lasts longer, whatever goes wrong.
const LIMIT: Duration = Duration::from_secs(20);

fn role(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env("CLI_ROLE", name).env("TERM", "xterm");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The role, started by a shell line in which `"$0"` is this program.
fn role_in_shell(name: &str, line: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(line)
        .arg(std::env::current_exe().unwrap());
    command.env("CLI_ROLE", name).env("TERM", "xterm");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn died(status: ExitStatus, signal: Signal) {
    assert_eq!(status.signal(), Some(signal as i32), "{status}");
}

/// Exit code, stdout, stderr.
fn outcome(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}
