//! Finding zeros: is a buffer all zero, and which runs of it are not.
//!
//! Both work on lanes of 64 bytes folded with OR, which compilers turn into vector instructions;
//! in practice they run at the speed of memory.

use crate::Extent;

/// Bytes that are folded into one decision.
const STRIDE: usize = 256;

/// Whether all bytes are zero. True for an empty slice.
pub fn is_zero(bytes: &[u8]) -> bool {
    let mut strides = bytes.chunks_exact(STRIDE);
    strides.all(|s| fold(s) == 0) && strides.remainder().iter().all(|b| *b == 0)
}

/// OR of all 64-bit words of a stride.
#[inline]
fn fold(stride: &[u8]) -> u64 {
    let mut lanes = [0u64; 8];
    for chunk in stride.chunks_exact(64) {
        for (lane, word) in lanes.iter_mut().zip(chunk.chunks_exact(8)) {
            *lane |= u64::from_ne_bytes(word.try_into().expect("eight bytes"));
        }
    }
    lanes.iter().fold(0, |a, b| a | b)
}

/// The parts of `bytes` that are not zero, in whole quanta: the buffer stands at offset `base`, and
/// is cut at each multiple of `quantum` (bytes). A quantum is in a run when any byte of it is not
/// zero; neighbouring quanta make one run; the first and the last may be cut by the buffer's ends.
///
/// # Panics
/// If `quantum` is zero.
pub fn nonzero_runs(bytes: &[u8], base: u64, quantum: u64) -> NonzeroRuns<'_> {
    assert!(quantum > 0, "a quantum of no bytes");
    NonzeroRuns {
        bytes,
        base,
        quantum,
        at: 0,
    }
}

/// Iterator over the runs of [`nonzero_runs`].
#[derive(Clone, Debug)]
pub struct NonzeroRuns<'a> {
    bytes: &'a [u8],
    base: u64,
    quantum: u64,
    at: usize,
}

impl NonzeroRuns<'_> {
    /// Where the quantum around index `at` ends, as an index.
    fn quantum_end(&self, at: usize) -> usize {
        let rest = self.quantum - (self.base + at as u64) % self.quantum;
        usize::try_from(rest).map_or(self.bytes.len(), |r| {
            r.saturating_add(at).min(self.bytes.len())
        })
    }
}

impl Iterator for NonzeroRuns<'_> {
    type Item = Extent;

    fn next(&mut self) -> Option<Extent> {
        let len = self.bytes.len();
        let mut start = self.at;
        let mut end = loop {
            if start == len {
                self.at = len;
                return None;
            }
            let end = self.quantum_end(start);
            if !is_zero(&self.bytes[start..end]) {
                break end;
            }
            start = end;
        };
        let mut next = end;
        while next < len {
            next = self.quantum_end(end);
            if is_zero(&self.bytes[end..next]) {
                break;
            }
            end = next;
        }
        // The quantum at `end..next` was found to be zero: the next search starts behind it.
        self.at = next;
        (start < end).then(|| Extent::new(self.base + start as u64, self.base + end as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive(bytes: &[u8], base: u64, quantum: u64) -> Vec<Extent> {
        let mut flags = vec![false; bytes.len()];
        for (i, flag) in flags.iter_mut().enumerate() {
            let q = (base + i as u64) / quantum;
            *flag = (0..bytes.len()).any(|j| bytes[j] != 0 && (base + j as u64) / quantum == q);
        }
        let mut list = crate::ExtentList::new();
        for (i, _) in flags.iter().enumerate().filter(|(_, f)| **f) {
            list.push(Extent::new(base + i as u64, base + i as u64 + 1));
        }
        list.iter().collect()
    }

    /// Mostly zeros, with the ones in clumps.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec((prop::bool::weighted(0.3), 1..40usize), 0..20).prop_map(|runs| {
            runs.into_iter()
                .flat_map(|(set, n)| vec![if set { 0x80 } else { 0 }; n])
                .collect()
        })
    }

    proptest! {
        #[test]
        fn runs_match_the_naive_loop(bytes in bytes(), base in 0..100u64, quantum in 1..40u64) {
            let got: Vec<_> = nonzero_runs(&bytes, base, quantum).collect();
            prop_assert_eq!(got, naive(&bytes, base, quantum));
        }

        #[test]
        fn one_byte_anywhere_is_found(len in 0..3000usize, at in 0..3000usize, cut in 0..64usize) {
            let mut bytes = vec![0; len];
            let cut = cut.min(len);
            prop_assert!(is_zero(&bytes[cut..]));
            if at < len {
                bytes[at] = 1;
                prop_assert_eq!(is_zero(&bytes[cut..]), at < cut);
            }
        }
    }

    #[test]
    fn a_quantum_larger_than_the_buffer() {
        assert_eq!(
            nonzero_runs(&[0, 1], 7, u64::MAX).collect::<Vec<_>>(),
            [Extent::new(7, 9)]
        );
        assert_eq!(nonzero_runs(&[0, 0], 7, u64::MAX).count(), 0);
        assert_eq!(nonzero_runs(&[], 0, 1).count(), 0);
    }
}
