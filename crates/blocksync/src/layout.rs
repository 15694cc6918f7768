//! How an object is cut into segments and pages, and the digests of these (PROTOCOL.md, "Units" and
//! "Digests").

use blkcore::{Extent, ExtentList};
use sha2::Digest as _;
use std::sync::Arc;

/// Bytes of a page.
pub(crate) const PAGE: u64 = 4096;

/// Digest of a page or a segment.
pub(crate) type Digest = [u8; 16];

/// What stands for the digest of a segment of zeros where that has none.
pub(crate) const ZERO: Digest = [0; 16];

/// The units of an object that a session is about. Segments have two numbers: their place in the
/// object, and (which is meant where nothing else is said) their place among those that are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    size: u64,
    segment: u64,
    runs: Arc<[Run]>,
    count: u64,
    /// The first of the segments that were left for last.
    later: u64,
}

/// Neighbouring segments that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    /// Number among those that are compared, and in the object, of the first.
    number: u64,
    place: u64,
    count: u64,
}

impl Layout {
    /// All segments of `segment` bytes (a power of two, at least a page) of an object of `size` bytes.
    pub(crate) fn whole(size: u64, segment: u64) -> Layout {
        let count = size.div_ceil(segment);
        let runs = [Run {
            number: 0,
            place: 0,
            count,
        }];
        Layout {
            size,
            segment,
            runs: runs.into(),
            count,
            later: count,
        }
    }

    /// Only these runs of segments, in this order: place of the first, and count. `None` unless they
    /// are apart, not empty, and in the object.
    pub(crate) fn of_runs(size: u64, segment: u64, runs: &[(u64, u64)]) -> Option<Layout> {
        let all = size.div_ceil(segment);
        let mut sorted = runs.to_vec();
        sorted.sort_unstable();
        let mut end = 0;
        for (place, count) in sorted {
            if place < end || count == 0 {
                return None;
            }
            end = place.checked_add(count).filter(|end| *end <= all)?;
        }
        let mut number = 0;
        let runs = runs.iter().map(|(place, count)| {
            let run = Run {
                number,
                place: *place,
                count: *count,
            };
            number += count;
            run
        });
        let runs = runs.collect();
        Some(Layout {
            size,
            segment,
            runs,
            count: number,
            later: number,
        })
    }

    /// The same segments in another order: first those that do not lie in `done` as a whole.
    pub(crate) fn leave_for_last(&self, done: &ExtentList) -> Layout {
        let own: ExtentList = self.extents_below(self.count);
        let cut = |extent: Extent| {
            let start = extent.start.next_multiple_of(self.segment);
            let end = if extent.end >= self.size {
                self.size
            } else {
                extent.end - extent.end % self.segment
            };
            (start < end).then(|| Extent::new(start, end))
        };
        let done: ExtentList = done.iter().filter_map(cut).collect();
        let (later, first) = (own.intersection(&done), own.difference(&done));
        let runs = |list: &ExtentList| -> Vec<(u64, u64)> {
            let run = |e: Extent| (e.start / self.segment, e.len().div_ceil(self.segment));
            list.iter().map(run).collect()
        };
        let (mut all, later) = (runs(&first), runs(&later));
        let count = all.iter().map(|(_, count)| count).sum();
        all.extend(later);
        match Layout::of_runs(self.size, self.segment, &all) {
            Some(layout) => Layout {
                later: count,
                ..layout
            },
            None => self.clone(),
        }
    }

    /// The same, of a plan that the other side has made: what was left for last are the runs at its
    /// end that lie in `done`.
    pub(crate) fn left_for_last(mut self, done: &ExtentList) -> Layout {
        let is_done = |run: &Run| {
            let start = run.place * self.segment;
            let end = (start + run.count * self.segment).min(self.size);
            done.within(Extent::new(start, end))
                .any(|e| e.len() == end - start)
        };
        let last = self.runs.iter().rev().take_while(|run| is_done(run)).last();
        self.later = last.map_or(self.count, |run| run.number);
        self
    }

