//! The sink's side of a session, without any I/O: its own digests and messages go in; messages,
//! writes and ranges to clear come out.
//!
//! Nothing is written before the segment that it makes has the digest that the source announced.

use crate::Error;
use crate::layout::{Digest, Digester, Layout, Root, ZERO};
use crate::message::{Answer, Message};
use crate::pairing::{Own, Pair, Pairing};
use crate::repair::{Repair, Repairs};
use crate::source::{CALM, Counts, Wanted};
use std::collections::BTreeMap;

/// Bytes of segments that a source may announce ahead.
const WINDOW: u64 = 64 << 20;
/// Segments in one WRITTEN.
const WRITTEN_BATCH: usize = 16;

/// What is to be done, in this order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Send(Message),
    /// Make this segment zero.
    Clear(u64),
    /// Write these bytes: the wanted pages of the segment, one after the other. It then has the
    /// digest.
    Write {
        segment: u64,
        wanted: Wanted,
        bytes: Vec<u8>,
        digest: Digest,
    },
    /// Have it all on the disk, and send what [`Sink::done`] says.
    Finish,
}

impl Step {
    /// Bytes that it writes.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Step::Write { bytes, .. } => bytes.len() as u64,
            _ => 0,
        }
    }
}

/// The state of the sink.
pub(crate) struct Sink<B> {
    layout: Layout,
    digester: Digester,
    is_unasked: bool,
    check: bool,
    pairing: Pairing<B>,
    /// PAGES of segments that the sink has not come to.
    early: BTreeMap<u64, Vec<[u8; 3]>>,
    repairs: Repairs<B>,
    matched: u64,
    /// The last segment that differed.
    differed: u64,
    answers: Vec<(Answer, u32)>,
    answered: u64,
    written: Vec<u64>,
    root: Root,
    /// What it will hold, for further passes.
    digests: Option<Vec<Digest>>,
    end: Option<[u8; 32]>,
    is_finished: bool,
    counts: Counts,
    changed_since: u64,
}

impl<B: AsRef<[u8]>> Sink<B> {
    /// `is_zero`: the object was said to be zero, so that everything comes unasked.
    pub(crate) fn new(layout: Layout, digester: Digester, is_zero: bool, check: bool) -> Sink<B> {
        let root = digester.root();
        Sink {
            pairing: Pairing::new(layout.count(), is_zero),
            layout,
            digester,
            is_unasked: is_zero,
            check,
            early: BTreeMap::new(),
            repairs: Repairs::new(),
            matched: 0,
            differed: 0,
            answers: Vec::new(),
            answered: 0,
            written: Vec::new(),
            root,
            digests: None,
            end: None,
            is_finished: false,
            counts: Counts::default(),
            changed_since: 0,
        }
    }

    /// The segments compared so far, by how they were found.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Of the segments that were left for last, those that differ.
    pub(crate) fn changed_since(&self) -> u64 {
        self.changed_since
    }

    /// Remembers the digests of the segments: 16 bytes each. To be called first.
    pub(crate) fn keep_digests(&mut self) {
        self.digests = Some(Vec::new());
    }

    /// What was remembered, at the end.
    pub(crate) fn into_digests(self) -> Vec<Digest> {
        self.digests.unwrap_or_default()
    }

    /// How many segments were compared; those that differ may not be written yet.
    pub(crate) fn compared(&self) -> u64 {
        self.matched
    }

    /// The segments below this number were compared, and written where they differed.
    pub(crate) fn finished(&self) -> u64 {
        self.repairs.first().unwrap_or(self.matched)
    }

    /// Whether nothing has differed for a while.
    pub(crate) fn is_calm(&self) -> bool {
        self.matched - self.differed >= CALM && self.written.is_empty()
    }

    /// Whether more of its own object is of use now.
    pub(crate) fn is_hungry(&self) -> bool {
        self.pairing.is_hungry()
    }

    /// Takes what comes next in the sink's own object.
    pub(crate) fn own(&mut self, own: Own<B>, steps: &mut Vec<Step>) -> Result<(), Error> {
        self.pairing.own(own);
        self.compare(steps)
    }

    /// Takes a message of the source.
    pub(crate) fn message(&mut self, message: Message, steps: &mut Vec<Step>) -> Result<(), Error> {
        match message {
            Message::Digests { first, runs } => {
                if self.end.is_some() {
                    return Err(Error::protocol("digests behind the end"));
                }
                self.pairing.announce(first, runs)?;
                if self.pairing.waiting() + self.repairs.unsent() > self.layout.window(WINDOW) {
                    return Err(Error::protocol("the source is too far ahead"));
                }
                self.compare(steps)
            }
            Message::Pages { segment, prefixes } => self.pages(segment, prefixes, steps),
            Message::Data {
                segment,
                is_compressed,
                bytes,
            } => self.data(segment, is_compressed, bytes, steps),
            Message::End { root } => {
                let is_all = self.pairing.announced() == self.layout.count();
                if !is_all || self.end.replace(root).is_some() {
                    return Err(Error::protocol("END out of turn"));
                }
                self.finish(steps);
                Ok(())
            }
            _ => Err(Error::protocol("a message that a source does not send")),
        }
    }

    /// Sends what was gathered. To be called before waiting for anything. The answer to a segment
    /// goes before the word that it was written.
    pub(crate) fn flush(&mut self, steps: &mut Vec<Step>) {
        if !self.answers.is_empty() {
            let runs = std::mem::take(&mut self.answers);
            steps.push(Step::Send(Message::Answers {
                first: self.answered,
                runs,
            }));
            self.answered = self.matched;
        }
        if !self.written.is_empty() {
            let segments = std::mem::take(&mut self.written);
            steps.push(Step::Send(Message::Written { segments }));
        }
    }

