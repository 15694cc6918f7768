//! Lead, tail and time-out, and how a command line gives them.

use std::ffi::OsStr;
use std::time::Duration;

/// The times around a transmission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// How long the transmitter is keyed before there is something to send.
    pub lead: Duration,
    /// How long it stays keyed after the last of it.
    pub tail: Duration,
    /// The time-out timer: how long it may be keyed without a pause. `None` is for ever.
    pub timeout: Option<Duration>,
}

impl Default for Times {
    /// No lead, no tail, and a time-out timer of 180 seconds.
    fn default() -> Times {
        Times {
            lead: Duration::ZERO,
            tail: Duration::ZERO,
            timeout: Some(Duration::from_secs(180)),
        }
    }
}

/// The largest lead and tail.
const MAX_MILLISECONDS: u64 = 60_000;

/// The largest time-out: a day.
const MAX_SECONDS: u64 = 86_400;

impl Times {
    /// A lead or tail: a whole number of milliseconds, up to 60000. The error says why not, without a
    /// name of the option.
    pub fn milliseconds(text: &OsStr) -> Result<Duration, String> {
        let number = text
            .to_str()
            .filter(|t| t.bytes().all(|b| b.is_ascii_digit()));
        match number.and_then(|t| t.parse().ok()) {
            Some(ms) if ms <= MAX_MILLISECONDS => Ok(Duration::from_millis(ms)),
            _ => Err(format!(
                "'{}': not a number of milliseconds from 0 to {MAX_MILLISECONDS}",
                cli::diag::name(text)
            )),
        }
    }

    /// A time-out: a decimal number of seconds, up to a day, to the millisecond; 0 is none (`Ok(None)`).
    pub fn timeout(text: &OsStr) -> Result<Option<Duration>, String> {
        match text.to_str().and_then(seconds) {
            Some(Duration::ZERO) => Ok(None),
            Some(time) if time <= Duration::from_secs(MAX_SECONDS) => Ok(Some(time)),
            _ => Err(format!(
                "'{}': not a number of seconds from 0 to {MAX_SECONDS}",
                cli::diag::name(text)
            )),
        }
    }
}

/// `180`, `1.5`, `.5`: what is below a millisecond is cut off, unless that makes it zero. (Floating
/// point would be a tenth of the program.)
fn seconds(text: &str) -> Option<Duration> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if whole.len() + part.len() == 0 || !is_number(whole) || !is_number(part) {
        return None;
    }
    let whole = match whole {
        "" => 0,
        digits => digits.parse().ok()?,
    };
    let mut digits = part.bytes().map(|digit| u64::from(digit - b'0'));
    let ms = (0..3).fold(0, |ms, _| ms * 10 + digits.next().unwrap_or(0));
    let ms = ms.max(u64::from(part.bytes().any(|digit| digit != b'0')));
    Some(Duration::from_secs(whole) + Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_time() {
        let ms = |t: &str| Times::milliseconds(OsStr::new(t)).ok();
        assert_eq!(ms("250"), Some(Duration::from_millis(250)));
        assert_eq!(ms("60000"), Some(Duration::from_secs(60)));
        for wrong in ["", "-1", "+1", "1.5", "60001", "1s", "99999999999999999999"] {
            assert_eq!(ms(wrong), None, "{wrong}");
        }
        let s = |t: &str| Times::timeout(OsStr::new(t)).ok();
        assert_eq!(s("0"), Some(None));
        assert_eq!(s("0.0"), Some(None));
        assert_eq!(s("1.5"), Some(Some(Duration::from_millis(1500))));
        assert_eq!(s(".05"), Some(Some(Duration::from_millis(50))));
        assert_eq!(s("2."), Some(Some(Duration::from_secs(2))));
        assert_eq!(s("0.00001"), Some(Some(Duration::from_millis(1))));
        assert_eq!(s("1.23456"), Some(Some(Duration::from_millis(1234))));
        assert_eq!(s("86400"), Some(Some(Duration::from_secs(86400))));
        for wrong in [
            "",
            ".",
            "-1",
            "1e3",
            "inf",
            "nan",
            "86401",
            "86400.001",
            "3m",
            "1.2.3",
            "99999999999999999999",
        ] {
            assert_eq!(s(wrong), None, "{wrong}");
        }
    }
}
