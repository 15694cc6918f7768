//! What `zipinfo -v` tells of an archive and of each entry.

use crate::archive::{Archive, End};
use crate::clock::Calendar;
use crate::directory::{Entry, FLAG_STREAMED, IMPLODED, host};
use crate::say::{Say, shown, text};
use crate::zipinfo::{amiga, is_deflated, month_name, theos_flags, unix, vms_groups};
use crate::zipinfo_extra::{PreviousEnd, extra_field, old_local_extra};
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
