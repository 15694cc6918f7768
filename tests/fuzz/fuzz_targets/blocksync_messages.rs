//! Messages in any order to both machines of blocksync: each answers with steps or an error, and the
//! sink writes nothing outside of its object, and nothing that does not have its digest.

#![no_main]
#![allow(dead_code)]

#[path = "../../../crates/blocksync/src/encoding.rs"]
mod encoding;
#[path = "../../../crates/blocksync/src/error.rs"]
mod error;
#[path = "../../../crates/blocksync/src/frame.rs"]
mod frame;
#[path = "../../../crates/blocksync/src/layout.rs"]
mod layout;
#[path = "../../../crates/blocksync/src/message.rs"]
mod message;
#[path = "../../../crates/blocksync/src/pairing.rs"]
mod pairing;
#[path = "../../../crates/blocksync/src/repair.rs"]
mod repair;
#[path = "../../../crates/blocksync/src/sink.rs"]
mod sink;
#[path = "../../../crates/blocksync/src/source.rs"]
mod source;

use error::Error;
use frame::FrameReader;
use layout::{Digester, Hash, Layout, PAGE};
use libfuzzer_sys::fuzz_target;
use message::Message;
use pairing::Own;
use sink::{Sink, Step};
use source::{Item, Source};

const SEGMENT: u64 = 4 * PAGE;
const COUNT: u64 = 6;

fuzz_target!(|bytes: &[u8]| {
    let Some(([flags], bytes)) = bytes.split_first_chunk() else {
        return;
    };
    let (is_zero, check) = (flags & 1 != 0, flags & 2 != 0);
    let layout = Layout::whole(COUNT * SEGMENT - 77, SEGMENT);
    let digester = Digester::new(Hash::Blake3, &[1; 16], &[2; 16]);
    let mut source = Source::new(layout.clone(), &digester, is_zero, check);
    let mut sink = Sink::new(layout.clone(), digester.clone(), is_zero, check);
    // Half of the segments are known from the start, the others as the input says.
    let (mut read, mut held) = (0, 0);
    let mut item = |source: &mut Source<Vec<u8>>, steps: &mut Vec<_>| {
        if read < COUNT {
            let bytes = vec![7; layout.range(read).len() as usize];
            let digest = digester.of(&bytes);
            source.item(Item::Segment { bytes, digest }, steps);
            read += 1;
        }
    };
    let mut own = |sink: &mut Sink<Vec<u8>>, steps: &mut Vec<_>| {
        if held < COUNT && !is_zero {
            let bytes = vec![9; layout.range(held).len() as usize];
            let digest = digester.of(&bytes);
            let own = match held % 3 {
                0 => Own::Zeros(1),
                _ => Own::Segment { bytes, digest },
            };
            held += 1;
            let _ = sink.own(own, steps);
        }
    };
    let (mut source_steps, mut sink_steps) = (Vec::new(), Vec::new());
    for _ in 0..COUNT / 2 {
        item(&mut source, &mut source_steps);
        own(&mut sink, &mut sink_steps);
    }
    let stream = mended(bytes);
    let Ok(mut frames) = FrameReader::new(&stream[..]) else {
        return;
    };
    let (mut source_lives, mut sink_lives) = (true, true);
    while let Ok(Some((kind, payload))) = frames.read(SEGMENT as usize) {
        let Ok(message) = Message::decode(kind, payload) else {
            break;
        };
        if message == Message::Ping {
            source.flush(&mut source_steps);
            item(&mut source, &mut source_steps);
            own(&mut sink, &mut sink_steps);
            sink.flush(&mut sink_steps);
        }
        if message == Message::Again {
            source.end(&mut source_steps);
        }
        let again = message.clone();
        source_lives = source_lives && source.message(again, &mut source_steps).is_ok();
        sink_lives = sink_lives && sink.message(message, &mut sink_steps).is_ok();
        assert!(source_steps.len() < 10_000 && sink_steps.len() < 10_000);
    }
    for step in sink_steps {
        match step {
            Step::Send(message) => drop(message.encode()),
            Step::Clear(segment) => assert!(segment < COUNT && !check),
            Step::Write {
                segment,
                wanted,
                bytes,
                digest,
            } => {
                assert!(segment < COUNT && !check);
                assert_eq!(wanted.ranges(&layout, segment).total(), bytes.len() as u64);
                let mut now = match segment % 3 {
                    0 => vec![0; layout.range(segment).len() as usize],
                    _ => vec![9; layout.range(segment).len() as usize],
                };
                if is_zero {
                    now.fill(0);
                }
                let mut rest = &bytes[..];
                for range in wanted.ranges(&layout, segment).iter() {
                    let (these, tail) = rest.split_at(range.len() as usize);
                    now[range.start as usize..range.end as usize].copy_from_slice(these);
                    rest = tail;
                }
                assert_eq!(digester.of(&now), digest);
            }
            Step::Finish => {}
        }
    }
});

/// A preamble, and frames with their checksums put right.
fn mended(bytes: &[u8]) -> Vec<u8> {
    let mut out = b"\0blksync".to_vec();
    let mut rest = bytes;
    for sequence in 0u32.. {
        let Some(([kind, low, high], tail)) = rest.split_first_chunk::<3>() else {
            break;
        };
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(tail.len());
        let (payload, tail) = tail.split_at(length);
        rest = tail;
        let mut header = (length as u32).to_le_bytes().to_vec();
        header.extend([*kind, 0, 0, 0]);
        let crc = crc32fast::hash(&[&header[..], &sequence.to_le_bytes()].concat());
        out.extend(header);
        out.extend(crc.to_le_bytes());
        if length > 0 {
            out.extend(payload);
            out.extend(crc32fast::hash(payload).to_le_bytes());
        }
    }
    out
}
