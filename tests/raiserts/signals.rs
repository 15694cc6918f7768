//! Signals, stops and time-outs, each of which releases.

use super::*;

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
fn a_stop_before_the_program_is_executed_releases_too() {
    let port = Port::new();
    let mut command = port.tool();
    command.args([
        &port.name,
        "--",
        "sh",
        "-c",
        "until [ -e go ]; do sleep 0.01; done",
    ]);
    let spawn = |command: &mut Command| {
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Running(piped.env("MODEM_STOP", "1").spawn().unwrap())
    };
    let running = spawn(&mut command);
    until("it is released", || port.lines() == "0R0");
    kill(running.children()[0], Signal::SIGCONT).unwrap();
    until("it is keyed again", || port.lines() == "0R0R");
    fs::write(port.path("go"), "").unwrap();
    running.wait().exits(0);
    assert_eq!(port.lines(), "0R0R0");

    let port = Port::new();
    let running = spawn(port.tool().args([&port.name, ":"]));
    until("it is released", || port.lines() == "0R0");
    running.send(Signal::SIGTERM);
    running.wait().exits(143);
    assert_eq!(port.lines(), "0R0");
}

/// As `ssh -t HOST raiserts` starts it: nobody could continue it, and the kernel does not stop it.
#[test]
fn ctrl_z_without_a_shell_is_not_waited_for() {
    if !can("ctrl_z_without_a_shell", false, &["setsid"]) {
        return;
    }
    let port = Port::new();
    let mut command = Command::new("setsid");
    command.arg(env!("CARGO_BIN_EXE_raiserts"));
    command.args(["--lead=1000", &port.name, ":"]);
    command.env("LD_PRELOAD", shim::modem());
    command.env("MODEM_LOG", port.path("log"));
    let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let running = Running(piped.spawn().unwrap());
    until("it is keyed", || port.lines() == "0R");
    running.send(Signal::SIGTSTP);
    running.wait().exits(0);
    assert_eq!(port.lines(), "0R0R0");
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
