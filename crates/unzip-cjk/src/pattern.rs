//! Wildcards as Info-ZIP has them: `*`, `?`, `[a-z]`, `[!a-z]`, and a backslash for one of these.
//!
//! Case is that of Unicode letters, and `?` is one character. With `stop_at_slash` (option -W) `*`
//! and `?` do not match a slash and `**` does.

use std::os::unix::ffi::OsStrExt;

/// How to match.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) ignore_case: bool,
    pub(crate) stop_at_slash: bool,
}

/// Whether the pattern has a wildcard that is not escaped.
pub(crate) fn is_wild(pattern: &std::ffi::OsStr) -> bool {
    has_wildcard(pattern.as_bytes())
}

fn has_wildcard(mut pattern: &[u8]) -> bool {
    while let [first, rest @ ..] = pattern {
        pattern = match first {
            b'*' | b'?' | b'[' => return true,
            b'\\' if !rest.is_empty() => &rest[1..],
            _ => rest,
        };
    }
    false
}

/// One element of a pattern.
#[derive(Debug, PartialEq)]
enum Piece {
    Char(u32),
    Any,
    /// `*`
    Run,
    /// `**`
    RunWithSlashes,
    Set {
        inverted: bool,
        ranges: Vec<(u32, u32)>,
    },
    /// Bad syntax: matches nothing.
    Nothing,
}

/// A pattern, ready to match many names.
#[derive(Debug)]
pub(crate) struct Pattern {
    pieces: Vec<Piece>,
    rules: Rules,
}

impl Pattern {
    pub(crate) fn new(pattern: &[u8], rules: Rules) -> Pattern {
        let chars: Vec<u32> = chars(pattern).collect();
        let mut pieces = Vec::new();
        let mut rest = &chars[..];
        while let [first, tail @ ..] = rest {
            rest = tail;
            let piece = match char::from_u32(*first) {
                Some('?') => Piece::Any,
                Some('*') if rules.stop_at_slash => {
                    if tail.first() == Some(&u32::from('*')) {
                        rest = &tail[1..];
                        Piece::RunWithSlashes
                    } else {
                        Piece::Run
                    }
                }
                Some('*') => Piece::RunWithSlashes,
                Some('[') => set(tail, rules).map_or(Piece::Nothing, |(piece, after)| {
                    rest = after;
                    piece
                }),
                Some('\\') => match tail {
                    [] => Piece::Nothing,
                    [c, after @ ..] => {
                        rest = after;
                        Piece::Char(fold(*c, rules))
                    }
                },
                _ => Piece::Char(fold(*first, rules)),
            };
            let repeated = piece == Piece::RunWithSlashes && pieces.last() == Some(&piece);
            if !repeated {
                pieces.push(piece);
            }
        }
        Pattern { pieces, rules }
    }

    /// Time is at most the product of the lengths.
    pub(crate) fn matches(&self, name: &[u8]) -> bool {
        let name: Vec<u32> = chars(name).map(|c| fold(c, self.rules)).collect();
        let slash = u32::from('/');
        // reached[i]: the pieces so far match the first i characters
        let mut reached = vec![false; name.len() + 1];
        reached[0] = true;
        for piece in &self.pieces {
            match piece {
                Piece::RunWithSlashes => {
                    let first = reached.iter().position(|r| *r).unwrap_or(reached.len());
                    reached[first..].fill(true);
                }
                Piece::Run => {
                    for i in 0..name.len() {
                        reached[i + 1] |= reached[i] && name[i] != slash;
                    }
                }
                single => {
                    for i in (0..name.len()).rev() {
                        reached[i + 1] = reached[i] && self.one(single, name[i]);
                    }
                    reached[0] = false;
                }
            }
        }
        reached[name.len()]
    }

    fn one(&self, piece: &Piece, c: u32) -> bool {
        match piece {
            Piece::Char(wanted) => *wanted == c,
            Piece::Any => !(self.rules.stop_at_slash && c == u32::from('/')),
            Piece::Set { inverted, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *inverted
            }
            Piece::Run | Piece::RunWithSlashes | Piece::Nothing => false,
        }
    }
}

