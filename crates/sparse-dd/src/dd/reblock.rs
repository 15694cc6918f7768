//! Puts a stream into output blocks: each is handed out as soon as it is full. No I/O.

use super::convert::Piece;

/// The block that is being filled.
#[derive(Debug)]
pub(super) struct Reblock<B> {
    /// One output block long.
    buffer: B,
    filled: usize,
    /// Blocks handed out begin at a multiple of this in memory, if `buffer` does.
    alignment: usize,
}

impl<B: AsMut<[u8]>> Reblock<B> {
    /// `alignment`: what the output wants of the address of a block; 1 if nothing.
    pub(super) fn new(buffer: B, alignment: usize) -> Reblock<B> {
        Reblock {
            buffer,
            filled: 0,
            alignment,
        }
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
            let is_aligned = bytes.as_ptr().addr().is_multiple_of(self.alignment);
            if self.filled == 0 && bytes.len() >= block.len() && is_aligned {
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
            alignment in 1..9usize,
            pieces in prop::collection::vec((any::<bool>(), 0..20usize), 0..12),
        ) {
            let (mut blocks, mut whole) = (Vec::new(), Vec::new());
            let mut write = |block: &[u8]| -> Result<(), Infallible> {
                blocks.push(block.to_vec());
                Ok(())
            };
            let mut reblock = Reblock::new(vec![0; size], alignment);
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

    #[test]
    fn blocks_lie_as_the_output_wants() {
        #[repr(align(4096))]
        struct Page([u8; 8192]);
        impl AsMut<[u8]> for Page {
            fn as_mut(&mut self) -> &mut [u8] {
                &mut self.0[..4096]
            }
        }
        let mut reblock = Reblock::new(Page([0; 8192]), 4096);
        let (input, mut blocks) = (Page([7; 8192]), 0);
        // The second block begins within a page of the second piece.
        for piece in [&input.0[..3000], &input.0[..]] {
            let mut write = |block: &[u8]| -> Result<(), Infallible> {
                assert!(block.as_ptr().addr().is_multiple_of(4096));
                blocks += 1;
                Ok(())
            };
            let _ = reblock.push(Piece::Bytes(piece), &mut write);
        }
        assert_eq!((blocks, reblock.rest().len()), (2, 3000));
    }
}
