//! What `zipinfo -v` tells of extra fields.

use crate::archive::{u16_at, u32_at};
use crate::directory::{Entry, host};
use crate::say::{Say, text};

/// Where the entry before ended, as far as that can be told from the directory alone; 0 if not.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PreviousEnd(pub(crate) u64);

impl PreviousEnd {
    pub(crate) fn forget(&mut self) {
        self.0 = 0;
    }

    pub(crate) fn add(&mut self, more: u64) {
        if self.0 > 0 {
            self.0 = self.0.wrapping_add(more);
        }
    }
}

/// Blocks that this knows by name (Info-ZIP's extrafld.txt).
const BLOCKS: [(u16, &str); 31] = [
    (0x0001, "PKWARE 64-bit sizes"),
    (0x0007, "PKWARE AV"),
    (0x0009, "OS/2"),
    (0x4c41, "OS/2 ACL"),
    (0x4453, "Security Descriptor"),
    (0x000c, "PKWARE VMS"),
    (0x4d49, "Info-ZIP VMS"),
    (0x000a, "PKWARE Win32"),
    (0x000d, "PKWARE Unix"),
    (0x5855, "old Info-ZIP Unix/OS2/NT"),
    (0x7855, "Unix UID/GID (16-bit)"),
    (0x7875, "Unix UID/GID (any size)"),
    (0x5455, "universal time"),
    (0x7075, "UTF8 path name"),
    (0x6375, "UTF8 entry comment"),
    (0x334d, "new Info-ZIP Macintosh"),
    (0x07c8, "old Info-ZIP Macintosh"),
    (0x2605, "ZipIt Macintosh"),
    (0x2705, "ZipIt Macintosh (short)"),
    (0x4704, "VM/CMS"),
    (0x470f, "MVS"),
    (0x7441, "AtheOS"),
    (0x6542, "BeOS"),
    (0xfb4a, "SMS/QDOS"),
    (0x5356, "AOS/VS"),
    (0x4341, "Acorn SparkFS"),
    (0x4b46, "Fred Kantor MD5"),
    (0x756e, "ASi Unix"),
    (0x4154, "Tandem NSK"),
    (0x4d63, "SmartZip Macintosh"),
    (0x6854, "Theos"),
];

pub(crate) fn extra_field(entry: &Entry, previous: &mut PreviousEnd, say: &mut Say) {
    let mut rest = &entry.extra[..];
    while rest.len() >= 4 {
        let (id, len) = (u16_at(rest, 0), usize::from(u16_at(rest, 2)));
        rest = &rest[4..];
        if len > rest.len() {
            say.err_line(format!(
                "\n  error: EF data block (type 0x{id:04x}) size {len} exceeds remaining extra field\n         space {}; block length has been truncated.\n",
                rest.len()
            ));
        }
        let (data, after) = rest.split_at(len.min(rest.len()));
        rest = after;
        let known = BLOCKS.iter().find(|block| block.0 == id);
        let name = known.map_or("unknown", |block| block.1);
        say.out(format!(
            "\n  - A subfield with ID 0x{id:04x} ({name}) and {} data bytes",
            data.len()
        ));
        match id {
            0x0001 if entry.offset > 0xFFFF_FFFF => {
                let less = if data.len() == 8 { 12 } else { 8 };
                previous.0 = previous.0.wrapping_sub(less);
            }
            0x5855 if entry.host == host::UNIX => previous.add(4),
            0x7855 => previous.add(4),
            _ => {}
        }
        let told = block(id, data, previous);
        say.out(told.unwrap_or_else(|| bytes_of(data)));
        say.out(".");
    }
}

/// The bytes of a block that has no other form.
fn bytes_of(data: &[u8]) -> Vec<u8> {
    match data.len() {
        0 => Vec::new(),
        1..=24 => text!(":\n   ", hex(data)),
        _ => text!(".  The first\n    20 are:  ", hex(&data[..20])),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!(" {b:02x}")).collect()
}

