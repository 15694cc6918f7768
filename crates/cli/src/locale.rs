//! What drop-ins for C tools take from the locale: whether text is UTF-8, which characters can be
//! printed, letter case, the decimal point, whether messages are those of POSIX. Nothing is translated.
#![allow(unsafe_code)]

use nix::libc;
use std::ffi::CStr;

unsafe extern "C" {
    /// wctype.h; the argument is a code point with glibc and musl.
    safe fn iswprint(c: libc::c_uint) -> libc::c_int;
}

/// Takes over the locale of the environment. Call it before any other thread is started.
///
/// Where a part of it is not installed all stays as in the C locale, as with any C tool. Only parts
/// that matter here are loaded where all parts are one locale: that takes a fifth of the time.
pub fn start() {
    let part = |name: &[u8]| name.starts_with(b"LC_") && name != b"LC_ALL";
    let mut names = std::env::vars_os().map(|(name, _)| name);
    let has_parts = names.any(|name| part(name.as_encoded_bytes()));
    let one = std::env::var_os("LC_ALL").is_some_and(|all| !all.is_empty()) || !has_parts;
    let parts = match one {
        true => &[libc::LC_CTYPE, libc::LC_NUMERIC, libc::LC_MESSAGES][..],
        false => &[libc::LC_ALL],
    };
    for part in parts {
        // SAFETY: the string is terminated; no other thread runs yet that could use the locale.
        unsafe { libc::setlocale(*part, c"".as_ptr()) };
    }
}

fn information(item: libc::nl_item) -> String {
    // SAFETY: returns a terminated string that lives until the next call for the locale; it is copied
    // before that.
    let text = unsafe { CStr::from_ptr(libc::nl_langinfo(item)) };
    text.to_string_lossy().into_owned()
}

/// Whether text is UTF-8.
pub fn is_utf8() -> bool {
    information(libc::CODESET) == "UTF-8"
}

/// What stands before the decimals of a number.
pub fn decimal_point() -> String {
    match information(libc::RADIXCHAR) {
        point if point.is_empty() => ".".to_owned(),
        point => point,
    }
}

/// The upper case of a letter of one byte.
pub fn to_upper(byte: u8) -> u8 {
    // SAFETY: any value of an unsigned char may be given.
    (unsafe { libc::toupper(byte.into()) }) as u8
}

/// The lower case of a letter of one byte.
pub fn to_lower(byte: u8) -> u8 {
    // SAFETY: as above.
    (unsafe { libc::tolower(byte.into()) }) as u8
}

/// Whether messages are to be those of the C or POSIX locale.
pub fn has_posix_messages() -> bool {
    // SAFETY: with a null pointer the locale is only asked for.
    let name = unsafe { libc::setlocale(libc::LC_MESSAGES, std::ptr::null()) };
    if name.is_null() {
        return true;
    }
    // SAFETY: a terminated string that lives until the locale is changed.
    let name = unsafe { CStr::from_ptr(name) };
    name == c"C" || name == c"POSIX"
}

/// Whether a character can be shown as it is. Only ASCII can in a locale that is not UTF-8.
pub(crate) fn is_printable(c: char) -> bool {
    match c.is_ascii() {
        true => matches!(c, ' '..='~'),
        false => iswprint(c.into()) != 0,
    }
}
