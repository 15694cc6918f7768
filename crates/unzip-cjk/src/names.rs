//! Names of entries, decoded.
//!
//! What an entry says of itself comes first: the UTF-8 flag if it does not lie, then a Unicode Path
//! extra field (APPNOTE 4.6.9) if its checksum is that of the name. Bytes that are UTF-8 by
//! themselves are taken for that. All others share one code page, which their bytes tell
//! ([`infer`]); an entry that does not fit it gets one of its own. What fits none is escaped, so that
//! no byte is lost.

pub(crate) mod charset;
mod escape;
mod infer;
mod johab;
mod locale;
pub(crate) mod model;

pub(crate) use charset::Charset;
pub(crate) use escape::escape;
pub(crate) use infer::{Sample, System, Verdict, infer};
pub(crate) use locale::Locale;

/// What an archive says of an entry's name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    /// The name, as the central directory has it.
    pub(crate) name: &'a [u8],
    /// The comment, which is in the same code page.
    pub(crate) comment: &'a [u8],
    /// The upper byte of "version made by".
    pub(crate) host: u8,
    /// Bit 11 of the flags.
    pub(crate) utf8: bool,
    /// The extra fields of the central directory.
    pub(crate) extra: &'a [u8],
}

/// How names are to be decoded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// `-O`: of entries made on DOS, Windows and OS/2. `None` infers it.
    pub(crate) dos: Option<Charset>,
    /// `-I`: of entries made on Unix and anything else. `None` infers it.
    pub(crate) unix: Option<Charset>,
    /// Bytes stay as they are.
    pub(crate) raw: bool,
    /// The locale, as a hint.
    pub(crate) locale: Option<Locale>,
}

/// How a name came to be what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// ASCII, the same in every code page.
    Ascii,
    /// Flagged as UTF-8, and it is.
    Flagged,
    /// From a Unicode Path extra field.
    Extra,
    /// UTF-8 that no flag announced.
    Utf8,
    /// As `-O` or `-I` said.
    Told,
    /// In the code page of the archive.
    Inferred,
    /// In another code page than most of the archive.
    Single,
    /// Not to be decoded: escaped.
    Escaped,
    /// Left as it is.
    Raw,
}

/// A name, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    /// UTF-8, but for raw names. Never holds NUL. Separated by `/`; a `\` is what was `\` in text,
    /// never half of a character.
    pub(crate) text: Vec<u8>,
    /// The comment of the entry, decoded likewise.
    pub(crate) comment: Vec<u8>,
    /// What the bytes were decoded from.
    pub(crate) charset: Option<Charset>,
    /// On what grounds.
    pub(crate) how: How,
    /// The entry is flagged as UTF-8, and its name is something else.
    pub(crate) flag_lies: bool,
}

/// All names of an archive.
#[derive(Debug)]
pub(crate) struct Decoded {
    /// In the order of the entries.
    pub(crate) names: Vec<Name>,
    /// What was inferred, if anything had to be.
    pub(crate) verdict: Option<Verdict>,
}

/// Decodes the names of all entries of an archive: the same for every listing and extraction.
pub(crate) fn decode_all(entries: &[Entry], options: &Options) -> Decoded {
    let mut names: Vec<Option<Name>> = entries
        .iter()
        .map(|entry| by_itself(entry, options))
        .collect();
    let open = |names: &[Option<Name>]| -> Vec<usize> {
        (0..names.len()).filter(|at| names[*at].is_none()).collect()
    };
    let mut left = open(&names);
    let mut first = None;
    let mut how = How::Inferred;
    // Each round takes one code page; a mix of more than a few is no archive that people made.
    for _ in 0..8 {
        let Some(verdict) = verdict(entries, &left, options) else {
            break;
        };
        for at in left {
            names[at] = decode(&entries[at], verdict.charset, how);
        }
        left = open(&names);
        first.get_or_insert(verdict);
        how = How::Single;
    }
    doubt_utf8(entries, &mut names, first.as_ref(), options);
    let names = entries.iter().zip(names);
    Decoded {
        names: names
            .map(|(entry, name)| name.unwrap_or_else(|| escaped(entry)))
            .collect(),
        verdict: first,
    }
}

