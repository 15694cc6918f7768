//! Names in messages, quoted as GNU tools do it: so that they can be pasted into a shell, or between
//! the quotes of the locale.

use crate::locale;
use std::fmt::Write;

/// Always in quotes for a shell: `'a b'`, `"it's"`, `'a'$'\n''b'`.
pub fn always(name: &[u8]) -> String {
    quote_always(name, locale::is_utf8())
}

/// In quotes for a shell only where that has to be, or a colon is in the name.
pub fn if_needed(name: &[u8]) -> String {
    quote_if_needed(name, locale::is_utf8())
}

/// Between the quotes of the locale: `‘a’` in UTF-8, otherwise `'a'`, with escapes as in C.
pub fn in_locale(name: &[u8]) -> String {
    quote_in_locale(name, locale::is_utf8())
}

/// Characters that can be printed one by one, and the bytes between them that cannot.
enum Part<'a> {
    Char(char),
    Bytes(&'a [u8]),
}

fn parts(name: &[u8], utf8: bool) -> impl Iterator<Item = Part<'_>> {
    name.utf8_chunks().flat_map(move |chunk| {
        let valid = chunk.valid();
        let chars = valid.char_indices().map(move |(at, c)| {
            let bytes = &valid.as_bytes()[at..at + c.len_utf8()];
            match (c.is_ascii() || utf8) && locale::is_printable(c) {
                true => Part::Char(c),
                false => Part::Bytes(bytes),
            }
        });
        let invalid = chunk.invalid();
        chars.chain((!invalid.is_empty()).then_some(Part::Bytes(invalid)))
    })
}

fn push_escapes(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let letter = match byte {
            0x07 => 'a',
            0x08 => 'b',
            b'\t' => 't',
            b'\n' => 'n',
            0x0b => 'v',
            0x0c => 'f',
            b'\r' => 'r',
            _ => {
                let _ = write!(text, "\\{byte:03o}"); // a String takes everything
                continue;
            }
        };
        text.push('\\');
        text.push(letter);
    }
}

fn quote_always(name: &[u8], utf8: bool) -> String {
    // With an apostrophe, double quotes are shorter, if nothing in them is special to a shell.
    let fits_double_quotes = |part: Part<'_>| match part {
        Part::Char(c) => !"!\"$&()*;<=>[^`|\\?#~{}".contains(c),
        Part::Bytes(_) => false,
    };
    if name.contains(&b'\'') && parts(name, utf8).all(fits_double_quotes) {
        return format!("\"{}\"", String::from_utf8_lossy(name));
    }
    let mut text = String::from("'");
    let mut is_escaping = false;
    for part in parts(name, utf8) {
        match part {
            Part::Bytes(bytes) => {
                if !is_escaping {
                    text.push_str("'$'");
                }
                is_escaping = true;
                push_escapes(&mut text, bytes);
            }
            Part::Char('\'') => {
                is_escaping = false;
                text.push_str("'\\''");
            }
            Part::Char(c) => {
                if is_escaping {
                    text.push_str("''");
                }
                is_escaping = false;
                text.push(c);
            }
        }
    }
    text.push('\'');
    text
}

fn quote_if_needed(name: &[u8], utf8: bool) -> String {
    let is_single = name.len() == 1;
    let is_plain = |(i, part): (usize, Part<'_>)| match part {
        Part::Char('{' | '}') => !is_single,
        Part::Char('#' | '~') => i != 0,
        Part::Char(c) => !" !\"$&()*;<=>[^`|?'\\:".contains(c),
        Part::Bytes(_) => false,
    };
    match !name.is_empty() && parts(name, utf8).enumerate().all(is_plain) {
        true => String::from_utf8_lossy(name).into_owned(),
        false => quote_always(name, utf8),
    }
}

fn quote_in_locale(name: &[u8], utf8: bool) -> String {
    let (open, close) = if utf8 { ('‘', '’') } else { ('\'', '\'') };
    let mut text = String::from(open);
    for part in parts(name, utf8) {
        match part {
            Part::Bytes(bytes) => push_escapes(&mut text, bytes),
            Part::Char(c) => {
                if c == '\\' || c == close {
                    text.push('\\');
                }
                text.push(c);
            }
        }
    }
    text.push(close);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_a_shell() {
        for (name, plain, always) in [
            ("file", "file", "'file'"),
            ("", "''", "''"),
            ("standard input", "'standard input'", "'standard input'"),
            ("a:b", "'a:b'", "'a:b'"),
            ("a=b", "'a=b'", "'a=b'"),
            ("it's", "\"it's\"", "\"it's\""),
            ("it's $1", "'it'\\''s $1'", "'it'\\''s $1'"),
            ("a\nb", "'a'$'\\n''b'", "'a'$'\\n''b'"),
            ("\x01", "''$'\\001'", "''$'\\001'"),
            ("a\\b", "'a\\b'", "'a\\b'"),
            ("#a", "'#a'", "'#a'"),
            ("a#", "a#", "'a#'"),
            ("{", "'{'", "'{'"),
            ("{a}", "{a}", "'{a}'"),
        ] {
            assert_eq!(quote_if_needed(name.as_bytes(), true), plain, "{name}");
            assert_eq!(quote_always(name.as_bytes(), true), always, "{name}");
        }
        assert_eq!(quote_always("é".as_bytes(), false), "''$'\\303\\251'");
    }

    #[test]
    fn in_the_quotes_of_the_locale() {
        assert_eq!(quote_in_locale(b"a'b", true), "‘a'b’");
        assert_eq!(
            quote_in_locale(b"a'b\\\n\xff", false),
            "'a\\'b\\\\\\n\\377'"
        );
    }
}
