//! What only a whole process can show: signals, SIGPIPE, a closed stdout, a progress line on a terminal.
//!
//! This program tests itself: started with `CLI_ROLE` it behaves as a small tool would, otherwise
//! it starts itself in each role and looks at what comes out. libtest cannot do that, since it has
//! threads before the signals are blocked. The first argument selects checks by part of the name.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::exit)]

use cli::output::Output;
use cli::progress::{Mode, Progress};
use cli::{diag, progress, signal};
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::panic::catch_unwind;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const CHECKS: &[(&str, fn())] = &[
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
    ("sigpipe_ends_a_text_tool", sigpipe_ends_a_text_tool),
    (
        "sigpipe_ignored_by_the_parent_stays_so",
        sigpipe_ignored_by_the_parent_stays_so,
    ),
    ("a_full_stdout_is_an_error", a_full_stdout_is_an_error),
    ("a_closed_stdout_is_an_error", a_closed_stdout_is_an_error),
    (
        "a_stdout_open_for_reading_is_an_error",
        a_stdout_open_for_reading_is_an_error,
    ),
    (
        "a_closed_stdout_without_output_is_none",
        a_closed_stdout_without_output_is_none,
    ),
    ("dev_null_is_no_closed_stdout", dev_null_is_no_closed_stdout),
    ("a_closed_stderr_is_ignored", a_closed_stderr_is_ignored),
    (
        "a_front_end_gives_a_descriptor",
        a_front_end_gives_a_descriptor,
    ),
    (
        "a_front_end_that_left_does_not_end_a_text_tool",
        a_front_end_that_left_does_not_end_a_text_tool,
    ),
    (
        "a_front_end_that_does_not_read_does_not_stop_the_work",
        a_front_end_that_does_not_read_does_not_stop_the_work,
    ),
    ("short_work_draws_nothing", short_work_draws_nothing),
    (
        "long_work_draws_a_line_and_erases_it",
        long_work_draws_a_line_and_erases_it,
    ),
    (
        "a_diagnostic_takes_the_line_away",
        a_diagnostic_takes_the_line_away,
    ),
    ("a_signal_takes_the_line_away", a_signal_takes_the_line_away),
    (
        "a_narrow_terminal_keeps_one_line",
        a_narrow_terminal_keeps_one_line,
    ),
    ("a_dumb_terminal_gets_no_line", a_dumb_terminal_gets_no_line),
    (
        "without_a_terminal_nothing_is_drawn",
        without_a_terminal_nothing_is_drawn,
    ),
];

fn main() {
    if let Ok(role) = std::env::var("CLI_ROLE") {
        std::process::exit(play(&role));
    }
    let first = std::env::args().nth(1).unwrap_or_default();
    if first == "--list" {
        CHECKS.iter().for_each(|(name, _)| println!("{name}: test"));
        return;
    }
    let filter = if first.starts_with('-') { "" } else { &first };
    let (chosen, others): (Vec<_>, Vec<_>) =
        CHECKS.iter().partition(|(name, _)| name.contains(filter));
    println!("\nrunning {} tests", chosen.len());
    let started = Instant::now();
    let mut failed = 0;
    for (name, check) in &chosen {
        let good = catch_unwind(check).is_ok();
        println!("test {name} ... {}", if good { "ok" } else { "FAILED" });
        failed += usize::from(!good);
    }
    println!(
        "\ntest result: {}. {} passed; {failed} failed; 0 ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
        if failed == 0 { "ok" } else { "FAILED" },
        chosen.len() - failed,
        others.len(),
        started.elapsed().as_secs_f64()
    );
    std::process::exit(if failed == 0 { 0 } else { 101 });
}

// ---- roles ----

/// No role lasts longer, whatever goes wrong.
const LIMIT: Duration = Duration::from_secs(20);

