//! sparse-dd under the name dd: what its manual page promises beyond what the tests of coreutils
//! (`cargo xtask gnu-dd`) look at, and what GNU dd does, side by side with the system's.

#![allow(clippy::unwrap_used)]

mod common;

use common::{LoopDevice, Ran, can, find, run, skipped};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Dir {
        Dir(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sparse-dd"));
        command
            .arg0("dd")
            .env("LC_ALL", "C")
            .env_remove("POSIXLY_CORRECT");
        command
            .current_dir(self.0.path())
            .args(line.split_whitespace());
        command
    }

    fn dd(&self, line: &str) -> Ran {
        run(&mut self.command(line))
    }

    /// Runs the system's dd and ours, each on fresh copies of these files, and compares what comes out.
    /// `before` is a shell command that changes how dd is started.
    fn both(&self, test: &str, line: &str, before: &str, files: &[(&str, &[u8])]) {
        let Some(gnu) = find("dd") else {
            return skipped(test, "no dd");
        };
        let ours = Path::new(env!("CARGO_BIN_EXE_sparse-dd"));
        let outcome = |program: &Path| {
            for (name, bytes) in files {
                self.write(name, bytes);
            }
            let link = self.path("dd");
            let _ = fs::remove_file(&link);
            std::os::unix::fs::symlink(program, &link).unwrap();
            let script = format!("{before} PATH=.:$PATH exec dd {line}");
            let mut sh = Command::new("sh");
            sh.args(["-c", &script]).env("LC_ALL", "C");
            let ran = run(sh.current_dir(self.0.path()));
            let contents: Vec<_> = files.iter().map(|(name, _)| self.read(name)).collect();
            (ran.code, ran.stdout, without_times(&ran.stderr), contents)
        };
        assert_eq!(outcome(ours), outcome(&gnu), "dd {line}");
    }
}

/// Statistics without time and rate.
fn without_times(text: &str) -> String {
    let lines = text.lines().map(|line| match line.split_once(" copied, ") {
        Some((bytes, _)) => format!("{bytes} copied\n"),
        None => format!("{line}\n"),
    });
    lines.collect()
}

#[test]
fn it_is_dd_by_name_or_by_operands() {
    let dir = Dir::new();
    dir.write("in", "data");
    let said = "0+1 records in\n0+1 records out\n4 bytes copied\n";
    assert_eq!(without_times(&dir.dd("if=in of=out").exits(0).stderr), said);
    let mut own = Command::new(env!("CARGO_BIN_EXE_sparse-dd"));
    let ran = run(own
        .current_dir(dir.0.path())
        .args(["bs=1M", "if=in", "of=out2"]));
    assert_eq!(without_times(&ran.exits(0).stderr), said);
    assert_eq!(
        (dir.read("out"), dir.read("out2")),
        (b"data".to_vec(), b"data".to_vec())
    );
    // Names with a = in them are names where options say so.
    let mut own = Command::new(env!("CARGO_BIN_EXE_sparse-dd"));
    let ran = run(own
        .current_dir(dir.0.path())
        .args(["-q", "--src=in", "--dest", "of=x"]));
    ran.exits(0);
    assert_eq!(dir.read("of=x"), b"data");
    assert!(
        dir.dd("--version")
            .exits(0)
            .out()
            .starts_with("dd (sparse-dd) ")
    );
    assert!(dir.dd("--help").exits(0).out().contains("conv=WORDS"));
}

