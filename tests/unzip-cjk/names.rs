//! Names in many encodings.

use super::*;

#[test]
fn names_are_right_without_an_option() {
    let dir = Dir::new();
    // As Windows Explorer makes it: GBK, made by FAT, no flag.
    let gbk = "\u{65b0}\u{5efa}\u{6587}\u{4ef6}\u{5939}/\u{56fe}\u{7247}\u{8d44}\u{6599}.txt";
    let (gbk_bytes, _, _) = encoding_rs::GBK.encode(gbk);
    // As 7-Zip makes it: CP932 with a trail byte 0x5C.
    let jis = "\u{8868}\u{793a}/\u{30bd}\u{30d5}\u{30c8}\u{4e00}\u{89a7}\u{8868}.txt";
    let (jis_bytes, _, _) = encoding_rs::SHIFT_JIS.encode(jis);
    assert!(jis_bytes.contains(&0x5C));
    // As macOS makes it: decomposed UTF-8 without the flag.
    let mac = "\u{30ab}\u{3099}/e\u{301}t\u{e9}.txt";
    for locale in ["C", "C.UTF-8", "zh_CN.UTF-8", "ja_JP.UTF-8"] {
        for (bytes, entry, name) in [
            (&gbk_bytes[..], Entry::new(&gbk_bytes).dos(0x20), gbk),
            (&jis_bytes[..], Entry::new(&jis_bytes).dos(0x20), jis),
            (
                mac.as_bytes(),
                Entry::new(mac.as_bytes()).mode(0o100644),
                mac,
            ),
        ] {
            let zip = Zip::new()
                .add(entry.data(b"x"))
                .add(Entry::new(b"a.txt").data(b"y"));
            let path = dir.zip("n.zip", &zip);
            let work = dir.path("names");
            fs::create_dir(&work).unwrap();
            let mut ours = tool(OURS);
            ours.env("LC_ALL", locale).current_dir(&work).arg(&path);
            run(&mut ours).exits(0);
            assert!(work.join(name).is_file(), "{name} {locale}");
            let count = tree(&work, false).len();
            assert_eq!(
                count,
                1 + name.split('/').count(),
                "no extra folder: {name}"
            );
            let listed = run(tool(OURS)
                .env("LC_ALL", locale)
                .args(["-Z1", path.to_str().unwrap()]));
            assert_eq!(
                listed.out(),
                format!("{name}\na.txt\n"),
                "the same in the list"
            );
            let raw = run(tool(OURS).args(["-Z1", "--raw-names", path.to_str().unwrap()]));
            assert!(raw.stdout.starts_with(bytes), "{name}");
            fs::remove_dir_all(&work).unwrap();
        }
    }
}

#[test]
fn mixed_archives_have_every_name_right() {
    let dir = Dir::new();
    let in_gbk = |name: &str| encoding_rs::GBK.encode(name).0.into_owned();
    let names = [
        "\u{7167}\u{7247}/\u{4f1a}\u{8bae}\u{7eaa}\u{8981}.doc",
        "\u{8d22}\u{52a1}\u{62a5}\u{8868}.xls",
        "\u{4e2d}\u{6587}\u{6587}\u{4ef6}.txt",
        "SETUP.EXE",
        "r\u{e9}sum\u{e9}.doc",
    ];
    let zip = Zip::new()
        .add(Entry::new(&in_gbk(names[0])).dos(0x20))
        .add(Entry::new(&in_gbk(names[1])).dos(0x20))
        .add(Entry::new(names[2].as_bytes()).dos(0x20).utf8())
        .add(Entry::new(names[3].as_bytes()).dos(0x20))
        // From CP437, and no GBK.
        .add(Entry::new(b"r\x82sum\x82.doc").dos(0x20));
    let zip = dir.zip("a.zip", &zip);
    let zip = zip.to_str().unwrap();
    for locale in ["C", "C.UTF-8", "zh_CN.UTF-8", "ja_JP.UTF-8", "ru_RU.UTF-8"] {
        fs::create_dir(dir.path("mixed")).unwrap();
        let ours = || {
            let mut ours = tool(OURS);
            ours.env("LC_ALL", locale).current_dir(dir.path("mixed"));
            ours
        };
        let listed = run(ours().args(["-Z1", zip])).exits(0);
        assert_eq!(listed.out(), names.join("\n") + "\n", "{locale}");
        run(ours().args(["-q", zip])).exits(0);
        for name in names {
            assert!(dir.path("mixed").join(name).is_file(), "{name} {locale}");
        }
        assert_eq!(tree(&dir.path("mixed"), false).len(), 6, "{locale}");
        fs::remove_dir_all(dir.path("mixed")).unwrap();
    }
}

