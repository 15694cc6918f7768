//! The command line, and variables that hold options.

use super::*;

#[test]
fn variables_hold_options_as_for_unzip() {
    if !has_unzip("variables_hold_options_as_for_unzip") {
        return;
    }
    let all = |program, args: &[&str], variables: &[(&str, &str)]| {
        same_with(program, args, variables, &nothing);
    };
    all("unzip", &["-l", "a.zip"], &[("UNZIP", "-q")]);
    all("unzip", &["-l-q", "a.zip"], &[("UNZIP", " -q ")]);
    all("unzip", &["a.zip"], &[("UNZIP", "-qq"), ("UNZIPOPT", "-l")]);
    all(
        "unzip",
        &["a.zip"],
        &[("UNZIP", "  "), ("UNZIPOPT", "-lqq")],
    );
    all("unzip", &["a.zip"], &[("UNZIP", "-d \"a folder\"")]);
    all("zipinfo", &["a.zip"], &[("ZIPINFO", "-1")]);
    all("unzip", &["-Z", "a.zip"], &[("ZIPINFOOPT", "-m")]);
}

#[test]
fn mistakes_have_their_status() {
    let dir = Dir::new();
    let zip = dir.zip("a.zip", &sample());
    let zip = zip.to_str().unwrap();
    for args in [
        &["-Q", zip][..],
        &["-l"],
        &["-fn", zip],
        &["-ct", zip],
        &["-d"],
        &["-d", "a", "-d", "b", zip],
        &["-O", "no-such-encoding", zip],
        &["--threads=0", zip],
    ] {
        let ran = dir.ours(args).exits(10);
        assert!(ran.stdout.is_empty() && !ran.stderr.is_empty(), "{args:?}");
    }
    for args in [&["--help"][..], &["-h"], &["-hh"], &[]] {
        let help = dir.ours(args).exits(0).out();
        assert!(help.starts_with("Usage: unzip-cjk"), "{args:?}");
    }
    for args in [&["-Z"][..], &["-Z", "-h"], &["-Z", "-v"], &["-Z1"]] {
        let help = dir.ours(args).exits(0).out();
        assert!(help.starts_with("Usage: unzip-cjk"), "{args:?}");
    }
    for args in [&["--version"][..], &["-v"]] {
        let version = dir.ours(args).exits(0).out();
        assert!(version.starts_with("unzip-cjk "), "{args:?}");
    }
}
