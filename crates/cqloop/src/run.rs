//! A run from the file to the last sound. Everything that can fail does so before the key is opened.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use crate::args::Args;
use crate::card::{self, Card, Wish};
use crate::error::Error;
use crate::key::Key;
use crate::log::Log;
use crate::message::{self, Format, Message, Sound};
use crate::player::{End, Player};
use crate::recording::{self, Recording};
use crate::signals::Signals;
use crate::status::Status;
use crate::timeline;

/// Plays what the command line asks for, or prints what would be played.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let recording = recording::load(&args.file, limit(args))?;
    let wish = Wish {
        rate: recording.rate,
        channels: recording.channels,
        bits: recording.bits,
        tone: args.tone.map(|tone| tone.hertz),
    };
    if args.dry_run {
        return dry_run(args, &recording, &wish);
    }
    let mut log = Log::open(args.log.as_deref())?;
    let signals = Signals::block().map_err(|e| Error::doing("signals", "block", e))?;
    let name = args.device.clone().unwrap_or_else(card::default_name);
    let card = Card::open(&name, &wish)?;
    let message = render(args, &recording, &card.sound)?;
    drop(recording);
    let key = Key::open(args.ptt.clone(), args.timeout)?;
    log.say(format_args!(
        "start file={} device={name} rate={} channels={} format={:?} buffer={} frames={} delay={}",
        cli::diag::name(&args.file),
        card.sound.rate,
        card.sound.channels,
        card.sound.format,
        card.buffer,
        message.length,
        args.delay.text,
    ));
    let status = Status::start(&args.delay.text)?;
    let mut player = Player {
        key,
        card,
        message: &message,
        delay: args.delay.nanoseconds,
        count: args.count,
        signals: &signals,
        status,
        log: &mut log,
    };
    let end = player.run();
    let closed = player.key.close();
    let end = end?;
    let closed = closed.and_then(|()| log.finish());
    match (end, closed) {
        (End::Signal(signal), closed) => {
            if let Err(error) = closed {
                cli::diag::report(crate::TOOL, error);
            }
            Err(Error::Interrupted(signal))
        }
        (End::Counted | End::Key, closed) => closed,
    }
}

/// The longest recording, in seconds, that keeps the time-out.
fn limit(args: &Args) -> Option<f64> {
    let margins = Duration::from_nanos(args.margins.lead + args.margins.tail);
    let timeout = args.timeout?;
    Some(timeout.saturating_sub(margins).as_secs_f64())
}

fn render(args: &Args, recording: &Recording, sound: &Sound) -> Result<Message, Error> {
    let message = message::render(recording, sound, args.loudness, args.tone, args.margins)?;
    for note in &message.notes {
        let name = cli::diag::name(&recording.path);
        cli::diag::report(crate::TOOL, format_args!("{name}: {note}"));
    }
    Ok(message)
}

fn dry_run(args: &Args, recording: &Recording, wish: &Wish) -> Result<(), Error> {
    let no_rate = || Error::unfit(Path::new(&args.file), "no usual rate carries this tone");
    let sound = Sound {
        rate: wish.rates().next().ok_or_else(no_rate)?,
        channels: recording.channels,
        format: Format::S32,
    };
    let message = render(args, recording, &sound)?;
    let mut out = cli::output::Output::stdout();
    out.write_all(timeline::text(args, recording, &message, sound.rate).as_bytes())
        .and_then(|()| out.finish())
        .map_err(Error::stdout)
}
