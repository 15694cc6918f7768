//! A file that gets its name when it is complete: until then a failed copy leaves nothing behind.

use crate::Error;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag};
use nix::unistd::linkat;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempPath;

/// A file without its name.
#[derive(Debug)]
pub(crate) struct NewFile {
    file: File,
    path: PathBuf,
    /// Its name until then, where the file system has no files without one.
    temporary: Option<TempPath>,
}

impl NewFile {
    /// Makes a file in the folder where `path` is to be.
    pub(crate) fn create(path: &Path) -> Result<NewFile, Error> {
        let system = |e| Error::system(path, e);
        let folder = folder_of(path);
        let unnamed = OpenOptions::new()
            .write(true)
            .custom_flags(OFlag::O_TMPFILE.bits())
            .open(folder);
        let (file, temporary) = match unnamed {
            // Without /proc there is no way to name it later.
            Ok(file) if Path::new(&own_link(&file)).exists() => (file, None),
            Ok(_) => NewFile::with_name(folder).map_err(system)?,
            Err(e) if is_unsupported(&e) => NewFile::with_name(folder).map_err(system)?,
            Err(e) => return Err(system(e)),
        };
        Ok(NewFile {
            file,
            path: path.to_owned(),
            temporary,
        })
    }

    fn with_name(folder: &Path) -> io::Result<(File, Option<TempPath>)> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        let named = tempfile::Builder::new()
            .prefix(".sparse-dd.")
            .make_in(folder, |name| options.open(name))?;
        let (file, temporary) = named.into_parts();
        Ok((file, Some(temporary)))
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Gives it its name, unless somebody else has made a file of that name meanwhile; and has the
    /// folder on the disk, if it may be read.
    pub(crate) fn publish(self) -> Result<(), Error> {
        let path = &self.path;
        match self.temporary {
            Some(temporary) => {
                let named = temporary.persist_noclobber(path);
                named.map_err(|e| Error::doing(path, "rename", e.error))?;
            }
            None => {
                let link = own_link(&self.file);
                let flags = AtFlags::AT_SYMLINK_FOLLOW;
                linkat(AT_FDCWD, link.as_str(), AT_FDCWD, path, flags)
                    .map_err(|e| Error::doing(path, "link", e.into()))?;
            }
        }
        let synced = match File::open(folder_of(path)) {
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
            folder => folder.and_then(|folder| folder.sync_all()),
        };
        synced.map_err(|e| Error::doing(path, "fsync of its folder", e))
    }
}

/// The name under which the process itself has the file.
fn own_link(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// What file systems without O_TMPFILE answer, and kernels that do not know it (open(2)).
fn is_unsupported(error: &io::Error) -> bool {
    let unsupported = [Errno::EOPNOTSUPP, Errno::EISDIR, Errno::EINVAL];
    unsupported
        .iter()
        .any(|errno| error.raw_os_error() == Some(*errno as i32))
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}
