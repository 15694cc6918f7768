//! Names: of operands, from lists, of any bytes and length.

use super::*;

#[test]
fn operands_are_files_and_directories_and_spelled_as_given() {
    let t = Tree::new();
    for name in ["a", "d/b", "d/e/c"] {
        t.write(name, "same");
    }
    assert_eq!(
        t.run(["d/e//", "a", "./d/b"]).exits(0).out(),
        "./d/b\na\nd/e//c\n\n"
    );
    let absolute = t.path("d");
    let ran = run(Command::new(DUPES).arg(&absolute)).exits(0);
    let d = absolute.display();
    assert_eq!(ran.out(), format!("{d}/b\n{d}/e/c\n\n"));
}

#[test]
fn a_list_without_end_and_a_closed_one() {
    let t = Tree::new();
    let ran = t.run(["-q", "--files-from=/dev/zero"]).exits(2);
    assert_eq!(ran.stderr, "dupes: /dev/zero: File name too long\n");
    let mut shell = command("sh");
    shell.current_dir(t.path(".")).args([
        "-c",
        "exec \"$0\" -q - <&-",
        env!("CARGO_BIN_EXE_dupes"),
    ]);
    let ran = run(&mut shell).exits(2);
    assert_eq!(ran.stderr, "dupes: standard input: Bad file descriptor\n");
}

#[test]
fn names_of_any_bytes() {
    let t = Tree::new();
    let mut names: Vec<Vec<u8>> = [
        &b"new\nline"[..],
        b"latin1-\xe9\xff",
        b" leading",
        b"trailing ",
        b"quote'\"`$(x)\\",
        b"-rf",
        b"tab\tx",
        b"\x01\x1b[31mred",
        "caf\u{e9}".as_bytes(),
        b"cafe\xcc\x81",
        &[b'n'; 255],
    ]
    .iter()
    .map(|n| n.to_vec())
    .collect();
    names.sort();
    for name in &names {
        t.write(OsStr::from_bytes(name), "same in all");
    }
    let ran = t.run(["-0", "."]).exits(0);
    let mut want = Vec::new();
    for name in &names {
        want.extend_from_slice(b"./");
        want.extend_from_slice(name);
        want.push(0);
    }
    want.push(0);
    assert_eq!(ran.stdout, want);
    // What comes out goes in.
    let again = t.shell("dupes -q0 . | dupes -q0 -").exits(0);
    assert_eq!(again.stdout, want);
    let json = t.run(["--json", "-q", "."]).exits(0).out();
    let object: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(object["size"], 11);
    let latin1 = object["paths"]
        .as_array()
        .unwrap()
        .iter()
        .find(|p| p.is_object())
        .unwrap();
    assert_eq!(latin1["path"], "./latin1-\u{fffd}\u{fffd}");
    assert_eq!(latin1["path_bytes"], "Li9sYXRpbjEt6f8=");
}

#[test]
fn paths_longer_than_the_kernel_takes() {
    use rustix::fs::{AtFlags, CWD, Mode, OFlags, mkdirat, openat, unlinkat};
    let t = Tree::new();
    let name = "L".repeat(200);
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut folders = vec![openat(CWD, t.0.path(), flags, Mode::empty()).unwrap()];
    for _ in 0..30 {
        let here = folders.last().unwrap();
        mkdirat(here, &name, Mode::RWXU).unwrap();
        folders.push(openat(here, &name, flags, Mode::empty()).unwrap());
    }
    for file in ["deep1", "deep2"] {
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
        let fd = openat(folders.last().unwrap(), file, flags, Mode::RWXU).unwrap();
        File::from(fd).write_all(&noise(1, 9000)).unwrap();
    }
    let deep = format!("{}{name}", format!("{name}/").repeat(29));
    let want = format!("{deep}/deep1\n{deep}/deep2\n\n");
    let walked = t.run(["."]).exits(0).out().replace("./L", "L");
    // With few descriptors every folder is opened by its path.
    let few = t
        .shell("ulimit -n 16; exec dupes -q .")
        .exits(0)
        .out()
        .replace("./L", "L");
    t.write("list", format!("{deep}/deep1\n{deep}/deep2\n"));
    let listed = t.run(["--files-from=list"]).exits(0).out();
    let here = folders.last().unwrap();
    unlinkat(here, "deep1", AtFlags::empty()).unwrap();
    unlinkat(here, "deep2", AtFlags::empty()).unwrap();
    folders.pop();
    while let Some(here) = folders.pop() {
        unlinkat(&here, &name, AtFlags::REMOVEDIR).unwrap();
    }
    assert_eq!([walked, few, listed], [want.clone(), want.clone(), want]);
}

#[test]
fn names_come_from_lists() {
    let t = Tree::new();
    for name in ["a", "d/b", "c", "e\nf"] {
        t.write(name, "same");
    }
    t.write("lines", "a\n\n\nd\nc");
    t.write("nuls", "a\0\0e\nf\0");
    let all = "a\nc\nd/b\n\n";
    assert_eq!(t.run(["--files-from=lines"]).exits(0).out(), all);
    assert_eq!(t.run(["--files-from", "lines", "a"]).exits(0).out(), all);
    assert_eq!(t.shell("dupes -- - <lines").exits(0).out(), all);
    assert_eq!(t.shell("dupes --files-from=- c <lines").exits(0).out(), all);
    assert_eq!(
        t.run(["-0", "--files-from=nuls"]).exits(0).out(),
        "a\0e\nf\0\0"
    );
    assert_eq!(
        t.shell("dupes c d - </dev/null").exits(0).out(),
        "c\nd/b\n\n"
    );
    let ran = t.shell("dupes - </dev/null").exits(0);
    assert_eq!(
        ran.stderr,
        "0 total files\n0 size collisions, max of length 0\nbytes read 0\n"
    );
    let ran = t.run(["-q", "--files-from=none", "a", "c"]).exits(1);
    assert_eq!(ran.out(), "a\nc\n\n");
    ran.says("dupes: none: No such file or directory");
    t.run(["-q", "--files-from=none"])
        .exits(2)
        .says("dupes: none: No such file or directory");
    t.run(["-q", "--files-from=d"])
        .exits(2)
        .says("dupes: d: Is a directory");
}
