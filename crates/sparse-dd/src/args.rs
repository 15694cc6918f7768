//! The command line.

use cli::progress;
use lexopt::prelude::*;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

pub(crate) const HELP: &str = "\
Usage: sparse-dd [OPTION]... --src=FILE --dest=FILE
       sparse-dd [OPTION]... SOURCE DESTINATION
       sparse-dd if=FILE of=FILE [OPERAND=VALUE]...
Copy a disk or image, reading only what is allocated and writing only what is needed.

      --src=FILE           copy from this file or block device; - is standard input
      --dest=FILE          copy to this file or block device; - is standard output
      --size=SIZE          copy this many bytes (default: all of the source)
      --base=FILE          the destination holds what this file or device holds:
                           write only where the source differs from it
      --prezeroed          the destination reads as zeros: leave out zeros
      --sparse-block=SIZE  the least run of zeros to leave out or to make a hole of (default: 4K)
  -f, --force              write to a destination that is mounted or in use
  -n, --dry-run            read and count, write nothing
      --machine            print lines 'Progress: N' from 0 to 100 on standard output
      --json               print the statistics as JSON on standard output
      --progress[=FD]      show progress without a terminal too, or write it to descriptor FD
  -q, --quiet              print no statistics
      --test               copy random images in memory, check the copies, and exit
  -h, --help               print this help
  -V, --version            print the version

SIZE is a number of bytes, also with a suffix: 512b, 64K, 10M, 1G (1024), 1MB (1000), 0x1000.
The words src, dest, size, base, prezeroed, machine and test also take a single dash.
With operands like if=FILE, or when called dd, it is GNU dd, which has a --help of its own.
";

/// The words that the original sparse_dd takes with a single dash.
const SEED_WORDS: [&str; 7] = [
    "src",
    "dest",
    "size",
    "base",
    "prezeroed",
    "machine",
    "test",
];

/// The largest `--sparse-block`: buffers are as large.
const MAX_SPARSE_BLOCK: u64 = 64 << 20;

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Request {
    Copy(Args),
    Test,
    Help,
    Version,
}

/// A copy. Sizes are bytes.
#[derive(Debug)]
pub(crate) struct Args {
    pub(crate) source: PathBuf,
    pub(crate) destination: PathBuf,
    pub(crate) size: Option<u64>,
    pub(crate) base: Option<PathBuf>,
    pub(crate) prezeroed: bool,
    pub(crate) sparse_block: u64,
    pub(crate) force: bool,
    pub(crate) dry_run: bool,
    pub(crate) machine: bool,
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    pub(crate) progress: progress::Mode,
}

/// Parses the arguments, without the program's name. The error is a message for `cli::diag::usage`.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Request, String> {
    let mut source = None;
    let mut destination = None;
    let mut operands: Vec<OsString> = Vec::new();
    let (mut size, mut base, mut test) = (None, None, false);
    let mut args_of_copy = Args {
        source: PathBuf::new(),
        destination: PathBuf::new(),
        size: None,
        base: None,
        prezeroed: false,
        sparse_block: 4096,
        force: false,
        dry_run: false,
        machine: false,
        json: false,
        quiet: false,
        progress: progress::Mode::Auto,
    };
    let mut parser = lexopt::Parser::from_args(args);
    parser.set_short_equals(false);
    let mut options_ended = false;
    loop {
        let word = if options_ended {
            None
        } else {
            next_seed_word(&mut parser, &mut options_ended)
        };
        let message = |error: lexopt::Error| match (error, word) {
            // Of these words the parser does not know that it has seen them.
            (lexopt::Error::MissingValue { option: None }, Some(word)) => {
                format!("missing argument for option '--{word}'")
            }
            (error, _) => error.to_string(),
        };
        let arg = match word {
            Some(word) => Some(Long(word)),
            None => parser.next().map_err(message)?,
        };
        let Some(arg) = arg else { break };
        match arg {
            Long("src") => once(&mut source, "src", parser.value().map_err(message)?)?,
            Long("dest") => once(&mut destination, "dest", parser.value().map_err(message)?)?,
            Long("size") => size = Some(parse_size(&parser.value().map_err(message)?)?),
            Long("base") => once(&mut base, "base", parser.value().map_err(message)?)?,
            Long("prezeroed") => args_of_copy.prezeroed = true,
            Long("sparse-block") => {
                let value = parser.value().map_err(message)?;
                args_of_copy.sparse_block = parse_size(&value)?;
                if !(1..=MAX_SPARSE_BLOCK).contains(&args_of_copy.sparse_block) {
                    return Err(format!(
                        "--sparse-block {}: not from 1 to 64M",
                        cli::diag::name(&value)
                    ));
                }
            }
            Short('f') | Long("force") => args_of_copy.force = true,
            Short('n') | Long("dry-run") => args_of_copy.dry_run = true,
            Long("machine") => args_of_copy.machine = true,
            Long("json") => args_of_copy.json = true,
            Long("progress") => {
                let fd = parser.optional_value();
                args_of_copy.progress =
                    progress::mode(fd.as_deref()).map_err(|why| format!("--progress: {why}"))?;
            }
            Short('q') | Long("quiet") => args_of_copy.quiet = true,
            Long("test") => test = true,
            Short('h') | Long("help") => return Ok(Request::Help),
            Short('V') | Long("version") => return Ok(Request::Version),
            Value(operand) => operands.push(operand),
            other => return Err(message(other.unexpected())),
        }
    }
    if test {
        if let Some(extra) = operands.first() {
            return Err(format!(
                "{}: --test takes no operands",
                cli::diag::name(extra)
            ));
        }
        return Ok(Request::Test);
    }
    let mut operands = operands.into_iter();
    if let Some(first) = operands.next() {
        once(&mut source, "src", first)?;
    }
    if let Some(second) = operands.next() {
        once(&mut destination, "dest", second)?;
    }
    if let Some(extra) = operands.next() {
        return Err(format!("{}: one operand too many", cli::diag::name(&extra)));
    }
    let missing = |what| format!("no {what} given");
    let args = Args {
        source: source.ok_or_else(|| missing("source"))?.into(),
        destination: destination.ok_or_else(|| missing("destination"))?.into(),
        size,
        base: base.map(PathBuf::from),
        ..args_of_copy
    };
    check(&args)?;
    Ok(Request::Copy(args))
}

