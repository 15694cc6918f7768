//! Black-box tests of dupes: what `man/dupes.1` promises.

#![allow(clippy::unwrap_used)]

#[path = "dupes/changes.rs"]
mod changes;
mod common;
#[path = "dupes/extents.rs"]
mod extents;
#[path = "dupes/faults.rs"]
mod faults;
#[path = "dupes/groups.rs"]
mod groups;
#[path = "dupes/limits.rs"]
mod limits;
#[path = "dupes/names.rs"]
mod names;
#[path = "dupes/reads.rs"]
mod reads;
#[path = "dupes/report.rs"]
mod report;
#[path = "dupes/signals.rs"]
mod signals;
#[path = "dupes/usage.rs"]
mod usage;
#[path = "dupes/walk.rs"]
mod walk;

use common::image::injected;
use common::{Mounted, Ran, can, command, copy_program, find, golden, must, run, skipped, strace};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const DUPES: &str = env!("CARGO_BIN_EXE_dupes");

/// A folder to search.
struct Tree(TempDir);

impl Tree {
    fn new() -> Tree {
        Tree(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    fn dir(&self, name: &str) {
        fs::create_dir_all(self.path(name)).unwrap();
    }

    fn write(&self, name: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// The tool with arguments, in the folder.
    fn dupes<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(DUPES);
        command.current_dir(self.0.path()).args(args);
        command
    }

    fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ran {
        run(&mut self.dupes(args))
    }

    /// Runs a line of shell in the folder, `dupes` being the tool.
    fn shell(&self, line: &str) -> Ran {
        let bin = Path::new(DUPES).parent().unwrap();
        let path = format!(
            "{}:{}",
            bin.display(),
            std::env::var("PATH").unwrap_or_default()
        );
        let mut sh = command("sh");
        sh.current_dir(self.0.path())
            .env("PATH", path)
            .args(["-c", line]);
        run(&mut sh)
    }
}

/// Bytes that look random: the same for a seed.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes()
    };
    (0..len.div_ceil(8))
        .flat_map(|_| next())
        .take(len)
        .collect()
}

/// The groups of plain lines.
fn lines(ran: &Ran) -> Vec<Vec<String>> {
    let text = ran.out();
    let groups = text.split("\n\n").filter(|g| !g.is_empty());
    groups
        .map(|g| g.lines().map(String::from).collect())
        .collect()
}

fn bytes_read(ran: &Ran) -> u64 {
    let line = ran
        .stderr
        .lines()
        .find_map(|l| l.strip_prefix("bytes read "));
    line.unwrap_or_else(|| panic!("no bytes in {:?}", ran.stderr))
        .parse()
        .unwrap()
}

/// Polls until `done` gives something.
#[track_caller]
fn until<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

/// Runs the tool under strace, which fakes a result of a system call on a file.
fn inject(t: &Tree, file: &str, fault: &str, args: &[&str]) -> Option<Ran> {
    injected("inject", fault, &t.path(file), &t.dupes(args))
}
