//! GNU dd: what sparse-dd is when it is called by that name, or with operands like `if=FILE`.
//!
//! The main path: [`operands`] → [`input`] and [`output`] (opened, and [`guard`]ed) → [`copy`] (block
//! by block, through [`convert`] and [`reblock`]; or [`plain`] where blocks do not matter) → [`counts`].
//! Sources: POSIX (XCU, dd), the coreutils manual ("dd invocation") and the behaviour of coreutils 9.

mod buffer;
mod cache;
mod charset;
mod convert;
mod copy;
mod counts;
mod descriptor;
mod figures;
mod guard;
mod help;
mod input;
mod number;
mod operands;
mod output;
mod plain;
mod reblock;
mod salvage;
mod signals;
mod talk;

use buffer::Buffer;
use cli::{locale, quote};
use copy::Copy;
use counts::Progress;
use help::Wanted;
use input::Input;
use nix::errno::Errno;
use operands::{Operands, Refusal};
use output::Output;
use plain::Outcome;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;

/// Why a copy ends before its end.
#[derive(Debug)]
enum Stop {
    /// At once: nothing was copied.
    Fail(String),
    /// With the statistics.
    Quit { message: String, twice: bool },
}

impl Stop {
    /// At once, for an error of the system.
    fn errno(error: Errno, what: &str) -> Stop {
        Stop::Fail(format!("{what}: {}", talk::text(error)))
    }

    /// With the statistics, for an error of the system.
    fn quit(error: Errno, what: &str) -> Stop {
        Stop::Quit {
            message: format!("{what}: {}", talk::text(error)),
            twice: false,
        }
    }

    /// With the statistics twice, as after an error that conv=noerror passes over.
    fn with_statistics(self) -> Stop {
        match self {
            Stop::Quit { message, .. } => Stop::Quit {
                message,
                twice: true,
            },
            stop => stop,
        }
    }
}

/// The operands that make a command line one of dd's.
const NAMES: [&str; 15] = [
    "if", "of", "ibs", "obs", "bs", "cbs", "skip", "iseek", "seek", "oseek", "count", "conv",
    "iflag", "oflag", "status",
];

/// Whether these words (the name of the program is the first) are for dd.
pub(crate) fn is_wanted(words: &[OsString]) -> bool {
    let Some((name, words)) = words.split_first() else {
        return false;
    };
    if Path::new(name).file_name().is_some_and(|name| name == "dd") {
        return true;
    }
    let is_option = |word: &&OsString| word.as_bytes().starts_with(b"-");
    let is_operand = |word: &OsString| {
        let name = word.as_bytes().split(|b| *b == b'=').next();
        word.as_bytes().contains(&b'=') && NAMES.iter().any(|n| Some(n.as_bytes()) == name)
    };
    !words
        .iter()
        .take_while(|word| *word != "--")
        .any(|word| is_option(&word))
        && words.iter().any(is_operand)
}

