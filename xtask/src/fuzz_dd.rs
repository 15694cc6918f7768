//! `cargo xtask fuzz-dd`: random dd commands, each done by the system's GNU dd and by sparse-dd under the
//! name dd, on the same files. What comes out is compared: bytes, messages, statistics, status, and where
//! the descriptors are left.
//!
//! What the manual page tells to be different between releases is made the same before: quotes, and two
//! warnings.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{Seek, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Result;
use crate::bench::Random;
use crate::workspace::{Scratch, build_release_of, find_program, take_value};

const SIZES: &[&str] = &[
    "1", "2", "3", "5", "7", "16", "64", "100", "512", "1k", "4096", "64K", "1M",
];
const NUMBERS: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "7",
    "12",
    "33",
    "512",
    "2w",
    "1b",
    "2x3",
    "4B",
    "17B",
    "1kB",
    "0x3",
    "-1",
    "",
    "x",
    "1x",
    "+3",
    "9999999999999999999999",
];
const CONVERSIONS: &[&str] = &[
    "ascii",
    "ebcdic",
    "ibm",
    "block",
    "unblock",
    "lcase",
    "ucase",
    "swab",
    "sync",
    "sparse",
    "noerror",
    "excl",
    "nocreat",
    "notrunc",
    "fdatasync",
    "fsync",
    "bogus",
];
const INPUT_FLAGS: &[&str] = &[
    "fullblock",
    "count_bytes",
    "skip_bytes",
    "noatime",
    "nofollow",
    "directory",
    "nocache",
    "sync",
    "dsync",
    "append",
    "noctty",
    "cio",
    "bad'flag",
];
const OUTPUT_FLAGS: &[&str] = &[
    "append",
    "seek_bytes",
    "nofollow",
    "directory",
    "nocache",
    "sync",
    "dsync",
    "nonblock",
    "fullblock",
];
const INPUTS: &[&str] = &[
    "in",
    "in",
    "in",
    "nofile",
    "dir",
    "link",
    "/dev/null",
    "it's $x",
    "a\nb",
];
const OUTPUTS: &[&str] = &[
    "out",
    "out",
    "out",
    "new",
    "dir",
    "nodir/x",
    "/dev/null",
    "/dev/full",
    "é",
];
const ODDITIES: &[&str] = &["--", "foo", "foo=1", "-x", "--bogus", "-", "=", "if"];
const STATUSES: &[&str] = &["none", "noxfer", "progress", "x"];

/// A command, and what it is started with.
#[derive(Debug)]
struct Case {
    words: Vec<String>,
    locale: &'static str,
    stdin: &'static str,
    stdout: &'static str,
    /// Bytes of each write into the pipe that is standard input; the rest goes at once.
    chunks: Vec<usize>,
    input: Vec<u8>,
    output: Vec<u8>,
}

/// What is compared.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    /// `None`: killed, since it did not end.
    status: Option<i32>,
    stderr: String,
    stdout: Vec<u8>,
    files: BTreeMap<OsString, Vec<u8>>,
    offsets: [Option<u64>; 2],
}

/// Does it: `[--runs=N] [--seed=N] [--peer=PATH]`.
pub(crate) fn run(mut arguments: &[OsString]) -> Result {
    let (mut runs, mut seed) = (1000, 1);
    let mut peer = find_program("dd");
    while let Some(first) = arguments.first() {
        if let Some(value) = take_value("--runs", &mut arguments)? {
            runs = number(&value)?;
        } else if let Some(value) = take_value("--seed", &mut arguments)? {
            seed = number(&value)?;
        } else if let Some(value) = take_value("--peer", &mut arguments)? {
            peer = Some(value);
        } else {
            return Err(format!("{}: unknown argument", first.display()));
        }
    }
    let peer = peer.ok_or("no dd to compare with")?;
    let ours = build_release_of(&["sparse-dd"])?.join("sparse-dd");
    let scratch = Scratch::new(&std::env::temp_dir(), "fuzz-dd")?;
    let mut different = 0;
    for run in 0..runs {
        let case = Case::random(&mut Random::new(seed + run));
        let outcome = |program: &Path| case.outcome(program, scratch.path());
        let mut pair = (outcome(&peer)?, outcome(&ours)?);
        // Where reads of a pipe are cut is a matter of time, too.
        for _ in 0..3 {
            if pair.0 == pair.1 {
                break;
            }
            pair = (outcome(&peer)?, outcome(&ours)?);
        }
        // GNU dd does not end where conv=noerror meets the same error for ever.
        if pair.0 != pair.1 && pair.0.status.is_some() {
            different += 1;
            println!(
                "seed {}: {case:?}\n  GNU  {}\n  ours {}",
                seed + run,
                pair.0.text(),
                pair.1.text()
            );
        }
    }
    println!("{runs} commands, {different} with another outcome");
    match different {
        0 => Ok(()),
        _ => Err(format!("{different} outcomes differ")),
    }
}

