//! Local time, in the zone that TZ or the system says.
//!
//! DOS times in archives are local times of wherever the archive was made; like every unzip this
//! takes them for local times here. The C library knows the zones.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

/// A point of time as calendars write it. Months and days count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Calendar {
    pub(crate) year: i64,
    pub(crate) month: u32,
    pub(crate) day: u32,
    pub(crate) hour: u32,
    pub(crate) minute: u32,
    pub(crate) second: u32,
}

impl Calendar {
    /// A DOS date and time (APPNOTE.TXT 4.4.6). Nothing is checked: there are months 0 and 15.
    pub(crate) fn from_dos(time: u32) -> Calendar {
        Calendar {
            year: i64::from(time >> 25 & 0x7F) + 1980,
            month: time >> 21 & 0x0F,
            day: time >> 16 & 0x1F,
            hour: time >> 11 & 0x1F,
            minute: time >> 5 & 0x3F,
            second: time << 1 & 0x3E,
        }
    }

    /// `None` beyond the years that the C library can count.
    pub(crate) fn local(seconds: i64) -> Option<Calendar> {
        let mut tm = MaybeUninit::uninit();
        // SAFETY: both pointers are valid; a result that is not null says that `tm` was filled.
        let tm = unsafe {
            if libc::localtime_r(&seconds, tm.as_mut_ptr()).is_null() {
                return None;
            }
            tm.assume_init()
        };
        Some(Calendar::from_tm(&tm))
    }

    pub(crate) fn utc(seconds: i64) -> Option<Calendar> {
        let mut tm = MaybeUninit::uninit();
        // SAFETY: as in `local`.
        let tm = unsafe {
            if libc::gmtime_r(&seconds, tm.as_mut_ptr()).is_null() {
                return None;
            }
            tm.assume_init()
        };
        Some(Calendar::from_tm(&tm))
    }

    fn from_tm(tm: &libc::tm) -> Calendar {
        let small = |n: i32| u32::try_from(n).unwrap_or(0);
        Calendar {
            year: i64::from(tm.tm_year) + 1900,
            month: small(tm.tm_mon) + 1,
            day: small(tm.tm_mday),
            hour: small(tm.tm_hour),
            minute: small(tm.tm_min),
            second: small(tm.tm_sec),
        }
    }
}

/// Seconds that local time is ahead of UTC at this point of time.
fn offset(seconds: i64) -> i64 {
    let mut tm = MaybeUninit::uninit();
    // SAFETY: as in `Calendar::local`.
    unsafe {
        if libc::localtime_r(&seconds, tm.as_mut_ptr()).is_null() {
            return 0;
        }
        tm.assume_init().tm_gmtoff
    }
}

/// Seconds since 1970 of a DOS time, taken as local time with the daylight saving of that day.
///
/// Not by mktime, which looks for changes of the zone's file each time.
pub(crate) fn dos_to_seconds(time: u32) -> i64 {
    let dos = Calendar::from_dos(time);
    // Month 0 is January, as Info-ZIP counts; day 0 is the last one of the year before.
    let month = i64::from(dos.month.saturating_sub(1));
    let year = dos.year + month / 12;
    let days = days_before(year, month % 12) + i64::from(dos.day) - 1;
    let clock = i64::from(dos.hour * 3600 + dos.minute * 60 + dos.second);
    let utc = days * 86400 + clock;
    // Of an hour that comes twice in the year, the second one; as Info-ZIP has it, also in how it
    // takes the hour that is left out.
    const DAY: i64 = 86400;
    let standard = offset(utc - DAY).min(offset(utc + DAY));
    utc - offset(utc - standard)
}

/// Days from 1970 to the first of a month, counted from 0.
fn days_before(year: i64, month: i64) -> i64 {
    const BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let leaps = |year: i64| year / 4 - year / 100 + year / 400;
    let is_leap = leaps(year) > leaps(year - 1);
    let years = (year - 1970) * 365 + leaps(year - 1) - leaps(1969);
    years + BEFORE[month as usize] + i64::from(is_leap && month > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dos_times_go_through_local_time_and_back() {
        let dos = (44 << 25) | (7 << 21) | (15 << 16) | (12 << 11) | (34 << 5) | 28;
        let seconds = dos_to_seconds(dos);
        assert_eq!(Calendar::local(seconds), Some(Calendar::from_dos(dos)));
        assert_eq!(
            Calendar::utc(0).map(|c| (c.year, c.month, c.day)),
            Some((1970, 1, 1))
        );
        assert_eq!(Calendar::utc(i64::MAX), None);
    }
}