/// One line per rule that random commands were found to depend on.
#[test]
fn the_same_as_the_system_s_dd() {
    let dir = Dir::new();
    let text = b"one\ntwo two\n\nthree three three\nlast".repeat(40);
    let files: [(&str, &[u8]); 2] = [("in", &text), ("out", b"0123456789 old contents")];
    for line in [
        "if=in of=out",
        "if=in of=out bs=7 count=3",
        "if=in of=out ibs=7 obs=5 conv=notrunc",
        "if=in of=out ibs=5 obs=15 count=9 seek=1",
        "if=in of=out bs=16 seek=1 conv=notrunc count=1",
        "if=in of=out cbs=8 conv=block",
        "if=in of=out cbs=8 conv=unblock,swab ibs=3",
        "if=in of=out cbs=6 conv=ebcdic,ucase obs=7",
        "if=in of=out conv=ibm,swab bs=11",
        "if=in of=out conv=sync ibs=100 obs=9",
        "if=in of=out conv=sync,block cbs=20 ibs=33",
        "if=in of=out count=33B skip=5B seek=3B",
        "if=in of=out iflag=skip_bytes,count_bytes skip=700 count=2000 bs=64",
        "if=in of=out skip=9999999",
        "if=in of=out oflag=append conv=notrunc",
        "if=in of=out conv=excl",
        "if=in of=new conv=nocreat",
        "if=nothere of=out",
        "if=in of=/dev/full bs=10",
        "if=in of=/dev/full obs=2000 ibs=10",
        "if=in bs=64 count=0x1 conv=lcase",
        "if=. of=out",
        "if=in of=.",
        "if=in of=out bs=10 count=+3 status=noxfer",
        "if=in of=out count=99999999999999999999",
        "if=in count=0 of=out seek=2 bs=3",
        "if=in of=out bs=3 seek=9223372036854775807",
        "conv=swab,lcase bs=5 < in",
        "skip=3 ibs=5 < in > out",
        "of=out seek=20 bs=1k < in",
        "seek=2 bs=5 if=in | cat",
        "iflag=directory < in",
        "iflag=fullblock bs=50 count=2 < in",
        "conv=ascii,ibm",
        "status=progress if=in of=out",
        "if=in of=out conv=bogus",
        "if=in of=out --bogus",
        "if=in of=out iflag=nocache count=0",
        "bs=8 iflag=nocache count=0 if=/dev/zero of=out",
    ] {
        dir.both("the_same_as_the_system_s_dd", line, "", &files);
    }
}

#[test]
fn closed_and_odd_descriptors() {
    let dir = Dir::new();
    for (line, before) in [
        ("count=0", "exec 0<&-;"),
        ("of=out", "exec 0<&-;"),
        ("iflag=skip_bytes skip=1 of=out", "exec 0<&-;"),
        ("if=in", "exec 1>&-;"),
        ("if=in seek=5 conv=fdatasync", "exec 1>&-;"),
        ("if=in oflag=count_bytes", "exec 1>&-;"),
        ("if=in bs=2 count=1", "exec >>out;"),
        ("if=in conv=sparse", "exec >>out;"),
        ("if=in conv=fsync", "exec >/dev/full;"),
    ] {
        let files: [(&str, &[u8]); 2] = [("in", b"some\0\0data"), ("out", b"old")];
        dir.both("closed_and_odd_descriptors", line, before, &files);
    }
}

#[test]
fn the_output_may_not_destroy_the_input() {
    let dir = Dir::new();
    let data: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    dir.write("f", &data);
    fs::hard_link(dir.path("f"), dir.path("g")).unwrap();
    for line in [
        "if=f of=f",
        "if=f of=g bs=1M",
        "if=f of=f seek=1 bs=100",
        "if=f of=f seek=1 bs=100 conv=notrunc",
        "if=f of=f oflag=append conv=notrunc",
        "if=f of=f seek=1 skip=0 count=2 bs=10 conv=notrunc",
    ] {
        let ran = dir.dd(line).exits(1);
        assert!(
            ran.stderr.contains("is the input file"),
            "{line}: {}",
            ran.stderr
        );
        assert_eq!(dir.read("f"), data, "{line}");
    }
    // What has a meaning is done: in place, towards the front, or out of the way.
    dir.dd("if=f of=f conv=notrunc,swab").exits(0);
    dir.dd("if=f of=g conv=notrunc,swab bs=64").exits(0);
    assert_eq!(dir.read("f"), data);
    dir.dd("if=f of=f conv=notrunc bs=100 skip=1").exits(0);
    assert_eq!(dir.read("f")[..9900], data[100..]);
    dir.dd("if=f of=f conv=notrunc bs=100 seek=50 count=50")
        .exits(0);
    assert_eq!(dir.read("f")[5000..10_000], dir.read("f")[..5000]);
    dir.dd("if=f of=f bs=100 seek=5 count=0").exits(0);
    assert_eq!(dir.read("f").len(), 500);
}

