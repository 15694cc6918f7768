//! The line that keys the transmitter.

use super::*;

#[test]
fn the_line_is_up_once_a_pass() {
    let desk = Desk::new();
    let port = Port::make(&desk);
    desk.wav16("cq.wav", RATE, 1, &noise(4800));
    for (line, states) in [("rts", "0R0R0R0"), ("dtr", "0D0D0D0"), ("both", "0B0B0B0")] {
        let _ = fs::remove_file(&port.lines);
        let mut command = desk.cqloop();
        port.attach(command.args(["-D", &desk.card(), "-c3", "-l", line, "--log=log", "cq.wav"]));
        run(&mut command).exits(0);
        assert_eq!(port.lines(), states);
    }
}

#[test]
fn however_it_ends_the_line_is_down() {
    let desk = Desk::new();
    let port = Port::make(&desk);
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGKILL] {
        let child = endless(&desk, |command| port.attach(command));
        until("keyed", || port.is_up());
        send(&child, signal);
        assert_eq!(ended(child), 128 + signal as i32);
        until("released", || !port.is_up()); // after SIGKILL by the guardian
    }
    let pty = Pty::open();
    drop_output(&mut pty.person.try_clone().unwrap());
    let child = endless(&desk, |command| {
        port.attach(command);
        pty.give(command);
    });
    (&pty.person).write_all(b"q").unwrap();
    assert_eq!(ended(child), 0);
    assert!(!port.is_up());
}

/// Between two overs too: it does not wait for the next one, nor spin until then.
#[test]
fn a_port_that_goes_between_two_overs_is_missed_at_once() {
    let test = "a_port_that_goes_between_two_overs_is_missed_at_once";
    let Some(pulse) = Pulse::start(test) else {
        return;
    };
    let desk = Desk::new();
    let port = Port::make(&desk);
    desk.wav16("cq.wav", RATE, 1, &noise(4800));
    let mut command = pulse.on(&desk);
    port.attach(
        command
            .args(["--log=log", "3600", "cq.wav"])
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    );
    let child = command.spawn().unwrap();
    let log = || fs::read_to_string(desk.path("log")).unwrap_or_default();
    until("between", || log().contains(" off pass="));
    drop(port);
    assert_eq!(ended(child), 1);
    assert!(log().contains("the device is gone"), "{}", log());
}

#[test]
fn a_signal_releases_in_the_middle_of_the_sound() {
    let test = "a_signal_releases_in_the_middle_of_the_sound";
    let Some(pulse) = Pulse::start(test) else {
        return;
    };
    let desk = Desk::new();
    let port = Port::make(&desk);
    desk.wav16("cq.wav", RATE, 1, &noise(RATE * 20));
    let mut command = pulse.on(&desk);
    port.attach(
        command
            .args(["-c1", "--log=log", "cq.wav"])
            .stdout(Stdio::null()),
    );
    let child = command.spawn().unwrap();
    until("on the air", || passes(&desk) == 1 && port.is_up());
    send(&child, Signal::SIGTERM);
    assert_eq!(ended(child), 143);
    assert!(!port.is_up());
    let log = fs::read_to_string(desk.path("log")).unwrap();
    assert!(!log.contains("end pass"), "{log}");
}
