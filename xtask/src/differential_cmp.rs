//! Random commands for cmp: two or three files that differ here and there, numbers of all kinds,
//! options in all spellings, and outputs that fail.

use crate::bench::Random;
use crate::differential::{Contents, Seen, Trial, below, chance, one_of};

/// Numbers that do not fit into 63 bits.
const HUGE: [&str; 4] = ["9223372036854775808", "99999999999999999999", "9E", "1Y"];

/// Numbers behind what a file can hold: before 3.11, `-s` mistook a place there for a larger file.
const LARGE: [&str; 2] = ["9223372036854775807", "7E"];

/// Which difference of the manual page this is.
pub(crate) fn known(trial: &Trial, ours: &Seen, theirs: &Seen) -> Option<&'static str> {
    let said = [&theirs.stdout[..], &theirs.stderr].concat();
    let said = String::from_utf8_lossy(&said).replace(['\u{2018}', '\u{2019}'], "'");
    // Where what GNU cmp said is thrown away, three files or a large number are enough to know it.
    let is_unheard = ["2>/dev/null", "2>&-"]
        .iter()
        .any(|to| trial.line.contains(to));
    let is_silent = is_unheard && said.is_empty() && theirs.status == Some(2);
    let refused = |word: &str| {
        let is_it = |option: &&str| {
            let line = format!("cmp: invalid --{option} value '{word}'\n");
            said.starts_with(&line)
        };
        theirs.status == Some(2) && ["bytes", "ignore-initial"].iter().any(is_it)
    };
    let names = trial.files.iter().map(|(name, _)| *name);
    let names: Vec<&str> = names.chain(["-", "./a", "/dev/null"]).collect();
    let files = trial.words.iter().filter(|word| names.contains(&&***word));
    if names.iter().any(|name| refused(name)) || is_silent && files.count() > 2 {
        return Some("a third operand that is no number but the name of a file is a file");
    }
    if theirs.status == Some(2) && said.ends_with("cmp: -: Bad file descriptor\n") {
        return Some("standard input against itself, from two places");
    }
    let mut numbers = trial.words.iter().flat_map(|word| word.split([':', '=']));
    let is_refused = |part: &str| {
        let value = HUGE
            .iter()
            .find_map(|huge| part.find(huge).map(|at| &part[at..]));
        // SKIP1:SKIP2 is refused as a whole, or from SKIP2 on.
        value.is_some_and(|value| {
            let of_word = |word: &String| word.contains(value) && refused(value_of(word));
            is_silent || refused(value) || trial.words.iter().any(of_word)
        })
    };
    if numbers.any(is_refused) {
        return Some("numbers that are too large mean the largest one");
    }
    let is_large = |word: &String| LARGE.iter().any(|large| word.contains(large));
    let is_status_alone = ours.status != theirs.status
        && theirs.status == Some(1)
        && [ours, theirs]
            .iter()
            .all(|seen| seen.stdout.is_empty() && seen.stderr.is_empty());
    (trial.words.iter().any(is_large) && is_status_alone)
        .then_some("places behind what a file can hold do not differ (before release 3.11)")
}

/// What is behind the letter or the name of an option.
fn value_of(word: &str) -> &str {
    match word.strip_prefix("--") {
        Some(long) => long.split_once('=').map_or("", |(_, value)| value),
        None => word
            .strip_prefix("-i")
            .or_else(|| word.strip_prefix("-n"))
            .unwrap_or(word),
    }
}

pub(crate) fn trial(random: &mut Random) -> Trial {
    let mut trial = Trial {
        files: files(random),
        ..Trial::default()
    };
    if chance(random, 10) {
        trial.variables.push(("POSIXLY_CORRECT", "1".to_owned()));
    }
    for _ in 0..one_of(random, &[0, 0, 1, 1, 2, 3]) {
        let words = option(random);
        trial.words.extend(words);
    }
    let at_front = below(random, trial.words.len() + 1);
    for _ in 0..one_of(random, &[0, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 4, 5]) {
        let operand = operand(random, &trial);
        match chance(random, 12) {
            true => trial.words.insert(at_front.min(trial.words.len()), operand),
            false => trial.words.push(operand),
        }
    }
    streams(random, &mut trial);
    trial
}

/// Two files of one beginning, and odd ones.
fn files(random: &mut Random) -> Vec<(&'static str, Contents)> {
    let size = match below(random, 4) {
        0 => below(random, 20),
        1 => below(random, 5000),
        2 => 4096 * below(random, 20),
        _ => below(random, 400_000),
    };
    let mut a = vec![0; size];
    let alphabet = one_of(
        random,
        &[&b"a\nb"[..], b"\0\x01\xff\x80\x1f~ \n", b"xyzxyzxyz\n"],
    );
    a.iter_mut()
        .for_each(|byte| *byte = one_of(random, alphabet));
    if chance(random, 4) {
        let from = below(random, size + 1);
        a[from..].fill(0);
    }
    let mut b = a.clone();
    for _ in 0..one_of(random, &[0, 0, 1, 1, 2, 3000]) {
        if size > 0 {
            let at = below(random, size);
            b[at] = one_of(random, &[0, b'\n', 0x80, 0xff, b'q', 0x7f, 0x1b]);
        }
    }
    let cut = match below(random, 4) {
        0 => below(random, size + 1),
        1 => size / 4096 * 4096,
        _ => size,
    };
    b.truncate(cut);
    let hole = one_of(random, &[100_000, 700_000, 3 << 20, 20 << 20]);
    let mark = |random: &mut Random, at: u64| (at, vec![one_of(random, b"x\n"); 3]);
    let (first, last) = (mark(random, 70_000), mark(random, hole - 5000));
    let end = hole + one_of(random, &[0, 0, 0, 5, 4096]);
    vec![
        ("a", Contents::Bytes(a)),
        ("b", Contents::Bytes(b)),
        ("empty", Contents::Bytes(Vec::new())),
        ("it's a \u{e9}", Contents::Bytes(b"x\n".to_vec())),
        ("s", Contents::Sparse(hole, vec![first.clone()])),
        ("t", Contents::Sparse(end, vec![first, last])),
        ("dir", Contents::Folder),
    ]
}

