//! Bytes that are damaged or missing on the way.

use super::proxy::{Fault, through};
use super::*;

/// Sends sessions through faults at `count` offsets of each direction.
fn survive(count: u64, fault: impl Fn(u64, &mut Random) -> Fault) {
    let dir = Dir::new();
    let mut random = Random(0xfeed);
    let (source, destination) = pair(&dir, 2 * M + 5);
    let original = fs::read(&destination).unwrap();
    for names in [
        ["source", "host:destination"],
        ["host:source", "destination"],
    ] {
        let args = ["-b64K", "--timeout=20", names[0], names[1]];
        let (ran, status, [up, down]) = through(&dir, &args, Fault::None, Fault::None);
        ran.exits(0);
        assert_eq!(status, Some(0));
        assert_equal(&source, &destination);
        for (limit, is_up) in [(up, true), (down, false)] {
            for n in 0..count {
                fs::write(&destination, &original).unwrap();
                // The beginning is where most can go wrong.
                let at = if n % 4 == 0 {
                    random.below(300.min(limit))
                } else {
                    random.below(limit)
                };
                let what = fault(at, &mut random);
                let (up, down) = if is_up {
                    (what, Fault::None)
                } else {
                    (Fault::None, what)
                };
                let (ran, status, _) = through(&dir, &args, up, down);
                let is_equal = first_difference(&source, &destination).is_none();
                let story = format!(
                    "{names:?} up {up:?} down {down:?}: {} {}",
                    ran.code, ran.stderr
                );
                assert!(ran.code != 0 || is_equal, "{story}");
                assert!(matches!(ran.code, 0 | 3 | 4 | 7 | 8 | 2), "{story}");
                assert!(
                    status.is_some_and(|code| (0..=9).contains(&code)),
                    "{story} {status:?}"
                );
                assert!(
                    ran.code == 0 || ran.stderr.starts_with("blocksync: "),
                    "{story}"
                );
                dir.run(&["-b64K", names[0], names[1]]).exits(0);
                assert_equal(&source, &destination);
            }
        }
    }
}

#[test]
fn flipped_bits_are_found() {
    survive(rounds(60) / 4, |at, random| {
        Fault::Flip(at, random.below(8) as u8)
    });
}

#[test]
fn a_cut_connection_is_told() {
    survive(rounds(60) / 4, |at, _| Fault::Cut(at));
}

#[test]
fn a_flipped_bit_never_passes() {
    let dir = Dir::new();
    pair(&dir, 300 * K);
    let args = ["-b64K", "--timeout=20", "source", "host:destination"];
    let original = fs::read(dir.path("destination")).unwrap();
    let (ran, _, [up, down]) = through(&dir, &args, Fault::None, Fault::None);
    ran.exits(0);
    let mut random = Random(99);
    for n in 0..rounds(40) {
        fs::write(dir.path("destination"), &original).unwrap();
        let bit = random.below(8) as u8;
        let (up, down) = match n % 2 {
            0 => (Fault::Flip(random.below(up - 20), bit), Fault::None),
            // The last frame of the server is DONE: what is behind it does not matter.
            _ => (Fault::None, Fault::Flip(random.below(down), bit)),
        };
        let (ran, _, passed) = through(&dir, &args, up, down);
        // How messages are gathered, and so the number of bytes, is not the same each time.
        let came = [up, down]
            .iter()
            .zip(passed)
            .any(|(fault, passed)| matches!(fault, Fault::Flip(at, _) if *at < passed));
        assert!(!came || ran.code != 0, "{up:?} {down:?}");
    }
}
