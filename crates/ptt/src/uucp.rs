//! A UUCP lock file: `LCK..NAME` with the holder's process number (FHS 3.0, 5.9: ten characters,
//! filled with spaces, and a newline).
//!
//! It is made complete under another name and linked, so that nobody reads half of it. A stale one is
//! taken over where it stands, under a flock on it: of two that find it stale, one gets it.

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, Instant};

/// How long another program may take to take a lock over.
const PATIENCE: Duration = Duration::from_millis(500);

/// A lock file of ours; removed when dropped.
#[derive(Debug)]
pub(crate) struct UucpLock(PathBuf);

/// Why there is no lock.
#[derive(Debug)]
pub(crate) enum Taken {
    /// This process has it.
    By(u32),
    /// Somebody who does not say so in the file, but keeps it locked.
    Held,
    /// The file does not say who has it.
    Unclear,
    /// It cannot be made or read.
    System(io::Error),
}

impl From<io::Error> for Taken {
    fn from(error: io::Error) -> Taken {
        Taken::System(error)
    }
}

impl UucpLock {
    pub(crate) fn take(file: &Path) -> Result<UucpLock, Taken> {
        // Others may make and remove it meanwhile, but not for ever.
        for _ in 0..100 {
            match make(file) {
                Ok(true) => return Ok(UucpLock(file.to_owned())),
                Ok(false) if take_over(file)? => return Ok(UucpLock(file.to_owned())),
                Ok(false) => {}
                // We may not write there, but somebody else may have.
                Err(error) => return Err(living_holder(file).map_or(error.into(), Taken::By)),
            }
        }
        Err(Taken::Unclear)
    }
}

impl Drop for UucpLock {
    fn drop(&mut self) {
        let is_ours = fs::read(&self.0).is_ok_and(|text| holder(&text) == Some(process::id()));
        if is_ours {
            let _ = fs::remove_file(&self.0); // stays as a stale one
        }
    }
}

fn ours() -> String {
    format!("{:10}\n", process::id())
}

/// Makes the file; `false` when there is one.
fn make(file: &Path) -> io::Result<bool> {
    let new = file.with_file_name(format!("LTMP.{}", process::id()));
    let _ = fs::remove_file(&new); // of a process that had our number
    let result = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&new)
        .and_then(|mut f| f.write_all(ours().as_bytes()))
        .and_then(|()| fs::hard_link(&new, file));
    let _ = fs::remove_file(&new);
    match result {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(e),
    }
}

/// Takes over the file of a process that is no more; `false` when it has changed meanwhile.
fn take_over(file: &Path) -> Result<bool, Taken> {
    let mut text = Vec::new();
    let opened = match open_for_writing(file) {
        Ok(opened) => opened,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        // Somebody else's: it can be read, perhaps.
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            return Err(living_holder(file).map_or(e.into(), Taken::By));
        }
        Err(e) => return Err(e.into()),
    };
    // One that takes it over has it for a moment; any other program that locks the file, in use.
    let opened = match lock(opened) {
        Ok(locked) => locked,
        Err(Errno::EWOULDBLOCK) => {
            return Err(living_holder(file).map_or(Taken::Held, Taken::By));
        }
        Err(error) => return Err(io::Error::from(error).into()),
    };
    (&*opened).take(100).read_to_end(&mut text)?;
    let is_it = fs::metadata(file).is_ok_and(|now| {
        opened
            .metadata()
            .is_ok_and(|m| (m.dev(), m.ino()) == (now.dev(), now.ino()))
    });
    if !is_it {
        return Ok(false);
    }
    match holder(&text) {
        None => Err(Taken::Unclear),
        Some(process) if !is_stale(process) => Err(Taken::By(process)),
        Some(_) => {
            opened.write_all_at(ours().as_bytes(), 0)?;
            opened.set_len(ours().len() as u64)?;
            Ok(true)
        }
    }
}

