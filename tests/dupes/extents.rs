//! Holes, and blocks that files share.

use super::*;

#[test]
fn holes_are_not_read() {
    let t = Tree::new();
    let sparse = |name: &str, size: u64, data: &[(u64, &[u8])]| {
        let file = File::create(t.path(name)).unwrap();
        file.set_len(size).unwrap();
        data.iter()
            .for_each(|(at, bytes)| file.write_all_at(bytes, *at).unwrap());
    };
    let size = 1 << 40;
    if File::create(t.path("try"))
        .unwrap()
        .set_len(size + 3)
        .is_err()
    {
        return skipped(
            "holes_are_not_read",
            "files of a terabyte are not possible here",
        );
    }
    fs::remove_file(t.path("try")).unwrap();
    for place in [0, 4096, 123_456_789_012, size / 2, size - 1] {
        t.dir("huge");
        sparse("huge/1", size, &[]);
        sparse("huge/2", size, &[(place, b"z")]);
        let ran = t.run(["huge"]).exits(0);
        assert_eq!(ran.out(), "", "{place}");
        assert!(bytes_read(&ran) <= 8192, "{place}: {}", ran.stderr);
        sparse("huge/1", size, &[(place, b"y")]);
        let ran = t.run(["huge"]).exits(0);
        assert_eq!(ran.out(), "", "{place}");
        assert!(bytes_read(&ran) <= 8192, "{place}: {}", ran.stderr);
        sparse("huge/1", size, &[(place, b"z")]);
        let ran = t.run(["huge"]).exits(0);
        assert_eq!(ran.out(), "huge/1\nhuge/2\n\n", "{place}");
        assert!(bytes_read(&ran) <= 8192, "{place}: {}", ran.stderr);
        fs::remove_dir_all(t.path("huge")).unwrap();
    }
    sparse("s1", 8 << 20, &[(4 << 20, b"xxxxx")]);
    sparse("s2", 8 << 20, &[(4 << 20, b"xxxxx"), (6 << 20, &[0; 4096])]);
    let mut full = vec![0; 8 << 20];
    full[4 << 20..][..5].copy_from_slice(b"xxxxx");
    t.write("full", &full);
    full[7 << 20] = 1;
    t.write("other", &full);
    sparse("h1", 64 << 20, &[]);
    sparse("h2", 64 << 20, &[]);
    let ran = t.run(["."]).exits(0);
    assert_eq!(
        lines(&ran),
        [vec!["./h1", "./h2"], vec!["./full", "./s1", "./s2"]]
    );
}

/// On each file system that shares blocks.
#[test]
fn shared_blocks_are_not_read() {
    for kind in ["xfs", "btrfs"] {
        let test = format!("shared_blocks_are_not_read ({kind})");
        let t = Tree::new();
        if let Some(mounted) = Mounted::make(&test, t.0.path(), kind, 1 << 30) {
            shared_blocks(&mounted.0, kind);
        }
    }
}

fn shared_blocks(dir: &Path, kind: &str) {
    let clone = |from: &str, to: &str| {
        must(
            "cp",
            [
                OsStr::new("--reflink=always"),
                dir.join(from).as_os_str(),
                dir.join(to).as_os_str(),
            ],
        );
    };
    let dupes = || run(Command::new(DUPES).arg(".").current_dir(dir)).exits(0);
    let size = 20 << 20;
    fs::write(dir.join("a"), noise(1, size)).unwrap();
    clone("a", "b");
    clone("a", "c");
    let ran = dupes();
    assert_eq!(lines(&ran), [["./a", "./b", "./c"]]);
    assert_eq!(bytes_read(&ran), 0, "{kind}: clones");

    // A copy of its own is compared with one of the clones only.
    fs::write(dir.join("copy"), noise(1, size)).unwrap();
    let ran = dupes();
    assert_eq!(lines(&ran), [["./a", "./b", "./c", "./copy"]]);
    assert_eq!(
        bytes_read(&ran),
        2 * size as u64,
        "{kind}: clones and a copy"
    );
    fs::remove_file(dir.join("copy")).unwrap();

    // A byte that is changed and perhaps not on the disk yet.
    clone("a", "changed");
    let changed = File::options()
        .write(true)
        .open(dir.join("changed"))
        .unwrap();
    changed.write_all_at(b"?", 13 << 20).unwrap();
    let ran = dupes();
    assert_eq!(lines(&ran), [["./a", "./b", "./c"]], "{kind}");
    assert!(
        bytes_read(&ran) <= 512 << 10,
        "{kind}: one block differs: {}",
        ran.stderr
    );
    for name in ["b", "c", "changed"] {
        fs::remove_file(dir.join(name)).unwrap();
    }

    if kind == "btrfs" {
        must(
            "btrfs",
            [
                OsStr::new("subvolume"),
                "create".as_ref(),
                dir.join("sub").as_os_str(),
            ],
        );
        clone("a", "sub/clone");
        must(
            "btrfs",
            ["subvolume", "snapshot", "sub", "snap"].map(|w| match w {
                "sub" | "snap" => dir.join(w).into_os_string(),
                word => word.into(),
            }),
        );
        let ran = dupes();
        assert_eq!(lines(&ran), [["./a", "./snap/clone", "./sub/clone"]]);
        assert_eq!(bytes_read(&ran), 0, "subvolumes and snapshots");
    }
}

/// Compressed extents look the same from wherever in them a file takes its bytes.
#[test]
fn shared_compressed_blocks_prove_nothing() {
    let test = "shared_compressed_blocks_prove_nothing";
    let t = Tree::new();
    if !can(test, true, &["xfs_io"]) {
        return;
    }
    let Some(mounted) = Mounted::make(test, t.0.path(), "btrfs", 1 << 30) else {
        return;
    };
    let dir = &mounted.0;
    let remount = ["-o", "remount,compress-force=zlib"].map(OsStr::new);
    must("mount", [remount[0], remount[1], dir.as_os_str()]);
    let text: String = (0..20_000).map(|i| format!("{i:07}\n")).collect();
    fs::write(dir.join("a"), &text[..128 << 10]).unwrap();
    must("sync", ["-f".as_ref(), dir.as_os_str()]);
    // Both halves of the other file are the second half of this one.
    File::create(dir.join("b")).unwrap();
    for to in [0, 64 << 10] {
        let part = format!(
            "reflink {} {} {to} {}",
            dir.join("a").display(),
            64 << 10,
            64 << 10
        );
        must(
            "xfs_io",
            ["-c".as_ref(), OsStr::new(&part), dir.join("b").as_os_str()],
        );
    }
    let ran = run(Command::new(DUPES).arg(".").current_dir(dir)).exits(0);
    assert_eq!(ran.out(), "");
    must(
        "cp",
        [
            "--reflink=always".as_ref(),
            dir.join("a").as_os_str(),
            dir.join("c").as_os_str(),
        ],
    );
    let ran = run(Command::new(DUPES).arg(".").current_dir(dir)).exits(0);
    assert_eq!(lines(&ran), [["./a", "./c"]]);
}
