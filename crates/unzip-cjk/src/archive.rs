//! The archive as a file that is read at positions, and the record at its end.
//!
//! Formats are those of PKWARE's APPNOTE.TXT, sections 4.3.14 to 4.3.16. Which of several
//! signatures is taken for the end record follows Info-ZIP, but for one thing: a record that cannot
//! be right (a signature inside the comment of the archive) is passed over if there is a better one.

use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

pub(crate) const CENTRAL: [u8; 4] = *b"PK\x01\x02";
pub(crate) const LOCAL: [u8; 4] = *b"PK\x03\x04";
const END: [u8; 4] = *b"PK\x05\x06";
const END_64: [u8; 4] = *b"PK\x06\x06";
const LOCATOR_64: [u8; 4] = *b"PK\x06\x07";

/// Bytes of an end record without its comment.
const END_LEN: u64 = 22;
/// How far from the end Info-ZIP looks for the end record when it does not list for analysis.
const TAIL: u64 = 66_000;
/// Info-ZIP reads in blocks; the search for the end record goes down to the start of one.
pub(crate) const BLOCK: u64 = 8192;

/// An open archive.
#[derive(Debug)]
pub(crate) struct Archive {
    file: File,
    /// As messages show it.
    pub(crate) name: Vec<u8>,
    pub(crate) len: u64,
}

impl Archive {
    pub(crate) fn new(file: File, path: &Path) -> io::Result<Archive> {
        let len = file.metadata()?.len();
        let name = path.as_os_str().as_bytes().to_vec();
        Ok(Archive { file, name, len })
    }

    /// Fills `buffer` from `offset`, or less of it at the end of the file; returns how much.
    pub(crate) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self
                .file
                .read_at(&mut buffer[done..], offset.saturating_add(done as u64))
            {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    /// `N` bytes at `offset`; `None` where the file ends before.
    pub(crate) fn array<const N: usize>(&self, offset: u64) -> io::Result<Option<[u8; N]>> {
        let mut bytes = [0; N];
        let read = self.read_at(&mut bytes, offset)?;
        Ok((read == N).then_some(bytes))
    }
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// The end record, with what the zip64 record says in place of values that do not fit.
#[derive(Clone, Debug, Default)]
pub(crate) struct End {
    pub(crate) disk: u32,
    pub(crate) directory_disk: u32,
    pub(crate) entries_here: u64,
    pub(crate) entries: u64,
    pub(crate) directory_size: u64,
    pub(crate) directory_offset: u64,
    pub(crate) comment_len: u16,
    /// Shorter than `comment_len` if the file ends before.
    pub(crate) comment: Vec<u8>,
    /// Where the end begins: the zip64 record if there is one, else the end record.
    pub(crate) at: u64,
    /// The bytes of the end record, of a zip64 locator before it, and of its comment.
    pub(crate) span: (u64, u64),
    /// The bytes of the zip64 record.
    pub(crate) span_64: Option<(u64, u64)>,
    /// A value did not fit into the end record.
    pub(crate) is_64: bool,
}

/// What the zip64 record has to say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Zip64 {
    /// Not there, not believed, or taken over.
    Fine,
    /// Announced, but not where it should be; found before its locator.
    Moved,
    /// Announced and not to be found.
    Broken,
}

impl End {
    /// Looks for the end record, in the whole file if `everywhere`.
    pub(crate) fn find(archive: &Archive, everywhere: bool) -> io::Result<Option<End>> {
        let len = archive.len;
        if len < END_LEN {
            return Ok(None);
        }
        let lowest = if everywhere || len <= BLOCK {
            0
        } else {
            let tail = len % BLOCK;
            let blocks = (len.min(TAIL) - tail).div_ceil(BLOCK);
            len.saturating_sub(tail + blocks * BLOCK)
        };
        let mut nearest = None;
        let mut before = len - END_LEN + 1;
        while let Some(at) = find_backwards(archive, lowest, before)? {
            let Some(end) = End::read(archive, at)? else {
                break;
            };
            if end.is_plausible(archive)? {
                return Ok(Some(end));
            }
            nearest.get_or_insert(end);
            before = at;
        }
        Ok(nearest)
    }

