//! The command line, and what cannot be opened.

use super::*;

#[test]
fn help_and_version() {
    let help = run(tool().arg("--help")).exits(0);
    golden("blocksync/help.txt", &help.out());
    assert_eq!(help.stderr, "");
    assert_eq!(run(tool().arg("-h")).exits(0).out(), help.out());
    let version = format!("blocksync {}", env!("CARGO_PKG_VERSION"));
    run(tool().args(["--version", "--nonsense"])).prints(&version);
    run(tool().arg("-V")).prints(&version);
}

#[test]
fn usage_errors() {
    let dir = Dir::new();
    let hint = "\nTry 'blocksync --help' for more information.";
    for (args, why) in [
        (&[] as &[&str], "no source given"),
        (&["a"], "no destination given"),
        (&["a", "b", "c"], "c: one operand too many"),
        (&["h:a", "g:b"], "one of the two must be at this host"),
        (&["h:", "b"], "h:: no path given"),
        (&["a", ":b"], ":b: not a host"),
        (&["--", "-x:a", "b"], "-x:a: not a host"),
        (&["--nonsense"], "invalid option '--nonsense'"),
        (&["a", "b", "-b"], "missing argument for option '-b'"),
        (
            &["a", "b", "-b", "32K"],
            "--block-size 32K: not a power of two from 64K to 16M",
        ),
        (
            &["a", "b", "--block-size=3M"],
            "--block-size 3M: not a power of two from 64K to 16M",
        ),
        (&["a", "b", "-b", "many"], "'many': not a size"),
        (&["a", "b", "--hash=md5"], "--hash md5: unknown"),
        (&["a", "b", "--size=any"], "--size any: unknown"),
        (
            &["a", "b", "--timeout=0"],
            "--timeout 0: not a number of seconds",
        ),
        (
            &["a", "b", "--timeout", "x"],
            "--timeout x: not a number of seconds",
        ),
        (
            &["a", "b", "--progress=77"],
            "--progress: '77': not open for writing",
        ),
        (
            &["a", "b", "--write-only"],
            "--only, --read-only, --write-only and --max-size are for the server",
        ),
    ] {
        let ran = run(tool().current_dir(dir.0.path()).args(args)).exits(2);
        ran.says(&format!("blocksync: {why}{hint}"));
    }
}

#[test]
fn what_cannot_be_opened() {
    let dir = Dir::new();
    dir.file("disk", M, &[]);
    symlink("nowhere", dir.path("dangling")).unwrap();
    nix::unistd::mkfifo(&dir.path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let noent = "No such file or directory";
    for (source, destination, why) in [
        ("missing", "./disk", format!("missing: {noent}")),
        ("disk", "./missing", format!("./missing: {noent}")),
        ("disk", "./dangling", format!("./dangling: {noent}")),
        ("missing", "h:disk", format!("missing: {noent}")),
        (
            "disk",
            "h:missing",
            format!("the other side: missing: {noent}"),
        ),
        (
            "h:missing",
            "disk",
            format!("the other side: missing: {noent}"),
        ),
        (
            "disk",
            "/dev/null",
            "/dev/null: neither a file nor a block device".to_owned(),
        ),
        (
            "disk",
            "/dev/full",
            "/dev/full: neither a file nor a block device".to_owned(),
        ),
        (
            "fifo",
            "./disk",
            "fifo: neither a file nor a block device".to_owned(),
        ),
        (
            "disk",
            "./fifo",
            "./fifo: neither a file nor a block device".to_owned(),
        ),
        (
            ".",
            "./disk",
            ".: neither a file nor a block device".to_owned(),
        ),
        ("new\nline", "./disk", format!("new\\nline: {noent}")),
        (
            "disk",
            "h:new\nline",
            format!("the other side: new\\nline: {noent}"),
        ),
    ] {
        dir.run(&[source, destination])
            .exits(2)
            .says(&format!("blocksync: {why}"));
    }
}

#[test]
fn what_may_not_be_opened() {
    let test = "what_may_not_be_opened";
    if !can(test, true, &["setpriv"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let binary = dir.path().join("blocksync");
    copy_program(BINARY, &binary);
    for (name, mode) in [("secret", 0o000), ("open", 0o644)] {
        fs::write(dir.path().join(name), "x").unwrap();
        fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    for args in [["secret", "./open"], ["open", "./secret"]] {
        let mut command = command("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&binary)
            .args(args);
        let ran = run(command.current_dir(dir.path())).exits(2);
        assert!(
            ran.stderr.ends_with("secret: Permission denied\n"),
            "{}",
            ran.stderr
        );
    }
}
