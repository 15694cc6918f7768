//! One file that cmp reads: from front to end, by offset where it has offsets, and without reading
//! its holes.

use blkcore::{Extent, next_data, read_up_to_at};
use cli::input;
use rustix::fs::{
    Advice, CWD, FileType, Mode, OFlags, SeekFrom, Stat, fadvise, fstat, major, makedev, minor,
    openat, seek,
};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;

use super::number::HUGE;

/// Bytes of a read: at first, so that an early difference costs little, and at most.
const READ_MIN: usize = 4 << 10;
const READ_MAX: usize = 256 << 10;

/// Holes are asked about behind so many bytes: at once in a file that is known to have some, later
/// in another one, which may have space that was never written.
const ASK_SPARSE: u64 = 64 << 10;
const ASK_DENSE: u64 = 1 << 20;

/// A smaller hole is read: that costs no more than asking.
const HOLE_MIN: u64 = 64 << 10;

/// What GNU tools have for a closed standard input: `/dev/full`, opened for writing only.
const FULL: (u32, u32) = (1, 7);

#[derive(Debug)]
pub(super) struct Input {
    pub(super) name: OsString,
    /// `None` for standard input where that was closed.
    file: Option<File>,
    stat: Option<Stat>,
    is_stdin: bool,
    skip: u64,
    /// Where reading begins, if the file has positions.
    pub(super) start: Option<u64>,
    /// Whether it is read by offset.
    is_random: bool,
    /// Bytes behind `start` that were read, or were not since they are a hole.
    taken: u64,
    /// The last answer about holes: up to its start nothing but a hole, up to its end data.
    data: Extent,
    block: usize,
    buffer: Vec<u8>,
    window: Window,
    trouble: Option<io::Error>,
}

/// What was taken and not compared yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Window {
    Empty,
    Bytes(Range<usize>),
    /// So many zeros of a hole.
    Zeros(u64),
    End,
}

/// Bytes that can be looked at.
#[derive(Clone, Copy, Debug)]
pub(super) enum View<'a> {
    Bytes(&'a [u8]),
    Zeros,
}

impl Input {
    /// Opens a file; `-` is standard input. It is positioned by [`Input::seek`].
    pub(super) fn open(name: &OsStr, skip: u64) -> Result<Input, Errno> {
        let is_stdin = name == "-";
        let file = match is_stdin {
            true => input::descriptor().ok().map(File::from),
            false => {
                let flags = OFlags::RDONLY | OFlags::CLOEXEC;
                Some(File::from(openat(
                    CWD,
                    name.as_bytes(),
                    flags,
                    Mode::empty(),
                )?))
            }
        };
        let stat = file.as_ref().map(fstat).transpose()?;
        Ok(Input {
            name: name.to_owned(),
            file,
            stat,
            is_stdin,
            skip,
            start: None,
            is_random: false,
            taken: 0,
            data: Extent::new(0, 0),
            block: READ_MIN,
            buffer: Vec::new(),
            window: Window::Empty,
            trouble: None,
        })
    }

    /// Skips what is to be skipped, if that needs no reading.
    pub(super) fn seek(&mut self) {
        let Some(file) = &self.file else {
            self.start = Some(0);
            return;
        };
        if let Ok(skip) = i64::try_from(self.skip) {
            self.start = seek(file, SeekFrom::Current(skip)).ok();
        }
        self.is_random = self.start.is_some() && (self.is_regular() || self.is_block_device());
    }

    /// Skips by reading what could not be skipped otherwise.
    pub(super) fn skip(&mut self) -> io::Result<()> {
        if self.start.is_some() {
            return Ok(());
        }
        if self.skip > i64::MAX as u64 / 2 && self.is_regular() {
            self.window = Window::End;
            return Ok(());
        }
        if self.skip == HUGE {
            return Err(Errno::OVERFLOW.into());
        }
        while self.taken < self.skip && self.window != Window::End {
            self.fill(self.skip)?;
            self.window = match self.window {
                Window::End => Window::End,
                _ => Window::Empty,
            };
        }
        self.taken = 0;
        self.block = READ_MIN;
        Ok(())
    }

