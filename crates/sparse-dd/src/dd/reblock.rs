//! Puts a stream into output blocks: each is handed out as soon as it is full. No I/O.

use super::convert::Piece;

/// The block that is being filled.
#[derive(Debug)]
pub(super) struct Reblock<B> {
    /// One output block long.
    buffer: B,
    filled: usize,
}

impl<B: AsMut<[u8]>> Reblock<B> {
    pub(super) fn new(buffer: B) -> Reblock<B> {
        Reblock { buffer, filled: 0 }
    }

    /// Adds a piece; `write` gets each full block.
    pub(super) fn push<E>(
        &mut self,
        piece: Piece<'_>,
        write: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        match piece {
            Piece::Bytes(bytes) => self.push_bytes(bytes, write),
            Piece::Repeat(byte, n) => self.push_repeated(byte, n, write),
        }
    }

    fn push_bytes<E>(
        &mut self,
        mut bytes: &[u8],
        write: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let block = self.buffer.as_mut();
        while !bytes.is_empty() {
            if self.filled == 0 && bytes.len() >= block.len() {
                // Whole blocks need no copy.
                let (whole, rest) = bytes.split_at(block.len());
                write(whole)?;
                bytes = rest;
                continue;
            }
            let n = bytes.len().min(block.len() - self.filled);
            block[self.filled..self.filled + n].copy_from_slice(&bytes[..n]);
            self.filled += n;
            bytes = &bytes[n..];
            if self.filled == block.len() {
                write(block)?;
                self.filled = 0;
            }
        }
        Ok(())
    }

    fn push_repeated<E>(
        &mut self,
        byte: u8,
        mut n: u64,
        write: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let block = self.buffer.as_mut();
        while n > 0 {
            let room = (block.len() - self.filled) as u64;
            let part = n.min(room) as usize;
            block[self.filled..self.filled + part].fill(byte);
            self.filled += part;
            n -= part as u64;
            if self.filled == block.len() {
                write(block)?;
                self.filled = 0;
            }
        }
        Ok(())
    }

    /// The last block, which is not full; empty if there is none.
    pub(super) fn rest(&mut self) -> &[u8] {
        &self.buffer.as_mut()[..self.filled]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::convert::Infallible;

    proptest! {
        #[test]
        fn blocks_are_full_and_in_order(
            size in 1..9usize,
            pieces in prop::collection::vec((any::<bool>(), 0..20usize), 0..12),
        ) {
            let (mut blocks, mut whole) = (Vec::new(), Vec::new());
            let mut write = |block: &[u8]| -> Result<(), Infallible> {
                blocks.push(block.to_vec());
                Ok(())
            };
            let mut reblock = Reblock::new(vec![0; size]);
            for (i, (repeat, len)) in pieces.into_iter().enumerate() {
                let bytes: Vec<u8> = match repeat {
                    true => vec![i as u8; len],
                    false => (0..len).map(|n| (n + i) as u8).collect(),
                };
                whole.extend_from_slice(&bytes);
                let piece = if repeat { Piece::Repeat(i as u8, len as u64) } else { Piece::Bytes(&bytes) };
                let _ = reblock.push(piece, &mut write);
            }
            let rest = reblock.rest().to_vec();
            prop_assert!(rest.len() < size && blocks.iter().all(|block| block.len() == size));
            prop_assert_eq!([blocks.concat(), rest].concat(), whole);
        }
    }
}
