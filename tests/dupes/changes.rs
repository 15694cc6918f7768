//! Files that change while they are read.

use super::*;

#[test]
fn a_file_that_becomes_shorter_is_left_out() {
    let t = Tree::new();
    for name in ["a", "b", "c"] {
        t.write(name, noise(1, 300_000));
    }
    for when in [1, 3, 6] {
        let fault = format!("pread64:retval=0:when={when}+");
        let Some(ran) = inject(&t, "b", &fault, &["-q", "."]) else {
            return;
        };
        assert_eq!(ran.out(), "./a\n./c\n\n");
        ran.exits(1)
            .says("dupes: ./b: became shorter while it was read");
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_left_out() {
    let t = Tree::new();
    for name in ["a", "b", "c"] {
        t.write(name, noise(1, 300_000));
    }
    if !can("a_file_that_changes", false, &["strace"]) {
        return;
    }
    // Stopped at a read, so that the change falls between opening and the end.
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut stopped = command("strace");
    stopped.args(["-f", "-o"]).arg(log.path());
    stopped.arg("-P").arg(t.path("b"));
    stopped.args([
        "-e",
        "trace=pread64",
        "-e",
        "inject=pread64:signal=STOP:when=2",
    ]);
    stopped.args(["--", "sh", "-c", "echo $$; exec \"$0\" -q .", DUPES]);
    stopped.current_dir(t.0.path()).stdin(Stdio::null());
    let mut child = stopped
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut pid = String::new();
    stdout.read_line(&mut pid).unwrap();
    let pid: i32 = pid.trim().parse().unwrap();
    until("the tool to be stopped", || {
        fs::read_to_string(log.path())
            .unwrap()
            .contains("stopped by SIGSTOP")
            .then_some(())
    });
    // The bytes stay the same, so that only the time tells.
    let file = File::options().write(true).open(t.path("b")).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    let mut text = String::new();
    stdout.read_to_string(&mut text).unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap()).exits(1);
    assert_eq!(text, "./a\n./c\n\n");
    ran.says("dupes: ./b: changed while it was read");
}

#[test]
fn files_rewritten_all_the_time_do_no_harm() {
    let t = Tree::new();
    for name in ["live", "copy", "copy2"] {
        t.write(name, noise(1, 1 << 20));
    }
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let file = File::options().write(true).open(t.path("live")).unwrap();
            let mut i = 0u64;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                match i % 50 {
                    49 => file.set_len(1000 + i % 1000).unwrap(),
                    48 => file.set_len(1 << 20).unwrap(),
                    _ => file.write_all_at(&[i as u8], i * 7919 % (1 << 20)).unwrap(),
                }
                i += 1;
            }
        });
        let runs: Vec<Ran> = (0..30).map(|_| t.run(["-q", "."])).collect();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        for ran in runs {
            assert!(ran.code <= 1, "{}", ran.stderr);
            assert_eq!(ran.out(), "./copy\n./copy2\n\n");
        }
    });
}
