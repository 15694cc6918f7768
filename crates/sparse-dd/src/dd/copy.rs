//! dd's loop: an input block, its conversions, its output blocks.

use super::buffer::Buffer;
use super::convert::Converter;
use super::counts::{self, COUNTS, Progress, add};
use super::input::Input;
use super::operands::Operands;
use super::output::Output;
use super::reblock::Reblock;
use super::salvage;
use super::{Stop, talk};
use nix::errno::Errno;
use std::sync::atomic::Ordering::Relaxed;

/// A copy, with the buffers it needs so far.
pub(super) struct Copy<'a> {
    pub(super) operands: &'a Operands,
    pub(super) input: &'a mut Input,
    pub(super) output: &'a mut Output,
    pub(super) progress: Progress,
}

/// What a read came to.
enum Block {
    /// So many bytes at the front of the buffer.
    Read(usize),
    /// As much as could be read, padded, with the error that is still to be told.
    Saved(Option<Errno>),
    /// Nothing; the next one.
    Passed,
    End,
    /// The error was told.
    Failed,
}

impl Copy<'_> {
    /// Copies block by block. False if it failed, which was told.
    pub(super) fn run(&mut self, mut buffer: Buffer) -> Result<bool, Stop> {
        let (conv, ibs) = (&self.operands.conv, self.operands.ibs as usize);
        let mut reblock = match self.operands.reblock {
            true => Some(Reblock::new(
                Buffer::new(self.operands.obs, "output").map_err(Stop::Fail)?,
                self.output.alignment(),
            )),
            false => None,
        };
        let mut converter = Converter::new(conv, self.operands.cbs);
        let pad = if conv.block || conv.unblock { b' ' } else { 0 };
        let mut partial = 0;
        let mut is_good = true;
        loop {
            self.progress.tick();
            let Some(wanted) = self.next_block() else {
                break;
            };
            let buf = &mut buffer.as_mut()[..ibs];
            if conv.sync && conv.noerror {
                buf.fill(pad);
            }
            let mut late_error = None;
            let read = match self.read(&mut buf[..wanted], &mut partial) {
                Block::Read(n) => n,
                Block::Saved(error) => {
                    late_error = error;
                    0
                }
                Block::Passed => continue,
                Block::End => break,
                Block::Failed => {
                    is_good = false;
                    break;
                }
            };
            let mut len = read;
            if read < ibs {
                add(&COUNTS.read_partial, 1);
                partial = read;
                if conv.sync {
                    if !conv.noerror {
                        buf[read..].fill(pad);
                    }
                    len = ibs;
                }
            } else {
                add(&COUNTS.read_full, 1);
                partial = 0;
            }
            let bytes = &mut buf[..len];
            match &mut reblock {
                None if !self.write_as_read(bytes) => return Ok(false),
                None => {}
                Some(reblock) => {
                    let output = &mut *self.output;
                    converter.push(bytes, &mut |piece| {
                        reblock.push(piece, &mut |block| write_block(output, block))
                    })?;
                    COUNTS.truncated.store(converter.truncated(), Relaxed);
                }
            }
            if let Some(error) = late_error {
                self.tell(error);
                counts::print();
            }
        }
        if let Some(reblock) = &mut reblock {
            let output = &mut *self.output;
            converter.finish(&mut |piece| {
                reblock.push(piece, &mut |block| write_block(output, block))
            })?;
            COUNTS.truncated.store(converter.truncated(), Relaxed);
            is_good &= self.write_rest(reblock.rest());
        }
        if let Err(message) = self.output.end_hole() {
            talk::diagnose(&message);
            is_good = false;
        }
        Ok(is_good)
    }

    /// Bytes of the next block, or `None` when `count=` is reached.
    fn next_block(&self) -> Option<usize> {
        let Some(count) = self.operands.count else {
            return Some(self.operands.ibs as usize);
        };
        let done = COUNTS.read_full.load(Relaxed) + COUNTS.read_partial.load(Relaxed);
        match done.cmp(&count.records) {
            std::cmp::Ordering::Less => Some(self.operands.ibs as usize),
            std::cmp::Ordering::Equal if count.bytes > 0 => Some(count.bytes as usize),
            _ => None,
        }
    }

    /// Reads a block. `partial` is how much the block before had, if it was not full.
    fn read(&mut self, buf: &mut [u8], partial: &mut usize) -> Block {
        let conv = &self.operands.conv;
        let saves = conv.noerror && conv.sync && salvage::is_possible(self.input);
        let start = self.input.offset();
        match self.input.read(buf) {
            Ok(0) => {
                let input = &mut self.input.cache;
                input.to_end |= input.is_dropped;
                let output = &mut self.output.cache;
                output.to_end |= output.is_dropped && !conv.notrunc;
                Block::End
            }
            Ok(n) if n < buf.len() && saves => match salvage::rest(self.input, buf, n) {
                (_, Some(error)) => Block::Saved(Some(error)),
                (n, None) => Block::Read(n),
            },
            Ok(n) => Block::Read(n),
            Err(error) => {
                let quiet = self.operands.status == counts::Status::None;
                if !conv.noerror || !quiet {
                    self.tell(error);
                }
                // A block further on would fail by these too.
                let is_final = matches!(error, Errno::EISDIR | Errno::EBADF | Errno::EINVAL);
                if !conv.noerror || is_final {
                    return Block::Failed;
                }
                counts::print();
                if saves && let Some(start) = start {
                    let went_back = self.input.go_to(start);
                    if went_back.is_ok() {
                        salvage::rest(self.input, buf, 0);
                        return Block::Saved(None);
                    }
                }
                let bad = self.operands.ibs.saturating_sub(*partial as u64);
                self.input.pass_over(bad);
                match conv.sync && *partial == 0 {
                    true => Block::Saved(None),
                    false => Block::Passed,
                }
            }
        }
    }

    fn tell(&self, error: Errno) {
        let name = self.input.quoted();
        talk::diagnose_errno(error, &format!("error reading {name}"));
    }

    /// Without reblocking: what was read is one output block. False if that failed.
    fn write_as_read(&mut self, bytes: &[u8]) -> bool {
        let (written, error) = self.output.write(bytes);
        add(&COUNTS.bytes, written);
        match error {
            Some(error) => {
                let name = self.output.quoted();
                talk::diagnose_errno(error, &format!("error writing {name}"));
                add(&COUNTS.written_partial, u64::from(written > 0));
                false
            }
            None if bytes.len() as u64 == self.operands.ibs => {
                add(&COUNTS.written_full, 1);
                true
            }
            None => {
                add(&COUNTS.written_partial, 1);
                true
            }
        }
    }

    /// The last output block, which is short. False if that failed.
    fn write_rest(&mut self, bytes: &[u8]) -> bool {
        if bytes.is_empty() {
            return true;
        }
        let (written, error) = self.output.write(bytes);
        add(&COUNTS.bytes, written);
        add(&COUNTS.written_partial, u64::from(written > 0));
        if let Some(error) = error {
            let name = self.output.quoted();
            talk::diagnose_errno(error, &format!("error writing {name}"));
        }
        error.is_none()
    }
}

/// A full output block.
fn write_block(output: &mut Output, block: &[u8]) -> Result<(), Stop> {
    let (written, error) = output.write(block);
    add(&COUNTS.bytes, written);
    match error {
        None => {
            add(&COUNTS.written_full, 1);
            Ok(())
        }
        Some(error) => {
            add(&COUNTS.written_partial, u64::from(written > 0));
            Err(Stop::quit(
                error,
                &format!("writing to {}", output.quoted()),
            ))
        }
    }
}
