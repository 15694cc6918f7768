//! Sides and connections that are killed.

use super::*;

/// Transports whose parts write down who they are: the transport itself, what carries the bytes to
/// the server, and the server. The transport stays, as ssh does, and is between the two.
const WATCHED: &str = "shift\nset -- \"$*\"\necho $$ >transport.new\nmv transport.new transport\n\
     sh -c 'echo $$ >link.new; mv link.new link; exec cat' | \
     sh -c \"echo \\$\\$ >server.new; mv server.new server; exec $1\" | cat\n";

#[test]
fn killed_at_any_moment() {
    let dir = Dir::new();
    let mut random = Random(0xdead);
    let (source, destination) = pair(&dir, 6 * M);
    let original = fs::read(&destination).unwrap();
    dir.script("rsh", WATCHED);
    let (all, mut killed) = (rounds(48), 0);
    for round in 0..all {
        fs::write(&destination, &original).unwrap();
        for name in ["transport", "link", "server", "state"] {
            let _ = fs::remove_file(dir.path(name));
        }
        let names = match round % 2 {
            0 => ["source", "host:destination"],
            _ => ["host:source", "destination"],
        };
        // With a state and without one.
        let mut args = vec!["-b64K", "--timeout=20", "--state=state", names[0], names[1]];
        if round % 4 < 2 {
            args.remove(2);
        }
        let mut child = dir
            .tool()
            .args(&args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let pid_of = |name: &str| dir.text(name).trim().parse::<u32>().ok();
        let who = ["client", "server", "transport", "link"][round as usize / 4 % 4];
        let victim = match who {
            "client" => Some(child.id()),
            who => {
                poll(who, || {
                    pid_of(who).is_some() || child.try_wait().unwrap().is_some()
                });
                pid_of(who)
            }
        };
        // All data goes through the source's output once, and comes out of the sink once.
        let limit = random.below(5 * M);
        let watched = match (who, victim) {
            ("server", Some(server)) => server,
            _ => child.id(),
        };
        poll("bytes", || {
            written(watched) >= limit || !is_alive(watched) || child.try_wait().unwrap().is_some()
        });
        if let Some(pid) = victim.filter(|pid| is_alive(*pid)) {
            killed += 1;
            let _ = run(command("kill").args(["-9", &pid.to_string()]));
        }
        let ran: Ran = child.wait_with_output().unwrap().into();
        let is_equal = first_difference(&source, &destination).is_none();
        assert!(ran.code != 0 || is_equal, "{round}: {}", ran.stderr);
        assert!(
            matches!(ran.code, 0 | 3 | 137),
            "{round}: {} {}",
            ran.code,
            ran.stderr
        );
        if let Some(server) = pid_of("server") {
            poll("the end of the server", || !is_alive(server));
        }
        dir.run(&args).exits(0);
        assert_equal(&source, &destination);
    }
    assert!(killed >= all / 3, "{killed}");
}

#[test]
fn what_has_come_is_not_sent_again() {
    let dir = Dir::new();
    let mut random = Random(0xbeef);
    let size = 144 * M;
    let source = dir.bytes("source", &random.bytes(size));
    let bytes = fs::read(&source).unwrap();
    dir.script("rsh", WATCHED);
    for (who, is_push, is_blank) in [
        ("client", true, true),
        ("server", true, false),
        ("server", false, true),
        ("link", true, false),
    ] {
        let old = if is_blank { 0 } else { 3 };
        let destination = dir.file(
            "destination",
            size,
            &[(0, if is_blank { 0 } else { size }, old)],
        );
        for name in ["transport", "link", "server"] {
            let _ = fs::remove_file(dir.path(name));
        }
        let names = match is_push {
            true => ["source", "host:destination"],
            false => ["host:source", "destination"],
        };
        let mut child = spawn(dir.tool().args(names));
        let pid_of = |name: &str| dir.text(name).trim().parse::<u32>().unwrap_or(0);
        poll("the server", || pid_of("server") > 0);
        let (client, server) = (child.id(), pid_of("server"));
        let sender = if is_push { client } else { server };
        let limit = 70 * M + random.below(40 * M);
        let mut sent = 0;
        poll("bytes", || {
            sent = sent.max(written(sender));
            sent >= limit || child.try_wait().unwrap().is_some()
        });
        let victim = if who == "client" { client } else { pid_of(who) };
        let _ = run(command("kill").args(["-9", &victim.to_string()]));
        child.wait().unwrap();
        poll("the end of the server", || !is_alive(server));
        let got = fs::read(&destination).unwrap();
        let there = |(a, b): (&[u8], &[u8])| if a == b { a.len() as u64 } else { 0 };
        let pages = bytes.chunks(4096).zip(got.chunks(4096));
        let missing = size - pages.map(there).sum::<u64>();
        let value = json(&dir.run(&["--json", names[0], names[1]]).exits(0));
        assert_equal(&source, &destination);
        let key = if is_push {
            "bytes_sent"
        } else {
            "bytes_received"
        };
        let again = value[key].as_u64().unwrap();
        assert!(again < missing + M, "{who}: {again} {missing}");
        // The server counts what it has written to disk, too: what was sent is at least the limit.
        let resent = (again + limit).saturating_sub(size);
        assert!(
            resent <= 64 * M,
            "{who}: {resent} of {again} were sent before"
        );
    }
}
