//! What is walked into, and what is seen once only.

use super::*;

#[test]
fn hard_links_are_listed_once_by_their_first_name() {
    let t = Tree::new();
    t.write("b/i1", noise(1, 5000));
    fs::hard_link(t.path("b/i1"), t.path("a1")).unwrap();
    fs::hard_link(t.path("b/i1"), t.path("z1")).unwrap();
    t.write("c/i2", noise(1, 5000));
    fs::hard_link(t.path("c/i2"), t.path("c/i3")).unwrap();
    t.write("only", noise(2, 5001));
    fs::hard_link(t.path("only"), t.path("only2")).unwrap();
    let ran = t.run(["."]).exits(0);
    assert_eq!(ran.out(), "./a1\n./c/i2\n\n");
    assert_eq!(
        ran.stderr,
        "7 total files\n1 size collisions, max of length 2\nbytes read 10000\n"
    );
}

#[test]
fn overlapping_operands_are_seen_once() {
    let t = Tree::new();
    t.write("a/b/f", "same");
    t.write("a/g", "same");
    let want = "a/b/f\na/g\n\n";
    for args in [
        &["a", "a/b"][..],
        &["a/b", "a"],
        &["a", "a"],
        &["a", "a/g", "a/b/f", "a/b"],
    ] {
        let ran = t.run(args).exits(0);
        assert_eq!(ran.out(), want, "{args:?}");
        assert!(
            ran.stderr.starts_with("2 total files\n"),
            "{args:?}: {}",
            ran.stderr
        );
    }
    assert_eq!(t.run(["a", "./a"]).exits(0).out(), "./a/b/f\n./a/g\n\n");
    assert_eq!(t.run(["a/g", "a/g"]).exits(0).out(), "");
}

#[test]
fn bind_mounts_are_seen_once() {
    let t = Tree::new();
    t.write("a/x/f", "same");
    t.write("a/g", "same");
    for name in ["m", "a/x/loop"] {
        t.dir(name);
    }
    if !can("bind_mounts_are_seen_once", true, &["mount", "umount"]) {
        return;
    }
    let mounts = [("a", "m"), ("a", "a/x/loop")];
    for (from, to) in mounts {
        let ran = run(command("mount")
            .arg("--bind")
            .args([t.path(from), t.path(to)]));
        if ran.code != 0 {
            return skipped("bind_mounts_are_seen_once", ran.stderr.trim());
        }
    }
    let ran = t.run(["."]);
    for (_, to) in mounts.iter().rev() {
        must("umount", [t.path(to)]);
    }
    let ran = ran.exits(0);
    assert_eq!(ran.out(), "./a/g\n./a/x/f\n\n");
    assert!(ran.stderr.starts_with("2 total files\n"), "{}", ran.stderr);
}

#[test]
fn a_bind_mount_may_have_other_folders_below() {
    let test = "a_bind_mount_may_have_other_folders_below";
    let t = Tree::new();
    t.dir("z/sub");
    t.dir("0");
    if !can(test, true, &["mount", "umount"]) {
        return;
    }
    must(
        "mount",
        ["-t", "tmpfs", "none", t.path("z/sub").to_str().unwrap()],
    );
    for name in ["z/sub/f", "z/sub/g", "z/h"] {
        t.write(name, "hello");
    }
    must(
        "mount",
        [
            OsStr::new("--bind"),
            t.path("z").as_ref(),
            t.path("0").as_ref(),
        ],
    );
    let runs: Vec<Ran> = (0..20)
        .map(|n| t.run([["-q", "z", "0"], ["-q", "0", "z"]][n % 2]))
        .collect();
    must("umount", [t.path("0")]);
    must("umount", [t.path("z/sub")]);
    for ran in runs {
        assert_eq!(ran.exits(0).out(), "0/h\nz/sub/f\nz/sub/g\n\n");
    }
}

#[test]
fn links_are_followed_as_operands_only() {
    let t = Tree::new();
    t.write("d/real1", "content");
    t.write("d/real2", "content");
    symlink("real1", t.path("d/link")).unwrap();
    symlink("nowhere", t.path("d/dangling")).unwrap();
    symlink("loop2", t.path("d/loop1")).unwrap();
    symlink("loop1", t.path("d/loop2")).unwrap();
    t.dir("d/sub");
    symlink("..", t.path("d/sub/up")).unwrap();
    symlink("d", t.path("to-dir")).unwrap();
    symlink("d/real1", t.path("to-file")).unwrap();
    assert_eq!(t.run(["d"]).exits(0).out(), "d/real1\nd/real2\n\n");
    assert_eq!(
        t.run(["to-dir"]).exits(0).out(),
        "to-dir/real1\nto-dir/real2\n\n"
    );
    assert_eq!(
        t.run(["to-file", "d/real2"]).exits(0).out(),
        "d/real2\nto-file\n\n"
    );
    let ran = t.run(["d/loop1", "d"]).exits(1);
    assert!(
        ran.stderr
            .starts_with("dupes: d/loop1: Too many levels of symbolic links\n")
    );
}

#[test]
fn special_files_are_never_opened() {
    let t = Tree::new();
    t.write("a", "same");
    t.write("b", "same");
    for name in ["fifo1", "fifo2"] {
        must("mkfifo", [t.path(name)]);
    }
    let _socket = std::os::unix::net::UnixListener::bind(t.path("socket")).unwrap();
    let ran = t.run([".", "fifo1", "/dev/null"]).exits(1);
    assert_eq!(ran.out(), "./a\n./b\n\n");
    let told = "dupes: fifo1: not a regular file or directory\n\
                dupes: /dev/null: not a regular file or directory\n2 total files\n";
    assert!(ran.stderr.starts_with(told), "{}", ran.stderr);
    if let Some((_, log)) = strace("special files", "open,openat", &[], &mut t.dupes(["."])) {
        assert!(!log.contains("fifo") && !log.contains("socket"), "{log}");
    }
}
