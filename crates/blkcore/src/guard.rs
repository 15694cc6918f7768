//! The guards of a destination: is it in use, and is it the source under another name.

use crate::device::sysfs_folder;
use crate::stack::{DEPTH, Places, whole};
use nix::sys::stat::makedev;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Who uses an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Busy {
    /// A file system on it is mounted here.
    Mounted(PathBuf),
    /// It is swapped to.
    Swap,
    /// Another device is built upon it: its name in `/dev`.
    Held(PathBuf),
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Busy::Mounted(point) => write!(f, "mounted on {}", point.display()),
            Busy::Swap => write!(f, "in use as swap"),
            Busy::Held(device) => write!(f, "in use by {}", device.display()),
        }
    }
}

/// Opens with O_EXCL, without which the kernel lets anyone write to a mounted block device. For
/// regular files the flag means nothing here, since O_CREAT is not given.
///
/// # Errors
/// `ResourceBusy` when a block device is mounted, swapped to, or held; otherwise what open(2) says.
pub fn open_exclusive(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    options.custom_flags(libc::O_EXCL).open(path)
}

/// Whether the bytes of two open objects overlap, through links, loop devices, partitions or
/// mapped devices. Never true for streams and directories.
///
/// # Errors
/// What fstat(2) says.
pub fn overlaps(a: &File, b: &File) -> io::Result<bool> {
    Ok(match (Places::of(a)?, Places::of(b)?) {
        (Some(a), Some(b)) => a.overlap(&b),
        _ => false,
    })
}

/// Numbers that tell an object from all others on this machine while it runs: the device, inode and
/// first byte of what the object finally is. A loop device has those of its file, a partition those of
/// its place on the disk. `None` for streams and directories.
///
/// # Errors
/// What fstat(2) says.
pub fn identity(file: &File) -> io::Result<Option<[u64; 3]>> {
    Ok(Places::of(file)?.map(|places| places.identity()))
}

/// Who uses an open file or block device, as far as `/proc` and `/sys` tell: a mount or swap on it
/// or on something that lies on or below it, or a device built upon it. For block devices
/// [`open_exclusive`] is the proof; this finds the reason. For image files this is all there is.
///
/// # Errors
/// What fstat(2) says.
pub fn busy(file: &File) -> io::Result<Option<Busy>> {
    Ok(users(file)?.into_iter().next())
}

/// All who use an open file or block device, as [`busy`] finds them.
///
/// # Errors
/// What fstat(2) says.
pub fn users(file: &File) -> io::Result<Vec<Busy>> {
    let Some(places) = Places::of(file)? else {
        return Ok(Vec::new());
    };
    let meta = file.metadata()?;
    let used = |path: &Path| {
        let is_block = fs::metadata(path).is_ok_and(|m| m.file_type().is_block_device());
        is_block && Places::at(path).is_some_and(|p| p.overlap(&places))
    };
    let mut users = Vec::new();
    for mount in mounts() {
        let device = Places::of_device(mount.device, whole(), DEPTH);
        let by_number = mount.is_block && device.overlap(&places);
        if by_number || used(&mount.source) {
            users.push(Busy::Mounted(mount.point));
        }
    }
    let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
    for line in swaps.lines().skip(1) {
        let path = unescape(line.split_whitespace().next().unwrap_or_default());
        if Places::at(&path).is_some_and(|p| p.overlap(&places)) {
            users.push(Busy::Swap);
        }
    }
    if meta.file_type().is_block_device() {
        let holders = fs::read_dir(sysfs_folder(meta.rdev()).join("holders"));
        for holder in holders.into_iter().flatten().flatten() {
            users.push(Busy::Held(Path::new("/dev").join(holder.file_name())));
        }
    }
    let attached = |device: &PathBuf| {
        let same = fs::metadata(device).is_ok_and(|m| m.rdev() == meta.rdev());
        !same && Places::at(device).is_some_and(|p| p.overlap(&places))
    };
    users.extend(loop_devices().filter(attached).map(Busy::Held));
    Ok(users)
}

/// The loop devices that are attached to something.
fn loop_devices() -> impl Iterator<Item = PathBuf> {
    let all = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    all.filter(|entry| entry.path().join("loop").exists())
        .map(|entry| Path::new("/dev").join(entry.file_name()))
}

/// One line of `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
struct Mount {
    device: u64,
    is_block: bool,
    point: PathBuf,
    source: PathBuf,
}

fn mounts() -> Vec<Mount> {
    let text = fs::read("/proc/self/mountinfo").unwrap_or_default();
    String::from_utf8_lossy(&text)
        .lines()
        .filter_map(mount)
        .collect()
}

fn mount(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut fields = left.split(' ').skip(2);
    let (major, minor) = fields.next()?.split_once(':')?;
    let device = makedev(major.parse().ok()?, minor.parse().ok()?);
    Some(Mount {
        device,
        is_block: sysfs_folder(device).exists(),
        point: unescape(fields.nth(1)?),
        source: unescape(right.split(' ').nth(1)?),
    })
}

/// A name of `/proc/self/mountinfo` or `/proc/swaps`, where blanks stand as `\040`.
fn unescape(text: &str) -> PathBuf {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        match tail {
            [
                a @ b'0'..=b'3',
                b @ b'0'..=b'7',
                c @ b'0'..=b'7',
                after @ ..,
            ] if *first == b'\\' => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = after;
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    PathBuf::from(OsString::from_vec(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_of_mountinfo() {
        let line = "36 35 7:0 / /mnt/two\\040words rw,noatime shared:1 - ext4 /dev/loop0 rw";
        let mount = mount(line).unwrap();
        assert_eq!(mount.device, makedev(7, 0));
        assert_eq!(mount.point, Path::new("/mnt/two words"));
        assert_eq!(mount.source, Path::new("/dev/loop0"));
        assert_eq!(unescape("a\\134b\\9"), Path::new("a\\b\\9"));
    }

    #[test]
    fn a_file_overlaps_its_links_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b, link) = (
            dir.path().join("a"),
            dir.path().join("b"),
            dir.path().join("link"),
        );
        fs::write(&a, "x").unwrap();
        fs::write(&b, "x").unwrap();
        fs::hard_link(&a, &link).unwrap();
        let open = |p: &Path| File::open(p).unwrap();
        assert!(overlaps(&open(&a), &open(&link)).unwrap());
        assert!(!overlaps(&open(&a), &open(&b)).unwrap());
        let identity = |p: &Path| identity(&open(p)).unwrap().unwrap();
        assert_eq!(identity(&a), identity(&link));
        assert_ne!(identity(&a), identity(&b));
        assert_eq!(busy(&open(&a)).unwrap(), None);
        let null = open(Path::new("/dev/null"));
        assert!(!overlaps(&null, &null).unwrap());
    }
}
