//! What cannot be opened or read.

use super::*;

#[test]
fn operands_that_are_missing() {
    let t = Tree::new();
    t.write("d/a", "x");
    t.write("d/b", "x");
    let ran = t.run(["-q", "gone", "d", "d/a/b"]).exits(1);
    assert_eq!(ran.out(), "d/a\nd/b\n\n");
    assert_eq!(
        ran.stderr,
        "dupes: gone: No such file or directory\ndupes: d/a/b: Not a directory\n"
    );
    let ran = t.run(["gone", "two\nlines", ""]).exits(2);
    assert!(ran.stdout.is_empty());
    assert_eq!(
        ran.stderr,
        "dupes: gone: No such file or directory\ndupes: two\\nlines: No such file or directory\n\
         dupes: : No such file or directory\n\
         0 total files\n0 size collisions, max of length 0\nbytes read 0\n"
    );
}

#[test]
fn what_must_not_be_read_is_told_and_left_out() {
    let t = Tree::new();
    for name in ["u1", "u2", "u3", "closed/x"] {
        t.write(name, noise(1, 9000));
    }
    use std::os::unix::fs::PermissionsExt;
    let mode = |name: &str, mode| {
        fs::set_permissions(t.path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("", 0o755);
    mode("u3", 0);
    mode("closed", 0);
    // As another user the files are not ours: that must not matter for those that can be read.
    let tool = t.path("tool");
    let mut dupes = match common::is_root() {
        true => {
            if !can("what_must_not_be_read", true, &["setpriv"]) {
                return;
            }
            copy_program(DUPES, &tool);
            mode("tool", 0o755);
            let mut dupes = command("setpriv");
            dupes
                .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
                .arg(&tool);
            dupes
        }
        false => Command::new(DUPES),
    };
    dupes.current_dir(t.0.path()).arg("-q");
    let ran = run(dupes.arg("."));
    let alone = run(dupes.arg("closed"));
    mode("closed", 0o755);
    let mut told: Vec<_> = ran.stderr.lines().collect();
    told.sort();
    let want = [
        "dupes: ./closed: Permission denied",
        "dupes: ./u3: Permission denied",
    ];
    assert_eq!(told, want);
    assert_eq!(ran.exits(1).out(), "./u1\n./u2\n\n");
    alone.exits(1);
}

#[test]
fn a_folder_that_cannot_be_opened_is_no_use() {
    let t = Tree::new();
    t.dir("closed");
    let closed = t.path("closed").display().to_string();
    let Some(ran) = inject(&t, "closed", "openat:error=EACCES", &["-q", &closed]) else {
        return;
    };
    ran.exits(2)
        .says(&format!("dupes: {closed}: Permission denied"));
}

#[test]
fn read_errors_leave_a_file_out() {
    let t = Tree::new();
    for name in ["a", "b", "c", "d"] {
        t.write(name, noise(1, 300_000));
    }
    for file in ["a", "b", "d"] {
        for when in 1..6 {
            let fault = format!("pread64:error=EIO:when={when}");
            let Some(ran) = inject(&t, file, &fault, &["."]) else {
                return;
            };
            let mut rest = vec!["./a", "./b", "./c", "./d"];
            rest.retain(|n| !n.ends_with(file));
            let told = format!("dupes: ./{file}: Input/output error\n4 total files\n");
            assert!(ran.stderr.starts_with(&told), "{}", ran.stderr);
            assert_eq!(lines(&ran.exits(1)), [rest], "{file}, read {when}");
        }
    }
    // Of two, none is left.
    fs::remove_file(t.path("c")).unwrap();
    fs::remove_file(t.path("d")).unwrap();
    let ran = inject(&t, "a", "pread64:error=EIO:when=2", &["."])
        .unwrap()
        .exits(1);
    assert_eq!(ran.out(), "");
}

#[test]
fn short_reads_and_interruptions_do_no_harm() {
    let t = Tree::new();
    t.write("a", noise(1, 300_000));
    t.write("b", noise(1, 300_000));
    let Some(ran) = inject(&t, "b", "pread64:error=EINTR:when=1..5+2", &["-q", "."]) else {
        return;
    };
    assert_eq!(ran.exits(0).out(), "./a\n./b\n\n");
}
