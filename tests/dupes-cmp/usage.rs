//! The command line.

use super::*;

#[test]
fn by_name_and_by_option() {
    let f = Folder::with_letters();
    is(&f.cmp("a b"), 1, "a b differ: char 1, line 1\n", "");
    is(&f.shell("cmp a b"), 1, "a b differ: char 1, line 1\n", "");
    let mut dupes = Command::new(DUPES);
    dupes
        .args(["--cmp", "a", "d"])
        .current_dir(f.0.path())
        .env("LC_ALL", "C");
    is(
        &run(&mut dupes),
        2,
        "",
        "cmp: d: No such file or directory\n",
    );
    let mut late = Command::new(DUPES);
    let ran = run(late.args(["a", "--cmp"]));
    assert_eq!(
        (ran.code, ran.stderr.lines().next()),
        (2, Some("dupes: --cmp has to be the first argument"))
    );
}

#[test]
fn mistakes_on_the_command_line() {
    let f = Folder::with_letters();
    for (line, why) in [
        ("", "missing operand after 'cmp'"),
        ("-s", "missing operand after '-s'"),
        ("a b 1 2 3", "extra operand '3'"),
        ("a b x", "invalid --ignore-initial value 'x'"),
        ("-l -s a b", "options -l and -s are incompatible"),
        ("-z", "invalid option -- 'z'"),
        ("-n", "option requires an argument -- 'n'"),
        ("--zoo=1", "unrecognized option '--zoo=1'"),
        (
            "--p",
            "option '--p' is ambiguous; possibilities: '--print-bytes' '--print-chars'",
        ),
        ("--si=3", "option '--silent' doesn't allow an argument"),
        ("--by", "option '--bytes' requires an argument"),
        ("-n 08 a b", "invalid --bytes value '08'"),
        ("-i 1:2:3 a b", "invalid --ignore-initial value '2:3'"),
        ("-i -3 a b", "invalid --ignore-initial value '-3'"),
    ] {
        let text = format!("cmp: {why}\ncmp: Try 'cmp --help' for more information.\n");
        is(&f.cmp(line), 2, "", &text);
    }
}

#[test]
fn options_among_operands_unless_posix_is_wanted() {
    let f = Folder::with_letters();
    is(&f.cmp("a b -s"), 1, "", "");
    let ran = run(f.command(["a", "-s"]).env("POSIXLY_CORRECT", "1"));
    is(&ran, 2, "", "cmp: -s: No such file or directory\n");
    is(&f.cmp("-s -- a -l"), 2, "", "");
}

#[test]
fn numbers_that_are_too_large_are_the_largest() {
    let f = Folder::with_letters();
    let big = "9".repeat(60);
    is(&f.cmp(&format!("-i {big} a b")), 0, "", "");
    is(&f.cmp(&format!("-i 1000 -n {big} a b")), 0, "", "");
    is(
        &f.cmp(&format!("-n {big} a b")),
        1,
        "a b differ: char 1, line 1\n",
        "",
    );
    let ran = f.shell(&format!("printf x | cmp -i {big} a -"));
    is(
        &ran,
        2,
        "",
        "cmp: -: Value too large for defined data type\n",
    );
}

#[test]
fn help_and_version() {
    let f = Folder::new();
    let ran = f.cmp("--help").exits(0);
    assert!(
        ran.out()
            .starts_with("Usage: cmp [OPTION]... FILE1 [FILE2 [SKIP1 [SKIP2]]]\n")
    );
    let ran = f.cmp("-v").exits(0);
    assert!(ran.out().starts_with("cmp (blkutils) "));
}
