//! What lies below what: a partition on its disk, a loop device on its file, a mapped device on
//! its parts. So that two names of the same bytes are seen to be the same.

use crate::Extent;
use crate::device::sysfs_folder;
use crate::sys;
use nix::sys::stat::{major, makedev, minor};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// Stacks deeper than this are not followed (and loops in them end).
pub(crate) const DEPTH: usize = 16;
/// Loop devices (the kernel's devices.txt); their minor is the N of `/dev/loopN`.
const LOOP_MAJOR: u64 = 7;

/// What cannot be resolved further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    File { device: u64, inode: u64 },
    Block { device: u64 },
}

/// Bytes of a base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    base: Base,
    range: Extent,
}

impl Place {
    fn meets(self, other: Place) -> bool {
        self.base == other.base && self.range.meets(other.range)
    }
}

/// All bytes of an object, however many.
pub(crate) fn whole() -> Extent {
    Extent::new(0, u64::MAX)
}

/// Where the bytes of an object are: its own place, and all places that it is built upon.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    own: Place,
    below: Vec<Place>,
}

impl Places {
    /// Those of an open file or block device; `None` for anything else.
    pub(crate) fn of(file: &File) -> io::Result<Option<Places>> {
        let meta = file.metadata()?;
        Ok(Places::of_metadata(&meta))
    }

    /// Those of the file or block device at `path`, which is not opened.
    pub(crate) fn at(path: &Path) -> Option<Places> {
        Places::of_metadata(&fs::metadata(path).ok()?)
    }

    fn of_metadata(meta: &fs::Metadata) -> Option<Places> {
        if meta.file_type().is_block_device() {
            return Some(Places::of_device(meta.rdev(), whole(), DEPTH));
        }
        let base = Base::File {
            device: meta.dev(),
            inode: meta.ino(),
        };
        let own = Place {
            base,
            range: whole(),
        };
        meta.is_file().then(|| Places {
            own,
            below: Vec::new(),
        })
    }

    /// Device, inode (none for a device) and first byte of the object's own place.
    pub(crate) fn identity(&self) -> [u64; 3] {
        let start = self.own.range.start;
        match self.own.base {
            Base::File { device, inode } => [device, inode, start],
            Base::Block { device } => [u64::MAX, device, start],
        }
    }

    /// Those of `range` of a block device.
    pub(crate) fn of_device(device: u64, range: Extent, depth: usize) -> Places {
        let own = Place {
            base: Base::Block { device },
            range,
        };
        let mut places = Places {
            own,
            below: Vec::new(),
        };
        if depth == 0 {
            return places;
        }
        let folder = sysfs_folder(device);
        if folder.join("partition").exists() {
            let place = (|| {
                let disk = read_device(&folder.join("../dev"))?;
                let start = read_number(&folder.join("start"))?.checked_mul(512)?;
                let size = read_number(&folder.join("size"))?.checked_mul(512)?;
                Some((disk, shift(range, start, size)))
            })();
            if let Some((disk, range)) = place {
                return Places::of_device(disk, range, depth - 1);
            }
        }
        match loop_backing(device, &folder, range) {
            Some(Backing::File(place)) => {
                places.own = place;
                return places;
            }
            Some(Backing::Device(device, range)) => {
                return Places::of_device(device, range, depth - 1);
            }
            None => {}
        }
        let slaves = fs::read_dir(folder.join("slaves"))
            .into_iter()
            .flatten()
            .flatten();
        for slave in slaves {
            if let Some(device) = read_device(&slave.path().join("dev")) {
                let below = Places::of_device(device, whole(), depth - 1);
                places.below.push(below.own);
                places.below.extend(below.below);
            }
        }
        places
    }

    /// Whether writing to one may change the other.
    pub(crate) fn overlap(&self, other: &Places) -> bool {
        self.own.meets(other.own)
            || self.below.iter().any(|p| p.meets(other.own))
            || other.below.iter().any(|p| p.meets(self.own))
    }
}

