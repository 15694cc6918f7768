//! Info-ZIP's Unicode Path field (0x7075, APPNOTE.TXT 4.6.9), as far as Info-ZIP talks of it.
//!
//! What a name is in the end is for [`crate::names`] to say; this is for the warnings about fields
//! that do not fit, and for telling whether local header and directory mean the same name.

use crate::archive::u32_at;
use crate::args::Options;
use crate::extra;
use crate::say::Say;

const UNICODE_PATH: u16 = 0x7075;

/// What the field of a name comes to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Field<'a> {
    Nothing,
    /// The name in UTF-8.
    Path(&'a [u8]),
    /// Not to be used, with these words.
    Warning(&'static str),
}

/// Looks for the field. `name` is what its checksum is of. Of several the last one counts, if none is
/// wrong.
pub(crate) fn field<'a>(extra: &'a [u8], name: &'a [u8]) -> Field<'a> {
    let mut found = Field::Nothing;
    for (_, data) in extra::blocks(extra).filter(|(id, _)| *id == UNICODE_PATH) {
        let (Some(version), Some(crc)) = (data.first(), data.get(1..5)) else {
            continue;
        };
        if *version > 1 {
            return Field::Warning("\nwarning:  Unicode Path version > 1\n");
        }
        if u32_at(crc, 0) != crc32fast::hash(name) {
            return Field::Warning("\nwarning:  Unicode Path checksum invalid\n");
        }
        found = match &data[5..] {
            // The name itself is in UTF-8.
            [] => Field::Path(name),
            path => Field::Path(path),
        };
    }
    found
}

/// Warns of a field that does not fit its entry.
pub(crate) fn warn(extra: &[u8], name: &[u8], is_utf8: bool, options: &Options, say: &mut Say) {
    if options.unicode < 2
        && !is_utf8
        && let Field::Warning(words) = field(extra, name)
    {
        say.err(words);
    }
}

/// The name that Info-ZIP takes from a header.
pub(crate) fn resolved<'a>(extra: &'a [u8], name: &'a [u8], is_utf8: bool) -> &'a [u8] {
    match field(extra, name) {
        Field::Path(path) if !is_utf8 => path,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        let make = |version: u8, crc: u32, path: &[u8]| {
            let data = [&[version][..], &crc.to_le_bytes(), path].concat();
            [&[0x75, 0x70, data.len() as u8, 0], &data[..]].concat()
        };
        let crc = crc32fast::hash(b"n");
        assert_eq!(field(&make(1, crc, b"p"), b"n"), Field::Path(b"p"));
        assert_eq!(field(&make(1, crc, b""), b"n"), Field::Path(b"n"));
        assert!(matches!(
            field(&make(2, crc, b"p"), b"n"),
            Field::Warning(_)
        ));
        assert!(matches!(field(&make(1, 0, b"p"), b"n"), Field::Warning(_)));
        assert_eq!(field(b"up\x01\x00\x01", b"n"), Field::Nothing);
        assert_eq!(resolved(&make(1, crc, b"p"), b"n", true), b"n");
        let two = [make(1, crc, b"p"), make(1, crc, b"q")].concat();
        assert_eq!(field(&two, b"n"), Field::Path(b"q"));
    }
}