/// Looks again at names that are UTF-8 without being flagged: all of them if there is no other name
/// to go by, else each against the code page of the others.
fn doubt_utf8(
    entries: &[Entry],
    names: &mut [Option<Name>],
    verdict: Option<&Verdict>,
    options: &Options,
) {
    let doubtful: Vec<usize> = (0..names.len())
        .filter(|at| matches!(&names[*at], Some(name) if name.how == How::Utf8))
        .collect();
    let sample = |at: usize| Sample {
        bytes: entries[at].name,
        made_on: System::of_host(entries[at].host),
    };
    let groups: Vec<Vec<usize>> = match verdict {
        Some(_) => doubtful.into_iter().map(|at| vec![at]).collect(),
        None => vec![doubtful],
    };
    for group in groups {
        let samples: Vec<Sample> = group.iter().map(|at| sample(*at)).collect();
        let charset = verdict.map(|verdict| verdict.charset);
        let locale = options.locale.as_ref();
        if let Some(charset) = infer::only_looks_like_utf8(&samples, charset, locale) {
            for at in group {
                let name = decode(&entries[at], charset, How::Inferred);
                names[at] = name.or_else(|| names[at].take());
            }
        }
    }
}

/// What the names and comments of those entries are in.
fn verdict(entries: &[Entry], which: &[usize], options: &Options) -> Option<Verdict> {
    let samples: Vec<Sample> = which
        .iter()
        .flat_map(|at| {
            let entry = &entries[*at];
            let made_on = System::of_host(entry.host);
            [entry.name, entry.comment].map(|bytes| Sample { bytes, made_on })
        })
        .filter(|sample| std::str::from_utf8(sample.bytes).is_err())
        .collect();
    infer(&samples, options.locale.as_ref())
}

/// The name of an entry for which the others need not be looked at.
fn by_itself(entry: &Entry, options: &Options) -> Option<Name> {
    if options.raw {
        return Some(Name {
            text: entry.name.to_vec(),
            comment: entry.comment.to_vec(),
            charset: None,
            how: How::Raw,
            flag_lies: false,
        });
    }
    if entry.name.contains(&0) {
        return Some(escaped(entry));
    }
    if let Some(text) = unicode_path(entry) {
        return Some(Name {
            text,
            comment: comment(entry, None),
            charset: Some(Charset::UTF_8),
            how: How::Extra,
            flag_lies: false,
        });
    }
    let told = match System::of_host(entry.host) {
        System::Dos => options.dos,
        _ => options.unix,
    };
    let is_utf8 = std::str::from_utf8(entry.name).is_ok();
    let plain = |how| decode(entry, Charset::UTF_8, how);
    match told {
        _ if entry.utf8 && is_utf8 => plain(How::Flagged),
        // A name that the user's choice does not fit is inferred after all.
        Some(charset) => decode(entry, charset, How::Told),
        None if entry.name.is_ascii() && entry.comment.is_ascii() => plain(How::Ascii),
        None if entry.name.is_ascii() => None,
        None if is_utf8 => plain(How::Utf8),
        None => None,
    }
}

/// The entry's name in that code page; `None` if it is not.
fn decode(entry: &Entry, charset: Charset, how: How) -> Option<Name> {
    let text = charset.decode(entry.name)?;
    if text.contains('\0') {
        return None;
    }
    Some(Name {
        text: text.into_bytes(),
        comment: comment(entry, Some(charset)),
        charset: Some(charset),
        how,
        flag_lies: entry.utf8 && charset != Charset::UTF_8,
    })
}

/// The entry's comment: in UTF-8 if it is, else in the code page of the name.
fn comment(entry: &Entry, charset: Option<Charset>) -> Vec<u8> {
    if std::str::from_utf8(entry.comment).is_ok() {
        return entry.comment.to_vec();
    }
    let text = charset.and_then(|charset| charset.decode(entry.comment));
    text.unwrap_or_else(|| escape(entry.comment)).into_bytes()
}

fn escaped(entry: &Entry) -> Name {
    Name {
        text: escape(entry.name).into_bytes(),
        comment: comment(entry, None),
        charset: None,
        how: How::Escaped,
        flag_lies: entry.utf8,
    }
}

/// What a Unicode Path extra field says, if it is about this name (APPNOTE 4.6.9).
fn unicode_path(entry: &Entry) -> Option<Vec<u8>> {
    let mut rest = entry.extra;
    while let Some((head, after)) = rest.split_at_checked(4) {
        let len = usize::from(u16::from_le_bytes([head[2], head[3]]));
        let (field, after) = after.split_at_checked(len)?;
        rest = after;
        if head[..2] != [0x75, 0x70] {
            continue;
        }
        let (fixed, text) = field.split_at_checked(5)?;
        let crc = u32::from_le_bytes([fixed[1], fixed[2], fixed[3], fixed[4]]);
        let good = fixed[0] == 1 && crc == crc32fast::hash(entry.name) && !text.is_empty();
        if good && !text.contains(&0) && std::str::from_utf8(text).is_ok() {
            return Some(text.to_vec());
        }
    }
    None
}
