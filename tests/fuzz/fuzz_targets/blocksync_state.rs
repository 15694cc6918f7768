//! A state file of blocksync: any bytes, and the same with a right digest.

#![no_main]
#![allow(dead_code)]

#[path = "../../../crates/blocksync/src/error.rs"]
mod error;
#[path = "../../../crates/blocksync/src/state.rs"]
mod state;

use error::Error;
use libfuzzer_sys::fuzz_target;
use state::{Content, parse};

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    let mut text = b"blocksync state 1\n".to_vec();
    text.extend(bytes);
    text.push(b'\n');
    let digest = blake3::hash(&text);
    text.extend(format!("digest {digest}\n").into_bytes());
    check(&text);
});

fn check(bytes: &[u8]) {
    if let Content::Good(about, done) = parse(bytes) {
        assert!(done.iter().all(|extent| extent.end <= about.size));
    }
}
