//! Black-box tests of dupes: what `man/dupes.1` promises.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Mounted, Ran, can, command, find, golden, must, run, skipped, strace};
use proptest::prelude::*;
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

// ---- what is found ----

#[test]
fn diverging_sets_are_followed_separately() {
    let t = Tree::new();
    let (a, b) = (noise(1, 100_000), noise(2, 100_000));
    for (name, bytes) in [("a", &a), ("b", &b), ("c", &a), ("d", &b)] {
        t.write(name, bytes);
    }
    let ran = t.run(["."]).exits(0);
    assert_eq!(ran.out(), "./a\n./c\n\n./b\n./d\n\n");
    assert_eq!(
        ran.stderr,
        "4 total files\n1 size collisions, max of length 4\nbytes read 400000\n"
    );
}

/// Eight files: halves differ at one place, their halves at the next, and so on; one pair is left.
#[test]
fn sets_diverge_at_three_levels() {
    let t = Tree::new();
    let size = 600_000;
    let base = noise(3, size);
    let places = [50_000, 250_000, 400_000];
    for i in 0..8usize {
        let mut bytes = base.clone();
        for (bit, place) in places.iter().enumerate() {
            bytes[*place] ^= (i >> bit & 1) as u8;
        }
        t.write(format!("f{i}"), &bytes);
        if i == 5 {
            t.write("twin", &bytes);
        }
    }
    let ran = t.run(["."]).exits(0);
    assert_eq!(lines(&ran), [["./f5", "./twin"]]);
    let most = 9 * 400_000 + 9 * 150_000;
    assert!(bytes_read(&ran) <= most, "{}", ran.stderr);
}

/// File `i` is like the ones after it up to block `i`: a set that loses one member a round.
#[test]
fn a_set_can_diverge_at_every_block() {
    let t = Tree::new();
    let (count, block) = (200, 4096);
    let base = noise(4, count * block);
    for i in 0..count {
        let mut bytes = base.clone();
        bytes[i * block + 77] ^= 1;
        t.write(format!("f{i:03}"), &bytes);
    }
    t.write("g", &base);
    t.write("h", &base);
    let ran = t.run(["."]).exits(0);
    assert_eq!(lines(&ran), [["./g", "./h"]]);
}

#[test]
fn one_byte_anywhere_makes_a_difference() {
    let t = Tree::new();
    let base = noise(5, 200_000);
    for place in [0, 4095, 4096, 65_535, 65_536, 100_000, 131_072, 199_999] {
        let mut bytes = base.clone();
        bytes[place] ^= 1;
        t.write(format!("d{place}"), &bytes);
    }
    t.write("base", &base);
    t.write("base2", &base);
    assert_eq!(lines(&t.run(["."]).exits(0)), [["./base", "./base2"]]);
}

#[test]
fn size_and_content_both_count() {
    let t = Tree::new();
    t.write("one/x", "x");
    t.write("one/y", "x");
    t.write("one/z", "z");
    t.write("nul/a", "abc");
    t.write("nul/b", "abc\0");
    t.write("empty/a", "");
    t.write("empty/b", "");
    let ran = t.run(["."]).exits(0);
    assert_eq!(ran.out(), "./one/x\n./one/y\n\n");
    assert_eq!(
        ran.stderr,
        "7 total files\n1 size collisions, max of length 3\nbytes read 3\n"
    );
}

/// `(1 << 32) - 1` bits of CRC say the same; the bytes do not.
#[test]
fn equal_checksums_are_no_proof() {
    let t = Tree::new();
    // CRC-32 is linear: xor with a multiple of its polynomial changes no checksum.
    let polynomial = [0x80u8, 0x20, 0x83, 0xB8, 0xED, 0x00]; // x^32 + ... + 1, bit-reflected
    let mut numbers = 0;
    for i in 0..40usize {
        let mut bytes = noise(6, 5000);
        for j in 0..6 {
            bytes[100 + i * 7 + j] ^= polynomial[j];
        }
        t.write(format!("f{i}"), &bytes);
        numbers += 1;
    }
    t.write("g", noise(6, 5000));
    let crc = |name: &str| crc32(&fs::read(t.path(name)).unwrap());
    assert!(
        (0..numbers).all(|i| crc(&format!("f{i}")) == crc("g")),
        "the test is wrong"
    );
    assert_eq!(t.run(["."]).exits(0).out(), "");
    t.write("h", noise(6, 5000));
    assert_eq!(lines(&t.run(["."]).exits(0)), [["./g", "./h"]]);
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| {
            c >> 1 ^ if c & 1 == 1 { 0xEDB8_8320 } else { 0 }
        })
    })
}

#[test]
fn output_is_ordered_by_saving_then_by_path() {
    let t = Tree::new();
    for (name, size, seed) in [
        ("z1", 300, 1),
        ("z2", 300, 1),
        ("b1", 300, 2),
        ("b2", 300, 2),
    ] {
        t.write(name, noise(seed, size));
    }
    for name in ["s3", "s1", "s2", "s4"] {
        t.write(name, noise(3, 120)); // three times 120 bytes to save
    }
    for name in ["l1", "l/2", "l!", "L"] {
        t.write(name, noise(4, 50));
    }
    let want = "./s1\n./s2\n./s3\n./s4\n\n./b1\n./b2\n\n./z1\n./z2\n\n./L\n./l!\n./l/2\n./l1\n\n";
    for _ in 0..5 {
        assert_eq!(t.run(["."]).exits(0).out(), want);
    }
}

#[test]
fn operands_are_files_and_directories_and_spelled_as_given() {
    let t = Tree::new();
    for name in ["a", "d/b", "d/e/c"] {
        t.write(name, "same");
    }
    assert_eq!(
        t.run(["d/e//", "a", "./d/b"]).exits(0).out(),
        "./d/b\na\nd/e//c\n\n"
    );
    let absolute = t.path("d");
    let ran = run(Command::new(DUPES).arg(&absolute)).exits(0);
    let d = absolute.display();
    assert_eq!(ran.out(), format!("{d}/b\n{d}/e/c\n\n"));
}

