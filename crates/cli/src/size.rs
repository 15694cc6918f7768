//! Sizes on the command line, in the grammar of GNU dd, and sizes for people.
//!
//! ```text
//! size    = factor { "x" factor }  |  "0x" hexdigits
//! factor  = digits [ suffix ]  |  suffix other than "B"
//! suffix  = "c" (1) | "w" (2) | "b" (512) | "B" (1) | letter ["iB"] (1024^n) | letter "B" (1000^n)
//! letter  = "k" | "K" | "M" | "G" | "T" | "P" | "E" | "Z" | "Y" | "R" | "Q"
//! ```
//!
//! So `2xM` is two mebibytes and `K` alone is 1024, as for dd. There is no sign, no blank and no
//! fraction. Hexadecimal is the one difference: dd takes `0x10` for nought times ten (and warns),
//! here it is sixteen. A product is written with decimal numbers only, hence `2x0x10` is refused.

use std::error::Error;
use std::ffi::OsStr;
use std::fmt::{self, Display};

use crate::diag;

/// Why a text is not a size that fits 64 bits; displayed as `'12Q': number too large`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SizeError {
    /// The text, escaped, does not follow the grammar.
    Invalid(String),
    /// The text, escaped, is a size of 2^64 bytes or more.
    TooLarge(String),
}

impl Display for SizeError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SizeError::Invalid(text) => write!(out, "'{text}': not a size"),
            SizeError::TooLarge(text) => write!(out, "'{text}': number too large"),
        }
    }
}

impl Error for SizeError {}

/// What went wrong, before the text is known to the error.
enum Wrong {
    Grammar,
    Range,
}

/// The number of bytes that `text` stands for.
pub fn parse(text: &OsStr) -> Result<u64, SizeError> {
    text.to_str()
        .ok_or(Wrong::Grammar)
        .and_then(size)
        .map_err(|wrong| {
            let text = diag::name(text).to_string();
            match wrong {
                Wrong::Grammar => SizeError::Invalid(text),
                Wrong::Range => SizeError::TooLarge(text),
            }
        })
}

fn size(text: &str) -> Result<u64, Wrong> {
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return number(digits, 16);
    }
    if text.contains("x0x") {
        return Err(Wrong::Grammar);
    }
    // The whole text is checked before its range: `99999999999999999999?` is not a size at all.
    let mut product = Ok(1u64);
    for text in text.split('x') {
        match (factor(text), &product) {
            (Err(Wrong::Grammar), _) => return Err(Wrong::Grammar),
            (Ok(n), Ok(m)) => product = m.checked_mul(n).ok_or(Wrong::Range),
            (Err(Wrong::Range), _) => product = Err(Wrong::Range),
            (Ok(_), Err(_)) => {}
        }
    }
    product
}

fn factor(text: &str) -> Result<u64, Wrong> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, suffix) = text.split_at(end);
    let unit = match suffix {
        "" | "B" if digits.is_empty() => None,
        "" | "B" | "c" => Some(1),
        "w" => Some(2),
        "b" => Some(512),
        _ => power(suffix),
    };
    let unit = unit.ok_or(Wrong::Grammar)?;
    let count = if digits.is_empty() {
        1
    } else {
        number(digits, 10)?
    };
    u128::from(count)
        .checked_mul(unit)
        .and_then(|bytes| u64::try_from(bytes).ok())
        .ok_or(Wrong::Range)
}

/// `K`, `KiB` or `kB` and their like. 1024^10 still fits.
fn power(suffix: &str) -> Option<u128> {
    let letter = suffix.chars().next()?;
    let base: u128 = match &suffix[letter.len_utf8()..] {
        "" | "iB" => 1024,
        "B" => 1000,
        _ => return None,
    };
    let exponent = match letter {
        'k' => 1,
        letter => "KMGTPEZYRQ".find(letter)? as u32 + 1,
    };
    Some(base.pow(exponent))
}

fn number(digits: &str, radix: u32) -> Result<u64, Wrong> {
    // `from_str_radix` would take a sign.
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(Wrong::Grammar);
    }
    u64::from_str_radix(digits, radix).map_err(|_| Wrong::Range)
}

/// 1024-based with one decimal, rounded to the nearest: `512 B`, `1.0 KiB`, `3.4 GiB`.
pub fn human(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut shift = bytes.ilog2() / 10 * 10;
    let mut tenths = in_tenths(bytes, shift);
    if tenths == 10240 {
        shift += 10; // 1023.96 KiB is 1.0 MiB
        tenths = in_tenths(bytes, shift);
    }
    let letter = ["K", "M", "G", "T", "P", "E"][(shift / 10 - 1) as usize];
    format!("{}.{} {letter}iB", tenths / 10, tenths % 10)
}

