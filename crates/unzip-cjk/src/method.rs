//! The names of compression methods, in the forms that the listings and messages have.

use crate::directory::*;

/// Number; in `-v`; in `zipinfo`; in `zipinfo -v`; in messages. A `#` is the kind of deflation.
type Names = (u16, &'static str, &'static str, &'static str, &'static str);

/// What Info-ZIP knows, and after it what is newer: there the lists show the number.
const METHODS: [Names; 17] = [
    (STORED, "Stored", "stor", "none (stored)", "store"),
    (SHRUNK, "Shrunk", "shrk", "shrunk", "shrink"),
    (2, "Reduce1", "re:1", "reduced (factor 1)", "reduce"),
    (3, "Reduce2", "re:2", "reduced (factor 2)", "reduce"),
    (4, "Reduce3", "re:3", "reduced (factor 3)", "reduce"),
    (5, "Reduce4", "re:4", "reduced (factor 4)", "reduce"),
    (IMPLODED, "Implode", "i#:#", "imploded", "implode"),
    (7, "Token", "tokn", "tokenized", "tokenize"),
    (DEFLATED, "Defl:#", "def#", "deflated", "deflate"),
    (
        DEFLATED_64,
        "Def64#",
        "d64#",
        "deflated (enhanced-64k)",
        "deflate64",
    ),
    (10, "ImplDCL", "dcli", "imploded (PK DCL)", "DCL implode"),
    (BZIPPED, "BZip2", "bzp2", "bzipped", "bzip2"),
    (LZMA, "LZMA", "lzma", "LZMA-ed", "LZMA"),
    (18, "Terse", "ters", "tersed (IBM)", "IBM/Terse"),
    (19, "IBMLZ77", "lz77", "LZ77-compressed (IBM)", "IBM LZ77"),
    (97, "WavPack", "wavp", "WavPacked", "WavPack"),
    (PPMD, "PPMd", "ppmd", "PPMd-ed", "PPMd"),
];

fn find(method: u16) -> Option<&'static Names> {
    METHODS.iter().find(|names| names.0 == method)
}

/// `normal`, `maximum`, `fast`, `superfast`, as bits 1 and 2 of the flags say.
fn kind(flags: u16) -> usize {
    usize::from(flags >> 1 & 3)
}

/// As `unzip -v` shows it.
pub(crate) fn in_list(method: u16, flags: u16) -> String {
    let letter = &"NXFS"[kind(flags)..][..1];
    match find(method) {
        Some(names) => names.1.replace('#', letter),
        None if method <= 999 => format!("Unk:{method:03}"),
        None => format!("Unk{method:04X}"),
    }
}

/// As `zipinfo` shows it.
pub(crate) fn in_short(method: u16, flags: u16) -> String {
    match find(method) {
        Some(_) if method == IMPLODED => {
            let window = if flags & 2 != 0 { '8' } else { '4' };
            let trees = if flags & 4 != 0 { '3' } else { '2' };
            format!("i{window}:{trees}")
        }
        Some(names) => names.2.replace('#', &"NXFS"[kind(flags)..][..1]),
        None if method <= 999 => format!("u{method:03}"),
        None => format!("{method:04X}"),
    }
}

/// As `zipinfo -v` shows it.
pub(crate) fn in_long(method: u16) -> String {
    find(method).map_or_else(|| format!("unknown ({method})"), |names| names.3.to_owned())
}

pub(crate) fn subtype(flags: u16) -> &'static str {
    ["normal", "maximum", "fast", "superfast"][kind(flags)]
}

/// Why an entry is skipped.
pub(crate) fn unsupported(method: u16) -> String {
    match find(method) {
        Some(names) => format!("`{}' method not supported", names.4),
        None => format!("unsupported compression method {method}"),
    }
}

/// Whether entries of this method can be extracted.
pub(crate) fn is_supported(method: u16) -> bool {
    matches!(
        method,
        STORED..=IMPLODED | DEFLATED | DEFLATED_64 | BZIPPED | LZMA | ZSTD | XZ | PPMD
    )
}

/// What is done with an entry: this, and `ing: NAME`.
pub(crate) fn verb(method: u16) -> &'static str {
    match method {
        SHRUNK => "unshrink",
        IMPLODED => "explod",
        DEFLATED | DEFLATED_64 => "inflat",
        BZIPPED => "bunzipp",
        _ => "extract",
    }
}

/// What failed: invalid compressed data to do this.
pub(crate) fn to_do(method: u16) -> &'static str {
    match method {
        SHRUNK => "unshrink",
        IMPLODED => "explode",
        STORED | DEFLATED | DEFLATED_64 => "inflate",
        BZIPPED => "bunzip",
        _ => "extract",
    }
}
