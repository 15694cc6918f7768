//! Runs a session: feeds the machine of a side with what is read and what the peer says, and does the
//! steps that come out.

use crate::Error;
use crate::again::Sent;
use crate::layout::{Digest, Digester, Layout};
use crate::link::{Event, Link, Out};
use crate::message::Message;
use crate::object::{Reader, Writer};
use crate::pairing::Own;
use crate::report::Live;
use crate::segments::{self, Bytes, Found, Ordered};
use crate::sink::{self, Sink};
use crate::source::{self, Counts, Item, SOURCE_WINDOW, Source};
use crate::state::State;
use blkcore::ExtentList;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes of its own that the sink holds: read ahead, or to be put together with what comes.
const SINK_BUFFERS: u64 = 48 << 20;
/// When it is to tell what is on its disk, the sink has at most so many bytes that are not.
const UNSYNCED: u64 = 16 << 20;
/// And it looks after so much time.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// Runs of segments in one PLAN, and in all.
const PLAN_RUNS: usize = 4000;
const MOST_RUNS: usize = 1 << 20;

/// What both sides have agreed upon.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) layout: Layout,
    pub(crate) digester: Digester,
    pub(crate) sink_is_zero: bool,
    pub(crate) check: bool,
    pub(crate) verify: bool,
}

/// Place and count of neighbouring segments.
type Runs = Vec<(u64, u64)>;

/// Who is told what is finished and on the disk of the sink.
pub(crate) enum Synced<'a> {
    Nobody,
    /// The client, by SYNCED.
    Peer,
    /// The state of the client.
    State(&'a mut State),
}

impl Synced<'_> {
    fn is_wanted(&self) -> bool {
        !matches!(self, Synced::Nobody)
    }

    fn tell(&mut self, link: &Link, layout: &Layout, below: u64) -> Result<(), Error> {
        match self {
            Synced::Nobody => Ok(()),
            Synced::Peer => {
                link.send(Message::Synced { below });
                Ok(())
            }
            Synced::State(state) => state.add(&layout.extents_below(below)),
        }
    }
}

/// Says which segments are compared. To be called by the source before anything is compared.
pub(crate) fn send_plan(link: &Link, layout: &Layout) {
    send_runs(link, &layout.runs().collect::<Vec<_>>(), |is_last, runs| {
        Message::Plan { is_last, runs }
    });
}

/// Says what is to be compared last. To be called by a client that is the sink, behind OPEN.
pub(crate) fn send_later(link: &Link, segment: u64, done: &ExtentList) {
    let whole = done.iter().filter_map(|extent| {
        let start = extent.start.div_ceil(segment);
        let count = extent.end.div_ceil(segment).checked_sub(start)?;
        Some((start, count)).filter(|_| count > 0)
    });
    send_runs(link, &whole.collect::<Vec<_>>(), |is_last, runs| {
        Message::Later { is_last, runs }
    });
}

fn send_runs(link: &Link, runs: &[(u64, u64)], message: fn(bool, Runs) -> Message) {
    let mut parts = runs.chunks(PLAN_RUNS).peekable();
    if parts.peek().is_none() {
        return link.send(message(true, Vec::new()));
    }
    while let Some(part) = parts.next() {
        link.send(message(parts.peek().is_none(), part.to_vec()));
    }
}

/// Takes the plan for an object of `size` bytes.
pub(crate) fn take_plan(link: &mut Link, size: u64, segment: u64) -> Result<Layout, Error> {
    let runs = take_runs(link, |message| match message {
        Message::Plan { is_last, runs } => Some((is_last, runs)),
        _ => None,
    })?;
    let layout = Layout::of_runs(size, segment, &runs);
    layout.ok_or_else(|| Error::protocol("a wrong plan"))
}

/// Takes what the client wants to be compared last.
pub(crate) fn take_later(link: &mut Link, size: u64, segment: u64) -> Result<ExtentList, Error> {
    let runs = take_runs(link, |message| match message {
        Message::Later { is_last, runs } => Some((is_last, runs)),
        _ => None,
    })?;
    let extents = runs.into_iter().map(|(place, count)| {
        let start = place.saturating_mul(segment).min(size);
        let end = place.saturating_add(count).saturating_mul(segment);
        blkcore::Extent::new(start, end.min(size))
    });
    Ok(extents.collect())
}

/// Messages of runs, up to the last one.
fn take_runs(link: &mut Link, part: fn(Message) -> Option<(bool, Runs)>) -> Result<Runs, Error> {
    let mut all = Vec::new();
    loop {
        let (is_last, runs) = part(link.message()?).ok_or_else(|| Error::protocol("no plan"))?;
        all.extend(runs);
        if all.len() > MOST_RUNS {
            return Err(Error::protocol("a plan of too many runs"));
        }
        if is_last {
            return Ok(all);
        }
    }
}

