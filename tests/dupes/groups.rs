//! Groups of equal files, and their order.

use super::*;
use proptest::prelude::*;

#[test]
fn diverging_sets_are_followed_separately() {
    let t = Tree::new();
    let (a, b) = (noise(1, 100_000), noise(2, 100_000));
    for (name, bytes) in [("a", &a), ("b", &b), ("c", &a), ("d", &b)] {
        t.write(name, bytes);
    }
    let ran = t.run(["."]).exits(0);
    assert_eq!(ran.out(), "./a\n./c\n\n./b\n./d\n\n");
    assert_eq!(
        ran.stderr,
        "4 total files\n1 size collisions, max of length 4\nbytes read 400000\n"
    );
}

/// Eight files: halves differ at one place, their halves at the next, and so on; one pair is left.
#[test]
fn sets_diverge_at_three_levels() {
    let t = Tree::new();
    let size = 600_000;
    let base = noise(3, size);
    let places = [50_000, 250_000, 400_000];
    for i in 0..8usize {
        let mut bytes = base.clone();
        for (bit, place) in places.iter().enumerate() {
            bytes[*place] ^= (i >> bit & 1) as u8;
        }
        t.write(format!("f{i}"), &bytes);
        if i == 5 {
            t.write("twin", &bytes);
        }
    }
    let ran = t.run(["."]).exits(0);
    assert_eq!(lines(&ran), [["./f5", "./twin"]]);
    let most = 9 * 400_000 + 9 * 150_000;
    assert!(bytes_read(&ran) <= most, "{}", ran.stderr);
}

/// File `i` is like the ones after it up to block `i`: a set that loses one member a round.
#[test]
fn a_set_can_diverge_at_every_block() {
    let t = Tree::new();
    let (count, block) = (200, 4096);
    let base = noise(4, count * block);
    for i in 0..count {
        let mut bytes = base.clone();
        bytes[i * block + 77] ^= 1;
        t.write(format!("f{i:03}"), &bytes);
    }
    t.write("g", &base);
    t.write("h", &base);
    let ran = t.run(["."]).exits(0);
    assert_eq!(lines(&ran), [["./g", "./h"]]);
}

#[test]
fn one_byte_anywhere_makes_a_difference() {
    let t = Tree::new();
    let base = noise(5, 200_000);
    for place in [0, 4095, 4096, 65_535, 65_536, 100_000, 131_072, 199_999] {
        let mut bytes = base.clone();
        bytes[place] ^= 1;
        t.write(format!("d{place}"), &bytes);
    }
    t.write("base", &base);
    t.write("base2", &base);
    assert_eq!(lines(&t.run(["."]).exits(0)), [["./base", "./base2"]]);
}

#[test]
fn size_and_content_both_count() {
    let t = Tree::new();
    t.write("one/x", "x");
    t.write("one/y", "x");
    t.write("one/z", "z");
    t.write("nul/a", "abc");
    t.write("nul/b", "abc\0");
    t.write("empty/a", "");
    t.write("empty/b", "");
    let ran = t.run(["."]).exits(0);
    assert_eq!(ran.out(), "./one/x\n./one/y\n\n");
    assert_eq!(
        ran.stderr,
        "7 total files\n1 size collisions, max of length 3\nbytes read 3\n"
    );
}

/// `(1 << 32) - 1` bits of CRC say the same; the bytes do not.
#[test]
fn equal_checksums_are_no_proof() {
    let t = Tree::new();
    // CRC-32 is linear: xor with a multiple of its polynomial changes no checksum.
    let polynomial = [0x80u8, 0x20, 0x83, 0xB8, 0xED, 0x00]; // x^32 + ... + 1, bit-reflected
    let mut numbers = 0;
    for i in 0..40usize {
        let mut bytes = noise(6, 5000);
        for j in 0..6 {
            bytes[100 + i * 7 + j] ^= polynomial[j];
        }
        t.write(format!("f{i}"), &bytes);
        numbers += 1;
    }
    t.write("g", noise(6, 5000));
    let crc = |name: &str| crc32(&fs::read(t.path(name)).unwrap());
    assert!(
        (0..numbers).all(|i| crc(&format!("f{i}")) == crc("g")),
        "the test is wrong"
    );
    assert_eq!(t.run(["."]).exits(0).out(), "");
    t.write("h", noise(6, 5000));
    assert_eq!(lines(&t.run(["."]).exits(0)), [["./g", "./h"]]);
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| {
            c >> 1 ^ if c & 1 == 1 { 0xEDB8_8320 } else { 0 }
        })
    })
}

