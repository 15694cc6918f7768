//! Signals that ask to stop, that were ignored, and SIGUSR1.

use super::*;

pub(super) const CHECKS: &[Check] = &[
    (
        "each_signal_is_remembered_and_died_by",
        each_signal_is_remembered_and_died_by,
    ),
    ("a_shell_sees_128_plus_n", a_shell_sees_128_plus_n),
    (
        "the_second_signal_ends_at_once",
        the_second_signal_ends_at_once,
    ),
    (
        "signals_that_come_together_are_one",
        signals_that_come_together_are_one,
    ),
    ("ignored_signals_stay_ignored", ignored_signals_stay_ignored),
    ("usr1_prints_the_status", usr1_prints_the_status),
    (
        "usr1_without_progress_prints_nothing",
        usr1_without_progress_prints_nothing,
    ),
];

/// A child whose lines can be waited for.
struct Talk {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Talk {
    fn start(mut command: Command) -> Talk {
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut talk = Talk { child, lines };
        talk.expect("ready");
        talk
    }

    fn expect(&mut self, line: &str) {
        let mut read = String::new();
        self.lines.read_line(&mut read).unwrap();
        assert_eq!(read, format!("{line}\n"));
    }

    fn send(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    fn end(mut self) -> (ExitStatus, String) {
        let mut stderr = String::new();
        drop(self.child.stdin.take());
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut stderr)
            .unwrap();
        (self.child.wait().unwrap(), stderr)
    }
}

/// Children start with what is ignored here.
fn is_ignored_here(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mut lines = status.lines();
    let set = lines.find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    let set = u64::from_str_radix(set.trim(), 16).unwrap();
    set >> (signal as i32 - 1) & 1 == 1
}

fn each_signal_is_remembered_and_died_by() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        if is_ignored_here(signal) {
            println!("skipped: {signal} is ignored where these tests run (nohup, background)");
            continue;
        }
        let mut talk = Talk::start(role("stop"));
        talk.send(signal);
        talk.expect(signal.as_str());
        let (status, stderr) = talk.end();
        died(status, signal);
        assert_eq!(stderr, "");
    }
}

fn a_shell_sees_128_plus_n() {
    // Lines of the role come on stderr, those of the shell on stdout.
    let line = r#""$0" >&4 & echo $!; wait $!; echo $?"#;
    let mut command = role_in_shell("stop", &format!("exec 4>&2; {line}"));
    let mut child = command.spawn().unwrap();
    let mut ready = String::new();
    let mut talk = BufReader::new(child.stderr.take().unwrap());
    talk.read_line(&mut ready).unwrap();
    assert_eq!(ready, "ready\n");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let pid = lines.next().unwrap().unwrap().parse().unwrap();
    kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "143");
    child.wait().unwrap();
}

fn the_second_signal_ends_at_once() {
    let mut talk = Talk::start(role("stubborn"));
    talk.send(Signal::SIGTERM);
    talk.expect("seen");
    // What comes with the first is one with it, as timeout(1) sends it; this is later.
    std::thread::sleep(Duration::from_millis(600));
    talk.send(Signal::SIGTERM);
    let started = Instant::now();
    let (status, _) = talk.end();
    died(status, Signal::SIGTERM);
    assert!(started.elapsed() < LIMIT / 2);
}

fn signals_that_come_together_are_one() {
    let mut talk = Talk::start(role("stop"));
    talk.send(Signal::SIGINT);
    talk.send(Signal::SIGTERM);
    talk.expect("SIGINT");
    died(talk.end().0, Signal::SIGINT);
}

fn ignored_signals_stay_ignored() {
    for (trap, ignored) in [("HUP", Signal::SIGHUP), ("INT", Signal::SIGINT)] {
        let line = format!(r#"trap "" {trap}; exec "$0""#);
        let mut talk = Talk::start(role_in_shell("stop", &line));
        talk.send(ignored);
        talk.send(ignored);
        talk.send(Signal::SIGTERM);
        talk.expect("SIGTERM");
        died(talk.end().0, Signal::SIGTERM);
    }
}

fn usr1_prints_the_status() {
    let mut command = role("status");
    command.stdin(Stdio::piped());
    let mut talk = Talk::start(command);
    talk.send(Signal::SIGUSR1);
    let mut stderr = BufReader::new(talk.child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert!(
        line.starts_with("role: 1.0 KiB of 4.0 KiB copied (25%), "),
        "{line}"
    );
    assert!(line.ends_with("/s\n"), "{line}");
    talk.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    talk.expect("finished");
    talk.send(Signal::SIGUSR1);
    talk.send(Signal::SIGTERM);
    talk.send(Signal::SIGTERM);
    let mut rest = String::new();
    drop(talk.child.stdin.take());
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
    talk.child.wait().unwrap();
}

fn usr1_without_progress_prints_nothing() {
    let mut talk = Talk::start(role("stop"));
    talk.send(Signal::SIGUSR1);
    talk.send(Signal::SIGTERM);
    talk.expect("SIGTERM");
    assert_eq!(talk.end().1, "");
}
