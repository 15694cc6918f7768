//! How probable a name is in a language: characters by the one before them.
//!
//! The tables are in model.bin, which `cargo xtask model` makes from word lists; README.md beside it
//! says which. Costs are negative logarithms of probabilities, in sixteenths of a bit: the name that
//! costs least is the most probable one, and costs of the same bytes in two code pages compare, since
//! each page maps bytes to text one to one.
//!
//! A name is taken for words between digits, signs and ASCII. Words of letters alone that ASCII has
//! may be of any language's names (`Final`, `DSC`), so they cost what English costs, or less.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// How the words of a language are written, and so what its table looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writing {
    /// Letters beside those of ASCII: a word mixes both.
    Latin,
    /// Letters of an alphabet of its own.
    Alphabet,
    /// Some thousand characters.
    Characters,
}

/// The languages of the model, in the order of model.bin. The first is the one of ASCII words.
pub(crate) const LANGUAGES: &[(&str, Writing)] = &[
    ("en", Writing::Latin),
    ("de", Writing::Latin),
    ("fr", Writing::Latin),
    ("es", Writing::Latin),
    ("pt", Writing::Latin),
    ("it", Writing::Latin),
    ("nl", Writing::Latin),
    ("sv", Writing::Latin),
    ("da", Writing::Latin),
    ("no", Writing::Latin),
    ("fi", Writing::Latin),
    ("is", Writing::Latin),
    ("ca", Writing::Latin),
    ("pl", Writing::Latin),
    ("cs", Writing::Latin),
    ("sk", Writing::Latin),
    ("hu", Writing::Latin),
    ("ro", Writing::Latin),
    ("hr", Writing::Latin),
    ("sl", Writing::Latin),
    ("sq", Writing::Latin),
    ("et", Writing::Latin),
    ("lv", Writing::Latin),
    ("lt", Writing::Latin),
    ("tr", Writing::Latin),
    ("vi", Writing::Latin),
    ("ru", Writing::Alphabet),
    ("uk", Writing::Alphabet),
    ("be", Writing::Alphabet),
    ("bg", Writing::Alphabet),
    ("sr", Writing::Alphabet),
    ("mk", Writing::Alphabet),
    ("el", Writing::Alphabet),
    ("he", Writing::Alphabet),
    ("ar", Writing::Alphabet),
    ("fa", Writing::Alphabet),
    ("th", Writing::Alphabet),
    ("zh", Writing::Characters),
    ("zh-Hant", Writing::Characters),
    ("ja", Writing::Characters),
    ("ko", Writing::Characters),
];

/// Costs a bit.
pub(crate) const BIT: u32 = 16;

/// A letter that the language does not have.
const FOREIGN: u32 = 20 * BIT;
/// A character of East Asia that the word lists do not have.
const RARE: u32 = 19 * BIT;
/// A letter of UTF-8 that no language is written in today, and an accent apart from its letter.
const STRANGE: u32 = 20 * BIT;
const ACCENT: u32 = 5 * BIT;
/// Katakana of half the width, for each run of them.
const HALF_WIDTH: u32 = 8 * BIT;
/// A Chinese character next to Hangul.
const HANJA: u32 = 5 * BIT;
/// At most, that a word ends where a number follows: any may.
const END_BEFORE_DIGIT: u32 = 3 * BIT;
/// A word of ASCII next to one of an alphabet that is not Latin: that takes two keyboards.
const SWITCH: u32 = 9 * BIT;
/// The same with thousands of characters, where it is common.
const SWITCH_CHARACTERS: u32 = 3 * BIT;

static MODEL: &[u8] = include_bytes!("model.bin");

#[derive(Debug)]
enum Table<'a> {
    /// One row of costs for each letter, row and column 0 for the edge of a word.
    Letters {
        index: BTreeMap<char, usize>,
        costs: &'a [u8],
    },
    Characters(Characters<'a>),
}

