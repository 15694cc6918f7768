//! The command line, in the form that Info-ZIP's unzip has given it.
//!
//! Letters combine, and a minus among them takes the next letter back (`-q--q` is as nothing), as
//! often as there are minuses. Long options are ours; an argument that begins with two minuses and
//! is none of them is a letter taken back. Options from the environment stand before all others.

use lexopt::Arg::{self, Long, Short};
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::num::NonZero;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::zipinfo_args;

pub(crate) const HELP: &str = "\
Usage: unzip-cjk [OPTION]... FILE[.zip] [MEMBER]... [-x MEMBER...] [-d DIR]
       unzip-cjk -Z [-12smlvCMTUWhtz] FILE[.zip] [MEMBER]... [-x MEMBER...]
Extract, list or test ZIP archives, with names in the right characters.

What to do (without any of these: extract):
  -l                    list names, sizes and times
  -v                    list with method, compression and CRC; alone: print the version
  -t                    test the data
  -z                    print the comment of the archive
  -p                    extract to standard output, nothing else is printed
  -c                    extract to standard output, with names
  -T                    set the time of the archive to that of its newest entry
  -Z                    be zipinfo; this must be the first option
  -e                    extract
  -x                    extract; after FILE: what follows is not extracted

How to extract:
  -d DIR                extract into this folder, which is made if it is missing
  -n                    never overwrite files
  -o                    overwrite files without a question
  -f                    extract what is newer than its file, and make no new files
  -u                    extract what is newer than its file, or has none
  -B                    keep a file that is overwritten under a name with a tilde
  -j                    leave out the folders of names
  -a                    convert ends of lines of text files; -aa: of all files
  -b                    convert nothing (this is the default)
  -q                    print less; -qq: print nothing
  -P PASSWORD           decrypt with this password; other users may see it
  -D                    set no times of folders; -DD: nor of files
      --windows-times   set exact times from archives of Windows that have them
  -X                    set owner and group
  -K                    keep the setuid, setgid and sticky bits
  -V                    keep VMS version numbers
  -F                    add Acorn file types to names

Names:
  -O CHARSET            names from DOS, Windows and OS/2 are in this encoding; auto: find out
  -I CHARSET            names from Unix are in this encoding; auto: find out
      --guess           with -l: show the encodings that come into question
      --raw-names       keep the bytes of names as they are
  -C                    MEMBER in upper or lower case
  -W                    * and ? in MEMBER do not match /, and ** does
  -L                    names from DOS and its like in lower case; -LL: all names
  -U                    show characters beyond ASCII as #Uxxxx; -UU: ignore marks of UTF-8
  -:                    names may lead out of the folder with ..
  -^                    names may have control characters

Limits:
      --threads=N       extract with this many threads (default: one for each processor)
      --max-size=SIZE   refuse an archive that would grow larger, before anything is written
      --max-ratio=N     refuse an archive with an entry that grows more than N times
      --max-files=N     refuse an archive with more entries

  -M                    stop after each screen
  -h, --help            print this help; -hh is the same
      --version         print the version

FILE may have wildcards that the shell was kept from. CHARSET is GBK, Big5, Shift_JIS, EUC-KR, CP866,
CP850 and so on. SIZE is a number of bytes, also with a suffix: 512K, 10M, 1G.
A minus before a letter takes it back: with --o, -o in the environment variable UNZIP does not count.
";

pub(crate) const VERSION: &str = concat!("unzip-cjk ", env!("CARGO_PKG_VERSION"), "\n");

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Request {
    Run(Box<Options>),
    Help,
    Version,
}

/// Why the command line cannot be followed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// In the words that Info-ZIP uses, whole lines.
    Said(String),
    /// Anything else.
    Usage(String),
}

