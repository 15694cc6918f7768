//! cmp: compares files byte by byte, as GNU cmp does, without reading what needs no reading.
//!
//! The main path: `options` → `input` (opens) → what can be told without reading → `compare` → the
//! messages below. Messages are those of GNU diffutils 3.8 to 3.10; those of 3.11 and later have
//! names in quotes, and come where `CMP_COMPAT` asks for them.

mod compare;
mod getopt;
mod input;
mod lines;
mod number;
mod options;
mod shared;
mod told;

use cli::diag::system_text;
use cli::{locale, quote};
use compare::{Finding, Way, What};
use input::Input;
use options::{Job, Request, Telling};
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::ExitCode;
use told::Stdout;

const DIFFERENT: u8 = 1;
const TROUBLE: u8 = 2;

/// The name for messages and the arguments, if the program was called as cmp.
pub(crate) fn called(
    args: impl IntoIterator<Item = OsString>,
) -> Option<(OsString, Vec<OsString>)> {
    let mut args = args.into_iter();
    let program = args.next()?;
    let mut rest: Vec<OsString> = args.collect();
    if Path::new(&program).file_name() == Some(OsStr::new("cmp")) {
        return Some((program, rest));
    }
    if rest.first()? != "--cmp" {
        return None;
    }
    rest.remove(0);
    Some(("cmp".into(), rest))
}

/// Runs cmp to its end.
pub(crate) fn run(program: &OsStr, args: &[OsString]) -> ExitCode {
    cli::signal::default_sigpipe();
    let said = Said {
        program,
        messages: Messages::new(std::env::var_os("CMP_COMPAT").as_deref()),
    };
    // Taking over the locale costs as much as comparing two small files: otherwise only those
    // messages do it that depend on it.
    if said.messages == Messages::Quoted {
        locale::start();
    }
    let status = match options::parse(program, args, said.messages) {
        Ok(Request::Compare(job)) => compare_files(&job, said),
        Ok(Request::Help) => print(options::HELP, said),
        Ok(Request::Version) => print(options::VERSION, said),
        Err(message) => {
            said.line(&message);
            said.line(&said.messages.try_help(program));
            TROUBLE
        }
    };
    ExitCode::from(status)
}

/// How names are written in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Messages {
    /// As they are.
    Plain,
    /// In quotes.
    Quoted,
}

impl Messages {
    /// For a release of diffutils, such as `3.12`.
    fn new(release: Option<&OsStr>) -> Messages {
        let release = release.and_then(OsStr::to_str).and_then(|text| {
            let (major, minor) = text.split_once('.')?;
            Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
        });
        match release >= Some((3, 11)) {
            true => Messages::Quoted,
            false => Messages::Plain,
        }
    }

    /// A message about a word of the command line.
    fn invalid(self, what: &str, word: &[u8]) -> Vec<u8> {
        match self {
            Messages::Plain => [what.as_bytes(), b" '", word, b"'"].concat(),
            Messages::Quoted => format!("{what} {}", quote::in_locale(word)).into_bytes(),
        }
    }

    /// A file that has ended.
    fn ended(self, name: &OsStr) -> Vec<u8> {
        match self {
            Messages::Plain => name.as_bytes().to_vec(),
            Messages::Quoted => quote::in_locale(name.as_bytes()).into_bytes(),
        }
    }

    /// A file about which the system has something to say.
    fn subject(self, name: &OsStr) -> Vec<u8> {
        match self {
            Messages::Plain => name.as_bytes().to_vec(),
            Messages::Quoted => quote::if_needed(name.as_bytes()).into_bytes(),
        }
    }

    fn try_help(self, program: &OsStr) -> Vec<u8> {
        let tail = b" --help' for more information.";
        [b"Try '", program.as_bytes(), tail].concat()
    }
}

/// Who speaks, and how.
#[derive(Clone, Copy)]
struct Said<'a> {
    program: &'a OsStr,
    messages: Messages,
}

impl Said<'_> {
    fn line(self, message: &[u8]) {
        tell(&[self.program.as_bytes(), b": ", message, b"\n"].concat());
    }

    fn trouble(self, name: &OsStr, error: &io::Error) -> u8 {
        locale::start();
        let text = system_text(error);
        self.line(&[&self.messages.subject(name), &b": "[..], text.as_bytes()].concat());
        TROUBLE
    }
}

