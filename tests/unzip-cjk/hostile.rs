//! Archives that mean harm to whoever extracts them, and honest ones that look like it.

use super::*;

/// What an archive must come to, beside doing no harm.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Must {
    /// Any status but that of a panic or a signal.
    End,
    /// Refused before anything is written.
    Refuse,
}

/// Address space: far less than any archive here claims.
const MEMORY: u64 = 1 << 30;
/// Of the processor: a slow machine is no harm.
const SECONDS: u32 = 5;

/// Runs all of them.
fn all(tool: &str) {
    let archives = archives();
    assert!(archives.len() >= 50, "{}", archives.len());
    let top = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    for (name, bytes, must) in archives {
        one(tool, top.path(), &name, &bytes, must);
    }
}

/// Lists, tests and extracts one. Around the target folder nothing may change, nothing may panic, and
/// neither time nor memory may grow.
fn one(tool: &str, top: &Path, name: &str, bytes: &[u8], must: Must) {
    let home = top.join("home");
    let target = home.join("target");
    fs::create_dir_all(&target).unwrap();
    fs::write(home.join("canary"), "untouched").unwrap();
    // Links that an earlier archive may have left.
    symlink("..", target.join("up")).unwrap();
    symlink("../canary", target.join("to-canary")).unwrap();
    let archive = top.join("a.zip");
    fs::write(&archive, bytes).unwrap();
    let few = name.starts_with("name ") || name.starts_with("broken ");
    let options = match few {
        true => &["-o", "-l"][..],
        false => &["-o", "-l", "-t", "-Zv", "-p"],
    };
    for option in options {
        let mut limited = command("prlimit");
        limited.arg(format!("--as={MEMORY}"));
        limited.arg(format!("--cpu={SECONDS}"));
        limited.args([tool, option]);
        if *option != "-Zv" {
            limited.args(["-P", "p"]);
        }
        let ran = run(limited.arg(&archive).current_dir(&target));
        assert!(
            ran.code < 101,
            "{name} {option}: {} {}",
            ran.code,
            ran.stderr
        );
        assert!(!ran.stderr.contains("panicked"), "{name}: {}", ran.stderr);
        if *option == "-o" && must == Must::Refuse {
            assert_eq!(ran.code, 12, "{name}: {}", ran.stderr);
            let left = fs::read_dir(&target).unwrap().count();
            assert_eq!(left, 2, "{name}: something was written");
        }
    }
    let around: Vec<PathBuf> = fs::read_dir(&home)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(around.len(), 2, "{name} got out: {around:?}");
    assert_eq!(
        fs::read(home.join("canary")).unwrap(),
        b"untouched",
        "{name}"
    );
    assert!(!Path::new("/tmp/unzip-cjk-escaped").exists(), "{name}");
    fs::remove_dir_all(&home).unwrap();
}

