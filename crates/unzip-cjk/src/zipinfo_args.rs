//! The options of zipinfo (`unzip-cjk -Z`, or when called by that name).

use lexopt::Arg::{Long, Short};
use std::collections::VecDeque;
use std::ffi::OsString;

use crate::args::{Letters, Options, Request, Wrong, charset, members};

/// How zipinfo lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) form: Form,
    pub(crate) header: bool,
    pub(crate) totals: bool,
    pub(crate) comment: bool,
    /// Times as numbers that sort.
    pub(crate) decimal_time: bool,
}

/// What of an entry is listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Form {
    /// Nothing: only header or totals.
    Nothing,
    /// -1 and -2
    Names,
    #[default]
    Short,
    /// With the ratio of compression.
    Medium,
    /// With the compressed size.
    Long,
    Verbose,
}

pub(crate) fn parse(args: VecDeque<OsString>) -> Result<Request, Wrong> {
    const LONG: [&str; 3] = ["help", "version", "raw-names"];
    let mut o = Options::default();
    // As Info-ZIP: each of -h and -t is a flag with two defaults, one of which the form selects.
    let (mut header, mut totals) = (None, None);
    // None: not said, Some(None): taken back
    let mut form: Option<Option<(Form, bool)>> = None;
    let mut only_parts = false;
    let (mut decimal_time, mut comment, mut unknown) = (false, false, None);
    let mut p = Letters::new(args);
    while let Some(arg) = p.next(&LONG) {
        let asked = |p: &mut Letters, wanted, alone| {
            let mut flag = true;
            p.flag(&mut flag);
            Some(flag.then_some((wanted, alone)))
        };
        match arg {
            Short('1') => form = asked(&mut p, Form::Names, true),
            Short('2') => form = asked(&mut p, Form::Names, false),
            Short('s') => form = asked(&mut p, Form::Short, false),
            Short('m') => form = asked(&mut p, Form::Medium, false),
            Short('l') => form = asked(&mut p, Form::Long, false),
            Short('v') => form = asked(&mut p, Form::Verbose, false),
            Short('h') => {
                let mut flag = false;
                p.flag(&mut flag);
                header = Some(flag);
                only_parts |= flag && form.is_none();
            }
            Short('t') => {
                let mut flag = false;
                p.flag(&mut flag);
                totals = Some(flag);
                only_parts |= flag && form.is_none();
            }
            Short('C') => p.flag(&mut o.ignore_case),
            Short('M') => p.flag(&mut o.more),
            Short('T') => p.flag(&mut decimal_time),
            Short('U') => p.count(&mut o.unicode),
            Short('W') => p.flag(&mut o.stop_at_slash),
            Short('z') => p.flag(&mut comment),
            Short('Z') => {}
            Short('O') => o.dos_charset = Some(charset(p.value(), 'O')?),
            Short('I') => o.unix_charset = Some(charset(p.value(), 'I')?),
            Long("help") => return Ok(Request::Help),
            Long("version") => return Ok(Request::Version),
            Long("raw-names") => o.raw_names = true,
            other => unknown = unknown.or(Some(other.unexpected().to_string())),
        }
    }
    if let Some(unknown) = unknown {
        return Err(Wrong::Usage(unknown));
    }
    let mut operands = p.remaining();
    let Some(archive) = operands.pop_front() else {
        return Ok(Request::Help);
    };
    let named = !operands.is_empty();
    let (form, alone) = match form.flatten() {
        Some(form) => form,
        None if only_parts && form.is_none() && !named => (Form::Nothing, false),
        None => (Form::Short, false),
    };
    let (default_header, default_totals) = match form {
        Form::Nothing | Form::Names => (false, false),
        Form::Short | Form::Medium | Form::Long => (!named, !named),
        Form::Verbose => (true, false),
    };
    o.zipinfo = Some(Listing {
        form,
        header: !alone && header.unwrap_or(default_header),
        totals: !alone && totals.unwrap_or(default_totals),
        comment: !alone && comment,
        decimal_time,
    });
    o.archive = archive;
    members(&mut o, operands)?;
    Ok(Request::Run(Box::new(o)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(line: &str) -> Listing {
        let args = line.split(' ').map(OsString::from).collect();
        match parse(args) {
            Ok(Request::Run(options)) => options.zipinfo.unwrap(),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn forms_and_their_defaults() {
        for (line, form, header, totals) in [
            ("a", Form::Short, true, true),
            ("a m", Form::Short, false, false),
            ("-t a m", Form::Short, false, true),
            ("-t a", Form::Nothing, false, true),
            ("-hz a", Form::Nothing, true, false),
            ("-1ht a", Form::Names, false, false),
            ("-2h a", Form::Names, true, false),
            ("-Zv a", Form::Verbose, true, false),
            ("-l-l a", Form::Short, true, true),
        ] {
            let listing = listing(line);
            let got = (listing.form, listing.header, listing.totals);
            assert_eq!(got, (form, header, totals), "{line}");
        }
    }
}
