//! raiserts from the outside: what its man page promises.
//!
//! The port is a pseudo-terminal, and the modem lines that it lacks are faked by tests/shim/modem.c;
//! settings, locks, signals, terminals and hang-ups are real. What the kernel does with the lines of a
//! real port is in the radio lab (`cargo xtask lab radio`).

#![allow(clippy::unwrap_used)]

mod common;
#[path = "shim/mod.rs"]
mod shim;

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

#[test]
fn help_and_version() {
    let ran = run(tool().arg("--help")).exits(0);
    golden("raiserts/help.txt", &ran.out());
    let ran = run(tool().arg("-V")).exits(0);
    assert_eq!(
        ran.out(),
        format!("raiserts {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn one_plateau_of_rts() {
    let port = Port::new();
    port.run(&[], &["true"]).exits(0);
    assert_eq!(port.lines(), "0R0");
}

#[test]
fn other_lines() {
    for (options, lines) in [
        (&["-l", "dtr"][..], "0D0"),
        (&["--line=both"], "0B0"),
        (&["-l", "rts", "--quiet-open"], "0R0"),
    ] {
        let port = Port::new();
        port.run(options, &["true"]).exits(0);
        assert_eq!(port.lines(), lines, "{options:?}");
    }
}

#[test]
fn an_inverted_line_is_up_but_while_keyed() {
    let port = Port::new();
    port.run(&["-i"], &["true"]).exits(0);
    assert_eq!(port.lines(), "R0R");
    // A close must not lower it.
    let settings = tcgetattr(&port.pty.slave).unwrap();
    assert!(!settings.control_flags.contains(ControlFlags::HUPCL));
}

#[test]
fn an_inverted_line_has_a_guardian() {
    let port = Port::new();
    let running = port.start(&["--invert"], "exec sleep 60");
    assert_eq!(port.lines(), "R0");
    let children = running.children();
    assert_eq!(children.len(), 2);
    running.send(Signal::SIGKILL);
    until("the guardian raises the line", || port.lines() == "R0R");
    for child in children {
        let _ = kill(child, Signal::SIGKILL); // it holds standard output
    }
    running.wait().exits(137);
}

#[test]
fn a_guardian_that_is_killed_ends_it() {
    let port = Port::new();
    let running = port.start(&["--invert"], "exec sleep 60");
    let is_guardian = |pid: &&Pid| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
        name == "ptt-guardian\n"
    };
    let children = running.children();
    kill(*children.iter().find(is_guardian).unwrap(), Signal::SIGKILL).unwrap();
    let ran = running.wait().exits(125);
    assert!(
        ran.stderr.contains("the guardian process has ended"),
        "{}",
        ran.stderr
    );
    assert_eq!(port.lines(), "R0R");
}

#[test]
fn the_status_is_that_of_the_command() {
    let port = Port::new();
    for (script, status) in [
        ("exit 0", 0),
        ("exit 3", 3),
        ("exit 255", 255),
        ("kill -KILL $$", 137),
        ("kill -TERM $$", 143),
        ("kill -41 $$", 169),
        ("no-such-program 2>/dev/null", 127),
    ] {
        port.run(&[], &[script]).exits(status);
    }
    assert_eq!(port.lines(), "0R0".repeat(7));
}

#[test]
fn nothing_is_keyed_for_a_command_that_cannot_run() {
    let port = Port::new();
    fs::write(port.path("data"), "x").unwrap();
    let says = |words: &[&str], code, line: &str| {
        port.run(&[], words)
            .exits(code)
            .says(&format!("raiserts: {line}"));
    };
    says(
        &["--", "no-such-program"],
        127,
        "no-such-program: No such file or directory",
    );
    says(&["--", "./none"], 127, "./none: No such file or directory");
    says(&["./data", "x"], 126, "./data: Permission denied");
    says(&["--", "/"], 126, "/: Permission denied");
    says(&["--", ""], 127, ": No such file or directory");
    assert_eq!(port.lines(), "");
}

#[test]
fn own_failures_are_125() {
    let port = Port::new();
    fs::write(port.path("file"), "").unwrap();
    for (args, why) in [
        (
            &["/dev/no-such-port", "true"][..],
            "/dev/no-such-port: opening: No such file or directory",
        ),
        (
            &["/dev/null", "true"],
            "/dev/null: not a serial port with RTS and DTR",
        ),
        (&["file", "true"], "file: not a character device"),
        (
            &["--cm108", "hw:77", "true"],
            "hw:77: sound card 77 has no hidraw device: no CM108 or like it",
        ),
        (
            &["--cm108", "/dev/null", "true"],
            "/dev/null: not a hidraw device",
        ),
    ] {
        let ran = run(tool().current_dir(port.dir.path()).args(args)).exits(125);
        ran.says(&format!("raiserts: {why}"));
    }
    let ran = run(tool().arg(&port.name)).exits(125);
    ran.says("raiserts: no command given\nTry 'raiserts --help' for more information.");
    // A pseudo-terminal without the fake has no modem lines.
    let ran = run(tool().args([&port.name, "echo ran"])).exits(125);
    assert_eq!(ran.out(), "");
    ran.says(&format!(
        "raiserts: {}: not a serial port with RTS and DTR",
        port.name
    ));
}

#[test]
fn a_call_that_fails_is_not_ignored() {
    let port = Port::new();
    let ran = run(port
        .tool()
        .env("MODEM_FAIL", "bis")
        .args([&port.name, "echo ran"]))
    .exits(125);
    assert_eq!((ran.out().as_str(), port.lines().as_str()), ("", "0"));
    ran.says(&format!(
        "raiserts: {}: keying: Input/output error",
        port.name
    ));
    let port = Port::new();
    let ran = run(port
        .tool()
        .env("MODEM_FAIL", "bic")
        .args([&port.name, "true"]))
    .exits(125);
    assert!(
        ran.stderr
            .contains(": releasing the lines: Input/output error"),
        "{}",
        ran.stderr
    );
}

/// A USB whose transfers the transmitter disturbs (its driver says EIO, as for a port that has gone).
#[test]
fn a_release_that_fails_is_tried_again() {
    for guarded in [&[][..], &["--invert"]] {
        let port = Port::new();
        let mut tool = port.tool();
        tool.env("MODEM_FAIL", "dip").args(guarded);
        let ran = run(tool.args([&port.name, "exit 3"])).exits(3);
        assert_eq!(ran.stderr, "");
        let released = if guarded.is_empty() { "0R0" } else { "R0R" };
        assert_eq!(port.lines(), released);
    }
}

#[test]
fn words_input_and_descriptors() {
    let port = Port::new();
    assert_eq!(
        port.run(&[], &["printf", "%s|%s", "a b", "-c"]).out(),
        "a b|-c"
    );
    assert_eq!(port.run(&[], &["echo a; echo b"]).out(), "a\nb\n");
    assert_eq!(port.run(&["-c", "echo $0"], &[]).out(), "/bin/sh\n");
    assert_eq!(port.run(&[], &["--", "echo"]).out(), "\n");
    let mut child = port
        .tool()
        .args([&port.name, "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"through").unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"through");
    // Started with descriptors to spare, of which one is the port.
    let list = "for fd in 0 1 2 3 4 5 6 7 8 9; do [ ! -e /proc/self/fd/$fd ] || printf $fd; done";
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!(
        "exec \"$0\" {} '{list}' 7<>{} 8</dev/null",
        port.name, port.name
    ));
    let shell = shell.arg(env!("CARGO_BIN_EXE_raiserts")).envs([
        ("LD_PRELOAD", shim::modem().as_os_str()),
        ("MODEM_LOG", port.path("log").as_os_str()),
    ]);
    assert_eq!(run(shell).exits(0).out(), "012");
}

#[test]
fn every_signal_releases_before_the_command_hears_of_it() {
    for signal in [
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGPIPE,
        Signal::SIGTERM,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGALRM,
        Signal::SIGVTALRM,
        Signal::SIGPROF,
        Signal::SIGXCPU,
        Signal::SIGXFSZ,
        Signal::SIGIO,
        Signal::SIGPWR,
        Signal::SIGSTKFLT,
    ] {
        let port = Port::new();
        let number = signal as i32;
        let script = format!(
            "trap 'echo heard >>log; exit 9' {number}; : >set; while :; do sleep 0.01; done"
        );
        let running = port.start(&["--tail=60000"], &script);
        until("the trap is set", || port.path("set").exists());
        assert_eq!(port.lines(), "0R");
        running.send(signal);
        running.wait().exits(9);
        assert_eq!(port.lines(), "0R0!", "{signal}");

        // One that does not handle it dies of it, and so do we.
        let port = Port::new();
        let running = port.start(&[], "exec sleep 60");
        running.send(signal);
        running.wait().exits(128 + number);
        assert_eq!(port.lines(), "0R0", "{signal}");
        assert!(!port.lock_file().exists());
    }
}

#[test]
fn a_signal_in_lead_or_tail() {
    let port = Port::new();
    let mut command = port.tool();
    command.args(["--lead=60000", &port.name, "echo ran >ran"]);
    let running = Running(
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    until("it is keyed", || port.lines() == "0R");
    running.send(Signal::SIGTERM);
    running.wait().exits(143);
    assert!(!port.path("ran").exists());
    assert_eq!(port.lines(), "0R0");

    let port = Port::new();
    let running = port.start(&["--tail=60000"], "echo $$ >pid");
    until("the command has ended", || running.children().is_empty());
    running.send(Signal::SIGINT);
    running.wait().exits(130);
    assert_eq!(port.lines(), "0R0");
}

#[test]
fn lead_and_tail_are_kept() {
    let port = Port::new();
    port.run(&["--lead=120", "--tail=80"], &["--", "true"])
        .exits(0);
    assert_eq!(port.lines(), "0R0");
    let times = port.times();
    assert!(times[2] - times[1] >= 199, "{times:?}");
}

#[test]
fn a_time_out_releases_and_ends_the_command() {
    let port = Port::new();
    let ran = port.run(
        &["-T", "2"], // the trap is set by then
        &["trap 'echo heard >>log; exit 5' TERM; while :; do sleep 0.01; done"],
    );
    ran.exits(124)
        .says(&format!("raiserts: {}: released after 2.000 s", port.name));
    assert_eq!(port.lines(), "0R0!");
}

#[test]
fn a_stop_releases_and_a_continuation_keys_again() {
    let port = Port::new();
    // A group of its own, whose parent is in the session: so it can be stopped.
    let running = port.start_by(port.tool().process_group(0), "exec sleep 60");
    let command = running.children()[0];
    running.send(Signal::SIGTSTP);
    until("it is stopped", || running.state() == "T");
    assert_eq!(port.lines(), "0R0");
    let state = || fs::read_to_string(format!("/proc/{command}/stat")).unwrap();
    until("the command is stopped", || state().contains(") T "));
    running.send(Signal::SIGCONT);
    until("it is keyed again", || port.lines() == "0R0R");
    until("the command goes on", || state().contains(") S "));
    running.send(Signal::SIGTERM);
    running.wait().exits(143);
    assert_eq!(port.lines(), "0R0R0");
}

#[test]
fn a_command_that_is_stopped_releases() {
    let port = Port::new();
    let running = port.start(&[], "exec sleep 60");
    let command = running.children()[0];
    kill(command, Signal::SIGSTOP).unwrap();
    until("released", || port.lines() == "0R0");
    kill(command, Signal::SIGCONT).unwrap();
    until("keyed", || port.lines() == "0R0R");
    kill(command, Signal::SIGKILL).unwrap();
    running.wait().exits(137);
    assert_eq!(port.lines(), "0R0R0");
}

/// raiserts at a terminal of its own: the other end of it, and what runs.
fn at_terminal(port: &Port, script: &str) -> (PtyMaster, Child) {
    let Pty { master, slave, .. } = Pty::new();
    let mut command = Command::new("setsid");
    command.args([
        "--ctty",
        "--wait",
        env!("CARGO_BIN_EXE_raiserts"),
        &port.name,
        "-c",
    ]);
    command
        .arg(format!(": >on; {script}"))
        .current_dir(port.dir.path());
    command
        .env("LD_PRELOAD", shim::modem())
        .env("MODEM_LOG", port.path("log"));
    command.stdin(slave.try_clone().unwrap());
    command.stdout(slave.try_clone().unwrap()).stderr(slave);
    let child = command.spawn().unwrap();
    until("the command runs", || port.path("on").exists());
    (master, child)
}

#[test]
fn keys_of_a_terminal() {
    if !can("keys_of_a_terminal", false, &["setsid"]) {
        return;
    }
    let port = Port::new();
    let (master, mut child) = at_terminal(&port, "exec sleep 60");
    nix::unistd::write(&master, b"\x03").unwrap();
    child.wait().unwrap();
    assert_eq!(port.lines(), "0R0");
    // The command gets it from the terminal, once.
    let port = Port::new();
    let script = "trap 'echo heard >>log; n=$((n+1))' INT; : >set; while [ -z $n ]; do sleep 0.01; done; sleep 0.2";
    let (master, mut child) = at_terminal(&port, script);
    until("the trap is set", || port.path("set").exists());
    nix::unistd::write(&master, b"\x03").unwrap();
    child.wait().unwrap();
    let mut lines: Vec<char> = port.lines().chars().collect();
    lines.sort_unstable();
    assert_eq!(lines, ['!', '0', '0', 'R']);
}

#[test]
fn a_terminal_that_goes_away_releases() {
    if !can("a_terminal_that_goes_away_releases", false, &["setsid"]) {
        return;
    }
    let port = Port::new();
    let (master, mut child) = at_terminal(&port, "exec sleep 60");
    assert_eq!(port.lines(), "0R");
    drop(master);
    child.wait().unwrap();
    until("released", || port.lines() == "0R0");
}

#[test]
fn what_was_ignored_stays_ignored() {
    let port = Port::new();
    let mut nohup = Command::new("nohup");
    nohup
        .arg(env!("CARGO_BIN_EXE_raiserts"))
        .current_dir(port.dir.path());
    nohup
        .env("LD_PRELOAD", shim::modem())
        .env("MODEM_LOG", port.path("log"));
    let running = port.start_by(&mut nohup, "exec sleep 60");
    running.send(Signal::SIGHUP);
    running.send(Signal::SIGTERM);
    running.wait().exits(143);
    assert_eq!(port.lines(), "0R0");
}

#[test]
fn the_commands_signals_are_as_they_were() {
    let port = Port::new();
    let words = ["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"];
    // (Two signals above 31 are the C library's own, and not always as it found them.)
    let shown = |ran: Ran| ran.out().replace("180000000", "000000000");
    let plain = run(Command::new(words[0]).args(&words[1..]));
    assert_eq!(shown(port.run(&[], &words)), shown(plain));
}

#[test]
fn a_port_that_hangs_up_ends_it() {
    let mut port = Port::new();
    let running = port.start(&[], "exec sleep 60");
    port.pty = Pty::new();
    let ran = running.wait().exits(125);
    ran.says(&format!("raiserts: {}: the device is gone", port.name));
}

#[test]
fn settings_are_safe_meanwhile_and_restored() {
    let port = Port::new();
    let mut before = tcgetattr(&port.pty.slave).unwrap();
    before
        .control_flags
        .remove(ControlFlags::HUPCL | ControlFlags::CLOCAL);
    before.control_flags.insert(ControlFlags::CRTSCTS);
    before.local_flags.insert(LocalFlags::ECHO);
    tcsetattr(&port.pty.slave, SetArg::TCSANOW, &before).unwrap();
    let before = tcgetattr(&port.pty.slave).unwrap();
    let running = port.start(&[], "exec sleep 60");
    let during = tcgetattr(&port.pty.slave).unwrap();
    let flags = during.control_flags;
    assert!(flags.contains(ControlFlags::HUPCL | ControlFlags::CLOCAL));
    assert!(!flags.contains(ControlFlags::CRTSCTS));
    assert!(!during.local_flags.contains(LocalFlags::ECHO));
    running.send(Signal::SIGTERM);
    running.wait().exits(143);
    assert_eq!(tcgetattr(&port.pty.slave).unwrap(), before);
}

#[test]
fn quiet_open_leaves_speed_0() {
    let port = Port::new();
    let speed = || {
        let flags = tcgetattr(&port.pty.slave).unwrap().control_flags;
        flags & ControlFlags::CBAUD
    };
    let before = speed();
    port.run(&[], &["true"]).exits(0);
    assert_eq!(speed(), before);
    port.run(&["--quiet-open"], &["true"]).exits(0);
    assert!(speed().is_empty());
    port.run(&[], &["true"]).exits(0);
    assert!(speed().is_empty());
    // Which keys an inverted line.
    let ran = port.run(&["-i"], &["true"]).exits(125);
    assert!(
        ran.stderr.contains("keys an inverted line"),
        "{}",
        ran.stderr
    );
    port.run(&["-if"], &["true"]).exits(0);
}

#[test]
fn one_port_has_one_user() {
    let port = Port::new();
    let link = port.path("my radio");
    symlink(&port.name, &link).unwrap();
    let running = port.start(&[], "exec sleep 60");
    let pid = running.pid();
    for name in [Path::new(&port.name), &link] {
        let ran = run(port.tool().arg(name).arg("echo ran")).exits(125);
        assert_eq!(ran.out(), "");
        ran.says(&format!(
            "raiserts: {}: in use by process {pid}",
            name.display()
        ));
    }
    assert_eq!(port.lines(), "0R");
    // Without looking at locks, on one's own risk (root is not kept out by TIOCEXCL).
    if common::is_root() {
        port.run(&["--no-lock"], &["true"]).exits(0);
    }
    running.send(Signal::SIGTERM);
    running.wait();
    port.run(&[], &["true"]).exits(0);
}

#[test]
fn lock_files() {
    let port = Port::new();
    let file = port.lock_file();
    if fs::write(&file, "").is_err() {
        skipped("lock_files", "/var/lock cannot be written to");
        return;
    }
    let ran = port.run(&[], &["true"]).exits(125);
    let shown = file.display();
    ran.says(&format!(
        "raiserts: {shown}: a lock without a process number; remove it if nobody uses the device"
    ));
    fs::write(&file, "         1\n").unwrap();
    let ran = port.run(&[], &["true"]).exits(125);
    ran.says(&format!("raiserts: {}: in use by process 1", port.name));
    assert_eq!(port.lines(), "");
    // That of a process that is no more.
    let mut gone = Command::new("true").spawn().unwrap();
    gone.wait().unwrap();
    fs::write(&file, format!("{:10}\n", gone.id())).unwrap();
    let running = port.start(&["--lock"], "exec sleep 60");
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        format!("{:10}\n", running.pid())
    );
    let command = running.children()[0];
    running.send(Signal::SIGKILL);
    kill(command, Signal::SIGKILL).unwrap();
    running.wait();
    assert!(file.exists());
    port.run(&[], &["true"]).exits(0);
    assert!(!file.exists());
}

#[test]
fn the_list() {
    let ran = run(tool().arg("--list")).exits(0);
    for line in ran.out().lines() {
        assert_eq!(line.split('\t').count(), 3, "{line}");
        assert!(line.starts_with("/dev/"), "{line}");
    }
    let ran = run(tool().args(["--list", "x"])).exits(125);
    assert!(
        ran.stderr
            .starts_with("raiserts: x: --list takes no operands\n")
    );
}
