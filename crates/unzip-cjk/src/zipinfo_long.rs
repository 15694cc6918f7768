//! What `zipinfo -v` tells of an archive and of each entry.

use crate::archive::{Archive, End, u16_at, u32_at};
use crate::clock::Calendar;
use crate::directory::{Entry, FLAG_STREAMED, IMPLODED, host};
use crate::say::{Say, shown, text};
use crate::zipinfo::{amiga, is_deflated, month_name, theos_flags, unix, vms_groups};
use crate::{extra, list, method};

pub(crate) fn end_record(archive: &Archive, end: &End, say: &mut Say) {
    let (len, at) = (archive.len, end.at);
    let expected = end.directory_offset.wrapping_add(end.directory_size);
    let (size, offset) = (end.directory_size, end.directory_offset);
    let entries = if end.entries == 1 { "entry" } else { "entries" };
    say.out(format!(
        "
End-of-central-directory record:
-------------------------------

  Zip archive file size:               {len:11} ({len:016X}h)
  Actual end-cent-dir record offset:   {at:11} ({at:016X}h)
  Expected end-cent-dir record offset: {expected:11} ({expected:016X}h)
  (based on the length of the central directory and its expected offset)

"
    ));
    say.out(if end.disk == 0 {
        format!(
            "  This zipfile constitutes the sole disk of a single-part archive; its
  central directory contains {} {entries}.
  The central directory is {size} ({size:016X}h) bytes long,
  and its (expected) offset in bytes from the beginning of the zipfile
  is {offset} ({offset:016X}h).

",
            end.entries
        )
    } else {
        format!(
            "  This zipfile constitutes disk {} of a multi-part archive.  The central
  directory starts on disk {} at an offset within that archive part
  of {offset} ({offset:016X}h) bytes.  The entire
  central directory is {size} ({size:016X}h) bytes long.
  {} of the archive entries {} contained within this zipfile volume,
  out of a total of {} {entries}.

",
            u64::from(end.disk) + 1,
            u64::from(end.directory_disk) + 1,
            end.entries_here,
            if end.entries_here == 1 { "is" } else { "are" },
            end.entries
        )
    });
}

/// Where the entry before ended, as far as that can be told from the directory alone; 0 if not.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PreviousEnd(u64);

impl PreviousEnd {
    pub(crate) fn forget(&mut self) {
        self.0 = 0;
    }

    fn add(&mut self, more: u64) {
        if self.0 > 0 {
            self.0 = self.0.wrapping_add(more);
        }
    }
}

/// The systems that have a name here; the others are numbers.
const SYSTEMS: [&str; 20] = [
    "MS-DOS, OS/2 or NT FAT",
    "Amiga",
    "VMS",
    "Unix",
    "VM/CMS",
    "Atari ST",
    "OS/2 or NT HPFS",
    "Macintosh HFS",
    "Z-System",
    "CP/M",
    "TOPS-20",
    "NTFS",
    "SMS/QDOS",
    "Acorn RISC OS",
    "Win32 VFAT",
    "MVS",
    "BeOS",
    "Tandem NSK",
    "Theos",
    "Mac OS/X (Darwin)",
];

fn system(number: u8) -> String {
    match (SYSTEMS.get(usize::from(number)), number) {
        (Some(name), _) => (*name).to_owned(),
        (None, host::ATHEOS) => "AtheOS".to_owned(),
        (None, number) => format!("unknown ({number})"),
    }
}

/// Prints all of one entry.
pub(crate) fn entry(entry: &Entry, number: u64, previous: &mut PreviousEnd, say: &mut Say) {
    say.out(format!(
        "\nCentral directory entry #{number}:\n---------------------------\n\n"
    ));
    if previous.0 > 0 && entry.offset != previous.0 {
        let extra = entry.offset.wrapping_sub(previous.0) as i64;
        say.out(format!(
            "  There are an extra {extra} bytes preceding this file.\n\n"
        ));
    }
    previous.0 = (entry.offset)
        .wrapping_add((30 + entry.raw_name.len() + entry.extra.len()) as u64)
        .wrapping_add(entry.packed);
    say.out(text!("  ", shown(&entry.name), "\n"));
    say.out(facts(entry));
    say.out(attributes(entry));
    if !entry.extra.is_empty() {
        say.out("\n  The central-directory extra field contains:");
        extra_field(entry, previous, say);
        say.out("\n");
    }
    old_local_extra(entry, previous, say);
    if entry.comment.is_empty() {
        say.out("\n  There is no file comment.\n");
    } else {
        say.out("\n------------------------- file comment begins ----------------------------\n");
        list::comment(&entry.comment_text, say, false);
        say.out("-------------------------- file comment ends -----------------------------\n");
    }
}

