//! What is said: the status, the timeline, the log; and when it cannot be written.

use super::*;

#[test]
fn the_status_is_that_of_the_original_script() {
    let desk = Desk::new();
    desk.wav16("cq.wav", RATE, 1, &noise(100));
    let ran = desk.play(&["-c", "2", ".50", "cq.wav"]).exits(0);
    let out = ran.out();
    let (first, rest) = out.split_once('\n').unwrap();
    // As date(1) prints it: Fri Aug 24 21:17:47 CDT 2012
    let words: Vec<&str> = first
        .strip_prefix("Started at: ")
        .unwrap()
        .split(' ')
        .collect();
    let words: Vec<&str> = words.into_iter().filter(|w| !w.is_empty()).collect();
    assert!(
        matches!(words[..], [_, _, _, time, "UTC", _] if time.len() == 8),
        "{first}"
    );
    if let Some(date) = find("date") {
        let date = String::from_utf8(
            Command::new(date)
                .env("LC_ALL", "C")
                .env("TZ", "UTC0")
                .output()
                .unwrap()
                .stdout,
        )
        .unwrap();
        assert_eq!(first.len(), "Started at: ".len() + date.trim_end().len());
    }
    let pass = "\r0m/.50s: TRANSMIT\r0m/.50s: off         ";
    assert_eq!(rest, pass.repeat(2));
    assert_eq!(ran.stderr, "");
}

#[test]
fn the_timeline_of_a_dry_run() {
    let desk = Desk::new();
    desk.wav16("cq.wav", RATE, 1, &vec![16_384; RATE * 2]);
    let dry = |args: &[&str]| {
        let ran = run(desk.cqloop().arg("-n").args(args)).exits(0);
        format!("$ cqloop -n {}\n{}\n", args.join(" "), ran.out())
    };
    let text = [
        dry(&["cq.wav"]),
        dry(&[
            "-c2",
            "--ptt=/dev/ttyUSB0",
            "--lead=100",
            "--tail=30",
            "3",
            "cq.wav",
        ]),
        dry(&["--tone=18000:-7", "-c1", "cq.wav"]),
        dry(&["--normalize", "--tone", "cq.wav"]),
    ];
    golden("cqloop/dry-run", &text.concat());
    assert!(!desk.path("played").exists());
}

#[test]
fn the_log_tells_what_happened() {
    let desk = Desk::new();
    desk.wav16("cq.wav", RATE, 1, &noise(4800));
    desk.play(&["-c2", "--log=log", "--tone=20000:-12", "1", "cq.wav"])
        .exits(0);
    let log = fs::read_to_string(desk.path("log")).unwrap();
    let events: Vec<&str> = log
        .lines()
        .map(|line| {
            let (stamp, event) = line.split_once(' ').unwrap();
            assert_eq!(stamp.len(), "2012-08-25T02:17:47.123Z".len());
            event.split(" at=").next().unwrap() // the time is that of the machine
        })
        .collect();
    let start = format!(
        "start file=cq.wav device={} rate=48000 channels=1 format=S16 buffer=",
        desk.card()
    );
    assert!(events[0].starts_with(&start), "{log}");
    assert!(events[0].ends_with(" frames=4800 delay=1"), "{log}");
    assert_eq!(
        events[1..],
        [
            "on pass=1 frame=2400",
            "begin pass=1 frame=4800",
            "end pass=1 frame=9600",
            "off pass=1 frame=12000",
            "on pass=2 frame=55200",
            "begin pass=2 frame=57600",
            "end pass=2 frame=62400",
            "off pass=2 frame=64800",
            "end all passes done; passes=2 xruns=0",
        ]
    );
}

#[test]
fn devices_are_listed() {
    let desk = Desk::new();
    let ran = run(desk.cqloop().arg("--list")).exits(0);
    assert!(
        ran.out().lines().any(|line| line.starts_with("null\t")),
        "{}",
        ran.out()
    );
    assert_eq!(ran.stderr, "");
}

#[test]
fn what_cannot_be_written_is_told() {
    let desk = Desk::new();
    desk.wav16("cq.wav", RATE, 1, &noise(100));
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    let mut command = desk.cqloop();
    let child = command
        .args(["-D", "null", "cq.wav"])
        .stdout(full())
        .stderr(Stdio::piped());
    let output = child.spawn().unwrap().wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        output.stderr,
        b"cqloop: standard output: No space left on device\n"
    );
    // A reader that has seen enough ends it without a word.
    let mut command = desk.cqloop();
    let child = command
        .args(["-D", "null", "cq.wav"])
        .stdout(Stdio::from(std::io::pipe().unwrap().1))
        .stderr(Stdio::piped());
    let output = child.spawn().unwrap().wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(Signal::SIGPIPE as i32));
    assert_eq!(output.stderr, b"");
    // A log that is full does not end the run, but the run does not count as good.
    desk.play(&["-c2", "--log=/dev/full", "cq.wav"])
        .exits(1)
        .says("cqloop: /dev/full: No space left on device");
    assert_eq!(desk.played16().len(), AHEAD + 100 + 72_000 + 100 + BEHIND);
    desk.play(&["-c1", "--log=/nonexistent/log", "cq.wav"])
        .exits(2)
        .says("cqloop: /nonexistent/log: No such file or directory");
    // It is told when a signal ends the run, too.
    let mut command = desk.cqloop();
    let mut child = command
        .args(["-D", "null", "--log=/dev/full", "cq.wav"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut [0; 100]).unwrap();
    send(&child, Signal::SIGTERM);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(Signal::SIGTERM as i32));
    assert_eq!(
        output.stderr,
        b"cqloop: /dev/full: No space left on device\n"
    );
}

/// A pager that waits, or a connection that hangs, is no reason to stop, nor not to be stopped.
#[test]
fn output_that_nobody_reads_holds_nothing_up() {
    use nix::fcntl::{FcntlArg, fcntl};
    let desk = Desk::new();
    let (_reader, writer) = std::io::pipe().unwrap();
    fcntl(&writer, FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    let child = endless(&desk, |command| {
        command.stdout(writer);
    });
    until("it goes on", || passes(&desk) > 300); // more than the pipe holds
    send(&child, Signal::SIGTERM);
    assert_eq!(ended(child), 143);

    // The same for a log, but whoever wants a log is told that lines are missing.
    let fifo = desk.path("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let reader = File::options().read(true).write(true).open(&fifo).unwrap();
    fcntl(&reader, FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    desk.play(&["-c40", "--log=fifo", "0", "cq.wav"])
        .exits(1)
        .says("cqloop: fifo: lines are missing, since nobody reads it");
}
