//! Black-box tests of dupes as cmp: what the section CMP of `man/dupes.1` promises.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Mounted, Ran, can, command, find, must, run, skipped, strace};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tempfile::TempDir;

const DUPES: &str = env!("CARGO_BIN_EXE_dupes");

/// A folder with files to compare.
struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    /// With `a`, `b` that differs, `c` that is empty, and no `d`.
    fn with_letters() -> Folder {
        let folder = Folder::new();
        folder.write("a", "a\n");
        folder.write("b", "b\n");
        folder.write("c", "");
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn sparse(&self, name: &str, size: u64, parts: &[(u64, &[u8])]) {
        let file = File::create(self.path(name)).unwrap();
        file.set_len(size).unwrap();
        parts
            .iter()
            .for_each(|(at, bytes)| file.write_all_at(bytes, *at).unwrap());
    }

    fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(DUPES);
        command.arg0("cmp").args(args).current_dir(self.0.path());
        command
            .env("LC_ALL", "C")
            .env_remove("CMP_COMPAT")
            .env_remove("POSIXLY_CORRECT");
        command
    }

    fn cmp(&self, line: &str) -> Ran {
        run(&mut self.command(line.split_whitespace()))
    }

    /// A line of shell in which `cmp` is ours.
    fn shell(&self, line: &str) -> Ran {
        let bin = self.path("bin");
        if !bin.exists() {
            fs::create_dir(&bin).unwrap();
            symlink(DUPES, bin.join("cmp")).unwrap();
        }
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let mut sh = command("sh");
        sh.args(["-c", line])
            .env("PATH", path)
            .current_dir(self.0.path());
        run(&mut sh)
    }
}

#[track_caller]
fn is(ran: &Ran, code: i32, stdout: &str, stderr: &str) {
    assert_eq!(
        (ran.code, &*ran.out(), &*ran.stderr),
        (code, stdout, stderr)
    );
}

#[test]
fn by_name_and_by_option() {
    let f = Folder::with_letters();
    is(&f.cmp("a b"), 1, "a b differ: char 1, line 1\n", "");
    is(&f.shell("cmp a b"), 1, "a b differ: char 1, line 1\n", "");
    let mut dupes = Command::new(DUPES);
    dupes
        .args(["--cmp", "a", "d"])
        .current_dir(f.0.path())
        .env("LC_ALL", "C");
    is(
        &run(&mut dupes),
        2,
        "",
        "cmp: d: No such file or directory\n",
    );
    let mut late = Command::new(DUPES);
    let ran = run(late.args(["a", "--cmp"]));
    assert_eq!(
        (ran.code, ran.stderr.lines().next()),
        (2, Some("dupes: --cmp has to be the first argument"))
    );
}

#[test]
fn statuses_and_messages() {
    let f = Folder::with_letters();
    is(&f.cmp("a a"), 0, "", "");
    is(&f.cmp("d d"), 2, "", "cmp: d: No such file or directory\n");
    is(&f.cmp("a c"), 1, "", "cmp: EOF on c which is empty\n");
    is(&f.cmp("-s a b"), 1, "", "");
    is(&f.cmp("-s a c"), 1, "", "");
    is(&f.cmp("-s a d"), 2, "", "");
    is(&f.cmp("a ."), 2, "", "cmp: .: Is a directory\n");
    is(&f.cmp("-n0 a ."), 2, "", "cmp: .: Is a directory\n");
    is(&f.cmp("-n 0 a b"), 0, "", "");
    is(&f.cmp("-l a b"), 1, "1 141 142\n", "");
    is(&f.cmp("-bl a b"), 1, "1 141 a    142 b\n", "");
    is(
        &f.cmp("-b a b"),
        1,
        "a b differ: byte 1, line 1 is 141 a 142 b\n",
        "",
    );
    f.write("l1", "1\n");
    f.write("l2", "1\nfoo");
    f.write("l3", "1\nfoolery\n");
    is(
        &f.cmp("l1 l2"),
        1,
        "",
        "cmp: EOF on l1 after byte 2, line 1\n",
    );
    is(
        &f.cmp("l3 l2"),
        1,
        "",
        "cmp: EOF on l2 after byte 5, in line 2\n",
    );
    is(&f.cmp("-l l2 l3"), 1, "", "cmp: EOF on l2 after byte 5\n");
    is(
        &f.cmp("l2 l3 2 2"),
        1,
        "",
        "cmp: EOF on l2 after byte 3, in line 1\n",
    );
    is(
        &f.cmp("-i 2:9 l2 l3"),
        1,
        "l2 l3 differ: char 1, line 1\n",
        "",
    );
}

