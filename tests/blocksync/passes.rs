//! Further passes of a session, and parts of an object.

use super::*;

#[test]
fn a_session_reads_only_the_source_again() {
    let test = "a_session_reads_only_the_source_again";
    let dir = Dir::new();
    let (source, destination) = pair(&dir, 4 * M + 99);
    let mut child = dir
        .tool()
        .args(["--session", "-b64K", "source", "host:destination"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut line = || lines.next().unwrap().unwrap();
    assert!(line().ends_with(", 65/65"));
    assert_equal(&source, &destination);
    for (at, bytes) in [
        (5000, b"changed".to_vec()),
        (4 * M + 98, vec![0x55]),
        (M, vec![0; 64 << 10]),
        (M + 70_000, vec![0x33; 200_000]),
    ] {
        edit(&source, at, &bytes);
        input.write_all(b"again\n").unwrap();
        let said = line();
        assert!(
            said.ends_with(", 65/65") && !said.contains("diff: 0"),
            "{said}"
        );
        assert_equal(&source, &destination);
    }
    input.write_all(b"again\nend\n").unwrap();
    assert_eq!(line(), "same: 65, diff: 0, 65/65");
    assert!(child.wait().unwrap().success());

    if !can(test, false, &["strace"]) {
        return;
    }
    dir.bytes("commands", b"again\nagain\n");
    let mut reads = Vec::new();
    for path in [&source, &destination] {
        let log = dir.path("log");
        let mut command = command("strace");
        command
            .current_dir(dir.0.path())
            .args(["-f", "-qq", "-e", "trace=pread64,pwrite64", "-o"]);
        command.arg(&log).arg("-P").arg(path);
        command.args([BINARY, "--session", "-q", "source", "./destination"]);
        command.stdin(File::open(dir.path("commands")).unwrap());
        let ran: Ran = command.output().unwrap().into();
        ran.exits(0).says_nothing();
        let log = dir.text("log");
        assert!(!log.contains("pwrite64("), "{log}");
        reads.push(
            transfers(&log, "pread64")
                .iter()
                .map(|(_, n)| n)
                .sum::<u64>(),
        );
    }
    assert_eq!(reads[0], 3 * reads[1], "the destination is read once");
}

#[test]
fn what_a_session_does_not_take() {
    let dir = Dir::new();
    pair(&dir, M);
    dir.bytes("commands", b"once more\n");
    let mut tool = dir.tool();
    tool.args(["--session", "-q", "source", "host:destination"]);
    tool.stdin(File::open(dir.path("commands")).unwrap());
    let ran: Ran = tool.output().unwrap().into();
    ran.exits(2)
        .says("blocksync: standard input: once more: neither again nor end");
    let hint = "Try 'blocksync --help' for more information.";
    for (args, why) in [
        (
            ["--session", "-n", "source", "h:b"],
            "--session and --check exclude each other",
        ),
        (
            ["-q", "--session", "h:source", "b"],
            "--session needs the source at this host",
        ),
        (
            ["-q", "--ranges=r", "h:source", "b"],
            "--ranges needs the source at this host",
        ),
        (
            ["--session", "--ranges=-", "source", "h:b"],
            "--session and --ranges=- both read standard input",
        ),
        (
            ["-q", "--retry=x", "source", "h:b"],
            "--retry x: not a number",
        ),
    ] {
        dir.run(&args)
            .exits(2)
            .says(&format!("blocksync: {why}\n{hint}"));
    }
    // A signal between two passes.
    let mut tool = dir.tool();
    tool.args(["--session", "source", "host:destination"]);
    tool.stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = tool.spawn().unwrap();
    let input = child.stdin.take();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    send("TERM", child.id());
    let ran: Ran = child.wait_with_output().unwrap().into();
    ran.exits(9).says("blocksync: stopped by SIGTERM");
    drop(input);
}

#[test]
fn only_these_ranges_are_read() {
    let test = "only_these_ranges_are_read";
    let dir = Dir::new();
    let source = dir.file("source", 8 * M, &[(0, 8 * M, 1)]);
    let destination = dir.file("destination", 8 * M, &[(0, 8 * M, 2)]);
    dir.bytes("ranges", b"# changed\n1M 1\n5242879 2\n\n");
    let mut tool = dir.tool();
    tool.args(["--ranges=ranges", "source", "./destination"]);
    let paths = [source.as_path(), &destination];
    let Some((ran, log)) = strace(test, "pread64", &paths, &mut tool) else {
        return;
    };
    ran.prints("same: 0, diff: 3, 3/3");
    let got = fs::read(&destination).unwrap();
    for (n, segment) in got.chunks(1 << 20).enumerate() {
        let byte = if matches!(n, 1 | 4 | 5) { 1 } else { 2 };
        assert!(segment.iter().all(|b| *b == byte), "{n}");
    }
    let read = transfers(&log, "pread64");
    assert!(
        read.iter().all(|(at, _)| matches!(at / M, 1 | 4 | 5)),
        "{read:?}"
    );
    for (text, why) in [
        ("0 9M\n", "ranges: line 1: beyond the end at byte 8388608"),
        ("\n7\n", "ranges: line 2: not an offset and a length"),
    ] {
        dir.bytes("ranges", text.as_bytes());
        let ran = dir.run(&["--ranges", "ranges", "source", "./destination"]);
        ran.exits(2).says(&format!("blocksync: {why}"));
    }
    // Without an end of the line: not read until memory ends.
    dir.run(&["--ranges=/dev/zero", "source", "./destination"])
        .exits(2)
        .says("blocksync: /dev/zero: line 1: too long");
    dir.bytes("ranges", b"");
    dir.run(&["--ranges", "ranges", "source", "host:destination"])
        .prints("same: 0, diff: 0, 0/0");
    let shell = "echo 2M 1M | exec \"$0\" \"$@\"";
    let mut command = command("sh");
    command
        .current_dir(dir.0.path())
        .args(["-c", shell, BINARY]);
    command
        .args(dir.tool().get_args())
        .args(["--ranges=-", "source", "host:destination"]);
    run(&mut command).prints("same: 0, diff: 1, 1/1");
}
