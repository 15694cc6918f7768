//! Keys of a terminal, and the terminal afterwards.

use super::*;

#[test]
fn any_key_stops_it_and_the_terminal_is_as_before() {
    use nix::sys::termios::tcgetattr;
    for key in [b'q', b' ', b'1', 0x1b] {
        let desk = Desk::new();
        let pty = Pty::open();
        let before = tcgetattr(&pty.program).unwrap();
        let child = endless(&desk, |command| pty.give(command));
        let during = tcgetattr(&pty.program).unwrap();
        assert_ne!(during.local_flags, before.local_flags);
        (&pty.person).write_all(&[key]).unwrap();
        // Its last words must be read, or it would wait to say them.
        let mut reader = pty.person.try_clone().unwrap();
        drop_output(&mut reader);
        assert_eq!(ended(child), 0);
        assert_eq!(tcgetattr(&pty.program).unwrap(), before);
        let log = fs::read_to_string(desk.path("log")).unwrap();
        assert!(log.contains("stopped by a key"), "{log}");
    }
}

/// `cqloop &` and then `fg`: the keys are for it again.
#[test]
fn keys_work_when_it_comes_to_the_foreground() {
    use nix::sys::termios::{LocalFlags, tcgetattr};
    let desk = Desk::new();
    desk.wav16("cq.wav", RATE, 1, &noise(RATE));
    let pty = Pty::open();
    drop_output(&mut pty.person.try_clone().unwrap());
    let is_by_line = || {
        let settings = tcgetattr(&pty.program).unwrap();
        settings.local_flags.contains(LocalFlags::ICANON)
    };
    let mut shell = Command::new("/bin/sh");
    let script = "set -m; \"$0\" -D null --log=log cq.wav & \
                  until [ -e go ]; do sleep 0.01; done; fg; echo $? >status";
    shell
        .args(["-c", script, env!("CARGO_BIN_EXE_cqloop")])
        .current_dir(desk.dir.path());
    pty.give(&mut shell);
    let child = shell.spawn().unwrap();
    until("on the air", || passes(&desk) > 1);
    assert!(is_by_line(), "the keys were the shell's");
    fs::write(desk.path("go"), "").unwrap();
    until("the keys are read one by one", || !is_by_line());
    (&pty.person).write_all(b"q").unwrap();
    assert_eq!(ended(child), 0);
    assert_eq!(fs::read_to_string(desk.path("status")).unwrap(), "0\n");
    let log = fs::read_to_string(desk.path("log")).unwrap();
    assert!(log.contains("stopped by a key"), "{log}");
    assert!(is_by_line(), "the terminal is as before");
}

#[test]
fn ctrl_c_is_a_signal_and_restores_the_terminal() {
    use nix::sys::termios::tcgetattr;
    let desk = Desk::new();
    let pty = Pty::open();
    drop_output(&mut pty.person.try_clone().unwrap());
    let before = tcgetattr(&pty.program).unwrap();
    let child = endless(&desk, |command| pty.give(command));
    (&pty.person).write_all(&[3]).unwrap();
    assert_eq!(ended(child), 130);
    assert_eq!(tcgetattr(&pty.program).unwrap(), before);
}
