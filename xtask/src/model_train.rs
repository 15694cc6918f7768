//! Counting characters of words, and the tables that the counts become.
//!
//! Probabilities are counts with absolute discounting, the rest going to the probability of the
//! character alone (Ney, Essen, Kneser 1994). They are kept as costs, sixteenths of a bit in a byte.

use std::collections::{BTreeMap, BTreeSet};

use crate::unzip_cjk::names::model::{BIT, LEVEL_BITS, SAVED, Writing, lower};

/// Taken from each count of a pair.
const DISCOUNT: f64 = 0.6;
/// Characters that it keeps, the most frequent ones.
const CHARACTERS: usize = 10_000;
/// Of a letter among a hundred thousand, for it to belong to a language.
const LETTER: usize = 6;

/// The words of a language, as its table is about them.
pub(crate) fn words(strings: &[String], language: &str, writing: Writing) -> Vec<String> {
    let is_own = |c: char| match writing {
        Writing::Latin => {
            c.is_alphabetic() && (c.is_ascii() || (c as u32) < 0x250 || c as u32 >= 0x1E00)
        }
        Writing::Alphabet => block(language).contains(&(c as u32)),
        Writing::Characters => {
            matches!(c as u32, 0x3001..=0x30FF | 0x4E00..=0x9FFF | 0xAC00..=0xD7A3 | 0xFF01..=0xFF5E)
        }
    };
    let is_own = |c: char| is_own(c) || (language == "vi" && ('\u{300}'..'\u{370}').contains(&c));
    let mut words = Vec::new();
    for string in strings {
        let string = spelled(string, language);
        let runs = string.split(|c| !is_own(c)).filter(|run| !run.is_empty());
        words.extend(runs.map(str::to_owned));
    }
    words
}

/// Code points of the script.
fn block(language: &str) -> std::ops::Range<u32> {
    match language {
        "el" => 0x370..0x400,
        "he" => 0x5D0..0x600,
        "ar" | "fa" => 0x620..0x700,
        "th" => 0xE01..0xE5B,
        _ => 0x400..0x4A0,
    }
}

/// As the code pages can spell it.
fn spelled(string: &str, language: &str) -> String {
    match language {
        // They have the cedilla for the comma, and one yeh for two.
        "ro" => string
            .replace('ș', "ş")
            .replace('ț', "ţ")
            .replace('Ș', "Ş")
            .replace('Ț', "Ţ"),
        "fa" => string.replace('ی', "ي"),
        // Tones stand apart.
        "vi" => string
            .chars()
            .map(|c| tone(c).unwrap_or_else(|| c.to_string()))
            .collect(),
        _ => string.to_owned(),
    }
}

/// A Vietnamese letter with its tone apart, as in code page 1258.
fn tone(c: char) -> Option<String> {
    const PLAIN: &str = "aăâeêioôơuưy";
    const TONES: [(char, &str); 5] = [
        ('\u{300}', "àằầèềìòồờùừỳ"),
        ('\u{301}', "áắấéếíóốớúứý"),
        ('\u{303}', "ãẵẫẽễĩõỗỡũữỹ"),
        ('\u{309}', "ảẳẩẻểỉỏổởủửỷ"),
        ('\u{323}', "ạặậẹệịọộợụựỵ"),
    ];
    let small = lower(c);
    TONES.iter().find_map(|(mark, letters)| {
        let at = letters.chars().position(|letter| letter == small)?;
        let plain = PLAIN.chars().nth(at)?;
        let plain = if small == c {
            plain
        } else {
            plain.to_uppercase().next()?
        };
        Some([plain, *mark].iter().collect())
    })
}

/// Dictionaries of Japanese give the reading of each word too, which no file is named by, and every
/// form of a verb, which few are.
fn weight(word: &str) -> f64 {
    if word.chars().all(|c| matches!(c, '\u{3041}'..='\u{30ff}')) {
        0.1
    } else if word.chars().any(|c| matches!(c, '\u{3041}'..='\u{309f}')) {
        0.3
    } else {
        1.0
    }
}

/// A probability as a cost of one byte.
fn cost(probability: f64) -> u8 {
    let cost = -probability.log2() * f64::from(BIT);
    cost.round().clamp(0.0, 255.0) as u8
}

/// Counts of characters and pairs; `None` is the edge of a word.
#[derive(Default)]
struct Counts {
    single: BTreeMap<Option<char>, f64>,
    pairs: BTreeMap<Option<char>, BTreeMap<Option<char>, f64>>,
    total: f64,
}

