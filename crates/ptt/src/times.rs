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
const MAX_SECONDS: f64 = 86_400.0;

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

    /// A time-out: a decimal number of seconds, up to a day; 0 is none (`Ok(None)`).
    pub fn timeout(text: &OsStr) -> Result<Option<Duration>, String> {
        let is_plain = |t: &&str| t.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let number = text.to_str().filter(is_plain);
        match number.and_then(|t| t.parse::<f64>().ok()) {
            Some(0.0) => Ok(None),
            Some(s) if s <= MAX_SECONDS => Ok(Some(Duration::from_secs_f64(s))),
            _ => Err(format!(
                "'{}': not a number of seconds from 0 to {MAX_SECONDS}",
                cli::diag::name(text)
            )),
        }
    }
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
        assert_eq!(s("86400"), Some(Some(Duration::from_secs(86400))));
        for wrong in ["", ".", "-1", "1e3", "inf", "nan", "86401", "3m"] {
            assert_eq!(s(wrong), None, "{wrong}");
        }
    }
}
