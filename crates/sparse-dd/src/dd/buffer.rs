//! Buffers of any size a command line asks for: page-aligned, not touched before they are used, and
//! refused, not aborted over, when there is no memory.
#![allow(unsafe_code)]

use super::figures;
use nix::libc;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::ptr::NonNull;

/// Zeroed memory of its own.
#[derive(Debug)]
pub(super) struct Buffer {
    start: NonNull<c_void>,
    len: NonZeroUsize,
}

impl Buffer {
    /// A buffer for `side` ("input" or "output"); the error is a message.
    pub(super) fn new(len: u64, side: &str) -> Result<Buffer, String> {
        let exhausted = || {
            let human = figures::amount(len, 1024);
            format!("memory exhausted by {side} buffer of size {len} bytes ({human})")
        };
        let len = usize::try_from(len).ok().and_then(NonZeroUsize::new);
        let len = len.ok_or_else(exhausted)?;
        let rights = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping wherever the kernel likes; nothing else knows of it.
        let mapped = unsafe { mmap_anonymous(None, len, rights, MapFlags::MAP_PRIVATE) };
        let start = mapped.map_err(|_| exhausted())?;
        Ok(Buffer { start, len })
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: exactly what was mapped; no slice of it outlives `self`.
        let _ = unsafe { munmap(self.start, self.len.get()) };
    }
}

impl AsMut<[u8]> for Buffer {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: `len` mapped bytes (zeros at first) that belong to `self` alone.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().cast(), self.len.get()) }
    }
}

/// Bytes of a page of memory.
pub(super) fn page() -> u64 {
    // SAFETY: asks for a constant.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(page).unwrap_or(4096)
}
