//! Describing a file or block device: what kind it is, how large, and how it wants to be written.

use crate::sys;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::stat::{major, minor};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;

/// What a descriptor is open on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A block device.
    Block,
    /// A directory.
    Directory,
    /// Anything else: pipes, sockets, character devices. Has no size and no offsets to rely on.
    Stream,
}

/// What a tool must know of an object before it reads or writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// What it is.
    pub kind: Kind,
    /// Size in bytes: of a block device by BLKGETSIZE64; 0 for directories and streams.
    pub size: u64,
    /// Least unit of I/O in bytes; 1 where there is none.
    pub logical_sector: u64,
    /// Unit in bytes that is written without reading first; 1 where it is not known.
    pub physical_sector: u64,
    /// A block device that is set read-only. (Of a file the file system decides when it is opened.)
    pub read_only: bool,
    /// A disk with turning platters, where order of access matters; of block devices only.
    pub rotational: bool,
    /// Unit of discard in bytes; 0 where a block device cannot discard, and for everything else.
    pub discard_granularity: u64,
}

/// Describes what `file` is open on.
///
/// # Errors
/// What fstat(2) and the block device's ioctls say.
pub fn describe(file: &File) -> io::Result<Description> {
    let meta = file.metadata()?;
    let kind = kind_of(meta.file_type());
    let mut description = Description {
        kind,
        size: if kind == Kind::File { meta.len() } else { 0 },
        logical_sector: 1,
        physical_sector: 1,
        read_only: false,
        rotational: false,
        discard_granularity: 0,
    };
    if kind == Kind::Block {
        let (logical, physical) = sys::sectors(file)?;
        let queue = queue_folder(meta.rdev());
        let limit = |name: &str| {
            let text = fs::read_to_string(queue.join(name)).ok()?;
            text.trim().parse::<u64>().ok()
        };
        description.size = sys::block_size(file)?;
        description.logical_sector = u64::from(logical.max(1));
        description.physical_sector = u64::from(physical.max(logical).max(1));
        description.read_only = sys::is_read_only(file)?;
        description.rotational = limit("rotational") == Some(1);
        if limit("discard_max_bytes").unwrap_or(0) > 0 {
            description.discard_granularity = limit("discard_granularity").unwrap_or(0);
        }
    }
    Ok(description)
}

/// Writes out and drops what the page cache holds of a block device (BLKFLSBUF), so that the next
/// buffered read asks the device: what another kernel path wrote there is not in the cache. Pages
/// that somebody has mapped stay.
///
/// # Errors
/// What the ioctl says: EACCES without privilege, ENOTTY for what is no block device.
pub fn flush_buffers(file: &File) -> io::Result<()> {
    sys::flush_buffers(file)
}

/// Drops what the page cache holds of an open file or block device, as far as it is on the disk
/// already, so that the next read asks the disk.
///
/// # Errors
/// What posix_fadvise(2) or the BLKFLSBUF ioctl says.
pub fn drop_cache(file: &File) -> io::Result<()> {
    if file.metadata()?.file_type().is_block_device() {
        return flush_buffers(file);
    }
    posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
    Ok(())
}

fn kind_of(file_type: fs::FileType) -> Kind {
    if file_type.is_file() {
        Kind::File
    } else if file_type.is_block_device() {
        Kind::Block
    } else if file_type.is_dir() {
        Kind::Directory
    } else {
        Kind::Stream
    }
}

/// The folder of a block device in sysfs.
pub(crate) fn sysfs_folder(device: u64) -> PathBuf {
    PathBuf::from(format!(
        "/sys/dev/block/{}:{}",
        major(device),
        minor(device)
    ))
}

/// Its request queue in sysfs; a partition has that of its disk.
fn queue_folder(device: u64) -> PathBuf {
    let folder = sysfs_folder(device);
    match folder.join("partition").exists() {
        true => folder.join("../queue"),
        false => folder.join("queue"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_folders_and_streams() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(12345).unwrap();
        let description = describe(&file).unwrap();
        assert_eq!((description.kind, description.size), (Kind::File, 12345));
        assert_eq!(description.logical_sector, 1);
        let folder = File::open("/").unwrap();
        assert_eq!(describe(&folder).unwrap().kind, Kind::Directory);
        let null = File::open("/dev/null").unwrap();
        assert_eq!(describe(&null).unwrap().kind, Kind::Stream);
    }
}
