//! A small process that releases the transmitter when the one that keyed it cannot: it was killed,
//! hangs, or is stopped.
//!
//! It holds the device and one end of a socket. End of file there while the transmitter is keyed
//! means that the program has ended. It has a session of its own and blocks every signal, so that
//! what ends the program (a closed terminal, Ctrl-C) does not end it.

use crate::sys;
use nix::errno::Errno;
use nix::libc::c_int;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::socket::{MsgFlags, recv, send};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, chdir, setsid, write};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// What the program says: one byte each.
const KEYED: u8 = b'K';
const RELEASED: u8 = b'R';
const ALIVE: u8 = b'A';
/// What the guardian says: it is ready; and it has released the transmitter.
const READY: u8 = b'G';
const DROPPED: u8 = b'D';

/// How long the guardian may take to be ready on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long its socket may be full of words that it has not read, when the transmitter is to be keyed.
const HEARING: Duration = Duration::from_millis(500);
/// A program that is alive says so this many times in the time of the dead man's switch, not more often.
const WORDS: u32 = 10;

/// How long the guardian leaves the program to obey the time-out by itself.
const GRACE: Duration = Duration::from_millis(500);

/// How often and how soon a release that fails is tried again, for a second in all: a USB that suffers
/// from the transmitter may lose some transfers.
pub(crate) const TRIES: u32 = 50;
pub(crate) const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// How a transmitter is released, with system calls only.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Relief<'a> {
    /// Lines of a serial port to raise and to lower.
    Lines {
        port: BorrowedFd<'a>,
        raise: c_int,
        lower: c_int,
    },
    /// An output report of a hidraw device.
    Report {
        device: BorrowedFd<'a>,
        report: [u8; 5],
    },
}

impl<'a> Relief<'a> {
    fn device(self) -> BorrowedFd<'a> {
        match self {
            Relief::Lines { port, .. } => port,
            Relief::Report { device, .. } => device,
        }
    }

    /// Releases; the device is open as `device` here.
    fn give(self, device: BorrowedFd<'_>) {
        for _ in 0..TRIES {
            let done = match self {
                Relief::Lines { raise, lower, .. } => sys::lower(device, lower).and_then(|()| {
                    if raise == 0 {
                        Ok(())
                    } else {
                        sys::raise(device, raise)
                    }
                }),
                Relief::Report { report, .. } => write(device, &report).map(drop),
            };
            match done {
                Ok(()) | Err(Errno::ENODEV | Errno::ENXIO) => return, // or it is gone
                Err(_) if sys::hung_up(device) => return,
                Err(_) => wait(None, BETWEEN_TRIES),
            };
        }
    }
}

/// The guardian, as the program sees it. Dropping it lets the process end, and waits for that.
#[derive(Debug)]
pub(crate) struct Guardian {
    socket: UnixStream,
    process: Pid,
    /// The least time between two signs of life, and when the last one was given.
    pace: Duration,
    last_sign: Option<Instant>,
}

impl Guardian {
    /// Forks it, and waits until it is out of reach of what may end the program (a kill of its whole
    /// process group). `timeout` is how long the transmitter may be keyed, `dead_man` how long without
    /// a word from the program.
    pub(crate) fn start(
        relief: Relief<'_>,
        timeout: Option<Duration>,
        dead_man: Option<Duration>,
    ) -> io::Result<Guardian> {
        let (socket, its) = UnixStream::pair()?;
        let process = sys::fork_with(its.as_fd(), relief.device(), |socket, device| {
            let _ = setsid();
            let _ = chdir(c"/");
            let _ = prctl::set_name(c"ptt-guardian");
            tell(socket, READY);
            let timeout = timeout.map(|t| t.saturating_add(GRACE));
            guard(socket, device, relief, timeout, dead_man);
        })?;
        drop(its);
        let guardian = Guardian {
            socket,
            process,
            pace: dead_man.map_or(Duration::ZERO, |t| t / WORDS),
            last_sign: None,
        };
        let mut word = [0];
        let is_ready = wait(Some(guardian.fd()), PATIENCE)
            && recv(
                guardian.socket.as_raw_fd(),
                &mut word,
                MsgFlags::MSG_DONTWAIT,
            ) == Ok(1);
        match is_ready {
            true => Ok(guardian),
            false => Err(Errno::ETIMEDOUT.into()),
        }
    }

