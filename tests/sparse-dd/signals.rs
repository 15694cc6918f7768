//! Signals.

use super::*;

/// A copy from a pipe that has brought 3 MiB and then nothing more; with the pipe.
fn waiting_copy(dir: &Dir, destination: &str) -> (Child, std::process::ChildStdin) {
    let mut child = tool()
        .current_dir(dir.0.path())
        .args(["-", destination])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(&vec![1; 3 << 20]).unwrap();
    (child, pipe)
}

fn send(signal: &str, child: &Child) {
    must("kill", [format!("-{signal}"), child.id().to_string()]);
}

#[test]
fn signals_remove_a_new_file_and_name_an_old_one() {
    for (signal, number) in [("INT", 2), ("TERM", 15), ("HUP", 1)] {
        let dir = Dir::new();
        let (child, pipe) = waiting_copy(&dir, "copy.img");
        send(signal, &child);
        let ran: Ran = child.wait_with_output().unwrap().into();
        ran.exits(128 + number)
            .says(&format!("sparse-dd: stopped by SIG{signal}"));
        assert!(dir.names().is_empty(), "{:?}", dir.names());
        drop(pipe);

        dir.file("old.img", 100, &[]);
        let (child, pipe) = waiting_copy(&dir, "old.img");
        poll("data", || {
            fs::metadata(dir.path("old.img")).unwrap().len() > 2 << 20
        });
        send(signal, &child);
        let ran: Ran = child.wait_with_output().unwrap().into();
        ran.exits(128 + number).says(&format!(
            "sparse-dd: stopped by SIG{signal} (old.img is left incomplete)"
        ));
        drop(pipe);
    }
}

#[test]
fn a_kill_leaves_no_file_of_that_name() {
    let dir = Dir::new();
    let (mut child, pipe) = waiting_copy(&dir, "copy.img");
    child.kill().unwrap();
    child.wait().unwrap();
    drop(pipe);
    assert!(dir.names().is_empty(), "{:?}", dir.names());
}

#[test]
fn usr1_prints_a_status_line() {
    let dir = Dir::new();
    let (mut child, pipe) = waiting_copy(&dir, "copy.img");
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    poll("3 MiB", || {
        let io = fs::read_to_string(format!("/proc/{}/io", child.id())).unwrap();
        io.lines().next().unwrap()["rchar: ".len()..]
            .parse::<u64>()
            .unwrap()
            > 3 << 20
    });
    send("USR1", &child);
    let line = lines.next().unwrap().unwrap();
    assert!(
        line.starts_with("sparse-dd: ") && line.contains(" copied, "),
        "{line}"
    );
    drop(pipe);
    assert!(child.wait().unwrap().success());
    assert_eq!(fs::metadata(dir.path("copy.img")).unwrap().len(), 3 << 20);
}

#[test]
fn a_signal_during_the_last_fsync_is_heard() {
    if !can(
        "a_signal_during_the_last_fsync_is_heard",
        false,
        &["strace"],
    ) {
        return;
    }
    let dir = Dir::new();
    image(&dir, "disk.img");
    let copy = dir.file("copy.img", 10, &[]);
    let child = traced(
        &dir,
        "fsync:delay_enter=1500000",
        &copy,
        &["-q", "disk.img", "copy.img"],
    );
    poll("the last byte", || fs::read(&copy).unwrap().ends_with(&[5]));
    must(
        "kill",
        [vec!["-TERM".to_owned()], children(child.id())].concat(),
    );
    let ran: Ran = child.wait_with_output().unwrap().into();
    ran.exits(143)
        .says("sparse-dd: stopped by SIGTERM (copy.img is left incomplete)");
}

#[test]
fn two_signals_at_once_leave_nothing_behind() {
    let dir = Dir::new();
    let (child, pipe) = waiting_copy(&dir, "copy.img");
    send("TERM", &child);
    send("INT", &child);
    let ran: Ran = child.wait_with_output().unwrap().into();
    assert!([130, 143].contains(&ran.code), "{}", ran.code);
    drop(pipe);
    assert!(dir.names().is_empty());
}
