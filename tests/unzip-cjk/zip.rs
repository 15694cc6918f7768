//! Makes archives, right ones and wrong ones.
#![allow(unreachable_pub, clippy::unwrap_used)]

use std::io::Write;

/// An entry. What is not said is right.
#[derive(Clone)]
pub struct Entry {
    pub name: Vec<u8>,
    pub local_name: Option<Vec<u8>>,
    data: Vec<u8>,
    packed: Option<Vec<u8>>,
    pub method: u16,
    pub flags: u16,
    made_by: u16,
    needed: u16,
    internal: u16,
    external: u32,
    extra: Vec<u8>,
    local_extra: Option<Vec<u8>>,
    comment: Vec<u8>,
    crc: Option<u32>,
    pub claimed: Option<u32>,
    pub claimed_packed: Option<u32>,
    dos_time: u32,
    shift: i64,
    same_as_first: bool,
}

impl Entry {
    pub fn new(name: &[u8]) -> Entry {
        Entry {
            name: name.to_vec(),
            local_name: None,
            data: Vec::new(),
            packed: None,
            method: 0,
            flags: 0,
            made_by: 0x031E,
            needed: 20,
            internal: 0,
            external: 0o100644 << 16,
            extra: Vec::new(),
            local_extra: None,
            comment: Vec::new(),
            crc: None,
            claimed: None,
            claimed_packed: None,
            dos_time: (44 << 25) | (6 << 21) | (15 << 16) | (10 << 11) | (20 << 5) | 15,
            shift: 0,
            same_as_first: false,
        }
    }

    pub fn data(mut self, data: &[u8]) -> Entry {
        self.data = data.to_vec();
        self
    }

    pub fn deflate(mut self) -> Entry {
        let level = flate2::Compression::default();
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), level);
        encoder.write_all(&self.data).unwrap();
        self.packed = Some(encoder.finish().unwrap());
        self.method = 8;
        self
    }

    /// Bytes that claim to be the compressed form.
    pub fn packed(mut self, method: u16, packed: &[u8]) -> Entry {
        self.method = method;
        self.packed = Some(packed.to_vec());
        self
    }

    pub fn text(mut self) -> Entry {
        self.internal |= 1;
        self
    }

    pub fn mode(mut self, mode: u32) -> Entry {
        self.external = mode << 16;
        self
    }

    pub fn dos(mut self, attributes: u32) -> Entry {
        self.made_by = 20;
        self.external = attributes;
        self
    }

    pub fn utf8(mut self) -> Entry {
        self.flags |= 1 << 11;
        self
    }

    pub fn comment(mut self, comment: &[u8]) -> Entry {
        self.comment = comment.to_vec();
        self
    }

    pub fn crc(mut self, crc: u32) -> Entry {
        self.crc = Some(crc);
        self
    }

    pub fn extra(mut self, extra: &[u8]) -> Entry {
        self.extra = extra.to_vec();
        self
    }

    pub fn unix_time(mut self, modified: u32, accessed: u32) -> Entry {
        let [m, a] = [modified.to_le_bytes(), accessed.to_le_bytes()];
        self.extra = [&[0x55, 0x54, 5, 0, 3][..], &m].concat();
        self.local_extra = Some([&[0x55, 0x54, 9, 0, 3][..], &m, &a].concat());
        self
    }

    /// Year, month, day, hour and minute.
    pub fn dos_time(mut self, [year, month, day, hour, minute]: [u32; 5]) -> Entry {
        self.dos_time = (year - 1980) << 25 | month << 21 | day << 16 | hour << 11 | minute << 5;
        self
    }

    /// The entry lies where it is not, or over others.
    pub fn moved(mut self, shift: i64) -> Entry {
        self.shift = shift;
        self
    }

    /// The directory says that this is where the first entry is.
    pub fn same_as_first(mut self) -> Entry {
        self.same_as_first = true;
        self
    }

    fn packed_bytes(&self) -> &[u8] {
        self.packed.as_deref().unwrap_or(&self.data)
    }

    /// What both headers share, from the flags to the lengths.
    fn middle(&self, name: &[u8], extra: &[u8]) -> Vec<u8> {
        let mut bytes = self.flags.to_le_bytes().to_vec();
        bytes.extend(self.method.to_le_bytes());
        bytes.extend(self.dos_time.to_le_bytes());
        let crc = self.crc.unwrap_or_else(|| crc32fast::hash(&self.data));
        bytes.extend(crc.to_le_bytes());
        let packed = self.packed_bytes().len() as u32;
        bytes.extend(self.claimed_packed.unwrap_or(packed).to_le_bytes());
        let size = self.claimed.unwrap_or(self.data.len() as u32);
        bytes.extend(size.to_le_bytes());
        bytes.extend((name.len() as u16).to_le_bytes());
        bytes.extend((extra.len() as u16).to_le_bytes());
        bytes
    }
}

