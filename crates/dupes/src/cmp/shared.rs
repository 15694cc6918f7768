//! Two files that share blocks on the disk: what they share is equal without being read.

use super::input::{Input, Window};
use crate::clones::{Blocks, FileSystem, LEAST_SIZE};
use blkcore::Extent;

/// Less is read, not asked about again.
const WORTH: u64 = 64 << 10;

#[derive(Debug)]
pub(super) struct Shared {
    first: Blocks,
    second: Blocks,
    /// Below this offset the question has been answered: nothing is shared.
    asked_until: u64,
}

impl Shared {
    /// `None` where nothing is shared, or the two are not compared at the same offsets.
    pub(super) fn of(first: &Input, second: &Input) -> Option<Shared> {
        let (_, _, a_at) = first.place()?;
        let (_, _, b_at) = second.place()?;
        if a_at != b_at {
            return None;
        }
        let blocks = |input: &Input| {
            let (file, stat, _) = input.place()?;
            let size = u64::try_from(stat.st_size).ok()?;
            let file_system = FileSystem::default().of(file, stat.st_dev);
            let worth = size >= LEAST_SIZE;
            Blocks::of(file, size, file_system.filter(|_| worth)?)
        };
        Some(Shared {
            first: blocks(first)?,
            second: blocks(second)?,
            asked_until: 0,
        })
    }

    /// The range that comes next in both files and is shared, of at most `limit` bytes.
    pub(super) fn next(&mut self, first: &Input, second: &Input, limit: u64) -> Option<Extent> {
        let is_empty = |input: &Input| *input.window() == Window::Empty;
        let (a, _, at) = first.place().filter(|_| is_empty(first))?;
        let (b, _, b_at) = second.place().filter(|_| is_empty(second))?;
        if at != b_at || at < self.asked_until {
            return None;
        }
        let byte = Extent::new(at, at + 1);
        self.first.place(a, byte)?;
        self.second.place(b, byte)?;
        let end = self.first.agree_until(&self.second, at);
        let range = Extent::new(at, end.min(at.saturating_add(limit)));
        if range.len() < WORTH.min(limit) {
            self.asked_until = at + WORTH;
            return None;
        }
        Some(range)
    }
}
