//! Further passes of a session: only the source is read, and what changed since the last pass is sent
//! unasked (PROTOCOL.md, "Again"). The source remembers the pages that it has sent, in a temporary
//! file; the sink remembers the digests of its segments.

use crate::Error;
use crate::layout::{Digest, Digester, Layout, ZERO};
use crate::link::{Event, Link, Out};
use crate::message::{Message, Patch};
use crate::object::Reader;
use crate::report::Live;
use crate::segments::{self, Bytes, Found};
use crate::session::{Target, Terms, threads, verify};
use crate::source::{Counts, SOURCE_WINDOW, Wanted};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Bytes of a page's digest that are remembered. Here nothing but them tells a page that changed.
const KEPT: usize = 8;
const WRITTEN_BATCH: usize = 16;

/// The pages that the sink has, as the source knows.
pub(crate) struct Sent {
    file: File,
    layout: Layout,
}

impl Sent {
    /// Of a sink that was made zero.
    pub(crate) fn new(layout: &Layout) -> Result<Sent, Error> {
        let file = tempfile::tempfile().map_err(|e| temporary(&e))?;
        let sent = Sent {
            file,
            layout: layout.clone(),
        };
        sent.file
            .set_len(sent.place(layout.count()))
            .map_err(|e| temporary(&e))?;
        Ok(sent)
    }

    fn place(&self, number: u64) -> u64 {
        number * (self.layout.segment() / crate::layout::PAGE) * KEPT as u64
    }

    /// Remembers the pages of a segment. Stored with all bits flipped: what was never stored is a
    /// segment of zeros.
    pub(crate) fn put(&self, number: u64, pages: &[Digest]) -> Result<(), Error> {
        let kept: Vec<u8> = pages
            .iter()
            .flat_map(|page| page[..KEPT].iter().map(|b| !b))
            .collect();
        self.file
            .write_all_at(&kept, self.place(number))
            .map_err(|e| temporary(&e))
    }

    /// Of these pages, those that are not what was remembered; and remembers them.
    fn exchange(&self, number: u64, pages: &[Digest]) -> Result<Option<Wanted>, Error> {
        let mut kept = vec![0; pages.len() * KEPT];
        self.file
            .read_exact_at(&mut kept, self.place(number))
            .map_err(|e| temporary(&e))?;
        let mut bitmap = vec![0; pages.len().div_ceil(8)];
        for (index, (page, kept)) in pages.iter().zip(kept.chunks(KEPT)).enumerate() {
            if !page[..KEPT].iter().zip(kept).all(|(a, b)| *a == !b) {
                bitmap[index / 8] |= 1 << (index % 8);
            }
        }
        if bitmap.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        self.put(number, pages)?;
        Ok(Some(Wanted::Some(bitmap)))
    }

    /// Remembers that a run of segments is zero, and returns those that were not.
    fn clear(&self, first: u64, count: u64) -> Result<Vec<u64>, Error> {
        let mut cleared = Vec::new();
        let (mut at, end) = (self.place(first), self.place(first + count));
        let each = self.place(1);
        while let Some(data) = blkcore::next_data(&self.file, at, end).map_err(|e| temporary(&e))? {
            let number = data.start / each;
            let mut kept = vec![0; each as usize];
            self.file
                .read_exact_at(&mut kept, self.place(number))
                .map_err(|e| temporary(&e))?;
            if !blkcore::is_zero(&kept) {
                self.file
                    .write_all_at(&vec![0; kept.len()], self.place(number))
                    .map_err(|e| temporary(&e))?;
                cleared.push(number);
            }
            at = self.place(number + 1);
        }
        Ok(cleared)
    }
}

fn temporary(error: &io::Error) -> Error {
    Error::Source(format!("temporary file: {}", cli::diag::system_text(error)))
}

