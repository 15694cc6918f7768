//! The clocks: one that runs evenly for deadlines, and the date for people.
//!
//! std does not write dates in local time, so this asks the C library.
#![allow(unsafe_code)]

use nix::time::{ClockId, clock_gettime};
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time since the machine was started, without the time it slept. The same in all processes.
pub(crate) fn now() -> Duration {
    // Fails only for a clock that does not exist.
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}

/// As date(1) prints it in the C locale: `Fri Aug 24 21:17:47 CDT 2012`.
pub(crate) fn date() -> String {
    let (seconds, _) = since_epoch();
    format_local(seconds, c"%a %b %e %H:%M:%S %Z %Y")
}

/// `2012-08-25T02:17:47.123Z`, for logs.
pub(crate) fn stamp() -> String {
    let (seconds, millis) = since_epoch();
    let utc = format_utc(seconds, c"%Y-%m-%dT%H:%M:%S");
    format!("{utc}.{millis:03}Z")
}

fn since_epoch() -> (i64, u32) {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    (
        since.as_secs().try_into().unwrap_or(0),
        since.subsec_millis(),
    )
}

fn format_local(seconds: i64, form: &CStr) -> String {
    let mut parts = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: `seconds` is read and `parts` written before the call returns; all zeros, which a
    // failure leaves, is a valid `tm` whose name of the zone is null.
    let (filled, parts) = unsafe {
        let filled = libc::localtime_r(&seconds, parts.as_mut_ptr());
        (!filled.is_null(), parts.assume_init())
    };
    if filled {
        format(&parts, form)
    } else {
        String::new()
    }
}

fn format_utc(seconds: i64, form: &CStr) -> String {
    let mut parts = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: as in `format_local`.
    let (filled, parts) = unsafe {
        let filled = libc::gmtime_r(&seconds, parts.as_mut_ptr());
        (!filled.is_null(), parts.assume_init())
    };
    if filled {
        format(&parts, form)
    } else {
        String::new()
    }
}

fn format(parts: &libc::tm, form: &CStr) -> String {
    let mut text = [0u8; 128];
    // SAFETY: the buffer has the length that is given, `form` ends with a zero byte, and `parts`
    // was filled by the C library just before.
    let len = unsafe { libc::strftime(text.as_mut_ptr().cast(), text.len(), form.as_ptr(), parts) };
    String::from_utf8_lossy(&text[..len]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(
            format_utc(1_345_861_067, c"%Y-%m-%dT%H:%M:%S"),
            "2012-08-25T02:17:47"
        );
        assert_eq!(stamp().len(), "2012-08-25T02:17:47.123Z".len());
        assert!(date().len() > 20);
    }
}