fn play(role: &str) -> i32 {
    let argument = std::env::var("CLI_ARG").unwrap_or_default();
    match role {
        "stop" => {
            signal::start("role").unwrap();
            say("ready");
            let stop = wait_for(signal::stop_requested);
            say(stop.as_str());
            signal::die_by(stop)
        }
        "stubborn" => {
            signal::start("role").unwrap();
            say("ready");
            wait_for(signal::stop_requested);
            say("seen");
            sleep(LIMIT);
            3
        }
        "status" => {
            signal::start("role").unwrap();
            let progress = Progress::start(Mode::Off, "copied", Some(4096));
            progress.add(1024);
            say("ready");
            wait_for_input();
            progress.finish();
            say("finished");
            wait_for_input();
            0
        }
        "write" => write(b"data\n"),
        "write-nothing" => write(b""),
        "flood" | "text-flood" => {
            if role == "text-flood" {
                signal::default_sigpipe();
            }
            wait_for(|| Some(write(b"data\n")).filter(|code| *code != 0))
        }
        "diagnose" => {
            diag::report("role", "nobody hears");
            diag::usage("role", "nobody hears");
            7
        }
        "front" => {
            signal::default_sigpipe();
            let mode = progress::mode(Some(OsStr::new("5"))).unwrap();
            let progress = Progress::start(mode, "copied", Some(30));
            progress.add(30);
            progress.finish();
            0
        }
        "crowded" => {
            let mode = progress::mode(Some(OsStr::new("1"))).unwrap();
            let progress = Progress::start(mode, "copied", Some(30));
            progress.add(30);
            sleep(Duration::from_millis(250));
            progress.finish();
            0
        }
        "work" => {
            signal::start("role").unwrap();
            let (mode, millis) = argument.split_once(' ').unwrap();
            let mode = if mode == "auto" {
                Mode::Auto
            } else {
                Mode::Always
            };
            let progress = Progress::start(mode, "copied", Some(100));
            let end = Instant::now() + Duration::from_millis(millis.parse().unwrap());
            while Instant::now() < end {
                progress.set(50);
                sleep(Duration::from_millis(10));
            }
            if signal::stop_requested().is_none() {
                diag::report("role", "a\nnote");
                progress.set(100);
                sleep(Duration::from_millis(150));
            }
            progress.finish();
            0
        }
        "work-until-stopped" => {
            signal::start("role").unwrap();
            let _progress = Progress::start(Mode::Always, "copied", None);
            signal::die_by(wait_for(signal::stop_requested))
        }
        _ => 3,
    }
}

fn say(line: &str) {
    let mut output = Output::stdout();
    writeln!(output, "{line}").unwrap();
    output.finish().unwrap();
}

fn wait_for<T>(condition: impl Fn() -> Option<T>) -> T {
    let end = Instant::now() + LIMIT;
    while Instant::now() < end {
        if let Some(value) = condition() {
            return value;
        }
        sleep(Duration::from_millis(1));
    }
    std::process::exit(3)
}

