//! Standard output, standard error and a front end's descriptor: closed, full, or read by nobody.

use super::*;

pub(super) const CHECKS: &[Check] = &[
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
];

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