#[test]
fn hard_links_are_listed_once_by_their_first_name() {
    let t = Tree::new();
    t.write("b/i1", noise(1, 5000));
    fs::hard_link(t.path("b/i1"), t.path("a1")).unwrap();
    fs::hard_link(t.path("b/i1"), t.path("z1")).unwrap();
    t.write("c/i2", noise(1, 5000));
    fs::hard_link(t.path("c/i2"), t.path("c/i3")).unwrap();
    t.write("only", noise(2, 5001));
    fs::hard_link(t.path("only"), t.path("only2")).unwrap();
    let ran = t.run(["."]).exits(0);
    assert_eq!(ran.out(), "./a1\n./c/i2\n\n");
    assert_eq!(
        ran.stderr,
        "7 total files\n1 size collisions, max of length 2\nbytes read 10000\n"
    );
}

#[test]
fn overlapping_operands_are_seen_once() {
    let t = Tree::new();
    t.write("a/b/f", "same");
    t.write("a/g", "same");
    let want = "a/b/f\na/g\n\n";
    for args in [
        &["a", "a/b"][..],
        &["a/b", "a"],
        &["a", "a"],
        &["a", "a/g", "a/b/f", "a/b"],
    ] {
        let ran = t.run(args).exits(0);
        assert_eq!(ran.out(), want, "{args:?}");
        assert!(
            ran.stderr.starts_with("2 total files\n"),
            "{args:?}: {}",
            ran.stderr
        );
    }
    assert_eq!(t.run(["a", "./a"]).exits(0).out(), "./a/b/f\n./a/g\n\n");
    assert_eq!(t.run(["a/g", "a/g"]).exits(0).out(), "");
}

#[test]
fn bind_mounts_are_seen_once() {
    let t = Tree::new();
    t.write("a/x/f", "same");
    t.write("a/g", "same");
    for name in ["m", "a/x/loop"] {
        t.dir(name);
    }
    if !can("bind_mounts_are_seen_once", true, &["mount", "umount"]) {
        return;
    }
    let mounts = [("a", "m"), ("a", "a/x/loop")];
    for (from, to) in mounts {
        let ran = run(command("mount")
            .arg("--bind")
            .args([t.path(from), t.path(to)]));
        if ran.code != 0 {
            return skipped("bind_mounts_are_seen_once", ran.stderr.trim());
        }
    }
    let ran = t.run(["."]);
    for (_, to) in mounts.iter().rev() {
        must("umount", [t.path(to)]);
    }
    let ran = ran.exits(0);
    assert_eq!(ran.out(), "./a/g\n./a/x/f\n\n");
    assert!(ran.stderr.starts_with("2 total files\n"), "{}", ran.stderr);
}

#[test]
fn a_bind_mount_may_have_other_folders_below() {
    let test = "a_bind_mount_may_have_other_folders_below";
    let t = Tree::new();
    t.dir("z/sub");
    t.dir("0");
    if !can(test, true, &["mount", "umount"]) {
        return;
    }
    must(
        "mount",
        ["-t", "tmpfs", "none", t.path("z/sub").to_str().unwrap()],
    );
    for name in ["z/sub/f", "z/sub/g", "z/h"] {
        t.write(name, "hello");
    }
    must(
        "mount",
        [
            OsStr::new("--bind"),
            t.path("z").as_ref(),
            t.path("0").as_ref(),
        ],
    );
    let runs: Vec<Ran> = (0..20)
        .map(|n| t.run([["-q", "z", "0"], ["-q", "0", "z"]][n % 2]))
        .collect();
    must("umount", [t.path("0")]);
    must("umount", [t.path("z/sub")]);
    for ran in runs {
        assert_eq!(ran.exits(0).out(), "0/h\nz/sub/f\nz/sub/g\n\n");
    }
}

#[test]
fn a_list_without_end_and_a_closed_one() {
    let t = Tree::new();
    let ran = t.run(["-q", "--files-from=/dev/zero"]).exits(2);
    assert_eq!(ran.stderr, "dupes: /dev/zero: File name too long\n");
    let mut shell = command("sh");
    shell.current_dir(t.path(".")).args([
        "-c",
        "exec \"$0\" -q - <&-",
        env!("CARGO_BIN_EXE_dupes"),
    ]);
    let ran = run(&mut shell).exits(2);
    assert_eq!(ran.stderr, "dupes: standard input: Bad file descriptor\n");
}

#[test]
fn links_are_followed_as_operands_only() {
    let t = Tree::new();
    t.write("d/real1", "content");
    t.write("d/real2", "content");
    symlink("real1", t.path("d/link")).unwrap();
    symlink("nowhere", t.path("d/dangling")).unwrap();
    symlink("loop2", t.path("d/loop1")).unwrap();
    symlink("loop1", t.path("d/loop2")).unwrap();
    t.dir("d/sub");
    symlink("..", t.path("d/sub/up")).unwrap();
    symlink("d", t.path("to-dir")).unwrap();
    symlink("d/real1", t.path("to-file")).unwrap();
    assert_eq!(t.run(["d"]).exits(0).out(), "d/real1\nd/real2\n\n");
    assert_eq!(
        t.run(["to-dir"]).exits(0).out(),
        "to-dir/real1\nto-dir/real2\n\n"
    );
    assert_eq!(
        t.run(["to-file", "d/real2"]).exits(0).out(),
        "d/real2\nto-file\n\n"
    );
    let ran = t.run(["d/loop1", "d"]).exits(1);
    assert!(
        ran.stderr
            .starts_with("dupes: d/loop1: Too many levels of symbolic links\n")
    );
}

#[test]
fn special_files_are_never_opened() {
    let t = Tree::new();
    t.write("a", "same");
    t.write("b", "same");
    for name in ["fifo1", "fifo2"] {
        must("mkfifo", [t.path(name)]);
    }
    let _socket = std::os::unix::net::UnixListener::bind(t.path("socket")).unwrap();
    let ran = t.run([".", "fifo1", "/dev/null"]).exits(1);
    assert_eq!(ran.out(), "./a\n./b\n\n");
    let told = "dupes: fifo1: not a regular file or directory\n\
                dupes: /dev/null: not a regular file or directory\n2 total files\n";
    assert!(ran.stderr.starts_with(told), "{}", ran.stderr);
    if let Some((_, log)) = strace("special files", "open,openat", &[], &mut t.dupes(["."])) {
        assert!(!log.contains("fifo") && !log.contains("socket"), "{log}");
    }
}

