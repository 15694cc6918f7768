//! Extra fields: blocks of an id, a length and data (APPNOTE.TXT 4.5, Info-ZIP's extrafld.txt).

use crate::archive::{u16_at, u32_at, u64_at};

pub(crate) const ZIP64: u16 = 0x0001;
pub(crate) const NTFS: u16 = 0x000a;
pub(crate) const PK_VMS: u16 = 0x000c;
pub(crate) const PK_UNIX: u16 = 0x000d;
pub(crate) const SPARK: u16 = 0x4341;
pub(crate) const TIME: u16 = 0x5455;
pub(crate) const UNIX_OLD: u16 = 0x5855;
pub(crate) const ASI_UNIX: u16 = 0x756e;
pub(crate) const UNIX_16: u16 = 0x7855;
pub(crate) const UNIX_ANY: u16 = 0x7875;
pub(crate) const AES: u16 = 0x9901;

/// The blocks of an extra field, up to one that is longer than what is left.
pub(crate) fn blocks(mut extra: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        if extra.len() < 4 {
            return None;
        }
        let (id, len) = (u16_at(extra, 0), usize::from(u16_at(extra, 2)));
        let data = extra.get(4..4 + len)?;
        extra = &extra[4 + len..];
        Some((id, data))
    })
}

/// The data of the first block of an id.
pub(crate) fn block(extra: &[u8], wanted: u16) -> Option<&[u8]> {
    blocks(extra).find_map(|(id, data)| (id == wanted).then_some(data))
}

/// Puts the values of a zip64 field (APPNOTE.TXT 4.5.3) in the place of those of `values` that are all
/// ones. Returns what is left of the field, if there is one; the error is that it is too short.
///
/// As with Info-ZIP, a field that is too short is read on into what follows it: there are archives
/// whose values stand there.
pub(crate) fn widen<'e>(
    extra: &'e [u8],
    values: &mut [&mut u64],
) -> Result<Option<&'e [u8]>, TooShort> {
    let mut before = 0;
    let field = blocks(extra).find_map(|(id, data)| {
        let start = before + 4;
        before = start + data.len();
        (id == ZIP64).then_some(start)
    });
    let Some(start) = field else {
        return Ok(None);
    };
    let mut data = &extra[start..];
    for value in values {
        if **value == 0xFFFF_FFFF {
            let (wide, rest) = data.split_first_chunk::<8>().ok_or(TooShort)?;
            **value = u64::from_le_bytes(*wide);
            data = rest;
        }
    }
    Ok(Some(data))
}

/// The extra field ends before the values that it should have.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooShort;

/// Times, in seconds since 1970, and owners.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unix {
    pub(crate) modified: Option<i64>,
    pub(crate) accessed: Option<i64>,
    pub(crate) owner: Option<(u32, u32)>,
}

const YEAR_2038: u32 = 0x7432_0000; // 2038-01-18 as a DOS date

/// Reads the fields that Info-ZIP takes times and owners from, with its order of precedence.
/// In the central directory a time field has only the time of modification.
///
/// Times are 32 bits wide. One with the top bit set is believed where the DOS date beside it is one
/// from 2038 on, as Info-ZIP does it.
pub(crate) fn unix(extra: &[u8], central: bool, dos_time: u32) -> Unix {
    let mut found = Unix::default();
    let mut rank = 0; // 1: a newer field than UNIX_OLD was seen, 2: UNIX_ANY
    let seconds = |bytes: &[u8], at: usize| -> Option<i64> {
        let value = u32_at(bytes.get(at..at + 4)?, 0);
        match value {
            0..0x8000_0000 => Some(value.into()),
            _ if dos_time >= YEAR_2038 => Some(value.into()),
            _ => None,
        }
    };
    for (id, data) in blocks(extra) {
        match id {
            TIME => {
                rank = rank.max(1);
                (found.modified, found.accessed) = (None, None);
                let Some(&flags) = data.first() else { continue };
                let mut at = 1;
                if flags & 1 != 0 {
                    found.modified = seconds(data, at);
                    if found.modified.is_none() && data.len() >= 5 {
                        continue; // perhaps negative: none of the field is used
                    }
                    at += 4;
                }
                if flags & 2 != 0 && !central {
                    found.accessed = seconds(data, at);
                }
            }
            UNIX_16 if rank <= 1 => {
                rank = 1;
                found.owner = None;
                if data.len() == 4 {
                    found.owner = Some((u16_at(data, 0).into(), u16_at(data, 2).into()));
                }
            }
            UNIX_ANY => {
                rank = 2;
                found.owner = any_owner(data);
            }
            UNIX_OLD | PK_UNIX if rank == 0 && data.len() >= 8 => {
                found.modified = seconds(data, 4);
                found.accessed = found.modified.and_then(|_| seconds(data, 0));
                if data.len() >= 12 {
                    found.owner = Some((u16_at(data, 8).into(), u16_at(data, 10).into()));
                }
            }
            _ => {}
        }
    }
    found
}

