//! The server at another host: starting it through ssh or another transport.

use crate::Error;
use crate::args::{self, Remote};
use nix::sys::signal::SigSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a transport may take to end when the session is over.
const LINGER: Duration = Duration::from_secs(5);

/// A transport that runs, with the server at its other end.
#[derive(Debug)]
pub(crate) struct Connection {
    child: Child,
    program: String,
}

impl Connection {
    /// Starts `rsh [user@]host 'blocksync server PATH -b N'`, with the time-out if it is not the usual.
    pub(crate) fn start(
        remote: &Remote,
        rsh: &OsStr,
        remote_command: &OsStr,
        path: &Path,
        segment: u64,
        timeout: Duration,
    ) -> Result<(Connection, ChildStdout, ChildStdin), Error> {
        let words = words(rsh.as_bytes()).map_err(|why| Error::Usage(format!("--rsh: {why}")))?;
        let (program, words) = words
            .split_first()
            .ok_or_else(|| Error::Usage("--rsh: empty".to_owned()))?;
        let mut line = remote_command.to_os_string();
        line.push(" server ");
        let mut options = format!("-b {segment}");
        if timeout != args::TIMEOUT {
            options += &format!(" --timeout={}", timeout.as_secs());
        }
        let path = quoted(path.as_os_str());
        let is_like_option = path.as_bytes().starts_with(b"'-");
        if is_like_option {
            line.push(format!("{options} -- "));
        }
        line.push(path);
        if !is_like_option {
            line.push(format!(" {options}"));
        }
        let mut command = Command::new(program);
        command.args(words).arg(&remote.host).arg(line);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let name = cli::diag::name(program).to_string();
        let broken = |e| Error::Connection(format!("{name}: {}", cli::diag::system_text(&e)));
        let mut child = spawn(&mut command).map_err(broken)?;
        let (input, output) = (child.stdout.take(), child.stdin.take());
        match (input, output) {
            (Some(input), Some(output)) => Ok((
                Connection {
                    child,
                    program: name,
                },
                input,
                output,
            )),
            _ => Err(Error::Connection(format!("{name}: no pipes"))),
        }
    }

    /// Waits for the end of the transport. When it failed by itself, that is why a connection broke.
    pub(crate) fn finish(mut self, done: Result<(), Error>) -> Result<(), Error> {
        // A transport ends with the server; one that does not is not waited for.
        let limit = match done {
            Err(Error::Interrupted(_)) => Duration::from_millis(500),
            _ => LINGER,
        };
        let until = Instant::now() + limit;
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() >= until {
                let _ = self.child.kill();
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let status = self.child.wait();
        // A signal to the whole group has ended the transport first.
        if let (Err(Error::Connection(_)), Some(signal)) = (&done, cli::signal::stop_requested()) {
            return Err(Error::Interrupted(signal));
        }
        match (done, status) {
            (Err(Error::Connection(why)), Ok(status)) if !status.success() => {
                let program = &self.program;
                Err(Error::Connection(format!(
                    "{program} ended with {status}; {why}"
                )))
            }
            (done, _) => done,
        }
    }
}

/// Starts the transport with no signal blocked: a child inherits what its thread has.
fn spawn(command: &mut Command) -> io::Result<Child> {
    std::thread::scope(|scope| {
        let spawned = scope.spawn(|| {
            SigSet::all().thread_unblock()?;
            command.spawn()
        });
        let broken = || io::Error::other("the thread that starts it failed");
        spawned.join().unwrap_or_else(|_| Err(broken()))
    })
}

/// Words between blanks; what is in quotes, of either kind, is kept together.
fn words(line: &[u8]) -> Result<Vec<OsString>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    for byte in line.iter().copied() {
        match (quote, byte) {
            (Some(open), _) if open == byte => quote = None,
            (None, b'\'' | b'"') => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (None, b' ' | b'\t' | b'\n') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    match quote {
        Some(_) => Err("a quote without its end"),
        None => Ok(words.into_iter().map(OsString::from_vec).collect()),
    }
}

/// A word as the remote shell takes it, whatever is in it.
fn quoted(word: &OsStr) -> OsString {
    let mut out = vec![b'\''];
    for byte in word.as_bytes() {
        match byte {
            b'\'' => out.extend(b"'\\''"),
            byte => out.push(*byte),
        }
    }
    out.push(b'\'');
    OsString::from_vec(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_quotes_is_one_word() {
        let of = |line: &str| words(line.as_bytes()).map(|words| words.join(OsStr::new("|")));
        for (line, want) in [
            ("ssh -p 22", "ssh|-p|22"),
            ("  ssh   -v ", "ssh|-v"),
            ("ssh -o 'A B' -o \"C 'D'\"", "ssh|-o|A B|-o|C 'D'"),
            ("ssh -oProxyCommand='x y'z ''", "ssh|-oProxyCommand=x yz|"),
            ("", ""),
            (r"a\ b", r"a\|b"),
        ] {
            assert_eq!(of(line).unwrap(), OsStr::new(want), "{line}");
        }
        assert!(of("ssh 'x").is_err() && of("ssh \"").is_err());
    }

    #[test]
    fn a_shell_gives_back_what_was_quoted() {
        for word in [
            "/dev/vg0/a",
            "it's",
            "$(touch x) `y` \"z\" \\ \n*",
            "",
            "-n",
        ] {
            let mut script = OsString::from("printf %s ");
            script.push(quoted(OsStr::new(word)));
            let output = Command::new("sh").arg("-c").arg(script).output().unwrap();
            assert_eq!(output.stdout, word.as_bytes());
        }
    }
}
