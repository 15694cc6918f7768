//! xen-migrate as its users run it, against a stand-in for xl and ssh (tests/fake-xen) that keeps two
//! "hosts" in folders: every failure at every step. The disks are copied by the real blocksync. What
//! real Xen does is shown by the lab (`cargo xtask lab xen`).
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const BIN: &str = env!("CARGO_BIN_EXE_xen-migrate");
const UUID: &str = "b187a03e-b458-47d6-9ada-0a7d9c4ab244";
const DISK: usize = 1 << 20;

/// Two hosts, and a domain `g1` with a disk at the first.
struct Lab {
    dir: tempfile::TempDir,
    blocksync: PathBuf,
}

/// blocksync is another crate's binary: the test that needs it builds it.
fn blocksync() -> PathBuf {
    let path = Path::new(BIN).with_file_name("blocksync");
    static BUILT: std::sync::Once = std::sync::Once::new();
    BUILT.call_once(|| {
        let mut command = Command::new(env!("CARGO"));
        command.args(["build", "-q", "-p", "blocksync"]);
        if path.parent().unwrap().ends_with("release") {
            command.arg("--release");
        }
        command
            .arg("--target-dir")
            .arg(path.parent().unwrap().parent().unwrap());
        assert!(command.status().unwrap().success());
    });
    path
}

