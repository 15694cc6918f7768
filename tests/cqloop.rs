//! Black-box tests of cqloop.
//!
//! No sound card is needed. What is fake, and what for:
//! - ALSA's `file` and `null` plugins are a card that takes sound as fast as it comes: they show every
//!   sample, but no time.
//! - A null sink of a private PulseAudio is a card with a clock; its monitor hears what is played.
//!   Tests that need it say `skipped:` where PulseAudio is not installed.
//! - tests/shim/modem.c (`LD_PRELOAD`) makes a pseudo-terminal answer the ioctls of modem lines, which it has
//!   not, and writes down when they change. Real ports and a real driver are in the lab (`cargo xtask lab radio`).
#![allow(clippy::unwrap_used)]

mod common;
#[path = "shim/mod.rs"]
mod shim;

use common::{can, command, find, golden, run, skipped};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::f64::consts::TAU;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const RATE: usize = 48_000;
/// Silence before the first sound, and behind the last, in frames at [`RATE`].
const AHEAD: usize = 2400;
const BEHIND: usize = 14_400;
/// How long something may take that is surely going to happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A folder with a card that writes what it plays to `played`.
struct Desk {
    dir: TempDir,
}

impl Desk {
    fn new() -> Desk {
        Desk {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The ALSA name of the card that is the file `played`.
    fn card(&self) -> String {
        format!("file:FILE={}", self.path("played").display())
    }

    fn played(&self) -> Vec<u8> {
        fs::read(self.path("played")).unwrap()
    }

    fn played16(&self) -> Vec<i16> {
        let bytes = self.played();
        bytes
            .chunks(2)
            .map(|b| i16::from_le_bytes([b[0], b[1]]))
            .collect()
    }

    /// `cqloop` in this folder, with no configuration of the user's.
    fn cqloop(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cqloop"));
        command
            .current_dir(self.dir.path())
            .env("LC_ALL", "C")
            .env("TZ", "UTC0")
            .env("HOME", self.dir.path())
            .env("TMPDIR", self.dir.path()) // PulseAudio's library leaves a folder there
            .env("XDG_CONFIG_HOME", self.dir.path());
        command
    }

    /// `cqloop` that plays into `played`.
    fn play(&self, args: &[&str]) -> common::Ran {
        let _ = fs::remove_file(self.path("played"));
        run(self.cqloop().args(["-D", &self.card()]).args(args))
    }

    /// A WAV file of 16 bit.
    fn wav16(&self, name: &str, rate: usize, channels: usize, samples: &[i16]) {
        let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
        self.wav(name, (1, 16), rate, channels, &bytes);
    }

    /// A WAV file with a plain header: format tag and bits.
    fn wav(&self, name: &str, (tag, bits): (u16, u16), rate: usize, channels: usize, data: &[u8]) {
        let align = channels as u16 * bits / 8;
        let mut bytes = b"RIFF".to_vec();
        bytes.extend((36 + data.len() as u32).to_le_bytes());
        bytes.extend(b"WAVEfmt \x10\0\0\0");
        bytes.extend(tag.to_le_bytes());
        bytes.extend((channels as u16).to_le_bytes());
        bytes.extend((rate as u32).to_le_bytes());
        bytes.extend((rate as u32 * u32::from(align)).to_le_bytes());
        bytes.extend(align.to_le_bytes());
        bytes.extend(bits.to_le_bytes());
        bytes.extend(b"data");
        bytes.extend((data.len() as u32).to_le_bytes());
        bytes.extend(data);
        fs::write(self.path(name), bytes).unwrap();
    }
}

/// Samples that never repeat and begin and end loudly, about 18 dB below full scale.
fn noise(count: usize) -> Vec<i16> {
    let mut state = 0x1234_5678_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as i16 / 8
    };
    let mut samples: Vec<i16> = (0..count).map(|_| next()).collect();
    (samples[0], samples[count - 1]) = (-4000, 4000);
    samples
}

fn sine(rate: usize, hertz: f64, amplitude: f64, count: usize) -> impl Iterator<Item = f64> {
    (0..count).map(move |n| amplitude * (TAU * hertz * n as f64 / rate as f64).sin())
}

/// The amplitude at one frequency, by a discrete Fourier transform with a Blackman window, whose side lobes are
/// below those that count here.
fn amplitude(samples: &[f64], rate: f64, hertz: f64) -> f64 {
    let len = samples.len() as f64;
    let (mut re, mut im) = (0.0, 0.0);
    for (n, sample) in samples.iter().enumerate() {
        let at = TAU * n as f64 / len;
        let window = 0.42 - 0.5 * at.cos() + 0.08 * (2.0 * at).cos();
        let phase = TAU * hertz / rate * n as f64;
        re += window * sample * phase.cos();
        im -= window * sample * phase.sin();
    }
    2.0 * re.hypot(im) / (0.42 * len)
}

fn decibels(amplitude: f64) -> f64 {
    20.0 * amplitude.log10()
}

/// Asks again until it is so.
#[track_caller]
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).unwrap();
}

fn ended(mut child: Child) -> i32 {
    let status = child.wait().unwrap();
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap())
}

// ---- what is played -------------------------------------------------------------------------

#[test]
fn three_passes_are_the_file_three_times() {
    let desk = Desk::new();
    let voice = noise(30_011);
    desk.wav16("cq.wav", RATE, 1, &voice);
    desk.play(&["-c", "3", "0.25", "cq.wav"]).exits(0);
    let gap = vec![0; RATE / 4];
    let parts: [&[i16]; 7] = [
        &vec![0; AHEAD],
        &voice,
        &gap,
        &voice,
        &gap,
        &voice,
        &vec![0; BEHIND],
    ];
    assert!(desk.played16() == parts.concat());
}

