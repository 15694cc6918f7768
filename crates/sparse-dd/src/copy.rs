//! Does the steps of a plan: one loop of reading, scanning and writing, through one buffer that
//! stays in the cache. Neighbouring zero runs are gathered and cleared at once.

use crate::destination::{Destination, check_signal};
use crate::plan::{Plan, Step};
use crate::report::Meter;
use crate::{Error, Source};
use blkcore::{AlignedBuffer, Extent, ExtentList, is_zero, nonzero_runs};

/// Bytes read at once: large enough for few calls, small enough to be scanned while in the cache.
const BLOCK: u64 = 512 << 10;

/// Copies, and returns how many bytes the copy has. `quantum` is the least run of zeros (bytes) to
/// leave out or to clear.
pub(crate) fn run(
    source: &Source,
    destination: &mut Destination,
    base: Option<&Source>,
    plan: &Plan,
    quantum: u64,
    meter: &mut Meter,
) -> Result<u64, Error> {
    run_in_blocks(source, destination, base, plan, quantum, BLOCK, meter)
}

/// [`run`] with another size of blocks, in bytes; it is rounded up to whole quanta.
pub(crate) fn run_in_blocks(
    source: &Source,
    destination: &mut Destination,
    base: Option<&Source>,
    plan: &Plan,
    quantum: u64,
    block: u64,
    meter: &mut Meter,
) -> Result<u64, Error> {
    destination.prepare(source.size().unwrap_or(0))?;
    let block = block.next_multiple_of(quantum);
    let buffer = |wanted: bool| AlignedBuffer::new(if wanted { block as usize } else { 0 }, 4096);
    let zeros = Extent::new(0, 0);
    let mut copier = Copier {
        source,
        base,
        block,
        quantum,
        buffer: buffer(true),
        base_buffer: buffer(base.is_some()),
        writer: Writer {
            destination,
            dirt: plan.dirt(),
            zeros,
        },
        meter,
    };
    let mut end = 0;
    for step in plan.steps() {
        let (reached, wanted) = match step {
            Step::Copy(range) => (copier.copy(range)?, range.end),
            Step::Clear(range) => (copier.clear(range)?, range.end),
            Step::Compare(range) => (copier.compare(range)?, range.end),
        };
        end = reached;
        if reached < wanted {
            break;
        }
    }
    copier.writer.flush_zeros()?;
    Ok(source.size().unwrap_or(end))
}

struct Copier<'a> {
    source: &'a Source,
    base: Option<&'a Source>,
    block: u64,
    quantum: u64,
    buffer: AlignedBuffer,
    base_buffer: AlignedBuffer,
    writer: Writer<'a>,
    meter: &'a mut Meter,
}

impl Copier<'_> {
    /// Returns where it ended: at the end of the range, or of a stream.
    fn copy(&mut self, range: Extent) -> Result<u64, Error> {
        for block in range.blocks(self.block) {
            check_signal()?;
            let buffer = &mut self.buffer[..block.len() as usize];
            let len = self.source.read(buffer, block.start)?;
            let bytes = &buffer[..len];
            let end = block.start + len as u64;
            self.writer.destination.check_room(end)?;
            let mut at = block.start;
            for run in nonzero_runs(bytes, block.start, self.quantum) {
                self.writer.zero_dirt(Extent::new(at, run.start))?;
                self.writer.write(part(bytes, block, run), run.start)?;
                at = run.end;
            }
            self.writer.zero_dirt(Extent::new(at, end))?;
            self.meter.add(len as u64)?;
            if end < block.end {
                return Ok(end);
            }
        }
        Ok(range.end)
    }

    fn clear(&mut self, range: Extent) -> Result<u64, Error> {
        self.writer.zero(range)?;
        self.meter.add(range.len())?;
        Ok(range.end)
    }

    /// Returns where it ended, as [`Copier::copy`] does.
    fn compare(&mut self, range: Extent) -> Result<u64, Error> {
        let base = self.base.expect("a plan compares only with a base");
        for block in range.blocks(self.block) {
            check_signal()?;
            let buffer = &mut self.buffer[..block.len() as usize];
            let len = self.source.read(buffer, block.start)?;
            let (new, old) = (&buffer[..len], &mut self.base_buffer[..len]);
            let read = Extent::new(block.start, block.start + len as u64);
            base.read(old, read.start)?;
            let mut changed = ExtentList::new();
            if new != old {
                for quantum in read.blocks(self.quantum) {
                    let bytes = part(new, read, quantum);
                    if bytes == part(old, read, quantum) {
                        continue;
                    }
                    if is_zero(bytes) {
                        self.writer.zero(quantum)?;
                    } else {
                        changed.push(quantum);
                    }
                }
            }
            for run in changed.iter() {
                self.writer.write(part(new, read, run), run.start)?;
            }
            self.meter.add(read.len())?;
            if read.end < block.end {
                return Ok(read.end);
            }
        }
        Ok(range.end)
    }
}

/// The bytes of `range`, out of those of the block around it.
fn part(bytes: &[u8], block: Extent, range: Extent) -> &[u8] {
    &bytes[(range.start - block.start) as usize..(range.end - block.start) as usize]
}

/// The writing side: gathers zeros until data, or zeros elsewhere, follow.
struct Writer<'a> {
    destination: &'a mut Destination,
    dirt: &'a ExtentList,
    /// Zeros that the destination does not have yet.
    zeros: Extent,
}

impl Writer<'_> {
    fn write(&mut self, bytes: &[u8], offset: u64) -> Result<(), Error> {
        self.flush_zeros()?;
        self.destination.write(bytes, offset)
    }

    /// Makes `range` zero where the destination may hold something else.
    fn zero_dirt(&mut self, range: Extent) -> Result<(), Error> {
        let dirt = self.dirt;
        dirt.within(range).try_for_each(|dirty| self.zero(dirty))
    }

    fn zero(&mut self, range: Extent) -> Result<(), Error> {
        if self.zeros.end != range.start {
            self.flush_zeros()?;
            self.zeros = range;
        }
        self.zeros.end = range.end;
        Ok(())
    }

    fn flush_zeros(&mut self) -> Result<(), Error> {
        let zeros = std::mem::replace(&mut self.zeros, Extent::new(0, 0));
        self.destination.clear(zeros)
    }
}