/// Reads a set after its `[`.
fn set(mut rest: &[u32], rules: Rules) -> Option<(Piece, &[u32])> {
    let is = |c: Option<&u32>, wanted: char| c == Some(&u32::from(wanted));
    let inverted = is(rest.first(), '!') || is(rest.first(), '^');
    if inverted {
        rest = &rest[1..];
    }
    let mut ranges = Vec::new();
    let literal = |rest: &mut &[u32]| -> Option<u32> {
        if is(rest.first(), '\\') {
            *rest = &rest[1..];
        }
        let (&c, after) = rest.split_first()?;
        *rest = after;
        Some(c)
    };
    loop {
        if is(rest.first(), ']') {
            return Some((Piece::Set { inverted, ranges }, &rest[1..]));
        }
        let low = literal(&mut rest)?;
        let high = if is(rest.first(), '-') && !is(rest.get(1), ']') {
            rest = &rest[1..];
            literal(&mut rest)?
        } else {
            low
        };
        ranges.push((low, high));
        if rules.ignore_case {
            let both = |f: fn(u32) -> u32| (f(low), f(high));
            ranges.extend([both(lower), both(upper)]);
        }
    }
}

fn fold(c: u32, rules: Rules) -> u32 {
    if rules.ignore_case { lower(c) } else { c }
}

fn lower(c: u32) -> u32 {
    char::from_u32(c).map_or(c, |c| {
        let mut lower = c.to_lowercase();
        match (lower.next(), lower.next()) {
            (Some(one), None) => one.into(),
            _ => c.into(),
        }
    })
}

fn upper(c: u32) -> u32 {
    char::from_u32(c).map_or(c, |c| {
        let mut upper = c.to_uppercase();
        match (upper.next(), upper.next()) {
            (Some(one), None) => one.into(),
            _ => c.into(),
        }
    })
}

/// Characters; a byte that is not UTF-8 comes out as a number that no character has.
fn chars(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.utf8_chunks().flat_map(|chunk| {
        let invalid = chunk.invalid().iter().map(|b| 0x11_0000 + u32::from(*b));
        chunk.valid().chars().map(u32::from).chain(invalid)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str, rules: Rules) -> bool {
        Pattern::new(pattern.as_bytes(), rules).matches(name.as_bytes())
    }

    #[test]
    fn as_info_zip_matches() {
        let plain = Rules::default();
        for (pattern, name, wanted) in [
            ("*.c", "dir/a.c", true),
            ("*", "", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("?", "文", true),
            ("文*", "文/件.txt", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[^a-c]x", "dx", true),
            ("[a", "[a", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("a\\", "a\\", false),
            ("[-a]", "-", true),
            ("[]]", "]", false),
            ("A", "a", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
        ] {
            assert_eq!(matches(pattern, name, plain), wanted, "{pattern} {name}");
        }
        let any_case = Rules {
            ignore_case: true,
            ..plain
        };
        assert!(matches("READ*", "readme", any_case));
        assert!(matches("[A-C]", "b", any_case));
        assert!(matches("[a-c]", "B", any_case));
        assert!(matches("ДОМ", "дом", any_case));
        let stop = Rules {
            stop_at_slash: true,
            ..plain
        };
        assert!(!matches("*.c", "d/a.c", stop));
        assert!(matches("**.c", "d/a.c", stop));
        assert!(matches("*/*.c", "d/a.c", stop));
        assert!(!matches("d?a.c", "d/a.c", stop));
    }

    #[test]
    fn many_stars_take_no_long_time() {
        let pattern = "*a".repeat(500);
        assert!(!matches(&pattern, &"a".repeat(499), Rules::default()));
        assert!(matches(&pattern, &"a".repeat(4000), Rules::default()));
    }

    #[test]
    fn wild() {
        for (pattern, wild) in [
            ("a.zip", false),
            ("a*.zip", true),
            ("a\\*", false),
            ("[", true),
        ] {
            assert_eq!(is_wild(pattern.as_ref()), wild, "{pattern}");
        }
    }
}
