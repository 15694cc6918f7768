//! Buffers whose address suits O_DIRECT.

use std::ops::{Deref, DerefMut};

/// A zeroed buffer of fixed length that starts at a multiple of its alignment.
#[derive(Debug)]
pub struct AlignedBuffer {
    /// `len` bytes and room to move the start to an aligned address. Never grown: its address holds.
    room: Vec<u8>,
    start: usize,
    len: usize,
}

impl AlignedBuffer {
    /// `len` zero bytes at a multiple of `align` bytes.
    ///
    /// # Panics
    /// If `align` is not a power of two.
    pub fn new(len: usize, align: usize) -> AlignedBuffer {
        assert!(
            align.is_power_of_two(),
            "alignment {align} is not a power of two"
        );
        let room = vec![0; len + align - 1];
        let start = room.as_ptr().addr().next_multiple_of(align) - room.as_ptr().addr();
        AlignedBuffer { room, start, len }
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.room[self.start..self.start + self.len]
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.room[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_and_length() {
        for (len, align) in [(0, 1), (1, 4096), (4096, 512), (262_144, 4096)] {
            let mut buffer = AlignedBuffer::new(len, align);
            assert_eq!(buffer.len(), len);
            assert_eq!(buffer.as_ptr().addr() % align, 0);
            buffer.fill(7);
            let moved = buffer;
            assert_eq!(moved.as_ptr().addr() % align, 0);
            assert!(moved.iter().all(|b| *b == 7));
        }
    }
}
