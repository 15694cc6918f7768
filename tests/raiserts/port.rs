//! The port: its settings, its one user, its end.

use super::*;

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