/// Writes to standard error at once. If that fails there is nowhere left to say so.
fn tell(line: &[u8]) {
    let _ = io::stderr().write_all(line);
}

fn print(text: &str, said: Said) -> u8 {
    let mut stdout = Stdout::new();
    stdout.put(text.as_bytes());
    finish(stdout, 0, said)
}

fn finish(stdout: Stdout, status: u8, said: Said) -> u8 {
    match stdout.finish() {
        Ok(()) => status,
        Err(why) => {
            said.line(why.as_bytes());
            TROUBLE
        }
    }
}

fn compare_files(job: &Job, said: Said) -> u8 {
    let mut telling = job.telling;
    let mut inputs = Vec::new();
    for (index, name) in job.files.iter().enumerate() {
        let skip = job.skips[index.min(1)];
        let is_pair = job.files.len() == 2 && index == 1;
        if is_pair && job.skips[0] == skip && skip != number::HUGE && *name == job.files[0] {
            return 0;
        }
        match Input::open(name, skip) {
            Ok(input) => inputs.push(input),
            Err(_) if telling == Telling::Status => return TROUBLE,
            Err(error) => return said.trouble(name, &error.into()),
        }
    }
    inputs.iter_mut().for_each(Input::seek);
    if let Some(same) = (1..inputs.len()).find(|i| inputs[*i].is_same(&inputs[0])) {
        if inputs.len() == 2 {
            return 0;
        }
        // Of a file that has no positions two would each get a part.
        let is_stream = inputs[same].start.is_none();
        if !is_stream {
            let first = inputs.remove(0);
            inputs.retain(|input| !input.is_same(&first));
            inputs.insert(0, first);
        }
    }
    if inputs.len() < 2 {
        return 0;
    }
    if telling != Telling::Status && stdout_is_null() {
        telling = Telling::NoOutput;
    }
    let is_silent = telling == Telling::Status
        || telling == Telling::NoOutput && said.messages == Messages::Quoted;
    if is_silent && sizes_differ(&inputs, job.limit) {
        return DIFFERENT;
    }
    for input in &mut inputs {
        if let Err(error) = input.skip() {
            return said.trouble(&input.name, &error);
        }
    }
    read_and_tell(&mut inputs, job, telling, said)
}

/// A standard output that was closed is `/dev/null` by now.
fn stdout_is_null() -> bool {
    let stat = rustix::fs::fstat(io::stdout().as_fd());
    stat.is_ok_and(|stat| input::is_null_device(&stat))
}

/// Whether sizes tell that some file differs from the first.
fn sizes_differ(inputs: &[Input], limit: u64) -> bool {
    let size = |input: &Input| input.bytes_left().map(|left| left.max(0) as u64);
    let Some(first) = size(&inputs[0]) else {
        return false;
    };
    let mut others = inputs[1..].iter().filter_map(size);
    others.any(|other| other != first && other.min(first) < limit)
}

fn read_and_tell(inputs: &mut [Input], job: &Job, telling: Telling, said: Said) -> u8 {
    let mut stdout = Stdout::new();
    let mut status = 0;
    let width = width(inputs, job.limit);
    let mut line = Vec::new();
    let mut each = |at: u64, a: u8, b: u8| {
        status = DIFFERENT;
        line.clear();
        // A Vec takes everything.
        let _ = match job.print_bytes {
            false => writeln!(line, "{:>width$} {a:3o} {b:3o}", at + 1),
            true => writeln!(
                line,
                "{:>width$} {a:3o} {:<4} {b:3o} {}",
                at + 1,
                shown(a),
                shown(b)
            ),
        };
        stdout.put(&line);
    };
    let way = Way {
        limit: job.limit,
        count_lines: telling == Telling::First,
        each: match telling {
            Telling::All => Some(&mut each),
            _ => None,
        },
    };
    let outcome = match compare::compare(inputs, way) {
        Ok(outcome) => outcome,
        Err(trouble) => {
            // Those named before were read when this one could not be.
            for (at, input) in inputs.iter().enumerate() {
                input.leave_behind(trouble.compared, at < trouble.index, job.limit);
            }
            stdout.write_all();
            return said.trouble(&inputs[trouble.index].name, &trouble.error);
        }
    };
    inputs
        .iter()
        .for_each(|i| i.leave_behind(outcome.compared, true, job.limit));
    if let Some(finding) = outcome.finding {
        status = DIFFERENT;
        let names = [&inputs[0].name, &inputs[finding.other].name];
        match (&finding.what, telling) {
            (_, Telling::Status) | (What::Bytes(..), Telling::NoOutput) => {}
            (What::Bytes(a, b), _) => {
                stdout.put(&differ(names, &finding, (*a, *b), job.print_bytes));
            }
            (What::End(shorter), _) => {
                stdout.write_blocks();
                let name = said.messages.ended(&inputs[*shorter].name);
                tell(&ended(&name, &finding, telling));
            }
        }
    }
    match status != 0 && matches!(telling, Telling::First | Telling::All) {
        true => finish(stdout, status, said),
        false => status,
    }
}

