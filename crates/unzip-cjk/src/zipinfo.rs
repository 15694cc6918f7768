//! The lists of zipinfo.

use crate::archive::{Archive, End};
use crate::args::Options;
use crate::clock::Calendar;
use crate::directory::{DEFLATED, Directory, Entry, FLAG_STREAMED, host};
use crate::list::ratio;
use crate::say::{Say, shown};
use crate::select::Selection;
use crate::status::Status;
use crate::zipinfo_args::{Form, Listing};
use crate::zipinfo_extra::PreviousEnd;
use crate::zipinfo_long;
use crate::{extra, method, status};

/// What `zipinfo` prints of the end record.
pub(crate) fn end_record(archive: &Archive, end: &End, listing: Listing, say: &mut Say) {
    if listing.form == Form::Verbose {
        zipinfo_long::end_record(archive, end, say);
    } else if listing.header {
        say.out(format!(
            "Zip file size: {} bytes, number of entries: {}\n",
            archive.len, end.entries
        ));
    }
}

/// Lists what is selected.
pub(crate) fn list(
    directory: &Directory,
    end: &End,
    listing: Listing,
    options: &Options,
    selection: &mut Selection,
    say: &mut Say,
) -> Status {
    let (mut size, mut packed, mut members) = (0_u64, 0_u64, 0_u64);
    let mut status = status::OK;
    let mut previous = PreviousEnd::default();
    for (number, entry) in (1..).zip(&directory.entries) {
        if !selection.takes(&entry.name) {
            previous.forget();
            continue;
        }
        if !entry.check_extra(options, say) {
            status = status::WARNING;
        }
        match listing.form {
            Form::Nothing => {}
            Form::Names => say.out([&shown(&entry.name)[..], b"\n"].concat()),
            Form::Short | Form::Medium | Form::Long => say.out(line(entry, listing)),
            Form::Verbose => zipinfo_long::entry(entry, number, &mut previous, say),
        }
        size = size.wrapping_add(entry.size);
        packed = packed.wrapping_add(entry.packed_data());
        members += 1;
        if say.quit || cli::signal::stop_requested().is_some() {
            return status;
        }
    }
    let met = directory.entries.len() as u64;
    if let Some(broken) = status::directory_end(directory, end, met, say) {
        status = broken;
    }
    if status > status::WARNING {
        return status;
    }
    if listing.totals {
        let ratio = ratio(size, packed);
        let (sign, tenths) = (if ratio < 0 { "-" } else { "" }, ratio.wrapping_abs());
        say.out(format!(
            "{members} file{}, {size} bytes uncompressed, {packed} bytes compressed:  {sign}{}.{}%\n",
            if members == 1 { "" } else { "s" },
            tenths / 10,
            tenths % 10
        ));
    }
    selection.missing().for_each(|line| say.err(line));
    selection.missing_excluded().for_each(|line| say.err(line));
    if !status::check_end_signature(directory, end, say) {
        status = status::WARNING;
    }
    if members == 0 {
        status = status::NOT_FOUND;
    }
    if listing.form == Form::Verbose {
        say.out("\n");
    }
    status
}

fn line(entry: &Entry, listing: Listing) -> Vec<u8> {
    const SYSTEMS: [&str; 32] = [
        "fat", "ami", "vms", "unx", "cms", "atr", "hpf", "mac", "zzz", "cpm", "t20", "ntf", "qds",
        "aco", "vft", "mvs", "be ", "nsk", "ths", "osx", "???", "???", "???", "???", "???", "???",
        "???", "???", "???", "???", "ath", "???",
    ];
    let text = match (entry.is_encrypted(), entry.is_text()) {
        (true, true) => 'T',
        (true, false) => 'B',
        (false, true) => 't',
        (false, false) => 'b',
    };
    let streamed = entry.flags & FLAG_STREAMED != 0;
    let extra = match (has_extra(entry), streamed) {
        (true, true) => 'X',
        (true, false) => 'x',
        (false, true) => 'l',
        (false, false) => '-',
    };
    let compression = match listing.form {
        Form::Medium => format!(
            "{:3}%",
            (ratio(entry.size, entry.packed_data()).wrapping_add(5)) / 10
        ),
        Form::Long => format!(" {:8}", entry.packed),
        _ => String::new(),
    };
    let head = format!(
        "{} {} {:8} {text}{extra}{compression} {} {} ",
        attributes(entry),
        SYSTEMS[usize::from(entry.host)],
        entry.size,
        method::in_short(entry.method, entry.flags),
        time(entry, listing)
    );
    [head.as_bytes(), &shown(&entry.name), b"\n"].concat()
}

