//! What `conv=` does to the bytes between input and output blocks: one stream in, one stream out, in
//! pieces of any size. No I/O.

use super::charset::{self, Table};
use super::operands::Conversions;

/// A part of the converted stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Bytes(&'a [u8]),
    /// One byte many times: padding can be longer than memory.
    Repeat(u8, u64),
}

/// The conversions of one copy, with what they remember from piece to piece.
#[derive(Debug)]
pub(super) struct Converter {
    table: Option<Table>,
    swab: bool,
    /// The first of a pair of bytes to swap, if the pair was torn.
    saved: Option<u8>,
    records: Records,
    /// Where in a record the stream is, in bytes.
    column: u64,
    size: u64,
    newline: u8,
    blank: u8,
    /// Blanks that may be at the end of a record.
    blanks: u64,
    truncated: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Records {
    Leave,
    Block,
    Unblock,
}

impl Converter {
    /// `size` is `cbs`, in bytes.
    pub(super) fn new(conv: &Conversions, size: u64) -> Converter {
        let (newline, blank) = charset::newline_and_blank(conv);
        Converter {
            table: charset::table(conv),
            swab: conv.swab,
            saved: None,
            records: match (conv.block, conv.unblock) {
                (true, _) => Records::Block,
                (_, true) => Records::Unblock,
                _ => Records::Leave,
            },
            column: 0,
            size,
            newline,
            blank,
            blanks: 0,
            truncated: 0,
        }
    }

    /// Records that were longer than `size` so far.
    pub(super) fn truncated(&self) -> u64 {
        self.truncated
    }

