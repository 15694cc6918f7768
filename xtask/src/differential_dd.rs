//! Random commands for dd: operands of all kinds in any order, inputs that come in pieces, descriptors
//! that others go on with, outputs that fail.

use std::time::Duration;

use crate::bench::Random;
use crate::differential::{Contents, Seen, Trial, below, one_of};

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
    "direct",
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
    "direct",
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

pub(crate) fn trial(random: &mut Random) -> Trial {
    let input = bytes(random);
    let mut trial = Trial {
        words: words(random),
        files: vec![
            ("in", Contents::Bytes(input.clone())),
            ("out", Contents::Bytes(bytes(random))),
            ("it's $x", Contents::Bytes(b"quote".to_vec())),
            ("a\nb", Contents::Bytes(b"line".to_vec())),
            ("\u{e9}", Contents::Bytes(b"old".to_vec())),
            ("stdout", Contents::Bytes(b"what was there".to_vec())),
            ("dir", Contents::Folder),
            ("link", Contents::Link("in")),
        ],
        pause: Duration::from_millis(30),
        ..Trial::default()
    };
    // What dd leaves of a descriptor that it shares shows in what comes after.
    let (before, from, after) = match one_of(random, &["file", "file", "pipe", "null"]) {
        "file" => ("exec 3<in;", "<&3", "cat <&3 >left;"),
        "null" => ("", "</dev/null", ""),
        _ => {
            trial.pieces = pieces(random, &input);
            ("", "", "")
        }
    };
    let (open, to, end) = match one_of(random, &["new", "new", "pipe", "append", "old", "full"]) {
        "new" => ("exec 4>stdout;", ">&4", "echo end >&4;"),
        "append" => ("exec 4>>stdout;", ">&4", "echo end >&4;"),
        "old" => ("exec 4<>stdout;", ">&4", "echo end >&4;"),
        "full" => ("", ">/dev/full", ""),
        _ => ("", "", ""),
    };
    // timeout(1) ends what does not end by itself.
    trial.line = format!(
        "{before} {open} timeout -s KILL 10 % {from} {to}; status=$?; {after} {end} exit $status"
    );
    trial
}

fn words(random: &mut Random) -> Vec<String> {
    let mut words = Vec::new();
    let percent = |random: &mut Random, n| below(random, 100) < n;
    for (name, share, values) in [
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
        if !percent(random, share) {
            continue;
        }
        let mut value = one_of(random, values).to_owned();
        let is_list = matches!(name, "conv" | "iflag" | "oflag");
        while is_list && percent(random, 40) {
            value = format!("{value},{}", one_of(random, values));
        }
        if matches!(name, "skip" | "seek" | "count") && percent(random, 60) {
            value = below(random, 40).to_string();
        }
        let name = match name {
            "skip" if percent(random, 20) => "iseek",
            "seek" if percent(random, 20) => "oseek",
            name => name,
        };
        let at = below(random, words.len() + 1);
        words.insert(at, format!("{name}={value}"));
    }
    if percent(random, 3) {
        words.push(one_of(random, ODDITIES).to_owned());
    }
    words
}

/// Some short pieces, and then the rest, each as long as a pipe takes at once: a reader that is in time
/// gets just these.
fn pieces(random: &mut Random, bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    let mut rest = bytes;
    for _ in 0..below(random, 5) {
        let (piece, others) = rest.split_at((1 + below(random, 40)).min(rest.len()));
        pieces.push(piece.to_vec());
        rest = others;
    }
    pieces.extend(rest.chunks(64 << 10).map(<[u8]>::to_vec));
    pieces
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

/// Statistics without time and rate.
pub(crate) fn scrub(seen: &mut Seen) {
    let text = String::from_utf8_lossy(&seen.stderr).into_owned();
    let lines = text.split_inclusive('\n').map(|line| {
        let cut = line.split_once(" copied, ");
        cut.map_or(line.to_owned(), |(bytes, _)| format!("{bytes} copied\n"))
    });
    seen.stderr = lines.collect::<String>().into_bytes();
}

/// Which difference of the manual page this is: what an older release says otherwise is put as the newest
/// does, and then all has to be the same.
pub(crate) fn known(trial: &Trial, ours: &Seen, theirs: &Seen) -> Option<&'static str> {
    const KILLED: Option<i32> = Some(137);
    if theirs.status == KILLED && ours.status == KILLED {
        return Some("both were still writing when the time was up");
    }
    let text = String::from_utf8_lossy(&theirs.stderr).into_owned();
    // For ever, or until it may not read or write more.
    if ours.status == Some(1)
        && theirs.stderr.starts_with(&ours.stderr)
        && (theirs.status == KILLED
            || text.starts_with("dd: error reading 'dir': Is a directory\n"))
    {
        return Some("GNU dd repeats an error that no block is free of");
    }
    let mut why = None;
    let lines = text.split_inclusive('\n').filter_map(|line| {
        let is = |what: &str| {
            line.strip_prefix("dd: ")
                .is_some_and(|l| l.starts_with(what))
        };
        if is("you probably want conv=notrunc with oflag=append") {
            why = Some("Debian's dd warns about oflag=append");
            return None;
        }
        if line.ends_with(": cannot skip to specified offset\n") && reads_empty_file(trial) {
            why = Some("older releases complain of skip in an empty file");
            return None;
        }
        if is("invalid number: \u{2018}") || is("unrecognized operand \u{2018}") {
            why = Some("older releases have other quotes around numbers and operands");
            return Some(line.replace(['\u{2018}', '\u{2019}'], "'"));
        }
        Some(line.to_owned())
    });
    let as_newest = Seen {
        stderr: lines.collect::<String>().into_bytes(),
        ..theirs.clone()
    };
    why.filter(|_| as_newest == *ours)
}

fn reads_empty_file(trial: &Trial) -> bool {
    let empty = |name: &str| {
        let found = trial.files.iter().find(|(file, _)| *file == name);
        matches!(found, Some((_, Contents::Bytes(bytes))) if bytes.is_empty())
    };
    let named = trial
        .words
        .iter()
        .rev()
        .find_map(|word| word.strip_prefix("if="));
    match named.unwrap_or("in") {
        "link" => empty("in"),
        name => empty(name),
    }
}
