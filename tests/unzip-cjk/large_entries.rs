//! Entries that are inflated in one thread and written in another: what ends one ends the other.

use super::*;

/// More than fits between the two threads, inflated faster than it is written.
const SIZE: usize = 32 << 20;

/// A thread that waits for the other one in vain does so not every time.
const TRIES: usize = 6;

/// `script` in a folder of its own, ended if it hangs.
fn in_shell(dir: &Dir, script: &str) -> Ran {
    let work = dir.path("work");
    fs::create_dir(&work).unwrap();
    let mut bash = tool("timeout");
    bash.args(["-k", "1", "60", "bash", "-c", script, OURS]);
    run(bash.current_dir(&work).stdin(Stdio::null()))
}

#[test]
fn a_large_file_that_cannot_be_written_is_given_up() {
    let dir = Dir::new();
    let zip = Zip::new().add(Entry::new(b"a").data(&vec![0; SIZE]).deflate());
    dir.zip("a.zip", &zip);
    for _ in 0..TRIES {
        let ran = in_shell(&dir, "ulimit -f 1024; exec \"$0\" -q ../a.zip").exits(50);
        assert!(ran.stderr.contains("File too large"), "{}", ran.stderr);
        assert_eq!(fs::read_dir(dir.path("work")).unwrap().count(), 0);
        fs::remove_dir_all(dir.path("work")).unwrap();
    }
}

#[test]
fn a_large_file_with_more_than_declared_is_ended() {
    let dir = Dir::new();
    let mut entry = Entry::new(b"a").data(&vec![0; SIZE]).deflate();
    entry.claimed = Some(9 << 20);
    dir.zip("a.zip", &Zip::new().add(entry));
    for _ in 0..TRIES {
        let ran = in_shell(&dir, "exec \"$0\" -q ../a.zip").exits(2);
        assert!(
            ran.stderr.contains("more data than declared"),
            "{}",
            ran.stderr
        );
        let file = fs::metadata(dir.path("work/a")).unwrap();
        assert_eq!(file.len(), 9 << 20);
        fs::remove_dir_all(dir.path("work")).unwrap();
    }
}

#[test]
fn an_interrupt_ends_a_large_file() {
    let dir = Dir::new();
    let zip = Zip::new().add(Entry::new(b"a").data(&vec![0; SIZE]).deflate());
    dir.zip("a.zip", &zip);
    let script = "timeout -k 20 60 \"$0\" -q ../a.zip & while [ ! -e a ] && kill -0 $!; do :; done; \
        kill -INT $!; wait $!";
    for _ in 0..TRIES {
        // A job in the background of a script has INT ignored, unless job control is on.
        let ran = in_shell(&dir, &format!("set -m; {script}"));
        // The file may have been complete before the signal.
        let whole = fs::metadata(dir.path("work/a")).map(|file| file.len() == SIZE as u64);
        assert!(
            matches!(
                (ran.code, whole.ok()),
                (80, None | Some(true)) | (0, Some(true))
            ),
            "{} {}",
            ran.code,
            ran.stderr
        );
        fs::remove_dir_all(dir.path("work")).unwrap();
    }
}

#[test]
fn a_path_that_the_kernel_does_not_take_is_reported_as_that() {
    let dir = Dir::new();
    let deep = "folder/".repeat(600) + "file";
    let zip = Zip::new()
        .add(Entry::new(deep.as_bytes()).data(b"x"))
        .add(Entry::new(b"next").data(b"y"));
    let zip = dir.zip("a.zip", &zip);
    let ran = dir.ours(&["-q", zip.to_str().unwrap()]).exits(2);
    assert!(ran.stderr.contains("File name too long"), "{}", ran.stderr);
    assert_eq!(fs::read(dir.path("work/next")).unwrap(), b"y");
}
