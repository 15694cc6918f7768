//! Reading around bad sectors: with `conv=noerror,sync`, all of a block that can be read stands at its
//! own place in it, behind a bad sector too.

use super::input::Input;
use blkcore::read_up_to_at;
use nix::errno::Errno;

/// Bytes that are given up for one error.
const SECTOR: u64 = 512;

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
    let (Some(at), len) = (input.offset(), buf.len()) else {
        return (got, None);
    };
    let start = at - got as u64;
    let (mut done, mut first) = (got, None);
    while done < len {
        let Some(file) = input.file() else { break };
        let from = start + done as u64;
        match read_up_to_at(file, &mut buf[done..], from) {
            Ok(n) => {
                done += n;
                break;
            }
            Err(bad) => {
                first = first.or(bad.error.raw_os_error().map(Errno::from_raw));
                let behind = (bad.offset / SECTOR + 1) * SECTOR;
                done = ((behind - start) as usize).min(len);
            }
        }
    }
    let done = done.min(len);
    if input.go_to(start + done as u64).is_err() {
        input.pass_over((done - got) as u64);
    }
    (done, first)
}
