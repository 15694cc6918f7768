//! Runs a session: feeds the machine of a side with what is read and what the peer says, and does the
//! steps that come out.

use crate::Error;
use crate::again::Sent;
use crate::layout::{Digest, Digester, Layout};
use crate::link::{Event, Link, Out};
use crate::message::Message;
use crate::object::{Reader, Writer};
use crate::segments::{self, Bytes, Found, Ordered};
use crate::sink::{self, Own, Sink};
use crate::source::{self, Counts, Item, SOURCE_WINDOW, Source};
use cli::progress::Progress;
use std::sync::Arc;

/// Bytes of its own that the sink holds: read ahead, or to be put together with what comes.
const SINK_BUFFERS: u64 = 24 << 20;

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

/// Says which segments are compared. To be called by the source before anything is compared.
pub(crate) fn send_plan(link: &Link, layout: &Layout) {
    let runs: Vec<_> = layout.runs().collect();
    let mut parts = runs.chunks(PLAN_RUNS).peekable();
    if parts.peek().is_none() {
        link.send(Message::Plan {
            is_last: true,
            runs,
        });
        return;
    }
    while let Some(part) = parts.next() {
        link.send(Message::Plan {
            is_last: parts.peek().is_none(),
            runs: part.to_vec(),
        });
    }
}

/// Takes the plan for an object of `size` bytes.
pub(crate) fn take_plan(link: &mut Link, size: u64, segment: u64) -> Result<Layout, Error> {
    let mut all = Vec::new();
    loop {
        let Message::Plan { is_last, runs } = link.message()? else {
            return Err(Error::protocol("no plan"));
        };
        all.extend(runs);
        if all.len() > MOST_RUNS {
            return Err(Error::protocol("a plan of too many runs"));
        }
        if is_last {
            let layout = Layout::of_runs(size, segment, &all);
            return layout.ok_or_else(|| Error::protocol("a wrong plan"));
        }
    }
}

pub(crate) fn threads() -> usize {
    std::thread::available_parallelism()
        .map_or(2, usize::from)
        .min(4)
}

/// Sends `reader`'s object.
pub(crate) fn send(
    link: &mut Link,
    reader: &Arc<Reader>,
    terms: &Terms,
    sent: Option<&Sent>,
    progress: &Progress,
) -> Result<Counts, Error> {
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
                act(link, &layout, std::mem::take(&mut steps));
                match link.wait_briefly()? {
                    Some(event) => event,
                    None => {
                        // Nothing to do for a while: what was gathered leaves.
                        machine.flush(&mut steps);
                        act(link, &layout, std::mem::take(&mut steps));
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
            Event::Message(message) => {
                let done = machine.message(message, &mut steps)?;
                progress.set(layout.bytes_of(machine.compared()));
                if let Some(counts) = done {
                    return Ok(counts);
                }
            }
            Event::Closed(_) => {}
        }
        act(link, &layout, steps);
    }
}

fn act(link: &Link, layout: &Layout, steps: Vec<source::Step<segments::Bytes>>) {
    for step in steps {
        link.put(match step {
            source::Step::Send(message) => Out::Message(message),
            source::Step::SendPages {
                segment,
                wanted,
                bytes,
            } => Out::Pages {
                layout: layout.clone(),
                segment,
                wanted,
                bytes,
            },
        });
    }
}

/// The destination of [`receive`]: where its digests come from, and (unless only checking) where it
/// is written.
pub(crate) struct Target {
    pub(crate) reader: Arc<Reader>,
    pub(crate) writer: Option<Writer>,
}

/// Makes the target equal to the source at the other side.
pub(crate) fn receive(
    link: &mut Link,
    target: &mut Target,
    terms: &Terms,
    keep_digests: bool,
    progress: &Progress,
) -> Result<(Counts, Vec<Digest>), Error> {
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
        if perform(
            link,
            target,
            terms,
            &mut machine,
            &mut changed,
            std::mem::take(&mut steps),
        )? {
            progress.set(layout.total());
            return Ok((machine.counts(), machine.into_digests()));
        }
        progress.set(layout.bytes_of(machine.compared()));
        let event = match link.poll()? {
            Some(event) => event,
            None => {
                let gathered = if machine.is_urgent() {
                    None
                } else {
                    link.wait_briefly()?
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
