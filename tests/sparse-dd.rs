//! sparse-dd from the outside: what its man page promises, on real files, file systems and loop
//! devices.

#![allow(clippy::unwrap_used)]

mod common;

use common::image::{Dir, K, M, allocated, assert_equal, injected, poll, transfers};
use common::{LoopDevice, Mounted, Ran, can, command, golden, must, run, skipped, strace};
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

#[test]
fn help_and_version() {
    let dir = Dir::new();
    let help = dir.run(&["--help"]).exits(0);
    golden("sparse-dd/help.txt", &help.out());
    assert_eq!(help.stderr, "");
    assert_eq!(dir.run(&["-h"]).exits(0).out(), help.out());
    let version = format!("sparse-dd {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        dir.run(&["--version", "--nonsense"]).exits(0).out(),
        version
    );
    assert_eq!(dir.run(&["-V"]).exits(0).out(), version);
}

#[test]
fn usage_errors() {
    let dir = Dir::new();
    let hint = "\nTry 'sparse-dd --help' for more information.";
    for (args, why) in [
        (&["-src", "a"] as &[&str], "no destination given"),
        (&[], "no source given"),
        (&["--nonsense"], "invalid option '--nonsense'"),
        (&["a", "b", "-size"], "missing argument for option '--size'"),
        (&["a", "b", "-size", "many"], "'many': not a size"),
        (
            &["a", "b", "--progress=77"],
            "--progress: '77': not open for writing",
        ),
    ] {
        dir.run(args)
            .exits(1)
            .says(&format!("sparse-dd: {why}{hint}"));
    }
}

#[test]
fn a_copy_is_equal_and_as_sparse_as_can_be() {
    let dir = Dir::new();
    let source = image(&dir, "disk.img");
    let ran = dir.run(&["-src", "disk.img", "-dest", "copy.img"]).exits(0);
    assert_equal(&source, &dir.path("copy.img"));
    // 300 KiB, two pages around 5 MiB, and the last page; not the zeros.
    let data: u64 = data_of(&dir.path("copy.img"))
        .iter()
        .map(|(s, e)| e - s)
        .sum();
    assert!(data <= 300 * K + 8 * K + 4 * K, "{data}");
    assert_eq!(ran.out(), "");
    let said = numbers(&ran.stderr);
    assert_eq!(said["Number of writes"], 4);
    assert_eq!(said["Number of bytes"], 300 * K + 8 * K + 3333);
    assert!(said["Number of bytes read"] < 600 * K, "{said:?}");
    assert!(ran.stderr.starts_with("Time: "));
    let mode = fs::metadata(dir.path("copy.img"))
        .unwrap()
        .permissions()
        .mode()
        & 0o777;
    assert_eq!(mode & 0o600, 0o600);
    assert_eq!(dir.names(), ["copy.img", "disk.img"]);
}

