//! unzip-cjk from the outside: beside the real unzip and zipinfo, on archives made here, on names
//! in many encodings, and on archives that mean harm.

#![allow(clippy::unwrap_used)]

mod common;
#[path = "unzip-cjk/hostile.rs"]
mod hostile;
#[path = "unzip-cjk/large.rs"]
mod large;
#[path = "unzip-cjk/zip.rs"]
mod zip;

use common::{Ran, can, command, run};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use zip::{Entry, Zip};

const OURS: &str = env!("CARGO_BIN_EXE_unzip-cjk");

/// A folder for one test.
struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Dir {
        Dir(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn zip(&self, name: &str, zip: &Zip) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, zip.bytes()).unwrap();
        path
    }

    /// Runs the tool in the folder `work`, which is made.
    fn ours(&self, args: &[&str]) -> Ran {
        fs::create_dir_all(self.path("work")).unwrap();
        run(tool(OURS).current_dir(self.path("work")).args(args))
    }
}

fn tool(program: &str) -> Command {
    let mut tool = command(program);
    tool.env("LC_ALL", "C.UTF-8").env("TZ", "Asia/Shanghai");
    for name in ["UNZIP", "UNZIPOPT", "ZIPINFO", "ZIPINFOOPT"] {
        tool.env_remove(name);
    }
    tool
}

/// What is known of a file: type and mode, time, content.
type Known = (u32, i64, Vec<u8>);

/// All below a folder. The times of folders count where `folder_times` says so.
fn tree(top: &Path, folder_times: bool) -> BTreeMap<OsString, Known> {
    fn walk(top: &Path, at: &Path, times: bool, tree: &mut BTreeMap<OsString, Known>) {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64;
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(top).unwrap().as_os_str().to_owned();
            let (time, content) = if metadata.is_dir() {
                (if times { metadata.mtime() } else { 0 }, Vec::new())
            } else if metadata.is_symlink() {
                let to = fs::read_link(&path).unwrap();
                (0, to.into_os_string().into_vec())
            } else {
                (metadata.mtime(), fs::read(&path).unwrap())
            };
            // Files that were made just now are not alike to the second.
            let age = now - time;
            let time = if (-60..3600).contains(&age) {
                now
            } else {
                time
            };
            tree.insert(
                name,
                (
                    metadata.mode(),
                    time - now * i64::from(time == now),
                    content,
                ),
            );
            if metadata.is_dir() {
                walk(top, &path, times, tree);
            }
        }
    }
    let mut all = BTreeMap::new();
    walk(top, top, folder_times, &mut all);
    all
}

/// An archive with a bit of everything that both programs understand.
fn sample() -> Zip {
    let text = b"one\r\ntwo\r\n".repeat(300);
    Zip::new()
        .comment(b"Comment of\r\nthe archive")
        .add(Entry::new(b"readme.txt").data(b"hello\n").text())
        .add(Entry::new(b"dir/").mode(0o40750))
        .add(
            Entry::new(b"dir/Big.TXT")
                .data(&text)
                .deflate()
                .text()
                .comment(b"a comment"),
        )
        .add(
            Entry::new(b"dir/sub/x.bin")
                .data(&[0, 13, 10, 26, 255])
                .mode(0o100755),
        )
        .add(Entry::new(b"link").data(b"dir/Big.TXT").mode(0o120777))
        .add(Entry::new(b"UPPER.DOS").data(b"dos").dos(0x20))
        .add(Entry::new(b"read.only").data(b"ro").dos(0x21))
        .add(Entry::new(b"empty").data(b"").mode(0o104755))
        .add(Entry::new(b"old;12").data(b"vms"))
        .add(Entry::new(b"ctrl\x01x").data(b"c"))
        .add(Entry::new("größe/ж文.txt".as_bytes()).data(b"utf8").utf8())
        .add(
            Entry::new(b"times")
                .data(b"t")
                .unix_time(1_000_000_000, 1_100_000_000),
        )
}

/// Runs both programs in folders that are alike, and compares streams, status and folders.
#[track_caller]
fn same_as_unzip(program: &str, args: &[&str], prepare: &dyn Fn(&Path)) {
    same_with(program, args, &[], prepare);
}

