//! The source's side of a session, without any I/O: segments and messages go in, messages come out.
//!
//! Memory is bounded by whoever feeds it: each segment that the sink may want pages of holds its
//! bytes, and there are only so many buffers. What was sent is let go; should it be needed once more
//! (a prefix can hide a change), it is read again.

use crate::Error;
use crate::layout::{Digest, Digester, Layout, Root, prefixes};
use crate::message::{Answer, DigestRun, Message};
use std::collections::BTreeMap;

/// Bytes of segments that it holds while the sink decides.
pub(crate) const SOURCE_WINDOW: u64 = 64 << 20;
/// Runs in one message.
const BATCH: usize = 64;
/// Digests in one message while segments differ: their pages are on the way sooner.
const SMALL_BATCH: u64 = 4;
/// Of the last 64 segments that were answered, so many must have differed for the next ones to be
/// expected to differ.
const EXPECTED: u32 = 48;
/// So many segments that are the same in a row, and the next ones are expected to be so too.
pub(crate) const CALM: u64 = 64;

/// What was read, in order.
#[derive(Debug)]
pub(crate) enum Item<B> {
    /// So many segments of zeros.
    Zeros(u64),
    /// A segment that is not zero.
    Segment { bytes: B, digest: Digest },
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step<B> {
    Send(Message),
    /// Send DATA with these pages of the segment.
    SendPages {
        segment: u64,
        wanted: Wanted,
        bytes: B,
    },
    /// Read this segment again, and send all of it if it still has the digest.
    SendAgain {
        segment: u64,
        digest: Digest,
    },
}

/// Pages of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    All,
    /// One bit a page, lowest bit of the first byte first.
    Some(Vec<u8>),
}

impl Wanted {
    /// What a peer asks for; `None` unless it names at least one of `pages` pages, and no others.
    pub(crate) fn checked(bitmap: Vec<u8>, pages: usize) -> Option<Wanted> {
        let behind = bitmap.last().map_or(0, |last| match pages % 8 {
            0 => 0,
            in_last => last >> in_last,
        });
        let is_right = bitmap.len() == pages.div_ceil(8) && behind == 0;
        (is_right && bitmap.iter().any(|byte| *byte != 0)).then_some(Wanted::Some(bitmap))
    }

    /// Whether the page is one of them.
    pub(crate) fn has(&self, page: usize) -> bool {
        match self {
            Wanted::All => true,
            Wanted::Some(bitmap) => bitmap[page / 8] & (1 << (page % 8)) != 0,
        }
    }

    /// One bit a page, of `pages`.
    pub(crate) fn into_bitmap(self, pages: usize) -> Vec<u8> {
        match self {
            Wanted::Some(bitmap) => bitmap,
            Wanted::All => {
                let mut bitmap = vec![0xff; pages.div_ceil(8)];
                if let (Some(last), in_last @ 1..) = (bitmap.last_mut(), pages % 8) {
                    *last = (1 << in_last) - 1;
                }
                bitmap
            }
        }
    }

    /// The pages of `layout`'s segment, as ranges from its start; neighbours are joined.
    pub(crate) fn ranges(&self, layout: &Layout, segment: u64) -> blkcore::ExtentList {
        let pages = (0..layout.pages(segment)).filter(|page| self.has(*page));
        let ranges = pages.map(|page| layout.page(segment, page));
        ranges
            .map(|r| blkcore::Extent::new(r.start as u64, r.end as u64))
            .collect()
    }
}

/// The state of the source.
pub(crate) struct Source<B> {
    layout: Layout,
    /// The sink is known to be zero: it gets everything unasked and answers nothing.
    is_unasked: bool,
    check: bool,
    /// Most digests in one message: a part of the window, so that it does not run empty meanwhile.
    most: u64,
    /// Segments found to be the same since the last one that differed.
    calm: u64,
    /// One bit for each of the last 64 answers: whether it differed.
    recent: u64,
    /// The next segment to announce, and the first that is not in a message yet.
    announced: u64,
    batched: u64,
    batch: Vec<DigestRun>,
    /// Digests in it.
    digests: u64,
    answered: u64,
    window: BTreeMap<u64, Entry<B>>,
    root: Option<Root>,
    sent_root: [u8; 32],
    counts: Counts,
    changed_since: u64,
}

/// A segment that was announced and is not finished.
struct Entry<B> {
    /// Until they are sent.
    bytes: Option<B>,
    digest: Digest,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Announced,
    /// PAGES were sent, asked for or not.
    Refining,
    Sent,
    SentWhole,
}

/// Segments by how they were found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) same: u64,
    pub(crate) different: u64,
}

