//! Measuring the name model: archives of names made from word lists, in every code page.
//!
//! An archive counts as right only if every name of it is. The names have the shapes that people give
//! files: a word or three, numbers, an English word, an extension, folders.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::model_sources::{self, MEASURED_WITH};
use crate::unzip_cjk::names::{Charset, Decoded, Entry, Locale, Options, decode_all};

/// Code page and list of words.
const PROFILES: &[(&str, &str)] = &[
    ("GBK", "zh_CN"),
    ("GB18030", "zh_CN"),
    ("BIG5", "zh_TW"),
    ("CP932", "ja"),
    ("EUC-JP", "ja"),
    ("CP949", "ko"),
    ("CP866", "ru"),
    ("CP1251", "ru"),
    ("KOI8-R", "ru"),
    ("CP866", "uk"),
    ("CP1251", "uk"),
    ("CP850", "de"),
    ("CP437", "fr"),
    ("CP850", "fr"),
    ("CP850", "es"),
    ("CP1252", "de"),
    ("CP1252", "fr"),
    ("CP852", "pl"),
    ("CP1250", "pl"),
    ("CP852", "cs"),
    ("CP1250", "cs"),
    ("CP857", "tr"),
    ("CP1254", "tr"),
    ("CP737", "el"),
    ("CP1253", "el"),
    ("CP862", "he"),
    ("CP1255", "he"),
    ("CP874", "th"),
    ("UTF-8", "zh_CN"),
    ("UTF-8", "zh_TW"),
    ("UTF-8", "ja"),
    ("UTF-8", "ko"),
    ("UTF-8", "ru"),
    ("UTF-8", "de"),
    ("UTF-8", "fr"),
];

const SIZES: [usize; 6] = [1, 2, 3, 5, 10, 50];

const EXTENSIONS: &[&str] = &[
    "txt", "doc", "docx", "xls", "xlsx", "pdf", "jpg", "png", "mp3", "mp4", "zip", "rar", "html",
    "ppt", "csv", "psd", "exe", "ini", "srt", "JPG",
];
const ENGLISH: &[&str] = &[
    "IMG", "copy", "v1.2", "Final", "README", "Scan", "No.3", "DSC",
];

/// A small generator, so that each run makes the same names (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ x >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ x >> 31
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// Writes the lists to measure with as `LANGUAGE.txt`, and says where.
pub(crate) fn lists(dir: &Path) -> Result<PathBuf> {
    let lists = dir.join("lists");
    fs::create_dir_all(&lists).map_err(|e| format!("{}: {e}", lists.display()))?;
    for source in MEASURED_WITH {
        for (language, _) in source.languages {
            let strings = model_sources::strings(dir, source, language)?;
            let mut words: Vec<&str> = strings
                .iter()
                .flat_map(|string| string.split(|c: char| !c.is_alphabetic() && c != 'ー'))
                .filter(|word| !word.is_ascii() && word.chars().count() > 1)
                .collect();
            words.sort_unstable();
            words.dedup();
            let path = lists.join(format!("{language}.txt"));
            fs::write(&path, words.join("\n")).map_err(|e| format!("{}: {e}", path.display()))?;
        }
    }
    Ok(lists)
}

/// Measures with the lists in `words`, and prints a table: right archives of all, in per cent.
///
/// In the environment, SCORE_ARCHIVES says how many archives a cell, SCORE_LOCALE in which locale,
/// and SCORE_EXPLAIN shows what went wrong.
pub(crate) fn run(words: &Path) -> Result {
    let per = std::env::var("SCORE_ARCHIVES").ok();
    let per: usize = per.and_then(|per| per.parse().ok()).unwrap_or(200);
    let locale = std::env::var_os("SCORE_LOCALE").and_then(|value| Locale::parse(&value));
    let verbose = std::env::var_os("SCORE_EXPLAIN").is_some();
    let options = Options {
        locale,
        ..Options::default()
    };
    let mut sums: BTreeMap<&str, [(usize, usize); SIZES.len()]> = BTreeMap::new();
    println!(
        "{:<16}{}",
        "names:",
        SIZES.map(|size| format!("{size:>7}")).concat()
    );
    for (label, language) in PROFILES {
        let path = words.join(format!("{language}.txt"));
        let Ok(text) = fs::read_to_string(&path) else {
            println!("{label} {language}: no list");
            continue;
        };
        let list: Vec<&str> = text.lines().filter(|word| !word.is_empty()).collect();
        let encoder = Encoder::new(label)?;
        let mut line = format!("{label:<9} {language:<6}");
        for (column, size) in SIZES.into_iter().enumerate() {
            let seed = format!("{label}{language}{size}");
            let seed = seed
                .bytes()
                .fold(7, |sum: u64, b| sum.wrapping_mul(131) + u64::from(b));
            let mut random = Random(seed);
            let mut right = 0;
            for _ in 0..per {
                let host = *random.pick(&[&0, &0, &0, &11, &3]);
                let made = names(&mut random, &list, language, &encoder, size);
                let entries: Vec<Entry> = made
                    .iter()
                    .map(|(_, bytes)| Entry {
                        name: bytes,
                        comment: b"",
                        host,
                        utf8: false,
                        extra: b"",
                    })
                    .collect();
                let decoded = decode_all(&entries, &options);
                let good = decoded
                    .names
                    .iter()
                    .zip(&made)
                    .all(|(name, (text, _))| name.text == text.as_bytes());
                right += usize::from(good);
                if !good && verbose {
                    explain(label, language, &made, &decoded);
                }
            }
            line += &format!("{:>7.1}", 100.0 * right as f64 / per as f64);
            let groups: &[&str] = match (*label, *language) {
                ("UTF-8", _) => &["UTF-8"],
                (_, "zh_CN" | "zh_TW" | "ja" | "ko") => &["all legacy", "CJK"],
                _ => &["all legacy"],
            };
            for group in groups {
                let sum = sums.entry(group).or_default();
                sum[column].0 += right;
                sum[column].1 += per;
            }
        }
        println!("{line}");
    }
    for (group, sums) in sums {
        let percent = |(right, all): &(usize, usize)| 100.0 * *right as f64 / *all as f64;
        let cells: String = sums
            .iter()
            .map(|sum| format!("{:>7.2}", percent(sum)))
            .collect();
        let all = sums
            .iter()
            .fold((0, 0), |all, sum| (all.0 + sum.0, all.1 + sum.1));
        println!("{group:<16}{cells}  all {:.2}", percent(&all));
    }
    Ok(())
}

