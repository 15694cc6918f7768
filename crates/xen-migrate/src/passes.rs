//! The passes over the disks: one `blocksync --session` a disk, open from the first pass to the last, so
//! that the last one reads only the source and waits for no connection.

use crate::plan::Copied;
use crate::running::Running;
use crate::shell::{Reach, quoted};
use crate::step::Trouble;
use cli::progress::Progress;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// A session waits while the memory goes over, on hosts whose clocks may stand still for a while. That
/// a connection is dead is for ssh to find out.
const TIMEOUT: &str = "--timeout=1800";

/// How blocksync is run.
#[derive(Clone, Debug)]
pub(crate) struct Blocksync {
    /// A program here.
    pub(crate) here: String,
    /// A command there.
    pub(crate) there: String,
}

/// What one pass over one disk did.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pass {
    pub(crate) vdev: String,
    /// Bytes of segments that differed.
    pub(crate) changed: u64,
    /// Bytes that went to the target.
    pub(crate) sent: u64,
    pub(crate) seconds: f64,
}

/// The sessions of all disks.
#[derive(Debug)]
pub(crate) struct Passes {
    sessions: Vec<Session>,
    events: Receiver<(usize, Said)>,
    begun: bool,
}

#[derive(Debug)]
struct Session {
    vdev: String,
    process: Running,
    input: Option<ChildStdin>,
    /// Sent so far, in all passes.
    sent: u64,
    done: u64,
}

#[derive(Debug)]
enum Said {
    Progress(u64),
    Result(Value),
    Ended,
}

impl Passes {
    /// Starts a session for each disk, and with it the first pass.
    pub(crate) fn start(
        copied: &[Copied],
        reach: &Reach,
        blocksync: &Blocksync,
    ) -> Result<Passes, Trouble> {
        let (send, events) = channel();
        let mut sessions = Vec::new();
        for (index, copy) in copied.iter().enumerate() {
            sessions.push(Session::start(index, copy, reach, blocksync, &send)?);
        }
        Ok(Passes {
            sessions,
            events,
            begun: false,
        })
    }

    /// One pass over all disks, at the same time. `stop` is asked now and then whether to give up.
    pub(crate) fn pass(
        &mut self,
        progress: &Progress,
        stop: &mut dyn FnMut() -> Option<Trouble>,
    ) -> Result<Vec<Pass>, Trouble> {
        let started = Instant::now();
        if self.begun {
            for session in &mut self.sessions {
                session.done = 0;
                session.say("again\n")?;
            }
        }
        self.begun = true;
        let mut passes: Vec<Option<Pass>> = vec![None; self.sessions.len()];
        while passes.iter().any(Option::is_none) {
            if let Some(trouble) = stop() {
                return Err(trouble);
            }
            let (index, said) = match self.events.recv_timeout(Duration::from_millis(100)) {
                Ok(event) => event,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Trouble::Failed("blocksync ended".to_owned()));
                }
            };
            let session = &mut self.sessions[index];
            match said {
                Said::Progress(done) => session.done = done,
                Said::Result(value) => {
                    let number = |key: &str| value[key].as_u64().unwrap_or(0);
                    session.done = number("size");
                    let sent = number("bytes_sent");
                    passes[index] = Some(Pass {
                        vdev: session.vdev.clone(),
                        changed: number("different").saturating_mul(number("segment")),
                        sent: sent.saturating_sub(session.sent),
                        seconds: started.elapsed().as_secs_f64(),
                    });
                    session.sent = sent;
                }
                Said::Ended => return Err(session.why_ended()),
            }
            progress.set(self.sessions.iter().map(|session| session.done).sum());
        }
        Ok(passes.into_iter().flatten().collect())
    }

    /// Ends the sessions: what the last pass wrote is on the target's disks already.
    pub(crate) fn end(mut self) -> Result<(), Trouble> {
        for session in &mut self.sessions {
            session.say("end\n")?;
            session.input = None;
        }
        for session in &mut self.sessions {
            match session.process.wait(Duration::from_secs(60)) {
                Some(status) if status.success() => {}
                Some(_) => return Err(session.why_ended()),
                None => {
                    return Err(Trouble::Failed(format!(
                        "{}: blocksync does not end",
                        session.vdev
                    )));
                }
            }
        }
        Ok(())
    }
}

impl Session {
    fn start(
        index: usize,
        copy: &Copied,
        reach: &Reach,
        blocksync: &Blocksync,
        send: &Sender<(usize, Said)>,
    ) -> Result<Session, Trouble> {
        let mut command = Command::new(&blocksync.here);
        command.args(["--session", "--json", "--progress=1", "--size=min", TIMEOUT]);
        ends(&mut command, &copy.source, &copy.target, reach, blocksync);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let program = cli::diag::name(&blocksync.here).to_string();
        let mut process = Running::start(&mut command)
            .map_err(|e| Trouble::Failed(format!("{program}: {}", cli::diag::system_text(&e))))?;
        let input = process.child.stdin.take();
        if let Some(stdout) = process.child.stdout.take() {
            let send = send.clone();
            thread::spawn(move || listen(index, stdout, &send));
        }
        Ok(Session {
            vdev: copy.vdev.clone(),
            process,
            input,
            sent: 0,
            done: 0,
        })
    }

