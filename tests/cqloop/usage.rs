//! Command lines, files and devices that are refused.

use super::*;

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