    /// Tries to read nothing, which shows whether it can be read.
    pub(super) fn probe(&self) -> io::Result<()> {
        let file = self.file.as_ref().ok_or(Errno::BADF)?;
        rustix::io::read(file, &mut [0; 0])
            .map(drop)
            .map_err(io::Error::from)
    }

    /// Has a window that is not empty, if there are bytes before `limit`, which counts from the
    /// start.
    pub(super) fn fill(&mut self, limit: u64) -> io::Result<()> {
        if self.window != Window::Empty {
            return Ok(());
        }
        if let Some(error) = self.trouble.take() {
            return Err(error);
        }
        let left = limit - self.taken;
        let hole = self.hole().min(left);
        if hole > 0 {
            self.taken += hole;
            self.window = Window::Zeros(hole);
            return Ok(());
        }
        let file = self.file.as_ref().ok_or(Errno::BADF)?;
        if self.buffer.len() < self.block {
            // What it held is not needed any more; new zeros cost nothing.
            self.buffer = vec![0; self.block];
        }
        let buf =
            &mut self.buffer[..usize::try_from(left).map_or(self.block, |l| l.min(self.block))];
        let read = match self.start {
            Some(start) if self.is_random => {
                match read_up_to_at(file, buf, start.saturating_add(self.taken)) {
                    Ok(read) => read,
                    Err(at) => {
                        let read = (at.offset - start - self.taken) as usize;
                        if read == 0 {
                            return Err(at.error);
                        }
                        // What was read before comes first.
                        self.trouble = Some(at.error);
                        read
                    }
                }
            }
            _ => read_once(file, buf)?,
        };
        self.window = match read {
            0 => Window::End,
            _ => Window::Bytes(0..read),
        };
        self.taken += read as u64;
        if read == self.block {
            self.block = READ_MAX.min(self.block * 4);
        }
        Ok(())
    }

    /// How many zeros of a hole come next that need not be read.
    fn hole(&mut self) -> u64 {
        let (Some(file), Some(start), Some(stat)) = (&self.file, self.start, &self.stat) else {
            return 0;
        };
        let (at, size) = (start.saturating_add(self.taken), stat.st_size as u64);
        let is_sparse = (stat.st_blocks as u64).saturating_mul(512) < size;
        let ask_behind = if is_sparse { ASK_SPARSE } else { ASK_DENSE };
        if !self.is_random || !self.is_regular() || self.taken < ask_behind || at >= size {
            return 0;
        }
        if at >= self.data.end {
            if self.data.is_empty() {
                // The first question comes when it is clear that much will be read. Advice only.
                let _ = fadvise(file, 0, None, Advice::Sequential);
            }
            self.data = match next_data(file, at, size) {
                Ok(Some(data)) => data,
                Ok(None) if file.metadata().is_ok_and(|meta| meta.len() >= size) => {
                    Extent::new(size, size)
                }
                // No map, or the file was cut meanwhile: all of it is read.
                Ok(None) | Err(_) => Extent::new(at, u64::MAX),
            };
        }
        match self.data.start.saturating_sub(at) {
            hole if hole >= HOLE_MIN || self.data.start == size => hole,
            _ => 0,
        }
    }

    pub(super) fn window(&self) -> &Window {
        &self.window
    }

    /// How many bytes can be compared now.
    pub(super) fn available(&self) -> u64 {
        match &self.window {
            Window::Bytes(range) => range.len() as u64,
            Window::Zeros(count) => *count,
            Window::Empty | Window::End => 0,
        }
    }

