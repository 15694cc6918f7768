//! A host: one `sh` that runs there as long as the migration does, here or through ssh. Whatever has to
//! be done at a host goes through it, so that nothing waits for a new connection while the domain is
//! stopped, and what it locked is free as soon as the connection is gone.

use crate::step::Trouble;
use nix::sys::signal::SigSet;

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a host may take for one script: xl waits for other xl's and for slow devices.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long xl may take for what it does with all of a domain's memory: some seconds a GiB, and hosts
/// have TiB.
pub(crate) const LONG: Duration = Duration::from_secs(3 * 3600);
/// How long to wait for the first answer: for a login.
const LOGIN: Duration = Duration::from_secs(120);
/// More output than this is not kept: nothing that is asked for is as long.
const LONGEST: usize = 16 << 20;

/// How to reach a host.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    /// As in messages.
    pub(crate) name: String,
    /// The words before a command line of the host's shell; empty for this host.
    pub(crate) words: Vec<String>,
    /// Commands run by `sudo -n`.
    pub(crate) sudo: bool,
}

impl Reach {
    /// A command at the host, given as a line for its shell.
    pub(crate) fn command(&self, line: &str) -> Command {
        let line = match self.sudo {
            true => format!("exec sudo -n sh -c {}", quoted(line)),
            false => line.to_owned(),
        };
        let mut command = match self.words.split_first() {
            Some((program, words)) => {
                let mut command = Command::new(program);
                command.args(words);
                command
            }
            None => {
                let mut command = Command::new("sh");
                command.arg("-c");
                command
            }
        };
        command.arg(line);
        command.env_remove(crate::memory::NAMED);
        // In a group of its own: Ctrl-C is for this program, which ends the others in the right order.
        command.process_group(0);
        command
    }
}

/// What a script gave back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A host's shell. Scripts run one after another.
#[derive(Debug)]
pub(crate) struct Shell {
    pub(crate) name: String,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    child: Child,
    input: ChildStdin,
    out: Receiver<Vec<u8>>,
    err: Receiver<Vec<u8>>,
    token: String,
    number: u64,
    broken: Option<String>,
}

impl Shell {
    /// Logs in.
    pub(crate) fn open(reach: &Reach) -> Result<Shell, Trouble> {
        let failed = |why: &dyn fmt::Display| Trouble::Failed(format!("{}: {why}", reach.name));
        let mut command = reach.command("exec sh");
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let program = cli::diag::name(command.get_program()).to_string();
        let mut child = spawn(&mut command)
            .map_err(|e| failed(&format_args!("{program}: {}", cli::diag::system_text(&e))))?;
        let (Some(input), Some(out), Some(err)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(failed(&"no pipes"));
        };
        let shell = Shell {
            name: reach.name.clone(),
            inner: Mutex::new(Inner {
                child,
                input,
                out: lines(out),
                err: lines(err),
                token: format!("blkutils-{}-{:x}", std::process::id(), now()),
                number: 0,
                broken: None,
            }),
        };
        // Whatever a login prints comes before the first token.
        shell.call("", LOGIN)?;
        Ok(shell)
    }

    /// Runs a script in a subshell, with nothing on its standard input. That it fails is no trouble:
    /// that it cannot be run is, or that no answer comes.
    pub(crate) fn run(&self, script: &str) -> Result<Reply, Trouble> {
        self.run_within(script, PATIENCE)
    }

    /// As [`Shell::run`], with another limit.
    pub(crate) fn run_within(&self, script: &str, limit: Duration) -> Result<Reply, Trouble> {
        self.call(&format!("(\n{script}\n) </dev/null 9>&-"), limit)
    }

    /// Runs a script in the shell itself, which must not end it: for descriptors that stay open.
    pub(crate) fn keep(&self, script: &str) -> Result<Reply, Trouble> {
        self.call(script, PATIENCE)
    }

    /// What a script prints, which must end with status 0.
    pub(crate) fn ask(&self, what: &str, script: &str) -> Result<String, Trouble> {
        self.ask_within(what, script, PATIENCE)
    }

    /// As [`Shell::ask`], with another limit.
    pub(crate) fn ask_within(
        &self,
        what: &str,
        script: &str,
        limit: Duration,
    ) -> Result<String, Trouble> {
        let reply = self.run_within(script, limit)?;
        match reply.status {
            0 => Ok(reply.out),
            status => {
                let why = match reply.err.trim() {
                    "" => format!("status {status}"),
                    text => text.replace('\n', "; "),
                };
                Err(Trouble::Failed(format!("{}: {what}: {why}", self.name)))
            }
        }
    }

    fn call(&self, script: &str, patience: Duration) -> Result<Reply, Trouble> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = &inner.broken {
            return Err(Trouble::Unknown(format!("{}: {why}", self.name)));
        }
        inner.call(script, patience).map_err(|mut why| {
            let said = inner.err.try_iter().flatten().collect::<Vec<u8>>();
            let said = String::from_utf8_lossy(&said);
            if !said.trim().is_empty() {
                why = format!("{why}: {}", said.trim().replace('\n', "; "));
            }
            inner.broken = Some(why.clone());
            let _ = inner.child.kill();
            Trouble::Unknown(format!("{}: {why}", self.name))
        })
    }
}

