//! raiserts from the outside: what its man page promises.
//!
//! The port is a pseudo-terminal, and the modem lines that it lacks are faked by tests/shim/modem.c;
//! settings, locks, signals, terminals and hang-ups are real. What the kernel does with the lines of a
//! real port is in the radio lab (`cargo xtask lab radio`).

#![allow(clippy::unwrap_used)]

#[path = "raiserts/command.rs"]
mod command;
mod common;
#[path = "raiserts/lines.rs"]
mod lines;
#[path = "raiserts/port.rs"]
mod port;
#[path = "shim/mod.rs"]
mod shim;
#[path = "raiserts/signals.rs"]
mod signals;
#[path = "raiserts/terminal.rs"]
mod terminal;
#[path = "raiserts/usage.rs"]
mod usage;

use common::{Ran, can, golden, run, skipped};
use nix::fcntl::OFlag;
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{ControlFlags, LocalFlags, SetArg, tcgetattr, tcsetattr};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn tool() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_raiserts"));
    command.env("LC_ALL", "C");
    command
}

/// Both ends of a pseudo-terminal, and its name; no program that is started has them.
struct Pty {
    master: PtyMaster,
    slave: File,
    name: String,
}

impl Pty {
    fn new() -> Pty {
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let master = posix_openpt(flags).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname_r(&master).unwrap();
        let mut options = File::options();
        options
            .read(true)
            .write(true)
            .custom_flags(OFlag::O_NOCTTY.bits());
        let slave = options.open(&name).unwrap();
        Pty {
            master,
            slave,
            name,
        }
    }
}

/// A port: a pseudo-terminal with modem lines, and a folder for a test.
struct Port {
    dir: tempfile::TempDir,
    pty: Pty,
    name: String,
}

impl Port {
    fn new() -> Port {
        let pty = Pty::new();
        let name = pty.name.clone();
        let dir = tempfile::tempdir().unwrap();
        Port { dir, pty, name }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The tool in the folder, with modem lines.
    fn tool(&self) -> Command {
        let mut command = tool();
        command.current_dir(self.dir.path());
        command.env("LD_PRELOAD", shim::modem());
        command.env("MODEM_LOG", self.path("log"));
        command
    }

    /// Runs it with options, the port, and the words of a command.
    fn run(&self, options: &[&str], words: &[&str]) -> Ran {
        run(self.tool().args(options).arg(&self.name).args(words))
    }

    /// Starts it with a script that tells when it has begun.
    fn start(&self, options: &[&str], script: &str) -> Running {
        self.start_by(self.tool().args(options), script)
    }

    fn start_by(&self, command: &mut Command, script: &str) -> Running {
        let script = format!(": >on; {script}");
        let child = command
            .args([&self.name, "-c", &script])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let running = Running(child);
        until("the command runs", || self.path("on").exists());
        running
    }

    /// What the lines went through: R, D, B (both) or 0, with the first change at the front.
    fn lines(&self) -> String {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        shim::states(&log)
    }

    /// Times in the log, in ms.
    fn times(&self) -> Vec<u64> {
        let log = fs::read_to_string(self.path("log")).unwrap();
        let time = |line: &str| line.split(' ').next().unwrap().parse().unwrap();
        log.lines().map(time).collect()
    }

    fn lock_file(&self) -> PathBuf {
        let name = self.name.trim_start_matches("/dev/").replace('/', "_");
        Path::new("/var/lock").join(format!("LCK..{name}"))
    }
}

/// A raiserts that runs; killed when dropped.
struct Running(Child);

impl Running {
    fn send(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id().cast_signed())
    }

    fn wait(mut self) -> Ran {
        let status = self.0.wait().unwrap();
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        self.0
            .stdout
            .take()
            .unwrap()
            .read_to_end(&mut stdout)
            .unwrap();
        self.0
            .stderr
            .take()
            .unwrap()
            .read_to_end(&mut stderr)
            .unwrap();
        std::process::Output {
            status,
            stdout,
            stderr,
        }
        .into()
    }

    /// The letter of its state in /proc: S sleeping, T stopped.
    fn state(&self) -> String {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        let (_, rest) = stat.rsplit_once(')').unwrap();
        rest.split_whitespace().next().unwrap().to_owned()
    }

    /// Its processes: the command, a guardian.
    fn children(&self) -> Vec<Pid> {
        let id = self.0.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        let number = |word: &str| Pid::from_raw(word.parse().unwrap());
        children.split_whitespace().map(number).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until something is so.
#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