/// An archive.
#[derive(Default)]
pub struct Zip {
    entries: Vec<Entry>,
    comment: Vec<u8>,
    pub prefix: Vec<u8>,
    zip64: bool,
    /// What the end record says instead of the truth.
    pub count: Option<u16>,
    pub size: Option<u32>,
    pub offset: Option<u32>,
    pub disk: u16,
}

impl Zip {
    pub fn new() -> Zip {
        Zip::default()
    }

    pub fn add(mut self, entry: Entry) -> Zip {
        self.entries.push(entry);
        self
    }

    pub fn comment(mut self, comment: &[u8]) -> Zip {
        self.comment = comment.to_vec();
        self
    }

    pub fn zip64(mut self) -> Zip {
        self.zip64 = true;
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.prefix.clone();
        let mut directory = Vec::new();
        for entry in &self.entries {
            let mut offset = bytes.len() - self.prefix.len();
            if entry.same_as_first {
                offset = 0;
            } else {
                let name = entry.local_name.as_deref().unwrap_or(&entry.name);
                let extra = entry.local_extra.as_deref().unwrap_or(&entry.extra);
                if entry.shift < 0 {
                    bytes.truncate(bytes.len() - entry.shift.unsigned_abs() as usize);
                    offset = bytes.len() - self.prefix.len();
                }
                bytes.extend(b"PK\x03\x04");
                bytes.extend(entry.needed.to_le_bytes());
                bytes.extend(entry.middle(name, extra));
                bytes.extend(name);
                bytes.extend(extra);
                bytes.extend(entry.packed_bytes());
                offset += entry.shift.max(0) as usize;
            }
            directory.extend(b"PK\x01\x02");
            directory.extend(entry.made_by.to_le_bytes());
            directory.extend(entry.needed.to_le_bytes());
            directory.extend(entry.middle(&entry.name, &entry.extra));
            directory.extend((entry.comment.len() as u16).to_le_bytes());
            directory.extend([0, 0]);
            directory.extend(entry.internal.to_le_bytes());
            directory.extend(entry.external.to_le_bytes());
            directory.extend((offset as u32).to_le_bytes());
            directory.extend(&entry.name);
            directory.extend(&entry.extra);
            directory.extend(&entry.comment);
        }
        let offset = bytes.len() - self.prefix.len();
        let size = directory.len();
        bytes.extend(directory);
        let count = self.entries.len();
        if self.zip64 {
            let at = bytes.len() as u64;
            bytes.extend(b"PK\x06\x06");
            bytes.extend(44_u64.to_le_bytes());
            bytes.extend([45, 3, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            for number in [count, count, size, offset] {
                bytes.extend((number as u64).to_le_bytes());
            }
            bytes.extend(b"PK\x06\x07\0\0\0\0");
            bytes.extend(at.to_le_bytes());
            bytes.extend(1_u32.to_le_bytes());
        }
        bytes.extend(b"PK\x05\x06");
        bytes.extend(self.disk.to_le_bytes());
        bytes.extend(self.disk.to_le_bytes());
        let narrow = if self.zip64 { u16::MAX } else { count as u16 };
        let count = self.count.unwrap_or(narrow).to_le_bytes();
        bytes.extend([count, count].concat());
        bytes.extend(self.size.unwrap_or(size as u32).to_le_bytes());
        bytes.extend(self.offset.unwrap_or(offset as u32).to_le_bytes());
        bytes.extend((self.comment.len() as u16).to_le_bytes());
        bytes.extend(&self.comment);
        bytes
    }
}