    /// The transmitter is about to be keyed. An error: the guardian has ended, or has not read a word
    /// for so long that it may never do.
    pub(crate) fn keyed(&mut self) -> nix::Result<()> {
        self.has_dropped()?; // of an earlier time
        self.last_sign = Some(Instant::now());
        match self.say(KEYED) {
            Err(Errno::EAGAIN) => {
                let ms = PollTimeout::try_from(HEARING).unwrap_or(PollTimeout::MAX);
                poll(&mut [PollFd::new(self.fd(), PollFlags::POLLOUT)], ms)?;
                self.say(KEYED)
            }
            said => said,
        }
    }

    /// The transmitter has been released.
    pub(crate) fn released(&mut self) -> nix::Result<()> {
        self.say(RELEASED)
    }

    /// The program is alive. `false`: the guardian has released the transmitter.
    pub(crate) fn alive(&mut self) -> nix::Result<bool> {
        let now = Instant::now();
        if self
            .last_sign
            .is_none_or(|last| now.saturating_duration_since(last) >= self.pace)
        {
            match self.say(ALIVE) {
                // The processor is not given to it: it has words enough to read when it is.
                Ok(()) | Err(Errno::EAGAIN) => self.last_sign = Some(now),
                Err(error) => return Err(error),
            }
        }
        self.has_dropped().map(|dropped| !dropped)
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn say(&self, word: u8) -> nix::Result<()> {
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        send(self.socket.as_raw_fd(), &[word], flags).map(drop)
    }

    fn has_dropped(&self) -> nix::Result<bool> {
        let mut words = [0; 16];
        match recv(self.socket.as_raw_fd(), &mut words, MsgFlags::MSG_DONTWAIT) {
            Ok(0) => Err(Errno::EPIPE),
            Ok(_) => Ok(true),
            Err(Errno::EAGAIN) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        // It ends at once, unless somebody has stopped it.
        let until = Instant::now() + Duration::from_secs(1);
        while let Ok(WaitStatus::StillAlive) = waitpid(self.process, Some(WaitPidFlag::WNOHANG))
            && Instant::now() < until
        {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// What the guardian does, until the program ends. System calls only: see [`sys::fork_with`].
fn guard(
    socket: BorrowedFd<'_>,
    device: BorrowedFd<'_>,
    relief: Relief<'_>,
    timeout: Option<Duration>,
    dead_man: Option<Duration>,
) {
    let mut keyed_since: Option<Instant> = None;
    let mut last_word = Instant::now();
    loop {
        let until = keyed_since.and_then(|since| {
            let time_out = timeout.and_then(|t| since.checked_add(t));
            let silence = dead_man.and_then(|t| last_word.checked_add(t));
            time_out.into_iter().chain(silence).min()
        });
        let now = Instant::now();
        let spoke = match until {
            Some(until) if until <= now => false,
            Some(until) => wait(Some(socket), until - now),
            None => wait(Some(socket), Duration::MAX),
        };
        if !spoke {
            if until.is_some_and(|until| Instant::now() >= until) {
                relief.give(device);
                keyed_since = None;
                tell(socket, DROPPED);
            }
            continue;
        }
        let mut words = [0; 64];
        let count = match recv(socket.as_raw_fd(), &mut words, MsgFlags::MSG_DONTWAIT) {
            Err(Errno::EAGAIN | Errno::EINTR) => continue,
            Ok(count) if count > 0 => count,
            _ => {
                if keyed_since.is_some() {
                    relief.give(device);
                }
                return;
            }
        };
        last_word = Instant::now();
        for word in words.iter().take(count) {
            match *word {
                KEYED => keyed_since = Some(last_word),
                RELEASED => keyed_since = None,
                _ => {}
            }
        }
    }
}

/// Says a word to the program, if that is there.
fn tell(socket: BorrowedFd<'_>, word: u8) {
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    let _ = send(socket.as_raw_fd(), &[word], flags);
}

/// Waits until there is something to read, or for so long; whether there is.
fn wait(socket: Option<BorrowedFd<'_>>, time: Duration) -> bool {
    // Rounded up, so that the time is over afterwards.
    let timeout = match i32::try_from(time.as_millis().saturating_add(1)) {
        Ok(ms) => PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX),
        Err(_) if time == Duration::MAX => PollTimeout::NONE,
        Err(_) => PollTimeout::MAX,
    };
    let ready = match socket {
        Some(socket) => poll(&mut [PollFd::new(socket, PollFlags::POLLIN)], timeout),
        None => poll(&mut [], timeout),
    };
    ready.is_ok_and(|count| count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Read;

    /// A pipe stands for a hidraw device: what is written there is what the chip would get.
    fn guarded(timeout: Option<u64>, dead_man: Option<u64>) -> (Guardian, impl Read) {
        let (reader, writer) = io::pipe().unwrap();
        let relief = Relief::Report {
            device: writer.as_fd(),
            report: *b"offff",
        };
        let ms = |t: Option<u64>| t.map(Duration::from_millis);
        let guardian = Guardian::start(relief, ms(timeout), ms(dead_man)).unwrap();
        (guardian, File::from(std::os::fd::OwnedFd::from(reader)))
    }

    fn all(mut reader: impl Read) -> String {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn an_end_while_keyed_releases() {
        let (mut guardian, reports) = guarded(None, None);
        guardian.keyed().unwrap();
        drop(guardian);
        assert_eq!(all(reports), "offff");
    }

    #[test]
    fn an_end_while_released_does_nothing() {
        let (mut guardian, reports) = guarded(None, None);
        guardian.keyed().unwrap();
        guardian.released().unwrap();
        drop(guardian);
        assert_eq!(all(reports), "");
    }

    #[test]
    fn silence_releases_once() {
        let (mut guardian, mut reports) = guarded(None, Some(50));
        assert!(guardian.alive().unwrap());
        guardian.keyed().unwrap();
        let mut report = [0; 5];
        reports.read_exact(&mut report).unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        while guardian.alive().unwrap() {
            assert!(Instant::now() < until);
        }
        assert!(guardian.alive().unwrap());
        drop(guardian);
        assert_eq!(all(reports), "");
    }

    #[test]
    fn the_time_out_is_enforced_although_the_program_lives() {
        let (mut guardian, reports) = guarded(Some(0), Some(60_000));
        guardian.keyed().unwrap();
        while guardian.alive().unwrap() {
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(guardian);
        assert_eq!(all(reports), "offff");
    }

    /// On a starved machine the guardian may not run for long, while the program says often that it
    /// lives: that is no reason to give up.
    #[test]
    fn one_that_gets_no_processor_is_not_missed() {
        let (mut guardian, _reports) = guarded(None, None);
        nix::sys::signal::kill(guardian.process, nix::sys::signal::SIGSTOP).unwrap();
        guardian.keyed().unwrap();
        for _ in 0..100_000 {
            assert!(guardian.alive().unwrap());
        }
        // To key it again would be without a guardian.
        guardian.released().unwrap_err();
        assert_eq!(guardian.keyed(), Err(Errno::EAGAIN));
        nix::sys::signal::kill(guardian.process, nix::sys::signal::SIGCONT).unwrap();
        guardian.keyed().unwrap();
    }

    #[test]
    fn signs_of_life_are_few() {
        let (mut guardian, _reports) = guarded(None, Some(600_000));
        nix::sys::signal::kill(guardian.process, nix::sys::signal::SIGSTOP).unwrap();
        guardian.keyed().unwrap();
        for _ in 0..100_000 {
            assert!(guardian.alive().unwrap());
        }
        guardian.released().unwrap(); // there is room for it
        nix::sys::signal::kill(guardian.process, nix::sys::signal::SIGCONT).unwrap();
    }

    #[test]
    fn one_that_was_killed_is_missed() {
        let (mut guardian, _reports) = guarded(None, None);
        nix::sys::signal::kill(guardian.process, nix::sys::signal::SIGKILL).unwrap();
        waitpid(guardian.process, None).unwrap();
        assert!(guardian.keyed().is_err());
        assert!(sys::hung_up(guardian.fd()));
    }
}