    /// The first of the segments that were left for last; the number of all if none were.
    pub(crate) fn later(&self) -> u64 {
        self.later
    }

    /// The bytes of the segments below this number.
    pub(crate) fn extents_below(&self, number: u64) -> ExtentList {
        let runs = self
            .runs
            .iter()
            .filter(|run| run.number < number && run.count > 0);
        let extents = runs.map(|run| {
            let count = run.count.min(number - run.number);
            let start = run.place * self.segment;
            Extent::new(start, (start + count * self.segment).min(self.size))
        });
        extents.collect()
    }

    /// The segments that meet these extents.
    pub(crate) fn of_extents(size: u64, segment: u64, extents: &ExtentList) -> Layout {
        let whole = extents.clip(size).align_outwards(segment, size);
        let runs = whole
            .iter()
            .map(|e| (e.start / segment, e.len().div_ceil(segment)));
        let runs: Vec<_> = runs.collect();
        Layout::of_runs(size, segment, &runs).unwrap_or_else(|| Layout::whole(size, segment))
    }

    /// The runs as [`Layout::of_runs`] takes them.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (u64, u64)> {
        self.runs
            .iter()
            .filter(|run| run.count > 0)
            .map(|run| (run.place, run.count))
    }

    /// Bytes of the object.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Bytes of a segment.
    pub(crate) fn segment(&self) -> u64 {
        self.segment
    }

    /// Bytes of the segments that are compared.
    pub(crate) fn bytes_of(&self, segments: u64) -> u64 {
        (segments * self.segment).min(self.total())
    }

    /// Bytes that are compared.
    pub(crate) fn total(&self) -> u64 {
        let ends = self.runs.iter().filter(|run| run.count > 0);
        let end = ends.map(|run| run.place + run.count).max().unwrap_or(0);
        self.count * self.segment - (end * self.segment).saturating_sub(self.size)
    }

    /// How many segments are compared.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    fn run(&self, number: u64) -> Run {
        let after = self.runs.partition_point(|run| run.number <= number);
        self.runs[after.saturating_sub(1)]
    }

    /// How many segments from this one on lie side by side.
    pub(crate) fn neighbours(&self, number: u64) -> u64 {
        let run = self.run(number);
        run.number + run.count - number
    }

    /// The bytes of a segment.
    pub(crate) fn range(&self, number: u64) -> Extent {
        let run = self.run(number);
        let start = (run.place + (number - run.number)) * self.segment;
        Extent::new(start, (start + self.segment).min(self.size))
    }

    /// The pages of a segment; the last one of the object may be shorter.
    pub(crate) fn pages(&self, number: u64) -> usize {
        self.range(number).len().div_ceil(PAGE) as usize
    }

    /// The bytes of a page of a segment, from the start of the segment.
    pub(crate) fn page(&self, number: u64, page: usize) -> std::ops::Range<usize> {
        let start = page * PAGE as usize;
        start..(start + PAGE as usize).min(self.range(number).len() as usize)
    }

    /// How many segments fit a window of `bytes` bytes; at least one.
    pub(crate) fn window(&self, bytes: u64) -> usize {
        (bytes / self.segment).max(1) as usize
    }
}

/// Which hash the digests are made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Blake3 = 1,
    Sha256 = 2,
}

/// Makes digests with the key of a session.
#[derive(Clone, Debug)]
pub(crate) struct Digester {
    key: [u8; 32],
    hash: Hash,
}

impl Digester {
    /// Of the session between a source and a sink with these salts.
    pub(crate) fn new(hash: Hash, source_salt: &[u8; 16], sink_salt: &[u8; 16]) -> Digester {
        let salts = [*source_salt, *sink_salt].concat();
        let key = blake3::derive_key("blkutils blocksync 1 digest key", &salts);
        Digester { key, hash }
    }

