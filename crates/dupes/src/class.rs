//! Files of one size that are equal as far as they were compared, and what is compared next.
//!
//! First single blocks where files that differ mostly do: the head, the tail, some in between of
//! large files. Then all that is left from the front, in blocks that grow as long as all stay equal.
//! What was compared once is not read again: it is known from `probe` and `front` alone.

use crate::candidates;
use crate::member::{Member, Pattern};
use crate::round::Verdict;
use blkcore::Extent;

/// The largest block.
pub(crate) const BLOCK_MAX: u64 = 128 * 1024;

const PROBE: u64 = 4096;

/// No probe is longer than this.
pub(crate) const PROBE_MAX: usize = 2 * PROBE as usize;

/// The first block that is compared in step.
const FIRST_BLOCK: u64 = 16 * 1024;

/// The tail has at least this many bytes.
const TAIL_MIN: u64 = 512;

/// Files from each of these sizes on are probed at twice as many places in between.
const BETWEEN: [u64; 4] = [128 << 10, 4 << 20, 64 << 20, 1 << 30];

/// Smaller files are not worth telling the kernel that they are read from front to end.
const READ_AHEAD_MIN: u64 = 256 * 1024;

#[derive(Debug)]
pub(crate) struct Class<'a> {
    pub(crate) members: Vec<Member<'a>>,
    reach: Reach,
}

/// How far the members were compared.
#[derive(Clone, Copy, Debug)]
struct Reach {
    size: u64,
    /// The probes below this one are done.
    probe: u32,
    /// The bytes below are done.
    front: u64,
    /// Length of the next block in step.
    block: u64,
    /// The bytes of each member that progress counts as done.
    counted: u64,
    pattern: Pattern,
}

/// What to compare next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) range: Extent,
    pub(crate) is_probe: bool,
}

impl<'a> Class<'a> {
    pub(crate) fn new(size: u64, members: Vec<Member<'a>>) -> Class<'a> {
        let reach = Reach {
            size,
            probe: 0,
            front: 0,
            block: FIRST_BLOCK,
            counted: 0,
            pattern: Pattern::Probing,
        };
        Class { members, reach }
    }

    pub(crate) fn size(&self) -> u64 {
        self.reach.size
    }

    /// The bytes below have all been compared.
    pub(crate) fn front(&self) -> u64 {
        self.reach.front
    }

    pub(crate) fn pattern(&self) -> Pattern {
        self.reach.pattern
    }

    /// The bytes that are spare if all members are equal.
    pub(crate) fn saving(&self) -> u128 {
        candidates::saving(self.members.len() as u64, self.size())
    }

    /// What is left to read at the most.
    pub(crate) fn rest(&self) -> u64 {
        (self.size() - self.front()).saturating_mul(self.members.len() as u64)
    }

    /// The bytes of each member that were not counted as done yet.
    pub(crate) fn uncounted(&self) -> u64 {
        self.size() - self.reach.counted
    }

    /// The next range, with blocks of at most `block_max` bytes; `None` when all is compared.
    pub(crate) fn next(&self, block_max: u64) -> Option<Step> {
        self.reach.next(block_max)
    }

    /// Notes that all members are equal in `step`; returns how many bytes of each that newly
    /// counts as done.
    pub(crate) fn advance(&mut self, step: Step, block_max: u64) -> u64 {
        self.reach.advance(step, block_max);
        self.count()
    }

    /// Notes that all members are equal below `front`, as was seen without reading.
    pub(crate) fn skip_to(&mut self, front: u64) -> u64 {
        if front > self.reach.front {
            self.reach.front = front.min(self.reach.size);
            self.reach.block = FIRST_BLOCK;
        }
        self.count()
    }

    fn count(&mut self) -> u64 {
        let before = self.reach.counted;
        self.reach.counted = self.reach.front;
        self.reach.front - before
    }

    /// Whether large files are left that will now be read from front to end, for the first time.
    pub(crate) fn starts_in_step(&mut self, step: Step) -> bool {
        let starts =
            !step.is_probe && self.pattern() == Pattern::Probing && self.size() >= READ_AHEAD_MIN;
        if starts {
            self.reach.pattern = Pattern::InStep;
        }
        starts
    }

    /// Splits a class by what a round said of its members. Those that are alone or failed are gone.
    pub(crate) fn split(self, step: Step, verdicts: &[Verdict], block_max: u64) -> Vec<Class<'a>> {
        let mut sorted: Vec<(Verdict, u32)> = verdicts.iter().copied().zip(0..).collect();
        sorted.sort_unstable();
        // The number of its part for each member; the parts are few, the members can be many.
        let mut part_of = vec![u32::MAX; verdicts.len()];
        let mut parts: Vec<Class> = Vec::new();
        for same in sorted.chunk_by(|a, b| a.0 == b.0) {
            let verdict = same[0].0;
            if same.len() == 1 || verdict.is_failed() {
                continue;
            }
            for (_, member) in same {
                part_of[*member as usize] = parts.len() as u32;
            }
            let mut reach = self.reach;
            if verdict.is_proven() {
                reach.advance(step, block_max);
            }
            parts.push(Class {
                members: Vec::with_capacity(same.len()),
                reach,
            });
        }
        for (member, part) in self.members.into_iter().zip(part_of) {
            if let Some(class) = parts.get_mut(part as usize) {
                class.members.push(member);
            }
        }
        parts
    }
}

