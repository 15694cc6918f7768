//! One file that is compared: opened when it is needed, checked to be what the walk saw, read by
//! ranges. Parts that are holes are not read.

use crate::clones::{self, Blocks, FileSystem, Place};
use crate::limits::{Limits, Stock};
use crate::open;
use crate::problems::{Problem, Problems};
use crate::tree::Tree;
use blkcore::{Extent, next_data, read_up_to_at};
use cli::progress::Progress;
use rustix::fs::{Advice, FileType, OFlags, Stat, fadvise, fstat};
use rustix::io::Errno;
use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// Files up to this size may be read ahead as the kernel likes.
const READ_AHEAD: u64 = 16 * 1024;

/// What all comparisons share.
pub(crate) struct Scan<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) limits: &'a Limits,
    pub(crate) problems: &'a Problems,
    pub(crate) progress: &'a Progress,
    pub(crate) file_systems: Vec<FileSystem>,
}

impl<'a> Scan<'a> {
    /// Counts `each` bytes of `files` files as compared.
    pub(crate) fn count(&self, each: u64, files: usize) {
        // Sparse files may claim more in all than can be counted.
        self.progress.add(each.saturating_mul(files as u64));
    }

    pub(crate) fn new(
        tree: &'a Tree,
        limits: &'a Limits,
        problems: &'a Problems,
        progress: &'a Progress,
    ) -> Scan<'a> {
        let file_systems = tree
            .devices()
            .iter()
            .map(|_| FileSystem::default())
            .collect();
        Scan {
            tree,
            limits,
            problems,
            progress,
            file_systems,
        }
    }
}

/// What a thread keeps between two reads.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    path: Vec<u8>,
    /// Bytes of contents that reads returned.
    pub(crate) bytes_read: u64,
}

/// How files are being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// Here and there: nothing may be read ahead.
    Probing,
    /// From the front to the end.
    InStep,
}

/// What a range of a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// Only zeros; nothing was read, the buffer is untouched.
    Hole,
    /// The buffer is filled.
    Bytes,
}

/// A file in a class.
#[derive(Debug)]
pub(crate) struct Member<'a> {
    /// Its index among the files of the tree.
    pub(crate) file: u32,
    has_holes: bool,
    /// Times of the last change when it was opened first; 0 before.
    stamp: AtomicU64,
    kept: OnceLock<Box<Kept<'a>>>,
}

/// A file that stays open.
#[derive(Debug)]
struct Kept<'a> {
    file: File,
    blocks: Option<Mutex<Blocks>>,
    stock: &'a Stock,
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        self.stock.give(1);
    }
}

const CHANGED: Problem = Problem::Other("changed while it was read");