fn number(value: &Path) -> Result<u64> {
    let text = value.to_string_lossy();
    text.parse().map_err(|_| format!("{text}: not a number"))
}

fn pick<'a>(random: &mut Random, words: &[&'a str]) -> &'a str {
    words[random.below(words.len() as u64) as usize]
}

fn bytes(random: &mut Random) -> Vec<u8> {
    let len =
        [0, 1, 17, 100, 511, 512, 513, 4096, 5000, 20_000, 300_000][random.below(11) as usize];
    let kind = random.below(3);
    let mut bytes = Vec::new();
    while bytes.len() < len {
        let byte = random.below(256) as u8;
        match kind {
            0 => bytes.push(b"ab c\nXYZ  \n"[usize::from(byte) % 11]),
            1 => bytes.push(byte),
            _ => bytes.resize(
                bytes.len() + random.below(2000) as usize,
                byte & (byte >> 1) & 1,
            ),
        }
    }
    bytes.truncate(len);
    bytes
}

impl Case {
    fn random(random: &mut Random) -> Case {
        let mut words = Vec::new();
        let percent = |random: &mut Random, n| random.below(100) < n;
        for (name, chance, values) in [
            ("if", 60, INPUTS),
            ("of", 60, OUTPUTS),
            ("bs", 40, SIZES),
            ("ibs", 30, SIZES),
            ("obs", 30, SIZES),
            ("cbs", 30, SIZES),
            ("skip", 25, NUMBERS),
            ("seek", 25, NUMBERS),
            ("count", 45, NUMBERS),
            ("status", 20, STATUSES),
            ("conv", 45, CONVERSIONS),
            ("iflag", 20, INPUT_FLAGS),
            ("oflag", 20, OUTPUT_FLAGS),
        ] {
            if !percent(random, chance) {
                continue;
            }
            let mut value = pick(random, values).to_owned();
            let is_list = matches!(name, "conv" | "iflag" | "oflag");
            while is_list && percent(random, 40) {
                value = format!("{value},{}", pick(random, values));
            }
            if matches!(name, "skip" | "seek" | "count") && percent(random, 60) {
                value = random.below(40).to_string();
            }
            let at = random.below(words.len() as u64 + 1) as usize;
            words.insert(at, format!("{name}={value}"));
        }
        if percent(random, 3) {
            words.push(pick(random, ODDITIES).to_owned());
        }
        Case {
            words,
            locale: if percent(random, 50) { "C" } else { "C.UTF-8" },
            stdin: pick(random, &["file", "file", "pipe", "null"]),
            stdout: pick(random, &["new", "new", "pipe", "append", "old", "full"]),
            chunks: (0..random.below(5))
                .map(|_| random.below(40) as usize + 1)
                .collect(),
            input: bytes(random),
            output: bytes(random),
        }
    }

    fn outcome(&self, program: &Path, scratch: &Path) -> Result<Outcome> {
        let folder = scratch.join("work");
        let io = |e: std::io::Error| format!("{}: {e}", folder.display());
        let outcome = self.outcome_in(program, &folder).map_err(io)?;
        fs::remove_dir_all(&folder).map_err(io)?;
        Ok(outcome)
    }