/// The options that do not go together.
fn check(args: &Args) -> Result<(), String> {
    let to_stdout = args.destination.as_os_str() == "-";
    let conflict = if args.base.is_some() && args.prezeroed {
        "--base and --prezeroed"
    } else if args.machine && args.json {
        "--machine and --json"
    } else if to_stdout && args.machine {
        "--machine and a copy to standard output"
    } else if to_stdout && args.json {
        "--json and a copy to standard output"
    } else {
        return Ok(());
    };
    Err(format!("{conflict} exclude each other"))
}

/// Takes the next argument if it is one of the original's words with a single dash.
fn next_seed_word(parser: &mut lexopt::Parser, options_ended: &mut bool) -> Option<&'static str> {
    // `None` within a cluster of short options: then no argument starts here.
    let mut raw = parser.try_raw_args()?;
    let argument = raw.peek()?;
    *options_ended = argument == "--";
    let argument = argument.to_str()?;
    let word = SEED_WORDS
        .into_iter()
        .find(|word| argument.strip_prefix('-') == Some(word))?;
    raw.next();
    Some(word)
}

fn once(slot: &mut Option<OsString>, name: &str, value: OsString) -> Result<(), String> {
    match slot.replace(value) {
        Some(_) => Err(format!("--{name} is given twice")),
        None => Ok(()),
    }
}

fn parse_size(value: &OsStr) -> Result<u64, String> {
    cli::size::parse(value).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(line: &str) -> Result<Request, String> {
        parse(line.split(' ').map(OsString::from))
    }

    fn copy(line: &str) -> Args {
        match parse_words(line) {
            Ok(Request::Copy(args)) => args,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn single_and_double_dashes_are_the_same() {
        for line in [
            "-src a -dest b -size 0x10 -prezeroed -machine",
            "--size=16 --machine -- a b",
        ] {
            let args = copy(line);
            assert_eq!(
                (args.source.to_str(), args.destination.to_str()),
                (Some("a"), Some("b"))
            );
            assert_eq!((args.size, args.machine), (Some(16), true));
        }
    }

    #[test]
    fn a_value_may_look_like_a_word() {
        let args = copy("-src -dest -dest -src");
        assert_eq!(
            (args.source.to_str(), args.destination.to_str()),
            (Some("-dest"), Some("-src"))
        );
        let args = copy("-- -src -test");
        assert_eq!(
            (args.source.to_str(), args.destination.to_str()),
            (Some("-src"), Some("-test"))
        );
        assert!(copy("-nqf a b").force);
    }

    #[test]
    fn what_is_refused() {
        for (line, why) in [
            ("a", "no destination given"),
            ("-dest a", "no source given"),
            ("a b c", "c: one operand too many"),
            ("-src a -src b -dest c", "--src is given twice"),
            ("a b -size 1Q", "'1Q': number too large"),
            (
                "a b --sparse-block=0",
                "--sparse-block 0: not from 1 to 64M",
            ),
            (
                "a b -base c -prezeroed",
                "--base and --prezeroed exclude each other",
            ),
            (
                "a - -machine",
                "--machine and a copy to standard output exclude each other",
            ),
            ("-sorce a", "invalid option '-s'"),
        ] {
            assert_eq!(parse_words(line).unwrap_err(), why, "{line}");
        }
    }

    #[test]
    fn help_and_test_win() {
        assert!(matches!(
            parse_words("-src x --help --nonsense"),
            Ok(Request::Help)
        ));
        assert!(matches!(parse_words("-V"), Ok(Request::Version)));
        assert!(matches!(parse_words("-test"), Ok(Request::Test)));
    }
}