#[test]
fn names_of_any_bytes() {
    let t = Tree::new();
    let mut names: Vec<Vec<u8>> = [
        &b"new\nline"[..],
        b"latin1-\xe9\xff",
        b" leading",
        b"trailing ",
        b"quote'\"`$(x)\\",
        b"-rf",
        b"tab\tx",
        b"\x01\x1b[31mred",
        "caf\u{e9}".as_bytes(),
        b"cafe\xcc\x81",
        &[b'n'; 255],
    ]
    .iter()
    .map(|n| n.to_vec())
    .collect();
    names.sort();
    for name in &names {
        t.write(OsStr::from_bytes(name), "same in all");
    }
    let ran = t.run(["-0", "."]).exits(0);
    let mut want = Vec::new();
    for name in &names {
        want.extend_from_slice(b"./");
        want.extend_from_slice(name);
        want.push(0);
    }
    want.push(0);
    assert_eq!(ran.stdout, want);
    // What comes out goes in.
    let again = t.shell("dupes -q0 . | dupes -q0 -").exits(0);
    assert_eq!(again.stdout, want);
    let json = t.run(["--json", "-q", "."]).exits(0).out();
    let object: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(object["size"], 11);
    let latin1 = object["paths"]
        .as_array()
        .unwrap()
        .iter()
        .find(|p| p.is_object())
        .unwrap();
    assert_eq!(latin1["path"], "./latin1-\u{fffd}\u{fffd}");
    assert_eq!(latin1["path_bytes"], "Li9sYXRpbjEt6f8=");
}

#[test]
fn paths_longer_than_the_kernel_takes() {
    use rustix::fs::{AtFlags, CWD, Mode, OFlags, mkdirat, openat, unlinkat};
    let t = Tree::new();
    let name = "L".repeat(200);
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut folders = vec![openat(CWD, t.0.path(), flags, Mode::empty()).unwrap()];
    for _ in 0..30 {
        let here = folders.last().unwrap();
        mkdirat(here, &name, Mode::RWXU).unwrap();
        folders.push(openat(here, &name, flags, Mode::empty()).unwrap());
    }
    for file in ["deep1", "deep2"] {
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
        let fd = openat(folders.last().unwrap(), file, flags, Mode::RWXU).unwrap();
        File::from(fd).write_all(&noise(1, 9000)).unwrap();
    }
    let deep = format!("{}{name}", format!("{name}/").repeat(29));
    let want = format!("{deep}/deep1\n{deep}/deep2\n\n");
    let walked = t.run(["."]).exits(0).out().replace("./L", "L");
    // With few descriptors every folder is opened by its path.
    let few = t
        .shell("ulimit -n 16; exec dupes -q .")
        .exits(0)
        .out()
        .replace("./L", "L");
    t.write("list", format!("{deep}/deep1\n{deep}/deep2\n"));
    let listed = t.run(["--files-from=list"]).exits(0).out();
    let here = folders.last().unwrap();
    unlinkat(here, "deep1", AtFlags::empty()).unwrap();
    unlinkat(here, "deep2", AtFlags::empty()).unwrap();
    folders.pop();
    while let Some(here) = folders.pop() {
        unlinkat(&here, &name, AtFlags::REMOVEDIR).unwrap();
    }
    assert_eq!([walked, few, listed], [want.clone(), want.clone(), want]);
}

// ---- how little is read ----

#[test]
fn bytes_read_are_those_that_reads_returned() {
    let t = Tree::new();
    for i in 0..30u64 {
        let mut bytes = noise(i % 3, 70_000 + 1000 * (i as usize % 5));
        bytes[40_000] = (i % 2) as u8;
        t.write(format!("f{i}"), bytes);
    }
    let Some((ran, log)) = strace("bytes read", "read,pread64", &[], &mut t.dupes(["."])) else {
        return;
    };
    // A call that another thread interrupts is written in two lines, the result in the second.
    let folder = t.0.path().to_string_lossy();
    let mut begun = std::collections::HashSet::new();
    let mut sum = 0;
    for line in log.lines() {
        let thread = line.split(' ').next().unwrap();
        if line.ends_with("<unfinished ...>") {
            if line.contains(&*folder) {
                begun.insert(thread);
            }
        } else if line.contains(&*folder) || begun.remove(thread) {
            sum += line
                .rsplit_once("= ")
                .unwrap()
                .1
                .trim()
                .parse::<u64>()
                .unwrap();
        }
    }
    assert_eq!(bytes_read(&ran.exits(0)), sum);
}

#[test]
fn no_byte_of_true_duplicates_is_read_twice() {
    let t = Tree::new();
    let mut total = 0;
    for (i, size) in [1, 4096, 4097, 8192, 8193, 65_536, 200_001, 5 << 20]
        .into_iter()
        .enumerate()
    {
        for copy in 0..3 {
            t.write(format!("{i}-{copy}"), noise(i as u64, size));
            total += size as u64;
        }
    }
    let ran = t.run(["."]).exits(0);
    assert_eq!(lines(&ran).len(), 8);
    assert_eq!(bytes_read(&ran), total);
}

#[test]
fn files_that_differ_early_are_hardly_read() {
    let t = Tree::new();
    let header = noise(1, 300_000);
    for i in 0..40 {
        let file = File::create(t.path(format!("f{i}"))).unwrap();
        let body = noise(100 + i, 4 << 20);
        file.write_all_at(&body, 0).unwrap();
        file.write_all_at(&header, 0).unwrap();
        file.write_all_at(&[0; 100_000], (4 << 20) - 100_000)
            .unwrap();
    }
    let ran = t.run(["."]).exits(0);
    assert_eq!(ran.out(), "");
    assert!(bytes_read(&ran) <= 40 * 3 * 5120, "{}", ran.stderr);
}

#[test]
fn sizes_of_one_file_are_not_opened() {
    let t = Tree::new();
    t.write("alone", "abc");
    t.write("a", "abcd");
    t.write("b", "abcd");
    if let Some((ran, log)) = strace("alone", "openat", &[], &mut t.dupes(["."])) {
        assert_eq!(ran.exits(0).out(), "./a\n./b\n\n");
        assert!(log.contains("/a\"") && !log.contains("alone"), "{log}");
    }
}

