//! Migrations that were cut off, and `--recover`.

use super::*;

/// The program is killed at each point; then `--recover` makes one running copy of it.
#[test]
fn killed_and_recovered() {
    for (kind, mode) in KINDS {
        for (host, at, runs) in [
            ("h1", "info", "h1"),
            ("h1", "begin", "h1"),
            ("h1", "suspended", "h1"),
            ("h1", "memory", "h1"),
            ("h2", "begin", "h1"),
            ("h2", "built", "h1"),
            (
                "h1",
                if mode == "save" {
                    "saved"
                } else {
                    "ready-read"
                },
                "h1",
            ),
            ("h2", "start", "h2"),
            (
                "h2",
                if mode == "save" {
                    "unpaused"
                } else {
                    "started"
                },
                "h2",
            ),
            (
                "h1",
                if mode == "save" {
                    "destroy"
                } else {
                    "report-read"
                },
                "h2",
            ),
        ] {
            let lab = Lab::new(kind);
            fs::write(
                lab.path(&format!("{host}/kill")),
                format!("{} KILL\n", point(mode, host, at)),
            )
            .unwrap();
            let output = lab.migrate(&[]);
            let what = format!("{mode} {host} {at}");
            assert!(
                output.status.code().is_none(),
                "{what}: not reached: {}\n{}",
                shown(&output),
                lab.logs()
            );
            // What was cut off needs a moment to notice.
            settle(&lab);
            lab.never_both();
            let output = lab.command(&["--recover", "g1"]).output().unwrap();
            assert_eq!(
                output.status.code(),
                Some(0),
                "{what}: {}\n{}",
                shown(&output),
                lab.logs()
            );
            lab.is_at(runs);
            let output = lab.command(&["--status", "g1"]).output().unwrap();
            ended(&output, 0);
        }
    }
}

/// The connection is cut at each point, and the target cannot be reached until later.
#[test]
fn cut_off_and_recovered() {
    for (kind, mode) in KINDS {
        for (host, at, runs) in [
            ("h1", "suspended", "h1"),
            ("h2", "built", "h1"),
            (
                "h2",
                if mode == "save" {
                    "unpaused"
                } else {
                    "started"
                },
                "h2",
            ),
        ] {
            let lab = Lab::new(kind);
            fs::write(lab.path(&format!("{host}/cut")), point(mode, host, at)).unwrap();
            let what = format!("{mode} {host} {at}");
            let mut child = lab.start(&[&lab.map("h1/disks/a", "h2/disks/a"), "g1", "h2"]);
            if runs == "h2" {
                // It looks for the target for a while; then it is killed, and that is worse.
                let until = Instant::now() + Duration::from_secs(30);
                while !lab.path("unreachable").exists() && Instant::now() < until {
                    std::thread::sleep(Duration::from_millis(20));
                }
                std::thread::sleep(Duration::from_millis(500));
                child.kill().unwrap();
            }
            let output = child.wait_with_output().unwrap();
            assert!(
                lab.path("unreachable").exists(),
                "{what}: not reached: {}\n{}",
                shown(&output),
                lab.logs()
            );
            assert!(
                matches!(output.status.code(), Some(4) | None),
                "{what}: {}\n{}",
                shown(&output),
                lab.logs()
            );
            if runs == "h1" {
                assert_eq!(lab.state("h1").as_deref(), Some("g1 running"), "{what}");
            }
            let output = lab.command(&["--recover", "g1"]).output().unwrap();
            assert_eq!(
                output.status.code(),
                Some(4),
                "{what}: {}\n{}",
                shown(&output),
                lab.logs()
            );
            lab.never_both();
            fs::remove_file(lab.path("unreachable")).unwrap();
            let output = lab.command(&["--recover", "g1"]).output().unwrap();
            assert_eq!(
                output.status.code(),
                Some(0),
                "{what}: {}\n{}",
                shown(&output),
                lab.logs()
            );
            lab.is_at(runs);
        }
    }
}

/// Cut off when the target has just started, but it can be reached again: then the program finds out.
#[test]
fn finds_out_whether_it_started() {
    for (kind, mode) in KINDS {
        let lab = Lab::new(kind);
        let at = if mode == "save" {
            "unpaused"
        } else {
            "started"
        };
        fs::write(lab.path("h2/cut"), at).unwrap();
        let child = lab.start(&[&lab.map("h1/disks/a", "h2/disks/a"), "g1", "h2"]);
        let until = Instant::now() + Duration::from_secs(60);
        while !lab.path("unreachable").exists() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        fs::remove_file(lab.path("unreachable")).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(0),
            "{mode}: {}\n{}",
            shown(&output),
            lab.logs()
        );
        settle(&lab);
        lab.is_at("h2");
    }
}

