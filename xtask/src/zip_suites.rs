//! `cargo xtask zip-suites DIR...`: unzip-cjk beside unzip on trees of real archives.
//!
//! Listings and tests are compared to the byte, extraction by its output, status and files. For what
//! unzip does not take (status above 1), 7zz and bsdtar say whether anybody does. Archives with names
//! beyond ASCII that are not UTF-8 are counted apart: there the two are meant to differ.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Result;
use crate::workspace::{Scratch, build_release_of, find_program};

/// Name and what is known of a file: type and mode, time, content or where a link leads.
type Tree = BTreeMap<OsString, (u32, i64, Vec<u8>)>;

const MODES: [&[&str]; 7] = [
    &["-l"],
    &["-v"],
    &["-Z"],
    &["-Z1"],
    &["-Zv"],
    &["-t"],
    &["-o"],
];

/// What came of an archive.
#[derive(Default)]
struct Tally {
    archives: u32,
    taken: u32,
    same: u32,
    names: u32,
    ours_alone: u32,
}

/// Runs the command.
pub(crate) fn run(arguments: &[OsString]) -> Result {
    if arguments.is_empty() {
        return Err("no folder given".to_owned());
    }
    let unzip = find_program("unzip").ok_or("unzip is not installed")?;
    let ours = build_release_of(&["unzip-cjk"])?.join("unzip-cjk");
    let scratch = Scratch::new(&std::env::temp_dir(), "zip-suites")?;
    let mut archives = Vec::new();
    for folder in arguments {
        let path = fs::canonicalize(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        find(&path, &mut archives).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    archives.sort();
    let mut tally = Tally::default();
    for archive in &archives {
        one(archive, &unzip, &ours, scratch.path(), &mut tally)?;
    }
    println!(
        "\n{} archives, unzip takes {}: {} the same, {} differ in names alone or with them, {} otherwise",
        tally.archives,
        tally.taken,
        tally.same,
        tally.names,
        tally.taken - tally.same - tally.names
    );
    println!("{} more are extracted by unzip-cjk alone", tally.ours_alone);
    Ok(())
}

fn find(path: &Path, archives: &mut Vec<PathBuf>) -> io::Result<()> {
    if !path.is_dir() {
        archives.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        find(&entry?.path(), archives)?;
    }
    Ok(())
}

fn one(archive: &Path, unzip: &Path, ours: &Path, dir: &Path, tally: &mut Tally) -> Result {
    tally.archives += 1;
    let mut differences = Vec::new();
    let (mut taken, mut worst, mut ours_worst, mut odd_names) = (true, 0, 0, false);
    for mode in MODES {
        let real = result(unzip, mode, archive, dir)?;
        let mine = result(ours, mode, archive, dir)?;
        taken &= matches!(real.0, 0 | 1);
        (worst, ours_worst) = (worst.max(real.0), ours_worst.max(mine.0));
        odd_names |=
            std::str::from_utf8(&real.1).is_err() || (mode[0] == "-Z1" && real.1 != mine.1);
        let what = [
            (real.0 != mine.0).then(|| format!("status {} and {}", real.0, mine.0)),
            (real.1 != mine.1).then(|| "output".to_owned()),
            (real.2 != mine.2).then(|| "files".to_owned()),
        ];
        let what: Vec<String> = what.into_iter().flatten().collect();
        if !what.is_empty() {
            differences.push(format!("{}: {}", mode[0], what.join(", ")));
        }
    }
    let name = archive.display();
    if !taken {
        if ours_worst <= 1 {
            tally.ours_alone += 1;
        }
        println!(
            "{name}: unzip {worst}, unzip-cjk {ours_worst}{}",
            peers(archive, dir)
        );
        return Ok(());
    }
    tally.taken += 1;
    if differences.is_empty() {
        tally.same += 1;
    } else {
        tally.names += u32::from(odd_names);
        let kind = if odd_names { " (names)" } else { "" };
        println!("{name}{kind}: {}", differences.join("; "));
    }
    Ok(())
}

/// Status, standard output, and the files that there are afterwards.
fn result(
    program: &Path,
    mode: &[&str],
    archive: &Path,
    dir: &Path,
) -> Result<(i32, Vec<u8>, Tree)> {
    let work = dir.join("work");
    let told = |e: io::Error| format!("{}: {e}", work.display());
    let _ = Command::new("chmod")
        .args(["-R", "u+rwx"])
        .arg(&work)
        .stderr(Stdio::null())
        .status();
    let _ = fs::remove_dir_all(&work);
    fs::create_dir(&work).map_err(told)?;
    let output = Command::new(program)
        .args(mode)
        .arg(archive)
        .current_dir(&work)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("{}: {e}", program.display()))?;
    let mut tree = Tree::new();
    read_tree(&work, &work, &mut tree).map_err(told)?;
    Ok((output.status.code().unwrap_or(-1), output.stdout, tree))
}

fn read_tree(top: &Path, at: &Path, tree: &mut Tree) -> io::Result<()> {
    for entry in fs::read_dir(at)? {
        let path = entry?.path();
        let metadata = fs::symlink_metadata(&path)?;
        let name = path
            .strip_prefix(top)
            .unwrap_or(&path)
            .as_os_str()
            .to_owned();
        let (time, content) = if metadata.is_dir() {
            (0, Vec::new())
        } else if metadata.is_symlink() {
            (0, fs::read_link(&path)?.as_os_str().as_bytes().to_vec())
        } else {
            (metadata.mtime(), fs::read(&path).unwrap_or_default())
        };
        tree.insert(name, (metadata.mode(), time, content));
        if metadata.is_dir() {
            // One without permission is as it is.
            let _ = read_tree(top, &path, tree);
        }
    }
    Ok(())
}

/// What others say to an archive that unzip does not take.
fn peers(archive: &Path, dir: &Path) -> String {
    let test = |name: &str, args: &[&str]| -> Option<String> {
        let program = find_program(name)?;
        let mut command = Command::new(program);
        command.args(args).arg(archive).current_dir(dir);
        let quiet = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let code = quiet.status().ok()?.code()?;
        Some(format!(", {name} {code}"))
    };
    let seven = test("7zz", &["t", "-p", "-y"]);
    let bsdtar = test("bsdtar", &["-t", "-f"]);
    [seven, bsdtar].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn folders_are_searched_to_the_end() {
        let scratch = Scratch::new(&std::env::temp_dir(), "zip-suites-test").unwrap();
        fs::create_dir(scratch.path().join("d")).unwrap();
        fs::write(scratch.path().join("d/a.zip"), "").unwrap();
        let mut archives = Vec::new();
        find(scratch.path(), &mut archives).unwrap();
        assert_eq!(archives.len(), 1);
        assert_eq!(archives[0].file_name(), Some(OsStr::new("a.zip")));
    }
}
