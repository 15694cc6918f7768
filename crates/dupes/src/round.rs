//! One round: a range of all files of a class is compared, each file read once at the most.
//!
//! Every block is compared with that of the first member, and if it differs, with the other blocks
//! that were met ([`Distinct`]). When the memory for those is used up, what is left is told apart
//! by its BLAKE3 digest; files with one digest stay together, but as not proven: they are compared
//! again. Several threads may work on one round.

use crate::clones::Place;
use crate::distinct::Distinct;
use crate::member::{Fetched, Member, Pattern, Reader, Scan};
use blkcore::{Digest, Extent, HashKind, is_zero};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// Rounds with so many members, or so many bytes, are offered to other threads.
const MANY_MEMBERS: usize = 128;
const MANY_BYTES: u64 = 1 << 20;

/// How many members a thread takes at a time.
const BATCH_BYTES: u64 = 256 * 1024;

/// Which members are equal in the range: those with the same verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Verdict(u32);

impl Verdict {
    const FIRST: Verdict = Verdict(0);
    const FAILED: Verdict = Verdict(u32::MAX);
    /// Above are those that only a digest holds together.
    const DIGESTS: u32 = 1 << 31;

    /// Equal byte by byte; otherwise by digest.
    pub(crate) fn is_proven(self) -> bool {
        self.0 < Verdict::DIGESTS
    }

    pub(crate) fn is_failed(self) -> bool {
        self == Verdict::FAILED
    }
}

/// Buffers of a thread.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) reader: Reader,
    block: Vec<u8>,
    first: Vec<u8>,
    findings: Findings,
}

impl Scratch {
    pub(crate) fn new(block: u64) -> Scratch {
        // A tail can be longer than a block of 4 KiB.
        let room = vec![0; (block as usize).max(crate::class::PROBE_MAX)];
        Scratch {
            block: room.clone(),
            first: room,
            ..Scratch::default()
        }
    }
}

/// What the first member holds.
#[derive(Debug)]
enum First {
    Failed,
    Zeros,
    Bytes(Vec<u8>),
}

#[derive(Debug, Default)]
struct Findings {
    verdicts: Vec<Verdict>,
    distinct: Distinct,
    digests: HashMap<Digest, u32>,
    /// Where shared blocks lie whose contents are known.
    places: HashMap<Place, Verdict>,
    any_bytes: bool,
    first_buffer: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Round<'a> {
    members: Vec<Member<'a>>,
    range: Extent,
    pattern: Pattern,
    first: OnceLock<First>,
    first_place: Option<Place>,
    next: AtomicUsize,
    findings: Mutex<Findings>,
}

/// What came out of a round.
#[derive(Debug)]
pub(crate) struct Outcome<'a> {
    pub(crate) members: Vec<Member<'a>>,
    /// One for each member; empty when all are equal, byte by byte.
    pub(crate) verdicts: Vec<Verdict>,
    /// All members have nothing but zeros there, and nothing was read to see it.
    pub(crate) is_hole: bool,
}

