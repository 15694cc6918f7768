//! Questions: answers from standard input, passwords from the terminal.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;

/// Waits until `input` can be read; `false` if a signal asks to stop.
pub(crate) fn ready(input: &impl AsFd) -> bool {
    const STEP: Timespec = Timespec {
        tv_sec: 0,
        tv_nsec: 100_000_000,
    };
    loop {
        if cli::signal::stop_requested().is_some() {
            return false;
        }
        let mut fds = [PollFd::new(input, PollFlags::IN)];
        match poll(&mut fds, Some(&STEP)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            _ => return true,
        }
    }
}

/// A line from standard input with its newline, at most `most` bytes of it; the rest of a longer one
/// is the next line. `None` at the end of input, or if a signal asks to stop.
pub(crate) fn line(most: usize) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    let stdin = io::stdin();
    // Byte by byte: what follows belongs to the next question, or to another program.
    while line.len() < most && line.last() != Some(&b'\n') {
        let mut byte = [0];
        if !ready(&stdin) {
            return None;
        }
        match rustix::io::read(&stdin, &mut byte) {
            Ok(1) => line.push(byte[0]),
            Err(rustix::io::Errno::INTR) => {}
            _ => break,
        }
    }
    (!line.is_empty()).then_some(line)
}

/// The terminal, with echo switched off while this lives.
struct Silent {
    tty: File,
    before: Option<Termios>,
}

impl Drop for Silent {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(&self.tty, OptionalActions::Now, before);
        }
    }
}

/// Asks for a password with `prompt`; `None` without a terminal.
pub(crate) fn password(prompt: &[u8]) -> Option<Vec<u8>> {
    /// As many bytes as Info-ZIP takes.
    const MOST: usize = 80;
    let tty = File::open("/dev/tty").ok()?;
    let mut warning: &[u8] = b"";
    loop {
        cli::diag::print(&String::from_utf8_lossy(&[warning, prompt].concat()));
        let before = tcgetattr(&tty).ok();
        if let Some(before) = &before {
            let mut silent = before.clone();
            silent.local_modes -= LocalModes::ECHO;
            let _ = tcsetattr(&tty, OptionalActions::Now, &silent);
        }
        let mut silent = Silent {
            tty: tty.try_clone().ok()?,
            before,
        };
        let mut typed = Vec::new();
        let mut byte = [0];
        loop {
            if !ready(&silent.tty) || !matches!(silent.tty.read(&mut byte), Ok(1)) {
                return None;
            }
            if byte[0] == b'\n' {
                break;
            }
            typed.push(byte[0]);
        }
        drop(silent);
        cli::diag::print("\n");
        if typed.len() <= MOST {
            return Some(typed);
        }
        warning = b"(line too long--try again)\n";
    }
}
