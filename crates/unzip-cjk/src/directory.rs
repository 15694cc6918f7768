//! The central directory: what the archive says of its entries (APPNOTE.TXT 4.3.12).

use std::io;

use crate::archive::{Archive, CENTRAL, u16_at, u32_at};
use crate::args::Options;
use crate::say::Say;
use crate::{extra, status, unicode_path};

/// Systems that an entry may be made on (APPNOTE.TXT 4.4.2), as far as they matter here.
pub(crate) mod host {
    pub(crate) const FAT: u8 = 0;
    pub(crate) const AMIGA: u8 = 1;
    pub(crate) const VMS: u8 = 2;
    pub(crate) const UNIX: u8 = 3;
    pub(crate) const VM_CMS: u8 = 4;
    pub(crate) const ATARI: u8 = 5;
    pub(crate) const HPFS: u8 = 6;
    pub(crate) const CPM: u8 = 9;
    pub(crate) const TOPS20: u8 = 10;
    pub(crate) const NTFS: u8 = 11;
    pub(crate) const QDOS: u8 = 12;
    pub(crate) const ACORN: u8 = 13;
    pub(crate) const VFAT: u8 = 14;
    pub(crate) const MVS: u8 = 15;
    pub(crate) const BEOS: u8 = 16;
    pub(crate) const TANDEM: u8 = 17;
    pub(crate) const THEOS: u8 = 18;
    pub(crate) const ATHEOS: u8 = 30;
    /// This and all above are unknown.
    pub(crate) const UNKNOWN: u8 = 31;
}

pub(crate) const STORED: u16 = 0;
pub(crate) const SHRUNK: u16 = 1;
pub(crate) const IMPLODED: u16 = 6;
pub(crate) const DEFLATED: u16 = 8;
pub(crate) const DEFLATED_64: u16 = 9;
pub(crate) const BZIPPED: u16 = 12;
pub(crate) const LZMA: u16 = 14;
pub(crate) const ZSTD: u16 = 93;
pub(crate) const XZ: u16 = 95;
pub(crate) const PPMD: u16 = 98;
pub(crate) const AES: u16 = 99;

pub(crate) const FLAG_ENCRYPTED: u16 = 1;
/// Sizes and CRC stand behind the data.
pub(crate) const FLAG_STREAMED: u16 = 1 << 3;
pub(crate) const FLAG_UTF8: u16 = 1 << 11;

/// One entry, with zip64 sizes taken over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    pub(crate) host_version: u8,
    /// [`host`], at most [`host::UNKNOWN`].
    pub(crate) host: u8,
    /// The number of the system as it is written.
    pub(crate) raw_host: u8,
    pub(crate) needed_version: u8,
    pub(crate) needed_host: u8,
    pub(crate) flags: u16,
    pub(crate) method: u16,
    pub(crate) dos_time: u32,
    pub(crate) crc: u32,
    pub(crate) packed: u64,
    pub(crate) size: u64,
    pub(crate) disk: u32,
    pub(crate) internal: u16,
    pub(crate) external: u32,
    /// Of the local header, not counting bytes before the archive.
    pub(crate) offset: u64,
    pub(crate) raw_name: Vec<u8>,
    pub(crate) extra: Vec<u8>,
    pub(crate) comment: Vec<u8>,
    /// Decoded.
    pub(crate) comment_text: Vec<u8>,
    /// The zip64 field is too short.
    pub(crate) corrupt_extra: bool,
    /// For matching, showing and extracting: decoded, in lower case where that is asked for.
    pub(crate) name: Vec<u8>,
    /// `name` was put into lower case.
    pub(crate) lowered: bool,
}

impl Entry {
    pub(crate) fn is_encrypted(&self) -> bool {
        self.flags & FLAG_ENCRYPTED != 0
    }

    pub(crate) fn is_text(&self) -> bool {
        self.internal & 1 != 0
    }

    pub(crate) fn is_volume_label(&self) -> bool {
        self.external & 8 != 0
            && matches!(self.host, host::FAT | host::HPFS | host::NTFS | host::ATARI)
    }

    /// The size without the header of an encrypted entry, as lists show it.
    pub(crate) fn packed_data(&self) -> u64 {
        self.packed
            .wrapping_sub(if self.is_encrypted() { 12 } else { 0 })
    }

    /// Says what is wrong with the extra field; `false` if that is more than a word.
    pub(crate) fn check_extra(&self, options: &Options, say: &mut Say) -> bool {
        if self.corrupt_extra {
            say.err(status::CORRUPT_EXTRA);
        }
        let is_utf8 = self.flags & FLAG_UTF8 != 0;
        unicode_path::warn(&self.extra, &self.raw_name, is_utf8, options, say);
        !self.corrupt_extra
    }

    /// The method below encryption.
    pub(crate) fn inner_method(&self) -> u16 {
        match extra::block(&self.extra, extra::AES) {
            Some(aes) if self.method == AES && aes.len() >= 7 => u16_at(aes, 5),
            _ => self.method,
        }
    }

