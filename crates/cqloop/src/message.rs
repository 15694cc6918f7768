//! The recording as the card gets it: resampled, at its level, with the tone, in the card's format.
//!
//! It is made once, ahead, for a whole over: from the moment the transmitter is keyed to that it is
//! released. Where nothing has to be done to a sample, it comes out as it is in the file.

use std::f64::consts::{PI, TAU};

use crate::error::Error;
use crate::recording::Recording;
use crate::resample::resample;
use crate::schedule::{Schedule, frames};

/// How the card takes samples; all little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    U8,
    S16,
    /// Three bytes.
    S24Packed,
    /// Four bytes, of which the uppermost only repeats the sign.
    S24,
    S32,
}

impl Format {
    pub(crate) fn bytes(self) -> usize {
        match self {
            Format::U8 => 1,
            Format::S16 => 2,
            Format::S24Packed => 3,
            Format::S24 | Format::S32 => 4,
        }
    }

    pub(crate) fn bits(self) -> u32 {
        match self {
            Format::U8 => 8,
            Format::S16 => 16,
            Format::S24Packed | Format::S24 => 24,
            Format::S32 => 32,
        }
    }

    /// Appends a sample with full scale 1.0, to the nearest step; what is beyond is cut off.
    fn put(self, sample: f64, out: &mut Vec<u8>) {
        let full = f64::from(1u32 << (self.bits() - 1));
        let step = (sample * full).round().clamp(-full, full - 1.0) as i32;
        match self {
            Format::U8 => out.push((step + 128) as u8),
            Format::S16 => out.extend_from_slice(&(step as i16).to_le_bytes()),
            Format::S24Packed => out.extend_from_slice(&step.to_le_bytes()[..3]),
            Format::S24 | Format::S32 => out.extend_from_slice(&step.to_le_bytes()),
        }
    }
}

/// What the card takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sound {
    /// Frames a second.
    pub(crate) rate: u32,
    pub(crate) channels: usize,
    pub(crate) format: Format,
}

impl Sound {
    pub(crate) fn frame_bytes(&self) -> usize {
        self.channels * self.format.bytes()
    }

    /// Appends `frames` frames of silence.
    pub(crate) fn silence(&self, frames: usize, out: &mut Vec<u8>) {
        let byte = if self.format == Format::U8 { 0x80 } else { 0 };
        out.resize(out.len() + frames * self.frame_bytes(), byte);
    }
}

/// A tone that keys a VOX circuit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tone {
    pub(crate) hertz: f64,
    /// The level of its peaks over full scale; `None` is [`TONE_LEVEL`], or what room there is.
    pub(crate) decibels: Option<f64>,
}

/// How loud the recording is to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Loudness {
    /// As it is, plus so many decibels.
    Gain(f64),
    /// As loud as full scale and the tone allow.
    Normalize,
}

/// The tone of the original script, in decibels below full scale.
pub(crate) const TONE_LEVEL: f64 = -1.0;
/// With a normalised recording both must fit: this is what the script's mixing made of its tone.
const TONE_LEVEL_NORMALIZED: f64 = -7.0;
/// A tone that gives way to the recording does so down to here.
const TONE_LEVEL_LEAST: f64 = -20.0;
/// A recording that goes further beyond full scale, in decibels, is taken for a damaged one.
const MOST_BEYOND: f64 = 12.0;
/// Seconds in which the tone comes and goes.
const TONE_FADE: f64 = 0.005;
/// Converters pass frequencies up to this share of the rate.
pub(crate) const TONE_BAND: f64 = 0.46;

/// A whole over, ready to be played.
#[derive(Debug)]
pub(crate) struct Message {
    /// Lead, recording and tail in the card's format.
    pub(crate) over: Vec<u8>,
    pub(crate) lead: u64,
    /// Frames of the recording alone.
    pub(crate) length: u64,
    pub(crate) tail: u64,
    /// The largest magnitude of the recording as it is played; full scale is 1.0.
    pub(crate) peak: f64,
    /// Frequency and level of the tone.
    pub(crate) tone: Option<(f64, f64)>,
    /// What was done that the user did not ask for.
    pub(crate) notes: Vec<String>,
}

