//! Files that share blocks on the disk (reflinks, snapshots): where the same blocks are used for
//! the same range, the bytes are equal without being read.
//!
//! Only file systems that can share blocks are asked. What counts is a plain, written extent after
//! the file was written back; compressed, inline or delayed ones prove nothing.

use blkcore::Extent;
use rustix::fs::fstatfs;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::OnceLock;

/// Smaller files are read sooner than asked about.
pub(crate) const LEAST_SIZE: u64 = 64 * 1024;

/// How much of a file is asked about at a time, and how many extents are kept of the answer.
const WINDOW: u64 = 256 << 20;
const MOST_PIECES: usize = 512;
const LEAST_WINDOW: u64 = 1 << 20;

/// `linux/magic.h`. (Not bcachefs: its map does not tell which of its devices an extent is on.)
const SHARING: [u64; 3] = [0x9123_683e, 0x5846_5342, 0x7461_636f];

/// A file system that can share blocks, as the number of its device; `None` for others.
#[derive(Debug, Default)]
pub(crate) struct FileSystem(OnceLock<Option<u64>>);

impl FileSystem {
    /// What is known already: `None` before the first question.
    pub(crate) fn known(&self) -> Option<Option<u64>> {
        self.0.get().copied()
    }

    /// Asks once, by any file on the device with the number `device`.
    pub(crate) fn of(&self, file: &File, device: u64) -> Option<u64> {
        *self.0.get_or_init(|| {
            let kind = fstatfs(file).ok()?.f_type as u64;
            // Each subvolume of btrfs has a device number of its own, the extents are common.
            SHARING
                .contains(&kind)
                .then(|| mounted_device(file).unwrap_or(device))
        })
    }
}

/// The device of the mount that `file` was opened through, as it is in the mount table.
fn mounted_device(file: &File) -> Option<u64> {
    let info = format!("/proc/self/fdinfo/{}", file.as_fd().as_raw_fd());
    let info = std::fs::read_to_string(info).ok()?;
    let id = info.lines().find_map(|l| l.strip_prefix("mnt_id:"))?.trim();
    let table = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    table.lines().find_map(|line| {
        let mut fields = line.split(' ');
        if fields.next()? != id {
            return None;
        }
        let (major, minor) = fields.nth(1)?.split_once(':')?;
        Some(rustix::fs::makedev(
            major.parse().ok()?,
            minor.parse().ok()?,
        ))
    })
}

/// A part of a file that lies in one piece on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Piece {
    logical: Extent,
    physical: u64,
}

/// Where a range of a file lies. Equal values mean equal bytes; what is in no piece is a hole.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    file_system: u64,
    pieces: Vec<Piece>,
}

/// The blocks of one open file, as far as they were asked for.
#[derive(Debug)]
pub(crate) struct Blocks {
    file_system: u64,
    size: u64,
    /// How much to ask about next.
    stride: u64,
    window: Extent,
    /// Of the window, up to the first extent that is not plain.
    pieces: Vec<Piece>,
    /// What lies among them and proves nothing.
    obscure: Vec<Extent>,
    known_until: u64,
}

impl Blocks {
    /// Of a file that shares blocks with another. Writes it back, so that the answers hold.
    pub(crate) fn of(file: &File, size: u64, file_system: u64) -> Option<Blocks> {
        let start = Extent::new(0, size.min(WINDOW));
        let extents = blkcore::fiemap(file, start, false).ok()?;
        if !extents.iter().any(|e| e.is_shared()) {
            return None;
        }
        blkcore::fiemap(file, Extent::new(0, 1), true).ok()?;
        let window = Extent::new(0, 0);
        Some(Blocks {
            file_system,
            size,
            stride: LEAST_WINDOW,
            window,
            pieces: Vec::new(),
            obscure: Vec::new(),
            known_until: 0,
        })
    }

    /// Where `range` lies, if all of it is known.
    pub(crate) fn place(&mut self, file: &File, range: Extent) -> Option<Place> {
        if range.start < self.window.start || range.end > self.known_until {
            self.ask(file, range.start).ok()?;
        }
        if range.end > self.known_until || self.next_obscure(range.start) < range.end {
            return None;
        }
        let first = self
            .pieces
            .partition_point(|p| p.logical.end <= range.start);
        let meeting = self.pieces[first..]
            .iter()
            .take_while(|p| p.logical.start < range.end);
        let pieces = meeting.map(|p| p.clip(range)).collect();
        Some(Place {
            file_system: self.file_system,
            pieces,
        })
    }