#[test]
fn output_is_ordered_by_saving_then_by_path() {
    let t = Tree::new();
    for (name, size, seed) in [
        ("z1", 300, 1),
        ("z2", 300, 1),
        ("b1", 300, 2),
        ("b2", 300, 2),
    ] {
        t.write(name, noise(seed, size));
    }
    for name in ["s3", "s1", "s2", "s4"] {
        t.write(name, noise(3, 120)); // three times 120 bytes to save
    }
    for name in ["l1", "l/2", "l!", "L"] {
        t.write(name, noise(4, 50));
    }
    let want = "./s1\n./s2\n./s3\n./s4\n\n./b1\n./b2\n\n./z1\n./z2\n\n./L\n./l!\n./l/2\n./l1\n\n";
    for _ in 0..5 {
        assert_eq!(t.run(["."]).exits(0).out(), want);
    }
}

/// Files made of few sizes and few places where they can differ, so that many are equal, many
/// nearly so.
#[derive(Clone, Debug)]
struct Sketch {
    size: usize,
    base: u64,
    changed: Vec<usize>,
    is_sparse: bool,
}

impl Sketch {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = match self.base {
            0 => vec![0; self.size],
            seed => noise(seed, self.size),
        };
        for place in &self.changed {
            bytes[*place % self.size] ^= 0x55;
        }
        bytes
    }
}

fn sketch() -> impl Strategy<Value = Sketch> {
    let sizes = vec![
        1, 2, 500, 4096, 4097, 8192, 8200, 20_000, 65_536, 150_000, 400_000,
    ];
    let places = vec![
        0, 1, 4095, 4096, 5000, 10_000, 19_999, 65_535, 75_000, 149_999, 262_144,
    ];
    let changed = prop::collection::vec(prop::sample::select(places), 0..2);
    (prop::sample::select(sizes), 0..2u64, changed, any::<bool>()).prop_map(
        |(size, base, changed, is_sparse)| Sketch {
            size,
            base,
            changed,
            is_sparse,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn groups_are_those_of_a_naive_comparison(
        sketches in prop::collection::vec(sketch(), 1..40), setting in 0..4usize,
    ) {
        let t = Tree::new();
        let mut want: BTreeMap<Vec<u8>, Vec<String>> = BTreeMap::new();
        for (i, sketch) in sketches.iter().enumerate() {
            let name = format!("d{}/f{i}", i % 3);
            let bytes = sketch.bytes();
            t.write(&name, if sketch.is_sparse { &[] } else { &bytes[..] });
            if sketch.is_sparse {
                let file = File::options().write(true).open(t.path(&name)).unwrap();
                file.set_len(bytes.len() as u64).unwrap();
                for (n, block) in bytes.chunks(4096).enumerate() {
                    if block.iter().any(|b| *b != 0) {
                        file.write_all_at(block, n as u64 * 4096).unwrap();
                    }
                }
            }
            want.entry(bytes).or_default().push(format!("./{name}"));
        }
        let total: u64 = want.iter().map(|(k, v)| (k.len() * v.len()) as u64).sum();
        let mut want: Vec<_> = want.into_iter().filter(|(_, names)| names.len() > 1).collect();
        want.iter_mut().for_each(|(_, names)| names.sort());
        want.sort_by_key(|(bytes, names)| {
            (std::cmp::Reverse(bytes.len() * (names.len() - 1)), names[0].clone())
        });
        let want: Vec<_> = want.into_iter().map(|(_, names)| names).collect();
        let line = [
            "dupes .", "ulimit -n 16; exec dupes .", "dupes --memory=64K .",
            "ulimit -n 12; exec dupes --memory=0 .",
        ][setting];
        let ran = t.shell(line).exits(0);
        prop_assert_eq!(lines(&ran), want);
        if setting < 2 {
            prop_assert!(bytes_read(&ran) <= total, "{} of {total}", ran.stderr);
        }
    }
}