#[derive(Debug)]
struct Characters<'a> {
    /// The characters in the order of their code points, each with its rank by frequency.
    ranks: Vec<(char, u16)>,
    /// By rank: cost after any character.
    single: Vec<u8>,
    /// By rank: cost of a follower that is not in the row, on top of `single`. Rare characters have
    /// neither this nor a row.
    other: &'a [u8],
    /// By rank: the followers that cost less, see [`find`].
    rows: Arc<Vec<&'a [u8]>>,
    /// By rank: the rank that the character goes by in `other` and `rows`, if they are of the table
    /// before this one; none if they are its own.
    known_as: Vec<u16>,
}

/// The tables of all languages.
#[derive(Debug)]
pub(crate) struct Model<'a> {
    tables: Vec<Table<'a>>,
}

/// Rank of the edge of a word.
const EDGE: u16 = 0;

impl Model<'static> {
    /// The model of this program.
    pub(crate) fn get() -> &'static Model<'static> {
        static PARSED: OnceLock<Model<'static>> = OnceLock::new();
        PARSED
            .get_or_init(|| Model::read(MODEL).expect("model.bin is as cargo xtask model made it"))
    }
}

/// Takes what it reads off the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        let bytes = self.take(2)?;
        Some(u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    fn u16s(&mut self, count: usize) -> Option<Vec<u16>> {
        (0..count).map(|_| self.u16()).collect()
    }

    fn chars(&mut self) -> Option<Vec<char>> {
        let count = self.u16()?.into();
        let chars = self.u16s(count)?.into_iter();
        chars.map(|c| char::from_u32(c.into())).collect()
    }
}

impl<'a> Reader<'a> {
    fn characters(&mut self, chars: Vec<char>, last: Option<&Table<'a>>) -> Option<Characters<'a>> {
        let mut single = vec![self.take(1)?[0]];
        // Costs rise with the ranks, so it is enough how many have each.
        for cost in 0..=u8::MAX {
            let count = self.u16()?;
            single.extend((0..count).map(|_| cost));
        }
        let mut ranks: Vec<_> = chars.into_iter().zip(1..).collect();
        ranks.sort_unstable();
        if single.len() != ranks.len() + 1 {
            return None;
        }
        let count = self.u16()?.into();
        // The same words in other characters, so the same pairs.
        if let (0, Some(Table::Characters(last))) = (count, last) {
            return Some(Characters {
                known_as: self.u16s(single.len())?,
                ranks,
                single,
                other: last.other,
                rows: Arc::clone(&last.rows),
            });
        }
        let other = self.take(count)?;
        let lens = self.u16s(count)?.into_iter();
        let rows = lens.map(|len| self.take(len.into()));
        Some(Characters {
            rows: Arc::new(rows.collect::<Option<_>>()?),
            ranks,
            single,
            other,
            known_as: Vec::new(),
        })
    }
}

impl<'a> Model<'a> {
    /// Reads what `cargo xtask model` has written; `None` if it is something else.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Model<'a>> {
        let mut from = Reader(bytes);
        let mut tables = Vec::new();
        for (_, writing) in LANGUAGES {
            let chars = from.chars()?;
            tables.push(match writing {
                Writing::Latin | Writing::Alphabet => Table::Letters {
                    costs: from.take((chars.len() + 1).pow(2))?,
                    index: chars.into_iter().zip(1..).collect(),
                },
                Writing::Characters => Table::Characters(from.characters(chars, tables.last())?),
            });
        }
        from.0.is_empty().then_some(Model { tables })
    }

