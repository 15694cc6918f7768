//! Contents: long ones, holes, and blocks that are shared.

use super::*;

/// The kernel says 0 for their size.
#[test]
fn files_of_proc_are_not_empty() {
    let f = Folder::new();
    f.write("copy", fs::read("/proc/version").unwrap());
    is(&f.cmp("-s copy /proc/version"), 0, "", "");
    is(&f.cmp("copy /proc/version"), 0, "", "");
}

#[test]
fn all_numbers_are_right_in_long_files() {
    let f = Folder::new();
    let text: Vec<u8> = (0..300_000u32)
        .flat_map(|n| format!("{n}\n").into_bytes())
        .collect();
    for at in [0, 4095, 32_768, 98_304, 262_143, 1_048_576, text.len() - 1] {
        let mut other = text.clone();
        other[at] ^= 0x80;
        f.write("a", &text);
        f.write("b", &other);
        let line = text[..at].iter().filter(|b| **b == b'\n').count() + 1;
        is(
            &f.cmp("a b"),
            1,
            &format!("a b differ: char {}, line {line}\n", at + 1),
            "",
        );
        let (a, b) = (text[at], other[at]);
        is(
            &f.cmp("-l a b"),
            1,
            &format!("{:7} {a:3o} {b:3o}\n", at + 1),
            "",
        );
    }
}

#[test]
fn sparse_files_are_compared_in_no_time() {
    let f = Folder::new();
    let size = 14u64 << 40;
    let file = File::create(f.path("b")).unwrap();
    if let Err(e) = file.set_len(size + (1 << 40)) {
        return skipped(
            "sparse_files_are_compared_in_no_time",
            &format!("15 TiB: {e}"),
        );
    }
    f.sparse("a", size, &[]);
    f.sparse("b", size + (1 << 40), &[]);
    f.sparse("c", size, &[(9 << 40, b"x")]);
    is(
        &f.cmp("a b"),
        1,
        "",
        &format!("cmp: EOF on a after byte {size}, in line 1\n"),
    );
    is(&f.cmp("-s a b"), 1, "", "");
    let at = (9u64 << 40) + 1;
    is(
        &f.cmp("a c"),
        1,
        &format!("a c differ: char {at}, line 1\n"),
        "",
    );
    is(
        &f.cmp("-bl c a"),
        1,
        &format!("{at:14} 170 x      0 ^@\n"),
        "",
    );
    is(&f.cmp(&format!("-n {} a c", 9u64 << 40)), 0, "", "");
    is(
        &f.cmp("a ./a b"),
        1,
        "",
        &format!("cmp: EOF on a after byte {size}, in line 1\n"),
    );
}

/// Holes against zeros, holes against data, and both at odd offsets.
#[test]
fn holes_are_zeros() {
    let f = Folder::new();
    let size = 3 << 20;
    let mut bytes = vec![0u8; size];
    bytes[200_000..200_003].copy_from_slice(b"x\ny");
    f.write("dense", &bytes);
    f.sparse("sparse", size as u64, &[(200_000, b"x\ny")]);
    is(&f.cmp("dense sparse"), 0, "", "");
    is(&f.cmp("sparse dense"), 0, "", "");
    is(&f.cmp("-i 100001 sparse dense"), 0, "", "");
    is(
        &f.cmp("-i 300000:400000 -n 2000000 sparse dense"),
        0,
        "",
        "",
    );
    bytes[2_500_000] = 7;
    f.write("other", &bytes);
    is(
        &f.cmp("sparse other"),
        1,
        "sparse other differ: char 2500001, line 2\n",
        "",
    );
    is(&f.cmp("-l other sparse"), 1, "2500001   7   0\n", "");
    is(&f.shell("cat sparse | cmp dense"), 0, "", "");
}

/// Blocks that two files share are not read, and the lines in them are counted nevertheless.
#[test]
fn shared_blocks_are_not_read() {
    let test = "shared_blocks_are_not_read";
    for kind in ["btrfs", "xfs"] {
        let f = Folder::new();
        if !can(test, true, &["cp", "strace"]) {
            return;
        }
        let Some(mounted) = Mounted::make(test, f.0.path(), kind, 400 << 20) else {
            continue;
        };
        let at = |name: &str| mounted.0.join(name);
        let lines: Vec<u8> = b"one\ntwo three\n"
            .iter()
            .copied()
            .cycle()
            .take(8 << 20)
            .collect();
        fs::write(at("a"), &lines).unwrap();
        must(
            "cp",
            [
                OsStr::new("--reflink=always"),
                at("a").as_os_str(),
                at("b").as_os_str(),
            ],
        );
        let mut tool = Command::new(DUPES);
        tool.args(["--cmp", "a", "b"]).current_dir(&mounted.0);
        let Some((ran, log)) = strace(test, "pread64", &[&at("a"), &at("b")], &mut tool) else {
            return;
        };
        is(&ran, 0, "", "");
        assert!(log.lines().all(|line| line.ends_with(" = 0")), "{log}");
        let place = 6 << 20;
        File::options()
            .write(true)
            .open(at("b"))
            .unwrap()
            .write_all_at(b"#", place)
            .unwrap();
        let line = lines[..place as usize]
            .iter()
            .filter(|b| **b == b'\n')
            .count()
            + 1;
        let mut tool = Command::new(DUPES);
        tool.args(["--cmp", "a", "b"])
            .current_dir(&mounted.0)
            .env("LC_ALL", "C");
        let text = format!("a b differ: char {}, line {line}\n", place + 1);
        is(&run(&mut tool), 1, &text, "");
    }
}