impl<B: Clone + AsRef<[u8]>> Source<B> {
    pub(crate) fn new(
        layout: Layout,
        digester: &Digester,
        sink_is_zero: bool,
        check: bool,
    ) -> Self {
        let root = Some(digester.root());
        let most = (layout.window(SOURCE_WINDOW) as u64 / 2).max(1);
        Source {
            layout,
            is_unasked: sink_is_zero,
            check,
            most,
            calm: 0,
            recent: 0,
            announced: 0,
            batched: 0,
            batch: Vec::new(),
            digests: 0,
            answered: 0,
            window: BTreeMap::new(),
            root,
            sent_root: [0; 32],
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

    /// How many segments the sink has compared, or written unasked.
    pub(crate) fn compared(&self) -> u64 {
        if self.is_unasked {
            self.announced - self.window.len() as u64
        } else {
            self.answered
        }
    }

    /// Whether nothing has differed for a while.
    pub(crate) fn is_calm(&self) -> bool {
        self.calm >= CALM
    }

    /// Takes what comes next in the object.
    pub(crate) fn item(&mut self, item: Item<B>, steps: &mut Vec<Step<B>>) {
        let Some(root) = &mut self.root else { return };
        match item {
            Item::Zeros(mut count) => {
                root.zeros(count);
                self.announced += count;
                while count > 0 {
                    let part = u32::try_from(count).unwrap_or(u32::MAX);
                    self.batch.push(DigestRun::Zeros(part));
                    count -= u64::from(part);
                }
            }
            Item::Segment { bytes, digest } => {
                root.segment(&digest);
                match self.batch.last_mut() {
                    Some(DigestRun::Digests(digests)) => digests.push(digest),
                    _ => self.batch.push(DigestRun::Digests(vec![digest])),
                }
                self.digests += 1;
                let segment = self.announced;
                self.announced += 1;
                let (state, kept) = match self.is_unasked {
                    true => (State::SentWhole, None),
                    false => (State::Announced, Some(bytes.clone())),
                };
                let entry = Entry {
                    bytes: kept,
                    digest,
                    state,
                };
                self.window.insert(segment, entry);
                if self.is_unasked {
                    self.flush(steps);
                    self.counts.different += 1;
                    steps.push(Step::SendPages {
                        segment,
                        wanted: Wanted::All,
                        bytes,
                    });
                }
            }
        }
        let most = (self.calm / 2).max(SMALL_BATCH).min(self.most);
        if self.batch.len() >= BATCH || self.digests >= most {
            self.flush(steps);
        }
    }

    /// Announces what was taken. To be called before waiting for anything.
    pub(crate) fn flush(&mut self, steps: &mut Vec<Step<B>>) {
        if self.batch.is_empty() {
            return;
        }
        let runs = std::mem::take(&mut self.batch);
        steps.push(Step::Send(Message::Digests {
            first: self.batched,
            runs,
        }));
        self.digests = 0;
        let batch = self.batched..self.announced;
        self.batched = self.announced;
        // Where most segments differ, the sink need not ask for what it will ask for: that saves
        // the time that question and answer take on a long line.
        if self.recent.count_ones() >= EXPECTED && !self.check && !self.is_unasked {
            for (segment, entry) in self.window.range_mut(batch) {
                if let Some(bytes) = &entry.bytes {
                    steps.push(pages(*segment, bytes));
                    entry.state = State::Refining;
                }
            }
        }
    }

    /// Says that all items were taken.
    pub(crate) fn end(&mut self, steps: &mut Vec<Step<B>>) {
        self.flush(steps);
        if let Some(root) = self.root.take() {
            self.sent_root = root.finish();
            steps.push(Step::Send(Message::End {
                root: self.sent_root,
            }));
        }
    }

    /// Takes a message of the sink. Returns the counts when it was the last one.
    pub(crate) fn message(
        &mut self,
        message: Message,
        steps: &mut Vec<Step<B>>,
    ) -> Result<Option<Counts>, Error> {
        match message {
            Message::Answers { first, runs } => self.answers(first, &runs, steps)?,
            Message::Need { segment, bitmap } => {
                let pages = self.layout.pages(segment_below(segment, self.announced)?);
                let wanted = Wanted::checked(bitmap, pages);
                let wanted = wanted.ok_or_else(|| Error::protocol("a wrong NEED"))?;
                self.send(segment, &[State::Refining], wanted, State::Sent, steps)?;
            }
            Message::Whole { segment } => {
                let states = [State::Refining, State::Sent];
                let entry = self.entry(segment, &states)?;
                if entry.bytes.is_some() {
                    self.send(segment, &states, Wanted::All, State::SentWhole, steps)?;
                } else {
                    entry.state = State::SentWhole;
                    let digest = entry.digest;
                    steps.push(Step::SendAgain { segment, digest });
                }
            }
            Message::Written { segments } => {
                for segment in segments {
                    let state = self.window.get(&segment).map(|entry| entry.state);
                    let is_answered = self.is_unasked || segment < self.answered;
                    if !matches!(state, Some(State::Sent | State::SentWhole)) || !is_answered {
                        return Err(Error::protocol("WRITTEN of what was not sent"));
                    }
                    self.window.remove(&segment);
                }
            }
            Message::Done {
                root,
                same,
                different,
            } => return self.done(root, same, different).map(Some),
            _ => return Err(Error::protocol("a message that a sink does not send")),
        }
        Ok(None)
    }

    fn answers(
        &mut self,
        first: u64,
        runs: &[(Answer, u32)],
        steps: &mut Vec<Step<B>>,
    ) -> Result<(), Error> {
        if first != self.answered || self.is_unasked {
            return Err(Error::protocol("an answer out of order"));
        }
        for (answer, count) in runs {
            let end = self.answered + u64::from(*count);
            if *count == 0 || end > self.batched {
                return Err(Error::protocol("an answer to nothing"));
            }
            let range = self.answered..end;
            self.answered = end;
            self.count(*answer, u64::from(*count), end);
            match (answer, self.check) {
                (Answer::Same, _) | (Answer::Differs, true) => {
                    let finished: Vec<u64> = self.window.range(range).map(|(s, _)| *s).collect();
                    for segment in finished {
                        self.entry(segment, &[State::Announced, State::Refining])?;
                        self.window.remove(&segment);
                    }
                }
                (Answer::Refine, false) => {
                    for segment in range {
                        // A NEED may have come before, if PAGES were sent unasked.
                        let states = [State::Announced, State::Refining, State::Sent];
                        let states = [&states[..], &[State::SentWhole]].concat();
                        let entry = self.entry(segment, &states)?;
                        if let (State::Announced, Some(bytes)) = (entry.state, &entry.bytes) {
                            steps.push(pages(segment, bytes));
                            entry.state = State::Refining;
                        }
                    }
                }
                (Answer::All, false) => {
                    for segment in range {
                        let from = [State::Announced, State::Refining];
                        self.send(segment, &from, Wanted::All, State::SentWhole, steps)?;
                    }
                }
                _ => return Err(Error::protocol("an answer that does not fit the session")),
            }
        }
        Ok(())
    }

    /// Counts answers up to the segment `end`.
    fn count(&mut self, answer: Answer, count: u64, end: u64) {
        let is_same = answer == Answer::Same;
        if is_same {
            self.counts.same += count;
            self.calm += count;
        } else {
            self.counts.different += count;
            self.changed_since += end.saturating_sub(self.layout.later()).min(count);
            self.calm = 0;
        }
        let bits = if is_same { 0 } else { u64::MAX };
        self.recent = match count {
            0..64 => self.recent << count | (bits & ((1 << count) - 1)),
            _ => bits,
        };
    }

    fn send(
        &mut self,
        segment: u64,
        from: &[State],
        wanted: Wanted,
        state: State,
        steps: &mut Vec<Step<B>>,
    ) -> Result<(), Error> {
        let entry = self.entry(segment, from)?;
        entry.state = state;
        if let Some(bytes) = entry.bytes.take() {
            steps.push(Step::SendPages {
                segment,
                wanted,
                bytes,
            });
        }
        Ok(())
    }

    fn entry(&mut self, segment: u64, states: &[State]) -> Result<&mut Entry<B>, Error> {
        let entry = self
            .window
            .get_mut(&segment)
            .filter(|entry| states.contains(&entry.state));
        entry.ok_or_else(|| Error::protocol("a segment was asked for out of turn"))
    }

    /// The last message.
    fn done(&mut self, root: [u8; 32], same: u64, different: u64) -> Result<Counts, Error> {
        let all_answered = self.is_unasked || self.answered == self.layout.count();
        if self.root.is_some() || !self.window.is_empty() || !all_answered {
            return Err(Error::protocol("the sink ended too early"));
        }
        if root != self.sent_root {
            return Err(Error::Verify(
                "the two sides do not hold the same".to_owned(),
            ));
        }
        if same.checked_add(different) != Some(self.layout.count()) {
            return Err(Error::protocol("the sink counts wrongly"));
        }
        self.counts = Counts { same, different };
        Ok(self.counts)
    }
}

/// PAGES of a segment.
fn pages<B: AsRef<[u8]>>(segment: u64, bytes: &B) -> Step<B> {
    let prefixes = prefixes(bytes.as_ref());
    Step::Send(Message::Pages { segment, prefixes })
}

fn segment_below(segment: u64, announced: u64) -> Result<u64, Error> {
    if segment < announced {
        Ok(segment)
    } else {
        Err(Error::protocol("an unknown segment"))
    }
}
