//! RTS and DTR of a serial port.
//!
//! What the kernel does (drivers/tty/tty_port.c, serial_core.c, usb/serial): opening raises both
//! lines, unless the speed is B0; the last close lowers them if HUPCL is set, also when it is a kill
//! that closes; with CRTSCTS the driver moves RTS by itself; without CLOCAL a fallen carrier hangs up.

use crate::guardian::Relief;
use crate::lock::{self, Held};
use crate::{Error, Line, Setup, sys};
use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::sys::termios::{
    BaudRate, ControlFlags, InputFlags, LocalFlags, SetArg, Termios, cfsetospeed, tcgetattr,
    tcsetattr,
};
use std::fs::OpenOptions;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A port that keys.
#[derive(Debug)]
pub(crate) struct Serial {
    path: PathBuf,
    port: Held,
    lines: Lines,
    /// The settings that the port will have when it is closed.
    later: Option<Termios>,
}

/// Which lines are up when the transmitter is keyed, and which when it is not.
#[derive(Clone, Copy, Debug)]
struct Lines {
    keyed: c_int,
    idle: c_int,
}

const BOTH: c_int = libc::TIOCM_RTS | libc::TIOCM_DTR;

impl Lines {
    fn new(line: Line, invert: bool) -> Lines {
        let keys = match line {
            Line::Rts => libc::TIOCM_RTS,
            Line::Dtr => libc::TIOCM_DTR,
            Line::Both => BOTH,
        };
        match invert {
            false => Lines {
                keyed: keys,
                idle: 0,
            },
            true => Lines {
                keyed: 0,
                idle: keys,
            },
        }
    }
}

/// Makes exactly these lines be up. What is not keyed goes first.
fn put(port: BorrowedFd<'_>, up: c_int) -> nix::Result<()> {
    if up != BOTH {
        sys::lower(port, BOTH & !up)?;
    }
    match up {
        0 => Ok(()),
        up => sys::raise(port, up),
    }
}

