//! `--test`: the property that a copy equals its source, on random images.
//!
//! The images lie in files of memory and go through the same plan, loop and system calls as any
//! copy, with small odd blocks and quanta, so that every border meets every other.

use crate::destination::{Counts, Destination};
use crate::plan::Plan;
use crate::report::Meter;
use crate::{Error, Source, copy};
use blkcore::{Extent, ExtentList};
use cli::output::Output;
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

const IMAGES: u64 = 1000;
const SIZE: u64 = 1000;
/// Bytes behind the copy that no write may touch.
const FENCE: u64 = 100;
const FILL: u8 = 0xa5;

/// What the destination holds before the copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Zeros,
    Garbage,
    Base,
}

/// Copies the images in every way and prints what was done, or says which copy was wrong.
pub(crate) fn run() -> Result<(), Error> {
    let (mut writes, mut bytes) = (0, 0);
    for seed in 0..IMAGES {
        crate::destination::check_signal()?;
        for ignore_map in [false, true] {
            for before in [Before::Zeros, Before::Garbage, Before::Base] {
                let done = Trial::new(seed, ignore_map, before).run()?;
                writes += done.writes;
                bytes += done.written;
            }
        }
    }
    let mut out = Output::stdout();
    let text = format!(
        "Tested {IMAGES} random images of up to {SIZE} bytes, each with and without its map, onto \
         zeros, garbage and a base\nTotal writes: {writes}\nTotal bytes: {bytes}\n"
    );
    out.write_all(text.as_bytes())
        .and_then(|()| out.finish())
        .map_err(Error::stdout)
}

/// One copy of one image.
struct Trial {
    random: Random,
    seed: u64,
    ignore_map: bool,
    before: Before,
}

impl Trial {
    fn new(seed: u64, ignore_map: bool, before: Before) -> Trial {
        Trial {
            random: Random(seed),
            seed,
            ignore_map,
            before,
        }
    }

    fn run(mut self) -> Result<Counts, Error> {
        let size = self.random.below(SIZE) + 1;
        let quantum = [1, 2, 3, 7, 16, 64, 512][self.random.below(7) as usize];
        let block = self.random.below(300) + 1;
        let (image, map) = self.image(size);
        let base_size = size - self.random.below(size.min(50));
        let (base_image, base_map) = self.image(base_size);
        let (_, garbage) = self.image(size);

        let mut old = vec![0; (size + FENCE) as usize];
        match self.before {
            Before::Zeros => {}
            Before::Garbage => {
                for run in garbage.iter() {
                    old[run.start as usize..run.end as usize].fill(FILL);
                }
            }
            Before::Base => {
                old[..base_image.len()].copy_from_slice(&base_image);
                old[base_image.len()..].fill(FILL);
            }
        }
        let dirt = match self.before {
            Before::Zeros => ExtentList::new(),
            Before::Garbage => garbage,
            Before::Base => ExtentList::full(size),
        };
        // Behind the copy lies what must stay.
        old[size as usize..].fill(FILL);

        let map = if self.ignore_map {
            ExtentList::full(size)
        } else {
            map
        };
        let source = if self.ignore_map && self.seed % 2 == 1 {
            Source::stream(Path::new("image"), pipe(&image)?, None)
        } else {
            Source::with_map(Path::new("image"), memory(&image)?, size, map)
        };
        let target = memory(&old)?;
        let mut destination = Destination::in_memory(target.try_clone().map_err(memory_error)?)?;
        let base = Source::with_map(
            Path::new("base"),
            memory(&base_image)?,
            base_image.len() as u64,
            base_map,
        );
        let base = (self.before == Before::Base).then_some(&base);
        let dirt_total = dirt.total();
        let plan = Plan::new(&source, dirt, base);
        let mut meter = Meter::start(false, cli::progress::Mode::Off, plan.work())?;
        copy::run_in_blocks(
            &source,
            &mut destination,
            base,
            &plan,
            quantum,
            block,
            &mut meter,
        )?;
        destination.finish(size)?;

        let mut got = vec![0; old.len()];
        target.read_exact_at(&mut got, 0).map_err(memory_error)?;
        let mut want = image;
        want.extend_from_slice(&old[size as usize..]);
        self.compare(&got, &want, quantum, block)?;
        let images = (&want[..size as usize], &old[..]);
        self.check_thrift(images, (quantum, block), dirt_total, destination.counts())
    }

