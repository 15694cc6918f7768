//! Black-box tests of cqloop.
//!
//! No sound card is needed. What is fake, and what for:
//! - ALSA's `file` and `null` plugins are a card that takes sound as fast as it comes: they show every
//!   sample, but no time.
//! - A null sink of a private PulseAudio is a card with a clock; its monitor hears what is played.
//!   Tests that need it say `skipped:` where PulseAudio is not installed.
//! - tests/shim/modem.c (`LD_PRELOAD`) makes a pseudo-terminal answer the ioctls of modem lines, which it has
//!   not, and writes down when they change. Real ports and a real driver are in the lab (`cargo xtask lab radio`).
#![allow(clippy::unwrap_used)]

#[path = "cqloop/clock.rs"]
mod clock;
mod common;
#[path = "cqloop/line.rs"]
mod line;
#[path = "cqloop/output.rs"]
mod output;
#[path = "cqloop/pulse.rs"]
mod pulse;
#[path = "cqloop/recording.rs"]
mod recording;
#[path = "shim/mod.rs"]
mod shim;
#[path = "cqloop/signals.rs"]
mod signals;
#[path = "cqloop/terminal.rs"]
mod terminal;
#[path = "cqloop/tone.rs"]
mod tone;
#[path = "cqloop/usage.rs"]
mod usage;

use common::{can, command, find, golden, run, skipped};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pulse::Pulse;
use std::f64::consts::TAU;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const RATE: usize = 48_000;
/// Silence before the first sound, and behind the last, in frames at [`RATE`].
const AHEAD: usize = 2400;
const BEHIND: usize = 14_400;
/// How long something may take that is surely going to happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A folder with a card that writes what it plays to `played`.
struct Desk {
    dir: TempDir,
}

impl Desk {
    fn new() -> Desk {
        Desk {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The ALSA name of the card that is the file `played`.
    fn card(&self) -> String {
        format!("file:FILE={}", self.path("played").display())
    }

    fn played(&self) -> Vec<u8> {
        fs::read(self.path("played")).unwrap()
    }

    fn played16(&self) -> Vec<i16> {
        let bytes = self.played();
        bytes
            .chunks(2)
            .map(|b| i16::from_le_bytes([b[0], b[1]]))
            .collect()
    }

    /// `cqloop` in this folder, with no configuration of the user's.
    fn cqloop(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cqloop"));
        command
            .current_dir(self.dir.path())
            .env("LC_ALL", "C")
            .env("TZ", "UTC0")
            .env("HOME", self.dir.path())
            .env("TMPDIR", self.dir.path()) // PulseAudio's library leaves a folder there
            .env("XDG_CONFIG_HOME", self.dir.path());
        command
    }

    /// `cqloop` that plays into `played`.
    fn play(&self, args: &[&str]) -> common::Ran {
        let _ = fs::remove_file(self.path("played"));
        run(self.cqloop().args(["-D", &self.card()]).args(args))
    }

    /// A WAV file of 16 bit.
    fn wav16(&self, name: &str, rate: usize, channels: usize, samples: &[i16]) {
        let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
        self.wav(name, (1, 16), rate, channels, &bytes);
    }

    /// A WAV file with a plain header: format tag and bits.
    fn wav(&self, name: &str, (tag, bits): (u16, u16), rate: usize, channels: usize, data: &[u8]) {
        let align = channels as u16 * bits / 8;
        let mut bytes = b"RIFF".to_vec();
        bytes.extend((36 + data.len() as u32).to_le_bytes());
        bytes.extend(b"WAVEfmt \x10\0\0\0");
        bytes.extend(tag.to_le_bytes());
        bytes.extend((channels as u16).to_le_bytes());
        bytes.extend((rate as u32).to_le_bytes());
        bytes.extend((rate as u32 * u32::from(align)).to_le_bytes());
        bytes.extend(align.to_le_bytes());
        bytes.extend(bits.to_le_bytes());
        bytes.extend(b"data");
        bytes.extend((data.len() as u32).to_le_bytes());
        bytes.extend(data);
        fs::write(self.path(name), bytes).unwrap();
    }
}

/// Samples that never repeat and begin and end loudly, about 18 dB below full scale.
fn noise(count: usize) -> Vec<i16> {
    let mut state = 0x1234_5678_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as i16 / 8
    };
    let mut samples: Vec<i16> = (0..count).map(|_| next()).collect();
    (samples[0], samples[count - 1]) = (-4000, 4000);
    samples
}

fn sine(rate: usize, hertz: f64, amplitude: f64, count: usize) -> impl Iterator<Item = f64> {
    (0..count).map(move |n| amplitude * (TAU * hertz * n as f64 / rate as f64).sin())
}

/// Asks again until it is so.
#[track_caller]
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).unwrap();
}

