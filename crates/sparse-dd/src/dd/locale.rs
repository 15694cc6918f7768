//! What dd takes from the locale: which characters can be printed, letter case, the decimal point.
//! Its messages are not translated.
#![allow(unsafe_code)]

use nix::libc;
use std::ffi::CStr;

unsafe extern "C" {
    /// wctype.h; the argument is a code point with glibc and musl.
    safe fn iswprint(c: libc::c_uint) -> libc::c_int;
}

/// Takes over the locale of the environment. Call it before any other thread is started.
pub(super) fn start() {
    for category in [libc::LC_CTYPE, libc::LC_NUMERIC] {
        // SAFETY: the string is terminated; no other thread runs yet that could use the locale.
        unsafe { libc::setlocale(category, c"".as_ptr()) };
    }
}

fn information(item: libc::nl_item) -> String {
    // SAFETY: returns a terminated string that lives until the next call for the locale; it is copied
    // before that.
    let text = unsafe { CStr::from_ptr(libc::nl_langinfo(item)) };
    text.to_string_lossy().into_owned()
}

/// Whether text is UTF-8.
pub(super) fn is_utf8() -> bool {
    information(libc::CODESET) == "UTF-8"
}

/// What stands before the decimals of a number.
pub(super) fn decimal_point() -> String {
    match information(libc::RADIXCHAR) {
        point if point.is_empty() => ".".to_owned(),
        point => point,
    }
}

/// Whether a character can be shown as it is. Only ASCII can in a locale that is not UTF-8.
pub(super) fn is_printable(c: char) -> bool {
    match c.is_ascii() {
        true => matches!(c, ' '..='~'),
        false => iswprint(c.into()) != 0,
    }
}

/// The upper case of a letter of one byte.
pub(super) fn to_upper(byte: u8) -> u8 {
    // SAFETY: any value of an unsigned char may be given.
    (unsafe { libc::toupper(byte.into()) }) as u8
}

/// The lower case of a letter of one byte.
pub(super) fn to_lower(byte: u8) -> u8 {
    // SAFETY: as above.
    (unsafe { libc::tolower(byte.into()) }) as u8
}
