//! `cargo xtask differential NAME`: random commands for a drop-in and for the system's own program.
//!
//! Both run in a folder of their own with the same files, each command in the C locale and in one with
//! UTF-8. What they print, their exit status and the files that they leave must be the same. Each
//! difference is printed with the number that makes this command again; known ones, which the manual
//! page tells of, are counted apart.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::bench::Random;
use crate::workspace::{Scratch, build_release_of, find_program, take_value};
use crate::{Result, differential_cmp, differential_dd};

/// A drop-in and how to make commands for it.
struct Suite {
    /// The name of the original.
    name: &'static str,
    /// Which of our tools stands in for it.
    tool: &'static str,
    trial: fn(&mut Random) -> Trial,
    /// Takes out what differs from run to run, such as times.
    scrub: fn(&mut Seen),
    /// Which difference of the manual page this is, by what ours and the original left.
    known: fn(&Trial, &Seen, &Seen) -> Option<&'static str>,
    /// A variable that says to ours which release the original is.
    release: Option<&'static str>,
}

const SUITES: &[Suite] = &[
    Suite {
        name: "cmp",
        tool: "dupes",
        trial: differential_cmp::trial,
        scrub: |_| {},
        known: differential_cmp::known,
        release: Some("CMP_COMPAT"),
    },
    Suite {
        name: "dd",
        tool: "sparse-dd",
        trial: differential_dd::trial,
        scrub: differential_dd::scrub,
        known: differential_dd::known,
        release: None,
    },
];

const LOCALES: [&str; 2] = ["C", "C.UTF-8"];

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
    /// How long to wait behind a piece. What depends on it may have to be tried again.
    pub(crate) pause: Duration,
    pub(crate) variables: Vec<(&'static str, String)>,
}

#[derive(Clone, Debug)]
pub(crate) enum Contents {
    Bytes(Vec<u8>),
    /// A size, and bytes at some offsets; all else are holes.
    Sparse(u64, Vec<(u64, Vec<u8>)>),
    Folder,
    /// A symbolic link.
    Link(&'static str),
}

/// What a run left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) files: BTreeMap<OsString, Vec<u8>>,
}

/// A number below `count`.
pub(crate) fn below(random: &mut Random, count: usize) -> usize {
    (random.next() % count as u64) as usize
}

/// True once in `of` times.
pub(crate) fn chance(random: &mut Random, of: usize) -> bool {
    below(random, of) == 0
}

pub(crate) fn one_of<T: Copy>(random: &mut Random, all: &[T]) -> T {
    all[below(random, all.len())]
}

/// Runs a suite.
pub(crate) fn run(arguments: &[OsString]) -> Result {
    let (mut count, mut first) = (1000, 1);
    let (mut suite, mut peer) = (None, None);
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
        } else if let Some(value) = take_value("--peer", &mut rest)? {
            peer = Some(value);
        } else {
            let found = SUITES.iter().find(|suite| suite.name == word);
            suite = Some(found.ok_or(format!("{}: unknown program", word.display()))?);
            rest = after;
        }
    }
    let suite = suite.ok_or("which program? Name one: cmp or dd")?;
    let peer = peer.or_else(|| find_program(suite.name));
    let peer = peer.ok_or(format!("{}: not installed", suite.name))?;
    let release = release(&peer)?;
    println!("beside {} of release {release}", peer.display());
    let ours = build_release_of(&[suite.tool])?.join(suite.tool);
    let scratch = Scratch::new(&std::env::temp_dir(), "differential")?;
    let io = |e: io::Error| format!("{}: {e}", scratch.path().display());
    let sides = [("ours", ours), ("theirs", peer)].map(|(side, program)| {
        let bin = scratch.path().join(side).join("bin");
        fs::create_dir_all(&bin).and_then(|()| symlink(program, bin.join(suite.name)))?;
        Ok(scratch.path().join(side))
    });
    let [ours, theirs] = sides.map(|side| side.map_err(io));
    let (ours, theirs) = (ours?, theirs?);

    let (mut differences, mut known) = (0, BTreeMap::<&str, u64>::new());
    for seed in first..first + count {
        let mut trial = (suite.trial)(&mut Random::new(seed));
        if let Some(variable) = suite.release {
            trial.variables.push((variable, release.clone()));
        }
        for locale in LOCALES {
            let run = |trial: &Trial, side| {
                let mut seen = look(side, suite.name, trial, locale).map_err(io)?;
                (suite.scrub)(&mut seen);
                Ok::<Seen, String>(seen)
            };
            let (mut a, mut b) = (run(&trial, &ours)?, run(&trial, &theirs)?);
            // A reader that comes late gets two pieces at once.
            let mut patient = trial.clone();
            for _ in 0..if trial.pieces.len() > 1 { 5 } else { 0 } {
                if a == b || (suite.known)(&trial, &a, &b).is_some() {
                    break;
                }
                patient.pause *= 2;
                (a, b) = (run(&patient, &ours)?, run(&patient, &theirs)?);
            }
            if a == b {
                continue;
            }
            if let Some(why) = (suite.known)(&trial, &a, &b) {
                *known.entry(why).or_default() += 1;
                continue;
            }
            differences += 1;
            let line = shown(suite.name, &trial);
            println!("--seed={seed} --count=1: LC_ALL={locale} {line}");
            show_difference(&a, &b);
        }
    }
    for (why, count) in known {
        println!("{count} left out: {why}");
    }
    println!(
        "{count} commands in {} locales, {differences} differences",
        LOCALES.len()
    );
    match differences {
        0 => Ok(()),
        _ => Err(format!("{differences} differences")),
    }
}

/// The release of a program of GNU, such as `3.8`: what its first line of `--version` ends with.
fn release(program: &Path) -> Result<String> {
    let error = |e: io::Error| format!("{}: {e}", program.display());
    let output = Command::new(program)
        .arg("--version")
        .output()
        .map_err(error)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next().unwrap_or_default();
    match line.rsplit_once(' ') {
        Some((name, release)) if name.contains("GNU") || name.contains("coreutils") => {
            Ok(release.to_owned())
        }
        _ => Err(format!("{}: not a program of GNU", program.display())),
    }
}

/// Runs one side in a new folder.
fn look(side: &Path, name: &str, trial: &Trial, locale: &str) -> io::Result<Seen> {
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
        .env("LC_ALL", locale)
        .envs(trial.variables.iter().map(|(name, value)| (name, value)))
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
                std::thread::sleep(trial.pause);
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
        Contents::Link(to) => symlink(to, path),
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
