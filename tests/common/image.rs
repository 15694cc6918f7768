//! Images of disks in a folder for one test, and looking at what a run made of them.

use super::{Ran, can, command, run, was_traced};
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

pub const K: u64 = 1024;
pub const M: u64 = 1024 * K;

/// A folder for one test. The test files add what their tool needs.
pub struct Dir(pub tempfile::TempDir);

impl Dir {
    /// Beside the build, where holes and loop devices work; /tmp may be anything.
    pub fn empty() -> Dir {
        Dir(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file of `size` bytes, zero but for these runs of a byte.
    pub fn file(&self, name: &str, size: u64, runs: &[(u64, u64, u8)]) -> PathBuf {
        let path = self.path(name);
        let file = File::create(&path).unwrap();
        file.set_len(size).unwrap();
        for (start, len, byte) in runs {
            file.write_all_at(&vec![*byte; *len as usize], *start)
                .unwrap();
        }
        file.sync_all().unwrap();
        path
    }
}

#[track_caller]
pub fn assert_equal(a: &Path, b: &Path) {
    assert_eq!(first_difference(a, b), None, "the first byte that differs");
}

/// Where two files differ first; the end of the shorter one, if that is the beginning of the other.
pub fn first_difference(a: &Path, b: &Path) -> Option<usize> {
    let (a, b) = (fs::read(a).unwrap(), fs::read(b).unwrap());
    let differ = a.iter().zip(&b).position(|(x, y)| x != y);
    differ.or((a.len() != b.len()).then_some(a.len().min(b.len())))
}

/// Bytes that a file takes on its disk.
pub fn allocated(path: &Path) -> u64 {
    File::open(path).unwrap().sync_all().unwrap();
    fs::metadata(path).unwrap().blocks() * 512
}

/// The `(offset, bytes)` of the positioned reads or writes in a log of strace.
pub fn transfers(log: &str, call: &str) -> Vec<(u64, u64)> {
    let lines = log.lines().filter(|line| {
        // A call that another thread interrupted is in two lines; the second one has the numbers.
        line.contains(&format!("{call}(")) || line.contains(&format!("{call} resumed>"))
    });
    let numbers = lines.filter_map(|line| {
        let (arguments, result) = line.rsplit_once(") = ")?;
        let offset = arguments.rsplit(", ").next()?.parse().ok()?;
        Some((offset, result.split(' ').next()?.parse().ok()?))
    });
    numbers.collect()
}

/// Runs `tool` with a fault that strace injects into the calls on one file; `None` (and a line that
/// says so) without strace.
pub fn injected(test: &str, fault: &str, on: &Path, tool: &Command) -> Option<Ran> {
    if !can(test, false, &["strace"]) {
        return None;
    }
    let call = fault.split(':').next().unwrap();
    let mut command = command("strace");
    command.args(["-f", "-o", "/dev/null", "-P"]).arg(on);
    command.args(["-e", &format!("trace={call}")]);
    command.args(["-e", &format!("inject={fault}"), "--"]);
    command.arg(tool.get_program()).args(tool.get_args());
    if let Some(dir) = tool.get_current_dir() {
        command.current_dir(dir);
    }
    Some(run(&mut command)).filter(|ran| was_traced(test, ran))
}

/// Waits until something holds, for a minute.
#[track_caller]
pub fn poll(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "waited for {what} in vain");
        std::thread::yield_now();
    }
}
