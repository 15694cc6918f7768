//! Options as getopt_long(3) of the GNU C library takes them: among the operands unless
//! POSIXLY_CORRECT is set, long names cut short, and its messages.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// An option: its letter (or another number where it has none), and its long name if it has one.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) letter: u8,
    pub(super) long: &'static str,
    pub(super) takes_value: bool,
    /// Whether the letter itself can be given.
    pub(super) has_short: bool,
}

/// One thing of a command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    Option(u8, OsString),
    Operand(OsString),
}

/// The arguments that are left, and where in a group of letters the next one is.
#[derive(Debug)]
pub(super) struct Arguments {
    known: &'static [Known],
    left: VecDeque<OsString>,
    letters: Vec<u8>,
    only_operands: bool,
    is_posix: bool,
}

impl Arguments {
    pub(super) fn new(known: &'static [Known], args: &[OsString], is_posix: bool) -> Arguments {
        Arguments {
            known,
            left: args.iter().cloned().collect(),
            letters: Vec::new(),
            only_operands: false,
            is_posix,
        }
    }

    /// The next option or operand; an error is a message without the name of the program.
    pub(super) fn next(&mut self) -> Result<Option<Item>, Vec<u8>> {
        if !self.letters.is_empty() {
            return self.short().map(Some);
        }
        let Some(word) = self.left.pop_front() else {
            return Ok(None);
        };
        match word.as_bytes() {
            _ if self.only_operands => {}
            b"--" => {
                self.only_operands = true;
                return self.next();
            }
            [b'-', b'-', name @ ..] => return self.long(name).map(Some),
            [b'-', letters @ ..] if !letters.is_empty() => {
                self.letters = letters.to_vec();
                return self.short().map(Some);
            }
            _ => self.only_operands = self.is_posix,
        }
        Ok(Some(Item::Operand(word)))
    }

    fn short(&mut self) -> Result<Item, Vec<u8>> {
        let letter = self.letters.remove(0);
        let is_it = |known: &&Known| known.has_short && known.letter == letter;
        let Some(known) = self.known.iter().find(is_it) else {
            return Err([b"invalid option -- '", &[letter][..], b"'"].concat());
        };
        let attached = std::mem::take(&mut self.letters);
        if !known.takes_value {
            self.letters = attached;
            return Ok(Item::Option(letter, OsString::new()));
        }
        match attached.is_empty() {
            false => Ok(Item::Option(letter, OsString::from_vec(attached))),
            true => match self.left.pop_front() {
                Some(value) => Ok(Item::Option(letter, value)),
                None => Err([b"option requires an argument -- '", &[letter][..], b"'"].concat()),
            },
        }
    }

    fn long(&mut self, given: &[u8]) -> Result<Item, Vec<u8>> {
        let end = given.iter().position(|c| *c == b'=').unwrap_or(given.len());
        let (name, value) = (&given[..end], given.get(end + 1..));
        let known = self.meant(name, given)?;
        let value = value.map(|value| OsStr::from_bytes(value).to_owned());
        let complaint = |what: &str| format!("option '--{}' {what}", known.long).into_bytes();
        match (known.takes_value, value) {
            (false, None) => Ok(Item::Option(known.letter, OsString::new())),
            (false, Some(_)) => Err(complaint("doesn't allow an argument")),
            (true, Some(value)) => Ok(Item::Option(known.letter, value)),
            (true, None) => match self.left.pop_front() {
                Some(value) => Ok(Item::Option(known.letter, value)),
                None => Err(complaint("requires an argument")),
            },
        }
    }

    /// The option whose name is, or begins with, `name`.
    fn meant(&self, name: &[u8], given: &[u8]) -> Result<&'static Known, Vec<u8>> {
        if let Some(exact) = self.known.iter().find(|k| k.long.as_bytes() == name) {
            return Ok(exact);
        }
        let mut found = self
            .known
            .iter()
            .filter(|k| k.long.as_bytes().starts_with(name));
        let Some(first) = found.next() else {
            return Err([b"unrecognized option '--", given, b"'"].concat());
        };
        let others: Vec<&Known> = found.filter(|k| k.letter != first.letter).collect();
        if others.is_empty() {
            return Ok(first);
        }
        let mut message = [b"option '--", given, b"' is ambiguous; possibilities:"].concat();
        for known in std::iter::once(first).chain(others) {
            message.extend_from_slice(format!(" '--{}'", known.long).as_bytes());
        }
        Err(message)
    }
}
