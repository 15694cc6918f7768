//! The recording on the card: frame by frame, in every format, pass after pass.

use super::*;

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
