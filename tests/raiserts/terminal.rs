//! At a terminal: its keys, and its end.

use super::*;

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