#[test]
fn holes_are_not_read() {
    let t = Tree::new();
    let sparse = |name: &str, size: u64, data: &[(u64, &[u8])]| {
        let file = File::create(t.path(name)).unwrap();
        file.set_len(size).unwrap();
        data.iter()
            .for_each(|(at, bytes)| file.write_all_at(bytes, *at).unwrap());
    };
    let size = 1 << 40;
    if File::create(t.path("try"))
        .unwrap()
        .set_len(size + 3)
        .is_err()
    {
        return skipped(
            "holes_are_not_read",
            "files of a terabyte are not possible here",
        );
    }
    fs::remove_file(t.path("try")).unwrap();
    for place in [0, 4096, 123_456_789_012, size / 2, size - 1] {
        t.dir("huge");
        sparse("huge/1", size, &[]);
        sparse("huge/2", size, &[(place, b"z")]);
        let ran = t.run(["huge"]).exits(0);
        assert_eq!(ran.out(), "", "{place}");
        assert!(bytes_read(&ran) <= 8192, "{place}: {}", ran.stderr);
        sparse("huge/1", size, &[(place, b"y")]);
        let ran = t.run(["huge"]).exits(0);
        assert_eq!(ran.out(), "", "{place}");
        assert!(bytes_read(&ran) <= 8192, "{place}: {}", ran.stderr);
        sparse("huge/1", size, &[(place, b"z")]);
        let ran = t.run(["huge"]).exits(0);
        assert_eq!(ran.out(), "huge/1\nhuge/2\n\n", "{place}");
        assert!(bytes_read(&ran) <= 8192, "{place}: {}", ran.stderr);
        fs::remove_dir_all(t.path("huge")).unwrap();
    }
    sparse("s1", 8 << 20, &[(4 << 20, b"xxxxx")]);
    sparse("s2", 8 << 20, &[(4 << 20, b"xxxxx"), (6 << 20, &[0; 4096])]);
    let mut full = vec![0; 8 << 20];
    full[4 << 20..][..5].copy_from_slice(b"xxxxx");
    t.write("full", &full);
    full[7 << 20] = 1;
    t.write("other", &full);
    sparse("h1", 64 << 20, &[]);
    sparse("h2", 64 << 20, &[]);
    let ran = t.run(["."]).exits(0);
    assert_eq!(
        lines(&ran),
        [vec!["./h1", "./h2"], vec!["./full", "./s1", "./s2"]]
    );
}

/// On each file system that shares blocks.
#[test]
fn shared_blocks_are_not_read() {
    for kind in ["xfs", "btrfs"] {
        let test = format!("shared_blocks_are_not_read ({kind})");
        let t = Tree::new();
        if let Some(mounted) = Mounted::make(&test, t.0.path(), kind, 1 << 30) {
            shared_blocks(&mounted.0, kind);
        }
    }
}

fn shared_blocks(dir: &Path, kind: &str) {
    let clone = |from: &str, to: &str| {
        must(
            "cp",
            [
                OsStr::new("--reflink=always"),
                dir.join(from).as_os_str(),
                dir.join(to).as_os_str(),
            ],
        );
    };
    let dupes = || run(Command::new(DUPES).arg(".").current_dir(dir)).exits(0);
    let size = 20 << 20;
    fs::write(dir.join("a"), noise(1, size)).unwrap();
    clone("a", "b");
    clone("a", "c");
    let ran = dupes();
    assert_eq!(lines(&ran), [["./a", "./b", "./c"]]);
    assert_eq!(bytes_read(&ran), 0, "{kind}: clones");

    // A copy of its own is compared with one of the clones only.
    fs::write(dir.join("copy"), noise(1, size)).unwrap();
    let ran = dupes();
    assert_eq!(lines(&ran), [["./a", "./b", "./c", "./copy"]]);
    assert_eq!(
        bytes_read(&ran),
        2 * size as u64,
        "{kind}: clones and a copy"
    );
    fs::remove_file(dir.join("copy")).unwrap();

    // A byte that is changed and perhaps not on the disk yet.
    clone("a", "changed");
    let changed = File::options()
        .write(true)
        .open(dir.join("changed"))
        .unwrap();
    changed.write_all_at(b"?", 13 << 20).unwrap();
    let ran = dupes();
    assert_eq!(lines(&ran), [["./a", "./b", "./c"]], "{kind}");
    assert!(
        bytes_read(&ran) <= 512 << 10,
        "{kind}: one block differs: {}",
        ran.stderr
    );
    for name in ["b", "c", "changed"] {
        fs::remove_file(dir.join(name)).unwrap();
    }

    if kind == "btrfs" {
        must(
            "btrfs",
            [
                OsStr::new("subvolume"),
                "create".as_ref(),
                dir.join("sub").as_os_str(),
            ],
        );
        clone("a", "sub/clone");
        must(
            "btrfs",
            ["subvolume", "snapshot", "sub", "snap"].map(|w| match w {
                "sub" | "snap" => dir.join(w).into_os_string(),
                word => word.into(),
            }),
        );
        let ran = dupes();
        assert_eq!(lines(&ran), [["./a", "./snap/clone", "./sub/clone"]]);
        assert_eq!(bytes_read(&ran), 0, "subvolumes and snapshots");
    }
}

/// Compressed extents look the same from wherever in them a file takes its bytes.
#[test]
fn shared_compressed_blocks_prove_nothing() {
    let test = "shared_compressed_blocks_prove_nothing";
    let t = Tree::new();
    if !can(test, true, &["xfs_io"]) {
        return;
    }
    let Some(mounted) = Mounted::make(test, t.0.path(), "btrfs", 1 << 30) else {
        return;
    };
    let dir = &mounted.0;
    let remount = ["-o", "remount,compress-force=zlib"].map(OsStr::new);
    must("mount", [remount[0], remount[1], dir.as_os_str()]);
    let text: String = (0..20_000).map(|i| format!("{i:07}\n")).collect();
    fs::write(dir.join("a"), &text[..128 << 10]).unwrap();
    must("sync", ["-f".as_ref(), dir.as_os_str()]);
    // Both halves of the other file are the second half of this one.
    File::create(dir.join("b")).unwrap();
    for to in [0, 64 << 10] {
        let part = format!(
            "reflink {} {} {to} {}",
            dir.join("a").display(),
            64 << 10,
            64 << 10
        );
        must(
            "xfs_io",
            ["-c".as_ref(), OsStr::new(&part), dir.join("b").as_os_str()],
        );
    }
    let ran = run(Command::new(DUPES).arg(".").current_dir(dir)).exits(0);
    assert_eq!(ran.out(), "");
    must(
        "cp",
        [
            "--reflink=always".as_ref(),
            dir.join("a").as_os_str(),
            dir.join("c").as_os_str(),
        ],
    );
    let ran = run(Command::new(DUPES).arg(".").current_dir(dir)).exits(0);
    assert_eq!(lines(&ran), [["./a", "./c"]]);
}

