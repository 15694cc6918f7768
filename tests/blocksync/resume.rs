//! Runs that broke off, and connecting again.

use super::*;

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
        fs::remove_file(dir.path("state")).unwrap();
        nix::unistd::mkfifo(&dir.path("state"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        dir.run(&args).exits(2).says("blocksync: state: not a file");
        fs::remove_file(dir.path("state")).unwrap();
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
