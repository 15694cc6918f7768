//! A recording as it was decoded: every sample, at the rate of the file.
//!
//! The decoders are symphonia's. Which one is asked follows from the first bytes, not from the name
//! and not from a search: what merely looks like MPEG somewhere must not go on the air as noise.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use symphonia::core::audio::GenericAudioBufferRef;
use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoderOptions};
use symphonia::core::errors::Error as Fault;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{
    MediaSource, MediaSourceStream, MediaSourceStreamOptions, ReadOnlySource,
};
use symphonia::default::formats::{AiffReader, FlacReader, MpaReader, OggReader, WavReader};

use crate::error::Error;

/// The largest file that is read, in bytes, and how much of it must say what it is.
const MAX_FILE: u64 = 1 << 30;
const HEAD: u64 = 4096;
/// The most samples that are decoded: 46 minutes of mono at 48 kHz. A small file can have more.
const MAX_SAMPLES: usize = 1 << 27;

/// Samples, interleaved, as exact as the file has them.
#[derive(Debug, PartialEq)]
pub(crate) enum Samples {
    /// Whole numbers, full scale 2^31.
    Whole(Vec<i32>),
    /// Full scale 1.0; lossy decoders go beyond it.
    Float(Vec<f32>),
}

impl Samples {
    pub(crate) fn len(&self) -> usize {
        match self {
            Samples::Whole(all) => all.len(),
            Samples::Float(all) => all.len(),
        }
    }

    /// Sample `index` with full scale 1.0. Exact.
    pub(crate) fn at(&self, index: usize) -> f64 {
        match self {
            Samples::Whole(all) => f64::from(all[index]) / 2_147_483_648.0,
            Samples::Float(all) => f64::from(all[index]),
        }
    }
}

/// A decoded file.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) path: PathBuf,
    /// `WAV`, `FLAC` and so on.
    pub(crate) kind: &'static str,
    pub(crate) samples: Samples,
    /// 1 or 2.
    pub(crate) channels: usize,
    /// Frames a second.
    pub(crate) rate: u32,
    /// How many bits a sample really has; 0 for floating point and lossy ones.
    pub(crate) bits: u32,
}

impl Recording {
    pub(crate) fn frames(&self) -> usize {
        self.samples.len() / self.channels
    }

    /// The largest magnitude of a sample; full scale is 1.0.
    pub(crate) fn peak(&self) -> f64 {
        (0..self.samples.len()).fold(0.0, |peak, i| self.samples.at(i).abs().max(peak))
    }
}

/// Reads and decodes `path` (`-` is standard input) to its end.
///
/// Any fault of the file is an error: a damaged recording is not played in part. So is one that
/// lasts longer than `limit` seconds; its rest is not decoded.
pub(crate) fn load(path: &Path, limit: Option<f64>) -> Result<Recording, Error> {
    understand(path, read(path)?, limit)
}

fn understand(path: &Path, mut bytes: Vec<u8>, limit: Option<f64>) -> Result<Recording, Error> {
    let (kind, start) = kind_of(&bytes).ok_or_else(|| {
        let why = match bytes.is_empty() {
            true => "the file is empty",
            false => "not a WAV, FLAC, Ogg, MP3 or AIFF file",
        };
        Error::unfit(path, why)
    })?;
    bytes.drain(..start);
    if kind == Kind::Wav {
        let channels = mend_wav(&mut bytes);
        if let Some(channels) = channels.filter(|count| *count > 2) {
            return Err(too_many(path, channels.into()));
        }
    }
    decode(path, kind, bytes, limit)
}

fn too_many(path: &Path, channels: usize) -> Error {
    Error::unfit(
        path,
        format!("{channels} channels: only mono and stereo are played"),
    )
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let mut file = match path.as_os_str() == "-" {
        true => File::from(cli::input::descriptor().map_err(|e| Error::system(path, e))?),
        false => File::open(path).map_err(|e| Error::system(path, e))?,
    };
    let mut bytes = Vec::new();
    let mut take = |limit: u64, bytes: &mut Vec<u8>| {
        let read = Read::by_ref(&mut file).take(limit).read_to_end(bytes);
        read.map_err(|e| Error::system(path, e))
    };
    take(HEAD, &mut bytes)?;
    // Not all of what is no recording is read: it may have no end.
    if kind_of(&bytes).is_none() && !bytes.starts_with(b"ID3") {
        return Ok(bytes);
    }
    take(MAX_FILE + 1 - HEAD, &mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Error::unfit(path, "larger than 1 GiB"));
    }
    Ok(bytes)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Wav,
    Aiff,
    Flac,
    Ogg,
    Mp3,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Wav => "WAV",
            Kind::Aiff => "AIFF",
            Kind::Flac => "FLAC",
            Kind::Ogg => "Ogg Vorbis",
            Kind::Mp3 => "MP3",
        }
    }
}

