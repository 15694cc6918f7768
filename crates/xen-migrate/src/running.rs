//! A command that runs beside this program: its end, and the last that it said on standard error.

use crate::shell::spawn;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// So much of what it says is kept, the last of it.
const KEPT: usize = 16 << 10;

/// The command. It is killed when this goes away, unless it was left alone.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) child: Child,
    said: Arc<Mutex<Vec<u8>>>,
    leave: bool,
}

impl Running {
    /// Starts it, with no signal blocked. Standard input and output are as the command has them.
    pub(crate) fn start(command: &mut Command) -> io::Result<Running> {
        command.stderr(Stdio::piped());
        let mut child = spawn(command)?;
        let said = Arc::default();
        if let Some(stream) = child.stderr.take() {
            let said = Arc::clone(&said);
            thread::spawn(move || keep_last(stream, &said));
        }
        Ok(Running {
            child,
            said,
            leave: false,
        })
    }

    /// The last lines that it said, in one.
    pub(crate) fn said(&self) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&said);
        // A terminal's progress ends in carriage returns.
        let lines = text
            .split(['\n', '\r'])
            .map(str::trim)
            .filter(|line| !line.is_empty());
        let lines: Vec<&str> = lines.collect();
        lines[lines.len().saturating_sub(6)..].join("; ")
    }

    /// Whether `text` is in what it said, as far as that was kept.
    pub(crate) fn has_said(&self, text: &str) -> bool {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&said).contains(text)
    }

    /// Why it has failed: what killed it, and its last lines.
    pub(crate) fn why(&mut self) -> String {
        let said = self.said();
        match self.ended() {
            Some(status) if status.code().is_none() && said.is_empty() => status.to_string(),
            Some(status) if status.code().is_none() => format!("{status}: {said}"),
            _ => said,
        }
    }

    /// Its status, if it has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for its end, but no longer.
    pub(crate) fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + limit;
        loop {
            let ended = self.ended();
            if ended.is_some() || Instant::now() >= until {
                return ended;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills it and what it has started: it leads a group of its own, as everything does that
    /// [`Reach::command`](crate::shell::Reach::command) makes.
    pub(crate) fn kill(&mut self) {
        if self.ended().is_none() {
            if let Ok(id) = self.child.id().try_into() {
                let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
            }
            let _ = self.child.wait();
        }
    }

    /// Lets it run on when this program ends.
    pub(crate) fn leave(&mut self) {
        self.leave = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.leave {
            self.kill();
        }
    }
}

fn keep_last(mut stream: impl Read, said: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 4096];
    while let Ok(count) = stream.read(&mut buffer) {
        if count == 0 {
            return;
        }
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        said.extend(&buffer[..count]);
        let over = said.len().saturating_sub(KEPT);
        said.drain(..over);
    }
}
