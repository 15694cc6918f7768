//! The keyboard: single keys, without Enter and without echo, as long as this lives.

use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, PoisonError};

use nix::sys::termios::{
    InputFlags, LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr,
};
use nix::unistd::{getpgrp, read, tcgetpgrp};

/// The settings to go back to, as long as there is a [`Terminal`].
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Sets the terminal back for a program that is about to be ended in the middle of something.
pub(crate) fn restore() {
    if let Ok(before) = BEFORE.try_lock()
        && let Some(before) = &*before
        && tcgetpgrp(io::stdin()).is_ok_and(|group| group == getpgrp())
    {
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, before); // it may have gone away
    }
}

fn keep(before: Option<Termios>) {
    *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = before;
}

/// The terminal at standard input, set to single keys. Dropping it sets it back.
#[derive(Debug)]
pub(crate) struct Terminal {
    stdin: io::Stdin,
}

impl Terminal {
    /// `None` where there is no terminal, or where it belongs to another job: touching it would
    /// stop this one.
    pub(crate) fn open() -> Option<Terminal> {
        let stdin = io::stdin();
        if !stdin.is_terminal() || tcgetpgrp(&stdin).ok()? != getpgrp() {
            return None;
        }
        let before = tcgetattr(&stdin).ok()?;
        let mut keys = before.clone();
        // Signals by Ctrl-C and Ctrl-Z stay. Ctrl-S is a key like all others: it would hold up the status
        // line, and us with it.
        keys.input_flags.remove(InputFlags::IXON);
        keys.local_flags
            .remove(LocalFlags::ICANON | LocalFlags::ECHO);
        keys.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
        keys.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
        keep(Some(before));
        if tcsetattr(&stdin, SetArg::TCSANOW, &keys).is_err() {
            keep(None);
            return None;
        }
        Some(Terminal { stdin })
    }

    /// Whether we are the job in the foreground. Else the keys are not for us, and reading them
    /// would stop us.
    pub(crate) fn is_ours(&self) -> bool {
        tcgetpgrp(&self.stdin).is_ok_and(|group| group == getpgrp())
    }

    /// A key that was pressed. Call it when the descriptor is ready: else it waits.
    ///
    /// An error is the end: the terminal is gone.
    pub(crate) fn key(&self) -> io::Result<u8> {
        let mut keys = [0; 64];
        match read(&self.stdin, &mut keys)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(keys[0]),
        }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.stdin.as_fd()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
        keep(None);
    }
}
