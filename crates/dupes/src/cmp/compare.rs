//! Files are read in step until it is known which one is the first that differs from the first.

use super::input::{Input, View, Window};
use super::lines::Lines;
use super::shared::Shared;
use blkcore::is_zero;
use std::io;

/// Where one file differs from the first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// The index of the file, not 0.
    pub(super) other: usize,
    /// Bytes before the difference.
    pub(super) bytes: u64,
    /// Newlines in these.
    pub(super) newlines: u64,
    /// Whether a newline is the last of these, or there are none.
    pub(super) at_line_start: bool,
    pub(super) what: What,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum What {
    /// These two bytes differ.
    Bytes(u8, u8),
    /// The file with this index has no more.
    End(usize),
}

/// A file cannot be read.
#[derive(Debug)]
pub(super) struct Trouble {
    /// Which one.
    pub(super) index: usize,
    /// How far all was compared before.
    pub(super) compared: u64,
    pub(super) error: io::Error,
}

/// How to compare.
pub(super) struct Way<'a> {
    /// Bytes to compare at most.
    pub(super) limit: u64,
    /// Whether newlines are of interest.
    pub(super) count_lines: bool,
    /// Is told of each byte that differs, counted from 0, in two files; then these differences are
    /// no findings. Is not used with more files.
    pub(super) each: Option<&'a mut dyn FnMut(u64, u8, u8)>,
}

/// How far all was compared, and the difference of the first file that has one.
pub(super) struct Outcome {
    pub(super) compared: u64,
    pub(super) finding: Option<Finding>,
}

/// Compares the others with the first.
///
/// When a file is found to differ, only those named before it are still of interest.
pub(super) fn compare(inputs: &mut [Input], mut way: Way) -> Result<Outcome, Trouble> {
    let mut lines = Lines::default();
    let mut shared = match inputs {
        [a, b] => Shared::of(a, b),
        _ => None,
    };
    let mut compared = 0;
    let mut finding = None;
    let mut active = inputs.len();
    if way.limit == 0 {
        for (at, input) in inputs.iter().enumerate() {
            input.probe().map_err(|e| trouble(at, compared, e))?;
        }
    }
    while active > 1 && compared < way.limit {
        if let (Some(shared), [a, b]) = (&mut shared, &mut *inputs)
            && let Some(range) = shared.next(a, b, way.limit - compared)
        {
            lines.add_unread(range);
            a.pass(range.len());
            b.pass(range.len());
            compared += range.len();
            continue;
        }
        for (at, input) in inputs[..active].iter_mut().enumerate() {
            let filled = input.fill(way.limit);
            filled.map_err(|e| trouble(at, compared, e))?;
        }
        let (first, others) = inputs.split_first_mut().expect("at least two files");
        let others = &mut others[..active - 1];
        if let Some((other, shorter)) = ended(first, others) {
            let (newlines, is_newline) = match way.count_lines {
                true => count(&mut lines, first, compared)?,
                false => (0, false),
            };
            finding = Some(Finding {
                other,
                bytes: compared,
                newlines,
                at_line_start: compared == 0 || is_newline,
                what: What::End(shorter),
            });
            active = other;
            continue;
        }
        let common = others.iter().map(|o| o.available());
        let common = common.fold(first.available(), u64::min);
        if common == 0 {
            break; // all of them have ended
        }
        let ours = first.view(common);
        if let Some(each) = &mut way.each {
            each_difference(ours, others[0].view(common), compared, each);
        } else {
            for (index, other) in others.iter().enumerate() {
                let Some((at, a, b)) = difference(ours, other.view(common)) else {
                    continue;
                };
                active = index + 1;
                let mut lines_before = lines.clone();
                let (newlines, at_line_start) = match way.count_lines {
                    true => {
                        if at > 0 {
                            lines_before.add(first.view(at));
                        }
                        count(&mut lines_before, first, compared)?
                    }
                    false => (0, false),
                };
                finding = Some(Finding {
                    other: active,
                    bytes: compared + at,
                    newlines,
                    at_line_start,
                    what: What::Bytes(a, b),
                });
                break;
            }
            if way.count_lines && active > 1 {
                lines.add(ours);
            }
        }
        if active > 1 {
            compared += common;
            first.consume(common);
            others.iter_mut().for_each(|o| o.consume(common));
        }
    }
    let compared = finding.as_ref().map_or(compared, |f| f.bytes.max(compared));
    Ok(Outcome { compared, finding })
}

