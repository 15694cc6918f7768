//! The line of transfer statistics: how GNU dd writes amounts, times and rates.

use std::time::Duration;

const LETTERS: [&str; 11] = ["", "k", "M", "G", "T", "P", "E", "Z", "Y", "R", "Q"];

/// `1234567 bytes (1.2 MB, 1.2 MiB) copied, 0.0123 s, 100 MB/s`, without a line end.
/// `whole_seconds` is for the progress line.
pub(super) fn transfer(bytes: u64, elapsed: Duration, whole_seconds: bool, point: &str) -> String {
    let (si, binary) = (amount(bytes, 1000), amount(bytes, 1024));
    let copied = match bytes {
        1 => "1 byte copied".to_owned(),
        0..1000 => format!("{bytes} bytes copied"),
        1000..1024 => format!("{bytes} bytes ({si}) copied"),
        _ => format!("{bytes} bytes ({si}, {binary}) copied"),
    };
    let seconds = elapsed.as_secs_f64();
    let time = match whole_seconds {
        true => format!("{seconds:.0}"),
        false => general(seconds),
    };
    let rate = match elapsed.is_zero() {
        true => "Infinity B/s".to_owned(),
        false => rate(bytes, elapsed),
    };
    let numbers = format!("{copied}, {time} s, {rate}");
    match point {
        "." => numbers,
        point => numbers.replace('.', point),
    }
}

/// `15 kB` or `15 KiB`: with one decimal below ten, rounded half to even.
pub(super) fn amount(bytes: u64, base: u128) -> String {
    let bytes = u128::from(bytes);
    let (mut scale, mut power) = (1, 0);
    while bytes / scale >= base {
        scale *= base;
        power += 1;
    }
    let tenths = round(bytes * 10, scale);
    let number = if power > 0 && tenths < 100 {
        format!("{}.{}", tenths / 10, tenths % 10)
    } else {
        match round(bytes, scale) {
            whole if whole == base => {
                power += 1;
                "1.0".to_owned()
            }
            whole => whole.to_string(),
        }
    };
    let unit = match (base, power) {
        (_, 0) => "B".to_owned(),
        (1024, 1) => "KiB".to_owned(),
        (1024, power) => format!("{}iB", LETTERS[power]),
        (_, power) => format!("{}B", LETTERS[power]),
    };
    format!("{number} {unit}")
}

/// `n / d` to the nearest whole number, half to even.
fn round(n: u128, d: u128) -> u128 {
    let (whole, rest) = (n / d, n % d);
    match (rest * 2).cmp(&d) {
        std::cmp::Ordering::Less => whole,
        std::cmp::Ordering::Equal => whole + whole % 2,
        std::cmp::Ordering::Greater => whole + 1,
    }
}

/// `1.2 GB/s`; never below a kilobyte, so `0.5 kB/s`.
fn rate(bytes: u64, elapsed: Duration) -> String {
    let mut scaled = bytes as f64 * (1e9 / elapsed.as_nanos() as f64) / 1000.0;
    let mut power = 1;
    while scaled >= 1000.0 && power < LETTERS.len() - 1 {
        scaled /= 1000.0;
        power += 1;
    }
    let mut number = format!("{scaled:.1}");
    if number.len() > 4 {
        number = format!("{scaled:.0}");
    }
    format!("{number} {}B/s", LETTERS[power])
}

/// `%g` of printf(3): six digits, without the zeros at the end.
fn general(number: f64) -> String {
    let scientific = format!("{number:.5e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    match exponent {
        -4..6 => trim(&format!("{number:.*}", (5 - exponent) as usize)),
        _ => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{}e{sign}{:02}", trim(mantissa), exponent.abs())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts() {
        for (bytes, si, binary) in [
            (0, "0 B", "0 B"),
            (999, "999 B", "999 B"),
            (1000, "1.0 kB", "1000 B"),
            (1023, "1.0 kB", "1023 B"),
            (1050, "1.0 kB", "1.0 KiB"),
            (1150, "1.2 kB", "1.1 KiB"),
            (9949, "9.9 kB", "9.7 KiB"),
            (9950, "10 kB", "9.7 KiB"),
            (10_500, "10 kB", "10 KiB"),
            (11_500, "12 kB", "11 KiB"),
            (999_500, "1.0 MB", "976 KiB"),
            (59_703_296, "60 MB", "57 MiB"),
            (250_000_000, "250 MB", "238 MiB"),
            (1_048_575, "1.0 MB", "1.0 MiB"),
            (u64::MAX, "18 EB", "16 EiB"),
        ] {
            assert_eq!((&*amount(bytes, 1000), &*amount(bytes, 1024)), (si, binary));
        }
    }

    #[test]
    fn lines() {
        let line = |bytes, nanos| transfer(bytes, Duration::from_nanos(nanos), false, ".");
        assert_eq!(line(0, 303_504), "0 bytes copied, 0.000303504 s, 0.0 kB/s");
        assert_eq!(line(1, 1_000_000_000), "1 byte copied, 1 s, 0.0 kB/s");
        assert_eq!(
            line(1000, 0),
            "1000 bytes (1.0 kB) copied, 0 s, Infinity B/s"
        );
        assert_eq!(
            line(59_703_296, 42_797_400),
            "59703296 bytes (60 MB, 57 MiB) copied, 0.0427974 s, 1.4 GB/s"
        );
        assert_eq!(line(512, 51_200), "512 bytes copied, 5.12e-05 s, 10.0 MB/s");
        let progress = transfer(5000, Duration::from_millis(1500), true, ",");
        assert_eq!(
            progress,
            "5000 bytes (5,0 kB, 4,9 KiB) copied, 2 s, 3,3 kB/s"
        );
    }

    #[test]
    fn general_is_as_in_c() {
        for (number, text) in [
            (0.0, "0"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (123_456.0, "123456"),
            (1_234_567.0, "1.23457e+06"),
            (100.0, "100"),
            (999_999.5, "1e+06"),
        ] {
            assert_eq!(general(number), text);
        }
    }
}
