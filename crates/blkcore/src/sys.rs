//! The ioctls of block devices, as safe functions. (The one of files is in `sys_fiemap`.)
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
nix::ioctl_none_bad!(blkflsbuf, 0x1261);
nix::ioctl_write_ptr_bad!(blkdiscard, 0x1277, [u64; 2]);
nix::ioctl_write_ptr_bad!(blkzeroout, 0x127f, [u64; 2]);
// linux/loop.h
nix::ioctl_read_bad!(loop_get_status64, 0x4c05, LoopInfo64);

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

/// BLKFLSBUF.
pub(crate) fn flush_buffers(file: &File) -> io::Result<()> {
    // SAFETY: the kernel takes no argument.
    unsafe { blkflsbuf(file.as_raw_fd()) }?;
    Ok(())
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
