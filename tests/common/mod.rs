//! What the black-box tests share: running a tool, and saying what had to be skipped.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::print_stderr)]

pub mod image;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// What a run of a program left: its exit status (128 + N for a signal) and its output.
pub struct Ran {
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Ran {
    /// Standard output as text.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Asserts the exit status, showing the output when it is another one.
    #[track_caller]
    pub fn exits(self, code: i32) -> Ran {
        assert_eq!(
            self.code,
            code,
            "stdout: {}\nstderr: {}",
            self.out(),
            self.stderr
        );
        self
    }

    /// Asserts one diagnostic line: exactly `line`.
    #[track_caller]
    pub fn says(self, line: &str) -> Ran {
        assert_eq!(self.stderr, format!("{line}\n"));
        self
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        use std::os::unix::process::ExitStatusExt;
        let status = output.status;
        Ran {
            code: status
                .code()
                .unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Runs a prepared command to its end, with nothing on standard input.
#[track_caller]
pub fn run(command: &mut Command) -> Ran {
    let output = command.stdin(Stdio::null()).output();
    output.unwrap_or_else(|e| panic!("{command:?}: {e}")).into()
}

/// Copies a program. Another process writes the copy: what other tests start at that moment could
/// inherit a file that this one writes, and the copy would be busy (ETXTBSY).
#[track_caller]
pub fn copy_program(from: &str, to: &Path) {
    must("cp", [OsStr::new(from), to.as_os_str()]);
}

/// Runs a program that must succeed and returns its standard output.
#[track_caller]
pub fn must<S: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> String {
    let ran = run(command(program).args(args));
    assert_eq!(ran.code, 0, "{program}: {}", ran.stderr);
    ran.out()
}

/// A system program, found in the folders of root too, speaking the language of the tests.
pub fn command(program: &str) -> Command {
    let mut command = Command::new(find(program).unwrap_or_else(|| program.into()));
    command.env("LC_ALL", "C");
    command
}

/// Where a system program is, if it is installed.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let extra = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let mut folders = std::env::split_paths(&path).chain(extra);
    folders.find_map(|f| Some(f.join(program)).filter(|p| p.is_file()))
}

/// Whether the tests run as root.
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0)
}

/// Says that a test (or a part of it) did not run, and why. The lines are collected in the file
/// that the environment names in BLKUTILS_SKIPS, because passing tests have their output captured.
pub fn skipped(test: &str, why: &str) {
    let line = format!("skipped: {test}: {why}\n");
    eprint!("{line}");
    if let Some(path) = std::env::var_os("BLKUTILS_SKIPS") {
        let file = File::options().append(true).create(true).open(path);
        file.and_then(|mut f| f.write_all(line.as_bytes())).unwrap();
    }
}

/// Whether all programs are installed and, for `root`, the tests run as root; says so if not.
pub fn can(test: &str, root: bool, programs: &[&str]) -> bool {
    if root && !is_root() {
        skipped(test, "needs root");
        return false;
    }
    if let Some(missing) = programs.iter().find(|p| find(p).is_none()) {
        skipped(test, &format!("{missing} is not installed"));
        return false;
    }
    true
}

/// A loop device over a file, detached when dropped.
pub struct LoopDevice(pub PathBuf);

impl LoopDevice {
    /// Attaches `file`; `None` (and a line that says so) where that cannot be done.
    pub fn attach(test: &str, file: &Path) -> Option<LoopDevice> {
        if !can(test, true, &["losetup"]) {
            return None;
        }
        let ran = run(command("losetup").args(["--find", "--show"]).arg(file));
        if ran.code != 0 {
            skipped(test, &format!("losetup: {}", ran.stderr.trim()));
            return None;
        }
        Some(LoopDevice(PathBuf::from(ran.out().trim())))
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        // The read-only flag would outlive the backing file.
        run(command("blockdev").arg("--setrw").arg(&self.0));
        run(command("losetup").arg("--detach").arg(&self.0));
    }
}

/// A file system on a loop device, unmounted when dropped.
pub struct Mounted(pub PathBuf);

impl Mounted {
    /// Makes an image of `size` in `dir`, a file system of `kind` (ext4, xfs, btrfs) in it, and
    /// mounts it at `dir/mnt-KIND`; `None` (and a line that says so) where that cannot be done.
    pub fn make(test: &str, dir: &Path, kind: &str, size: u64) -> Option<Mounted> {
        let mkfs = format!("mkfs.{kind}");
        if !can(test, true, &["mount", "losetup", &mkfs]) {
            return None;
        }
        let image = dir.join(format!("{kind}.img"));
        File::create(&image).unwrap().set_len(size).unwrap();
        must(&mkfs, [OsStr::new("-q"), image.as_os_str()]);
        let point = dir.join(format!("mnt-{kind}"));
        fs::create_dir(&point).unwrap();
        let ran = run(command("mount").args(["-o", "loop"]).args([&image, &point]));
        if ran.code != 0 {
            skipped(test, &format!("mount: {}", ran.stderr.trim()));
            return None;
        }
        Some(Mounted(point))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        run(command("umount").arg(&self.0));
    }
}

/// The system calls of a run as strace prints them, with `-P` paths and a filter of calls.
/// `None` (and a line that says so) without strace.
pub fn strace(
    test: &str,
    calls: &str,
    paths: &[&Path],
    tool: &mut Command,
) -> Option<(Ran, String)> {
    if !can(test, false, &["strace"]) {
        return None;
    }
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = command("strace");
    command
        .args(["-f", "-qq", "-y", "-e", &format!("trace={calls}"), "-o"])
        .arg(log.path());
    for path in paths {
        command.arg("-P").arg(path);
    }
    command
        .arg("--")
        .arg(tool.get_program())
        .args(tool.get_args());
    if let Some(dir) = tool.get_current_dir() {
        command.current_dir(dir);
    }
    let ran = run(&mut command);
    if !was_traced(test, &ran) {
        return None;
    }
    let log = fs::read(log.path()).unwrap();
    Some((ran, joined(&String::from_utf8_lossy(&log))))
}

/// Whether strace was allowed to trace what it ran; says so if not.
fn was_traced(test: &str, ran: &Ran) -> bool {
    let is_forbidden = ran.stderr.contains("ptrace") && ran.stderr.contains("not permitted");
    if is_forbidden {
        skipped(test, "strace is not permitted");
    }
    !is_forbidden
}

/// The lines of strace, with each call that another thread's interrupted put together again, where it
/// ended.
fn joined(log: &str) -> String {
    let mut begun: Vec<(&str, &str)> = Vec::new();
    let mut text = String::new();
    for line in log.lines() {
        let (id, call) = line.split_once(' ').unwrap_or((line, ""));
        if let Some(head) = line.strip_suffix(" <unfinished ...>") {
            begun.retain(|(other, _)| *other != id);
            begun.push((id, head));
            continue;
        }
        let rest = call
            .trim_start()
            .strip_prefix("<... ")
            .and_then(|rest| rest.split_once(" resumed>"));
        let head = begun.iter().position(|(other, _)| *other == id);
        match (rest, head) {
            (Some((_, rest)), Some(at)) => {
                let (_, head) = begun.swap_remove(at);
                text += head;
                text += rest;
            }
            _ => text += line,
        }
        text.push('\n');
    }
    text
}

/// Compares text with `tests/golden/NAME`; with UPDATE=1 in the environment writes it instead.
#[track_caller]
pub fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/golden")
        .join(name);
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let want = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        text, want,
        "tests/golden/{name} differs; UPDATE=1 cargo test rewrites it"
    );
}