/// Prints what went wrong with an archive.
fn explain(label: &str, language: &str, made: &[(String, Vec<u8>)], decoded: &Decoded) {
    println!("  {label} {language}, {} names", made.len());
    for (name, (text, _)) in decoded.names.iter().zip(made) {
        if name.text != text.as_bytes() {
            let read = String::from_utf8_lossy(&name.text);
            println!(
                "    {text} read as {read} ({:?}, {:?})",
                name.charset, name.how
            );
        }
    }
    if let Some(verdict) = &decoded.verdict {
        let few: Vec<_> = verdict.candidates.iter().take(5).collect();
        println!("    {few:?}");
    }
}

/// Names of one archive with their bytes, each once.
fn names(
    random: &mut Random,
    list: &[&str],
    language: &str,
    encoder: &Encoder,
    count: usize,
) -> Vec<(String, Vec<u8>)> {
    let mut names: Vec<(String, Vec<u8>)> = Vec::new();
    let mut tries = 0;
    while names.len() < count && tries < 100 * count {
        tries += 1;
        let name = name(random, list, language);
        if let Some(bytes) = encoder.encode(&name)
            && !name.is_ascii()
            && names.iter().all(|(_, other)| *other != bytes)
        {
            names.push((name, bytes));
        }
    }
    names
}

fn name(random: &mut Random, list: &[&str], language: &str) -> String {
    let spaced = !matches!(language, "zh_CN" | "zh_TW" | "ja" | "ko" | "th");
    let gap: &str = match spaced {
        true => random.pick(&[" ", "_", " - "]),
        false => random.pick(&["", "", "_", "-", " "]),
    };
    let word = |random: &mut Random| random.pick(list).to_owned();
    let mut name = match random.below(100) {
        0..40 => word(random),
        40..62 => word(random) + gap + &word(random),
        62..72 => format!("{}({})", word(random), random.below(9) + 1),
        72..80 => format!("{}-{}", 2001 + random.below(24), word(random)),
        80..88 => format!("{}_{}", random.pick(ENGLISH), word(random)),
        88..94 => format!("{:02}. {}", random.below(20), word(random)),
        _ => word(random) + gap + &word(random) + gap + &word(random),
    };
    match random.below(100) {
        0..85 => name = format!("{name}.{}", random.pick(EXTENSIONS)),
        85..92 => name.push('/'),
        _ => {}
    }
    if random.below(100) < 35 {
        name = format!("{}/{name}", word(random));
    }
    name
}

/// From text to bytes, the inverse of strict decoding.
struct Encoder {
    charset: Charset,
    bytes: BTreeMap<char, Vec<u8>>,
}

impl Encoder {
    fn new(label: &str) -> Result<Encoder> {
        let charset = Charset::by_label(label).ok_or_else(|| format!("{label}: not known"))?;
        let mut bytes = BTreeMap::new();
        let mut learn = |code: &[u8]| {
            let text = charset.decode(code).unwrap_or_default();
            let mut chars = text.chars();
            if let (Some(c), None) = (chars.next(), chars.next()) {
                bytes.entry(c).or_insert_with(|| code.to_vec());
            }
        };
        for first in 0..=0xFF {
            learn(&[first]);
            if first >= 0x80 && charset != Charset::UTF_8 {
                (0..=0xFF).for_each(|second| learn(&[first, second]));
            }
        }
        Ok(Encoder { charset, bytes })
    }

    fn encode(&self, text: &str) -> Option<Vec<u8>> {
        if self.charset == Charset::UTF_8 {
            return Some(text.as_bytes().to_vec());
        }
        let codes: Option<Vec<_>> = text.chars().map(|c| self.bytes.get(&c)).collect();
        let bytes = codes?.into_iter().flatten().copied().collect::<Vec<u8>>();
        (self.charset.decode(&bytes).as_deref() == Some(text)).then_some(bytes)
    }
}
