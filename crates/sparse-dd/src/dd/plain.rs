//! Copies between files and devices where nothing but the number of bytes decides what dd's blocks are:
//! in pieces of one size, whatever the block sizes, and without reading holes.
//!
//! When something unusual turns up (a failed read, a read that is short), it goes back to the last
//! whole block and leaves the rest to [`super::copy`].

use super::buffer::Buffer;
use super::copy::Copy;
use super::counts::COUNTS;
use super::operands::Operands;
use super::{signals, talk};
use blkcore::{is_zero, next_data};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::{major, minor};
use nix::unistd::{Whence, read};
use std::fs::File;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::sync::atomic::Ordering::Relaxed;

/// Bytes that are read and written at once. Smaller ones would stay in the cache, but file systems take
/// more time for them.
const PIECE: u64 = 1024 << 10;

/// Larger reads may be short (read(2), NOTES), and so count as partial.
const LONGEST: u64 = 1 << 30;

/// What has become of the copy.
pub(super) enum Outcome {
    /// It is done, or goes on block by block.
    GoOn,
    /// It failed, which was told.
    Failed,
}

/// How the input ends.
#[derive(Clone, Copy)]
struct Source {
    /// Where it begins to be read.
    start: u64,
    /// Bytes from there to its end; `None` for one without end.
    len: Option<u64>,
    has_holes: bool,
}

impl Copy<'_> {
    /// Copies what can be copied so.
    pub(super) fn run_plain(&mut self, shared: bool) -> Outcome {
        let operands = self.operands;
        let unit = operands.ibs.max(operands.obs);
        let conv = &operands.conv;
        let fits = !shared
            && !conv.change_bytes()
            && !conv.sync
            && unit.is_multiple_of(operands.ibs.min(operands.obs))
            && unit <= LONGEST
            && has_no_special_flags(operands)
            && output_is_plain(self.output.file());
        let (true, Some(source)) = (fits, self.source()) else {
            return Outcome::GoOn;
        };
        let piece = match () {
            () if unit <= PIECE => PIECE / unit * unit,
            // Whether a block is zero is asked of the whole block.
            () if conv.sparse => unit,
            () => PIECE,
        };
        let Ok(buffer) = Buffer::new(piece, "input") else {
            return Outcome::GoOn;
        };
        let limit = operands.count.and_then(|count| count.total(operands.ibs));
        Plain {
            source,
            limit: limit.unwrap_or(u64::MAX),
            unit,
            done: 0,
            data_end: 0,
            copy: self,
        }
        .run(buffer)
    }

    /// The input, if reading it in other pieces gives the same bytes.
    fn source(&self) -> Option<Source> {
        let file = self.input.file()?;
        let meta = file.metadata().ok()?;
        let (start, kind) = (self.input.offset()?, meta.file_type());
        let is_zero = kind.is_char_device() && (major(meta.rdev()), minor(meta.rdev())) == (1, 5);
        let size = match () {
            () if is_zero => None,
            () if kind.is_file() && meta.len() > 0 => Some(meta.len()),
            () if kind.is_block_device() => Some(blkcore::describe(file).ok()?.size),
            () => return None,
        };
        let len = match size {
            None => None,
            Some(size) => Some(size.checked_sub(start)?),
        };
        let is_plain = flags(file).is_some_and(|flags| !flags.intersects(special()));
        is_plain.then_some(Source {
            start,
            len,
            has_holes: kind.is_file(),
        })
    }
}

fn special() -> OFlag {
    OFlag::O_DIRECT | OFlag::O_NONBLOCK | OFlag::O_APPEND | OFlag::O_DSYNC | OFlag::O_SYNC
}

fn flags(file: &File) -> Option<OFlag> {
    let flags = fcntl(file, FcntlArg::F_GETFL).ok()?;
    Some(OFlag::from_bits_retain(flags))
}

fn has_no_special_flags(operands: &Operands) -> bool {
    let (iflag, oflag) = (&operands.iflag, &operands.oflag);
    !iflag.nocache && !oflag.nocache && !(iflag.open | oflag.open).intersects(special())
}

/// A file, a block device, or /dev/null: nobody sees in which pieces they are written.
fn output_is_plain(file: Option<&File>) -> bool {
    let Some(file) = file else { return false };
    let Ok(meta) = file.metadata() else {
        return false;
    };
    let kind = meta.file_type();
    let is_null = kind.is_char_device() && (major(meta.rdev()), minor(meta.rdev())) == (1, 3);
    let is_known = kind.is_file() || kind.is_block_device() || is_null;
    is_known && flags(file).is_some_and(|flags| !flags.intersects(special()))
}

struct Plain<'a, 'b> {
    copy: &'a mut Copy<'b>,
    source: Source,
    /// Most bytes to copy.
    limit: u64,
    /// The larger of the two block sizes.
    unit: u64,
    /// Bytes copied.
    done: u64,
    /// The input has data up to here, counted as `done` is.
    data_end: u64,
}

