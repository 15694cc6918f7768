//! Block devices.

use super::*;

#[test]
fn a_dirty_device_becomes_equal() {
    let test = "a_dirty_device_becomes_equal";
    let dir = Dir::new();
    let source = image(&dir, "disk.img");
    let backing = dir.file("backing", 12 * M, &[(0, 12 * M, 0xff)]);
    let Some(device) = LoopDevice::attach(test, &backing) else {
        return;
    };
    let args = [Path::new("-src"), &source, Path::new("-dest"), &device.0];
    let ran = run(tool().args(args)).exits(0);
    let said = numbers(&ran.stderr);
    assert_eq!(said["Number of bytes"], 300 * K + 8 * K + 3333);
    drop(device);
    let (got, want) = (fs::read(&backing).unwrap(), fs::read(&source).unwrap());
    assert!(got[..want.len()] == want[..]);
    assert!(
        got[want.len()..].iter().all(|b| *b == 0xff),
        "behind the copy"
    );
    assert!(
        allocated(&backing) < 3 * M,
        "holes of the source were given back"
    );
}

#[test]
fn a_device_as_source() {
    let test = "a_device_as_source";
    let dir = Dir::new();
    let source = dir.file("disk.img", 10 * M, &[(3 * M, 10 * K, 1)]);
    let Some(device) = LoopDevice::attach(test, &source) else {
        return;
    };
    let copy = dir.path("copy.img");
    run(tool().args([&device.0, &copy])).exits(0);
    assert_equal(&source, &copy);
    assert!(allocated(&copy) <= 16 * K);
}

#[test]
fn a_device_that_is_too_small_is_refused() {
    let test = "a_device_that_is_too_small_is_refused";
    let dir = Dir::new();
    image(&dir, "disk.img");
    let small = dir.file("small", 10 * M, &[(0, 10 * M, 0xff)]);
    let Some(device) = LoopDevice::attach(test, &small) else {
        return;
    };
    let name = device.0.to_str().unwrap();
    dir.run(&["disk.img", name]).exits(7).says(&format!(
        "sparse-dd: {name}: has 10485760 bytes, fewer than the 10489093 to copy"
    ));
    assert!(fs::read(&device.0).unwrap().iter().all(|b| *b == 0xff));
    dir.run(&["-q", "disk.img", name, "-size", "10M"]).exits(0);
}

#[test]
fn a_read_only_device_is_refused() {
    let test = "a_read_only_device_is_refused";
    let dir = Dir::new();
    image(&dir, "disk.img");
    let backing = dir.file("backing", 12 * M, &[]);
    let Some(device) = LoopDevice::attach(test, &backing) else {
        return;
    };
    must("blockdev", [Path::new("--setro"), &device.0]);
    let name = device.0.to_str().unwrap();
    let ran =
        [&[] as &[&str], &["-n"]].map(|extra| dir.run(&[&["disk.img", name], extra].concat()));
    // The flag outlives the backing file.
    must("blockdev", [Path::new("--setrw"), &device.0]);
    for ran in ran {
        assert_ne!(ran.code, 0);
        assert!(
            ran.stderr.starts_with(&format!("sparse-dd: {name}: ")),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn a_stream_of_zeros_longer_than_the_device() {
    let test = "a_stream_of_zeros_longer_than_the_device";
    let dir = Dir::new();
    let backing = dir.file("backing", M, &[]);
    let Some(device) = LoopDevice::attach(test, &backing) else {
        return;
    };
    let name = device.0.to_str().unwrap();
    for extra in [&[] as &[&str], &["-prezeroed"]] {
        let mut command = tool();
        let child = command
            .args([&["-", name], extra].concat())
            .stdin(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = child.spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(&vec![0; 2 << 20]);
        let ran: Ran = child.wait_with_output().unwrap().into();
        let said = ran.exits(1).stderr;
        assert!(
            said.contains("has 1048576 bytes, fewer than the source"),
            "{said}"
        );
    }
}