/// Owner and group of any width: version 1, then twice a length and a number.
fn any_owner(data: &[u8]) -> Option<(u32, u32)> {
    let rest = data.strip_prefix(&[1])?;
    let (uid, rest) = sized(rest)?;
    let (gid, rest) = sized(rest)?;
    rest.is_empty().then_some((uid, gid))
}

fn sized(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (&len, rest) = bytes.split_first()?;
    let (number, rest) = rest.split_at_checked(len.into())?;
    let (low, high) = number.split_at(number.len().min(4));
    if low.is_empty() || high.iter().any(|b| *b != 0) {
        return None;
    }
    let value = low
        .iter()
        .rev()
        .fold(0, |value, b| value << 8 | u32::from(*b));
    Some((value, rest))
}

/// Times of modification and access from a Windows field, as seconds and nanoseconds since 1970.
pub(crate) fn ntfs(extra: &[u8]) -> Option<((i64, u32), (i64, u32))> {
    let data = block(extra, NTFS)?.get(4..)?;
    let times = block(data, 1).filter(|times| times.len() >= 24)?;
    let time = |at| {
        // 100 ns since 1601
        let ticks = i64::try_from(u64_at(times, at)).ok()? - 116_444_736_000_000_000;
        let second = ticks.div_euclid(10_000_000);
        Some((second, ticks.rem_euclid(10_000_000) as u32 * 100))
    };
    if times[..8].iter().all(|b| *b == 0) {
        return None;
    }
    let modified = time(0)?;
    Some((
        modified,
        time(8)
            .filter(|_| u64_at(times, 8) != 0)
            .unwrap_or(modified),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(id: u16, data: &[u8]) -> Vec<u8> {
        let head = [id.to_le_bytes(), (data.len() as u16).to_le_bytes()].concat();
        [&head, data].concat()
    }

    #[test]
    fn a_block_that_is_too_long_ends_the_field() {
        let mut extra = field(1, b"ab");
        extra.extend([2, 0, 9, 0, b'x']);
        assert_eq!(blocks(&extra).collect::<Vec<_>>(), [(1, &b"ab"[..])]);
        assert_eq!(blocks(b"abc").count(), 0);
    }

    #[test]
    fn zip64_values_are_read_in_order() {
        let wide = [5_u64.to_le_bytes(), 6_u64.to_le_bytes()].concat();
        let extra = [field(TIME, b"t"), field(ZIP64, &wide)].concat();
        let (mut size, mut packed) = (7, 0xFFFF_FFFF);
        let rest = widen(&extra, &mut [&mut size, &mut packed]);
        assert_eq!(rest, Ok(Some(&6_u64.to_le_bytes()[..])));
        assert_eq!((size, packed), (7, 5));
        let short = field(ZIP64, &wide[..4]);
        packed = 0xFFFF_FFFF;
        assert_eq!(widen(&short, &mut [&mut packed]), Err(TooShort));
        assert_eq!(widen(b"", &mut [&mut packed]), Ok(None));
        let followed = [short, wide].concat();
        assert!(widen(&followed, &mut [&mut packed]).is_ok());
    }

    #[test]
    fn newer_fields_win() {
        let old = field(UNIX_OLD, &[1, 0, 0, 0, 2, 0, 0, 0, 5, 0, 6, 0]);
        let time = field(TIME, &[3, 7, 0, 0, 0, 8, 0, 0, 0]);
        let any = field(UNIX_ANY, &[1, 4, 9, 0, 0, 0, 4, 10, 0, 0, 0]);
        let both = unix(&[old.clone(), time, any].concat(), false, 0x5000_0000);
        assert_eq!(
            (both.modified, both.accessed, both.owner),
            (Some(7), Some(8), Some((9, 10)))
        );
        let only = unix(&old, false, 0x5000_0000);
        assert_eq!(
            (only.modified, only.accessed, only.owner),
            (Some(2), Some(1), Some((5, 6)))
        );
    }

    #[test]
    fn signs_come_from_the_dos_date() {
        let time = field(TIME, &[1, 0xFF, 0xFF, 0xFF, 0xFF]);
        assert_eq!(unix(&time, true, YEAR_2038).modified, Some(0xFFFF_FFFF));
        assert_eq!(unix(&time, true, 0x5000_0000).modified, None);
    }
}
