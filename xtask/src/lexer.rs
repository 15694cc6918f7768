//! Cuts Rust source into the few kinds of token that the option scan looks at.
//!
//! Comments and white space are dropped. Numbers come out as words. This is no Rust parser: it only
//! has to tell code from comments and strings, so that an option in a comment is not an option.

/// One token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// An identifier, keyword or number.
    Word(String),
    /// A string literal of any kind, with its escapes undone.
    Str(String),
    /// A character literal.
    Char(char),
    /// A lifetime or loop label; its name never matters here.
    Label,
    /// Any other character.
    Mark(char),
}

/// All tokens of `source`, in order.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        rest = if rest.starts_with("//") {
            rest.find('\n').map_or("", |end| &rest[end..])
        } else if rest.starts_with("/*") {
            after_block_comment(rest)
        } else if let Some((token, after)) = string(rest) {
            found.push(token);
            after
        } else if first == '\'' {
            let (token, after) = quote(rest);
            found.push(token);
            after
        } else if is_word(first) {
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            found.push(Token::Word(rest[..end].to_owned()));
            &rest[end..]
        } else {
            if !first.is_whitespace() {
                found.push(Token::Mark(first));
            }
            &rest[first.len_utf8()..]
        };
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// What follows a block comment; they nest.
fn after_block_comment(text: &str) -> &str {
    let mut depth = 0;
    let mut rest = text;
    loop {
        if let Some(after) = rest.strip_prefix("/*") {
            depth += 1;
            rest = after;
        } else if let Some(after) = rest.strip_prefix("*/") {
            depth -= 1;
            rest = after;
            if depth == 0 {
                return rest;
            }
        } else {
            let mut chars = rest.chars();
            if chars.next().is_none() {
                return "";
            }
            rest = chars.as_str();
        }
    }
}

/// A string literal at the start of `text`: "", r"", r#""#, and those with b or c before them.
fn string(text: &str) -> Option<(Token, &str)> {
    let body = text.strip_prefix(['b', 'c']).unwrap_or(text);
    if let Some(raw) = body.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let inner = raw[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let (content, after) = inner.split_once(&end).unwrap_or((inner, ""));
        return Some((Token::Str(content.to_owned()), after));
    }
    let inner = body.strip_prefix('"')?;
    let mut content = String::new();
    let mut rest = inner;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '"' => break,
            '\\' => {
                let (escaped, after) = escape(rest);
                content.extend(escaped);
                rest = after;
            }
            _ => content.push(c),
        }
    }
    Some((Token::Str(content), rest))
}

/// Undoes the escape whose backslash has just been read.
fn escape(text: &str) -> (Option<char>, &str) {
    let Some(c) = text.chars().next() else {
        return (None, "");
    };
    let rest = &text[c.len_utf8()..];
    match c {
        '\n' => (None, rest.trim_start()),
        'n' => (Some('\n'), rest),
        't' => (Some('\t'), rest),
        'r' => (Some('\r'), rest),
        '0' => (Some('\0'), rest),
        'x' if rest.len() >= 2 && rest.is_char_boundary(2) => {
            let code = u8::from_str_radix(&rest[..2], 16).unwrap_or(b'?');
            (Some(char::from(code)), &rest[2..])
        }
        'u' => {
            let (code, after) = rest.split_once('}').unwrap_or((rest, ""));
            let code = u32::from_str_radix(code.trim_start_matches('{'), 16).ok();
            (code.and_then(char::from_u32), after)
        }
        _ => (Some(c), rest),
    }
}

/// A character literal or a lifetime, at a single quote.
fn quote(text: &str) -> (Token, &str) {
    let inner = &text[1..];
    if let Some(escaped) = inner.strip_prefix('\\') {
        let (value, after) = escape(escaped);
        let after = after.strip_prefix('\'').unwrap_or(after);
        return (Token::Char(value.unwrap_or('\0')), after);
    }
    if let Some(c) = inner.chars().next()
        && let Some(after) = inner[c.len_utf8()..].strip_prefix('\'')
    {
        return (Token::Char(c), after);
    }
    let end = inner.find(|c| !is_word(c)).unwrap_or(inner.len());
    (Token::Label, &inner[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_strings_and_lifetimes_are_told_apart() {
        let source = r##"
            fn f<'a>(x: &'a str) { // Short('c') "
                /* Long("no") /* nested */ ' */
                g('x', '\'', "a\"b", r#"raw " one"#, b"y\x41");
            }
        "##;
        let strings: Vec<Token> = tokens(source)
            .into_iter()
            .filter(|token| matches!(token, Token::Str(_) | Token::Char(_)))
            .collect();
        let expected = [
            Token::Char('x'),
            Token::Char('\''),
            Token::Str("a\"b".into()),
            Token::Str("raw \" one".into()),
            Token::Str("yA".into()),
        ];
        assert_eq!(strings, expected);
    }

    #[test]
    fn a_continued_string_loses_the_indent() {
        let all = tokens("\"\\\n    one\\n\\\n    \\x20 two\"");
        assert_eq!(all, [Token::Str("one\n  two".into())]);
    }

    #[test]
    fn unfinished_source_does_not_hang() {
        for source in [
            "\"", "'", "/*", "r#\"", "\"\\", "'\\", "\"\\u{", "b", "/* /*",
        ] {
            tokens(source);
        }
    }
}
