//! What dd reads from: how it is opened, skipped in, read, and passed over where it cannot be read.

use super::cache::Cache;
use super::counts::Status;
use super::operands::{Blocks, Operands};
use super::{Stop, descriptor, signals, talk};
use cli::quote;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{Whence, read};
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;

/// An open input.
#[derive(Debug)]
pub(super) struct Input {
    /// `None`: standard input, which was closed.
    file: Option<File>,
    name: OsString,
    /// Where it is; `None` when that is beyond what an offset can be.
    offset: Option<u64>,
    /// Why it cannot be moved in; `None` if it can.
    seek_error: Option<Errno>,
    pub(super) reader: Reader,
    pub(super) cache: Cache,
}

/// Reads as `iflag=` says, from the input, or from the output where blocks are skipped by reading.
#[derive(Debug)]
pub(super) struct Reader {
    /// Bytes of the read before; `None` if it failed.
    previous: Option<usize>,
    direct: bool,
    fullblock: bool,
    warns: bool,
    is_quiet: bool,
}

impl Input {
    pub(super) fn open(operands: &Operands) -> Result<Input, Stop> {
        let flags = operands.iflag.open;
        let (file, name) = match &operands.input {
            Some(name) => {
                let opened = descriptor::open(name, OFlag::O_RDONLY | flags);
                let file = opened.map_err(|e| {
                    Stop::errno(
                        e,
                        &format!("failed to open {}", quote::always(name.as_bytes())),
                    )
                })?;
                (Some(file), name.clone())
            }
            None => {
                let name = OsString::from("standard input");
                let file = cli::input::descriptor().ok().map(File::from);
                descriptor::set_flags(file.as_ref(), &operands.iflag, &name)?;
                (file, name)
            }
        };
        let at = descriptor::seek(file.as_ref(), 0, Whence::SeekCur);
        let limit = operands.count.is_some_and(|count| count.records > 0);
        let direct = operands.iflag.direct() || operands.oflag.direct();
        Ok(Input {
            file,
            name,
            offset: Some(at.unwrap_or(0)),
            seek_error: at.err(),
            reader: Reader {
                previous: Some(0),
                direct: operands.iflag.direct(),
                fullblock: operands.iflag.fullblock,
                warns: !operands.reblock
                    && !operands.iflag.fullblock
                    && (operands.skip.records > 0 || limit || direct),
                is_quiet: operands.status == Status::None,
            },
            cache: Cache::new(operands.iflag.nocache, operands.copies_nothing()),
        })
    }

    pub(super) fn file(&self) -> Option<&File> {
        self.file.as_ref()
    }

    /// In quotes for a message.
    pub(super) fn quoted(&self) -> String {
        quote::always(self.name.as_bytes())
    }

    pub(super) fn name(&self) -> &OsString {
        &self.name
    }

    pub(super) fn is_seekable(&self) -> bool {
        self.seek_error.is_none()
    }

    /// Where it is, if it has offsets.
    pub(super) fn offset(&self) -> Option<u64> {
        self.offset.filter(|_| self.is_seekable())
    }

    /// Notes that `n` bytes went by.
    pub(super) fn advance(&mut self, n: u64) {
        let offset = self.offset.and_then(|offset| offset.checked_add(n));
        self.offset = offset.filter(|offset| *offset <= i64::MAX as u64);
    }

    /// Reads a block, or a part of it. Zero is the end.
    pub(super) fn read(&mut self, buf: &mut [u8]) -> Result<usize, Errno> {
        let n = self.reader.read(self.file.as_ref(), buf)?;
        self.advance(n as u64);
        if let (Some(file), true) = (&self.file, n > 0) {
            let end = self.offset.filter(|_| self.seek_error.is_none());
            self.cache.passed(file, n as u64, || end);
        }
        Ok(n)
    }

