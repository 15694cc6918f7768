//! unzip-cjk from the outside: beside the real unzip and zipinfo, on archives made here, on names
//! in many encodings, and on archives that mean harm.

#![allow(clippy::unwrap_used)]

#[path = "unzip-cjk/archives.rs"]
mod archives;
mod common;
#[path = "unzip-cjk/disks.rs"]
mod disks;
#[path = "unzip-cjk/extraction.rs"]
mod extraction;
#[path = "unzip-cjk/hostile.rs"]
mod hostile;
#[path = "unzip-cjk/large.rs"]
mod large;
#[path = "unzip-cjk/large_entries.rs"]
mod large_entries;
#[path = "unzip-cjk/lists.rs"]
mod lists;
#[path = "unzip-cjk/names.rs"]
mod names;
#[path = "unzip-cjk/signals.rs"]
mod signals;
#[path = "unzip-cjk/terminal.rs"]
mod terminal;
#[path = "unzip-cjk/threads.rs"]
mod threads;
#[path = "unzip-cjk/usage.rs"]
mod usage;
#[path = "unzip-cjk/zip.rs"]
mod zip;

use common::image::Dir;
use common::{Ran, can, command, copy_program, run};
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

impl Dir {
    fn new() -> Dir {
        Dir::empty()
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