#[test]
fn mistakes_on_the_command_line() {
    let f = Folder::with_letters();
    for (line, why) in [
        ("", "missing operand after 'cmp'"),
        ("-s", "missing operand after '-s'"),
        ("a b 1 2 3", "extra operand '3'"),
        ("a b x", "invalid --ignore-initial value 'x'"),
        ("-l -s a b", "options -l and -s are incompatible"),
        ("-z", "invalid option -- 'z'"),
        ("-n", "option requires an argument -- 'n'"),
        ("--zoo=1", "unrecognized option '--zoo=1'"),
        (
            "--p",
            "option '--p' is ambiguous; possibilities: '--print-bytes' '--print-chars'",
        ),
        ("--si=3", "option '--silent' doesn't allow an argument"),
        ("--by", "option '--bytes' requires an argument"),
        ("-n 08 a b", "invalid --bytes value '08'"),
        ("-i 1:2:3 a b", "invalid --ignore-initial value '2:3'"),
        ("-i -3 a b", "invalid --ignore-initial value '-3'"),
    ] {
        let text = format!("cmp: {why}\ncmp: Try 'cmp --help' for more information.\n");
        is(&f.cmp(line), 2, "", &text);
    }
}

#[test]
fn options_among_operands_unless_posix_is_wanted() {
    let f = Folder::with_letters();
    is(&f.cmp("a b -s"), 1, "", "");
    let ran = run(f.command(["a", "-s"]).env("POSIXLY_CORRECT", "1"));
    is(&ran, 2, "", "cmp: -s: No such file or directory\n");
    is(&f.cmp("-s -- a -l"), 2, "", "");
}

#[test]
fn numbers_that_are_too_large_are_the_largest() {
    let f = Folder::with_letters();
    let big = "9".repeat(60);
    is(&f.cmp(&format!("-i {big} a b")), 0, "", "");
    is(&f.cmp(&format!("-i 1000 -n {big} a b")), 0, "", "");
    is(
        &f.cmp(&format!("-n {big} a b")),
        1,
        "a b differ: char 1, line 1\n",
        "",
    );
    let ran = f.shell(&format!("printf x | cmp -i {big} a -"));
    is(
        &ran,
        2,
        "",
        "cmp: -: Value too large for defined data type\n",
    );
}

/// A UTF-8 locale says byte; one that is not installed is that of C.
#[test]
fn locales() {
    let f = Folder::with_letters();
    f.write("h1", b"\xff\n");
    let said = |locale: &str, line: &str| {
        let ran = run(f.command(line.split(' ')).env("LC_ALL", locale));
        ran.out()
    };
    assert_eq!(said("C.UTF-8", "a b"), "a b differ: byte 1, line 1\n");
    assert_eq!(said("xx_XX.UTF-8", "a b"), "a b differ: char 1, line 1\n");
    assert_eq!(said("C.UTF-8", "-bl a h1"), "1 141 a    377 M-^?\n");
}

#[test]
fn names_in_quotes_as_newer_releases_have_them() {
    let f = Folder::with_letters();
    f.write("it is", "");
    let said = |locale: &str, args: &[&str]| {
        let ran = run(f
            .command(args)
            .env("LC_ALL", locale)
            .env("CMP_COMPAT", "3.12"));
        ran.stderr
    };
    assert_eq!(said("C", &["a", "c"]), "cmp: EOF on 'c' which is empty\n");
    assert_eq!(
        said("C.UTF-8", &["a", "it is"]),
        "cmp: EOF on ‘it is’ which is empty\n"
    );
    assert_eq!(
        said("C", &["a", "no file"]),
        "cmp: 'no file': No such file or directory\n"
    );
    assert_eq!(
        said("C", &["a", "d"]),
        "cmp: d: No such file or directory\n"
    );
}

#[test]
fn names_of_any_bytes() {
    let f = Folder::with_letters();
    let name = OsStr::from_bytes(b"n\xff\n");
    fs::write(f.0.path().join(name), "x").unwrap();
    let ran = run(&mut f.command([OsStr::new("a"), name]));
    assert_eq!(ran.stdout, b"a n\xff\n differ: char 1, line 1\n");
}

