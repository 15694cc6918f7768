//! Sizes: odd, unequal, and very large.

use super::*;

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