fn count(lines: &mut Lines, first: &Input, compared: u64) -> Result<(u64, bool), Trouble> {
    let file = first.place().map(|(file, _, _)| file);
    lines.count(file).map_err(|e| trouble(0, compared, e))
}

fn trouble(index: usize, compared: u64, error: io::Error) -> Trouble {
    Trouble {
        index,
        compared,
        error,
    }
}

/// The index of the first file that has ended before the first one or goes on behind its end; and
/// the index of the one that has ended.
fn ended(first: &Input, others: &[Input]) -> Option<(usize, usize)> {
    let has_ended = |input: &Input| *input.window() == Window::End;
    let end = has_ended(first);
    let other = others.iter().position(|o| has_ended(o) != end)? + 1;
    Some((other, if end { 0 } else { other }))
}

/// The first place where two views of the same length differ.
fn difference(a: View, b: View) -> Option<(u64, u8, u8)> {
    match (a, b) {
        (View::Zeros, View::Zeros) => None,
        (View::Zeros, View::Bytes(b)) => nonzero(b).map(|at| (at as u64, 0, b[at])),
        (View::Bytes(a), View::Zeros) => nonzero(a).map(|at| (at as u64, a[at], 0)),
        (View::Bytes(a), View::Bytes(b)) if a == b => None,
        (View::Bytes(a), View::Bytes(b)) => {
            let equal = |(a, b): &(&[u8], &[u8])| a == b;
            let chunks = a.chunks(256).zip(b.chunks(256)).take_while(equal).count() * 256;
            let rest = a[chunks..]
                .iter()
                .zip(&b[chunks..])
                .position(|(a, b)| a != b)?;
            let at = chunks + rest;
            Some((at as u64, a[at], b[at]))
        }
    }
}

fn nonzero(bytes: &[u8]) -> Option<usize> {
    match is_zero(bytes) {
        true => None,
        false => bytes.iter().position(|b| *b != 0),
    }
}

/// All places where two views of the same length differ, counted from `base`.
fn each_difference(a: View, b: View, base: u64, each: &mut dyn FnMut(u64, u8, u8)) {
    match (a, b) {
        (View::Zeros, View::Zeros) => {}
        (View::Zeros, View::Bytes(b)) => {
            let places = b.iter().enumerate().filter(|(_, b)| **b != 0);
            places.for_each(|(at, b)| each(base + at as u64, 0, *b));
        }
        (View::Bytes(a), View::Zeros) => {
            let places = a.iter().enumerate().filter(|(_, a)| **a != 0);
            places.for_each(|(at, a)| each(base + at as u64, *a, 0));
        }
        (View::Bytes(a), View::Bytes(b)) => {
            for (index, (a, b)) in a.chunks(256).zip(b.chunks(256)).enumerate() {
                if a != b {
                    let places = a.iter().zip(b).enumerate().filter(|(_, (a, b))| a != b);
                    let start = base + index as u64 * 256;
                    places.for_each(|(at, (a, b))| each(start + at as u64, *a, *b));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(prop_oneof![9 => Just(0u8), 1 => any::<u8>()], 700)
    }

    proptest! {
        #[test]
        fn differences_are_those_of_a_plain_loop(a in bytes(), b in bytes(), holes in any::<[bool; 2]>()) {
            let zeros = vec![0; 700];
            let (a, b) = (if holes[0] { &zeros } else { &a }, if holes[1] { &zeros } else { &b });
            let view = |hole, bytes| if hole { View::Zeros } else { View::Bytes(bytes) };
            let (left, right) = (view(holes[0], a), view(holes[1], b));
            let plain: Vec<(u64, u8, u8)> = (0..700)
                .filter(|i| a[*i] != b[*i])
                .map(|i| (i as u64, a[i], b[i]))
                .collect();
            prop_assert_eq!(difference(left, right), plain.first().copied());
            let mut all = Vec::new();
            each_difference(left, right, 5, &mut |at, a, b| all.push((at - 5, a, b)));
            prop_assert_eq!(all, plain);
        }
    }
}