    /// What `name` costs in the language of that number in [`LANGUAGES`].
    pub(crate) fn cost(&self, language: usize, name: &str) -> u32 {
        let digit = |c: char| c.is_ascii_digit();
        let mut cost = 0;
        let mut rest = name;
        let mut last = None;
        while let Some(c) = rest.chars().next() {
            let kind = self.kind(language, c);
            let len = match kind {
                Kind::Sign => c.len_utf8(),
                _ => rest
                    .find(|c| self.kind(language, c) != kind)
                    .unwrap_or(rest.len()),
            };
            let (word, after) = rest.split_at(len);
            cost += match kind {
                Kind::Sign => sign(c),
                Kind::Ascii => self.own(0, word),
                Kind::Own => match &self.tables[language] {
                    Table::Characters(table) => {
                        let before = &name[..name.len() - rest.len()];
                        table.cost_beside(word, before.ends_with(digit), after.starts_with(digit))
                    }
                    Table::Letters { .. } => self.own(language, word),
                },
            };
            if !matches!((kind, last), (Kind::Sign, _) | (_, None | Some(Kind::Sign))) {
                cost += match LANGUAGES[language].1 {
                    Writing::Characters => SWITCH_CHARACTERS,
                    _ => SWITCH,
                };
            }
            last = Some(kind);
            rest = after;
        }
        cost
    }

    /// What `name` costs if it is of a language that the model does not know: letters of one script
    /// are likely, and several scripts beside each other are not.
    pub(crate) fn cost_of_any(&self, name: &str) -> u32 {
        let ascii = name.split(|c: char| !c.is_ascii_alphabetic());
        let ascii = ascii.filter(|word| !word.is_empty());
        let mut cost = ascii.map(|word| self.own(0, word)).sum();
        let mut script = None;
        let mut before = ' ';
        for c in name.chars() {
            let this = script_of(c);
            let in_word = before.is_alphabetic() && !before.is_ascii();
            cost += match c {
                'a'..='z' | 'A'..='Z' => 0,
                _ if is_accent(c) && before.is_alphabetic() => ACCENT,
                _ if is_mark(c) && script != Some(this) => STRANGE,
                _ if c.is_ascii() || !c.is_alphabetic() => sign(c),
                _ if script == Some(this) && c >= '\u{700}' => 8 * BIT,
                _ if is_strange(c) => STRANGE,
                _ if script == Some(this) => 8 * BIT,
                _ if in_word => 15 * BIT + SWITCH,
                _ => 15 * BIT,
            };
            if c.is_alphabetic() && !c.is_ascii() {
                script = Some(this);
            }
            let is_foreign = |c: char| c.is_alphabetic() && ('\u{250}'..'\u{1e00}').contains(&c);
            if is_foreign(c) && before.is_ascii_alphabetic()
                || is_foreign(before) && c.is_ascii_alphabetic()
            {
                cost += SWITCH;
            }
            before = c;
        }
        cost
    }

    fn kind(&self, language: usize, c: char) -> Kind {
        let (_, writing) = LANGUAGES[language];
        match (&self.tables[language], writing) {
            _ if c.is_ascii_alphabetic() => match writing {
                Writing::Latin => Kind::Own,
                _ => Kind::Ascii,
            },
            _ if c.is_ascii() => Kind::Sign,
            (Table::Characters(table), _) if table.rank(c).is_some() => Kind::Own,
            (Table::Letters { index, .. }, _) if index.contains_key(&lower(c)) => Kind::Own,
            _ if c.is_alphabetic() => Kind::Own,
            _ => Kind::Sign,
        }
    }

    /// A word of the language's own letters, or of ASCII if it is written in Latin ones.
    fn own(&self, language: usize, word: &str) -> u32 {
        match &self.tables[language] {
            Table::Letters { index, costs } => {
                if language != 0 && word.is_ascii() {
                    return self.ascii_or_own(word, index, costs);
                }
                letters(index, costs, word) + case(word)
            }
            Table::Characters(table) => table.cost(word),
        }
    }

