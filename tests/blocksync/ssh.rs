//! A real ssh.

use super::*;

/// An sshd of the test's own on a free port, ended when dropped.
struct Sshd {
    child: Child,
    port: u16,
}

impl Sshd {
    /// With `options` before the key in authorized_keys; `None` (and a line that says so) where
    /// that cannot be done.
    fn start(test: &str, dir: &Dir, options: &str) -> Option<Sshd> {
        if !can(test, false, &["sshd", "ssh", "ssh-keygen"]) {
            return None;
        }
        if is_root() {
            let _ = fs::create_dir_all("/run/sshd");
        }
        for key in ["host_key", "user_key"] {
            must(
                "ssh-keygen",
                [
                    "-q",
                    "-t",
                    "ed25519",
                    "-N",
                    "",
                    "-f",
                    dir.path(key).to_str().unwrap(),
                ],
            );
        }
        let keys = format!("{options} {}", dir.text("user_key.pub"));
        fs::write(dir.path("keys"), keys.trim_start()).unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let root = dir.0.path().display();
        let config = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {root}/host_key\nPidFile none\n\
             AuthorizedKeysFile {root}/keys\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n\
             PasswordAuthentication no\nLogLevel ERROR\n"
        );
        fs::write(dir.path("sshd_config"), config).unwrap();
        let mut sshd = Command::new(find("sshd").unwrap());
        sshd.args(["-D", "-e", "-f"]).arg(dir.path("sshd_config"));
        let log = File::create(dir.path("sshd.log")).unwrap();
        let child = sshd.stdin(Stdio::null()).stderr(log).spawn().unwrap();
        let mut sshd = Sshd { child, port };
        let mut ended = false;
        poll("sshd", || {
            ended = sshd.child.try_wait().unwrap().is_some();
            ended || TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        let works = !ended
            && run(Command::new(find("ssh").unwrap())
                .args(sshd.words(dir))
                .args(["127.0.0.1", "true"]))
            .code
                != 255;
        if !works {
            skipped(
                test,
                &format!(
                    "sshd: {}",
                    dir.text("sshd.log").lines().next().unwrap_or("no login")
                ),
            );
            return None;
        }
        Some(sshd)
    }

    fn words(&self, dir: &Dir) -> Vec<String> {
        let line = format!(
            "-F none -p {} -i {} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
             -o BatchMode=yes -o IdentitiesOnly=yes -o LogLevel=ERROR",
            self.port,
            dir.path("user_key").display()
        );
        line.split(' ').map(str::to_owned).collect()
    }

    fn tool(&self, dir: &Dir) -> Command {
        let mut tool = tool();
        tool.current_dir(dir.0.path())
            .arg(format!("--rsh=ssh {}", self.words(dir).join(" ")))
            .arg(format!("--remote-command={BINARY}"));
        tool
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn through_ssh() {
    let test = "through_ssh";
    let dir = Dir::new();
    let Some(sshd) = Sshd::start(test, &dir, "") else {
        return;
    };
    let (source, destination) = pair(&dir, 8 * M + 9);
    let there = |path: &Path| format!("127.0.0.1:{}", path.display());
    let ran = run(sshd
        .tool(&dir)
        .args(["-b64K", "source", &there(&destination)]));
    assert!(ran.exits(0).out().ends_with(", 129/129\n"));
    assert_equal(&source, &destination);
    edit(&destination, 5 * M, b"?");
    run(sshd.tool(&dir).args([&there(&source), "destination"])).prints("same: 8, diff: 1, 9/9");
    assert_equal(&source, &destination);
    let odd = dir.path("it's $(odd) \"name\"; \n");
    fs::rename(&destination, &odd).unwrap();
    edit(&odd, 0, b"?");
    run(sshd.tool(&dir).args(["source", &there(&odd)])).prints("same: 8, diff: 1, 9/9");
    assert_equal(&source, &odd);
    run(sshd.tool(&dir).args(["source", "127.0.0.1:/nowhere/x"]))
        .exits(2)
        .says("blocksync: the other side: /nowhere/x: No such file or directory");
    let ran = run(sshd
        .tool(&dir)
        .arg("--remote-command=/nowhere/x")
        .args(["source", &there(&odd)]));
    assert!(
        ran.exits(3)
            .stderr
            .contains("ssh ended with exit status: 127")
    );
}

#[test]
fn killed_ssh_and_interrupted_ssh() {
    let test = "killed_ssh_and_interrupted_ssh";
    let dir = Dir::new();
    let Some(sshd) = Sshd::start(test, &dir, "") else {
        return;
    };
    let (source, destination) = pair(&dir, 32 * M);
    let original = fs::read(&destination).unwrap();
    let there = format!("127.0.0.1:{}", destination.display());
    for (signal, to_ssh) in [
        ("KILL", true),
        ("TERM", true),
        ("TERM", false),
        ("INT", false),
        ("KILL", false),
    ] {
        fs::write(&destination, &original).unwrap();
        let mut child = spawn(sshd.tool(&dir).args(["-b64K", "source", &there]));
        let pid = child.id();
        poll("data", || {
            written(pid) > 3 * M || child.try_wait().unwrap().is_some()
        });
        let ssh = must("ps", ["-o", "pid=", "--ppid", &pid.to_string()]);
        let ssh = ssh.trim().parse::<u32>();
        let victim = if to_ssh {
            ssh.clone().unwrap_or(pid)
        } else {
            pid
        };
        let _ = run(command("kill").args([&format!("-{signal}"), &victim.to_string()]));
        let ran: Ran = child.wait_with_output().unwrap().into();
        assert!(ran.code != 0 || first_difference(&source, &destination).is_none());
        let want = if to_ssh {
            3
        } else if signal == "KILL" {
            137
        } else {
            9
        };
        assert!(
            ran.code == want || ran.code == 0,
            "{signal}: {} {}",
            ran.code,
            ran.stderr
        );
        if let Ok(ssh) = ssh {
            poll("the end of ssh", || !is_alive(ssh));
        }
        // The server, as whoever has the destination open.
        let fd_of = |entry: fs::DirEntry| {
            let fds = fs::read_dir(entry.path().join("fd"))
                .into_iter()
                .flatten()
                .flatten();
            fds.into_iter()
                .any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to == destination))
        };
        poll("the end of the server", || {
            !fs::read_dir("/proc").unwrap().flatten().any(fd_of)
        });
        run(sshd.tool(&dir).args(["-q", "-b64K", "source", &there])).exits(0);
        assert_equal(&source, &destination);
    }
}

#[test]
fn a_forced_command_in_authorized_keys() {
    let test = "a_forced_command_in_authorized_keys";
    let dir = Dir::new();
    let root = fs::canonicalize(dir.0.path()).unwrap();
    fs::create_dir(root.join("bk")).unwrap();
    // As the manual page has it; only the paths are others.
    let options = format!(
        "restrict,command=\"{BINARY} server --only '{}/bk/*' --write-only --max-size 64G\"",
        root.display()
    );
    let Some(sshd) = Sshd::start(test, &dir, &options) else {
        return;
    };
    // Names that a shell would put in the pattern's place.
    let (source, destination) = pair(&dir, 2 * M);
    let inner = root.join("bk/bk-one");
    fs::copy(&destination, &inner).unwrap();
    dir.file("bk/bk-two", 10, &[]);
    let there = |path: &Path| format!("127.0.0.1:{}", path.display());
    run(sshd.tool(&dir).args(["source", &there(&inner)])).exits(0);
    assert_equal(&source, &inner);
    let outside = root.join("destination");
    run(sshd.tool(&dir).args(["source", &there(&outside)]))
        .exits(7)
        .says(&format!(
            "blocksync: the other side: {}: this path is not allowed here",
            outside.display()
        ));
    run(sshd.tool(&dir).args([&there(&inner), "destination"])).exits(7);
    let mut tool = sshd.tool(&dir);
    tool.arg(format!(
        "--remote-command=touch {};",
        root.join("owned").display()
    ));
    run(tool.args(["source", &there(&inner)])).exits(0);
    assert!(
        !root.join("owned").exists(),
        "what the client asks for is not run"
    );
}