    /// Up to where both files lie in the same place from `start`, on which both must be known.
    pub(crate) fn agree_until(&self, other: &Blocks, start: u64) -> u64 {
        let end = self.known_until.min(other.known_until);
        let obscure = self.next_obscure(start).min(other.next_obscure(start));
        let end = end.min(obscure).max(start);
        let known = |b: &Blocks| b.window.start <= start && start < b.known_until;
        if self.file_system != other.file_system || !known(self) || !known(other) {
            return start;
        }
        let range = Extent::new(start, end);
        let clipped = |b: &Blocks| -> Vec<Piece> {
            b.pieces
                .iter()
                .map(|p| p.clip(range))
                .filter(|p| !p.logical.is_empty())
                .collect()
        };
        let (ours, theirs) = (clipped(self), clipped(other));
        let equal = ours.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
        match (ours.get(equal), theirs.get(equal)) {
            (None, None) => end,
            // One is cut where the other goes on.
            (Some(a), Some(b)) if a.starts_with(b) => a.logical.end.min(b.logical.end),
            // Up to here both have the same pieces, and then the same hole.
            (a, b) => {
                let starts = [a, b].into_iter().flatten().map(|p| p.logical.start);
                starts.min().unwrap_or(start)
            }
        }
    }

    /// Where the first byte from `start` on is of which nothing is known.
    fn next_obscure(&self, start: u64) -> u64 {
        let next = self.obscure.partition_point(|o| o.end <= start);
        self.obscure.get(next).map_or(u64::MAX, |o| o.start)
    }

    fn ask(&mut self, file: &File, start: u64) -> io::Result<()> {
        self.window = Extent::new(
            start,
            self.size.min(start.saturating_add(self.stride)).max(start),
        );
        self.pieces.clear();
        self.obscure.clear();
        self.known_until = self.window.end;
        for e in blkcore::fiemap(file, self.window, false)? {
            let logical = e.logical.intersect(self.window);
            if logical.is_empty() {
                continue;
            }
            if self.pieces.len() + self.obscure.len() >= MOST_PIECES {
                self.known_until = logical.start;
                break;
            }
            if !e.is_plain() || e.is_unwritten() {
                match self.obscure.last_mut() {
                    Some(last) if last.end == logical.start => last.end = logical.end,
                    _ => self.obscure.push(logical),
                }
                continue;
            }
            let physical = e.physical + (logical.start - e.logical.start);
            match self.pieces.last_mut() {
                Some(last) if last.leads_to(logical.start, physical) => {
                    last.logical.end = logical.end;
                }
                _ => self.pieces.push(Piece { logical, physical }),
            }
        }
        // Extents that would not be kept cost as much as others.
        self.stride = match self.pieces.len() + self.obscure.len() >= MOST_PIECES {
            true => (self.known_until - start).max(LEAST_WINDOW),
            false => (self.stride * 4).min(WINDOW),
        };
        Ok(())
    }
}

impl Piece {
    fn leads_to(self, logical: u64, physical: u64) -> bool {
        self.logical.end == logical && self.physical + self.logical.len() == physical
    }

    fn starts_with(&self, other: &Piece) -> bool {
        self.logical.start == other.logical.start && self.physical == other.physical
    }

    fn clip(self, range: Extent) -> Piece {
        let logical = self.logical.intersect(range);
        let moved = logical.start.saturating_sub(self.logical.start);
        Piece {
            logical,
            physical: self.physical + moved,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(pieces: &[(u64, u64, u64)], known_until: u64) -> Blocks {
        let piece = |(start, end, physical): &(u64, u64, u64)| Piece {
            logical: Extent::new(*start, *end),
            physical: *physical,
        };
        Blocks {
            file_system: 1,
            size: 100,
            stride: LEAST_WINDOW,
            window: Extent::new(0, 100),
            pieces: pieces.iter().map(piece).collect(),
            obscure: Vec::new(),
            known_until,
        }
    }

    #[test]
    fn agreement_ends_where_blocks_or_holes_differ() {
        let a = blocks(&[(0, 30, 1000), (40, 60, 2000), (80, 90, 3000)], 100);
        assert_eq!(a.agree_until(&a, 5), 100);
        let other_block = blocks(&[(0, 30, 1000), (40, 60, 2001)], 100);
        assert_eq!(a.agree_until(&other_block, 0), 40);
        let longer = blocks(&[(0, 35, 1000)], 100);
        assert_eq!(a.agree_until(&longer, 0), 30);
        let hole = blocks(&[(0, 30, 1000), (80, 90, 3000)], 100);
        assert_eq!(a.agree_until(&hole, 20), 40);
        let unknown = blocks(&[(0, 30, 1000)], 35);
        assert_eq!(a.agree_until(&unknown, 10), 35);
        assert_eq!(a.agree_until(&unknown, 36), 36);
    }
}