#[test]
fn sparse_leaves_nothing_stale_on_a_device() {
    const TEST: &str = "sparse_leaves_nothing_stale_on_a_device";
    let dir = Dir::new();
    let backing = dir.write("backing", vec![0xaa; 1 << 20]);
    let Some(device) = LoopDevice::attach(TEST, &backing) else {
        return;
    };
    let image = dir.write("image", vec![0; 900_000]);
    let file = File::options().write(true).open(&image).unwrap();
    file.write_all_at(b"data", 70_000).unwrap();
    let device = device.0.display();
    for operands in [
        "bs=4K",
        "bs=64K",
        "ibs=512 obs=1K",
        "bs=1M",
        "bs=4K iflag=fullblock conv=sync",
    ] {
        fs::write(device.to_string(), vec![0xaa; 1 << 20]).unwrap();
        dir.dd(&format!(
            "if=image of={device} conv=sparse,fsync {operands}"
        ))
        .exits(0);
        let got = fs::read(device.to_string()).unwrap();
        assert!(got[..900_000] == dir.read("image"), "{operands}");
        assert!(got[950_000..].iter().all(|b| *b == 0xaa) || operands.contains("sync"));
    }
}

#[test]
fn short_reads_do_not_misalign_what_o_direct_writes() {
    const TEST: &str = "short_reads_do_not_misalign_what_o_direct_writes";
    let dir = Dir::new();
    let backing = dir.write("backing", vec![0xaa; 1 << 20]);
    let Some(device) = LoopDevice::attach(TEST, &backing) else {
        return;
    };
    let device = device.0.display();
    let data: Vec<u8> = (0..300_000u32).map(|i| (i % 251) as u8).collect();
    dir.write("data", &data);
    for operands in ["ibs=5001 obs=512", "ibs=70001 obs=4K", "bs=4K conv=swab"] {
        fs::write(device.to_string(), vec![0xaa; 1 << 20]).unwrap();
        dir.dd(&format!("if=data of=plain {operands}")).exits(0);
        dir.dd(&format!("if=data of={device} oflag=direct {operands}"))
            .exits(0);
        let got = fs::read(device.to_string()).unwrap();
        assert!(got[..data.len()] == dir.read("plain"), "{operands}");
    }
}

#[test]
fn holes_are_made_and_counted() {
    let dir = Dir::new();
    let image = File::create(dir.path("image")).unwrap();
    image.set_len(40 << 20).unwrap();
    image.write_all_at(b"data", 20 << 20).unwrap();
    image.write_all_at(b"end", (40 << 20) + 100).unwrap();
    for (operands, records) in [("bs=1M", "40+1"), ("bs=4K", "10240+1"), ("", "81920+1")] {
        let ran = dir
            .dd(&format!("if=image of=copy conv=sparse {operands}"))
            .exits(0);
        let said = format!("{records} records in\n{records} records out\n41943143 bytes");
        assert!(ran.stderr.starts_with(&said), "{}", ran.stderr);
        assert!(dir.read("copy") == dir.read("image"));
        assert!(dir.path("copy").metadata().unwrap().blocks() <= 2 * 2048 + 16);
    }
}

