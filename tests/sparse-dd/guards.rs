//! Destinations that are refused.

use super::*;

#[test]
fn the_source_under_another_name_is_refused() {
    let test = "the_source_under_another_name_is_refused";
    let dir = Dir::new();
    let source = image(&dir, "disk.img");
    let before = fs::read(&source).unwrap();
    fs::hard_link(&source, dir.path("hard.img")).unwrap();
    symlink("disk.img", dir.path("soft.img")).unwrap();
    for name in ["disk.img", "./disk.img", "hard.img", "soft.img"] {
        for force in [&[] as &[&str], &["-f"]] {
            let why = format!("sparse-dd: {name}: is the source, disk.img");
            dir.run(&[force, &["disk.img", name]].concat())
                .exits(7)
                .says(&why);
        }
    }
    if let Some(device) = LoopDevice::attach(test, &source) {
        let name = device.0.to_str().unwrap();
        dir.run(&["-f", "disk.img", name])
            .exits(7)
            .says(&format!("sparse-dd: {name}: is the source, disk.img"));
        dir.run(&["-f", name, "disk.img"])
            .exits(7)
            .says(&format!("sparse-dd: disk.img: is the source, {name}"));
        let second = LoopDevice::attach(test, &source).unwrap();
        dir.run(&["-f", name, second.0.to_str().unwrap()]).exits(7);
    }
    assert!(fs::read(&source).unwrap() == before);
}

#[test]
fn what_is_in_use_is_refused() {
    let test = "what_is_in_use_is_refused";
    let dir = Dir::new();
    image(&dir, "disk.img");
    let Some(mounted) = Mounted::make(test, dir.0.path(), "ext4", 32 * M) else {
        return;
    };
    let device = must(
        "findmnt",
        ["-n", "-o", "SOURCE", mounted.0.to_str().unwrap()],
    );
    let device = device.trim();
    let before = fs::read(dir.path("ext4.img")).unwrap();
    let why = format!("mounted on {}", mounted.0.display());
    dir.run(&["disk.img", device])
        .exits(7)
        .says(&format!("sparse-dd: {device}: {why}"));
    dir.run(&["-n", "disk.img", device]).exits(7);
    dir.run(&["disk.img", "ext4.img"])
        .exits(7)
        .says(&format!("sparse-dd: ext4.img: {why}"));
    assert!(fs::read(dir.path("ext4.img")).unwrap() == before);

    let free = dir.file("free.img", 12 * M, &[]);
    let held = LoopDevice::attach(test, &free).unwrap();
    let why = format!("sparse-dd: free.img: in use by {}", held.0.display());
    dir.run(&["disk.img", "free.img"]).exits(7).says(&why);
    dir.run(&["-q", "-f", "disk.img", "free.img"]).exits(0);
    drop(held);
    assert_equal(&dir.path("disk.img"), &free);
}

#[test]
fn swap_is_refused() {
    let test = "swap_is_refused";
    if !can(test, true, &["mkswap", "swapon", "swapoff"]) {
        return;
    }
    let dir = Dir::new();
    image(&dir, "disk.img");
    let swap = dir.file("swap.img", 12 * M, &[(0, 12 * M, 0)]);
    let Some(device) = LoopDevice::attach(test, &swap) else {
        return;
    };
    must("mkswap", [&device.0]);
    if run(command("swapon").arg(&device.0)).code != 0 {
        return skipped(test, "swapon is not permitted");
    }
    let name = device.0.to_str().unwrap();
    let ran = dir.run(&["disk.img", name]);
    must("swapoff", [&device.0]);
    ran.exits(7)
        .says(&format!("sparse-dd: {name}: in use as swap"));
}

#[test]
fn a_mounted_image_is_refused_for_everybody() {
    let test = "a_mounted_image_is_refused_for_everybody";
    if !can(test, true, &["setpriv"]) {
        return;
    }
    // Where others may look: the folder of the build may be root's alone.
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let binary = dir.path().join("sparse-dd");
    copy_program(env!("CARGO_BIN_EXE_sparse-dd"), &binary);
    fs::write(dir.path().join("disk.img"), "x").unwrap();
    let Some(mounted) = Mounted::make(test, dir.path(), "ext4", 16 * M) else {
        return;
    };
    let image = dir.path().join("ext4.img");
    fs::set_permissions(&image, fs::Permissions::from_mode(0o666)).unwrap();
    let mut command = command("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&binary);
    let ran = run(command
        .current_dir(dir.path())
        .args(["-q", "disk.img", "ext4.img"]));
    let why = format!("sparse-dd: ext4.img: mounted on {}", mounted.0.display());
    ran.exits(7).says(&why);
}

#[test]
fn force_overwrites_a_mounted_device() {
    let test = "force_overwrites_a_mounted_device";
    let dir = Dir::new();
    let source = dir.file("disk.img", 16 * M, &[(3 * M, M, 3)]);
    let Some(mounted) = Mounted::make(test, dir.0.path(), "ext4", 16 * M) else {
        return;
    };
    let device = must(
        "findmnt",
        ["-n", "-o", "SOURCE", mounted.0.to_str().unwrap()],
    );
    dir.run(&["-q", "-f", "disk.img", device.trim()]).exits(0);
    let copy = fs::read(device.trim()).unwrap();
    drop(mounted);
    assert!(copy == fs::read(source).unwrap());
}
