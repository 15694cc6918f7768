//! Standard input and output, and other streams.

use super::*;

#[test]
fn standard_input_and_output() {
    let dir = Dir::new();
    let source = image(&dir, "disk.img");
    let bytes = fs::read(&source).unwrap();
    let mut child = tool()
        .current_dir(dir.0.path())
        .args(["-q", "-", "copy.img"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&bytes).unwrap();
    assert!(child.wait().unwrap().success());
    assert_equal(&source, &dir.path("copy.img"));
    assert!(allocated(&dir.path("copy.img")) < M);

    let ran = dir.run(&["-q", "disk.img", "-"]).exits(0);
    assert!(ran.stdout == bytes);

    // Redirected standard input is as good as a file, unless it was read from already.
    let mut command = tool();
    let output = command
        .current_dir(dir.0.path())
        .args(["-", "-"])
        .stdin(File::open(&source).unwrap());
    let output = output.output().unwrap();
    assert!(output.stdout == bytes);
    let said = numbers(&String::from_utf8_lossy(&output.stderr));
    assert!(said["Number of bytes read"] < M);
    let mut part = File::open(&source).unwrap();
    part.read_exact(&mut [0; 100]).unwrap();
    let output = tool().args(["-q", "-", "-"]).stdin(part).output().unwrap();
    assert!(output.stdout == bytes[100..]);
}

#[test]
fn a_stream_onto_a_dirty_file_and_too_short_a_stream() {
    let dir = Dir::new();
    let copy = dir.file("copy.img", 3 * M, &[(0, 3 * M, 0xff)]);
    dir.run(&["/dev/zero", "copy.img", "-size", "2M"]).exits(0);
    let got = fs::read(&copy).unwrap();
    assert!(got[..2 << 20].iter().all(|b| *b == 0) && got[2 << 20..].iter().all(|b| *b == 0xff));
    dir.run(&["/dev/null", "new.img", "-size", "1"])
        .exits(1)
        .says("sparse-dd: /dev/null: ended after 0 bytes");
    assert_eq!(dir.names(), ["copy.img"]);
    dir.run(&["-q", "/proc/version", "version"]).exits(0);
    assert_eq!(
        fs::read(dir.path("version")).unwrap(),
        fs::read("/proc/version").unwrap()
    );
}

#[test]
fn a_closed_standard_output() {
    let dir = Dir::new();
    image(&dir, "disk.img");
    let script = "exec \"$0\" \"$@\" >&-";
    let mut shell = command("sh");
    shell
        .current_dir(dir.0.path())
        .args(["-c", script, env!("CARGO_BIN_EXE_sparse-dd")]);
    run(shell.args(["disk.img", "copy.img", "-q", "--json"]))
        .exits(1)
        .says("sparse-dd: standard output: Bad file descriptor");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let dir = Dir::new();
    let source = image(&dir, "disk.img");
    for args in [
        &["--help"][..],
        &["disk.img", "-"],
        &["disk.img", "copy.img", "-q", "--json"],
    ] {
        let pipe = std::io::pipe().unwrap().1;
        run(dir.tool().args(args).stdout(pipe))
            .exits(141)
            .says_nothing();
    }
    assert_equal(&source, &dir.path("copy.img"));
}

#[test]
fn closed_descriptors_are_not_empty_files() {
    let dir = Dir::new();
    image(&dir, "disk.img");
    for (line, name) in [
        ("disk.img - >&-", "standard output"),
        ("- copy.img <&-", "standard input"),
    ] {
        let mut shell = command("sh");
        shell.current_dir(dir.0.path());
        shell.args([
            "-c",
            &format!("exec \"$0\" {line}"),
            env!("CARGO_BIN_EXE_sparse-dd"),
        ]);
        run(&mut shell)
            .exits(1)
            .says(&format!("sparse-dd: {name}: Bad file descriptor"));
    }
    assert_eq!(dir.names(), ["disk.img"]);
}

#[test]
fn standard_output_has_guards_and_is_on_the_disk() {
    let test = "standard_output_has_guards_and_is_on_the_disk";
    let dir = Dir::new();
    let source = image(&dir, "disk.img");
    let append = || File::options().append(true).open(&source).unwrap();
    let mut command = tool();
    command
        .current_dir(dir.0.path())
        .args(["disk.img", "-"])
        .stdout(append());
    let ran: Ran = command.output().unwrap().into();
    ran.exits(7)
        .says("sparse-dd: standard output: is the source, disk.img");
    if !can(test, false, &["strace"]) {
        return;
    }
    let script = "exec strace -o log -e trace=fsync \"$0\" -q disk.img - > copy.img";
    let mut shell = common::command("sh");
    shell
        .current_dir(dir.0.path())
        .args(["-c", script, env!("CARGO_BIN_EXE_sparse-dd")]);
    run(&mut shell).exits(0);
    assert!(
        fs::read_to_string(dir.path("log"))
            .unwrap()
            .contains("fsync(")
    );
    assert_equal(&source, &dir.path("copy.img"));
}
