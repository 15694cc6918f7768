//! Segments of the sink that differ: which pages are wanted, and whether what came makes them right.

use crate::Error;
use crate::layout::{Digest, Digester, Layout, prefixes};
use crate::message::Message;
use crate::source::Wanted;
use std::collections::BTreeMap;

/// Segments that may be asked for once more at a time.
const MOST_AGAIN: usize = 1 << 16;

/// The segments that differ and were not made right yet.
pub(crate) struct Repairs<B> {
    pending: BTreeMap<u64, Pending<B>>,
    /// Those that were asked for once more. The source does not count them: it has sent them.
    again: usize,
}

struct Pending<B> {
    digest: Digest,
    /// What is there now; `None` for zeros, and when it is not needed any more.
    own: Option<B>,
    /// `None` until the prefixes of its pages came.
    wanted: Option<Wanted>,
    is_again: bool,
}

/// What DATA comes to.
pub(crate) enum Repair {
    /// The segment has its digest when these bytes are written: the wanted pages, one after the other.
    Done {
        wanted: Wanted,
        bytes: Vec<u8>,
        digest: Digest,
    },
    /// All of the segment is needed.
    Again(Message),
}

impl<B: AsRef<[u8]>> Repairs<B> {
    pub(crate) fn new() -> Repairs<B> {
        Repairs {
            pending: BTreeMap::new(),
            again: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// The first of them.
    pub(crate) fn first(&self) -> Option<u64> {
        self.pending.keys().next().copied()
    }

    /// How many of them the source has not sent.
    pub(crate) fn unsent(&self) -> usize {
        self.pending.len() - self.again
    }

    /// Adds a segment. Of one that is zero all is wanted, of others what PAGES will tell.
    pub(crate) fn add(&mut self, segment: u64, digest: Digest, own: Option<B>) {
        let wanted = own.is_none().then_some(Wanted::All);
        let pending = Pending {
            digest,
            own,
            wanted,
            is_again: false,
        };
        self.pending.insert(segment, pending);
    }

    /// Takes PAGES. Nothing to say to those that came before they were asked for and are not needed.
    pub(crate) fn pages(
        &mut self,
        segment: u64,
        theirs: &[[u8; 3]],
    ) -> Result<Option<Message>, Error> {
        let pending = self.pending.get_mut(&segment);
        let Some(pending) = pending.filter(|p| p.wanted.is_none()) else {
            return Ok(None);
        };
        let own = pending.own.as_ref().map(|own| prefixes(own.as_ref()));
        let own = own.filter(|own| own.len() == theirs.len());
        let own = own.ok_or_else(|| Error::protocol("pages of a segment of another length"))?;
        let mut bitmap = vec![0; own.len().div_ceil(8)];
        for (page, (own, theirs)) in own.iter().zip(theirs).enumerate() {
            if own != theirs {
                bitmap[page / 8] |= 1 << (page % 8);
            }
        }
        if bitmap.iter().all(|byte| *byte == 0) {
            // The source holds it, so that it still counts.
            pending.wanted = Some(Wanted::All);
            pending.own = None;
            return Ok(Some(Message::Whole { segment }));
        }
        pending.wanted = Some(Wanted::Some(bitmap.clone()));
        Ok(Some(Message::Need { segment, bitmap }))
    }

    /// Takes DATA.
    pub(crate) fn data(
        &mut self,
        layout: &Layout,
        digester: &Digester,
        segment: u64,
        is_compressed: bool,
        bytes: Vec<u8>,
    ) -> Result<Repair, Error> {
        let unasked = || Error::protocol("data that was not asked for");
        let pending = self.pending.get_mut(&segment).ok_or_else(unasked)?;
        let wanted = pending.wanted.clone().ok_or_else(unasked)?;
        let ranges = wanted.ranges(layout, segment);
        let bytes = unpack(is_compressed, bytes, ranges.total() as usize)?;
        // The segment as it would be: what is there, and in between what came.
        let own = pending.own.as_ref().map_or(&[][..], |own| own.as_ref());
        let mut hashing = digester.begin();
        let (mut rest, mut at) = (&bytes[..], 0);
        for range in ranges.iter() {
            let (start, end) = (range.start as usize, range.end as usize);
            if at < start {
                hashing.update(&own[at..start]);
            }
            let (these, tail) = rest.split_at(end - start);
            hashing.update(these);
            (rest, at) = (tail, end);
        }
        if at < own.len() && wanted != Wanted::All {
            hashing.update(&own[at..]);
        }
        let digest = pending.digest;
        if hashing.finish() == digest {
            self.again -= usize::from(pending.is_again);
            self.pending.remove(&segment);
            return Ok(Repair::Done {
                wanted,
                bytes,
                digest,
            });
        }
        if wanted == Wanted::All {
            let why = format!("segment {segment} does not have the digest that was announced");
            return Err(Error::Verify(why));
        }
        pending.wanted = Some(Wanted::All);
        pending.own = None;
        pending.is_again = true;
        self.again += 1;
        if self.again > MOST_AGAIN {
            return Err(Error::protocol("too much wrong data"));
        }
        Ok(Repair::Again(Message::Whole { segment }))
    }
}

/// The bytes of DATA or PATCH, which must be `len`.
pub(crate) fn unpack(is_compressed: bool, bytes: Vec<u8>, len: usize) -> Result<Vec<u8>, Error> {
    let bytes = match is_compressed {
        true => zstd::bulk::decompress(&bytes, len)
            .map_err(|_| Error::protocol("data that cannot be decompressed"))?,
        false => bytes,
    };
    if bytes.len() != len {
        return Err(Error::protocol("data of a wrong length"));
    }
    Ok(bytes)
}
