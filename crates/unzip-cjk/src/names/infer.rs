//! Which code page the names of an archive are in: the one that makes them the most probable names.
//!
//! That is Bayes' rule with costs for logarithms: what the names cost in the language that they cost
//! least in, plus what the code page costs, which is less for common ones, for those at home on the
//! system that the entries were made on, and for those of the locale. None of these weighs more than
//! a character or so, so that three names outweigh them all.

use std::collections::BTreeSet;

use super::charset::{Charset, Home};
use super::locale::Locale;
use super::model::{BIT, LANGUAGES, Model};

/// The system that an entry was made on, as far as names go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    /// DOS, Windows or OS/2.
    Dos,
    /// Unix and its like.
    Unix,
    /// The classic Mac OS.
    Mac,
    /// Any other.
    Other,
}

impl System {
    /// By the upper byte of "version made by" (APPNOTE 4.4.2). Info-ZIP writes 11 for NTFS.
    pub(crate) fn of_host(host: u8) -> System {
        match host {
            0 | 6 | 10 | 11 | 14 => System::Dos,
            3 | 5 | 16 | 18 | 19 | 30 => System::Unix,
            7 => System::Mac,
            _ => System::Other,
        }
    }
}

/// Some bytes that are text: a name, a comment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample<'a> {
    /// The bytes.
    pub(crate) bytes: &'a [u8],
    /// What they were made on.
    pub(crate) made_on: System,
}

/// What was inferred.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    /// The code page to use.
    pub(crate) charset: Charset,
    /// Bits between it and the best one that gives other text: below some five it is a guess.
    pub(crate) confidence: f64,
    /// Every code page that all or most samples fit, the likeliest first, with its score: the bits
    /// that it costs more than the first.
    pub(crate) candidates: Vec<(Charset, f64)>,
}

/// Samples that are looked at; of more, these many spread over all.
const MOST: usize = 200;
/// A sample that is not of the code page, and each byte of it: more than the worst text.
const MISFIT: u32 = 30 * BIT;
const MISFIT_BYTE: u32 = 9 * BIT;
/// What a code page of the locale costs less.
const LOCALE: u32 = 4 * BIT;
/// Confidence below which the locale decides.
const GUESS: u32 = 3 * BIT;

/// The code pages that are looked for, what each costs to begin with in bits, and its languages.
const CANDIDATES: &[(&str, u32, &[&str])] = &[
    ("GB18030", 0, &["zh"]),
    ("BIG5", 1, &["zh-Hant"]),
    ("CP932", 0, &["ja"]),
    ("EUC-JP", 2, &["ja"]),
    ("CP949", 1, &["ko"]),
    ("JOHAB", 10, &["ko"]),
    (
        "CP437",
        2,
        &["de", "fr", "es", "it", "sv", "nl", "en", "fi", "ca"],
    ),
    (
        "CP850",
        1,
        &[
            "de", "fr", "es", "it", "pt", "sv", "da", "no", "fi", "is", "nl", "ca",
        ],
    ),
    (
        "CP858",
        6,
        &[
            "de", "fr", "es", "it", "pt", "sv", "da", "no", "fi", "is", "nl", "ca",
        ],
    ),
    (
        "CP852",
        1,
        &["pl", "cs", "sk", "hu", "hr", "sl", "ro", "de", "sq"],
    ),
    ("CP855", 6, &["sr", "mk", "bg", "ru"]),
    ("CP857", 2, &["tr"]),
    ("CP860", 6, &["pt"]),
    ("CP861", 6, &["is"]),
    ("CP863", 6, &["fr"]),
    ("CP865", 5, &["no", "da"]),
    ("CP866", 0, &["ru", "uk", "be", "bg"]),
    ("CP737", 3, &["el"]),
    ("CP869", 5, &["el"]),
    ("CP862", 2, &["he"]),
    ("CP720", 5, &["ar"]),
    ("CP775", 3, &["lt", "lv", "et"]),
    ("CP874", 3, &["th"]),
    (
        "CP1250",
        1,
        &["pl", "cs", "sk", "hu", "hr", "sl", "ro", "de", "sq"],
    ),
    ("CP1251", 0, &["ru", "uk", "be", "bg", "sr", "mk"]),
    (
        "CP1252",
        0,
        &[
            "de", "fr", "es", "pt", "it", "nl", "sv", "da", "no", "fi", "is", "ca", "en",
        ],
    ),
    ("CP1253", 4, &["el"]),
    ("CP1254", 1, &["tr"]),
    ("CP1255", 2, &["he"]),
    ("CP1256", 4, &["ar", "fa"]),
    ("CP1257", 2, &["lt", "lv", "et"]),
    ("CP1258", 4, &["vi"]),
    ("KOI8-R", 2, &["ru"]),
    ("KOI8-U", 4, &["uk", "ru"]),
    ("ISO-8859-2", 5, &["pl", "cs", "sk", "hu", "hr", "sl", "ro"]),
    ("ISO-8859-5", 7, &["ru", "sr", "bg"]),
    ("ISO-8859-7", 5, &["el"]),
    ("ISO-8859-8", 7, &["he"]),
    ("ISO-8859-15", 6, &["fr", "fi"]),
    (
        "MACINTOSH",
        6,
        &["de", "fr", "es", "it", "pt", "sv", "da", "no", "en"],
    ),
    ("MAC-CYRILLIC", 7, &["ru", "uk"]),
];

