//! The ioctls, as safe functions. All `unsafe` of this crate is here.
// (nix makes its ioctl functions, and so the types they take, `pub`.)
#![allow(unsafe_code, unreachable_pub)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

// linux/fs.h
nix::ioctl_read!(blkgetsize64, 0x12, 114, u64);
nix::ioctl_read_bad!(blksszget, 0x1268, libc::c_int);
nix::ioctl_read_bad!(blkpbszget, 0x127b, libc::c_uint);
nix::ioctl_read_bad!(blkroget, 0x125e, libc::c_int);
nix::ioctl_write_ptr_bad!(blkdiscard, 0x1277, [u64; 2]);
nix::ioctl_write_ptr_bad!(blkzeroout, 0x127f, [u64; 2]);
// linux/fiemap.h, linux/loop.h
nix::ioctl_readwrite!(fs_ioc_fiemap, b'f', 11, FiemapHead);
nix::ioctl_read_bad!(loop_get_status64, 0x4c05, LoopInfo64);

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

/// `struct loop_info64`.
#[repr(C)]
pub struct LoopInfo64 {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) rdevice: u64,
    pub(crate) offset: u64,
    pub(crate) size_limit: u64,
    rest: [u8; 192],
}

/// Size of a block device in bytes.
pub(crate) fn block_size(file: &File) -> io::Result<u64> {
    let mut size = 0;
    // SAFETY: the kernel writes a u64 there.
    unsafe { blkgetsize64(file.as_raw_fd(), &raw mut size) }?;
    Ok(size)
}

/// Logical and physical sector of a block device in bytes.
pub(crate) fn sectors(file: &File) -> io::Result<(u32, u32)> {
    let (mut logical, mut physical) = (0, 0);
    // SAFETY: the kernel writes an int and an unsigned int there.
    unsafe {
        blksszget(file.as_raw_fd(), &raw mut logical)?;
        blkpbszget(file.as_raw_fd(), &raw mut physical)?;
    }
    Ok((u32::try_from(logical).unwrap_or(512), physical))
}

/// Whether a block device refuses writes.
pub(crate) fn is_read_only(file: &File) -> io::Result<bool> {
    let mut flag = 0;
    // SAFETY: the kernel writes an int there.
    unsafe { blkroget(file.as_raw_fd(), &raw mut flag) }?;
    Ok(flag != 0)
}

/// BLKDISCARD of `start..start + len`.
pub(crate) fn discard(file: &File, start: u64, len: u64) -> io::Result<()> {
    // SAFETY: the kernel reads two u64 there.
    unsafe { blkdiscard(file.as_raw_fd(), &[start, len]) }?;
    Ok(())
}

/// BLKZEROOUT of `start..start + len`.
pub(crate) fn zero_out(file: &File, start: u64, len: u64) -> io::Result<()> {
    // SAFETY: the kernel reads two u64 there.
    unsafe { blkzeroout(file.as_raw_fd(), &[start, len]) }?;
    Ok(())
}

/// What a loop device stands on.
pub(crate) fn loop_status(file: &File) -> io::Result<LoopInfo64> {
    let mut info = LoopInfo64 {
        device: 0,
        inode: 0,
        rdevice: 0,
        offset: 0,
        size_limit: 0,
        rest: [0; 192],
    };
    // SAFETY: the kernel writes a struct loop_info64 (232 bytes) there.
    unsafe { loop_get_status64(file.as_raw_fd(), &raw mut info) }?;
    Ok(info)
}

const _: () = assert!(size_of::<LoopInfo64>() == 232);
const _: () = assert!(size_of::<FiemapHead>() == 32 && size_of::<FiemapExtent>() == 56);
