//! The command line of cmp.

use super::Messages;
use super::getopt::{Arguments, Item, Known};
use super::number::{self, HUGE};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub(super) const HELP: &str = "\
Usage: cmp [OPTION]... FILE1 [FILE2 [SKIP1 [SKIP2]]]
  or:  cmp [OPTION]... FILE1 FILE2 FILE3...
Compare files byte by byte; the second form compares each one with FILE1.

  -b, --print-bytes          print the bytes that differ, also as characters
  -i, --ignore-initial=SKIP  skip the first SKIP bytes of every file
  -i, --ignore-initial=SKIP1:SKIP2
                             skip SKIP1 bytes of FILE1 and SKIP2 of the others
  -l, --verbose              print the number and the values of all bytes that differ
  -n, --bytes=LIMIT          compare at most LIMIT bytes
  -s, --quiet, --silent      print nothing; the exit status tells
      --help                 print this help
  -v, --version              print the version

SKIP1 and SKIP2 as operands are bytes to skip, too. A number may have a suffix:
kB 1000, K 1024, MB 1000*1000, M 1024*1024, and so on for G, T, P, E, Z, Y.
Where FILE is - or FILE2 is missing, standard input is read.
The exit status is 0 if the files are equal, 1 if they differ, 2 if that could not be found out.
";

pub(super) const VERSION: &str = concat!(
    "cmp (blkutils) ",
    env!("CARGO_PKG_VERSION"),
    "\nDoes what cmp of GNU diffutils does.\n"
);

const HELP_LETTER: u8 = 0;

/// Options in the order of GNU cmp, which its messages show.
const OPTIONS: &[Known] = &[
    known(b'b', "print-bytes", false),
    known(b'c', "print-chars", false), // as in releases before 2.8
    known(b'i', "ignore-initial", true),
    known(b'l', "verbose", false),
    known(b'n', "bytes", true),
    known(b's', "silent", false),
    known(b's', "quiet", false),
    known(b'v', "version", false),
    Known {
        letter: HELP_LETTER,
        long: "help",
        takes_value: false,
        has_short: false,
    },
];

const fn known(letter: u8, long: &'static str, takes_value: bool) -> Known {
    Known {
        letter,
        long,
        takes_value,
        has_short: true,
    }
}

/// What is to be told of differences, in GNU's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Telling {
    First,
    All,
    /// Nothing on standard output, which leads nowhere; still that a file ended.
    NoOutput,
    Status,
}

/// What the command line asks for.
#[derive(Debug)]
pub(super) enum Request {
    Compare(Job),
    Help,
    Version,
}

#[derive(Debug)]
pub(super) struct Job {
    /// At least two.
    pub(super) files: Vec<OsString>,
    /// Bytes to skip of the first file, and of the others.
    pub(super) skips: [u64; 2],
    /// Bytes to compare at most.
    pub(super) limit: u64,
    pub(super) telling: Telling,
    pub(super) print_bytes: bool,
}

/// Parses the arguments; `program` is the name for messages. An error is a message without it.
pub(super) fn parse(
    program: &OsStr,
    args: &[OsString],
    messages: Messages,
) -> Result<Request, Vec<u8>> {
    let is_posix = std::env::var_os("POSIXLY_CORRECT").is_some();
    let mut arguments = Arguments::new(OPTIONS, args, is_posix);
    let mut job = Job {
        files: Vec::new(),
        skips: [0; 2],
        limit: HUGE,
        telling: Telling::First,
        print_bytes: false,
    };
    let mut operands = Vec::new();
    while let Some(item) = arguments.next()? {
        match item {
            Item::Option(b'b' | b'c', _) => job.print_bytes = true,
            Item::Option(b'i', value) => job.skip(&value, messages)?,
            Item::Option(b'l', _) => job.tell(Telling::All)?,
            Item::Option(b'n', value) => match number::parse(value.as_bytes()) {
                Some((limit, [])) => job.limit = job.limit.min(limit),
                _ => return Err(messages.invalid("invalid --bytes value", value.as_bytes())),
            },
            Item::Option(b's', _) => job.tell(Telling::Status)?,
            Item::Option(b'v', _) => return Ok(Request::Version),
            Item::Option(_, _) => return Ok(Request::Help),
            Item::Operand(operand) => operands.push(operand),
        }
    }
    if operands.is_empty() {
        let last = args.last().map_or(program, OsString::as_os_str);
        return Err(messages.invalid("missing operand after", last.as_bytes()));
    }
    job.take(operands, messages)?;
    Ok(Request::Compare(job))
}

impl Job {
    fn tell(&mut self, telling: Telling) -> Result<(), Vec<u8>> {
        if self.telling != Telling::First && self.telling != telling {
            return Err(b"options -l and -s are incompatible".to_vec());
        }
        self.telling = telling;
        Ok(())
    }

    /// `SKIP` or `SKIP1:SKIP2`. Of several the largest counts.
    fn skip(&mut self, value: &OsStr, messages: Messages) -> Result<(), Vec<u8>> {
        let value = value.as_bytes();
        let (first, second) = match number::parse(value) {
            Some((first, [])) => (first, self.skips[0].max(first)),
            Some((first, [b':', second @ ..])) => match number::parse(second) {
                Some((number, [])) => (first, number),
                _ => return Err(messages.invalid(SKIP_INVALID, second)),
            },
            _ => return Err(messages.invalid(SKIP_INVALID, value)),
        };
        self.skips[0] = self.skips[0].max(first);
        self.skips[1] = self.skips[1].max(second);
        Ok(())
    }

    /// Files and skips. What comes third is a file where GNU cmp would refuse it and there is a
    /// file by that name.
    fn take(&mut self, mut operands: Vec<OsString>, messages: Messages) -> Result<(), Vec<u8>> {
        let is_number = |o: &OsString| matches!(number::parse(o.as_bytes()), Some((_, [])));
        let is_file = |o: &OsString| o == "-" || Path::new(o).symlink_metadata().is_ok();
        if operands.get(2).is_some_and(|o| !is_number(o) && is_file(o)) {
            if self.telling == Telling::All {
                return Err(messages.invalid(
                    "option -l compares two files only: operand",
                    operands[2].as_bytes(),
                ));
            }
            self.files = operands;
            return Ok(());
        }
        let skips = operands.split_off(operands.len().min(2));
        for (at, skip) in skips.iter().enumerate() {
            let Some(own) = self.skips.get_mut(at) else {
                return Err(messages.invalid("extra operand", skip.as_bytes()));
            };
            match number::parse(skip.as_bytes()) {
                Some((number, [])) => *own = (*own).max(number),
                _ => return Err(messages.invalid(SKIP_INVALID, skip.as_bytes())),
            }
        }
        if operands.len() == 1 {
            operands.push("-".into());
        }
        self.files = operands;
        Ok(())
    }
}

const SKIP_INVALID: &str = "invalid --ignore-initial value";