/// Languages that fewer archives are in, with what that costs in bits.
const UNCOMMON: &[(&str, u32)] = &[
    ("is", 4),
    ("sq", 4),
    ("en", 4),
    ("lv", 3),
    ("lt", 3),
    ("et", 3),
    ("be", 3),
    ("mk", 3),
    ("sr", 2),
    ("vi", 2),
    ("ca", 2),
    ("sl", 2),
    ("bg", 1),
    ("da", 1),
    ("fa", 1),
    ("fi", 1),
    ("hr", 1),
    ("no", 1),
    ("ro", 1),
    ("sk", 1),
];

/// How well one code page fits.
struct Fit {
    charset: Charset,
    cost: u32,
    texts: Vec<Option<String>>,
}

/// Infers the code page of `samples`, which are not UTF-8; `None` if ASCII says it all.
pub(crate) fn infer(samples: &[Sample], locale: Option<&Locale>) -> Option<Verdict> {
    let samples = distinct(samples);
    if samples.is_empty() {
        return None;
    }
    let fits = fits(&samples, locale);
    let best = fits.first()?.cost;
    let sure = verdict(&fits, 0);
    if let Some(locale) = locale
        && sure.confidence < bits(GUESS)
        && let Some(own) = fits.iter().position(|fit| {
            fit.cost < best + 2 * GUESS && locale.charsets().first() == Some(&fit.charset)
        })
    {
        return Some(verdict(&fits, own));
    }
    Some(sure)
}

/// What it means to take `fits[chosen]`.
fn verdict(fits: &[Fit], chosen: usize) -> Verdict {
    let Fit {
        charset,
        cost,
        texts,
    } = &fits[chosen];
    let rivals = fits.iter().filter(|fit| fit.texts != *texts);
    let second = rivals.map(|fit| fit.cost).min();
    let margin = second.map_or(f64::INFINITY, |second| bits(second) - bits(*cost));
    Verdict {
        charset: *charset,
        confidence: margin.max(0.0),
        candidates: fits
            .iter()
            .map(|fit| (fit.charset, bits(fit.cost - fits[0].cost)))
            .collect(),
    }
}

/// A cost as bits.
fn bits(cost: u32) -> f64 {
    f64::from(cost) / f64::from(BIT)
}