impl<'a> Member<'a> {
    pub(crate) fn new(scan: &Scan<'a>, file: u32) -> Member<'a> {
        Member {
            file,
            has_holes: scan.tree.files[file as usize].traits.is_sparse,
            stamp: AtomicU64::new(0),
            kept: OnceLock::new(),
        }
    }

    /// Calls `work` with the file, which stays open if there are descriptors enough.
    fn with_file<T>(
        &self,
        scan: &Scan<'a>,
        pattern: Pattern,
        reader: &mut Reader,
        work: impl FnOnce(&File, &mut Reader) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        if let Some(kept) = self.kept.get() {
            return work(&kept.file, reader);
        }
        let file = self.open(scan, reader)?;
        let found = &scan.tree.files[self.file as usize];
        if found.size > READ_AHEAD {
            // Advice only: without it the result is the same.
            let _ = fadvise(
                &file,
                0,
                None,
                match pattern {
                    Pattern::Probing => Advice::Random,
                    Pattern::InStep => Advice::Sequential,
                },
            );
        }
        let file_system = match found.size {
            clones::LEAST_SIZE.. => {
                let device = found.device as usize;
                scan.file_systems[device].of(&file, scan.tree.devices()[device])
            }
            _ => None,
        };
        if !scan.limits.open_files.take(1) {
            return work(&file, reader);
        }
        let blocks = file_system
            .and_then(|id| Blocks::of(&file, found.size, id))
            .map(Mutex::new);
        let stock = &scan.limits.open_files;
        let kept = Box::new(Kept {
            file,
            blocks,
            stock,
        });
        work(&self.kept.get_or_init(|| kept).file, reader)
    }

    fn open(&self, scan: &Scan, reader: &mut Reader) -> Result<File, Problem> {
        let found = &scan.tree.files[self.file as usize];
        scan.tree.path_of(found, &mut reader.path);
        // Should it be a fifo or a terminal by now, nothing waits and nothing is taken over.
        let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        if !found.traits.is_operand {
            flags |= OFlags::NOFOLLOW;
        }
        let opened = match found.traits.is_own {
            true => open::open(&reader.path, flags | OFlags::NOATIME),
            false => Err(Errno::PERM),
        };
        let fd = match opened {
            Err(Errno::PERM) => open::open(&reader.path, flags)?,
            opened => opened?,
        };
        let stat = fstat(&fd)?;
        let device = scan.tree.devices()[found.device as usize];
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile
            || (stat.st_dev, stat.st_ino) != (device, found.inode)
        {
            return Err(Problem::Other("replaced by another file during the run"));
        }
        if stat.st_size as u64 != found.size {
            return Err(Problem::Other("its size changed during the run"));
        }
        let stamp = stamp(&stat);
        match self.stamp.swap(stamp, Relaxed) {
            before if before == 0 || before == stamp => Ok(File::from(fd)),
            _ => Err(CHANGED),
        }
    }

    /// Reads `range` into `buf`, which has its length.
    pub(crate) fn fetch(
        &self,
        scan: &Scan<'a>,
        range: Extent,
        pattern: Pattern,
        buf: &mut [u8],
        reader: &mut Reader,
    ) -> Result<Fetched, Problem> {
        self.with_file(scan, pattern, reader, |file, reader| {
            if !self.has_holes {
                return fill(file, buf, range.start, reader).map(|()| Fetched::Bytes);
            }
            let mut at = range.start;
            let mut fetched = Fetched::Hole;
            while at < range.end {
                let data = match next_data(file, at, range.end) {
                    Ok(data) => data,
                    Err(e) if e.kind() == std::io::ErrorKind::Unsupported => {
                        Some(Extent::new(at, range.end))
                    }
                    Err(e) => return Err(e.into()),
                };
                let data = data.unwrap_or(Extent::new(range.end, range.end));
                if data.is_empty() && fetched == Fetched::Hole {
                    break;
                }
                let index = |offset: u64| (offset - range.start) as usize;
                fetched = Fetched::Bytes;
                buf[index(at)..index(data.start)].fill(0);
                fill(
                    file,
                    &mut buf[index(data.start)..index(data.end)],
                    data.start,
                    reader,
                )?;
                at = data.end;
            }
            Ok(fetched)
        })
    }

    /// Where the next data is, at or after `from`: only a hole is before it.
    pub(crate) fn next_data(&self, scan: &Scan<'a>, from: u64, reader: &mut Reader) -> u64 {
        if !self.has_holes {
            return from;
        }
        let size = scan.tree.files[self.file as usize].size;
        let next = self.with_file(scan, Pattern::InStep, reader, |file, _| {
            Ok(next_data(file, from, size)?.map_or(size, |data| data.start))
        });
        next.unwrap_or(from)
    }

    /// Prepares an open file for being read from front to end.
    pub(crate) fn start_in_step(&mut self, scan: &Scan) {
        let Some(kept) = self.kept.get() else { return };
        let size = scan.tree.files[self.file as usize].size;
        let _ = fadvise(&kept.file, 0, None, Advice::Sequential);
        // Space that is allocated but was never written is a hole too.
        let whole = Some(Extent::new(0, size));
        self.has_holes |= matches!(next_data(&kept.file, 0, size), Ok(data) if data != whole);
    }

    /// Where `range` lies on the disk, if it is shared with another file.
    pub(crate) fn place(&self, range: Extent) -> Option<Place> {
        let kept = self.kept.get()?;
        let blocks = kept.blocks.as_ref()?;
        lock(blocks).place(&kept.file, range)
    }

    /// Opens it where the file system can share blocks; whether it does share some.
    pub(crate) fn find_blocks(
        &self,
        scan: &Scan<'a>,
        reader: &mut Reader,
    ) -> Result<bool, Problem> {
        let found = &scan.tree.files[self.file as usize];
        if scan.file_systems[found.device as usize].known() != Some(None) {
            self.with_file(scan, Pattern::Probing, reader, |_, _| Ok(()))?;
        }
        Ok(self.blocks().is_some())
    }

    /// Up to where this file and `other` share their blocks from `start`.
    pub(crate) fn shares_until(&self, other: &Member, start: u64) -> u64 {
        match (self.blocks(), other.blocks()) {
            (Some(ours), Some(theirs)) => lock(ours).agree_until(&lock(theirs), start),
            _ => start,
        }
    }

    fn blocks(&self) -> Option<&Mutex<Blocks>> {
        self.kept.get()?.blocks.as_ref()
    }

    /// Whether it is as it was when it was opened.
    pub(crate) fn check(&self, scan: &Scan<'a>, reader: &mut Reader) -> Result<(), Problem> {
        let before = self.stamp.load(Relaxed);
        self.with_file(scan, Pattern::InStep, reader, |file, _| {
            let stat = fstat(file)?;
            let same = stamp(&stat) == before;
            if same { Ok(()) } else { Err(CHANGED) }
        })
    }

    /// Reports why it cannot be compared.
    pub(crate) fn failed(&self, scan: &Scan<'a>, problem: &Problem) {
        let mut path = Vec::new();
        scan.tree
            .path_of(&scan.tree.files[self.file as usize], &mut path);
        scan.problems.failed(&path, problem);
    }
}

fn lock(blocks: &Mutex<Blocks>) -> MutexGuard<'_, Blocks> {
    blocks.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Fills `buf` from `offset` and counts what was read.
fn fill(file: &File, buf: &mut [u8], offset: u64, reader: &mut Reader) -> Result<(), Problem> {
    match read_up_to_at(file, buf, offset) {
        Ok(read) => {
            reader.bytes_read += read as u64;
            let complete = read == buf.len();
            if complete {
                Ok(())
            } else {
                Err(Problem::Other("became shorter while it was read"))
            }
        }
        Err(at) => {
            reader.bytes_read += at.offset - offset;
            Err(at.error.into())
        }
    }
}

/// The times of the last changes of contents and inode and the size, mixed into one number that is not 0.
fn stamp(stat: &Stat) -> u64 {
    let mut mixed = 0u64;
    for part in [
        stat.st_mtime as u64,
        stat.st_mtime_nsec,
        stat.st_ctime as u64,
        stat.st_ctime_nsec,
        stat.st_size as u64,
    ] {
        mixed = (mixed.rotate_left(23) ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    mixed | 1
}
