//! Numbers of bytes as GNU cmp reads them: like strtoimax(3) with base 0, and a suffix.
//!
//! The grammar is that of xstrtoimax in gnulib: octal and hexadecimal, leading blanks, a suffix
//! without a number (`K` is 1024), `B` or `D` for powers of 1000, `iB` for powers of 1024.

/// Stands for every number that does not fit into 63 bits.
pub(super) const HUGE: u64 = u64::MAX;

/// The powers of the suffixes: the first is 1, as in `K`.
const SUFFIXES: [&[u8]; 8] = [b"kK", b"M", b"G", b"T", b"P", b"E", b"Z", b"Y"];

/// The number at the start of `text` and what follows it; `None` where there is none, or it is
/// negative.
pub(super) fn parse(text: &[u8]) -> Option<(u64, &[u8])> {
    let (value, is_negative, rest) = digits(text).unwrap_or((1, false, text));
    let power = rest.first().and_then(|c| power_of(*c));
    if rest.len() == text.len() && power.is_none() {
        return None;
    }
    let (value, rest) = match (power, &rest[1.min(rest.len())..]) {
        (None, _) => (value, rest),
        (Some(power), [b'i', b'B', rest @ ..]) => (scale(value, 1024, power), rest),
        (Some(power), [b'B' | b'D', rest @ ..]) => (scale(value, 1000, power), rest),
        (Some(power), rest) => (scale(value, 1024, power), rest),
    };
    match is_negative && value > 0 {
        true => None,
        false => Some((value, rest)),
    }
}

/// What strtoimax(3) takes: the absolute value, whether a minus stands before it, and the rest.
fn digits(text: &[u8]) -> Option<(u64, bool, &[u8])> {
    let is_blank = |c: &u8| matches!(c, b' ' | b'\t'..=b'\r');
    let blanks = text.iter().take_while(|c| is_blank(c)).count();
    let (is_negative, text) = match &text[blanks..] {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (base, text) = match text {
        [b'0', b'x' | b'X', c, ..] if c.is_ascii_hexdigit() => (16, &text[2..]),
        [b'0', ..] => (8, text),
        _ => (10, text),
    };
    let digit = |c: &u8| char::from(*c).to_digit(base);
    let count = text.iter().take_while(|c| digit(c).is_some()).count();
    if count == 0 {
        return None;
    }
    let add = |value: u64, c: &u8| {
        let value = u128::from(value) * u128::from(base) + u128::from(digit(c).unwrap_or(0));
        fit(value)
    };
    let value = text[..count].iter().fold(0, add);
    Some((value, is_negative, &text[count..]))
}

fn power_of(suffix: u8) -> Option<u32> {
    let place = SUFFIXES
        .iter()
        .position(|letters| letters.contains(&suffix))?;
    Some(place as u32 + 1)
}

fn scale(value: u64, base: u128, power: u32) -> u64 {
    (0..power).fold(value, |value, _| fit(u128::from(value) * base))
}

fn fit(value: u128) -> u64 {
    match i64::try_from(value) {
        Ok(value) => value as u64,
        Err(_) => HUGE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_what_follows() {
        for (text, expected) in [
            ("0", Some((0, ""))),
            ("12:7", Some((12, ":7"))),
            ("0x1F", Some((31, ""))),
            ("0x", Some((0, "x"))),
            ("010", Some((8, ""))),
            ("08", Some((0, "8"))),
            (" \t+3", Some((3, ""))),
            ("-0", Some((0, ""))),
            ("-3", None),
            ("-", None),
            ("", None),
            (" K", None),
            ("K", Some((1024, ""))),
            ("2kB", Some((2000, ""))),
            ("2KD", Some((2000, ""))),
            ("2KiB", Some((2048, ""))),
            ("2Ki", Some((2048, "i"))),
            ("2kb", Some((2048, "b"))),
            ("3M:1", Some((3 << 20, ":1"))),
            ("3D", Some((3, "D"))),
            ("7E", Some((7 << 60, ""))),
            ("8E", Some((HUGE, ""))),
            ("0Y", Some((0, ""))),
            ("1Y", Some((HUGE, ""))),
            ("9223372036854775807", Some((i64::MAX as u64, ""))),
            ("9223372036854775808", Some((HUGE, ""))),
            (
                "99999999999999999999999999999999999999999999K",
                Some((HUGE, "")),
            ),
            ("x", None),
        ] {
            let expected = expected.map(|(value, rest): (u64, &str)| (value, rest.as_bytes()));
            assert_eq!(parse(text.as_bytes()), expected, "{text:?}");
        }
    }
}