fn in_tenths(bytes: u64, shift: u32) -> u64 {
    let unit = 1u128 << shift;
    ((u128::from(bytes) * 10 + unit / 2) >> shift) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::ffi::OsStrExt;

    fn parsed(text: &str) -> Result<u64, SizeError> {
        parse(OsStr::new(text))
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("007", 7),
            ("4096", 4096),
            ("3c", 3),
            ("3w", 6),
            ("3b", 1536),
            ("8B", 8),
            ("1kB", 1000),
            ("1KB", 1000),
            ("1k", 1024),
            ("64K", 65536),
            ("1kiB", 1024),
            ("1KiB", 1024),
            ("1M", 1 << 20),
            ("1MB", 1_000_000),
            ("15E", 15 << 60),
            ("18EB", 18_000_000_000_000_000_000),
            ("0Q", 0),
            ("18446744073709551615", u64::MAX),
            ("2x512", 1024),
            ("1Kx4", 4096),
            ("2x3x4b", 12288),
            ("2xM", 2 << 20),
            ("8BxK", 8192),
            ("K", 1024),
            ("b", 512),
            ("00x10", 0),
            ("0x10", 16),
            ("0XfF", 255),
            ("0x1b", 27),
            ("0xffffffffffffffff", u64::MAX),
        ] {
            assert_eq!(parsed(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn not_sizes() {
        for text in [
            "",
            " ",
            "-1",
            "+1",
            " 1",
            "1 ",
            "1.5K",
            "1,000",
            "x",
            "1x",
            "x1",
            "2xx2",
            "1Z2",
            "1i",
            "1Ki",
            "1KBB",
            "1cB",
            "1bB",
            "1BB",
            "B",
            "1m",
            "1g",
            "1µ",
            "1K ",
            "0x",
            "0x-1",
            "0xG",
            "0x1K",
            "0x2x3",
            "2x0x10",
            "99999999999999999999?",
            "12Qx",
            "١",
        ] {
            assert_eq!(parsed(text), Err(SizeError::Invalid(text.into())), "{text}");
        }
    }

    #[test]
    fn too_large() {
        for text in [
            "12Q",
            "1Z",
            "1ZB",
            "16E",
            "18446744073709551616",
            "0x10000000000000000",
            "4Gx4G",
            "99999999999999999999",
            "1Qx1Q",
        ] {
            assert_eq!(
                parsed(text),
                Err(SizeError::TooLarge(text.into())),
                "{text}"
            );
        }
    }

    #[test]
    fn errors_say_why() {
        assert_eq!(
            parsed("12Q").unwrap_err().to_string(),
            "'12Q': number too large"
        );
        assert_eq!(parsed("1Z2").unwrap_err().to_string(), "'1Z2': not a size");
        let odd = parse(OsStr::from_bytes(b"1\xff\n")).unwrap_err();
        assert_eq!(odd.to_string(), "'1\\xFF\\n': not a size");
    }

    #[test]
    fn for_people() {
        for (bytes, text) in [
            (0, "0 B"),
            (512, "512 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1024 * 1024 - 1, "1.0 MiB"),
            (3_650_722_202, "3.4 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(human(bytes), text);
        }
    }

    const UNITS: [(&str, u32, u32); 26] = [
        ("", 1, 1),
        ("B", 1, 1),
        ("c", 1, 1),
        ("w", 2, 1),
        ("b", 2, 9),
        ("kB", 1000, 1),
        ("K", 1024, 1),
        ("KiB", 1024, 1),
        ("MB", 1000, 2),
        ("M", 1024, 2),
        ("MiB", 1024, 2),
        ("GB", 1000, 3),
        ("G", 1024, 3),
        ("GiB", 1024, 3),
        ("TB", 1000, 4),
        ("T", 1024, 4),
        ("PB", 1000, 5),
        ("PiB", 1024, 5),
        ("EB", 1000, 6),
        ("E", 1024, 6),
        ("ZB", 1000, 7),
        ("ZiB", 1024, 7),
        ("YB", 1000, 8),
        ("R", 1024, 9),
        ("QB", 1000, 10),
        ("Q", 1024, 10),
    ];

    fn any_factor() -> impl Strategy<Value = (u64, (&'static str, u32, u32))> {
        let number = prop_oneof![0..2000u64, any::<u64>(), (0..64u32).prop_map(|n| 1 << n)];
        (number, proptest::sample::select(&UNITS[..]))
    }

    proptest! {
        #[test]
        fn parse_agrees_with_wide_arithmetic(factors in proptest::collection::vec(any_factor(), 1..4)) {
            let text: Vec<String> = factors.iter().map(|(n, (unit, _, _))| format!("{n}{unit}")).collect();
            let text = text.join("x");
            prop_assume!(!text.starts_with("0x") && !text.contains("x0x"));
            // Each factor is exact in u128; a product is too large as soon as a step of it is.
            let mut product = Some(1u128);
            for (n, (_, base, exponent)) in &factors {
                let mut value = Some(u128::from(*n));
                for _ in 0..*exponent {
                    value = value.and_then(|v| v.checked_mul(u128::from(*base)));
                }
                let fits = |v: &u128| *v <= u128::from(u64::MAX);
                let value = value.filter(fits);
                product = product.zip(value).and_then(|(a, b)| a.checked_mul(b)).filter(fits);
            }
            let expected = product.map(|bytes| bytes as u64).ok_or(SizeError::TooLarge(text.clone()));
            prop_assert_eq!(parsed(&text), expected);
        }

        #[test]
        fn hexadecimal_agrees(n in any::<u64>()) {
            prop_assert_eq!(parsed(&format!("0x{n:x}")), Ok(n));
            prop_assert_eq!(parsed(&format!("0X{n:X}")), Ok(n));
        }

        #[test]
        fn any_text_is_answered(text in "[0-9xXkKMQbBciw ]{0,12}|.{0,8}") {
            let _ = parsed(&text);
        }

        #[test]
        fn people_are_told_the_nearest_tenth(bytes in any::<u64>(), shift in 0..64u32) {
            let bytes = bytes >> shift;
            let text = human(bytes);
            let (number, unit) = text.split_once(' ').unwrap();
            let unit = parsed(&format!("1{unit}")).unwrap();
            let value = number.parse::<f64>().unwrap();
            prop_assert!((1.0..1024.0).contains(&value) || bytes == 0, "{text}");
            let off = (value - bytes as f64 / unit as f64).abs();
            prop_assert!(off <= 0.0500001, "{text} is off by {off}");
        }
    }
}
