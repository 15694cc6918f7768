//! A stream of bytes as a peer of blocksync reads it: any bytes, and the same with right checksums, so
//! that what lies behind those is reached too.

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

use error::Error;
use frame::FrameReader;
use libfuzzer_sys::fuzz_target;
use message::Message;

const PREAMBLE: &[u8] = b"\0blksync";
const HEADER: usize = 12;

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    read(&mended(bytes));
});

/// Reads all of a stream. What decodes must come out the same when it is encoded.
fn read(bytes: &[u8]) {
    let Ok(mut frames) = FrameReader::new(bytes) else {
        return;
    };
    while let Ok(Some((kind, payload))) = frames.read(1 << 20) {
        let Ok(message) = Message::decode(kind, payload.clone()) else {
            return;
        };
        let (again, head, body) = message.encode();
        assert_eq!(again, kind);
        // Text is shown, not compared: what is not UTF-8 is replaced in it.
        if !matches!(message, Message::Hello(_) | Message::Fail { .. }) {
            assert_eq!([&head, body].concat(), payload);
        }
    }
}

/// With a preamble, and the checksums of each frame put right.
fn mended(bytes: &[u8]) -> Vec<u8> {
    let mut out = [PREAMBLE, bytes].concat();
    let mut at = PREAMBLE.len();
    for sequence in 0u32.. {
        let Some(header) = out.get(at..at + HEADER) else {
            break;
        };
        let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let crc = crc32fast::hash(&[&header[..8], &sequence.to_le_bytes()].concat());
        out[at + 8..at + HEADER].copy_from_slice(&crc.to_le_bytes());
        at += HEADER;
        if length > 0 {
            let Some(payload) = out.get(at..at + length) else {
                break;
            };
            let crc = crc32fast::hash(payload).to_le_bytes();
            at += length;
            let Some(place) = out.get_mut(at..at + 4) else {
                break;
            };
            place.copy_from_slice(&crc);
            at += 4;
        }
    }
    out
}