    /// A random image with its map: zeros outside of the map, zeros and data in runs within it.
    fn image(&mut self, size: u64) -> (Vec<u8>, ExtentList) {
        let mut image = vec![0; size as usize];
        let mut map = ExtentList::new();
        let mut at = 0;
        while at < size {
            let run = Extent::new(at, (at + 1 + self.random.below(80)).min(size));
            at = run.end;
            match self.random.below(3) {
                0 => continue,
                1 => {
                    image[run.start as usize..run.end as usize].fill(1 + self.random.below(3) as u8)
                }
                _ => {}
            }
            map.push(run);
        }
        (image, map)
    }

    fn compare(&self, got: &[u8], want: &[u8], quantum: u64, block: u64) -> Result<(), Error> {
        match got.iter().zip(want).position(|(g, w)| g != w) {
            None => Ok(()),
            Some(at) => Err(self.wrong(
                quantum,
                block,
                &format!("byte {at} is {:#04x}, not {:#04x}", got[at], want[at]),
            )),
        }
    }

    /// Not a byte was written or made zero beyond the quanta that needed it.
    fn check_thrift(
        &self,
        (image, old): (&[u8], &[u8]),
        (quantum, block): (u64, u64),
        dirt: u64,
        counts: Counts,
    ) -> Result<Counts, Error> {
        let quanta = Extent::new(0, image.len() as u64).blocks(quantum);
        let (mut to_write, mut to_change) = (0, 0);
        for extent in quanta {
            let range = extent.start as usize..extent.end as usize;
            let is_old = self.before == Before::Base && image[range.clone()] == old[range.clone()];
            to_change += if is_old { 0 } else { extent.len() };
            to_write += if is_old || blkcore::is_zero(&image[range]) {
                0
            } else {
                extent.len()
            };
        }
        let to_clear = match self.before {
            Before::Base => to_change,
            Before::Zeros | Before::Garbage => dirt,
        };
        for (done, needed, how) in [
            (counts.written, to_write, "written"),
            (counts.cleared, to_clear, "made zero"),
        ] {
            if done > needed {
                return Err(self.wrong(
                    quantum,
                    block,
                    &format!("{done} bytes {how}, {needed} needed"),
                ));
            }
        }
        Ok(counts)
    }

    fn wrong(&self, quantum: u64, block: u64, why: &str) -> Error {
        let Trial {
            seed,
            ignore_map,
            before,
            ..
        } = self;
        Error::Wrong(format!(
            "wrong copy: {why} (image {seed}, ignore_map {ignore_map}, onto {before:?}, \
             quantum {quantum}, block {block})"
        ))
    }
}

/// A file of memory with these bytes.
fn memory(bytes: &[u8]) -> Result<File, Error> {
    let fd = memfd_create("sparse-dd", MFdFlags::MFD_CLOEXEC);
    let file = File::from(fd.map_err(|e| memory_error(e.into()))?);
    file.write_all_at(bytes, 0).map_err(memory_error)?;
    Ok(file)
}

/// A pipe with these bytes, which it can hold.
fn pipe(bytes: &[u8]) -> Result<File, Error> {
    let (reader, mut writer) = io::pipe().map_err(memory_error)?;
    writer.write_all(bytes).map_err(memory_error)?;
    Ok(File::from(std::os::fd::OwnedFd::from(reader)))
}

fn memory_error(error: io::Error) -> Error {
    Error::system(Path::new("memory"), error)
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same images in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}