    /// Skips what `skip=` says, by moving or by reading; `buffer` gives one input block for that.
    pub(super) fn skip<'a>(
        &mut self,
        skip: Blocks,
        ibs: u64,
        noerror: bool,
        buffer: impl FnOnce() -> Result<&'a mut [u8], Stop>,
    ) -> Result<(), Stop> {
        let total = skip.total(ibs);
        let start = self.offset;
        let moved = total.map(|total| {
            descriptor::seek(self.file.as_ref(), total as i64, Whence::SeekCur).map(|_| total)
        });
        let (mut left, mut bytes) = (skip.records, skip.bytes);
        if let Some(Ok(total)) = moved {
            let size = self.size_of_file()?;
            let passed = match (size, self.offset) {
                (Some(size), Some(offset)) if (size as i64 - offset as i64) < total as i64 => {
                    left = total.saturating_sub(size) / ibs;
                    // (Less than nothing when it was beyond the end already.)
                    self.offset = Some(size);
                    None
                }
                _ => {
                    left = 0;
                    Some(total)
                }
            };
            if let Some(passed) = passed {
                self.advance(passed);
            }
        } else {
            if descriptor::seek(self.file.as_ref(), 0, Whence::SeekEnd).is_ok() {
                let error = match moved {
                    Some(Err(error)) => error,
                    _ => Errno::EOVERFLOW,
                };
                let name = quote::if_needed(self.name.as_bytes());
                return Err(Stop::quit(error, &format!("{name}: cannot skip")));
            }
            let block = buffer()?;
            while left > 0 || bytes > 0 {
                let len = if left > 0 { ibs } else { bytes } as usize;
                match self.reader.read(self.file.as_ref(), &mut block[..len]) {
                    Ok(0) => break,
                    Ok(n) => self.advance(n as u64),
                    Err(error) => {
                        let stop = Stop::quit(error, &format!("error reading {}", self.quoted()));
                        return Err(if noerror {
                            stop.with_statistics()
                        } else {
                            stop
                        });
                    }
                }
                match left {
                    0 => bytes = 0,
                    _ => left -= 1,
                }
            }
        }
        let passed = self
            .offset
            .zip(start)
            .map(|(now, start)| now.wrapping_sub(start));
        if (left > 0 || (passed.is_some() && passed != total)) && !self.reader.is_quiet {
            let name = quote::if_needed(self.name.as_bytes());
            talk::diagnose(&format!("{name}: cannot skip to specified offset"));
        }
        Ok(())
    }

    /// The size of a regular file that says that it has one.
    fn size_of_file(&self) -> Result<Option<u64>, Stop> {
        let Some(file) = &self.file else {
            return Ok(None);
        };
        let meta = file.metadata().map_err(|error| {
            let error = Errno::from_raw(error.raw_os_error().unwrap_or(0));
            Stop::errno(error, &format!("cannot fstat {}", self.quoted()))
        })?;
        Ok((meta.is_file() && meta.len() > 0).then_some(meta.len()))
    }

    /// After a failed read: goes to the end of the block, `n` bytes on. False if that is not possible;
    /// that is said once.
    pub(super) fn pass_over(&mut self, n: u64) -> bool {
        let error = match self.seek_error {
            Some(Errno::ESPIPE) => return true,
            Some(error) => error,
            None => {
                self.advance(n);
                let Some(offset) = self.offset else {
                    let name = self.quoted();
                    talk::diagnose(&format!("offset overflow while reading file {name}"));
                    self.seek_error = Some(Errno::ESPIPE);
                    return false;
                };
                // A failed read may have moved it, or not.
                match descriptor::seek(self.file.as_ref(), offset as i64, Whence::SeekSet) {
                    Ok(_) => return true,
                    Err(error) => error,
                }
            }
        };
        let name = quote::if_needed(self.name.as_bytes());
        talk::diagnose_errno(error, &format!("{name}: cannot seek"));
        self.seek_error = Some(Errno::ESPIPE);
        false
    }

    /// Goes to `offset`, where it was before.
    pub(super) fn go_to(&mut self, offset: u64) -> Result<(), Errno> {
        descriptor::seek(self.file.as_ref(), offset as i64, Whence::SeekSet)?;
        self.offset = Some(offset);
        Ok(())
    }

    /// Drops the rest from the cache.
    pub(super) fn finish_cache(&mut self) -> Result<(), Errno> {
        let end = self.offset();
        match &self.file {
            Some(file) => self.cache.finish(file, end),
            None => Err(Errno::EBADF),
        }
    }

    pub(super) fn close(self) -> Result<(), Stop> {
        let name = self.quoted();
        descriptor::close(self.file)
            .map_err(|e| Stop::errno(e, &format!("closing input file {name}")))
    }
}

impl Reader {
    pub(super) fn read(&mut self, file: Option<&File>, buf: &mut [u8]) -> Result<usize, Errno> {
        let mut filled = 0;
        loop {
            let n = self.read_once(file, &mut buf[filled..])?;
            filled += n;
            if n == 0 || filled == buf.len() || !self.fullblock {
                return Ok(filled);
            }
        }
    }

    fn read_once(&mut self, file: Option<&File>, buf: &mut [u8]) -> Result<usize, Errno> {
        let was_short = self.previous.filter(|n| 0 < *n && *n < buf.len());
        let got = loop {
            signals::check();
            let file = file.ok_or(Errno::EBADF)?;
            match read(file, buf) {
                Err(Errno::EINTR) => {}
                // At the end of a file that is no multiple of the sector, O_DIRECT says this.
                Err(Errno::EINVAL) if self.direct && was_short.is_some() => break Ok(0),
                got => break got,
            }
        };
        if let (Ok(1..), true, Some(before)) = (got, self.warns, was_short) {
            self.warns = false;
            if !self.is_quiet {
                let s = if before == 1 { "" } else { "s" };
                talk::diagnose(&format!(
                    "warning: partial read ({before} byte{s}); suggest iflag=fullblock"
                ));
            }
        }
        self.previous = got.ok();
        got
    }
}
