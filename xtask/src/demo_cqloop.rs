//! The demo of cqloop: three calls, keyed by a tone, played into a file in place of a card.

use std::f64::consts::TAU;
use std::fs;
use std::path::Path;

use crate::Result;
use crate::demo::Stage;

/// Frames a second.
const RATE: usize = 48_000;
/// Frames of the call.
const LENGTH: usize = RATE * 2;
/// Seconds between two calls, of which lead and tail (50 ms each) are keyed.
const DELAY: f64 = 1.5;
const MARGIN: usize = RATE / 20;

/// Runs the demo.
pub(crate) fn run(stage: &Stage) -> Result {
    stage.explain(
        "CQ in Morse code, 2 s of mono, 16 bit, 48 kHz, as a recording to be called with.",
    );
    let call = call();
    write_wav(&stage.path("cq.wav"), &call).map_err(|e| format!("cq.wav: {e}"))?;
    stage.run("cqloop --dry-run --count 2 --ptt /dev/ttyUSB0 cq.wav")?;
    stage.run("cqloop --count 3 --tone=20000:-7 --log events --device file:FILE=cycle cq.wav")?;
    let log = fs::read_to_string(stage.path("events")).map_err(|e| format!("events: {e}"))?;
    let events = events(&log);
    let mut text =
        "A file takes all sound at once. By its frames, of which the log tells:".to_owned();
    for (frame, what, pass) in &events {
        let seconds = *frame as f64 / RATE as f64;
        text += &format!("\n# {seconds:9.3} s  {what} {pass}");
    }
    stage.explain(&text);

    let bytes = fs::read(stage.path("cycle")).map_err(|e| format!("cycle: {e}"))?;
    let played: Vec<i16> = bytes
        .chunks_exact(2)
        .map(|b| i16::from_le_bytes([b[0], b[1]]))
        .collect();
    let first = played
        .iter()
        .position(|s| *s != 0)
        .ok_or("nothing was played")?;
    // The tone begins with phase 0: its first sample is silent.
    let first = first - 1 + MARGIN;
    let mut sounds = Vec::new();
    let period = LENGTH + (DELAY * RATE as f64) as usize;
    for pass in 0..3 {
        let at = first + pass * period;
        let there = played.get(at..at + LENGTH).ok_or("a call is missing")?;
        let tone = |n: usize| {
            let phase = TAU * 20_000.0 * (n + MARGIN) as f64 / RATE as f64;
            10f64.powf(-7.0 / 20.0) * 32_768.0 * phase.sin()
        };
        let is_call = (0..LENGTH).all(|n| {
            let wanted = f64::from(call[n]) + tone(n);
            (f64::from(there[n]) - wanted).abs() < 1.0
        });
        if !is_call {
            return Err(format!("call {} is not call plus tone", pass + 1));
        }
        let moments = [at - MARGIN, at, at + LENGTH, at + LENGTH + MARGIN];
        sounds.extend(moments.into_iter().zip(["on", "begin", "end", "off"]));
        let gap = at + LENGTH + MARGIN..(at + period - MARGIN).min(played.len());
        if played[gap].iter().any(|s| *s != 0) {
            return Err(format!("no silence after call {}", pass + 1));
        }
    }
    let logged: Vec<(usize, &str)> = events.iter().map(|(at, what, _)| (*at, *what)).collect();
    if logged != sounds {
        return Err("the log does not tell where the calls are".to_owned());
    }
    stage.verified(
        "In the file: three times the recording plus a tone of -7 dB, one every 3.5 s, silence between, \
         and the tone from \"on\" to \"off\".",
    );
    Ok(())
}

/// The frames of the log, with what happened there in which pass, of lines such as
/// `2026-11-22T09:26:15.106Z on pass=1 frame=2400`.
fn events(log: &str) -> Vec<(usize, &str, &str)> {
    let events = log.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (what, pass) = (words.next()?, words.next()?);
        let frame = words.next()?.strip_prefix("frame=")?;
        Some((frame.parse().ok()?, what, pass))
    });
    events.collect()
}

/// `-.-. --.-` at 600 Hz.
fn call() -> Vec<i16> {
    let mut samples = Vec::with_capacity(LENGTH);
    let dot = RATE * 7 / 100;
    let mut put = |length: usize, amplitude: f64| {
        for n in 0..length {
            let slope = (n.min(length - n) as f64 / 240.0).min(1.0);
            let phase = TAU * 600.0 * n as f64 / RATE as f64;
            samples.push((amplitude * slope * phase.sin()) as i16);
        }
    };
    for sign in "-.-. --.-".chars() {
        let (length, amplitude) = match sign {
            '-' => (3 * dot, 12_000.0),
            '.' => (dot, 12_000.0),
            _ => (2 * dot, 0.0),
        };
        put(length, amplitude);
        put(dot, 0.0);
    }
    samples.resize(LENGTH, 0);
    samples
}

fn write_wav(path: &Path, samples: &[i16]) -> std::io::Result<()> {
    let data: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
    let rate = RATE as u32;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + data.len() as u32).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    bytes.extend(rate.to_le_bytes());
    bytes.extend((rate * 2).to_le_bytes());
    bytes.extend(b"\x02\0\x10\0data");
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes.extend(data);
    fs::write(path, bytes)
}