    fn read(archive: &Archive, at: u64) -> io::Result<Option<End>> {
        let Some(bytes) = archive.array::<{ END_LEN as usize }>(at)? else {
            return Ok(None);
        };
        let comment_len = u16_at(&bytes, 20);
        let mut comment = vec![0; usize::from(comment_len)];
        let read = archive.read_at(&mut comment, at + END_LEN)?;
        comment.truncate(read);
        Ok(Some(End {
            disk: u16_at(&bytes, 4).into(),
            directory_disk: u16_at(&bytes, 6).into(),
            entries_here: u16_at(&bytes, 8).into(),
            entries: u16_at(&bytes, 10).into(),
            directory_size: u32_at(&bytes, 12).into(),
            directory_offset: u32_at(&bytes, 16).into(),
            comment_len,
            comment,
            at,
            span: (at, at + END_LEN + u64::from(comment_len)),
            span_64: None,
            is_64: false,
        }))
    }

    /// Whether a directory is where this record puts it, with or without bytes before the archive.
    fn is_plausible(&self, archive: &Archive) -> io::Result<bool> {
        let expected = self.directory_offset + self.directory_size;
        if self.directory_size == 0 {
            return Ok(expected == self.at);
        }
        let locator = self.at.checked_sub(20);
        if let Some(locator) = locator
            && archive.array::<4>(locator)? == Some(LOCATOR_64)
        {
            return Ok(true);
        }
        let Some(extra) = self.at.checked_sub(expected) else {
            return Ok(archive.array::<4>(self.directory_offset)? == Some(CENTRAL));
        };
        Ok(
            archive.array::<4>(self.directory_offset + extra)? == Some(CENTRAL)
                || archive.array::<4>(self.directory_offset)? == Some(CENTRAL),
        )
    }

    /// Takes over what the zip64 record says, if there is one and it agrees with this record.
    pub(crate) fn widen(&mut self, archive: &Archive) -> io::Result<Zip64> {
        let Some(locator_at) = self.at.checked_sub(20) else {
            return Ok(Zip64::Fine);
        };
        let Some(locator) = archive.array::<20>(locator_at)? else {
            return Ok(Zip64::Broken);
        };
        let disks = u32_at(&locator, 16);
        if locator[..4] != LOCATOR_64 || (self.disk != 0xFFFF && self.disk != disks.wrapping_sub(1))
        {
            return Ok(Zip64::Fine);
        }
        let (disk, mut at) = (u32_at(&locator, 4), u64_at(&locator, 8));
        if at > locator_at {
            return Ok(Zip64::Broken);
        }
        let Some(mut record) = archive.array::<56>(at)? else {
            return Ok(Zip64::Broken);
        };
        let mut told = Zip64::Fine;
        if record[..4] != END_64 {
            let Some(guess) = locator_at.checked_sub(56) else {
                return Ok(Zip64::Broken);
            };
            at = guess;
            match archive.array(at)? {
                Some(found) => record = found,
                None => return Ok(Zip64::Broken),
            }
            if record[..4] != END_64 {
                return Ok(Zip64::Broken);
            }
            told = Zip64::Moved;
        }
        let wide = End {
            disk,
            directory_disk: u32_at(&record, 20),
            entries_here: u64_at(&record, 24),
            entries: u64_at(&record, 32),
            directory_size: u64_at(&record, 40),
            directory_offset: u64_at(&record, 48),
            ..End::default()
        };
        if u32_at(&record, 16) == disk && self.agrees(&wide) {
            self.take(wide);
            self.span.0 = locator_at;
            self.span_64 = Some((at, at.saturating_add(12).saturating_add(u64_at(&record, 4))));
            self.at = at;
        }
        Ok(told)
    }