impl<'a> Round<'a> {
    pub(crate) fn new(
        scan: &Scan<'a>,
        members: Vec<Member<'a>>,
        range: Extent,
        pattern: Pattern,
        scratch: &mut Scratch,
    ) -> Round<'a> {
        let mut findings = std::mem::take(&mut scratch.findings);
        findings
            .distinct
            .reset(range.len() as usize, &scan.limits.memory);
        findings.verdicts.clear();
        findings.verdicts.resize(members.len(), Verdict::FIRST);
        findings.digests.clear();
        findings.places.clear();
        findings.any_bytes = false;
        findings.first_buffer = std::mem::take(&mut scratch.first);
        Round {
            first_place: members[0].place(range),
            members,
            range,
            pattern,
            first: OnceLock::new(),
            next: AtomicUsize::new(1),
            findings: Mutex::new(findings),
        }
    }

    /// Whether members are left that no thread has taken.
    pub(crate) fn has_work(&self) -> bool {
        self.next.load(Relaxed) < self.members.len()
    }

    /// Whether it is worth the time of other threads.
    pub(crate) fn is_large(&self) -> bool {
        let bytes = self.range.len() * self.members.len() as u64;
        self.members.len() >= MANY_MEMBERS || self.members.len() > 2 && bytes >= MANY_BYTES
    }

    /// Compares members until all are taken or a signal stops the run.
    pub(crate) fn work_on(&self, scan: &Scan<'a>, scratch: &mut Scratch) {
        let batch = (BATCH_BYTES / self.range.len()).clamp(1, 256) as usize;
        let mut verdicts = Vec::new();
        while cli::signal::stop_requested().is_none() {
            let start = self.next.fetch_add(batch, Relaxed);
            let end = (start + batch).min(self.members.len());
            if start >= end {
                break;
            }
            verdicts.clear();
            verdicts.extend(
                self.members[start..end]
                    .iter()
                    .map(|m| self.compare(m, scan, scratch)),
            );
            self.findings().verdicts[start..end].copy_from_slice(&verdicts);
        }
    }

    fn findings(&self) -> MutexGuard<'_, Findings> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn compare(&self, member: &Member<'a>, scan: &Scan<'a>, scratch: &mut Scratch) -> Verdict {
        let place = member.place(self.range);
        if let Some(place) = &place {
            if self.first_place.as_ref() == Some(place) {
                return Verdict::FIRST;
            }
            if let Some(known) = self.findings().places.get(place) {
                return *known;
            }
        }
        let block = &mut scratch.block[..self.range.len() as usize];
        let reader = &mut scratch.reader;
        let fetched = match member.fetch(scan, self.range, self.pattern, block, reader) {
            Ok(fetched) => fetched,
            Err(problem) => {
                member.failed(scan, &problem);
                return Verdict::FAILED;
            }
        };
        let first = self.first.get_or_init(|| self.read_first(scan, reader));
        let is_equal = match (first, fetched) {
            (First::Failed, _) => false,
            (First::Zeros, Fetched::Hole) => return Verdict::FIRST,
            (First::Zeros, Fetched::Bytes) => is_zero(block),
            (First::Bytes(first), Fetched::Hole) => is_zero(&first[..block.len()]),
            (First::Bytes(first), Fetched::Bytes) => first[..block.len()] == *block,
        };
        if fetched == Fetched::Hole && !is_equal {
            block.fill(0);
        }
        let mut findings = self.findings();
        findings.any_bytes = true;
        let verdict = match is_equal {
            true => Verdict::FIRST,
            false => findings.place(block, scan),
        };
        if let Some(place) = place
            && verdict.is_proven()
        {
            findings.places.insert(place, verdict);
        }
        verdict
    }

    fn read_first(&self, scan: &Scan<'a>, reader: &mut Reader) -> First {
        let mut buffer = std::mem::take(&mut self.findings().first_buffer);
        let block = &mut buffer[..self.range.len() as usize];
        match self.members[0].fetch(scan, self.range, self.pattern, block, reader) {
            Ok(Fetched::Hole) => {
                self.findings().first_buffer = buffer;
                First::Zeros
            }
            Ok(Fetched::Bytes) => First::Bytes(buffer),
            Err(problem) => {
                self.members[0].failed(scan, &problem);
                let mut findings = self.findings();
                findings.verdicts[0] = Verdict::FAILED;
                findings.first_buffer = buffer;
                First::Failed
            }
        }
    }

    /// Ends the round and gives the buffers back.
    pub(crate) fn finish(self, scratch: &mut Scratch) -> Outcome<'a> {
        let mut findings = self
            .findings
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let is_hole = !findings.any_bytes && matches!(self.first.get(), Some(First::Zeros));
        scratch.first = match self.first.into_inner() {
            Some(First::Bytes(buffer)) => buffer,
            _ => std::mem::take(&mut findings.first_buffer),
        };
        let all_equal = findings.verdicts.iter().all(|v| *v == Verdict::FIRST);
        let verdicts = match all_equal {
            true => Vec::new(),
            false => findings.verdicts.clone(),
        };
        scratch.findings = findings;
        Outcome {
            members: self.members,
            verdicts,
            is_hole,
        }
    }
}

impl Findings {
    /// The verdict on a block that differs from the first member's.
    fn place(&mut self, block: &[u8], scan: &Scan) -> Verdict {
        if let Some(number) = self.distinct.place(block, &scan.limits.memory) {
            return Verdict(number + 1);
        }
        let new = self.digests.len() as u32;
        let number = self
            .digests
            .entry(HashKind::Blake3.of(block))
            .or_insert(new);
        Verdict(Verdict::DIGESTS + *number)
    }
}
