//! Signals.

use super::proxy::{Fault, Proxy};
use super::*;

#[test]
fn signals_end_both_sides() {
    for names in [
        ["source", "host:destination"],
        ["host:source", "destination"],
    ] {
        for signal in ["INT", "TERM", "HUP"] {
            let dir = Dir::new();
            pair(&dir, 8 * M);
            // The answers of the server stop to come in the middle.
            let proxy = Proxy::start(&dir, Fault::None, Fault::Stall(250));
            let child = spawn(dir.tool_by("by").args(["-b64K", names[0], names[1]]));
            let server = proxy.server();
            poll("the session", || proxy.passed()[1] > 250);
            send(signal, child.id());
            let ran: Ran = child.wait_with_output().unwrap().into();
            ran.exits(9)
                .says(&format!("blocksync: stopped by SIG{signal}"));
            let status = proxy.finish();
            assert!(!is_alive(server));
            assert!(status.is_some_and(|code| code != 0), "{status:?}");
        }
    }
}

#[test]
fn a_signal_to_the_server_ends_both_sides() {
    let dir = Dir::new();
    pair(&dir, 8 * M);
    let proxy = Proxy::start(&dir, Fault::Stall(250), Fault::None);
    let child = spawn(
        dir.tool_by("by")
            .args(["-b64K", "source", "host:destination"]),
    );
    poll("the session", || proxy.passed()[0] > 250);
    send("TERM", proxy.server());
    let ran: Ran = child.wait_with_output().unwrap().into();
    ran.exits(9)
        .says("blocksync: the other side: stopped by SIGTERM");
    assert_eq!(proxy.finish(), Some(9));
}

#[test]
fn a_local_run_is_interrupted() {
    let test = "a_local_run_is_interrupted";
    if !can(test, false, &["strace"]) {
        return;
    }
    let dir = Dir::new();
    let (source, destination) = pair(&dir, 2 * M);
    // The third write waits for a while, and the signal comes with it.
    let mut command = command("strace");
    command
        .current_dir(dir.0.path())
        .args(["-f", "-o", "/dev/null", "-P"])
        .arg(&destination)
        .args([
            "-e",
            "trace=pwrite64",
            "-e",
            "inject=pwrite64:signal=TERM:when=3",
        ])
        .args([BINARY, "-b64K", "source", "./destination"]);
    let ran = run(&mut command);
    // The last piece may have been on its way.
    assert!(
        ran.code == 9 || first_difference(&source, &destination).is_none(),
        "{}",
        ran.code
    );
    assert!(
        ran.code == 0 || ran.stderr == "blocksync: stopped by SIGTERM\n",
        "there is no other side: {}",
        ran.stderr
    );
    dir.run(&["-b64K", "source", "./destination"]).exits(0);
    assert_equal(&source, &destination);
}

#[test]
fn usr1_prints_a_status_line() {
    let dir = Dir::new();
    pair(&dir, 8 * M);
    let proxy = Proxy::start(&dir, Fault::None, Fault::Stall(250));
    let mut child = spawn(
        dir.tool_by("by")
            .args(["-b64K", "source", "host:destination"]),
    );
    poll("the session", || proxy.passed()[1] > 250);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    send("USR1", child.id());
    let line = lines.next().unwrap().unwrap();
    assert!(
        line.starts_with("blocksync: ") && line.contains(" of 8.0 MiB compared "),
        "{line}"
    );
    send("TERM", child.id());
    assert_eq!(child.wait().unwrap().code(), Some(9));
    proxy.finish();
}
