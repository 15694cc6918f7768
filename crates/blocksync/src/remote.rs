//! The server at another host: starting it through ssh or another transport.

use crate::Error;
use crate::args::Remote;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A transport that runs, with the server at its other end.
#[derive(Debug)]
pub(crate) struct Connection {
    child: Child,
    program: String,
}

impl Connection {
    /// Starts `rsh [user@]host 'blocksync server PATH -b N'`.
    pub(crate) fn start(
        remote: &Remote,
        rsh: &OsStr,
        remote_command: &OsStr,
        path: &Path,
        segment: u64,
    ) -> Result<(Connection, ChildStdout, ChildStdin), Error> {
        let mut words = rsh
            .as_bytes()
            .split(|b| *b == b' ')
            .filter(|word| !word.is_empty());
        let program = words
            .next()
            .ok_or_else(|| Error::Usage("--rsh: empty".to_owned()))?;
        let program = OsStr::from_bytes(program);
        let mut line = remote_command.to_os_string();
        line.push(" server ");
        line.push(quoted(path.as_os_str()));
        line.push(format!(" -b {segment}"));
        let mut command = Command::new(program);
        command
            .args(words.map(OsStr::from_bytes))
            .arg(&remote.host)
            .arg(line);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let name = cli::diag::name(program).to_string();
        let broken = |e| Error::Connection(format!("{name}: {}", cli::diag::system_text(&e)));
        let mut child = command.spawn().map_err(broken)?;
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
        if matches!(done, Err(Error::Interrupted(_))) {
            let _ = self.child.kill();
        }
        let status = self.child.wait();
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
