//! The device that keys: open, locked, and released when it is dropped.

use crate::cm108::Cm108;
use crate::guardian::{BETWEEN_TRIES, Guardian, Relief, TRIES};
use crate::lock;
use crate::serial::Serial;
use crate::uucp::UucpLock;
use crate::{Error, Output, Setup};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A transmitter's key. Dropping it releases the transmitter and restores the device as
/// [`close`](Ptt::close) does, but nobody hears how that went.
#[derive(Debug)]
pub struct Ptt {
    device: Device,
    guardian: Option<Guardian>,
    // After the device: that is closed first, and only then may others have it.
    #[expect(dead_code, reason = "it is there to be dropped")]
    lock: Option<UucpLock>,
    timeout: Option<Duration>,
    keyed_since: Option<Instant>,
}

/// What keys. (Later: a GPIO line, a parallel port.)
#[derive(Debug)]
enum Device {
    Serial(Serial),
    Cm108(Cm108),
}

impl Ptt {
    /// Locks and opens the device. When this returns, the transmitter is not keyed, and will not be
    /// when the process ends in whatever way.
    ///
    /// Opening a serial port raises both lines in the kernel, for less than a millisecond, until the
    /// first call here clears them; not so when the port is at speed 0 (see [`Setup::quiet_open`]).
    /// Starting a guardian forks: open before the program has threads that hold much memory.
    pub fn open(setup: &Setup) -> Result<Ptt, Error> {
        let path = match setup.output {
            Output::Serial(_) => setup.device.clone(),
            Output::Cm108 { .. } => crate::cm108::find(&setup.device)?,
        };
        let lock = lock::before_open(&path, setup.locking)?;
        let device = match setup.output {
            Output::Serial(line) => Device::Serial(Serial::open(&path, line, setup)?),
            Output::Cm108 { gpio } => Device::Cm108(Cm108::open(&path, gpio, setup)?),
        };
        let mut ptt = Ptt {
            device,
            guardian: None,
            lock,
            timeout: setup.timeout,
            keyed_since: None,
        };
        let kernel_releases = matches!(ptt.device, Device::Serial(_)) && !setup.invert;
        if !kernel_releases || setup.dead_man.is_some() {
            let guardian = Guardian::start(ptt.relief(), setup.timeout, setup.dead_man);
            let error = |e| Error::system(&path, "starting a guardian process", e);
            ptt.guardian = Some(guardian.map_err(error)?);
        }
        Ok(ptt)
    }

    /// The device as it was given; for a sound card its `/dev/hidraw0`.
    pub fn path(&self) -> &Path {
        match &self.device {
            Device::Serial(port) => port.path(),
            Device::Cm108(chip) => chip.path(),
        }
    }

    /// Keys the transmitter. Nothing changes when it is keyed already.
    pub fn key(&mut self) -> Result<(), Error> {
        if self.keyed_since.is_some() {
            return Ok(());
        }
        // First the guardian: should we end in between, it releases what is not keyed, which does no harm.
        if let Some(guardian) = &mut self.guardian
            && guardian.keyed().is_err()
        {
            return Err(self.unguarded());
        }
        self.keyed_since = Some(Instant::now());
        let keyed = match &mut self.device {
            Device::Serial(port) => port.key(),
            Device::Cm108(chip) => chip.key(),
        };
        if keyed.is_err() {
            let _ = self.release();
        }
        keyed
    }

    /// Releases the transmitter. It is tried whether or not it is keyed, and for a second if it fails; an
    /// error means that it may be keyed still, except [`Error::Gone`].
    pub fn release(&mut self) -> Result<(), Error> {
        let mut tries = TRIES;
        loop {
            let released = match &mut self.device {
                Device::Serial(port) => port.release(),
                Device::Cm108(chip) => chip.release(),
            };
            tries -= 1;
            match released {
                Err(Error::System { .. }) if tries > 0 => std::thread::sleep(BETWEEN_TRIES),
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        self.keyed_since = None;
        if let Some(guardian) = &mut self.guardian {
            let _ = guardian.released(); // one that has ended is noticed by the next key()
        }
        Ok(())
    }

    /// Whether the transmitter is keyed by us.
    pub fn is_keyed(&self) -> bool {
        self.keyed_since.is_some()
    }

    /// When the time-out timer says to release it, if it is keyed and there is one.
    pub fn time_out_at(&self) -> Option<Instant> {
        self.keyed_since?.checked_add(self.timeout?)
    }

    /// Tells the guardian that the program is alive: more often than [`Setup::dead_man`] while keyed.
    ///
    /// `false` when the guardian has released the transmitter in the meantime, since the program was
    /// late or the time-out was over. Then it is not keyed (and [`is_keyed`](Ptt::is_keyed) is
    /// `false`) until [`key`](Ptt::key) is called again.
    pub fn alive(&mut self) -> Result<bool, Error> {
        let Some(guardian) = &mut self.guardian else {
            return Ok(true);
        };
        match guardian.alive() {
            Ok(true) => Ok(true),
            Ok(false) => {
                self.keyed_since = None;
                Ok(false)
            }
            Err(_) => Err(self.unguarded()),
        }
    }

    /// Descriptors to poll(2) with no events asked for: when one has POLLHUP or POLLERR, ask
    /// [`check`](Ptt::check) what happened.
    pub fn watched(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let port = match &self.device {
            Device::Serial(port) => port.fd(),
            Device::Cm108(chip) => chip.fd(),
        };
        std::iter::once(port).chain(self.guardian.as_ref().map(Guardian::fd))
    }

    /// Whether the device is there and the guardian alive. Does not wait.
    pub fn check(&self) -> Result<(), Error> {
        let mut watched = self.watched();
        if watched.next().is_some_and(crate::sys::hung_up) {
            return Err(Error::Gone {
                path: self.path().to_owned(),
            });
        }
        match watched.next().is_some_and(crate::sys::hung_up) {
            true => Err(self.unguarded()),
            false => Ok(()),
        }
    }

    /// Releases the transmitter, restores the settings of a serial port, and unlocks it.
    pub fn close(mut self) -> Result<(), Error> {
        self.finish()
    }

    fn finish(&mut self) -> Result<(), Error> {
        let released = match self.is_keyed() {
            true => self.release(),
            false => Ok(()),
        };
        let restored = match &mut self.device {
            Device::Serial(port) => port.restore(),
            Device::Cm108(_) => Ok(()),
        };
        drop(self.guardian.take());
        released.and(restored)
    }

    fn relief(&self) -> Relief<'_> {
        match &self.device {
            Device::Serial(port) => port.relief(),
            Device::Cm108(chip) => chip.relief(),
        }
    }

    fn unguarded(&self) -> Error {
        Error::Unguarded {
            path: PathBuf::from(self.path()),
        }
    }
}

impl Drop for Ptt {
    fn drop(&mut self) {
        let _ = self.finish();
    }
}