// ---- bounds ----

/// Files of one size: some alike as a whole, some with a common start, most alone.
fn many_of_one_size(t: &Tree, count: u64) -> BTreeMap<u64, Vec<String>> {
    let mut want: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for i in 0..count {
        let content = if i % 4 == 3 { i / 8 } else { i };
        let mut bytes = noise(content, 12_000);
        if content % 3 != 0 {
            bytes[..5000].copy_from_slice(&noise(u64::MAX, 5000));
        }
        let name = format!("d{}/f{i:05}", i % 7);
        t.write(&name, bytes);
        want.entry(content).or_default().push(format!("./{name}"));
    }
    want.retain(|_, names| names.len() > 1);
    want.values_mut().for_each(|names| names.sort());
    want
}

#[track_caller]
fn assert_groups(ran: &Ran, want: &BTreeMap<u64, Vec<String>>) {
    let mut want: Vec<_> = want.values().cloned().collect();
    want.sort();
    let mut got = lines(ran);
    got.sort();
    assert_eq!(got.len(), want.len());
    assert_eq!(got, want);
}

#[test]
fn six_thousand_files_of_one_size_with_64_descriptors() {
    let t = Tree::new();
    let want = many_of_one_size(&t, 6000);
    let ran = t.shell("ulimit -n 64; exec dupes .").exits(0);
    assert_groups(&ran, &want);
    let few = bytes_read(&ran);
    let ran = t.run(["."]).exits(0);
    assert_groups(&ran, &want);
    assert_eq!(bytes_read(&ran), few, "the limit costs no reads");
    // Little memory, too: then some blocks are told apart by digests and read again.
    let ran = t.shell("ulimit -n 10; exec dupes --memory=1M .").exits(0);
    assert_groups(&ran, &want);
    let ran = t.run(["--memory=0", "."]).exits(0);
    assert_groups(&ran, &want);
}

#[test]
fn the_soft_limit_on_descriptors_is_raised() {
    let t = Tree::new();
    for i in 0..200 {
        t.write(format!("f{i}"), noise(7, 40_000));
    }
    let opens = |limit: &str| {
        let mut sh = command("sh");
        sh.current_dir(t.0.path())
            .args(["-c", &format!("ulimit {limit}; exec {DUPES} .")]);
        let is_file = |line: &&str| line.contains("\"./f");
        let log = strace("descriptors", "openat", &[], &mut sh).map(|(_, log)| log);
        log.map(|log| log.lines().filter(is_file).count())
    };
    if let Some(count) = opens("-S -n 40") {
        assert_eq!(count, 200, "each is opened once");
        assert!(
            opens("-n 40").unwrap() > 400,
            "with a hard limit they are opened again"
        );
    }
}

// ---- options ----

#[test]
fn help_and_version() {
    let t = Tree::new();
    golden("dupes/help", &t.run(["--help"]).exits(0).out());
    assert_eq!(t.run(["-V", "--nonsense"]).exits(0).out(), "dupes 0.1.0\n");
    assert_eq!(t.run(["-qh"]).exits(0).out(), t.run(["--help"]).out());
}

#[test]
fn usage_errors() {
    let t = Tree::new();
    let none: [&str; 0] = [];
    for (args, why) in [
        (&none[..], "no file or directory given"),
        (&["-q"], "no file or directory given"),
        (&["--nonsense", "."], "invalid option '--nonsense'"),
        (&["-x", "."], "invalid option '-x'"),
        (
            &["--quiet=1", "."],
            "unexpected argument for option '--quiet': \"1\"",
        ),
        (
            &["--progress=77", "."],
            "--progress '77': not open for writing",
        ),
        (
            &["--progress=x", "."],
            "--progress 'x': not a file descriptor",
        ),
    ] {
        let ran = t.run(args).exits(2);
        let want = format!("dupes: {why}\nTry 'dupes --help' for more information.\n");
        assert_eq!(ran.stderr, want, "{args:?}");
        assert!(ran.stdout.is_empty());
    }
    let ran = t.run(["--memory=lots", "."]).exits(2);
    assert!(
        ran.stderr.starts_with("dupes: --memory 'lots': "),
        "{}",
        ran.stderr
    );
    let ran = t.run(["--memory"]).exits(2);
    assert!(ran.stderr.starts_with("dupes: "), "{}", ran.stderr);
}

#[test]
fn json_has_an_object_a_line() {
    let t = Tree::new();
    t.write("a/1", noise(1, 10_000));
    t.write("a/2", noise(1, 10_000));
    t.write("b/3", "x");
    t.write("b/4", "x");
    t.write("b/5", "x");
    t.write("b/6", "y");
    let ran = t.run(["--json", "-0", "a", "missing", "b"]).exits(1);
    golden("dupes/json", &ran.out());
    assert_eq!(
        ran.stderr,
        "dupes: missing: No such file or directory\n\
         6 total files\n2 size collisions, max of length 4\nbytes read 20004\n"
    );
}

#[test]
fn quiet_leaves_errors_only() {
    let t = Tree::new();
    t.write("a", "x");
    t.write("b", "x");
    assert_eq!(t.run(["-q", "."]).exits(0).stderr, "");
    t.run(["--quiet", ".", "gone"])
        .exits(1)
        .says("dupes: gone: No such file or directory");
}

