//! The FIEMAP ioctl (linux/fiemap.h), as a safe call.
// (nix makes its ioctl functions, and so the types they take, `pub`.)
#![allow(unsafe_code, unreachable_pub)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

nix::ioctl_readwrite!(fs_ioc_fiemap, b'f', 11, FiemapHead);

/// How many extents one FIEMAP call can return.
pub(crate) const FIEMAP_BATCH: usize = 512;

/// `struct fiemap` without its flexible array.
#[repr(C)]
pub struct FiemapHead {
    start: u64,
    length: u64,
    flags: u32,
    mapped: u32,
    count: u32,
    reserved: u32,
}

/// `struct fiemap_extent`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct FiemapExtent {
    pub(crate) logical: u64,
    pub(crate) physical: u64,
    pub(crate) length: u64,
    reserved64: [u64; 2],
    pub(crate) flags: u32,
    reserved: [u32; 3],
}

/// `struct fiemap` with room for [`FIEMAP_BATCH`] extents.
#[repr(C)]
pub(crate) struct FiemapCall {
    head: FiemapHead,
    extents: [FiemapExtent; FIEMAP_BATCH],
}

impl FiemapCall {
    pub(crate) fn new() -> Box<FiemapCall> {
        let head = FiemapHead {
            start: 0,
            length: 0,
            flags: 0,
            mapped: 0,
            count: 0,
            reserved: 0,
        };
        Box::new(FiemapCall {
            head,
            extents: [FiemapExtent::default(); FIEMAP_BATCH],
        })
    }

    /// The extents that meet `start..start + length`, at most [`FIEMAP_BATCH`].
    pub(crate) fn run(
        &mut self,
        file: &File,
        start: u64,
        length: u64,
        flags: u32,
    ) -> io::Result<&[FiemapExtent]> {
        let count = FIEMAP_BATCH as u32;
        self.head = FiemapHead {
            start,
            length,
            flags,
            mapped: 0,
            count,
            reserved: 0,
        };
        let whole: *mut FiemapCall = self;
        // SAFETY: the pointer is to all of the call, whose head says how many extents follow it.
        unsafe { fs_ioc_fiemap(file.as_raw_fd(), whole.cast()) }?;
        Ok(&self.extents[..(self.head.mapped as usize).min(FIEMAP_BATCH)])
    }
}

const _: () = assert!(size_of::<FiemapHead>() == 32 && size_of::<FiemapExtent>() == 56);
