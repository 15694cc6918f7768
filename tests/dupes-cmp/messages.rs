//! What is said, with which status.

use super::*;

#[test]
fn statuses_and_messages() {
    let f = Folder::with_letters();
    is(&f.cmp("a a"), 0, "", "");
    is(&f.cmp("d d"), 2, "", "cmp: d: No such file or directory\n");
    is(&f.cmp("a c"), 1, "", "cmp: EOF on c which is empty\n");
    is(&f.cmp("-s a b"), 1, "", "");
    is(&f.cmp("-s a c"), 1, "", "");
    is(&f.cmp("-s a d"), 2, "", "");
    is(&f.cmp("a ."), 2, "", "cmp: .: Is a directory\n");
    is(&f.cmp("-n0 a ."), 2, "", "cmp: .: Is a directory\n");
    is(&f.cmp("-n 0 a b"), 0, "", "");
    is(&f.cmp("-l a b"), 1, "1 141 142\n", "");
    is(&f.cmp("-bl a b"), 1, "1 141 a    142 b\n", "");
    is(
        &f.cmp("-b a b"),
        1,
        "a b differ: byte 1, line 1 is 141 a 142 b\n",
        "",
    );
    f.write("l1", "1\n");
    f.write("l2", "1\nfoo");
    f.write("l3", "1\nfoolery\n");
    is(
        &f.cmp("l1 l2"),
        1,
        "",
        "cmp: EOF on l1 after byte 2, line 1\n",
    );
    is(
        &f.cmp("l3 l2"),
        1,
        "",
        "cmp: EOF on l2 after byte 5, in line 2\n",
    );
    is(&f.cmp("-l l2 l3"), 1, "", "cmp: EOF on l2 after byte 5\n");
    is(
        &f.cmp("l2 l3 2 2"),
        1,
        "",
        "cmp: EOF on l2 after byte 3, in line 1\n",
    );
    is(
        &f.cmp("-i 2:9 l2 l3"),
        1,
        "l2 l3 differ: char 1, line 1\n",
        "",
    );
}

/// A UTF-8 locale says byte; one that is not installed is that of C.
#[test]
fn locales() {
    let f = Folder::with_letters();
    f.write("h1", b"\xff\n");
    let said = |locale: &str, line: &str| {
        let ran = run(f.command(line.split(' ')).env("LC_ALL", locale));
        ran.out()
    };
    assert_eq!(said("C.UTF-8", "a b"), "a b differ: byte 1, line 1\n");
    assert_eq!(said("xx_XX.UTF-8", "a b"), "a b differ: char 1, line 1\n");
    assert_eq!(said("C.UTF-8", "-bl a h1"), "1 141 a    377 M-^?\n");
}

#[test]
fn names_in_quotes_as_newer_releases_have_them() {
    let f = Folder::with_letters();
    f.write("it is", "");
    let said = |locale: &str, args: &[&str]| {
        let ran = run(f
            .command(args)
            .env("LC_ALL", locale)
            .env("CMP_COMPAT", "3.12"));
        ran.stderr
    };
    assert_eq!(said("C", &["a", "c"]), "cmp: EOF on 'c' which is empty\n");
    assert_eq!(
        said("C.UTF-8", &["a", "it is"]),
        "cmp: EOF on ‘it is’ which is empty\n"
    );
    assert_eq!(
        said("C", &["a", "no file"]),
        "cmp: 'no file': No such file or directory\n"
    );
    assert_eq!(
        said("C", &["a", "d"]),
        "cmp: d: No such file or directory\n"
    );
}

#[test]
fn names_of_any_bytes() {
    let f = Folder::with_letters();
    let name = OsStr::from_bytes(b"n\xff\n");
    fs::write(f.0.path().join(name), "x").unwrap();
    let ran = run(&mut f.command([OsStr::new("a"), name]));
    assert_eq!(ran.stdout, b"a n\xff\n differ: char 1, line 1\n");
}

#[test]
fn more_files_are_compared_with_the_first() {
    let f = Folder::with_letters();
    f.write("a2", "a\n");
    f.write("long", "a\nb\n");
    is(&f.cmp("a a2 ./a a2"), 0, "", "");
    is(&f.cmp("a a2 b"), 1, "a b differ: char 1, line 1\n", "");
    // Of those that differ the first is named, not the one that differs first.
    is(
        &f.cmp("a a2 long b"),
        1,
        "",
        "cmp: EOF on a after byte 2, line 1\n",
    );
    is(&f.cmp("a b long"), 1, "a b differ: char 1, line 1\n", "");
    is(&f.cmp("-s a a2 long"), 1, "", "");
    is(
        &f.cmp("a a2 b d"),
        2,
        "",
        "cmp: d: No such file or directory\n",
    );
    is(&f.cmp("-n 2 a a2 long"), 0, "", "");
    is(
        &f.cmp("-i 0:2 a b long"),
        1,
        "",
        "cmp: EOF on b which is empty\n",
    );
    is(
        &f.shell("cat a | cmp - a a2 b"),
        1,
        "- b differ: char 1, line 1\n",
        "",
    );
    let ran = f.cmp("-l a a2 b");
    assert_eq!((ran.code, ran.out()), (2, String::new()));
    // Where GNU cmp takes it for a number it stays one.
    f.write("1", "other");
    is(&f.cmp("a b 1"), 1, "a b differ: char 1, line 1\n", "");
}

/// What the system's own cmp says, where it is GNU's without quotes.
#[test]
fn the_same_as_the_systems_own() {
    let test = "the_same_as_the_systems_own";
    let Some(own) = find("cmp") else {
        return skipped(test, "cmp is not installed");
    };
    let version = must("cmp", ["--version"]);
    let releases = ["3.8", "3.9", "3.10"];
    if !releases.iter().any(|r| {
        version
            .lines()
            .next()
            .is_some_and(|l| l.ends_with(&format!(") {r}")))
    }) {
        return skipped(test, "cmp is not of diffutils 3.8 to 3.10");
    }
    let f = Folder::with_letters();
    f.write("x", vec![b'x'; 10_000]);
    f.write("y", vec![b'y'; 9_000]);
    f.sparse("s", 200_000, &[(150_000, b"\n\n")]);
    for line in [
        "a b",
        "x y",
        "-l x y",
        "-lb x y",
        "-b y x",
        "-n 5 x y",
        "-n 9000 -s x x",
        "-i 8999 x y",
        "-i 9000 x y",
        "-i 1:9999 x y",
        "x s",
        "-l s a",
        "-bl a s",
        "-l -i 9999999 x y",
        "a",
        "a -",
        "-i 0x10:K x y",
        "-n1kB x y",
        "x y 9998 8998",
        "--ver",
        "-i",
        "--by=x",
        "- dir",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let mut theirs = Command::new(&own);
        theirs
            .arg0("cmp")
            .args(&words)
            .current_dir(f.0.path())
            .env("LC_ALL", "C");
        let (ours, theirs) = (run(&mut f.command(&words)), run(&mut theirs));
        is(&ours, theirs.code, &theirs.out(), &theirs.stderr);
    }
}