fn facts(entry: &Entry) -> String {
    let tenths = |version: u8| format!("{}.{}", version / 10, version % 10);
    let yes = |bit: bool, yes: &'static str, no: &'static str| if bit { yes } else { no };
    let mut lines = format!(
        "
  offset of local header from start of archive:   {offset}
                                                  ({offset:016X}h) bytes
  file system or operating system of origin:      {}
  version of encoding software:                   {}
  minimum file system compatibility required:     {}
  minimum software version required to extract:   {}
  compression method:                             {}
",
        system(entry.raw_host),
        tenths(entry.host_version),
        system(entry.needed_host),
        tenths(entry.needed_version),
        method::in_long(entry.method),
        offset = entry.offset,
    );
    if entry.method == IMPLODED {
        lines += &format!(
            "  size of sliding dictionary (implosion):         {}K
  number of Shannon-Fano trees (implosion):       {}
",
            yes(entry.flags & 2 != 0, "8", "4"),
            yes(entry.flags & 4 != 0, "3", "2")
        );
    } else if is_deflated(entry.method) {
        lines += &format!(
            "  compression sub-type (deflation):               {}\n",
            method::subtype(entry.flags)
        );
    }
    lines += &format!(
        "  file security status:                           {}encrypted
  extended local header:                          {}
  file last modified on (DOS date/time):          {}
",
        yes(entry.is_encrypted(), "", "not "),
        yes(entry.flags & FLAG_STREAMED != 0, "yes", "no"),
        long_time(Some(Calendar::from_dos(entry.dos_time)))
    );
    if let Some(modified) = extra::unix(&entry.extra, true, entry.dos_time).modified {
        for (time, zone) in [
            (Calendar::local(modified), "local"),
            (Calendar::utc(modified), "UTC"),
        ] {
            lines += &format!(
                "  file last modified on (UT extra field modtime): {} {zone}\n",
                long_time(time)
            );
        }
    }
    lines += &format!(
        "  32-bit CRC value (hex):                         {:08x}
  compressed size:                                {} bytes
  uncompressed size:                              {} bytes
  length of filename:                             {} characters
  length of extra field:                          {} bytes
  length of file comment:                         {} characters
  disk number on which file begins:               disk {}
  apparent file type:                             {}
",
        entry.crc,
        entry.packed,
        entry.size,
        entry.raw_name.len(),
        entry.extra.len(),
        entry.comment.len(),
        u64::from(entry.disk) + 1,
        match entry.internal & 3 {
            0 => "binary",
            2 => "ebcdic",
            _ => "text",
        }
    );
    lines
}

fn long_time(time: Option<Calendar>) -> String {
    match time {
        Some(t) => format!(
            "{} {} {} {:02}:{:02}:{:02}",
            t.year,
            month_name(t.month),
            t.day,
            t.hour,
            t.minute,
            t.second
        ),
        None => "???? ??? ?? ??:??:??".to_owned(),
    }
}

fn attributes(entry: &Entry) -> String {
    let high = entry.external >> 16;
    let mut lines = match entry.host {
        host::VMS => {
            let groups = vms_groups(high);
            let text = format!("({},{},{},{})", groups[0], groups[0], groups[1], groups[2]);
            format!("  VMS file attributes ({high:06o} octal):             {text}\n")
        }
        host::AMIGA => {
            let text = amiga(high);
            format!("  Amiga file attributes ({high:06o} octal):           {text}\n")
        }
        host::THEOS => {
            let kind = match high & 0xF000 {
                0x5000 => "Library     ",
                0x4000 => "Directory   ",
                0x8000 => "Sequential  ",
                0x9000 => "Direct      ",
                0xA000 => "Keyed       ",
                0xB000 => "Indexed     ",
                0xD000 => " 86 program ",
                0xE000 => "286 program ",
                0xF000 => "386 program ",
                _ => "???         ",
            };
            let flags = theos_flags(high);
            format!("  Theos file attributes ({high:04X} hex):               {kind}{flags}\n")
        }
        host::FAT
        | host::HPFS
        | host::NTFS
        | host::VFAT
        | host::ACORN
        | host::VM_CMS
        | host::MVS => format!(
            "  non-MSDOS external file attributes:             {:06X} hex\n",
            entry.external >> 8
        ),
        _ => format!(
            "  Unix file attributes ({high:06o} octal):            {}\n",
            unix(high, 'l')
        ),
    };
    let low = entry.external & 0xFF;
    let text = match low {
        0 => "none".to_owned(),
        1 => "read-only".to_owned(),
        _ => [
            "rdo ", "hid ", "sys ", "lab ", "dir ", "arc ", "lnk ", "exe",
        ]
        .iter()
        .enumerate()
        .filter_map(|(bit, name)| (low >> bit & 1 != 0).then_some(*name))
        .collect(),
    };
    lines += &format!("  MS-DOS file attributes ({low:02X} hex):                {text}\n");
    lines
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

fn extra_field(entry: &Entry, previous: &mut PreviousEnd, say: &mut Say) {
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
fn old_local_extra(entry: &Entry, previous: &mut PreviousEnd, say: &mut Say) {
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
