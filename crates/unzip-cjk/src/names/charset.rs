//! The code pages that names are found in, and strict decoding from each.
//!
//! encoding_rs (the WHATWG Encoding Standard) knows those of Windows, Unix and East Asia, oem_cp those
//! of DOS. Names are those of iconv(1), which is what people know from `unzip -O`.

use encoding_rs::Encoding;
use oem_cp::code_table;

use super::johab;

/// Where a code page is at home; weighed against the system that an entry was made on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// An OEM page of DOS, which Windows Explorer and 7-Zip write to this day.
    Dos,
    /// The pages of East Asia, the same in DOS and Windows.
    East,
    /// An ANSI page of Windows.
    Windows,
    /// Seen in locales of Unix only.
    Unix,
    /// Of the classic Mac OS.
    Mac,
    /// UTF-8, of every system.
    Any,
}

#[derive(Debug)]
enum Table {
    Rs(&'static Encoding),
    Full(&'static [char; 128]),
    Holes(&'static [Option<char>; 128]),
    Johab,
}

/// What is known of one code page.
#[derive(Debug)]
struct Page {
    name: &'static str,
    /// Further names, in lower case and without `-` and `_`.
    labels: &'static [&'static str],
    home: Home,
    table: Table,
}

/// A code page, by reference to the table of all.
#[derive(Clone, Copy)]
pub(crate) struct Charset(&'static Page);

const fn page(
    name: &'static str,
    labels: &'static [&'static str],
    home: Home,
    table: Table,
) -> Page {
    Page {
        name,
        labels,
        home,
        table,
    }
}

use Home::{Any, Dos, East, Mac, Unix, Windows};
use Table::{Full, Holes, Johab, Rs};

static PAGES: &[Page] = &[
    page(
        "UTF-8",
        &["utf8", "cp65001", "65001"],
        Any,
        Rs(encoding_rs::UTF_8),
    ),
    // The decoder of GBK is that of GB18030, which is wider.
    page(
        "GB18030",
        &[
            "gb18030", "gbk", "gb2312", "euccn", "cp936", "ms936", "936", "cp54936", "54936",
        ],
        East,
        Rs(encoding_rs::GB18030),
    ),
    // With the characters of ETEN and of Hong Kong.
    page(
        "BIG5",
        &[
            "big5",
            "big5hkscs",
            "big5eten",
            "cp950",
            "ms950",
            "950",
            "cp951",
            "951",
        ],
        East,
        Rs(encoding_rs::BIG5),
    ),
    // With those of NEC and IBM.
    page(
        "CP932",
        &[
            "cp932",
            "ms932",
            "932",
            "sjis",
            "shiftjis",
            "mskanji",
            "windows31j",
            "cp943",
            "943",
        ],
        East,
        Rs(encoding_rs::SHIFT_JIS),
    ),
    page(
        "EUC-JP",
        &["eucjp", "ujis", "eucjpms", "cp51932", "51932", "cp20932"],
        Unix,
        Rs(encoding_rs::EUC_JP),
    ),
    page(
        "CP949",
        &[
            "cp949", "uhc", "ms949", "949", "euckr", "cp51949", "51949", "ksc5601", "ksx1001",
        ],
        East,
        Rs(encoding_rs::EUC_KR),
    ),
    page("JOHAB", &["johab", "cp1361", "ms1361", "1361"], East, Johab),
    page(
        "ISO-2022-JP",
        &["iso2022jp", "cp50220", "cp50221", "csiso2022jp"],
        Unix,
        Rs(encoding_rs::ISO_2022_JP),
    ),
    page(
        "CP437",
        &["cp437", "ibm437", "437"],
        Dos,
        Full(&code_table::DECODING_TABLE_CP437),
    ),
    page(
        "CP720",
        &["cp720", "ibm720", "720"],
        Dos,
        Full(&code_table::DECODING_TABLE_CP720),
    ),
    page(
        "CP737",
        &["cp737", "ibm737", "737"],
        Dos,
        Full(&code_table::DECODING_TABLE_CP737),
    ),
    page(
        "CP775",
        &["cp775", "ibm775", "775"],
        Dos,
        Full(&code_table::DECODING_TABLE_CP775),
    ),
    page(
        "CP850",
        &["cp850", "ibm850", "850"],
        Dos,
        Full(&code_table::DECODING_TABLE_CP850),
    ),
    page(
        "CP852",
        &["cp852", "ibm852", "852"],
        Dos,
        Full(&code_table::DECODING_TABLE_CP852),
    ),
    page(
        "CP855",
        &["cp855", "ibm855", "855"],
        Dos,
        Full(&code_table::DECODING_TABLE_CP855),
    ),
    page(
        "CP857",
        &["cp857", "ibm857", "857"],
        Dos,
        Holes(&code_table::DECODING_TABLE_CP857),
    ),
    page(
        "CP858",
        &["cp858", "ibm858", "858"],
        Dos,
        Full(&code_table::DECODING_TABLE_CP858),
    ),
    page(
        "CP860",
        &["cp860", "ibm860", "860"],
        Dos,
        Full(&code_table::DECODING_TABLE_CP860),
    ),
    page(
        "CP861",
        &["cp861", "ibm861", "861"],
        Dos,
        Full(&code_table::DECODING_TABLE_CP861),
    ),
    page(
        "CP862",
        &["cp862", "ibm862", "862"],
        Dos,
        Full(&code_table::DECODING_TABLE_CP862),
    ),
    page(
        "CP863",
        &["cp863", "ibm863", "863"],
        Dos,
        Full(&code_table::DECODING_TABLE_CP863),
    ),
    page(
        "CP864",
        &["cp864", "ibm864", "864"],
        Dos,
        Holes(&code_table::DECODING_TABLE_CP864),
    ),
    page(
        "CP865",
        &["cp865", "ibm865", "865"],
        Dos,
        Full(&code_table::DECODING_TABLE_CP865),
    ),
    page(
        "CP866",
        &["cp866", "ibm866", "866"],
        Dos,
        Rs(encoding_rs::IBM866),
    ),
    page(
        "CP869",
        &["cp869", "ibm869", "869"],
        Dos,
        Full(&code_table::DECODING_TABLE_CP869),
    ),
    page(
        "CP874",
        &[
            "cp874",
            "windows874",
            "ibm874",
            "874",
            "tis620",
            "iso885911",
        ],
        East,
        Rs(encoding_rs::WINDOWS_874),
    ),
    page(
        "CP1250",
        &["cp1250", "windows1250", "1250"],
        Windows,
        Rs(encoding_rs::WINDOWS_1250),
    ),
    page(
        "CP1251",
        &["cp1251", "windows1251", "1251"],
        Windows,
        Rs(encoding_rs::WINDOWS_1251),
    ),
    page(
        "CP1252",
        &[
            "cp1252",
            "windows1252",
            "1252",
            "iso88591",
            "latin1",
            "ascii",
            "usascii",
        ],
        Windows,
        Rs(encoding_rs::WINDOWS_1252),
    ),
    page(
        "CP1253",
        &["cp1253", "windows1253", "1253"],
        Windows,
        Rs(encoding_rs::WINDOWS_1253),
    ),
    page(
        "CP1254",
        &["cp1254", "windows1254", "1254", "iso88599", "latin5"],
        Windows,
        Rs(encoding_rs::WINDOWS_1254),
    ),
    page(
        "CP1255",
        &["cp1255", "windows1255", "1255"],
        Windows,
        Rs(encoding_rs::WINDOWS_1255),
    ),
    page(
        "CP1256",
        &["cp1256", "windows1256", "1256"],
        Windows,
        Rs(encoding_rs::WINDOWS_1256),
    ),
    page(
        "CP1257",
        &["cp1257", "windows1257", "1257"],
        Windows,
        Rs(encoding_rs::WINDOWS_1257),
    ),
    page(
        "CP1258",
        &["cp1258", "windows1258", "1258"],
        Windows,
        Rs(encoding_rs::WINDOWS_1258),
    ),
    page(
        "KOI8-R",
        &["koi8r", "cp20866", "20866"],
        Unix,
        Rs(encoding_rs::KOI8_R),
    ),
    page(
        "KOI8-U",
        &["koi8u", "koi8ru", "cp21866", "21866"],
        Unix,
        Rs(encoding_rs::KOI8_U),
    ),
    page(
        "ISO-8859-2",
        &["iso88592", "latin2"],
        Unix,
        Rs(encoding_rs::ISO_8859_2),
    ),
    page(
        "ISO-8859-5",
        &["iso88595"],
        Unix,
        Rs(encoding_rs::ISO_8859_5),
    ),
    page(
        "ISO-8859-7",
        &["iso88597"],
        Unix,
        Rs(encoding_rs::ISO_8859_7),
    ),
    page(
        "ISO-8859-8",
        &["iso88598"],
        Unix,
        Rs(encoding_rs::ISO_8859_8),
    ),
    page(
        "ISO-8859-13",
        &["iso885913", "latin7"],
        Unix,
        Rs(encoding_rs::ISO_8859_13),
    ),
    page(
        "ISO-8859-15",
        &["iso885915", "latin9"],
        Unix,
        Rs(encoding_rs::ISO_8859_15),
    ),
    page(
        "MACINTOSH",
        &["macintosh", "macroman", "mac"],
        Mac,
        Rs(encoding_rs::MACINTOSH),
    ),
    page(
        "MAC-CYRILLIC",
        &["maccyrillic", "xmaccyrillic", "macukraine"],
        Mac,
        Rs(encoding_rs::X_MAC_CYRILLIC),
    ),
];

impl Charset {
    /// UTF-8.
    pub(crate) const UTF_8: Charset = Charset(&PAGES[0]);

    /// All that are known.
    pub(crate) fn all() -> impl Iterator<Item = Charset> {
        PAGES.iter().map(Charset)
    }

    /// The code page of that name: `GBK`, `cp936`, `Shift_JIS`, `windows-1251`, `866` …
    pub(crate) fn by_label(label: &str) -> Option<Charset> {
        let plain: String = label
            .chars()
            .filter(|c| !matches!(c, '-' | '_' | ' '))
            .map(|c| c.to_ascii_lowercase())
            .collect();
        // iconv's suffixes change what happens to characters that have no equivalent.
        let plain = plain.split("//").next().unwrap_or_default();
        Charset::all()
            .find(|known| known.0.labels.contains(&plain))
            .or_else(|| {
                let found = Encoding::for_label(label.as_bytes())?;
                Charset::all().find(|known| matches!(known.0.table, Rs(e) if e == found))
            })
    }

    /// What iconv(1) calls it.
    pub(crate) fn name(self) -> &'static str {
        self.0.name
    }

    /// Where it is at home.
    pub(crate) fn home(self) -> Home {
        self.0.home
    }

    /// Whether characters beyond ASCII take two bytes.
    pub(crate) fn is_double_byte(self) -> bool {
        match self.0.table {
            Rs(encoding) => !encoding.is_single_byte(),
            Johab => true,
            Full(_) | Holes(_) => false,
        }
    }

    /// The text of `bytes`; `None` if they are not all of this code page.
    pub(crate) fn decode(self, bytes: &[u8]) -> Option<String> {
        let single = |c: &dyn Fn(u8) -> Option<char>| {
            let wide = |b: &u8| {
                if b.is_ascii() {
                    Some(char::from(*b))
                } else {
                    c(b & 0x7F)
                }
            };
            bytes.iter().map(wide).collect()
        };
        match self.0.table {
            Rs(encoding) => encoding
                .decode_without_bom_handling_and_without_replacement(bytes)
                .map(std::borrow::Cow::into_owned),
            Full(table) => single(&|b| Some(table[usize::from(b)])),
            Holes(table) => single(&|b| table[usize::from(b)]),
            Johab => johab::decode(bytes),
        }
    }
}

impl PartialEq for Charset {
    fn eq(&self, other: &Charset) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for Charset {}

impl std::fmt::Debug for Charset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_name_one_page_each() {
        let mut seen = std::collections::BTreeSet::new();
        for charset in Charset::all() {
            assert_eq!(Charset::by_label(charset.name()), Some(charset));
            for label in charset.0.labels {
                assert!(seen.insert(*label), "{label}");
            }
        }
        for (label, name) in [
            ("gbk", "GB18030"),
            ("GB2312", "GB18030"),
            ("Shift_JIS", "CP932"),
            ("sjis", "CP932"),
            ("windows-1251", "CP1251"),
            ("866", "CP866"),
            ("big5-hkscs", "BIG5"),
            ("UHC", "CP949"),
            ("x-sjis", "CP932"),
            ("UTF8", "UTF-8"),
            ("CP850//TRANSLIT", "CP850"),
        ] {
            assert_eq!(
                Charset::by_label(label).map(Charset::name),
                Some(name),
                "{label}"
            );
        }
        assert_eq!(Charset::by_label("auto"), None);
        assert_eq!(Charset::by_label(""), None);
    }

    #[test]
    fn decoding_is_strict() {
        let decode = |label: &str, bytes: &[u8]| Charset::by_label(label).unwrap().decode(bytes);
        assert_eq!(decode("gbk", b"\xd6\xd0\xce\xc4").as_deref(), Some("中文"));
        assert_eq!(decode("gbk", b"\xd6\xd0\xce"), None);
        assert_eq!(decode("cp932", b"\x95\x5c.txt").as_deref(), Some("表.txt"));
        assert_eq!(decode("cp932", b"\x87\x40\xfa\x40").as_deref(), Some("①ⅰ"));
        assert_eq!(decode("big5", b"\xf9\xd6\xa5\x5c").as_deref(), Some("碁功"));
        assert_eq!(
            decode("cp949", b"\xb0\xa1\x81\x41").as_deref(),
            Some("가갂")
        );
        assert_eq!(decode("cp850", b"\x9b\x81").as_deref(), Some("øü"));
        assert_eq!(decode("cp437", b"\x9b\x81").as_deref(), Some("¢ü"));
        assert_eq!(decode("cp857", b"\xd5"), None);
        assert_eq!(decode("utf-8", b"\xc0\xaf"), None);
    }
}
