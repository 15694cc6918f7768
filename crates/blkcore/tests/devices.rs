//! blkcore on real loop devices and file systems.
#![allow(clippy::unwrap_used)]

#[path = "../../../tests/common/mod.rs"]
mod common;

use blkcore::{
    Busy, Clearer, Extent, Kind, Method, busy, data_extents, describe, discard, fiemap, is_zero,
    open_exclusive, overlaps, read_full_at, write_full_at,
};
use common::{LoopDevice, Mounted, can, command, must, run, skipped};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

const M: u64 = 1 << 20;

fn image(dir: &Path, name: &str, size: u64) -> PathBuf {
    let path = dir.join(name);
    File::create(&path).unwrap().set_len(size).unwrap();
    path
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn open(path: &Path) -> File {
    File::options().read(true).write(true).open(path).unwrap()
}

#[test]
fn a_loop_device_is_described() {
    let test = "a_loop_device_is_described";
    let dir = folder();
    let file = image(dir.path(), "image", 3 * M + 512);
    let Some(device) = LoopDevice::attach(test, &file) else {
        return;
    };
    let description = describe(&open(&device.0)).unwrap();
    assert_eq!(
        (description.kind, description.size),
        (Kind::Block, 3 * M + 512)
    );
    assert_eq!(description.logical_sector, 512);
    assert!(!description.read_only);
    drop(device);
    let options = ["--find", "--show", "--read-only", "--sector-size", "4096"];
    let name = must("losetup", options.map(PathBuf::from).iter().chain([&file]));
    let device = LoopDevice(PathBuf::from(name.trim()));
    let description = describe(&File::open(&device.0).unwrap()).unwrap();
    assert_eq!(
        (description.logical_sector, description.read_only),
        (4096, true)
    );
    assert!(description.physical_sector >= 4096);
}

#[test]
fn a_block_device_has_no_map() {
    let dir = folder();
    let file = image(dir.path(), "image", M);
    let Some(device) = LoopDevice::attach("a_block_device_has_no_map", &file) else {
        return;
    };
    let error = data_extents(&open(&device.0), M).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    let error = fiemap(&open(&device.0), Extent::new(0, M), false).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Unsupported);
}

#[test]
fn ranges_of_a_device_are_cleared_to_the_byte() {
    let test = "ranges_of_a_device_are_cleared_to_the_byte";
    let dir = folder();
    let file = image(dir.path(), "image", 2 * M);
    let Some(device) = LoopDevice::attach(test, &file) else {
        return;
    };
    let device = open(&device.0);
    let description = describe(&device).unwrap();
    for (start, end) in [
        (0, 2 * M),
        (512, M),
        (100, 300),
        (1000, M + 7),
        (4096, 4096),
    ] {
        write_full_at(&device, &vec![0xff; 2 << 20], 0).unwrap();
        let mut clearer = Clearer::new(&description);
        clearer.clear(&device, Extent::new(start, end)).unwrap();
        assert_eq!(clearer.method(), Method::Punch);
        let mut bytes = vec![1; 2 << 20];
        read_full_at(&device, &mut bytes, 0).unwrap();
        let (start, end) = (start as usize, end as usize);
        assert!(is_zero(&bytes[start..end]), "{start}..{end}");
        assert!(
            bytes[..start]
                .iter()
                .chain(&bytes[end..])
                .all(|b| *b == 0xff),
            "{start}..{end}"
        );
    }
}

#[test]
fn discard_gives_blocks_back() {
    let test = "discard_gives_blocks_back";
    let dir = folder();
    let file = image(dir.path(), "image", 4 * M);
    let Some(device) = LoopDevice::attach(test, &file) else {
        return;
    };
    let device = open(&device.0);
    write_full_at(&device, &vec![0xff; 4 << 20], 0).unwrap();
    device.sync_all().unwrap();
    let description = describe(&device).unwrap();
    if !discard(&device, &description, Extent::new(100, 3 * M + 5)).unwrap() {
        return skipped(test, "this loop device cannot discard");
    }
    let data = data_extents(&File::open(&file).unwrap(), 4 * M).unwrap();
    assert!(data.total() <= M + 8192, "{data:?}");
    assert!(data.contains(99) && data.contains(3 * M + 4));
}