    fn outcome_in(&self, program: &Path, folder: &PathBuf) -> std::io::Result<Outcome> {
        fs::create_dir_all(folder.join("dir"))?;
        symlink("in", folder.join("link"))?;
        for (name, bytes) in [
            ("in", &*self.input),
            ("out", &*self.output),
            ("it's $x", b"quote"),
            ("a\nb", b"line"),
            ("é", b"old"),
            ("stdout", b"what was there"),
        ] {
            fs::write(folder.join(name), bytes)?;
        }
        let stdout = folder.join("stdout");
        let output = match self.stdout {
            "new" => Some(File::create(stdout)?),
            "append" => Some(OpenOptions::new().append(true).open(stdout)?),
            "old" => Some(OpenOptions::new().write(true).open(stdout)?),
            "full" => Some(OpenOptions::new().write(true).open("/dev/full")?),
            _ => None,
        };
        let input = match self.stdin {
            "file" => Some(File::open(folder.join("in"))?),
            "null" => Some(File::open("/dev/null")?),
            _ => None,
        };
        let stdio = |file: &Option<File>| match file {
            Some(file) => file.try_clone().map(Stdio::from),
            None => Ok(Stdio::piped()),
        };
        // timeout(1) ends what does not end by itself.
        let bin = folder.join("bin");
        fs::create_dir(&bin)?;
        symlink(program, bin.join("dd"))?;
        let timeout = find_program("timeout").unwrap_or_else(|| "timeout".into());
        let mut child = Command::new(timeout)
            .args(["-s", "KILL", "10", "dd"])
            .args(&self.words)
            .env("PATH", bin)
            .current_dir(folder)
            .env("LC_ALL", self.locale)
            .stdin(stdio(&input)?)
            .stdout(stdio(&output)?)
            .stderr(Stdio::piped())
            .spawn()?;
        let fed = child.stdin.take().map(|mut pipe| {
            let (chunks, bytes) = (self.chunks.clone(), self.input.clone());
            std::thread::spawn(move || {
                let mut rest = &bytes[..];
                for len in chunks {
                    let (chunk, others) = rest.split_at(len.min(rest.len()));
                    // A reader that has gone is no failure.
                    let _ = pipe.write_all(chunk);
                    rest = others;
                    std::thread::sleep(Duration::from_millis(30));
                }
                let _ = pipe.write_all(rest);
            })
        });
        let ended = child.wait_with_output()?;
        if let Some(fed) = fed {
            let _ = fed.join();
        }
        let offset = |file: &Option<File>| {
            let mut file = file.as_ref()?;
            file.stream_position().ok()
        };
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_file() {
                let name = path.file_name().unwrap_or_default().to_owned();
                files.insert(name, fs::read(&path)?);
            }
        }
        Ok(Outcome {
            status: ended.status.code().filter(|status| *status != 137),
            stderr: comparable(&String::from_utf8_lossy(&ended.stderr)),
            stdout: ended.stdout,
            files,
            offsets: [offset(&input), offset(&output)],
        })
    }
}

/// Messages without times, and without what differs between releases of GNU dd.
fn comparable(text: &str) -> String {
    let mut lines = String::new();
    for line in text.split_inclusive('\n') {
        let is_of_release = line.contains("you probably want conv=notrunc with oflag=append")
            || line.contains(": cannot skip to specified offset");
        if is_of_release {
            continue;
        }
        match line.split_once(" copied, ") {
            Some((bytes, _)) => lines += &format!("{bytes}\n"),
            None => lines += &line.replace(['‘', '’'], "'"),
        }
    }
    lines
}

impl Outcome {
    fn text(&self) -> String {
        let sizes: Vec<_> = self
            .files
            .iter()
            .map(|(name, bytes)| (name, bytes.len()))
            .collect();
        let Outcome {
            status,
            stderr,
            stdout,
            offsets,
            ..
        } = self;
        format!(
            "{status:?} {stderr:?} {} {offsets:?} {sizes:?}",
            stdout.len()
        )
    }
}