    /// A digest of no bytes yet.
    pub(crate) fn begin(&self) -> Hashing {
        match self.hash {
            Hash::Blake3 => Hashing::Blake3(Box::new(blake3::Hasher::new_keyed(&self.key))),
            Hash::Sha256 => Hashing::Sha256(sha2::Sha256::new_with_prefix(self.key)),
        }
    }

    /// Of all bytes of a segment.
    pub(crate) fn of(&self, bytes: &[u8]) -> Digest {
        let mut hashing = self.begin();
        hashing.update(bytes);
        hashing.finish()
    }

    /// Of each page of a segment.
    pub(crate) fn pages(&self, segment: &[u8]) -> Vec<Digest> {
        segment
            .chunks(PAGE as usize)
            .map(|page| self.of(page))
            .collect()
    }

    /// A root of no segments yet.
    pub(crate) fn root(&self) -> Root {
        Root {
            hasher: blake3::Hasher::new_keyed(&self.key),
            zeros: 0,
        }
    }
}

/// The prefix of each page of a segment: where they differ, so do the pages.
pub(crate) fn prefixes(segment: &[u8]) -> Vec<[u8; 3]> {
    let pages = segment.chunks(PAGE as usize);
    pages
        .map(|page| {
            let [a, b, c, _] = crc32fast::hash(page).to_le_bytes();
            [a, b, c]
        })
        .collect()
}

/// A digest under way.
#[derive(Clone, Debug)]
pub(crate) enum Hashing {
    Blake3(Box<blake3::Hasher>),
    Sha256(sha2::Sha256),
}

impl Hashing {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Hashing::Blake3(hasher) => {
                hasher.update(bytes);
            }
            Hashing::Sha256(hasher) => hasher.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> Digest {
        let whole: [u8; 32] = match self {
            Hashing::Blake3(hasher) => hasher.finalize().into(),
            Hashing::Sha256(hasher) => hasher.finalize().into(),
        };
        std::array::from_fn(|i| whole[i])
    }
}

/// The digest over all segments, which must come in order.
#[derive(Debug)]
pub(crate) struct Root {
    hasher: blake3::Hasher,
    zeros: u64,
}

impl Root {
    pub(crate) fn zeros(&mut self, count: u64) {
        self.zeros += count;
    }

    pub(crate) fn segment(&mut self, digest: &Digest) {
        self.flush();
        self.hasher.update(&[1]).update(digest);
    }

    fn flush(&mut self) {
        if self.zeros > 0 {
            self.hasher.update(&[0]).update(&self.zeros.to_le_bytes());
            self.zeros = 0;
        }
    }

