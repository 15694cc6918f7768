//! What fails, is killed or is interrupted on the way, and where the domain runs after it.

use super::*;

/// What fails, where; where the domain runs after it; the exit status.
const FAILURES: [(&str, &str, &str, i32); 8] = [
    // "save" and "migrate" stand for the mode's own; the host is where xl fails.
    ("h1", "begin", "h1", 1),
    ("h1", "memory", "h1", 1),
    ("h2", "begin", "h1", 1),
    ("h2", "built", "h1", 1),
    ("h1", "info", "h1", 1),
    ("h2", "list", "h1", 1),
    ("h2", "start", "h1", 1),
    ("h1", "list", "h1", 1),
];

#[test]
fn what_fails_leaves_it_where_it_was() {
    for (kind, mode) in KINDS {
        for (host, at, runs, code) in FAILURES {
            let lab = Lab::new(kind);
            fs::write(lab.path(&format!("{host}/fail")), point(mode, host, at)).unwrap();
            let output = lab.migrate(&[]);
            assert!(
                !lab.path(&format!("{host}/fail")).exists(),
                "{mode} {host} {at}: not reached\n{}",
                lab.logs()
            );
            assert_eq!(
                output.status.code(),
                Some(code),
                "{mode} {host} {at}: {}\n{}",
                shown(&output),
                lab.logs()
            );
            lab.is_at(runs);
            // And then it can be moved.
            ended(&lab.migrate(&[]), 0);
            lab.is_at("h2");
        }
    }
}

/// A signal that asks to stop: undone before the commit, ended well after it.
#[test]
fn interrupted() {
    for (kind, mode) in KINDS {
        for (host, at, runs, code) in [
            ("h1", "begin", "h1", 1),
            ("h1", "suspended", "h1", 1),
            ("h2", "built", "h1", 1),
            ("h2", "start", "h2", 0),
        ] {
            let lab = Lab::new(kind);
            fs::write(
                lab.path(&format!("{host}/kill")),
                format!("{} TERM\n", point(mode, host, at)),
            )
            .unwrap();
            let output = lab.migrate(&[]);
            assert_eq!(
                output.status.code(),
                Some(code),
                "{mode} {host} {at}: {}\n{}",
                shown(&output),
                lab.logs()
            );
            lab.is_at(runs);
        }
    }
}

const KILL_TRANSPORT: &str = "kill -9 $(cat \"$ALL/transport.pid\"); sleep 0.3\n";

/// xl or the transport is killed, and the program is not.
#[test]
fn helpers_killed() {
    let kill_xl = "kill -9 $$\n";
    for (kind, host, at, script, runs, code) in [
        ("pv", "h1", "suspended", kill_xl, "h1", 1),
        ("pvh", "h1", "suspended", kill_xl, "h1", 1),
        ("pvh", "h1", "ready-read", kill_xl, "h1", 1),
        (
            "pvh",
            "h2",
            "started",
            "kill -9 $(cat \"$ALL/xl.pid\"); sleep 0.3\n",
            "h2",
            0,
        ),
        ("pvh", "h1", "suspended", KILL_TRANSPORT, "h1", 1),
        ("pvh", "h2", "received", KILL_TRANSPORT, "h1", 1),
        ("pvh", "h2", "go-read", KILL_TRANSPORT, "h2", 0),
        ("pvh", "h2", "started", KILL_TRANSPORT, "h2", 0),
    ] {
        let lab = Lab::new(kind);
        hook(&lab, host, at, script);
        let output = lab.migrate(&[]);
        let what = format!("{kind} {host} {at} {script}");
        assert_eq!(
            output.status.code(),
            Some(code),
            "{what}: {}\n{}",
            shown(&output),
            lab.logs()
        );
        if script == kill_xl {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains("SIGKILL"), "{what}: {said}");
        }
        lab.is_at(runs);
        assert!(settle(&lab), "{what}: processes are left");
    }
}

#[test]
fn what_is_left_behind_is_told() {
    for (kind, at) in [("pv", "destroy"), ("pvh", "report-read")] {
        let lab = Lab::new(kind);
        let disk = lab.path("h1/disks/a").display().to_string();
        hook(
            &lab,
            "h1",
            at,
            &format!("mv '{disk}' '{disk}.was'; mkdir '{disk}'\n"),
        );
        let output = lab.migrate(&["--remove-source"]);
        ended(&output, 2);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("g1: moved, but: here: "), "{said}");
        assert_eq!(lab.state("h2").as_deref(), Some("g1 running"));
        assert!(!lab.path("h1/state/g1.journal").exists());
    }
    // A host that cannot write a journal.
    let lab = Lab::new("pv");
    let mut command = lab.command(&["g1", "h2"]);
    command.env("XEN_MIGRATE_STATE_DIR", lab.path("h1/info/x"));
    let output = command.output().unwrap();
    ended(&output, 1);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("here: lock: ") && said.contains("Not a directory"),
        "{said}"
    );
}