    /// Converts `bytes`, in place as far as that goes.
    pub(super) fn push<E>(
        &mut self,
        bytes: &mut [u8],
        emit: &mut impl FnMut(Piece<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if let Some(table) = &self.table {
            for byte in bytes.iter_mut() {
                *byte = table[usize::from(*byte)];
            }
        }
        if !self.swab {
            return self.put(bytes, emit);
        }
        // A torn pair is completed by the first byte; then a last byte may be torn off.
        let mut rest = bytes;
        if let Some(first) = self.saved
            && let [second, others @ ..] = rest
        {
            let pair = [*second, first];
            self.saved = None;
            self.put(&pair, emit)?;
            rest = others;
        }
        if rest.len() % 2 == 1
            && let [pairs @ .., last] = rest
        {
            self.saved = Some(*last);
            rest = pairs;
        }
        rest.chunks_exact_mut(2).for_each(|pair| pair.swap(0, 1));
        self.put(rest, emit)
    }

    /// Ends the stream: what is still held, and the end of an open record.
    pub(super) fn finish<E>(
        &mut self,
        emit: &mut impl FnMut(Piece<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if let Some(last) = self.saved.take() {
            self.put(&[last], emit)?;
        }
        match self.records {
            Records::Block if self.column > 0 => {
                let missing = self.size.saturating_sub(self.column);
                emit(Piece::Repeat(self.blank, missing))
            }
            Records::Unblock if self.column > 0 => emit(Piece::Bytes(&[self.newline])),
            _ => Ok(()),
        }
    }

    fn put<E>(
        &mut self,
        bytes: &[u8],
        emit: &mut impl FnMut(Piece<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        match self.records {
            Records::Leave => emit(Piece::Bytes(bytes)),
            Records::Block => self.block(bytes, emit),
            Records::Unblock => self.unblock(bytes, emit),
        }
    }

    /// Lines become records of the same size.
    fn block<E>(
        &mut self,
        mut bytes: &[u8],
        emit: &mut impl FnMut(Piece<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() {
            let end = bytes.iter().position(|b| *b == self.newline);
            let line = &bytes[..end.unwrap_or(bytes.len())];
            let room = self.size.saturating_sub(self.column);
            let kept = room.min(line.len() as u64) as usize;
            emit(Piece::Bytes(&line[..kept]))?;
            let before = self.column;
            self.column += line.len() as u64;
            // The first byte too many counts the record.
            self.truncated += u64::from(before <= self.size && self.column > self.size);
            match end {
                Some(end) => {
                    let missing = self.size.saturating_sub(self.column);
                    emit(Piece::Repeat(self.blank, missing))?;
                    self.column = 0;
                    bytes = &bytes[end + 1..];
                }
                None => break,
            }
        }
        Ok(())
    }

    /// Records become lines, without the blanks at their ends.
    fn unblock<E>(
        &mut self,
        mut bytes: &[u8],
        emit: &mut impl FnMut(Piece<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() {
            if self.column == self.size {
                // Only now, since the last record of a stream gets its newline at the end.
                (self.column, self.blanks) = (0, 0);
                emit(Piece::Bytes(&[self.newline]))?;
            }
            let room = (self.size - self.column).min(bytes.len() as u64) as usize;
            let (part, rest) = bytes.split_at(room);
            let text = part
                .iter()
                .rposition(|b| *b != self.blank)
                .map_or(0, |last| last + 1);
            if text > 0 {
                emit(Piece::Repeat(self.blank, self.blanks))?;
                self.blanks = 0;
                emit(Piece::Bytes(&part[..text]))?;
            }
            self.blanks += (part.len() - text) as u64;
            self.column += part.len() as u64;
            bytes = rest;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::convert::Infallible;

    fn collect(converter: &mut Converter, pieces: &[&[u8]]) -> Vec<u8> {
        let mut all = Vec::new();
        let mut emit = |piece: Piece<'_>| -> Result<(), Infallible> {
            match piece {
                Piece::Bytes(bytes) => all.extend_from_slice(bytes),
                Piece::Repeat(byte, n) => all.extend(std::iter::repeat_n(byte, n as usize)),
            }
            Ok(())
        };
        for piece in pieces {
            let _ = converter.push(&mut piece.to_vec(), &mut emit);
        }
        let _ = converter.finish(&mut emit);
        all
    }

    fn converted(set: fn(&mut Conversions), size: u64, input: &[u8]) -> Vec<u8> {
        let mut conv = Conversions::default();
        set(&mut conv);
        collect(&mut Converter::new(&conv, size), &[input])
    }

    #[test]
    fn lines_to_records() {
        let block = |input: &[u8]| converted(|c| c.block = true, 10, input);
        assert_eq!(block(b"01234567\nabcdefghijkl\n"), b"01234567  abcdefghij");
        assert_eq!(block(b"ab"), b"ab        ");
        assert_eq!(block(b""), b"");
        assert_eq!(block(b"\n"), b"          ");
    }

    #[test]
    fn records_to_lines() {
        let unblock = |input: &[u8]| converted(|c| c.unblock = true, 3, input);
        for (input, output) in [
            ("", ""),
            ("a\n  ", "a\n\n\n"),
            ("a\n ", "a\n\n"),
            ("a  ", "a\n"),
            ("a \n ", "a \n\n\n"),
            ("a \n", "a \n\n"),
            ("a   ", "a\n\n"),
            ("a  \n", "a\n\n\n"),
        ] {
            assert_eq!(unblock(input.as_bytes()), output.as_bytes(), "{input:?}");
        }
    }

    #[test]
    fn cut_records_are_counted_once() {
        let mut converter = Converter::new(
            &Conversions {
                block: true,
                ..Conversions::default()
            },
            2,
        );
        assert_eq!(
            collect(&mut converter, &[b"ab\nabc", b"d\nabc\na"]),
            b"abababa "
        );
        assert_eq!(converter.truncated(), 2);
    }

    #[test]
    fn pairs_are_swapped() {
        assert_eq!(converted(|c| c.swab = true, 0, b"abcde"), b"badce");
    }

    fn any_conversion() -> impl Strategy<Value = (Conversions, u64)> {
        (any::<[bool; 3]>(), 0..3u8, 1..9u64).prop_map(|([ucase, swab, ibm], records, size)| {
            let conv = Conversions {
                ucase,
                swab,
                ibm,
                block: records == 1,
                unblock: records == 2,
                ..Conversions::default()
            };
            (conv, size)
        })
    }

    proptest! {
        #[test]
        fn where_the_stream_is_cut_does_not_matter(
            (conv, size) in any_conversion(),
            input in "[ab \n]{0,40}",
            cuts in prop::collection::vec(0..7usize, 0..30),
        ) {
            let whole = collect(&mut Converter::new(&conv, size), &[input.as_bytes()]);
            let (mut pieces, mut rest) = (Vec::new(), input.as_bytes());
            for cut in cuts {
                let (piece, others) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = others;
            }
            pieces.push(rest);
            prop_assert_eq!(collect(&mut Converter::new(&conv, size), &pieces), whole);
        }
    }
}
