//! `cargo xtask test`: every test of the workspace, and at the end what was skipped.
//!
//! Cargo hides what a passing test prints. So a test that cannot run here appends
//! `skipped: NAME: why` to the file that BLKUTILS_SKIPS names; we show that file when all is done.

use std::ffi::OsString;
use std::{env, fs};

use crate::workspace::{Scratch, cargo, is_root, run as run_command};
use crate::{Result, setup};

/// Runs `cargo test`; the arguments are passed on.
pub(crate) fn run(arguments: &[OsString]) -> Result {
    // Without root or the network the tests that need more skip themselves.
    if let Err(message) = setup::ensure(setup::Scope::All, false) {
        println!("setup: {message}");
    }
    if !is_root() {
        println!("setup: not root: tests that need root will be skipped");
    }
    let scratch = Scratch::new(&env::temp_dir(), "test")?;
    let skips = scratch.path().join("skips");
    let mut tests = cargo();
    tests.args(["test", "--locked"]);
    // Beside `--workspace`, cargo would take no notice of `-p`.
    if !chooses_package(arguments) {
        tests.arg("--workspace");
    }
    tests.args(arguments);
    let result = run_command(tests.env("BLKUTILS_SKIPS", &skips));
    println!();
    report(&fs::read_to_string(&skips).unwrap_or_default());
    result
}

/// Whether the arguments for cargo, before a `--`, name a package.
fn chooses_package(arguments: &[OsString]) -> bool {
    let of_cargo = arguments.iter().take_while(|word| *word != "--");
    of_cargo
        .map(|word| word.to_string_lossy())
        .any(|word| word.starts_with("--package") || word.starts_with("-p"))
}

/// Prints each skip once, and how many there were.
fn report(skips: &str) {
    let mut lines: Vec<&str> = skips.lines().collect();
    lines.sort_unstable();
    lines.dedup();
    for line in &lines {
        println!("{line}");
    }
    match lines.len() {
        0 => println!("tests skipped: none"),
        count => println!("tests skipped: {count}"),
    }
}

/// Says that a test of xtask's own cannot run here, in the way described above.
#[cfg(test)]
pub(crate) fn skip(name: &str, why: &str) {
    use std::io::Write;
    println!("skipped: {name}: {why}");
    if let Some(path) = env::var_os("BLKUTILS_SKIPS") {
        let mut file = fs::File::options()
            .append(true)
            .create(true)
            .open(path)
            .unwrap();
        writeln!(file, "skipped: {name}: {why}").unwrap();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_chosen_before_the_dashes() {
        let chooses = |line: &str| {
            let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            chooses_package(&words)
        };
        assert!(chooses("-p dupes -- names") && chooses("--package=dupes") && chooses("-pdupes"));
        assert!(!chooses("") && !chooses("names -- -p") && !chooses("--release"));
    }
}
