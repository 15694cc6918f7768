//! Peers that say what they should not, or nothing.

use super::*;

/// One frame as PROTOCOL.md has it.
fn frame(kind: u8, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(kind, sequence, payload.len() as u32);
    if !payload.is_empty() {
        bytes.extend(payload);
        bytes.extend(crc32fast::hash(payload).to_le_bytes());
    }
    bytes
}

/// What a frame begins with.
fn header(kind: u8, sequence: u32, length: u32) -> Vec<u8> {
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend([kind, 0, 0, 0]);
    let crc = crc32fast::hash(&[&bytes[..], &sequence.to_le_bytes()].concat());
    bytes.extend(crc.to_le_bytes());
    bytes
}

fn hello(lowest: u16, highest: u16, required: u64) -> Vec<u8> {
    frame(1, 0, &greeting(lowest, highest, required))
}

/// The payload of HELLO.
fn greeting(lowest: u16, highest: u16, required: u64) -> Vec<u8> {
    let mut payload = [lowest.to_le_bytes(), highest.to_le_bytes()].concat();
    payload.extend(required.to_le_bytes());
    payload.extend(required.to_le_bytes());
    payload.extend([9; 16]);
    payload.extend(b"sync\x1b[31m 9");
    payload
}

/// OPEN of a client that is the source of `size` bytes.
fn open(size: u64, path: &Path) -> Vec<u8> {
    let mut payload = vec![2, 0, 0, 1, 0, 0, 0, 0];
    payload.extend((64u32 << 10).to_le_bytes());
    payload.extend(size.to_le_bytes());
    payload.extend([1; 32]);
    payload.extend(path.as_os_str().as_bytes());
    frame(2, 1, &payload)
}

/// What is said to either side that is no session, and the status it ends with.
fn nonsense() -> Vec<(&'static str, Vec<u8>, i32)> {
    let after_hello = |more: &[u8]| [PREAMBLE, &hello(1, 1, 0), more].concat();
    let damaged = |at: usize| {
        let mut bytes = [PREAMBLE, &hello(1, 1, 0)].concat();
        bytes[at] ^= 4;
        bytes
    };
    let long = header(9, 1, u32::MAX);
    let large = header(9, 1, 17 << 20);
    let short = header(5, 1, 60_000);
    vec![
        ("nothing", Vec::new(), 3),
        ("a line", b"Welcome to host!\nmore\n".to_vec(), 3),
        ("a prompt", b"password: ".to_vec(), 3),
        ("noise", Random(3).bytes(100_000), 3),
        ("half a preamble", PREAMBLE[..5].to_vec(), 3),
        ("only a preamble", PREAMBLE.to_vec(), 3),
        ("a truncated hello", after_hello(&[])[..40].to_vec(), 3),
        ("no more than hello", after_hello(&[]), 3),
        ("a wrong checksum", damaged(50), 4),
        ("a wrong length", damaged(8), 4),
        ("a wrong type", damaged(12), 4),
        ("a wrong reserved byte", damaged(13), 4),
        ("a wrong checksum of a header", damaged(16), 4),
        (
            "a damaged preamble",
            [&b"\0blcsync"[..], &hello(1, 1, 0)].concat(),
            4,
        ),
        ("a wrong number", after_hello(&frame(11, 5, &[])), 4),
        ("a huge length", after_hello(&long), 4),
        ("more data than a segment has", after_hello(&large), 4),
        ("a length without data", after_hello(&short), 3),
        (
            "no hello",
            [PREAMBLE, &frame(11, 0, &[]), &frame(10, 1, &[0; 8])].concat(),
            4,
        ),
        (
            "hello twice",
            after_hello(&frame(1, 1, &greeting(1, 1, 0))),
            4,
        ),
        ("an unknown type", after_hello(&frame(99, 1, &[0; 40])), 4),
        (
            "noise after hello",
            after_hello(&Random(4).bytes(100_000)),
            4,
        ),
        ("an older version", [PREAMBLE, &hello(0, 0, 0)].concat(), 3),
        ("a newer version", [PREAMBLE, &hello(2, 7, 0)].concat(), 3),
        ("a feature", [PREAMBLE, &hello(1, 1, 1 << 40)].concat(), 3),
    ]
}