impl Inner {
    fn call(&mut self, script: &str, patience: Duration) -> Result<Reply, String> {
        self.number += 1;
        let token = format!("{}-{}", self.token, self.number);
        // The status is taken before anything else; both streams are ended by the token.
        let line = format!(
            "{script}\nstatus=$?; printf '\\n%s %d\\n' {token} $status; printf '\\n%s\\n' {token} >&2\n"
        );
        let sent = self
            .input
            .write_all(line.as_bytes())
            .and_then(|()| self.input.flush());
        sent.map_err(|e| format!("connection lost: {}", cli::diag::system_text(&e)))?;
        let until = Instant::now() + patience;
        let first = self.number == 1;
        let (out, rest) = collect(&self.out, &token, until, first)?;
        let (err, _) = collect(&self.err, &token, until, first)?;
        let status = rest
            .trim()
            .parse()
            .map_err(|_| "an answer that no shell gives".to_owned())?;
        Ok(Reply { status, out, err })
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let _ = self.input.write_all(b"exit 0\n");
        // Its end frees what it locked; a connection that hangs is not waited for.
        let until = Instant::now() + Duration::from_secs(3);
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() >= until {
                let _ = self.child.kill();
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.wait();
    }
}

/// The text up to the line of the token, and what stands behind the token. What a login printed
/// before may lack its line's end.
fn collect(
    lines: &Receiver<Vec<u8>>,
    token: &str,
    until: Instant,
    first: bool,
) -> Result<(String, String), String> {
    let mut text = Vec::new();
    loop {
        let line = match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => return Err("no answer".to_owned()),
            Err(RecvTimeoutError::Disconnected) => return Err("connection lost".to_owned()),
        };
        if let Some(rest) = line.strip_prefix(token.as_bytes()) {
            text.pop(); // the line's end that was put before the token
            let text = if first { Vec::new() } else { text };
            let rest = String::from_utf8_lossy(rest).into_owned();
            return Ok((String::from_utf8_lossy(&text).into_owned(), rest));
        }
        text.extend(line);
        if text.len() > LONGEST {
            return Err("an answer without an end".to_owned());
        }
    }
}

/// The lines of a stream, with their ends, read by a thread.
fn lines(stream: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (send, receive) = channel();
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        loop {
            let mut line = Vec::new();
            match (&mut stream)
                .take(LONGEST as u64)
                .read_until(b'\n', &mut line)
            {
                Ok(0) | Err(_) => return,
                Ok(_) => {
                    if send.send(line).is_err() {
                        return;
                    }
                }
            }
        }
    });
    receive
}

/// Starts a command with no signal blocked: a child inherits what its thread has.
pub(crate) fn spawn(command: &mut Command) -> io::Result<Child> {
    thread::scope(|scope| {
        let spawned = scope.spawn(|| {
            SigSet::all().thread_unblock()?;
            command.spawn()
        });
        let broken = || io::Error::other("the thread that starts it failed");
        spawned.join().unwrap_or_else(|_| Err(broken()))
    })
}

/// A word as a shell takes it, whatever is in it.
pub(crate) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn now() -> u128 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> Reach {
        Reach {
            name: "here".into(),
            words: vec![],
            sudo: false,
        }
    }

    #[test]
    fn scripts() {
        let shell = Shell::open(&here()).unwrap();
        let reply = shell
            .run("echo one; printf two; echo three >&2; exit 7")
            .unwrap();
        assert_eq!(
            (reply.status, &*reply.out, &*reply.err),
            (7, "one\ntwo", "three\n")
        );
        let reply = shell.run("cat; printf ''").unwrap();
        assert_eq!((reply.status, &*reply.out, &*reply.err), (0, "", ""));
        assert_eq!(shell.ask("x", "echo a; echo; echo").unwrap(), "a\n\n\n");
        let failed = shell.ask("nothing", "echo no >&2; echo way >&2; false");
        assert_eq!(
            failed,
            Err(Trouble::Failed("here: nothing: no; way".into()))
        );
        shell.keep("exec 9>/dev/null; kept=1").unwrap();
        assert_eq!(shell.run("echo $kept").unwrap().out, "1\n");
        // A name that could be anything.
        let name = "it's $HOME; `rm` \n\\";
        assert_eq!(
            shell
                .run(&format!("printf %s {}", quoted(name)))
                .unwrap()
                .out,
            name
        );
    }

    #[test]
    fn what_a_login_prints_is_passed_over() {
        let words = [
            "sh",
            "-c",
            "echo Welcome; printf 'to the host'; printf motd >&2; exec sh -c \"$0\"",
        ];
        let reach = Reach {
            words: words.map(String::from).to_vec(),
            ..here()
        };
        let shell = Shell::open(&reach).unwrap();
        assert_eq!(shell.run("echo x").unwrap().out, "x\n");
    }

    #[test]
    fn a_shell_that_ends_is_lost() {
        let shell = Shell::open(&here()).unwrap();
        assert!(matches!(shell.keep("exit 3"), Err(Trouble::Unknown(_))));
        assert!(matches!(shell.run("echo x"), Err(Trouble::Unknown(_))));
        let reach = Reach {
            words: vec!["/nonexistent/ssh".into(), "host".into()],
            ..here()
        };
        let failed = Shell::open(&reach).unwrap_err();
        assert_eq!(
            failed.to_string(),
            "here: /nonexistent/ssh: No such file or directory"
        );
    }
}
