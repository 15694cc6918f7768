//! The sink's side of a session, without any I/O: its own digests and messages go in; messages,
//! writes and ranges to clear come out.
//!
//! Nothing is written before the segment that it makes has the digest that the source announced.

use crate::Error;
use crate::again::Digests;
use crate::layout::{Digest, Digester, Layout, Root, prefixes};
use crate::message::{Answer, DigestRun, Message};
use crate::source::{Counts, Wanted};
use std::collections::{BTreeMap, VecDeque};

/// Bytes of segments that a source may announce ahead.
const WINDOW: u64 = 64 << 20;
/// How far the sink's own digests run ahead of the source's, in runs and segments.
const READ_AHEAD: usize = 64;
/// Segments in one WRITTEN.
const WRITTEN_BATCH: usize = 16;

/// What the sink holds, in order.
#[derive(Debug)]
pub(crate) enum Own<B> {
    Zeros(u64),
    Segment { bytes: B, digest: Digest },
}

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

/// The state of the sink.
pub(crate) struct Sink<B> {
    layout: Layout,
    digester: Digester,
    is_unasked: bool,
    check: bool,
    announced: u64,
    theirs: VecDeque<Theirs>,
    ours: VecDeque<Own<B>>,
    /// Digests in `theirs`.
    waiting: usize,
    matched: u64,
    answers: Vec<(Answer, u32)>,
    answered: u64,
    pending: BTreeMap<u64, Pending<B>>,
    written: Vec<u64>,
    root: Root,
    /// What it will hold, for further passes.
    digests: Option<Digests>,
    end: Option<[u8; 32]>,
    is_finished: bool,
    counts: Counts,
}

enum Theirs {
    Zeros(u64),
    Digest(Digest),
}

/// A segment that differs and was not written yet.
struct Pending<B> {
    digest: Digest,
    /// What is there now; `None` for zeros.
    own: Option<B>,
    /// `None` until the prefixes of its pages came.
    wanted: Option<Wanted>,
}