/// What the file is, and where that begins: behind an ID3v2 tag and padding, if there is one.
fn kind_of(bytes: &[u8]) -> Option<(Kind, usize)> {
    let start = after_id3(bytes);
    let rest = &bytes[start..];
    let kind = match rest {
        [
            b'R' | b'B',
            b'I' | b'F' | b'W',
            b'F' | b'6',
            b'F' | b'4',
            _,
            _,
            _,
            _,
            b'W',
            b'A',
            b'V',
            b'E',
            ..,
        ] if matches!(&rest[..4], b"RIFF" | b"RF64" | b"BW64") => Kind::Wav,
        [
            b'F',
            b'O',
            b'R',
            b'M',
            _,
            _,
            _,
            _,
            b'A',
            b'I',
            b'F',
            b'F' | b'C',
            ..,
        ] => Kind::Aiff,
        [b'f', b'L', b'a', b'C', ..] => Kind::Flac,
        [b'O', b'g', b'g', b'S', ..] => Kind::Ogg,
        // Eleven bits of sync, layer III, a bit rate and a sample rate that exist.
        [0xff, b, c, ..]
            if b & 0xe6 == 0xe2 && b & 0x18 != 0x08 && c & 0xf0 != 0xf0 && c & 0x0c != 0x0c =>
        {
            Kind::Mp3
        }
        _ => return None,
    };
    Some((kind, start))
}

/// ID3v2 §3.1: ten bytes, then as many as four of them say, seven bits each.
fn after_id3(bytes: &[u8]) -> usize {
    let [b'I', b'D', b'3', _, _, flags, a, b, c, d, ..] = *bytes else {
        return 0;
    };
    let size = [a, b, c, d]
        .iter()
        .fold(0, |n, byte| n << 7 | usize::from(byte & 0x7f));
    let footer = if flags & 0x10 != 0 { 10 } else { 0 };
    let end = (10 + size + footer).min(bytes.len());
    let padding = bytes[end..].iter().take_while(|byte| **byte == 0).count();
    end + padding
}

/// Makes the lengths in a WAV file true, and cuts off what follows the sound. Returns the number of
/// channels.
///
/// Programs that write to a pipe do not know the length: they leave 0 or a huge number (sox 0x7fffffff
/// less the header, ffmpeg 0xffffffff). RF64 and BW64 (EBU Tech 3306, ITU-R BS.2088) have it in a chunk
/// of their own, in 64 bits. And many a program that adds a chunk forgets the length of the whole.
fn mend_wav(bytes: &mut Vec<u8>) -> Option<u16> {
    const UNKNOWN: u32 = 0x7fff_0000;
    let number = |bytes: &[u8], at: usize| match bytes.get(at..at.checked_add(4)?) {
        Some(&[a, b, c, d]) => Some(u32::from_le_bytes([a, b, c, d])),
        _ => None,
    };
    bytes[..4].copy_from_slice(b"RIFF");
    let (mut channels, mut long) = (None, None);
    let mut at = 12_usize;
    while let Some(size) = at.checked_add(4).and_then(|at| number(bytes, at)) {
        let body = at + 8;
        match &bytes[at..at + 4] {
            b"ds64" => {
                // Beyond 32 bits is beyond the largest file.
                let low_high = number(bytes, body + 8).zip(number(bytes, body + 12));
                long = low_high.map(|(low, high)| if high == 0 { low } else { u32::MAX });
            }
            b"fmt " => channels = number(bytes, body).map(|word| (word >> 16) as u16),
            b"data" => {
                let there = (bytes.len() - body) as u32; // at most MAX_FILE
                let tags = [&b"LIST"[..], b"id3 "];
                let size = match (size, long) {
                    (1..UNKNOWN, _) => size,
                    (_, Some(long @ 1..UNKNOWN)) => long,
                    (0, _) if tags.iter().any(|tag| bytes[body..].starts_with(tag)) => 0,
                    _ => there,
                };
                bytes[at + 4..body].copy_from_slice(&size.to_le_bytes());
                let end = body.saturating_add(size as usize + (size & 1) as usize);
                bytes.truncate(end);
                let riff = u32::try_from(end - 8).unwrap_or(u32::MAX);
                bytes[4..8].copy_from_slice(&riff.to_le_bytes());
                break;
            }
            _ => {}
        }
        at = body
            .saturating_add(size as usize)
            .saturating_add(size as usize & 1);
    }
    channels
}