/// Lengths of lead and tail in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Margins {
    pub(crate) lead: u64,
    pub(crate) tail: u64,
}

impl Message {
    /// Frames `at..at + count` of the stream that `schedule` describes, as far as they are known
    /// to be needed: overs where there are any, and silence.
    pub(crate) fn fill(
        &self,
        sound: &Sound,
        schedule: &Schedule,
        from_pass: u64,
        at: u64,
        count: usize,
        out: &mut Vec<u8>,
    ) {
        let end = at + count as u64;
        let width = sound.frame_bytes();
        let mut at = at;
        let mut pass = from_pass;
        while at < end {
            let Some(over) = schedule.over(pass) else {
                return sound.silence((end - at) as usize, out);
            };
            if at >= over.off {
                pass += 1;
                continue;
            }
            let quiet = over.on.clamp(at, end);
            sound.silence((quiet - at) as usize, out);
            let stop = over.off.min(end);
            if quiet < stop {
                let part = (quiet - over.on) as usize * width..(stop - over.on) as usize * width;
                out.extend_from_slice(&self.over[part]);
            }
            at = stop.max(quiet);
        }
    }
}

/// Makes the over of `recording` for a card that takes `sound`.
///
/// # Errors
/// What was asked for does not fit below full scale, or the rate cannot carry the tone.
pub(crate) fn render(
    recording: &Recording,
    sound: &Sound,
    loudness: Loudness,
    tone: Option<Tone>,
    margins: Margins,
) -> Result<Message, Error> {
    let unfit = |why: String| Error::unfit(&recording.path, why);
    if let Some(tone) = tone.filter(|tone| tone.hertz > TONE_BAND * f64::from(sound.rate)) {
        let (hertz, rate) = (tone.hertz, sound.rate);
        let most = TONE_BAND * f64::from(rate);
        return Err(unfit(format!(
            "{rate} frames a second carry no tone of {hertz} Hz: at most {most:.0} Hz"
        )));
    }
    let voice = Voice::new(recording, sound.rate).map_err(unfit)?;
    let plan = plan(voice.peak(sound), loudness, tone).map_err(unfit)?;
    let (lead, tail) = (
        frames(margins.lead, sound.rate),
        frames(margins.tail, sound.rate),
    );
    let length = voice.frames() as u64;
    let total = lead + length + tail;
    let fade = TONE_FADE * f64::from(sound.rate);
    let mut over = Vec::with_capacity(total as usize * sound.frame_bytes());
    for frame in 0..total {
        let tone = plan.tone.map_or(0.0, |(hertz, level)| {
            // Whole turns are taken off before the sine: the phase is exact at any time.
            let turns = hertz * frame as f64 / f64::from(sound.rate);
            let edge = (frame as f64 + 0.5).min((total - frame) as f64 - 0.5);
            let slope = (1.0 - (PI * (edge / fade).min(1.0)).cos()) / 2.0;
            slope * level * (TAU * turns.fract()).sin()
        });
        let inside = frame.checked_sub(lead).filter(|at| *at < length);
        for channel in 0..sound.channels {
            let voice = match inside {
                Some(at) if channel < 2 => {
                    plan.factor * voice.at(at as usize, channel, sound.channels)
                }
                _ => 0.0,
            };
            let tone = if channel < 2 { tone } else { 0.0 };
            sound.format.put(voice + tone, &mut over);
        }
    }
    Ok(Message {
        over,
        lead,
        length,
        tail,
        peak: plan.peak,
        tone: plan.tone.map(|(hertz, level)| (hertz, decibels(level))),
        notes: plan.notes,
    })
}

/// Samples at the card's rate.
enum Voice<'a> {
    AsIs(&'a Recording),
    Resampled { samples: Vec<f64>, channels: usize },
}

