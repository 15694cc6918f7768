//! What the locale says of code pages: a hint, never more.

use std::ffi::OsStr;

use super::charset::Charset;

/// The language of the user, and the code pages that go with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Locale {
    charsets: Vec<Charset>,
}

/// Of each language: the OEM page of its Windows, then the ANSI page, then what Unix had.
const PAGES: &[(&str, &[&str])] = &[
    ("zh_TW", &["BIG5"]),
    ("zh_HK", &["BIG5"]),
    ("zh_MO", &["BIG5"]),
    ("zh", &["GB18030"]),
    ("ja", &["CP932", "EUC-JP"]),
    ("ko", &["CP949", "JOHAB"]),
    ("th", &["CP874"]),
    ("vi", &["CP1258"]),
    ("ru", &["CP866", "CP1251", "KOI8-R"]),
    ("uk", &["CP866", "CP1251", "KOI8-U"]),
    ("be", &["CP866", "CP1251"]),
    ("bg", &["CP866", "CP1251"]),
    ("mk", &["CP855", "CP1251"]),
    ("sr", &["CP855", "CP1251", "CP852", "CP1250"]),
    ("pl", &["CP852", "CP1250", "ISO-8859-2"]),
    ("cs", &["CP852", "CP1250", "ISO-8859-2"]),
    ("sk", &["CP852", "CP1250", "ISO-8859-2"]),
    ("hu", &["CP852", "CP1250", "ISO-8859-2"]),
    ("ro", &["CP852", "CP1250", "ISO-8859-2"]),
    ("hr", &["CP852", "CP1250", "ISO-8859-2"]),
    ("sl", &["CP852", "CP1250", "ISO-8859-2"]),
    ("bs", &["CP852", "CP1250", "ISO-8859-2"]),
    ("sq", &["CP852", "CP1250"]),
    ("et", &["CP775", "CP1257"]),
    ("lv", &["CP775", "CP1257"]),
    ("lt", &["CP775", "CP1257"]),
    ("el", &["CP737", "CP1253", "ISO-8859-7"]),
    ("tr", &["CP857", "CP1254"]),
    ("az", &["CP857", "CP1254"]),
    ("he", &["CP862", "CP1255"]),
    ("ar", &["CP720", "CP1256"]),
    ("fa", &["CP720", "CP1256"]),
    ("en_US", &["CP437", "CP1252"]),
    ("pt_BR", &["CP850", "CP1252"]),
    ("pt", &["CP850", "CP1252", "CP860"]),
    ("is", &["CP850", "CP1252", "CP861"]),
    ("da", &["CP850", "CP1252", "CP865"]),
    ("nb", &["CP850", "CP1252", "CP865"]),
];

/// Of every other language.
const WEST: &[&str] = &["CP850", "CP1252", "CP437"];

impl Locale {
    /// The locale of the environment, by the order of precedence of setlocale(3) for character types.
    pub(crate) fn of_environment() -> Option<Locale> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let value = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set)?;
        Locale::parse(&value)
    }

    /// `language[_TERRITORY][.codeset][@modifier]`; `None` for C and POSIX, which say nothing.
    pub(crate) fn parse(value: &OsStr) -> Option<Locale> {
        let value = value.to_str()?;
        let (value, _) = value.split_once('@').unwrap_or((value, ""));
        let (place, codeset) = value.split_once('.').unwrap_or((value, ""));
        if matches!(place, "C" | "POSIX" | "") {
            return None;
        }
        let (language, _) = place.split_once('_').unwrap_or((place, ""));
        let pages = PAGES
            .iter()
            .find(|(known, _)| *known == place || *known == language)
            .map_or(WEST, |(_, pages)| pages);
        let own = Charset::by_label(codeset).filter(|own| *own != Charset::UTF_8);
        let pages = pages.iter().filter_map(|page| Charset::by_label(page));
        let mut charsets: Vec<Charset> = pages.collect();
        if let Some(own) = own.filter(|own| !charsets.contains(own)) {
            charsets.push(own);
        }
        Some(Locale { charsets })
    }

    /// The code pages, the OEM page first.
    pub(crate) fn charsets(&self) -> &[Charset] {
        &self.charsets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(value: &str) -> Option<&'static str> {
        Locale::parse(value.as_ref()).map(|locale| locale.charsets()[0].name())
    }

    #[test]
    fn languages_have_oem_pages() {
        assert_eq!(first("zh_CN.UTF-8"), Some("GB18030"));
        assert_eq!(first("zh_TW"), Some("BIG5"));
        assert_eq!(first("ru_RU.KOI8-R"), Some("CP866"));
        assert_eq!(first("de_DE@euro"), Some("CP850"));
        assert_eq!(first("en_US.UTF-8"), Some("CP437"));
        assert_eq!(first("C.UTF-8"), None);
        assert_eq!(first("POSIX"), None);
        assert_eq!(first(""), None);
    }

    #[test]
    fn every_page_is_known() {
        for (language, pages) in PAGES {
            for page in *pages {
                assert!(Charset::by_label(page).is_some(), "{language} {page}");
            }
        }
    }
}