impl Reach {
    fn next(&self, block_max: u64) -> Option<Step> {
        if let Some(range) = probe(self.size, self.probe) {
            return Some(Step {
                range,
                is_probe: true,
            });
        }
        let mut start = self.front;
        while let Some(done) = self.probes().find(|p| p.start <= start && start < p.end) {
            start = done.end;
        }
        if start >= self.size {
            return None;
        }
        let ahead = self.probes().map(|p| p.start).filter(|s| *s > start).min();
        let rest = ahead.unwrap_or(self.size) - start;
        // A rest that is little larger than the block goes with it.
        let block = self.block.min(block_max);
        let is_little = rest <= (block * 5 / 2).min(block_max);
        let len = if is_little { rest } else { block };
        Some(Step {
            range: Extent::new(start, start + len),
            is_probe: false,
        })
    }

    fn advance(&mut self, step: Step, block_max: u64) {
        if step.is_probe {
            self.probe += 1;
        } else {
            self.front = step.range.end;
            self.block = (self.block * 2).min(block_max);
        }
    }

    /// The probes that are done.
    fn probes(&self) -> impl Iterator<Item = Extent> + '_ {
        (0..self.probe).filter_map(|number| probe(self.size, number))
    }
}

/// The ranges where files that differ mostly do, none of which meets another.
fn probe(size: u64, number: u32) -> Option<Extent> {
    let at = |start: u64| Some(Extent::new(start, start + PROBE));
    match number {
        0 => Some(Extent::new(0, size.min(PROBE))),
        _ if size <= 2 * PROBE => None,
        1 => {
            let start = (size - TAIL_MIN) / PROBE * PROBE;
            Some(Extent::new(start, size))
        }
        // The middle, then the middles of what it leaves, and so on.
        _ => {
            let (level, place) = (
                (number - 1).ilog2(),
                (number - 1) - (1 << (number - 1).ilog2()),
            );
            let least = *BETWEEN.get(level as usize)?;
            let (odd, parts) = (2 * u64::from(place) + 1, 2u64 << level);
            let start = (u128::from(size) * u128::from(odd) / u128::from(parts)) as u64;
            (size >= least).then(|| at(start / PROBE * PROBE)).flatten()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All steps of a class whose members stay equal.
    fn steps(size: u64, block_max: u64) -> Vec<Step> {
        let mut class = Class::new(size, Vec::new());
        let mut steps = Vec::new();
        while let Some(step) = class.next(block_max) {
            class.advance(step, block_max);
            steps.push(step);
        }
        steps
    }

    fn some_size() -> impl Strategy<Value = u64> {
        prop_oneof![
            1..40_000u64,
            (12..27u32, 0..5000u64).prop_map(|(bits, more)| (1u64 << bits) + more - 2500),
        ]
    }

    proptest! {
        #[test]
        fn steps_cover_each_byte_once(size in some_size(), bits in 12..20u32) {
            let steps = steps(size, 1 << bits);
            let mut ranges: Vec<Extent> = steps.iter().map(|s| s.range).collect();
            prop_assert!(ranges.iter().all(|r| !r.is_empty()));
            prop_assert!(steps.iter().all(|s| s.range.len() <= (1 << bits).max(PROBE_MAX as u64)));
            prop_assert_eq!(steps[0].range.start, 0);
            ranges.sort_unstable();
            prop_assert!(ranges.windows(2).all(|w| w[0].end == w[1].start));
            prop_assert_eq!(ranges.last().map(|r| r.end), Some(size));
        }
    }

    #[test]
    fn probes_of_a_large_file() {
        let starts: Vec<u64> = steps(24 << 20, BLOCK_MAX)
            .iter()
            .filter(|s| s.is_probe)
            .map(|s| s.range.start >> 12)
            .collect();
        assert_eq!(starts, [0, 6143, 3072, 1536, 4608]);
        let huge = steps(1 << 40, 1 << 40);
        assert_eq!(huge.iter().filter(|s| s.is_probe).count(), 17);
        assert!(probe(u64::MAX >> 1, 16).is_some() && probe(u64::MAX >> 1, 17).is_none());
    }
}