#[test]
fn names_come_from_lists() {
    let t = Tree::new();
    for name in ["a", "d/b", "c", "e\nf"] {
        t.write(name, "same");
    }
    t.write("lines", "a\n\n\nd\nc");
    t.write("nuls", "a\0\0e\nf\0");
    let all = "a\nc\nd/b\n\n";
    assert_eq!(t.run(["--files-from=lines"]).exits(0).out(), all);
    assert_eq!(t.run(["--files-from", "lines", "a"]).exits(0).out(), all);
    assert_eq!(t.shell("dupes -- - <lines").exits(0).out(), all);
    assert_eq!(t.shell("dupes --files-from=- c <lines").exits(0).out(), all);
    assert_eq!(
        t.run(["-0", "--files-from=nuls"]).exits(0).out(),
        "a\0e\nf\0\0"
    );
    assert_eq!(
        t.shell("dupes c d - </dev/null").exits(0).out(),
        "c\nd/b\n\n"
    );
    let ran = t.shell("dupes - </dev/null").exits(0);
    assert_eq!(
        ran.stderr,
        "0 total files\n0 size collisions, max of length 0\nbytes read 0\n"
    );
    let ran = t.run(["-q", "--files-from=none", "a", "c"]).exits(1);
    assert_eq!(ran.out(), "a\nc\n\n");
    ran.says("dupes: none: No such file or directory");
    t.run(["-q", "--files-from=none"])
        .exits(2)
        .says("dupes: none: No such file or directory");
    t.run(["-q", "--files-from=d"])
        .exits(2)
        .says("dupes: d: Is a directory");
}

#[test]
fn progress_comes_as_lines_of_numbers() {
    let t = Tree::new();
    for (name, seed) in [("a", 1), ("b", 1), ("c", 2), ("d", 3)] {
        t.write(name, noise(seed, 300_000));
    }
    t.write("alone", "x");
    let ran = t.shell("dupes -q --progress=3 . 3>progress").exits(0);
    assert_eq!(ran.stderr, "");
    let text = fs::read_to_string(t.path("progress")).unwrap();
    assert!(
        text.starts_with("0 -\n") && text.ends_with("\n1200000 1200000\n"),
        "{text}"
    );
}