#[track_caller]
fn same_with(program: &str, args: &[&str], variables: &[(&str, &str)], prepare: &dyn Fn(&Path)) {
    let dir = Dir::new();
    let mut results = Vec::new();
    for (folder, binary) in [("real", program), ("ours", OURS)] {
        // The same path for both, as it is in messages.
        let work = dir.path("work");
        fs::create_dir(&work).unwrap();
        fs::write(work.join("a.zip"), sample().bytes()).unwrap();
        let archive = fs::File::options()
            .write(true)
            .open(work.join("a.zip"))
            .unwrap();
        archive.set_modified(std::time::UNIX_EPOCH).unwrap();
        prepare(&work);
        let mut tool = tool(binary);
        if binary == OURS && program == "zipinfo" {
            tool = Command::new(OURS);
            tool.env("LC_ALL", "C.UTF-8").env("TZ", "Asia/Shanghai");
            std::os::unix::process::CommandExt::arg0(&mut tool, "zipinfo");
        }
        tool.envs(variables.iter().copied());
        let ran = run(tool.current_dir(&work).args(args));
        let tree = tree(&work, false);
        fs::rename(&work, dir.path(folder)).unwrap();
        results.push((ran.code, ran.out(), ran.stderr.clone(), tree));
    }
    let ours = results.pop().unwrap();
    let real = results.pop().unwrap();
    assert_eq!(ours.1, real.1, "stdout of {args:?}");
    assert_eq!(ours.2, real.2, "stderr of {args:?}");
    assert_eq!(ours.0, real.0, "status of {args:?}");
    assert_eq!(ours.3, real.3, "files of {args:?}");
}

fn nothing(_: &Path) {}

fn has_unzip(test: &str) -> bool {
    can(test, false, &["unzip", "zipinfo"])
}

#[test]
fn lists_are_those_of_unzip() {
    if !has_unzip("lists_are_those_of_unzip") {
        return;
    }
    for args in [
        &["-l", "a.zip"][..],
        &["-l", "a"],
        &["-v", "a.zip"],
        &["-lq", "a.zip"],
        &["-lqq", "a.zip"],
        &["-vq", "a.zip"],
        &["-vqq", "a.zip"],
        &["-lL", "a.zip"],
        &["-lLL", "a.zip"],
        &["-vL", "a.zip"],
        &["-z", "a.zip"],
        &["-zq", "a.zip"],
        &["-l", "a.zip", "*.txt"],
        &["-l", "a.zip", "*.txt", "-x", "read*"],
        &["-l", "a.zip", "-x", "dir/*"],
        &["-lC", "a.zip", "*.TXT"],
        &["-lW", "a.zip", "*.txt"],
        &["-lW", "a.zip", "**.txt"],
        &["-l", "a.zip", "nothing"],
        &["-l", "a.zip", "dir/[a-c]*", "?????"],
        &["-lUU", "a.zip", "d*"],
        &["-l", "-d", "elsewhere", "a.zip"],
    ] {
        same_as_unzip("unzip", args, &nothing);
    }
}

#[test]
fn zipinfo_is_that_of_unzip() {
    if !has_unzip("zipinfo_is_that_of_unzip") {
        return;
    }
    for args in [
        &["a.zip"][..],
        &["-1", "a.zip"],
        &["-2", "a.zip"],
        &["-2htz", "a.zip"],
        &["-s", "a.zip"],
        &["-m", "a.zip"],
        &["-l", "a.zip"],
        &["-v", "a.zip"],
        &["-T", "a.zip"],
        &["-lT", "a.zip"],
        &["-h", "a.zip"],
        &["-t", "a.zip"],
        &["-z", "a.zip"],
        &["-h-t", "a.zip"],
        &["-l--h", "a.zip"],
        &["a.zip", "*.txt"],
        &["-ht", "a.zip", "*.txt"],
        &["-v", "a.zip", "dir/*"],
        &["-1C", "a.zip", "*.TXT"],
        &["-1W", "a.zip", "*.txt"],
        &["a.zip", "nothing"],
        &["-1", "a.zip", "-x", "d*", "nothing"],
    ] {
        same_as_unzip("zipinfo", args, &nothing);
        let with_z: Vec<&str> = [&["-Z"], args].concat();
        same_as_unzip("unzip", &with_z, &nothing);
    }
}

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

