//! What the lines go through, inverted ones and failing calls too.

use super::*;

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
fn lead_and_tail_are_kept() {
    let port = Port::new();
    port.run(&["--lead=120", "--tail=80"], &["--", "true"])
        .exits(0);
    assert_eq!(port.lines(), "0R0");
    let times = port.times();
    assert!(times[2] - times[1] >= 199, "{times:?}");
}
