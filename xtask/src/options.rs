//! The options of a tool as each of three places has them: parser, `HELP` and manual page.
//!
//! The parser is read from the tokens of `args.rs`: lexopt's patterns `Short('x')` and
//! `Long("name")`, joined by `|` when they are one option. `HELP` has a fixed form:
//!
//! ```text
//!   -x, --long=VALUE  text
//!       --long[=VALUE]  text
//!   -x  text
//! ```
//!
//! In the manual page the options are the items that begin with `.It Fl`.

use crate::lexer::{Token, tokens};

/// Whether an option takes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// No value.
    Nothing,
    /// `--long` or `--long=VALUE`.
    Maybe,
    /// `--long=VALUE` or `--long VALUE`.
    Value,
    /// Not to be seen in this place.
    Unknown,
}

/// One option in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Opt {
    pub(crate) short: Option<char>,
    pub(crate) long: Option<String>,
    pub(crate) takes: Takes,
    /// What `HELP` calls the value; empty elsewhere.
    pub(crate) value: String,
    /// What `HELP` says of it, on one line; empty elsewhere.
    pub(crate) text: String,
}

impl Opt {
    fn new(short: Option<char>, long: Option<String>, takes: Takes) -> Opt {
        let (value, text) = (String::new(), String::new());
        Opt {
            short,
            long,
            takes,
            value,
            text,
        }
    }

    /// The name that identifies it: the long one if it has one.
    pub(crate) fn name(&self) -> String {
        match (&self.long, self.short) {
            (Some(long), _) => format!("--{long}"),
            (None, Some(short)) => format!("-{short}"),
            (None, None) => String::new(),
        }
    }
}

/// The options of one place and what could not be read there.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) options: Vec<Opt>,
    pub(crate) faults: Vec<String>,
}

impl Scan {
    fn fault(&mut self, line: &str, what: &str) {
        self.faults.push(format!("'{}': {what}", line.trim()));
    }

    /// Adds an option that must not be there yet.
    fn add(&mut self, option: Opt) {
        let name = option.name();
        if self.options.iter().any(|other| other.name() == name) {
            self.faults.push(format!("{name}: listed twice"));
        } else {
            self.options.push(option);
        }
    }
}

/// The options that the parser in `args.rs` matches on. Its tests are not looked at.
pub(crate) fn in_parser(source: &str) -> Scan {
    let mut scan = Scan::default();
    let mut rest = &without_tests(tokens(source))[..];
    while !rest.is_empty() {
        let Some((mut option, mut after)) = pattern(rest) else {
            if opens_pattern(rest) && matches!(rest[2], Token::Char(_) | Token::Str(_)) {
                let text = "a pattern of Short or Long that is not one literal";
                scan.faults.push(text.to_owned());
            }
            rest = &rest[1..];
            continue;
        };
        while after.first() == Some(&Token::Mark('|'))
            && let Some((more, end)) = pattern(&after[1..])
        {
            option.short = option.short.or(more.short);
            option.long = option.long.or(more.long);
            after = end;
        }
        option.takes = taken_by_arm(after);
        let same = |other: &&mut Opt| other.short == option.short && other.long == option.long;
        match scan.options.iter_mut().find(same) {
            Some(other) if other.takes == Takes::Unknown => other.takes = option.takes,
            Some(_) => {}
            None => scan.options.push(option),
        }
        rest = after;
    }
    scan
}

fn without_tests(mut all: Vec<Token>) -> Vec<Token> {
    let test_module = [Token::Word("mod".into()), Token::Word("tests".into())];
    if let Some(start) = all.windows(2).position(|pair| pair == test_module) {
        all.truncate(start);
    }
    all
}

fn opens_pattern(rest: &[Token]) -> bool {
    matches!(rest, [Token::Word(word), Token::Mark('('), _, ..] if word == "Short" || word == "Long")
}

/// `Short('x')` or `Long("name")` at the start, and what follows it.
fn pattern(rest: &[Token]) -> Option<(Opt, &[Token])> {
    let [
        Token::Word(word),
        Token::Mark('('),
        literal,
        Token::Mark(')'),
        after @ ..,
    ] = rest
    else {
        return None;
    };
    let option = match (word.as_str(), literal) {
        ("Short", Token::Char(c)) => Opt::new(Some(*c), None, Takes::Unknown),
        ("Long", Token::Str(name)) => Opt::new(None, Some(name.clone()), Takes::Unknown),
        _ => return None,
    };
    Some((option, after))
}

