//! The names to start from: operands, and lists of names in files or on standard input.

use crate::problems::Problems;
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

/// Where names come from, in the order of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A name.
    Operand(OsString),
    /// A list of names; `-` is standard input.
    List(OsString),
}

/// A name in a list that is as long (bytes) is no name: the list may be anything.
const LONGEST: u64 = 1 << 20;

/// How many names are handed on at a time.
const BATCH: usize = 512;

/// Hands all names in `sources` to `take`, in batches. A list has one name a line, or a NUL after
/// each with `nul`; empty names in it are passed over, so that groups printed before can be read.
/// A list that cannot be read is reported.
pub(crate) fn each(
    sources: Vec<Source>,
    nul: bool,
    problems: &Problems,
    mut take: impl FnMut(Vec<OsString>),
) {
    let mut batch = Vec::new();
    for source in sources {
        match source {
            Source::Operand(name) => push(&mut batch, name, &mut take),
            Source::List(list) => {
                if let Err(e) = read(&list, nul, |name| push(&mut batch, name, &mut take)) {
                    let shown = if list == "-" {
                        OsStr::new("standard input")
                    } else {
                        &list
                    };
                    problems.failed_list(shown, e);
                }
            }
        }
    }
    take(batch);
}

fn push(batch: &mut Vec<OsString>, name: OsString, take: &mut impl FnMut(Vec<OsString>)) {
    batch.push(name);
    if batch.len() == BATCH {
        take(std::mem::take(batch));
    }
}

fn read(list: &OsStr, nul: bool, mut take: impl FnMut(OsString)) -> io::Result<()> {
    let mut reader: Box<dyn BufRead> = match list == "-" {
        true => Box::new(BufReader::new(File::from(cli::input::descriptor()?))),
        false => Box::new(BufReader::new(File::open(Path::new(list))?)),
    };
    let end = if nul { 0 } else { b'\n' };
    loop {
        let mut name = Vec::new();
        if reader.by_ref().take(LONGEST).read_until(end, &mut name)? == 0 {
            return Ok(());
        }
        if name.len() as u64 == LONGEST {
            return Err(Errno::NAMETOOLONG.into());
        }
        if name.last() == Some(&end) {
            name.pop();
        }
        if !name.is_empty() {
            take(OsString::from_vec(name));
        }
        if cli::signal::stop_requested().is_some() {
            return Ok(());
        }
    }
}
