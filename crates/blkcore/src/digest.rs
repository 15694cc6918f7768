//! Digests of blocks: SHA-256, BLAKE3 and CRC-32 behind one type.

use sha2::Digest as _;
use std::fmt;

/// Which digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HashKind {
    /// SHA-256 (FIPS 180-4), 32 bytes.
    Sha256,
    /// BLAKE3, 32 bytes.
    Blake3,
    /// CRC-32 as in zip and gzip (polynomial 0xEDB88320), 4 bytes, most significant first. Finds
    /// accidents, proves nothing.
    Crc32,
}

impl HashKind {
    /// Length of its digests in bytes.
    pub fn len(self) -> usize {
        match self {
            HashKind::Sha256 | HashKind::Blake3 => 32,
            HashKind::Crc32 => 4,
        }
    }

    /// Always false: every digest has bytes.
    pub fn is_empty(self) -> bool {
        false
    }

    /// The digest of `bytes`.
    pub fn of(self, bytes: &[u8]) -> Digest {
        let mut hasher = Hasher::new(self);
        hasher.update(bytes);
        hasher.finish()
    }

    /// The digest of each block of `size` bytes of `bytes`; the last block may be shorter.
    ///
    /// # Panics
    /// If `size` is zero.
    pub fn of_blocks(self, bytes: &[u8], size: usize) -> impl Iterator<Item = Digest> {
        bytes.chunks(size).map(move |block| self.of(block))
    }
}

/// A digest; prints as lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    bytes: [u8; 32],
    len: u8,
}

impl Digest {
    fn from_slice(slice: &[u8]) -> Digest {
        let mut bytes = [0; 32];
        bytes[..slice.len()].copy_from_slice(slice);
        Digest {
            bytes,
            len: slice.len() as u8,
        }
    }
}

impl AsRef<[u8]> for Digest {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A digest under way.
#[derive(Clone, Debug)]
pub struct Hasher(State);

#[derive(Clone, Debug)]
enum State {
    Sha256(sha2::Sha256),
    Blake3(Box<blake3::Hasher>),
    Crc32(crc32fast::Hasher),
}

impl Hasher {
    /// Of no bytes yet.
    pub fn new(kind: HashKind) -> Hasher {
        Hasher(match kind {
            HashKind::Sha256 => State::Sha256(sha2::Sha256::new()),
            HashKind::Blake3 => State::Blake3(Box::default()),
            HashKind::Crc32 => State::Crc32(crc32fast::Hasher::new()),
        })
    }

    /// Takes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(h) => h.update(bytes),
            State::Blake3(h) => {
                h.update(bytes);
            }
            State::Crc32(h) => h.update(bytes),
        }
    }

    /// The digest of all that was taken.
    pub fn finish(self) -> Digest {
        match self.0 {
            State::Sha256(h) => Digest::from_slice(&h.finalize()),
            State::Blake3(h) => Digest::from_slice(h.finalize().as_bytes()),
            State::Crc32(h) => Digest::from_slice(&h.finalize().to_be_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KINDS: [HashKind; 3] = [HashKind::Sha256, HashKind::Blake3, HashKind::Crc32];

    #[test]
    fn published_values() {
        let hex = |kind: HashKind, bytes: &[u8]| kind.of(bytes).to_string();
        assert_eq!(
            hex(HashKind::Sha256, b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            hex(HashKind::Blake3, b""),
            "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
        );
        assert_eq!(hex(HashKind::Crc32, b"123456789"), "cbf43926");
    }

    proptest! {
        #[test]
        fn pieces_and_blocks_agree_with_the_whole(
            bytes in prop::collection::vec(any::<u8>(), 0..2000), cut in 0..2000usize,
            size in 1..600usize,
        ) {
            for kind in KINDS {
                let (a, b) = bytes.split_at(cut.min(bytes.len()));
                let mut hasher = Hasher::new(kind);
                hasher.update(a);
                hasher.update(b);
                let whole = hasher.finish();
                prop_assert_eq!(whole, kind.of(&bytes));
                prop_assert_eq!(whole.as_ref().len(), kind.len());
                let blocks: Vec<_> = kind.of_blocks(&bytes, size).collect();
                prop_assert_eq!(blocks.len(), bytes.len().div_ceil(size));
                for (block, digest) in bytes.chunks(size).zip(blocks) {
                    prop_assert_eq!(kind.of(block), digest);
                }
            }
        }
    }
}
