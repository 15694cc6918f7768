//! sparse-dd from the outside: what its man page promises, on real files, file systems and loop
//! devices.

#![allow(clippy::unwrap_used)]

#[path = "sparse-dd/base.rs"]
mod base;
#[path = "sparse-dd/changes.rs"]
mod changes;
mod common;
#[path = "sparse-dd/content.rs"]
mod content;
#[path = "sparse-dd/devices.rs"]
mod devices;
#[path = "sparse-dd/disks.rs"]
mod disks;
#[path = "sparse-dd/guards.rs"]
mod guards;
#[path = "sparse-dd/holes.rs"]
mod holes;
#[path = "sparse-dd/report.rs"]
mod report;
#[path = "sparse-dd/signals.rs"]
mod signals;
#[path = "sparse-dd/streams.rs"]
mod streams;
#[path = "sparse-dd/usage.rs"]
mod usage;

use common::image::{Dir, K, M, allocated, assert_equal, injected, poll, transfers};
use common::{
    LoopDevice, Mounted, Ran, can, command, copy_program, golden, must, run, skipped, strace,
};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

fn tool() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sparse-dd"));
    command.env("LC_ALL", "C");
    command
}

impl Dir {
    fn new() -> Dir {
        Dir::empty()
    }

    fn tool(&self) -> Command {
        let mut tool = tool();
        tool.current_dir(self.0.path());
        tool
    }

    /// Runs the tool in the folder.
    fn run(&self, args: &[&str]) -> Ran {
        run(self.tool().args(args))
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// An image with data, zeros that are written, and holes; its last byte is data and its size odd.
fn image(dir: &Dir, name: &str) -> PathBuf {
    let size = 10 * M + 3333;
    dir.file(
        name,
        size,
        &[
            (M, 300 * K, 7),
            (2 * M, 100 * K, 0),
            (5 * M - 100, 200, 9),
            (8 * M, 64 * K, 0),
            (size - 1, 1, 5),
        ],
    )
}

/// Where SEEK_DATA says that data is, through the shell-independent eyes of the kernel.
fn data_of(path: &Path) -> Vec<(u64, u64)> {
    let file = File::open(path).unwrap();
    let list = blkcore::data_extents(&file, file.metadata().unwrap().len()).unwrap();
    list.iter().map(|e| (e.start, e.end)).collect()
}

fn numbers(stderr: &str) -> BTreeMap<String, u64> {
    let pairs = stderr.lines().filter_map(|line| line.split_once(": "));
    pairs
        .filter_map(|(k, v)| Some((k.to_owned(), v.parse().ok()?)))
        .collect()
}

trait SaysNothing {
    fn says_nothing(self);
}

impl SaysNothing for Ran {
    #[track_caller]
    fn says_nothing(self) {
        assert_eq!((self.out().as_str(), self.stderr.as_str()), ("", ""));
    }
}

/// The pids of the children of a process.
fn children(pid: u32) -> Vec<String> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

/// The tool under strace, with a fault or delay at one call on one file.
fn traced(dir: &Dir, fault: &str, on: &Path, args: &[&str]) -> Child {
    let call = fault.split(':').next().unwrap();
    let mut command = command("strace");
    command
        .current_dir(dir.0.path())
        .args(["-f", "-o", "/dev/null", "-P"])
        .arg(on);
    command.args([
        "-e",
        &format!("trace={call}"),
        "-e",
        &format!("inject={fault}"),
    ]);
    command.arg(env!("CARGO_BIN_EXE_sparse-dd")).args(args);
    command.stderr(Stdio::piped()).spawn().unwrap()
}