/// There is one in the directory, or an old one that stands only in the local header.
fn has_extra(entry: &Entry) -> bool {
    !entry.extra.is_empty()
        || (entry.external & 0x8000 != 0
            && matches!(entry.host, host::UNIX | host::HPFS | host::NTFS))
}

fn time(entry: &Entry, listing: Listing) -> String {
    let modified = extra::unix(&entry.extra, true, entry.dos_time).modified;
    let time = modified
        .and_then(Calendar::local)
        .unwrap_or_else(|| Calendar::from_dos(entry.dos_time));
    let Calendar {
        year,
        month,
        day,
        hour,
        minute,
        second,
    } = time;
    if listing.decimal_time {
        return format!("{year:04}{month:02}{day:02}.{hour:02}{minute:02}{second:02}");
    }
    let year = year.rem_euclid(100);
    format!(
        "{year:02}-{}-{day:02} {hour:02}:{minute:02}",
        month_name(month)
    )
}

pub(crate) fn month_name(month: u32) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    match (month as usize).checked_sub(1).and_then(|m| MONTHS.get(m)) {
        Some(name) => (*name).to_owned(),
        None => format!("{month:03}"),
    }
}

/// Attributes and the version of the program that made the entry, in 15 columns.
fn attributes(entry: &Entry) -> String {
    let high = entry.external >> 16;
    let version = format!("{}.{}", entry.host_version / 10, entry.host_version % 10);
    match entry.host {
        host::VMS => {
            let groups: Vec<String> = vms_groups(high);
            let text = groups.join(",");
            match text.len() {
                0..12 => format!("{text:12}{version}"),
                _ => format!("{text:15}"),
            }
        }
        host::AMIGA => format!("{:12}{version}", amiga(high)),
        host::THEOS => format!("{:12}{version}", theos(high)),
        host::FAT
        | host::HPFS
        | host::NTFS
        | host::VFAT
        | host::VM_CMS
        | host::MVS
        | host::ACORN
            if entry.host != host::FAT || high & 0o700 != owner_bits_of_dos(entry.external) =>
        {
            format!("{:12}{version}", dos(entry))
        }
        _ => format!("{} {version:>4}", unix(high, 'S')),
    }
}

/// The bits for the owner that agree with the DOS attributes read-only and directory.
fn owner_bits_of_dos(external: u32) -> u32 {
    0o400 | u32::from(external & 1 == 0) << 7 | (external & 0x10) << 2
}

fn dos(entry: &Entry) -> String {
    let low = entry.external & 0xFF;
    let bit = |bit, yes, no| if low & bit != 0 { yes } else { no };
    let name = String::from_utf8_lossy(&entry.name).to_ascii_lowercase();
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let runs = ["com", "exe", "btm", "cmd", "bat"]
        .iter()
        .any(|known| extension.starts_with(known));
    let is_label = low & 8 != 0;
    let first = match () {
        () if is_label => 'V',
        () if low & 0x10 != 0 => 'd',
        () => '-',
    };
    let runs = low & 0x10 != 0 || (!is_label && runs);
    [
        first,
        'r',
        bit(1, '-', 'w'),
        if runs { 'x' } else { '-' },
        bit(0x20, 'a', '-'),
        bit(2, 'h', '-'),
        bit(4, 's', '-'),
    ]
    .iter()
    .collect()
}