#[test]
fn usr1_prints_a_status_line() {
    let t = Tree::new();
    let mut child = t
        .dupes(["-q", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    until("the signals to be blocked", || {
        let text = fs::read_to_string(&status).unwrap();
        let mask = text.lines().find_map(|l| l.strip_prefix("SigBlk:"))?;
        (u64::from_str_radix(mask.trim(), 16).unwrap() & 1 << 9 != 0).then_some(())
    });
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let pid = rustix::process::Pid::from_child(&child);
    let (sender, receiver) = std::sync::mpsc::channel();
    // Reads on to the end: a status that nobody takes would end the tool.
    std::thread::spawn(move || {
        stderr
            .lines()
            .map(Result::unwrap)
            .all(|l| sender.send(l).is_ok())
    });
    // Before the work has begun there is no status to tell.
    let line = until("the status", || {
        rustix::process::kill_process(pid, rustix::process::Signal::USR1).unwrap();
        receiver.try_recv().ok()
    });
    assert!(line.starts_with("dupes: 0 B compared, "), "{line}");
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

// ---- what goes wrong ----

#[test]
fn operands_that_are_missing() {
    let t = Tree::new();
    t.write("d/a", "x");
    t.write("d/b", "x");
    let ran = t.run(["-q", "gone", "d", "d/a/b"]).exits(1);
    assert_eq!(ran.out(), "d/a\nd/b\n\n");
    assert_eq!(
        ran.stderr,
        "dupes: gone: No such file or directory\ndupes: d/a/b: Not a directory\n"
    );
    let ran = t.run(["gone", "two\nlines", ""]).exits(2);
    assert!(ran.stdout.is_empty());
    assert_eq!(
        ran.stderr,
        "dupes: gone: No such file or directory\ndupes: two\\nlines: No such file or directory\n\
         dupes: : No such file or directory\n\
         0 total files\n0 size collisions, max of length 0\nbytes read 0\n"
    );
}

#[test]
fn what_must_not_be_read_is_told_and_left_out() {
    let t = Tree::new();
    for name in ["u1", "u2", "u3", "closed/x"] {
        t.write(name, noise(1, 9000));
    }
    use std::os::unix::fs::PermissionsExt;
    let mode = |name: &str, mode| {
        fs::set_permissions(t.path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("", 0o755);
    mode("u3", 0);
    mode("closed", 0);
    // As another user the files are not ours: that must not matter for those that can be read.
    let tool = t.path("tool");
    let mut dupes = match common::is_root() {
        true => {
            if !can("what_must_not_be_read", true, &["setpriv"]) {
                return;
            }
            fs::copy(DUPES, &tool).unwrap();
            mode("tool", 0o755);
            let mut dupes = command("setpriv");
            dupes
                .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
                .arg(&tool);
            dupes
        }
        false => Command::new(DUPES),
    };
    dupes.current_dir(t.0.path()).arg("-q");
    let ran = run(dupes.arg("."));
    let alone = run(dupes.arg("closed"));
    mode("closed", 0o755);
    let mut told: Vec<_> = ran.stderr.lines().collect();
    told.sort();
    let want = [
        "dupes: ./closed: Permission denied",
        "dupes: ./u3: Permission denied",
    ];
    assert_eq!(told, want);
    assert_eq!(ran.exits(1).out(), "./u1\n./u2\n\n");
    alone.exits(1);
}

#[test]
fn a_folder_that_cannot_be_opened_is_no_use() {
    let t = Tree::new();
    t.dir("closed");
    let closed = t.path("closed").display().to_string();
    let Some(ran) = inject(&t, "closed", "openat:error=EACCES", &["-q", &closed]) else {
        return;
    };
    ran.exits(2)
        .says(&format!("dupes: {closed}: Permission denied"));
}

/// Runs the tool under strace, which fakes a result of a system call on a file.
fn inject(t: &Tree, file: &str, fault: &str, args: &[&str]) -> Option<Ran> {
    if !can("inject", false, &["strace"]) {
        return None;
    }
    let call = fault.split(':').next().unwrap();
    let mut command = command("strace");
    command
        .args(["-f", "-qqq", "-o", "/dev/null", "-P"])
        .arg(t.path(file));
    command.args([
        "-e",
        &format!("trace={call}"),
        "-e",
        &format!("inject={fault}"),
    ]);
    let ran = run(command
        .current_dir(t.0.path())
        .arg("--")
        .arg(DUPES)
        .args(args));
    if ran.stderr.contains("ptrace") {
        skipped("inject", "strace is not permitted");
        return None;
    }
    Some(ran)
}

#[test]
fn read_errors_leave_a_file_out() {
    let t = Tree::new();
    for name in ["a", "b", "c", "d"] {
        t.write(name, noise(1, 300_000));
    }
    for file in ["a", "b", "d"] {
        for when in 1..6 {
            let fault = format!("pread64:error=EIO:when={when}");
            let Some(ran) = inject(&t, file, &fault, &["."]) else {
                return;
            };
            let mut rest = vec!["./a", "./b", "./c", "./d"];
            rest.retain(|n| !n.ends_with(file));
            let told = format!("dupes: ./{file}: Input/output error\n4 total files\n");
            assert!(ran.stderr.starts_with(&told), "{}", ran.stderr);
            assert_eq!(lines(&ran.exits(1)), [rest], "{file}, read {when}");
        }
    }
    // Of two, none is left.
    fs::remove_file(t.path("c")).unwrap();
    fs::remove_file(t.path("d")).unwrap();
    let ran = inject(&t, "a", "pread64:error=EIO:when=2", &["."])
        .unwrap()
        .exits(1);
    assert_eq!(ran.out(), "");
}

#[test]
fn short_reads_and_interruptions_do_no_harm() {
    let t = Tree::new();
    t.write("a", noise(1, 300_000));
    t.write("b", noise(1, 300_000));
    let Some(ran) = inject(&t, "b", "pread64:error=EINTR:when=1..5+2", &["-q", "."]) else {
        return;
    };
    assert_eq!(ran.exits(0).out(), "./a\n./b\n\n");
}

#[test]
fn a_file_that_becomes_shorter_is_left_out() {
    let t = Tree::new();
    for name in ["a", "b", "c"] {
        t.write(name, noise(1, 300_000));
    }
    for when in [1, 3, 6] {
        let fault = format!("pread64:retval=0:when={when}+");
        let Some(ran) = inject(&t, "b", &fault, &["-q", "."]) else {
            return;
        };
        assert_eq!(ran.out(), "./a\n./c\n\n");
        ran.exits(1)
            .says("dupes: ./b: became shorter while it was read");
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_left_out() {
    let t = Tree::new();
    for name in ["a", "b", "c"] {
        t.write(name, noise(1, 300_000));
    }
    if !can("a_file_that_changes", false, &["strace"]) {
        return;
    }
    // Stopped at a read, so that the change falls between opening and the end.
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut stopped = command("strace");
    stopped.args(["-f", "-o"]).arg(log.path());
    stopped.arg("-P").arg(t.path("b"));
    stopped.args([
        "-e",
        "trace=pread64",
        "-e",
        "inject=pread64:signal=STOP:when=2",
    ]);
    stopped.args(["--", "sh", "-c", "echo $$; exec \"$0\" -q .", DUPES]);
    stopped.current_dir(t.0.path()).stdin(Stdio::null());
    let mut child = stopped
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut pid = String::new();
    stdout.read_line(&mut pid).unwrap();
    let pid: i32 = pid.trim().parse().unwrap();
    until("the tool to be stopped", || {
        fs::read_to_string(log.path())
            .unwrap()
            .contains("stopped by SIGSTOP")
            .then_some(())
    });
    // The bytes stay the same, so that only the time tells.
    let file = File::options().write(true).open(t.path("b")).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    let mut text = String::new();
    stdout.read_to_string(&mut text).unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap()).exits(1);
    assert_eq!(text, "./a\n./c\n\n");
    ran.says("dupes: ./b: changed while it was read");
}

#[test]
fn files_rewritten_all_the_time_do_no_harm() {
    let t = Tree::new();
    for name in ["live", "copy", "copy2"] {
        t.write(name, noise(1, 1 << 20));
    }
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let file = File::options().write(true).open(t.path("live")).unwrap();
            let mut i = 0u64;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                match i % 50 {
                    49 => file.set_len(1000 + i % 1000).unwrap(),
                    48 => file.set_len(1 << 20).unwrap(),
                    _ => file.write_all_at(&[i as u8], i * 7919 % (1 << 20)).unwrap(),
                }
                i += 1;
            }
        });
        let runs: Vec<Ran> = (0..30).map(|_| t.run(["-q", "."])).collect();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        for ran in runs {
            assert!(ran.code <= 1, "{}", ran.stderr);
            assert_eq!(ran.out(), "./copy\n./copy2\n\n");
        }
    });
}

#[test]
fn an_output_that_cannot_be_written() {
    let t = Tree::new();
    t.write("a", "x");
    t.write("b", "x");
    let full = "dupes: standard output: No space left on device\n";
    assert_eq!(t.shell("dupes -q . >/dev/full").exits(2).stderr, full);
    assert_eq!(
        t.shell("dupes -q --json . >/dev/full").exits(2).stderr,
        full
    );
    assert_eq!(t.shell("dupes --help >/dev/full").exits(2).stderr, full);
    let closed = "dupes: standard output: Bad file descriptor\n";
    assert_eq!(t.shell("dupes -q . >&-").exits(2).stderr, closed);
    assert_eq!(
        t.shell("dupes -q a >&-").exits(0).stderr,
        "",
        "nothing to write"
    );
    assert_eq!(t.shell("dupes . 2>&-").exits(0).out(), "./a\n./b\n\n");
    assert_eq!(t.shell("dupes -q . 0<&-").exits(0).out(), "./a\n./b\n\n");
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let t = Tree::new();
    for i in 0..2000 {
        t.write(format!("{}-{i}", "long name ".repeat(10)), "x");
    }
    let ran = t.shell("{ dupes -q .; echo $? >&2; } | head -c 1").exits(0);
    assert_eq!(ran.stderr, "141\n");
}

#[test]
fn a_signal_leaves_what_was_proven() {
    let t = Tree::new();
    for name in ["large1", "large2"] {
        t.write(name, noise(1, 4 << 20));
    }
    for name in ["slow1", "slow2"] {
        t.write(name, noise(2, 1 << 20));
    }
    if !can("a_signal_leaves_what_was_proven", false, &["strace"]) {
        return;
    }
    use rustix::process::{Pid, Signal, kill_process};
    for (signal, number) in [(Signal::INT, 2), (Signal::TERM, 15), (Signal::HUP, 1)] {
        // The smaller pair is read slowly; the larger one is done before the signal comes.
        let mut slow = command("strace");
        slow.args(["-f", "-qqq", "-o", "/dev/null", "-P"])
            .arg(t.path("slow1"));
        slow.args([
            "-e",
            "trace=pread64",
            "-e",
            "inject=pread64:delay_enter=300000",
        ]);
        slow.args([
            "--",
            "sh",
            "-c",
            "echo $$; exec \"$0\" --progress=1 . 3>&1",
            DUPES,
        ]);
        slow.current_dir(t.0.path()).stdin(Stdio::null());
        let mut child = slow
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap);
        let pid = stdout
            .next()
            .unwrap()
            .parse()
            .ok()
            .and_then(Pid::from_raw)
            .unwrap();
        let is_done = |line: &String| {
            let done = line.split(' ').next().unwrap().parse::<u64>();
            done.is_ok_and(|done| done >= 8 << 20)
        };
        stdout.find(is_done).expect("the large pair is done first");
        kill_process(pid, signal).unwrap();
        let rest: Vec<String> = stdout.filter(|l| !l.ends_with("10485760")).collect();
        assert_eq!(rest, ["./large1", "./large2", ""]);
        let mut told = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut told)
            .unwrap();
        let summary = "4 total files\n2 size collisions, max of length 2\nbytes read ";
        assert!(told.starts_with(summary), "{told}");
        let ran = child.wait_with_output().unwrap();
        assert_eq!(Ran::from(ran).code, 128 + number);
    }
}

