//! Faults of disks and file systems.

use super::*;

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
        (
            "close:error=EIO",
            &copy,
            format!("copy.img: close: Input/output error{left}"),
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
