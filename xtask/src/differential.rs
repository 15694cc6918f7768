//! `cargo xtask differential NAME`: random commands for a drop-in and for the system's own program.
//!
//! Both run in a folder of their own with the same files. What they print, their exit status and the
//! files that they leave must be the same. Each difference is printed with the number that makes
//! this command again; known ones, which the manual page tells of, are counted apart.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::bench::Random;
use crate::workspace::{Scratch, build_release_of, find_program, take_value};
use crate::{Result, differential_cmp};

/// A drop-in and how to make commands for it.
struct Suite {
    /// The name of the original.
    name: &'static str,
    /// Which of our tools stands in for it.
    tool: &'static str,
    trial: fn(&mut Random) -> Trial,
    /// Which difference of the manual page this is, by the files and by what the original said.
    known: fn(&Trial, &str) -> Option<&'static str>,
}

const SUITES: &[Suite] = &[Suite {
    name: "cmp",
    tool: "dupes",
    trial: differential_cmp::trial,
    known: differential_cmp::known,
}];

/// A command, and what it finds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trial {
    pub(crate) files: Vec<(&'static str, Contents)>,
    /// The words after the name of the program.
    pub(crate) words: Vec<String>,
    /// A line for sh, in which `%` stands for the command: its redirections, and what comes after.
    pub(crate) line: String,
    /// Bytes for standard input, a piece a write; without any it is empty.
    pub(crate) pieces: Vec<Vec<u8>>,
    pub(crate) variables: Vec<(&'static str, &'static str)>,
}

#[derive(Clone, Debug)]
pub(crate) enum Contents {
    Bytes(Vec<u8>),
    /// A size, and bytes at some offsets; all else are holes.
    Sparse(u64, Vec<(u64, Vec<u8>)>),
    Folder,
}

/// What a run left.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    status: Option<i32>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    files: BTreeMap<OsString, Vec<u8>>,
}

/// Runs a suite.
pub(crate) fn run(arguments: &[OsString]) -> Result {
    let (mut count, mut first) = (1000, 1);
    let mut suite = None;
    let mut rest = arguments;
    while let Some((word, after)) = rest.split_first() {
        let number = |value: PathBuf| {
            let number = value.to_str().and_then(|text| text.parse().ok());
            number.ok_or(format!("{}: not a number", value.display()))
        };
        if let Some(value) = take_value("--count", &mut rest)? {
            count = number(value)?;
        } else if let Some(value) = take_value("--seed", &mut rest)? {
            first = number(value)?;
        } else {
            let found = SUITES.iter().find(|suite| suite.name == word);
            suite = Some(found.ok_or(format!("{}: unknown program", word.display()))?);
            rest = after;
        }
    }
    let suite = suite.ok_or("which program? Name one: cmp")?;
    let theirs = find_program(suite.name).ok_or(format!("{}: not installed", suite.name))?;
    let ours = build_release_of(&[suite.tool])?.join(suite.tool);
    let scratch = Scratch::new(&std::env::temp_dir(), "differential")?;
    let io = |e: io::Error| format!("{}: {e}", scratch.path().display());
    let sides = [("ours", ours), ("theirs", theirs)].map(|(side, program)| {
        let bin = scratch.path().join(side).join("bin");
        fs::create_dir_all(&bin).and_then(|()| symlink(program, bin.join(suite.name)))?;
        Ok(scratch.path().join(side))
    });
    let [ours, theirs] = sides.map(|side| side.map_err(io));
    let (ours, theirs) = (ours?, theirs?);

    let (mut differences, mut known) = (0, BTreeMap::<&str, u64>::new());
    for seed in first..first + count {
        let trial = (suite.trial)(&mut Random::new(seed));
        let [a, b] = [&ours, &theirs].map(|side| look(side, suite.name, &trial).map_err(io));
        let (a, b) = (a?, b?);
        if a == b {
            continue;
        }
        let said = [&b.stdout[..], &b.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        if let Some(why) = (suite.known)(&trial, &said) {
            *known.entry(why).or_default() += 1;
            continue;
        }
        differences += 1;
        println!("--seed={seed} --count=1: {}", shown(suite.name, &trial));
        show_difference(&a, &b);
    }
    for (why, count) in known {
        println!("{count} as the manual page says: {why}");
    }
    println!("{count} commands, {differences} differences");
    match differences {
        0 => Ok(()),
        _ => Err(format!("{differences} differences")),
    }
}

/// Runs one side in a new folder.
fn look(side: &Path, name: &str, trial: &Trial) -> io::Result<Seen> {
    let folder = side.join("files");
    fs::create_dir(&folder)?;
    for (file, contents) in &trial.files {
        make(&folder.join(file), contents)?;
    }
    let mut path = OsString::from(side.join("bin"));
    path.push(":/usr/bin:/bin");
    let mut child = Command::new("/bin/sh")
        .args(["-c", &trial.line.replace('%', &format!("{name} \"$@\""))])
        .arg("sh")
        .args(&trial.words)
        .current_dir(&folder)
        .env_clear()
        .env("PATH", path)
        .envs(trial.variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let stdin = child.stdin.take();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            let Some(mut stdin) = stdin else { return };
            for piece in &trial.pieces {
                // A program may stop reading before the end.
                if stdin.write_all(piece).is_err() {
                    break;
                }
                std::thread::yield_now();
            }
        });
        child.wait_with_output()
    })?;
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(&folder)? {
        let entry = entry?;
        let is_small = entry.metadata()?.len() < 16 << 20;
        if entry.file_type()?.is_file() && is_small {
            files.insert(entry.file_name(), fs::read(entry.path())?);
        }
    }
    fs::remove_dir_all(&folder)?;
    Ok(Seen {
        status: output.status.code(),
        stdout: output.stdout,
        stderr: output.stderr,
        files,
    })
}