/// One more pass of the source.
pub(crate) fn send(
    link: &mut Link,
    reader: &Arc<Reader>,
    terms: &Terms,
    sent: &Sent,
    live: &Live,
) -> Result<Counts, Error> {
    let layout = &terms.layout;
    link.send(Message::Again);
    reader.forget()?;
    let buffers = layout.window(SOURCE_WINDOW);
    let mut found = segments::start(
        reader,
        layout,
        &terms.digester,
        buffers,
        threads(),
        link.feed(),
    );
    let mut window: BTreeMap<u64, Option<Bytes>> = BTreeMap::new();
    let mut root = Some(terms.digester.root());
    let (mut taken, mut own_root) = (0, [0; 32]);
    let mut counts = Counts::default();
    loop {
        if taken == layout.count()
            && let Some(root) = root.take()
        {
            own_root = root.finish();
            link.send(Message::End { root: own_root });
        }
        match link.wait()? {
            Event::Found(number, thing) => {
                found.put(number, thing?);
                while let (Some(thing), Some(root)) = (found.next(), &mut root) {
                    match thing {
                        Found::Zeros(count) => {
                            root.zeros(count);
                            for segment in sent.clear(taken, count)? {
                                window.insert(segment, None);
                                link.send(Message::Patch(Patch::zero(segment)));
                            }
                            taken += count;
                        }
                        Found::Segment { bytes, digest } => {
                            root.segment(&digest);
                            let pages = terms.digester.pages(bytes.as_ref());
                            if let Some(wanted) = sent.exchange(taken, &pages)? {
                                window.insert(taken, Some(bytes.clone()));
                                let check = check_of(terms, taken, &wanted, bytes.as_ref());
                                let layout = layout.clone();
                                let segment = taken;
                                link.put(Out::Patch {
                                    layout,
                                    segment,
                                    digest,
                                    check,
                                    wanted,
                                    bytes,
                                });
                            }
                            taken += 1;
                        }
                    }
                    let same = taken.saturating_sub(counts.different);
                    live.set(layout.bytes_of(taken), Counts { same, ..counts });
                }
            }
            Event::Message(Message::Written { segments }) => {
                for segment in segments {
                    let was_sent = window.remove(&segment).is_some();
                    counts.different += u64::from(was_sent);
                    if !was_sent {
                        return Err(Error::protocol("WRITTEN of what was not sent"));
                    }
                }
            }
            Event::Message(Message::Done {
                root: theirs,
                same,
                different,
            }) => {
                if root.is_some() || !window.is_empty() || different != counts.different {
                    return Err(Error::protocol("the sink ended too early"));
                }
                if theirs != own_root {
                    return Err(Error::Verify(
                        "the two sides do not hold the same".to_owned(),
                    ));
                }
                return Ok(Counts { same, different });
            }
            Event::Message(_) => {
                return Err(Error::protocol("a message that a sink does not send"));
            }
            Event::Closed(_) => {}
        }
    }
}

/// One more pass of the sink. `digests` are those of its segments.
pub(crate) fn receive(
    link: &mut Link,
    target: &mut Target,
    terms: &Terms,
    digests: &mut [Digest],
) -> Result<Counts, Error> {
    let layout = &terms.layout;
    let mut written = Vec::new();
    let mut changed = Vec::new();
    let mut different = 0;
    loop {
        let message = match link.poll_message()? {
            Some(message) => message,
            None => {
                if !written.is_empty() {
                    link.send(Message::Written {
                        segments: std::mem::take(&mut written),
                    });
                }
                link.message()?
            }
        };
        match message {
            Message::Patch(patch) => {
                let segment = patch.segment;
                let Some(digest) = digests.get_mut(segment as usize) else {
                    return Err(Error::protocol("a patch beyond the end"));
                };
                *digest = apply(target, terms, patch)?;
                different += 1;
                if terms.verify {
                    changed.push((segment, Some(*digest).filter(|digest| *digest != ZERO)));
                }
                written.push(segment);
                if written.len() >= WRITTEN_BATCH {
                    link.send(Message::Written {
                        segments: std::mem::take(&mut written),
                    });
                }
            }
            Message::End { root: theirs } => {
                if !written.is_empty() {
                    link.send(Message::Written {
                        segments: std::mem::take(&mut written),
                    });
                }
                if let Some(writer) = &target.writer {
                    writer.sync()?;
                }
                verify(&target.reader, terms, &changed)?;
                let root = root_of(&terms.digester, digests);
                if root != theirs {
                    return Err(Error::Verify(
                        "the two sides do not hold the same".to_owned(),
                    ));
                }
                let same = layout.count().saturating_sub(different);
                link.send(Message::Done {
                    root,
                    same,
                    different,
                });
                return Ok(Counts { same, different });
            }
            _ => return Err(Error::protocol("a message that a source does not send")),
        }
    }
}

/// Writes a patch and returns the digest of its segment.
fn apply(target: &mut Target, terms: &Terms, patch: Patch) -> Result<Digest, Error> {
    let Some(writer) = &mut target.writer else {
        return Err(Error::protocol("a patch in a check"));
    };
    let layout = &terms.layout;
    let Patch {
        segment,
        digest,
        check,
        is_compressed,
        bitmap,
        bytes,
    } = patch;
    if bitmap.is_empty() {
        writer.clear(layout.range(segment))?;
        return Ok(ZERO);
    }
    let wanted = Wanted::checked(bitmap, layout.pages(segment))
        .ok_or_else(|| Error::protocol("a patch with wrong pages"))?;
    let len = wanted.ranges(layout, segment).total() as usize;
    let bytes = crate::repair::unpack(is_compressed, bytes, len)?;
    if terms.digester.of(&bytes) != check || digest == ZERO {
        let why = format!("segment {segment} does not have the digest that was announced");
        return Err(Error::Verify(why));
    }
    writer.write(layout, segment, &wanted, &bytes)?;
    Ok(digest)
}

/// The digest over the wanted pages only.
fn check_of(terms: &Terms, segment: u64, wanted: &Wanted, bytes: &[u8]) -> Digest {
    let mut hashing = terms.digester.begin();
    for range in wanted.ranges(&terms.layout, segment).iter() {
        hashing.update(&bytes[range.start as usize..range.end as usize]);
    }
    hashing.finish()
}

fn root_of(digester: &Digester, digests: &[Digest]) -> [u8; 32] {
    let mut root = digester.root();
    for digest in digests {
        if *digest == ZERO {
            root.zeros(1)
        } else {
            root.segment(digest)
        }
    }
    root.finish()
}