#[test]
fn a_pause_in_the_comment_waits_for_a_key() {
    let dir = Dir::new();
    let zip = Zip::new()
        .add(Entry::new(b"a").data(b"x"))
        .comment(b"one\x13two");
    let zip = dir.zip("a.zip", &zip);
    // At the end of input nobody is there to wait for.
    for (typed, goes_on) in [("q", false), ("y", true), ("", true)] {
        let work = dir.path("work");
        fs::create_dir_all(&work).unwrap();
        fs::write(dir.path("typed"), typed).unwrap();
        let mut ours = tool(OURS);
        ours.current_dir(&work).arg(&zip);
        let input = fs::File::open(dir.path("typed")).unwrap();
        let ran = Ran::from(ours.stdin(input).output().unwrap()).exits(0);
        assert!(
            ran.stderr.contains("--- Press `Q' to quit"),
            "{}",
            ran.stderr
        );
        assert_eq!(work.join("a").exists(), goes_on, "{typed:?}");
        fs::remove_dir_all(&work).unwrap();
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
fn variables_hold_options_as_for_unzip() {
    if !has_unzip("variables_hold_options_as_for_unzip") {
        return;
    }
    let all = |program, args: &[&str], variables: &[(&str, &str)]| {
        same_with(program, args, variables, &nothing);
    };
    all("unzip", &["-l", "a.zip"], &[("UNZIP", "-q")]);
    all("unzip", &["-l-q", "a.zip"], &[("UNZIP", " -q ")]);
    all("unzip", &["a.zip"], &[("UNZIP", "-qq"), ("UNZIPOPT", "-l")]);
    all(
        "unzip",
        &["a.zip"],
        &[("UNZIP", "  "), ("UNZIPOPT", "-lqq")],
    );
    all("unzip", &["a.zip"], &[("UNZIP", "-d \"a folder\"")]);
    all("zipinfo", &["a.zip"], &[("ZIPINFO", "-1")]);
    all("unzip", &["-Z", "a.zip"], &[("ZIPINFOOPT", "-m")]);
}

#[test]
fn mistakes_have_their_status() {
    let dir = Dir::new();
    let zip = dir.zip("a.zip", &sample());
    let zip = zip.to_str().unwrap();
    for args in [
        &["-Q", zip][..],
        &["-l"],
        &["-fn", zip],
        &["-ct", zip],
        &["-d"],
        &["-d", "a", "-d", "b", zip],
        &["-O", "no-such-encoding", zip],
        &["--threads=0", zip],
    ] {
        let ran = dir.ours(args).exits(10);
        assert!(ran.stdout.is_empty() && !ran.stderr.is_empty(), "{args:?}");
    }
    for args in [&["--help"][..], &["-h"], &["-hh"], &[]] {
        let help = dir.ours(args).exits(0).out();
        assert!(help.starts_with("Usage: unzip-cjk"), "{args:?}");
    }
    for args in [&["-Z"][..], &["-Z", "-h"], &["-Z", "-v"], &["-Z1"]] {
        let help = dir.ours(args).exits(0).out();
        assert!(help.starts_with("Usage: unzip-cjk"), "{args:?}");
    }
    for args in [&["--version"][..], &["-v"]] {
        let version = dir.ours(args).exits(0).out();
        assert!(version.starts_with("unzip-cjk "), "{args:?}");
    }
}

/// Answers to questions, through a terminal that `script` makes.
fn at_terminal(program: &str, work: &Path, args: &str, typed: &str) -> Ran {
    let mut script = tool("script");
    script.args(["-qec", &format!("{program} {args}"), "/dev/null"]);
    script
        .current_dir(work)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = script.stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(typed.as_bytes()).unwrap();
    // The terminal stays: its end would be another answer.
    let output = std::thread::scope(|scope| {
        let wait = scope.spawn(|| child.wait_with_output().unwrap());
        let deadline = Instant::now() + Duration::from_secs(20);
        while !wait.is_finished() && Instant::now() < deadline {
            std::thread::yield_now();
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(input);
        wait.join().unwrap()
    });
    output.into()
}

#[test]
fn questions_are_those_of_unzip() {
    if !can("questions_are_those_of_unzip", false, &["unzip", "script"]) {
        return;
    }
    for typed in [
        "y\nn\n",
        "A\n",
        "N\n",
        "n\nN\n",
        "x\n\ny\nA\n",
        "r\nother\ny\n",
        "r\nreadme.txt\nA\n",
        "Y\nr\nnew/one\n",
    ] {
        let dir = Dir::new();
        let mut results = Vec::new();
        for (folder, program) in [("real", "unzip"), ("ours", OURS)] {
            let work = dir.path("work");
            fs::create_dir_all(work.join("dir")).unwrap();
            fs::write(work.join("a.zip"), sample().bytes()).unwrap();
            let archive = fs::File::options()
                .write(true)
                .open(work.join("a.zip"))
                .unwrap();
            archive.set_modified(std::time::UNIX_EPOCH).unwrap();
            fs::write(work.join("readme.txt"), "there").unwrap();
            fs::write(work.join("dir/Big.TXT"), "there").unwrap();
            let ran = at_terminal(program, &work, "a.zip", typed);
            let tree = tree(&work, false);
            fs::rename(&work, dir.path(folder)).unwrap();
            // What is typed is echoed wherever the terminal gets to it.
            let text = ran.out();
            let questions = (
                text.matches("replace ").count(),
                text.matches("new name: ").count(),
            );
            let invalid = text.matches("invalid response").count();
            results.push((ran.code, questions, invalid, tree));
        }
        assert_eq!(results[0], results[1], "{typed:?}");
    }
}

#[test]
fn a_full_path_is_a_new_name_too() {
    if !can("a_full_path_is_a_new_name_too", false, &["script"]) {
        return;
    }
    let dir = Dir::new();
    let zip = dir.zip("a.zip", &Zip::new().add(Entry::new(b"a").data(b"x")));
    let zip = zip.to_str().unwrap();
    let work = dir.path("work");
    fs::create_dir(&work).unwrap();
    fs::write(work.join("a"), "there").unwrap();
    let new = dir.path("new");
    // -j leaves out the folders of this name as well, so it is one below.
    for (options, wanted) in [("", &new), ("-j", &work.join("new"))] {
        let typed = format!("r\n{}\n", new.display());
        let ran = at_terminal(OURS, &work, &format!("{options} {zip}"), &typed);
        assert_eq!(ran.code, 0, "{}", ran.out());
        assert_eq!(fs::read(wanted).unwrap(), b"x", "{options}");
        fs::remove_file(wanted).unwrap();
    }
}

#[test]
fn nothing_comes_after_a_screen_that_was_the_last() {
    let test = "nothing_comes_after_a_screen_that_was_the_last";
    if !can(test, false, &["script"]) {
        return;
    }
    let dir = Dir::new();
    let names = (0..60).map(|number| format!("file{number}"));
    let zip = names.fold(Zip::new(), |zip, name| {
        zip.add(Entry::new(name.as_bytes()).data(b"x"))
    });
    let zip = dir.zip("a.zip", &zip);
    let work = dir.path("work");
    fs::create_dir(&work).unwrap();
    let ran = at_terminal(OURS, &work, &format!("-M {}", zip.display()), "q");
    assert_eq!(ran.code, 0, "{}", ran.out());
    assert_eq!(ran.out().matches("--More--").count(), 1, "{}", ran.out());
    assert!(work.join("file5").exists() && !work.join("file40").exists());
}

#[test]
fn passwords_are_asked_for_at_the_terminal() {
    let programs = ["zip", "7zz", "script"];
    if !can("passwords_are_asked_for_at_the_terminal", false, &programs) {
        return;
    }
    let dir = Dir::new();
    fs::write(dir.path("secret"), b"a secret\n".repeat(1000)).unwrap();
    let make = |args: &[&str]| {
        let made = run(command(args[0]).current_dir(dir.0.path()).args(&args[1..]));
        assert_eq!(made.code, 0, "{} {}", made.out(), made.stderr);
    };
    make(&["zip", "-q", "-P", "pass", "old.zip", "secret"]);
    make(&[
        "7zz",
        "a",
        "-bso0",
        "-ppass",
        "-mem=AES256",
        "aes.zip",
        "secret",
    ]);
    for archive in ["old.zip", "aes.zip"] {
        let path = dir.path(archive);
        let path = path.to_str().unwrap();
        dir.ours(&["-o", "-q", "-P", "pass", path]).exits(0);
        let secret = fs::read(dir.path("work/secret")).unwrap();
        assert_eq!(secret, fs::read(dir.path("secret")).unwrap(), "{archive}");
        let wrong = dir.ours(&["-o", "-P", "wrong", path]).exits(82);
        assert!(
            wrong
                .stderr
                .contains("   skipping: secret                  incorrect password\n")
        );
        dir.ours(&["-t", "-P", "pass", path]).exits(0);
        let typed = at_terminal(
            OURS,
            &dir.path("work"),
            &format!("-o {path}"),
            "bad\npass\n",
        );
        assert_eq!(typed.code, 0, "{}", typed.out());
        assert!(
            typed.out().contains("] secret password: "),
            "{}",
            typed.out()
        );
        assert!(typed.out().contains("password incorrect--reenter: "));
        assert!(!typed.out().contains("unable"));
    }
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

/// Thousands of entries, so that threads have something to do.
fn many() -> Zip {
    let mut zip = Zip::new();
    for i in 0..1000_u32 {
        let data = format!("{i} ").repeat(1 + i as usize % 300);
        let name = format!("d{}/f{i}.txt", i % 17);
        zip = zip.add(Entry::new(name.as_bytes()).data(data.as_bytes()).deflate());
    }
    zip
}

#[test]
fn threads_change_nothing() {
    let dir = Dir::new();
    let zip = many()
        .add(Entry::new(b"d1/f1.txt").data(b"the second of this name"))
        .add(
            Entry::new(b"big")
                .data(
                    &(0..2_500_000_u32)
                        .flat_map(|n| (n / 3).to_le_bytes())
                        .collect::<Vec<u8>>(),
                )
                .deflate(),
        )
        .add(Entry::new(b"bad").data(b"bad").crc(1));
    let zip = dir.zip("a.zip", &zip);
    let zip = zip.to_str().unwrap();
    let mut results = Vec::new();
    for threads in ["1", "2", "7"] {
        let ran = dir
            .ours(&["-o", &format!("--threads={threads}"), zip])
            .exits(2);
        results.push((ran.out(), ran.stderr, tree(&dir.path("work"), false)));
        let tested = dir
            .ours(&["-t", &format!("--threads={threads}"), zip])
            .exits(2);
        assert!(
            tested
                .out()
                .contains("testing: bad                      bad CRC")
        );
        fs::remove_dir_all(dir.path("work")).unwrap();
    }
    assert_eq!(results[0], results[1]);
    assert_eq!(results[0], results[2]);
    let second = OsStr::new("d1/f1.txt");
    assert_eq!(results[0].2[second].2, b"the second of this name");
    if has_unzip("threads_change_nothing") {
        fs::create_dir(dir.path("work")).unwrap();
        let real = run(tool("unzip")
            .current_dir(dir.path("work"))
            .args(["-o", zip]));
        assert_eq!(
            (real.out(), real.stderr),
            (results[0].0.clone(), results[0].1.clone())
        );
        assert_eq!(tree(&dir.path("work"), false), results[0].2);
    }
}

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
    let zip = dir.zip(
        "a.zip",
        &Zip::new()
            .add(Entry::new(b"a").data(&noise))
            .add(Entry::new(b"b").data(&noise)),
    );
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
    fs::copy(OURS, &tool_copy).unwrap();
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

#[test]
fn an_interrupt_leaves_whole_files_only() {
    let dir = Dir::new();
    let noise: Vec<u8> = (0..16 << 20)
        .map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let mut zip = Zip::new();
    for i in 0..8_u8 {
        zip = zip.add(Entry::new(&[b'a' + i]).data(&noise));
    }
    let zip = dir.zip("a.zip", &zip);
    let work = dir.path("work");
    fs::create_dir(&work).unwrap();
    fs::write(work.join("h"), "what was there").unwrap();
    let mut ours = tool(OURS);
    ours.current_dir(&work).args(["-o", "-q"]).arg(&zip);
    let mut child = ours.stdin(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while fs::read_dir(&work).unwrap().count() < 2 && Instant::now() < deadline {
        std::thread::yield_now();
    }
    let pid = child.id().to_string();
    run(command("kill").args(["-INT", &pid]));
    let code = child.wait().unwrap().code();
    let left: Vec<PathBuf> = fs::read_dir(&work)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    // It may have been faster than the signal.
    assert!(matches!(code, Some(80 | 0)), "{code:?}");
    for path in left {
        let content = fs::read(&path).unwrap();
        assert!(
            content == noise || content == b"what was there",
            "{}",
            path.display()
        );
        assert!(!path.to_str().unwrap().contains(".unzip-cjk"));
    }
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let dir = Dir::new();
    let zip = dir.zip(
        "a.zip",
        &Zip::new().add(Entry::new(b"a").data(&vec![b'x'; 4 << 20])),
    );
    let shell = format!(
        "'{OURS}' -p '{}' | head -c 10; echo ${{PIPESTATUS[0]}}",
        zip.display()
    );
    let ran = run(tool("bash").args(["-c", &shell]));
    assert_eq!(
        (ran.out(), ran.stderr),
        ("xxxxxxxxxx141\n".into(), String::new())
    );
    let full = format!("'{OURS}' -p '{}' > /dev/full", zip.display());
    let ran = run(tool("bash").args(["-c", &full])).exits(50);
    assert!(
        ran.stderr
            .contains("standard output: No space left on device"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_closed_pipe_leaves_whole_files_only() {
    let dir = Dir::new();
    let data = vec![b'x'; 12 << 20];
    let mut zip = Zip::new();
    for number in 0..6 {
        let name = format!("file{number}");
        zip = zip.add(Entry::new(name.as_bytes()).data(&data).deflate());
    }
    let zip = dir.zip("a.zip", &zip);
    for reader in ["true", "head -1"] {
        let shell = format!(
            "'{OURS}' '{}' -d out | {reader} > /dev/null; echo ${{PIPESTATUS[0]}}",
            zip.display()
        );
        let mut bash = tool("bash");
        let ran = run(bash.current_dir(dir.path("")).args(["-c", &shell]));
        assert_eq!((ran.out(), ran.stderr), ("141\n".into(), String::new()));
        for (name, (_, _, content)) in tree(&dir.path("out"), false) {
            assert!(content == data, "{name:?} has {} bytes", content.len());
        }
        fs::remove_dir_all(dir.path("out")).unwrap();
    }
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

#[test]
fn archives_beyond_4_gib_are_no_bombs() {
    const SIZE: u64 = (4 << 30) + (16 << 20);
    for deflated in [true, false] {
        let dir = Dir::new();
        let path = dir.path("a.zip");
        large::archive(&path, SIZE, deflated);
        let path = path.to_str().unwrap();
        let listed = dir.ours(&["-lqq", path]).exits(0).out();
        let sizes: Vec<&str> = listed
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        assert_eq!(sizes, [&SIZE.to_string()[..], "5"], "{listed}");
        let tested = dir.ours(&["-t", path]).exits(0).out();
        assert!(tested.contains("No errors detected"), "{tested}");
        dir.ours(&["-q", path, "small"]).exits(0);
        assert_eq!(fs::read(dir.path("work/small")).unwrap(), b"small");
        if has_unzip("archives_beyond_4_gib_are_no_bombs") {
            for args in [&["-v", path][..], &["-Zv", path], &["-Z", path]] {
                let real = run(tool("unzip").args(args));
                assert_eq!(dir.ours(args).exits(0).out(), real.out(), "{args:?}");
            }
        }
    }
}

#[test]
fn hostile_archives_do_no_harm() {
    if can("hostile_archives_do_no_harm", false, &["prlimit"]) {
        hostile::all(OURS);
    }
}
