//! blocksync from the outside: what its man page promises, on real files, devices and connections.
//!
//! Most tests reach "the other host" through a script that drops the name of the host and runs the
//! command line: that is the real program at both ends, with pipes in between. Where the bytes on the
//! way matter, the script hands them to the test by two named pipes, and the test starts the server.

#![allow(clippy::unwrap_used)]

mod common;

use common::{
    LoopDevice, Mounted, Ran, can, command, find, golden, is_root, must, run, skipped, strace,
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

const K: u64 = 1024;
const M: u64 = 1024 * K;
const BINARY: &str = env!("CARGO_BIN_EXE_blocksync");
/// What a peer sends first.
const PREAMBLE: &[u8] = b"\0blksync";
const MEMORY: u64 = 96 * M;

fn tool() -> Command {
    let mut command = Command::new(BINARY);
    command.env("LC_ALL", "C");
    command
}

/// A folder for one test, with short-hands for the files in it.
struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Dir {
        // Beside the build, where holes and loop devices work; /tmp may be anything.
        let dir = Dir(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap());
        dir.script("rsh", "shift\nexec sh -c \"$*\"\n");
        dir
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn script(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// A file of `size` bytes, zero but for these runs of a byte.
    fn file(&self, name: &str, size: u64, runs: &[(u64, u64, u8)]) -> PathBuf {
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

#[track_caller]
fn assert_equal(a: &Path, b: &Path) {
    assert_eq!(first_difference(a, b), None, "the first byte that differs");
}

fn first_difference(a: &Path, b: &Path) -> Option<usize> {
    let (a, b) = (fs::read(a).unwrap(), fs::read(b).unwrap());
    let differ = a.iter().zip(&b).position(|(x, y)| x != y);
    differ.or((a.len() != b.len()).then_some(a.len().min(b.len())))
}

fn allocated(path: &Path) -> u64 {
    File::open(path).unwrap().sync_all().unwrap();
    fs::metadata(path).unwrap().blocks() * 512
}

/// The `(offset, bytes)` of the positioned reads or writes in a strace log.
fn transfers(log: &str, call: &str) -> Vec<(u64, u64)> {
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

fn edit(path: &Path, at: u64, bytes: &[u8]) {
    let file = File::options().write(true).open(path).unwrap();
    file.write_all_at(bytes, at).unwrap();
}

#[track_caller]
fn poll(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "waited for {what} in vain");
        std::thread::yield_now();
    }
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

// The command line.

#[test]
fn help_and_version() {
    let help = run(tool().arg("--help")).exits(0);
    golden("blocksync/help.txt", &help.out());
    assert_eq!(help.stderr, "");
    assert_eq!(run(tool().arg("-h")).exits(0).out(), help.out());
    let version = format!("blocksync {}", env!("CARGO_PKG_VERSION"));
    run(tool().args(["--version", "--nonsense"])).prints(&version);
    run(tool().arg("-V")).prints(&version);
}

#[test]
fn usage_errors() {
    let dir = Dir::new();
    let hint = "\nTry 'blocksync --help' for more information.";
    for (args, why) in [
        (&[] as &[&str], "no source given"),
        (&["a"], "no destination given"),
        (&["a", "b", "c"], "c: one operand too many"),
        (&["h:a", "g:b"], "one of the two must be at this host"),
        (&["h:", "b"], "h:: no path given"),
        (&["a", ":b"], ":b: not a host"),
        (&["--", "-x:a", "b"], "-x:a: not a host"),
        (&["--nonsense"], "invalid option '--nonsense'"),
        (&["a", "b", "-b"], "missing argument for option '-b'"),
        (
            &["a", "b", "-b", "32K"],
            "--block-size 32K: not a power of two from 64K to 16M",
        ),
        (
            &["a", "b", "--block-size=3M"],
            "--block-size 3M: not a power of two from 64K to 16M",
        ),
        (&["a", "b", "-b", "many"], "'many': not a size"),
        (&["a", "b", "--hash=md5"], "--hash md5: unknown"),
        (&["a", "b", "--size=any"], "--size any: unknown"),
        (
            &["a", "b", "--timeout=0"],
            "--timeout 0: not a number of seconds",
        ),
        (
            &["a", "b", "--timeout", "x"],
            "--timeout x: not a number of seconds",
        ),
        (
            &["a", "b", "--progress=77"],
            "--progress: '77': not open for writing",
        ),
        (
            &["a", "b", "--write-only"],
            "--only, --read-only, --write-only and --max-size are for the server",
        ),
    ] {
        let ran = run(tool().current_dir(dir.0.path()).args(args)).exits(2);
        ran.says(&format!("blocksync: {why}{hint}"));
    }
}

#[test]
fn what_cannot_be_opened() {
    let dir = Dir::new();
    dir.file("disk", M, &[]);
    symlink("nowhere", dir.path("dangling")).unwrap();
    let noent = "No such file or directory";
    for (source, destination, why) in [
        ("missing", "./disk", format!("missing: {noent}")),
        ("disk", "./missing", format!("./missing: {noent}")),
        ("disk", "./dangling", format!("./dangling: {noent}")),
        ("missing", "h:disk", format!("missing: {noent}")),
        (
            "disk",
            "h:missing",
            format!("the other side: missing: {noent}"),
        ),
        (
            "h:missing",
            "disk",
            format!("the other side: missing: {noent}"),
        ),
        (
            "disk",
            "/dev/null",
            "/dev/null: neither a file nor a block device".to_owned(),
        ),
        (
            "disk",
            "/dev/full",
            "/dev/full: neither a file nor a block device".to_owned(),
        ),
        (
            ".",
            "./disk",
            ".: neither a file nor a block device".to_owned(),
        ),
        ("new\nline", "./disk", format!("new\\nline: {noent}")),
        (
            "disk",
            "h:new\nline",
            format!("the other side: new\\nline: {noent}"),
        ),
    ] {
        dir.run(&[source, destination])
            .exits(2)
            .says(&format!("blocksync: {why}"));
    }
}

#[test]
fn what_may_not_be_opened() {
    let test = "what_may_not_be_opened";
    if !can(test, true, &["setpriv"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let binary = dir.path().join("blocksync");
    fs::copy(BINARY, &binary).unwrap();
    for (name, mode) in [("secret", 0o000), ("open", 0o644)] {
        fs::write(dir.path().join(name), "x").unwrap();
        fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    for args in [["secret", "./open"], ["open", "./secret"]] {
        let mut command = command("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&binary)
            .args(args);
        let ran = run(command.current_dir(dir.path())).exits(2);
        assert!(
            ran.stderr.ends_with("secret: Permission denied\n"),
            "{}",
            ran.stderr
        );
    }
}

// What it is for.

/// How a source at the first name comes to a destination at the second one.
const WAYS: [(&str, [&str; 2]); 3] = [
    ("push", ["source", "host:destination"]),
    ("pull", ["host:source", "destination"]),
    ("local", ["source", "./destination"]),
];

#[test]
fn push_pull_and_local_make_the_same() {
    for (way, names) in WAYS {
        for hash in ["blake3", "sha256"] {
            let dir = Dir::new();
            let (source, destination) = pair(&dir, 5 * M + 12345);
            let inode = fs::metadata(&destination).unwrap().ino();
            let before = fs::read(&source).unwrap();
            let args = ["-b", "64K", "--hash", hash, names[0], names[1]];
            // 81 segments in turns of seven: two of each turn are the same.
            dir.run(&args).prints("same: 23, diff: 58, 81/81");
            assert_equal(&source, &destination);
            assert!(fs::read(&source).unwrap() == before, "{way}: the source");
            assert_eq!(fs::metadata(&destination).unwrap().ino(), inode, "in place");
            dir.run(&args).prints("same: 81, diff: 0, 81/81");
        }
    }
}

#[test]
fn the_short_form_means_the_same_path_there() {
    let dir = Dir::new();
    let (source, destination) = pair(&dir, M);
    // The "other host" is another root folder, so to say: there the path is another file.
    let inner = dir.path("there");
    fs::create_dir(&inner).unwrap();
    fs::rename(&destination, inner.join("source")).unwrap();
    dir.script(
        "rsh",
        &format!(
            "echo \"$*\" >'{}'\nshift\ncd there\nexec sh -c \"$*\"\n",
            dir.path("said").display()
        ),
    );
    for host in ["host", "host:", "user@host"] {
        edit(&inner.join("source"), 5000, b"?");
        dir.run(&["source", host]).prints("same: 0, diff: 1, 1/1");
        assert_equal(&source, &inner.join("source"));
        let said = format!(
            "{} {BINARY} server 'source' -b 1048576\n",
            host.trim_end_matches(':')
        );
        assert_eq!(dir.text("said"), said);
    }
    // And for a pull.
    edit(&source, 7000, b"?");
    dir.run(&["-b", "128K", "host:source"]).exits(0);
    assert_equal(&source, &inner.join("source"));
    assert!(dir.text("said").ends_with("server 'source' -b 131072\n"));
}

#[test]
fn odd_sizes() {
    let sizes = [
        0,
        1,
        511,
        512,
        4095,
        4096,
        4097,
        65535,
        65537,
        M - 1,
        M,
        M + 1,
    ];
    for (_, names) in WAYS {
        let dir = Dir::new();
        for size in sizes {
            for content in [None, Some(7)] {
                let runs = content.map(|byte| (0, size, byte));
                let runs = runs.as_slice();
                let source = dir.file("source", size, runs);
                for old in [0, 0xee] {
                    let destination = dir.file("destination", size, &[(0, size, old)]);
                    let ran = dir.run(&["-b64K", names[0], names[1]]).exits(0);
                    assert_equal(&source, &destination);
                    let n = size.div_ceil(64 * K);
                    assert!(
                        ran.out().ends_with(&format!(", {n}/{n}\n")),
                        "{}",
                        ran.out()
                    );
                    dir.run(&["-b64K", names[0], names[1]])
                        .prints(&format!("same: {n}, diff: 0, {n}/{n}"));
                }
                // One byte at the very end.
                if size > 0 {
                    let destination = dir.file("destination", size, runs);
                    edit(&destination, size - 1, &[1]);
                    dir.run(&["-b64K", "-n", names[0], names[1]]).exits(1);
                    dir.run(&["-b64K", names[0], names[1]]).exits(0);
                    assert_equal(&source, &destination);
                }
            }
        }
    }
}

#[test]
fn a_page_of_zeros_but_for_its_last_byte() {
    let dir = Dir::new();
    let size = 64 * K;
    for base in [0, 9] {
        for page in 0..16 {
            let at = page * 4096 + 4095;
            // At the source.
            let source = dir.file(
                "source",
                size,
                &[(0, size, base), (page * 4096, 4095, 0), (at, 1, 1)],
            );
            let destination = dir.file(
                "destination",
                size,
                &[(0, size, base), (page * 4096, 4096, 0)],
            );
            dir.run(&["-b64K", "source", "./destination"])
                .prints("same: 0, diff: 1, 1/1");
            assert_equal(&source, &destination);
            // At the destination.
            let source = dir.file("source", size, &[(0, size, base), (page * 4096, 4096, 0)]);
            dir.run(&["-b64K", "source", "./destination"])
                .prints("same: 0, diff: 1, 1/1");
            assert_equal(&source, &destination);
        }
    }
}

#[test]
fn only_changed_pages_are_written() {
    let dir = Dir::new();
    let mut random = Random(77);
    let bytes = random.bytes(4 * M);
    let source = dir.bytes("source", &bytes);
    let destination = dir.bytes("destination", &bytes);
    edit(&source, M + 5000, &[1, 2, 3]);
    edit(&source, 3 * M - 1, &[!bytes[3 * M as usize - 1]]);
    let mut tool = dir.tool();
    tool.args(["source", "./destination"]);
    let test = "only_changed_pages_are_written";
    let Some((ran, log)) = strace(test, "all", &[&destination], &mut tool) else {
        return;
    };
    ran.prints("same: 2, diff: 2, 4/4");
    assert_equal(&source, &destination);
    let mut writes = transfers(&log, "pwrite64");
    writes.sort_unstable();
    assert_eq!(writes, [(M + 4096, 4096), (3 * M - 4096, 4096)], "{log}");
    assert!(
        !log.contains("fallocate(") && log.contains("fdatasync("),
        "{log}"
    );
}

#[test]
fn a_second_run_and_a_check_write_nothing() {
    let test = "a_second_run_and_a_check_write_nothing";
    for (_, names) in WAYS {
        let dir = Dir::new();
        let (source, destination) = pair(&dir, 3 * M);
        let before = fs::read(&destination).unwrap();
        let calls = |args: &[&str], status: i32| {
            let mut tool = dir.tool();
            tool.args(args).args(names);
            let traced = strace(test, "all", &[&destination], &mut tool);
            traced.map(|(ran, log)| (ran.exits(status), log))
        };
        let writes = [
            "pwrite64(",
            "fallocate(",
            "ftruncate(",
            " write(",
            "O_WRONLY",
            "O_RDWR",
        ];
        let Some((checked, log)) = calls(&["-n"], 1) else {
            return;
        };
        assert_eq!(checked.out(), "same: 0, diff: 3, 3/3\n");
        assert!(!writes.iter().any(|call| log.contains(call)), "{log}");
        assert!(fs::read(&destination).unwrap() == before);
        calls(&[], 0).unwrap();
        assert_equal(&source, &destination);
        let (second, log) = calls(&[], 0).unwrap();
        assert_eq!(second.out(), "same: 3, diff: 0, 3/3\n");
        assert!(!writes[..4].iter().any(|call| log.contains(call)), "{log}");
        let (checked, log) = calls(&["--dry-run"], 0).unwrap();
        assert_eq!(checked.out(), "same: 3, diff: 0, 3/3\n");
        assert!(!writes.iter().any(|call| log.contains(call)), "{log}");
    }
}

#[test]
fn holes_are_not_read_and_zeros_become_holes() {
    let test = "holes_are_not_read_and_zeros_become_holes";
    let dir = Dir::new();
    let source = dir.file("source", 32 * M, &[(5 * M, 8 * K, 1), (20 * M, 64 * K, 2)]);
    let destination = dir.file(
        "destination",
        32 * M,
        &[(9 * M, 300 * K, 3), (20 * M, 64 * K, 2)],
    );
    let mut tool = dir.tool();
    tool.args(["-b", "64K", "source", "./destination"]);
    let paths = [source.as_path(), &destination];
    let Some((ran, log)) = strace(test, "all", &paths, &mut tool) else {
        return;
    };
    ran.prints("same: 506, diff: 6, 512/512");
    assert_equal(&source, &destination);
    let mut reads = transfers(&log, "pread64");
    reads.sort_unstable();
    let segment = 64 * K;
    // Segments with data at one side or the other: one, five of the destination, and a shared one.
    let mut want: Vec<u64> = (0..5).map(|n| 9 * M + n * segment).collect();
    want.extend([5 * M, 20 * M, 20 * M]);
    want.sort_unstable();
    let starts: Vec<u64> = reads.iter().map(|(at, _)| *at).collect();
    assert_eq!(starts, want, "{log}");
    assert!(reads.iter().all(|(_, len)| *len <= segment), "{reads:?}");
    assert!(!log.contains(" read(") && !log.contains("readv("), "{log}");
    assert!(
        allocated(&destination) <= 64 * K + 8 * K + 64 * K,
        "{}",
        allocated(&destination)
    );
}

#[test]
fn written_zeros_are_not_sent_and_not_written() {
    let test = "written_zeros_are_not_sent_and_not_written";
    let dir = Dir::new();
    let source = dir.file("source", 8 * M, &[(0, 8 * M, 0), (6 * M, 100, 1)]);
    let destination = dir.file("destination", 8 * M, &[]);
    let mut tool = dir.tool();
    tool.args(["--json", "source", "./destination"]);
    let Some((ran, log)) = strace(test, "all", &[&destination], &mut tool) else {
        return;
    };
    assert!(json(&ran.exits(0))["bytes_sent"].as_u64().unwrap() < 4 * K);
    assert_equal(&source, &destination);
    assert_eq!(transfers(&log, "pwrite64"), [(6 * M, 4096)]);
    assert!(
        transfers(&log, "pread64").is_empty(),
        "a file of holes is known to be zero"
    );
    assert!(allocated(&destination) <= 8 * K);
}

#[test]
fn little_goes_over_the_wire() {
    let dir = Dir::new();
    let mut random = Random(5);
    let bytes = random.bytes(48 * M);
    let source = dir.bytes("source", &bytes);
    let destination = dir.bytes("destination", &bytes);
    let wire = |args: &[&str]| {
        let value = json(&dir.run(&[args, &["--json"]].concat()).exits(0));
        let of = |key: &str| value[key].as_u64().unwrap();
        of("bytes_sent") + of("bytes_received")
    };
    let same = wire(&["source", "host:destination"]);
    // A digest and an answer, each in a frame of its own at worst.
    assert!(same <= 48 * 80 + 300, "{same} bytes for nothing");
    // One percent of the pages.
    let changed = 48 * M / 4096 / 100;
    for n in 0..changed {
        let page = n * 100 + random.below(100);
        edit(&source, page * 4096, &random.bytes(4096));
    }
    let sent = wire(&["source", "host:destination"]);
    assert!(
        sent * 100 <= changed * 4096 * 112,
        "{sent} bytes for {changed} pages"
    );
    assert_equal(&source, &destination);
    // What compresses is compressed; to a destination of holes nothing is asked.
    let source = dir.file("text", 8 * M, &[(0, 8 * M, b'x')]);
    let blank = dir.file("blank", 8 * M, &[]);
    let sent = wire(&["text", "host:blank"]);
    assert!(sent < 20 * K, "{sent} bytes for 8 MiB of one letter");
    assert_equal(&source, &blank);
}

#[test]
fn segments_of_each_size() {
    for size in ["64K", "131072", "1M", "2M", "16M"] {
        let dir = Dir::new();
        let (source, destination) = pair(&dir, 17 * M + 1);
        dir.run(&["--block-size", size, "source", "host:destination"])
            .exits(0);
        assert_equal(&source, &destination);
    }
}

// Sizes.

#[test]
fn size_rules() {
    let dir = Dir::new();
    let (long, short) = (M + 5000, M - 3);
    for (_, names) in WAYS {
        let there = |text: &str| match names[1].starts_with("host:") {
            true => format!("blocksync: the other side: {text}"),
            false => format!("blocksync: {text}"),
        };
        let name = names[1].trim_start_matches("host:");
        for (rule, source_size, has, fits) in [
            ("exact", M, M, true),
            ("exact", M, short, false),
            ("exact", M, long, false),
            ("min", M, short, false),
            ("min", M, long, true),
            ("grow", M, short, true),
            ("grow", M, long, true),
            ("grow", M, 0, true),
            ("grow", 0, M, true),
        ] {
            let source = dir.file("source", source_size, &[(0, source_size, 1)]);
            let destination = dir.file("destination", has, &[(0, has, 2)]);
            let ran = dir.run(&["--size", rule, names[0], names[1]]);
            let got = fs::read(&destination).unwrap();
            if !fits {
                let text = format!("{name}: has {has} bytes, the source has {source_size}");
                ran.exits(7).says(&there(&text));
                assert!(got == vec![2; has as usize], "untouched");
                continue;
            }
            ran.exits(0);
            let want = fs::read(&source).unwrap();
            assert!(got[..want.len()] == want[..], "{rule} {has}");
            match rule {
                "min" => assert!(got[want.len()..] == vec![2; (has - M) as usize]),
                _ => assert_eq!(got.len(), want.len()),
            }
        }
    }
    // To check is not to make longer or shorter.
    for has in [short, long] {
        dir.file("source", M, &[(0, M, 1)]);
        let destination = dir.file("destination", has, &[(0, has, 1)]);
        let ran = dir.run(&["-n", "--size=grow", "source", "host:destination"]);
        assert_ne!(ran.code, 0, "not in sync");
        assert_eq!(fs::metadata(&destination).unwrap().len(), has);
    }
}

#[test]
fn a_device_that_is_larger_or_smaller() {
    let test = "a_device_that_is_larger_or_smaller";
    let dir = Dir::new();
    for tail in [0, 1, 511, 4095, 4097] {
        for byte in [0, 5] {
            let size = 2 * M + tail;
            let source = dir.file("source", size, &[(M, size - M, byte)]);
            let backing = dir.file("backing", 4 * M, &[(0, 4 * M, 0xff)]);
            let Some(device) = LoopDevice::attach(test, &backing) else {
                return;
            };
            let name = device.0.to_str().unwrap();
            if tail > 0 {
                let why = format!("blocksync: {name}: has 4194304 bytes, the source has {size}");
                dir.run(&["source", name]).exits(7).says(&why);
            }
            dir.run(&["--size=min", "--verify", "source", name])
                .exits(0);
            dir.run(&["--size=min", "-n", "source", name]).exits(0);
            drop(device);
            let (got, want) = (fs::read(&backing).unwrap(), fs::read(&source).unwrap());
            assert!(got[..want.len()] == want[..], "{size}");
            assert!(
                got[want.len()..].iter().all(|b| *b == 0xff),
                "behind the copy"
            );
        }
    }
    let backing = dir.file("backing", M, &[(0, M, 0xff)]);
    let device = LoopDevice::attach(test, &backing).unwrap();
    let name = device.0.to_str().unwrap();
    for rule in ["exact", "min", "grow"] {
        let why = format!("blocksync: {name}: has 1048576 bytes, the source has 2101249");
        dir.run(&["--size", rule, "source", name])
            .exits(7)
            .says(&why);
    }
    drop(device);
    assert!(
        fs::read(&backing).unwrap() == vec![0xff; M as usize],
        "untouched"
    );
}

// Block devices.

#[test]
fn device_to_device() {
    let test = "device_to_device";
    for push in [true, false] {
        let dir = Dir::new();
        let (from, to) = pair(&dir, 8 * M);
        let Some(source) = LoopDevice::attach(test, &from) else {
            return;
        };
        let destination = LoopDevice::attach(test, &to).unwrap();
        let (source, destination) = (source.0.to_str().unwrap(), destination.0.to_str().unwrap());
        let there = |name: &str, there: bool| match there {
            true => format!("host:{name}"),
            false => name.to_owned(),
        };
        let names = [there(source, !push), there(destination, push)];
        let names = [names[0].as_str(), names[1].as_str()];
        let mut tool = dir.tool();
        tool.arg("--verify").args(names);
        let Some((ran, log)) = strace(
            test,
            "openat,pwrite64,fallocate,ioctl,fdatasync",
            &[],
            &mut tool,
        ) else {
            return;
        };
        ran.exits(0);
        // It is opened by the name of the descriptor that it was looked up with.
        let opened = |name: &str| -> Vec<String> {
            let result = format!("<{name}>");
            let lines = log.lines().filter(|l| l.contains("openat("));
            lines
                .filter(|l| l.ends_with(&result))
                .map(str::to_owned)
                .collect()
        };
        assert!(
            opened(source).iter().any(|l| l.contains("O_DIRECT")),
            "{log}"
        );
        assert!(
            !opened(source).iter().any(|l| l.contains("O_RDWR")),
            "{log}"
        );
        assert!(
            opened(destination).iter().any(|l| l.contains("O_DIRECT")),
            "{log}"
        );
        let written = opened(destination)
            .into_iter()
            .find(|l| l.contains("O_RDWR"));
        assert!(written.unwrap().contains("O_EXCL"), "{log}");
        assert!(
            log.contains("fdatasync(") && log.contains("BLKFLSBUF"),
            "{log}"
        );
        assert_equal(&from, &to);
        let mut tool = dir.tool();
        tool.args(names);
        let (ran, log) = strace(test, "pwrite64,fallocate", &[], &mut tool).unwrap();
        ran.prints("same: 8, diff: 0, 8/8");
        assert!(!log.contains(destination), "{log}");
    }
}

#[test]
fn what_was_written_behind_the_cache_is_found() {
    let test = "what_was_written_behind_the_cache_is_found";
    let dir = Dir::new();
    let backing = dir.file("backing", 2 * M, &[(0, 2 * M, 1)]);
    let Some(device) = LoopDevice::attach(test, &backing) else {
        return;
    };
    let name = device.0.to_str().unwrap();
    let holder = File::open(&device.0).unwrap();
    let mut cached = vec![0; 2 << 20];
    holder.read_exact_at(&mut cached, 0).unwrap();
    edit(&backing, M + 5000, b"news");
    let mut stale = [0; 4];
    holder.read_exact_at(&mut stale, M + 5000).unwrap();
    if stale != [1; 4] {
        return skipped(test, "the cache is not stale");
    }
    // As a source.
    let copy = dir.file("copy", 2 * M, &[(0, 2 * M, 1)]);
    dir.run(&[name, "./copy"]).prints("same: 1, diff: 1, 2/2");
    assert_equal(&backing, &copy);
    // As a destination: what lies there is compared, not what the cache holds.
    holder.read_exact_at(&mut cached, 0).unwrap();
    edit(&backing, 5000, b"more");
    dir.run(&["copy", name]).prints("same: 1, diff: 1, 2/2");
    dir.run(&["-n", "copy", name])
        .prints("same: 2, diff: 0, 2/2");
    assert_equal(&copy, &backing);
    let mut got = [0; 4];
    holder.read_exact_at(&mut got, 5000).unwrap();
    assert_eq!(got, [1; 4], "the cache was dropped");
}

#[test]
fn verify_reads_again() {
    let test = "verify_reads_again";
    let dir = Dir::new();
    let (source, destination) = pair(&dir, 4 * M);
    let mut tool = dir.tool();
    tool.args(["-b64K", "--verify", "source", "./destination"]);
    let Some((ran, log)) = strace(
        test,
        "pread64,fdatasync,fadvise64",
        &[&destination],
        &mut tool,
    ) else {
        return;
    };
    ran.exits(0);
    assert_equal(&source, &destination);
    let (_, after) = log.split_once("fdatasync(").unwrap();
    assert!(
        after.contains("fadvise64(") && after.contains("POSIX_FADV_DONTNEED"),
        "{log}"
    );
    assert!(transfers(after, "pread64").len() > 20, "{log}");
    // A disk that lies: writes are said to be done and are not.
    edit(
        &destination,
        5000,
        &[!fs::read(&destination).unwrap()[5000]],
    );
    let fault = "pwrite64:retval=4096:when=1";
    for (args, status) in [(&["--verify"] as &[&str], 8), (&[], 0)] {
        let ran = injected(
            test,
            &dir,
            fault,
            &destination,
            &[args, &["-b64K", "source", "./destination"]].concat(),
        );
        let Some(ran) = ran else { return };
        let ran = ran.exits(status);
        if status == 8 {
            ran.says("blocksync: ./destination: does not hold what was written at byte 0");
        }
    }
}

// Guards.

#[test]
fn the_source_under_another_name_is_refused() {
    let test = "the_source_under_another_name_is_refused";
    let dir = Dir::new();
    let source = dir.file("source", 4 * M, &[(M, 5000, 1)]);
    let before = fs::read(&source).unwrap();
    fs::hard_link(&source, dir.path("hard")).unwrap();
    symlink("source", dir.path("soft")).unwrap();
    let same = "source and destination are the same";
    for name in ["source", "hard", "soft"] {
        for force in [&[] as &[&str], &["-f"]] {
            let here = format!("./{name}");
            dir.run(&[force, &["source", &here]].concat())
                .exits(7)
                .says(&format!("blocksync: {here}: {same}"));
            let there = format!("host:{name}");
            dir.run(&[force, &["source", &there]].concat())
                .exits(7)
                .says(&format!("blocksync: the other side: {name}: {same}"));
            let ran = dir.run(&[force, &[&there, "source"]].concat()).exits(7);
            assert!(
                ran.stderr.ends_with(&format!("{name}: {same}\n")),
                "{}",
                ran.stderr
            );
        }
    }
    if let Some(device) = LoopDevice::attach(test, &source) {
        let second = LoopDevice::attach(test, &source).unwrap();
        let (one, two) = (device.0.to_str().unwrap(), second.0.to_str().unwrap());
        for (a, b) in [("source", one), (one, "./source"), (one, two), (one, one)] {
            dir.run(&["-f", a, b])
                .exits(7)
                .says(&format!("blocksync: {b}: {same}"));
            dir.run(&["-f", a, &format!("host:{b}")]).exits(7);
            dir.run(&["-f", &format!("host:{a}"), b]).exits(7);
        }
    }
    assert!(fs::read(&source).unwrap() == before);
}

#[test]
fn what_is_in_use_is_refused() {
    let test = "what_is_in_use_is_refused";
    let dir = Dir::new();
    dir.file("source", 32 * M, &[(0, 32 * M, 1)]);
    let Some(mounted) = Mounted::make(test, dir.0.path(), "ext4", 32 * M) else {
        return;
    };
    let device = must(
        "findmnt",
        ["-n", "-o", "SOURCE", mounted.0.to_str().unwrap()],
    );
    let device = device.trim();
    must("sync", ["-f", mounted.0.to_str().unwrap()]);
    let before = fs::read(dir.path("ext4.img")).unwrap();
    let why = format!("mounted on {}", mounted.0.display());
    dir.run(&["source", device])
        .exits(7)
        .says(&format!("blocksync: {device}: {why}"));
    dir.run(&["source", "./ext4.img"])
        .exits(7)
        .says(&format!("blocksync: ./ext4.img: {why}"));
    dir.run(&["source", "host:ext4.img"])
        .exits(7)
        .says(&format!("blocksync: the other side: ext4.img: {why}"));
    dir.run(&["host:source", "ext4.img"])
        .exits(7)
        .says(&format!("blocksync: ext4.img: {why}"));
    // To look is allowed.
    dir.run(&["-n", "source", device]).exits(1);
    assert!(
        fs::read(dir.path("ext4.img")).unwrap() == before,
        "untouched"
    );

    let free = dir.file("free", 32 * M, &[]);
    let held = LoopDevice::attach(test, &free).unwrap();
    let why = format!("in use by {}", held.0.display());
    dir.run(&["source", "./free"])
        .exits(7)
        .says(&format!("blocksync: ./free: {why}"));
    assert!(
        fs::read(&free).unwrap().iter().all(|b| *b == 0),
        "untouched"
    );
    for (way, args) in [
        ("local", ["source", "./free"]),
        ("push", ["source", "host:free"]),
        ("pull", ["host:source", "free"]),
    ] {
        for other in ["--force-mounted", "--force-swap"] {
            dir.run(&[other, args[0], args[1]]).exits(7);
        }
        for force in ["--force", "--force-held"] {
            edit(&free, 0, &[9]);
            dir.run(&["-q", force, args[0], args[1]])
                .exits(0)
                .says_nothing();
            assert_eq!(first_difference(&dir.path("source"), &free), None, "{way}");
        }
    }

    // A mounted file system on a loop device: the device is mounted, and its file held as well.
    let filesystem = fs::read(dir.path("ext4.img")).unwrap();
    dir.bytes("same", &filesystem);
    for other in ["--force-held", "--force-swap"] {
        dir.run(&[other, "same", device]).exits(7);
    }
    dir.run(&["-q", "--force-mounted", "same", device])
        .exits(0)
        .says_nothing();
    let ran = dir.run(&["--force-mounted", "same", "./ext4.img"]).exits(7);
    let why = format!("in use by {device}\n");
    assert!(ran.stderr.ends_with(&why), "{}", ran.stderr);
    dir.run(&[
        "-q",
        "--force-mounted",
        "--force-held",
        "same",
        "./ext4.img",
    ])
    .exits(0)
    .says_nothing();
    // Who has it open with O_EXCL holds it.
    let alone = File::options()
        .read(true)
        .custom_flags(nix::fcntl::OFlag::O_EXCL.bits())
        .open(&held.0);
    let alone = alone.unwrap();
    let name = held.0.to_str().unwrap();
    dir.run(&["source", name])
        .exits(7)
        .says(&format!("blocksync: {name}: in use"));
    dir.run(&["--force-mounted", "--force-swap", "source", name])
        .exits(7);
    dir.run(&["-q", "--force-held", "source", name]).exits(0);
    drop(alone);
}

#[test]
fn swap_is_refused() {
    let test = "swap_is_refused";
    if !can(test, true, &["mkswap", "swapon", "swapoff"]) {
        return;
    }
    let dir = Dir::new();
    dir.file("source", 12 * M, &[]);
    let swap = dir.file("swap", 12 * M, &[(0, 12 * M, 0)]);
    let Some(device) = LoopDevice::attach(test, &swap) else {
        return;
    };
    must("mkswap", [&device.0]);
    if run(command("swapon").arg(&device.0)).code != 0 {
        return skipped(test, "swapon is not permitted");
    }
    let name = device.0.to_str().unwrap();
    // Swapped to, but not much: the header is all that is read when it ends.
    let copy = dir.bytes("copy", &fs::read(&swap).unwrap());
    let ran = dir.run(&["source", name]);
    let others = dir.run(&["--force-mounted", "--force-held", "source", name]);
    let forced = dir.run(&["-q", "--force-swap", copy.to_str().unwrap(), name]);
    must("swapoff", [&device.0]);
    let why = format!("blocksync: {name}: in use as swap");
    ran.exits(7).says(&why);
    others.exits(7).says(&why);
    forced.exits(0).says_nothing();
}

#[test]
fn a_read_only_device_is_not_written() {
    let test = "a_read_only_device_is_not_written";
    let dir = Dir::new();
    dir.file("source", M, &[(0, M, 1)]);
    let backing = dir.file("backing", M, &[(0, M, 2)]);
    let Some(device) = LoopDevice::attach(test, &backing) else {
        return;
    };
    must("blockdev", [Path::new("--setro"), &device.0]);
    let ran = dir.run(&["source", device.0.to_str().unwrap()]);
    // The flag would stay for whoever gets the number next.
    must("blockdev", [Path::new("--setrw"), &device.0]);
    drop(device);
    let ran = ran.exits(7);
    assert!(ran.stderr.ends_with(": read-only\n"), "{}", ran.stderr);
    assert!(
        fs::read(&backing).unwrap() == vec![2; M as usize],
        "untouched"
    );
}

// The restricted server.

/// A transport as an authorized_keys line with `command=` makes it: whatever the client asks for,
/// the server is started with these words.
fn forced(dir: &Dir, words: &str) {
    dir.script("forced", &format!("exec '{BINARY}' server {words}\n"));
}

#[test]
fn a_restricted_server_serves_what_it_was_told_to() {
    let dir = Dir::new();
    let root = fs::canonicalize(dir.0.path()).unwrap();
    let root = root.to_str().unwrap();
    let inner = dir.path("bk");
    fs::create_dir_all(inner.join("deep")).unwrap();
    for name in ["bk/bk-one", "bk/other", "bk/deep/bk-two", "secret"] {
        dir.file(name, M, &[(0, M, 7)]);
    }
    symlink("../secret", inner.join("bk-link")).unwrap();
    symlink("bk-one", inner.join("bk-near")).unwrap();
    symlink("..", inner.join("bk-up")).unwrap();
    dir.file("source", M, &[(0, M, 1)]);
    forced(
        &dir,
        &format!("--only '{root}/bk/bk-*' --write-only --max-size 1M"),
    );
    let run_by = |args: &[&str]| run(dir.tool_by("forced").args(args));
    let refused = |path: &str, why: &str, args: &[&str]| {
        let path = path.replace('\n', "\\n");
        run_by(args).exits(7).says(&format!(
            "blocksync: the other side: {path}: {why} not allowed here"
        ));
    };
    for path in [
        format!("{root}/secret"),
        format!("{root}/bk/other"),
        format!("{root}/bk/deep/bk-two"),
        format!("{root}/bk/bk-one/../../secret"),
        format!("{root}/bk/bk-../other"),
        format!("{root}/bk/./bk-one"),
        format!("{root}/bk/bk-up/secret"),
        "bk/bk-one".to_owned(),
        format!("{root}/bk/bk-one\n"),
        format!("{root}/bk/bk-*;touch {root}/owned"),
    ] {
        let refusals = ["this path is", "a link is"];
        let ran = run_by(&["source", &format!("host:{path}")]);
        let said = ran.stderr.trim_end().to_owned();
        let missing =
            said.ends_with("No such file or directory") || said.ends_with("Not a directory");
        assert!(
            ran.code == 7 || (ran.code == 2 && missing),
            "{path}: {} {said}",
            ran.code
        );
        assert!(
            missing
                || refusals
                    .iter()
                    .any(|r| said.ends_with(&format!("{r} not allowed here"))),
            "{said}"
        );
    }
    assert!(!dir.path("owned").exists());
    let link = format!("{root}/bk/bk-link");
    refused(&link, "a link is", &["source", &format!("host:{link}")]);
    let one = format!("{root}/bk/bk-one");
    let there = format!("host:{one}");
    refused(&one, "reading is", &[&there, "source"]);
    refused(&one, "reading is", &["-n", "source", &there]);
    refused(&one, "--force is", &["-f", "source", &there]);
    for name in ["bk/bk-one", "bk/other", "bk/deep/bk-two", "secret"] {
        assert!(
            fs::read(dir.path(name)).unwrap() == vec![7; M as usize],
            "{name}: untouched"
        );
    }
    // What is allowed.
    run_by(&["source", &there]).prints("same: 0, diff: 1, 1/1");
    assert_equal(&dir.path("source"), &dir.path("bk/bk-one"));
    edit(&dir.path("bk/bk-one"), 0, &[2]);
    run_by(&["source", &format!("host:{root}/bk/bk-near")]).exits(0);
    assert_equal(&dir.path("source"), &dir.path("bk/bk-one"));
    // The size, of either side.
    dir.file("large", M + 1, &[]);
    let large = dir.file("bk/bk-large", M + 1, &[(0, M + 1, 7)]);
    let path = large.to_str().unwrap();
    run_by(&["large", &format!("host:{path}")])
        .exits(7)
        .says(&format!(
            "blocksync: the other side: {path}: larger than allowed here"
        ));
    run_by(&["--size=grow", "large", &there]).exits(7);

    forced(
        &dir,
        &format!("--read-only --only '{root}/bk/*' --only '{root}/secret' --max-size 1M"),
    );
    let run_by = |args: &[&str]| run(dir.tool_by("forced").args(args));
    let secret = format!("host:{root}/secret");
    refused(&one, "writing is", &["source", &there]);
    run_by(&["-n", "source", &there]).exits(7);
    run_by(&[&secret, "source"]).prints("same: 0, diff: 1, 1/1");
    run_by(&[&there, "source"]).exits(0);
    assert_equal(&dir.path("source"), &dir.path("bk/bk-one"));
    run_by(&[&format!("host:{path}"), "large"])
        .exits(7)
        .says(&format!(
            "blocksync: the other side: {path}: larger than allowed here"
        ));

    // A server for one path.
    forced(&dir, &format!("'{root}/secret'"));
    refused(&one, "another path is", &["source", &there]);
    run(dir.tool_by("forced").args(["source", &secret])).exits(0);
    assert_equal(&dir.path("source"), &dir.path("secret"));
}

#[test]
fn a_name_that_changes_its_meaning_meanwhile() {
    let dir = Dir::new();
    let root = fs::canonicalize(dir.0.path()).unwrap();
    fs::create_dir(root.join("bk")).unwrap();
    let secret = dir.file("secret", 64 * K, &[(0, 64 * K, 7)]);
    dir.file("source", 64 * K, &[(0, 64 * K, 1)]);
    forced(&dir, &format!("--only '{}/bk/*'", root.display()));
    // The name is a file and a link to what is not allowed, in turn.
    let [name, file, link] = ["bk/name", "a-file", "a-link"].map(|name| root.join(name));
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                fs::write(&file, vec![5; 64 << 10]).unwrap();
                symlink(&secret, &link).unwrap();
                fs::rename(&file, &name).unwrap();
                fs::rename(&link, &name).unwrap();
            }
        });
        let there = format!("host:{}", name.display());
        let mut codes = Vec::new();
        for round in 0..60 {
            let args = match round % 2 {
                0 => ["source", there.as_str()],
                _ => [there.as_str(), "got"],
            };
            dir.file("got", 64 * K, &[]);
            let ran = run(dir.tool_by("forced").arg("-q").args(args));
            codes.push(ran.code);
            assert!(matches!(ran.code, 0 | 2 | 7), "{}", ran.stderr);
            let got = fs::read(dir.path("got")).unwrap();
            assert!(!got.contains(&7), "the secret was read");
        }
        stop.store(true, Ordering::Relaxed);
        assert!(codes.contains(&7), "{codes:?}");
    });
    assert!(fs::read(&secret).unwrap() == vec![7; 64 << 10], "untouched");
}

#[test]
fn names_of_any_bytes() {
    let dir = Dir::new();
    for name in [
        b"two words".as_slice(),
        b"it's",
        b"\"$(touch owned)`touch owned`",
        b"semi;colon&more|\\ *?[a]~#!{a,b}",
        b"new\nline\ttab",
        b"\xff\xfe not UTF-8 \xc3",
        b"-n",
        b"--force",
        b"server",
    ] {
        let folder = dir.path("there");
        fs::create_dir_all(&folder).unwrap();
        let (source, destination) = pair(&dir, M);
        let named = folder.join(OsStr::from_bytes(name));
        for place in [
            named.as_os_str().to_owned(),
            OsStr::from_bytes(name).to_owned(),
        ] {
            dir.script("rsh", "cd there; shift\nexec sh -c \"$*\"\n");
            fs::copy(&destination, &named).unwrap();
            let mut there = OsString::from("host:");
            there.push(&place);
            let ran = run(dir.tool().args(["--json", "source"]).arg(&there)).exits(0);
            assert_equal(&source, &named);
            let value = json(&ran);
            let shown = value["destination"].as_str().unwrap();
            assert_eq!(shown, there.to_string_lossy());
            assert_eq!(
                value["destination_bytes"].is_string(),
                there.to_str().is_none()
            );
        }
        // Here, and pulled.
        let mut here = OsString::from("there/");
        here.push(OsStr::from_bytes(name));
        edit(&named, 5, b"!");
        run(dir.tool().args(["--", "host:../source"]).arg(&here)).exits(0);
        assert_equal(&source, &named);
        fs::remove_dir_all(&folder).unwrap();
        assert!(!dir.path("owned").exists());
    }
}

// Hostile peers.

/// One frame as PROTOCOL.md has it.
fn frame(kind: u8, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(kind, sequence, payload.len() as u32);
    if !payload.is_empty() {
        bytes.extend(payload);
        bytes.extend(crc32fast::hash(payload).to_le_bytes());
    }
    bytes
}

/// What a frame begins with.
fn header(kind: u8, sequence: u32, length: u32) -> Vec<u8> {
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend([kind, 0, 0, 0]);
    let crc = crc32fast::hash(&[&bytes[..], &sequence.to_le_bytes()].concat());
    bytes.extend(crc.to_le_bytes());
    bytes
}

fn hello(lowest: u16, highest: u16, required: u64) -> Vec<u8> {
    frame(1, 0, &greeting(lowest, highest, required))
}

/// The payload of HELLO.
fn greeting(lowest: u16, highest: u16, required: u64) -> Vec<u8> {
    let mut payload = [lowest.to_le_bytes(), highest.to_le_bytes()].concat();
    payload.extend(required.to_le_bytes());
    payload.extend(required.to_le_bytes());
    payload.extend([9; 16]);
    payload.extend(b"sync\x1b[31m 9");
    payload
}

/// OPEN of a client that is the source of `size` bytes.
fn open(size: u64, path: &Path) -> Vec<u8> {
    let mut payload = vec![2, 0, 0, 1, 0, 0, 0, 0];
    payload.extend((64u32 << 10).to_le_bytes());
    payload.extend(size.to_le_bytes());
    payload.extend([1; 32]);
    payload.extend(path.as_os_str().as_bytes());
    frame(2, 1, &payload)
}

/// What is said to either side that is no session, and the status it ends with.
fn nonsense() -> Vec<(&'static str, Vec<u8>, i32)> {
    let after_hello = |more: &[u8]| [PREAMBLE, &hello(1, 1, 0), more].concat();
    let damaged = |at: usize| {
        let mut bytes = [PREAMBLE, &hello(1, 1, 0)].concat();
        bytes[at] ^= 4;
        bytes
    };
    let long = header(9, 1, u32::MAX);
    let large = header(9, 1, 17 << 20);
    let short = header(5, 1, 60_000);
    vec![
        ("nothing", Vec::new(), 3),
        ("a line", b"Welcome to host!\nmore\n".to_vec(), 3),
        ("a prompt", b"password: ".to_vec(), 3),
        ("noise", Random(3).bytes(100_000), 3),
        ("half a preamble", PREAMBLE[..5].to_vec(), 3),
        ("only a preamble", PREAMBLE.to_vec(), 3),
        ("a truncated hello", after_hello(&[])[..40].to_vec(), 3),
        ("no more than hello", after_hello(&[]), 3),
        ("a wrong checksum", damaged(50), 4),
        ("a wrong length", damaged(8), 4),
        ("a wrong type", damaged(12), 4),
        ("a wrong reserved byte", damaged(13), 4),
        ("a wrong checksum of a header", damaged(16), 4),
        (
            "a damaged preamble",
            [&b"\0blcsync"[..], &hello(1, 1, 0)].concat(),
            4,
        ),
        ("a wrong number", after_hello(&frame(11, 5, &[])), 4),
        ("a huge length", after_hello(&long), 4),
        ("more data than a segment has", after_hello(&large), 4),
        ("a length without data", after_hello(&short), 3),
        (
            "no hello",
            [PREAMBLE, &frame(11, 0, &[]), &frame(10, 1, &[0; 8])].concat(),
            4,
        ),
        (
            "hello twice",
            after_hello(&frame(1, 1, &greeting(1, 1, 0))),
            4,
        ),
        ("an unknown type", after_hello(&frame(99, 1, &[0; 40])), 4),
        (
            "noise after hello",
            after_hello(&Random(4).bytes(100_000)),
            4,
        ),
        ("an older version", [PREAMBLE, &hello(0, 0, 0)].concat(), 3),
        ("a newer version", [PREAMBLE, &hello(2, 7, 0)].concat(), 3),
        ("a feature", [PREAMBLE, &hello(1, 1, 1 << 40)].concat(), 3),
    ]
}

/// Runs a command in a shell that lets it have this much address space.
fn within(bytes: u64, words: &[&OsStr]) -> Command {
    let mut command = command("prlimit");
    command.arg(format!("--as={bytes}")).args(words);
    command
}

#[test]
fn a_server_that_is_no_server() {
    let test = "a_server_that_is_no_server";
    if !can(test, false, &["prlimit"]) {
        return;
    }
    let dir = Dir::new();
    let (_, destination) = pair(&dir, M);
    let before = fs::read(&destination).unwrap();
    for (what, bytes, status) in nonsense() {
        dir.bytes("said", &bytes);
        // One that goes on to listen, and one that is gone.
        for end in ["cat >/dev/null", "exit 0"] {
            dir.script("rsh", &format!("cat said\n{end}\n"));
            for names in [["source", "host:x"], ["host:x", "destination"]] {
                let rsh = format!("--rsh=sh {}", dir.path("rsh").display());
                let words = [BINARY, "--timeout=2", &rsh, names[0], names[1]].map(OsStr::new);
                let ran = run(within(1 << 30, &words).current_dir(dir.0.path()));
                assert_eq!(ran.code, status, "{what}: {}", ran.stderr);
                assert_eq!(ran.stderr.lines().count(), 1, "{what}: {}", ran.stderr);
                assert!(!ran.stderr.contains('\x1b'), "{}", ran.stderr);
                let says =
                    |text: &str| assert!(ran.stderr.contains(text), "{what}: {}", ran.stderr);
                match what {
                    "a line" => {
                        says("the other side is not blocksync, it says: Welcome to host!\n")
                    }
                    "a newer version" => {
                        says("(sync\\x1B[31m 9) speaks protocol 2 to 7, this one 1 to 1")
                    }
                    "a feature" => says("insists on features 0x10000000000"),
                    _ => {}
                }
            }
        }
    }
    assert!(fs::read(&destination).unwrap() == before, "untouched");
}

#[test]
fn a_login_shell_that_talks_is_told() {
    let dir = Dir::new();
    let (_, destination) = pair(&dir, M);
    let before = fs::read(&destination).unwrap();
    for noise in [
        "echo Welcome to this host",
        "echo; echo Welcome to this host",
        "printf Welc; echo ome to this host",
    ] {
        dir.script("rsh", &format!("{noise}\nshift\nexec sh -c \"$*\"\n"));
        let started = Instant::now();
        let ran = dir.run(&["--timeout=30", "source", "host:destination"]);
        let said = ran.exits(3).stderr;
        let why = "the other side is not blocksync, it says: Welcome to this host\n";
        assert!(said.ends_with(why), "{said}");
        assert!(
            started.elapsed() < Duration::from_secs(25),
            "it did not wait for more"
        );
    }
    assert!(fs::read(&destination).unwrap() == before, "untouched");
}

#[test]
fn a_transport_that_fails_is_told() {
    let dir = Dir::new();
    pair(&dir, M);
    dir.script("rsh", "echo 'no route' >&2\nexit 255\n");
    let ran = dir.run(&["source", "host:destination"]).exits(3);
    assert_eq!(
        ran.stderr.lines().collect::<Vec<_>>(),
        [
            "no route",
            "blocksync: sh ended with exit status: 255; the other side said nothing"
        ]
    );
    let ran =
        run(tool()
            .current_dir(dir.0.path())
            .args(["--rsh=/nowhere/ssh", "source", "host:x"]));
    ran.exits(3)
        .says("blocksync: /nowhere/ssh: No such file or directory");
    run(tool()
        .current_dir(dir.0.path())
        .args(["--rsh=", "source", "host:x"]))
    .exits(2);
    // The program is not there.
    dir.script("rsh", "shift\nexec sh -c \"$*\"\n");
    let mut tool = tool();
    tool.current_dir(dir.0.path())
        .arg(format!("--rsh=sh {}", dir.path("rsh").display()))
        .args(["--remote-command=/nowhere/blocksync", "source", "host:x"]);
    let ran = run(&mut tool).exits(3);
    assert!(
        ran.stderr.contains("sh ended with exit status: 127"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_client_that_is_no_client() {
    let test = "a_client_that_is_no_client";
    if !can(test, false, &["prlimit"]) {
        return;
    }
    let dir = Dir::new();
    let (_, destination) = pair(&dir, M);
    let before = fs::read(&destination).unwrap();
    let mut cases = nonsense();
    let opened = |more: &[Vec<u8>]| {
        let start = [PREAMBLE, &hello(1, 1, 0), &open(M, &destination)].concat();
        [&start[..], &more.concat()].concat()
    };
    let digests = |sequence: u32, first: u64, runs: &[u8]| {
        frame(5, sequence, &[&first.to_le_bytes()[..], runs].concat())
    };
    let zeros = |count: u32| [&[0], &count.to_le_bytes()[..]].concat();
    let data = |sequence: u32, segment: u64, encoding: u8, bytes: &[u8]| {
        frame(
            9,
            sequence,
            &[&segment.to_le_bytes()[..], &[encoding], bytes].concat(),
        )
    };
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 3).unwrap();
    let one = |digest: u8| [&[1, 1, 0][..], &[digest; 16]].concat();
    cases.extend([
        ("the end at once", opened(&[frame(12, 2, &[0; 32])]), 4),
        (
            "digests beyond the end",
            opened(&[digests(2, 0, &zeros(17))]),
            4,
        ),
        (
            "digests beyond all numbers",
            opened(&[digests(2, u64::MAX, &zeros(u32::MAX))]),
            4,
        ),
        (
            "digests out of order",
            opened(&[digests(2, 3, &zeros(1))]),
            4,
        ),
        ("digests of nothing", opened(&[digests(2, 0, &zeros(0))]), 4),
        ("data unasked", opened(&[data(2, 0, 0, &[1; 65536])]), 4),
        (
            "data of no segment",
            opened(&[data(2, u64::MAX, 0, &[1; 65536])]),
            4,
        ),
        ("a bomb unasked", opened(&[data(2, 0, 1, &bomb)]), 4),
        ("pages unasked", opened(&[frame(7, 2, &[0; 11])]), 4),
        (
            "a path with NUL",
            [PREAMBLE, &hello(1, 1, 0), &open(M, Path::new("a\0b"))].concat(),
            4,
        ),
        (
            "no path",
            [PREAMBLE, &hello(1, 1, 0), &open(M, Path::new("missing"))].concat(),
            2,
        ),
        (
            "a bomb",
            opened(&[
                digests(2, 0, &one(1)),
                frame(7, 3, &[&[0; 8][..], &[5; 48]].concat()),
                data(4, 0, 1, &bomb),
            ]),
            4,
        ),
        (
            "data of a wrong length",
            opened(&[
                digests(2, 0, &one(1)),
                frame(7, 3, &[&[0; 8][..], &[5; 48]].concat()),
                data(4, 0, 0, &[1; 65535]),
            ]),
            4,
        ),
    ]);
    for (what, bytes, status) in cases {
        let words = [BINARY, "server", "--timeout=2"].map(OsStr::new);
        let mut server = within(1 << 30, &words);
        server.current_dir(dir.0.path());
        let mut child = server
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        // It may have seen enough before the end.
        let _ = input.write_all(&bytes);
        drop(input);
        let ran: Ran = child.wait_with_output().unwrap().into();
        assert_eq!(ran.code, status, "{what}: {}", ran.stderr);
        assert!(
            ran.stdout.starts_with(PREAMBLE) && ran.stdout.len() < 1000,
            "{what}"
        );
    }
    assert!(fs::read(&destination).unwrap() == before, "untouched");
}

#[test]
fn endless_data_is_cut_off() {
    let test = "endless_data_is_cut_off";
    if !can(test, false, &["prlimit"]) {
        return;
    }
    let dir = Dir::new();
    pair(&dir, M);
    for (program, status) in [
        ("cat /dev/zero", 3),
        ("yes", 3),
        ("cat hello /dev/urandom", 4),
        ("cat hello /dev/zero", 4),
    ] {
        dir.bytes("hello", &[PREAMBLE, &hello(1, 1, 0)].concat());
        dir.script("rsh", &format!("exec {program}\n"));
        let rsh = format!("--rsh=sh {}", dir.path("rsh").display());
        let words = [BINARY, &rsh, "source", "host:x"].map(OsStr::new);
        let ran = run(within(1 << 30, &words).current_dir(dir.0.path())).exits(status);
        assert!(ran.stderr.len() < 1000, "{}", ran.stderr);
    }
    // To a server: it ends while the client goes on.
    let script = "cat \"$1\" /dev/zero | prlimit --as=1073741824 \"$0\" server >out; echo done";
    let mut shell = command("bash");
    shell
        .current_dir(dir.0.path())
        .args(["-c", script, BINARY, "hello"]);
    if find("bash").is_some() {
        assert_eq!(run(&mut shell).exits(0).out(), "done\n");
    }
}

#[test]
fn a_silent_peer_is_given_up() {
    let dir = Dir::new();
    pair(&dir, M);
    // It neither speaks nor listens nor ends.
    dir.script("rsh", "echo $$ >pid\nexec sleep 1000\n");
    let ran = dir.run(&["--timeout=1", "source", "host:destination"]);
    let pid = dir.text("pid").trim().parse().unwrap();
    poll("the end of the transport", || !is_alive(pid));
    ran.exits(3);
    let mut server = tool()
        .args(["server", "--timeout", "1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let silent = server.stdin.take();
    let ran: Ran = server.wait_with_output().unwrap().into();
    ran.exits(3)
        .says("blocksync: server: the other side was silent for 1 s");
    drop(silent);
}

#[test]
fn a_peer_that_only_shows_that_it_lives_is_given_up() {
    for greeted in [false, true] {
        let mut server = tool()
            .args(["server", "--timeout", "1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = server.stdin.take().unwrap();
        let mut bytes = PREAMBLE.to_vec();
        if greeted {
            bytes.extend(hello(1, 1, 0));
        }
        input.write_all(&bytes).unwrap();
        let mut sequence = u32::from(greeted);
        poll_long("the end of the server", || {
            let _ = input.write_all(&frame(11, sequence, &[]));
            sequence += 1;
            server.try_wait().unwrap().is_some()
        });
        let ran: Ran = server.wait_with_output().unwrap().into();
        if greeted {
            ran.exits(3)
                .says("blocksync: server: the other side did not open a session in time");
        } else {
            ran.exits(3);
        }
    }
}

// Faults on the way.

/// What happens to the bytes of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// The bit of the byte at an offset is turned over.
    Flip(u64, u8),
    /// The stream ends at an offset.
    Cut(u64),
    /// Nothing more comes from an offset on.
    Stall(u64),
}

/// A connection whose bytes go through the test. The script `by` of the folder is its end at the
/// client; the server is started by the test.
struct Proxy {
    threads: Vec<std::thread::JoinHandle<()>>,
    server: Arc<Mutex<Option<u32>>>,
    /// Bytes that came from the client, and from the server.
    passed: [Arc<AtomicU64>; 2],
    status: Arc<Mutex<Option<i32>>>,
}

impl Proxy {
    fn start(dir: &Dir, up: Fault, down: Fault) -> Proxy {
        let fifos = ["up", "down"].map(|name| dir.path(name));
        for fifo in &fifos {
            let _ = fs::remove_file(fifo);
            must("mkfifo", [fifo]);
        }
        dir.script("by", "cat <down &\nexec cat >up\n");
        let server = Arc::new(Mutex::new(None));
        let status = Arc::new(Mutex::new(None));
        let passed = [Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0))];
        let (pid, ended, counts) = (Arc::clone(&server), Arc::clone(&status), passed.clone());
        let folder = dir.0.path().to_path_buf();
        let main = std::thread::spawn(move || {
            let mut child = tool()
                .current_dir(folder)
                .args(["server", "--timeout=5"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            *pid.lock().unwrap() = Some(child.id());
            let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
            let [up_path, down_path] = fifos;
            let [up_count, down_count] = counts;
            let upward = std::thread::spawn(move || {
                pass(File::open(up_path).unwrap(), input, up, &up_count);
            });
            let to_client = File::options().write(true).open(down_path).unwrap();
            pass(output, to_client, down, &down_count);
            upward.join().unwrap();
            *ended.lock().unwrap() = child.wait().unwrap().code();
        });
        Proxy {
            threads: vec![main],
            server,
            passed,
            status,
        }
    }

    /// Waits until both ends are gone; returns the exit status of the server.
    fn finish(self) -> Option<i32> {
        for thread in self.threads {
            thread.join().unwrap();
        }
        *self.status.lock().unwrap()
    }

    fn server(&self) -> u32 {
        poll("the server", || self.server.lock().unwrap().is_some());
        self.server.lock().unwrap().unwrap()
    }

    fn passed(&self) -> [u64; 2] {
        [0, 1].map(|side: usize| self.passed[side].load(Ordering::Relaxed))
    }
}

fn pass(mut from: impl Read, to: impl Write, fault: Fault, count: &AtomicU64) {
    let mut to = Some(to);
    let mut buffer = vec![0; 64 << 10];
    let mut at = 0;
    while let Ok(got) = from.read(&mut buffer) {
        if got == 0 {
            return;
        }
        let mut bytes = &mut buffer[..got];
        match fault {
            Fault::Flip(offset, bit) if (at..at + got as u64).contains(&offset) => {
                bytes[(offset - at) as usize] ^= 1 << bit;
            }
            Fault::Cut(offset) | Fault::Stall(offset) if offset < at + got as u64 => {
                bytes = &mut bytes[..offset.saturating_sub(at) as usize];
            }
            _ => {}
        }
        at += got as u64;
        if to
            .as_mut()
            .is_some_and(|to| to.write_all(bytes).and_then(|()| to.flush()).is_err())
        {
            return;
        }
        count.store(at, Ordering::Relaxed);
        // After a cut the rest is read and thrown away, or nobody could tell a cut from a stall.
        if matches!(fault, Fault::Cut(offset) if at > offset) {
            to = None;
        }
    }
}

/// Runs a session through a proxy; its result, that of the server, and the bytes of both ways.
fn through(dir: &Dir, args: &[&str], up: Fault, down: Fault) -> (Ran, Option<i32>, [u64; 2]) {
    let proxy = Proxy::start(dir, up, down);
    let ran = run(dir.tool_by("by").args(args));
    let passed = [Arc::clone(&proxy.passed[0]), Arc::clone(&proxy.passed[1])];
    let status = proxy.finish();
    (
        ran,
        status,
        passed.map(|count| count.load(Ordering::Relaxed)),
    )
}

/// How often a test of random faults tries: BLKUTILS_ROUNDS in the environment, or `usual`.
fn rounds(usual: u64) -> u64 {
    let asked = std::env::var("BLKUTILS_ROUNDS").ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(usual)
}

/// Sends sessions through faults at `count` offsets of each direction.
fn survive(count: u64, fault: impl Fn(u64, &mut Random) -> Fault) {
    let dir = Dir::new();
    let mut random = Random(0xfeed);
    let (source, destination) = pair(&dir, 2 * M + 5);
    let original = fs::read(&destination).unwrap();
    for names in [
        ["source", "host:destination"],
        ["host:source", "destination"],
    ] {
        let args = ["-b64K", "--timeout=5", names[0], names[1]];
        let (ran, status, [up, down]) = through(&dir, &args, Fault::None, Fault::None);
        ran.exits(0);
        assert_eq!(status, Some(0));
        assert_equal(&source, &destination);
        for (limit, is_up) in [(up, true), (down, false)] {
            for n in 0..count {
                fs::write(&destination, &original).unwrap();
                // The beginning is where most can go wrong.
                let at = if n % 4 == 0 {
                    random.below(300.min(limit))
                } else {
                    random.below(limit)
                };
                let what = fault(at, &mut random);
                let (up, down) = if is_up {
                    (what, Fault::None)
                } else {
                    (Fault::None, what)
                };
                let (ran, status, _) = through(&dir, &args, up, down);
                let is_equal = first_difference(&source, &destination).is_none();
                let story = format!(
                    "{names:?} up {up:?} down {down:?}: {} {}",
                    ran.code, ran.stderr
                );
                assert!(ran.code != 0 || is_equal, "{story}");
                assert!(matches!(ran.code, 0 | 3 | 4 | 7 | 8 | 2), "{story}");
                assert!(
                    status.is_some_and(|code| (0..=9).contains(&code)),
                    "{story} {status:?}"
                );
                assert!(
                    ran.code == 0 || ran.stderr.starts_with("blocksync: "),
                    "{story}"
                );
                let (ran, ..) = through(&dir, &args, Fault::None, Fault::None);
                ran.exits(0);
                assert_equal(&source, &destination);
            }
        }
    }
}

#[test]
fn flipped_bits_are_found() {
    survive(rounds(60) / 4, |at, random| {
        Fault::Flip(at, random.below(8) as u8)
    });
}

#[test]
fn a_cut_connection_is_told() {
    survive(rounds(60) / 4, |at, _| Fault::Cut(at));
}

#[test]
fn a_flipped_bit_never_passes() {
    let dir = Dir::new();
    pair(&dir, 300 * K);
    let args = ["-b64K", "--timeout=5", "source", "host:destination"];
    let original = fs::read(dir.path("destination")).unwrap();
    let (ran, _, [up, down]) = through(&dir, &args, Fault::None, Fault::None);
    ran.exits(0);
    let mut random = Random(99);
    for n in 0..rounds(40) {
        fs::write(dir.path("destination"), &original).unwrap();
        let bit = random.below(8) as u8;
        let (up, down) = match n % 2 {
            0 => (Fault::Flip(random.below(up - 20), bit), Fault::None),
            // The last frame of the server is DONE: what is behind it does not matter.
            _ => (Fault::None, Fault::Flip(random.below(down), bit)),
        };
        let (ran, _, passed) = through(&dir, &args, up, down);
        // How messages are gathered, and so the number of bytes, is not the same each time.
        let came = [up, down]
            .iter()
            .zip(passed)
            .any(|(fault, passed)| matches!(fault, Fault::Flip(at, _) if *at < passed));
        assert!(!came || ran.code != 0, "{up:?} {down:?}");
    }
}

/// How many bytes a process has written.
fn written(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("wchar: "));
    line.and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// Transports whose parts write down who they are: the transport itself, what carries the bytes to
/// the server, and the server. The transport stays, as ssh does, and is between the two.
const WATCHED: &str = "shift\nset -- \"$*\"\necho $$ >transport.new\nmv transport.new transport\n\
     sh -c 'echo $$ >link.new; mv link.new link; exec cat' | \
     sh -c \"echo \\$\\$ >server.new; mv server.new server; exec $1\" | cat\n";

#[test]
fn killed_at_any_moment() {
    let dir = Dir::new();
    let mut random = Random(0xdead);
    let (source, destination) = pair(&dir, 6 * M);
    let original = fs::read(&destination).unwrap();
    dir.script("rsh", WATCHED);
    let (all, mut killed) = (rounds(48), 0);
    for round in 0..all {
        fs::write(&destination, &original).unwrap();
        for name in ["transport", "link", "server", "state"] {
            let _ = fs::remove_file(dir.path(name));
        }
        let names = match round % 2 {
            0 => ["source", "host:destination"],
            _ => ["host:source", "destination"],
        };
        // With a state and without one.
        let mut args = vec!["-b64K", "--timeout=20", "--state=state", names[0], names[1]];
        if round % 4 < 2 {
            args.remove(2);
        }
        let mut child = dir
            .tool()
            .args(&args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let pid_of = |name: &str| dir.text(name).trim().parse::<u32>().ok();
        let who = ["client", "server", "transport", "link"][round as usize / 4 % 4];
        let victim = match who {
            "client" => Some(child.id()),
            who => {
                poll(who, || {
                    pid_of(who).is_some() || child.try_wait().unwrap().is_some()
                });
                pid_of(who)
            }
        };
        // All data goes through the source's output once, and comes out of the sink once.
        let limit = random.below(5 * M);
        let watched = match (who, victim) {
            ("server", Some(server)) => server,
            _ => child.id(),
        };
        poll("bytes", || {
            written(watched) >= limit || !is_alive(watched) || child.try_wait().unwrap().is_some()
        });
        if let Some(pid) = victim.filter(|pid| is_alive(*pid)) {
            killed += 1;
            let _ = run(command("kill").args(["-9", &pid.to_string()]));
        }
        let ran: Ran = child.wait_with_output().unwrap().into();
        let is_equal = first_difference(&source, &destination).is_none();
        assert!(ran.code != 0 || is_equal, "{round}: {}", ran.stderr);
        assert!(
            matches!(ran.code, 0 | 3 | 137),
            "{round}: {} {}",
            ran.code,
            ran.stderr
        );
        if let Some(server) = pid_of("server") {
            poll("the end of the server", || !is_alive(server));
        }
        dir.run(&args).exits(0);
        assert_equal(&source, &destination);
    }
    assert!(killed >= all / 3, "{killed}");
}

#[test]
fn what_has_come_is_not_sent_again() {
    let dir = Dir::new();
    let mut random = Random(0xbeef);
    let size = 144 * M;
    let source = dir.bytes("source", &random.bytes(size));
    let bytes = fs::read(&source).unwrap();
    dir.script("rsh", WATCHED);
    for (who, is_push, is_blank) in [
        ("client", true, true),
        ("server", true, false),
        ("server", false, true),
        ("link", true, false),
    ] {
        let old = if is_blank { 0 } else { 3 };
        let destination = dir.file(
            "destination",
            size,
            &[(0, if is_blank { 0 } else { size }, old)],
        );
        for name in ["transport", "link", "server"] {
            let _ = fs::remove_file(dir.path(name));
        }
        let names = match is_push {
            true => ["source", "host:destination"],
            false => ["host:source", "destination"],
        };
        let mut child = spawn(dir.tool().args(names));
        let pid_of = |name: &str| dir.text(name).trim().parse::<u32>().unwrap_or(0);
        poll("the server", || pid_of("server") > 0);
        let (client, server) = (child.id(), pid_of("server"));
        let sender = if is_push { client } else { server };
        let limit = 70 * M + random.below(40 * M);
        let mut sent = 0;
        poll("bytes", || {
            sent = sent.max(written(sender));
            sent >= limit || child.try_wait().unwrap().is_some()
        });
        let victim = if who == "client" { client } else { pid_of(who) };
        let _ = run(command("kill").args(["-9", &victim.to_string()]));
        child.wait().unwrap();
        poll("the end of the server", || !is_alive(server));
        let got = fs::read(&destination).unwrap();
        let there = |(a, b): (&[u8], &[u8])| if a == b { a.len() as u64 } else { 0 };
        let pages = bytes.chunks(4096).zip(got.chunks(4096));
        let missing = size - pages.map(there).sum::<u64>();
        let value = json(&dir.run(&["--json", names[0], names[1]]).exits(0));
        assert_equal(&source, &destination);
        let key = if is_push {
            "bytes_sent"
        } else {
            "bytes_received"
        };
        let again = value[key].as_u64().unwrap();
        assert!(again < missing + M, "{who}: {again} {missing}");
        // The server counts what it has written to disk, too: what was sent is at least the limit.
        let resent = (again + limit).saturating_sub(size);
        assert!(
            resent <= 64 * M,
            "{who}: {resent} of {again} were sent before"
        );
    }
}

// Faults of disks.

/// Runs the tool with a fault that strace injects into the calls on one file.
fn injected(test: &str, dir: &Dir, fault: &str, on: &Path, args: &[&str]) -> Option<Ran> {
    if !can(test, false, &["strace"]) {
        return None;
    }
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
    let tool = dir.tool();
    command.arg(BINARY).args(tool.get_args()).args(args);
    Some(run(&mut command))
}

#[test]
fn failing_calls() {
    let test = "failing_calls";
    let dir = Dir::new();
    let io = "Input/output error";
    for (_, names) in WAYS {
        let (source, destination) = pair(&dir, 3 * M);
        let original = fs::read(&destination).unwrap();
        for (fault, on, status, why) in [
            (
                "pread64:error=EIO:when=4",
                &source,
                5,
                ": read at byte ".to_owned(),
            ),
            (
                "pread64:error=EIO:when=4",
                &destination,
                6,
                ": read at byte ".to_owned(),
            ),
            (
                "pread64:retval=0:when=3",
                &source,
                5,
                "the file ended".to_owned(),
            ),
            (
                "pwrite64:error=EIO:when=3",
                &destination,
                6,
                ": write at byte ".to_owned(),
            ),
            (
                "pwrite64:error=ENOSPC:when=3",
                &destination,
                6,
                "No space left on device".to_owned(),
            ),
            (
                "fallocate:error=EIO:when=1",
                &destination,
                6,
                ": clear at byte ".to_owned(),
            ),
            (
                "fdatasync:error=EIO",
                &destination,
                6,
                format!(": fdatasync: {io}"),
            ),
            ("lseek:error=EIO:when=2", &source, 5, io.to_owned()),
        ] {
            fs::write(&destination, &original).unwrap();
            let Some(ran) = injected(test, &dir, fault, on, &[&["-b64K"], &names[..]].concat())
            else {
                return;
            };
            let story = format!("{names:?} {fault}: {} {}", ran.code, ran.stderr);
            assert_eq!(ran.code, status, "{story}");
            assert!(ran.stderr.contains(&why), "{story}");
            assert_eq!(ran.stderr.lines().count(), 1, "{story}");
            let name = if on == &source {
                "source: "
            } else {
                "destination: "
            };
            assert!(ran.stderr.contains(name), "{story}");
            assert_eq!(ran.out(), "", "{story}");
            dir.run(&["-b64K", names[0], names[1]]).exits(0);
            assert_equal(&source, &destination);
        }
        // Interruptions, short counts, and what a file system cannot do are no errors.
        for (fault, on) in [
            ("pread64:error=EINTR:when=2", &source),
            ("pread64:error=EINTR:when=2", &destination),
            ("pwrite64:error=EINTR:when=2", &destination),
            ("fallocate:error=EOPNOTSUPP", &destination),
            ("fallocate:error=ENOSYS", &destination),
            ("lseek:error=EINVAL", &source),
            ("lseek:error=EINVAL", &destination),
        ] {
            fs::write(&destination, &original).unwrap();
            let args = [&["-q", "-b64K"], &names[..]].concat();
            injected(test, &dir, fault, on, &args)
                .unwrap()
                .exits(0)
                .says_nothing();
            assert_equal(&source, &destination);
        }
    }
}

#[test]
fn a_full_file_system() {
    let test = "a_full_file_system";
    if !can(test, true, &["mount", "umount"]) {
        return;
    }
    let dir = Dir::new();
    dir.file("source", 4 * M, &[(0, 4 * M, 1)]);
    let point = dir.path("small");
    fs::create_dir(&point).unwrap();
    must(
        "mount",
        [
            "-t",
            "tmpfs",
            "-o",
            "size=1M",
            "none",
            point.to_str().unwrap(),
        ],
    );
    let mounted = Mounted(point);
    for (to, side) in [
        ("./small/copy", ""),
        ("host:small/copy", "the other side: "),
    ] {
        dir.file("small/copy", 4 * M, &[]);
        let ran = dir.run(&["-b64K", "source", to]).exits(6);
        let name = to.trim_start_matches("host:");
        let start = format!("blocksync: {side}{name}: write at byte ");
        assert!(ran.stderr.starts_with(&start), "{}", ran.stderr);
        assert!(
            ran.stderr.ends_with(": No space left on device\n"),
            "{}",
            ran.stderr
        );
    }
    drop(mounted);
}

#[test]
fn unreadable_sectors() {
    let test = "unreadable_sectors";
    let dir = Dir::new();
    dir.file("other", 8 * M, &[(0, 8 * M, 2)]);
    let backing = dir.file("backing", 8 * M, &[(0, 8 * M, 1)]);
    let Some(device) = LoopDevice::attach(test, &backing) else {
        return;
    };
    let file = File::options().write(true).open(&backing).unwrap();
    // The last segment: several are read at once, and any of them could be the first to fail.
    file.set_len(7 * M).unwrap();
    must("blockdev", [Path::new("--flushbufs"), &device.0]);
    let name = device.0.to_str().unwrap();
    let why = format!("{name}: read at byte 7340032: Input/output error");
    dir.run(&[name, "./other"])
        .exits(5)
        .says(&format!("blocksync: {why}"));
    dir.run(&["other", name])
        .exits(6)
        .says(&format!("blocksync: {why}"));
    dir.run(&[name, "host:other"])
        .exits(5)
        .says(&format!("blocksync: {why}"));
    dir.run(&["other", &format!("host:{name}")])
        .exits(6)
        .says(&format!("blocksync: the other side: {why}"));
    dir.run(&[&format!("host:{name}"), "other"])
        .exits(5)
        .says(&format!("blocksync: the other side: {why}"));
}

fn spawn(tool: &mut Command) -> Child {
    let tool = tool.stdin(Stdio::null()).stdout(Stdio::piped());
    tool.stderr(Stdio::piped()).spawn().unwrap()
}

// Signals.

#[test]
fn signals_end_both_sides() {
    for names in [
        ["source", "host:destination"],
        ["host:source", "destination"],
    ] {
        for signal in ["INT", "TERM", "HUP"] {
            let dir = Dir::new();
            pair(&dir, 8 * M);
            // The answers of the server stop to come in the middle.
            let proxy = Proxy::start(&dir, Fault::None, Fault::Stall(250));
            let child = spawn(dir.tool_by("by").args(["-b64K", names[0], names[1]]));
            let server = proxy.server();
            poll("the session", || proxy.passed()[1] > 250);
            send(signal, child.id());
            let ran: Ran = child.wait_with_output().unwrap().into();
            ran.exits(9)
                .says(&format!("blocksync: stopped by SIG{signal}"));
            let status = proxy.finish();
            assert!(!is_alive(server));
            assert!(status.is_some_and(|code| code != 0), "{status:?}");
        }
    }
}

#[test]
fn a_signal_to_the_server_ends_both_sides() {
    let dir = Dir::new();
    pair(&dir, 8 * M);
    let proxy = Proxy::start(&dir, Fault::Stall(250), Fault::None);
    let child = spawn(
        dir.tool_by("by")
            .args(["-b64K", "source", "host:destination"]),
    );
    poll("the session", || proxy.passed()[0] > 250);
    send("TERM", proxy.server());
    let ran: Ran = child.wait_with_output().unwrap().into();
    ran.exits(9)
        .says("blocksync: the other side: stopped by SIGTERM");
    assert_eq!(proxy.finish(), Some(9));
}

#[test]
fn a_local_run_is_interrupted() {
    let test = "a_local_run_is_interrupted";
    if !can(test, false, &["strace"]) {
        return;
    }
    let dir = Dir::new();
    let (source, destination) = pair(&dir, 2 * M);
    // The third write waits for a while, and the signal comes with it.
    let mut command = command("strace");
    command
        .current_dir(dir.0.path())
        .args(["-f", "-o", "/dev/null", "-P"])
        .arg(&destination)
        .args([
            "-e",
            "trace=pwrite64",
            "-e",
            "inject=pwrite64:signal=TERM:when=3",
        ])
        .args([BINARY, "-b64K", "source", "./destination"]);
    let ran = run(&mut command);
    // The last piece may have been on its way.
    assert!(
        ran.code == 9 || first_difference(&source, &destination).is_none(),
        "{}",
        ran.code
    );
    dir.run(&["-b64K", "source", "./destination"]).exits(0);
    assert_equal(&source, &destination);
}

#[test]
fn usr1_prints_a_status_line() {
    let dir = Dir::new();
    pair(&dir, 8 * M);
    let proxy = Proxy::start(&dir, Fault::None, Fault::Stall(250));
    let mut child = spawn(
        dir.tool_by("by")
            .args(["-b64K", "source", "host:destination"]),
    );
    poll("the session", || proxy.passed()[1] > 250);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    send("USR1", child.id());
    let line = lines.next().unwrap().unwrap();
    assert!(
        line.starts_with("blocksync: ") && line.contains(" of 8.0 MiB compared "),
        "{line}"
    );
    send("TERM", child.id());
    assert_eq!(child.wait().unwrap().code(), Some(9));
    proxy.finish();
}

// Reports.

#[test]
fn json_and_quiet() {
    let dir = Dir::new();
    pair(&dir, 3 * M + 1);
    let value = json(
        &dir.run(&["-q", "-n", "--json", "-b64K", "source", "host:destination"])
            .exits(1),
    );
    let keys: Vec<&str> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let mut want = [
        "source",
        "destination",
        "size",
        "segment",
        "segments",
        "same",
        "different",
        "bytes_sent",
        "bytes_received",
        "seconds",
    ];
    want.sort_unstable();
    for key in want {
        assert!(keys.contains(&key), "{key} in {keys:?}");
    }
    assert_eq!(value["source"], "source");
    assert_eq!(value["destination"], "host:destination");
    assert_eq!(value["size"], 3 * M + 1);
    assert_eq!(
        (&value["segment"], &value["segments"]),
        (&(64 * K).into(), &49.into())
    );
    assert_eq!(
        (&value["same"], &value["different"]),
        (&14.into(), &35.into())
    );
    assert!(
        value["bytes_sent"].as_u64().unwrap() > 100
            && value["bytes_received"].as_u64().unwrap() > 50
    );
    assert!(value["seconds"].is_f64());
    let ran = dir
        .run(&["-q", "-b64K", "source", "host:destination"])
        .exits(0);
    ran.says_nothing();
    let value = json(
        &dir.run(&["--json", "-b64K", "host:source", "destination"])
            .exits(0),
    );
    assert_eq!(
        (&value["source"], &value["same"]),
        (&"host:source".into(), &49.into())
    );
    dir.run(&["-q", "source", "./missing"])
        .exits(2)
        .says("blocksync: ./missing: No such file or directory");
}

#[test]
fn a_full_or_closed_standard_output() {
    let dir = Dir::new();
    let (source, destination) = pair(&dir, M);
    for (to, why) in [
        ("&-", "Bad file descriptor"),
        ("/dev/full", "No space left on device"),
    ] {
        for names in [["source", "./destination"], ["source", "host:destination"]] {
            for quiet in [false, true] {
                edit(&destination, 5, &[0x77]);
                let script = format!("exec \"$0\" \"$@\" >{to}");
                let mut shell = command("sh");
                shell
                    .current_dir(dir.0.path())
                    .args(["-c", &script, BINARY]);
                shell.args(dir.tool().get_args()).args(names);
                if quiet {
                    run(shell.arg("-q")).exits(0).says_nothing();
                } else {
                    run(&mut shell)
                        .exits(2)
                        .says(&format!("blocksync: standard output: {why}"));
                }
                assert_equal(&source, &destination);
            }
        }
    }
}

#[test]
fn progress_on_a_terminal() {
    let test = "progress_on_a_terminal";
    if !can(test, false, &["script"]) {
        return;
    }
    let dir = Dir::new();
    pair(&dir, 4 * M);
    let line = format!("'{BINARY}' --progress -b64K source ./destination");
    let mut script = command("script");
    script.current_dir(dir.0.path()).env("TERM", "xterm");
    script.args(["-qec", &line, "/dev/null"]);
    // As it goes, with the rate, and as the last line without. A run may be over before a line is shown
    // that has counted anything.
    let shown = (0..20)
        .map(|_| run(&mut script).exits(0).out())
        .find(|shown| shown.contains("/64, ") && shown.contains("/s"))
        .unwrap();
    let (first, last) = shown.rsplit_once("/s").unwrap();
    let (counts, rate) = first.rsplit_once("/64, ").unwrap();
    assert!(
        counts.contains("same: ") && counts.contains(", diff: "),
        "{shown:?}"
    );
    assert!(rate.contains(" s, "), "{shown:?}");
    assert!(last.ends_with(", 64/64\r\n"), "{shown:?}");
}

#[test]
fn progress_on_a_descriptor() {
    let dir = Dir::new();
    dir.file("source", 4 * M, &[(0, 4 * M, 1)]);
    for names in [
        ["source", "host:destination"],
        ["host:source", "destination"],
        ["source", "./destination"],
    ] {
        dir.file("destination", 4 * M, &[(0, 4 * M, 2)]);
        let mut shell = command("sh");
        shell
            .current_dir(dir.0.path())
            .args(["-c", "exec \"$0\" \"$@\" 9>lines", BINARY]);
        shell
            .args(dir.tool().get_args())
            .args(["-q", "--progress=9"]);
        run(shell.args(names)).exits(0).says_nothing();
        let lines = dir.text("lines");
        assert!(lines.ends_with("4194304 4194304\n"), "{names:?} {lines}");
        assert!(lines.starts_with("0 "), "{names:?} {lines}");
    }
    let ran = dir
        .run(&["-q", "--progress", "source", "./destination"])
        .exits(0);
    assert!(ran.stderr.contains("diff: 0, 4/4, "), "{}", ran.stderr);
}

// Large things.

#[test]
fn a_terabyte_of_nothing() {
    let dir = Dir::new();
    for name in ["source", "destination"] {
        let file = File::create(dir.path(name)).unwrap();
        if file.set_len(1 << 40).is_err() {
            return skipped(
                "a_terabyte_of_nothing",
                "the file system has no such large files",
            );
        }
    }
    edit(&dir.path("source"), (1 << 39) + 5, b"x");
    edit(&dir.path("destination"), 5, b"y");
    for (_, names) in WAYS {
        let value = json(&dir.run(&["--json", names[0], names[1]]).exits(0));
        assert_eq!(value["segments"], 1 << 18);
        assert!(value["bytes_sent"].as_u64().unwrap() < 10 * K, "{value}");
        assert!(
            value["bytes_received"].as_u64().unwrap() < 10 * K,
            "{value}"
        );
        dir.run(&["-n", names[0], names[1]]).exits(0);
        edit(&dir.path("destination"), 5, b"y");
    }
}

#[test]
fn memory_is_bounded() {
    let test = "memory_is_bounded";
    let dir = Dir::new();
    let size = 8 << 40;
    let mut random = Random(42);
    let (mut runs, mut same) = (Vec::new(), Vec::new());
    for n in 0..150 {
        let at = n * (size / 150) + n * 4096;
        runs.push((at, random.bytes(M)));
        same.push(at);
    }
    for name in ["source", "destination"] {
        let file = File::create(dir.path(name)).unwrap();
        if file.set_len(size).is_err() {
            return skipped(test, "the file system has no such large files");
        }
        for (n, (at, bytes)) in runs.iter().enumerate() {
            match (name, n % 3) {
                ("source", _) | (_, 0) => file.write_all_at(bytes, *at).unwrap(),
                (_, 1) => file.write_all_at(&[9; 70000], *at).unwrap(),
                _ => {}
            }
        }
    }
    dir.script(
        "rsh",
        "shift\nexec sh -c \"echo \\$\\$ >server.new; mv server.new server; exec $*\"\n",
    );
    let highest = |pid: u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        line.and_then(|l| l.trim().strip_suffix(" kB")?.parse::<u64>().ok())
            .unwrap_or(0)
            * K
    };
    let mut child = spawn(dir.tool().args(["source", "host:destination"]));
    let (mut client, mut server) = (0, 0);
    poll_long("the end", || {
        client = client.max(highest(child.id()));
        let pid = dir.text("server").trim().parse().unwrap_or(0);
        server = server.max(highest(pid));
        child.try_wait().unwrap().is_some()
    });
    let ran: Ran = child.wait_with_output().unwrap().into();
    ran.exits(0);
    assert!(0 < client && client <= MEMORY, "client: {} MiB", client / M);
    assert!(0 < server && server <= MEMORY, "server: {} MiB", server / M);
    let copy = File::open(dir.path("destination")).unwrap();
    for (at, bytes) in &runs {
        let mut got = vec![0; bytes.len()];
        copy.read_exact_at(&mut got, *at).unwrap();
        assert!(got == *bytes, "at {at}");
    }
}

#[track_caller]
fn poll_long(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(300);
    while !done() {
        assert!(Instant::now() < deadline, "waited for {what} in vain");
        std::thread::yield_now();
    }
}

#[test]
fn other_file_systems() {
    let test = "other_file_systems";
    for (kind, size) in [("ext4", 64 * M), ("xfs", 320 * M), ("btrfs", 128 * M)] {
        let dir = Dir::new();
        let (source, destination) = pair(&dir, 5 * M + 777);
        let Some(mounted) = Mounted::make(test, dir.0.path(), kind, size) else {
            continue;
        };
        let near = mounted.0.join("near");
        fs::copy(&destination, &near).unwrap();
        run(dir.tool().arg("--verify").args([&source, &near])).exits(0);
        run(dir.tool().args([&near, &destination])).exits(0);
        assert_equal(&source, &near);
        assert_equal(&source, &destination);
    }
}

// A real ssh.

/// An sshd of the test's own on a free port, ended when dropped.
struct Sshd {
    child: Child,
    port: u16,
}

impl Sshd {
    /// With `options` before the key in authorized_keys; `None` (and a line that says so) where
    /// that cannot be done.
    fn start(test: &str, dir: &Dir, options: &str) -> Option<Sshd> {
        if !can(test, false, &["sshd", "ssh", "ssh-keygen"]) {
            return None;
        }
        if is_root() {
            let _ = fs::create_dir_all("/run/sshd");
        }
        for key in ["host_key", "user_key"] {
            must(
                "ssh-keygen",
                [
                    "-q",
                    "-t",
                    "ed25519",
                    "-N",
                    "",
                    "-f",
                    dir.path(key).to_str().unwrap(),
                ],
            );
        }
        let keys = format!("{options} {}", dir.text("user_key.pub"));
        fs::write(dir.path("keys"), keys.trim_start()).unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let root = dir.0.path().display();
        let config = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {root}/host_key\nPidFile none\n\
             AuthorizedKeysFile {root}/keys\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n\
             PasswordAuthentication no\nLogLevel ERROR\n"
        );
        fs::write(dir.path("sshd_config"), config).unwrap();
        let mut sshd = Command::new(find("sshd").unwrap());
        sshd.args(["-D", "-e", "-f"]).arg(dir.path("sshd_config"));
        let log = File::create(dir.path("sshd.log")).unwrap();
        let child = sshd.stdin(Stdio::null()).stderr(log).spawn().unwrap();
        let mut sshd = Sshd { child, port };
        let mut ended = false;
        poll("sshd", || {
            ended = sshd.child.try_wait().unwrap().is_some();
            ended || TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        let works = !ended
            && run(Command::new(find("ssh").unwrap())
                .args(sshd.words(dir))
                .args(["127.0.0.1", "true"]))
            .code
                != 255;
        if !works {
            skipped(
                test,
                &format!(
                    "sshd: {}",
                    dir.text("sshd.log").lines().next().unwrap_or("no login")
                ),
            );
            return None;
        }
        Some(sshd)
    }

    fn words(&self, dir: &Dir) -> Vec<String> {
        let line = format!(
            "-F none -p {} -i {} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
             -o BatchMode=yes -o IdentitiesOnly=yes -o LogLevel=ERROR",
            self.port,
            dir.path("user_key").display()
        );
        line.split(' ').map(str::to_owned).collect()
    }

    fn tool(&self, dir: &Dir) -> Command {
        let mut tool = tool();
        tool.current_dir(dir.0.path())
            .arg(format!("--rsh=ssh {}", self.words(dir).join(" ")))
            .arg(format!("--remote-command={BINARY}"));
        tool
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn through_ssh() {
    let test = "through_ssh";
    let dir = Dir::new();
    let Some(sshd) = Sshd::start(test, &dir, "") else {
        return;
    };
    let (source, destination) = pair(&dir, 8 * M + 9);
    let there = |path: &Path| format!("127.0.0.1:{}", path.display());
    let ran = run(sshd
        .tool(&dir)
        .args(["-b64K", "source", &there(&destination)]));
    assert!(ran.exits(0).out().ends_with(", 129/129\n"));
    assert_equal(&source, &destination);
    edit(&destination, 5 * M, b"?");
    run(sshd.tool(&dir).args([&there(&source), "destination"])).prints("same: 8, diff: 1, 9/9");
    assert_equal(&source, &destination);
    let odd = dir.path("it's $(odd) \"name\"; \n");
    fs::rename(&destination, &odd).unwrap();
    edit(&odd, 0, b"?");
    run(sshd.tool(&dir).args(["source", &there(&odd)])).prints("same: 8, diff: 1, 9/9");
    assert_equal(&source, &odd);
    run(sshd.tool(&dir).args(["source", "127.0.0.1:/nowhere/x"]))
        .exits(2)
        .says("blocksync: the other side: /nowhere/x: No such file or directory");
    let ran = run(sshd
        .tool(&dir)
        .arg("--remote-command=/nowhere/x")
        .args(["source", &there(&odd)]));
    assert!(
        ran.exits(3)
            .stderr
            .contains("ssh ended with exit status: 127")
    );
}

#[test]
fn killed_ssh_and_interrupted_ssh() {
    let test = "killed_ssh_and_interrupted_ssh";
    let dir = Dir::new();
    let Some(sshd) = Sshd::start(test, &dir, "") else {
        return;
    };
    let (source, destination) = pair(&dir, 32 * M);
    let original = fs::read(&destination).unwrap();
    let there = format!("127.0.0.1:{}", destination.display());
    for (signal, to_ssh) in [
        ("KILL", true),
        ("TERM", true),
        ("TERM", false),
        ("INT", false),
        ("KILL", false),
    ] {
        fs::write(&destination, &original).unwrap();
        let mut child = spawn(sshd.tool(&dir).args(["-b64K", "source", &there]));
        let pid = child.id();
        poll("data", || {
            written(pid) > 3 * M || child.try_wait().unwrap().is_some()
        });
        let ssh = must("ps", ["-o", "pid=", "--ppid", &pid.to_string()]);
        let ssh = ssh.trim().parse::<u32>();
        let victim = if to_ssh {
            ssh.clone().unwrap_or(pid)
        } else {
            pid
        };
        let _ = run(command("kill").args([&format!("-{signal}"), &victim.to_string()]));
        let ran: Ran = child.wait_with_output().unwrap().into();
        assert!(ran.code != 0 || first_difference(&source, &destination).is_none());
        let want = if to_ssh {
            3
        } else if signal == "KILL" {
            137
        } else {
            9
        };
        assert!(
            ran.code == want || ran.code == 0,
            "{signal}: {} {}",
            ran.code,
            ran.stderr
        );
        if let Ok(ssh) = ssh {
            poll("the end of ssh", || !is_alive(ssh));
        }
        // The server, as whoever has the destination open.
        let fd_of = |entry: fs::DirEntry| {
            let fds = fs::read_dir(entry.path().join("fd"))
                .into_iter()
                .flatten()
                .flatten();
            fds.into_iter()
                .any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to == destination))
        };
        poll("the end of the server", || {
            !fs::read_dir("/proc").unwrap().flatten().any(fd_of)
        });
        run(sshd.tool(&dir).args(["-q", "-b64K", "source", &there])).exits(0);
        assert_equal(&source, &destination);
    }
}

#[test]
fn a_forced_command_in_authorized_keys() {
    let test = "a_forced_command_in_authorized_keys";
    let dir = Dir::new();
    let root = fs::canonicalize(dir.0.path()).unwrap();
    fs::create_dir(root.join("bk")).unwrap();
    // As the manual page has it; only the paths are others.
    let options = format!(
        "restrict,command=\"{BINARY} server --only '{}/bk/*' --write-only --max-size 64G\"",
        root.display()
    );
    let Some(sshd) = Sshd::start(test, &dir, &options) else {
        return;
    };
    // Names that a shell would put in the pattern's place.
    let (source, destination) = pair(&dir, 2 * M);
    let inner = root.join("bk/bk-one");
    fs::copy(&destination, &inner).unwrap();
    dir.file("bk/bk-two", 10, &[]);
    let there = |path: &Path| format!("127.0.0.1:{}", path.display());
    run(sshd.tool(&dir).args(["source", &there(&inner)])).exits(0);
    assert_equal(&source, &inner);
    let outside = root.join("destination");
    run(sshd.tool(&dir).args(["source", &there(&outside)]))
        .exits(7)
        .says(&format!(
            "blocksync: the other side: {}: this path is not allowed here",
            outside.display()
        ));
    run(sshd.tool(&dir).args([&there(&inner), "destination"])).exits(7);
    let mut tool = sshd.tool(&dir);
    tool.arg(format!(
        "--remote-command=touch {};",
        root.join("owned").display()
    ));
    run(tool.args(["source", &there(&inner)])).exits(0);
    assert!(
        !root.join("owned").exists(),
        "what the client asks for is not run"
    );
}

// Further passes, parts, and connecting again.

#[test]
fn a_session_reads_only_the_source_again() {
    let test = "a_session_reads_only_the_source_again";
    let dir = Dir::new();
    let (source, destination) = pair(&dir, 4 * M + 99);
    let mut child = dir
        .tool()
        .args(["--session", "-b64K", "source", "host:destination"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut line = || lines.next().unwrap().unwrap();
    assert!(line().ends_with(", 65/65"));
    assert_equal(&source, &destination);
    for (at, bytes) in [
        (5000, b"changed".to_vec()),
        (4 * M + 98, vec![0x55]),
        (M, vec![0; 64 << 10]),
        (M + 70_000, vec![0x33; 200_000]),
    ] {
        edit(&source, at, &bytes);
        input.write_all(b"again\n").unwrap();
        let said = line();
        assert!(
            said.ends_with(", 65/65") && !said.contains("diff: 0"),
            "{said}"
        );
        assert_equal(&source, &destination);
    }
    input.write_all(b"again\nend\n").unwrap();
    assert_eq!(line(), "same: 65, diff: 0, 65/65");
    assert!(child.wait().unwrap().success());

    if !can(test, false, &["strace"]) {
        return;
    }
    dir.bytes("commands", b"again\nagain\n");
    let mut reads = Vec::new();
    for path in [&source, &destination] {
        let log = dir.path("log");
        let mut command = command("strace");
        command
            .current_dir(dir.0.path())
            .args(["-f", "-qq", "-e", "trace=pread64,pwrite64", "-o"]);
        command.arg(&log).arg("-P").arg(path);
        command.args([BINARY, "--session", "-q", "source", "./destination"]);
        command.stdin(File::open(dir.path("commands")).unwrap());
        let ran: Ran = command.output().unwrap().into();
        ran.exits(0).says_nothing();
        let log = dir.text("log");
        assert!(!log.contains("pwrite64("), "{log}");
        reads.push(
            transfers(&log, "pread64")
                .iter()
                .map(|(_, n)| n)
                .sum::<u64>(),
        );
    }
    assert_eq!(reads[0], 3 * reads[1], "the destination is read once");
}

#[test]
fn what_a_session_does_not_take() {
    let dir = Dir::new();
    pair(&dir, M);
    dir.bytes("commands", b"once more\n");
    let mut tool = dir.tool();
    tool.args(["--session", "-q", "source", "host:destination"]);
    tool.stdin(File::open(dir.path("commands")).unwrap());
    let ran: Ran = tool.output().unwrap().into();
    ran.exits(2)
        .says("blocksync: standard input: once more: neither again nor end");
    let hint = "Try 'blocksync --help' for more information.";
    for (args, why) in [
        (
            ["--session", "-n", "source", "h:b"],
            "--session and --check exclude each other",
        ),
        (
            ["-q", "--session", "h:source", "b"],
            "--session needs the source at this host",
        ),
        (
            ["-q", "--ranges=r", "h:source", "b"],
            "--ranges needs the source at this host",
        ),
        (
            ["-q", "--retry=x", "source", "h:b"],
            "--retry x: not a number",
        ),
    ] {
        dir.run(&args)
            .exits(2)
            .says(&format!("blocksync: {why}\n{hint}"));
    }
    // A signal between two passes.
    let mut tool = dir.tool();
    tool.args(["--session", "source", "host:destination"]);
    tool.stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = tool.spawn().unwrap();
    let input = child.stdin.take();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    send("TERM", child.id());
    let ran: Ran = child.wait_with_output().unwrap().into();
    ran.exits(9).says("blocksync: stopped by SIGTERM");
    drop(input);
}

#[test]
fn only_these_ranges_are_read() {
    let test = "only_these_ranges_are_read";
    let dir = Dir::new();
    let source = dir.file("source", 8 * M, &[(0, 8 * M, 1)]);
    let destination = dir.file("destination", 8 * M, &[(0, 8 * M, 2)]);
    dir.bytes("ranges", b"# changed\n1M 1\n5242879 2\n\n");
    let mut tool = dir.tool();
    tool.args(["--ranges=ranges", "source", "./destination"]);
    let paths = [source.as_path(), &destination];
    let Some((ran, log)) = strace(test, "pread64", &paths, &mut tool) else {
        return;
    };
    ran.prints("same: 0, diff: 3, 3/3");
    let got = fs::read(&destination).unwrap();
    for (n, segment) in got.chunks(1 << 20).enumerate() {
        let byte = if matches!(n, 1 | 4 | 5) { 1 } else { 2 };
        assert!(segment.iter().all(|b| *b == byte), "{n}");
    }
    let read = transfers(&log, "pread64");
    assert!(
        read.iter().all(|(at, _)| matches!(at / M, 1 | 4 | 5)),
        "{read:?}"
    );
    for (text, why) in [
        ("0 9M\n", "ranges: line 1: beyond the end at byte 8388608"),
        ("\n7\n", "ranges: line 2: not an offset and a length"),
    ] {
        dir.bytes("ranges", text.as_bytes());
        let ran = dir.run(&["--ranges", "ranges", "source", "./destination"]);
        ran.exits(2).says(&format!("blocksync: {why}"));
    }
    dir.bytes("ranges", b"");
    dir.run(&["--ranges", "ranges", "source", "host:destination"])
        .prints("same: 0, diff: 0, 0/0");
    let shell = "echo 2M 1M | exec \"$0\" \"$@\"";
    let mut command = command("sh");
    command
        .current_dir(dir.0.path())
        .args(["-c", shell, BINARY]);
    command
        .args(dir.tool().get_args())
        .args(["--ranges=-", "source", "host:destination"]);
    run(&mut command).prints("same: 0, diff: 1, 1/1");
}

#[test]
fn a_broken_connection_is_made_again() {
    let dir = Dir::new();
    let (source, destination) = pair(&dir, 2 * M);
    // The first two connections break, one at once and one in the middle.
    dir.script(
        "rsh",
        "echo x >>tries\nshift\n\
         case $(wc -l <tries) in\n1) exit 255;;\n\
         2) dd bs=1 count=20000 2>/dev/null | sh -c \"$*\"; exit 255;;\nesac\nexec sh -c \"$*\"\n",
    );
    let ran = dir
        .run(&["--retry=2", "-b64K", "source", "host:destination"])
        .exits(0);
    assert_equal(&source, &destination);
    assert!(ran.out().ends_with("32/32\n"), "{}", ran.out());
    assert_eq!(
        ran.stderr.matches("; connecting again\n").count(),
        2,
        "{}",
        ran.stderr
    );
    assert_eq!(dir.text("tries"), "x\nx\nx\n");
    dir.script("rsh", "exit 255\n");
    let ran = dir
        .run(&["--retry=1", "host:source", "destination"])
        .exits(3);
    assert_eq!(
        ran.stderr.matches("; connecting again\n").count(),
        1,
        "{}",
        ran.stderr
    );
}

/// Files of which 40 MiB must be sent, and transports that break off after 30 MiB.
fn broken_off(dir: &Dir) -> (PathBuf, PathBuf) {
    let bytes = Random(7).bytes(40 * M);
    let source = dir.bytes("source", &bytes);
    let destination = dir.file("destination", 40 * M, &[(0, 40 * M, 3)]);
    dir.script(
        "broken-up",
        "shift\ndd bs=65536 count=30000000 iflag=count_bytes status=none | sh -c \"$*\"\nexit 255\n",
    );
    dir.script(
        "broken-down",
        "shift\nsh -c \"$*\" | dd bs=65536 count=30000000 iflag=count_bytes status=none\nexit 255\n",
    );
    (source, destination)
}

const BREAKS: [(&str, [&str; 2]); 2] = [
    ("broken-up", ["source", "host:destination"]),
    ("broken-down", ["host:source", "destination"]),
];

/// The ranges of finished bytes in a state file.
fn finished(state: &str) -> Vec<(u64, u64)> {
    let lines = state.lines().filter_map(|line| line.split_once(' '));
    let numbers = lines.filter_map(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    numbers.collect()
}

#[test]
fn a_run_that_broke_off_goes_on_with_what_is_missing() {
    let test = "a_run_that_broke_off_goes_on_with_what_is_missing";
    for (broken, names) in BREAKS {
        let dir = Dir::new();
        let (source, destination) = broken_off(&dir);
        let args = ["--state=state", names[0], names[1]];
        run(dir.tool_by(broken).args(args)).exits(3);
        let done = finished(&dir.text("state"));
        let end = done.last().unwrap().1;
        assert_eq!(done, [(0, end)], "{broken}");
        assert!((8 * M..40 * M).contains(&end), "{broken}: {end}");
        assert_eq!(
            first_difference(&source, &destination).map(|at| at as u64 >= end),
            Some(true),
            "{broken}: what is finished is there"
        );
        let mut tool = dir.tool();
        tool.arg("--json").args(args);
        // The other side is a process of its own, and both are traced.
        let Some((ran, log)) = strace(test, "pread64", &[&source], &mut tool) else {
            continue;
        };
        let value = json(&ran.exits(0));
        assert_eq!(value["finished_before"].as_u64(), Some(end / M), "{value}");
        assert_eq!(value["changed_since"], 0, "{value}");
        let data =
            value["bytes_sent"].as_u64().unwrap() + value["bytes_received"].as_u64().unwrap();
        assert!(data < 40 * M - end + M, "{broken}: {data} for {end}");
        let read = transfers(&log, "pread64");
        assert!(
            read.iter().take(4).all(|(at, _)| *at >= end),
            "{broken}: {:?}",
            &read[..4]
        );
        assert!(
            read.iter().map(|(_, n)| n).sum::<u64>() >= 40 * M,
            "and then all the rest"
        );
        assert_equal(&source, &destination);
        assert!(!dir.path("state").exists(), "it is not needed any more");
    }
}

#[test]
fn what_changed_behind_a_state_is_found() {
    for (broken, names) in BREAKS {
        let dir = Dir::new();
        let (source, destination) = broken_off(&dir);
        let args = ["--state=state", "--json", names[0], names[1]];
        run(dir.tool_by(broken).args(args)).exits(3);
        let state = dir.text("state");
        let reached = fs::read(&destination).unwrap();
        let of = finished(&state)[0].1 / M;
        let cases: [(&str, &dyn Fn(), u64); 4] = [
            ("edited", &|| edit(&destination, 5 * M + 9, b"?"), 1),
            (
                "rolled back",
                &|| fs::write(&destination, vec![3; 40 << 20]).unwrap(),
                of,
            ),
            (
                "exchanged",
                &|| {
                    fs::remove_file(&destination).unwrap();
                    fs::write(&destination, vec![4; 40 << 20]).unwrap();
                },
                of,
            ),
            (
                "the source edited",
                &|| {
                    edit(&source, 2 * M, b"!");
                    edit(&source, 3 * M, b"!");
                },
                2,
            ),
        ];
        for (what, change, differ) in cases {
            fs::write(dir.path("state"), &state).unwrap();
            fs::write(&destination, &reached).unwrap();
            change();
            let ran = dir.run(&args).exits(0);
            assert_equal(&source, &destination);
            assert_eq!(json(&ran)["changed_since"], differ, "{broken}, {what}");
            let said = format!(
                "blocksync: {differ} of {of} segments that were finished before differ again\n"
            );
            assert_eq!(ran.stderr, said, "{broken}, {what}");
        }
    }
}

#[test]
fn a_state_that_is_damaged_or_not_ours() {
    for (broken, names) in BREAKS {
        let dir = Dir::new();
        let (source, destination) = broken_off(&dir);
        let args = ["--state=state", "-q", names[0], names[1]];
        run(dir.tool_by(broken).args(args)).exits(3);
        let state = dir.text("state");
        let damaged = "blocksync: state: damaged, not used\n";
        let mut random = Random(11);
        let mut cases = vec![(String::new(), "")];
        for _ in 0..3 {
            let cut = 20 + random.below(state.len() as u64 - 20) as usize;
            cases.push((state[..cut].to_owned(), damaged));
            let mut flipped = state.clone().into_bytes();
            flipped[cut] ^= 1 << random.below(7);
            cases.push((String::from_utf8_lossy(&flipped).into_owned(), damaged));
        }
        for (text, said) in cases {
            fs::write(dir.path("state"), &text).unwrap();
            edit(&destination, 0, b"?");
            let ran = dir.run(&args).exits(0);
            assert_eq!(ran.stderr, said, "{text}");
            assert_equal(&source, &destination);
            assert!(!dir.path("state").exists());
        }
        // What belongs to others is neither used nor written over.
        let foreign = "root:x:0:0\n";
        fs::write(dir.path("state"), foreign).unwrap();
        dir.run(&args)
            .exits(2)
            .says("blocksync: state: not a state of blocksync");
        assert_eq!(dir.text("state"), foreign);
        fs::write(dir.path("state"), &state).unwrap();
        dir.file("another", 40 * M, &[]);
        let other = names.map(|name| name.replace("destination", "another"));
        let ran = dir.run(&["--state=state", &other[0], &other[1]]).exits(2);
        assert!(
            ran.stderr.starts_with("blocksync: state: the state of "),
            "{}",
            ran.stderr
        );
        assert_eq!(dir.text("state"), state);
        // The same names, and another size.
        for name in ["source", "destination"] {
            dir.file(name, 20 * M, &[(0, 20 * M, name.len() as u8)]);
        }
        let ran = dir.run(&args).exits(0);
        let sizes = "the size was 41943040 bytes and is 20971520\n";
        assert_eq!(ran.stderr, format!("blocksync: state: not used: {sizes}"));
        assert_equal(&source, &destination);
    }
    let dir = Dir::new();
    pair(&dir, M);
    let hint = "\nTry 'blocksync --help' for more information.";
    let both = "blocksync: --state and --check exclude each other";
    dir.run(&["-n", "--state=s", "source", "h:d"])
        .exits(2)
        .says(&format!("{both}{hint}"));
}

#[test]
fn a_state_never_runs_ahead_of_the_disk() {
    let test = "a_state_never_runs_ahead_of_the_disk";
    if !can(test, false, &["strace"]) {
        return;
    }
    let dir = Dir::new();
    let (_, destination) = broken_off(&dir);
    // Of a pull all is done by one process: data written, brought to the disk, and told of.
    let mut tool = dir.tool_by("broken-down");
    tool.args(["--state=state", "host:source", "destination"]);
    let calls = "pwrite64,fdatasync,rename,renameat,renameat2";
    let Some((ran, log)) = strace(test, calls, &[], &mut tool) else {
        return;
    };
    ran.exits(3);
    let name = format!("{}>", destination.display());
    let (mut written, mut synced, mut states) = (0, 0, 0);
    for line in log.lines() {
        let is_ours = line.contains(&name);
        if is_ours && line.contains("pwrite64(") {
            written += transfers(line, "pwrite64")
                .iter()
                .map(|(_, n)| n)
                .sum::<u64>();
        } else if is_ours && line.contains("fdatasync(") {
            synced = written;
        } else if line.contains("rename") && line.contains("\"state\"") {
            states += 1;
            assert!(synced > 0, "told of before it was on the disk");
        }
    }
    assert!(states > 0, "{log}");
    assert!(finished(&dir.text("state"))[0].1 <= synced);
}

#[test]
fn a_broken_connection_goes_on_with_what_is_missing() {
    let dir = Dir::new();
    let (source, destination) = broken_off(&dir);
    dir.script(
        "rsh",
        "shift\nif mkdir once 2>/dev/null; then dd bs=65536 count=30000000 iflag=count_bytes status=none | sh -c \"$*\"; exit 255; fi\n\
         exec sh -c \"$*\"\n",
    );
    let ran = dir
        .run(&["--retry=1", "--json", "source", "host:destination"])
        .exits(0);
    let value = json(&ran);
    assert!(value["finished_before"].as_u64().unwrap() >= 8, "{value}");
    assert!(value["bytes_sent"].as_u64().unwrap() < 32 * M, "{value}");
    assert_equal(&source, &destination);
}

// What the manual page shows.

#[test]
fn the_examples_of_the_manual_page() {
    let dir = Dir::new();
    let (source, copy) = pair(&dir, M);
    fs::rename(&source, dir.path("disk.img")).unwrap();
    fs::rename(&copy, dir.path("copy.img")).unwrap();
    let shell = |script: &str| {
        let bin = Path::new(BINARY).parent().unwrap();
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let mut shell = command("sh");
        shell.current_dir(dir.0.path()).env("PATH", path);
        run(shell.args(["-c", script]))
    };
    shell("blocksync -nq disk.img ./copy.img && echo equal")
        .exits(1)
        .says_nothing();
    shell("blocksync --rsh='sh rsh' disk.img host:copy.img").prints("same: 0, diff: 1, 1/1");
    shell("blocksync -nq disk.img ./copy.img && echo equal").prints("equal");
    let value = json(&shell("blocksync --json --rsh='sh rsh' disk.img host:copy.img").exits(0));
    assert!(value["bytes_sent"].as_u64().unwrap() < 400);
    shell("(echo again; echo end) | blocksync --session --rsh='sh rsh' disk.img host:copy.img")
        .prints("same: 1, diff: 0, 1/1\nsame: 1, diff: 0, 1/1");
    let page =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../man/blocksync.1"));
    let page = page.unwrap();
    for line in [
        "blocksync -nq disk.img ./copy.img && echo equal",
        "blocksync --json disk.img host:copy.img",
    ] {
        assert!(page.contains(line), "{line}");
    }
}