impl Plain<'_, '_> {
    fn run(mut self, mut buffer: Buffer) -> Outcome {
        let buffer = buffer.as_mut();
        loop {
            signals::check();
            self.copy.progress.tick();
            if self.copy.operands.conv.sparse && self.source.has_holes && self.done >= self.data_end
            {
                match self.pass_hole() {
                    Ok(true) => continue,
                    Ok(false) => {}
                    Err(()) => return self.hand_over(),
                }
            }
            let wanted = (self.limit - self.done).min(buffer.len() as u64) as usize;
            if wanted == 0 {
                return self.end();
            }
            let Some(file) = self.copy.input.file() else {
                return self.hand_over();
            };
            let got = match read(file, &mut buffer[..wanted]) {
                Ok(0) => return self.end(),
                Ok(n) => n,
                Err(Errno::EINTR) => continue,
                Err(_) => return self.hand_over(),
            };
            self.copy.input.advance(got as u64);
            let (written, error) = self.write(&buffer[..got]);
            self.done += written;
            if let Some(error) = error {
                return self.fail(error);
            }
            self.count();
            if got < wanted && Some(self.done) != self.source.len {
                return self.hand_over();
            }
        }
    }

    /// Leaves out the blocks that are all in a hole. False if there is none here; an error if they
    /// have to be written.
    fn pass_hole(&mut self) -> Result<bool, ()> {
        let (start, len) = (self.source.start, self.source.len.ok_or(())?);
        let left = len.min(self.limit).saturating_sub(self.done);
        let file = self.copy.input.file().ok_or(())?;
        let at = start + self.done;
        let data = next_data(file, at, start + len);
        // A file that was cut meanwhile is read to its new end.
        let is_cut = || file.metadata().is_ok_and(|meta| meta.len() < start + len);
        let is_read = matches!(data, Ok(None)) && is_cut();
        // Asking has moved it.
        self.copy.input.go_to(at).map_err(drop)?;
        let hole = match data {
            Ok(Some(data)) => {
                self.data_end = data.end - start;
                data.start - at
            }
            Ok(None) if !is_read => u64::MAX,
            Ok(None) | Err(_) => {
                self.source.has_holes = false;
                0
            }
        };
        let obs = self.copy.operands.obs;
        // A last block that is not full is left out too.
        let whole = if hole >= left { left } else { hole / obs * obs };
        // Blocks begin where the copy does; data that begins within one is read with it.
        if whole == 0 {
            self.data_end = self.data_end.max(self.done + 1);
            return Ok(false);
        }
        self.copy.output.leave_out(whole).map_err(drop)?;
        self.copy.input.go_to(at + whole).map_err(drop)?;
        self.done += whole;
        self.count();
        Ok(true)
    }

    /// Writes a piece: at once, or where zero blocks are left out, by runs of blocks.
    fn write(&mut self, bytes: &[u8]) -> (u64, Option<Errno>) {
        let output = &mut *self.copy.output;
        if !self.copy.operands.conv.sparse {
            return output.write(bytes);
        }
        let obs = self.copy.operands.obs as usize;
        let mut done = 0;
        while done < bytes.len() {
            let rest = &bytes[done..];
            let mut blocks = rest.chunks(obs);
            let is_hole = blocks.next().is_some_and(is_zero);
            let same = 1 + blocks.take_while(|block| is_zero(block) == is_hole).count();
            let run = &rest[..rest.len().min(same * obs)];
            let (written, error) = output.write(run);
            done += written as usize;
            if error.is_some() {
                return (done as u64, error);
            }
        }
        (done as u64, None)
    }

    /// Shows the whole blocks so far.
    fn count(&self) {
        let operands = self.copy.operands;
        COUNTS.read_full.store(self.done / operands.ibs, Relaxed);
        COUNTS.written_full.store(self.done / operands.obs, Relaxed);
        COUNTS.bytes.store(self.done, Relaxed);
    }

    /// All is copied: what is left is the last, partial block.
    fn end(self) -> Outcome {
        self.count();
        let operands = self.copy.operands;
        let partial = |size| u64::from(!self.done.is_multiple_of(size));
        COUNTS.read_partial.store(partial(operands.ibs), Relaxed);
        COUNTS.written_partial.store(partial(operands.obs), Relaxed);
        Outcome::GoOn
    }

    /// Goes back to the last whole block on both sides. What is written twice is the same.
    fn hand_over(mut self) -> Outcome {
        let back = self.done % self.unit;
        let input = &mut *self.copy.input;
        let at = input.offset().and_then(|at| at.checked_sub(back));
        let moved = at.is_some_and(|at| input.go_to(at).is_ok());
        let output = self.copy.output.file();
        if moved && super::descriptor::seek(output, -(back as i64), Whence::SeekCur).is_ok() {
            self.done -= back;
        }
        self.count();
        Outcome::GoOn
    }

    /// A write failed: as if each block had been read and written by itself.
    fn fail(self, error: Errno) -> Outcome {
        self.count();
        let (ibs, obs) = (self.copy.operands.ibs, self.copy.operands.obs);
        let total = self.source.len.unwrap_or(u64::MAX).min(self.limit);
        let block_end = (self.done / obs + 1).saturating_mul(obs);
        let read = block_end.next_multiple_of(ibs).min(total);
        COUNTS.read_full.store(read / ibs, Relaxed);
        COUNTS
            .read_partial
            .store(u64::from(!read.is_multiple_of(ibs)), Relaxed);
        let partial = u64::from(!self.done.is_multiple_of(obs));
        COUNTS.written_partial.store(partial, Relaxed);
        // (Where it cannot go there, nobody reads on.)
        let _ = self
            .copy
            .input
            .go_to(self.source.start.saturating_add(read));
        let what = match self.copy.operands.reblock && block_end <= total {
            true => "writing to",
            false => "error writing",
        };
        let name = self.copy.output.quoted();
        talk::diagnose_errno(error, &format!("{what} {name}"));
        Outcome::Failed
    }
}
