//! Holes, and runs of zeros.

use super::*;

#[test]
fn holes_are_never_read() {
    let dir = Dir::new();
    let source = image(&dir, "disk.img");
    let mut tool = tool();
    tool.args([&source, &dir.path("copy.img")]);
    let Some((ran, log)) = strace("holes_are_never_read", "all", &[&source], &mut tool) else {
        return;
    };
    ran.exits(0);
    let data = data_of(&source);
    let reads = transfers(&log, "pread64");
    assert!(!reads.is_empty());
    for (offset, bytes) in reads {
        let inside = data
            .iter()
            .any(|(s, e)| *s <= offset && offset + bytes <= *e);
        assert!(
            inside,
            "{bytes} bytes at {offset} are not all data: {data:?}"
        );
    }
    assert!(!log.contains(" read(") && !log.contains("readv("), "{log}");
}

#[test]
fn prezeroed_writes_no_zeros() {
    let dir = Dir::new();
    let source = image(&dir, "disk.img");
    let copy = dir.file("copy.img", 10 * M + 3333, &[]);
    let mut tool = tool();
    tool.args([
        Path::new("-prezeroed"),
        Path::new("-src"),
        &source,
        Path::new("-dest"),
        &copy,
    ]);
    let Some((ran, log)) = strace("prezeroed_writes_no_zeros", "all", &[&copy], &mut tool) else {
        return;
    };
    ran.exits(0);
    assert_equal(&source, &copy);
    let written: u64 = transfers(&log, "pwrite64").iter().map(|(_, n)| n).sum();
    assert_eq!(written, 300 * K + 8 * K + 3333);
    assert!(
        !log.contains("fallocate") && !log.contains("ioctl"),
        "{log}"
    );
}

#[test]
fn the_sparse_block_is_the_least_run_of_zeros() {
    let dir = Dir::new();
    let source = dir.file(
        "disk.img",
        4 * M,
        &[(0, 4 * M, 1), (M, 8 * K, 0), (2 * M, 600 * K, 0)],
    );
    let mut least = 4 * M;
    for (block, holes) in [("1M", 0), ("64K", 576 * K), ("512", 608 * K)] {
        let ran = dir
            .run(&["disk.img", "copy.img", "--sparse-block", block])
            .exits(0);
        assert_equal(&source, &dir.path("copy.img"));
        let written = numbers(&ran.stderr)["Number of bytes"];
        assert_eq!(written, 4 * M - holes, "{block}");
        assert!(written <= least);
        least = written;
        fs::remove_file(dir.path("copy.img")).unwrap();
    }
}

#[test]
fn huge_and_mostly_empty() {
    let dir = Dir::new();
    let size = 15 << 40;
    let path = dir.path("huge.img");
    let file = File::create(&path).unwrap();
    if file.set_len(size).is_err() {
        return skipped(
            "huge_and_mostly_empty",
            "the file system has no such large files",
        );
    }
    for at in [0, size / 2, size - 1] {
        file.write_all_at(&[1], at).unwrap();
    }
    let ran = dir.run(&["huge.img", "copy.img"]).exits(0);
    assert!(numbers(&ran.stderr)["Number of bytes read"] <= 12 * K);
    let copy = File::open(dir.path("copy.img")).unwrap();
    assert_eq!(copy.metadata().unwrap().len(), size);
    let mut byte = [0];
    for at in [0, size / 2, size - 1] {
        copy.read_exact_at(&mut byte, at).unwrap();
        assert_eq!(byte, [1]);
    }
}
