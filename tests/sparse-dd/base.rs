//! Copies onto what has a base already.

use super::*;

#[test]
fn only_what_differs_from_the_base_is_written() {
    let dir = Dir::new();
    let base = image(&dir, "base.img");
    let source = image(&dir, "disk.img");
    let edit = File::options().write(true).open(&source).unwrap();
    edit.write_all_at(&[8], M + 5000).unwrap();
    edit.write_all_at(&[1], 7 * M).unwrap();
    edit.write_all_at(&[0; 200], 5 * M - 100).unwrap();
    let copy = dir.path("copy.img");
    fs::copy(&base, &copy).unwrap();
    let mut tool = tool();
    tool.args([&source, &copy]).arg("-base").arg(&base);
    let test = "only_what_differs_from_the_base_is_written";
    let Some((ran, log)) = strace(test, "all", &[&copy], &mut tool) else {
        return;
    };
    ran.exits(0);
    assert_equal(&source, &copy);
    let mut writes = transfers(&log, "pwrite64");
    writes.sort_unstable();
    assert_eq!(writes, [(M + 4096, 4096), (7 * M, 4096)]);
    assert_eq!(log.matches("fallocate(").count(), 1, "{log}");

    let again = dir
        .run(&["disk.img", "copy.img", "--base=copy.img"])
        .exits(0);
    assert_eq!(numbers(&again.stderr)["Number of writes"], 0);
    assert_equal(&source, &copy);
}

#[test]
fn a_base_that_is_shorter_or_longer() {
    let dir = Dir::new();
    let source = image(&dir, "disk.img");
    let size = fs::metadata(&source).unwrap().len();
    for len in [0, 1, M + 7, size - 1, size, size + 5000] {
        let base = dir.path("base.img");
        fs::copy(&source, &base).unwrap();
        File::options()
            .write(true)
            .open(&base)
            .unwrap()
            .set_len(len)
            .unwrap();
        // Behind the base the destination may hold anything.
        let copy = dir.file("copy.img", size + 9999, &[(0, size + 9999, 0xee)]);
        let held = fs::read(&base).unwrap();
        File::options()
            .write(true)
            .open(&copy)
            .unwrap()
            .write_all_at(&held, 0)
            .unwrap();
        dir.run(&["-src", "disk.img", "-dest", "copy.img", "-base", "base.img"])
            .exits(0);
        assert_equal(&source, &copy);
    }
    fs::remove_file(dir.path("copy.img")).unwrap();
    dir.run(&["disk.img", "copy.img", "--base=base.img"])
        .exits(1)
        .says("sparse-dd: copy.img: No such file or directory");
}

#[test]
fn a_stream_onto_a_base_of_another_length() {
    let dir = Dir::new();
    dir.file("base.img", 3 * M, &[(0, 3 * M, 7), (M, 8192, 9)]);
    let base = fs::read(dir.path("base.img")).unwrap();
    for len in [0, 1, 600_000, M as usize, base.len(), base.len() + 70_000] {
        let mut new: Vec<u8> = base
            .iter()
            .copied()
            .chain(std::iter::repeat_n(5, 70_000))
            .collect();
        new.truncate(len);
        new.get_mut(5000).into_iter().for_each(|byte| *byte = 1);
        fs::write(dir.path("copy.img"), &base).unwrap();
        let mut command = tool();
        command
            .current_dir(dir.0.path())
            .args(["-q", "-", "copy.img", "--base=base.img"]);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&new).unwrap();
        assert!(child.wait().unwrap().success());
        assert!(fs::read(dir.path("copy.img")).unwrap() == new, "{len}");
    }
    fs::write(dir.path("empty"), "").unwrap();
    dir.run(&["-q", "empty", "copy.img", "--base=copy.img"])
        .exits(0);
    assert_eq!(fs::read(dir.path("copy.img")).unwrap(), b"");
}

#[test]
fn a_destination_shorter_than_its_base() {
    let dir = Dir::new();
    let base = image(&dir, "base.img");
    let held = fs::read(&base).unwrap();
    for len in [0, 5000, M as usize + 77, 9 << 20] {
        fs::write(dir.path("copy.img"), &held[..len]).unwrap();
        dir.run(&["-q", "base.img", "copy.img", "--base=base.img"])
            .exits(0);
        assert_equal(&base, &dir.path("copy.img"));
    }
}