#[test]
fn a_loop_device_is_its_file() {
    let test = "a_loop_device_is_its_file";
    let dir = folder();
    let (one, two) = (
        image(dir.path(), "one", 4 * M),
        image(dir.path(), "two", 4 * M),
    );
    let Some(first) = LoopDevice::attach(test, &one) else {
        return;
    };
    let second = LoopDevice::attach(test, &one).unwrap();
    let other = LoopDevice::attach(test, &two).unwrap();
    let stacked = LoopDevice::attach(test, &first.0).unwrap();
    let same = |a: &Path, b: &Path| overlaps(&open(a), &open(b)).unwrap();
    for name in [&one, &first.0, &second.0, &stacked.0] {
        assert!(
            same(&first.0, name) && same(name, &one),
            "{}",
            name.display()
        );
        assert!(!same(name, &two) && !same(name, &other.0));
    }
    let part = |start: &str, size: &str| {
        let args = ["--find", "--show", "--offset", start, "--sizelimit", size];
        let name = must("losetup", args.map(PathBuf::from).iter().chain([&one]));
        LoopDevice(PathBuf::from(name.trim()))
    };
    let (low, high) = (part("0", "1048576"), part("1048576", "1048576"));
    assert!(same(&low.0, &one) && same(&high.0, &first.0));
    assert!(!same(&low.0, &high.0));
    assert!(matches!(busy(&open(&one)).unwrap(), Some(Busy::Held(_))));
}

#[test]
fn partitions_lie_on_their_disk() {
    let test = "partitions_lie_on_their_disk";
    if !can(test, true, &["sfdisk", "losetup", "sh"]) {
        return;
    }
    let dir = folder();
    let disk = image(dir.path(), "disk", 16 * M);
    let script = format!(
        "printf 'size=4M\\nsize=4M\\n' | sfdisk -q '{}'",
        disk.display()
    );
    must(
        "sh",
        ["-c", &format!("PATH=$PATH:/sbin:/usr/sbin; {script}")],
    );
    let name = must(
        "losetup",
        ["--find", "--show", "--partscan", disk.to_str().unwrap()],
    );
    let device = LoopDevice(PathBuf::from(name.trim()));
    let part = |n: u8| PathBuf::from(format!("{}p{n}", device.0.display()));
    let is_device = |path: PathBuf| {
        std::fs::metadata(path).is_ok_and(|meta| meta.file_type().is_block_device())
    };
    if !is_device(part(1)) {
        return skipped(test, "no device nodes of partitions appear here");
    }
    let same = |a: &Path, b: &Path| overlaps(&open(a), &open(b)).unwrap();
    assert!(same(&part(1), &disk) && same(&part(2), &device.0));
    assert!(!same(&part(1), &part(2)));
}

#[test]
fn a_mounted_device_is_not_opened() {
    let test = "a_mounted_device_is_not_opened";
    let dir = folder();
    let Some(mounted) = Mounted::make(test, dir.path(), "ext4", 16 * M) else {
        return;
    };
    let device = must(
        "findmnt",
        ["-n", "-o", "SOURCE", mounted.0.to_str().unwrap()],
    );
    let device = PathBuf::from(device.trim());
    let error = open_exclusive(&device, OpenOptions::new().write(true)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
    let user = Some(Busy::Mounted(mounted.0.clone()));
    assert_eq!(busy(&File::open(&device).unwrap()).unwrap(), user);
    assert_eq!(
        busy(&File::open(dir.path().join("ext4.img")).unwrap()).unwrap(),
        user
    );
    assert_eq!(
        busy(&File::open(mounted.0.join("lost+found")).unwrap()).unwrap(),
        None
    );
}

#[test]
fn shared_extents_are_marked() {
    let test = "shared_extents_are_marked";
    for (kind, size) in [("xfs", 320 * M), ("btrfs", 128 * M)] {
        let dir = folder();
        let Some(mounted) = Mounted::make(test, dir.path(), kind, size) else {
            continue;
        };
        let (one, two) = (mounted.0.join("one"), mounted.0.join("two"));
        std::fs::write(&one, vec![7; 1 << 20]).unwrap();
        let copied = run(command("cp").arg("--reflink=always").args([&one, &two]));
        if copied.code != 0 {
            skipped(test, &format!("{kind} does not share extents here"));
            continue;
        }
        let map = |path: &Path| fiemap(&open(path), Extent::new(0, M), true).unwrap();
        let (a, b) = (map(&one), map(&two));
        assert_eq!(a, b, "{kind}");
        assert!(
            a.iter()
                .all(|m| m.is_plain() && m.is_shared() && !m.is_unwritten())
        );
    }
}