/// How it ended. One that does not end, since signals were ignored when the tests began, is killed.
fn ended(mut child: Child) -> i32 {
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let status = child.wait().unwrap();
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap())
}

/// Endless on a card that takes everything: starts it and waits until it is on the air.
fn endless(desk: &Desk, prepare: impl FnOnce(&mut Command)) -> Child {
    desk.wav16("cq.wav", RATE, 1, &noise(RATE));
    let _ = fs::remove_file(desk.path("log"));
    let mut command = desk.cqloop();
    command
        .args(["-D", "null", "--log=log", "cq.wav"])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    prepare(&mut command);
    let child = command.spawn().unwrap();
    until("on the air", || passes(desk) > 1);
    child
}

fn passes(desk: &Desk) -> usize {
    fs::read_to_string(desk.path("log"))
        .unwrap_or_default()
        .matches(" begin ")
        .count()
}

/// A pseudo-terminal: what a person has, and what the program has.
struct Pty {
    person: File,
    program: OwnedFd,
}

impl Pty {
    fn open() -> Pty {
        use nix::fcntl::OFlag;
        use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
        let person = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).unwrap();
        grantpt(&person).unwrap();
        unlockpt(&person).unwrap();
        let name = ptsname_r(&person).unwrap();
        let program = File::options()
            .read(true)
            .write(true)
            .open(name)
            .unwrap()
            .into();
        let person = File::from(person.as_fd().try_clone_to_owned().unwrap());
        Pty { person, program }
    }

    /// A session of its own, with this as its terminal, as a shell has it.
    fn give(&self, command: &mut Command) {
        let end = || Stdio::from(self.program.try_clone().unwrap());
        command.stdin(end()).stdout(end());
        // SAFETY: setsid and the ioctl are system calls and touch no memory.
        #[allow(unsafe_code)]
        unsafe {
            command.pre_exec(|| {
                nix::unistd::setsid()?;
                match nix::libc::ioctl(0, nix::libc::TIOCSCTTY, 0) {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            });
        }
    }
}

/// Reads what comes, in a thread of its own, until the end.
fn drop_output(reader: &mut File) {
    let mut reader = reader.try_clone().unwrap();
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while reader.read(&mut bytes).is_ok_and(|count| count > 0) {}
    });
}

/// A port that is a pseudo-terminal with modem lines made up by a shim.
struct Port {
    pty: Pty,
    name: String,
    lines: PathBuf,
}

impl Port {
    fn make(desk: &Desk) -> Port {
        let pty = Pty::open();
        let name = fs::read_link(format!("/proc/self/fd/{}", raw(&pty.program))).unwrap();
        Port {
            pty,
            name: name.to_str().unwrap().to_owned(),
            lines: desk.path("lines"),
        }
    }

    /// What the lines went through.
    fn lines(&self) -> String {
        shim::states(&fs::read_to_string(&self.lines).unwrap_or_default())
    }

    fn is_up(&self) -> bool {
        !matches!(self.lines().chars().last(), None | Some('0'))
    }

    fn attach(&self, command: &mut Command) {
        let _ = &self.pty;
        command
            .env("LD_PRELOAD", shim::modem())
            .env("MODEM_LOG", &self.lines)
            .args(["--no-lock", "--ptt", &self.name]);
    }
}

fn raw(fd: &OwnedFd) -> i32 {
    use std::os::fd::AsRawFd;
    fd.as_raw_fd()
}
