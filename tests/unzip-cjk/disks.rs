//! Disks and folders that cannot be written to.

use super::*;

#[test]
fn a_full_disk_loses_nothing() {
    let test = "a_full_disk_loses_nothing";
    if !can(test, true, &["mount", "umount"]) {
        return;
    }
    struct Small(PathBuf);
    impl Drop for Small {
        fn drop(&mut self) {
            run(command("umount").arg(&self.0));
        }
    }
    let dir = Dir::new();
    let point = dir.path("small");
    fs::create_dir(&point).unwrap();
    let mounted = run(command("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "none"])
        .arg(&point));
    if mounted.code != 0 {
        return common::skipped(test, &mounted.stderr);
    }
    let small = Small(point);
    fs::write(small.0.join("a"), "what was there").unwrap();
    let noise: Vec<u8> = (0..2 << 20)
        .map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let large = Zip::new()
        .add(Entry::new(b"a").data(&noise))
        .add(Entry::new(b"b").data(&noise));
    let zip = dir.zip("a.zip", &large);
    let mut ours = tool(OURS);
    ours.args(["-o", "-d"]).arg(&small.0).arg(&zip);
    let ran = run(&mut ours).exits(50);
    assert!(
        ran.stderr
            .contains("write error (disk full?).  Continue? (y/n/^C) "),
        "{}",
        ran.stderr
    );
    assert_eq!(fs::read(small.0.join("a")).unwrap(), b"what was there");
    assert_eq!(
        fs::read_dir(&small.0).unwrap().count(),
        1,
        "no partial file"
    );

    dir.zip("a.zip", &large.add(Entry::new(b"c").data(b"small")));
    let answers = dir.path("answers");
    fs::write(&answers, "y\ny\n").unwrap();
    let answers = fs::File::open(&answers).unwrap();
    Ran::from(ours.stdin(answers).output().unwrap()).exits(50);
    assert_eq!(fs::read(small.0.join("a")).unwrap(), b"what was there");
    assert!(!small.0.join("b").exists());
    assert_eq!(fs::read(small.0.join("c")).unwrap(), b"small");
}

#[test]
fn folders_that_cannot_be_written_to_are_reported() {
    if common::is_root() && !can("folders_that_cannot_be_written_to", true, &["setpriv"]) {
        return;
    }
    let dir = Dir::new();
    let zip = dir.zip("a.zip", &sample());
    let locked = tempfile::tempdir().unwrap().keep();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    let copy = locked.with_extension("zip");
    fs::copy(&zip, &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o644)).unwrap();
    let tool_copy = locked.with_extension("tool");
    copy_program(OURS, &tool_copy);
    fs::set_permissions(&tool_copy, fs::Permissions::from_mode(0o755)).unwrap();
    let mut ours = match common::is_root() {
        true => {
            let mut setpriv = tool("setpriv");
            setpriv.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
            setpriv.arg(&tool_copy);
            setpriv
        }
        false => tool(tool_copy.to_str().unwrap()),
    };
    let ran = run(ours.arg("-d").arg(&locked).arg(&copy)).exits(50);
    assert!(
        ran.stderr.contains("error:  cannot create "),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("Permission denied"), "{}", ran.stderr);
    fs::remove_dir(&locked).unwrap();
    fs::remove_file(&copy).unwrap();
    fs::remove_file(&tool_copy).unwrap();
}
