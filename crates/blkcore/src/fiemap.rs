//! Where the bytes of a file lie on its disk, by the FIEMAP ioctl (the kernel's
//! `Documentation/filesystems/fiemap.rst`). Says more than SEEK_DATA: which extents are shared
//! between files, unwritten, or kept inside the inode.

use crate::Extent;
use crate::sys_fiemap::FiemapCall;
use std::fs::File;
use std::io;

const FLAG_SYNC: u32 = 0x1;
const LAST: u32 = 0x1;
const UNKNOWN: u32 = 0x2;
const DELALLOC: u32 = 0x4;
const ENCODED: u32 = 0x8;
const DATA_ENCRYPTED: u32 = 0x80;
const NOT_ALIGNED: u32 = 0x100;
const DATA_INLINE: u32 = 0x200;
const DATA_TAIL: u32 = 0x400;
const UNWRITTEN: u32 = 0x800;
const SHARED: u32 = 0x2000;

/// One mapped extent of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Where it is in the file, in bytes. The last one may reach past the end of the file.
    pub logical: Extent,
    /// Where it is on the disk, in bytes; meaningless unless [`Mapping::is_plain`].
    pub physical: u64,
    flags: u32,
}

impl Mapping {
    /// Allocated, but reads as zeros. What was written to it and is not on the disk yet can still
    /// be marked so: ask with `sync`, and let the caller decide whether it is a hole.
    pub fn is_unwritten(&self) -> bool {
        self.flags & UNWRITTEN != 0
    }

    /// Other files (or other places of this one) use the same blocks.
    pub fn is_shared(&self) -> bool {
        self.flags & SHARED != 0
    }

    /// The data lies inside the metadata of the file.
    pub fn is_inline(&self) -> bool {
        self.flags & (DATA_INLINE | DATA_TAIL) != 0
    }

    /// `physical` is where the bytes themselves are: on the disk, whole blocks, neither compressed
    /// nor encrypted, and not waiting for an allocation.
    pub fn is_plain(&self) -> bool {
        let not_plain = UNKNOWN | DELALLOC | ENCODED | DATA_ENCRYPTED | NOT_ALIGNED;
        self.flags & (not_plain | DATA_INLINE | DATA_TAIL) == 0
    }
}

/// The mapped extents of `file` that meet `range`, in order of their place in the file. With
/// `sync` the file is written to its disk first, so that nothing is delayed any more. One system
/// call for each 512 extents.
///
/// # Errors
/// `Unsupported` where the file system or device has no such map; otherwise what ioctl(2) says.
pub fn fiemap(file: &File, range: Extent, sync: bool) -> io::Result<Vec<Mapping>> {
    let flags = if sync { FLAG_SYNC } else { 0 };
    let mut call = FiemapCall::new();
    let mut out: Vec<Mapping> = Vec::new();
    let mut start = range.start;
    while start < range.end {
        let batch = call
            .run(file, start, range.end - start, flags)
            .map_err(|e| match e.raw_os_error() {
                Some(libc::EOPNOTSUPP | libc::ENOTTY | libc::EBADR) => {
                    io::ErrorKind::Unsupported.into()
                }
                _ => e,
            })?;
        let Some(last) = batch.last().copied() else {
            break;
        };
        for e in batch {
            let logical = Extent::new(e.logical, e.logical.saturating_add(e.length));
            // A file that changes under the call can make one batch overlap the one before.
            if out
                .last()
                .is_none_or(|before| before.logical.end <= logical.start)
            {
                out.push(Mapping {
                    logical,
                    physical: e.physical,
                    flags: e.flags & !LAST,
                });
            }
        }
        let end = last.logical.saturating_add(last.length);
        if last.flags & LAST != 0 || end <= start {
            break;
        }
        start = end;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    /// The map agrees with SEEK_DATA, beyond one batch too. The file system of the temporary
    /// folder decides whether this can be tried.
    #[test]
    fn many_extents_agree_with_seek_data() {
        let file = tempfile::tempfile_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        for i in 0..1500u64 {
            file.write_all_at(&[1; 4096], i * 8192).unwrap();
        }
        let range = Extent::new(0, 1500 * 8192);
        let map = match fiemap(&file, range, true) {
            Ok(map) => map,
            Err(e) if e.kind() == io::ErrorKind::Unsupported => {
                eprintln!("skipped: no FIEMAP here");
                return;
            }
            Err(e) => panic!("{e}"),
        };
        let mapped: crate::ExtentList = map.iter().map(|m| m.logical).collect();
        let data = crate::data_extents(&file, range.end).unwrap();
        assert!(data.difference(&mapped).is_empty());
        assert!(map.iter().all(|m| m.is_plain() && !m.is_shared()));
        let some = fiemap(&file, Extent::new(8192 * 7, 8192 * 9), false).unwrap();
        assert!(
            some.iter()
                .any(|m| m.logical.meets(Extent::new(8192 * 8, 8192 * 9)))
        );
    }

    #[test]
    fn unwritten_extents_are_marked() {
        let file = tempfile::tempfile_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let mode = nix::fcntl::FallocateFlags::empty();
        if nix::fcntl::fallocate(&file, mode, 0, 1 << 20).is_err() {
            eprintln!("skipped: no fallocate here");
            return;
        }
        let Ok(map) = fiemap(&file, Extent::new(0, 1 << 20), true) else {
            eprintln!("skipped: no FIEMAP here");
            return;
        };
        assert!(!map.is_empty() && map.iter().all(Mapping::is_unwritten));
    }
}
