//! Making ranges of a file or block device read as zeros, by the cheapest way that works there.

use crate::{At, Description, Extent, Kind, sys, write_full_at};
use nix::fcntl::{FallocateFlags, fallocate};
use std::fs::File;
use std::io;

/// Zeros written in one call.
const PIECE: u64 = 256 << 10;

/// How a range was made zero, cheapest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// fallocate(2) with FALLOC_FL_PUNCH_HOLE: the blocks are given back. Works on block devices
    /// that zero or discard by themselves.
    Punch,
    /// fallocate(2) with FALLOC_FL_ZERO_RANGE: the blocks are kept.
    ZeroRange,
    /// The BLKZEROOUT ioctl; only block devices.
    ZeroOut,
    /// Plain zeros.
    Write,
}

/// Makes ranges zero, and remembers what the target can do: a way that is not supported is tried
/// once. Discarding is never trusted to make zeros.
#[derive(Debug)]
pub struct Clearer {
    kind: Kind,
    sector: u64,
    method: Method,
    zeros: Vec<u8>,
}

impl Clearer {
    /// For the target that `description` is of.
    pub fn new(description: &Description) -> Clearer {
        let method = match description.kind {
            Kind::File | Kind::Block => Method::Punch,
            Kind::Directory | Kind::Stream => Method::Write,
        };
        let sector = description.logical_sector;
        Clearer {
            kind: description.kind,
            sector,
            method,
            zeros: Vec::new(),
        }
    }

    /// The way that is in use now.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Makes `range` read as zeros and returns how many bytes of zeros had to be written for it.
    /// The range must lie within the size of the target: nothing is ever made longer or shorter.
    /// Parts of a block device's sectors at its ends are written plainly.
    ///
    /// # Errors
    /// The offset and what the kernel said, unless it said that a way is not supported.
    pub fn clear(&mut self, file: &File, range: Extent) -> Result<u64, At> {
        let start = range.start.next_multiple_of(self.sector).min(range.end);
        let end = (range.end - range.end % self.sector).max(start);
        let mut written = self.write(file, Extent::new(range.start, start))?;
        let inner = Extent::new(start, end);
        while !inner.is_empty() {
            let done = match self.method {
                Method::Punch => allocate(file, inner, FallocateFlags::FALLOC_FL_PUNCH_HOLE),
                Method::ZeroRange => allocate(file, inner, FallocateFlags::FALLOC_FL_ZERO_RANGE),
                Method::ZeroOut => sys::zero_out(file, inner.start, inner.len()),
                Method::Write => {
                    written += self.write(file, inner)?;
                    break;
                }
            };
            match done {
                Ok(()) => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if is_unsupported(&e) => self.method = self.next_method(),
                // A mounted device refuses what would go around its file system's back; writes it
                // takes.
                Err(e) if self.kind == Kind::Block && is_busy(&e) => {
                    self.method = self.next_method();
                }
                Err(error) => {
                    return Err(At {
                        offset: inner.start,
                        error,
                    });
                }
            }
        }
        Ok(written + self.write(file, Extent::new(end, range.end))?)
    }

    fn next_method(&self) -> Method {
        match (self.method, self.kind) {
            (Method::Punch, _) => Method::ZeroRange,
            (Method::ZeroRange, Kind::Block) => Method::ZeroOut,
            _ => Method::Write,
        }
    }

    fn write(&mut self, file: &File, range: Extent) -> Result<u64, At> {
        if !range.is_empty() && self.zeros.is_empty() {
            self.zeros = vec![0; PIECE as usize];
        }
        for piece in range.blocks(PIECE) {
            write_full_at(file, &self.zeros[..piece.len() as usize], piece.start)?;
        }
        Ok(range.len())
    }
}

fn allocate(file: &File, range: Extent, mode: FallocateFlags) -> io::Result<()> {
    let offset = |n: u64| i64::try_from(n).map_err(|_| io::ErrorKind::InvalidInput);
    let mode = mode | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    fallocate(file, mode, offset(range.start)?, offset(range.len())?)?;
    Ok(())
}

/// What kernels and drivers answer when they cannot do it at all. (EINVAL: a device whose unit of
/// zeroing is larger than its sector.)
fn is_unsupported(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EOPNOTSUPP | libc::ENOSYS | libc::ENODEV | libc::ENOTTY | libc::EINVAL)
    )
}

fn is_busy(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EBUSY)
}

/// Tells a block device that the bytes of `range` are not needed any more; what is read there
/// afterwards is undefined. `range` is cut to whole units of the device's discard granularity.
/// Returns whether the device can discard.
///
/// # Errors
/// What the BLKDISCARD ioctl says, unless it is not supported.
pub fn discard(file: &File, description: &Description, range: Extent) -> io::Result<bool> {
    let unit = description
        .discard_granularity
        .max(description.logical_sector);
    if description.kind != Kind::Block || description.discard_granularity == 0 {
        return Ok(false);
    }
    let start = range.start.next_multiple_of(unit);
    let end = range.end - range.end % unit;
    if start >= end {
        return Ok(true);
    }
    match sys::discard(file, start, end - start) {
        Ok(()) => Ok(true),
        Err(e) if is_unsupported(&e) => Ok(false),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{describe, is_zero, read_full_at};

    #[test]
    fn every_way_leaves_zeros_in_the_range_and_nothing_else() {
        for first in [Method::Punch, Method::ZeroRange, Method::Write] {
            let file = tempfile::tempfile().unwrap();
            write_full_at(&file, &[0xff; 100_000], 0).unwrap();
            let mut clearer = Clearer::new(&describe(&file).unwrap());
            clearer.method = first;
            let range = Extent::new(1000, 90_001);
            let written = clearer.clear(&file, range).unwrap();
            assert!(written == 0 || clearer.method() == Method::Write);
            let mut bytes = vec![0; 100_000];
            read_full_at(&file, &mut bytes, 0).unwrap();
            assert!(is_zero(&bytes[1000..90_001]));
            assert!(
                bytes[..1000]
                    .iter()
                    .chain(&bytes[90_001..])
                    .all(|b| *b == 0xff)
            );
            assert_eq!(file.metadata().unwrap().len(), 100_000);
        }
    }

    #[test]
    fn what_is_not_supported_is_tried_once() {
        let memory = File::options()
            .read(true)
            .write(true)
            .open("/dev/null")
            .unwrap();
        let mut description = describe(&tempfile::tempfile().unwrap()).unwrap();
        description.kind = Kind::Block;
        description.logical_sector = 512;
        let mut clearer = Clearer::new(&description);
        assert_eq!(
            clearer.clear(&memory, Extent::new(100, 5000)).unwrap(),
            4900
        );
        assert_eq!(clearer.method(), Method::Write);
        assert!(!discard(&memory, &description, Extent::new(0, 4096)).unwrap());
    }

    #[test]
    fn errors_have_their_offset() {
        let read_only = File::open(std::env::current_exe().unwrap()).unwrap();
        let mut clearer = Clearer::new(&describe(&read_only).unwrap());
        assert_eq!(
            clearer
                .clear(&read_only, Extent::new(7, 9))
                .unwrap_err()
                .offset,
            7
        );
    }
}