/// How wide the largest number of a byte can get, as far as sizes tell.
fn width(inputs: &[Input], limit: u64) -> usize {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let most = inputs
        .iter()
        .filter_map(Input::bytes_left)
        .fold(limit, i64::min);
    most.max(0).to_string().len()
}

fn differ(names: [&OsString; 2], finding: &Finding, (a, b): (u8, u8), bytes: bool) -> Vec<u8> {
    if !bytes {
        locale::start();
    }
    let unit = match !bytes && locale::has_posix_messages() {
        true => "char",
        false => "byte",
    };
    let names = names.map(|name| name.clone().into_vec()).join(&b' ');
    let (byte, line) = (finding.bytes + 1, finding.newlines + 1);
    let place = format!(" differ: {unit} {byte}, line {line}");
    let values = match bytes {
        true => format!(" is {a:3o} {} {b:3o} {}\n", shown(a), shown(b)),
        false => "\n".to_owned(),
    };
    [names, place.into_bytes(), values.into_bytes()].concat()
}

/// POSIX wants `cmp: EOF on NAME` whatever the program is called.
fn ended(name: &[u8], finding: &Finding, telling: Telling) -> Vec<u8> {
    let (bytes, newlines) = (finding.bytes, finding.newlines);
    let place = match (bytes, telling, finding.at_line_start) {
        (0, _, _) => " which is empty\n".to_owned(),
        (_, Telling::First, true) => format!(" after byte {bytes}, line {newlines}\n"),
        (_, Telling::First, false) => format!(" after byte {bytes}, in line {}\n", newlines + 1),
        _ => format!(" after byte {bytes}\n"),
    };
    [b"cmp: EOF on ", name, place.as_bytes()].concat()
}

/// A byte as `cat -t` shows it.
fn shown(byte: u8) -> String {
    let (meta, low) = match byte {
        128.. => ("M-", byte - 128),
        _ => ("", byte),
    };
    match low {
        0..32 => format!("{meta}^{}", char::from(low + 64)),
        127 => format!("{meta}^?"),
        _ => format!("{meta}{}", char::from(low)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_as_cat_shows_them() {
        let texts = [0, 9, b'a', 127, 128, 160, 255].map(shown);
        assert_eq!(texts, ["^@", "^I", "a", "^?", "M-^@", "M- ", "M-^?"]);
    }

    #[test]
    fn called_by_name_or_by_option() {
        let called = |words: &[&str]| called(words.iter().map(OsString::from));
        let is_cmp = |words: &[&str]| called(words).is_some();
        assert!(is_cmp(&["/usr/bin/cmp", "a"]) && is_cmp(&["dupes", "--cmp", "a"]));
        assert!(!is_cmp(&["dupes", "a", "--cmp"]) && !is_cmp(&["xcmp"]) && !is_cmp(&[]));
        assert_eq!(called(&["dupes", "--cmp"]), Some(("cmp".into(), vec![])));
    }

    #[test]
    fn releases_with_quotes() {
        let messages = |text: &str| Messages::new(Some(OsStr::new(text)));
        assert_eq!(messages("3.12"), Messages::Quoted);
        assert_eq!(messages("4.0"), Messages::Quoted);
        assert_eq!(messages("3.10"), Messages::Plain);
        assert_eq!(messages("new"), Messages::Plain);
        assert_eq!(Messages::new(None), Messages::Plain);
    }
}
