//! In real time: every frame in its place, and holes in the sound that are noticed.

use super::*;

/// Where `what` begins in `heard`, in frames of stereo.
fn occurrences(heard: &[i16], voice: &[i16]) -> Vec<usize> {
    let frames: Vec<&[i16]> = heard.chunks_exact(2).collect();
    let is_at = |at: usize| {
        frames[at..]
            .iter()
            .zip(voice)
            .all(|(frame, want)| frame[0] == *want && frame[1] == *want)
    };
    let last = (frames.len() + 1).saturating_sub(voice.len());
    (0..last).filter(|at| is_at(*at)).collect()
}

fn heard16(file: &Path) -> Vec<i16> {
    let bytes = fs::read(file).unwrap();
    bytes
        .chunks_exact(2)
        .map(|b| i16::from_le_bytes([b[0], b[1]]))
        .collect()
}

#[test]
fn in_real_time_too_every_frame_is_in_its_place() {
    let test = "in_real_time_too_every_frame_is_in_its_place";
    let Some(pulse) = Pulse::start(test) else {
        return;
    };
    let desk = Desk::new();
    let voice = noise(RATE / 2);
    desk.wav16("cq.wav", RATE, 1, &voice);
    let heard = desk.path("heard");
    let mut recorder = pulse.hear(&heard);
    run(pulse.on(&desk).args(["-c3", "--log=log", "0.4", "cq.wav"])).exits(0);
    let mut found = Vec::new();
    until("all that was played is heard", || {
        found = occurrences(&heard16(&heard), &voice);
        found.len() >= 3
    });
    recorder.kill().unwrap();
    recorder.wait().unwrap();
    assert_eq!(found.len(), 3);
    assert_eq!(found[1] - found[0], RATE / 2 + RATE * 2 / 5);
    assert_eq!(found[2] - found[1], RATE / 2 + RATE * 2 / 5);
}

/// Stopped until the sound runs out: the guardian releases the line, and the pass that was cut off is
/// played again from its beginning.
#[test]
fn a_run_that_was_stopped_recovers() {
    let test = "a_run_that_was_stopped_recovers";
    let Some(pulse) = Pulse::start(test) else {
        return;
    };
    let desk = Desk::new();
    let port = Port::make(&desk);
    desk.wav16("cq.wav", RATE, 1, &noise(RATE * 4));
    let mut command = pulse.on(&desk);
    port.attach(
        command
            .args(["-c1", "--log=log", "cq.wav"])
            .stdout(Stdio::null()),
    );
    let child = command.spawn().unwrap();
    until("keyed", || port.is_up());
    until("on the air", || passes(&desk) == 1);
    send(&child, Signal::SIGSTOP);
    until("released although stopped", || !port.is_up());
    std::thread::sleep(Duration::from_millis(700)); // until the sound has run out, too
    send(&child, Signal::SIGCONT);
    until("keyed again", || port.is_up());
    let code = ended(child);
    let log = fs::read_to_string(desk.path("log")).unwrap();
    assert!(!port.is_up());
    assert_eq!(code, 0, "{log}");
    // On a busy machine there may be more of them.
    let times = log.matches("interrupted").count();
    assert!(times >= 1, "{log}");
    // One in the silence at the begin cuts no pass off.
    let begins = log.matches(" begin pass=1 ").count();
    assert!((2..=times + 1).contains(&begins), "{log}");
    assert!(log.contains(&format!("passes=1 xruns={times}")), "{log}");
}

/// Be it ever so short, a pass with a hole is played again.
#[test]
fn a_hole_in_an_over_is_noticed_on_a_server_too() {
    let test = "a_hole_in_an_over_is_noticed_on_a_server_too";
    let Some(pulse) = Pulse::start(test) else {
        return;
    };
    let desk = Desk::new();
    desk.wav16("cq.wav", RATE, 1, &noise(RATE * 4));
    let mut command = pulse.on(&desk);
    command
        .args(["-c1", "--log=log", "cq.wav"])
        .stdout(Stdio::null());
    let child = command.spawn().unwrap();
    until("on the air", || passes(&desk) == 1);
    send(&child, Signal::SIGSTOP);
    std::thread::sleep(Duration::from_millis(1150)); // a second of sound lies ahead
    send(&child, Signal::SIGCONT);
    let code = ended(child);
    let log = fs::read_to_string(desk.path("log")).unwrap();
    assert_eq!(code, 0, "{log}");
    assert!(log.contains(" interrupted "), "{log}");
    assert!(log.matches(" begin pass=1 ").count() >= 2, "{log}");
}
