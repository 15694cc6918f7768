//! What can be seen of an archive before anything is written: overlaps and limits.
//!
//! In a bomb many entries share the same data. Info-ZIP notices when it comes to the second of them;
//! here all are looked at first. Some old tools made archives where an entry overlaps the next one by
//! a byte or two; nothing can be gained from that, so it is let pass.

use crate::archive::End;

/// An honest archive has overlaps no longer than this.
const TOLERANCE: u64 = 64;

/// Whether pieces of the file overlap by more than old tools do. Each is a start and an end.
pub(crate) fn overlaps(mut pieces: Vec<(u64, u64)>) -> bool {
    pieces.sort_unstable();
    let mut covered = 0;
    for (start, end) in pieces {
        if end.min(covered).saturating_sub(start) > TOLERANCE {
            return true;
        }
        covered = covered.max(end);
    }
    false
}

/// The pieces of the file that hold no entry. `extra` bytes stand before the archive.
pub(crate) fn of_end(end: &End, extra: u64) -> Vec<(u64, u64)> {
    let directory = extra.saturating_add(end.directory_offset);
    let mut pieces = vec![
        (directory, directory.saturating_add(end.directory_size)),
        end.span,
    ];
    pieces.extend(end.span_64);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps_of_honest_tools_pass() {
        assert!(!overlaps(vec![(0, 100), (100, 200), (98, 100)]));
        assert!(!overlaps(vec![(0, 100), (98, 300)]));
        assert!(overlaps(vec![(0, 1000), (100, 1000)]));
        assert!(overlaps(vec![(0, 1000), (0, 1000)]));
        assert!(overlaps(vec![(0, 1000), (100, 200), (300, 400)]));
        assert!(!overlaps(Vec::new()));
    }
}