/// As `ls -l`; `no_execute` stands for a setgid bit without one to execute.
pub(crate) fn unix(mode: u32, no_execute: char) -> String {
    let kind = match mode & 0o170000 {
        0o040000 => 'd',
        0o100000 => '-',
        0o120000 => 'l',
        0o060000 => 'b',
        0o020000 => 'c',
        0o010000 => 'p',
        0o140000 => 's',
        _ => '?',
    };
    let bit = |bit, yes| if mode & bit != 0 { yes } else { '-' };
    let run = |bit, special, both, only| match (mode & bit != 0, mode & special != 0) {
        (true, true) => both,
        (true, false) => 'x',
        (false, true) => only,
        (false, false) => '-',
    };
    [
        kind,
        bit(0o400, 'r'),
        bit(0o200, 'w'),
        run(0o100, 0o4000, 's', 'S'),
        bit(0o040, 'r'),
        bit(0o020, 'w'),
        run(0o010, 0o2000, 's', no_execute),
        bit(0o004, 'r'),
        bit(0o002, 'w'),
        run(0o001, 0o1000, 't', 'T'),
    ]
    .iter()
    .collect()
}

/// Owner, group and world, each with what it may do.
pub(crate) fn vms_groups(mode: u32) -> Vec<String> {
    let group = |shift: u32| {
        let has = |bit: u32| mode >> shift & bit != 0;
        let mut text = String::new();
        for (has, letter) in [(has(4), 'R'), (has(2), 'W'), (has(1), 'E'), (has(2), 'D')] {
            if has {
                text.push(letter);
            }
        }
        text
    };
    [6, 3, 0].map(group).to_vec()
}

pub(crate) fn amiga(mode: u32) -> String {
    let kind = match mode & 0o6000 {
        0o4000 => 'd',
        0o2000 => '-',
        _ => '?',
    };
    let letters = "hsparwed".chars();
    let bits = [0o200, 0o100, 0o040, 0o020, 0o010, 0o004, 0o002, 0o001];
    let flags = letters
        .zip(bits)
        .map(|(letter, bit)| if mode & bit != 0 { letter } else { '-' });
    std::iter::once(kind).chain(flags).collect()
}

fn theos(mode: u32) -> String {
    let kind = match mode & 0xF000 {
        0x5000 => 'L',
        0x4000 => 'D',
        0x2000 => 'C',
        0x8000 => 'S',
        0x9000 => 'R',
        0xA000 => 'K',
        0xB000 => 'I',
        0xD000 => 'P',
        0xE000 => '2',
        0xF000 => '3',
        _ => '?',
    };
    format!("{kind}{}", theos_flags(mode))
}

pub(crate) fn theos_flags(mode: u32) -> String {
    let bits = [0x400, 0x800, 0x02, 0x04, 0x200, 0x40, 0x80, 0x100];
    let letters = "HMWREXWR".chars();
    letters
        .zip(bits)
        .map(|(letter, bit)| if mode & bit != 0 { '.' } else { letter })
        .collect()
}

/// The two bytes of deflation's kind matter only there.
pub(crate) fn is_deflated(method: u16) -> bool {
    method == DEFLATED || method == crate::directory::DEFLATED_64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_of_systems() {
        let entry = |host, external, name: &[u8]| Entry {
            host,
            external,
            host_version: 30,
            name: name.to_vec(),
            ..Entry::default()
        };
        for (host, external, name, wanted) in [
            (host::UNIX, 0o100644 << 16, "a", "-rw-r--r--  3.0"),
            (host::FAT, 0x20, "a.exe", "-rwxa--     3.0"),
            (host::FAT, 0x10, "d/", "drwx---     3.0"),
            (host::FAT, 0o100644 << 16 | 0x20, "a", "-rw-r--r--  3.0"),
            (host::VMS, 0o750 << 16, "a", "RWED,RE,    3.0"),
            (host::AMIGA, 0o2017 << 16, "a", "-----rwed"),
        ] {
            let text = attributes(&entry(host, external, name.as_bytes()));
            assert!(text.starts_with(wanted), "{text:?} {wanted:?}");
            assert_eq!(text.len(), 15, "{text:?}");
        }
    }
}