/// What a block says; `None` if that cannot be told.
fn block(id: u16, data: &[u8], previous: &mut PreviousEnd) -> Option<Vec<u8>> {
    let long = |at: usize| Some(u32_at(data.get(at..at + 4)?, 0));
    let text = match id {
        0x0009 => {
            let size = long(0)?;
            previous.forget();
            format!(
                ".\n    The local extra field has {size} bytes of OS/2 extended attributes.\n    (May not match OS/2 \"dir\" amount due to storage method)"
            )
        }
        0x4c41 => {
            let size = long(0)?;
            previous.forget();
            format!(
                ".\n    The local extra field has {size} bytes of access control list information"
            )
        }
        0x4453 => {
            let size = long(0)?;
            previous.forget();
            format!(".\n    The local extra field has {size} bytes of NT security descriptor data")
        }
        0x4d49 => return vms(data),
        0x5455 => times(data, previous)?,
        0x7075 | 0x6375 => {
            if data.len() < 5 {
                return None;
            }
            let (version, crc) = (data[0], long(1)?);
            match data.len() {
                5..=29 => format!(
                    ".\n    The UTF8 data of the extra field (V{version}, ASCII name CRC `{crc:08x}') are:\n   {}",
                    hex(&data[5..])
                ),
                _ => format!(
                    ". The first\n    24 UTF8 bytes in the extra field (V{version}, ASCII name CRC `{crc:08x}') are:\n   {}",
                    hex(&data[5..29])
                ),
            }
        }
        0x334d => return mac(data, previous),
        0x2705 if data.len() >= 5 && data.starts_with(b"ZPIT") => match data.len() {
            12.. => type_and_creator(&data[4..12]),
            _ => String::new(),
        },
        0x2605 if data.len() >= 5 && data.starts_with(b"ZPIT") => {
            let len = usize::from(data[4]);
            if data.len() < len + 13 {
                return Some(Vec::new());
            }
            let name = &data[5..5 + len];
            return Some(text!(
                ".\n    The Mac long filename is ",
                until_nul(name),
                type_and_creator(&data[5 + len..13 + len])
            ));
        }
        0x07c8 if data.len() >= 40 && data.starts_with(b"JLEE") => format!(
            "{}.\n    File is marked as {}",
            type_and_creator(&data[4..12]),
            fork(data[31] & 1 != 0)
        ),
        0x4d63 if data.len() == 64 && data.starts_with(b"dZip") => {
            let len = usize::from(data[32]).min(31);
            return Some(text!(
                type_and_creator(&data[4..12]),
                ".\n    The Mac long filename is ",
                until_nul(&data[33..33 + len])
            ));
        }
        0x7441 | 0x6542 if data.len() >= 5 => {
            let (size, plain) = (long(0)?, data[4] & 1 != 0);
            if plain {
                previous.add(size.into());
            } else {
                previous.forget();
            }
            format!(
                ".\n    The local extra field has {size} bytes of {}compressed {} file attributes",
                if plain { "un" } else { "" },
                if id == 0x7441 { "AtheOS" } else { "BeOS" }
            )
        }
        0xfb4a if data.len() >= 4 => {
            return Some(text!(
                ".\n    The QDOS extra field subtype is `",
                &data[..4],
                "'"
            ));
        }
        0x5356 if data.len() >= 5 => format!(
            ".\n    The AOS/VS extra field revision is {}.{}",
            data[4] / 10,
            data[4] % 10
        ),
        0x4154 if data.len() == 20 => {
            const FORMATS: [&str; 6] = [
                "Unstructured",
                "Relative",
                "Entry Sequenced",
                "Key Sequenced",
                "Edit",
                "Object",
            ];
            let code = u16::from_be_bytes([data[0], data[1]]);
            let format = match (data[18] >> 5 & 3, code) {
                (0, 101) => 4,
                (0, 100) => 5,
                (format, _) => usize::from(format),
            };
            format!(
                ".\n    The file was originally a Tandem {} file, with file code {code}",
                FORMATS[format]
            )
        }
        0x4b46 if data.len() >= 19 => {
            let digest: String = data[..16]
                .iter()
                .rev()
                .map(|b| format!("{b:02x}"))
                .collect();
            format!(".\n    The 128-bit MD5 signature is {digest}")
        }
        _ => return None,
    };
    Some(text.into_bytes())
}