    fn ascii_or_own(&self, word: &str, index: &BTreeMap<char, usize>, costs: &[u8]) -> u32 {
        let own = letters(index, costs, word) + case(word);
        own.min(self.own(0, word)) + BIT
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A letter of ASCII, in a language that has its own.
    Ascii,
    /// Any other letter.
    Own,
    /// Neither.
    Sign,
}

/// The small letter, if that is one character.
pub(crate) fn lower(c: char) -> char {
    let mut lower = c.to_lowercase();
    match (c, lower.next(), lower.next()) {
        ('İ', ..) => 'i',
        (_, Some(small), None) => small,
        _ => c,
    }
}

fn letters(index: &BTreeMap<char, usize>, costs: &[u8], word: &str) -> u32 {
    let width = index.len() + 1;
    let mut cost = 0;
    let mut before = Some(0);
    let mut last = None;
    for c in word.chars() {
        let this = index.get(&lower(c)).copied();
        cost += match (before, this) {
            (Some(before), Some(this)) => u32::from(costs[before * width + this]),
            // After a foreign letter: any.
            (None, Some(_)) => 5 * BIT,
            (_, None) if last.is_some_and(|last| script_of(last) != script_of(c)) => {
                foreign(c) + SWITCH
            }
            (_, None) => foreign(c),
        };
        last = Some(c);
        before = this;
    }
    cost + before.map_or(2 * BIT, |before| u32::from(costs[before * width]))
}

fn foreign(c: char) -> u32 {
    match u32::from(c) {
        // Bold, italic and other forms; private use; what no one writes.
        0xE000..=0xF8FF | 0x1_0000.. => FOREIGN + 6 * BIT,
        _ => FOREIGN,
    }
}

/// An accent that stands apart from its letter, as the names of macOS have them.
fn is_accent(c: char) -> bool {
    matches!(u32::from(c), 0x300..=0x30C | 0x323..=0x328)
}

/// A number for the script of a letter, by blocks.
fn script_of(c: char) -> u32 {
    match u32::from(c) {
        0..=0x2FF | 0x1E00..=0x1EFF => 0x250,
        0x370..=0x3FF | 0x1F00..=0x1FFF => 0x370,
        0x400..=0x52F => 0x400,
        0x530..=0x58F => 0x530,
        0x590..=0x5FF => 0x590,
        0x600..=0x77F => 0x600,
        other => other >> 7 << 7,
    }
}

/// Accents, points and other marks, which stand on letters of their script.
fn is_mark(c: char) -> bool {
    matches!(u32::from(c), 0x300..=0x36F | 0x483..=0x489 | 0x591..=0x5C7 | 0x610..=0x61A | 0x64B..=0x65F)
}

/// Letters that no language is written in today, or next to none: signs of phonetics, of old
/// manuscripts, of single languages in Africa.
fn is_strange(c: char) -> bool {
    match u32::from(c) {
        // But those of Vietnamese, Azerbaijani, Pinyin and Romanian.
        0x18F | 0x1A0 | 0x1A1 | 0x1AF | 0x1B0 | 0x1CD..=0x1DC | 0x218..=0x21B | 0x259 => false,
        // The ʻokina, and the apostrophe that is a letter.
        0x2BB | 0x2BC => false,
        0x180..=0x2FF | 0x370..=0x385 | 0x3CF..=0x3FF | 0x460..=0x489 | 0x500..=0x52F => true,
        0x700..=0x7FF => true,
        _ => false,
    }
}

/// Small letters are common, a capital first is too, all capitals happen, anything else is odd.
fn case(word: &str) -> u32 {
    let mut chars = word.chars();
    let first = chars.next().is_some_and(char::is_uppercase);
    let (mut upper, mut small, mut turns) = (0, 0, 0);
    let mut was = None;
    for c in chars {
        let is_upper = c.is_uppercase();
        if !is_upper && !c.is_lowercase() {
            continue;
        }
        if is_upper {
            upper += 1;
        } else {
            small += 1;
        }
        if was.is_some_and(|was| was != is_upper) {
            turns += 1;
        }
        was = Some(is_upper);
    }
    match (first, upper, small) {
        (false, 0, _) => BIT,
        (true, 0, _) => 3 * BIT / 2,
        (true, _, 0) => 6 * BIT,
        // As in McDonald: ASCII that is the same in every page.
        _ if word.is_ascii() => 8 * BIT,
        _ => (10 + 4 * turns) * BIT,
    }
}

/// What is no letter: the same in every language.
fn sign(c: char) -> u32 {
    let bits = match c {
        '/' | '.' | '_' | '-' | ' ' | '0'..='9' => 4,
        '(' | ')' | ',' | '+' | '\'' | '&' | '!' | '[' | ']' => 7,
        '\\' | '|' | '"' | '<' | '>' | '?' | '*' | ':' => 14,
        ' '..='~' => 9,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => 26,
        '’' | '–' | '«' | '»' | '“' | '”' | '„' | '‘' | '—' | '…' | '№' | '€' | '°' => {
            13
        }
        '、' | '。' | '・' | '「' | '」' | '（' | '）' | '　' | '《' | '》' | '【' | '】'
        | '，' | '！' | '～' | '：' | '？' | '·' | '－' | '＿' => 10,
        '\u{ff00}'..='\u{ff5e}' | '『' | '』' | '〔' | '〕' | '〈' | '〉' => 12,
        '①'..='⑳' => 15,
        '®' | '©' | '™' | '§' | '´' | '¡' | '¿' | 'º' | 'ª' | '²' | '³' => 15,
        '\u{a0}' => 16,
        // Lines and blocks, which DOS pages have for frames.
        '\u{2500}'..='\u{259f}' => 22,
        '\u{e000}'..='\u{f8ff}' => 26,
        // No such characters are.
        '\u{40000}'..='\u{dffff}' => 40,
        '\u{e0000}'.. => 26,
        '\u{ff61}'..='\u{ff65}' => 14,
        _ => 18,
    };
    bits * BIT
}

impl Characters<'_> {
    fn rank(&self, c: char) -> Option<u16> {
        let found = self.ranks.binary_search_by_key(&c, |(known, _)| *known);
        found.ok().map(|at| self.ranks[at].1)
    }

