//! Johab (KS X 1001 annex 3, code page 1361), the encoding of Korean that DOS had before UHC.
//!
//! A syllable is computed: five bits each for the initial, the vowel and the final. Symbols and hanja
//! are the rows of KS X 1001 by another count, so they are looked up there.

/// Initial of each five-bit code; `FILL` is none.
const INITIALS: [u8; 32] = [
    NO, FILL, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO,
];
const VOWELS: [u8; 32] = [
    NO, NO, FILL, 0, 1, 2, 3, 4, NO, NO, 5, 6, 7, 8, 9, 10, NO, NO, 11, 12, 13, 14, 15, 16, NO, NO,
    17, 18, 19, 20, NO, NO,
];
/// Final, 0 for none, which is code 1.
const FINALS: [u8; 32] = [
    NO, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, NO, 17, 18, 19, 20, 21, 22, 23,
    24, 25, 26, 27, NO, NO,
];
const NO: u8 = 0xFF;
const FILL: u8 = 0xFE;

/// Compatibility letters for the initials and the finals; those for the vowels follow U+314F.
const INITIAL_LETTERS: [char; 19] = [
    'ㄱ', 'ㄲ', 'ㄴ', 'ㄷ', 'ㄸ', 'ㄹ', 'ㅁ', 'ㅂ', 'ㅃ', 'ㅅ', 'ㅆ', 'ㅇ', 'ㅈ', 'ㅉ', 'ㅊ', 'ㅋ',
    'ㅌ', 'ㅍ', 'ㅎ',
];
const FINAL_LETTERS: [char; 27] = [
    'ㄱ', 'ㄲ', 'ㄳ', 'ㄴ', 'ㄵ', 'ㄶ', 'ㄷ', 'ㄹ', 'ㄺ', 'ㄻ', 'ㄼ', 'ㄽ', 'ㄾ', 'ㄿ', 'ㅀ', 'ㅁ',
    'ㅂ', 'ㅄ', 'ㅅ', 'ㅆ', 'ㅇ', 'ㅈ', 'ㅊ', 'ㅋ', 'ㅌ', 'ㅍ', 'ㅎ',
];

/// The text of `bytes`; `None` if they are not Johab. ASCII stays as it is, 0x5C too.
pub(crate) fn decode(bytes: &[u8]) -> Option<String> {
    let mut text = String::with_capacity(bytes.len() * 2);
    let mut bytes = bytes.iter();
    while let Some(&lead) = bytes.next() {
        if lead.is_ascii() {
            text.push(char::from(lead));
        } else {
            text.push(two(lead, *bytes.next()?)?);
        }
    }
    Some(text)
}

fn two(lead: u8, trail: u8) -> Option<char> {
    match lead {
        0x84..=0xD3 if matches!(trail, 0x41..=0x7E | 0x81..=0xFE) => syllable(lead, trail),
        0xD9..=0xDE | 0xE0..=0xF9 if matches!(trail, 0x31..=0x7E | 0x91..=0xFE) => {
            // Two rows of 94 a lead byte: symbols from row 1 on, hanja from row 42 on.
            let row = if lead < 0xE0 {
                2 * (lead - 0xD9) + 1
            } else {
                2 * (lead - 0xE0) + 42
            };
            let cell = if trail < 0x91 {
                trail - 0x31
            } else {
                trail - 0x43
            };
            let ksx = [0xA0 + row + cell / 94, 0xA1 + cell % 94];
            let text =
                encoding_rs::EUC_KR.decode_without_bom_handling_and_without_replacement(&ksx)?;
            text.chars().next()
        }
        _ => None,
    }
}

fn syllable(lead: u8, trail: u8) -> Option<char> {
    let code = usize::from(lead) << 8 | usize::from(trail);
    let initial = INITIALS[code >> 10 & 31];
    let vowel = VOWELS[code >> 5 & 31];
    let last = FINALS[code & 31];
    match (initial, vowel, last) {
        (NO, _, _) | (_, NO, _) | (_, _, NO) => None,
        (FILL, FILL, 0) => Some('\u{3164}'),
        (FILL, FILL, last) => Some(FINAL_LETTERS[usize::from(last) - 1]),
        (FILL, vowel, 0) => char::from_u32(0x314F + u32::from(vowel)),
        (initial, FILL, 0) => Some(INITIAL_LETTERS[usize::from(initial)]),
        (FILL, _, _) | (_, FILL, _) => None,
        (initial, vowel, last) => {
            let index = (u32::from(initial) * 21 + u32::from(vowel)) * 28 + u32::from(last);
            char::from_u32(0xAC00 + index)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syllables_symbols_and_hanja() {
        // As iconv -f JOHAB has them.
        assert_eq!(decode(b"\xd0\x65\x8b\x69").as_deref(), Some("한글"));
        assert_eq!(decode(b"a\x88\x61.txt").as_deref(), Some("a가.txt"));
        assert_eq!(decode(b"\xe0\x31").as_deref(), Some("伽"));
        assert_eq!(decode(b"\xd0"), None);
        assert_eq!(decode(b"\xff\xff"), None);
    }

    #[test]
    fn every_pair_decodes_or_not_without_panic() {
        let good = (0..=0xFFFFu16).filter(|code| {
            let [lead, trail] = code.to_be_bytes();
            !lead.is_ascii() && two(lead, trail).is_some()
        });
        // 11 172 syllables, 51 letters and a filler, 986 symbols and signs, 4 888 hanja.
        assert!((16_900..17_300).contains(&good.count()));
    }
}