/// Everything that options decide. Numbers count how often a letter stands there.
#[derive(Debug, Default)]
pub(crate) struct Options {
    pub(crate) zipinfo: Option<zipinfo_args::Listing>,
    pub(crate) text: u32,
    pub(crate) backup: bool,
    /// To standard output (-c, -p).
    pub(crate) pipe: bool,
    pub(crate) ignore_case: bool,
    pub(crate) folder: Option<OsString>,
    pub(crate) no_times: u32,
    pub(crate) freshen: bool,
    pub(crate) update: bool,
    pub(crate) acorn: bool,
    pub(crate) junk: bool,
    /// -l is 1, -v is 2.
    pub(crate) list: u32,
    pub(crate) lower: u32,
    pub(crate) more: bool,
    pub(crate) overwrite_none: bool,
    pub(crate) overwrite_all: u32,
    pub(crate) password: Option<Vec<u8>>,
    pub(crate) quiet: u32,
    pub(crate) test: bool,
    pub(crate) stamp: bool,
    pub(crate) unicode: u32,
    pub(crate) versions: bool,
    pub(crate) stop_at_slash: bool,
    pub(crate) owners: u32,
    pub(crate) keep_bits: bool,
    pub(crate) comment: u32,
    pub(crate) dot_dot: u32,
    pub(crate) controls: u32,
    pub(crate) dos_charset: Option<String>,
    pub(crate) unix_charset: Option<String>,
    pub(crate) guess: bool,
    pub(crate) raw_names: bool,
    pub(crate) windows_times: bool,
    pub(crate) threads: Option<NonZero<usize>>,
    pub(crate) max_size: Option<u64>,
    pub(crate) max_ratio: Option<u64>,
    pub(crate) max_files: Option<u64>,
    /// The archive, or a pattern of archives.
    pub(crate) archive: OsString,
    /// No member is named: all are meant.
    pub(crate) all_members: bool,
    pub(crate) members: Vec<OsString>,
    pub(crate) excluded: Vec<OsString>,
    /// Printed before the work begins.
    pub(crate) cautions: Vec<&'static str>,
}

impl Options {
    /// Whether files are written.
    pub(crate) fn extracts(&self) -> bool {
        let other = self.pipe || self.test || self.list > 0 || self.comment > 0 || self.stamp;
        self.zipinfo.is_none() && !other
    }

    /// Whether every entry gets a line.
    pub(crate) fn is_talkative(&self) -> bool {
        self.quiet == 0
    }
}

const MUST_GIVE_FOLDER: &str =
    "error:  must specify directory to which to extract with -d option\n";

/// The arguments, letter by letter.
pub(crate) struct Letters {
    rest: VecDeque<OsString>,
    /// Of the argument that is being read.
    letters: Vec<u8>,
    at: usize,
    negative: u32,
    ended: bool,
}

impl Letters {
    pub(crate) fn new(args: VecDeque<OsString>) -> Letters {
        Letters {
            rest: args,
            letters: Vec::new(),
            at: 0,
            negative: 0,
            ended: false,
        }
    }

    /// The next option; `None` at the first argument that is none.
    pub(crate) fn next(&mut self, long: &'static [&'static str]) -> Option<Arg<'static>> {
        loop {
            while let Some(&letter) = self.letters.get(self.at) {
                self.at += 1;
                if letter == b'-' {
                    self.negative += 1;
                } else {
                    return Some(Short(letter.into()));
                }
            }
            let next = self.rest.front()?.as_bytes();
            if self.ended || next.first() != Some(&b'-') {
                return None;
            }
            if next == b"--" {
                self.ended = true;
                self.rest.pop_front();
                return None;
            }
            let name = next.split(|b| *b == b'=').next().unwrap_or_default();
            let known = long
                .iter()
                .find(|known| name.strip_prefix(b"--") == Some(known.as_bytes()));
            if let Some(known) = known {
                // What remains of the argument is the value, if it takes one.
                self.letters = next.to_vec();
                self.at = self.letters.len();
                if self.letters.len() > name.len() {
                    self.at = name.len();
                }
                self.rest.pop_front();
                return Some(Long(known));
            }
            self.letters = next[1..].to_vec();
            self.at = 0;
            self.rest.pop_front();
        }
    }

    /// How many minuses stand before this letter.
    fn taken_back(&mut self) -> u32 {
        std::mem::take(&mut self.negative)
    }

    pub(crate) fn flag(&mut self, flag: &mut bool) {
        *flag = self.taken_back() == 0;
    }

    pub(crate) fn count(&mut self, count: &mut u32) {
        match self.taken_back() {
            0 => *count = count.saturating_add(1),
            less => *count = count.saturating_sub(less),
        }
    }

    /// What remains of this argument, or the next one unless it looks like an option.
    pub(crate) fn value(&mut self) -> Option<OsString> {
        if self.taken_back() > 0 {
            return None;
        }
        let rest = self.letters.split_off(self.at);
        if !rest.is_empty() {
            return Some(OsString::from_vec(rest));
        }
        let next = self.rest.pop_front()?;
        (!next.as_bytes().starts_with(b"-")).then_some(next)
    }

    /// The number of a long option.
    fn number(&mut self, name: &str) -> Result<u64, Wrong> {
        let rest = self.letters.split_off(self.at);
        let value = match rest.strip_prefix(b"=") {
            Some(value) => OsString::from_vec(value.to_vec()),
            None => self
                .rest
                .pop_front()
                .ok_or_else(|| Wrong::Usage(format!("missing argument for option '--{name}'")))?,
        };
        cli::size::parse(&value).map_err(|why| Wrong::Usage(format!("--{name}: {why}")))
    }

    pub(crate) fn remaining(self) -> VecDeque<OsString> {
        self.rest
    }
}

