//! The command: its words, descriptors and signals, and its status.

use super::*;

#[test]
fn the_status_is_that_of_the_command() {
    let port = Port::new();
    for (script, status) in [
        ("exit 0", 0),
        ("exit 3", 3),
        ("exit 255", 255),
        ("kill -KILL $$", 137),
        ("kill -TERM $$", 143),
        ("kill -41 $$", 169),
        ("no-such-program 2>/dev/null", 127),
    ] {
        port.run(&[], &[script]).exits(status);
    }
    assert_eq!(port.lines(), "0R0".repeat(7));
}

#[test]
fn nothing_is_keyed_for_a_command_that_cannot_run() {
    let port = Port::new();
    fs::write(port.path("data"), "x").unwrap();
    let says = |words: &[&str], code, line: &str| {
        port.run(&[], words)
            .exits(code)
            .says(&format!("raiserts: {line}"));
    };
    says(
        &["--", "no-such-program"],
        127,
        "no-such-program: No such file or directory",
    );
    says(&["--", "./none"], 127, "./none: No such file or directory");
    says(&["./data", "x"], 126, "./data: Permission denied");
    says(&["--", "/"], 126, "/: Permission denied");
    says(&["--", ""], 127, ": No such file or directory");
    assert_eq!(port.lines(), "");
}

#[test]
fn words_input_and_descriptors() {
    let port = Port::new();
    assert_eq!(
        port.run(&[], &["printf", "%s|%s", "a b", "-c"]).out(),
        "a b|-c"
    );
    assert_eq!(port.run(&[], &["echo a; echo b"]).out(), "a\nb\n");
    assert_eq!(port.run(&["-c", "echo $0"], &[]).out(), "/bin/sh\n");
    assert_eq!(port.run(&[], &["--", "echo"]).out(), "\n");
    let mut child = port
        .tool()
        .args([&port.name, "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"through").unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"through");
    // Started with descriptors to spare, of which one is the port.
    let list = "for fd in 0 1 2 3 4 5 6 7 8 9; do [ ! -e /proc/self/fd/$fd ] || printf $fd; done";
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!(
        "exec \"$0\" {} '{list}' 7<>{} 8</dev/null",
        port.name, port.name
    ));
    let shell = shell.arg(env!("CARGO_BIN_EXE_raiserts")).envs([
        ("LD_PRELOAD", shim::modem().as_os_str()),
        ("MODEM_LOG", port.path("log").as_os_str()),
    ]);
    assert_eq!(run(shell).exits(0).out(), "012");
}

#[test]
fn the_commands_signals_are_as_they_were() {
    let port = Port::new();
    let words = ["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"];
    // (Two signals above 31 are the C library's own, and not always as it found them.)
    let shown = |ran: Ran| ran.out().replace("180000000", "000000000");
    let plain = run(Command::new(words[0]).args(&words[1..]));
    assert_eq!(shown(port.run(&[], &words)), shown(plain));
}