    fn cost(&self, word: &str) -> u32 {
        self.cost_beside(word, false, false)
    }

    /// What a word costs after a digit, or with one behind it: there it may begin and end with
    /// characters that do not begin and end words.
    fn cost_beside(&self, word: &str, after_digit: bool, before_digit: bool) -> u32 {
        let (word, halves) = full_width(word);
        let mut cost = halves * HALF_WIDTH;
        let mut before = Some(EDGE);
        let mut last = None;
        for c in word.chars() {
            let this = self.rank(c);
            let pair = match this {
                Some(this) => self.pair(before, this),
                None => unknown(c),
            };
            cost += match (this, last) {
                (Some(this), None) if after_digit => {
                    pair.min(u32::from(self.single[usize::from(this)]) + BIT)
                }
                _ => pair,
            };
            if last.is_some_and(|last| is_hangul(last) && is_han(c) || is_han(last) && is_hangul(c))
            {
                cost += HANJA;
            }
            last = Some(c);
            before = this;
        }
        let end = self.pair(before, EDGE);
        cost + if before_digit {
            end.min(END_BEFORE_DIGIT)
        } else {
            end
        }
    }

    fn pair(&self, before: Option<u16>, this: u16) -> u32 {
        let single = u32::from(self.single[usize::from(this)]);
        let Some(before) = before else {
            return single + BIT;
        };
        let known_as = |rank: u16| match self.known_as.get(usize::from(rank)) {
            Some(known) => *known,
            None => rank,
        };
        let (before, this) = (usize::from(known_as(before)), known_as(this));
        let other = self.other.get(before).copied().unwrap_or_default();
        let row = self.rows.get(before).copied().unwrap_or_default();
        let saved = find(row, this).map_or(0, |level| SAVED[level]);
        (single + u32::from(other)).saturating_sub(saved)
    }
}

