//! Destinations that are refused.

use super::*;

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

#[test]
fn a_read_only_file_system_is_not_written() {
    let test = "a_read_only_file_system_is_not_written";
    if !can(test, true, &["mount", "umount"]) {
        return;
    }
    let dir = Dir::new();
    dir.file("source", M, &[(0, M, 1)]);
    let point = dir.path("point");
    fs::create_dir(&point).unwrap();
    let ran = run(command("mount").args(["-t", "tmpfs", "none"]).arg(&point));
    if ran.code != 0 {
        return skipped(test, "mount is not permitted");
    }
    let mounted = Mounted(point.clone());
    let copy = dir.file("point/copy", M, &[]);
    must("mount", ["-o", "remount,ro", point.to_str().unwrap()]);
    dir.run(&["source", "host:point/copy"])
        .exits(7)
        .says("blocksync: the other side: point/copy: read-only");
    dir.run(&["-n", "source", "./point/copy"]).exits(1);
    dir.run(&["-q", "point/copy", "./source"]).exits(0);
    assert!(fs::read(&copy).unwrap() == vec![0; M as usize], "untouched");
    drop(mounted);
}

#[test]
fn two_runs_do_not_write_to_one_file() {
    let dir = Dir::new();
    let (source, destination) = pair(&dir, 2 * M);
    let before = fs::read(&destination).unwrap();
    let file = File::open(&destination).unwrap();
    let lock = nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusiveNonblock).unwrap();
    dir.run(&["source", "host:destination"])
        .exits(7)
        .says("blocksync: the other side: destination: in use");
    dir.run(&["-n", "source", "host:destination"]).exits(1);
    assert!(fs::read(&destination).unwrap() == before, "untouched");
    // One that ends soon is waited for.
    let child = spawn(dir.tool().args(["-q", "source", "./destination"]));
    drop(lock);
    let ran: Ran = child.wait_with_output().unwrap().into();
    ran.exits(0).says_nothing();
    assert_equal(&source, &destination);
    let first = spawn(dir.tool().args(["-q", "source", "host:destination"]));
    let second = spawn(dir.tool().args(["-q", "source", "host:destination"]));
    for child in [first, second] {
        let ran: Ran = child.wait_with_output().unwrap().into();
        ran.exits(0).says_nothing();
    }
    let file = File::open(&destination).unwrap();
    let _lock = nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusiveNonblock).unwrap();
    dir.run(&["-q", "--force-held", "source", "./destination"])
        .exits(0);
}
