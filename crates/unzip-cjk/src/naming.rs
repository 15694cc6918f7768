//! The names of entries as this run uses them.

use crate::TOOL;
use crate::args::Options;
use crate::directory::{Entry, FLAG_UTF8, host};
use crate::names::How;
use crate::names::{self, Charset, Locale, Verdict};
use std::ffi::OsStr;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;

/// How sure the names are.
#[derive(Debug)]
pub(crate) struct Found {
    /// What was found out of their encoding, if that was necessary.
    pub(crate) verdict: Option<Verdict>,
    /// How many could not be decoded.
    pub(crate) escaped: usize,
}

impl Found {
    /// Says, on stderr whatever the options, what a user should know before relying on the names.
    pub(crate) fn report(&self, archive: &[u8]) {
        /// Bits; below, another encoding may be as good.
        const GUESS: f64 = 5.0;
        let archive = cli::diag::name(OsStr::from_bytes(archive));
        if let Some(verdict) = &self.verdict
            && verdict.confidence < GUESS
        {
            let charset = verdict.charset.name();
            let line = format!(
                "{archive}: names taken for {charset}, but this is a guess (see -l --guess)"
            );
            cli::diag::report(TOOL, line);
        }
        if self.escaped > 0 {
            let many = self.escaped;
            let line = format!("{archive}: {many} names cannot be decoded and are escaped");
            cli::diag::report(TOOL, line);
        }
    }
}

/// Decodes the names and comments of all entries, and puts names into lower case where that is asked
/// for.
pub(crate) fn name(entries: &mut [Entry], options: &Options) -> Found {
    // -UU: no mark of UTF-8 counts, only what the bytes are.
    let marks = options.unicode < 2;
    let told = |label: &Option<String>| label.as_deref().and_then(Charset::by_label);
    let how = names::Options {
        dos: told(&options.dos_charset),
        unix: told(&options.unix_charset),
        raw: options.raw_names,
        locale: Locale::of_environment(),
    };
    let raw: Vec<names::Entry> = entries
        .iter()
        .map(|entry| names::Entry {
            name: &entry.raw_name,
            comment: &entry.comment,
            host: entry.raw_host,
            utf8: marks && entry.flags & FLAG_UTF8 != 0,
            extra: if marks { &entry.extra } else { &[] },
        })
        .collect();
    let decoded = names::decode_all(&raw, &how);
    let escaped_names = decoded.names.iter().filter(|name| name.how == How::Escaped);
    let escaped_names = escaped_names.count();
    for (entry, name) in entries.iter_mut().zip(decoded.names) {
        entry.name = name.text;
        entry.comment_text = name.comment;
        if options.unicode == 1 {
            entry.name = escaped(&entry.name);
        }
        if is_lowered(entry, options) {
            entry.lowered = true;
            entry.name = lower(&entry.name);
        }
        if entry.is_volume_label() && entry.name.get(8) == Some(&b'.') {
            entry.name.remove(8);
        }
    }
    Found {
        verdict: decoded.verdict,
        escaped: escaped_names,
    }
}

fn is_lowered(entry: &Entry, options: &Options) -> bool {
    let one_case = matches!(
        entry.host,
        host::FAT | host::CPM | host::VM_CMS | host::MVS | host::TANDEM | host::TOPS20 | host::VMS
    );
    let asked = options.lower > 1 || (options.lower == 1 && one_case);
    asked && !entry.is_volume_label() && options.zipinfo.is_none()
}

fn lower(name: &[u8]) -> Vec<u8> {
    let mut lowered = Vec::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        lowered.extend(chunk.valid().to_lowercase().into_bytes());
        lowered.extend(chunk.invalid());
    }
    lowered
}

/// Characters beyond ASCII as `#U` and four digits, or `#L` and six.
fn escaped(name: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        let mut valid = String::new();
        for c in chunk.valid().chars() {
            // A String takes everything.
            let _ = match u32::from(c) {
                0..0x80 => write!(valid, "{c}"),
                code @ ..0x10000 => write!(valid, "#U{code:04x}"),
                code => write!(valid, "#L{code:06x}"),
            };
        }
        text.extend(valid.into_bytes());
        text.extend(chunk.invalid());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_of_info_zip() {
        assert_eq!(escaped("aé文𝄞".as_bytes()), b"a#U00e9#U6587#L01d11e");
    }
}
