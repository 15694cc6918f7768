//! Extents (half-open byte ranges) and sorted lists of them, with the algebra of sets.
//!
//! An [`ExtentList`] is always sorted, disjoint and merged: no extent is empty, and two neighbours
//! have a gap between them. Every operation is one pass over its operands.

use std::ops::Range;

/// A half-open range of bytes, `start..end`, with `start <= end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Extent {
    /// Offset of the first byte.
    pub start: u64,
    /// Offset behind the last byte.
    pub end: u64,
}

impl Extent {
    /// The bytes from `start` up to, not including, `end`.
    ///
    /// # Panics
    /// If `end` is below `start`.
    pub fn new(start: u64, end: u64) -> Extent {
        assert!(start <= end, "extent {start}..{end} ends before it starts");
        Extent { start, end }
    }

    /// Length in bytes.
    pub fn len(self) -> u64 {
        self.end - self.start
    }

    /// Whether it holds no byte.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// The part of it inside `other`; empty when they do not meet.
    pub fn intersect(self, other: Extent) -> Extent {
        let start = self.start.max(other.start);
        Extent {
            start,
            end: self.end.min(other.end).max(start),
        }
    }

    /// Whether the two have a byte in common.
    pub fn meets(self, other: Extent) -> bool {
        !self.intersect(other).is_empty()
    }

    /// It in pieces of at most `size` bytes that end at multiples of `size`, in order.
    ///
    /// # Panics
    /// If `size` is zero.
    pub fn blocks(self, size: u64) -> impl Iterator<Item = Extent> {
        assert!(size > 0, "blocks of no bytes");
        let mut start = self.start;
        std::iter::from_fn(move || {
            if start == self.end {
                return None;
            }
            let end = (start - start % size)
                .checked_add(size)
                .map_or(self.end, |e| e.min(self.end));
            let block = Extent { start, end };
            start = end;
            Some(block)
        })
    }
}

impl From<Range<u64>> for Extent {
    fn from(range: Range<u64>) -> Extent {
        Extent::new(range.start, range.end)
    }
}

/// A set of bytes as sorted, disjoint, merged extents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtentList(Vec<Extent>);

impl ExtentList {
    /// The empty set.
    pub fn new() -> ExtentList {
        ExtentList(Vec::new())
    }

    /// The bytes from 0 up to, not including, `len`.
    pub fn full(len: u64) -> ExtentList {
        ExtentList::from_iter([Extent { start: 0, end: len }])
    }

    /// Adds an extent behind (or touching, or overlapping) the last one.
    ///
    /// # Panics
    /// If `extent` starts before the last one does: the list would not stay sorted.
    pub fn push(&mut self, extent: Extent) {
        if extent.is_empty() {
            return;
        }
        match self.0.last_mut() {
            Some(last) if extent.start <= last.end => {
                assert!(extent.start >= last.start, "extent pushed out of order");
                last.end = last.end.max(extent.end);
            }
            _ => self.0.push(extent),
        }
    }

    /// Its extents in order.
    pub fn iter(&self) -> impl Iterator<Item = Extent> {
        self.0.iter().copied()
    }

    /// How many extents it has.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// How many bytes it has.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|e| e.len()).sum()
    }

    /// Whether it holds no byte.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the byte at `offset` is in it.
    pub fn contains(&self, offset: u64) -> bool {
        let after = self.0.partition_point(|e| e.end <= offset);
        self.0.get(after).is_some_and(|e| e.start <= offset)
    }

    /// The parts of its extents inside `range`, in order. Finds the first by bisection.
    pub fn within(&self, range: Extent) -> impl Iterator<Item = Extent> {
        let first = self.0.partition_point(|e| e.end <= range.start);
        let extents = self.0[first..]
            .iter()
            .take_while(move |e| e.start < range.end);
        extents
            .map(move |e| e.intersect(range))
            .filter(|e| !e.is_empty())
    }

    /// The bytes in either.
    pub fn union(&self, other: &ExtentList) -> ExtentList {
        let (mut a, mut b) = (self.iter().peekable(), other.iter().peekable());
        let mut out = ExtentList::new();
        loop {
            let from_a = match (a.peek(), b.peek()) {
                (None, None) => return out,
                (Some(x), Some(y)) => x.start <= y.start,
                (x, _) => x.is_some(),
            };
            if let Some(next) = if from_a { a.next() } else { b.next() } {
                out.push(next);
            }
        }
    }

    /// The bytes in both.
    pub fn intersection(&self, other: &ExtentList) -> ExtentList {
        let (mut i, mut j) = (0, 0);
        let mut out = ExtentList::new();
        while let (Some(a), Some(b)) = (self.0.get(i), other.0.get(j)) {
            out.push(a.intersect(*b));
            if a.end <= b.end { i += 1 } else { j += 1 }
        }
        out
    }

    /// The bytes of it that are not in `other`.
    pub fn difference(&self, other: &ExtentList) -> ExtentList {
        let mut out = ExtentList::new();
        let mut j = 0;
        for extent in self.iter() {
            let mut start = extent.start;
            while let Some(hole) = other.0.get(j) {
                if hole.start >= extent.end {
                    break;
                }
                if hole.start > start {
                    out.push(Extent {
                        start,
                        end: hole.start,
                    });
                }
                start = start.max(hole.end);
                if hole.end > extent.end {
                    break;
                }
                j += 1;
            }
            if start < extent.end {
                out.push(Extent {
                    start,
                    end: extent.end,
                });
            }
        }
        out
    }

    /// The bytes below `len` that are not in it.
    pub fn complement(&self, len: u64) -> ExtentList {
        ExtentList::full(len).difference(self)
    }

    /// The bytes of it below `len`.
    pub fn clip(&self, len: u64) -> ExtentList {
        self.intersection(&ExtentList::full(len))
    }

    /// Every extent widened to multiples of `quantum`, the last one ending at `len` at the most.
    ///
    /// # Panics
    /// If `quantum` is zero.
    pub fn align_outwards(&self, quantum: u64, len: u64) -> ExtentList {
        let mut out = ExtentList::new();
        for e in self.iter() {
            let start = (e.start - e.start % quantum).min(len);
            let end = e
                .end
                .checked_next_multiple_of(quantum)
                .unwrap_or(u64::MAX)
                .min(len);
            out.push(Extent { start, end });
        }
        out
    }
}

