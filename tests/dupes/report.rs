//! What a run tells, and where it cannot.

use super::*;

#[test]
fn json_has_an_object_a_line() {
    let t = Tree::new();
    t.write("a/1", noise(1, 10_000));
    t.write("a/2", noise(1, 10_000));
    t.write("b/3", "x");
    t.write("b/4", "x");
    t.write("b/5", "x");
    t.write("b/6", "y");
    let ran = t.run(["--json", "-0", "a", "missing", "b"]).exits(1);
    golden("dupes/json", &ran.out());
    assert_eq!(
        ran.stderr,
        "dupes: missing: No such file or directory\n\
         6 total files\n2 size collisions, max of length 4\nbytes read 20004\n"
    );
}

#[test]
fn quiet_leaves_errors_only() {
    let t = Tree::new();
    t.write("a", "x");
    t.write("b", "x");
    assert_eq!(t.run(["-q", "."]).exits(0).stderr, "");
    t.run(["--quiet", ".", "gone"])
        .exits(1)
        .says("dupes: gone: No such file or directory");
}

#[test]
fn progress_comes_as_lines_of_numbers() {
    let t = Tree::new();
    for (name, seed) in [("a", 1), ("b", 1), ("c", 2), ("d", 3)] {
        t.write(name, noise(seed, 300_000));
    }
    t.write("alone", "x");
    let ran = t.shell("dupes -q --progress=3 . 3>progress").exits(0);
    assert_eq!(ran.stderr, "");
    let text = fs::read_to_string(t.path("progress")).unwrap();
    assert!(
        text.starts_with("0 -\n") && text.ends_with("\n1200000 1200000\n"),
        "{text}"
    );
}

#[test]
fn an_output_that_cannot_be_written() {
    let t = Tree::new();
    t.write("a", "x");
    t.write("b", "x");
    let full = "dupes: standard output: No space left on device\n";
    assert_eq!(t.shell("dupes -q . >/dev/full").exits(2).stderr, full);
    assert_eq!(
        t.shell("dupes -q --json . >/dev/full").exits(2).stderr,
        full
    );
    assert_eq!(t.shell("dupes --help >/dev/full").exits(2).stderr, full);
    let closed = "dupes: standard output: Bad file descriptor\n";
    assert_eq!(t.shell("dupes -q . >&-").exits(2).stderr, closed);
    assert_eq!(
        t.shell("dupes -q a >&-").exits(0).stderr,
        "",
        "nothing to write"
    );
    assert_eq!(t.shell("dupes . 2>&-").exits(0).out(), "./a\n./b\n\n");
    assert_eq!(t.shell("dupes -q . 0<&-").exits(0).out(), "./a\n./b\n\n");
}
