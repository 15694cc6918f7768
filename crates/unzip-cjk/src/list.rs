//! The lists of `-l` and `-v`.

use crate::archive::End;
use crate::clock::Calendar;
use crate::directory::{Directory, Entry};
use crate::say::{Say, shown};
use crate::select::Selection;
use crate::status::Status;
use crate::{args::Options, extra, method, status};

/// Lists what is selected.
pub(crate) fn list(
    directory: &Directory,
    end: &End,
    options: &Options,
    selection: &mut Selection,
    say: &mut Say,
) -> Status {
    let long = options.list > 1;
    if options.quiet < 2 {
        let (titles, lines) = match long {
            false => (
                "  Length      Date    Time    Name",
                "---------  ---------- -----   ----",
            ),
            true => (
                " Length   Method    Size  Cmpr    Date    Time   CRC-32   Name",
                "--------  ------  ------- ---- ---------- ----- --------  ----",
            ),
        };
        say.out(match options.lower > 0 {
            true => format!("{titles} (\"^\" ==> case\n{lines}   conversion)\n"),
            false => format!("{titles}\n{lines}\n"),
        });
    }
    let (mut size, mut packed, mut members) = (0_u64, 0_u64, 0_u64);
    let mut status = status::OK;
    for entry in &directory.entries {
        if !entry.check_extra(options, say) {
            status = status::WARNING;
        }
        if !selection.takes(&entry.name) {
            continue;
        }
        say.out(match long {
            true => long_line(entry),
            false => short_line(entry),
        });
        say.out([&shown(&entry.name)[..], b"\n"].concat());
        if options.is_talkative() {
            comment(&entry.comment_text, say, false);
        }
        size = size.wrapping_add(entry.size);
        packed = packed.wrapping_add(entry.packed_data());
        members += 1;
        if say.quit || cli::signal::stop_requested().is_some() {
            return status;
        }
    }
    let met = directory.entries.len() as u64;
    if let Some(broken) = status::directory_end(directory, end, met, say) {
        return broken;
    }
    if options.quiet < 2 {
        let s = if members == 1 { "" } else { "s" };
        say.out(match long {
            false => format!(
                "---------                     -------\n\
                 {size:9}                     {members} file{s}\n"
            ),
            true => format!(
                "--------          -------  ---                            -------\n\
                 {size:8}         {packed:8} {:>4}                            {members} file{s}\n",
                percent(size, packed)
            ),
        });
    }
    if !status::check_end_signature(directory, end, say) {
        status = status::WARNING;
    }
    if members == 0 {
        status::NOT_FOUND
    } else {
        status
    }
}

fn short_line(entry: &Entry) -> String {
    format!("{:9}  {}  {}", entry.size, date(entry), mark(entry))
}

fn long_line(entry: &Entry) -> String {
    format!(
        "{:8}  {:<7}{:8} {:>4} {} {:08x} {}",
        entry.size,
        method::in_list(entry.method, entry.flags),
        entry.packed_data(),
        percent(entry.size, entry.packed_data()),
        date(entry),
        entry.crc,
        mark(entry)
    )
}

fn mark(entry: &Entry) -> char {
    if entry.lowered { '^' } else { ' ' }
}

fn date(entry: &Entry) -> String {
    let modified = extra::unix(&entry.extra, true, entry.dos_time).modified;
    let time = modified
        .and_then(Calendar::local)
        .unwrap_or_else(|| Calendar::from_dos(entry.dos_time));
    format!(
        "{:02}-{:02}-{:02} {:02}:{:02}",
        time.year, time.month, time.day, time.hour, time.minute
    )
}

/// How much smaller `packed` is, in thousandths; less than nothing if it is larger.
pub(crate) fn ratio(size: u64, packed: u64) -> i32 {
    if size == 0 {
        return 0;
    }
    // Info-ZIP counts in 64 bits, and divides first where a product might not fit.
    let (factor, denominator) = if size > 2_000_000 {
        (1, size / 1000)
    } else {
        (1000, size)
    };
    let rounded = |difference: u64| {
        let sum = difference
            .wrapping_mul(factor)
            .wrapping_add(denominator >> 1);
        (sum / denominator) as i32
    };
    if size >= packed {
        rounded(size - packed)
    } else {
        rounded(packed - size).wrapping_neg()
    }
}

fn percent(size: u64, packed: u64) -> String {
    let ratio = ratio(size, packed);
    let percent = (ratio.wrapping_abs().wrapping_add(5)) / 10;
    match (ratio < 0, percent) {
        (_, 100) => "100%".into(),
        (true, percent) => format!("-{percent}%"),
        (false, percent) => format!(" {percent}%"),
    }
}

/// Prints a comment: without carriage returns, with escape made visible, up to a NUL in each piece
/// that Info-ZIP reads at once. A Control-S in the comment of an archive that is extracted makes a
/// pause. `false` if the user wants to stop there. It ends with a line end.
pub(crate) fn comment(comment: &[u8], say: &mut Say, may_pause: bool) -> bool {
    let goes_on = part_of_comment(comment, say, may_pause);
    if goes_on && !comment.is_empty() {
        say.end_line();
    }
    goes_on
}

/// [`comment`] without what ends it, for one that breaks off.
pub(crate) fn part_of_comment(comment: &[u8], say: &mut Say, may_pause: bool) -> bool {
    /// Info-ZIP's buffer.
    const PIECE: usize = 65536;
    for piece in comment.chunks(PIECE) {
        let mut text = Vec::with_capacity(piece.len());
        let mut bytes = piece
            .iter()
            .copied()
            .take_while(|b| *b != 0)
            .filter(|b| *b != b'\r')
            .peekable();
        while let Some(byte) = bytes.next() {
            match byte {
                0x1B => text.extend(b"^["),
                0x13 => {
                    text.extend(bytes.next_if_eq(&b'\n'));
                    say.out(std::mem::take(&mut text));
                    if may_pause && !say.pause_in_comment() {
                        return false;
                    }
                }
                byte => text.push(byte),
            }
        }
        say.out(text);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_rounded_as_by_info_zip() {
        for (size, packed, wanted) in [
            (0, 5, " 0%"),
            (100, 50, " 50%"),
            (1000, 1, "100%"),
            (10, 12, "-20%"),
            (3_000_000, 1_000_000, " 67%"),
        ] {
            assert_eq!(percent(size, packed), wanted, "{size} {packed}");
        }
        assert_eq!(ratio(1000, 996), 4);
    }
}
