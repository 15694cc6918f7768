//! `cargo xtask gnu-cmp TREE`: the test of diffutils for cmp, from an unpacked source release, with
//! dupes under the name cmp. Nothing of the tree is kept, and it need not be built.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Result;
use crate::workspace::{Scratch, build_release_of};

/// What a test says by its exit status.
const SKIPPED: i32 = 77;

/// Runs the test and prints its result.
pub(crate) fn run(arguments: &[OsString]) -> Result {
    let [tree] = arguments else {
        return Err("which tree? Give the folder of an unpacked diffutils release".to_owned());
    };
    let tree = fs::canonicalize(tree).map_err(|e| format!("{}: {e}", tree.display()))?;
    let release = release(&tree)?;
    let cmp = build_release_of(&["dupes"])?.join("dupes");
    let build = Scratch::new(&std::env::temp_dir(), "gnu-cmp")?;
    let (status, log) = run_test(&tree, build.path(), &cmp, &release)?;
    let result = match status {
        Some(0) => "passed",
        Some(SKIPPED) => "skipped",
        _ => "FAILED",
    };
    println!("tests/cmp of diffutils {release:<8} {result}");
    match result {
        "passed" => Ok(()),
        _ => Err(format!("tests/cmp {result}\n{log}")),
    }
}

/// The version of a tree. Releases before 3.11 have no quotes around names: cmp is told which to be.
fn release(tree: &Path) -> Result<String> {
    let path = tree.join("configure");
    let text = fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let text = String::from_utf8_lossy(&text);
    let line = text
        .lines()
        .find_map(|l| l.strip_prefix("PACKAGE_VERSION='"));
    let version = line.and_then(|l| l.strip_suffix('\''));
    version
        .filter(|_| tree.join("tests/cmp").is_file())
        .map(str::to_owned)
        .ok_or(format!("{}: not the tree of a release", tree.display()))
}

/// Runs the test as the makefile of diffutils does; returns its status and all it printed.
fn run_test(tree: &Path, build: &Path, cmp: &Path, release: &str) -> Result<(Option<i32>, String)> {
    // The test puts ../src of where it runs first in PATH.
    let (src, tests) = (build.join("src"), build.join("tests"));
    let io = |e: std::io::Error| format!("{}: {e}", build.display());
    fs::create_dir(&src).map_err(io)?;
    fs::create_dir(&tests).map_err(io)?;
    symlink(cmp, src.join("cmp")).map_err(io)?;
    let log = build.join("log");
    let stdout = File::create(&log).map_err(io)?;
    // 9 is where a test says why it was skipped.
    let status = Command::new("sh")
        .args(["-c", r#"exec 9>&2; exec sh "$@""#, "sh"])
        .arg(tree.join("tests/cmp"))
        .current_dir(&tests)
        .env("srcdir", tree.join("tests"))
        .env("TMPDIR", build)
        .env("LC_ALL", "C")
        .env("CMP_COMPAT", release)
        .env_remove("POSIXLY_CORRECT")
        .stdin(Stdio::null())
        .stderr(stdout.try_clone().map_err(io)?)
        .stdout(stdout)
        .status()
        .map_err(|e| format!("sh: {e}"))?;
    let text = fs::read(&log).map_err(io)?;
    Ok((status.code(), String::from_utf8_lossy(&text).into_owned()))
}
