//! Signals, and a reader that goes away.

use super::*;

#[test]
fn usr1_prints_a_status_line() {
    let t = Tree::new();
    let mut child = t
        .dupes(["-q", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    until("the signals to be blocked", || {
        let text = fs::read_to_string(&status).unwrap();
        let mask = text.lines().find_map(|l| l.strip_prefix("SigBlk:"))?;
        (u64::from_str_radix(mask.trim(), 16).unwrap() & 1 << 9 != 0).then_some(())
    });
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let pid = rustix::process::Pid::from_child(&child);
    let (sender, receiver) = std::sync::mpsc::channel();
    // Reads on to the end: a status that nobody takes would end the tool.
    std::thread::spawn(move || {
        stderr
            .lines()
            .map(Result::unwrap)
            .all(|l| sender.send(l).is_ok())
    });
    // Before the work has begun there is no status to tell.
    let line = until("the status", || {
        rustix::process::kill_process(pid, rustix::process::Signal::USR1).unwrap();
        receiver.try_recv().ok()
    });
    assert!(line.starts_with("dupes: 0 B compared, "), "{line}");
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let t = Tree::new();
    for i in 0..2000 {
        t.write(format!("{}-{i}", "long name ".repeat(10)), "x");
    }
    let ran = t.shell("{ dupes -q .; echo $? >&2; } | head -c 1").exits(0);
    assert_eq!(ran.stderr, "141\n");
}

#[test]
fn a_signal_leaves_what_was_proven() {
    let t = Tree::new();
    for name in ["large1", "large2"] {
        t.write(name, noise(1, 4 << 20));
    }
    for name in ["slow1", "slow2"] {
        t.write(name, noise(2, 1 << 20));
    }
    if !can("a_signal_leaves_what_was_proven", false, &["strace"]) {
        return;
    }
    use rustix::process::{Pid, Signal, kill_process};
    for (signal, number) in [(Signal::INT, 2), (Signal::TERM, 15), (Signal::HUP, 1)] {
        // The smaller pair is read slowly; the larger one is done before the signal comes.
        let mut slow = command("strace");
        slow.args(["-f", "-qqq", "-o", "/dev/null", "-P"])
            .arg(t.path("slow1"));
        slow.args([
            "-e",
            "trace=pread64",
            "-e",
            "inject=pread64:delay_enter=300000",
        ]);
        slow.args([
            "--",
            "sh",
            "-c",
            "echo $$; exec \"$0\" --progress=1 . 3>&1",
            DUPES,
        ]);
        slow.current_dir(t.0.path()).stdin(Stdio::null());
        let mut child = slow
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap);
        let pid = stdout
            .next()
            .unwrap()
            .parse()
            .ok()
            .and_then(Pid::from_raw)
            .unwrap();
        let is_done = |line: &String| {
            let done = line.split(' ').next().unwrap().parse::<u64>();
            done.is_ok_and(|done| done >= 8 << 20)
        };
        stdout.find(is_done).expect("the large pair is done first");
        kill_process(pid, signal).unwrap();
        let rest: Vec<String> = stdout.filter(|l| !l.ends_with("10485760")).collect();
        assert_eq!(rest, ["./large1", "./large2", ""]);
        let mut told = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut told)
            .unwrap();
        let summary = "4 total files\n2 size collisions, max of length 2\nbytes read ";
        assert!(told.starts_with(summary), "{told}");
        let ran = child.wait_with_output().unwrap();
        assert_eq!(Ran::from(ran).code, 128 + number);
    }
}
