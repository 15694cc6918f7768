//! What is extracted, beside the real unzip.

use super::*;

#[test]
fn extraction_is_that_of_unzip() {
    if !has_unzip("extraction_is_that_of_unzip") {
        return;
    }
    for args in [
        &["a.zip"][..],
        &["-q", "a.zip"],
        &["-qq", "a.zip"],
        &["-x", "a.zip"],
        &["-e", "a.zip"],
        &["-d", "out", "a.zip"],
        &["a.zip", "-d", "out"],
        &["a.zip", "-dout", "dir/*"],
        &["-d", "no/such", "a.zip"],
        &["-j", "a.zip"],
        &["-a", "a.zip"],
        &["-aa", "a.zip"],
        &["-aab", "a.zip"],
        &["-L", "a.zip"],
        &["-LL", "a.zip"],
        &["-C", "a.zip", "BIG*", "dir/big*"],
        &["-V", "a.zip"],
        &["-^", "a.zip"],
        &["-K", "a.zip"],
        &["-D", "a.zip"],
        &["-F", "a.zip"],
        &["-X", "a.zip", "dir/*"],
        &["-o", "a.zip", "-x", "link", "dir/*"],
        &["a.zip", "nothing"],
        &["a.zip", "-x", "*"],
        &["-p", "a.zip", "dir/Big.TXT"],
        &["-p", "a.zip"],
        &["-c", "a.zip"],
        &["-ca", "a.zip", "*.txt"],
        &["-paa", "a.zip", "dir/*"],
        &["-t", "a.zip"],
        &["-tq", "a.zip"],
        &["-tqq", "a.zip"],
        &["-t", "a.zip", "d*"],
        &["-t", "a.zip", "nothing"],
        &["-u", "a.zip"],
        &["-f", "a.zip"],
        &["-:", "a.zip"],
        &["-M", "-q", "a.zip"],
        &["-W", "a.zip", "*"],
    ] {
        same_as_unzip("unzip", args, &nothing);
    }
    // A name leads out of a folder that is not there yet.
    same_as_unzip("unzip", &["-:", "up.zip"], &|work| {
        let zip = Zip::new().add(Entry::new(b"new/../file").data(b"x"));
        fs::write(work.join("up.zip"), zip.bytes()).unwrap();
    });
}

#[test]
fn hours_that_come_twice_or_never_are_those_of_unzip() {
    if !has_unzip("hours_that_come_twice_or_never_are_those_of_unzip") {
        return;
    }
    for (zone, month, days) in [
        ("America/New_York", 11, 2..5),
        ("America/New_York", 3, 9..12),
        ("Europe/Berlin", 10, 26..29),
        ("Europe/Berlin", 3, 30..32),
    ] {
        let mut zip = Zip::new();
        for (day, hour) in days.flat_map(|day| (0..6).map(move |hour| (day, hour))) {
            let name = format!("{day}-{hour}");
            let entry = Entry::new(name.as_bytes()).data(b"x");
            zip = zip.add(entry.dos_time([2024, month, day, hour, 30]));
        }
        same_with("unzip", &["hours.zip"], &[("TZ", zone)], &|work| {
            fs::write(work.join("hours.zip"), zip.bytes()).unwrap();
        });
    }
}

