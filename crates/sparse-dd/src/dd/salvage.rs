//! Reading around bad sectors: with `conv=noerror,sync`, all of a block that can be read stands at its
//! own place in it, behind a bad sector too.

use super::input::Input;
use blkcore::{AlignedBuffer, read_up_to_at};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

/// Bytes that are given up for one error.
const SECTOR: u64 = 512;

/// Bytes that are tried at once before.
const PAGE: u64 = 4096;

/// Whether an input can be read at any offset: a file or block device.
pub(super) fn is_possible(input: &Input) -> bool {
    let kind = input.file().and_then(|file| file.metadata().ok());
    kind.is_some_and(|meta| {
        use std::os::unix::fs::FileTypeExt;
        input.is_seekable() && (meta.is_file() || meta.file_type().is_block_device())
    })
}

/// Reads what is left of a block that has `got` bytes and ends where the input is. What cannot be read
/// stays as it is in `buf`. Returns how far the block goes (less than all at the end of the input) and
/// the first error. The input is at the end of the block then.
pub(super) fn rest(input: &mut Input, buf: &mut [u8], got: usize) -> (usize, Option<Errno>) {
    let (Some(at), Some(file)) = (input.offset(), input.file()) else {
        return (got, None);
    };
    let start = at - got as u64;
    let whole = read_up_to_at(file, &mut buf[got..], at);
    let (done, first) = match whole {
        Ok(n) => (got + n, None),
        Err(bad) => {
            let first = bad.error.raw_os_error().map(Errno::from_raw);
            let from = (bad.offset - start) as usize;
            // Through the page cache, good sectors fail with the bad ones that were asked for along.
            let direct = OpenOptions::new()
                .read(true)
                .custom_flags(OFlag::O_DIRECT.bits())
                .open(format!("/proc/self/fd/{}", file.as_raw_fd()));
            let done = by_sectors(direct.as_ref().unwrap_or(file), buf, start, from);
            (done, first)
        }
    };
    if input.go_to(start + done as u64).is_err() {
        input.pass_over((done - got) as u64);
    }
    (done, first)
}

/// Reads the bytes of `buf`, which begins at offset `start`, from index `from` on: page by page, and
/// where a page fails, by sectors. Returns how far the block goes.
fn by_sectors(file: &File, buf: &mut [u8], start: u64, from: usize) -> usize {
    let end = start + buf.len() as u64;
    let mut aligned = AlignedBuffer::new(PAGE as usize, PAGE as usize);
    let mut at = start + from as u64;
    let mut unit = PAGE;
    while at < end {
        let base = at - at % unit;
        let next = (base + unit).min(end);
        // What a device fails to fill must not be the page before.
        aligned.fill(0);
        match read_up_to_at(file, &mut aligned[..unit as usize], base) {
            Ok(n) => {
                let stop = next.min(base + n as u64);
                if stop <= at {
                    break;
                }
                let part = &aligned[(at - base) as usize..(stop - base) as usize];
                buf[(at - start) as usize..(stop - start) as usize].copy_from_slice(part);
                at = stop;
                if stop < next {
                    break;
                }
            }
            Err(_) if unit == PAGE => {
                unit = SECTOR;
                continue;
            }
            Err(_) => at = next,
        }
        if at.is_multiple_of(PAGE) {
            unit = PAGE;
        }
    }
    (at - start) as usize
}