fn times(data: &[u8], previous: &mut PreviousEnd) -> Option<String> {
    let Some(&flags) = data.first() else {
        return Some(String::new());
    };
    let names = ["modification", "access", "creation"];
    let there = (0..3).filter(|bit| flags >> bit & 1 != 0);
    let there: Vec<&str> = there.map(|bit| names[bit]).collect();
    for bit in [2, 4] {
        if flags & bit != 0 {
            previous.add(4);
        }
    }
    Some(match there.len() {
        0 => String::new(),
        n => format!(
            ".\n    The local extra field has UTC/GMT {} time{}",
            there.join("/"),
            if n == 1 { "" } else { "s" }
        ),
    })
}

fn vms(data: &[u8]) -> Option<Vec<u8>> {
    if data.len() < 8 {
        return None;
    }
    let how = match u16_at(data, 4) & 7 {
        0 => "stored",
        1 => "run-length encoded",
        2 => "deflated",
        _ => "compressed(?)",
    };
    let what = match &data[..4] {
        b"VFAB" => "FAB",
        b"VALL" => "XABALL",
        b"VFHC" => "XABFHC",
        b"VDAT" => "XABDAT",
        b"VRDT" => "XABRDT",
        b"VPRO" => "XABPRO",
        b"VKEY" => "XABKEY",
        b"VMSV" => "version",
        _ => "unknown",
    };
    let size = u16_at(data, 6);
    let head =
        format!(".  The extra\n    field is {how} and has {size} bytes of VMS {what} information");
    Some(match data.get(12..16) {
        Some(version) if what == "version" => text!(head, " (", until_nul(version), ")"),
        _ => head.into_bytes(),
    })
}

fn mac(data: &[u8], previous: &mut PreviousEnd) -> Option<Vec<u8>> {
    if data.len() < 14 {
        return None;
    }
    let (size, flags) = (u32_at(data, 0), u16_at(data, 4));
    let plain = flags & 4 != 0;
    if plain {
        previous.add(size.into());
    } else {
        previous.forget();
    }
    Some(text!(
        format!(
            ".\n    The local extra field has {size} bytes of {}compressed Macintosh\n    finder attributes.\n    File is marked as {}, File Dates are in {} Bit",
            if plain { "un" } else { "" },
            fork(flags & 1 != 0),
            if flags & 8 != 0 { 64 } else { 32 }
        ),
        type_and_creator(&data[6..14])
    ))
}

fn fork(data: bool) -> &'static str {
    if data { "Data-fork" } else { "Resource-fork" }
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|b| *b == 0).next().unwrap_or_default()
}

/// Two times four characters, or numbers if not all can be printed.
fn type_and_creator(codes: &[u8]) -> String {
    let (kind, creator) = codes.split_at(4);
    let number = |code: &[u8]| code.iter().fold(0_u32, |n, b| n << 8 | u32::from(*b));
    if codes.iter().all(|b| (32..127).contains(b)) {
        let letters = |code: &[u8]| String::from_utf8_lossy(code).into_owned();
        format!(
            ".\n    The associated file has type code `{}' and creator code `{}'",
            letters(kind),
            letters(creator)
        )
    } else {
        format!(
            ".\n    The associated file has type code `0x{:x}' and creator code `0x{:x}'",
            number(kind),
            number(creator)
        )
    }
}

/// A bit of the attributes says that there is a field in the local header only.
pub(crate) fn old_local_extra(entry: &Entry, previous: &mut PreviousEnd, say: &mut Say) {
    let bits = (entry.external & 0xC000) >> 12;
    if bits & 8 == 0 {
        return;
    }
    let what = match bits & 4 {
        0 => "GMT modification/access times only",
        _ => "GMT modification/access times and Unix UID/GID",
    };
    let (is, len) = match entry.host {
        host::UNIX | host::HPFS | host::NTFS => {
            previous.add((bits & 12).into());
            ("is", bits & 12)
        }
        host::FAT if bits & 4 == 0 => ("may be", 8),
        _ => return,
    };
    say.out(format!(
        "\n  There {is} a local extra field with ID 0x5855 (old Info-ZIP Unix/OS2/NT) and\n  {len} data bytes ({what}).\n"
    ));
}
