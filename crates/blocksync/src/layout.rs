//! How an object is cut into segments and pages, and the digests of these (PROTOCOL.md, "Units" and
//! "Digests").

use blkcore::{Extent, is_zero};
use sha2::Digest as _;

/// Bytes of a page.
pub(crate) const PAGE: u64 = 4096;

/// Digest of a page or a segment.
pub(crate) type Digest = [u8; 16];

/// The units of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Bytes of the object.
    pub(crate) size: u64,
    /// Bytes of a segment; a power of two, at least a page.
    pub(crate) segment: u64,
}

impl Layout {
    /// How many segments there are.
    pub(crate) fn count(self) -> u64 {
        self.size.div_ceil(self.segment)
    }

    /// The bytes of a segment.
    pub(crate) fn range(self, index: u64) -> Extent {
        let start = index * self.segment;
        Extent::new(start, (start + self.segment).min(self.size))
    }

    /// The pages of a segment; the last one of the object may be shorter.
    pub(crate) fn pages(self, index: u64) -> usize {
        self.range(index).len().div_ceil(PAGE) as usize
    }

    /// The bytes of a page of a segment, from the start of the segment.
    pub(crate) fn page(self, index: u64, page: usize) -> std::ops::Range<usize> {
        let start = page * PAGE as usize;
        start..(start + PAGE as usize).min(self.range(index).len() as usize)
    }

    /// How many segments of `bytes` bytes fit a window; at least one.
    pub(crate) fn window(self, bytes: u64) -> usize {
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
    zero_page: Digest,
}

impl Digester {
    /// Of the session between a source and a sink with these salts.
    pub(crate) fn new(hash: Hash, source_salt: &[u8; 16], sink_salt: &[u8; 16]) -> Digester {
        let salts = [*source_salt, *sink_salt].concat();
        let key = blake3::derive_key("blkutils blocksync 1 digest key", &salts);
        let mut digester = Digester {
            key,
            hash,
            zero_page: [0; 16],
        };
        digester.zero_page = digester.digest(&[0; PAGE as usize]);
        digester
    }

    fn digest(&self, bytes: &[u8]) -> Digest {
        let whole: [u8; 32] = match self.hash {
            Hash::Blake3 => blake3::keyed_hash(&self.key, bytes).into(),
            Hash::Sha256 => sha2::Sha256::new_with_prefix(self.key)
                .chain_update(bytes)
                .finalize()
                .into(),
        };
        std::array::from_fn(|i| whole[i])
    }

    /// Of one page.
    pub(crate) fn page(&self, bytes: &[u8]) -> Digest {
        if bytes.len() == PAGE as usize && is_zero(bytes) {
            return self.zero_page;
        }
        self.digest(bytes)
    }

    /// Of each page of a segment; `None` when all of it is zero.
    pub(crate) fn pages(&self, segment: &[u8]) -> Option<Vec<Digest>> {
        let pages: Vec<Digest> = segment
            .chunks(PAGE as usize)
            .map(|p| self.page(p))
            .collect();
        let seems_zero = pages
            .iter()
            .rev()
            .skip(1)
            .all(|page| *page == self.zero_page);
        if seems_zero && is_zero(segment) {
            None
        } else {
            Some(pages)
        }
    }

    /// Of a segment with these pages.
    pub(crate) fn segment(&self, pages: &[Digest]) -> Digest {
        self.digest(pages.as_flattened())
    }

    /// The pages of a segment of zeros.
    pub(crate) fn zero_pages(&self, layout: Layout, index: u64) -> Vec<Digest> {
        let pages = layout.pages(index);
        let mut out = vec![self.zero_page; pages];
        let last = layout.page(index, pages - 1).len();
        out[pages - 1] = self.page(&[0; PAGE as usize][..last]);
        out
    }

    /// A root of no segments yet.
    pub(crate) fn root(&self) -> Root {
        Root {
            hasher: blake3::Hasher::new_keyed(&self.key),
            zeros: 0,
        }
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
        let layout = Layout {
            size: 2 * 65536 + 4097,
            segment: 65536,
        };
        assert_eq!(
            (layout.count(), layout.pages(0), layout.pages(2)),
            (3, 16, 2)
        );
        assert_eq!(layout.range(2).len(), 4097);
        assert_eq!(layout.page(2, 1), 4096..4097);
        assert_eq!(
            Layout {
                size: 0,
                segment: 65536
            }
            .count(),
            0
        );
    }

    #[test]
    fn digests_depend_on_salts_hash_and_bytes() {
        let one = Digester::new(Hash::Blake3, &[1; 16], &[2; 16]);
        let two = Digester::new(Hash::Blake3, &[2; 16], &[1; 16]);
        let sha = Digester::new(Hash::Sha256, &[1; 16], &[2; 16]);
        assert_ne!(one.page(b"x"), two.page(b"x"));
        assert_ne!(one.page(b"x"), sha.page(b"x"));
        assert_eq!(one.page(&[0; 4096]), one.digest(&[0; 4096]));
    }

    #[test]
    fn only_zeros_are_zero() {
        let digester = Digester::new(Hash::Blake3, &[0; 16], &[0; 16]);
        for len in [1, 4095, 4096, 4097, 65536] {
            let mut bytes = vec![0; len];
            assert!(digester.pages(&bytes).is_none());
            bytes[len - 1] = 1;
            assert_eq!(digester.pages(&bytes).unwrap().len(), len.div_ceil(4096));
        }
        let layout = Layout {
            size: 5000,
            segment: 65536,
        };
        let want: Vec<_> = [0; 5000].chunks(4096).map(|p| digester.page(p)).collect();
        assert_eq!(digester.zero_pages(layout, 0), want);
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
}