impl<B: AsRef<[u8]>> Sink<B> {
    /// `is_zero`: the object was said to be zero, so that everything comes unasked.
    pub(crate) fn new(layout: Layout, digester: Digester, is_zero: bool, check: bool) -> Sink<B> {
        let root = digester.root();
        let ours = if is_zero {
            [Own::Zeros(layout.count())].into()
        } else {
            VecDeque::new()
        };
        Sink {
            layout,
            digester,
            is_unasked: is_zero,
            check,
            announced: 0,
            theirs: VecDeque::new(),
            ours,
            waiting: 0,
            matched: 0,
            answers: Vec::new(),
            answered: 0,
            pending: BTreeMap::new(),
            written: Vec::new(),
            root,
            digests: None,
            end: None,
            is_finished: false,
            counts: Counts::default(),
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Remembers the digests of the segments: 16 bytes each. To be called first.
    pub(crate) fn keep_digests(&mut self) {
        self.digests = Some(Digests::default());
    }

    /// What was remembered, at the end.
    pub(crate) fn into_digests(self) -> Vec<Digest> {
        self.digests.unwrap_or_default().0
    }

    /// How many segments were compared; those that differ may not be written yet.
    pub(crate) fn compared(&self) -> u64 {
        self.matched
    }

    /// Whether more of its own object is of use now.
    pub(crate) fn is_hungry(&self) -> bool {
        self.ours.len() < READ_AHEAD
    }

    /// Takes what comes next in the sink's own object.
    pub(crate) fn own(&mut self, own: Own<B>, steps: &mut Vec<Step>) -> Result<(), Error> {
        self.ours.push_back(own);
        self.compare(steps)
    }

    /// Takes a message of the source.
    pub(crate) fn message(&mut self, message: Message, steps: &mut Vec<Step>) -> Result<(), Error> {
        match message {
            Message::Digests { first, runs } => {
                self.digests(first, runs)?;
                self.compare(steps)
            }
            Message::Pages { segment, prefixes } => self.pages(segment, &prefixes, steps),
            Message::Data {
                segment,
                is_compressed,
                bytes,
            } => self.data(segment, is_compressed, bytes, steps),
            Message::End { root } => {
                if self.announced != self.layout.count() || self.end.replace(root).is_some() {
                    return Err(Error::protocol("END out of turn"));
                }
                self.finish(steps);
                Ok(())
            }
            _ => Err(Error::protocol("a message that a source does not send")),
        }
    }

    /// Sends what was gathered. To be called before waiting for anything.
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
        let most = self.layout.window(WINDOW) as u64 / 4;
        !self.written.is_empty()
            || self.matched - self.answered >= most
            || self.answers.iter().any(is_request)
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

    fn digests(&mut self, first: u64, runs: Vec<DigestRun>) -> Result<(), Error> {
        if first != self.announced || self.end.is_some() {
            return Err(Error::protocol("digests out of order"));
        }
        for run in runs {
            let count = match &run {
                DigestRun::Zeros(count) => u64::from(*count),
                DigestRun::Digests(digests) => digests.len() as u64,
            };
            self.announced += count;
            if count == 0 || self.announced > self.layout.count() {
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
        if self.waiting + self.pending.len() > self.layout.window(WINDOW) {
            return Err(Error::protocol("the source is too far ahead"));
        }
        Ok(())
    }

    /// Compares as far as both sides are known.
    fn compare(&mut self, steps: &mut Vec<Step>) -> Result<(), Error> {
        while let (Some(theirs), Some(ours)) = (self.theirs.front_mut(), self.ours.front_mut()) {
            let index = self.matched;
            match (theirs, ours) {
                (Theirs::Zeros(n), Own::Zeros(m)) => {
                    let count = (*n).min(*m);
                    *n -= count;
                    *m -= count;
                    self.remember(count, None);
                    self.counts.same += count;
                    self.answer(Answer::Same, count);
                }
                (Theirs::Zeros(n), Own::Segment { .. }) => {
                    *n -= 1;
                    self.ours.pop_front();
                    self.remember(1, None);
                    self.counts.different += 1;
                    if self.check {
                        self.answer(Answer::Differs, 1);
                    } else {
                        steps.push(Step::Clear(index));
                        self.answer(Answer::Same, 1);
                    }
                }
                (Theirs::Digest(digest), ours) => {
                    let digest = *digest;
                    let own = match ours {
                        Own::Zeros(m) => {
                            *m -= 1;
                            None
                        }
                        Own::Segment { .. } => match self.ours.pop_front() {
                            Some(Own::Segment { bytes, digest }) => Some((bytes, digest)),
                            _ => None,
                        },
                    };
                    self.theirs.pop_front();
                    self.waiting -= 1;
                    self.remember(1, Some(digest));
                    self.differs_or_same(index, digest, own);
                }
            }
            if matches!(self.theirs.front(), Some(Theirs::Zeros(0))) {
                self.theirs.pop_front();
            }
            if matches!(self.ours.front(), Some(Own::Zeros(0))) {
                self.ours.pop_front();
            }
        }
        self.finish(steps);
        Ok(())
    }

    fn differs_or_same(&mut self, index: u64, digest: Digest, own: Option<(B, Digest)>) {
        if own.as_ref().is_some_and(|(_, own)| *own == digest) {
            self.counts.same += 1;
            return self.answer(Answer::Same, 1);
        }
        self.counts.different += 1;
        if self.check {
            return self.answer(Answer::Differs, 1);
        }
        let own = own.map(|(bytes, _)| bytes);
        let (wanted, answer) = match own {
            None => (Some(Wanted::All), Answer::All),
            Some(_) => (None, Answer::Refine),
        };
        self.pending.insert(
            index,
            Pending {
                digest,
                own,
                wanted,
            },
        );
        self.answer(answer, 1);
    }

    fn remember(&mut self, count: u64, digest: Option<Digest>) {
        match digest {
            Some(digest) => self.root.segment(&digest),
            None => self.root.zeros(count),
        }
        if let Some(digests) = &mut self.digests {
            match digest {
                Some(digest) => digests.segment(digest),
                None => digests.zeros(count),
            }
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
        theirs: &[[u8; 3]],
        steps: &mut Vec<Step>,
    ) -> Result<(), Error> {
        let unasked = || Error::protocol("pages that were not asked for");
        let pending = self
            .pending
            .get_mut(&segment)
            .filter(|p| p.wanted.is_none());
        let pending = pending.ok_or_else(unasked)?;
        let own = pending.own.as_ref().map(|own| prefixes(own.as_ref()));
        let own = own
            .filter(|own| own.len() == theirs.len())
            .ok_or_else(unasked)?;
        let mut bitmap = vec![0; own.len().div_ceil(8)];
        for (page, _) in own
            .iter()
            .zip(theirs)
            .enumerate()
            .filter(|(_, (a, b))| a != b)
        {
            bitmap[page / 8] |= 1 << (page % 8);
        }
        if bitmap.iter().all(|byte| *byte == 0) {
            pending.wanted = Some(Wanted::All);
            steps.push(Step::Send(Message::Whole { segment }));
        } else {
            pending.wanted = Some(Wanted::Some(bitmap.clone()));
            steps.push(Step::Send(Message::Need { segment, bitmap }));
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
        let unasked = || Error::protocol("data that was not asked for");
        let pending = self.pending.get_mut(&segment).ok_or_else(unasked)?;
        let wanted = pending.wanted.clone().ok_or_else(unasked)?;
        let ranges = wanted.ranges(&self.layout, segment);
        let bytes = unpack(is_compressed, bytes, ranges.total() as usize)?;
        // The segment as it would be: what is there, and in between what came.
        let own = pending.own.as_ref().map_or(&[][..], |own| own.as_ref());
        let mut hashing = self.digester.begin();
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
        if hashing.finish() == pending.digest {
            let digest = pending.digest;
            self.pending.remove(&segment);
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
        } else if wanted == Wanted::All {
            let why = format!("segment {segment} does not have the digest that was announced");
            return Err(Error::Verify(why));
        } else {
            pending.wanted = Some(Wanted::All);
            steps.push(Step::Send(Message::Whole { segment }));
        }
        Ok(())
    }

    /// Once everything was compared and written.
    fn finish(&mut self, steps: &mut Vec<Step>) {
        let all = self.matched == self.layout.count() && self.pending.is_empty();
        if all && self.end.is_some() && !self.is_finished {
            self.is_finished = true;
            self.flush(steps);
            steps.push(Step::Finish);
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Hash, PAGE};
    use crate::source::{Item, Source, Step as SourceStep};
    use proptest::prelude::*;

    const SEGMENT: u64 = 4 * PAGE;

    fn digester() -> Digester {
        Digester::new(Hash::Blake3, &[1; 16], &[2; 16])
    }

    /// Two objects, a channel in between that is emptied in an order that `turns` decides, and what
    /// it costs.
    struct Pair {
        layout: Layout,
        source: Source<Vec<u8>>,
        sink: Sink<Vec<u8>>,
        from: Vec<u8>,
        to: Vec<u8>,
        data: u64,
        done: Option<Counts>,
    }

    impl Pair {
        fn new(from: &[u8], to: &[u8], is_zero: bool, check: bool) -> Pair {
            let layout = Layout::whole(from.len() as u64, SEGMENT);
            Pair {
                layout: layout.clone(),
                source: Source::new(layout.clone(), &digester(), is_zero, check),
                sink: Sink::new(layout.clone(), digester(), is_zero, check),
                from: from.to_vec(),
                to: to.to_vec(),
                data: 0,
                done: None,
            }
        }

        fn run(&mut self, mut turns: impl FnMut() -> u8, damage: bool) -> Result<(), Error> {
            let (mut up, mut down) = (VecDeque::new(), VecDeque::new());
            let (mut read, mut own) = (0, 0);
            let mut ended = false;
            for _ in 0..100_000 {
                let (mut source_steps, mut sink_steps) = (Vec::new(), Vec::new());
                match turns() % 4 {
                    0 if read < self.layout.count() => {
                        let range = self.layout.range(read);
                        let bytes = self.from[range.start as usize..range.end as usize].to_vec();
                        read += 1;
                        let item = if blkcore::is_zero(&bytes) {
                            Item::Zeros(1)
                        } else {
                            let digest = digester().of(&bytes);
                            Item::Segment { bytes, digest }
                        };
                        self.source.item(item, &mut source_steps);
                    }
                    0 if !ended => {
                        ended = true;
                        self.source.end(&mut source_steps);
                    }
                    0 => {}
                    1 if !self.sink.is_unasked && own < self.layout.count() => {
                        let range = self.layout.range(own);
                        let bytes = &self.to[range.start as usize..range.end as usize];
                        own += 1;
                        let item = if blkcore::is_zero(bytes) {
                            Own::Zeros(1)
                        } else {
                            let digest = digester().of(bytes);
                            Own::Segment {
                                bytes: bytes.to_vec(),
                                digest,
                            }
                        };
                        self.sink.own(item, &mut sink_steps)?;
                    }
                    1 => {}
                    2 => match up.pop_front() {
                        Some(message) => self.sink.message(message, &mut sink_steps)?,
                        None => self.sink.flush(&mut sink_steps),
                    },
                    _ => match down.pop_front() {
                        Some(message) => {
                            self.done = self.source.message(message, &mut source_steps)?
                        }
                        None => self.source.flush(&mut source_steps),
                    },
                }
                for step in source_steps {
                    up.push_back(self.source_step(step, damage));
                }
                for step in sink_steps {
                    down.extend(self.sink_step(step)?);
                }
                if self.done.is_some() {
                    return Ok(());
                }
            }
            panic!("the session does not end");
        }

        fn source_step(&mut self, step: SourceStep<Vec<u8>>, damage: bool) -> Message {
            match step {
                SourceStep::Send(message) => message,
                SourceStep::SendPages {
                    segment,
                    wanted,
                    mut bytes,
                } => {
                    if damage {
                        bytes[0] ^= 1;
                    }
                    let ranges = wanted.ranges(&self.layout, segment);
                    let parts = ranges
                        .iter()
                        .map(|r| &bytes[r.start as usize..r.end as usize]);
                    let bytes = parts.collect::<Vec<_>>().concat();
                    self.data += bytes.len() as u64;
                    Message::Data {
                        segment,
                        is_compressed: false,
                        bytes,
                    }
                }
            }
        }

        fn sink_step(&mut self, step: Step) -> Result<Option<Message>, Error> {
            match step {
                Step::Send(message) => return Ok(Some(message)),
                Step::Clear(segment) => {
                    let range = self.layout.range(segment);
                    self.to[range.start as usize..range.end as usize].fill(0);
                }
                Step::Write {
                    segment,
                    wanted,
                    bytes,
                    ..
                } => {
                    let base = self.layout.range(segment).start;
                    let mut rest = &bytes[..];
                    for range in wanted.ranges(&self.layout, segment).iter() {
                        let (this, tail) = rest.split_at(range.len() as usize);
                        self.to[(base + range.start) as usize..(base + range.end) as usize]
                            .copy_from_slice(this);
                        rest = tail;
                    }
                }
                Step::Finish => return self.sink.done().map(Some),
            }
            Ok(None)
        }
    }

    /// Objects of a few segments whose pages are zero, equal, or different.
    fn objects() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
        let page = prop_oneof![
            Just((0, 0)),
            Just((1, 1)),
            Just((1, 2)),
            Just((0, 3)),
            Just((3, 0))
        ];
        (prop::collection::vec(page, 0..24), 0..PAGE).prop_map(|(pages, cut)| {
            let side = |of: fn(&(u8, u8)) -> u8| -> Vec<u8> {
                let mut bytes: Vec<u8> = pages
                    .iter()
                    .flat_map(|p| vec![of(p); PAGE as usize])
                    .collect();
                bytes.truncate(bytes.len().saturating_sub(cut as usize));
                bytes
            };
            (side(|p| p.0), side(|p| p.1))
        })
    }

    proptest! {
        #[test]
        fn the_sink_becomes_equal(
            (from, to) in objects(), turns in prop::collection::vec(any::<u8>(), 1..50),
        ) {
            let mut turns = turns.into_iter().chain([0, 1, 2, 3]).cycle();
            let mut pair = Pair::new(&from, &to, false, false);
            pair.run(|| turns.next().unwrap(), false).unwrap();
            prop_assert!(pair.to == from);
            let changed: usize = from.chunks(4096).zip(to.chunks(4096))
                .filter(|(a, b)| a != b).map(|(a, _)| a.len()).sum();
            // Segments that are zero at the sink are sent whole, zero pages too.
            prop_assert!(pair.data <= changed as u64 * 4 + SEGMENT, "{} {changed}", pair.data);

            let mut pair = Pair::new(&from, &from, false, false);
            pair.run(|| turns.next().unwrap(), false).unwrap();
            prop_assert_eq!((pair.data, pair.done.unwrap().different), (0, 0));

            let mut pair = Pair::new(&from, &vec![0; from.len()], true, false);
            pair.run(|| turns.next().unwrap(), false).unwrap();
            prop_assert!(pair.to == from);
        }

        #[test]
        fn a_check_writes_nothing_and_counts(
            (from, to) in objects(), turns in prop::collection::vec(any::<u8>(), 1..50),
        ) {
            let mut turns = turns.into_iter().chain([0, 1, 2, 3]).cycle();
            let mut pair = Pair::new(&from, &to, false, true);
            pair.run(|| turns.next().unwrap(), false).unwrap();
            prop_assert!(pair.to == to && pair.data == 0);
            let different = from.chunks(SEGMENT as usize).zip(to.chunks(SEGMENT as usize))
                .filter(|(a, b)| a != b).count() as u64;
            prop_assert_eq!(pair.done.unwrap().different, different);
        }

        #[test]
        fn damaged_data_is_never_written(
            (from, to) in objects(), turns in prop::collection::vec(any::<u8>(), 1..50),
        ) {
            let mut turns = turns.into_iter().chain([0, 1, 2, 3]).cycle();
            let mut pair = Pair::new(&from, &to, false, false);
            match pair.run(|| turns.next().unwrap(), true) {
                Ok(()) => prop_assert!(pair.to == from),
                Err(error) => prop_assert_eq!(error.status(), 8),
            }
        }

        /// Whatever a peer sends, a machine answers with steps or an error, and its writes stay
        /// within the object.
        #[test]
        fn hostile_messages_are_refused(messages in prop::collection::vec(hostile(), 1..40)) {
            let from = vec![7; 6 * SEGMENT as usize];
            let mut pair = Pair::new(&from, &vec![1; from.len()], false, false);
            for index in 0..6 {
                pair.sink.own(Own::Segment { bytes: vec![1; SEGMENT as usize], digest: [index; 16] }, &mut Vec::new()).unwrap();
                let item = Item::Segment { bytes: vec![7; SEGMENT as usize], digest: [index; 16] };
                pair.source.item(item, &mut Vec::new());
            }
            pair.source.flush(&mut Vec::new());
            let (mut sink_lives, mut source_lives) = (true, true);
            for message in messages {
                let mut steps = Vec::new();
                sink_lives = sink_lives && pair.sink.message(message.clone(), &mut steps).is_ok();
                for step in steps {
                    prop_assert!(!matches!(step, Step::Write { .. }), "{step:?}");
                    if let Step::Clear(segment) = step {
                        let range = pair.layout.range(segment);
                        prop_assert!(range.end <= pair.layout.size());
                    }
                }
                let mut steps = Vec::new();
                source_lives = source_lives && pair.source.message(message, &mut steps).is_ok();
                prop_assert!(steps.len() <= 12);
            }
        }
    }

    fn hostile() -> impl Strategy<Value = Message> {
        let number = || prop_oneof![0..7u64, any::<u64>()];
        let count = || prop_oneof![0..7u32, any::<u32>()];
        let bytes = || prop::collection::vec(any::<u8>(), 0..20);
        let answer = prop_oneof![
            Just(Answer::Same),
            Just(Answer::Refine),
            Just(Answer::All),
            Just(Answer::Differs)
        ];
        let run = prop_oneof![
            count().prop_map(DigestRun::Zeros),
            prop::collection::vec(any::<[u8; 16]>(), 0..4).prop_map(DigestRun::Digests),
        ];
        prop_oneof![
            (number(), prop::collection::vec(run, 0..4))
                .prop_map(|(first, runs)| Message::Digests { first, runs }),
            (number(), prop::collection::vec((answer, count()), 0..4))
                .prop_map(|(first, runs)| Message::Answers { first, runs }),
            (number(), prop::collection::vec(any::<[u8; 3]>(), 0..6))
                .prop_map(|(segment, prefixes)| Message::Pages { segment, prefixes }),
            (number(), bytes()).prop_map(|(segment, bitmap)| Message::Need { segment, bitmap }),
            (number(), any::<bool>(), bytes()).prop_map(|(segment, is_compressed, bytes)| {
                Message::Data {
                    segment,
                    is_compressed,
                    bytes,
                }
            }),
            number().prop_map(|segment| Message::Whole { segment }),
            prop::collection::vec(number(), 0..4)
                .prop_map(|segments| Message::Written { segments }),
            any::<[u8; 32]>().prop_map(|root| Message::End { root }),
            (any::<[u8; 32]>(), number(), number()).prop_map(|(root, same, different)| {
                Message::Done {
                    root,
                    same,
                    different,
                }
            }),
            Just(Message::Ping),
        ]
    }
}
