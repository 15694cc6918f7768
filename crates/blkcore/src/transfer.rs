//! Full reads and writes at an offset, with the offset of the failing byte in the error.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// An error of a transfer, with the offset where it happened.
#[derive(Debug)]
pub struct At {
    /// Offset in bytes of the first byte that was not transferred.
    pub offset: u64,
    /// What the kernel said; `UnexpectedEof` when the file ended, `WriteZero` when nothing was taken.
    pub error: io::Error,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: {}", self.offset, self.error)
    }
}

impl std::error::Error for At {}

/// Reads at `offset` until `buf` is full or the file ends; returns how many bytes were read.
///
/// # Errors
/// Any failed read but an interrupted one, which is repeated.
pub fn read_up_to_at(file: &File, buf: &mut [u8], offset: u64) -> Result<usize, At> {
    let mut done = 0;
    while done < buf.len() {
        match file.read_at(&mut buf[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(At {
                    offset: offset + done as u64,
                    error,
                });
            }
        }
    }
    Ok(done)
}

/// Fills `buf` from `offset`.
///
/// # Errors
/// As [`read_up_to_at`], and `UnexpectedEof` when the file ends before.
pub fn read_full_at(file: &File, buf: &mut [u8], offset: u64) -> Result<(), At> {
    let done = read_up_to_at(file, buf, offset)?;
    if done < buf.len() {
        let error = io::ErrorKind::UnexpectedEof.into();
        return Err(At {
            offset: offset + done as u64,
            error,
        });
    }
    Ok(())
}

/// Writes all of `buf` at `offset`.
///
/// # Errors
/// Any failed write but an interrupted one, which is repeated.
pub fn write_full_at(file: &File, buf: &[u8], offset: u64) -> Result<(), At> {
    let mut done = 0;
    while done < buf.len() {
        let at = offset + done as u64;
        match file.write_at(&buf[done..], at) {
            Ok(0) => {
                return Err(At {
                    offset: at,
                    error: io::ErrorKind::WriteZero.into(),
                });
            }
            Ok(n) => done += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(At { offset: at, error }),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_of_the_end_is_named() {
        let file = tempfile::tempfile().unwrap();
        write_full_at(&file, b"0123456789", 5).unwrap();
        let mut buf = [0; 8];
        assert_eq!(read_up_to_at(&file, &mut buf, 10).unwrap(), 5);
        let error = read_full_at(&file, &mut buf, 10).unwrap_err();
        assert_eq!(
            (error.offset, error.error.kind()),
            (15, io::ErrorKind::UnexpectedEof)
        );
    }

    #[test]
    fn a_full_device_is_an_error() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let error = write_full_at(&full, &[1; 10], 7).unwrap_err();
        assert_eq!(
            (error.offset, error.error.kind()),
            (7, io::ErrorKind::StorageFull)
        );
    }
}