fn option(random: &mut Random) -> Vec<String> {
    let word = |text: &str| vec![text.to_owned()];
    match below(random, 24) {
        0..3 => word(one_of(
            random,
            &["-b", "--print-bytes", "--print-b", "-c", "--print-chars"],
        )),
        3..7 => word(one_of(random, &["-l", "--verbose", "--verb", "-bl", "-lb"])),
        7..10 => word(one_of(random, &["-s", "--quiet", "--silent", "--q", "-ss"])),
        10..14 => {
            let value = number(random);
            spelled(random, "n", "bytes", value)
        }
        14..18 => {
            let mut value = number(random);
            if chance(random, 2) {
                value = format!("{value}:{}", number(random));
            }
            spelled(random, "i", "ignore-initial", value)
        }
        18 => word("--"),
        19 => word(one_of(
            random,
            &["-z", "--zoo", "--p", "--v=1", "--", "-", "--=", "-n"],
        )),
        20 => word(one_of(
            random,
            &["--quiet=x", "--bytes", "-i", "--h=3", "-\u{e9}", "--ver"],
        )),
        21 => word(one_of(
            random,
            &["-sl", "-lsn3", "-bn", "-sbi1", "--print-c"],
        )),
        _ => Vec::new(),
    }
}

/// The ways to give a value.
fn spelled(random: &mut Random, letter: &str, long: &str, value: String) -> Vec<String> {
    match below(random, 5) {
        0 => vec![format!("-{letter}"), value],
        1 => vec![format!("-{letter}{value}")],
        2 => vec![format!("--{long}={value}")],
        3 => vec![
            format!("--{}", &long[..1 + below(random, long.len())]),
            value,
        ],
        _ => vec![format!("--{long}"), value],
    }
}

fn number(random: &mut Random) -> String {
    match below(random, 12) {
        0..5 => below(random, 300).to_string(),
        5..7 => below(random, 300_000).to_string(),
        7 => (4096 * below(random, 9)).to_string(),
        8 => {
            let suffix = one_of(
                random,
                &["k", "K", "kB", "KiB", "KB", "M", "MB", "G", "KD", "T"],
            );
            let digits = one_of(random, &["", "1", "2", "03", "0x1", "0", " 1", "+1"]);
            format!("{digits}{suffix}")
        }
        9 => one_of(
            random,
            &["0", "010", "0x20", "08", "-0", "-5", " 7", "+7", "0"],
        )
        .to_owned(),
        10 => one_of(
            random,
            &["", "x", "1x", "1kb", ":", "2k0", "1Ki", "3 ", "0x", "-K"],
        )
        .to_owned(),
        _ => one_of(random, &[&LARGE[..], &HUGE[..]].concat()).to_owned(),
    }
}

fn operand(random: &mut Random, trial: &Trial) -> String {
    let files = trial.words.iter().filter(|word| is_operand(word)).count();
    if files >= 2 && !chance(random, 12) {
        return number(random);
    }
    let name = match below(random, 24) {
        0..8 => "a",
        8..15 => "b",
        15 | 16 => "-",
        17 => "s",
        18 => "t",
        19 => "empty",
        _ => one_of(
            random,
            &[
                "dir",
                "missing",
                "it's a \u{e9}",
                "./a",
                "s",
                "t",
                "/dev/null",
                "a b\n",
            ],
        ),
    };
    name.to_owned()
}

/// Nearly: a value of an option counts too.
fn is_operand(word: &str) -> bool {
    word == "-" || !word.starts_with('-')
}

fn streams(random: &mut Random, trial: &mut Trial) {
    let contents = |name: &str| match trial.files.iter().find(|(file, _)| *file == name) {
        Some((_, Contents::Bytes(bytes))) => bytes.clone(),
        _ => Vec::new(),
    };
    let is_read = trial.words.iter().any(|word| word == "-");
    let input = match below(random, 10) {
        0 => "</dev/null",
        1 => "<&-",
        2..5 => one_of(random, &["<a", "<b", "<t", "<dir"]),
        // What it leaves of an input that it shares.
        5 if is_read => {
            trial.line = "{ %; status=$?; head -c 5000000 >left; exit $status; } <b".to_owned();
            return;
        }
        _ => {
            let all = contents(one_of(random, &["a", "b"]));
            let mut left = &all[..];
            while !left.is_empty() {
                let most = one_of(random, &[1000, 5000, 70_000]);
                let (piece, rest) = left.split_at(left.len().min(1 + below(random, most)));
                trial.pieces.push(piece.to_vec());
                left = rest;
            }
            ""
        }
    };
    let output = match below(random, 20) {
        0 => ">/dev/null",
        1 => ">/dev/full",
        2 => ">&-",
        3..6 => "2>&1",
        6 => "2>/dev/null",
        7 => "2>&-",
        _ => "",
    };
    trial.line = format!("exec % {input} {output}");
}