#[test]
fn every_good_byte_keeps_its_offset() {
    const TEST: &str = "every_good_byte_keeps_its_offset";
    if !can(TEST, true, &["strace"]) {
        return;
    }
    let dir = Dir::new();
    let data: Vec<u8> = (0..40_000u32).map(|n| (n % 251 + 1) as u8).collect();
    dir.write("in", &data);
    // The second block fails, and so do its first page and its first sector by themselves.
    let link = dir.path("dd");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_sparse-dd"), &link).unwrap();
    let ran = run(Command::new("strace")
        .args([
            "-f",
            "-o",
            "/dev/null",
            "-P",
            "in",
            "-e",
            "trace=read,pread64",
        ])
        .args([
            "-e",
            "inject=pread64:error=EIO:when=1..3",
            "-e",
            "inject=read:error=EIO:when=2",
        ])
        .args(["./dd", "if=in", "of=out", "bs=10000", "conv=noerror,sync"])
        .env("LC_ALL", "C")
        .current_dir(dir.0.path()));
    let ran = ran.exits(0);
    assert!(
        ran.stderr
            .contains("error reading 'in': Input/output error"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("3+1 records in\n4+0 records out"),
        "{}",
        ran.stderr
    );
    let got = dir.read("out");
    assert_eq!(got.len(), data.len());
    let bad: Vec<usize> = (0..data.len()).filter(|i| got[*i] != data[*i]).collect();
    assert!(
        bad.iter().all(|i| got[*i] == 0),
        "a byte is at the wrong offset"
    );
    assert!(
        !bad.is_empty() && bad.len() <= 1024,
        "{} bytes are lost",
        bad.len()
    );
}

#[test]
fn errors_that_no_block_is_free_of_end_the_copy() {
    let dir = Dir::new();
    let ran = dir.dd("if=. of=out conv=noerror").exits(1);
    assert!(ran.stderr.contains("error reading '.': Is a directory"));
}

#[test]
fn an_output_that_cannot_be_opened_is_told_before_the_guard() {
    let dir = Dir::new();
    dir.write("in", "data");
    std::os::unix::fs::symlink("in", dir.path("link")).unwrap();
    for (line, why) in [
        ("if=in of=in conv=excl", "'in': File exists"),
        (
            "if=in of=link oflag=nofollow",
            "'link': Too many levels of symbolic links",
        ),
        ("if=in of=in oflag=directory", "'in': Invalid argument"),
    ] {
        let ran = dir.dd(line).exits(1);
        ran.says(&format!("dd: failed to open {why}"));
    }
    assert_eq!(dir.read("in"), b"data");
}

/// GNU dd looks once more before it ends well.
#[test]
fn an_interrupt_that_comes_with_the_end_of_the_input_counts() {
    let dir = Dir::new();
    let mut child = dir
        .command("of=out status=noxfer")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdin = child.stdin.take();
    // The signals are blocked by the time the output is there.
    let deadline = Instant::now() + Duration::from_secs(20);
    while !dir.path("out").exists() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(1));
    }
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    drop(stdin);
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.code, 128 + nix::libc::SIGINT);
    assert_eq!(ran.stderr, "0+0 records in\n0+0 records out\n");
}

#[test]
fn signals_print_statistics() {
    let dir = Dir::new();
    for (signal, code) in [(nix::libc::SIGUSR1, Some(0)), (nix::libc::SIGINT, None)] {
        let mut child = dir
            .command("bs=4 status=noxfer")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"abcd").unwrap();
        let mut copied = [0; 4];
        child
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut copied)
            .unwrap();
        let pid = nix::unistd::Pid::from_raw(child.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::try_from(signal).unwrap()).unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let want = b"1+0 records in\n1+0 records out\n";
        let mut said = vec![0; want.len()];
        stderr.read_exact(&mut said).unwrap();
        assert_eq!(said, want);
        drop(stdin);
        let deadline = Instant::now() + Duration::from_secs(20);
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline);
            std::thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(status.code(), code);
    }
}
