//! What the source announced beside what the sink holds, segment by segment.

use crate::Error;
use crate::layout::Digest;
use crate::message::DigestRun;
use std::collections::VecDeque;

/// How far the sink's own digests run ahead of the source's, in runs and segments.
const READ_AHEAD: usize = 64;

/// What the sink holds, in order.
#[derive(Debug)]
pub(crate) enum Own<B> {
    Zeros(u64),
    Segment { bytes: B, digest: Digest },
}

enum Theirs {
    Zeros(u64),
    Digest(Digest),
}

/// The next segments, as both sides have them.
pub(crate) enum Pair<B> {
    /// So many are zero at both sides.
    Zeros(u64),
    /// One that is zero at the source only.
    Cleared,
    /// One that is not zero at the source, and what the sink has: `None` for zeros.
    Segment {
        digest: Digest,
        own: Option<(B, Digest)>,
    },
}

/// What was announced and what was read, as far as the other side of it is not known yet.
pub(crate) struct Pairing<B> {
    /// Segments of all.
    count: u64,
    announced: u64,
    theirs: VecDeque<Theirs>,
    ours: VecDeque<Own<B>>,
    /// Digests in `theirs`.
    waiting: usize,
}

impl<B> Pairing<B> {
    /// Of `count` segments. With `is_zero` the sink's are all zero, and need not be read.
    pub(crate) fn new(count: u64, is_zero: bool) -> Pairing<B> {
        let zeros = Some(Own::Zeros(count)).filter(|_| is_zero && count > 0);
        Pairing {
            count,
            announced: 0,
            theirs: VecDeque::new(),
            ours: zeros.into_iter().collect(),
            waiting: 0,
        }
    }

    /// How many segments the source has announced.
    pub(crate) fn announced(&self) -> u64 {
        self.announced
    }

    /// Segments that are not zero and that the sink has not come to.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether more of the sink's own is of use now.
    pub(crate) fn is_hungry(&self) -> bool {
        self.ours.len() < READ_AHEAD
    }

    /// Takes what comes next in the sink's own object.
    pub(crate) fn own(&mut self, own: Own<B>) {
        self.ours.push_back(own);
    }

    /// Takes DIGESTS.
    pub(crate) fn announce(&mut self, first: u64, runs: Vec<DigestRun>) -> Result<(), Error> {
        if first != self.announced {
            return Err(Error::protocol("digests out of order"));
        }
        for run in runs {
            let count = match &run {
                DigestRun::Zeros(count) => u64::from(*count),
                DigestRun::Digests(digests) => digests.len() as u64,
            };
            self.announced += count;
            if count == 0 || self.announced > self.count {
                return Err(Error::protocol("digests beyond the end"));
            }
            match run {
                DigestRun::Zeros(_) => self.theirs.push_back(Theirs::Zeros(count)),
                DigestRun::Digests(digests) => {
                    self.waiting += digests.len();
                    self.theirs.extend(digests.into_iter().map(Theirs::Digest));
                }
            }
        }
        Ok(())
    }

    /// The next segments that both sides are known of.
    pub(crate) fn next(&mut self) -> Option<Pair<B>> {
        let (theirs, ours) = (self.theirs.front_mut()?, self.ours.front_mut()?);
        let (pair, their_rest, our_rest) = match (theirs, ours) {
            (Theirs::Zeros(n), Own::Zeros(m)) => {
                let count = (*n).min(*m);
                *n -= count;
                *m -= count;
                (Pair::Zeros(count), *n, *m)
            }
            (Theirs::Zeros(n), Own::Segment { .. }) => {
                *n -= 1;
                (Pair::Cleared, *n, 0)
            }
            (Theirs::Digest(digest), Own::Zeros(m)) => {
                let (digest, own) = (*digest, None);
                *m -= 1;
                self.waiting -= 1;
                (Pair::Segment { digest, own }, 0, *m)
            }
            (Theirs::Digest(digest), Own::Segment { .. }) => {
                let digest = *digest;
                self.waiting -= 1;
                let own = match self.ours.pop_front() {
                    Some(Own::Segment { bytes, digest }) => Some((bytes, digest)),
                    _ => None,
                };
                // What is behind it is whole.
                (Pair::Segment { digest, own }, 0, 1)
            }
        };
        if their_rest == 0 {
            self.theirs.pop_front();
        }
        if our_rest == 0 {
            self.ours.pop_front();
        }
        Some(pair)
    }
}
