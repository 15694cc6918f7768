//! What it is for: copies that are equal, as sparse as can be.

use super::*;

#[test]
fn a_copy_is_equal_and_as_sparse_as_can_be() {
    let dir = Dir::new();
    let source = image(&dir, "disk.img");
    let ran = dir.run(&["-src", "disk.img", "-dest", "copy.img"]).exits(0);
    assert_equal(&source, &dir.path("copy.img"));
    // 300 KiB, two pages around 5 MiB, and the last page; not the zeros.
    let data: u64 = data_of(&dir.path("copy.img"))
        .iter()
        .map(|(s, e)| e - s)
        .sum();
    assert!(data <= 300 * K + 8 * K + 4 * K, "{data}");
    assert_eq!(ran.out(), "");
    let said = numbers(&ran.stderr);
    assert_eq!(said["Number of writes"], 4);
    assert_eq!(said["Number of bytes"], 300 * K + 8 * K + 3333);
    assert!(said["Number of bytes read"] < 600 * K, "{said:?}");
    assert!(ran.stderr.starts_with("Time: "));
    let mode = fs::metadata(dir.path("copy.img"))
        .unwrap()
        .permissions()
        .mode()
        & 0o777;
    assert_eq!(mode & 0o600, 0o600);
    assert_eq!(dir.names(), ["copy.img", "disk.img"]);
}

#[test]
fn a_file_system_image_is_no_larger_than_cp_makes_it() {
    let test = "a_file_system_image_is_no_larger_than_cp_makes_it";
    if !can(test, false, &["mkfs.ext4", "cp", "cmp"]) {
        return;
    }
    let dir = Dir::new();
    let tree = dir.path("tree");
    fs::create_dir(&tree).unwrap();
    for i in 0..40u8 {
        fs::write(tree.join(format!("f{i}")), vec![i; usize::from(i) * 5000]).unwrap();
    }
    let disk = dir.file("disk.img", 64 * M, &[]);
    must(
        "mkfs.ext4",
        [Path::new("-q"), Path::new("-d"), &tree, &disk],
    );
    dir.run(&["-q", "disk.img", "copy.img"])
        .exits(0)
        .says_nothing();
    let copy = dir.path("copy.img");
    must("cmp", [&disk, &copy]);
    must(
        "cp",
        [Path::new("--sparse=always"), &disk, &dir.path("cp.img")],
    );
    assert!(allocated(&copy) <= allocated(&dir.path("cp.img")));
}

#[test]
fn an_existing_file_becomes_equal() {
    let dir = Dir::new();
    let source = image(&dir, "disk.img");
    let size = fs::metadata(&source).unwrap().len();
    for before in [0, 5000, size, size + 70_000] {
        let copy = dir.file("copy.img", before, &[(0, before, 0xff)]);
        let inode = fs::metadata(&copy).unwrap().ino();
        dir.run(&["disk.img", "copy.img"]).exits(0);
        assert_equal(&source, &copy);
        assert_eq!(
            fs::metadata(&copy).unwrap().ino(),
            inode,
            "written in place"
        );
        assert!(allocated(&copy) < M, "its zeros are holes");
    }
}

#[test]
fn with_a_size_what_is_behind_stays() {
    let dir = Dir::new();
    let source = image(&dir, "disk.img");
    let want = fs::read(source).unwrap();
    for (text, size) in [
        ("0x100000", M),
        ("5M", 5 * M),
        ("5123kB", 5_123_000),
        ("0", 0),
    ] {
        let copy = dir.file("copy.img", 6 * M, &[(0, 6 * M, 0xff)]);
        dir.run(&["-src", "disk.img", "-dest", "copy.img", "-size", text])
            .exits(0);
        let got = fs::read(&copy).unwrap();
        let size = size as usize;
        assert!(got[..size] == want[..size], "{text}");
        assert_eq!(got.len() as u64, 6 * M);
        assert!(got[size..].iter().all(|b| *b == 0xff), "{text}");
        fs::remove_file(&copy).unwrap();
        dir.run(&["-src", "disk.img", "-dest", "copy.img", "-size", text])
            .exits(0);
        assert!(fs::read(&copy).unwrap() == want[..size]);
    }
    dir.run(&["disk.img", "copy.img", "-size", "1T"])
        .exits(1)
        .says("sparse-dd: disk.img: has 10489093 bytes, fewer than the 1099511627776 to copy");
}

#[test]
fn other_file_systems() {
    let test = "other_file_systems";
    for (kind, size) in [("ext4", 64 * M), ("xfs", 320 * M), ("btrfs", 128 * M)] {
        let dir = Dir::new();
        let source = image(&dir, "disk.img");
        let Some(mounted) = Mounted::make(test, dir.0.path(), kind, size) else {
            continue;
        };
        let (near, far) = (mounted.0.join("near.img"), dir.path("far.img"));
        run(tool().args([&source, &near])).exits(0);
        run(tool().args([&near, &far])).exits(0);
        let dirty = mounted.0.join("dirty.img");
        fs::write(&dirty, vec![0xff; 11 << 20]).unwrap();
        run(tool().args([&near, &dirty])).exits(0);
        for copy in [&near, &far, &dirty] {
            assert_equal(&source, copy);
        }
    }
}

#[test]
fn the_self_test_passes() {
    let out = Dir::new().run(&["-test"]).exits(0).out();
    assert!(out.starts_with("Tested 1000 random images"), "{out}");
}