fn decode(path: &Path, kind: Kind, bytes: Vec<u8>, limit: Option<f64>) -> Result<Recording, Error> {
    let broken = |fault: Fault| Error::unfit(path, broken_text(kind, &fault));
    let source = Cursor::new(bytes);
    let source: Box<dyn MediaSource> = match kind {
        // Of one that can be searched, symphonia makes up a length that it does not tell: of a variable
        // bit rate, or with a tag at its end, a wrong one.
        Kind::Mp3 => Box::new(ReadOnlySource::new(source)),
        _ => Box::new(source),
    };
    let stream = MediaSourceStream::new(source, MediaSourceStreamOptions::default());
    let mut reader = reader(kind, stream).map_err(broken)?;
    let track = reader.default_track(TrackType::Audio);
    let Some((track_id, wanted, CodecParameters::Audio(params))) =
        track.and_then(|t| Some((t.id, t.num_frames, t.codec_params.clone()?)))
    else {
        return Err(Error::unfit(
            path,
            format!("{}: no sound that can be decoded", kind.name()),
        ));
    };
    let options = AudioDecoderOptions::default().verify(true);
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(&params, &options)
        .map_err(broken)?;

    let mut take = Take::new(path, kind, &params);
    while let Some(packet) = reader.next_packet().map_err(broken)? {
        if packet.track_id != track_id {
            continue;
        }
        take.add(&decoder.decode(&packet).map_err(broken)?, limit)?;
    }
    if decoder.finalize().verify_ok == Some(false) {
        let why = format!(
            "damaged {} file: the samples do not have the digest it names",
            kind.name()
        );
        return Err(Error::unfit(path, why));
    }
    take.finish(wanted)
}

fn reader<'s>(
    kind: Kind,
    stream: MediaSourceStream<'s>,
) -> Result<Box<dyn FormatReader + 's>, Fault> {
    let options = FormatOptions::default();
    Ok(match kind {
        Kind::Wav => Box::new(WavReader::try_new(stream, options)?),
        Kind::Aiff => Box::new(AiffReader::try_new(stream, options)?),
        Kind::Flac => Box::new(FlacReader::try_new(stream, options)?),
        Kind::Ogg => Box::new(OggReader::try_new(stream, options)?),
        Kind::Mp3 => Box::new(MpaReader::try_new(stream, options)?),
    })
}

fn broken_text(kind: Kind, fault: &Fault) -> String {
    let kind = kind.name();
    match fault {
        Fault::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            format!("damaged {kind} file: it ends too early")
        }
        Fault::IoError(e) => format!("damaged {kind} file: {}", cli::diag::system_text(e)),
        Fault::ResetRequired => format!("{kind} file of several recordings, one after the other"),
        Fault::DecodeError(why) => format!("damaged {kind} file: {why}"),
        Fault::Unsupported(what) => format!("{kind} file of a form that is not known: {what}"),
        other => format!("damaged {kind} file: {other}"),
    }
}

/// A recording that grows.
struct Take<'a> {
    path: &'a Path,
    kind: Kind,
    bits: u32,
    rate: u32,
    channels: usize,
    samples: Option<Samples>,
    whole: Vec<i32>,
    float: Vec<f32>,
}