impl Lab {
    fn new(kind: &str) -> Lab {
        let lab = Lab {
            dir: tempfile::tempdir().unwrap(),
            blocksync: blocksync(),
        };
        for (name, bytes) in [
            ("ready", &b"domain received, ready to unpause\0"[..]),
            ("go", b"domain is yours, you are cleared to unpause\0"),
            ("report", b"my copy unpause results are as follows\0"),
        ] {
            fs::write(lab.path(name), bytes).unwrap();
        }
        for host in ["h1", "h2"] {
            fs::create_dir_all(lab.path(&format!("{host}/domains"))).unwrap();
            fs::write(lab.path(&format!("{host}/next")), "3\n").unwrap();
            let info = "xen_major              : 4\nxen_minor              : 17\nfree_memory            : 900\n\
                        virt_caps              : pv hvm hap gnttab-v1\n";
            fs::write(lab.path(&format!("{host}/info")), info).unwrap();
            fs::create_dir(lab.path(&format!("{host}/disks"))).unwrap();
        }
        fs::create_dir(lab.path("bin")).unwrap();
        for (name, text) in [
            ("xl", include_str!("fake-xen/xl")),
            ("ssh", include_str!("fake-xen/ssh")),
        ] {
            let path = lab.path(&format!("bin/{name}"));
            fs::write(&path, text).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(&path, mode).unwrap();
        }
        let domain = lab.path("h1/domains/3");
        fs::create_dir(&domain).unwrap();
        for (name, text) in [
            ("name", "g1\n"),
            ("uuid", &format!("{UUID}\n")),
            ("state", "running\n"),
            ("kind", &format!("{kind}\n")),
            ("memory", "what g1 remembers"),
        ] {
            fs::write(domain.join(name), text).unwrap();
        }
        lab.disk("xvda", "h1/disks/a", "h2/disks/a");
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Adds a disk, with an old copy at the target.
    fn disk(&self, vdev: &str, source: &str, target: &str) {
        let bytes: Vec<u8> = (0..DISK).map(|at| (at / 512 % 251) as u8).collect();
        fs::write(self.path(source), &bytes).unwrap();
        fs::write(self.path(target), vec![0; DISK]).unwrap();
        let list = self.path("h1/domains/3/disks");
        let mut text = fs::read_to_string(&list).unwrap_or_default();
        text += &format!("{vdev} {}\n", self.path(source).display());
        fs::write(list, text).unwrap();
    }

    fn map(&self, source: &str, target: &str) -> String {
        format!(
            "--map={}={}",
            self.path(source).display(),
            self.path(target).display()
        )
    }

    fn command(&self, args: &[&str]) -> Command {
        self.command_at("h1", args)
    }

    fn command_at(&self, host: &str, args: &[&str]) -> Command {
        let mut command = Command::new(BIN);
        let path = format!(
            "{}:{}",
            self.path("bin").display(),
            std::env::var("PATH").unwrap()
        );
        command.env("PATH", path);
        command.env("FAKE_HOST", self.path(host));
        command.env("XEN_MIGRATE_STATE_DIR", self.path(&format!("{host}/state")));
        command.arg(format!("--blocksync={}", self.blocksync.display()));
        command.arg(format!("--remote-blocksync={}", self.blocksync.display()));
        command
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn start(&self, args: &[&str]) -> Child {
        let child = self.command(args).spawn().unwrap();
        fs::write(self.path("pid"), format!("{}\n", child.id())).unwrap();
        child
    }

    /// Migrates `g1` to the other host. The command line has a map of the disk.
    fn migrate(&self, args: &[&str]) -> Output {
        let map = self.map("h1/disks/a", "h2/disks/a");
        let all = [args, &[&map, "g1", "h2"]].concat();
        self.start(&all).wait_with_output().unwrap()
    }

    fn state(&self, host: &str) -> Option<String> {
        let domains = fs::read_dir(self.path(&format!("{host}/domains"))).unwrap();
        let found: Vec<_> = domains
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_none())
            .map(|path| {
                let read = |name: &str| {
                    fs::read_to_string(path.join(name))
                        .unwrap()
                        .trim()
                        .to_owned()
                };
                assert_eq!(read("uuid"), UUID);
                assert_eq!(read("memory"), "what g1 remembers");
                format!("{} {}", read("name"), read("state"))
            })
            .collect();
        assert!(found.len() <= 1, "{found:?}");
        found.into_iter().next()
    }

    /// It runs at one host under its name, nothing is left at the other, and nothing of the tool.
    fn is_at(&self, host: &str) {
        let other = if host == "h1" { "h2" } else { "h1" };
        assert_eq!(
            self.state(host).as_deref(),
            Some("g1 running"),
            "at {host}\n{}",
            self.logs()
        );
        assert_eq!(self.state(other), None, "at {other}\n{}", self.logs());
        self.never_both();
        for host in ["h1", "h2"] {
            let left: Vec<_> = fs::read_dir(self.path(&format!("{host}/state")))
                .map(|dir| dir.map(|entry| entry.unwrap().file_name()).collect())
                .unwrap_or_default();
            assert_eq!(left, [""; 0], "at {host}\n{}", self.logs());
        }
        if host == "h2" {
            let written = fs::read(self.path("h2/disks/a")).unwrap();
            let same = written == fs::read(self.path("h1/disks/a")).unwrap();
            assert!(same, "the disks differ");
            assert!(written[8192..].starts_with(b"last write of what g1 remembers"));
        }
    }

    fn never_both(&self) {
        assert!(!self.path("violations").exists(), "{}", self.logs());
    }

    fn logs(&self) -> String {
        let log = |host| fs::read_to_string(self.path(&format!("{host}/log"))).unwrap_or_default();
        format!("h1:\n{}\nh2:\n{}", log("h1"), log("h2"))
    }
}

fn shown(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    format!(
        "{}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    )
}

#[track_caller]
fn ended(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", shown(output));
}

const KINDS: [(&str, &str); 2] = [("pv", "save"), ("pvh", "live")];

#[test]
fn moves() {
    for (kind, mode) in KINDS {
        let lab = Lab::new(kind);
        let output = lab.migrate(&[]);
        ended(&output, 0);
        lab.is_at("h2");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            text.contains("g1: moved to h2, paused for "),
            "{mode}: {text}"
        );
        assert_eq!(output.stderr, b"", "{mode}");
    }
}

/// What a host says of itself does not always hold.
#[test]
fn saved_where_live_does_not_work() {
    for (mode, code) in [("auto", 0), ("live", 1)] {
        let lab = Lab::new("pv");
        for host in ["h1", "h2"] {
            let info =
                "xen_major : 4\nxen_minor : 17\nfree_memory : 900\nvirt_caps : pv hvm hap shadow\n";
            fs::write(lab.path(&format!("{host}/info")), info).unwrap();
        }
        fs::write(lab.path("h1/no-dirty-log"), "").unwrap();
        let output = lab.migrate(&[&format!("--mode={mode}")]);
        ended(&output, code);
        let text = shown(&output);
        if mode == "auto" {
            lab.is_at("h2");
            assert!(
                text.contains("g1: cannot be moved live here: it is saved\n"),
                "{text}"
            );
        } else {
            lab.is_at("h1");
            assert!(text.contains("Failed to enable logdirty"), "{text}");
        }
    }
}

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

/// The word of the stand-in for a point, by mode.
fn point(mode: &str, host: &str, point: &str) -> String {
    let word = match (mode, host, point) {
        ("save", "h1", "begin") => "save",
        ("live", "h1", "begin") => "migrate",
        ("save", "h2", "begin") => "restore",
        ("live", "h2", "begin") => "receive",
        ("save", "h2", "built") => "restored",
        ("live", "h2", "built") => "received",
        ("save", "h2", "start") => "unpause",
        (_, _, other) => other,
    };
    word.to_owned()
}

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

/// Waits until no process works for a host any more; whether that came.
fn settle(lab: &Lab) -> bool {
    let until = Instant::now() + Duration::from_secs(20);
    let name = lab.dir.path().to_str().unwrap().to_owned();
    loop {
        let busy = fs::read_dir("/proc").unwrap().flatten().any(|entry| {
            let environ = fs::read(entry.path().join("environ")).unwrap_or_default();
            environ
                .windows(name.len())
                .any(|part| part == name.as_bytes())
        });
        if !busy || Instant::now() >= until {
            return !busy;
        }
        std::thread::sleep(Duration::from_millis(20));
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

#[test]
fn several_disks_other_paths_and_new_volumes() {
    for (kind, mode) in KINDS {
        let lab = Lab::new(kind);
        lab.disk("xvdb", "h1/disks/b's disk", "h2/disks/other b");
        lab.disk("xvdc", "h1/disks/c", "h1/disks/shared");
        fs::remove_file(lab.path("h2/disks/other b")).unwrap();
        let before = fs::read(lab.path("h1/disks/c")).unwrap();
        let shared = format!("--shared={}", lab.path("h1/disks/c").display());
        let map = lab.map("h1/disks/b's disk", "h2/disks/other b");
        let args = ["--create", "--remove-source", "--json", &shared, &map];
        let output = lab.migrate(&args);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{mode}: {}\n{}",
            shown(&output),
            lab.logs()
        );
        assert_eq!(lab.state("h2").as_deref(), Some("g1 running"));
        // The configuration names the disks as they are called there.
        let domain = fs::read_dir(lab.path("h2/domains"))
            .unwrap()
            .next()
            .unwrap()
            .unwrap();
        let disks = fs::read_to_string(domain.path().join("disks")).unwrap();
        let name = |name: &str| lab.path(name).display().to_string();
        let expected = [
            format!("xvda {}\n", name("h2/disks/a")),
            format!("xvdb {}\n", name("h2/disks/other b")),
            format!("xvdc {}\n", name("h1/disks/c")),
        ];
        assert_eq!(disks, expected.concat());
        assert!(fs::read(lab.path("h2/disks/other b")).unwrap()[8192..].starts_with(b"last write"));
        // What was shared is as it was, but for what the guest itself wrote to it.
        assert_eq!(
            fs::read(lab.path("h1/disks/c")).unwrap()[9000..],
            before[9000..]
        );
        assert!(!lab.path("h1/disks/a").exists() && !lab.path("h1/disks/b's disk").exists());
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(value["mode"], mode);
        let passes = value["passes"].as_array().unwrap();
        assert_eq!(passes.len() % 2, 0);
        assert!(value["paused_seconds"].as_f64().unwrap() > 0.0);
    }
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

/// Names that a shell or the parser could take for something else; and a domain without disks.
#[test]
fn odd_domains() {
    for (kind, name, disks) in [
        ("pv", "transport", true),
        ("pvh", "it's $(touch x); `touch x` & g", true),
        ("pv", "--help me", true),
        ("pvh", "transport", false),
        ("pv", "g1", false),
    ] {
        let lab = Lab::new(kind);
        fs::write(lab.path("h1/domains/3/name"), format!("{name}\n")).unwrap();
        let map = lab.map("h1/disks/a", "h2/disks/a");
        let mut args = vec!["-v", &map, "--", name, "h2"];
        if !disks {
            fs::write(lab.path("h1/domains/3/disks"), "").unwrap();
            args.remove(1);
        }
        let output = lab.start(&args).wait_with_output().unwrap();
        ended(&output, 0);
        let runs = format!("{name} running");
        assert_eq!(lab.state("h2").as_deref(), Some(&*runs), "{}", lab.logs());
        assert_eq!(lab.state("h1"), None);
        lab.never_both();
        for host in ["h1", "h2"] {
            let left = fs::read_dir(lab.path(&format!("{host}/state"))).unwrap();
            assert_eq!(left.count(), 0, "{name}");
        }
    }
}

/// Memory that is saved goes over packed where the target has zstd, and as it is where it has not. A
/// program there that breaks is a failure like others.
#[test]
fn packed_or_not() {
    if !common::can("packed_or_not", false, &["zstd"]) {
        return;
    }
    let script = |lab: &Lab, text: &str| {
        let path = lab.path("bin/zstd");
        fs::write(
            &path,
            format!("#!/bin/sh\necho unpacks >> $FAKE_HOST/log\n{text}\n"),
        )
        .unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&path, mode).unwrap();
    };
    let unpacks = |lab: &Lab| lab.logs().contains("unpacks");
    let lab = Lab::new("pv");
    script(&lab, "PATH=${PATH#*:}; exec zstd \"$@\"");
    ended(&lab.migrate(&[]), 0);
    lab.is_at("h2");
    assert!(unpacks(&lab));
    for text in [
        "head -c 20 > /dev/null; exit 1",
        "PATH=${PATH#*:}; zstd \"$@\" | head -c 100",
        "kill -9 $$",
    ] {
        let lab = Lab::new("pv");
        script(&lab, text);
        ended(&lab.migrate(&[]), 1);
        lab.is_at("h1");
        assert!(unpacks(&lab));
    }
    // All programs but that one.
    let lab = Lab::new("pv");
    for folder in ["/bin", "/usr/bin", "/sbin", "/usr/sbin"] {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_name() != "zstd" {
                let _ = std::os::unix::fs::symlink(
                    entry.path(),
                    lab.path("bin").join(entry.file_name()),
                );
            }
        }
    }
    let args = [&lab.map("h1/disks/a", "h2/disks/a"), "g1", "h2"];
    let mut command = lab.command(&args);
    ended(&command.env("PATH", lab.path("bin")).output().unwrap(), 0);
    lab.is_at("h2");
}

/// Everything below a folder, but for logs.
fn tree(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(tree(&path));
        } else if !path.ends_with("log") && !path.ends_with("pid") {
            all.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    all.sort();
    all
}

#[test]
fn plans() {
    let lab = Lab::new("pvh");
    let before = tree(lab.dir.path());
    let output = lab.migrate(&["--dry-run"]);
    ended(&output, 0);
    assert!(!lab.path("h1/state").exists() && !lab.path("h2/state").exists());
    let name = |name: &str| lab.path(name).display().to_string();
    let expected = format!(
        "g1: pvh, 64 MiB, live to h2\nxvda: {a} -> {b}, 1.0 MiB\n\
         run: {blocksync} --session '{a}' 'h2:{b}'\n\
         run: xl migrate -s 'xen-migrate transport' 3 h2\n",
        a = name("h1/disks/a"),
        b = name("h2/disks/a"),
        blocksync = lab.blocksync.display(),
    );
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    let output = lab.migrate(&["-n", "--json", "--mode=save"]);
    ended(&output, 0);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&value["mode"], &value["disks"][0]["vdev"]),
        (&"save".into(), &"xvda".into())
    );
    assert_eq!(value["impossible"].as_array().unwrap().len(), 0);

    // Each reason, in the plan and when it is tried.
    type Change = fn(&Lab);
    let cases: [(Change, &[&str], &str); 6] = [
        (
            |lab| fs::write(lab.path("h2/disks/a"), "short").unwrap(),
            &[],
            "has 5 bytes, and ",
        ),
        (
            |lab| fs::remove_file(lab.path("h2/disks/a")).unwrap(),
            &[],
            "is missing at the target: make it, or use --create",
        ),
        (
            |lab| {
                fs::write(
                    lab.path("h2/info"),
                    "xen_major : 4\nxen_minor : 16\nfree_memory : 9000\n",
                )
                .unwrap()
            },
            &[],
            "the target has Xen 4.16, older than the source's 4.17",
        ),
        (
            |lab| {
                let info = "xen_major : 4\nxen_minor : 17\nfree_memory : 9\nxen_commandline : dom0_mem=448M\n";
                fs::write(lab.path("h2/info"), info).unwrap();
            },
            &[],
            "the target has 9 MiB of memory free, and it has 64 MiB",
        ),
        (
            |lab| fs::write(lab.path("h1/domains/3/state"), "paused\n").unwrap(),
            &[],
            "it does not run",
        ),
        (
            |_| (),
            &["--map=/nonexistent=/x"],
            "--map: the domain has no disk /nonexistent",
        ),
    ];
    drop(before);
    for (change, args, why) in cases {
        let lab = Lab::new("pvh");
        change(&lab);
        let before = tree(lab.dir.path());
        let output = lab.migrate(&[args, &["--dry-run"]].concat());
        ended(&output, 3);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            text.contains("impossible: ") && text.contains(why),
            "{text}"
        );
        let output = lab.migrate(args);
        ended(&output, 3);
        assert!(
            String::from_utf8_lossy(&output.stderr).contains(why),
            "{}",
            shown(&output)
        );
        assert_eq!(tree(lab.dir.path()), before, "{why}");
    }
}

