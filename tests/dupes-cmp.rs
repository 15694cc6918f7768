//! Black-box tests of dupes as cmp: what the section CMP of `man/dupes.1` promises.

#![allow(clippy::unwrap_used)]

mod common;
#[path = "dupes-cmp/content.rs"]
mod content;
#[path = "dupes-cmp/messages.rs"]
mod messages;
#[path = "dupes-cmp/streams.rs"]
mod streams;
#[path = "dupes-cmp/usage.rs"]
mod usage;

use common::{Mounted, Ran, can, command, find, must, run, skipped, strace};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tempfile::TempDir;

const DUPES: &str = env!("CARGO_BIN_EXE_dupes");

/// A folder with files to compare.
struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    /// With `a`, `b` that differs, `c` that is empty, and no `d`.
    fn with_letters() -> Folder {
        let folder = Folder::new();
        folder.write("a", "a\n");
        folder.write("b", "b\n");
        folder.write("c", "");
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn sparse(&self, name: &str, size: u64, parts: &[(u64, &[u8])]) {
        let file = File::create(self.path(name)).unwrap();
        file.set_len(size).unwrap();
        parts
            .iter()
            .for_each(|(at, bytes)| file.write_all_at(bytes, *at).unwrap());
    }

    fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(DUPES);
        command.arg0("cmp").args(args).current_dir(self.0.path());
        command
            .env("LC_ALL", "C")
            .env_remove("CMP_COMPAT")
            .env_remove("POSIXLY_CORRECT");
        command
    }

    fn cmp(&self, line: &str) -> Ran {
        run(&mut self.command(line.split_whitespace()))
    }

    /// A line of shell in which `cmp` is ours.
    fn shell(&self, line: &str) -> Ran {
        let bin = self.path("bin");
        if !bin.exists() {
            fs::create_dir(&bin).unwrap();
            symlink(DUPES, bin.join("cmp")).unwrap();
        }
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let mut sh = command("sh");
        sh.args(["-c", line])
            .env("PATH", path)
            .current_dir(self.0.path());
        run(&mut sh)
    }
}

#[track_caller]
fn is(ran: &Ran, code: i32, stdout: &str, stderr: &str) {
    assert_eq!(
        (ran.code, &*ran.out(), &*ran.stderr),
        (code, stdout, stderr)
    );
}