fn make(path: &Path, contents: &Contents) -> io::Result<()> {
    match contents {
        Contents::Bytes(bytes) => fs::write(path, bytes),
        Contents::Folder => fs::create_dir(path),
        Contents::Sparse(size, parts) => {
            let file = File::create(path)?;
            file.set_len(*size)?;
            parts
                .iter()
                .try_for_each(|(at, bytes)| file.write_all_at(bytes, *at))
        }
    }
}

fn shown(name: &str, trial: &Trial) -> String {
    let mut text: Vec<String> = trial
        .variables
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    let words = trial.words.iter().map(|word| format!(" '{word}'"));
    let command = name.to_owned() + &words.collect::<String>();
    text.push(trial.line.replace('%', &command));
    text.join(" ")
}

fn show_difference(ours: &Seen, theirs: &Seen) {
    let text = |bytes: &[u8]| {
        let text = OsStr::from_bytes(bytes).display().to_string();
        let end = text
            .char_indices()
            .nth(600)
            .map_or(text.len(), |(at, _)| at);
        format!("{:?}", &text[..end])
    };
    let mut lines = vec![(
        "status".to_owned(),
        format!("{:?}", ours.status),
        format!("{:?}", theirs.status),
    )];
    lines.push((
        "stdout".to_owned(),
        text(&ours.stdout),
        text(&theirs.stdout),
    ));
    lines.push((
        "stderr".to_owned(),
        text(&ours.stderr),
        text(&theirs.stderr),
    ));
    for name in ours.files.keys().chain(theirs.files.keys()) {
        let length = |seen: &Seen| format!("{:?} bytes", seen.files.get(name).map(Vec::len));
        if ours.files.get(name) != theirs.files.get(name) {
            lines.push((name.display().to_string(), length(ours), length(theirs)));
        }
    }
    for (what, ours, theirs) in lines {
        if ours != theirs {
            println!("  {what}: ours {ours}\n  {what}: GNU  {theirs}");
        }
    }
}