pub(crate) fn threads() -> usize {
    std::thread::available_parallelism()
        .map_or(2, usize::from)
        .min(4)
}

/// How a session ended.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ended {
    pub(crate) counts: Counts,
    /// Of the segments that were left for last, those that differ.
    pub(crate) changed_since: u64,
}

/// Sends `reader`'s object. `state` is told what is on the disk of the sink.
pub(crate) fn send(
    link: &mut Link,
    reader: &Arc<Reader>,
    terms: &Terms,
    sent: Option<&Sent>,
    live: &Live,
    mut state: Option<&mut State>,
) -> Result<Ended, Error> {
    let Terms {
        layout,
        digester,
        sink_is_zero,
        check,
        ..
    } = terms.clone();
    let mut machine = Source::new(layout.clone(), &digester, sink_is_zero, check);
    let mut taken = 0;
    let buffers = layout.window(SOURCE_WINDOW);
    let mut found = segments::start(reader, &layout, &digester, buffers, threads(), link.feed());
    loop {
        let mut steps = Vec::new();
        let event = match link.poll()? {
            Some(event) => event,
            None => {
                if taken == layout.count() {
                    machine.end(&mut steps);
                }
                act(link, reader, terms, std::mem::take(&mut steps))?;
                match link.wait_briefly(machine.is_calm())? {
                    Some(event) => event,
                    None => {
                        // Nothing to do for a while: what was gathered leaves.
                        machine.flush(&mut steps);
                        act(link, reader, terms, std::mem::take(&mut steps))?;
                        link.wait()?
                    }
                }
            }
        };
        match event {
            Event::Found(number, thing) => {
                found.put(number, thing?);
                while let Some(thing) = found.next() {
                    let item = match thing {
                        Found::Zeros(count) => {
                            taken += count;
                            Item::Zeros(count)
                        }
                        Found::Segment { bytes, digest } => {
                            if let Some(sent) = sent {
                                sent.put(taken, &digester.pages(bytes.as_ref()))?;
                            }
                            taken += 1;
                            Item::Segment { bytes, digest }
                        }
                    };
                    machine.item(item, &mut steps);
                }
            }
            Event::Message(Message::Synced { below }) => match &mut state {
                Some(state) if below <= layout.count() => {
                    state.add(&layout.extents_below(below))?;
                }
                _ => return Err(Error::protocol("a wrong SYNCED")),
            },
            Event::Message(message) => {
                let done = machine.message(message, &mut steps)?;
                live.set(layout.bytes_of(machine.compared()), machine.counts());
                if let Some(counts) = done {
                    let changed_since = machine.changed_since();
                    return Ok(Ended {
                        counts,
                        changed_since,
                    });
                }
            }
            Event::Closed(_) => {}
        }
        act(link, reader, terms, steps)?;
    }
}

fn act(
    link: &Link,
    reader: &Reader,
    terms: &Terms,
    steps: Vec<source::Step<segments::Bytes>>,
) -> Result<(), Error> {
    for step in steps {
        link.put(match step {
            source::Step::Send(message) => Out::Message(message),
            source::Step::SendPages {
                segment,
                wanted,
                bytes,
            } => Out::Pages {
                layout: terms.layout.clone(),
                segment,
                wanted,
                bytes,
            },
            source::Step::SendAgain { segment, digest } => {
                let range = terms.layout.range(segment);
                let mut bytes = blkcore::AlignedBuffer::new(terms.layout.segment() as usize, 4096);
                let bytes = &mut bytes[..range.len() as usize];
                reader.read(bytes, range.start)?;
                if terms.digester.of(bytes) != digest {
                    return Err(reader.has_changed(range.start));
                }
                Out::Message(Message::Data {
                    segment,
                    is_compressed: false,
                    bytes: bytes.to_vec(),
                })
            }
        });
    }
    Ok(())
}

/// The destination of [`receive`]: where its digests come from, and (unless only checking) where it
/// is written.
pub(crate) struct Target {
    pub(crate) reader: Arc<Reader>,
    pub(crate) writer: Option<Writer>,
}

/// What the sink has told of its disk.
struct Told {
    /// All below this segment are finished.
    below: u64,
    at: Instant,
    /// Bytes written since.
    unsynced: u64,
}