#[test]
fn more_files_are_compared_with_the_first() {
    let f = Folder::with_letters();
    f.write("a2", "a\n");
    f.write("long", "a\nb\n");
    is(&f.cmp("a a2 ./a a2"), 0, "", "");
    is(&f.cmp("a a2 b"), 1, "a b differ: char 1, line 1\n", "");
    // Of those that differ the first is named, not the one that differs first.
    is(
        &f.cmp("a a2 long b"),
        1,
        "",
        "cmp: EOF on a after byte 2, line 1\n",
    );
    is(&f.cmp("a b long"), 1, "a b differ: char 1, line 1\n", "");
    is(&f.cmp("-s a a2 long"), 1, "", "");
    is(
        &f.cmp("a a2 b d"),
        2,
        "",
        "cmp: d: No such file or directory\n",
    );
    is(&f.cmp("-n 2 a a2 long"), 0, "", "");
    is(
        &f.cmp("-i 0:2 a b long"),
        1,
        "",
        "cmp: EOF on b which is empty\n",
    );
    is(
        &f.shell("cat a | cmp - a a2 b"),
        1,
        "- b differ: char 1, line 1\n",
        "",
    );
    let ran = f.cmp("-l a a2 b");
    assert_eq!((ran.code, ran.out()), (2, String::new()));
    // Where GNU cmp takes it for a number it stays one.
    f.write("1", "other");
    is(&f.cmp("a b 1"), 1, "a b differ: char 1, line 1\n", "");
}

/// Pipes that give a few bytes at a time, and no more than are needed.
#[test]
fn standard_input() {
    let f = Folder::with_letters();
    f.write(
        "n",
        (0..100_000u32)
            .flat_map(|n| format!("{n}\n").into_bytes())
            .collect::<Vec<_>>(),
    );
    is(&f.shell("cat n | cmp n"), 0, "", "");
    is(&f.shell("cat n | cmp - n"), 0, "", "");
    is(
        &f.shell("(head -c 5000 n; sleep 0; tail -c +5001 n) | cmp n -"),
        0,
        "",
        "",
    );
    is(&f.shell("cat n | cmp -i 3 n -"), 0, "", "");
    is(&f.shell("cmp - - < n"), 0, "", "");
    is(
        &f.shell("cmp a - <&-"),
        2,
        "",
        "cmp: -: Bad file descriptor\n",
    );
    is(
        &f.shell("cat n | { cmp -n 10 - n; head -c 2; }"),
        0,
        "5\n",
        "",
    );
    is(
        &f.shell("cp n m; { cmp -n 10 - m; head -c 2; } < n"),
        0,
        "5\n",
        "",
    );
    is(&f.shell("{ cmp - m; cat; } < n"), 0, "", "");
}

