//! One file being extracted.

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::attributes::Stamps;
use crate::target::{self, Folder};

/// Where a file goes to.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) folder: Folder,
    pub(crate) name: Vec<u8>,
}

/// A file that is not complete. It is removed when this is dropped, unless [`Output::finish`] gave it
/// its place. One that replaces another file has a name of its own until then.
#[derive(Debug)]
pub(crate) struct Output {
    /// Open until [`Output::finish`] closes it.
    file: Option<File>,
    place: Place,
    temporary: Option<Vec<u8>>,
    /// The mode it was made with, before the umask.
    made_with: Mode,
    finished: bool,
}

/// Why a file cannot be made.
#[derive(Debug)]
pub(crate) enum NoOutput {
    /// There is something of that name.
    Exists,
    /// It is a folder, which no file replaces.
    IsFolder,
    Cannot(io::Error),
}

const FLAGS: OFlags = OFlags::RDWR
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

impl Output {
    /// Makes a file, beside one of this name if that is to be replaced.
    pub(crate) fn create(place: Place, mode: Mode, replace: bool) -> Result<Output, NoOutput> {
        // Bits that a writer loses again are set at the end.
        let mode = mode & Mode::from_raw_mode(0o777) | Mode::from_raw_mode(0o600);
        let made = |file, place, temporary| Output {
            file: Some(File::from(file)),
            place,
            temporary,
            made_with: mode,
            finished: false,
        };
        match rustix::fs::openat(&place.folder, &place.name, FLAGS, mode) {
            Ok(file) => return Ok(made(file, place, None)),
            Err(Errno::EXIST) if replace => {}
            Err(Errno::EXIST) => return Err(NoOutput::Exists),
            Err(e) => return Err(NoOutput::Cannot(e.into())),
        }
        let there = target::look(&place.folder, &place.name);
        if let Ok(Some(there)) = &there
            && target::kind(there) == FileType::Directory
        {
            return Err(NoOutput::IsFolder);
        }
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let name = format!(".unzip-cjk-{}-{number}", std::process::id()).into_bytes();
            match rustix::fs::openat(&place.folder, &name, FLAGS, mode) {
                Ok(file) => return Ok(made(file, place, Some(name))),
                Err(Errno::EXIST) => {}
                Err(e) => return Err(NoOutput::Cannot(e.into())),
            }
        }
    }

    /// Sets what is known of the file and gives it its place. Returns what could not be set.
    pub(crate) fn finish(
        mut self,
        mode: Mode,
        umask: Mode,
        stamps: Option<&Stamps>,
        owner: Option<(u32, u32)>,
    ) -> io::Result<Vec<Unset>> {
        let mut unset = Vec::new();
        let Some(file) = self.file.take() else {
            return Ok(unset);
        };
        if let Some((uid, gid)) = owner
            && let Err(e) = std::os::unix::fs::fchown(&file, Some(uid), Some(gid))
        {
            unset.push(Unset::Owner(uid, gid, e));
        }
        let has_it = mode == self.made_with && (mode & umask).is_empty() && owner.is_none();
        if !has_it && let Err(e) = rustix::fs::fchmod(&file, mode) {
            unset.push(Unset::Mode(e.into()));
        }
        if let Some(stamps) = stamps
            && let Err(e) = rustix::fs::futimens(&file, &stamps.times())
        {
            unset.push(Unset::Times(e.into()));
        }
        // NFS and quotas tell some errors only now.
        nix::unistd::close(file)?;
        if let Some(temporary) = &self.temporary {
            let Place { folder, name } = &self.place;
            rustix::fs::renameat(folder, temporary, folder, name)?;
        }
        self.finished = true;
        Ok(unset)
    }

    pub(crate) fn write(&mut self, data: &[u8]) -> io::Result<()> {
        match &mut self.file {
            Some(file) => file.write_all(data),
            None => Ok(()),
        }
    }

    /// Device and number of the file.
    pub(crate) fn inode(&self) -> io::Result<(u64, u64)> {
        let file = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let stat = rustix::fs::fstat(file)?;
        Ok((stat.st_dev, stat.st_ino))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if !self.finished {
            let name = self.temporary.as_ref().unwrap_or(&self.place.name);
            // A file that cannot be removed is reported by whoever finds it incomplete.
            let _ = rustix::fs::unlinkat(&self.place.folder, name, AtFlags::empty());
        }
    }
}

/// What could not be set, and why.
#[derive(Debug)]
pub(crate) enum Unset {
    Owner(u32, u32, io::Error),
    Mode(io::Error),
    Times(io::Error),
}