impl Counts {
    fn of(words: &[String]) -> Counts {
        let mut counts = Counts::default();
        for word in words {
            let weight = weight(word);
            let mut before = None;
            for this in word.chars().map(Some).chain([None]) {
                *counts.single.entry(this).or_default() += weight;
                *counts
                    .pairs
                    .entry(before)
                    .or_default()
                    .entry(this)
                    .or_default() += weight;
                counts.total += weight;
                before = this;
            }
        }
        counts
    }

    /// The probability of a character, whatever is before it.
    fn alone(&self, c: &Option<char>) -> f64 {
        self.single[c] / self.total
    }

    /// How often anything follows, and how many different characters do.
    fn after(&self, before: Option<char>) -> (f64, f64) {
        self.pairs
            .get(&before)
            .map_or((0.0, 0.0), |row| (row.values().sum(), row.len() as f64))
    }
}

/// The table of an alphabet: the letters, then a row of costs for each.
pub(crate) fn letters(words: &[String]) -> Vec<u8> {
    let words: BTreeSet<String> = words
        .iter()
        .map(|word| word.chars().map(lower).collect())
        .collect();
    let words: Vec<String> = words.into_iter().collect();
    let counts = Counts::of(&words);
    let least = (counts.total * LETTER as f64 / 1e5).max(3.0);
    let letters: Vec<char> = counts
        .single
        .iter()
        .filter(|(_, count)| **count >= least)
        .filter_map(|(letter, _)| *letter)
        .chain('a'..='z')
        .collect::<BTreeSet<char>>()
        .into_iter()
        // Those of ASCII belong to every table of Latin letters, and to no other.
        .filter(|c| !c.is_ascii() || words.iter().any(|word| word.starts_with('a')))
        .collect();
    let known = |word: &&String| word.chars().all(|c| letters.contains(&c));
    let words: Vec<String> = words.iter().filter(known).cloned().collect();
    let counts = Counts::of(&words);
    let mut table = Vec::new();
    put_chars(&mut table, &letters);
    let symbols: Vec<Option<char>> = std::iter::once(None)
        .chain(letters.iter().copied().map(Some))
        .collect();
    for before in &symbols {
        let (all, kinds) = counts.after(*before);
        for this in &symbols {
            let single = counts.single.get(this).copied().unwrap_or_default() + 0.5;
            let single = single / (counts.total + 0.5 * symbols.len() as f64);
            let pair = counts
                .pairs
                .get(before)
                .and_then(|row| row.get(this))
                .copied();
            let probability = if all == 0.0 {
                single
            } else {
                (pair.map_or(0.0, |pair| (pair - DISCOUNT).max(0.0)) + DISCOUNT * kinds * single)
                    / all
            };
            table.push(cost(probability));
        }
    }
    table
}

/// The table of a language with thousands of characters, with that many of their pairs, and what
/// ranks the characters have in it.
pub(crate) fn characters(words: &[String], pairs: usize) -> (Vec<u8>, BTreeMap<char, u16>) {
    let counts = Counts::of(words);
    let (mut table, order) = singles(&counts);
    let ranks: BTreeMap<Option<char>, usize> = order.iter().copied().zip(0..).collect();
    // Every probability is of the characters alone to a small part, so that no word is impossible.
    let alone = |c: &Option<char>| counts.alone(c);
    // What keeping a pair gains over all words, against what its characters alone cost.
    let mut gains = Vec::new();
    for (before, row) in &counts.pairs {
        let (all, kinds) = counts.after(*before);
        let rest = DISCOUNT * kinds / all;
        let kept = row
            .iter()
            .filter(|(this, _)| ranks.contains_key(this) && ranks.contains_key(before));
        for (this, count) in kept {
            let probability = (count - DISCOUNT).max(0.0) / all + rest * alone(this);
            let gain = count * (probability / (rest * alone(this))).log2();
            gains.push((
                gain,
                ranks[before],
                ranks[this],
                probability,
                (count - DISCOUNT).max(0.0) / all,
            ));
        }
    }
    gains.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    gains.truncate(pairs);
    let mut rows: Vec<Vec<(usize, f64, f64)>> = vec![Vec::new(); ranks.len()];
    for (_, before, this, probability, own) in gains {
        rows[before].push((this, probability, own));
    }
    let last = rows.iter().rposition(|row| !row.is_empty());
    rows.truncate(last.map_or(0, |last| last + 1));
    let single: Vec<u8> = order.iter().map(|c| cost(alone(c))).collect();
    table.extend((rows.len() as u16).to_le_bytes());
    let rest = |row: &[(usize, f64, f64)]| 1.0 - row.iter().map(|(_, _, own)| own).sum::<f64>();
    let other: Vec<u8> = rows.iter().map(|row| cost(rest(row).max(0.02))).collect();
    table.extend(&other);
    let packed: Vec<Vec<u8>> = rows
        .iter_mut()
        .zip(&other)
        .map(|(row, other)| {
            row.sort_by_key(|(this, ..)| *this);
            pack(row.iter().map(|(this, probability, _)| {
                let full = u32::from(single[*this]) + u32::from(*other);
                (*this, level(full.saturating_sub(cost(*probability).into())))
            }))
        })
        .collect();
    table.extend(
        packed
            .iter()
            .flat_map(|row| (row.len() as u16).to_le_bytes()),
    );
    table.extend(packed.into_iter().flatten());
    let known = order
        .iter()
        .zip(0..)
        .filter_map(|(c, rank)| Some(((*c)?, rank)));
    (table, known.collect())
}