/// flock(2), but not for ever.
fn lock(mut file: File) -> nix::Result<Flock<File>> {
    let until = Instant::now() + PATIENCE;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Err((back, Errno::EWOULDBLOCK)) if Instant::now() < until => file = back,
            locked => return locked.map_err(|(_, error)| error),
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Who has the lock, as far as the file can be read and its process is there.
fn living_holder(file: &Path) -> Option<u32> {
    let mut text = Vec::new();
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(nix::libc::O_NONBLOCK);
    let opened = options.open(file).ok()?;
    opened.take(100).read_to_end(&mut text).ok()?;
    holder(&text).filter(|process| !is_stale(*process))
}

/// No link is followed: the folder is open to everybody.
fn open_for_writing(file: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
        .open(file)
}

/// The process number in a lock file: text, with anything after it; or binary, as some old programs
/// write it.
fn holder(text: &[u8]) -> Option<u32> {
    let trimmed = text.trim_ascii_start();
    let digits = trimmed.iter().take_while(|b| b.is_ascii_digit()).count();
    let number = match (std::str::from_utf8(&trimmed[..digits]), text) {
        (Ok(number), _) if digits > 0 => number.parse().ok()?,
        (_, &[a, b, c, d]) => u32::from_ne_bytes([a, b, c, d]),
        _ => return None,
    };
    (number > 0 && i32::try_from(number).is_ok()).then_some(number)
}

/// Whether no such process is there. Our own number in a file that we have not written is one that
/// was given out again.
fn is_stale(number: u32) -> bool {
    number == process::id() || !is_alive(number)
}

/// Whether there is such a process.
pub(crate) fn is_alive(number: u32) -> bool {
    let pid = i32::try_from(number).unwrap_or(i32::MAX);
    kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn dead() -> u32 {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        child.id()
    }

    #[test]
    fn who_holds_a_lock() {
        for (text, who) in [
            (&b"      1234\n"[..], Some(1234)),
            (b"1234", Some(1234)),
            (b"  1234 minicom root\n", Some(1234)),
            (&1234u32.to_ne_bytes(), Some(1234)),
            (b"", None),
            (b"\n", None),
            (b"minicom", None),
            (b"0", None),
            (b"-5", None),
            (b"99999999999", None),
            (b"4294967295", None),
        ] {
            assert_eq!(holder(text), who, "{text:?}");
        }
    }

    #[test]
    fn a_lock_is_made_kept_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("LCK..ttyS9");
        let lock = UucpLock::take(&file).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), ours());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        drop(lock);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn only_a_stale_lock_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("LCK..ttyS9");
        fs::write(
            &file,
            format!("{:10} some program with a long name\n", dead()),
        )
        .unwrap();
        let lock = UucpLock::take(&file).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), ours());
        // Somebody has taken it from us: it is not ours to remove.
        fs::write(&file, "         1\n").unwrap();
        drop(lock);
        assert!(matches!(UucpLock::take(&file), Err(Taken::By(1))));
        fs::write(&file, "").unwrap();
        assert!(matches!(UucpLock::take(&file), Err(Taken::Unclear)));
    }

    #[test]
    fn nobody_waits_for_a_lock_file_that_another_program_has_locked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LCK..ttyS9");
        let held = Flock::lock(File::create(&path).unwrap(), FlockArg::LockExclusive).unwrap();
        for (holder, who) in [(dead(), None), (1, Some(1))] {
            fs::write(&path, format!("{holder:10}\n")).unwrap();
            match (UucpLock::take(&path), who) {
                (Err(Taken::Held), None) => {}
                (Err(Taken::By(process)), Some(who)) => assert_eq!(process, who),
                other => panic!("{other:?}"),
            }
        }
        drop(held);
    }

    #[test]
    fn no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (file, victim) = (dir.path().join("LCK..x"), dir.path().join("victim"));
        fs::write(&victim, format!("{}", dead())).unwrap();
        std::os::unix::fs::symlink(&victim, &file).unwrap();
        assert!(matches!(UucpLock::take(&file), Err(Taken::System(_))));
        assert_ne!(fs::read_to_string(&victim).unwrap(), ours());
    }
}
