//! What it is for: source and destination equal, with little read, sent and written.

use super::*;

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