    pub(crate) fn finish(mut self) -> [u8; 32] {
        self.flush();
        self.hasher.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_units_are_shorter() {
        let layout = Layout::whole(2 * 65536 + 4097, 65536);
        assert_eq!(
            (layout.count(), layout.pages(0), layout.pages(2)),
            (3, 16, 2)
        );
        assert_eq!(layout.range(2).len(), 4097);
        assert_eq!(layout.page(2, 1), 4096..4097);
        assert_eq!(Layout::whole(0, 65536).count(), 0);
    }

    #[test]
    fn digests_depend_on_salts_hash_and_bytes() {
        let one = Digester::new(Hash::Blake3, &[1; 16], &[2; 16]);
        let two = Digester::new(Hash::Blake3, &[2; 16], &[1; 16]);
        let sha = Digester::new(Hash::Sha256, &[1; 16], &[2; 16]);
        assert_ne!(one.of(b"x"), two.of(b"x"));
        assert_ne!(one.of(b"x"), sha.of(b"x"));
        for digester in [one, sha] {
            let mut hashing = digester.begin();
            [&b"ab"[..], b"", b"c"]
                .iter()
                .for_each(|part| hashing.update(part));
            assert_eq!(hashing.finish(), digester.of(b"abc"));
        }
    }

    #[test]
    fn every_page_has_its_digests() {
        let digester = Digester::new(Hash::Blake3, &[0; 16], &[0; 16]);
        for len in [1, 4095, 4096, 4097, 65536] {
            let bytes = vec![3; len];
            let pages = digester.pages(&bytes);
            assert_eq!(
                (pages.len(), prefixes(&bytes).len()),
                (len.div_ceil(4096), len.div_ceil(4096))
            );
            assert_eq!(pages[0], digester.of(&bytes[..len.min(4096)]));
        }
    }

    #[test]
    fn a_root_does_not_depend_on_how_zeros_come() {
        let digester = Digester::new(Hash::Blake3, &[0; 16], &[0; 16]);
        let (mut a, mut b) = (digester.root(), digester.root());
        a.zeros(3);
        a.segment(&[7; 16]);
        (0..3).for_each(|_| b.zeros(1));
        b.segment(&[7; 16]);
        b.zeros(0);
        assert_eq!(a.finish(), b.finish());
    }

    #[test]
    fn runs_number_what_is_compared() {
        let extents = [
            Extent::new(70_000, 70_001),
            Extent::new(131_072, 131_073),
            Extent::new(400_000, 500_000),
        ];
        let extents = ExtentList::from_iter(extents);
        let layout = Layout::of_extents(460_000, 65536, &extents);
        assert_eq!(layout.runs().collect::<Vec<_>>(), [(1, 2), (6, 2)]);
        assert_eq!(
            (layout.count(), layout.neighbours(0), layout.neighbours(3)),
            (4, 2, 1)
        );
        assert_eq!(layout.range(1), Extent::new(131_072, 196_608));
        assert_eq!(layout.range(3), Extent::new(458_752, 460_000));
        assert_eq!(layout.total(), 3 * 65536 + 460_000 - 458_752);
        for wrong in [
            vec![(2, 1), (1, 2)],
            vec![(1, 2), (2, 1)],
            vec![(0, 0)],
            vec![(7, 2)],
            vec![(u64::MAX, 2)],
        ] {
            assert_eq!(Layout::of_runs(460_000, 65536, &wrong), None, "{wrong:?}");
        }
        assert_eq!(Layout::of_runs(460_000, 65536, &[]).unwrap().count(), 0);
        let turned = Layout::of_runs(460_000, 65536, &[(6, 2), (0, 3)]).unwrap();
        assert_eq!(turned.total(), 460_000 - 3 * 65536);
        assert_eq!(turned.range(1), Extent::new(458_752, 460_000));
        assert_eq!(turned.range(2), Extent::new(0, 65536));
        assert_eq!(Layout::whole(0, 65536).total(), 0);
    }

    #[test]
    fn what_was_done_is_left_for_last() {
        let whole = Layout::whole(460_000, 65536);
        let done = [Extent::new(5, 3 * 65536 + 7), Extent::new(458_752, 460_000)];
        let layout = whole.leave_for_last(&ExtentList::from_iter(done));
        assert_eq!(
            layout.runs().collect::<Vec<_>>(),
            [(0, 1), (3, 4), (1, 2), (7, 1)]
        );
        assert_eq!((layout.later(), layout.count()), (5, 8));
        assert_eq!(layout.total(), 460_000);
        let plan: Vec<_> = layout.runs().collect();
        let planned = Layout::of_runs(460_000, 65536, &plan).unwrap();
        assert_eq!(planned.left_for_last(&ExtentList::from_iter(done)), layout);
        let below: Vec<_> = layout.extents_below(6).iter().collect();
        assert_eq!(
            below,
            [Extent::new(0, 2 * 65536), Extent::new(3 * 65536, 458_752)]
        );
        let nothing = whole.leave_for_last(&ExtentList::default());
        assert_eq!((nothing.later(), nothing.runs().count()), (8, 1));
        let all = [Extent::new(0, 1 << 40)];
        assert_eq!(whole.leave_for_last(&ExtentList::from_iter(all)).later(), 0);
    }
}
