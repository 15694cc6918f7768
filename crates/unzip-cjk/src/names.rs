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
    let first = doubt_utf8(entries, &mut names, first, options);
    let names = entries.iter().zip(names);
    Decoded {
        names: names
            .map(|(entry, name)| name.unwrap_or_else(|| escaped(entry)))
            .collect(),
        verdict: first,
    }
}

/// Looks again at names that are UTF-8 without being flagged: all of them if there is no other name
/// to go by, else each against the code page of the others. Returns what is known then.
fn doubt_utf8(
    entries: &[Entry],
    names: &mut [Option<Name>],
    mut verdict: Option<Verdict>,
    options: &Options,
) -> Option<Verdict> {
    let doubtful: Vec<usize> = (0..names.len())
        .filter(|at| matches!(&names[*at], Some(name) if name.how == How::Utf8))
        .collect();
    let sample = |at: usize| Sample {
        bytes: entries[at].name,
        made_on: System::of_host(entries[at].host),
    };
    let known = verdict.as_ref().map(|verdict| verdict.charset);
    let groups: Vec<Vec<usize>> = match known {
        Some(_) => doubtful.into_iter().map(|at| vec![at]).collect(),
        None => vec![doubtful],
    };
    for group in groups {
        let samples: Vec<Sample> = group.iter().map(|at| sample(*at)).collect();
        let locale = options.locale.as_ref();
        if let Some(found) = infer::only_looks_like_utf8(&samples, known, locale) {
            for at in group {
                let name = decode(&entries[at], found.charset, How::Inferred);
                names[at] = name.or_else(|| names[at].take());
            }
            verdict.get_or_insert(found);
        }
    }
    verdict
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
    let is_utf8 = std::str::from_utf8(entry.name).is_ok();
    let is_flagged = entry.utf8 && is_utf8;
    if !is_flagged && let Some(text) = unicode_path(entry) {
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
    let plain = |how| decode(entry, Charset::UTF_8, how);
    match told {
        _ if is_flagged => plain(How::Flagged),
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

/// What a Unicode Path extra field says, if it is about this name (APPNOTE 4.6.9). Of several the last
/// one counts, as with Info-ZIP, unless one before it is about another name.
fn unicode_path(entry: &Entry) -> Option<Vec<u8>> {
    let mut found = None;
    let mut rest = entry.extra;
    while let Some((head, after)) = rest.split_at_checked(4) {
        let len = usize::from(u16::from_le_bytes([head[2], head[3]]));
        let Some((field, after)) = after.split_at_checked(len) else {
            break;
        };
        rest = after;
        if head[..2] != [0x75, 0x70] {
            continue;
        }
        let Some((fixed, text)) = field.split_at_checked(5) else {
            continue;
        };
        let crc = u32::from_le_bytes([fixed[1], fixed[2], fixed[3], fixed[4]]);
        if fixed[0] > 1 || crc != crc32fast::hash(entry.name) {
            break;
        }
        let is_name = !text.is_empty() && !text.contains(&0) && std::str::from_utf8(text).is_ok();
        found = is_name.then(|| text.to_vec());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(name: &[u8]) -> Entry<'_> {
        Entry {
            name,
            comment: b"",
            host: 0,
            utf8: false,
            extra: b"",
        }
    }

    fn texts(names: &[&[u8]], options: &Options) -> Vec<(String, How)> {
        let entries: Vec<Entry> = names.iter().map(|name| entry(name)).collect();
        let names = decode_all(&entries, options).names.into_iter();
        names
            .map(|name| (String::from_utf8(name.text).expect("UTF-8"), name.how))
            .collect()
    }

    #[test]
    fn archives_of_many_lands() {
        let cases: [(&[&[u8]], &[&str]); 6] = [
            (
                &[
                    b"\xd0\xc2\xbd\xa8\xce\xc4\xbc\xfe\xbc\xd0/",
                    b"\xd5\xd5\xc6\xac.jpg",
                ],
                &["新建文件夹/", "照片.jpg"],
            ),
            (
                &[
                    b"\x95\x5c\x8e\x86.txt",
                    b"\x83\x5c\x83t\x83g/\x8e\x91\x97\xbf.doc",
                ],
                &["表紙.txt", "ソフト/資料.doc"],
            ),
            (
                &[b"\xb7\x73\xbc\x57\xb8\xea\xae\xc6\xa7\xa8/"],
                &["新增資料夾/"],
            ),
            (
                &[b"\xbb\xf5 \xc6\xfa\xb4\xf5/\xbb\xe7\xc1\xf8.png"],
                &["새 폴더/사진.png"],
            ),
            (
                &[
                    b"\x84\xae\xaa\xe3\xac\xa5\xad\xe2\xeb.txt",
                    b"\x94\xae\xe2\xae.jpg",
                ],
                &["Документы.txt", "Фото.jpg"],
            ),
            (
                &[b"Gr\x94\xe1e.txt", b"\x9abung.doc"],
                &["Größe.txt", "Übung.doc"],
            ),
        ];
        for (names, wanted) in cases {
            let found = texts(names, &Options::default());
            let found: Vec<&str> = found.iter().map(|(text, _)| text.as_str()).collect();
            assert_eq!(found, wanted);
        }
    }

    #[test]
    fn a_mix_is_decoded_entry_by_entry() {
        let names: [&[u8]; 5] = [
            b"\xd5\xd5\xc6\xac.jpg",
            "文档.txt".as_bytes(),
            b"\xce\xc4\xb5\xb5\xd7\xca\xc1\xcf.txt",
            b"plain.txt",
            b"\xff\xfe\xff",
        ];
        let found = texts(&names, &Options::default());
        assert_eq!(found[0], ("照片.jpg".to_owned(), How::Inferred));
        assert_eq!(found[1], ("文档.txt".to_owned(), How::Utf8));
        assert_eq!(found[2], ("文档资料.txt".to_owned(), How::Inferred));
        assert_eq!(found[3], ("plain.txt".to_owned(), How::Ascii));
        assert_eq!(found[4].1, How::Single);
    }

    /// What names are in that charset, found by decoding everything.
    fn encoded(charset: Charset, names: &[&str]) -> Vec<Vec<u8>> {
        let mut codes = std::collections::BTreeMap::new();
        let ones = (0..=0xFF).map(|first| vec![first]);
        let twos =
            (0x81..=0xFE).flat_map(|first| (0x40..=0xFE).map(move |second| vec![first, second]));
        for code in ones.chain(twos.filter(|_| charset.is_double_byte())) {
            let text = charset.decode(&code).unwrap_or_default();
            if text.chars().count() == 1 {
                codes.entry(text).or_insert(code);
            }
        }
        let code = |c: char| codes[&c.to_string()].clone();
        let bytes = |name: &&str| match charset == Charset::UTF_8 {
            true => name.as_bytes().to_vec(),
            false => name.chars().flat_map(code).collect(),
        };
        names.iter().map(bytes).collect()
    }

    /// Each alone in its archive: what Windows, Office and people call things.
    #[test]
    fn everyday_names() {
        let mut by_charset: std::collections::BTreeMap<&str, Vec<&str>> = Default::default();
        for line in include_str!("names/everyday.txt").lines() {
            if let Some((charset, name)) = line.split_once('\t') {
                by_charset.entry(charset).or_default().push(name);
            }
        }
        for (label, names) in by_charset {
            let charset = Charset::by_label(label).expect(label);
            for (name, bytes) in names.iter().zip(encoded(charset, &names)) {
                let found = texts(&[&bytes], &Options::default());
                assert_eq!(found[0].0, *name, "{label}");
            }
        }
    }

    #[test]
    fn a_name_that_is_utf8_by_accident_has_a_verdict() {
        // 图 is two bytes that UTF-8 has too, for a sign of old Greek.
        let decoded = decode_all(&[entry(b"\xcd\xbc1.png")], &Options::default());
        assert_eq!(decoded.names[0].text, "图1.png".as_bytes());
        let verdict = decoded.verdict.expect("one");
        assert_eq!(verdict.charset.name(), "GB18030");
        assert!(
            verdict
                .candidates
                .iter()
                .any(|(charset, _)| *charset == Charset::UTF_8)
        );
        // The accents of macOS stay apart.
        let decomposed = "Re\u{301}sume\u{301} U\u{308}bung.txt";
        assert_eq!(
            texts(&[decomposed.as_bytes()], &Options::default())[0].0,
            decomposed
        );
    }

    #[test]
    fn utf8_by_accident() {
        // Of these the second is UTF-8, of a sign and two letters that no one would put there.
        let names: [&[u8]; 3] = [
            b"\xce\xc4\xb5\xb5\xd7\xca\xc1\xcf.txt",
            "椰.xlsx".as_bytes(),
            b"\xd2\xac.xlsx",
        ];
        assert_eq!(texts(&names, &Options::default())[2].0, "椰.xlsx");
        assert_eq!(texts(&names, &Options::default())[1].0, "椰.xlsx");
    }

    #[test]
    fn flags_that_lie_and_flags_that_do_not() {
        let lying = Entry {
            utf8: true,
            ..entry(b"\xd5\xd5\xc6\xac\xce\xc4\xb5\xb5.jpg")
        };
        let honest = Entry {
            utf8: true,
            ..entry(b"\xd2\xac")
        };
        let names = decode_all(&[lying, honest], &Options::default()).names;
        assert_eq!(names[0].text, "照片文档.jpg".as_bytes());
        assert!(names[0].flag_lies);
        assert_eq!((names[1].how, names[1].flag_lies), (How::Flagged, false));
    }

    #[test]
    fn unicode_path_counts_if_its_checksum_does() {
        let name = b"\xd5\xd5.jpg";
        let field = |crc: u32| {
            let mut field = vec![0x75, 0x70, 12, 0, 1];
            field.extend(crc.to_le_bytes());
            field.extend("照.txt".as_bytes());
            field[2] = (field.len() - 4) as u8;
            field
        };
        for (crc, how) in [(crc32fast::hash(name), How::Extra), (1, How::Inferred)] {
            let extra = field(crc);
            let entry = Entry {
                extra: &extra,
                ..entry(name)
            };
            assert_eq!(decode_all(&[entry], &Options::default()).names[0].how, how);
        }
        // The flag, where it is true, comes first.
        let name = "照.jpg".as_bytes();
        let extra = field(crc32fast::hash(name));
        let entry = Entry {
            extra: &extra,
            utf8: true,
            ..entry(name)
        };
        let names = decode_all(&[entry], &Options::default()).names;
        assert_eq!((names[0].how, &names[0].text[..]), (How::Flagged, name));
    }

    #[test]
    fn options_are_for_the_systems_they_name() {
        let options = Options {
            dos: Charset::by_label("cp866"),
            unix: Charset::by_label("koi8-r"),
            ..Options::default()
        };
        let unix = Entry {
            host: 3,
            ..entry(b"\xc6\xcf\xd4\xcf")
        };
        let names = decode_all(&[entry(b"\x94\xae\xe2\xae"), unix], &options).names;
        assert_eq!(names[0].text, "Фото".as_bytes());
        assert_eq!(names[1].text, "фото".as_bytes());
        assert!(names.iter().all(|name| name.how == How::Told));
        let raw = Options {
            raw: true,
            ..options
        };
        assert_eq!(decode_all(&[unix], &raw).names[0].text, b"\xc6\xcf\xd4\xcf");
    }

    #[test]
    fn nul_is_escaped() {
        assert_eq!(
            texts(&[b"a\0b"], &Options::default()),
            [("a%00b".to_owned(), How::Escaped)]
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_bytes_are_some_name(
            names in proptest::collection::vec(any::<Vec<u8>>(), 0..6),
            comment: Vec<u8>,
            extra: Vec<u8>,
            host: u8,
            utf8: bool,
        ) {
            let entries: Vec<Entry> = names
                .iter()
                .map(|name| Entry { name, comment: &comment, host, utf8, extra: &extra })
                .collect();
            let decoded = decode_all(&entries, &Options::default());
            prop_assert_eq!(decoded.names.len(), names.len());
            for (name, bytes) in decoded.names.iter().zip(&names) {
                prop_assert!(std::str::from_utf8(&name.text).is_ok());
                prop_assert!(!name.text.contains(&0));
                // A component never becomes two, for no code page has `/` in a character.
                let slashes = |bytes: &[u8]| bytes.iter().filter(|b| **b == b'/').count();
                if name.how != How::Extra {
                    prop_assert_eq!(slashes(&name.text), slashes(bytes));
                }
            }
            let again = decode_all(&entries, &Options::default());
            prop_assert_eq!(decoded.names, again.names);
        }
    }
}
