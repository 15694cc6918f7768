//! The command line, and the examples of the manual page.

use super::*;

#[test]
fn help_and_version() {
    let t = Tree::new();
    golden("dupes/help", &t.run(["--help"]).exits(0).out());
    assert_eq!(t.run(["-V", "--nonsense"]).exits(0).out(), "dupes 0.1.0\n");
    assert_eq!(t.run(["-qh"]).exits(0).out(), t.run(["--help"]).out());
}

#[test]
fn usage_errors() {
    let t = Tree::new();
    let none: [&str; 0] = [];
    for (args, why) in [
        (&none[..], "no file or directory given"),
        (&["-q"], "no file or directory given"),
        (&["--nonsense", "."], "invalid option '--nonsense'"),
        (&["-x", "."], "invalid option '-x'"),
        (
            &["--quiet=1", "."],
            "unexpected argument for option '--quiet': \"1\"",
        ),
        (
            &["--progress=77", "."],
            "--progress '77': not open for writing",
        ),
        (
            &["--progress=x", "."],
            "--progress 'x': not a file descriptor",
        ),
    ] {
        let ran = t.run(args).exits(2);
        let want = format!("dupes: {why}\nTry 'dupes --help' for more information.\n");
        assert_eq!(ran.stderr, want, "{args:?}");
        assert!(ran.stdout.is_empty());
    }
    let ran = t.run(["--memory=lots", "."]).exits(2);
    assert!(
        ran.stderr.starts_with("dupes: --memory 'lots': "),
        "{}",
        ran.stderr
    );
    let ran = t.run(["--memory"]).exits(2);
    assert!(ran.stderr.starts_with("dupes: "), "{}", ran.stderr);
}

/// The examples of the manual page.
#[test]
fn examples_of_the_manual_page() {
    let t = Tree::new();
    t.write("photos/1.iso", noise(1, 5000));
    t.write("photos/2.jpg", noise(1, 5000));
    t.write("backup/photos/3.iso", noise(1, 5000));
    for image in ["disk.img", "copy1.img", "copy2.img"] {
        t.write(image, noise(2, 6000));
    }
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../man/dupes.1");
    let page = fs::read_to_string(page).unwrap();
    let examples: Vec<_> = page
        .lines()
        .filter_map(|l| l.strip_prefix(".Dl $ "))
        .collect();
    let mut run = Vec::new();
    for example in examples {
        let wanted = example.split_whitespace().find(|w| *w == "jq");
        if wanted.is_some_and(|w| find(w).is_none()) {
            skipped("examples_of_the_manual_page", "jq is not installed");
            run.push(String::from("5000\n"));
            continue;
        }
        let out = t.shell(example).exits(0).out().replace('\0', "|");
        run.push(out);
    }
    assert_eq!(
        run,
        [
            "backup/photos/3.iso\nphotos/1.iso\nphotos/2.jpg\n\n",
            "./backup/photos/3.iso|./photos/1.iso||",
            "5000\n",
            "photos/2.jpg\n",
            "",
        ]
    );
}