/// The same of a language whose words are those of the table before in other characters, of which
/// `known_as` says the ranks there.
pub(crate) fn characters_known_as(
    words: &[String],
    known_as: impl Fn(char) -> Option<u16>,
) -> Vec<u8> {
    let (mut table, order) = singles(&Counts::of(words));
    table.extend([0, 0]);
    let known = order
        .iter()
        .map(|c| c.map_or(0, |c| known_as(c).unwrap_or(u16::MAX)));
    table.extend(known.flat_map(u16::to_le_bytes));
    table
}

/// The start of a table: the edge of a word and the most frequent characters, by rank.
fn singles(counts: &Counts) -> (Vec<u8>, Vec<Option<char>>) {
    let mut chars: Vec<(f64, char)> = counts
        .single
        .iter()
        .filter_map(|(c, count)| Some((*count, (*c)?)))
        .collect();
    chars.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    chars.truncate(CHARACTERS);
    let chars: Vec<char> = chars.into_iter().map(|(_, c)| c).collect();
    let mut table = Vec::new();
    put_chars(&mut table, &chars);
    let order: Vec<Option<char>> = std::iter::once(None)
        .chain(chars.into_iter().map(Some))
        .collect();
    let single: Vec<u8> = order.iter().map(|c| cost(counts.alone(c))).collect();
    table.push(single[0]);
    for cost in 0..=u8::MAX {
        let count = single[1..].iter().filter(|single| **single == cost).count();
        table.extend((count as u16).to_le_bytes());
    }
    (table, order)
}

/// The level that saves nearest to `saved`.
fn level(saved: u32) -> u32 {
    let levels = (0u32..).zip(SAVED);
    let nearest = levels.min_by_key(|(_, level)| level.abs_diff(saved));
    nearest.map_or(0, |(level, _)| level)
}

/// A row as the tool reads it, with as many low bits as make it shortest.
fn pack(row: impl Iterator<Item = (usize, u32)>) -> Vec<u8> {
    let row: Vec<_> = row.collect();
    if row.is_empty() {
        return Vec::new();
    }
    let packed = (0..13).map(|low_bits| pack_with(&row, low_bits));
    packed.min_by_key(Vec::len).unwrap_or_default()
}

fn pack_with(row: &[(usize, u32)], low_bits: usize) -> Vec<u8> {
    let mut bits = Vec::new();
    let put = |bits: &mut Vec<bool>, value: usize, width: usize| {
        bits.extend((0..width).rev().map(|bit| value >> bit & 1 == 1));
    };
    put(&mut bits, low_bits, 4);
    let mut next = 0;
    for (this, level) in row {
        let distance = this - next;
        bits.extend(std::iter::repeat_n(true, distance >> low_bits));
        bits.push(false);
        put(&mut bits, distance, low_bits);
        put(&mut bits, *level as usize, LEVEL_BITS);
        next = this + 1;
    }
    let byte = |bits: &[bool]| {
        (0..8).fold(0, |byte, at| {
            byte << 1 | u8::from(*bits.get(at).unwrap_or(&true))
        })
    };
    bits.chunks(8).map(byte).collect()
}

fn put_chars(table: &mut Vec<u8>, chars: &[char]) {
    table.extend((chars.len() as u16).to_le_bytes());
    table.extend(chars.iter().flat_map(|c| (*c as u16).to_le_bytes()));
}