/// Runs a command in a shell that lets it have this much address space.
fn within(bytes: u64, words: &[&OsStr]) -> Command {
    let mut command = command("prlimit");
    command.arg(format!("--as={bytes}")).args(words);
    command
}

#[test]
fn a_server_that_is_no_server() {
    let test = "a_server_that_is_no_server";
    if !can(test, false, &["prlimit"]) {
        return;
    }
    let dir = Dir::new();
    let (_, destination) = pair(&dir, M);
    let before = fs::read(&destination).unwrap();
    for (what, bytes, status) in nonsense() {
        dir.bytes("said", &bytes);
        // One that goes on to listen, and one that is gone.
        for end in ["cat >/dev/null", "exit 0"] {
            dir.script("rsh", &format!("cat said\n{end}\n"));
            for names in [["source", "host:x"], ["host:x", "destination"]] {
                let rsh = format!("--rsh=sh {}", dir.path("rsh").display());
                let words = [BINARY, "--timeout=2", &rsh, names[0], names[1]].map(OsStr::new);
                let ran = run(within(1 << 30, &words).current_dir(dir.0.path()));
                assert_eq!(ran.code, status, "{what}: {}", ran.stderr);
                assert_eq!(ran.stderr.lines().count(), 1, "{what}: {}", ran.stderr);
                assert!(!ran.stderr.contains('\x1b'), "{}", ran.stderr);
                let says =
                    |text: &str| assert!(ran.stderr.contains(text), "{what}: {}", ran.stderr);
                match what {
                    "a line" => {
                        says("the other side is not blocksync, it says: Welcome to host!\n")
                    }
                    "a newer version" => {
                        says("(sync\\x1B[31m 9) speaks protocol 2 to 7, this one 1 to 1")
                    }
                    "a feature" => says("insists on features 0x10000000000"),
                    _ => {}
                }
            }
        }
    }
    assert!(fs::read(&destination).unwrap() == before, "untouched");
}

#[test]
fn a_client_that_is_no_client() {
    let test = "a_client_that_is_no_client";
    if !can(test, false, &["prlimit"]) {
        return;
    }
    let dir = Dir::new();
    let (_, destination) = pair(&dir, M);
    let before = fs::read(&destination).unwrap();
    let mut cases = nonsense();
    let opened = |more: &[Vec<u8>]| {
        let start = [PREAMBLE, &hello(1, 1, 0), &open(M, &destination)].concat();
        [&start[..], &more.concat()].concat()
    };
    let digests = |sequence: u32, first: u64, runs: &[u8]| {
        frame(5, sequence, &[&first.to_le_bytes()[..], runs].concat())
    };
    let zeros = |count: u32| [&[0], &count.to_le_bytes()[..]].concat();
    let data = |sequence: u32, segment: u64, encoding: u8, bytes: &[u8]| {
        frame(
            9,
            sequence,
            &[&segment.to_le_bytes()[..], &[encoding], bytes].concat(),
        )
    };
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 3).unwrap();
    let one = |digest: u8| [&[1, 1, 0][..], &[digest; 16]].concat();
    cases.extend([
        ("the end at once", opened(&[frame(12, 2, &[0; 32])]), 4),
        (
            "digests beyond the end",
            opened(&[digests(2, 0, &zeros(17))]),
            4,
        ),
        (
            "digests beyond all numbers",
            opened(&[digests(2, u64::MAX, &zeros(u32::MAX))]),
            4,
        ),
        (
            "digests out of order",
            opened(&[digests(2, 3, &zeros(1))]),
            4,
        ),
        ("digests of nothing", opened(&[digests(2, 0, &zeros(0))]), 4),
        ("data unasked", opened(&[data(2, 0, 0, &[1; 65536])]), 4),
        (
            "data of no segment",
            opened(&[data(2, u64::MAX, 0, &[1; 65536])]),
            4,
        ),
        ("a bomb unasked", opened(&[data(2, 0, 1, &bomb)]), 4),
        ("pages unasked", opened(&[frame(7, 2, &[0; 11])]), 4),
        (
            "a path with NUL",
            [PREAMBLE, &hello(1, 1, 0), &open(M, Path::new("a\0b"))].concat(),
            4,
        ),
        (
            "no path",
            [PREAMBLE, &hello(1, 1, 0), &open(M, Path::new("missing"))].concat(),
            2,
        ),
        (
            "a bomb",
            opened(&[
                digests(2, 0, &one(1)),
                frame(7, 3, &[&[0; 8][..], &[5; 48]].concat()),
                data(4, 0, 1, &bomb),
            ]),
            4,
        ),
        (
            "data of a wrong length",
            opened(&[
                digests(2, 0, &one(1)),
                frame(7, 3, &[&[0; 8][..], &[5; 48]].concat()),
                data(4, 0, 0, &[1; 65535]),
            ]),
            4,
        ),
    ]);
    for (what, bytes, status) in cases {
        let words = [BINARY, "server", "--timeout=2"].map(OsStr::new);
        let mut server = within(1 << 30, &words);
        server.current_dir(dir.0.path());
        let mut child = server
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        // It may have seen enough before the end.
        let _ = input.write_all(&bytes);
        drop(input);
        let ran: Ran = child.wait_with_output().unwrap().into();
        assert_eq!(ran.code, status, "{what}: {}", ran.stderr);
        assert!(
            ran.stdout.starts_with(PREAMBLE) && ran.stdout.len() < 1000,
            "{what}"
        );
    }
    assert!(fs::read(&destination).unwrap() == before, "untouched");
}

