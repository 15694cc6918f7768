//! blocksync from the outside: what its man page promises, on real files, devices and connections.
//!
//! Most tests reach "the other host" through a script that drops the name of the host and runs the
//! command line: that is the real program at both ends, with pipes in between. Where the bytes on the
//! way matter, the script hands them to the test by two named pipes, and the test starts the server.

#![allow(clippy::unwrap_used)]

mod common;
#[path = "blocksync/content.rs"]
mod content;
#[path = "blocksync/devices.rs"]
mod devices;
#[path = "blocksync/disks.rs"]
mod disks;
#[path = "blocksync/guards.rs"]
mod guards;
#[path = "blocksync/hostile.rs"]
mod hostile;
#[path = "blocksync/kills.rs"]
mod kills;
#[path = "blocksync/names.rs"]
mod names;
#[path = "blocksync/passes.rs"]
mod passes;
#[path = "blocksync/proxy.rs"]
mod proxy;
#[path = "blocksync/report.rs"]
mod report;
#[path = "blocksync/resume.rs"]
mod resume;
#[path = "blocksync/server.rs"]
mod server;
#[path = "blocksync/signals.rs"]
mod signals;
#[path = "blocksync/sizes.rs"]
mod sizes;
#[path = "blocksync/ssh.rs"]
mod ssh;
#[path = "blocksync/stream.rs"]
mod stream;
#[path = "blocksync/usage.rs"]
mod usage;

use common::image::{
    Dir, K, M, allocated, assert_equal, first_difference, injected, poll, transfers,
};
use common::{
    LoopDevice, Mounted, Ran, can, command, copy_program, find, golden, is_root, must, run,
    skipped, strace,
};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_blocksync");
/// What a peer sends first.
const PREAMBLE: &[u8] = b"\0blksync";
const MEMORY: u64 = 96 * M;

fn tool() -> Command {
    let mut command = Command::new(BINARY);
    command.env("LC_ALL", "C");
    command
}

impl Dir {
    fn new() -> Dir {
        let dir = Dir::empty();
        dir.script("rsh", "shift\nexec sh -c \"$*\"\n");
        dir
    }

    fn script(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn bytes(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    /// The tool in the folder, reaching other hosts by the script `rsh` of the folder.
    fn tool(&self) -> Command {
        self.tool_by("rsh")
    }

    /// The tool in the folder, reaching other hosts by a script of the folder.
    fn tool_by(&self, script: &str) -> Command {
        let mut tool = tool();
        tool.current_dir(self.0.path())
            .arg(format!("--rsh=sh {}", self.path(script).display()))
            .arg(format!("--remote-command={BINARY}"));
        tool
    }

    fn run(&self, args: &[&str]) -> Ran {
        run(self.tool().args(args))
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }
}

trait Says {
    fn says_nothing(self) -> Self;
    fn prints(self, line: &str) -> Self;
}

impl Says for Ran {
    #[track_caller]
    fn says_nothing(self) -> Ran {
        assert_eq!((self.out().as_str(), self.stderr.as_str()), ("", ""));
        self
    }

    /// Asserts the whole of standard output, and that nothing went wrong.
    #[track_caller]
    fn prints(self, line: &str) -> Ran {
        let ran = self.exits(0);
        assert_eq!((ran.out(), ran.stderr.as_str()), (format!("{line}\n"), ""));
        ran
    }
}

/// Numbers that look random and are the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn bytes(&mut self, len: u64) -> Vec<u8> {
        let words = (0..len.div_ceil(8)).flat_map(|_| self.next().to_le_bytes());
        let mut bytes: Vec<u8> = words.collect();
        bytes.truncate(len as usize);
        bytes
    }
}

/// A source and a destination of `size` bytes that have segments of each kind: the same, changed in
/// a page, changed all over, zero at one side, zero at both.
fn pair(dir: &Dir, size: u64) -> (PathBuf, PathBuf) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (source, destination) = (dir.path("source"), dir.path("destination"));
    let (from, to) = (
        File::create(&source).unwrap(),
        File::create(&destination).unwrap(),
    );
    for file in [&from, &to] {
        file.set_len(size).unwrap();
    }
    for (number, at) in (0..size).step_by(64 << 10).enumerate() {
        let len = (64 * K).min(size - at);
        let bytes = random.bytes(len);
        let mut changed = bytes.clone();
        match number % 7 {
            0 => {}
            1 => changed[len as usize / 2] ^= 1,
            2 => changed = vec![3; len as usize],
            3 => changed.fill(0),
            4 | 5 => changed.iter_mut().step_by(5000).for_each(|b| *b ^= 0x80),
            _ => continue,
        }
        let (one, other) = if number % 2 == 0 {
            (&from, &to)
        } else {
            (&to, &from)
        };
        one.write_all_at(&bytes, at).unwrap();
        other.write_all_at(&changed, at).unwrap();
    }
    (source, destination)
}

fn edit(path: &Path, at: u64, bytes: &[u8]) {
    let file = File::options().write(true).open(path).unwrap();
    file.write_all_at(bytes, at).unwrap();
}

fn send(signal: &str, pid: u32) {
    must("kill", [format!("-{signal}"), pid.to_string()]);
}

fn is_alive(pid: u32) -> bool {
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = state.rsplit_once(") ").map(|(_, rest)| rest.to_owned());
    state.is_some_and(|state| !state.starts_with(['Z', 'X']))
}

fn json(ran: &Ran) -> serde_json::Value {
    assert_eq!(ran.out().lines().count(), 1);
    serde_json::from_slice(&ran.stdout).unwrap()
}

/// How a source at the first name comes to a destination at the second one.
const WAYS: [(&str, [&str; 2]); 3] = [
    ("push", ["source", "host:destination"]),
    ("pull", ["host:source", "destination"]),
    ("local", ["source", "./destination"]),
];

fn spawn(tool: &mut Command) -> Child {
    let tool = tool.stdin(Stdio::null()).stdout(Stdio::piped());
    tool.stderr(Stdio::piped()).spawn().unwrap()
}

#[track_caller]
fn poll_long(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(300);
    while !done() {
        assert!(Instant::now() < deadline, "waited for {what} in vain");
        std::thread::yield_now();
    }
}

/// How often a test of random faults tries: BLKUTILS_ROUNDS in the environment, or `usual`.
fn rounds(usual: u64) -> u64 {
    let asked = std::env::var("BLKUTILS_ROUNDS").ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(usual)
}

/// How many bytes a process has written.
fn written(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("wchar: "));
    line.and_then(|n| n.parse().ok()).unwrap_or(0)
}