#[test]
fn one_at_a_time() {
    let lab = Lab::new("pv");
    // The source again, by another name.
    std::os::unix::fs::symlink(lab.path("h1"), lab.path("h3")).unwrap();
    let output = lab.start(&["g1", "h3"]).wait_with_output().unwrap();
    ended(&output, 3);
    assert_eq!(output.stderr, b"xen-migrate: the target is this host\n");
    fs::remove_file(lab.path("h3")).unwrap();
    // A migration that did not end.
    fs::write(lab.path("h1/kill"), "saved KILL\n").unwrap();
    assert!(lab.migrate(&[]).status.code().is_none());
    settle(&lab);
    let output = lab.migrate(&[]);
    ended(&output, 4);
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("has not ended"),
        "{}",
        shown(&output)
    );
    ended(&lab.command(&["--recover", "g1"]).output().unwrap(), 0);
    lab.is_at("h1");
    // One that is under way.
    fs::write(lab.path("h1/kill"), "suspended STOP\n").unwrap();
    let child = lab.start(&[&lab.map("h1/disks/a", "h2/disks/a"), "g1", "h2"]);
    let until = Instant::now() + Duration::from_secs(60);
    while lab.path("h1/kill").exists() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(10));
    }
    for (args, code) in [(&["g1", "h2"][..], 1), (&["--recover", "g1"], 4)] {
        let output = lab.command(args).output().unwrap();
        ended(&output, code);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.contains("another run of xen-migrate works on it"),
            "{said}"
        );
    }
    let output = lab.command(&["--status"]).output().unwrap();
    ended(&output, 0);
    assert!(output.stdout.ends_with(b", to h2, under way\n"));
    let output = lab.command(&["--status", "--json", "g1"]).output().unwrap();
    ended(&output, 0);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["under_way"], true);
    let id = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGCONT).unwrap();
    ended(&child.wait_with_output().unwrap(), 0);
    lab.is_at("h2");
}