    /// Reads one after its signature; `None` if the bytes end before it does.
    fn parse(bytes: &[u8]) -> Option<(Entry, usize)> {
        let head = bytes.get(..42)?;
        let lens = [24, 26, 28].map(|at| usize::from(u16_at(head, at)));
        let [name_end, extra_end, comment_end] = [
            42 + lens[0],
            42 + lens[0] + lens[1],
            42 + lens[0] + lens[1] + lens[2],
        ];
        let mut entry = Entry {
            host_version: head[0],
            host: head[1].min(host::UNKNOWN),
            raw_host: head[1],
            needed_version: head[2],
            needed_host: head[3],
            flags: u16_at(head, 4),
            method: u16_at(head, 6),
            dos_time: u32_at(head, 8),
            crc: u32_at(head, 12),
            packed: u32_at(head, 16).into(),
            size: u32_at(head, 20).into(),
            disk: u16_at(head, 30).into(),
            internal: u16_at(head, 32),
            external: u32_at(head, 34),
            offset: u32_at(head, 38).into(),
            raw_name: bytes.get(42..name_end)?.to_vec(),
            extra: bytes.get(name_end..extra_end)?.to_vec(),
            comment: bytes.get(extra_end..comment_end)?.to_vec(),
            ..Entry::default()
        };
        if entry.internal & 4 != 0 {
            entry.external &= 0xFF; // the rest is a checksum (PKWARE's verification bit)
        }
        entry.corrupt_extra = entry.widen().is_err();
        Some((entry, comment_end))
    }

    /// Takes over the values of a zip64 field.
    fn widen(&mut self) -> Result<(), extra::TooShort> {
        let values = &mut [&mut self.size, &mut self.packed, &mut self.offset];
        let rest = extra::widen(&self.extra, values)?;
        if let Some(rest) = rest
            && self.disk == 0xFFFF
        {
            let disk = rest.first_chunk().ok_or(extra::TooShort)?;
            self.disk = u32::from_le_bytes(*disk);
        }
        Ok(())
    }
}

/// What stands behind the last entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// Four bytes that begin no entry.
    Signature([u8; 4]),
    /// The file ends, maybe within an entry.
    Nothing,
}

/// All entries.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) entries: Vec<Entry>,
    pub(crate) after: After,
}

impl Directory {
    /// Reads entries from `offset` on, for as long as there are any.
    pub(crate) fn read(archive: &Archive, offset: u64, size_hint: u64) -> io::Result<Directory> {
        /// More than the longest entry.
        const LEAST: usize = 256 << 10;
        let step = usize::try_from(size_hint.min(4 << 20)).unwrap_or(LEAST) + 64;
        let mut entries = Vec::new();
        let mut buffer = vec![0; step.max(LEAST)];
        let (mut at, mut filled, mut start) = (offset, 0, 0);
        let mut ended = false;
        loop {
            if !ended && filled - start < LEAST {
                buffer.copy_within(start..filled, 0);
                filled -= start;
                start = 0;
                let read = archive.read_at(&mut buffer[filled..], at)?;
                ended = filled + read < buffer.len();
                at += read as u64;
                filled += read;
            }
            let rest = &buffer[start..filled];
            let Some(signature) = rest.first_chunk::<4>() else {
                let after = After::Nothing;
                return Ok(Directory { entries, after });
            };
            if *signature != CENTRAL {
                let after = After::Signature(*signature);
                return Ok(Directory { entries, after });
            }
            let Some((entry, len)) = Entry::parse(&rest[4..]) else {
                let after = After::Nothing;
                return Ok(Directory { entries, after });
            };
            entries.push(entry);
            start += 4 + len;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(name: &[u8], extra: &[u8], wide: bool) -> Vec<u8> {
        let mut bytes = vec![0; 42];
        if wide {
            bytes[16..24].fill(0xFF);
        }
        bytes[24] = name.len() as u8;
        bytes[26] = extra.len() as u8;
        [&bytes, name, extra].concat()
    }

    #[test]
    fn zip64_values_replace_those_that_do_not_fit() {
        let mut extra = vec![1, 0, 16, 0];
        extra.extend([5_u64.to_le_bytes(), 6_u64.to_le_bytes()].concat());
        let (entry, len) = Entry::parse(&record(b"n", &extra, true)).unwrap();
        assert_eq!((entry.size, entry.packed, entry.offset), (5, 6, 0));
        assert_eq!((len, entry.corrupt_extra), (63, false));
        extra[2] = 8;
        extra.truncate(12);
        assert!(
            Entry::parse(&record(b"n", &extra, true))
                .unwrap()
                .0
                .corrupt_extra
        );
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_do_not(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some((_, len)) = Entry::parse(&bytes) {
                prop_assert!(len <= bytes.len());
            }
        }
    }
}