/// A writer that gives one byte that differs and then waits for ever is not waited for.
#[test]
fn a_difference_is_told_before_a_pipe_ends() {
    let f = Folder::with_letters();
    let mut child = f
        .command(["-", "a"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(b"x").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"- a differ: char 1, line 1\n");
    drop(pipe);
}

#[test]
fn outputs_that_fail_or_lead_nowhere() {
    let f = Folder::with_letters();
    f.write("x", vec![b'x'; 10_000]);
    f.write("y", vec![b'y'; 10_001]);
    is(
        &f.shell("cmp a b >/dev/full"),
        2,
        "",
        "cmp: standard output: No space left on device\n",
    );
    is(
        &f.shell("cmp -l x y >/dev/full"),
        2,
        "",
        "cmp: EOF on x after byte 10000\ncmp: write failed\n",
    );
    is(&f.shell("cmp a b >/dev/null"), 1, "", "");
    is(&f.shell("cmp a b >&-"), 1, "", "");
    is(&f.shell("cmp -l x y >/dev/null"), 1, "", "");
    is(
        &f.shell("cmp --help >&-"),
        2,
        "",
        "cmp: standard output: Bad file descriptor\n",
    );
    assert_eq!(
        f.shell("trap '' PIPE; cmp -l x y | head -n 1; echo").out(),
        "    1 170 171\n\n"
    );
    let ran = f.shell("{ cmp -l x y; echo $? >&2; } 2>status | head -n 1");
    assert_eq!(ran.out(), "    1 170 171\n");
}

/// A message that a file has ended overtakes less than a block of output, as from a C program.
#[test]
fn order_of_output_and_messages() {
    let f = Folder::new();
    f.write("a", "abc");
    f.write("b", "xbcd");
    is(
        &f.shell("cmp -l a b 2>&1"),
        1,
        "cmp: EOF on a after byte 3\n1 141 170\n",
        "",
    );
}

/// The kernel says 0 for their size.
#[test]
fn files_of_proc_are_not_empty() {
    let f = Folder::new();
    f.write("copy", fs::read("/proc/version").unwrap());
    is(&f.cmp("-s copy /proc/version"), 0, "", "");
    is(&f.cmp("copy /proc/version"), 0, "", "");
}

#[test]
fn all_numbers_are_right_in_long_files() {
    let f = Folder::new();
    let text: Vec<u8> = (0..300_000u32)
        .flat_map(|n| format!("{n}\n").into_bytes())
        .collect();
    for at in [0, 4095, 32_768, 98_304, 262_143, 1_048_576, text.len() - 1] {
        let mut other = text.clone();
        other[at] ^= 0x80;
        f.write("a", &text);
        f.write("b", &other);
        let line = text[..at].iter().filter(|b| **b == b'\n').count() + 1;
        is(
            &f.cmp("a b"),
            1,
            &format!("a b differ: char {}, line {line}\n", at + 1),
            "",
        );
        let (a, b) = (text[at], other[at]);
        is(
            &f.cmp("-l a b"),
            1,
            &format!("{:7} {a:3o} {b:3o}\n", at + 1),
            "",
        );
    }
}

#[test]
fn sparse_files_are_compared_in_no_time() {
    let f = Folder::new();
    let size = 14u64 << 40;
    let file = File::create(f.path("b")).unwrap();
    if let Err(e) = file.set_len(size + (1 << 40)) {
        return skipped(
            "sparse_files_are_compared_in_no_time",
            &format!("15 TiB: {e}"),
        );
    }
    f.sparse("a", size, &[]);
    f.sparse("b", size + (1 << 40), &[]);
    f.sparse("c", size, &[(9 << 40, b"x")]);
    is(
        &f.cmp("a b"),
        1,
        "",
        &format!("cmp: EOF on a after byte {size}, in line 1\n"),
    );
    is(&f.cmp("-s a b"), 1, "", "");
    let at = (9u64 << 40) + 1;
    is(
        &f.cmp("a c"),
        1,
        &format!("a c differ: char {at}, line 1\n"),
        "",
    );
    is(
        &f.cmp("-bl c a"),
        1,
        &format!("{at:14} 170 x      0 ^@\n"),
        "",
    );
    is(&f.cmp(&format!("-n {} a c", 9u64 << 40)), 0, "", "");
    is(
        &f.cmp("a ./a b"),
        1,
        "",
        &format!("cmp: EOF on a after byte {size}, in line 1\n"),
    );
}

/// Holes against zeros, holes against data, and both at odd offsets.
#[test]
fn holes_are_zeros() {
    let f = Folder::new();
    let size = 3 << 20;
    let mut bytes = vec![0u8; size];
    bytes[200_000..200_003].copy_from_slice(b"x\ny");
    f.write("dense", &bytes);
    f.sparse("sparse", size as u64, &[(200_000, b"x\ny")]);
    is(&f.cmp("dense sparse"), 0, "", "");
    is(&f.cmp("sparse dense"), 0, "", "");
    is(&f.cmp("-i 100001 sparse dense"), 0, "", "");
    is(
        &f.cmp("-i 300000:400000 -n 2000000 sparse dense"),
        0,
        "",
        "",
    );
    bytes[2_500_000] = 7;
    f.write("other", &bytes);
    is(
        &f.cmp("sparse other"),
        1,
        "sparse other differ: char 2500001, line 2\n",
        "",
    );
    is(&f.cmp("-l other sparse"), 1, "2500001   7   0\n", "");
    is(&f.shell("cat sparse | cmp dense"), 0, "", "");
}

/// Blocks that two files share are not read, and the lines in them are counted nevertheless.
#[test]
fn shared_blocks_are_not_read() {
    let test = "shared_blocks_are_not_read";
    for kind in ["btrfs", "xfs"] {
        let f = Folder::new();
        if !can(test, true, &["cp", "strace"]) {
            return;
        }
        let Some(mounted) = Mounted::make(test, f.0.path(), kind, 400 << 20) else {
            continue;
        };
        let at = |name: &str| mounted.0.join(name);
        let lines: Vec<u8> = b"one\ntwo three\n"
            .iter()
            .copied()
            .cycle()
            .take(8 << 20)
            .collect();
        fs::write(at("a"), &lines).unwrap();
        must(
            "cp",
            [
                OsStr::new("--reflink=always"),
                at("a").as_os_str(),
                at("b").as_os_str(),
            ],
        );
        let mut tool = Command::new(DUPES);
        tool.args(["--cmp", "a", "b"]).current_dir(&mounted.0);
        let Some((ran, log)) = strace(test, "pread64", &[&at("a"), &at("b")], &mut tool) else {
            return;
        };
        is(&ran, 0, "", "");
        assert!(log.lines().all(|line| line.ends_with(" = 0")), "{log}");
        let place = 6 << 20;
        File::options()
            .write(true)
            .open(at("b"))
            .unwrap()
            .write_all_at(b"#", place)
            .unwrap();
        let line = lines[..place as usize]
            .iter()
            .filter(|b| **b == b'\n')
            .count()
            + 1;
        let mut tool = Command::new(DUPES);
        tool.args(["--cmp", "a", "b"])
            .current_dir(&mounted.0)
            .env("LC_ALL", "C");
        let text = format!("a b differ: char {}, line {line}\n", place + 1);
        is(&run(&mut tool), 1, &text, "");
    }
}

#[test]
fn help_and_version() {
    let f = Folder::new();
    let ran = f.cmp("--help").exits(0);
    assert!(
        ran.out()
            .starts_with("Usage: cmp [OPTION]... FILE1 [FILE2 [SKIP1 [SKIP2]]]\n")
    );
    let ran = f.cmp("-v").exits(0);
    assert!(ran.out().starts_with("cmp (blkutils) "));
}

/// What the system's own cmp says, where it is GNU's without quotes.
#[test]
fn the_same_as_the_systems_own() {
    let test = "the_same_as_the_systems_own";
    let Some(own) = find("cmp") else {
        return skipped(test, "cmp is not installed");
    };
    let version = must("cmp", ["--version"]);
    let releases = ["3.8", "3.9", "3.10"];
    if !releases.iter().any(|r| {
        version
            .lines()
            .next()
            .is_some_and(|l| l.ends_with(&format!(") {r}")))
    }) {
        return skipped(test, "cmp is not of diffutils 3.8 to 3.10");
    }
    let f = Folder::with_letters();
    f.write("x", vec![b'x'; 10_000]);
    f.write("y", vec![b'y'; 9_000]);
    f.sparse("s", 200_000, &[(150_000, b"\n\n")]);
    for line in [
        "a b",
        "x y",
        "-l x y",
        "-lb x y",
        "-b y x",
        "-n 5 x y",
        "-n 9000 -s x x",
        "-i 8999 x y",
        "-i 9000 x y",
        "-i 1:9999 x y",
        "x s",
        "-l s a",
        "-bl a s",
        "-l -i 9999999 x y",
        "a",
        "a -",
        "-i 0x10:K x y",
        "-n1kB x y",
        "x y 9998 8998",
        "--ver",
        "-i",
        "--by=x",
        "- dir",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let mut theirs = Command::new(&own);
        theirs
            .arg0("cmp")
            .args(&words)
            .current_dir(f.0.path())
            .env("LC_ALL", "C");
        let (ours, theirs) = (run(&mut f.command(&words)), run(&mut theirs));
        is(&ours, theirs.code, &theirs.out(), &theirs.stderr);
    }
}

/// What follows in a script reads on behind the block that cmp had to read, also if the other file could
/// not be read.
#[test]
fn trouble_leaves_standard_input_where_gnu_leaves_it() {
    let f = Folder::new();
    f.write("in", [b'x'; 10_000]);
    fs::create_dir(f.path("dir")).unwrap();
    for (words, left) in [(["-", "dir"], 10_000 - 4096), (["dir", "-"], 10_000)] {
        let mut shared = File::open(f.path("in")).unwrap();
        let mut command = f.command(words);
        command.stdin(shared.try_clone().unwrap());
        assert_eq!(command.output().unwrap().status.code(), Some(2));
        let mut rest = Vec::new();
        std::io::Read::read_to_end(&mut shared, &mut rest).unwrap();
        assert_eq!(rest.len(), left, "cmp {words:?}");
    }
}
