//! The number of the line in which the files differ: the newlines in what was equal.
//!
//! Bytes are counted while they are in the cache. Those that were not read, since both files share
//! them on the disk, are counted only when somebody wants to know.

use blkcore::{Extent, read_full_at};
use std::fs::File;
use std::io;

use super::input::View;

/// Bytes that are read at a time.
const BLOCK: u64 = 256 << 10;

#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    counted: u64,
    last: u8,
    /// Ranges of the first file.
    unread: Vec<Extent>,
    /// The last byte is the end of the last of these ranges.
    ends_unread: bool,
}

impl Lines {
    pub(super) fn add(&mut self, view: View) {
        match view {
            View::Zeros => self.last = 0,
            View::Bytes(bytes) => {
                self.counted += newlines(bytes);
                self.last = bytes.last().copied().unwrap_or(self.last);
            }
        }
        self.ends_unread = false;
    }

    /// Takes note of a range of the first file that was not read.
    pub(super) fn add_unread(&mut self, range: Extent) {
        match self.unread.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.unread.push(range),
        }
        self.ends_unread = true;
    }

    /// How many newlines there are, and whether the last byte is one.
    pub(super) fn count(&mut self, first: Option<&File>) -> io::Result<(u64, bool)> {
        let mut buf = Vec::new();
        for range in std::mem::take(&mut self.unread) {
            let Some(file) = first else { continue };
            for block in range.blocks(BLOCK) {
                buf.resize(block.len() as usize, 0);
                read_full_at(file, &mut buf, block.start).map_err(|at| at.error)?;
                self.counted += newlines(&buf);
            }
            if self.ends_unread {
                self.last = buf.last().copied().unwrap_or(self.last);
            }
        }
        Ok((self.counted, self.last == b'\n'))
    }
}

/// Counts in lanes of bytes, which compilers turn into vector instructions.
pub(super) fn newlines(bytes: &[u8]) -> u64 {
    const LANES: usize = 64;
    let mut total = 0;
    // A lane of one byte holds 255 at most.
    for part in bytes.chunks(LANES * 255) {
        let mut lanes = [0u8; LANES];
        let chunks = part.chunks_exact(LANES);
        let rest = chunks.remainder();
        for chunk in chunks {
            for (lane, byte) in lanes.iter_mut().zip(chunk) {
                *lane += u8::from(*byte == b'\n');
            }
        }
        total += lanes.iter().map(|lane| u64::from(*lane)).sum::<u64>();
        total += rest.iter().filter(|byte| **byte == b'\n').count() as u64;
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn unread_ranges_are_counted_when_asked_for() {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, b"a\nb\n\nc\n").unwrap();
        let mut lines = Lines::default();
        lines.add(View::Bytes(b"a"));
        lines.add_unread(Extent::new(1, 3));
        lines.add_unread(Extent::new(3, 4));
        assert_eq!(lines.count(Some(&file)).unwrap(), (2, true));
        lines.add(View::Bytes(b"\nc"));
        assert_eq!(lines.count(Some(&file)).unwrap(), (3, false));
        lines.add_unread(Extent::new(6, 7));
        assert_eq!(lines.count(Some(&file)).unwrap(), (4, true));
        lines.add(View::Zeros);
        assert_eq!(lines.count(Some(&file)).unwrap(), (4, false));
    }

    proptest! {
        #[test]
        fn as_many_newlines_as_a_plain_loop_counts(
            bytes in proptest::collection::vec(proptest::sample::select(&b"\n\n\x0b\x8aa"[..]), 0..40_000)
        ) {
            let plain = bytes.iter().filter(|b| **b == b'\n').count() as u64;
            prop_assert_eq!(newlines(&bytes), plain);
        }
    }
}