/// What the body of a match arm does with the value, where its own text shows it.
fn taken_by_arm(after_pattern: &[Token]) -> Takes {
    let arrow = [Token::Mark('='), Token::Mark('>')];
    let Some(body) = after_pattern.strip_prefix(&arrow) else {
        return Takes::Unknown;
    };
    let mut depth = 0;
    let mut takes = Takes::Nothing;
    for (at, token) in body.iter().enumerate() {
        match token {
            Token::Mark('(' | '[' | '{') => depth += 1,
            Token::Mark(',') if depth == 0 => break,
            Token::Mark(')' | ']' | '}') => {
                depth -= 1;
                // The end of `{ ... }`, or of the whole match.
                if depth < 0 || (depth == 0 && body[0] == Token::Mark('{')) {
                    break;
                }
            }
            Token::Word(word) if body.get(at + 1) == Some(&Token::Mark('(')) => {
                match word.as_str() {
                    "value" => return Takes::Value,
                    "optional_value" => return Takes::Maybe,
                    // Another function may ask for the value; `Ok(..)` and its like do not.
                    _ if word.starts_with(char::is_lowercase) => takes = Takes::Unknown,
                    _ => {}
                }
            }
            _ => {}
        }
    }
    takes
}

/// The text of `const HELP` in `args.rs`.
pub(crate) fn help_text(source: &str) -> Option<String> {
    let all = tokens(source);
    let start = all
        .windows(2)
        .position(|pair| pair == [Token::Word("const".into()), Token::Word("HELP".into())])?;
    let value = all[start..]
        .iter()
        .skip_while(|token| **token != Token::Mark('='));
    // One literal, or several in a `concat!`.
    let pieces = value.take_while(|token| **token != Token::Mark(';'));
    let text: String = pieces
        .filter_map(|token| match token {
            Token::Str(piece) => Some(piece.as_str()),
            _ => None,
        })
        .collect();
    Some(text)
}

/// The options that `HELP` lists.
pub(crate) fn in_help(help: &str) -> Scan {
    let mut scan = Scan::default();
    let mut continues = false;
    for line in help.lines() {
        let body = line.trim_start();
        let indent = line.len() - body.len();
        if body.starts_with('-') && body.len() > 1 && indent <= 6 {
            continues = false;
            match help_line(indent, body) {
                Ok(option) => {
                    scan.add(option);
                    continues = true;
                }
                Err(what) => scan.fault(line, what),
            }
        } else if indent > 6 && continues {
            if let Some(option) = scan.options.last_mut() {
                option.text = format!("{} {body}", option.text).trim().to_owned();
            }
        } else {
            continues = false;
        }
    }
    scan
}

fn help_line(indent: usize, body: &str) -> Result<Opt, &'static str> {
    let (spec, text) = body.split_once("  ").unwrap_or((body, ""));
    let mut option = Opt::new(None, None, Takes::Nothing);
    option.text = text.trim().to_owned();
    let long = match indent {
        2 if !body.starts_with("--") => {
            let mut chars = spec[1..].chars();
            option.short = chars.next();
            match chars.as_str() {
                "" => return Ok(option),
                rest => match (rest.strip_prefix(", --"), rest.strip_prefix(' ')) {
                    (Some(long), _) => long,
                    (None, Some(value)) if is_value_name(value) => {
                        option.takes = Takes::Value;
                        option.value = value.to_owned();
                        return Ok(option);
                    }
                    _ => return Err("not of the form '  -x, --long=VALUE  text'"),
                },
            }
        }
        6 if body.starts_with("--") => &spec[2..],
        _ => return Err("not of the form '  -x, --long' or '      --long'"),
    };
    let name_end = long.find(['=', '[']).unwrap_or(long.len());
    let (name, tail) = long.split_at(name_end);
    let maybe = tail
        .strip_prefix("[=")
        .and_then(|tail| tail.strip_suffix(']'));
    (option.takes, option.value) = match (tail, maybe, tail.strip_prefix('=')) {
        ("", _, _) => (Takes::Nothing, String::new()),
        (_, Some(value), _) if is_value_name(value) => (Takes::Maybe, value.to_owned()),
        (_, _, Some(value)) if is_value_name(value) => (Takes::Value, value.to_owned()),
        _ => return Err("the value is not of the form =VALUE or [=VALUE]"),
    };
    if name.is_empty() || name.contains(|c: char| !c.is_ascii_alphanumeric() && c != '-') {
        return Err("two spaces must stand before the text");
    }
    option.long = Some(name.to_owned());
    Ok(option)
}

fn is_value_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(' ')
}

/// The options that a manual page in mdoc lists.
pub(crate) fn in_man(page: &str) -> Scan {
    let mut scan = Scan::default();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(item) = line.strip_prefix(".It ") else {
            continue;
        };
        let mut item = item.replace("\\-", "-");
        if item.trim_end().ends_with("Xo") {
            // A long item goes on until `.Xc`.
            for more in lines.by_ref().take_while(|more| more.trim() != ".Xc") {
                item += " ";
                item += more.strip_prefix('.').unwrap_or(more);
            }
        }
        let words: Vec<&str> = item
            .split_whitespace()
            .filter(|word| *word != "Xo")
            .collect();
        if words.first() == Some(&"Fl") {
            match man_item(&words) {
                Ok(option) => scan.add(option),
                Err(what) => scan.fault(line, what),
            }
        }
    }
    scan
}

