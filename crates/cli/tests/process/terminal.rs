//! The progress line on a terminal, and without one.

use super::*;

pub(super) const CHECKS: &[Check] = &[
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
