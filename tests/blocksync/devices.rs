//! Block devices, and what lies behind caches.

use super::*;

#[test]
fn device_to_device() {
    let test = "device_to_device";
    for push in [true, false] {
        let dir = Dir::new();
        let (from, to) = pair(&dir, 8 * M);
        let Some(source) = LoopDevice::attach(test, &from) else {
            return;
        };
        let destination = LoopDevice::attach(test, &to).unwrap();
        let (source, destination) = (source.0.to_str().unwrap(), destination.0.to_str().unwrap());
        let there = |name: &str, there: bool| match there {
            true => format!("host:{name}"),
            false => name.to_owned(),
        };
        let names = [there(source, !push), there(destination, push)];
        let names = [names[0].as_str(), names[1].as_str()];
        let mut tool = dir.tool();
        tool.arg("--verify").args(names);
        let Some((ran, log)) = strace(
            test,
            "openat,pwrite64,fallocate,ioctl,fdatasync",
            &[],
            &mut tool,
        ) else {
            return;
        };
        ran.exits(0);
        // It is opened by the name of the descriptor that it was looked up with.
        let opened = |name: &str| -> Vec<String> {
            let result = format!("<{name}>");
            let lines = log.lines().filter(|l| l.contains("openat("));
            lines
                .filter(|l| l.ends_with(&result))
                .map(str::to_owned)
                .collect()
        };
        assert!(
            opened(source).iter().any(|l| l.contains("O_DIRECT")),
            "{log}"
        );
        assert!(
            !opened(source).iter().any(|l| l.contains("O_RDWR")),
            "{log}"
        );
        assert!(
            opened(destination).iter().any(|l| l.contains("O_DIRECT")),
            "{log}"
        );
        let written = opened(destination)
            .into_iter()
            .find(|l| l.contains("O_RDWR"));
        assert!(written.unwrap().contains("O_EXCL"), "{log}");
        assert!(
            log.contains("fdatasync(") && log.contains("BLKFLSBUF"),
            "{log}"
        );
        assert_equal(&from, &to);
        let mut tool = dir.tool();
        tool.args(names);
        let (ran, log) = strace(test, "pwrite64,fallocate", &[], &mut tool).unwrap();
        ran.prints("same: 8, diff: 0, 8/8");
        assert!(!log.contains(destination), "{log}");
    }
}

#[test]
fn what_was_written_behind_the_cache_is_found() {
    let test = "what_was_written_behind_the_cache_is_found";
    let dir = Dir::new();
    let backing = dir.file("backing", 2 * M, &[(0, 2 * M, 1)]);
    let Some(device) = LoopDevice::attach(test, &backing) else {
        return;
    };
    let name = device.0.to_str().unwrap();
    let holder = File::open(&device.0).unwrap();
    let mut cached = vec![0; 2 << 20];
    holder.read_exact_at(&mut cached, 0).unwrap();
    edit(&backing, M + 5000, b"news");
    let mut stale = [0; 4];
    holder.read_exact_at(&mut stale, M + 5000).unwrap();
    if stale != [1; 4] {
        return skipped(test, "the cache is not stale");
    }
    // As a source.
    let copy = dir.file("copy", 2 * M, &[(0, 2 * M, 1)]);
    dir.run(&[name, "./copy"]).prints("same: 1, diff: 1, 2/2");
    assert_equal(&backing, &copy);
    // As a destination: what lies there is compared, not what the cache holds.
    holder.read_exact_at(&mut cached, 0).unwrap();
    edit(&backing, 5000, b"more");
    dir.run(&["copy", name]).prints("same: 1, diff: 1, 2/2");
    dir.run(&["-n", "copy", name])
        .prints("same: 2, diff: 0, 2/2");
    assert_equal(&copy, &backing);
    let mut got = [0; 4];
    holder.read_exact_at(&mut got, 5000).unwrap();
    assert_eq!(got, [1; 4], "the cache was dropped");
}

#[test]
fn verify_reads_again() {
    let test = "verify_reads_again";
    let dir = Dir::new();
    let (source, destination) = pair(&dir, 4 * M);
    let mut tool = dir.tool();
    tool.args(["-b64K", "--verify", "source", "./destination"]);
    let Some((ran, log)) = strace(
        test,
        "pread64,fdatasync,fadvise64",
        &[&destination],
        &mut tool,
    ) else {
        return;
    };
    ran.exits(0);
    assert_equal(&source, &destination);
    let (_, after) = log.split_once("fdatasync(").unwrap();
    assert!(
        after.contains("fadvise64(") && after.contains("POSIX_FADV_DONTNEED"),
        "{log}"
    );
    assert!(transfers(after, "pread64").len() > 20, "{log}");
    // A disk that lies: writes are said to be done and are not.
    edit(
        &destination,
        5000,
        &[!fs::read(&destination).unwrap()[5000]],
    );
    let fault = "pwrite64:retval=4096:when=1";
    for (args, status) in [(&["--verify"] as &[&str], 8), (&[], 0)] {
        let mut tool = dir.tool();
        tool.args(args).args(["-b64K", "source", "./destination"]);
        let ran = injected(test, fault, &destination, &tool);
        let Some(ran) = ran else { return };
        let ran = ran.exits(status);
        if status == 8 {
            ran.says("blocksync: ./destination: does not hold what was written at byte 0");
        }
    }
}