#[test]
fn endless_data_is_cut_off() {
    let test = "endless_data_is_cut_off";
    if !can(test, false, &["prlimit"]) {
        return;
    }
    let dir = Dir::new();
    pair(&dir, M);
    for (program, status) in [
        ("cat /dev/zero", 3),
        ("yes", 3),
        ("cat hello /dev/urandom", 4),
        ("cat hello /dev/zero", 4),
    ] {
        dir.bytes("hello", &[PREAMBLE, &hello(1, 1, 0)].concat());
        dir.script("rsh", &format!("exec {program}\n"));
        let rsh = format!("--rsh=sh {}", dir.path("rsh").display());
        let words = [BINARY, &rsh, "source", "host:x"].map(OsStr::new);
        let ran = run(within(1 << 30, &words).current_dir(dir.0.path())).exits(status);
        assert!(ran.stderr.len() < 1000, "{}", ran.stderr);
    }
    // To a server: it ends while the client goes on.
    let script = "cat \"$1\" /dev/zero | prlimit --as=1073741824 \"$0\" server >out; echo done";
    let mut shell = command("bash");
    shell
        .current_dir(dir.0.path())
        .args(["-c", script, BINARY, "hello"]);
    if find("bash").is_some() {
        assert_eq!(run(&mut shell).exits(0).out(), "done\n");
    }
}

#[test]
fn a_silent_peer_is_given_up() {
    let dir = Dir::new();
    pair(&dir, M);
    // It neither speaks nor listens nor ends.
    dir.script("rsh", "echo $$ >pid\nexec sleep 1000\n");
    let ran = dir.run(&["--timeout=1", "source", "host:destination"]);
    let pid = dir.text("pid").trim().parse().unwrap();
    poll("the end of the transport", || !is_alive(pid));
    ran.exits(3);
    let mut server = tool()
        .args(["server", "--timeout", "1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let silent = server.stdin.take();
    let ran: Ran = server.wait_with_output().unwrap().into();
    ran.exits(3)
        .says("blocksync: server: the other side was silent for 1 s");
    drop(silent);
}

#[test]
fn a_peer_that_only_shows_that_it_lives_is_given_up() {
    for greeted in [false, true] {
        let mut server = tool()
            .args(["server", "--timeout", "1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = server.stdin.take().unwrap();
        let mut bytes = PREAMBLE.to_vec();
        if greeted {
            bytes.extend(hello(1, 1, 0));
        }
        input.write_all(&bytes).unwrap();
        let mut sequence = u32::from(greeted);
        poll_long("the end of the server", || {
            let _ = input.write_all(&frame(11, sequence, &[]));
            sequence += 1;
            server.try_wait().unwrap().is_some()
        });
        let ran: Ran = server.wait_with_output().unwrap().into();
        if greeted {
            ran.exits(3)
                .says("blocksync: server: the other side did not open a session in time");
        } else {
            ran.exits(3);
        }
    }
}
