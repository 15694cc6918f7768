//! What a run tells.

use super::*;

#[test]
fn json_and_quiet() {
    let dir = Dir::new();
    pair(&dir, 3 * M + 1);
    let value = json(
        &dir.run(&["-q", "-n", "--json", "-b64K", "source", "host:destination"])
            .exits(1),
    );
    let keys: Vec<&str> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let mut want = [
        "source",
        "destination",
        "size",
        "segment",
        "segments",
        "same",
        "different",
        "bytes_sent",
        "bytes_received",
        "seconds",
    ];
    want.sort_unstable();
    for key in want {
        assert!(keys.contains(&key), "{key} in {keys:?}");
    }
    assert_eq!(value["source"], "source");
    assert_eq!(value["destination"], "host:destination");
    assert_eq!(value["size"], 3 * M + 1);
    assert_eq!(
        (&value["segment"], &value["segments"]),
        (&(64 * K).into(), &49.into())
    );
    assert_eq!(
        (&value["same"], &value["different"]),
        (&14.into(), &35.into())
    );
    assert!(
        value["bytes_sent"].as_u64().unwrap() > 100
            && value["bytes_received"].as_u64().unwrap() > 50
    );
    assert!(value["seconds"].is_f64());
    let ran = dir
        .run(&["-q", "-b64K", "source", "host:destination"])
        .exits(0);
    ran.says_nothing();
    let value = json(
        &dir.run(&["--json", "-b64K", "host:source", "destination"])
            .exits(0),
    );
    assert_eq!(
        (&value["source"], &value["same"]),
        (&"host:source".into(), &49.into())
    );
    dir.run(&["-q", "source", "./missing"])
        .exits(2)
        .says("blocksync: ./missing: No such file or directory");
}

#[test]
fn a_full_or_closed_standard_output() {
    let dir = Dir::new();
    let (source, destination) = pair(&dir, M);
    for (to, why) in [
        ("&-", "Bad file descriptor"),
        ("/dev/full", "No space left on device"),
    ] {
        for names in [["source", "./destination"], ["source", "host:destination"]] {
            for quiet in [false, true] {
                edit(&destination, 5, &[0x77]);
                let script = format!("exec \"$0\" \"$@\" >{to}");
                let mut shell = command("sh");
                shell
                    .current_dir(dir.0.path())
                    .args(["-c", &script, BINARY]);
                shell.args(dir.tool().get_args()).args(names);
                if quiet {
                    run(shell.arg("-q")).exits(0).says_nothing();
                } else {
                    run(&mut shell)
                        .exits(2)
                        .says(&format!("blocksync: standard output: {why}"));
                }
                assert_equal(&source, &destination);
            }
        }
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let dir = Dir::new();
    let (source, destination) = pair(&dir, M);
    for args in [&["--help"][..], &["source", "./destination"]] {
        let pipe = std::io::pipe().unwrap().1;
        run(dir.tool().args(args).stdout(pipe))
            .exits(141)
            .says_nothing();
    }
    assert_equal(&source, &destination);
}

#[test]
fn progress_on_a_terminal() {
    let test = "progress_on_a_terminal";
    if !can(test, false, &["script"]) {
        return;
    }
    let dir = Dir::new();
    pair(&dir, 4 * M);
    let line = format!("'{BINARY}' --progress -b64K source ./destination");
    let mut script = command("script");
    script.current_dir(dir.0.path()).env("TERM", "xterm");
    script.args(["-qec", &line, "/dev/null"]);
    // As it goes, with the rate, and as the last line without. A run may be over before a line is shown
    // that has counted anything.
    let shown = (0..20)
        .map(|_| run(&mut script).exits(0).out())
        .find(|shown| shown.contains("/64, ") && shown.contains("/s"))
        .unwrap();
    let (first, last) = shown.rsplit_once("/s").unwrap();
    let (counts, rate) = first.rsplit_once("/64, ").unwrap();
    assert!(
        counts.contains("same: ") && counts.contains(", diff: "),
        "{shown:?}"
    );
    assert!(rate.contains(" s, "), "{shown:?}");
    assert!(last.ends_with(", 64/64\r\n"), "{shown:?}");
}

#[test]
fn progress_on_a_descriptor() {
    let dir = Dir::new();
    dir.file("source", 4 * M, &[(0, 4 * M, 1)]);
    for names in [
        ["source", "host:destination"],
        ["host:source", "destination"],
        ["source", "./destination"],
    ] {
        dir.file("destination", 4 * M, &[(0, 4 * M, 2)]);
        let mut shell = command("sh");
        shell
            .current_dir(dir.0.path())
            .args(["-c", "exec \"$0\" \"$@\" 9>lines", BINARY]);
        shell
            .args(dir.tool().get_args())
            .args(["-q", "--progress=9"]);
        run(shell.args(names)).exits(0).says_nothing();
        let lines = dir.text("lines");
        assert!(lines.ends_with("4194304 4194304\n"), "{names:?} {lines}");
        assert!(lines.starts_with("0 "), "{names:?} {lines}");
    }
    let ran = dir
        .run(&["-q", "--progress", "source", "./destination"])
        .exits(0);
    assert!(ran.stderr.contains("diff: 0, 4/4, "), "{}", ran.stderr);
}
