//! The command: found before anything is keyed, started, watched.

use crate::Error;
use crate::signals::Signals;
use crate::state::{Event, Status};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{AccessFlags, Pid, access, getpgid, getpgrp};
use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

/// A command that runs.
#[derive(Debug)]
pub(crate) struct Child {
    process: Pid,
    program: OsString,
    /// Where it says that it could not become the program.
    told: OwnedFd,
    has_ended: bool,
}

/// Looks for the program as execvp(3) does, so that nothing is keyed for one that is not there.
pub(crate) fn find(program: &OsStr) -> Result<(), Error> {
    let failed = |errno: Errno| Err(failure(program, errno.into()));
    let candidates: Vec<PathBuf> = match program.as_bytes() {
        b"" => return failed(Errno::ENOENT),
        name if name.contains(&b'/') => vec![PathBuf::from(program)],
        _ => {
            let path = env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
            let folders = env::split_paths(&path);
            folders.map(|folder| folder.join(program)).collect()
        }
    };
    let is_program = |file: &Path| file.is_file() && access(file, AccessFlags::X_OK).is_ok();
    if candidates.iter().any(|file| is_program(file)) {
        return Ok(());
    }
    failed(match candidates.iter().any(|file| file.exists()) {
        true => Errno::EACCES,
        false => Errno::ENOENT,
    })
}

/// The exit statuses of env(1).
fn failure(program: &OsStr, error: io::Error) -> Error {
    let code = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT) => 127,
        Some(Errno::EAGAIN | Errno::ENOMEM) => crate::FAILED, // there was no process
        _ => 126,
    };
    Error::Command {
        program: program.to_owned(),
        error,
        code,
    }
}

impl Child {
    /// Starts it in our process group: in the foreground if we are, with our standard input.
    pub(crate) fn start(words: &[OsString], signals: &Signals) -> Result<Child, Error> {
        let program = words.first().expect("args.rs makes one word at least");
        let spawned = crate::sys::spawn(words, &signals.blocked_before, signals.sigpipe_ignored);
        let (process, told) = spawned.map_err(|e| failure(program, e))?;
        Ok(Child {
            process,
            program: program.clone(),
            told,
            has_ended: false,
        })
    }

    /// What has happened to it since the last call, if anything.
    ///
    /// # Errors
    /// The program could not be run.
    pub(crate) fn news(&mut self) -> Result<Option<Event>, Error> {
        if self.has_ended {
            return Ok(None);
        }
        let status = match crate::sys::wait_for(self.process) {
            Ok(Some(status)) => status,
            Ok(None) | Err(Errno::EINTR) => return Ok(None),
            Err(e) => return Err(Error::system("waiting for the command", e)),
        };
        let is_end = status.code().is_some() || status.signal().is_some();
        if is_end && let Some(error) = crate::sys::refusal(&self.told) {
            self.has_ended = true;
            return Err(failure(&self.program, error));
        }
        Ok(Some(match (status.code(), status.signal()) {
            _ if status.continued() => Event::Continued,
            _ if status.stopped_signal().is_some() => Event::Stopped,
            (Some(code), _) => self.ended(Status::Exit(code as u8)), // 0 to 255
            (None, signal) => self.ended(Status::Killed(signal.unwrap_or(0))),
        }))
    }

    fn ended(&mut self, status: Status) -> Event {
        self.has_ended = true;
        Event::Ended(status)
    }

    /// Sends it a signal. It may have ended, or have become another user's.
    pub(crate) fn send(&self, signal: Signal) {
        if !self.has_ended {
            let _ = kill(self.process, signal);
        }
    }

    /// Whether it gets what a terminal sends to our process group.
    pub(crate) fn is_in_our_group(&self) -> bool {
        getpgid(Some(self.process)) == Ok(getpgrp())
    }
}
