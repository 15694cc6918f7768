//! Which parts of a file hold data, by lseek(2) with SEEK_DATA and SEEK_HOLE.
//!
//! The kernel promises that what it calls a hole reads as zeros; it may call zeros data.

use crate::{Extent, ExtentList};
use nix::errno::Errno;
use nix::unistd::{Whence, lseek};
use std::fs::File;
use std::io;

/// The next extent of data at or after `from` and below `len`, clipped to both; `None` when only a
/// hole follows. Moves the file offset.
///
/// # Errors
/// `Unsupported` where the file has no map (block devices, pipes, some file systems); otherwise
/// what lseek(2) says.
pub fn next_data(file: &File, from: u64, len: u64) -> io::Result<Option<Extent>> {
    if from >= len {
        return Ok(None);
    }
    let offset = i64::try_from(from).map_err(|_| io::ErrorKind::InvalidInput)?;
    let start = match lseek(file, offset, Whence::SeekData) {
        Ok(start) => start as u64,
        Err(Errno::ENXIO) => return Ok(None),
        Err(Errno::EINVAL | Errno::ESPIPE | Errno::EOPNOTSUPP) => {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Err(e) => return Err(e.into()),
    };
    if start >= len {
        return Ok(None);
    }
    let end = match lseek(file, start as i64, Whence::SeekHole) {
        Ok(end) => end as u64,
        // The file was cut short between the two calls: what is behind its end cannot be read.
        Err(Errno::ENXIO) => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    // A hole punched between the two calls can make both answers equal; one byte of data moves on.
    Ok(Some(Extent::new(start, end.max(start + 1).min(len))))
}

/// All extents of data of `file` below `len`. Two system calls an extent.
///
/// # Errors
/// As [`next_data`].
pub fn data_extents(file: &File, len: u64) -> io::Result<ExtentList> {
    let mut list = ExtentList::new();
    let mut from = 0;
    while let Some(extent) = next_data(file, from, len)? {
        list.push(extent);
        from = extent.end;
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn holes_and_data_of_a_sparse_file() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 40).unwrap();
        file.write_all_at(&[1; 100], 1 << 20).unwrap();
        file.write_all_at(&[1], (1 << 40) - 1).unwrap();
        let list = data_extents(&file, 1 << 40).unwrap();
        assert!(list.total() < 1 << 20, "{list:?}");
        assert!(list.contains(1 << 20) && list.contains((1 << 40) - 1) && !list.contains(0));
        let below = data_extents(&file, (1 << 20) + 10).unwrap();
        assert_eq!(below.iter().last().unwrap().end, (1 << 20) + 10);
        assert!(next_data(&file, 1 << 21, 1 << 30).unwrap().is_none());
    }

    #[test]
    fn empty_files_and_pipes() {
        let file = tempfile::tempfile().unwrap();
        assert!(data_extents(&file, 0).unwrap().is_empty());
        assert!(data_extents(&file, 10).unwrap().is_empty());
        let (reader, _writer) = io::pipe().unwrap();
        let pipe = File::from(std::os::fd::OwnedFd::from(reader));
        assert_eq!(
            data_extents(&pipe, 10).unwrap_err().kind(),
            io::ErrorKind::Unsupported
        );
    }
}