    /// The first `len` bytes of what is available.
    pub(super) fn view(&self, len: u64) -> View<'_> {
        match &self.window {
            Window::Bytes(range) => {
                let bytes = &self.buffer[range.clone()];
                View::Bytes(&bytes[..bytes.len().min(len as usize)])
            }
            _ => View::Zeros,
        }
    }

    /// Goes on behind the next `len` bytes, which are available.
    pub(super) fn consume(&mut self, len: u64) {
        self.window = match self.window.clone() {
            Window::Bytes(range) if range.len() as u64 > len => {
                Window::Bytes(range.start + len as usize..range.end)
            }
            Window::Zeros(count) if count > len => Window::Zeros(count - len),
            Window::End => Window::End,
            _ => Window::Empty,
        };
    }

    /// Goes on behind `len` bytes of which nothing was taken.
    pub(super) fn pass(&mut self, len: u64) {
        self.taken += len;
    }

    /// Leaves a standard input that has positions behind the last block of 4096 bytes that had to be
    /// read, as a tool that reads such blocks does: the next program goes on there. `is_read` says
    /// whether the block behind `compared` was read.
    pub(super) fn leave_behind(&self, compared: u64, is_read: bool, limit: u64) {
        let (Some(file), Some(start), Some(stat)) = (&self.file, self.start, &self.stat) else {
            return;
        };
        if self.is_stdin && self.is_random {
            let mut seen = ((compared / 4096 + u64::from(is_read)) * 4096).min(limit);
            if self.is_regular() {
                seen = seen.min((stat.st_size as u64).saturating_sub(start).max(compared));
            }
            // Not all who share it need this; there is nothing to say if it fails.
            let _ = seek(file, SeekFrom::Start(start.saturating_add(seen)));
        }
    }

    fn kind(&self) -> FileType {
        match &self.stat {
            Some(stat) => FileType::from_raw_mode(stat.st_mode),
            None => FileType::CharacterDevice,
        }
    }

    pub(super) fn is_regular(&self) -> bool {
        self.kind() == FileType::RegularFile
    }

    fn is_block_device(&self) -> bool {
        self.kind() == FileType::BlockDevice
    }

    /// How many bytes a regular file that has positions has behind its start; negative if it
    /// starts behind its end. Files of the kernel (`/proc`) say 0 and hold more: that is not known.
    pub(super) fn bytes_left(&self) -> Option<i64> {
        let (start, stat) = (self.start?, self.stat.as_ref()?);
        let is_known = self.is_regular() && stat.st_size > 0;
        is_known.then(|| stat.st_size.saturating_sub_unsigned(start))
    }

    /// Whether both read the same bytes from the same place.
    pub(super) fn is_same(&self, other: &Input) -> bool {
        let same_file = match (&self.stat, &other.stat) {
            (Some(a), Some(b)) => same_file(a, b),
            (None, None) => true,
            (None, Some(stat)) | (Some(stat), None) => {
                is_device(stat, FULL) && self.kind() == other.kind()
            }
        };
        same_file && self.start == other.start
    }

    /// The file, its status and the offset of what is taken next, where it is a regular file.
    pub(super) fn place(&self) -> Option<(&File, &Stat, u64)> {
        let at = self.start?.saturating_add(self.taken);
        let is_regular = self.is_random && self.is_regular();
        Some((
            self.file.as_ref().filter(|_| is_regular)?,
            self.stat.as_ref()?,
            at,
        ))
    }
}

/// The same inode without a change in between, as GNU cmp looks at it.
fn same_file(a: &Stat, b: &Stat) -> bool {
    let attributes = |s: &Stat| (s.st_mode, s.st_nlink, s.st_uid, s.st_gid, s.st_size);
    let times = |s: &Stat| (s.st_mtime, s.st_ctime);
    let special = |s: &Stat| {
        let kind = FileType::from_raw_mode(s.st_mode);
        let is_device = matches!(kind, FileType::BlockDevice | FileType::CharacterDevice);
        is_device.then_some((kind, s.st_rdev))
    };
    let same = (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)
        || special(a).is_some() && special(a) == special(b);
    same && attributes(a) == attributes(b) && times(a) == times(b)
}

fn is_device(stat: &Stat, (first, second): (u32, u32)) -> bool {
    stat.st_rdev == makedev(first, second)
}

/// Whether what is written to a descriptor with this status goes to `/dev/null`.
pub(super) fn is_null_device(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && (major(stat.st_rdev), minor(stat.st_rdev)) == (1, 3)
}

fn read_once(file: &File, buf: &mut [u8]) -> io::Result<usize> {
    loop {
        match rustix::io::read(file, &mut *buf) {
            Err(Errno::INTR) => {}
            read => return Ok(read?),
        }
    }
}