/// Is dd.
pub(crate) fn run(words: Vec<OsString>) -> ExitCode {
    talk::start(words.first());
    locale::start();
    cli::signal::default_sigpipe();
    signals::start();
    let done = match help::take_options(words) {
        Wanted::Copy(words) => copy(words),
        Wanted::Text(text) => help::print(&text),
        Wanted::Nothing(why) => refuse(Refusal::Usage(why)),
    };
    match done && !talk::has_failed() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn refuse(refusal: Refusal) -> bool {
    match refusal {
        Refusal::Plain(why) => talk::diagnose(&why),
        Refusal::Usage(why) => {
            talk::diagnose(&why);
            let hint = format!("Try '{} --help' for more information.\n", talk::name());
            talk::say(hint.as_bytes());
        }
    }
    false
}

fn copy(words: Vec<OsString>) -> bool {
    let operands = match operands::parse(words) {
        Ok(operands) => operands,
        Err(refusal) => return refuse(refusal),
    };
    let _ = counts::STATUS.set(operands.status);
    let opened = Input::open(&operands).and_then(|input| {
        let shared = guard::check(&operands, &input)?;
        Ok((input, Output::open(&operands)?, shared))
    });
    let (mut input, mut output, shared) = match opened {
        Ok(opened) => opened,
        Err(Stop::Fail(message) | Stop::Quit { message, .. }) => {
            talk::diagnose(&message);
            return false;
        }
    };
    counts::start();
    let copied = copy_blocks(&operands, &mut input, &mut output, shared);
    let is_good = match copied {
        Ok(is_good) => is_good,
        Err(Stop::Fail(message)) => {
            talk::diagnose(&message);
            return false;
        }
        Err(Stop::Quit { message, twice }) => {
            talk::diagnose(&message);
            if twice {
                counts::print();
            }
            // (GNU dd prints no statistics then.)
            if !output.synchronise() {
                return false;
            }
            false
        }
    };
    let is_good = is_good & output.synchronise();
    finish(&operands, input, output, is_good)
}

fn copy_blocks(
    operands: &Operands,
    input: &mut Input,
    output: &mut Output,
    shared: bool,
) -> Result<bool, Stop> {
    let mut in_buffer = Lazy::new(operands.ibs, "input");
    let mut out_buffer = Lazy::new(operands.obs, "output");
    if !operands.skip.is_none() {
        let noerror = operands.conv.noerror;
        input.skip(operands.skip, operands.ibs, noerror, || in_buffer.get())?;
    }
    if !operands.seek.is_none() {
        let reader = &mut input.reader;
        output.seek(operands.seek, reader, || match operands.reblock {
            true => out_buffer.get(),
            false => in_buffer.get(),
        })?;
    }
    if operands.copies_nothing() {
        return Ok(true);
    }
    let mut copy = Copy {
        operands,
        input,
        output,
        progress: Progress::new(operands.status),
    };
    in_buffer.get()?;
    if let Outcome::Failed = copy.run_plain(shared) {
        return Ok(false);
    }
    let is_good = copy.run(in_buffer.take()?)?;
    if copy.output.wants_sync() {
        copy.progress.before_sync();
    }
    Ok(is_good)
}

/// Cache, descriptors, statistics. False if anything of the copy failed.
fn finish(operands: &Operands, mut input: Input, mut output: Output, mut is_good: bool) -> bool {
    let tell = |error, name: &OsString| {
        let name = quote::if_needed(name.as_bytes());
        talk::diagnose_errno(error, &format!("failed to discard cache for: {name}"));
    };
    let matters = operands.copies_nothing();
    if input.cache.is_dropped
        && let Err(error) = input.finish_cache()
        && matters
    {
        tell(error, input.name());
        is_good = false;
    }
    if (output.cache.is_dropped || output.cache.to_end)
        && let Err(error) = output.finish_cache()
        && matters
    {
        tell(error, output.name());
        is_good = false;
    }
    signals::check_last();
    if let Err(Stop::Fail(message) | Stop::Quit { message, .. }) =
        input.close().and_then(|()| output.close())
    {
        talk::diagnose(&message);
        return false;
    }
    counts::print();
    is_good
}

/// A buffer that is made when it is first used.
struct Lazy {
    size: u64,
    side: &'static str,
    buffer: Option<Buffer>,
}

impl Lazy {
    fn new(size: u64, side: &'static str) -> Lazy {
        Lazy {
            size,
            side,
            buffer: None,
        }
    }

    fn make(&mut self) -> Result<Buffer, Stop> {
        let made = self
            .buffer
            .take()
            .map_or_else(|| Buffer::new(self.size, self.side), Ok);
        made.map_err(Stop::Fail)
    }

    fn get(&mut self) -> Result<&mut [u8], Stop> {
        let buffer = self.make()?;
        Ok(self.buffer.insert(buffer).as_mut())
    }

    fn take(&mut self) -> Result<Buffer, Stop> {
        self.make()
    }
}
