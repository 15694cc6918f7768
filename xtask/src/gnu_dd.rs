//! `cargo xtask gnu-dd TREE`: the tests of coreutils for dd, from an unpacked source release, with
//! sparse-dd under the name dd. Nothing of the tree is kept, and it need not be built.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::Result;
use crate::workspace::{Scratch, build_release_of, find_program};

/// What a test says by its exit status.
const SKIPPED: i32 = 77;

/// Runs all, or those whose names are given, and prints a table.
pub(crate) fn run(arguments: &[OsString]) -> Result {
    let Some((tree, wanted)) = arguments.split_first() else {
        return Err("which tree? Give the folder of an unpacked coreutils release".to_owned());
    };
    let tree = fs::canonicalize(tree).map_err(|e| format!("{}: {e}", tree.display()))?;
    if !tree.join("tests/init.sh").is_file() {
        let tree = tree.display();
        return Err(format!(
            "{tree}: no tests/init.sh: not the tree of a release"
        ));
    }
    let tests = tests(&tree, wanted)?;
    let dd = build_release_of(&["sparse-dd"])?.join("sparse-dd");
    let build = Scratch::new(&std::env::temp_dir(), "gnu-dd")?;
    furnish(build.path(), &dd)?;

    let (mut passed, mut skipped, mut failed) = (0, 0, 0);
    for test in &tests {
        let name = test.file_name().unwrap_or_default().display().to_string();
        let started = Instant::now();
        let (status, log) = run_test(&tree, build.path(), test)?;
        let (result, why) = match status {
            Some(0) => ("passed", String::new()),
            Some(SKIPPED) => ("skipped", reason(&log)),
            _ => ("FAILED", String::new()),
        };
        match result {
            "passed" => passed += 1,
            "skipped" => skipped += 1,
            _ => failed += 1,
        }
        let seconds = started.elapsed().as_secs_f64();
        println!("{name:<26} {result:<8} {seconds:5.1} s  {why}");
        if result == "FAILED" {
            println!("{log}");
        }
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    match failed {
        0 => Ok(()),
        _ => Err(format!("{failed} of the tests of dd failed")),
    }
}

fn tests(tree: &Path, wanted: &[OsString]) -> Result<Vec<PathBuf>> {
    let folder = tree.join("tests/dd");
    let entries = fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let is_test = |path: &PathBuf| {
        let kind = path
            .extension()
            .is_some_and(|kind| kind == "sh" || kind == "pl");
        let stem = path.file_stem().unwrap_or_default();
        kind && (wanted.is_empty() || wanted.iter().any(|name| name == stem))
    };
    let mut tests: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(is_test)
        .collect();
    tests.sort();
    Ok(tests)
}

/// Makes a folder look like that of a build, as far as these tests look.
fn furnish(build: &Path, dd: &Path) -> Result {
    let src = build.join("src");
    let io = |e: std::io::Error| format!("{}: {e}", src.display());
    fs::create_dir(&src).map_err(io)?;
    // Perl's tests make their folders here.
    fs::create_dir_all(build.join("tests/dd")).map_err(io)?;
    symlink(dd, src.join("dd")).map_err(io)?;
    if let Some(test) = find_program("test") {
        symlink(test, src.join("test")).map_err(io)?;
    }
    // What getlimits of a build would print; tests evaluate it.
    let limits = "#!/bin/sh\ncat <<'E'\nINT_MAX=2147483647\n\
        SSIZE_MAX=9223372036854775807\nSIZE_MAX=18446744073709551615\n\
        SIZE_OFLOW=18446744073709551616\nOFF_T_MAX=9223372036854775807\n\
        OFF_T_OFLOW=9223372036854775808\nEPERM='Operation not permitted'\nE\n";
    let path = src.join("getlimits");
    fs::write(&path, limits).map_err(io)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(io)
}

/// Runs a test as the makefile of coreutils does; returns its status and all it printed.
fn run_test(tree: &Path, build: &Path, test: &Path) -> Result<(Option<i32>, String)> {
    let name = test.file_name().unwrap_or_default();
    let mut path = OsString::from(build.join("src"));
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let log_path = build.join("log");
    let log = fs::File::create(&log_path).map_err(|e| format!("{}: {e}", log_path.display()))?;
    let error = |e: std::io::Error| format!("{}: {e}", test.display());

    let mut command = Command::new("sh");
    if test.extension() == Some(OsStr::new("pl")) {
        // The words behind -M are code.
        let temporary = format!("-MCuTmpdir qw(tests/dd/{})", name.display());
        command = Command::new("perl");
        command.arg("-w").arg("-I").arg(tree.join("tests"));
        command.args(["-MCuSkip", "-MCoreutils", &temporary]);
    } else {
        // 9 is where a test says why it was skipped.
        command.args(["-c", r#"exec 9>&2; exec sh "$@""#, "sh"]);
    }
    command
        .arg(test)
        .current_dir(build)
        .env("PATH", path)
        .env("LC_ALL", "C")
        .envs([("srcdir", tree), ("abs_srcdir", tree), ("top_srcdir", tree)])
        .envs([("abs_top_srcdir", tree), ("abs_top_builddir", build)])
        .env("TMPDIR", build)
        .env("CU_TEST_NAME", name)
        .env("PACKAGE_VERSION", "0")
        .env("VERSION", "0")
        .envs([
            ("CC", "gcc"),
            ("AWK", "awk"),
            ("EGREP", "grep -E"),
            ("PERL", "perl"),
        ])
        .envs([
            ("SHELL", "/bin/sh"),
            ("host_os", "linux-gnu"),
            ("EXEEXT", ""),
        ])
        .envs([
            ("built_programs", "dd env printf seq test"),
            ("CONFIG_HEADER", "/dev/null"),
        ])
        .env_remove("POSIXLY_CORRECT")
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(error)?)
        .stderr(log);
    let status = command.status().map_err(error)?;
    let log = fs::read(&log_path).map_err(error)?;
    Ok((status.code(), String::from_utf8_lossy(&log).into_owned()))
}

/// Why a test was skipped.
fn reason(log: &str) -> String {
    let line = log.lines().rev().find(|line| line.contains("skip"));
    line.unwrap_or("").to_owned()
}