#[test]
fn files_that_are_there_are_treated_as_by_unzip() {
    if !has_unzip("files_that_are_there_are_treated_as_by_unzip") {
        return;
    }
    let there = |work: &Path| {
        fs::create_dir(work.join("dir")).unwrap();
        for (name, time) in [
            ("readme.txt", 100),
            ("dir/Big.TXT", 4_000_000_000),
            ("times", 1_000_000_000),
        ] {
            fs::write(work.join(name), "there").unwrap();
            let file = fs::File::options()
                .write(true)
                .open(work.join(name))
                .unwrap();
            let time = std::time::UNIX_EPOCH + Duration::from_secs(time);
            file.set_modified(time).unwrap();
        }
        symlink("readme.txt", work.join("UPPER.DOS")).unwrap();
        symlink("nowhere", work.join("read.only")).unwrap();
    };
    for args in [
        &["-o", "a.zip"][..],
        &["-n", "a.zip"],
        &["-no", "a.zip"],
        &["-u", "a.zip", "-x", "UPPER.DOS", "read.only", "readme.txt"],
        &["-uo", "a.zip"],
        &["-un", "a.zip"],
        &["-fo", "a.zip"],
        &["-B", "a.zip"],
        &["-oB", "a.zip"],
        // Standard input is empty: the answer is "none".
        &["a.zip"],
        &["-q", "a.zip"],
    ] {
        same_as_unzip("unzip", args, &there);
    }
    let in_the_way = |work: &Path| {
        fs::create_dir(work.join("readme.txt")).unwrap();
        fs::write(work.join("dir"), "a file").unwrap();
    };
    same_as_unzip("unzip", &["-o", "a.zip"], &in_the_way);
}

#[test]
fn newer_methods_are_extracted() {
    if !can("newer_methods_are_extracted", false, &["7zz"]) {
        return;
    }
    let dir = Dir::new();
    let data: Vec<u8> = (0..20_000_u32)
        .flat_map(|n| (n / 7).to_le_bytes())
        .collect();
    fs::write(dir.path("data"), &data).unwrap();
    for method in [
        "Copy",
        "Deflate",
        "Deflate64",
        "BZip2",
        "LZMA",
        "PPMd",
        "xz",
        "zstd",
    ] {
        for encrypted in [false, true] {
            let name = format!("{method}-{encrypted}.zip");
            let mut make = command("7zz");
            make.current_dir(dir.0.path())
                .args(["a", "-bso0", &format!("-mm={method}")]);
            if encrypted {
                make.args(["-ppass", "-mem=AES128"]);
            }
            if run(make.args([&name, "data"])).code != 0 {
                continue; // this 7zz has no such method for ZIP
            }
            let path = dir.path(&name);
            let args = ["-o", "-P", "pass", path.to_str().unwrap()];
            dir.ours(&args).exits(0);
            assert!(fs::read(dir.path("work/data")).unwrap() == data, "{name}");
        }
    }
}

#[test]
fn links_get_their_owners() {
    if !can("links_get_their_owners", true, &[]) {
        return;
    }
    let dir = Dir::new();
    let owner = [0x75, 0x78, 11, 0, 1, 4, 0xE8, 3, 0, 0, 4, 0xE9, 3, 0, 0];
    let link = Entry::new(b"l").data(b"a").mode(0o120777).extra(&owner);
    let zip = dir.zip("a.zip", &Zip::new().add(link));
    dir.ours(&["-X", zip.to_str().unwrap()]).exits(0);
    let link = fs::symlink_metadata(dir.path("work/l")).unwrap();
    assert_eq!((link.uid(), link.gid()), (1000, 1001));
}

#[test]
fn links_come_last() {
    let dir = Dir::new();
    let zip = Zip::new()
        .add(Entry::new(b"out").data(b"../outside").mode(0o120777))
        .add(Entry::new(b"out/file").data(b"x"))
        .add(Entry::new(b"fine").data(b"target").mode(0o120777))
        .add(Entry::new(b"target").data(b"y"));
    let zip = dir.zip("a.zip", &zip);
    fs::create_dir(dir.path("outside")).unwrap();
    dir.ours(&["-o", zip.to_str().unwrap()]).exits(2);
    assert!(tree(&dir.path("outside"), false).is_empty());
    assert_eq!(fs::read(dir.path("work/fine")).unwrap(), b"y");
    // Once more: now the link is there.
    let again = dir
        .ours(&["-o", zip.to_str().unwrap(), "out/file"])
        .exits(2);
    assert!(
        again
            .stderr
            .contains("leads out of the extraction directory"),
        "{}",
        again.stderr
    );
    assert!(tree(&dir.path("outside"), false).is_empty());
}
