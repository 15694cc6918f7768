//! The command line.

use crate::names::Source;
use crate::report::Format;
use cli::progress;
use lexopt::prelude::*;
use std::ffi::OsString;

pub(crate) const HELP: &str = "\
Usage: dupes [OPTION]... DIR|FILE...
List groups of identical files, proven byte by byte, reading as little as possible.

  -0, --null             end each path with a NUL, each group with one more;
                         lists of names have a NUL after each name, too
      --json             print a JSON object for each group and one for the summary
  -q, --quiet            print no summary
      --files-from=FILE  take names from FILE as well, one a line; - is standard input
      --memory=SIZE      keep at most this much of the files in memory (default: 256M)
      --progress[=FD]    show progress without a terminal too, or write it to descriptor FD
      --cmp              as the first argument: be cmp, and take its options and operands
  -h, --help             print this help
  -V, --version          print the version

The operand - means --files-from=-. SIZE is a number of bytes, also with a suffix: 64K, 1G (1024).
";

pub(crate) const VERSION: &str = concat!("dupes ", env!("CARGO_PKG_VERSION"), "\n");

const DEFAULT_MEMORY: u64 = 256 << 20;

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Request {
    Find(Args),
    Help,
    Version,
}

#[derive(Debug)]
pub(crate) struct Args {
    pub(crate) sources: Vec<Source>,
    /// Lists of names have a NUL after each.
    pub(crate) nul: bool,
    pub(crate) format: Format,
    pub(crate) quiet: bool,
    /// Bytes.
    pub(crate) memory: u64,
    pub(crate) progress: progress::Mode,
}

/// Parses the arguments, without the program's name. The error is a message for `cli::diag::usage`.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Request, String> {
    let mut sources = Vec::new();
    let (mut nul, mut json, mut quiet) = (false, false, false);
    let mut memory = DEFAULT_MEMORY;
    let mut progress = None;
    let mut parser = lexopt::Parser::from_args(args);
    parser.set_short_equals(false);
    while let Some(arg) = parser.next().map_err(|e| e.to_string())? {
        match arg {
            Short('0') | Long("null") => nul = true,
            Long("json") => json = true,
            Short('q') | Long("quiet") => quiet = true,
            Long("files-from") => {
                sources.push(Source::List(parser.value().map_err(|e| e.to_string())?));
            }
            Long("memory") => {
                let value = parser.value().map_err(|e| e.to_string())?;
                memory = cli::size::parse(&value)
                    .map_err(|e| format!("--memory '{}': {e}", cli::diag::name(&value)))?;
            }
            Long("progress") => {
                let mode = progress::mode(parser.optional_value().as_deref());
                progress = Some(mode.map_err(|e| format!("--progress {e}"))?);
            }
            Long("cmp") => return Err("--cmp has to be the first argument".into()),
            Short('h') | Long("help") => return Ok(Request::Help),
            Short('V') | Long("version") => return Ok(Request::Version),
            Value(name) if name == "-" => sources.push(Source::List(name)),
            Value(name) => sources.push(Source::Operand(name)),
            _ => return Err(arg.unexpected().to_string()),
        }
    }
    if sources.is_empty() {
        return Err("no file or directory given".into());
    }
    let format = match (json, nul) {
        (true, _) => Format::Json,
        (false, true) => Format::Nul,
        (false, false) => Format::Lines,
    };
    let unasked = if quiet {
        progress::Mode::Off
    } else {
        progress::Mode::Auto
    };
    let progress = progress.unwrap_or(unasked);
    Ok(Request::Find(Args {
        sources,
        nul,
        format,
        quiet,
        memory,
        progress,
    }))
}
