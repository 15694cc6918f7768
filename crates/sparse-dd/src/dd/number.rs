//! The numbers of dd's operands, as GNU dd reads them (coreutils manual, "dd invocation").
//!
//! ```text
//! number = factor { "x" factor }
//! factor = [digits] [suffix] ["B"]        at least digits or a suffix
//! suffix = "c" (1) | "w" (2) | "b" (512) | letter [("iB")] (1024^n) | letter ("B" | "D") (1000^n)
//! letter = "k" | "K" | "M" | "G" | "T" | "P" | "E" | "Z" | "Y" | "R" | "Q"
//! ```
//!
//! Blanks and a `+` before the digits are taken, as strtoumax(3) does. A factor of zero makes the
//! whole number zero, however large the others are. `cli::size` reads the sizes of sparse-dd's own
//! options; there, `0x` is hexadecimal.

/// What a text stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Number {
    /// At most `i64::MAX`.
    pub(super) value: u64,
    /// It is zero by a factor `0x`, which may have been meant as hexadecimal.
    pub(super) zero_by_0x: bool,
}

/// Why it is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// It does not follow the grammar.
    Invalid,
    /// It is larger than `i64::MAX`.
    TooLarge,
}

/// Reads a number.
pub(super) fn parse(text: &[u8]) -> Result<Number, Wrong> {
    const MAX: u64 = i64::MAX as u64;
    let mut rest = text;
    let (mut product, mut is_too_large, mut zero_by_0x) = (1u64, false, false);
    loop {
        let factor = read_factor(rest)?;
        let multiplied = factor.rest.first() == Some(&b'x');
        if !multiplied && !factor.rest.is_empty() {
            // GNU dd looks at the size first: `99999999999999999999?` is too large.
            match factor.value {
                Some(value) if value <= MAX => return Err(Wrong::Invalid),
                _ => is_too_large = true,
            }
        }
        match factor.value {
            Some(0) => product = 0,
            Some(value) if product != 0 && !is_too_large => {
                match product.checked_mul(value).filter(|n| *n <= MAX) {
                    Some(n) => product = n,
                    None => is_too_large = true,
                }
            }
            None if product != 0 => is_too_large = true,
            _ => {}
        }
        if !multiplied {
            break;
        }
        zero_by_0x |= rest.starts_with(b"0x");
        rest = &factor.rest[1..];
    }
    match (product, is_too_large) {
        (0, _) => Ok(Number {
            value: 0,
            zero_by_0x,
        }),
        (_, true) => Err(Wrong::TooLarge),
        (value, false) => Ok(Number {
            value,
            zero_by_0x: false,
        }),
    }
}

struct Factor<'a> {
    /// `None` when it does not fit 64 bits.
    value: Option<u64>,
    /// What follows: nothing, an `x`, or what cannot be read.
    rest: &'a [u8],
}

fn read_factor(text: &[u8]) -> Result<Factor<'_>, Wrong> {
    let is_blank = |b: &u8| matches!(b, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r');
    let blanks = text.iter().take_while(|b| is_blank(b)).count();
    let sign = usize::from(text.get(blanks) == Some(&b'+'));
    let from = blanks + sign;
    let digits = text[from..]
        .iter()
        .take_while(|b| b.is_ascii_digit())
        .count();
    let (count, after) = match digits {
        // A suffix alone is one of it; nothing may stand before it.
        0 if from == 0 && text.first().is_some_and(|b| unit(text, *b).is_some()) => (Some(1), text),
        0 => return Err(Wrong::Invalid),
        _ => {
            let (digits, after) = text[from..].split_at(digits);
            let value = digits.iter().try_fold(0u64, |n, digit| {
                n.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
            });
            (value, after)
        }
    };
    let (unit, len) = after
        .first()
        .and_then(|b| unit(after, *b))
        .unwrap_or((Some(1), 0));
    let value = match count {
        Some(0) => Some(0),
        count => count.zip(unit).and_then(|(n, unit)| n.checked_mul(unit)),
    };
    let (before, mut rest) = text.split_at(text.len() - after.len() + len);
    if rest.first() == Some(&b'B') && before.last() != Some(&b'B') {
        rest = &rest[1..];
    }
    Ok(Factor { value, rest })
}