/// Characters of more than one byte in names that are UTF-8, from which on it is no accident.
const NO_ACCIDENT: usize = 12;
/// What a legacy code page costs where all bytes are UTF-8.
const NOT_UTF8: u32 = 3 * BIT;
/// What UTF-8 costs where all else is in a legacy code page of two bytes a character, or of one, in
/// which longer words of UTF-8 are sheer nonsense.
const LONE_UTF8: u32 = 18 * BIT;
const LONE_UTF8_AMONG_BYTES: u32 = 30 * BIT;

/// Whether these samples, which all are UTF-8, are something else all the same: a few characters of
/// Chinese or Thai are valid UTF-8 by accident. `charset` is that of the archive's other names.
pub(crate) fn only_looks_like_utf8(
    samples: &[Sample],
    charset: Option<Charset>,
    locale: Option<&Locale>,
) -> Option<Verdict> {
    let samples = distinct(samples);
    let texts = samples
        .iter()
        .map(|sample| std::str::from_utf8(sample.bytes));
    let texts: Vec<&str> = texts.collect::<Result<_, _>>().ok()?;
    let wide = texts
        .iter()
        .flat_map(|text| text.chars())
        .filter(|c| !c.is_ascii());
    if samples.is_empty() || wide.count() >= NO_ACCIDENT {
        return None;
    }
    let in_language = |language: usize| -> u32 {
        let costs = texts.iter().map(|text| Model::get().cost(language, text));
        costs.fold(0, u32::saturating_add)
    };
    let utf8 = (0..LANGUAGES.len()).map(in_language).min()?;
    let utf8 = utf8.min(
        texts
            .iter()
            .map(|text| Model::get().cost_of_any(text))
            .sum(),
    );
    let fits = match charset {
        Some(known) => {
            let (_, _, languages) = CANDIDATES.iter().find(|(name, ..)| *name == known.name())?;
            Vec::from_iter(fit(known, 0, languages, &samples, None))
        }
        None => fits(&samples, locale),
    };
    let best = fits.first()?;
    let prior = match charset {
        Some(known) if known.is_double_byte() => LONE_UTF8,
        Some(_) => LONE_UTF8_AMONG_BYTES,
        None => 0,
    };
    let more = match charset {
        Some(_) => 0,
        None => NOT_UTF8,
    };
    let utf8 = utf8.saturating_add(prior);
    if best.cost.saturating_add(more) >= utf8 || !best.texts.iter().all(Option::is_some) {
        return None;
    }
    let mut verdict = verdict(&fits, 0);
    let at = fits.partition_point(|fit| fit.cost <= utf8);
    let behind = bits(utf8 - best.cost);
    verdict.candidates.insert(at, (Charset::UTF_8, behind));
    verdict.confidence = verdict.confidence.min(behind);
    Some(verdict)
}

/// Samples that every code page is tried with; the likely ones are tried with all.
const FIRST: usize = 24;
/// Bits behind the best one after these, from which on a code page is out of the question.
const HOPELESS: u32 = 80 * BIT;

/// How every code page fits, the best first.
fn fits(samples: &[Sample], locale: Option<&Locale>) -> Vec<Fit> {
    let try_with = |(name, bits, languages): &(&str, u32, &[&str]), samples: &[Sample]| {
        fit(Charset::by_label(name)?, *bits, languages, samples, locale)
    };
    let step = samples.len().div_ceil(FIRST).max(1);
    let some: Vec<Sample> = samples.iter().step_by(step).copied().collect();
    let tried = CANDIDATES
        .iter()
        .filter_map(|page| Some((page, try_with(page, &some)?)));
    let mut tried: Vec<_> = tried.collect();
    tried.sort_by_key(|(_, fit)| fit.cost);
    if step == 1 {
        return tried.into_iter().map(|(_, fit)| fit).collect();
    }
    let best = tried.first().map_or(0, |(_, fit)| fit.cost);
    let likely = |(_, fit): &(_, Fit)| fit.cost <= best.saturating_add(HOPELESS);
    let (likely, hopeless): (Vec<_>, Vec<_>) = tried.into_iter().partition(likely);
    let mut fits: Vec<Fit> = likely
        .into_iter()
        .filter_map(|(page, _)| try_with(page, samples))
        .collect();
    fits.sort_by_key(|fit| fit.cost);
    let last = fits.last().map_or(0, |fit| fit.cost);
    // How far behind these would be with all samples is not known, nor of interest.
    fits.extend(hopeless.into_iter().map(|(_, fit)| Fit {
        cost: last.saturating_add(fit.cost - best),
        ..fit
    }));
    fits
}

