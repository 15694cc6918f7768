//! xen-migrate as its users run it, against a stand-in for xl and ssh (tests/fake-xen) that keeps two
//! "hosts" in folders: every failure at every step. The disks are copied by the real blocksync. What
//! real Xen does is shown by the lab (`cargo xtask lab xen`).
#![allow(clippy::unwrap_used)]

mod common;
#[path = "xen-migrate/failures.rs"]
mod failures;
#[path = "xen-migrate/guards.rs"]
mod guards;
#[path = "xen-migrate/moves.rs"]
mod moves;
#[path = "xen-migrate/plan.rs"]
mod plan;
#[path = "xen-migrate/recovery.rs"]
mod recovery;
#[path = "xen-migrate/usage.rs"]
mod usage;

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

/// A script for the stand-in for xl to read at a point, of [`point`]'s.
fn hook(lab: &Lab, host: &str, at: &str, script: &str) {
    fs::write(lab.path(&format!("{host}/at.{at}")), script).unwrap();
}