fn man_item(words: &[&str]) -> Result<Opt, &'static str> {
    let mut option = Opt::new(None, None, Takes::Nothing);
    for pair in words.windows(2).filter(|pair| pair[0] == "Fl") {
        let name = pair[1];
        match name.strip_prefix('-') {
            Some(long) if option.long.is_none() => option.long = Some(long.to_owned()),
            Some(_) => return Err("two long names"),
            None if name.chars().count() > 1 => {} // A word of a drop-in: `-src` beside `--src`.
            None if option.short.is_none() => option.short = name.chars().next(),
            None => return Err("two short names"),
        }
    }
    if option.name().is_empty() {
        return Err("no option name that the parser could know");
    }
    if words.contains(&"Ar") {
        let maybe = words.iter().any(|word| matches!(*word, "Op" | "Oo"));
        option.takes = if maybe { Takes::Maybe } else { Takes::Value };
    }
    Ok(option)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A parser with its help text, as in `args.rs`.
    pub(crate) const ARGS: &str = r#"
        //! Long("comment") is no option.
        pub(crate) const HELP: &str = "\
Usage: sample [OPTION]... --src=FILE

Options:
      --src=FILE        the source, which may be
                        --long and wrapped
  -f, --force           do it all the same
      --progress[=FD]   show progress
  -o FILE               write there
  -h, --help            show this help
";
        fn parse(mut p: lexopt::Parser) -> Result<Args, Error> {
            while let Some(arg) = p.next()? {
                match arg {
                    Long("src") => args.src = Some(p.value()?.into()),
                    Short('f') | Long("force") => args.force = true,
                    Long("progress") => {
                        args.progress = Some(p.optional_value());
                    }
                    Short('o') => args.output = path(&mut p)?,
                    Short('h') | Long("help") => return Ok(Parsed::Help),
                    Long(name) => return Err(unknown(name)),
                    _ => return Err(arg.unexpected()),
                }
            }
        }
        #[cfg(test)]
        mod tests {
            const X: Arg = Long("only-in-tests");
        }
    "#;

    /// The manual page that fits it.
    pub(crate) const PAGE: &str = "\
.Sh DESCRIPTION
.Bl -tag -width Ds
.It Fl -src Ns = Ns Ar file
The source.
.It Fl f , Fl -force
Do it.
.It Fl -progress Ns Oo Ns = Ns Ar fd Oc
Progress.
.It Fl o Ar file
Output.
.It Fl h , Fl -help
Help.
.El
.Sh EXIT STATUS
.It 0
";

    #[test]
    fn the_sample_is_read_right() {
        let takes = |scan: Scan| -> Vec<(String, Takes)> {
            scan.options
                .iter()
                .map(|option| (option.name(), option.takes))
                .collect()
        };
        let expected = [
            ("--src", Takes::Value),
            ("--force", Takes::Nothing),
            ("--progress", Takes::Maybe),
            ("-o", Takes::Value),
            ("--help", Takes::Nothing),
        ];
        let expected = expected.map(|(name, takes)| (name.to_owned(), takes));
        assert_eq!(takes(in_man(PAGE)), expected);
        let help = in_help(&help_text(ARGS).unwrap());
        assert_eq!(
            help.options[0].text,
            "the source, which may be --long and wrapped"
        );
        assert_eq!(takes(help), expected);
        let parser = takes(in_parser(ARGS));
        assert_eq!(parser[3], ("-o".to_owned(), Takes::Unknown));
        assert_eq!(parser[..3], expected[..3]);
        assert_eq!(parser.len(), 5);
    }

    #[test]
    fn lines_of_another_form_are_faults() {
        for line in [
            "  --src=FILE  x",
            "  -src FILE  x",
            "      --src FILE  x",
            "   -f  x",
        ] {
            assert_eq!(in_help(line).faults.len(), 1, "{line}");
        }
        assert_eq!(
            in_help("      --a  x\n      --a  y\n").faults,
            ["--a: listed twice"]
        );
        assert_eq!(
            in_parser("match a { Long(\"a\" | \"b\") => 1 }")
                .faults
                .len(),
            1
        );
    }

    #[test]
    fn long_items_and_seed_words_are_read() {
        let page = ".It Xo\n.Fl x ,\n.Fl -long Ns = Ns Ar value\n.Xc\n";
        let long = in_man(page).options[0].clone();
        assert_eq!((long.name().as_str(), long.short), ("--long", Some('x')));
        let page =
            ".It Fl x , Xo\n.Fl -long Ns = Ns Ar value\n.Xc\n.It Fl -src Ar f , Fl src Ar f\n";
        let names: Vec<String> = in_man(page).options.iter().map(Opt::name).collect();
        assert_eq!(names, ["--long", "--src"]);
    }
}