impl Serial {
    /// Opens it un-keyed, and makes the kernel lower the lines when the process ends. (For inverted
    /// lines it makes the kernel leave them; raising them is then the guardian's part.)
    pub(crate) fn open(path: &Path, line: Line, setup: &Setup) -> Result<Serial, Error> {
        if setup.invert && setup.quiet_open {
            let why = "an inverted line cannot be opened quietly: speed 0 holds it low, which keys";
            return Err(Error::unfit(path, why));
        }
        let lines = Lines::new(line, setup.invert);
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK)
            .open(path);
        let port = opened.map_err(|e| match e.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EBUSY) => lock::busy(path), // TIOCEXCL
            _ => Error::system(path, "opening", e),
        })?;
        let port = Held::free(port);
        put(port.fd(), lines.idle).map_err(|e| match e {
            Errno::ENOTTY | Errno::EINVAL => {
                Error::unfit(path, "not a serial port with RTS and DTR")
            }
            e => Error::system(path, "clearing RTS and DTR", e),
        })?;
        let mut serial = Serial {
            path: path.to_owned(),
            port: port.lock(path, setup.locking)?,
            lines,
            later: None,
        };
        match serial.settle(setup) {
            Ok(()) => Ok(serial),
            Err(error) => {
                let _ = serial.restore();
                Err(error)
            }
        }
    }

    /// Keeps others out, makes the settings safe, and looks whether the lines obey.
    fn settle(&mut self, setup: &Setup) -> Result<(), Error> {
        let system = |doing| move |e: Errno| Error::system(&setup.device, doing, e);
        let port = self.port.fd();
        sys::set_exclusive(port, true).map_err(system("TIOCEXCL"))?;
        let found = tcgetattr(port).map_err(system("reading the settings"))?;
        let is_b0 = |t: &Termios| (t.control_flags & ControlFlags::CBAUD).is_empty();
        if setup.invert && is_b0(&found) && !setup.force {
            let why = "its speed of 0 holds the lines low, which keys an inverted line";
            return Err(Error::unfit(&self.path, why));
        }
        let wanted = safe(found.clone(), setup);
        let mut later = found;
        if setup.quiet_open {
            later = at_b0(later);
        }
        later.control_flags.set(
            ControlFlags::HUPCL,
            later.control_flags.contains(ControlFlags::HUPCL) && !setup.invert,
        );
        self.later = Some(later);
        tcsetattr(port, SetArg::TCSANOW, &wanted).map_err(system("making the settings"))?;
        // It succeeds when only a part could be done.
        let now = tcgetattr(port).map_err(system("reading the settings"))?;
        let matter = ControlFlags::HUPCL | ControlFlags::CRTSCTS;
        if now.control_flags & matter != wanted.control_flags & matter {
            let why = "the driver does not let HUPCL and CRTSCTS be set";
            return Err(Error::unfit(&self.path, why));
        }
        // While CRTSCTS was on, the first call may have had no effect.
        put(port, self.lines.idle).map_err(system("clearing RTS and DTR"))?;
        match sys::lines(port) {
            Ok(up) if up & BOTH != self.lines.idle => {
                Err(Error::unfit(&self.path, "RTS and DTR do not obey"))
            }
            _ => Ok(()), // some drivers cannot tell
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.port.fd()
    }

    pub(crate) fn key(&mut self) -> Result<(), Error> {
        put(self.port.fd(), self.lines.keyed).map_err(|e| self.lost("keying", e))
    }

    pub(crate) fn release(&mut self) -> Result<(), Error> {
        put(self.port.fd(), self.lines.idle).map_err(|e| self.lost("releasing the lines", e))
    }

    /// The settings as they were, for whoever opens the port next.
    pub(crate) fn restore(&mut self) -> Result<(), Error> {
        let Some(later) = self.later.take() else {
            return Ok(());
        };
        let port = self.port.fd();
        tcsetattr(port, SetArg::TCSANOW, &later)
            .and_then(|()| put(port, self.lines.idle)) // a driver may have moved them
            .and_then(|()| sys::set_exclusive(port, false))
            .map_err(|e| self.lost("restoring the settings", e))
    }

    /// What a guardian does.
    pub(crate) fn relief(&self) -> Relief<'_> {
        Relief::Lines {
            port: self.port.fd(),
            raise: self.lines.idle,
            lower: BOTH & !self.lines.idle,
        }
    }

    /// EIO is said of a port that has gone, and of a USB transfer that has failed (usb_translate_errors() in
    /// linux/usb/serial.h): that may be done again.
    fn lost(&self, doing: &'static str, error: Errno) -> Error {
        match error {
            Errno::ENODEV | Errno::ENXIO => self.gone(),
            Errno::EIO if sys::hung_up(self.port.fd()) => self.gone(),
            error => Error::system(&self.path, doing, error),
        }
    }

    fn gone(&self) -> Error {
        Error::Gone {
            path: self.path.clone(),
        }
    }
}

/// The settings while we have the port: the lines are ours, fall with us, and nothing is echoed to
/// a radio that talks on the same port.
fn safe(mut t: Termios, setup: &Setup) -> Termios {
    t.control_flags.remove(ControlFlags::CRTSCTS);
    t.control_flags.insert(ControlFlags::CLOCAL);
    t.control_flags.set(ControlFlags::HUPCL, !setup.invert);
    t.input_flags
        .remove(InputFlags::IXON | InputFlags::IXOFF | InputFlags::IXANY);
    t.local_flags
        .remove(LocalFlags::ECHO | LocalFlags::ECHONL | LocalFlags::ICANON | LocalFlags::ISIG);
    match setup.quiet_open {
        true => at_b0(t),
        false => t,
    }
}

fn at_b0(mut t: Termios) -> Termios {
    let _ = cfsetospeed(&mut t, BaudRate::B0); // fails for speeds that are none
    t
}