/// Each sample that is not ASCII once, and no more than a bounded number of them.
fn distinct<'a>(samples: &[Sample<'a>]) -> Vec<Sample<'a>> {
    let mut seen = BTreeSet::new();
    let mut kept: Vec<Sample> = Vec::new();
    for sample in samples {
        // Folders come with every name below them.
        let parts = sample.bytes.split_inclusive(|b| *b == b'/');
        for bytes in parts {
            if !bytes.is_ascii() && seen.insert(bytes) {
                kept.push(Sample { bytes, ..*sample });
            }
        }
    }
    let step = kept.len().div_ceil(MOST).max(1);
    kept.into_iter().step_by(step).collect()
}

fn fit(
    charset: Charset,
    bits: u32,
    languages: &[&str],
    samples: &[Sample],
    locale: Option<&Locale>,
) -> Option<Fit> {
    let texts: Vec<_> = samples
        .iter()
        .map(|sample| charset.decode(sample.bytes))
        .collect();
    // Of a mix, the page that most of it is in.
    if texts.iter().flatten().count() * 2 < samples.len() {
        return None;
    }
    let misfits = samples
        .iter()
        .zip(&texts)
        .filter(|(_, text)| text.is_none());
    let misfits: u32 = misfits
        .map(|(sample, _)| {
            let len = u32::try_from(sample.bytes.len()).unwrap_or(u32::MAX);
            MISFIT_BYTE.saturating_mul(len).saturating_add(MISFIT)
        })
        .fold(0, u32::saturating_add);
    let texts_cost = |code: &&str| {
        let (_, bits) = UNCOMMON
            .iter()
            .find(|(rare, _)| rare == code)
            .unwrap_or(&("", 0));
        let language = LANGUAGES.iter().position(|(known, _)| known == code)?;
        let costs = texts.iter().flatten();
        let costs = costs.map(|text| Model::get().cost(language, text));
        Some(costs.fold(bits * BIT, u32::saturating_add))
    };
    let names = languages.iter().filter_map(texts_cost).min()?;
    let home = samples
        .iter()
        .map(|sample| away(charset.home(), sample.made_on))
        .max()
        .unwrap_or_default();
    let locale = match locale {
        Some(locale) if locale.charsets().contains(&charset) => 0,
        _ => LOCALE,
    };
    let cost = names
        .saturating_add(misfits)
        .saturating_add(bits * BIT + home + locale);
    Some(Fit {
        charset,
        cost,
        texts,
    })
}

/// What it costs that a page of `home` was used on that system.
fn away(home: Home, made_on: System) -> u32 {
    let half_bits = match (home, made_on) {
        (Home::Any | Home::East, _) => 0,
        (Home::Dos, System::Dos) => 0,
        (Home::Dos, System::Mac) => 6,
        (Home::Dos, _) => 1,
        (Home::Windows, System::Dos) => 1,
        (Home::Windows, System::Mac) => 6,
        (Home::Windows, _) => 0,
        (Home::Unix, System::Unix) => 0,
        (Home::Unix, _) => 3,
        (Home::Mac, System::Mac) => 0,
        (Home::Mac, _) => 12,
    };
    half_bits * BIT / 2
}
