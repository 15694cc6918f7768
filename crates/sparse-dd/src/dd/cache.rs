//! `nocache`: tells the kernel to drop what was read or written from the page cache.

use super::buffer;
use nix::errno::Errno;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use std::fs::File;

/// Dropping costs a call; it is done when so many bytes have come together.
const PIECE: u64 = 256 << 10;

/// One side of a copy.
#[derive(Debug)]
pub(super) struct Cache {
    /// Whether `nocache` is asked for.
    pub(super) is_dropped: bool,
    /// At the end, all that follows is dropped too.
    pub(super) to_end: bool,
    pending: u64,
}

impl Cache {
    /// `copies_nothing`: then all of the file is dropped.
    pub(super) fn new(is_dropped: bool, copies_nothing: bool) -> Cache {
        Cache {
            is_dropped,
            to_end: is_dropped && copies_nothing,
            pending: 0,
        }
    }

    /// `n` more bytes went by; `end` tells the offset behind them.
    pub(super) fn passed(&mut self, file: &File, n: u64, end: impl FnOnce() -> Option<u64>) {
        if !self.is_dropped {
            return;
        }
        self.pending += n;
        if self.pending >= PIECE
            && let Some(end) = end()
        {
            let _ = advise(file, end.saturating_sub(self.pending), self.pending);
            self.pending = 0;
        }
    }

    /// Drops the rest. The error matters only where dropping is all that was asked for.
    pub(super) fn finish(&mut self, file: &File, end: Option<u64>) -> Result<(), Errno> {
        let pending = std::mem::take(&mut self.pending);
        if !self.to_end && pending == 0 {
            return Ok(());
        }
        let start = end.ok_or(Errno::ESPIPE)?.saturating_sub(pending);
        match self.to_end {
            // Only whole pages are dropped: the one around the start too.
            true => advise(file, start - start % buffer::page(), 0),
            false => advise(file, start, pending),
        }
    }
}

fn advise(file: &File, start: u64, len: u64) -> Result<(), Errno> {
    let advice = PosixFadviseAdvice::POSIX_FADV_DONTNEED;
    posix_fadvise(file, start as i64, len as i64, advice)
}