    fn agrees(&self, wide: &End) -> bool {
        let same = |narrow: u64, most: u64, wide: u64| narrow == most || narrow == wide;
        same(
            self.directory_disk.into(),
            0xFFFF,
            wide.directory_disk.into(),
        ) && same(self.entries_here, 0xFFFF, wide.entries_here)
            && same(self.entries, 0xFFFF, wide.entries)
            && same(self.directory_size, 0xFFFF_FFFF, wide.directory_size)
            && same(self.directory_offset, 0xFFFF_FFFF, wide.directory_offset)
    }

    fn take(&mut self, wide: End) {
        let mut needed = false;
        let mut replace = |narrow: &mut u64, most: u64, wide: u64| {
            if *narrow == most {
                *narrow = wide;
                needed |= wide != most;
            }
        };
        replace(&mut self.entries_here, 0xFFFF, wide.entries_here);
        replace(&mut self.entries, 0xFFFF, wide.entries);
        replace(&mut self.directory_size, 0xFFFF_FFFF, wide.directory_size);
        replace(
            &mut self.directory_offset,
            0xFFFF_FFFF,
            wide.directory_offset,
        );
        if self.disk == 0xFFFF {
            self.disk = wide.disk;
        }
        if self.directory_disk == 0xFFFF {
            self.directory_disk = wide.directory_disk;
        }
        self.is_64 = needed;
    }

    /// Whether `signature`, which ended the directory, is one that may stand there.
    pub(crate) fn may_follow_directory(&self, signature: [u8; 4]) -> bool {
        self.is_64 || signature == END || (self.span_64.is_some() && signature == END_64)
    }

    /// Whether `count` directory entries are as many as this record says, modulo its width.
    pub(crate) fn counts(&self, count: u64) -> bool {
        if self.span_64.is_some() {
            count == self.entries
        } else {
            count & 0xFFFF == self.entries
        }
    }
}

/// The last end signature that begins at `lowest` or after, and before `before`.
fn find_backwards(archive: &Archive, lowest: u64, before: u64) -> io::Result<Option<u64>> {
    const STEP: u64 = 64 << 10;
    let mut buffer = vec![0; STEP as usize + 3];
    let mut high = before;
    while high > lowest {
        let low = high.saturating_sub(STEP).max(lowest);
        let window = &mut buffer[..(high - low) as usize + 3];
        let read = archive.read_at(window, low)?;
        let found = window[..read].windows(4).rposition(|bytes| bytes == END);
        if let Some(index) = found {
            return Ok(Some(low + index as u64));
        }
        high = low;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn archive(bytes: &[u8]) -> Archive {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Archive::new(file, Path::new("t.zip")).unwrap()
    }

    fn end(entries: u16, size: u32, offset: u32, comment: &[u8]) -> Vec<u8> {
        let mut bytes = END.to_vec();
        bytes.extend([0; 4]);
        bytes.extend([entries.to_le_bytes(), entries.to_le_bytes()].concat());
        bytes.extend([size.to_le_bytes(), offset.to_le_bytes()].concat());
        bytes.extend((comment.len() as u16).to_le_bytes());
        bytes.extend(comment);
        bytes
    }

    #[test]
    fn a_signature_in_the_comment_is_passed_over() {
        let decoy = end(0, 0, 0, b"");
        let mut bytes = b"....".to_vec();
        bytes.extend(CENTRAL);
        bytes.extend([0; 42]);
        bytes.extend(end(1, 46, 4, &decoy));
        let found = End::find(&archive(&bytes), false).unwrap().unwrap();
        assert_eq!((found.at, found.entries), (50, 1));
        assert_eq!(found.comment, decoy);
    }

    #[test]
    fn only_the_tail_is_searched() {
        let mut bytes = end(1, 46, 4, b"");
        bytes.extend(vec![0; 100_000]);
        assert!(End::find(&archive(&bytes), false).unwrap().is_none());
        assert_eq!(
            End::find(&archive(&bytes), true).unwrap().map(|end| end.at),
            Some(0)
        );
        assert!(End::find(&archive(b"PK"), true).unwrap().is_none());
    }
}