#[test]
fn raw_names_keep_backslashes() {
    let dir = Dir::new();
    let bytes = b"\x8b@\x94\\\x88\xea.doc"; // CP932, with a trail byte 0x5C
    let zip = dir.zip("a.zip", &Zip::new().add(Entry::new(bytes).dos(0x20)));
    let zip = zip.to_str().unwrap();
    let ran = dir.ours(&["-q", "--raw-names", zip]).exits(0);
    assert_eq!(ran.stderr, "");
    assert!(dir.path("work").join(OsStr::from_bytes(bytes)).is_file());
}

#[test]
fn names_that_look_like_utf8_are_right_too() {
    let dir = Dir::new();
    // In GBK, and by accident in UTF-8.
    let (bytes, name) = (b"\xcd\xbc1.png", "\u{56fe}1.png");
    let path = dir.zip("a.zip", &Zip::new().add(Entry::new(bytes).dos(0x20)));
    let path = path.to_str().unwrap();
    for locale in ["C", "C.UTF-8", "zh_CN.UTF-8"] {
        let ours = || {
            let mut ours = tool(OURS);
            ours.env("LC_ALL", locale).current_dir(dir.path(""));
            ours
        };
        let guess = run(ours().args(["-l", "--guess", path])).exits(0).out();
        let guess: Vec<&str> = guess.lines().collect();
        assert!(
            guess.iter().any(|line| line.starts_with("UTF-8")),
            "{guess:?}"
        );
        run(ours().args(["-o", "-q", path])).exits(0);
        assert!(dir.path(name).is_file(), "{locale}");
        fs::remove_file(dir.path(name)).unwrap();
    }
}

#[test]
fn encodings_can_be_said() {
    let dir = Dir::new();
    let bytes = b"\x83e\x83X\x83g.txt"; // katakana in CP932
    let dos = dir.zip("dos.zip", &Zip::new().add(Entry::new(bytes).dos(0x20)));
    let unix = dir.zip(
        "unix.zip",
        &Zip::new().add(Entry::new(bytes).mode(0o100644)),
    );
    let (dos, unix) = (dos.to_str().unwrap(), unix.to_str().unwrap());
    let list = |args: &[&str]| dir.ours(&[&["-Z1"], args].concat()).exits(0).out();
    let katakana = "\u{30c6}\u{30b9}\u{30c8}.txt\n";
    assert_eq!(list(&["-O", "cp932", dos]), katakana);
    assert_eq!(list(&["-OShift_JIS", dos]), katakana);
    assert_eq!(list(&["-I", "cp932", unix]), katakana);
    assert_ne!(list(&["-O", "cp437", dos]), katakana);
    assert_ne!(list(&["-I", "cp437", "-O", "cp932", unix]), katakana);
    fs::create_dir_all(dir.path("work")).unwrap();
    let mut ours = tool(OURS);
    ours.env("ZIPINFO", "-O cp932").args(["-Z1", dos]);
    assert_eq!(run(&mut ours).out(), katakana);
    let mut ours = tool(OURS);
    ours.env("UNZIP", "-O cp932").args(["-lqq", dos]);
    assert!(run(&mut ours).out().ends_with(katakana));
    let guess = dir.ours(&["-l", "--guess", dos]).exits(0).out();
    assert!(guess.contains("\nEncoding        Bits  Names\n"), "{guess}");
    let escapes = list(&["-U", "-O", "cp932", dos]);
    assert_eq!(escapes, "#U30c6#U30b9#U30c8.txt\n");
}

#[test]
fn long_names_are_shortened_and_reported() {
    let dir = Dir::new();
    // 120 characters that grow to 360 bytes.
    let name = format!("{}.txt", "\u{6f22}".repeat(120));
    let zip = dir.zip(
        "a.zip",
        &Zip::new().add(Entry::new(name.as_bytes()).utf8().data(b"x")),
    );
    let ran = dir.ours(&[zip.to_str().unwrap()]).exits(1);
    assert!(ran.stderr.contains("name too long"), "{}", ran.stderr);
    assert!(ran.stderr.contains(&name));
    let names: Vec<OsString> = tree(&dir.path("work"), false).into_keys().collect();
    assert_eq!(names.len(), 1);
    assert!(names[0].as_bytes().ends_with(b".txt") && names[0].len() <= 255);
}
