//! `--dry-run`: what would be played and keyed, and when. No card and no key is touched.

use std::fmt::Write as _;

use crate::args::Args;
use crate::message::{Message, decibels};
use crate::recording::Recording;
use crate::schedule::{Moment, Moments, Schedule, seconds};

/// Passes that are printed of a run without end.
const SHOWN: u64 = 3;

/// The whole text. The clock begins when the transmitter is keyed for the first time.
pub(crate) fn text(args: &Args, recording: &Recording, message: &Message, rate: u32) -> String {
    let mut text = String::new();
    let mut line = |what: String| {
        let _ = writeln!(text, "{what}"); // a String takes everything
    };
    line(format!("file   {}", about(recording)));
    line(format!("level  peak {}", level(message.peak)));
    if let Some((hertz, decibels)) = message.tone {
        line(format!("tone   {hertz} Hz at {decibels:.1} dB"));
    }
    if let Some(setup) = &args.ptt {
        line(format!("key    {}", cli::diag::name(&setup.device)));
    }
    let delay = args.delay.nanoseconds;
    let margins = (message.lead, message.tail);
    let schedule = Schedule::new(rate, message.length, delay, margins, args.count, 0);
    let period = seconds(schedule.period(), rate);
    line(format!("pass   every {period:.3} s"));
    let shown = args.count.unwrap_or(SHOWN).min(1000);
    let is_keyed = args.ptt.is_some() || message.tone.is_some();
    let mut moments = Moments::from_pass(0);
    while let Some((frame, moment, pass)) = moments.peek(&schedule)
        && pass < shown
    {
        let number = pass + 1;
        let what = match moment {
            Moment::On if is_keyed => "key on".to_owned(),
            Moment::Off if is_keyed => "key off".to_owned(),
            Moment::Begin => format!("pass {number} begins"),
            Moment::End => format!("pass {number} ends"),
            _ => String::new(),
        };
        if !what.is_empty() {
            line(format!("{:12.3} s  {what}", seconds(frame, rate)));
        }
        moments.advance();
    }
    if moments.peek(&schedule).is_some() {
        line("         ...".to_owned());
    }
    text
}

fn about(recording: &Recording) -> String {
    let name = cli::diag::name(&recording.path);
    let channels = if recording.channels == 1 {
        "mono"
    } else {
        "stereo"
    };
    let length = recording.frames() as f64 / f64::from(recording.rate);
    let bits = match recording.bits {
        0 => String::new(),
        bits => format!(" {bits} bit,"),
    };
    let (kind, rate) = (recording.kind, recording.rate);
    let peak = level(recording.peak());
    format!("{name}: {kind},{bits} {rate} Hz, {channels}, {length:.3} s, peak {peak}")
}

fn level(amplitude: f64) -> String {
    match amplitude == 0.0 {
        true => "silence".to_owned(),
        false => format!("{:.1} dB", decibels(amplitude)),
    }
}
