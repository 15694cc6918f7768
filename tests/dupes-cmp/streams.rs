//! Standard input and output.

use super::*;

/// Pipes that give a few bytes at a time, and no more than are needed.
#[test]
fn standard_input() {
    let f = Folder::with_letters();
    f.write(
        "n",
        (0..100_000u32)
            .flat_map(|n| format!("{n}\n").into_bytes())
            .collect::<Vec<_>>(),
    );
    is(&f.shell("cat n | cmp n"), 0, "", "");
    is(&f.shell("cat n | cmp - n"), 0, "", "");
    is(
        &f.shell("(head -c 5000 n; sleep 0; tail -c +5001 n) | cmp n -"),
        0,
        "",
        "",
    );
    is(&f.shell("cat n | cmp -i 3 n -"), 0, "", "");
    is(&f.shell("cmp - - < n"), 0, "", "");
    is(
        &f.shell("cmp a - <&-"),
        2,
        "",
        "cmp: -: Bad file descriptor\n",
    );
    is(
        &f.shell("cat n | { cmp -n 10 - n; head -c 2; }"),
        0,
        "5\n",
        "",
    );
    is(
        &f.shell("cp n m; { cmp -n 10 - m; head -c 2; } < n"),
        0,
        "5\n",
        "",
    );
    is(&f.shell("{ cmp - m; cat; } < n"), 0, "", "");
}

/// A writer that gives one byte that differs and then waits for ever is not waited for.
#[test]
fn a_difference_is_told_before_a_pipe_ends() {
    let f = Folder::with_letters();
    let mut child = f
        .command(["-", "a"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(b"x").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"- a differ: char 1, line 1\n");
    drop(pipe);
}

#[test]
fn outputs_that_fail_or_lead_nowhere() {
    let f = Folder::with_letters();
    f.write("x", vec![b'x'; 10_000]);
    f.write("y", vec![b'y'; 10_001]);
    is(
        &f.shell("cmp a b >/dev/full"),
        2,
        "",
        "cmp: standard output: No space left on device\n",
    );
    is(
        &f.shell("cmp -l x y >/dev/full"),
        2,
        "",
        "cmp: EOF on x after byte 10000\ncmp: write failed\n",
    );
    is(&f.shell("cmp a b >/dev/null"), 1, "", "");
    is(&f.shell("cmp a b >&-"), 1, "", "");
    is(&f.shell("cmp -l x y >/dev/null"), 1, "", "");
    is(
        &f.shell("cmp --help >&-"),
        2,
        "",
        "cmp: standard output: Bad file descriptor\n",
    );
    assert_eq!(
        f.shell("trap '' PIPE; cmp -l x y | head -n 1; echo").out(),
        "    1 170 171\n\n"
    );
    let ran = f.shell("{ cmp -l x y; echo $? >&2; } 2>status | head -n 1");
    assert_eq!(ran.out(), "    1 170 171\n");
}

/// A message that a file has ended overtakes less than a block of output, as from a C program.
#[test]
fn order_of_output_and_messages() {
    let f = Folder::new();
    f.write("a", "abc");
    f.write("b", "xbcd");
    is(
        &f.shell("cmp -l a b 2>&1"),
        1,
        "cmp: EOF on a after byte 3\n1 141 170\n",
        "",
    );
}

/// What follows in a script reads on behind the block that cmp had to read, also if the other file could
/// not be read.
#[test]
fn trouble_leaves_standard_input_where_gnu_leaves_it() {
    let f = Folder::new();
    f.write("in", [b'x'; 10_000]);
    fs::create_dir(f.path("dir")).unwrap();
    for (words, left) in [(["-", "dir"], 10_000 - 4096), (["dir", "-"], 10_000)] {
        let mut shared = File::open(f.path("in")).unwrap();
        let mut command = f.command(words);
        command.stdin(shared.try_clone().unwrap());
        assert_eq!(command.output().unwrap().status.code(), Some(2));
        let mut rest = Vec::new();
        std::io::Read::read_to_end(&mut shared, &mut rest).unwrap();
        assert_eq!(rest.len(), left, "cmp {words:?}");
    }
}