// ---- the whole ----

/// Files made of few sizes and few places where they can differ, so that many are equal, many
/// nearly so.
#[derive(Clone, Debug)]
struct Sketch {
    size: usize,
    base: u64,
    changed: Vec<usize>,
    is_sparse: bool,
}

impl Sketch {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = match self.base {
            0 => vec![0; self.size],
            seed => noise(seed, self.size),
        };
        for place in &self.changed {
            bytes[*place % self.size] ^= 0x55;
        }
        bytes
    }
}

fn sketch() -> impl Strategy<Value = Sketch> {
    let sizes = vec![
        1, 2, 500, 4096, 4097, 8192, 8200, 20_000, 65_536, 150_000, 400_000,
    ];
    let places = vec![
        0, 1, 4095, 4096, 5000, 10_000, 19_999, 65_535, 75_000, 149_999, 262_144,
    ];
    let changed = prop::collection::vec(prop::sample::select(places), 0..2);
    (prop::sample::select(sizes), 0..2u64, changed, any::<bool>()).prop_map(
        |(size, base, changed, is_sparse)| Sketch {
            size,
            base,
            changed,
            is_sparse,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn groups_are_those_of_a_naive_comparison(
        sketches in prop::collection::vec(sketch(), 1..40), setting in 0..4usize,
    ) {
        let t = Tree::new();
        let mut want: BTreeMap<Vec<u8>, Vec<String>> = BTreeMap::new();
        for (i, sketch) in sketches.iter().enumerate() {
            let name = format!("d{}/f{i}", i % 3);
            let bytes = sketch.bytes();
            t.write(&name, if sketch.is_sparse { &[] } else { &bytes[..] });
            if sketch.is_sparse {
                let file = File::options().write(true).open(t.path(&name)).unwrap();
                file.set_len(bytes.len() as u64).unwrap();
                for (n, block) in bytes.chunks(4096).enumerate() {
                    if block.iter().any(|b| *b != 0) {
                        file.write_all_at(block, n as u64 * 4096).unwrap();
                    }
                }
            }
            want.entry(bytes).or_default().push(format!("./{name}"));
        }
        let total: u64 = want.iter().map(|(k, v)| (k.len() * v.len()) as u64).sum();
        let mut want: Vec<_> = want.into_iter().filter(|(_, names)| names.len() > 1).collect();
        want.iter_mut().for_each(|(_, names)| names.sort());
        want.sort_by_key(|(bytes, names)| {
            (std::cmp::Reverse(bytes.len() * (names.len() - 1)), names[0].clone())
        });
        let want: Vec<_> = want.into_iter().map(|(_, names)| names).collect();
        let line = [
            "dupes .", "ulimit -n 16; exec dupes .", "dupes --memory=64K .",
            "ulimit -n 12; exec dupes --memory=0 .",
        ][setting];
        let ran = t.shell(line).exits(0);
        prop_assert_eq!(lines(&ran), want);
        if setting < 2 {
            prop_assert!(bytes_read(&ran) <= total, "{} of {total}", ran.stderr);
        }
    }
}

/// The examples of the manual page.
#[test]
fn examples_of_the_manual_page() {
    let t = Tree::new();
    t.write("photos/1.iso", noise(1, 5000));
    t.write("photos/2.jpg", noise(1, 5000));
    t.write("backup/photos/3.iso", noise(1, 5000));
    for image in ["disk.img", "copy1.img", "copy2.img"] {
        t.write(image, noise(2, 6000));
    }
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../man/dupes.1");
    let page = fs::read_to_string(page).unwrap();
    let examples: Vec<_> = page
        .lines()
        .filter_map(|l| l.strip_prefix(".Dl $ "))
        .collect();
    let mut run = Vec::new();
    for example in examples {
        let wanted = example.split_whitespace().find(|w| *w == "jq");
        if wanted.is_some_and(|w| find(w).is_none()) {
            skipped("examples_of_the_manual_page", "jq is not installed");
            run.push(String::from("5000\n"));
            continue;
        }
        let out = t.shell(example).exits(0).out().replace('\0', "|");
        run.push(out);
    }
    assert_eq!(
        run,
        [
            "backup/photos/3.iso\nphotos/1.iso\nphotos/2.jpg\n\n",
            "./backup/photos/3.iso|./photos/1.iso||",
            "5000\n",
            "photos/2.jpg\n",
            "",
        ]
    );
}