impl<'a> Take<'a> {
    fn new(path: &'a Path, kind: Kind, params: &AudioCodecParameters) -> Take<'a> {
        Take {
            path,
            kind,
            bits: params.bits_per_sample.unwrap_or(0),
            rate: 0,
            channels: 0,
            samples: None,
            whole: Vec::new(),
            float: Vec::new(),
        }
    }

    fn add(&mut self, buffer: &GenericAudioBufferRef<'_>, limit: Option<f64>) -> Result<(), Error> {
        if buffer.frames() == 0 {
            return Ok(());
        }
        let spec = buffer.spec();
        let (rate, channels) = (spec.rate(), spec.channels().count());
        if self.samples.is_none() {
            if !(1..=2).contains(&channels) {
                return Err(too_many(self.path, channels));
            }
            if !(1000..=768_000).contains(&rate) {
                return Err(Error::unfit(self.path, format!("{rate} frames a second")));
            }
            (self.rate, self.channels) = (rate, channels);
            let is_whole = !matches!(
                buffer,
                GenericAudioBufferRef::F32(_) | GenericAudioBufferRef::F64(_)
            );
            self.samples = Some(match is_whole {
                true => Samples::Whole(Vec::new()),
                false => Samples::Float(Vec::new()),
            });
        } else if (rate, channels) != (self.rate, self.channels) {
            return Err(Error::unfit(
                self.path,
                "rate or channels change in the middle",
            ));
        }
        let len = match &mut self.samples {
            Some(Samples::Whole(all)) => {
                buffer.copy_to_vec_interleaved(&mut self.whole);
                all.extend_from_slice(&self.whole);
                all.len()
            }
            Some(Samples::Float(all)) => {
                buffer.copy_to_vec_interleaved(&mut self.float);
                if self.float.iter().any(|sample| !sample.is_finite()) {
                    let frame = all.len() / self.channels;
                    let why = format!("a sample after frame {frame} is not a number");
                    return Err(Error::unfit(self.path, why));
                }
                all.extend_from_slice(&self.float);
                all.len()
            }
            None => 0,
        };
        if len > MAX_SAMPLES {
            let why = format!("too long: more than {MAX_SAMPLES} samples");
            return Err(Error::unfit(self.path, why));
        }
        let seconds = (len / self.channels) as f64 / f64::from(self.rate);
        match limit {
            Some(limit) if seconds > limit => Err(Error::too_long(self.path, limit)),
            _ => Ok(()),
        }
    }

    /// `wanted` is the length in frames that the file declares.
    fn finish(self, wanted: Option<u64>) -> Result<Recording, Error> {
        let Some(mut samples) = self.samples else {
            return Err(Error::unfit(self.path, "there is no sound in it"));
        };
        if let Some(wanted) = wanted {
            let there = (samples.len() / self.channels) as u64;
            if there < wanted {
                let kind = self.kind.name();
                let why = format!("damaged {kind} file: {there} of {wanted} frames are there");
                return Err(Error::unfit(self.path, why));
            }
            // ADPCM fills its last block up.
            let len = wanted as usize * self.channels;
            match &mut samples {
                Samples::Whole(all) => all.truncate(len),
                Samples::Float(all) => all.truncate(len),
            }
        }
        let bits = match &samples {
            Samples::Whole(_) if self.bits == 0 => 16, // A-law, µ-law, ADPCM
            Samples::Whole(_) => self.bits,
            Samples::Float(_) => 0,
        };
        if samples.len() == 0 {
            return Err(Error::unfit(self.path, "there is no sound in it"));
        }
        Ok(Recording {
            path: self.path.to_owned(),
            kind: self.kind.name(),
            samples,
            channels: self.channels,
            rate: self.rate,
            bits,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A WAV file of 16 bit, with any length in its header.
    fn wav(samples: &[i16], riff: u32, data: u32) -> Vec<u8> {
        let mut bytes = b"RIFF".to_vec();
        bytes.extend(riff.to_le_bytes());
        bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
        bytes.extend(8000u32.to_le_bytes());
        bytes.extend(16_000u32.to_le_bytes());
        bytes.extend(b"\x02\0\x10\0data");
        bytes.extend(data.to_le_bytes());
        bytes.extend(samples.iter().flat_map(|s| s.to_le_bytes()));
        bytes
    }

    fn decoded(bytes: Vec<u8>, limit: Option<f64>) -> Result<Recording, Error> {
        understand(Path::new("x.wav"), bytes, limit)
    }

    #[test]
    fn lengths_that_a_pipe_left_unknown() {
        for (riff, data) in [
            (46, 10),
            (u32::MAX, u32::MAX),
            (0x7fff_ffff, 0x7fff_ffdb),
            (0, 0),
        ] {
            let recording = decoded(wav(&[1, -2, 3, -4, 5], riff, data), None).unwrap();
            let steps = [1, -2, 3, -4, 5].map(|s: i32| s << 16).to_vec();
            assert_eq!(
                recording.samples,
                Samples::Whole(steps),
                "{riff:x} {data:x}"
            );
            assert_eq!((recording.rate, recording.bits), (8000, 16));
        }
        // RF64 has it elsewhere, and an odd chunk before and rubbish behind do not matter.
        let plain = wav(&[1, -2, 3, -4, 5], u32::MAX, u32::MAX);
        for (samples, count) in [(5u64, 5), (0, 5), (3, 3)] {
            let mut long = b"RF64\xff\xff\xff\xffWAVEds64\x1c\0\0\0".to_vec();
            long.extend([0; 8]);
            long.extend((samples * 2).to_le_bytes());
            long.extend([0; 12]);
            long.extend(b"junk\x03\0\0\0abc\0");
            long.extend(&plain[12..]);
            let recording = decoded(long, None).unwrap();
            assert_eq!(recording.frames(), count);
        }
        let mut longer = wav(&[1, -2, 3, -4, 5], 46, 10);
        longer.extend(b"rubbish");
        assert_eq!(decoded(longer, None).unwrap().frames(), 5);
        let mut empty = wav(&[], 36, 0);
        empty.extend(b"LIST\x04\0\0\0INFO");
        let why = decoded(empty, None).unwrap_err().to_string();
        assert!(why.starts_with("x.wav: "), "{why}");
        // A length that is known and wrong is a damaged file.
        let why = decoded(wav(&[1, 2, 3], 48, 12), None)
            .unwrap_err()
            .to_string();
        assert_eq!(why, "x.wav: damaged WAV file: it ends too early");
        let why = decoded(wav(&[], 36, 0), None).unwrap_err().to_string();
        assert_eq!(why, "x.wav: there is no sound in it");
    }

    /// Silent frames, first of one bit rate and then of another, without a Xing header.
    #[test]
    fn an_mp3_that_does_not_tell_its_length_is_taken_whole() {
        let frame = |rate: u8, size: usize| {
            let mut frame = vec![0; size];
            frame[..4].copy_from_slice(&[0xff, 0xfb, rate << 4 | 0x04, 0xc0]); // 48 kHz, mono
            frame
        };
        let (high, low) = (frame(14, 960).repeat(20), frame(1, 96).repeat(40));
        let tag = [&b"TAG"[..], &[0; 125]].concat();
        for bytes in [
            [&high[..], &low].concat(),
            [&low[..], &high].concat(),
            [&low[..], &high, &tag.repeat(99)].concat(),
        ] {
            let recording = understand(Path::new("x"), bytes, None).unwrap();
            assert_eq!(recording.frames(), 60 * 1152);
        }
    }

    #[test]
    fn the_limit_ends_the_decoding() {
        let second = wav(&[7; 8000], 16_036, 16_000);
        assert!(decoded(second.clone(), Some(1.0)).is_ok());
        let why = decoded(second, Some(0.9)).unwrap_err().to_string();
        assert!(why.contains("longer than the 0.9 s"), "{why}");
    }

    #[test]
    fn kinds_are_known_by_their_first_bytes() {
        assert_eq!(kind_of(b"RIFF....WAVEfmt "), Some((Kind::Wav, 0)));
        assert_eq!(kind_of(b"fLaC...."), Some((Kind::Flac, 0)));
        assert_eq!(kind_of(&[0xff, 0xfb, 0x90, 0x64]), Some((Kind::Mp3, 0)));
        assert_eq!(
            kind_of(b"ID3\x04\0\0\0\0\0\x02xx\0\0fLaC"),
            Some((Kind::Flac, 14))
        );
        // MPEG's layer II, a rate that does not exist, text, and nothing.
        for not in [
            &[0xff, 0xfd, 0x90, 0x64][..],
            &[0xff, 0xfb, 0xf0, 0],
            b"hello",
            b"",
        ] {
            assert_eq!(kind_of(not), None, "{not:x?}");
        }
    }

    proptest! {
        /// Foreign bytes give a recording or one line, and never more memory than they are worth.
        #[test]
        fn any_bytes(head in 0..7usize, tail in proptest::collection::vec(any::<u8>(), 0..400)) {
            let heads: [&[u8]; 7] = [
                b"RIFF\xff\xff\0\0WAVEfmt ",
                b"RIFF\xff\xff\0\0WAVEfmt \x10\0\0\0\x01\0",
                b"RF64\xff\xff\0\0WAVEds64",
                b"FORM\0\0\xff\xffAIFFCOMM",
                b"fLaC",
                b"OggS\0\x02",
                b"\xff\xfb",
            ];
            let head = heads[head];
            let mut bytes = head.to_vec();
            bytes.extend(tail);
            if let Err(error) = understand(Path::new("x"), bytes, Some(10.0)) {
                prop_assert!(error.to_string().starts_with("x: "));
            }
        }
    }
}
