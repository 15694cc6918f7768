//! The different blocks that were met in one comparison: finds the equal one among them, or keeps
//! the block as a new one.
//!
//! Equal means equal byte by byte. Few blocks are compared one after the other, many through an
//! index by CRC-32; where blocks have the same CRC they are kept sorted, so that even a set made to
//! have one CRC costs no more than the logarithm of its number for each block.

use crate::limits::Stock;
use blkcore::HashKind;
use std::collections::HashMap;

/// Up to this many blocks no index is needed: most differ in their first bytes.
const FEW: usize = 8;

/// Room that is kept for the next comparison.
const KEPT: usize = 1 << 20;

/// Blocks of one length, numbered as they came.
#[derive(Debug, Default)]
pub(crate) struct Distinct {
    len: usize,
    blocks: Vec<u8>,
    count: usize,
    /// The first block with a CRC.
    first: HashMap<u32, u32>,
    /// All blocks with a CRC that more than one has, sorted by their bytes.
    more: HashMap<u32, Vec<u32>>,
    /// Bytes taken from the stock of memory.
    taken: u64,
}

impl Distinct {
    /// Starts anew with blocks of `len` bytes.
    pub(crate) fn reset(&mut self, len: usize, memory: &Stock) {
        self.len = len;
        self.count = 0;
        self.blocks.clear();
        self.blocks.shrink_to(KEPT);
        if !self.first.is_empty() {
            self.first = HashMap::new();
            self.more = HashMap::new();
        }
        memory.give(std::mem::take(&mut self.taken));
    }

    /// The number of the block that equals `block`, which is kept if there is none; `None` when
    /// there is no memory left to keep it.
    pub(crate) fn place(&mut self, block: &[u8], memory: &Stock) -> Option<u32> {
        debug_assert_eq!(block.len(), self.len);
        if self.count <= FEW {
            if let Some(same) = (0..self.count as u32).find(|i| self.block(*i) == block) {
                return Some(same);
            }
            if self.count < FEW {
                return self.keep(block, memory);
            }
            for i in 0..self.count as u32 {
                self.enter(crc(self.block(i)), i);
            }
        }
        let crc = crc(block);
        match self.find(crc, block) {
            Some(same) => Some(same),
            None => {
                let new = self.keep(block, memory)?;
                self.enter(crc, new);
                Some(new)
            }
        }
    }

    fn block(&self, number: u32) -> &[u8] {
        &self.blocks[number as usize * self.len..][..self.len]
    }

    fn keep(&mut self, block: &[u8], memory: &Stock) -> Option<u32> {
        let needed = self.blocks.len() + self.len;
        if needed > self.blocks.capacity().max(KEPT.min(16 * self.len)) {
            // Twice the room, as `Vec` would take it, or just enough.
            let more = (self.blocks.capacity().max(needed) as u64, self.len as u64);
            let granted = [more.0, more.1].into_iter().find(|n| memory.take(*n))?;
            self.taken += granted;
            self.blocks.reserve_exact(granted as usize);
        }
        self.blocks.extend_from_slice(block);
        self.count += 1;
        Some(self.count as u32 - 1)
    }

    fn find(&self, crc: u32, block: &[u8]) -> Option<u32> {
        let first = *self.first.get(&crc)?;
        if self.block(first) == block {
            return Some(first);
        }
        let all = self.more.get(&crc)?;
        let at = all.binary_search_by(|i| self.block(*i).cmp(block)).ok()?;
        Some(all[at])
    }

    /// Enters a block that is not in the index.
    fn enter(&mut self, crc: u32, number: u32) {
        let Some(first) = self.first.get(&crc).copied() else {
            self.first.insert(crc, number);
            return;
        };
        let mut all = self.more.remove(&crc).unwrap_or_else(|| vec![first]);
        let block = self.block(number);
        let at = all.partition_point(|i| self.block(*i) < block);
        all.insert(at, number);
        self.more.insert(crc, all);
    }
}

fn crc(block: &[u8]) -> u32 {
    let digest = HashKind::Crc32.of(block);
    digest
        .as_ref()
        .iter()
        .fold(0, |crc, byte| crc << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_are_those_of_a_linear_search(
            values in prop::collection::vec(0..40u8, 0..200), len in 1..6usize,
        ) {
            let memory = Stock::new(u64::MAX >> 1);
            let mut distinct = Distinct::default();
            distinct.reset(len, &memory);
            let mut naive: Vec<u8> = Vec::new();
            for value in values {
                let want = naive.iter().position(|v| *v == value).unwrap_or(naive.len());
                if want == naive.len() {
                    naive.push(value);
                }
                prop_assert_eq!(distinct.place(&vec![value; len], &memory), Some(want as u32));
            }
            prop_assert_eq!(distinct.count, naive.len());
        }
    }

    /// Any 4 bytes can be followed by 4 that bring the CRC to a wanted value: here by search over
    /// the linear structure, one block a value.
    fn blocks_of_one_crc(count: u32) -> Vec<Vec<u8>> {
        // The CRC of a block is affine in its bits: crc(a ^ b ^ c) = crc(a) ^ crc(b) ^ crc(c).
        let zero = crc(&[0; 8]);
        let mut basis: Vec<(u32, [u8; 4])> = Vec::new();
        for bit in 0..32 {
            let mut tail = (1u32 << bit).to_le_bytes();
            let mut block = [0; 8];
            block[4..].copy_from_slice(&tail);
            let mut value = crc(&block) ^ zero;
            for (v, t) in &basis {
                if value ^ v < value {
                    value ^= v;
                    tail = std::array::from_fn(|i| tail[i] ^ t[i]);
                }
            }
            basis.push((value, tail));
            basis.sort_by_key(|b| std::cmp::Reverse(b.0));
        }
        let block = |i: u32| {
            let mut block = [0; 8];
            block[..4].copy_from_slice(&i.to_le_bytes());
            let mut value = crc(&block) ^ zero;
            for (v, t) in &basis {
                if value ^ v < value {
                    value ^= v;
                    (0..4).for_each(|k| block[4 + k] ^= t[k]);
                }
            }
            block.to_vec()
        };
        (0..count).map(block).collect()
    }

    #[test]
    fn blocks_of_one_crc_are_told_apart() {
        let blocks = blocks_of_one_crc(500);
        assert!(blocks.iter().all(|b| crc(b) == crc(&[0; 8])));
        let memory = Stock::new(1 << 20);
        let mut distinct = Distinct::default();
        distinct.reset(8, &memory);
        for _ in 0..2 {
            for (i, block) in blocks.iter().enumerate() {
                assert_eq!(distinct.place(block, &memory), Some(i as u32));
            }
        }
        assert_eq!((distinct.first.len(), distinct.more.len()), (1, 1));
    }

    #[test]
    fn memory_is_bounded_and_given_back() {
        let memory = Stock::new(100 * 4096);
        let mut distinct = Distinct::default();
        distinct.reset(4096, &memory);
        let block = |i: u32| i.to_le_bytes().repeat(1024);
        let kept = (0..200)
            .filter(|i| distinct.place(&block(*i), &memory).is_some())
            .count();
        assert!((100..=116).contains(&kept), "{kept}");
        assert_eq!(
            distinct.place(&block(3), &memory),
            Some(3),
            "what is kept is still found"
        );
        distinct.reset(4096, &memory);
        assert!(memory.take(100 * 4096));
    }
}