impl Voice<'_> {
    fn new(recording: &Recording, rate: u32) -> Result<Voice<'_>, String> {
        if recording.rate == rate {
            return Ok(Voice::AsIs(recording));
        }
        let samples = &recording.samples;
        let samples = (0..samples.len()).map(|i| samples.at(i)).collect();
        let channels = recording.channels;
        let samples = resample(samples, channels, recording.rate, rate)?;
        Ok(Voice::Resampled { samples, channels })
    }

    fn frames(&self) -> usize {
        match self {
            Voice::AsIs(recording) => recording.frames(),
            Voice::Resampled { samples, channels } => samples.len() / channels,
        }
    }

    fn sample(&self, index: usize) -> f64 {
        match self {
            Voice::AsIs(recording) => recording.samples.at(index),
            Voice::Resampled { samples, .. } => samples[index],
        }
    }

    /// What goes to `channel` of `of`: mono to both, stereo to a mono card as the mean.
    fn at(&self, frame: usize, channel: usize, of: usize) -> f64 {
        let channels = match self {
            Voice::AsIs(recording) => recording.channels,
            Voice::Resampled { channels, .. } => *channels,
        };
        match (channels, of) {
            (1, _) => self.sample(frame),
            (_, 1) => (self.sample(2 * frame) + self.sample(2 * frame + 1)) / 2.0,
            _ => self.sample(2 * frame + channel),
        }
    }

    fn peak(&self, sound: &Sound) -> f64 {
        let channels = sound.channels.min(2);
        let all = (0..self.frames()).flat_map(|frame| (0..channels).map(move |c| (frame, c)));
        all.fold(0.0, |peak, (frame, channel)| {
            self.at(frame, channel, sound.channels).abs().max(peak)
        })
    }
}

/// What the levels come to.
#[derive(Debug, PartialEq)]
struct Plan {
    /// What the recording is multiplied by.
    factor: f64,
    peak: f64,
    /// Frequency and amplitude.
    tone: Option<(f64, f64)>,
    notes: Vec<String>,
}

/// Finds levels at which recording and tone together stay below full scale. Only the tone whose
/// level nobody asked for, and a recording that is beyond full scale by itself, give way.
fn plan(peak: f64, loudness: Loudness, tone: Option<Tone>) -> Result<Plan, String> {
    let mut notes = Vec::new();
    let normalize = loudness == Loudness::Normalize;
    if normalize && peak == 0.0 {
        return Err("nothing but silence: it cannot be normalised".into());
    }
    let usual = if normalize {
        TONE_LEVEL_NORMALIZED
    } else {
        TONE_LEVEL
    };
    let wanted = tone.map_or(0.0, |tone| amplitude(tone.decibels.unwrap_or(usual)));
    let mut factor = match loudness {
        Loudness::Gain(gain) => amplitude(gain),
        Loudness::Normalize => (1.0 - wanted) / peak,
    };
    if loudness == Loudness::Gain(0.0) && peak > amplitude(MOST_BEYOND) {
        let over = decibels(peak);
        return Err(format!(
            "goes {over:.1} dB beyond full scale: if that is meant, use --normalize"
        ));
    }
    if loudness == Loudness::Gain(0.0) && peak > 1.0 {
        factor = 1.0 / peak;
        let down = decibels(peak);
        notes.push(format!(
            "lowered by {down:.1} dB: it goes beyond full scale"
        ));
    }
    let voice = peak * factor;
    if voice > 1.0 + 1e-9 {
        let (over, most) = (decibels(voice), -decibels(peak));
        return Err(format!(
            "the gain takes it {over:.1} dB beyond full scale: at most --gain={}",
            floor_decibels(most)
        ));
    }
    let room = 1.0 - voice;
    let mut level = wanted;
    if let Some(tone) = tone
        && wanted > room + 1e-9
    {
        let voice_level = decibels(voice);
        let hint =
            floor_decibels(decibels(factor) + decibels((1.0 - wanted).max(1e-3)) - voice_level);
        if tone.decibels.is_some() || room < amplitude(TONE_LEVEL_LEAST) {
            let tone_level = decibels(wanted);
            return Err(format!(
                "no room for a tone of {tone_level:.1} dB: the recording reaches {voice_level:.1} dB; \
                 lower it (--gain={hint}) or the tone (--tone=HZ:DB), or use --normalize"
            ));
        }
        level = room;
        notes.push(format!(
            "the tone is at {:.1} dB, which is what the recording leaves; --normalize makes room",
            decibels(level)
        ));
    }
    Ok(Plan {
        factor,
        peak: voice,
        tone: tone.map(|tone| (tone.hertz, level)),
        notes,
    })
}