    fn say(&mut self, line: &str) -> Result<(), Trouble> {
        let said = self.input.as_mut().map(|input| {
            input
                .write_all(line.as_bytes())
                .and_then(|()| input.flush())
        });
        match said {
            Some(Ok(())) => Ok(()),
            _ => Err(self.why_ended()),
        }
    }

    fn why_ended(&mut self) -> Trouble {
        let status = self.process.wait(Duration::from_secs(5));
        let why = match (self.process.said(), status) {
            (said, Some(status)) if said.is_empty() => format!("blocksync: {status}"),
            (said, _) => said,
        };
        Trouble::Failed(format!("{}: {why}", self.vdev))
    }
}

/// Lines of progress are numbers, lines of results JSON.
fn listen(index: usize, stdout: impl Read, send: &Sender<(usize, Said)>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let said = match line.split_once(' ') {
            Some((done, _)) if !line.starts_with('{') => done.parse().ok().map(Said::Progress),
            _ => serde_json::from_str(&line).ok().map(Said::Result),
        };
        if let Some(said) = said
            && send.send((index, said)).is_err()
        {
            return;
        }
    }
    let _ = send.send((index, Said::Ended));
}

/// Whether one more pass while the domain runs is worth it: it ends when a pass found so little that
/// the last one will be short, when what is found no longer shrinks, or at the limit of passes.
pub(crate) fn another(passes: &[Vec<Pass>], limit: usize, pause: Duration) -> bool {
    let changed = |pass: &[Pass]| pass.iter().map(|one| one.changed).sum::<u64>();
    let Some(last) = passes.last() else {
        return true;
    };
    if passes.len() >= limit || changed(last) == 0 {
        return false;
    }
    // The first pass says nothing of what changes meanwhile.
    let Some(before) = passes.len().checked_sub(2).map(|at| &passes[at]) else {
        return true;
    };
    let seconds = last.iter().map(|one| one.seconds).fold(0.0, f64::max);
    let shrinks = passes.len() == 2 || changed(last) * 10 < changed(before) * 9;
    shrinks && seconds > pause.as_secs_f64()
}

/// A command that tells by its status whether two disks are equal.
pub(crate) fn check(source: &str, target: &str, reach: &Reach, blocksync: &Blocksync) -> Command {
    let mut command = Command::new(&blocksync.here);
    command.args(["--check", "--quiet", "--size=min"]);
    ends(&mut command, source, target, reach, blocksync);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// The two ends of a run of blocksync.
fn ends(command: &mut Command, source: &str, target: &str, reach: &Reach, blocksync: &Blocksync) {
    let (host, words) = reach
        .words
        .split_last()
        .map_or(("", &[][..]), |(host, words)| (host.as_str(), words));
    let sudo = if reach.sudo { "sudo -n " } else { "" };
    command.arg(format!("--rsh={}", words.join(" ")));
    command.arg(format!("--remote-command={sudo}{}", blocksync.there));
    command.args(["--", source]).arg(format!("{host}:{target}"));
    command.process_group(0);
}

/// A command line that shows what is run.
pub(crate) fn shown(copy: &Copied, reach: &Reach, blocksync: &Blocksync) -> String {
    let host = reach.words.last().map_or("", String::as_str);
    format!(
        "{} --session {} {}",
        blocksync.here,
        quoted(&copy.source),
        quoted(&format!("{host}:{}", copy.target))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(changed: u64, seconds: f64) -> Vec<Pass> {
        vec![Pass {
            vdev: "xvda".into(),
            changed,
            sent: 0,
            seconds,
        }]
    }

    #[test]
    fn passes_end() {
        let pause = Duration::from_secs(1);
        for (passes, more) in [
            (vec![], true),
            (vec![pass(100, 9.0)], true),
            (vec![pass(0, 9.0)], false),
            (vec![pass(100, 9.0), pass(50, 0.5)], false),
            (vec![pass(100, 9.0), pass(50, 5.0)], true),
            (vec![pass(100, 9.0), pass(50, 5.0), pass(30, 3.0)], true),
            (vec![pass(100, 9.0), pass(50, 5.0), pass(49, 3.0)], false),
            (
                vec![pass(100, 9.0), pass(50, 5.0), pass(30, 3.0), pass(20, 2.0)],
                false,
            ),
        ] {
            assert_eq!(another(&passes, 4, pause), more, "{passes:?}");
        }
    }
}
