//! Local headers, which stand before the data of entries (APPNOTE.TXT 4.3.7).

use std::io;

use crate::archive::{Archive, LOCAL, u16_at, u32_at};
use crate::directory::{Entry, FLAG_STREAMED};
use crate::extra;

/// What a local header says, with what only the directory knows filled in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Local {
    pub(crate) flags: u16,
    pub(crate) method: u16,
    pub(crate) dos_time: u32,
    pub(crate) crc: u32,
    pub(crate) packed: u64,
    pub(crate) size: u64,
    pub(crate) name: Vec<u8>,
    pub(crate) extra: Vec<u8>,
    /// Where the header begins in the file.
    pub(crate) start: u64,
    /// Where the data begin.
    pub(crate) data: u64,
    /// The zip64 field is too short.
    pub(crate) corrupt_extra: bool,
}

impl Local {
    pub(crate) fn end(&self) -> u64 {
        self.data.saturating_add(self.packed)
    }
}

/// Why there is no local header.
#[derive(Debug)]
pub(crate) enum Missing {
    /// The file ends before it.
    BeyondEnd,
    /// Something else stands there.
    OtherSignature,
    /// The file ends within it.
    Cut,
    Read(io::Error),
}

/// Reads headers through a window, since those of small entries lie close together.
#[derive(Debug)]
pub(crate) struct Headers<'a> {
    archive: &'a Archive,
    window: Vec<u8>,
    start: u64,
}

const WINDOW: usize = 32 << 10;
/// Headers farther apart than this are read one by one.
const NEAR: u64 = 16 << 10;
/// Enough for a header with a name and extra fields of usual length.
const LEAST: usize = 512;

impl<'a> Headers<'a> {
    pub(crate) fn new(archive: &'a Archive) -> Headers<'a> {
        Headers {
            archive,
            window: Vec::new(),
            start: 0,
        }
    }

    /// `len` bytes at `at`, less at the end of the file.
    fn bytes(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        let end = self.start + self.window.len() as u64;
        if at < self.start || at.saturating_add(len as u64) > end {
            let window = if at.abs_diff(end) < NEAR {
                WINDOW
            } else {
                LEAST
            };
            self.window.resize(window.max(len), 0);
            let read = self.archive.read_at(&mut self.window, at)?;
            self.window.truncate(read);
            self.start = at;
        }
        let from = (at - self.start) as usize;
        let to = self.window.len().min(from + len);
        Ok(&self.window[from.min(to)..to])
    }

    /// The header at `at` of an entry of the directory.
    pub(crate) fn read(&mut self, entry: &Entry, at: u64) -> Result<Local, Missing> {
        if at >= self.archive.len {
            return Err(Missing::BeyondEnd);
        }
        let head = self.bytes(at, 30).map_err(Missing::Read)?;
        match head.first_chunk::<4>() {
            None => return Err(Missing::BeyondEnd),
            Some(signature) if *signature != LOCAL => return Err(Missing::OtherSignature),
            Some(_) => {}
        }
        if head.len() < 30 {
            return Err(Missing::Cut);
        }
        let (name, extra) = (usize::from(u16_at(head, 26)), usize::from(u16_at(head, 28)));
        let mut local = Local {
            flags: u16_at(head, 6),
            method: u16_at(head, 8),
            dos_time: u32_at(head, 10),
            crc: u32_at(head, 14),
            packed: u32_at(head, 18).into(),
            size: u32_at(head, 22).into(),
            start: at,
            data: at + (30 + name + extra) as u64,
            ..Local::default()
        };
        let rest = self.bytes(at + 30, name + extra).map_err(Missing::Read)?;
        let Some((name, extra)) = rest.split_at_checked(name) else {
            return Err(Missing::Cut);
        };
        (local.name, local.extra) = (name.to_vec(), extra.to_vec());
        if local.flags & FLAG_STREAMED != 0 {
            // What stands here is not known to be right.
            (local.crc, local.packed, local.size) = (entry.crc, entry.packed, entry.size);
        } else {
            let widened = extra::widen(&local.extra, &mut [&mut local.size, &mut local.packed]);
            local.corrupt_extra = widened.is_err();
        }
        Ok(local)
    }
}
