//! Tests of the two machines together: a source and a sink over a channel that is emptied in any order.

use crate::Error;
use crate::layout::{Digester, Hash, Layout, PAGE, prefixes};
use crate::message::{Answer, DigestRun, Message};
use crate::pairing::Own;
use crate::sink::{Sink, Step};
use crate::source::{Counts, Item, Source, Step as SourceStep};
use proptest::prelude::*;
use std::collections::VecDeque;

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
    /// PAGES that went out before the segment was answered.
    unasked: u64,
    /// Nothing is to be read at the sink.
    is_unasked: bool,
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
            unasked: 0,
            is_unasked: is_zero,
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
                1 if !self.is_unasked && own < self.layout.count() => {
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
                    Some(message) => self.done = self.source.message(message, &mut source_steps)?,
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
            SourceStep::Send(message) => {
                if let Message::Pages { segment, .. } = &message {
                    self.unasked += u64::from(*segment >= self.source.compared());
                }
                message
            }
            SourceStep::SendAgain { segment, digest } => {
                let range = self.layout.range(segment);
                let mut bytes = self.from[range.start as usize..range.end as usize].to_vec();
                assert_eq!(digester().of(&bytes), digest);
                bytes[0] ^= u8::from(damage);
                self.data += bytes.len() as u64;
                Message::Data {
                    segment,
                    is_compressed: false,
                    bytes,
                }
            }
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

/// Turns that let each side do some work at a time, so that answers come late.
fn far_apart() -> impl FnMut() -> u8 {
    let turns = [(0, 40), (2, 60), (1, 40), (2, 60), (3, 100)];
    let all = turns.map(|(turn, times)| vec![turn; times]).concat();
    let mut turns = all.into_iter().cycle();
    move || turns.next().unwrap()
}

/// Objects of `count` segments, in which these differ in one page.
fn large(count: u64, differs: impl Fn(u64) -> bool) -> (Vec<u8>, Vec<u8>) {
    let mut from = vec![0x5a; (count * SEGMENT) as usize];
    for (n, page) in from.chunks_mut(PAGE as usize).enumerate() {
        page[..8].copy_from_slice(&(n as u64 + 1).to_le_bytes());
    }
    let mut to = from.clone();
    for segment in (0..count).filter(|segment| differs(*segment)) {
        to[(segment * SEGMENT + PAGE) as usize] ^= 1;
    }
    (from, to)
}

#[test]
fn prefixes_come_unasked_where_most_segments_differ() {
    // All of them, and then none: what was sent in vain does no harm.
    for (first, last) in [(0, 300), (0, 100), (100, 200), (299, 300)] {
        let (from, to) = large(300, |n| (first..last).contains(&n));
        let mut pair = Pair::new(&from, &to, false, false);
        pair.run(far_apart(), false).unwrap();
        assert!(pair.to == from);
        let counts = pair.done.unwrap();
        assert_eq!(counts.different, last - first);
        assert_eq!(pair.data, counts.different * PAGE, "only what changed");
        let is_expected = counts.different >= 100;
        assert!((pair.unasked > 0) == is_expected, "{}", pair.unasked);
    }
}

#[test]
fn a_change_that_the_prefix_hides_is_found() {
    let (from, mut to) = large(9, |n| n == 4);
    // The bits of the polynomial, in the order in which CRC-32 takes them, leave it as it is: a
    // change that the prefix hides, beside one that it shows, and alone.
    let hidden = |page: &mut [u8]| {
        let before = prefixes(page);
        for bit in (0..33).filter(|bit| 0x1_04c1_1db7_u64 >> (32 - bit) & 1 == 1) {
            page[100 + bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(prefixes(page), before);
    };
    for segment in [4, 6] {
        let at = (segment * SEGMENT + 2 * PAGE) as usize;
        hidden(&mut to[at..at + PAGE as usize]);
    }
    let mut pair = Pair::new(&from, &to, false, false);
    pair.run(far_apart(), false).unwrap();
    assert!(pair.to == from);
    assert_eq!(pair.data, PAGE + 2 * SEGMENT, "both as a whole");
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
        prop::collection::vec(number(), 0..4).prop_map(|segments| Message::Written { segments }),
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