#[test]
fn a_file_system_image_is_no_larger_than_cp_makes_it() {
    let test = "a_file_system_image_is_no_larger_than_cp_makes_it";
    if !can(test, false, &["mkfs.ext4", "cp", "cmp"]) {
        return;
    }
    let dir = Dir::new();
    let tree = dir.path("tree");
    fs::create_dir(&tree).unwrap();
    for i in 0..40u8 {
        fs::write(tree.join(format!("f{i}")), vec![i; usize::from(i) * 5000]).unwrap();
    }
    let disk = dir.file("disk.img", 64 * M, &[]);
    must(
        "mkfs.ext4",
        [Path::new("-q"), Path::new("-d"), &tree, &disk],
    );
    dir.run(&["-q", "disk.img", "copy.img"])
        .exits(0)
        .says_nothing();
    let copy = dir.path("copy.img");
    must("cmp", [&disk, &copy]);
    must(
        "cp",
        [Path::new("--sparse=always"), &disk, &dir.path("cp.img")],
    );
    assert!(allocated(&copy) <= allocated(&dir.path("cp.img")));
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

#[test]
fn holes_are_never_read() {
    let dir = Dir::new();
    let source = image(&dir, "disk.img");
    let mut tool = tool();
    tool.args([&source, &dir.path("copy.img")]);
    let Some((ran, log)) = strace("holes_are_never_read", "all", &[&source], &mut tool) else {
        return;
    };
    ran.exits(0);
    let data = data_of(&source);
    let reads = transfers(&log, "pread64");
    assert!(!reads.is_empty());
    for (offset, bytes) in reads {
        let inside = data
            .iter()
            .any(|(s, e)| *s <= offset && offset + bytes <= *e);
        assert!(
            inside,
            "{bytes} bytes at {offset} are not all data: {data:?}"
        );
    }
    assert!(!log.contains(" read(") && !log.contains("readv("), "{log}");
}

#[test]
fn a_dirty_device_becomes_equal() {
    let test = "a_dirty_device_becomes_equal";
    let dir = Dir::new();
    let source = image(&dir, "disk.img");
    let backing = dir.file("backing", 12 * M, &[(0, 12 * M, 0xff)]);
    let Some(device) = LoopDevice::attach(test, &backing) else {
        return;
    };
    let args = [Path::new("-src"), &source, Path::new("-dest"), &device.0];
    let ran = run(tool().args(args)).exits(0);
    let said = numbers(&ran.stderr);
    assert_eq!(said["Number of bytes"], 300 * K + 8 * K + 3333);
    drop(device);
    let (got, want) = (fs::read(&backing).unwrap(), fs::read(&source).unwrap());
    assert!(got[..want.len()] == want[..]);
    assert!(
        got[want.len()..].iter().all(|b| *b == 0xff),
        "behind the copy"
    );
    assert!(
        allocated(&backing) < 3 * M,
        "holes of the source were given back"
    );
}

#[test]
fn a_device_as_source() {
    let test = "a_device_as_source";
    let dir = Dir::new();
    let source = dir.file("disk.img", 10 * M, &[(3 * M, 10 * K, 1)]);
    let Some(device) = LoopDevice::attach(test, &source) else {
        return;
    };
    let copy = dir.path("copy.img");
    run(tool().args([&device.0, &copy])).exits(0);
    assert_equal(&source, &copy);
    assert!(allocated(&copy) <= 16 * K);
}

#[test]
fn prezeroed_writes_no_zeros() {
    let dir = Dir::new();
    let source = image(&dir, "disk.img");
    let copy = dir.file("copy.img", 10 * M + 3333, &[]);
    let mut tool = tool();
    tool.args([
        Path::new("-prezeroed"),
        Path::new("-src"),
        &source,
        Path::new("-dest"),
        &copy,
    ]);
    let Some((ran, log)) = strace("prezeroed_writes_no_zeros", "all", &[&copy], &mut tool) else {
        return;
    };
    ran.exits(0);
    assert_equal(&source, &copy);
    let written: u64 = transfers(&log, "pwrite64").iter().map(|(_, n)| n).sum();
    assert_eq!(written, 300 * K + 8 * K + 3333);
    assert!(
        !log.contains("fallocate") && !log.contains("ioctl"),
        "{log}"
    );
}

#[test]
fn only_what_differs_from_the_base_is_written() {
    let dir = Dir::new();
    let base = image(&dir, "base.img");
    let source = image(&dir, "disk.img");
    let edit = File::options().write(true).open(&source).unwrap();
    edit.write_all_at(&[8], M + 5000).unwrap();
    edit.write_all_at(&[1], 7 * M).unwrap();
    edit.write_all_at(&[0; 200], 5 * M - 100).unwrap();
    let copy = dir.path("copy.img");
    fs::copy(&base, &copy).unwrap();
    let mut tool = tool();
    tool.args([&source, &copy]).arg("-base").arg(&base);
    let test = "only_what_differs_from_the_base_is_written";
    let Some((ran, log)) = strace(test, "all", &[&copy], &mut tool) else {
        return;
    };
    ran.exits(0);
    assert_equal(&source, &copy);
    let mut writes = transfers(&log, "pwrite64");
    writes.sort_unstable();
    assert_eq!(writes, [(M + 4096, 4096), (7 * M, 4096)]);
    assert_eq!(log.matches("fallocate(").count(), 1, "{log}");

    let again = dir
        .run(&["disk.img", "copy.img", "--base=copy.img"])
        .exits(0);
    assert_eq!(numbers(&again.stderr)["Number of writes"], 0);
    assert_equal(&source, &copy);
}

#[test]
fn a_base_that_is_shorter_or_longer() {
    let dir = Dir::new();
    let source = image(&dir, "disk.img");
    let size = fs::metadata(&source).unwrap().len();
    for len in [0, 1, M + 7, size - 1, size, size + 5000] {
        let base = dir.path("base.img");
        fs::copy(&source, &base).unwrap();
        File::options()
            .write(true)
            .open(&base)
            .unwrap()
            .set_len(len)
            .unwrap();
        // Behind the base the destination may hold anything.
        let copy = dir.file("copy.img", size + 9999, &[(0, size + 9999, 0xee)]);
        let held = fs::read(&base).unwrap();
        File::options()
            .write(true)
            .open(&copy)
            .unwrap()
            .write_all_at(&held, 0)
            .unwrap();
        dir.run(&["-src", "disk.img", "-dest", "copy.img", "-base", "base.img"])
            .exits(0);
        assert_equal(&source, &copy);
    }
    fs::remove_file(dir.path("copy.img")).unwrap();
    dir.run(&["disk.img", "copy.img", "--base=base.img"])
        .exits(1)
        .says("sparse-dd: copy.img: No such file or directory");
}

#[test]
fn machine_progress_rises_from_0_to_100() {
    let dir = Dir::new();
    image(&dir, "disk.img");
    dir.file("empty.img", 0, &[]);
    dir.file("hole.img", 100 * M, &[]);
    dir.file("full.img", 60 * M, &[(0, 60 * M, 3)]);
    for name in ["disk.img", "empty.img", "hole.img", "full.img"] {
        for extra in [&["-prezeroed"] as &[&str], &[]] {
            let args = [&["-machine", "-src", name, "-dest", "copy.img"], extra].concat();
            let ran = dir.run(&args).exits(0);
            let out = ran.out();
            let numbers: Vec<u64> = out
                .lines()
                .map(|line| line.strip_prefix("Progress: ").unwrap().parse().unwrap())
                .collect();
            assert!(numbers.windows(2).all(|w| w[0] < w[1]), "{numbers:?}");
            assert_eq!(
                (numbers[0], *numbers.last().unwrap()),
                (0, 100),
                "{numbers:?}"
            );
            fs::remove_file(dir.path("copy.img")).unwrap();
        }
    }
    let full = dir.run(&["-machine", "full.img", "copy.img"]).exits(0);
    assert!(full.out().lines().count() > 90, "{}", full.out());
}

#[test]
fn the_self_test_passes() {
    let out = Dir::new().run(&["-test"]).exits(0).out();
    assert!(out.starts_with("Tested 1000 random images"), "{out}");
}

#[test]
fn an_existing_file_becomes_equal() {
    let dir = Dir::new();
    let source = image(&dir, "disk.img");
    let size = fs::metadata(&source).unwrap().len();
    for before in [0, 5000, size, size + 70_000] {
        let copy = dir.file("copy.img", before, &[(0, before, 0xff)]);
        let inode = fs::metadata(&copy).unwrap().ino();
        dir.run(&["disk.img", "copy.img"]).exits(0);
        assert_equal(&source, &copy);
        assert_eq!(
            fs::metadata(&copy).unwrap().ino(),
            inode,
            "written in place"
        );
        assert!(allocated(&copy) < M, "its zeros are holes");
    }
}

#[test]
fn with_a_size_what_is_behind_stays() {
    let dir = Dir::new();
    let source = image(&dir, "disk.img");
    let want = fs::read(source).unwrap();
    for (text, size) in [
        ("0x100000", M),
        ("5M", 5 * M),
        ("5123kB", 5_123_000),
        ("0", 0),
    ] {
        let copy = dir.file("copy.img", 6 * M, &[(0, 6 * M, 0xff)]);
        dir.run(&["-src", "disk.img", "-dest", "copy.img", "-size", text])
            .exits(0);
        let got = fs::read(&copy).unwrap();
        let size = size as usize;
        assert!(got[..size] == want[..size], "{text}");
        assert_eq!(got.len() as u64, 6 * M);
        assert!(got[size..].iter().all(|b| *b == 0xff), "{text}");
        fs::remove_file(&copy).unwrap();
        dir.run(&["-src", "disk.img", "-dest", "copy.img", "-size", text])
            .exits(0);
        assert!(fs::read(&copy).unwrap() == want[..size]);
    }
    dir.run(&["disk.img", "copy.img", "-size", "1T"])
        .exits(1)
        .says("sparse-dd: disk.img: has 10489093 bytes, fewer than the 1099511627776 to copy");
}

#[test]
fn the_sparse_block_is_the_least_run_of_zeros() {
    let dir = Dir::new();
    let source = dir.file(
        "disk.img",
        4 * M,
        &[(0, 4 * M, 1), (M, 8 * K, 0), (2 * M, 600 * K, 0)],
    );
    let mut least = 4 * M;
    for (block, holes) in [("1M", 0), ("64K", 576 * K), ("512", 608 * K)] {
        let ran = dir
            .run(&["disk.img", "copy.img", "--sparse-block", block])
            .exits(0);
        assert_equal(&source, &dir.path("copy.img"));
        let written = numbers(&ran.stderr)["Number of bytes"];
        assert_eq!(written, 4 * M - holes, "{block}");
        assert!(written <= least);
        least = written;
        fs::remove_file(dir.path("copy.img")).unwrap();
    }
}

#[test]
fn huge_and_mostly_empty() {
    let dir = Dir::new();
    let size = 15 << 40;
    let path = dir.path("huge.img");
    let file = File::create(&path).unwrap();
    if file.set_len(size).is_err() {
        return skipped(
            "huge_and_mostly_empty",
            "the file system has no such large files",
        );
    }
    for at in [0, size / 2, size - 1] {
        file.write_all_at(&[1], at).unwrap();
    }
    let ran = dir.run(&["huge.img", "copy.img"]).exits(0);
    assert!(numbers(&ran.stderr)["Number of bytes read"] <= 12 * K);
    let copy = File::open(dir.path("copy.img")).unwrap();
    assert_eq!(copy.metadata().unwrap().len(), size);
    let mut byte = [0];
    for at in [0, size / 2, size - 1] {
        copy.read_exact_at(&mut byte, at).unwrap();
        assert_eq!(byte, [1]);
    }
}

// Streams.

#[test]
fn standard_input_and_output() {
    let dir = Dir::new();
    let source = image(&dir, "disk.img");
    let bytes = fs::read(&source).unwrap();
    let mut child = tool()
        .current_dir(dir.0.path())
        .args(["-q", "-", "copy.img"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&bytes).unwrap();
    assert!(child.wait().unwrap().success());
    assert_equal(&source, &dir.path("copy.img"));
    assert!(allocated(&dir.path("copy.img")) < M);

    let ran = dir.run(&["-q", "disk.img", "-"]).exits(0);
    assert!(ran.stdout == bytes);

    // Redirected standard input is as good as a file, unless it was read from already.
    let mut command = tool();
    let output = command
        .current_dir(dir.0.path())
        .args(["-", "-"])
        .stdin(File::open(&source).unwrap());
    let output = output.output().unwrap();
    assert!(output.stdout == bytes);
    let said = numbers(&String::from_utf8_lossy(&output.stderr));
    assert!(said["Number of bytes read"] < M);
    let mut part = File::open(&source).unwrap();
    part.read_exact(&mut [0; 100]).unwrap();
    let output = tool().args(["-q", "-", "-"]).stdin(part).output().unwrap();
    assert!(output.stdout == bytes[100..]);
}

#[test]
fn a_stream_onto_a_dirty_file_and_too_short_a_stream() {
    let dir = Dir::new();
    let copy = dir.file("copy.img", 3 * M, &[(0, 3 * M, 0xff)]);
    dir.run(&["/dev/zero", "copy.img", "-size", "2M"]).exits(0);
    let got = fs::read(&copy).unwrap();
    assert!(got[..2 << 20].iter().all(|b| *b == 0) && got[2 << 20..].iter().all(|b| *b == 0xff));
    dir.run(&["/dev/null", "new.img", "-size", "1"])
        .exits(1)
        .says("sparse-dd: /dev/null: ended after 0 bytes");
    assert_eq!(dir.names(), ["copy.img"]);
    dir.run(&["-q", "/proc/version", "version"]).exits(0);
    assert_eq!(
        fs::read(dir.path("version")).unwrap(),
        fs::read("/proc/version").unwrap()
    );
}

// Guards.

#[test]
fn the_source_under_another_name_is_refused() {
    let test = "the_source_under_another_name_is_refused";
    let dir = Dir::new();
    let source = image(&dir, "disk.img");
    let before = fs::read(&source).unwrap();
    fs::hard_link(&source, dir.path("hard.img")).unwrap();
    symlink("disk.img", dir.path("soft.img")).unwrap();
    for name in ["disk.img", "./disk.img", "hard.img", "soft.img"] {
        for force in [&[] as &[&str], &["-f"]] {
            let why = format!("sparse-dd: {name}: is the source, disk.img");
            dir.run(&[force, &["disk.img", name]].concat())
                .exits(7)
                .says(&why);
        }
    }
    if let Some(device) = LoopDevice::attach(test, &source) {
        let name = device.0.to_str().unwrap();
        dir.run(&["-f", "disk.img", name])
            .exits(7)
            .says(&format!("sparse-dd: {name}: is the source, disk.img"));
        dir.run(&["-f", name, "disk.img"])
            .exits(7)
            .says(&format!("sparse-dd: disk.img: is the source, {name}"));
        let second = LoopDevice::attach(test, &source).unwrap();
        dir.run(&["-f", name, second.0.to_str().unwrap()]).exits(7);
    }
    assert!(fs::read(&source).unwrap() == before);
}

#[test]
fn what_is_in_use_is_refused() {
    let test = "what_is_in_use_is_refused";
    let dir = Dir::new();
    image(&dir, "disk.img");
    let Some(mounted) = Mounted::make(test, dir.0.path(), "ext4", 32 * M) else {
        return;
    };
    let device = must(
        "findmnt",
        ["-n", "-o", "SOURCE", mounted.0.to_str().unwrap()],
    );
    let device = device.trim();
    let before = fs::read(dir.path("ext4.img")).unwrap();
    let why = format!("mounted on {}", mounted.0.display());
    dir.run(&["disk.img", device])
        .exits(7)
        .says(&format!("sparse-dd: {device}: {why}"));
    dir.run(&["-n", "disk.img", device]).exits(7);
    dir.run(&["disk.img", "ext4.img"])
        .exits(7)
        .says(&format!("sparse-dd: ext4.img: {why}"));
    assert!(fs::read(dir.path("ext4.img")).unwrap() == before);

    let free = dir.file("free.img", 12 * M, &[]);
    let held = LoopDevice::attach(test, &free).unwrap();
    let why = format!("sparse-dd: free.img: in use by {}", held.0.display());
    dir.run(&["disk.img", "free.img"]).exits(7).says(&why);
    dir.run(&["-q", "-f", "disk.img", "free.img"]).exits(0);
    drop(held);
    assert_equal(&dir.path("disk.img"), &free);
}

#[test]
fn swap_is_refused() {
    let test = "swap_is_refused";
    if !can(test, true, &["mkswap", "swapon", "swapoff"]) {
        return;
    }
    let dir = Dir::new();
    image(&dir, "disk.img");
    let swap = dir.file("swap.img", 12 * M, &[(0, 12 * M, 0)]);
    let Some(device) = LoopDevice::attach(test, &swap) else {
        return;
    };
    must("mkswap", [&device.0]);
    if run(command("swapon").arg(&device.0)).code != 0 {
        return skipped(test, "swapon is not permitted");
    }
    let name = device.0.to_str().unwrap();
    let ran = dir.run(&["disk.img", name]);
    must("swapoff", [&device.0]);
    ran.exits(7)
        .says(&format!("sparse-dd: {name}: in use as swap"));
}

#[test]
fn a_device_that_is_too_small_is_refused() {
    let test = "a_device_that_is_too_small_is_refused";
    let dir = Dir::new();
    image(&dir, "disk.img");
    let small = dir.file("small", 10 * M, &[(0, 10 * M, 0xff)]);
    let Some(device) = LoopDevice::attach(test, &small) else {
        return;
    };
    let name = device.0.to_str().unwrap();
    dir.run(&["disk.img", name]).exits(7).says(&format!(
        "sparse-dd: {name}: has 10485760 bytes, fewer than the 10489093 to copy"
    ));
    assert!(fs::read(&device.0).unwrap().iter().all(|b| *b == 0xff));
    dir.run(&["-q", "disk.img", name, "-size", "10M"]).exits(0);
}

// Bad input and faults.

#[test]
fn what_cannot_be_opened() {
    let dir = Dir::new();
    image(&dir, "disk.img");
    symlink("nowhere", dir.path("dangling")).unwrap();
    let noent = "No such file or directory";
    for (source, destination, why) in [
        ("missing", "copy", format!("missing: {noent}")),
        ("disk.img", "missing/copy", format!("missing/copy: {noent}")),
        (".", "copy", ".: Is a directory".to_owned()),
        ("disk.img", ".", ".: Is a directory".to_owned()),
        ("disk.img", "copy/", "copy/: Is a directory".to_owned()),
        (
            "disk.img",
            "disk.img/copy",
            "disk.img/copy: Not a directory".to_owned(),
        ),
        (
            "disk.img",
            "dangling",
            "dangling: a symbolic link to nothing".to_owned(),
        ),
        ("new\nline", "copy", format!("new\\nline: {noent}")),
    ] {
        dir.run(&[source, destination])
            .exits(1)
            .says(&format!("sparse-dd: {why}"));
    }
    assert_eq!(dir.names(), ["dangling", "disk.img"]);
}

#[test]
fn what_may_not_be_opened() {
    let test = "what_may_not_be_opened";
    if !can(test, true, &["setpriv"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let binary = dir.path().join("sparse-dd");
    fs::copy(env!("CARGO_BIN_EXE_sparse-dd"), &binary).unwrap();
    fs::write(dir.path().join("secret"), "x").unwrap();
    fs::set_permissions(dir.path().join("secret"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::write(dir.path().join("open"), "x").unwrap();
    let nobody = |args: [&str; 2]| {
        let mut command = command("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&binary);
        run(command.current_dir(dir.path()).args(args)).exits(1)
    };
    nobody(["secret", "/tmp/never"]).says("sparse-dd: secret: Permission denied");
    nobody(["open", "secret"]).says("sparse-dd: secret: Permission denied");
    nobody(["open", "new"]).says("sparse-dd: new: Permission denied");
}

#[test]
fn full_devices() {
    let test = "full_devices";
    let dir = Dir::new();
    dir.file("full.img", 4 * M, &[(0, 4 * M, 1)]);
    let full = "No space left on device";
    dir.run(&["full.img", "/dev/full"])
        .exits(1)
        .says(&format!("sparse-dd: /dev/full: write at byte 0: {full}"));
    let mut command = tool();
    command
        .current_dir(dir.0.path())
        .stdout(File::options().write(true).open("/dev/full").unwrap());
    let ran: Ran = command
        .args(["-q", "-machine", "full.img", "c"])
        .output()
        .unwrap()
        .into();
    ran.exits(1)
        .says(&format!("sparse-dd: standard output: {full}"));
    assert_eq!(dir.names(), ["full.img"], "no copy without a report");
    if !can(test, true, &["mount", "umount"]) {
        return;
    }
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
    let new = dir.run(&["full.img", "small/copy"]);
    let left = fs::read_dir(&point).unwrap().count();
    fs::write(point.join("old"), "x").unwrap();
    let old = dir.run(&["full.img", "small/old"]);
    must("umount", [&point]);
    assert!(
        new.stderr
            .starts_with("sparse-dd: small/copy: write at byte 1048576: "),
        "{}",
        new.stderr
    );
    assert_eq!((new.exits(1).stderr.lines().count(), left), (1, 0));
    let old = old.exits(1).stderr;
    assert!(
        old.ends_with(&format!("{full} (small/old is left incomplete)\n")),
        "{old}"
    );
}

#[test]
fn a_closed_standard_output() {
    let dir = Dir::new();
    image(&dir, "disk.img");
    let script = "exec \"$0\" \"$@\" >&-";
    let mut shell = command("sh");
    shell
        .current_dir(dir.0.path())
        .args(["-c", script, env!("CARGO_BIN_EXE_sparse-dd")]);
    run(shell.args(["disk.img", "copy.img", "-q", "--json"]))
        .exits(1)
        .says("sparse-dd: standard output: Bad file descriptor");
}

#[test]
fn unreadable_sectors() {
    let test = "unreadable_sectors";
    let dir = Dir::new();
    let backing = dir.file("backing", 8 * M, &[(0, 8 * M, 1)]);
    let Some(device) = LoopDevice::attach(test, &backing) else {
        return;
    };
    File::options()
        .write(true)
        .open(&backing)
        .unwrap()
        .set_len(5 * M)
        .unwrap();
    must("blockdev", [Path::new("--flushbufs"), &device.0]);
    let name = device.0.to_str().unwrap();
    let ran = dir.run(&[name, "copy.img"]).exits(1);
    let line = format!("sparse-dd: {name}: read at byte 5242880: Input/output error\n");
    assert_eq!(ran.stderr, line);
    assert_eq!(dir.names(), ["backing"]);
    dir.file("old.img", 100, &[(0, 100, 1)]);
    let ran = dir.run(&[name, "old.img"]).exits(1);
    assert!(
        ran.stderr
            .ends_with("Input/output error (old.img is left incomplete)\n")
    );
}

#[test]
fn failing_calls() {
    let test = "failing_calls";
    let dir = Dir::new();
    let source = image(&dir, "disk.img");
    let copy = dir.file("copy.img", 20 * M, &[(0, 20 * M, 0xff)]);
    let left = " (copy.img is left incomplete)";
    for (fault, on, why) in [
        (
            "fsync:error=EIO",
            &copy,
            format!("copy.img: fsync: Input/output error{left}"),
        ),
        (
            "ftruncate:error=EIO",
            &copy,
            format!("copy.img: truncate: Input/output error{left}"),
        ),
        ("pread64:error=EIO:when=3", &source, String::new()),
        ("pwrite64:error=ENOSPC:when=2", &copy, String::new()),
        ("fallocate:error=EIO:when=2", &copy, String::new()),
    ] {
        let Some(ran) = injected(test, fault, on, dir.tool().args(["disk.img", "copy.img"])) else {
            return;
        };
        let said = ran.exits(1).stderr;
        assert!(
            said.contains(&why) && said.ends_with(&format!("{left}\n")),
            "{fault}: {said}"
        );
        assert_eq!(said.lines().count(), 1);
        dir.file("copy.img", 20 * M, &[(0, 20 * M, 0xff)]);
    }
    // Short counts, interruptions, and what a file system cannot do are no errors.
    for (fault, on) in [
        ("pread64:error=EINTR:when=2", &source),
        ("pwrite64:error=EINTR:when=2", &copy),
        ("fallocate:error=EOPNOTSUPP", &copy),
        ("fallocate:error=ENOSYS", &copy),
        ("fallocate:error=EOPNOTSUPP:when=2+", &copy),
        ("lseek:error=EINVAL", &source),
        ("lseek:error=EINVAL", &copy),
    ] {
        let Some(ran) = injected(
            test,
            fault,
            on,
            dir.tool().args(["-q", "disk.img", "copy.img"]),
        ) else {
            return;
        };
        ran.exits(0).says_nothing();
        assert_equal(&source, &copy);
        dir.file("copy.img", 20 * M, &[(0, 20 * M, 0xff)]);
    }
}

#[test]
fn a_source_that_changes_is_told() {
    let test = "a_source_that_changes_is_told";
    if !can(test, false, &["strace"]) {
        return;
    }
    let dir = Dir::new();
    let source = image(&dir, "disk.img");
    let copy = dir.file("copy.img", M, &[]);
    // The fsync at the end waits for a second: time to see the data arrive and to write.
    let mut command = command("strace");
    command
        .current_dir(dir.0.path())
        .args(["-f", "-o", "/dev/null", "-P"])
        .arg(&copy);
    command.args([
        "-e",
        "trace=fsync",
        "-e",
        "inject=fsync:delay_enter=1000000",
    ]);
    command
        .arg(env!("CARGO_BIN_EXE_sparse-dd"))
        .args(["-q", "disk.img", "copy.img"]);
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    poll("the last byte", || fs::read(&copy).unwrap().ends_with(&[5]));
    File::options()
        .write(true)
        .open(&source)
        .unwrap()
        .write_all_at(&[9], 0)
        .unwrap();
    let ran: Ran = child.wait_with_output().unwrap().into();
    ran.exits(5)
        .says("sparse-dd: disk.img: changed while it was copied");

    let shrink = ("pread64:retval=0:when=2", "ended at byte");
    let Some(ran) = injected(
        test,
        shrink.0,
        &source,
        dir.tool().args(["disk.img", "new.img"]),
    ) else {
        return;
    };
    let said = ran.exits(1).stderr;
    assert!(said.contains(shrink.1), "{said}");
    assert!(!dir.path("new.img").exists());
}

// Signals.

/// A copy from a pipe that has brought 3 MiB and then nothing more; with the pipe.
fn waiting_copy(dir: &Dir, destination: &str) -> (Child, std::process::ChildStdin) {
    let mut child = tool()
        .current_dir(dir.0.path())
        .args(["-", destination])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(&vec![1; 3 << 20]).unwrap();
    (child, pipe)
}

fn send(signal: &str, child: &Child) {
    must("kill", [format!("-{signal}"), child.id().to_string()]);
}

#[test]
fn signals_remove_a_new_file_and_name_an_old_one() {
    for (signal, number) in [("INT", 2), ("TERM", 15), ("HUP", 1)] {
        let dir = Dir::new();
        let (child, pipe) = waiting_copy(&dir, "copy.img");
        send(signal, &child);
        let ran: Ran = child.wait_with_output().unwrap().into();
        ran.exits(128 + number)
            .says(&format!("sparse-dd: stopped by SIG{signal}"));
        assert!(dir.names().is_empty(), "{:?}", dir.names());
        drop(pipe);

        dir.file("old.img", 100, &[]);
        let (child, pipe) = waiting_copy(&dir, "old.img");
        poll("data", || {
            fs::metadata(dir.path("old.img")).unwrap().len() > 2 << 20
        });
        send(signal, &child);
        let ran: Ran = child.wait_with_output().unwrap().into();
        ran.exits(128 + number).says(&format!(
            "sparse-dd: stopped by SIG{signal} (old.img is left incomplete)"
        ));
        drop(pipe);
    }
}

#[test]
fn a_kill_leaves_no_file_of_that_name() {
    let dir = Dir::new();
    let (mut child, pipe) = waiting_copy(&dir, "copy.img");
    child.kill().unwrap();
    child.wait().unwrap();
    drop(pipe);
    assert!(dir.names().is_empty(), "{:?}", dir.names());
}

#[test]
fn usr1_prints_a_status_line() {
    let dir = Dir::new();
    let (mut child, pipe) = waiting_copy(&dir, "copy.img");
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    poll("3 MiB", || {
        let io = fs::read_to_string(format!("/proc/{}/io", child.id())).unwrap();
        io.lines().next().unwrap()["rchar: ".len()..]
            .parse::<u64>()
            .unwrap()
            > 3 << 20
    });
    send("USR1", &child);
    let line = lines.next().unwrap().unwrap();
    assert!(
        line.starts_with("sparse-dd: ") && line.contains(" copied, "),
        "{line}"
    );
    drop(pipe);
    assert!(child.wait().unwrap().success());
    assert_eq!(fs::metadata(dir.path("copy.img")).unwrap().len(), 3 << 20);
}

// Reports.

#[test]
fn json_and_quiet() {
    let dir = Dir::new();
    image(&dir, "disk.img");
    let ran = dir.run(&["-q", "--json", "disk.img", "copy.img"]).exits(0);
    assert_eq!(ran.stderr, "");
    let value: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(value["source"], "disk.img");
    assert_eq!(value["destination"], "copy.img");
    assert_eq!(value["size"], 10 * M + 3333);
    assert_eq!(value["writes"], 4);
    assert_eq!(value["bytes_written"], 308 * K + 3333);
    assert_eq!(value["bytes_cleared"], 0);
    assert!(value["bytes_read"].as_u64().unwrap() > 308 * K && value["seconds"].is_f64());
    assert_eq!(ran.out().lines().count(), 1);
}

#[test]
fn a_dry_run_counts_and_writes_nothing() {
    let dir = Dir::new();
    image(&dir, "disk.img");
    let old = dir.file("old.img", 9 * M, &[(0, 9 * M, 0xff)]);
    let before = fs::read(&old).unwrap();
    for destination in ["new.img", "old.img"] {
        let dry = dir.run(&["-n", "disk.img", destination]).exits(0);
        assert!(!dir.path("new.img").exists() && fs::read(&old).unwrap() == before);
        let real = dir.run(&["disk.img", destination]).exits(0);
        let counts = |ran: &Ran| numbers(&ran.stderr);
        assert_eq!(counts(&dry), counts(&real));
        fs::remove_file(dir.path(destination)).unwrap();
    }
}

#[test]
fn progress_on_a_descriptor() {
    let dir = Dir::new();
    dir.file("full.img", 4 * M, &[(0, 4 * M, 1)]);
    let script = "exec \"$0\" \"$@\" 9>lines";
    let mut shell = command("sh");
    shell
        .current_dir(dir.0.path())
        .args(["-c", script, env!("CARGO_BIN_EXE_sparse-dd")]);
    run(shell.args(["-q", "--progress=9", "full.img", "copy.img"]))
        .exits(0)
        .says_nothing();
    let lines = fs::read_to_string(dir.path("lines")).unwrap();
    assert!(lines.ends_with("4194304 4194304\n"), "{lines}");
    assert!(lines.starts_with("0 4194304\n"), "{lines}");
}

#[test]
fn other_file_systems() {
    let test = "other_file_systems";
    for (kind, size) in [("ext4", 64 * M), ("xfs", 320 * M), ("btrfs", 128 * M)] {
        let dir = Dir::new();
        let source = image(&dir, "disk.img");
        let Some(mounted) = Mounted::make(test, dir.0.path(), kind, size) else {
            continue;
        };
        let (near, far) = (mounted.0.join("near.img"), dir.path("far.img"));
        run(tool().args([&source, &near])).exits(0);
        run(tool().args([&near, &far])).exits(0);
        let dirty = mounted.0.join("dirty.img");
        fs::write(&dirty, vec![0xff; 11 << 20]).unwrap();
        run(tool().args([&near, &dirty])).exits(0);
        for copy in [&near, &far, &dirty] {
            assert_equal(&source, copy);
        }
    }
}

// What went wrong once.

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

#[test]
fn a_stream_onto_a_base_of_another_length() {
    let dir = Dir::new();
    dir.file("base.img", 3 * M, &[(0, 3 * M, 7), (M, 8192, 9)]);
    let base = fs::read(dir.path("base.img")).unwrap();
    for len in [0, 1, 600_000, M as usize, base.len(), base.len() + 70_000] {
        let mut new: Vec<u8> = base
            .iter()
            .copied()
            .chain(std::iter::repeat_n(5, 70_000))
            .collect();
        new.truncate(len);
        new.get_mut(5000).into_iter().for_each(|byte| *byte = 1);
        fs::write(dir.path("copy.img"), &base).unwrap();
        let mut command = tool();
        command
            .current_dir(dir.0.path())
            .args(["-q", "-", "copy.img", "--base=base.img"]);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&new).unwrap();
        assert!(child.wait().unwrap().success());
        assert!(fs::read(dir.path("copy.img")).unwrap() == new, "{len}");
    }
    fs::write(dir.path("empty"), "").unwrap();
    dir.run(&["-q", "empty", "copy.img", "--base=copy.img"])
        .exits(0);
    assert_eq!(fs::read(dir.path("copy.img")).unwrap(), b"");
}

#[test]
fn a_destination_shorter_than_its_base() {
    let dir = Dir::new();
    let base = image(&dir, "base.img");
    let held = fs::read(&base).unwrap();
    for len in [0, 5000, M as usize + 77, 9 << 20] {
        fs::write(dir.path("copy.img"), &held[..len]).unwrap();
        dir.run(&["-q", "base.img", "copy.img", "--base=base.img"])
            .exits(0);
        assert_equal(&base, &dir.path("copy.img"));
    }
}

#[test]
fn closed_descriptors_are_not_empty_files() {
    let dir = Dir::new();
    image(&dir, "disk.img");
    for (line, name) in [
        ("disk.img - >&-", "standard output"),
        ("- copy.img <&-", "standard input"),
    ] {
        let mut shell = command("sh");
        shell.current_dir(dir.0.path());
        shell.args([
            "-c",
            &format!("exec \"$0\" {line}"),
            env!("CARGO_BIN_EXE_sparse-dd"),
        ]);
        run(&mut shell)
            .exits(1)
            .says(&format!("sparse-dd: {name}: Bad file descriptor"));
    }
    assert_eq!(dir.names(), ["disk.img"]);
}

#[test]
fn a_stream_of_zeros_longer_than_the_device() {
    let test = "a_stream_of_zeros_longer_than_the_device";
    let dir = Dir::new();
    let backing = dir.file("backing", M, &[]);
    let Some(device) = LoopDevice::attach(test, &backing) else {
        return;
    };
    let name = device.0.to_str().unwrap();
    for extra in [&[] as &[&str], &["-prezeroed"]] {
        let mut command = tool();
        let child = command
            .args([&["-", name], extra].concat())
            .stdin(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = child.spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(&vec![0; 2 << 20]);
        let ran: Ran = child.wait_with_output().unwrap().into();
        let said = ran.exits(1).stderr;
        assert!(
            said.contains("has 1048576 bytes, fewer than the source"),
            "{said}"
        );
    }
}

#[test]
fn a_source_that_changes_while_it_is_mapped() {
    if !can(
        "a_source_that_changes_while_it_is_mapped",
        false,
        &["strace"],
    ) {
        return;
    }
    let dir = Dir::new();
    let source = dir.file("disk.img", 8 * M, &[(0, 8 * M, 1)]);
    let child = traced(
        &dir,
        "lseek:delay_enter=1500000:when=2",
        &source,
        &["-q", "disk.img", "copy.img"],
    );
    poll("the source to be open", || {
        children(child.id()).iter().any(|pid| {
            let links = fs::read_dir(format!("/proc/{pid}/fd"))
                .into_iter()
                .flatten()
                .flatten();
            links
                .filter_map(|l| fs::read_link(l.path()).ok())
                .any(|target| target == source)
        })
    });
    File::options()
        .write(true)
        .open(&source)
        .unwrap()
        .set_len(0)
        .unwrap();
    let ran: Ran = child.wait_with_output().unwrap().into();
    // It may have been cut before it was looked at: then the copy is empty too.
    let is_equal = || fs::read(dir.path("copy.img")).unwrap().is_empty();
    assert!(
        ran.code == 5 || (ran.code == 0 && is_equal()),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_mounted_image_is_refused_for_everybody() {
    let test = "a_mounted_image_is_refused_for_everybody";
    if !can(test, true, &["setpriv"]) {
        return;
    }
    // Where others may look: the folder of the build may be root's alone.
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let binary = dir.path().join("sparse-dd");
    fs::copy(env!("CARGO_BIN_EXE_sparse-dd"), &binary).unwrap();
    fs::write(dir.path().join("disk.img"), "x").unwrap();
    let Some(mounted) = Mounted::make(test, dir.path(), "ext4", 16 * M) else {
        return;
    };
    let image = dir.path().join("ext4.img");
    fs::set_permissions(&image, fs::Permissions::from_mode(0o666)).unwrap();
    let mut command = command("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&binary);
    let ran = run(command
        .current_dir(dir.path())
        .args(["-q", "disk.img", "ext4.img"]));
    let why = format!("sparse-dd: ext4.img: mounted on {}", mounted.0.display());
    ran.exits(7).says(&why);
}

#[test]
fn a_signal_during_the_last_fsync_is_heard() {
    if !can(
        "a_signal_during_the_last_fsync_is_heard",
        false,
        &["strace"],
    ) {
        return;
    }
    let dir = Dir::new();
    image(&dir, "disk.img");
    let copy = dir.file("copy.img", 10, &[]);
    let child = traced(
        &dir,
        "fsync:delay_enter=1500000",
        &copy,
        &["-q", "disk.img", "copy.img"],
    );
    poll("the last byte", || fs::read(&copy).unwrap().ends_with(&[5]));
    must(
        "kill",
        [vec!["-TERM".to_owned()], children(child.id())].concat(),
    );
    let ran: Ran = child.wait_with_output().unwrap().into();
    ran.exits(143)
        .says("sparse-dd: stopped by SIGTERM (copy.img is left incomplete)");
}

#[test]
fn two_signals_at_once_leave_nothing_behind() {
    let dir = Dir::new();
    let (child, pipe) = waiting_copy(&dir, "copy.img");
    send("TERM", &child);
    send("INT", &child);
    let ran: Ran = child.wait_with_output().unwrap().into();
    assert!([130, 143].contains(&ran.code), "{}", ran.code);
    drop(pipe);
    assert!(dir.names().is_empty());
}

#[test]
fn a_limit_of_file_sizes() {
    if !can("a_limit_of_file_sizes", false, &["prlimit"]) {
        return;
    }
    let dir = Dir::new();
    image(&dir, "disk.img");
    let mut command = command("prlimit");
    command
        .current_dir(dir.0.path())
        .args(["--fsize=100000", env!("CARGO_BIN_EXE_sparse-dd")]);
    run(command.args(["disk.img", "copy.img"]))
        .exits(1)
        .says("sparse-dd: copy.img: File too large");
    dir.run(&["/dev/zero", "copy.img", "-size", "18446744073709551615"])
        .exits(1)
        .says("sparse-dd: copy.img: File too large");
    assert_eq!(dir.names(), ["disk.img"]);
}

#[test]
fn the_first_write_that_fails_leaves_it_incomplete() {
    let test = "the_first_write_that_fails_leaves_it_incomplete";
    let dir = Dir::new();
    image(&dir, "disk.img");
    let copy = dir.file("copy.img", 20, &[]);
    let fault = "pwrite64:error=ENOSPC:when=1";
    let Some(ran) = injected(
        test,
        fault,
        &copy,
        dir.tool().args(["disk.img", "copy.img"]),
    ) else {
        return;
    };
    let said = ran.exits(1).stderr;
    assert!(
        said.ends_with("No space left on device (copy.img is left incomplete)\n"),
        "{said}"
    );
}

#[test]
fn force_overwrites_a_mounted_device() {
    let test = "force_overwrites_a_mounted_device";
    let dir = Dir::new();
    let source = dir.file("disk.img", 16 * M, &[(3 * M, M, 3)]);
    let Some(mounted) = Mounted::make(test, dir.0.path(), "ext4", 16 * M) else {
        return;
    };
    let device = must(
        "findmnt",
        ["-n", "-o", "SOURCE", mounted.0.to_str().unwrap()],
    );
    dir.run(&["-q", "-f", "disk.img", device.trim()]).exits(0);
    let copy = fs::read(device.trim()).unwrap();
    drop(mounted);
    assert!(copy == fs::read(source).unwrap());
}

#[test]
fn standard_output_has_guards_and_is_on_the_disk() {
    let test = "standard_output_has_guards_and_is_on_the_disk";
    let dir = Dir::new();
    let source = image(&dir, "disk.img");
    let append = || File::options().append(true).open(&source).unwrap();
    let mut command = tool();
    command
        .current_dir(dir.0.path())
        .args(["disk.img", "-"])
        .stdout(append());
    let ran: Ran = command.output().unwrap().into();
    ran.exits(7)
        .says("sparse-dd: standard output: is the source, disk.img");
    if !can(test, false, &["strace"]) {
        return;
    }
    let script = "exec strace -o log -e trace=fsync \"$0\" -q disk.img - > copy.img";
    let mut shell = common::command("sh");
    shell
        .current_dir(dir.0.path())
        .args(["-c", script, env!("CARGO_BIN_EXE_sparse-dd")]);
    run(&mut shell).exits(0);
    assert!(
        fs::read_to_string(dir.path("log"))
            .unwrap()
            .contains("fsync(")
    );
    assert_equal(&source, &dir.path("copy.img"));
}

#[test]
fn folders_that_can_only_be_entered() {
    let test = "folders_that_can_only_be_entered";
    if !can(test, true, &["setpriv"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mode =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let binary = tempfile::Builder::new()
        .suffix("-sparse-dd")
        .tempfile()
        .unwrap()
        .into_temp_path();
    fs::copy(env!("CARGO_BIN_EXE_sparse-dd"), &binary).unwrap();
    mode(&binary, 0o755);
    let (inner, blind) = (dir.path().join("inner"), dir.path().join("inner/blind"));
    fs::create_dir_all(&blind).unwrap();
    mode(&inner, 0o777);
    mode(&blind, 0o333);
    fs::write(inner.join("a"), "abc").unwrap();
    // The folder above is root's alone.
    mode(dir.path(), 0o700);
    for name in ["copy", "blind/copy"] {
        let mut command = command("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&binary);
        run(command.current_dir(&inner).args(["-q", "a", name]))
            .exits(0)
            .says_nothing();
        assert_eq!(fs::read(inner.join(name)).unwrap(), b"abc");
    }
}

#[test]
fn names_that_cannot_be() {
    let dir = Dir::new();
    image(&dir, "disk.img");
    for name in ["", "new/."] {
        dir.run(&["disk.img", name])
            .exits(1)
            .says(&format!("sparse-dd: {name}: No such file or directory"));
    }
}

#[test]
fn a_dry_run_is_not_heard_at_a_fifo() {
    let dir = Dir::new();
    image(&dir, "disk.img");
    must("mkfifo", [dir.path("fifo")]);
    let ran = dir.run(&["-n", "disk.img", "fifo"]).exits(0);
    assert_eq!(numbers(&ran.stderr)["Number of bytes"], 308 * K + 3333);
}

#[test]
fn a_read_only_device_is_refused() {
    let test = "a_read_only_device_is_refused";
    let dir = Dir::new();
    image(&dir, "disk.img");
    let backing = dir.file("backing", 12 * M, &[]);
    let Some(device) = LoopDevice::attach(test, &backing) else {
        return;
    };
    must("blockdev", [Path::new("--setro"), &device.0]);
    let name = device.0.to_str().unwrap();
    let ran =
        [&[] as &[&str], &["-n"]].map(|extra| dir.run(&[&["disk.img", name], extra].concat()));
    // The flag outlives the backing file.
    must("blockdev", [Path::new("--setrw"), &device.0]);
    for ran in ran {
        assert_ne!(ran.code, 0);
        assert!(
            ran.stderr.starts_with(&format!("sparse-dd: {name}: ")),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn file_systems_without_unnamed_files() {
    let test = "file_systems_without_unnamed_files";
    let dir = Dir::new();
    let source = image(&dir, "disk.img");
    let (folder, copy) = (dir.path("folder"), dir.path("folder/copy.img"));
    fs::create_dir(&folder).unwrap();
    let args = ["-q", "disk.img", copy.to_str().unwrap()];
    let fault = "openat:error=EOPNOTSUPP:when=1";
    let Some(ran) = injected(test, fault, &folder, dir.tool().args(args)) else {
        return;
    };
    ran.exits(0).says_nothing();
    assert_equal(&source, &copy);
    let names: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names, ["copy.img"]);
}