/// `--recover` at the target, which has to be told where the source is.
#[test]
fn recovered_from_the_target() {
    let lab = Lab::new("pv");
    fs::write(lab.path("h2/kill"), "unpause KILL\n").unwrap();
    assert!(lab.migrate(&[]).status.code().is_none());
    settle(&lab);
    let status = |args: &[&str]| lab.command_at("h2", args).output().unwrap();
    let output = status(&["--status"]);
    ended(&output, 4);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "g1: committed, to h2\n"
    );
    let output = status(&["--status", "--json", "g1", "h1"]);
    ended(&output, 4);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("\"owner\":\"target\""), "{text}");
    // Alone it cannot know.
    ended(&status(&["--recover", "g1"]), 4);
    let output = status(&["--recover", "g1", "h1"]);
    ended(&output, 0);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "g1: runs at the target\n"
    );
    lab.is_at("h2");
    ended(&status(&["--status"]), 0);
}

/// The target was given the domain, and has lost it since. The source may have it back only where its
/// disks prove that it never ran at the target.
#[test]
fn given_away_and_lost_there() {
    for (disks, code) in [("equal", 0), ("gone on", 4), ("shared", 4), ("none", 4)] {
        let lab = Lab::new("pv");
        let map = lab.map("h1/disks/a", "h2/disks/a");
        let mut args = vec![&*map, "g1", "h2"];
        let shared = format!("--shared={}", lab.path("h1/disks/c").display());
        match disks {
            "shared" => {
                lab.disk("xvdb", "h1/disks/c", "h2/disks/c");
                args.push(&shared);
            }
            "none" => {
                fs::write(lab.path("h1/domains/3/disks"), "").unwrap();
                args.remove(0);
            }
            _ => {}
        }
        fs::write(lab.path("h2/kill"), "unpause KILL\n").unwrap();
        let output = lab.start(&args).wait_with_output().unwrap();
        assert!(
            output.status.code().is_none(),
            "{disks}: {}",
            shown(&output)
        );
        settle(&lab);
        // Its host has died, say.
        let copy = fs::read_dir(lab.path("h2/domains"))
            .unwrap()
            .next()
            .unwrap();
        fs::remove_dir_all(copy.unwrap().path()).unwrap();
        if disks == "gone on" {
            let mut bytes = fs::read(lab.path("h2/disks/a")).unwrap();
            bytes[DISK - 1] ^= 1;
            fs::write(lab.path("h2/disks/a"), bytes).unwrap();
        }
        // Asked twice, it says the same.
        for _ in 0..2 {
            let output = lab.command(&["--recover", "g1"]).output().unwrap();
            ended(&output, code);
            let state = if code == 0 { "g1 running" } else { "g1 paused" };
            assert_eq!(lab.state("h1").as_deref(), Some(state), "{disks}");
            assert_eq!(lab.state("h2"), None, "{disks}");
        }
        if code == 0 {
            lab.is_at("h1");
        }
    }
}

/// Between which hosts a migration was, only its journals know: a third one has nothing to decide.
#[test]
fn another_host_named() {
    let lab = Lab::new("pv");
    for folder in ["h3", "h3/domains"] {
        fs::create_dir(lab.path(folder)).unwrap();
    }
    fs::copy(lab.path("h1/info"), lab.path("h3/info")).unwrap();
    fs::write(lab.path("h2/kill"), "unpause KILL\n").unwrap();
    assert!(lab.migrate(&[]).status.code().is_none());
    settle(&lab);
    // As if it had been killed before it said so.
    let copy = fs::read_dir(lab.path("h2/domains"))
        .unwrap()
        .next()
        .unwrap();
    fs::write(copy.unwrap().path().join("state"), "paused\n").unwrap();
    for (at, other) in [("h3", "h2"), ("h2", "h3"), ("h1", "h3")] {
        let mut command = lab.command_at(at, &["--recover", "g1", other]);
        let output = command.output().unwrap();
        ended(&output, 4);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.contains("has neither it nor a journal of it"),
            "{said}"
        );
        assert_eq!(lab.state("h1").as_deref(), Some("g1 paused"), "{at}");
        assert_eq!(lab.state("h2").as_deref(), Some("g1 paused"), "{at}");
    }
    // At the right one, and once more.
    for said in [
        "g1: runs at the target\n",
        "g1: no migration that did not end\n",
    ] {
        let output = lab.command(&["--recover", "g1"]).output().unwrap();
        ended(&output, 0);
        assert_eq!(String::from_utf8_lossy(&output.stdout), said);
        lab.is_at("h2");
    }
}

/// `--recover` comes while what the killed program has left is about to decide by itself.
#[test]
fn recovered_at_once() {
    for (fails, runs) in [(false, "h2"), (true, "h1")] {
        let lab = Lab::new("pvh");
        if fails {
            fs::write(lab.path("h2/fail"), "start").unwrap();
        }
        hook(
            &lab,
            "h2",
            "go-read",
            "kill -9 $(cat \"$ALL/pid\"); sleep 3\n",
        );
        assert!(lab.migrate(&[]).status.code().is_none());
        let output = lab.command(&["--recover", "g1"]).output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}\n{}",
            shown(&output),
            lab.logs()
        );
        lab.is_at(runs);
        assert!(settle(&lab));
    }
}