/// Collects extents in any order, overlapping or not.
impl FromIterator<Extent> for ExtentList {
    fn from_iter<I: IntoIterator<Item = Extent>>(extents: I) -> ExtentList {
        let mut all: Vec<Extent> = extents.into_iter().collect();
        all.sort_unstable();
        let mut out = ExtentList::new();
        for extent in all {
            out.push(extent);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LEN: u64 = 64;

    fn list() -> impl Strategy<Value = ExtentList> {
        prop::collection::vec((0..LEN, 0..12u64), 0..8).prop_map(|pairs| {
            pairs
                .into_iter()
                .map(|(s, l)| Extent::new(s, (s + l).min(LEN)))
                .collect()
        })
    }

    /// The set as one flag a byte: what every operation is checked against.
    fn flags(list: &ExtentList) -> Vec<bool> {
        (0..LEN)
            .map(|i| list.iter().any(|e| e.start <= i && i < e.end))
            .collect()
    }

    fn is_normal(list: &ExtentList) -> bool {
        let extents: Vec<_> = list.iter().collect();
        extents.iter().all(|e| !e.is_empty()) && extents.windows(2).all(|w| w[0].end < w[1].start)
    }

    fn combine(a: &ExtentList, b: &ExtentList, f: impl Fn(bool, bool) -> bool) -> Vec<bool> {
        flags(a)
            .into_iter()
            .zip(flags(b))
            .map(|(x, y)| f(x, y))
            .collect()
    }

    proptest! {
        #[test]
        fn algebra_matches_flags(a in list(), b in list()) {
            for (got, want) in [
                (a.union(&b), combine(&a, &b, |x, y| x || y)),
                (a.intersection(&b), combine(&a, &b, |x, y| x && y)),
                (a.difference(&b), combine(&a, &b, |x, y| x && !y)),
                (a.complement(LEN), combine(&a, &b, |x, _| !x)),
            ] {
                prop_assert!(is_normal(&got), "{got:?}");
                prop_assert_eq!(got.total(), want.iter().filter(|x| **x).count() as u64);
                prop_assert_eq!(flags(&got), want);
            }
        }

        #[test]
        fn clip_keeps_what_is_below(a in list(), len in 0..LEN) {
            let got = a.clip(len);
            prop_assert!(is_normal(&got));
            for i in 0..LEN {
                prop_assert_eq!(got.contains(i), a.contains(i) && i < len);
            }
        }

        #[test]
        fn within_is_the_intersection(a in list(), start in 0..LEN, len in 0..LEN) {
            let range = Extent::new(start, start + len);
            let got: Vec<_> = a.within(range).collect();
            let want: Vec<_> = a.intersection(&ExtentList::from_iter([range])).iter().collect();
            prop_assert_eq!(got, want);
        }

        #[test]
        fn alignment_covers_whole_quanta(a in list(), quantum in 1..20u64) {
            let got = a.align_outwards(quantum, LEN);
            prop_assert!(is_normal(&got));
            for i in 0..LEN {
                let q = i / quantum * quantum;
                let want = (q..(q + quantum).min(LEN)).any(|j| a.contains(j));
                prop_assert_eq!(got.contains(i), want);
            }
        }

        #[test]
        fn blocks_tile_an_extent(start in 0..100u64, len in 0..100u64, size in 1..30u64) {
            let extent = Extent::new(start, start + len);
            let mut at = start;
            for block in extent.blocks(size) {
                prop_assert_eq!(block.start, at);
                prop_assert!(!block.is_empty());
                prop_assert_eq!(block.start / size, (block.end - 1) / size);
                prop_assert!(block.end == extent.end || block.end % size == 0);
                at = block.end;
            }
            prop_assert_eq!(at, extent.end);
        }
    }

    #[test]
    fn ends_of_the_address_space() {
        let last = Extent::new(u64::MAX - 3, u64::MAX);
        assert_eq!(last.blocks(1 << 20).collect::<Vec<_>>(), [last]);
        let list = ExtentList::from_iter([last]);
        assert_eq!(list.align_outwards(4096, u64::MAX).total(), 4095);
        assert_eq!(list.complement(u64::MAX).total(), u64::MAX - 3);
    }
}