fn amplitude(decibels: f64) -> f64 {
    10f64.powf(decibels / 20.0)
}

/// Of an amplitude, full scale being 0.
pub(crate) fn decibels(amplitude: f64) -> f64 {
    20.0 * amplitude.log10()
}

/// A number of decibels that is surely low enough, for a hint.
fn floor_decibels(decibels: f64) -> String {
    format!("{:.1}", (decibels * 10.0).floor() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::Samples;
    use std::path::PathBuf;

    const STEREO: Sound = Sound {
        rate: 48_000,
        channels: 2,
        format: Format::S16,
    };

    fn recording(samples: Samples, channels: usize, rate: u32) -> Recording {
        Recording {
            path: PathBuf::from("cq.wav"),
            kind: "WAV",
            samples,
            channels,
            rate,
            bits: 16,
        }
    }

    fn tone(decibels: Option<f64>) -> Option<Tone> {
        Some(Tone {
            hertz: 20_000.0,
            decibels,
        })
    }

    fn s16(bytes: &[u8]) -> Vec<i16> {
        bytes
            .chunks(2)
            .map(|b| i16::from_le_bytes([b[0], b[1]]))
            .collect()
    }

    #[test]
    fn every_value_of_every_width_stays() {
        let steps = |bits: u32| {
            let full = 1i64 << (bits - 1);
            let mut all: Vec<i64> = vec![-full, -full + 1, -1, 0, 1, full - 2, full - 1];
            all.extend((0..2000).map(|i| (i * 2_654_435_761) % full));
            all
        };
        for (format, bits) in [
            (Format::U8, 8),
            (Format::S16, 16),
            (Format::S24, 24),
            (Format::S24Packed, 24),
            (Format::S32, 32),
        ] {
            let whole: Vec<i32> = steps(bits)
                .iter()
                .map(|s| (s << (32 - bits)) as i32)
                .collect();
            let mono = Sound {
                rate: 8000,
                channels: 1,
                format,
            };
            let recording = recording(Samples::Whole(whole), 1, 8000);
            let plain = Loudness::Gain(0.0);
            let message = render(&recording, &mono, plain, None, Margins::default()).unwrap();
            for (step, bytes) in steps(bits).iter().zip(message.over.chunks(format.bytes())) {
                let mut wide = [0; 8];
                wide[8 - bytes.len()..].copy_from_slice(bytes);
                let unused = if format == Format::S24 { 8 } else { 0 };
                let offset = if format == Format::U8 { 128 } else { 0 };
                let value = (i64::from_le_bytes(wide) << unused) >> (64 - bits);
                let value = if offset == 0 {
                    value
                } else {
                    i64::from(bytes[0]) - offset
                };
                assert_eq!(value, *step, "{format:?}");
            }
        }
    }

    #[test]
    fn channels() {
        let plain = Loudness::Gain(0.0);
        let mono = recording(Samples::Whole(vec![1 << 16, 2 << 16]), 1, 48_000);
        let both = render(&mono, &STEREO, plain, None, Margins::default()).unwrap();
        assert_eq!(s16(&both.over), [1, 1, 2, 2]);
        let four = Sound {
            channels: 4,
            ..STEREO
        };
        let front = render(&mono, &four, plain, None, Margins::default()).unwrap();
        assert_eq!(s16(&front.over), [1, 1, 0, 0, 2, 2, 0, 0]);
        let stereo = recording(Samples::Whole(vec![2 << 16, 4 << 16]), 2, 48_000);
        let one = Sound {
            channels: 1,
            ..STEREO
        };
        let mean = render(&stereo, &one, plain, None, Margins::default()).unwrap();
        assert_eq!(s16(&mean.over), [3]);
    }

    #[test]
    fn lead_and_tail_have_the_tone_and_silence_around_is_silence() {
        let margins = Margins {
            lead: 10_000_000,
            tail: 20_000_000,
        };
        let silence = recording(Samples::Whole(vec![0; 4800]), 1, 48_000);
        let sound = Sound {
            channels: 1,
            ..STEREO
        };
        let plain = Loudness::Gain(0.0);
        let message = render(&silence, &sound, plain, tone(Some(-6.0)), margins).unwrap();
        assert_eq!(
            (message.lead, message.length, message.tail),
            (480, 4800, 960)
        );
        let samples = s16(&message.over);
        assert_eq!(samples.len(), 6240);
        let peak = samples[480..5280].iter().map(|s| s.abs()).max().unwrap();
        let wanted = 32768.0 * amplitude(-6.0);
        assert!((f64::from(peak) - wanted).abs() < 1.0, "{peak}");
        // 5 ms of fade: small at first, whole after it.
        assert!(samples[..12].iter().all(|s| s.abs() < 120));
        assert!(samples[6228..].iter().all(|s| s.abs() < 120));
        assert!(samples[240..480].iter().any(|s| s.abs() == peak));

        let schedule = Schedule::new(48_000, 4800, 1_000_000_000, (480, 960), Some(2), 7);
        let mut stream = Vec::new();
        // In pieces of an odd size, as the card takes them.
        for at in (0..70_000).step_by(777) {
            message.fill(&sound, &schedule, 0, at, 777, &mut stream);
        }
        let stream = s16(&stream);
        let second = 7 + 4800 + 48_000;
        assert_eq!(&stream[7..6247], &samples[..]);
        assert_eq!(&stream[second..second + 6240], &samples[..]);
        assert!(stream[6247..second].iter().all(|s| *s == 0));
        assert!(stream[second + 6240..].iter().all(|s| *s == 0));
    }

    #[test]
    fn levels() {
        let gain = Loudness::Gain;
        // Room for all that was asked.
        let plan_of = |peak, loudness, tone| plan(peak, loudness, tone);
        let quiet = plan_of(0.1, gain(0.0), tone(None)).unwrap();
        assert_eq!((quiet.factor, quiet.notes.len()), (1.0, 0));
        assert!((quiet.tone.unwrap().1 - amplitude(-1.0)).abs() < 1e-12);
        // A tone that nobody measured out gives way, one that was asked for does not.
        let loud = plan_of(0.5, gain(0.0), tone(None)).unwrap();
        assert_eq!(
            (loud.factor, loud.tone.unwrap().1, loud.notes.len()),
            (1.0, 0.5, 1)
        );
        let refused = plan_of(0.5, gain(0.0), tone(Some(-1.0))).unwrap_err();
        assert!(refused.contains("--gain=-13.3"), "{refused}");
        assert!(plan_of(0.5 * amplitude(-13.3), gain(0.0), tone(Some(-1.0))).is_ok());
        assert!(plan_of(0.95, gain(0.0), tone(None)).is_err());
        // Gain that clips.
        let refused = plan_of(0.5, gain(7.0), None).unwrap_err();
        assert!(refused.contains("at most --gain=6.0"), "{refused}");
        // Beyond full scale without being asked.
        let lowered = plan_of(1.1, gain(0.0), None).unwrap();
        assert_eq!((lowered.peak, lowered.notes.len()), (1.0, 1));
        assert!(plan_of(5.0, gain(0.0), None).is_err());
        // Normalised: together they just fill the scale.
        for tone in [None, tone(None), tone(Some(-12.0))] {
            let full = plan_of(0.3, Loudness::Normalize, tone).unwrap();
            let sum = full.peak + full.tone.map_or(0.0, |(_, level)| level);
            assert!((sum - 1.0).abs() < 1e-9);
            assert_eq!(full.notes.len(), 0);
        }
        assert!(plan_of(0.0, Loudness::Normalize, None).is_err());
    }

    #[test]
    fn a_tone_that_the_rate_cannot_carry() {
        let silence = recording(Samples::Whole(vec![0; 48]), 1, 8000);
        let sound = Sound {
            rate: 8000,
            ..STEREO
        };
        let plain = Loudness::Gain(0.0);
        let refused = render(&silence, &sound, plain, tone(None), Margins::default());
        let text = refused.unwrap_err().to_string();
        assert!(
            text.contains("8000 frames a second carry no tone of 20000 Hz"),
            "{text}"
        );
    }
}
