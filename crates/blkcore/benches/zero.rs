//! How fast zeros are found, beside the speed of memory: `cargo bench -p blkcore`.
//!
//! The buffer is far larger than the caches and written before it is read (untouched memory is one
//! page of zeros, which stays in the cache). The measures alternate, and the best of each counts:
//! on a shared machine all else is noise.
#![allow(missing_docs, clippy::print_stdout)]

use blkcore::{is_zero, nonzero_runs};
use std::hint::black_box;
use std::time::Instant;

const SIZE: usize = 512 << 20;
const BLOCK: usize = 256 << 10;
const ROUNDS: usize = 15;

fn main() {
    let mut zeros = vec![1u8; SIZE];
    zeros.fill(black_box(0));
    let ones = vec![1u8; SIZE];
    let mut best = [f64::INFINITY; 5];
    for _ in 0..ROUNDS {
        for (best, measure) in best.iter_mut().zip([
            &(|| sum(&zeros)) as &dyn Fn() -> u64,
            &|| u64::from(zeros[..SIZE - 1] == zeros[1..]),
            &|| zeros.chunks(BLOCK).filter(|block| is_zero(block)).count() as u64,
            &|| {
                zeros
                    .chunks(BLOCK)
                    .map(|b| nonzero_runs(b, 0, 4096).count() as u64)
                    .sum()
            },
            &|| {
                ones.chunks(BLOCK)
                    .map(|b| nonzero_runs(b, 0, 4096).count() as u64)
                    .sum()
            },
        ]) {
            let start = Instant::now();
            black_box(measure());
            *best = best.min(start.elapsed().as_secs_f64());
        }
    }
    let names = [
        "memory read (sum of words)",
        "memcmp(p, p + 1)",
        "is_zero",
        "nonzero_runs of zeros, quantum 4 KiB",
        "nonzero_runs of data, quantum 4 KiB",
    ];
    println!(
        "{:40} {:>7} {:>12}",
        "512 MiB, one thread", "GB/s", "x memory"
    );
    for (name, seconds) in names.iter().zip(best) {
        let rate = SIZE as f64 / seconds / 1e9;
        println!("{name:40} {rate:7.1} {:12.2}", best[0] / seconds);
    }
}

/// Reads every word once, on eight independent sums.
fn sum(bytes: &[u8]) -> u64 {
    let mut sums = [0u64; 8];
    for chunk in bytes.chunks_exact(64) {
        for (sum, word) in sums.iter_mut().zip(chunk.chunks_exact(8)) {
            *sum = sum.wrapping_add(u64::from_ne_bytes(word.try_into().expect("eight bytes")));
        }
    }
    sums.iter().fold(0, |a, b| a.wrapping_add(*b))
}