/// The unit that `text` begins with (`None` where that does not fit 64 bits), and its length.
fn unit(text: &[u8], first: u8) -> Option<(Option<u64>, usize)> {
    let exponent = match first {
        b'c' => return Some((Some(1), 1)),
        b'w' => return Some((Some(2), 1)),
        b'b' => return Some((Some(512), 1)),
        b'k' => 1,
        letter => b"KMGTPEZYRQ".iter().position(|b| *b == letter)? as u32 + 1,
    };
    let (base, len): (u64, usize) = match text.get(1..) {
        Some([b'i', b'B', ..]) => (1024, 3),
        Some([b'B' | b'D', ..]) => (1000, 2),
        _ => (1024, 1),
    };
    Some((base.checked_pow(exponent), len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(text: &str) -> Result<u64, Wrong> {
        parse(text.as_bytes()).map(|number| number.value)
    }

    #[test]
    fn numbers() {
        for (text, number) in [
            ("0", 0),
            ("7", 7),
            (" +7", 7),
            ("3c", 3),
            ("3w", 6),
            ("3b", 1536),
            ("3bB", 1536),
            ("8B", 8),
            ("1kB", 1000),
            ("1KB", 1000),
            ("1KD", 1000),
            ("1KiB", 1024),
            ("k", 1024),
            ("b", 512),
            ("2xM", 2 << 20),
            ("1x2x4", 8),
            ("1Bx2x4", 8),
            ("2Bx4B", 8),
            ("7E", 7 << 60),
            ("0Q", 0),
            ("00x10", 0),
            ("0x99999999999999999999", 0),
            ("99999999999999999999x0", 0),
            ("9223372036854775807", i64::MAX as u64),
        ] {
            assert_eq!(value(text), Ok(number), "{text}");
        }
    }

    #[test]
    fn not_numbers() {
        for text in [
            "", " ", "-1", "+", "+k", " k", "1.5", "1,0", "x1", "1x", "1xx1", "B", "B1", "Bx1",
            "KBB", "BB", "KBb", "KBx", "1Ki", "1m", "1g", "1z", "5 ", "0x1Fx", "1iB",
        ] {
            assert_eq!(value(text), Err(Wrong::Invalid), "{text}");
        }
    }

    #[test]
    fn too_large() {
        for text in [
            "9223372036854775808",
            "99999999999999999999?",
            "8E",
            "1Z",
            "1Q",
            "4Gx4G",
        ] {
            assert_eq!(value(text), Err(Wrong::TooLarge), "{text}");
        }
    }

    #[test]
    fn zero_by_0x_is_told() {
        let told = |text: &str| parse(text.as_bytes()).unwrap().zero_by_0x;
        assert!(told("0x10") && told("2x0x10"));
        assert!(!told("00x10") && !told("0") && !told("10"));
    }

    #[test]
    fn many_factors_take_no_stack() {
        assert_eq!(value(&format!("{}1", "1x".repeat(100_000))), Ok(1));
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "[0-9xkKMQbBcwiD +]{0,12}|.{0,8}") {
            let _ = parse(text.as_bytes());
        }

        #[test]
        fn products_agree(factors in prop::collection::vec(0..70_000u64, 1..5)) {
            let text: Vec<String> = factors.iter().map(u64::to_string).collect();
            let product = factors.iter().map(|n| u128::from(*n)).product::<u128>();
            let expected = if product > i64::MAX as u128 { Err(Wrong::TooLarge) } else { Ok(product as u64) };
            prop_assert_eq!(value(&text.join("x")), expected);
        }
    }
}