fn is_hangul(c: char) -> bool {
    matches!(c, '\u{ac00}'..='\u{d7a3}')
}

fn is_han(c: char) -> bool {
    matches!(c, '\u{4e00}'..='\u{9fff}')
}

/// Katakana of half the width as the full ones that the tables know, and how many runs there were.
fn full_width(word: &str) -> (Cow<'_, str>, u32) {
    const FULL: &str = "ヲァィゥェォャュョッーアイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワン";
    let half = |c: char| matches!(c, '\u{ff66}'..='\u{ff9f}');
    if !word.contains(half) {
        return (Cow::Borrowed(word), 0);
    }
    let mut full = String::new();
    let mut runs = 0;
    let mut was = false;
    for c in word.chars() {
        runs += u32::from(half(c) && !was);
        was = half(c);
        match (c, full.chars().next_back()) {
            // The marks of voiced sounds follow their letters, and are part of them elsewhere.
            ('\u{ff9e}', Some(letter @ ('カ'..='ト' | 'ハ'..='ホ'))) => {
                full.pop();
                full.extend(char::from_u32(u32::from(letter) + 1));
            }
            ('\u{ff9f}', Some(letter @ 'ハ'..='ホ')) => {
                full.pop();
                full.extend(char::from_u32(u32::from(letter) + 2));
            }
            ('\u{ff66}'..='\u{ff9d}', _) => {
                full.extend(FULL.chars().nth(c as usize - 0xFF66));
            }
            _ => full.push(c),
        }
    }
    (Cow::Owned(full), runs)
}

/// What a follower in a row costs less than one that is not, by its level.
pub(crate) const SAVED: [u32; 1 << LEVEL_BITS] = [40, 72, 108, 156];
/// Bits that a level takes in a row.
pub(crate) const LEVEL_BITS: usize = 2;

/// The level of `rank` in a row.
///
/// A row is a string of bits, the highest of a byte first, filled up with ones. The first four say how
/// many low bits there are. Each entry is its distance from the one before less one, in the code of
/// Rice: as many ones as the high part says and a zero, then the low bits; and [`LEVEL_BITS`] for the
/// level.
fn find(row: &[u8], rank: u16) -> Option<usize> {
    let low_bits = u32::from(row.first()? >> 4);
    let mut at = -1i32;
    let mut position = 4;
    let end = row.len() * 8;
    let bit = |position: usize| u32::from(row[position / 8] >> (7 - position % 8) & 1);
    loop {
        let mut distance = 0;
        while position < end && bit(position) == 1 {
            distance += 1;
            position += 1;
        }
        let rest = low_bits as usize + LEVEL_BITS;
        if position + 1 + rest > end {
            return None;
        }
        let tail = (position + 1..position + 1 + rest).fold(0, |tail, at| tail << 1 | bit(at));
        position += 1 + rest;
        at += i32::try_from(distance << low_bits | tail >> LEVEL_BITS).ok()? + 1;
        if at >= i32::from(rank) {
            return (at == i32::from(rank)).then_some(tail as usize & (SAVED.len() - 1));
        }
    }
}

fn unknown(c: char) -> u32 {
    match c {
        // Signs and foreign letters that the double-byte sets have too.
        '\u{ff10}'..='\u{ff5a}' => 11 * BIT,
        '\u{ff66}'..='\u{ff9f}' => 12 * BIT,
        '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{3041}'..='\u{30ff}' => RARE,
        '\u{3400}'..='\u{4dbf}' | '\u{3131}'..='\u{318e}' => RARE + 2 * BIT,
        '\u{391}'..='\u{451}' => RARE,
        '\u{e000}'..='\u{f8ff}' => RARE + 7 * BIT,
        _ => RARE + 4 * BIT,
    }
}