fn wait_for_input() {
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

fn write(data: &[u8]) -> i32 {
    let mut output = Output::stdout();
    match output.write_all(data).and_then(|()| output.finish()) {
        Ok(()) => 0,
        Err(error) => {
            diag::report(
                "role",
                format_args!("standard output: {}", diag::system_text(&error)),
            );
            1
        }
    }
}

// ---- checks ----

fn role(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env("CLI_ROLE", name).env("TERM", "xterm");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The role, started by a shell line in which `"$0"` is this program.
fn role_in_shell(name: &str, line: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(line)
        .arg(std::env::current_exe().unwrap());
    command.env("CLI_ROLE", name).env("TERM", "xterm");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

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

fn died(status: ExitStatus, signal: Signal) {
    assert_eq!(status.signal(), Some(signal as i32), "{status}");
}

/// Exit code, stdout, stderr.
fn outcome(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
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

fn sigpipe_ends_a_text_tool() {
    let mut child = role("text-flood").spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    died(output.status, Signal::SIGPIPE);
    assert_eq!(output.stderr, b"");
}

fn sigpipe_ignored_by_the_parent_stays_so() {
    for (name, line) in [
        ("text-flood", r#"trap "" PIPE; exec "$0""#),
        ("flood", r#"exec "$0""#),
    ] {
        let mut child = role_in_shell(name, line).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(output.stderr, b"role: standard output: Broken pipe\n");
    }
}

fn a_full_stdout_is_an_error() {
    let (code, _, stderr) = outcome(&mut role_in_shell("write", r#"exec "$0" >/dev/full"#));
    assert_eq!(stderr, "role: standard output: No space left on device\n");
    assert_eq!(code, Some(1));
}

fn a_closed_stdout_is_an_error() {
    let (code, _, stderr) = outcome(&mut role_in_shell("write", r#"exec "$0" >&-"#));
    assert_eq!(stderr, "role: standard output: Bad file descriptor\n");
    assert_eq!(code, Some(1));
}

fn a_stdout_open_for_reading_is_an_error() {
    let (code, _, stderr) = outcome(&mut role_in_shell("write", r#"exec "$0" 1</dev/null"#));
    assert_eq!(stderr, "role: standard output: Bad file descriptor\n");
    assert_eq!(code, Some(1));
}

fn a_closed_stdout_without_output_is_none() {
    let (code, _, stderr) = outcome(&mut role_in_shell("write-nothing", r#"exec "$0" >&-"#));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
}

fn dev_null_is_no_closed_stdout() {
    for line in [r#"exec "$0" >/dev/null"#, r#"exec "$0" 1<>/dev/null"#] {
        let (code, _, stderr) = outcome(&mut role_in_shell("write", line));
        assert_eq!((code, stderr.as_str()), (Some(0), ""));
    }
    let (code, stdout, _) = outcome(&mut role("write"));
    assert_eq!((code, stdout.as_str()), (Some(0), "data\n"));
}

fn a_closed_stderr_is_ignored() {
    for line in [r#"exec "$0" 2>&-"#, r#"exec "$0" 2>/dev/full"#] {
        assert_eq!(outcome(&mut role_in_shell("diagnose", line)).0, Some(7));
    }
    let (code, _, stderr) = outcome(&mut role("diagnose"));
    let heard = "role: nobody hears\nrole: nobody hears\nTry 'role --help' for more information.\n";
    assert_eq!((code, stderr.as_str()), (Some(7), heard));
}

fn a_front_end_gives_a_descriptor() {
    let (code, stdout, stderr) = outcome(&mut role_in_shell("front", r#"exec "$0" 5>&1"#));
    assert_eq!(
        (code, stdout.as_str(), stderr.as_str()),
        (Some(0), "0 30\n30 30\n", "")
    );
}

fn a_front_end_that_left_does_not_end_a_text_tool() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = role_in_shell("front", r#"exec "$0" 5>&1"#);
    let (code, _, stderr) = outcome(command.stdout(writer));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
}

fn a_front_end_that_does_not_read_does_not_stop_the_work() {
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    let filling = [b'.'; 4096];
    for _ in 0..16 {
        writer.write_all(&filling).unwrap(); // a pipe holds 64 KiB
    }
    let started = Instant::now();
    let status = role("crowded").stdout(writer).status().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(started.elapsed() < LIMIT / 2);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text.trim_start_matches('.'), "");
}

// ---- terminals ----

/// Runs a role with a terminal as stderr; what was written there, and the exit status.
fn on_terminal(
    mut command: Command,
    columns: u16,
    then: impl FnOnce(&Child),
) -> (String, ExitStatus) {
    let size = Winsize {
        ws_row: 24,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let pty = openpty(&size, None).unwrap();
    command.stdout(Stdio::null()).stderr(pty.slave);
    let mut child = command.spawn().unwrap();
    drop(command); // with its copy of the terminal
    let mut written = Vec::new();
    let mut master = File::from(pty.master);
    let mut then = Some(then);
    let mut buffer = [0; 4096];
    // EIO says that the other side is closed.
    while let Ok(len @ 1..) = master.read(&mut buffer) {
        written.extend_from_slice(&buffer[..len]);
        if written.windows(6).any(|part| part == b"copied") {
            then.take().into_iter().for_each(|then| then(&child));
        }
    }
    (String::from_utf8(written).unwrap(), child.wait().unwrap())
}

fn work(argument: &str) -> Command {
    let mut command = role("work");
    command.env("CLI_ARG", argument);
    command
}

/// What a terminal shows in the end: of the escapes that are used, one moves up and the rest erase.
fn screen(written: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    let (mut row, mut column) = (0, 0);
    let mut rest = written;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\r' => column = 0,
            '\n' => {
                row += 1;
                if row == lines.len() {
                    lines.push(String::new());
                }
            }
            '\x1b' => {
                let end = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap();
                match rest[..=end].strip_prefix('[').unwrap() {
                    "2K" => lines[row].clear(),
                    "K" | "0K" => lines[row].truncate(column),
                    up if up.ends_with('A') => {
                        row -= up[..up.len() - 1].parse::<usize>().unwrap();
                    }
                    other => panic!("escape {other}"),
                }
                rest = &rest[end + 1..];
            }
            c => {
                let line = &mut lines[row];
                while line.len() <= column {
                    line.push(' ');
                }
                line.replace_range(column..=column, &c.to_string());
                column += 1;
            }
        }
    }
    lines
        .iter()
        .map(|line| line.trim_end().to_string())
        .filter(|line| !line.is_empty())
        .collect()
}

fn short_work_draws_nothing() {
    let (written, _) = on_terminal(work("auto 100"), 80, |_| ());
    assert_eq!(written, "role: a\\nnote\r\n");
}

fn long_work_draws_a_line_and_erases_it() {
    let (written, _) = on_terminal(work("auto 1600"), 80, |_| ());
    assert!(
        written.contains("50 B of 100 B copied (50%), 1 s, "),
        "{written:?}"
    );
    assert!(
        !written.contains("copied (50%), 0 s"),
        "drawn too early: {written:?}"
    );
    assert_eq!(screen(&written), ["role: a\\nnote"]);
}

fn a_diagnostic_takes_the_line_away() {
    let (written, _) = on_terminal(work("always 250"), 80, |_| ());
    let (before, after) = written.split_once("role: a\\nnote\r\n").unwrap();
    assert!(
        before.contains("50 B of 100 B copied (50%), "),
        "{written:?}"
    );
    assert!(screen(before).is_empty(), "{written:?}");
    assert!(
        after.contains("100 B of 100 B copied (100%), "),
        "{written:?}"
    );
    assert!(screen(after).is_empty(), "{written:?}");
}

fn a_signal_takes_the_line_away() {
    let (written, status) = on_terminal(role("work-until-stopped"), 80, |child| {
        kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    });
    died(status, Signal::SIGTERM);
    assert!(screen(&written).is_empty(), "{written:?}");
}

fn a_narrow_terminal_keeps_one_line() {
    let (written, _) = on_terminal(work("always 250"), 20, |_| ());
    assert!(written.contains("50 B of 100 B"), "{written:?}");
    assert!(!written.contains("copied (50%), "), "{written:?}");
    assert_eq!(screen(&written), ["role: a\\nnote"]);
}

fn a_dumb_terminal_gets_no_line() {
    let mut command = work("auto 1100");
    let (written, _) = on_terminal(
        {
            command.env("TERM", "dumb");
            command
        },
        80,
        |_| (),
    );
    assert_eq!(written, "role: a\\nnote\r\n");
}

fn without_a_terminal_nothing_is_drawn() {
    let (_, _, stderr) = outcome(&mut work("auto 1100"));
    assert_eq!(stderr, "role: a\\nnote\n");
    let (_, _, stderr) = outcome(&mut work("always 1100"));
    let lines: Vec<&str> = stderr.lines().collect();
    assert!(
        lines[0].starts_with("50 B of 100 B copied (50%), 1 s, "),
        "{stderr}"
    );
    assert_eq!(lines[1], "role: a\\nnote");
    assert!(
        lines[2].starts_with("100 B of 100 B copied (100%), 1 s, "),
        "{stderr}"
    );
    assert_eq!(lines.len(), 3);
}
