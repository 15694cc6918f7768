//! The command line, and what cannot be opened.

use super::*;

#[test]
fn help_and_version() {
    let dir = Dir::new();
    let help = dir.run(&["--help"]).exits(0);
    golden("sparse-dd/help.txt", &help.out());
    assert_eq!(help.stderr, "");
    assert_eq!(dir.run(&["-h"]).exits(0).out(), help.out());
    let version = format!("sparse-dd {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        dir.run(&["--version", "--nonsense"]).exits(0).out(),
        version
    );
    assert_eq!(dir.run(&["-V"]).exits(0).out(), version);
}

#[test]
fn usage_errors() {
    let dir = Dir::new();
    let hint = "\nTry 'sparse-dd --help' for more information.";
    for (args, why) in [
        (&["-src", "a"] as &[&str], "no destination given"),
        (&[], "no source given"),
        (&["--nonsense"], "invalid option '--nonsense'"),
        (&["a", "b", "-size"], "missing argument for option '--size'"),
        (&["a", "b", "-size", "many"], "'many': not a size"),
        (
            &["a", "b", "--progress=77"],
            "--progress: '77': not open for writing",
        ),
    ] {
        dir.run(args)
            .exits(1)
            .says(&format!("sparse-dd: {why}{hint}"));
    }
}

#[test]
fn what_cannot_be_opened() {
    let dir = Dir::new();
    image(&dir, "disk.img");
    symlink("nowhere", dir.path("dangling")).unwrap();
    let noent = "No such file or directory";
    for (source, destination, why) in [
        ("missing", "copy", format!("missing: {noent}")),
        ("disk.img", "missing/copy", format!("missing/copy: {noent}")),
        (".", "copy", ".: Is a directory".to_owned()),
        ("disk.img", ".", ".: Is a directory".to_owned()),
        ("disk.img", "copy/", "copy/: Is a directory".to_owned()),
        (
            "disk.img",
            "disk.img/copy",
            "disk.img/copy: Not a directory".to_owned(),
        ),
        (
            "disk.img",
            "dangling",
            "dangling: a symbolic link to nothing".to_owned(),
        ),
        ("new\nline", "copy", format!("new\\nline: {noent}")),
    ] {
        dir.run(&[source, destination])
            .exits(1)
            .says(&format!("sparse-dd: {why}"));
    }
    assert_eq!(dir.names(), ["dangling", "disk.img"]);
}

#[test]
fn names_that_cannot_be() {
    let dir = Dir::new();
    image(&dir, "disk.img");
    for name in ["", "new/."] {
        dir.run(&["disk.img", name])
            .exits(1)
            .says(&format!("sparse-dd: {name}: No such file or directory"));
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
    let binary = dir.path().join("sparse-dd");
    copy_program(env!("CARGO_BIN_EXE_sparse-dd"), &binary);
    fs::write(dir.path().join("secret"), "x").unwrap();
    fs::set_permissions(dir.path().join("secret"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::write(dir.path().join("open"), "x").unwrap();
    let nobody = |args: [&str; 2]| {
        let mut command = command("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&binary);
        run(command.current_dir(dir.path()).args(args)).exits(1)
    };
    nobody(["secret", "/tmp/never"]).says("sparse-dd: secret: Permission denied");
    nobody(["open", "secret"]).says("sparse-dd: secret: Permission denied");
    nobody(["open", "new"]).says("sparse-dd: new: Permission denied");
}

#[test]
fn folders_that_can_only_be_entered() {
    let test = "folders_that_can_only_be_entered";
    if !can(test, true, &["setpriv"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mode =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let binary = tempfile::Builder::new()
        .suffix("-sparse-dd")
        .tempfile()
        .unwrap()
        .into_temp_path();
    copy_program(env!("CARGO_BIN_EXE_sparse-dd"), &binary);
    mode(&binary, 0o755);
    let (inner, blind) = (dir.path().join("inner"), dir.path().join("inner/blind"));
    fs::create_dir_all(&blind).unwrap();
    mode(&inner, 0o777);
    mode(&blind, 0o333);
    fs::write(inner.join("a"), "abc").unwrap();
    // The folder above is root's alone.
    mode(dir.path(), 0o700);
    for name in ["copy", "blind/copy"] {
        let mut command = command("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&binary);
        run(command.current_dir(&inner).args(["-q", "a", name]))
            .exits(0)
            .says_nothing();
        assert_eq!(fs::read(inner.join(name)).unwrap(), b"abc");
    }
}
