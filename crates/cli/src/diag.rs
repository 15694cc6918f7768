//! Diagnostics on stderr: `tool: subject: what went wrong: system text`, one line each.
//!
//! A line is written at once, with a live progress line taken away around it. Whatever is in a
//! message, it cannot start a second line or steer the terminal.

use std::ffi::OsStr;
use std::fmt::{self, Display};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt;

use crate::{line, process};

/// Prints `tool: message` as one line. Control characters in the message come out escaped; that
/// stderr cannot be written to is ignored, since there is nowhere left to say so.
pub fn report(tool: &str, message: impl Display) {
    print(&format!("{tool}: {}\n", one_line(&message.to_string())));
}

/// [`report`] for a mistake on the command line: adds `Try 'tool --help' for more information.`
pub fn usage(tool: &str, message: impl Display) {
    let message = one_line(&message.to_string());
    print(&format!(
        "{tool}: {message}\nTry '{tool} --help' for more information.\n"
    ));
}

/// Writes whole lines to stderr, unformatted: `eprint!` would make several writes, and panic.
pub fn print(lines: &str) {
    line::around(|| {
        let _ = io::stderr().write_all(lines.as_bytes());
    });
}

/// Whether stderr was closed when the process started, for tools that fail when they cannot be heard.
pub fn stderr_was_closed() -> bool {
    process::stderr_was_closed()
}

/// A file name in a message.
///
/// A control character comes out as `\n`, `\t` or `\xHH` for each byte of it, and so do
/// bidirectional controls and line separators; a byte that is not UTF-8 as `\xHH`. A backslash is
/// doubled only where something else had to be escaped, so that usual names stay as they are.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a>(&'a OsStr);

/// Shows `path` as a [`Name`].
pub fn name<'a>(path: &'a (impl AsRef<OsStr> + ?Sized)) -> Name<'a> {
    Name(path.as_ref())
}

impl Display for Name<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(plain) = self.0.to_str().filter(|text| !text.contains(must_escape)) {
            return out.write_str(plain);
        }
        for chunk in self.0.as_bytes().utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\\' => out.write_str("\\\\")?,
                    c => put(out, c)?,
                }
            }
            put_bytes(out, chunk.invalid())?;
        }
        Ok(())
    }
}

/// What the system said, without the ` (os error N)` that Rust adds: `No such file or directory`.
pub fn system_text(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" (os error ") {
        Some((what, number))
            if number
                .strip_suffix(')')
                .is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit())) =>
        {
            what.to_string()
        }
        _ => text,
    }
}

/// Escapes control characters, but no backslash: names in the message have been escaped before.
fn one_line(message: &str) -> String {
    let mut line = String::with_capacity(message.len());
    for c in message.chars() {
        let _ = put(&mut line, c); // a String takes everything
    }
    line
}

fn put(out: &mut impl fmt::Write, c: char) -> fmt::Result {
    match c {
        '\n' => out.write_str("\\n"),
        '\t' => out.write_str("\\t"),
        c if must_escape(c) => put_bytes(out, c.encode_utf8(&mut [0; 4]).as_bytes()),
        c => out.write_char(c),
    }
}

fn put_bytes(out: &mut impl fmt::Write, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|b| write!(out, "\\x{b:02X}"))
}

/// C0 and C1 controls, and the characters that reorder or break a line where Unicode is displayed.
fn must_escape(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        )
        || matches!(c, '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    fn shown(bytes: &[u8]) -> String {
        name(OsStr::from_bytes(bytes)).to_string()
    }

    /// What a shell's `$'...'` makes of an escaped name.
    fn unescape(text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        while let [first, tail @ ..] = rest {
            rest = tail;
            if *first != b'\\' {
                bytes.push(*first);
                continue;
            }
            let (byte, len) = match rest[0] {
                b'n' => (b'\n', 1),
                b't' => (b'\t', 1),
                b'\\' => (b'\\', 1),
                b'x' => {
                    let hex = std::str::from_utf8(&rest[1..3]).unwrap();
                    (u8::from_str_radix(hex, 16).unwrap(), 3)
                }
                other => panic!("\\{} in {text:?}", other as char),
            };
            bytes.push(byte);
            rest = &rest[len..];
        }
        bytes
    }

    #[test]
    fn names() {
        for (bytes, text) in [
            (&b"plain name"[..], "plain name"),
            (b"back\\slash", "back\\slash"),
            (b"", ""),
            ("größe 写".as_bytes(), "größe 写"),
            (
                b"two\nlines\ttab\r\x1b[2J\x7f",
                "two\\nlines\\ttab\\x0D\\x1B[2J\\x7F",
            ),
            (b"back\\slash\n", "back\\\\slash\\n"),
            (b"caf\xe9.txt", "caf\\xE9.txt"),
            (b"a\\\xff", "a\\\\\\xFF"),
            ("c1\u{85}".as_bytes(), "c1\\xC2\\x85"),
            ("exe\u{202e}gpj".as_bytes(), "exe\\xE2\\x80\\xAEgpj"),
            (b"cut \xe5\x86", "cut \\xE5\\x86"),
        ] {
            assert_eq!(shown(bytes), text);
        }
        assert_eq!(name("str").to_string(), "str");
        assert_eq!(name(std::path::Path::new("/a b")).to_string(), "/a b");
    }

    #[test]
    fn messages_keep_escaped_names_as_they_are() {
        assert_eq!(one_line("a\\nb: why\nso"), "a\\nb: why\\nso");
        assert_eq!(
            one_line("\u{2028}\u{9b}31m"),
            "\\xE2\\x80\\xA8\\xC2\\x9B31m"
        );
    }

    #[test]
    fn system_texts() {
        let missing = std::fs::File::open("/nonexistent").unwrap_err();
        assert_eq!(system_text(&missing), "No such file or directory");
        let own = io::Error::other("odd (os error x)");
        assert_eq!(system_text(&own), "odd (os error x)");
        let short = io::Error::from(io::ErrorKind::UnexpectedEof);
        assert_eq!(system_text(&short), "unexpected end of file");
    }

    /// Mostly bytes that matter: controls, backslashes, starts of sequences.
    fn any_name() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40),
            proptest::collection::vec(
                proptest::sample::select(&b"a\\nx\n\t\x1b\xc2\x85\xe2\x80\xae"[..]),
                0..20
            ),
            proptest::collection::vec(any::<char>(), 0..20)
                .prop_map(|chars| chars.into_iter().collect::<String>().into_bytes()),
        ]
    }

    proptest! {
        #[test]
        fn a_name_is_one_line_without_controls(bytes in any_name()) {
            let text = shown(&bytes);
            prop_assert!(!text.contains(must_escape), "{text:?}");
            prop_assert_eq!(text.lines().count(), usize::from(!text.is_empty()));
            prop_assert_eq!(one_line(&text), text);
        }

        #[test]
        fn printable_ascii_is_unchanged(text in "[ -~]{0,40}") {
            prop_assert_eq!(shown(text.as_bytes()), text);
        }

        #[test]
        fn an_escaped_name_gives_its_bytes_back(bytes in any_name()) {
            let text = shown(&bytes);
            if text.as_bytes() != bytes {
                prop_assert_eq!(unescape(&text), bytes);
            } else {
                prop_assert_eq!(OsString::from_vec(bytes).into_string().is_ok(), true);
            }
        }
    }
}