fn archives() -> Vec<(String, Vec<u8>, Must)> {
    let mut all = Vec::new();
    let mut add = |name: &str, bytes: Vec<u8>, must| all.push((name.to_owned(), bytes, must));
    // Names that lead somewhere else.
    for name in [
        &b"../escaped"[..],
        b"../../escaped",
        b"a/../../escaped",
        b"/tmp/unzip-cjk-escaped",
        b"//tmp/unzip-cjk-escaped",
        b"..\\escaped",
        b"..\\..\\escaped",
        b"C:\\escaped",
        b"C:../escaped",
        b"\\\\server\\share\\escaped",
        b"./../escaped",
        b".\x01./escaped",
        b"..\x7f/escaped",
        b".\0./escaped",
        b"..\0/escaped",
        b"a\0/../../escaped",
        b"..",
        b".",
        b"",
        b"/",
        b"../",
        b"up/escaped",
        b"up/new/escaped",
        b"to-canary",
        b"to-canary/x",
        b"....//....//escaped",
        b"..;1/escaped",
        b"\xc0\xae\xc0\xae/escaped",
        b"\xef\xbc\x8e\xef\xbc\x8e/escaped",
        b"%2e%2e/escaped",
        b"a\x1b[2Jb",
        b"new\nline",
        b"..\x83\x5cescaped",
    ] {
        let label = format!("name {}", name.escape_ascii());
        add(
            &label,
            Zip::new().add(Entry::new(name).data(b"x")).bytes(),
            Must::End,
        );
        let dos = Zip::new().add(Entry::new(name).data(b"x").dos(0x20));
        add(&format!("{label}, DOS"), dos.bytes(), Must::End);
    }
    let link = |name: &[u8], to: &[u8]| Entry::new(name).data(to).mode(0o120777);
    for (label, to, through) in [
        ("link up", &b".."[..], &b"l/escaped"[..]),
        ("link to root", b"/", b"l/tmp/unzip-cjk-escaped"),
        ("link to a file", b"../canary", b"l"),
        ("link to itself", b"l", b"l/x"),
        ("link with a NUL", b"..\0x", b"l/escaped"),
    ] {
        let zip = Zip::new()
            .add(link(b"l", to))
            .add(Entry::new(through).data(b"x"));
        add(label, zip.bytes(), Must::End);
    }
    let chain = Zip::new()
        .add(link(b"a", b"."))
        .add(link(b"a/b", b".."))
        .add(Entry::new(b"a/b/escaped").data(b"x"));
    add("chain of links", chain.bytes(), Must::End);
    let huge = Zip::new().add(link(b"l", &vec![b'x'; 100_000]));
    add("a link of 100 000 bytes", huge.bytes(), Must::End);
    let twice = Zip::new()
        .add(Entry::new(b"same").data(b"1"))
        .add(link(b"same", b"../canary"))
        .add(Entry::new(b"same").data(b"2"))
        .add(Entry::new(b"same/x").data(b"3"));
    add(
        "file, link and folder of one name",
        twice.bytes(),
        Must::End,
    );
    // Bombs.
    let zeros = Entry::new(b"0").data(&vec![0; 1 << 20]).deflate();
    let mut overlap = Zip::new().add(zeros.clone());
    for i in 1..500 {
        let mut entry = zeros.clone().same_as_first();
        entry.name = format!("{i}").into_bytes();
        overlap = overlap.add(entry);
    }
    add(
        "500 entries of the same data",
        overlap.bytes(),
        Must::Refuse,
    );
    let quoted = Zip::new()
        .add(Entry::new(b"a").data(&vec![1; 5000]))
        .add(Entry::new(b"b").data(&vec![2; 5000]).moved(-4000));
    add("entries that overlap", quoted.bytes(), Must::Refuse);
    let mut over_directory = Entry::new(b"a").data(b"x");
    over_directory.claimed_packed = Some(150);
    over_directory.claimed = Some(150);
    let padded = Zip::new().add(over_directory).comment(&[b'c'; 300]);
    add("an entry over the directory", padded.bytes(), Must::Refuse);
    // Sizes that lie.
    for (label, claimed, packed) in [
        ("a size of 4 GiB", Some(0xFFFF_FFFE), None),
        ("a size of 0", Some(0), None),
        ("a size too small", Some(10), None),
        ("a packed size of 4 GiB", None, Some(0xFFFF_FFF0)),
    ] {
        for method in [0, 1, 2, 6, 8, 9, 12, 14, 93, 95, 98] {
            let data = b"some data ".repeat(50);
            let mut entry = Entry::new(b"a").data(&data);
            entry = match method {
                0 => entry,
                8 => entry.deflate(),
                _ => entry.packed(method, &data),
            };
            (entry.claimed, entry.claimed_packed) = (claimed, packed);
            let zip = Zip::new().add(entry).bytes();
            add(&format!("{label}, method {method}"), zip, Must::End);
        }
    }
    // Dictionaries and windows that would take all memory.
    let mut lzma = vec![9, 20, 5, 0, 0x5D, 0xFF, 0xFF, 0xFF, 0xFF];
    lzma.extend([0; 100]);
    let mut entry = Entry::new(b"a").packed(14, &lzma);
    entry.claimed = Some(0xFFFF_FFF0);
    add("LZMA with 4 GiB", Zip::new().add(entry).bytes(), Must::End);
    let zstd = [0x28, 0xB5, 0x2F, 0xFD, 0x00, 0xFF, 1, 0, 0, 0, 0];
    add(
        "zstd with a huge window",
        Zip::new().add(Entry::new(b"a").packed(93, &zstd)).bytes(),
        Must::End,
    );
    let ppmd = [0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0];
    add(
        "PPMd of the greatest order",
        Zip::new().add(Entry::new(b"a").packed(98, &ppmd)).bytes(),
        Must::End,
    );
    // Encryption that cannot be.
    for method in [0, 8, 99] {
        let mut entry = Entry::new(b"a").packed(method, b"short");
        entry.flags = 1;
        add(
            &format!("encrypted, cut, method {method}"),
            Zip::new().add(entry).bytes(),
            Must::End,
        );
    }
    let mut aes = Entry::new(b"a").packed(99, &[7; 40]);
    aes.flags = 1;
    let aes = aes.extra(&[1, 0x99, 7, 0, 2, 0, b'A', b'E', 9, 8, 0]);
    add(
        "AES of an unknown strength",
        Zip::new().add(aes).bytes(),
        Must::End,
    );
    // End records.
    let plain = || Zip::new().add(Entry::new(b"a").data(b"x"));
    let with = |change: &dyn Fn(&mut Zip)| {
        let mut zip = plain();
        change(&mut zip);
        zip.bytes()
    };
    add(
        "65535 entries that are not there",
        with(&|z| z.count = Some(65535)),
        Must::End,
    );
    add(
        "a directory of 4 GiB",
        with(&|z| z.size = Some(0xFFFF_FFFE)),
        Must::End,
    );
    add(
        "a directory at 4 GiB",
        with(&|z| z.offset = Some(0xFFFF_FFFE)),
        Must::End,
    );
    add("a directory at 0", with(&|z| z.offset = Some(0)), Must::End);
    add("disk 7", with(&|z| z.disk = 7), Must::End);
    add(
        "bytes before it",
        with(&|z| z.prefix = vec![b'M'; 5000]),
        Must::End,
    );
    add(
        "an end record in the comment",
        plain().comment(&Zip::new().bytes()).bytes(),
        Must::End,
    );
    let mut wide = plain().zip64().bytes();
    let at = wide.len() - 22 - 20;
    wide[at + 8..at + 16].fill(0xFF);
    add("a zip64 record beyond the end", wide, Must::End);
    let mut wide = plain().zip64().bytes();
    let at = wide.len() - 22 - 20 - 56;
    wide[at + 24..at + 56].fill(0xFF);
    add("a zip64 record of all ones", wide, Must::End);
    // Fields.
    for extra in [
        &[1, 0, 200, 0, 1][..],
        &[0x75, 0x70, 3, 0, 1, 2, 3],
        &[0x55, 0x54, 1, 0, 7],
        &[0x75, 0x78, 3, 0, 1, 255, 0],
        &[1, 0, 0, 0],
        &[0x0a, 0, 4, 0, 1, 2, 3, 4],
    ] {
        let mut entry = Entry::new(b"a").data(b"x").extra(extra);
        entry.claimed = Some(0xFFFF_FFFF);
        let label = format!("extra field {extra:?}");
        add(&label, Zip::new().add(entry).bytes(), Must::End);
    }
    // Cut at every place.
    let whole = Zip::new()
        .add(Entry::new(b"d/").mode(0o40755))
        .add(Entry::new(b"d/a").data(&b"data ".repeat(100)).deflate())
        .bytes();
    for len in (0..whole.len()).step_by(29) {
        add(&format!("cut at {len}"), whole[..len].to_vec(), Must::End);
    }
    for at in (0..whole.len()).step_by(17) {
        let mut broken = whole.clone();
        broken[at] ^= 0xFF;
        add(&format!("broken at {at}"), broken, Must::End);
    }
    add("nothing", Vec::new(), Must::End);
    let long = vec![b'n'; 65000];
    add(
        "a name of 65 000 bytes",
        Zip::new().add(Entry::new(&long).data(b"x")).bytes(),
        Must::End,
    );
    let deep = b"d/".repeat(20_000);
    add(
        "20 000 folders deep",
        Zip::new()
            .add(Entry::new(&[&deep[..], b"f"].concat()).data(b"x"))
            .bytes(),
        Must::End,
    );
    all
}

