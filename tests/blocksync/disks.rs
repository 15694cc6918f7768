//! Faults of disks.

use super::*;

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
            ("close:error=EIO", &destination, 6, format!(": close: {io}")),
            ("lseek:error=EIO:when=2", &source, 5, io.to_owned()),
        ] {
            fs::write(&destination, &original).unwrap();
            let mut tool = dir.tool();
            tool.arg("-b64K").args(names);
            let Some(ran) = injected(test, fault, on, &tool) else {
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
            let mut tool = dir.tool();
            tool.args(["-q", "-b64K"]).args(names);
            injected(test, fault, on, &tool)
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
