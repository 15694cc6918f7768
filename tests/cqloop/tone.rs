//! The tone beside the voice, and the levels of both.

use super::*;

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