    /// Whether what was gathered is for the source to act upon, or much.
    pub(crate) fn is_urgent(&self) -> bool {
        let is_request =
            |(answer, _): &(Answer, u32)| matches!(answer, Answer::Refine | Answer::All);
        let most = self.layout.window(WINDOW) as u64 / 2;
        self.matched - self.answered >= most || self.answers.iter().any(is_request)
    }

    /// The last message, once everything is on the disk; an error when the roots differ.
    pub(crate) fn done(&mut self) -> Result<Message, Error> {
        let root = std::mem::replace(&mut self.root, self.digester.root()).finish();
        if Some(root) != self.end && !self.check {
            return Err(Error::Verify(
                "the two sides do not hold the same".to_owned(),
            ));
        }
        let Counts { same, different } = self.counts;
        // A check that found differences has no root of its own to offer.
        let root = if self.check {
            self.end.unwrap_or_default()
        } else {
            root
        };
        Ok(Message::Done {
            root,
            same,
            different,
        })
    }

    /// Compares as far as both sides are known.
    fn compare(&mut self, steps: &mut Vec<Step>) -> Result<(), Error> {
        while let Some(pair) = self.pairing.next() {
            match pair {
                Pair::Zeros(count) => {
                    self.remember(count, None);
                    self.counts.same += count;
                    self.answer(Answer::Same, count);
                }
                Pair::Cleared => {
                    self.remember(1, None);
                    self.differs();
                    if self.check {
                        self.answer(Answer::Differs, 1);
                    } else {
                        steps.push(Step::Clear(self.matched));
                        self.answer(Answer::Same, 1);
                    }
                }
                Pair::Segment { digest, own } => {
                    self.remember(1, Some(digest));
                    self.segment(digest, own, steps)?;
                }
            }
        }
        // Of segments that turned out to be the same.
        self.early = self.early.split_off(&self.matched);
        self.finish(steps);
        Ok(())
    }

    fn segment(
        &mut self,
        digest: Digest,
        own: Option<(B, Digest)>,
        steps: &mut Vec<Step>,
    ) -> Result<(), Error> {
        if own.as_ref().is_some_and(|(_, own)| *own == digest) {
            self.counts.same += 1;
            self.answer(Answer::Same, 1);
            return Ok(());
        }
        self.differs();
        if self.check {
            self.answer(Answer::Differs, 1);
            return Ok(());
        }
        let segment = self.matched;
        let answer = if own.is_some() {
            Answer::Refine
        } else {
            Answer::All
        };
        self.repairs
            .add(segment, digest, own.map(|(bytes, _)| bytes));
        self.answer(answer, 1);
        if let Some(prefixes) = self.early.remove(&segment) {
            let answer = self.repairs.pages(segment, &prefixes)?;
            steps.extend(answer.map(Step::Send));
        }
        Ok(())
    }

    fn differs(&mut self) {
        self.counts.different += 1;
        self.differed = self.matched;
        self.changed_since += u64::from(self.matched >= self.layout.later());
    }

    fn remember(&mut self, count: u64, digest: Option<Digest>) {
        match digest {
            Some(digest) => self.root.segment(&digest),
            None => self.root.zeros(count),
        }
        if let Some(digests) = &mut self.digests {
            digests.resize(digests.len() + count as usize, digest.unwrap_or(ZERO));
        }
    }

    fn answer(&mut self, answer: Answer, count: u64) {
        self.matched += count;
        if self.is_unasked {
            return;
        }
        let mut left = count;
        if let Some((last, n)) = self.answers.last_mut().filter(|(last, _)| *last == answer) {
            let part = left.min(u64::from(u32::MAX - *n));
            (*last, *n) = (answer, *n + part as u32);
            left -= part;
        }
        while left > 0 {
            let part = u32::try_from(left).unwrap_or(u32::MAX);
            self.answers.push((answer, part));
            left -= u64::from(part);
        }
    }

    fn pages(
        &mut self,
        segment: u64,
        prefixes: Vec<[u8; 3]>,
        steps: &mut Vec<Step>,
    ) -> Result<(), Error> {
        if segment >= self.pairing.announced() || self.check || self.is_unasked {
            return Err(Error::protocol("pages that cannot be wanted"));
        }
        if segment < self.matched {
            let answer = self.repairs.pages(segment, &prefixes)?;
            steps.extend(answer.map(Step::Send));
        } else {
            self.early.insert(segment, prefixes);
            if self.early.len() > self.layout.window(WINDOW) {
                return Err(Error::protocol("too many pages"));
            }
        }
        Ok(())
    }

    fn data(
        &mut self,
        segment: u64,
        is_compressed: bool,
        bytes: Vec<u8>,
        steps: &mut Vec<Step>,
    ) -> Result<(), Error> {
        let (layout, digester) = (&self.layout, &self.digester);
        let repaired = self
            .repairs
            .data(layout, digester, segment, is_compressed, bytes)?;
        match repaired {
            Repair::Again(message) => steps.push(Step::Send(message)),
            Repair::Done {
                wanted,
                bytes,
                digest,
            } => {
                steps.push(Step::Write {
                    segment,
                    wanted,
                    bytes,
                    digest,
                });
                self.written.push(segment);
                if self.written.len() >= WRITTEN_BATCH {
                    self.flush(steps);
                }
                self.finish(steps);
            }
        }
        Ok(())
    }

    /// Once everything was compared and written.
    fn finish(&mut self, steps: &mut Vec<Step>) {
        let all = self.matched == self.layout.count() && self.repairs.is_empty();
        if all && self.end.is_some() && !self.is_finished {
            self.is_finished = true;
            self.flush(steps);
            steps.push(Step::Finish);
        }
    }
}