#[test]
fn hostile_archives_do_no_harm() {
    if can("hostile_archives_do_no_harm", false, &["prlimit"]) {
        all(OURS);
    }
}

#[test]
fn limits_are_kept_before_anything_is_written() {
    let dir = Dir::new();
    let zip = dir.zip(
        "a.zip",
        &Zip::new()
            .add(Entry::new(b"a").data(&vec![0; 100_000]).deflate())
            .add(Entry::new(b"b").data(b"b")),
    );
    let zip = zip.to_str().unwrap();
    for args in [
        &["--max-size=100000"][..],
        &["--max-ratio=50"],
        &["--max-files=1"],
    ] {
        dir.ours(&[args, &[zip]].concat()).exits(12);
        assert!(tree(&dir.path("work"), false).is_empty(), "{args:?}");
    }
    let enough = [
        "--max-size=100001",
        "--max-ratio=2000",
        "--max-files=2",
        zip,
    ];
    dir.ours(&enough).exits(0);
}

#[test]
fn honest_archives_are_not_taken_for_bombs() {
    let dir = Dir::new();
    // Entries that overlap by two bytes, as some old tools made them.
    let zip = Zip::new()
        .add(Entry::new(b"a").data(b"aaaa"))
        .add(Entry::new(b"b").data(b"bbbb").moved(-2));
    let zip = dir.zip("two.zip", &zip);
    let ran = dir.ours(&["-o", zip.to_str().unwrap()]);
    assert_ne!(ran.code, 12, "{}", ran.stderr);
    // Zeros: a high ratio, and no more than deflate can do.
    let zip = Zip::new().add(Entry::new(b"zeros").data(&vec![0; 20 << 20]).deflate());
    let zip = dir.zip("zeros.zip", &zip);
    dir.ours(&["-oq", zip.to_str().unwrap()]).exits(0);
    // More than 65535 entries, in zip64.
    let mut zip = Zip::new();
    for i in 0..66_000 {
        zip = zip.add(Entry::new(format!("{i}").as_bytes()));
    }
    let zip = dir.zip("many.zip", &zip.zip64());
    let listed = dir.ours(&["-Z1", zip.to_str().unwrap()]).exits(0);
    assert_eq!(listed.out().lines().count(), 66_000);
}
