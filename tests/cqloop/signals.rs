//! Signals: those that end it, those that were ignored, and SIGUSR1.

use super::*;

#[test]
fn signals_end_it_and_are_seen_by_the_parent() {
    let desk = Desk::new();
    for signal in [
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGQUIT,
    ] {
        let child = endless(&desk, |_| {});
        send(&child, signal);
        assert_eq!(ended(child), 128 + signal as i32);
        let log = fs::read_to_string(desk.path("log")).unwrap();
        assert!(
            log.trim_end()
                .lines()
                .last()
                .unwrap()
                .contains(signal.as_str()),
            "{signal}"
        );
    }
}

#[test]
fn an_ignored_signal_stays_ignored() {
    let desk = Desk::new();
    if !can("an_ignored_signal_stays_ignored", false, &["nohup"]) {
        return;
    }
    desk.wav16("cq.wav", RATE, 1, &noise(RATE));
    let child = command("nohup")
        .arg(env!("CARGO_BIN_EXE_cqloop"))
        .args(["-D", "null", "--log=log", "cq.wav"])
        .current_dir(desk.dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("on the air", || passes(&desk) > 1);
    send(&child, Signal::SIGHUP);
    let before = passes(&desk);
    until("it goes on", || passes(&desk) > before + 2);
    send(&child, Signal::SIGTERM);
    assert_eq!(ended(child), 143);
}

#[test]
fn usr1_asks_how_it_goes() {
    let desk = Desk::new();
    let mut child = endless(&desk, |command| {
        command.stderr(Stdio::piped());
    });
    send(&child, Signal::SIGUSR1);
    let mut said = [0; 64];
    let len = child.stderr.as_mut().unwrap().read(&mut said).unwrap();
    let said = String::from_utf8_lossy(&said[..len]).into_owned();
    assert!(
        said.starts_with("cqloop: ") && said.ends_with(" passes, 0 xruns\n"),
        "{said}"
    );
    send(&child, Signal::SIGTERM);
    assert_eq!(ended(child), 143);
}