const LONG: [&str; 9] = [
    "help",
    "version",
    "guess",
    "raw-names",
    "windows-times",
    "threads",
    "max-size",
    "max-ratio",
    "max-files",
];

/// Parses the arguments, without the program's name; `as_zipinfo` if that is how it was called.
pub(crate) fn parse(
    args: impl IntoIterator<Item = OsString>,
    as_zipinfo: bool,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<Request, Wrong> {
    let given: VecDeque<OsString> = args.into_iter().collect();
    let first = given.front().map(|arg| arg.as_bytes().to_vec());
    let zipinfo = as_zipinfo || first.is_some_and(|first| first.starts_with(b"-Z"));
    let nothing = given.is_empty();
    let names = match zipinfo {
        true => ["ZIPINFO", "ZIPINFOOPT"],
        false => ["UNZIP", "UNZIPOPT"],
    };
    let mut args = from_environment(names.map(&environment));
    args.extend(given);
    if zipinfo {
        return zipinfo_args::parse(args);
    }
    let mut o = Options::default();
    let mut p = Letters::new(args);
    let (mut help, mut unknown) = (false, None);
    while let Some(arg) = p.next(&LONG) {
        match arg {
            Short('a') => p.count(&mut o.text),
            Short('b') => {
                if p.taken_back() == 0 {
                    o.text = 0;
                }
            }
            Short('B') => p.flag(&mut o.backup),
            Short('c') => p.flag(&mut o.pipe),
            Short('C') => p.flag(&mut o.ignore_case),
            Short('d') => {
                if o.folder.is_some() {
                    let said = "error:  -d option used more than once (only one exdir allowed)\n";
                    return Err(Wrong::Said(said.into()));
                }
                let folder = p.value();
                o.folder = Some(folder.ok_or_else(|| Wrong::Said(MUST_GIVE_FOLDER.into()))?);
            }
            Short('D') => p.count(&mut o.no_times),
            Short('e') => {}
            Short('x') => {}
            Short('f') => {
                p.flag(&mut o.freshen);
                o.update = o.freshen;
            }
            Short('F') => p.flag(&mut o.acorn),
            Short('h') | Long("help") => help = true,
            Short('I') => o.unix_charset = Some(charset(p.value(), 'I')?),
            Short('j') => p.flag(&mut o.junk),
            Short('K') => p.flag(&mut o.keep_bits),
            Short('l') => p.count(&mut o.list),
            Short('L') => p.count(&mut o.lower),
            Short('M') => p.flag(&mut o.more),
            Short('n') => p.flag(&mut o.overwrite_none),
            Short('o') => p.count(&mut o.overwrite_all),
            Short('O') => o.dos_charset = Some(charset(p.value(), 'O')?),
            Short('p') => {
                o.pipe = p.taken_back() == 0;
                o.quiet = match o.pipe {
                    true => o.quiet.saturating_add(999),
                    false => o.quiet.saturating_sub(999),
                };
            }
            Short('P') => {
                let said = "error:  must give decryption password with -P option\n";
                let password = p.value().ok_or_else(|| Wrong::Said(said.into()))?;
                o.password.get_or_insert(password.into_vec());
            }
            Short('q') => p.count(&mut o.quiet),
            Short('t') => p.flag(&mut o.test),
            Short('T') => p.flag(&mut o.stamp),
            Short('u') => p.flag(&mut o.update),
            Short('U') => p.count(&mut o.unicode),
            Short('v') => {
                if p.negative == 0 && o.list == 0 {
                    o.list = 1;
                }
                p.count(&mut o.list);
            }
            Short('V') => p.flag(&mut o.versions),
            Short('W') => p.flag(&mut o.stop_at_slash),
            Short('X') => p.count(&mut o.owners),
            Short('z') => p.count(&mut o.comment),
            Short('Z') => {
                let said =
                    "error:  -Z must be first option for ZipInfo mode (check UNZIP variable?)\n";
                return Err(Wrong::Said(said.into()));
            }
            Short(':') => p.count(&mut o.dot_dot),
            Short('^') => p.count(&mut o.controls),
            Long("guess") => o.guess = true,
            Long("raw-names") => o.raw_names = true,
            Long("windows-times") => o.windows_times = true,
            Long("threads") => {
                let number = usize::try_from(p.number("threads")?).unwrap_or(usize::MAX);
                o.threads = NonZero::new(number.min(256));
                if o.threads.is_none() {
                    return Err(Wrong::Usage("--threads: not 0".into()));
                }
            }
            Long("max-size") => o.max_size = Some(p.number("max-size")?),
            Long("max-ratio") => o.max_ratio = Some(p.number("max-ratio")?),
            Long("max-files") => o.max_files = Some(p.number("max-files")?),
            Long("version") => return Ok(Request::Version),
            other => unknown = unknown.or(Some(other.unexpected().to_string())),
        }
    }
    if help {
        return Ok(Request::Help);
    }
    if let Some(unknown) = unknown {
        return Err(Wrong::Usage(unknown));
    }
    let exclusive =
        (o.pipe && (o.test || o.update)) || (o.test && o.update) || (o.freshen && o.overwrite_none);
    if exclusive {
        let said = "error:  -fn or any combination of -c, -l, -p, -t, -u and -v options invalid\n";
        return Err(Wrong::Said(said.into()));
    }
    o.text = o.text.min(2);
    if o.overwrite_all > 0 && o.overwrite_none {
        o.cautions
            .push("caution:  both -n and -o specified; ignoring -o\n");
        o.overwrite_all = 0;
    }
    let mut operands = p.remaining();
    let Some(archive) = operands.pop_front() else {
        return match (o.list >= 2, nothing) {
            (true, _) => Ok(Request::Version),
            (_, true) => Ok(Request::Help),
            _ => Err(Wrong::Usage("no archive given".into())),
        };
    };
    o.archive = archive;
    members(&mut o, operands)?;
    Ok(Request::Run(Box::new(o)))
}

pub(crate) fn charset(value: Option<OsString>, letter: char) -> Result<String, Wrong> {
    let said = || {
        Wrong::Said(format!(
            "error:  a valid character encoding should follow the -{letter} argument\n"
        ))
    };
    let value = value.ok_or_else(said)?;
    let value = value.into_string().map_err(|_| said())?;
    if value.eq_ignore_ascii_case("auto") || crate::names::Charset::by_label(&value).is_some() {
        Ok(value)
    } else {
        Err(Wrong::Usage(format!(
            "-{letter} {}: unknown encoding",
            cli::diag::name(&value)
        )))
    }
}

/// What follows the archive: members, then -x and members, and -d wherever it stands.
pub(crate) fn members(o: &mut Options, mut operands: VecDeque<OsString>) -> Result<(), Wrong> {
    let mut excluding = false;
    while let Some(operand) = operands.pop_front() {
        let bytes = operand.as_bytes();
        if o.folder.is_none() && bytes.starts_with(b"-d") {
            let folder = match &bytes[2..] {
                [] => operands.pop_front(),
                folder => Some(OsStr::from_bytes(folder).to_owned()),
            };
            o.folder = Some(folder.ok_or_else(|| Wrong::Said(MUST_GIVE_FOLDER.into()))?);
        } else if !excluding && bytes == b"-x" {
            excluding = true;
        } else if excluding {
            o.excluded.push(operand);
        } else {
            o.members.push(operand);
        }
    }
    o.all_members = o.members.is_empty() && o.excluded.is_empty();
    if o.folder.is_some() && !o.extracts() {
        o.cautions.push("caution:  not extracting; -d ignored\n");
    }
    Ok(())
}

/// Options from the first variable that has any: words, and words in double quotes with backslashes.
fn from_environment(values: [Option<OsString>; 2]) -> VecDeque<OsString> {
    let is_space = |b: &u8| b.is_ascii_whitespace() || *b == 0x0B;
    let value = values
        .into_iter()
        .flatten()
        .find(|value| !value.as_bytes().iter().all(is_space));
    let mut words = VecDeque::new();
    let value = value.unwrap_or_default();
    let mut rest = value.as_bytes();
    while let Some(start) = rest.iter().position(|b| !is_space(b)) {
        rest = &rest[start..];
        let mut word = Vec::new();
        if let Some(mut quoted) = rest.strip_prefix(b"\"") {
            loop {
                match quoted {
                    [] => break,
                    [b'"', after @ ..] => {
                        quoted = after;
                        break;
                    }
                    [b'\\', byte, after @ ..] | [byte, after @ ..] => {
                        word.push(*byte);
                        quoted = after;
                    }
                }
            }
            rest = quoted;
        } else {
            let end = rest.iter().position(is_space).unwrap_or(rest.len());
            word.extend(&rest[..end]);
            rest = &rest[end..];
        }
        words.push_back(OsString::from_vec(word));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_with(line: &str, unzip: Option<&str>) -> Result<Request, Wrong> {
        let args = line.split_whitespace().map(OsString::from);
        parse(args, false, |name| {
            unzip
                .filter(|_| name == "UNZIP" || name == "ZIPINFO")
                .map(OsString::from)
        })
    }

    fn options(line: &str, unzip: Option<&str>) -> Options {
        match run_with(line, unzip) {
            Ok(Request::Run(options)) => *options,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn letters_are_taken_back() {
        let o = options("-qq-q --o a.zip", Some("-ooqq"));
        assert_eq!((o.quiet, o.overwrite_all), (3, 1));
        let o = options("-o-o a.zip", Some("-o"));
        assert_eq!(o.overwrite_all, 1);
        assert_eq!(options("--q-q a", Some("-qq")).quiet, 0);
        assert_eq!(options("-v a", None).list, 2);
        assert_eq!(options("-lv a", None).list, 2);
    }

    #[test]
    fn operands() {
        let o = options("a.zip m1 -x m2 m3 -d out", None);
        assert_eq!((&o.members[..], o.excluded.len()), (&["m1".into()][..], 2));
        assert_eq!((o.folder, o.all_members), (Some("out".into()), false));
        let o = options("-dout a.zip", None);
        assert_eq!((o.folder, o.all_members), (Some("out".into()), true));
        let o = options("a.zip -d out m1", None);
        assert_eq!(
            (o.folder, o.members),
            (Some("out".into()), vec!["m1".into()])
        );
        let o = options("-P other a.zip", Some("-P \"a \\\"b\""));
        assert_eq!(o.password, Some(b"a \"b".to_vec()));
    }

    #[test]
    fn what_is_refused() {
        for line in [
            "-d",
            "-d -o a",
            "-do -dp a",
            "-ct a",
            "-fn a",
            "-l -Z a",
            "-P",
        ] {
            assert!(
                matches!(run_with(line, None), Err(Wrong::Said(_))),
                "{line}"
            );
        }
        for line in ["-l", "-? a", "--threads=0 a", "--max-size a"] {
            assert!(
                matches!(run_with(line, None), Err(Wrong::Usage(_))),
                "{line}"
            );
        }
        assert!(matches!(run_with("", Some("-q")), Ok(Request::Help)));
        assert!(matches!(run_with("-v", None), Ok(Request::Version)));
        assert!(matches!(
            run_with("--max-size=1K --threads 2 -- -a", None),
            Ok(Request::Run(_))
        ));
    }
}
