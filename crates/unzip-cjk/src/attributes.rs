//! Modes, times and owners of what is extracted.

use rustix::fs::{Mode, Timespec, Timestamps};

use crate::archive::u16_at;
use crate::args::Options;
use crate::directory::{Entry, host};
use crate::local::Local;
use crate::{clock, extra};

const LINK: u32 = 0o120000;

/// The mode of an entry as Unix has it, and whether it is a symbolic link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) mode: u32,
    pub(crate) is_link: bool,
}

/// Modes come from systems that have them; from others there is a read-only bit, and the umask says
/// the rest. Programs that zip on Unix but say DOS are noticed by modes that agree with the DOS bits.
pub(crate) fn attributes(entry: &Entry, umask: u32) -> Attributes {
    let high = entry.external >> 16;
    let is_link = |mode: u32| mode & 0o170000 == LINK;
    match entry.host {
        host::AMIGA => {
            let bits = entry.external >> 17 & 7;
            return Attributes {
                mode: (bits << 6 | bits << 3 | bits) & !umask,
                is_link: false,
            };
        }
        host::UNIX
        | host::VMS
        | host::ACORN
        | host::ATARI
        | host::ATHEOS
        | host::BEOS
        | host::QDOS
        | host::TANDEM
        | host::THEOS => {
            let mode = match extra_mode(entry) {
                Some(Some(mode)) if high == 0 => Some(mode),
                Some(None) if high == 0 => None,
                _ if entry.host == host::THEOS => Some(theos_mode(entry.external)),
                _ => Some(high),
            };
            let has_links = matches!(
                entry.host,
                host::UNIX | host::ATARI | host::ATHEOS | host::BEOS | host::VMS
            );
            if let Some(mode) = mode {
                return Attributes {
                    mode,
                    is_link: has_links && is_link(mode),
                };
            }
        }
        _ => {}
    }
    let is_folder = entry.external & 0x10 != 0 || entry.name.ends_with(b"/");
    let bits = u32::from(entry.external & 1 == 0) << 1 | u32::from(is_folder);
    if entry.host == host::FAT && high & 0o700 == 0o400 | bits << 6 {
        return Attributes {
            mode: high,
            is_link: is_link(high),
        };
    }
    Attributes {
        mode: (0o444 | bits << 6 | bits << 3 | bits) & !umask,
        is_link: false,
    }
}

/// A mode in an extra field; `Some(None)` if one is there that cannot be read.
fn extra_mode(entry: &Entry) -> Option<Option<u32>> {
    extra::blocks(&entry.extra).find_map(|(id, data)| match id {
        extra::ASI_UNIX if data.len() >= 6 => Some(Some(u16_at(data, 4).into())),
        extra::ASI_UNIX | extra::PK_VMS => Some(None),
        _ => None,
    })
}

/// Only a folder keeps its type.
fn theos_mode(external: u32) -> u32 {
    let external = external & 0xF1FF_FFFF;
    let kept = match external & 0xF000_0000 {
        0x4000_0000 => external & 0x41FF_FFFF,
        _ => external & 0x01FF_FFFF,
    };
    kept >> 16
}

/// Times and owner to set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamps {
    /// Seconds and nanoseconds.
    pub(crate) modified: (i64, u32),
    accessed: (i64, u32),
    /// With -X, if the archive has them.
    pub(crate) owner: Option<(u32, u32)>,
    /// The time is exact; one from DOS counts in steps of two seconds.
    pub(crate) exact: bool,
}

impl Stamps {
    pub(crate) fn new(entry: &Entry, local: &Local, options: &Options) -> Stamps {
        let unix = extra::unix(&local.extra, false, local.dos_time);
        let windows = || {
            let wanted = Some(()).filter(|()| options.windows_times);
            wanted.and_then(|()| extra::ntfs(&local.extra).or_else(|| extra::ntfs(&entry.extra)))
        };
        let (modified, accessed, exact) = match (unix.modified, windows()) {
            (Some(modified), _) => {
                let accessed = unix.accessed.unwrap_or(modified);
                ((modified, 0), (accessed, 0), true)
            }
            (None, Some((modified, accessed))) => (modified, accessed, true),
            (None, None) => {
                let modified = clock::dos_to_seconds(local.dos_time);
                let accessed = unix.accessed.unwrap_or(modified);
                ((modified, 0), (accessed, 0), false)
            }
        };
        Stamps {
            modified,
            accessed,
            owner: unix.owner.filter(|_| options.owners > 0),
            exact,
        }
    }

    pub(crate) fn times(&self) -> Timestamps {
        let time = |(seconds, nanoseconds): (i64, u32)| Timespec {
            tv_sec: seconds,
            tv_nsec: nanoseconds.into(),
        };
        Timestamps {
            last_access: time(self.accessed),
            last_modification: time(self.modified),
        }
    }

    /// Whether a file of this time is as new as the entry, or newer.
    pub(crate) fn not_newer_than(&self, seconds: i64) -> bool {
        let existing = match self.exact {
            true => seconds,
            // Rounded up to the steps of DOS.
            false => seconds.saturating_add(seconds & 1),
        };
        existing >= self.modified.0
    }
}

/// The mode that a file gets: without setuid, setgid and sticky bits unless -K.
pub(crate) fn filtered(mode: u32, options: &Options) -> Mode {
    let kept = if options.keep_bits { 0o7777 } else { 0o777 };
    Mode::from_raw_mode(mode & kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_of_systems() {
        let entry = |host, external, name: &[u8]| Entry {
            host,
            external,
            name: name.to_vec(),
            ..Entry::default()
        };
        let mode = |entry: Entry| attributes(&entry, 0o022);
        let plain = |mode| Attributes {
            mode,
            is_link: false,
        };
        assert_eq!(mode(entry(host::FAT, 0x20, b"a")), plain(0o644));
        assert_eq!(mode(entry(host::FAT, 0x21, b"a")), plain(0o444));
        assert_eq!(mode(entry(host::NTFS, 0, b"d/")), plain(0o755));
        let unix = mode(entry(host::UNIX, 0o120777 << 16, b"l"));
        assert!(unix.is_link);
        assert_eq!(
            mode(entry(host::FAT, 0o100755 << 16, b"x")).mode,
            0o644,
            "the x bit does not fit the DOS attributes"
        );
        assert_eq!(mode(entry(host::FAT, 0o100600 << 16, b"x")).mode, 0o100600);
    }
}
