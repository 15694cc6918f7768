//! Archives that are looked for, and damaged ones.

use super::*;

#[test]
fn archives_are_found_as_by_unzip() {
    if !has_unzip("archives_are_found_as_by_unzip") {
        return;
    }
    let more = |work: &Path| {
        fs::write(
            work.join("b.zip"),
            Zip::new().add(Entry::new(b"b").data(b"b")).bytes(),
        )
        .unwrap();
        fs::write(work.join("c.ZIP"), Zip::new().bytes()).unwrap();
        fs::write(work.join("bad.zip"), "this is no archive").unwrap();
        fs::create_dir(work.join("folder.zip")).unwrap();
    };
    for args in [
        &["-l", "none"][..],
        &["-l", "none.zip"],
        &["-lqq", "none"],
        &["-lqqq", "none"],
        &["-l", "b"],
        &["-l", "c"],
        &["-l", "c.ZIP"],
        &["-l", "bad"],
        &["-l", "bad.zip"],
        &["-Z", "bad.zip"],
        &["-l", "folder"],
        &["-l", "folder.zip"],
        &["-l", "*.zip"],
        &["-o", "[ab].zip"],
        &["-t", "*"],
        &["-tq", "*.zip"],
        &["-T", "a.zip"],
        &["-Tq", "[ab].zip"],
        &["-Z1", "[ab].zip"],
        &["-l", "x*"],
    ] {
        same_as_unzip("unzip", args, &more);
    }
}

#[test]
fn damaged_directories_are_treated_as_by_unzip() {
    if !has_unzip("damaged_directories_are_treated_as_by_unzip") {
        return;
    }
    let with = |change: &dyn Fn(&mut Zip)| {
        let mut zip = sample();
        change(&mut zip);
        zip.bytes()
    };
    let beyond = with(&|zip| zip.offset = Some(0xFFFF_FFFE));
    let within = with(&|zip| zip.offset = Some(1));
    let fewer = with(&|zip| zip.count = Some(5));
    let whole = sample().bytes();
    let cut = whole[..whole.len() - 3].to_vec();
    let other_disk = with(&|zip| zip.disk = 1);
    // The zip64 field is too short, and what follows it would do.
    let mut short = Entry::new(b"a")
        .data(b"x")
        .extra(&[1, 0, 4, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    short.claimed = Some(0xFFFF_FFFF);
    let short = Zip::new().add(short).bytes();
    let lists = [
        &["-l", "a.zip"][..],
        &["-Z", "a.zip"],
        &["-z", "a.zip"],
        &["-T", "a.zip"],
    ];
    // Where the directory is said to be elsewhere, unzip takes the archive for a bomb.
    let extracts = [
        &["-t", "a.zip", "dir/*"][..],
        &["-o", "a.zip", "readme.txt"],
    ];
    for (bytes, extracted) in [
        (beyond, false),
        (within, false),
        (fewer, true),
        (cut, true),
        (other_disk, true),
        (short, true),
    ] {
        let extracts = extracts.iter().filter(|_| extracted);
        for args in lists.iter().chain(extracts) {
            let damage = |work: &Path| fs::write(work.join("a.zip"), &bytes).unwrap();
            same_as_unzip("unzip", args, &damage);
        }
    }
}

#[test]
fn headers_that_disagree_are_reported() {
    let dir = Dir::new();
    let mut bytes = Zip::new().add(Entry::new(b"a").data(b"x")).bytes();
    let directory = bytes.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    bytes[directory + 16] ^= 1; // the CRC
    fs::write(dir.path("a.zip"), bytes).unwrap();
    let path = dir.path("a.zip");
    let ran = dir.ours(&[path.to_str().unwrap()]).exits(0);
    let said = "unzip-cjk: a: its header says 1 bytes (1 compressed), CRC 8cdc1683, \
        and the directory 1 bytes (1 compressed), CRC 8cdc1682; the header counts\n";
    assert_eq!(ran.stderr, said);
    assert_eq!(fs::read(dir.path("work/a")).unwrap(), b"x");
}