#[test]
fn gaps_do_not_add_up_rounding() {
    let desk = Desk::new();
    let voice = noise(100);
    desk.wav16("cq.wav", 11_025, 2, &voice);
    // A third of a second is 3674.99963 frames, and 1/7 of one is off by 0.2.
    for (delay, seconds) in [("0.3333333", 0.333_333_3), ("0.142857", 0.142_857)] {
        desk.play(&["-c", "40", delay, "cq.wav"]).exits(0);
        let played = desk.played16();
        for pass in 0..40 {
            let exact =
                (11_025.0 * 0.05f64).round() + f64::from(pass) * (50.0 + 11_025.0 * seconds);
            let at = exact.round() as usize * 2;
            assert!(played[at..at + 100] == voice[..], "{delay}: pass {pass}");
        }
    }
}

#[test]
fn every_common_wav_is_played_as_it_is() {
    let desk = Desk::new();
    let steps: Vec<i64> = noise(2000).iter().map(|s| i64::from(*s) << 19).collect();
    let pack = |bits: u32, bytes: usize, offset: i64| -> Vec<u8> {
        let take = |s: &i64| (((s >> (32 - bits)) + offset).to_le_bytes()[..bytes]).to_vec();
        steps.iter().flat_map(take).collect()
    };
    let float = |s: &i64| *s as f32 / 2_147_483_648.0;
    let f32s: Vec<u8> = steps.iter().flat_map(|s| float(s).to_le_bytes()).collect();
    let f64s: Vec<u8> = steps
        .iter()
        .flat_map(|s| f64::from(float(s)).to_le_bytes())
        .collect();
    // Format tag, bits, data; bytes of a sample as played and its value in 32 bit.
    let cases: [(u16, u16, Vec<u8>, usize, u32); 6] = [
        (1, 8, pack(8, 1, 128), 2, 8),
        (1, 16, pack(16, 2, 0), 2, 16),
        (1, 24, pack(24, 3, 0), 4, 24),
        (1, 32, pack(32, 4, 0), 4, 32),
        (3, 32, f32s, 4, 32),
        (3, 64, f64s, 4, 32),
    ];
    for (tag, bits, data, width, kept) in cases {
        for rate in [8000, 16_000, 22_050, 44_100, 48_000, 96_000] {
            for channels in [1, 2] {
                desk.wav("x.wav", (tag, bits), rate, channels, &data);
                desk.play(&["-c1", "x.wav"]).exits(0);
                let played = desk.played();
                let ahead = (rate + 10) / 20 * channels * width; // rounded
                let body = &played[ahead..ahead + steps.len() * width];
                assert!(played[..ahead].iter().all(|b| *b == 0));
                for (step, got) in steps.iter().zip(body.chunks(width)) {
                    let mut wide = [0; 4];
                    wide[4 - width..].copy_from_slice(got);
                    let want = (step >> (32 - kept) << (32 - kept)) as i32;
                    assert_eq!(
                        i32::from_le_bytes(wide),
                        want,
                        "{tag} {bits} {rate} {channels}"
                    );
                }
            }
        }
    }
}

/// A second of 440 Hz at -6 dB as flac, oggenc and lame write it.
#[test]
fn compressed_files_sound_like_what_went_in() {
    let desk = Desk::new();
    for (name, rate, error) in [
        ("tone.flac", 16_000, 0.5 / 32768.0),
        ("tone.ogg", 16_000, 0.02),
        ("tone.mp3", 16_000, 0.04),
    ] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/golden/cqloop")
            .join(name);
        desk.play(&["-c1", file.to_str().unwrap()]).exits(0);
        let (width, full) = match name {
            "tone.flac" => (2, 32768.0),
            _ => (4, 2_147_483_648.0),
        };
        let value = |b: &[u8]| match width {
            2 => f64::from(i16::from_le_bytes([b[0], b[1]])) / full,
            _ => f64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]])) / full,
        };
        let played: Vec<f64> = desk.played().chunks(width).map(value).collect();
        let voice = &played[rate / 20..rate / 20 + 8000];
        assert_eq!(played.len(), rate / 20 + 8000 + rate * 3 / 10, "{name}");
        // Lossy ones ring at both ends.
        let worst = sine(rate, 440.0, 0.5, 8000)
            .zip(voice)
            .skip(600)
            .take(6800)
            .map(|(want, got)| (want - got).abs())
            .fold(0.0, f64::max);
        assert!(worst <= error, "{name}: {worst}");
    }
}