/// `range` of a part that has `size` bytes from `start` of what it lies on.
fn shift(range: Extent, start: u64, size: u64) -> Extent {
    let end = range.end.min(size).max(range.start);
    Extent::new(start.saturating_add(range.start), start.saturating_add(end))
}

/// What a loop device is attached to.
enum Backing {
    File(Place),
    Device(u64, Extent),
}

/// Where `range` of a loop device lies; `None` for other devices. The ioctl knows best; who may not
/// open the device asks sysfs, which knows the name that the file had.
fn loop_backing(device: u64, folder: &Path, range: Extent) -> Option<Backing> {
    let (is_known, is_loop) = (folder.exists(), folder.join("loop").exists());
    if (is_known && !is_loop) || major(device) != LOOP_MAJOR {
        return None;
    }
    // The minor is its number, unless the driver was told to leave room for partitions.
    let by_number = || Some(format!("loop{}", minor(device)).into());
    let name = fs::canonicalize(folder)
        .ok()
        .and_then(|f| f.file_name().map(OsStr::to_owned));
    let name = Path::new("/dev").join(name.or_else(by_number)?);
    let info = File::open(name).and_then(|device| sys::loop_status(&device));
    let limit_of = |limit: u64| if limit == 0 { u64::MAX } else { limit };
    if let Ok(info) = info {
        let range = shift(range, info.offset, limit_of(info.size_limit));
        if info.rdevice != 0 {
            return Some(Backing::Device(info.rdevice, range));
        }
        let base = Base::File {
            device: info.device,
            inode: info.inode,
        };
        return Some(Backing::File(Place { base, range }));
    }
    let folder = folder.join("loop");
    let path = fs::read(folder.join("backing_file")).ok()?;
    let meta = fs::metadata(OsStr::from_bytes(path.trim_ascii_end())).ok()?;
    let (offset, limit) = (folder.join("offset"), folder.join("sizelimit"));
    let range = shift(range, read_number(&offset)?, limit_of(read_number(&limit)?));
    if meta.file_type().is_block_device() {
        return Some(Backing::Device(meta.rdev(), range));
    }
    let base = Base::File {
        device: meta.dev(),
        inode: meta.ino(),
    };
    Some(Backing::File(Place { base, range }))
}

fn read_number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// A `MAJOR:MINOR` file.
fn read_device(path: &Path) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let (major, minor) = text.trim().split_once(':')?;
    Some(makedev(major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(device: u64, start: u64, end: u64) -> Place {
        Place {
            base: Base::Block { device },
            range: Extent::new(start, end),
        }
    }

    #[test]
    fn a_disk_meets_its_parts_but_parts_do_not_meet_each_other() {
        let disk = Places {
            own: place(8, 0, u64::MAX),
            below: vec![],
        };
        let first = Places {
            own: place(8, 1 << 20, 2 << 20),
            below: vec![],
        };
        let second = Places {
            own: place(8, 2 << 20, 3 << 20),
            below: vec![],
        };
        assert!(disk.overlap(&first) && second.overlap(&disk));
        assert!(!first.overlap(&second));
        let volume = Places {
            own: place(253, 0, u64::MAX),
            below: vec![second.own],
        };
        let other = Places {
            own: place(254, 0, u64::MAX),
            below: vec![second.own],
        };
        assert!(volume.overlap(&second) && disk.overlap(&volume));
        assert!(!volume.overlap(&first) && !volume.overlap(&other));
    }

    #[test]
    fn ranges_of_parts_are_shifted_and_cut() {
        let whole = Extent::new(0, u64::MAX);
        assert_eq!(shift(whole, 100, 50), Extent::new(100, 150));
        assert_eq!(shift(Extent::new(10, 20), 100, 50), Extent::new(110, 120));
        assert_eq!(shift(whole, 100, u64::MAX), Extent::new(100, u64::MAX));
        assert!(shift(Extent::new(60, 70), 100, 50).is_empty());
    }
}