/// Makes the target equal to the source at the other side.
pub(crate) fn receive(
    link: &mut Link,
    target: &mut Target,
    terms: &Terms,
    keep_digests: bool,
    live: &Live,
    mut synced: Synced,
) -> Result<(Ended, Vec<Digest>), Error> {
    let Terms {
        layout,
        digester,
        sink_is_zero,
        check,
        ..
    } = terms.clone();
    let mut machine = Sink::new(layout.clone(), digester.clone(), sink_is_zero, check);
    if keep_digests {
        machine.keep_digests();
    }
    let mut found = Ordered::default();
    let mut changed = Vec::new();
    let mut told = Told {
        below: 0,
        at: Instant::now(),
        unsynced: 0,
    };
    if !sink_is_zero {
        let buffers = layout.window(SINK_BUFFERS).max(2);
        found = segments::start(
            &target.reader,
            &layout,
            &digester,
            buffers,
            threads(),
            link.feed(),
        );
    }
    // An object of no bytes has nothing to compare, and yet an end.
    let mut steps = Vec::new();
    loop {
        while machine.is_hungry()
            && let Some(thing) = found.next()
        {
            let own = match thing {
                Found::Zeros(count) => Own::Zeros(count),
                Found::Segment { bytes, digest } => Own::Segment { bytes, digest },
            };
            machine.own(own, &mut steps)?;
        }
        let these = std::mem::take(&mut steps);
        told.unsynced += these.iter().map(sink::Step::len).sum::<u64>();
        if perform(link, target, terms, &mut machine, &mut changed, these)? {
            let ended = Ended {
                counts: machine.counts(),
                changed_since: machine.changed_since(),
            };
            live.set(layout.total(), ended.counts);
            return Ok((ended, machine.into_digests()));
        }
        live.set(layout.bytes_of(machine.compared()), machine.counts());
        let is_due = told.unsynced >= UNSYNCED || told.at.elapsed() >= SYNC_INTERVAL;
        if synced.is_wanted() && is_due {
            // Also what a run wrote that was killed before it could do this.
            if let Some(writer) = &target.writer {
                writer.flush()?;
            }
            let below = machine.finished();
            if below > told.below {
                synced.tell(link, &layout, below)?;
            }
            told = Told {
                below,
                at: Instant::now(),
                unsynced: 0,
            };
        }
        let event = match link.poll()? {
            Some(event) => event,
            None => {
                let gathered = if machine.is_urgent() {
                    None
                } else {
                    link.wait_briefly(machine.is_calm())?
                };
                match gathered {
                    Some(event) => event,
                    None => {
                        machine.flush(&mut steps);
                        let steps = std::mem::take(&mut steps);
                        perform(link, target, terms, &mut machine, &mut changed, steps)?;
                        link.wait()?
                    }
                }
            }
        };
        match event {
            Event::Found(number, thing) => found.put(number, thing?),
            Event::Message(message) => machine.message(message, &mut steps)?,
            Event::Closed(_) => {}
        }
    }
}

/// A segment that was written, and the digest it then has; `None` when it was made zero.
type Changed = (u64, Option<Digest>);

/// Does the steps; true when the last one was done.
fn perform(
    link: &Link,
    target: &mut Target,
    terms: &Terms,
    machine: &mut Sink<Bytes>,
    changed: &mut Vec<Changed>,
    steps: Vec<sink::Step>,
) -> Result<bool, Error> {
    let layout = &terms.layout;
    for step in steps {
        match (step, &mut target.writer) {
            (sink::Step::Send(message), _) => link.send(message),
            (sink::Step::Clear(segment), Some(writer)) => {
                writer.clear(layout.range(segment))?;
                if terms.verify {
                    changed.push((segment, None));
                }
            }
            (
                sink::Step::Write {
                    segment,
                    wanted,
                    bytes,
                    digest,
                },
                Some(writer),
            ) => {
                writer.write(layout, segment, &wanted, &bytes)?;
                if terms.verify {
                    changed.push((segment, Some(digest)));
                }
            }
            (sink::Step::Finish, writer) => {
                if let Some(writer) = writer {
                    writer.sync()?;
                }
                verify(&target.reader, terms, changed)?;
                link.send(machine.done()?);
                return Ok(true);
            }
            // Only a check has no writer, and that has nothing to write.
            (sink::Step::Clear(_) | sink::Step::Write { .. }, None) => {}
        }
    }
    Ok(false)
}

/// Reads again what was changed, past the cache.
pub(crate) fn verify(reader: &Reader, terms: &Terms, changed: &[Changed]) -> Result<(), Error> {
    if changed.is_empty() {
        return Ok(());
    }
    reader.drop_cache()?;
    let mut buffer = blkcore::AlignedBuffer::new(terms.layout.segment() as usize, 4096);
    for (segment, digest) in changed {
        let range = terms.layout.range(*segment);
        let bytes = &mut buffer[..range.len() as usize];
        reader.read(bytes, range.start)?;
        let held = (!blkcore::is_zero(bytes)).then(|| terms.digester.of(bytes));
        if held != *digest {
            let path = cli::diag::name(reader.path());
            let why = format!(
                "{path}: does not hold what was written at byte {}",
                range.start
            );
            return Err(Error::Verify(why));
        }
    }
    Ok(())
}
