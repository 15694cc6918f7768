//! Keeping two programs from one device: the UUCP lock file (FHS, /var/lock), and flock(2).
//!
//! Opening a serial port in use would disturb its lines. So both are looked at before the device is
//! opened, and all names of a device are one: the lock is named after the device number.

use crate::uucp::{Taken, UucpLock, is_alive};
use crate::{Error, Locking};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::stat::{major, minor};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// Where lock files are; the first that exists.
const FOLDERS: [&str; 2] = ["/var/lock", "/run/lock"];

/// How long a lock whose holder has been killed may outlive it: its guardian has to notice first.
const AFTERLIFE: Duration = Duration::from_millis(500);

/// Looks at the device, without opening it, and makes its lock file. `None`: there is none to remove.
pub(crate) fn before_open(path: &Path, locking: Locking) -> Result<Option<UucpLock>, Error> {
    let device = fs::metadata(path).map_err(|e| Error::system(path, "opening", e))?;
    if !device.file_type().is_char_device() {
        return Err(Error::unfit(path, "not a character device"));
    }
    if locking == Locking::Off {
        return Ok(None);
    }
    let until = Instant::now() + AFTERLIFE;
    while let Some(holder) = flock_holder(&device) {
        if is_alive(holder) || Instant::now() >= until {
            return Err(Error::Busy {
                path: path.to_owned(),
                holder: Some(holder).filter(|h| is_alive(*h)),
            });
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let Some(folder) = FOLDERS.map(Path::new).into_iter().find(|f| f.is_dir()) else {
        return match locking {
            Locking::Required => Err(Error::unfit(path, "no folder for its lock file")),
            _ => Ok(None),
        };
    };
    let file = folder.join(format!("LCK..{}", device_name(path, &device)));
    match UucpLock::take(&file) {
        Ok(lock) => Ok(Some(lock)),
        Err(Taken::By(holder)) => Err(Error::Busy {
            path: path.to_owned(),
            holder: Some(holder),
        }),
        Err(Taken::Held) => Err(busy(path)),
        Err(Taken::Unclear) => Err(Error::unfit(
            &file,
            "a lock without a process number; remove it if nobody uses the device",
        )),
        Err(Taken::System(error)) => match (locking, error.kind()) {
            (
                Locking::Auto,
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem,
            ) => Ok(None),
            _ => Err(Error::system(&file, "locking", error)),
        },
    }
}

/// The device's own name below /dev, with `_` for `/`, whatever link it is reached by.
fn device_name(path: &Path, device: &fs::Metadata) -> String {
    let number = device.rdev();
    let uevent = format!("/sys/dev/char/{}:{}/uevent", major(number), minor(number));
    let uevent = fs::read_to_string(uevent).unwrap_or_default();
    let name = uevent.lines().find_map(|l| l.strip_prefix("DEVNAME="));
    let name = name.map(str::to_owned).unwrap_or_else(|| {
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let below = real.strip_prefix("/dev").unwrap_or(&real);
        below.to_string_lossy().trim_start_matches('/').to_owned()
    });
    name.replace('/', "_")
}

/// Who has a flock on the device, as /proc/locks tells without opening it.
fn flock_holder(device: &fs::Metadata) -> Option<u32> {
    let (dev, inode) = (device.dev(), device.ino());
    let file = format!("{:02x}:{:02x}:{inode}", major(dev), minor(dev));
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    locks.lines().find_map(|line| flock_of(line, &file))
}

/// `1: FLOCK  ADVISORY  WRITE 1234 00:05:86 0 EOF` (proc_locks(5)). A waiting one has `->` first.
fn flock_of(line: &str, file: &str) -> Option<u32> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    match words[..] {
        [_, "FLOCK", _, _, holder, on, ..] if on == file => holder.parse().ok(),
        _ => None,
    }
}

/// A device that is in use, nobody knows by whom.
pub(crate) fn busy(path: &Path) -> Error {
    Error::Busy {
        path: path.to_owned(),
        holder: None,
    }
}

/// An open device, with a flock or without.
#[derive(Debug)]
pub(crate) enum Held {
    Locked(Flock<File>),
    Free(File),
}

impl Held {
    pub(crate) fn free(file: File) -> Held {
        Held::Free(file)
    }

    /// Adds the flock, waiting for one whose holder was killed.
    pub(crate) fn lock(self, path: &Path, locking: Locking) -> Result<Held, Error> {
        let mut file = match self {
            Held::Free(file) if locking != Locking::Off => file,
            held => return Ok(held),
        };
        let until = Instant::now() + AFTERLIFE;
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(locked) => return Ok(Held::Locked(locked)),
                Err((back, Errno::EWOULDBLOCK)) if Instant::now() < until => file = back,
                Err((_, Errno::EWOULDBLOCK)) => return Err(busy(path)),
                Err((_, error)) => return Err(Error::system(path, "flock", error)),
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Held::Locked(file) => file.as_fd(),
            Held::Free(file) => file.as_fd(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_a_flock() {
        for (line, holder) in [
            ("1: FLOCK  ADVISORY  WRITE 1234 00:05:86 0 EOF", Some(1234)),
            ("1: -> FLOCK  ADVISORY  WRITE 1234 00:05:86 0 EOF", None),
            ("1: FLOCK  ADVISORY  WRITE 1234 00:05:861 0 EOF", None),
            ("2: POSIX  ADVISORY  WRITE 1234 00:05:86 0 EOF", None),
            ("", None),
        ] {
            assert_eq!(flock_of(line, "00:05:86"), holder, "{line}");
        }
        let file = tempfile::tempfile().unwrap();
        let held = Flock::lock(file, FlockArg::LockExclusive).unwrap();
        let holder = flock_holder(&held.metadata().unwrap());
        assert_eq!(holder, Some(std::process::id()));
    }

    #[test]
    fn all_names_of_a_device_are_one() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("my radio");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        for name in [Path::new("/dev/null"), &link] {
            assert_eq!(device_name(name, &fs::metadata(name).unwrap()), "null");
        }
    }
}