#[test]
fn standard_input_and_unknown_lengths() {
    let desk = Desk::new();
    let voice = noise(500);
    desk.wav16("cq.wav", RATE, 1, &voice);
    let mut bytes = fs::read(desk.path("cq.wav")).unwrap();
    bytes[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    bytes[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut child = desk
        .cqloop()
        .args(["-c1", "-D", &desk.card(), "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&bytes).unwrap();
    assert_eq!(ended(child), 0);
    assert!(desk.played16()[AHEAD..AHEAD + 500] == voice[..]);
}

// ---- tone and levels -----------------------------------------------------------------------

#[test]
fn a_tone_leaves_the_voice_as_it_is() {
    let desk = Desk::new();
    let voice = noise(RATE);
    desk.wav16("cq.wav", RATE, 1, &voice);
    desk.play(&[
        "-c2",
        "--tone=20000:-7",
        "--lead=10",
        "--tail=20",
        "1",
        "cq.wav",
    ])
    .exits(0);
    let played = desk.played16();
    let over = 480 + RATE + 960;
    let first = &played[AHEAD..AHEAD + over];
    assert!(first == &played[AHEAD + 2 * RATE..AHEAD + 2 * RATE + over]);
    assert!(
        played[AHEAD + over..AHEAD + 2 * RATE]
            .iter()
            .all(|s| *s == 0)
    );
    // What is left without the voice is a sine, to the rounding.
    let level = 10f64.powf(-7.0 / 20.0) * 32768.0;
    let tone: Vec<f64> = sine(RATE, 20_000.0, level, over).collect();
    for n in 480..over - 960 {
        let left = f64::from(first[n]) - f64::from(voice[n - 480]);
        assert!((left - tone[n]).abs() <= 0.51, "frame {n}");
    }
    // It comes and goes within 5 ms, without a step.
    let rise = |n: usize| f64::from(first[n]).abs() / level;
    assert!((0..24).all(|n| rise(n) < 0.03 && rise(over - 1 - n) < 0.03));
    assert!((240..480).any(|n| rise(n) > 0.99));
}

#[test]
fn the_spectrum_is_clean() {
    let desk = Desk::new();
    // Resampled, and with a tone.
    let voice: Vec<i16> = sine(8000, 1000.0, 10_000.0, 8000)
        .map(|s| s.round() as i16)
        .collect();
    desk.wav16("cq.wav", 8000, 1, &voice);
    desk.play(&["-c1", "--tone=20000:-6.5", "cq.wav"]).exits(0);
    let played: Vec<f64> = desk
        .played16()
        .iter()
        .map(|s| f64::from(*s) / 32768.0)
        .collect();
    // 48 kHz is the first rate that carries 20 kHz; the middle of the recording, in whole periods.
    let middle = &played[AHEAD + 2400 + 12_000..][..24_000];
    let level = |hertz| decibels(amplitude(middle, 48_000.0, hertz));
    assert!((level(1000.0) - decibels(10_000.0 / 32768.0)).abs() < 0.1);
    assert!((level(20_000.0) - -6.5).abs() < 0.1);
    for hertz in (10..400)
        .map(|n| f64::from(n) * 10.0)
        .filter(|hz| (hz - 1000.0).abs() > 20.0)
    {
        let spurious = level(hertz);
        assert!(spurious < -80.0, "{spurious} dB at {hertz} Hz");
    }
    for image in [7000.0, 9000.0, 15_000.0, 17_000.0, 23_000.0] {
        assert!(level(image) < -80.0, "{} dB at {image} Hz", level(image));
    }
}

#[test]
fn a_rate_that_the_card_lacks_is_resampled() {
    let desk = Desk::new();
    // A card that takes 48 kHz, stereo, 16 bit, and nothing else.
    let card = format!(
        "pcm.fixed {{ type plug slave {{ pcm \"{}\" rate 48000 channels 2 format S16_LE }} }}\n",
        desk.card()
    );
    fs::write(desk.path(".asoundrc"), card).unwrap();
    for rate in [8000, 16_000, 22_050, 44_100, 96_000] {
        let voice: Vec<i16> = sine(rate, 1000.0, 16_000.0, rate / 2)
            .map(|s| s.round() as i16)
            .collect();
        desk.wav16("cq.wav", rate, 1, &voice);
        let log = desk.path("log");
        let _ = fs::remove_file(&log);
        run(desk
            .cqloop()
            .args(["-D", "fixed", "-c1", "--log"])
            .arg(&log)
            .arg("cq.wav"))
        .exits(0);
        let log = fs::read_to_string(log).unwrap();
        assert!(log.contains("rate=48000"), "{log}");
        assert!(log.contains("frames=24000"), "{log}");
        let played = desk.played16();
        assert_eq!(played.len(), 2 * (AHEAD + 24_000 + BEHIND));
        let worst = sine(RATE, 1000.0, 16_000.0, 24_000)
            .zip(played[2 * AHEAD..].chunks(2))
            .skip(8000)
            .take(8000)
            .map(|(want, got)| {
                assert_eq!(got[0], got[1]);
                (want - f64::from(got[0])).abs()
            })
            .fold(0.0, f64::max);
        assert!(worst < 1.5, "{rate}: {worst} steps");
    }
}

#[test]
fn gain_and_normalise() {
    let desk = Desk::new();
    let voice: Vec<i16> = sine(RATE, 480.0, 8192.0, 4800)
        .map(|s| s.round() as i16)
        .collect();
    desk.wav16("cq.wav", RATE, 1, &voice);
    let peak = || {
        desk.played16()
            .iter()
            .map(|s| s.unsigned_abs())
            .max()
            .unwrap()
    };
    desk.play(&["-c1", "--gain=-6.0206", "cq.wav"]).exits(0);
    assert_eq!(peak(), 4096);
    desk.play(&["-c1", "--gain", "6.02", "cq.wav"]).exits(0);
    assert_eq!(peak(), 16_383);
    desk.play(&["-c1", "--normalize", "cq.wav"]).exits(0);
    assert!(peak() >= 32_767);
    let card = desk.card();
    let refused = desk.play(&["-c1", "--gain=13", "cq.wav"]).exits(2);
    assert_eq!(
        refused.stderr,
        "cqloop: cq.wav: the gain takes it 1.0 dB beyond full scale: at most --gain=12.0\n"
    );
    let refused = run(desk
        .cqloop()
        .args(["-D", &card, "--tone=20000:-1", "cq.wav"]))
    .exits(2);
    assert!(
        refused.stderr.contains("no room for a tone"),
        "{}",
        refused.stderr
    );
    let told = desk.play(&["-c1", "--tone", "cq.wav"]).exits(0);
    assert_eq!(
        told.stderr,
        "cqloop: cq.wav: the tone is at -2.5 dB, which is what the recording leaves; \
         --normalize makes room\n"
    );
}

// ---- what is said --------------------------------------------------------------------------

#[test]
fn the_status_is_that_of_the_original_script() {
    let desk = Desk::new();
    desk.wav16("cq.wav", RATE, 1, &noise(100));
    let ran = desk.play(&["-c", "2", ".50", "cq.wav"]).exits(0);
    let out = ran.out();
    let (first, rest) = out.split_once('\n').unwrap();
    // As date(1) prints it: Fri Aug 24 21:17:47 CDT 2012
    let words: Vec<&str> = first
        .strip_prefix("Started at: ")
        .unwrap()
        .split(' ')
        .collect();
    let words: Vec<&str> = words.into_iter().filter(|w| !w.is_empty()).collect();
    assert!(
        matches!(words[..], [_, _, _, time, "UTC", _] if time.len() == 8),
        "{first}"
    );
    if let Some(date) = find("date") {
        let date = String::from_utf8(
            Command::new(date)
                .env("LC_ALL", "C")
                .env("TZ", "UTC0")
                .output()
                .unwrap()
                .stdout,
        )
        .unwrap();
        assert_eq!(first.len(), "Started at: ".len() + date.trim_end().len());
    }
    let pass = "\r0m/.50s: TRANSMIT\r0m/.50s: off         ";
    assert_eq!(rest, pass.repeat(2));
    assert_eq!(ran.stderr, "");
}

#[test]
fn the_timeline_of_a_dry_run() {
    let desk = Desk::new();
    desk.wav16("cq.wav", RATE, 1, &vec![16_384; RATE * 2]);
    let dry = |args: &[&str]| {
        let ran = run(desk.cqloop().arg("-n").args(args)).exits(0);
        format!("$ cqloop -n {}\n{}\n", args.join(" "), ran.out())
    };
    let text = [
        dry(&["cq.wav"]),
        dry(&[
            "-c2",
            "--ptt=/dev/ttyUSB0",
            "--lead=100",
            "--tail=30",
            "3",
            "cq.wav",
        ]),
        dry(&["--tone=18000:-7", "-c1", "cq.wav"]),
        dry(&["--normalize", "--tone", "cq.wav"]),
    ];
    golden("cqloop/dry-run", &text.concat());
    assert!(!desk.path("played").exists());
}

#[test]
fn the_log_tells_what_happened() {
    let desk = Desk::new();
    desk.wav16("cq.wav", RATE, 1, &noise(4800));
    desk.play(&["-c2", "--log=log", "--tone=20000:-12", "1", "cq.wav"])
        .exits(0);
    let log = fs::read_to_string(desk.path("log")).unwrap();
    let events: Vec<&str> = log
        .lines()
        .map(|line| {
            let (stamp, event) = line.split_once(' ').unwrap();
            assert_eq!(stamp.len(), "2012-08-25T02:17:47.123Z".len());
            event.split(" at=").next().unwrap() // the time is that of the machine
        })
        .collect();
    let start = format!(
        "start file=cq.wav device={} rate=48000 channels=1 format=S16 buffer=",
        desk.card()
    );
    assert!(events[0].starts_with(&start), "{log}");
    assert!(events[0].ends_with(" frames=4800 delay=1"), "{log}");
    assert_eq!(
        events[1..],
        [
            "on pass=1 frame=2400",
            "begin pass=1 frame=4800",
            "end pass=1 frame=9600",
            "off pass=1 frame=12000",
            "on pass=2 frame=55200",
            "begin pass=2 frame=57600",
            "end pass=2 frame=62400",
            "off pass=2 frame=64800",
            "end all passes done; passes=2 xruns=0",
        ]
    );
}

#[test]
fn devices_are_listed() {
    let desk = Desk::new();
    let ran = run(desk.cqloop().arg("--list")).exits(0);
    assert!(
        ran.out().lines().any(|line| line.starts_with("null\t")),
        "{}",
        ran.out()
    );
    assert_eq!(ran.stderr, "");
}

// ---- what is refused, and how it ends -----------------------------------------------------

#[test]
fn a_missing_or_broken_file_is_found_first() {
    let desk = Desk::new();
    desk.wav16("good.wav", RATE, 1, &noise(1000));
    let good = fs::read(desk.path("good.wav")).unwrap();
    fs::write(desk.path("cut.wav"), &good[..1500]).unwrap();
    fs::write(desk.path("empty.wav"), b"").unwrap();
    fs::write(desk.path("text.mp3"), b"this is not sound\n".repeat(500)).unwrap();
    let flac = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/cqloop/tone.flac");
    let mut flipped = fs::read(flac).unwrap();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x10;
    fs::write(desk.path("flip.flac"), flipped).unwrap();
    desk.wav16("six.wav", RATE, 6, &noise(600));
    desk.wav16("many.wav", RATE, 999, &noise(600));
    desk.wav16("long.wav", 8000, 1, &noise(8000 * 181));
    fs::create_dir(desk.path("folder")).unwrap();
    for (file, why) in [
        ("none.wav", "No such file or directory"),
        ("folder", "Is a directory"),
        ("cut.wav", "damaged WAV file: it ends too early"),
        ("empty.wav", "the file is empty"),
        ("text.mp3", "not a WAV, FLAC, Ogg, MP3 or AIFF file"),
        ("flip.flac", "damaged FLAC file"),
        ("six.wav", "6 channels: only mono and stereo are played"),
        ("many.wav", "999 channels: only mono and stereo are played"),
        ("/dev/zero", "not a WAV, FLAC, Ogg, MP3 or AIFF file"),
        (
            "long.wav",
            "lasts longer than the 179.9 s that the time-out leaves for it (--timeout)",
        ),
    ] {
        // The key is no device at all: it is not even looked at before the file is good.
        let ran = desk
            .play(&["-c1", "-p", "/nonexistent/port", file])
            .exits(2);
        let start = format!("cqloop: {file}: {why}");
        assert!(ran.stderr.starts_with(&start), "{}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1);
        assert_eq!(ran.out(), "");
        assert!(!desk.path("played").exists(), "{file}");
    }
    // Then the card, then the key.
    let args = [
        "-c1",
        "-p",
        "/nonexistent/port",
        "-D",
        "no-such-card",
        "good.wav",
    ];
    let ran = run(desk.cqloop().args(args)).exits(2);
    assert_eq!(
        ran.stderr,
        "cqloop: no-such-card: open for playing: No such file or directory\n"
    );
    let ran = desk
        .play(&["-c1", "-p", "/nonexistent/port", "good.wav"])
        .exits(2);
    assert!(
        ran.stderr.starts_with("cqloop: /nonexistent/port: "),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.out(), "");
}

#[test]
fn mistakes_on_the_command_line() {
    let desk = Desk::new();
    let ran = run(desk.cqloop().args(["--tone", "0.05", "x.wav"])).exits(2);
    assert_eq!(
        ran.stderr,
        "cqloop: a delay of 0.05 s leaves the transmitter keyed: --lead and --tail take 0.1 s of it\n\
         Try 'cqloop --help' for more information.\n"
    );
    run(desk.cqloop().arg("--nonsense")).exits(2);
    let ran = run(desk.cqloop().arg("--help")).exits(0);
    golden("cqloop/help", &ran.out());
    let ran = run(desk.cqloop().arg("-V")).exits(0);
    assert_eq!(ran.out(), format!("cqloop {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn what_cannot_be_written_is_told() {
    let desk = Desk::new();
    desk.wav16("cq.wav", RATE, 1, &noise(100));
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    let mut command = desk.cqloop();
    let child = command
        .args(["-D", "null", "cq.wav"])
        .stdout(full())
        .stderr(Stdio::piped());
    let output = child.spawn().unwrap().wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        output.stderr,
        b"cqloop: standard output: No space left on device\n"
    );
    // A reader that has seen enough ends it without a word.
    let mut command = desk.cqloop();
    let child = command
        .args(["-D", "null", "cq.wav"])
        .stdout(Stdio::from(std::io::pipe().unwrap().1))
        .stderr(Stdio::piped());
    let output = child.spawn().unwrap().wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(Signal::SIGPIPE as i32));
    assert_eq!(output.stderr, b"");
    // A log that is full does not end the run, but the run does not count as good.
    desk.play(&["-c2", "--log=/dev/full", "cq.wav"])
        .exits(1)
        .says("cqloop: /dev/full: No space left on device");
    assert_eq!(desk.played16().len(), AHEAD + 100 + 72_000 + 100 + BEHIND);
    desk.play(&["-c1", "--log=/nonexistent/log", "cq.wav"])
        .exits(2)
        .says("cqloop: /nonexistent/log: No such file or directory");
    // It is told when a signal ends the run, too.
    let mut command = desk.cqloop();
    let mut child = command
        .args(["-D", "null", "--log=/dev/full", "cq.wav"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut [0; 100]).unwrap();
    send(&child, Signal::SIGTERM);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(Signal::SIGTERM as i32));
    assert_eq!(
        output.stderr,
        b"cqloop: /dev/full: No space left on device\n"
    );
}

/// A pager that waits, or a connection that hangs, is no reason to stop, nor not to be stopped.
#[test]
fn output_that_nobody_reads_holds_nothing_up() {
    use nix::fcntl::{FcntlArg, fcntl};
    let desk = Desk::new();
    let (_reader, writer) = std::io::pipe().unwrap();
    fcntl(&writer, FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    let child = endless(&desk, |command| {
        command.stdout(writer);
    });
    until("it goes on", || passes(&desk) > 300); // more than the pipe holds
    send(&child, Signal::SIGTERM);
    assert_eq!(ended(child), 143);

    // The same for a log, but whoever wants a log is told that lines are missing.
    let fifo = desk.path("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let reader = File::options().read(true).write(true).open(&fifo).unwrap();
    fcntl(&reader, FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    desk.play(&["-c40", "--log=fifo", "0", "cq.wav"])
        .exits(1)
        .says("cqloop: fifo: lines are missing, since nobody reads it");
}

/// Endless on a card that takes everything: starts it and waits until it is on the air.
fn endless(desk: &Desk, prepare: impl FnOnce(&mut Command)) -> Child {
    desk.wav16("cq.wav", RATE, 1, &noise(RATE));
    let _ = fs::remove_file(desk.path("log"));
    let mut command = desk.cqloop();
    command
        .args(["-D", "null", "--log=log", "cq.wav"])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    prepare(&mut command);
    let child = command.spawn().unwrap();
    until("on the air", || passes(desk) > 1);
    child
}

fn passes(desk: &Desk) -> usize {
    fs::read_to_string(desk.path("log"))
        .unwrap_or_default()
        .matches(" begin ")
        .count()
}

#[test]
fn signals_end_it_and_are_seen_by_the_parent() {
    let desk = Desk::new();
    for signal in [
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGQUIT,
    ] {
        let child = endless(&desk, |_| {});
        send(&child, signal);
        assert_eq!(ended(child), 128 + signal as i32);
        let log = fs::read_to_string(desk.path("log")).unwrap();
        assert!(
            log.trim_end()
                .lines()
                .last()
                .unwrap()
                .contains(signal.as_str()),
            "{signal}"
        );
    }
}

#[test]
fn an_ignored_signal_stays_ignored() {
    let desk = Desk::new();
    if !can("an_ignored_signal_stays_ignored", false, &["nohup"]) {
        return;
    }
    desk.wav16("cq.wav", RATE, 1, &noise(RATE));
    let child = command("nohup")
        .arg(env!("CARGO_BIN_EXE_cqloop"))
        .args(["-D", "null", "--log=log", "cq.wav"])
        .current_dir(desk.dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("on the air", || passes(&desk) > 1);
    send(&child, Signal::SIGHUP);
    let before = passes(&desk);
    until("it goes on", || passes(&desk) > before + 2);
    send(&child, Signal::SIGTERM);
    assert_eq!(ended(child), 143);
}

#[test]
fn usr1_asks_how_it_goes() {
    let desk = Desk::new();
    let mut child = endless(&desk, |command| {
        command.stderr(Stdio::piped());
    });
    send(&child, Signal::SIGUSR1);
    let mut said = [0; 64];
    let len = child.stderr.as_mut().unwrap().read(&mut said).unwrap();
    let said = String::from_utf8_lossy(&said[..len]).into_owned();
    assert!(
        said.starts_with("cqloop: ") && said.ends_with(" passes, 0 xruns\n"),
        "{said}"
    );
    send(&child, Signal::SIGTERM);
    assert_eq!(ended(child), 143);
}

// ---- keys of a terminal ------------------------------------------------------------------

/// A pseudo-terminal: what a person has, and what the program has.
struct Pty {
    person: File,
    program: OwnedFd,
}

impl Pty {
    fn open() -> Pty {
        use nix::fcntl::OFlag;
        use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
        let person = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).unwrap();
        grantpt(&person).unwrap();
        unlockpt(&person).unwrap();
        let name = ptsname_r(&person).unwrap();
        let program = File::options()
            .read(true)
            .write(true)
            .open(name)
            .unwrap()
            .into();
        let person = File::from(person.as_fd().try_clone_to_owned().unwrap());
        Pty { person, program }
    }

    /// A session of its own, with this as its terminal, as a shell has it.
    fn give(&self, command: &mut Command) {
        let end = || Stdio::from(self.program.try_clone().unwrap());
        command.stdin(end()).stdout(end());
        // SAFETY: setsid and the ioctl are system calls and touch no memory.
        #[allow(unsafe_code)]
        unsafe {
            command.pre_exec(|| {
                nix::unistd::setsid()?;
                match nix::libc::ioctl(0, nix::libc::TIOCSCTTY, 0) {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            });
        }
    }
}

#[test]
fn any_key_stops_it_and_the_terminal_is_as_before() {
    use nix::sys::termios::tcgetattr;
    for key in [b'q', b' ', b'1', 0x1b] {
        let desk = Desk::new();
        let pty = Pty::open();
        let before = tcgetattr(&pty.program).unwrap();
        let child = endless(&desk, |command| pty.give(command));
        let during = tcgetattr(&pty.program).unwrap();
        assert_ne!(during.local_flags, before.local_flags);
        (&pty.person).write_all(&[key]).unwrap();
        // Its last words must be read, or it would wait to say them.
        let mut reader = pty.person.try_clone().unwrap();
        drop_output(&mut reader);
        assert_eq!(ended(child), 0);
        assert_eq!(tcgetattr(&pty.program).unwrap(), before);
        let log = fs::read_to_string(desk.path("log")).unwrap();
        assert!(log.contains("stopped by a key"), "{log}");
    }
}

/// `cqloop &` and then `fg`: the keys are for it again.
#[test]
fn keys_work_when_it_comes_to_the_foreground() {
    use nix::sys::termios::{LocalFlags, tcgetattr};
    let desk = Desk::new();
    desk.wav16("cq.wav", RATE, 1, &noise(RATE));
    let pty = Pty::open();
    drop_output(&mut pty.person.try_clone().unwrap());
    let is_by_line = || {
        let settings = tcgetattr(&pty.program).unwrap();
        settings.local_flags.contains(LocalFlags::ICANON)
    };
    let mut shell = Command::new("/bin/sh");
    let script = "set -m; \"$0\" -D null --log=log cq.wav & \
                  until [ -e go ]; do sleep 0.01; done; fg; echo $? >status";
    shell
        .args(["-c", script, env!("CARGO_BIN_EXE_cqloop")])
        .current_dir(desk.dir.path());
    pty.give(&mut shell);
    let child = shell.spawn().unwrap();
    until("on the air", || passes(&desk) > 1);
    assert!(is_by_line(), "the keys were the shell's");
    fs::write(desk.path("go"), "").unwrap();
    until("the keys are read one by one", || !is_by_line());
    (&pty.person).write_all(b"q").unwrap();
    assert_eq!(ended(child), 0);
    assert_eq!(fs::read_to_string(desk.path("status")).unwrap(), "0\n");
    let log = fs::read_to_string(desk.path("log")).unwrap();
    assert!(log.contains("stopped by a key"), "{log}");
    assert!(is_by_line(), "the terminal is as before");
}

/// Reads what comes, in a thread of its own, until the end.
fn drop_output(reader: &mut File) {
    let mut reader = reader.try_clone().unwrap();
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while reader.read(&mut bytes).is_ok_and(|count| count > 0) {}
    });
}

#[test]
fn ctrl_c_is_a_signal_and_restores_the_terminal() {
    use nix::sys::termios::tcgetattr;
    let desk = Desk::new();
    let pty = Pty::open();
    drop_output(&mut pty.person.try_clone().unwrap());
    let before = tcgetattr(&pty.program).unwrap();
    let child = endless(&desk, |command| pty.give(command));
    (&pty.person).write_all(&[3]).unwrap();
    assert_eq!(ended(child), 130);
    assert_eq!(tcgetattr(&pty.program).unwrap(), before);
}

// ---- the key -----------------------------------------------------------------------------

/// A port that is a pseudo-terminal with modem lines made up by a shim.
struct Port {
    pty: Pty,
    name: String,
    lines: PathBuf,
}

impl Port {
    fn make(desk: &Desk) -> Port {
        let pty = Pty::open();
        let name = fs::read_link(format!("/proc/self/fd/{}", raw(&pty.program))).unwrap();
        Port {
            pty,
            name: name.to_str().unwrap().to_owned(),
            lines: desk.path("lines"),
        }
    }

    /// What the lines went through.
    fn lines(&self) -> String {
        shim::states(&fs::read_to_string(&self.lines).unwrap_or_default())
    }

    fn is_up(&self) -> bool {
        !matches!(self.lines().chars().last(), None | Some('0'))
    }

    fn attach(&self, command: &mut Command) {
        let _ = &self.pty;
        command
            .env("LD_PRELOAD", shim::modem())
            .env("MODEM_LOG", &self.lines)
            .args(["--no-lock", "--ptt", &self.name]);
    }
}

fn raw(fd: &OwnedFd) -> i32 {
    use std::os::fd::AsRawFd;
    fd.as_raw_fd()
}

#[test]
fn the_line_is_up_once_a_pass() {
    let desk = Desk::new();
    let port = Port::make(&desk);
    desk.wav16("cq.wav", RATE, 1, &noise(4800));
    for (line, states) in [("rts", "0R0R0R0"), ("dtr", "0D0D0D0"), ("both", "0B0B0B0")] {
        let _ = fs::remove_file(&port.lines);
        let mut command = desk.cqloop();
        port.attach(command.args(["-D", &desk.card(), "-c3", "-l", line, "--log=log", "cq.wav"]));
        run(&mut command).exits(0);
        assert_eq!(port.lines(), states);
    }
}

#[test]
fn however_it_ends_the_line_is_down() {
    let desk = Desk::new();
    let port = Port::make(&desk);
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGKILL] {
        let child = endless(&desk, |command| port.attach(command));
        until("keyed", || port.is_up());
        send(&child, signal);
        assert_eq!(ended(child), 128 + signal as i32);
        until("released", || !port.is_up()); // after SIGKILL by the guardian
    }
    let pty = Pty::open();
    drop_output(&mut pty.person.try_clone().unwrap());
    let child = endless(&desk, |command| {
        port.attach(command);
        pty.give(command);
    });
    (&pty.person).write_all(b"q").unwrap();
    assert_eq!(ended(child), 0);
    assert!(!port.is_up());
}

// ---- real time ---------------------------------------------------------------------------

/// A private PulseAudio with a null sink, ended when it is dropped.
struct Pulse {
    server: Child,
    runtime: TempDir,
}

impl Pulse {
    fn start(test: &str) -> Option<Pulse> {
        if !can(test, false, &["pulseaudio", "parec", "pactl"]) {
            return None;
        }
        let runtime = tempfile::tempdir().unwrap();
        let sink = "module-null-sink sink_name=n rate=48000 channels=2 format=s16le";
        let mut command = command("pulseaudio");
        command
            .args([
                "-n",
                "--daemonize=no",
                "--exit-idle-time=-1",
                "--disable-shm=yes",
            ])
            .args([
                "-L",
                sink,
                "-L",
                "module-native-protocol-unix auth-anonymous=1",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let server = Pulse::env(&mut command, runtime.path()).spawn().unwrap();
        let pulse = Pulse { server, runtime };
        until("PulseAudio answers", || {
            run(&mut pulse.command("pactl", &["info"])).code == 0
        });
        let desk = Desk::new();
        desk.wav16("probe.wav", RATE, 1, &[0; 100]);
        let probe = run(pulse.on(&desk).args(["-c1", "probe.wav"]));
        if probe.code != 0 {
            skipped(
                test,
                &format!("ALSA's plugin for PulseAudio: {}", probe.stderr.trim()),
            );
            return None;
        }
        Some(pulse)
    }

    fn env<'a>(command: &'a mut Command, runtime: &Path) -> &'a mut Command {
        command
            .env("PULSE_RUNTIME_PATH", runtime)
            .env("HOME", runtime)
            .env("TMPDIR", runtime)
            .env_remove("PULSE_SERVER")
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = command(program);
        Pulse::env(&mut command, self.runtime.path()).args(args);
        command
    }

    /// cqloop that plays to the null sink.
    fn on(&self, desk: &Desk) -> Command {
        let mut command = desk.cqloop();
        Pulse::env(&mut command, self.runtime.path()).args(["-D", "pulse"]);
        command
    }

    /// Records what the sink plays from now on.
    fn hear(&self, file: &Path) -> Child {
        let format = ["--raw", "--format=s16le", "--rate=48000", "--channels=2"];
        let mut recorder = self.command("parec", &["--latency-msec=20", "-d", "n.monitor"]);
        let child = recorder
            .args(format)
            .stdout(File::create(file).unwrap())
            .spawn()
            .unwrap();
        until("the monitor is heard", || {
            fs::metadata(file).unwrap().len() > 0
        });
        child
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Where `what` begins in `heard`, in frames of stereo.
fn occurrences(heard: &[i16], voice: &[i16]) -> Vec<usize> {
    let frames: Vec<&[i16]> = heard.chunks_exact(2).collect();
    let is_at = |at: usize| {
        frames[at..]
            .iter()
            .zip(voice)
            .all(|(frame, want)| frame[0] == *want && frame[1] == *want)
    };
    let last = (frames.len() + 1).saturating_sub(voice.len());
    (0..last).filter(|at| is_at(*at)).collect()
}

fn heard16(file: &Path) -> Vec<i16> {
    let bytes = fs::read(file).unwrap();
    bytes
        .chunks_exact(2)
        .map(|b| i16::from_le_bytes([b[0], b[1]]))
        .collect()
}

#[test]
fn in_real_time_too_every_frame_is_in_its_place() {
    let test = "in_real_time_too_every_frame_is_in_its_place";
    let Some(pulse) = Pulse::start(test) else {
        return;
    };
    let desk = Desk::new();
    let voice = noise(RATE / 2);
    desk.wav16("cq.wav", RATE, 1, &voice);
    let heard = desk.path("heard");
    let mut recorder = pulse.hear(&heard);
    run(pulse.on(&desk).args(["-c3", "--log=log", "0.4", "cq.wav"])).exits(0);
    let mut found = Vec::new();
    until("all that was played is heard", || {
        found = occurrences(&heard16(&heard), &voice);
        found.len() >= 3
    });
    recorder.kill().unwrap();
    recorder.wait().unwrap();
    assert_eq!(found.len(), 3);
    assert_eq!(found[1] - found[0], RATE / 2 + RATE * 2 / 5);
    assert_eq!(found[2] - found[1], RATE / 2 + RATE * 2 / 5);
}

/// Stopped until the sound runs out: the guardian releases the line, and the pass that was cut off is
/// played again from its beginning.
#[test]
fn a_run_that_was_stopped_recovers() {
    let test = "a_run_that_was_stopped_recovers";
    let Some(pulse) = Pulse::start(test) else {
        return;
    };
    let desk = Desk::new();
    let port = Port::make(&desk);
    desk.wav16("cq.wav", RATE, 1, &noise(RATE * 4));
    let mut command = pulse.on(&desk);
    port.attach(
        command
            .args(["-c1", "--log=log", "cq.wav"])
            .stdout(Stdio::null()),
    );
    let child = command.spawn().unwrap();
    until("keyed", || port.is_up());
    until("on the air", || passes(&desk) == 1);
    send(&child, Signal::SIGSTOP);
    until("released although stopped", || !port.is_up());
    std::thread::sleep(Duration::from_millis(700)); // until the sound has run out, too
    send(&child, Signal::SIGCONT);
    until("keyed again", || port.is_up());
    let code = ended(child);
    let log = fs::read_to_string(desk.path("log")).unwrap();
    assert!(!port.is_up());
    assert_eq!(code, 0, "{log}");
    // On a busy machine there may be more of them.
    let times = log.matches("interrupted").count();
    assert!(times >= 1, "{log}");
    // One in the silence at the begin cuts no pass off.
    let begins = log.matches(" begin pass=1 ").count();
    assert!((2..=times + 1).contains(&begins), "{log}");
    assert!(log.contains(&format!("passes=1 xruns={times}")), "{log}");
}

/// Be it ever so short, a pass with a hole is played again.
#[test]
fn a_hole_in_an_over_is_noticed_on_a_server_too() {
    let test = "a_hole_in_an_over_is_noticed_on_a_server_too";
    let Some(pulse) = Pulse::start(test) else {
        return;
    };
    let desk = Desk::new();
    desk.wav16("cq.wav", RATE, 1, &noise(RATE * 4));
    let mut command = pulse.on(&desk);
    command
        .args(["-c1", "--log=log", "cq.wav"])
        .stdout(Stdio::null());
    let child = command.spawn().unwrap();
    until("on the air", || passes(&desk) == 1);
    send(&child, Signal::SIGSTOP);
    std::thread::sleep(Duration::from_millis(1150)); // a second of sound lies ahead
    send(&child, Signal::SIGCONT);
    let code = ended(child);
    let log = fs::read_to_string(desk.path("log")).unwrap();
    assert_eq!(code, 0, "{log}");
    assert!(log.contains(" interrupted "), "{log}");
    assert!(log.matches(" begin pass=1 ").count() >= 2, "{log}");
}

/// Between two overs too: it does not wait for the next one, nor spin until then.
#[test]
fn a_port_that_goes_between_two_overs_is_missed_at_once() {
    let test = "a_port_that_goes_between_two_overs_is_missed_at_once";
    let Some(pulse) = Pulse::start(test) else {
        return;
    };
    let desk = Desk::new();
    let port = Port::make(&desk);
    desk.wav16("cq.wav", RATE, 1, &noise(4800));
    let mut command = pulse.on(&desk);
    port.attach(
        command
            .args(["--log=log", "3600", "cq.wav"])
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    );
    let child = command.spawn().unwrap();
    let log = || fs::read_to_string(desk.path("log")).unwrap_or_default();
    until("between", || log().contains(" off pass="));
    drop(port);
    assert_eq!(ended(child), 1);
    assert!(log().contains("the device is gone"), "{}", log());
}

#[test]
fn a_signal_releases_in_the_middle_of_the_sound() {
    let test = "a_signal_releases_in_the_middle_of_the_sound";
    let Some(pulse) = Pulse::start(test) else {
        return;
    };
    let desk = Desk::new();
    let port = Port::make(&desk);
    desk.wav16("cq.wav", RATE, 1, &noise(RATE * 20));
    let mut command = pulse.on(&desk);
    port.attach(
        command
            .args(["-c1", "--log=log", "cq.wav"])
            .stdout(Stdio::null()),
    );
    let child = command.spawn().unwrap();
    until("on the air", || passes(&desk) == 1 && port.is_up());
    send(&child, Signal::SIGTERM);
    assert_eq!(ended(child), 143);
    assert!(!port.is_up());
    let log = fs::read_to_string(desk.path("log")).unwrap();
    assert!(!log.contains("end pass"), "{log}");
}
