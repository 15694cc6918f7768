//! Bytes at offsets: what the block tools share below their own domains.
//!
//! Extents and their algebra, allocation maps of files, zero scanning, digests, descriptions of
//! files and block devices with the guards that keep a tool from harming them, and the ways to make
//! a range zero. Nothing here reads arguments, prints, or decides an exit code. Offsets and lengths
//! are `u64` bytes unless a name says otherwise, and ranges are half-open.

mod buffer;
mod clear;
mod device;
mod digest;
mod extent;
mod fiemap;
mod guard;
mod map;
mod stack;
mod sys;
mod sys_fiemap;
mod transfer;
mod zero;

pub use buffer::AlignedBuffer;
pub use clear::{Clearer, Method, discard};
pub use device::{Description, Kind, describe, drop_cache, flush_buffers};
pub use digest::{Digest, HashKind, Hasher};
pub use extent::{Extent, ExtentList};
pub use fiemap::{Mapping, fiemap};
pub use guard::{Busy, busy, identity, open_exclusive, overlaps, users};
pub use map::{data_extents, next_data};
pub use transfer::{At, read_full_at, read_up_to_at, write_full_at};
pub use zero::{NonzeroRuns, is_zero, nonzero_runs};