/// A script for the stand-in for xl to read at a point, of [`point`]'s.
fn hook(lab: &Lab, host: &str, at: &str, script: &str) {
    fs::write(lab.path(&format!("{host}/at.{at}")), script).unwrap();
}

const KILL_TRANSPORT: &str = "kill -9 $(cat \"$ALL/transport.pid\"); sleep 0.3\n";

/// Who pauses the domain may let it go on again before xl stops it: the last pass has to wait for xl.
#[test]
fn paused_meanwhile() {
    for (kind, at) in [("pv", "save"), ("pvh", "banner")] {
        let lab = Lab::new(kind);
        let script = "set_state $id paused; sleep 1; set_state $id running; sleep 0.2\n";
        hook(&lab, "h1", at, script);
        ended(&lab.migrate(&[]), 0);
        lab.is_at("h2");
    }
}

/// The domain changes while its disks are copied: another one, with other disks, or none is not moved.
#[test]
fn changed_meanwhile() {
    for (script, why, left) in [
        ("echo xvdz \"$D/name\" >> \"$D/disks\"", "other disks", true),
        (
            "truncate -s 2M \"$(cut -d' ' -f2 \"$D/disks\")\"",
            "another size",
            true,
        ),
        ("mv \"$D\" \"${D%3}5\"", "started anew", true),
        (
            "echo paused > \"$D/state\"; mv \"$D\" \"${D%3}5\"",
            "it is here and does not run",
            true,
        ),
        ("rm -r \"$D\"", "it is here no more", false),
    ] {
        let lab = Lab::new("pvh");
        // As soon as the disks have been copied.
        let script = format!(
            "if grep -qs presynced \"$H/state/g1.journal\"; then D=$D/3; {script}; D=$H/domains\n\
             else cp \"$H/at\" \"$H/at.list\"; fi\n"
        );
        hook(&lab, "h1", "list", &script);
        let output = lab.migrate(&[]);
        ended(&output, 1);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(why), "{said}");
        assert_eq!(lab.state("h1").is_some(), left, "{why}");
        assert_eq!(lab.state("h2"), None, "{why}");
        assert!(!lab.path("h1/state/g1.journal").exists());
    }
}

