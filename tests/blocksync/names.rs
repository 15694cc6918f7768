//! Names of any bytes, and transports that do not come to a server.

use super::*;

#[test]
fn names_of_any_bytes() {
    let dir = Dir::new();
    for name in [
        b"two words".as_slice(),
        b"it's",
        b"\"$(touch owned)`touch owned`",
        b"semi;colon&more|\\ *?[a]~#!{a,b}",
        b"new\nline\ttab",
        b"\xff\xfe not UTF-8 \xc3",
        b"-n",
        b"--force",
        b"server",
    ] {
        let folder = dir.path("there");
        fs::create_dir_all(&folder).unwrap();
        let (source, destination) = pair(&dir, M);
        let named = folder.join(OsStr::from_bytes(name));
        for place in [
            named.as_os_str().to_owned(),
            OsStr::from_bytes(name).to_owned(),
        ] {
            dir.script("rsh", "cd there; shift\nexec sh -c \"$*\"\n");
            fs::copy(&destination, &named).unwrap();
            let mut there = OsString::from("host:");
            there.push(&place);
            let ran = run(dir.tool().args(["--json", "source"]).arg(&there)).exits(0);
            assert_equal(&source, &named);
            let value = json(&ran);
            let shown = value["destination"].as_str().unwrap();
            assert_eq!(shown, there.to_string_lossy());
            assert_eq!(
                value["destination_bytes"].is_string(),
                there.to_str().is_none()
            );
        }
        // Here, and pulled.
        let mut here = OsString::from("there/");
        here.push(OsStr::from_bytes(name));
        edit(&named, 5, b"!");
        run(dir.tool().args(["--", "host:../source"]).arg(&here)).exits(0);
        assert_equal(&source, &named);
        fs::remove_dir_all(&folder).unwrap();
        assert!(!dir.path("owned").exists());
    }
}

#[test]
fn a_path_below_home() {
    let dir = Dir::new();
    let (source, destination) = pair(&dir, M);
    let home = format!(
        "shift\nHOME='{}' exec sh -c \"$*\"\n",
        dir.0.path().display()
    );
    fs::create_dir(dir.path("~")).unwrap();
    let literal = dir.bytes("~/destination", &fs::read(&source).unwrap());
    edit(&literal, 0, b"?");
    dir.script("rsh", &format!("cd /\n{home}"));
    dir.run(&["source", "host:~/destination"])
        .prints("same: 0, diff: 1, 1/1");
    assert_equal(&source, &destination);
    // Here it is the shell's business, and a name there can be told apart from it.
    dir.script("rsh", &format!("cd '{}'\n{home}", dir.0.path().display()));
    dir.run(&["source", "host:./~/destination"])
        .prints("same: 0, diff: 1, 1/1");
    assert_equal(&source, &literal);
}

#[test]
fn addresses_in_brackets_and_words_in_quotes() {
    let dir = Dir::new();
    let (source, destination) = pair(&dir, M);
    dir.script(
        "rsh",
        "printf '%s|' \"$1\" \"$2\" >said\nshift 2\nexec sh -c \"$*\"\n",
    );
    for (operand, host) in [
        ("[::1]:destination", "::1"),
        ("me@[fe80::1%eth0]:destination", "me@fe80::1%eth0"),
        ("[host]:destination", "host"),
    ] {
        edit(&destination, 5, b"?");
        let mut tool = tool();
        tool.current_dir(dir.0.path())
            .args(["--rsh=sh rsh 'two words'", "source", operand])
            .arg(format!("--remote-command={BINARY}"));
        run(&mut tool).exits(0);
        assert_equal(&source, &destination);
        assert_eq!(dir.text("said"), format!("two words|{host}|"));
    }
    run(tool()
        .current_dir(dir.0.path())
        .args(["--rsh=ssh 'x", "source", "host:x"]))
    .exits(2)
    .says("blocksync: --rsh: a quote without its end");
}

#[test]
fn a_login_shell_that_talks_is_told() {
    let dir = Dir::new();
    let (_, destination) = pair(&dir, M);
    let before = fs::read(&destination).unwrap();
    for noise in [
        "echo Welcome to this host",
        "echo; echo Welcome to this host",
        "printf Welc; echo ome to this host",
    ] {
        dir.script("rsh", &format!("{noise}\nshift\nexec sh -c \"$*\"\n"));
        let started = Instant::now();
        let ran = dir.run(&["--timeout=30", "source", "host:destination"]);
        let said = ran.exits(3).stderr;
        let why = "the other side is not blocksync, it says: Welcome to this host\n";
        assert!(said.ends_with(why), "{said}");
        assert!(
            started.elapsed() < Duration::from_secs(25),
            "it did not wait for more"
        );
    }
    assert!(fs::read(&destination).unwrap() == before, "untouched");
}

#[test]
fn a_transport_that_fails_is_told() {
    let dir = Dir::new();
    pair(&dir, M);
    dir.script("rsh", "echo 'no route' >&2\nexit 255\n");
    let ran = dir.run(&["source", "host:destination"]).exits(3);
    assert_eq!(
        ran.stderr.lines().collect::<Vec<_>>(),
        [
            "no route",
            "blocksync: sh ended with exit status: 255; the other side said nothing"
        ]
    );
    let ran =
        run(tool()
            .current_dir(dir.0.path())
            .args(["--rsh=/nowhere/ssh", "source", "host:x"]));
    ran.exits(3)
        .says("blocksync: /nowhere/ssh: No such file or directory");
    run(tool()
        .current_dir(dir.0.path())
        .args(["--rsh=", "source", "host:x"]))
    .exits(2);
    // The program is not there.
    dir.script("rsh", "shift\nexec sh -c \"$*\"\n");
    let mut tool = tool();
    tool.current_dir(dir.0.path())
        .arg(format!("--rsh=sh {}", dir.path("rsh").display()))
        .args(["--remote-command=/nowhere/blocksync", "source", "host:x"]);
    let ran = run(&mut tool).exits(3);
    assert!(
        ran.stderr.contains("sh ended with exit status: 127"),
        "{}",
        ran.stderr
    );
}