/// A domain is found by its UUID: another one of it at the target must not be taken for the copy. What
/// is left of one that is dying is none.
#[test]
fn others_of_its_uuid() {
    let add = |lab: &Lab, host: &str, state: &str| {
        let domain = lab.path(&format!("{host}/domains/2"));
        fs::create_dir(&domain).unwrap();
        for (name, text) in [("name", "other\n"), ("uuid", UUID), ("state", state)] {
            fs::write(domain.join(name), text).unwrap();
        }
        for name in ["kind", "memory", "disks"] {
            fs::write(domain.join(name), "").unwrap();
        }
        domain
    };
    let lab = Lab::new("pv");
    add(&lab, "h2", "running");
    let output = lab.migrate(&[]);
    ended(&output, 3);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("another domain of its UUID"), "{said}");
    for (kind, _) in KINDS {
        let lab = Lab::new(kind);
        let dying = ["h1", "h2"].map(|host| add(&lab, host, "dying"));
        ended(&lab.migrate(&[]), 0);
        for domain in dying {
            fs::remove_dir_all(domain).unwrap();
        }
        lab.is_at("h2");
    }
}

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

#[test]
fn usage() {
    let lab = Lab::new("pv");
    for (args, why) in [
        (&[][..], "missing domain"),
        (&["g1"], "missing host"),
        (&["g1", "h2", "h3"], "extra operand 'h3'"),
        (&["g1", "-oProxyCommand=x"], "invalid option '-o'"),
        (
            &["--", "g1", "-oProxyCommand=x"],
            "'-oProxyCommand=x': not a host",
        ),
        (&["g1", "h2:/x"], "'h2:/x': not a host"),
        (
            &["--mode=fast", "g1", "h2"],
            "--mode: 'fast': not live, save or auto",
        ),
        (&["--map=/a", "g1", "h2"], "--map: it takes SOURCE=TARGET"),
        (
            &["--map=a=/b", "g1", "h2"],
            "--map: both paths must be absolute",
        ),
        (
            &["--max-passes=0", "g1", "h2"],
            "--max-passes: '0': not a number from 1 on",
        ),
        (
            &["--max-downtime=-1", "g1", "h2"],
            "--max-downtime: '-1': not a time in seconds",
        ),
        (
            &["--ssh-option=User a", "g1", "h2"],
            "--ssh-option: 'User a': write it with = in place of blanks",
        ),
        (
            &["--status", "--recover", "g1"],
            "--status and --recover exclude each other",
        ),
    ] {
        let output = lab.command(args).output().unwrap();
        ended(&output, 2);
        let expected =
            format!("xen-migrate: {why}\nTry 'xen-migrate --help' for more information.\n");
        assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
    }
    let output = lab.command(&["nobody", "h2"]).output().unwrap();
    ended(&output, 1);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("nobody is an invalid domain identifier"),
        "{said}"
    );
    let output = lab.command(&["--recover", "g1"]).output().unwrap();
    ended(&output, 0);
    assert_eq!(output.stdout, b"g1: no migration that did not end\n");
    let mut full = lab.command(&["--help"]);
    full.stdout(fs::File::options().write(true).open("/dev/full").unwrap());
    ended(&full.output().unwrap(), 2);
    let output = lab.command(&["--version"]).output().unwrap();
    assert_eq!(
        output.stdout,
        concat!("xen-migrate ", env!("CARGO_PKG_VERSION"), "\n").as_bytes()
    );
    let help = String::from_utf8(lab.command(&["-h"]).output().unwrap().stdout).unwrap();
    common::golden("xen-migrate/help.txt", &help);
}
