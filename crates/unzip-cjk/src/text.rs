//! `-a`: ends of lines of text files as Unix has them.
//!
//! Like Info-ZIP, this turns CR LF, a lone CR and a lone LF into LF and leaves out Control-Z.

/// Converts a text that comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// The piece before ended with CR.
    after_cr: bool,
    out: Vec<u8>,
}

impl Lines {
    /// The next piece, converted.
    pub(crate) fn convert(&mut self, piece: &[u8]) -> &[u8] {
        self.out.clear();
        for &byte in piece {
            match byte {
                b'\n' if self.after_cr => {}
                b'\r' | b'\n' => self.out.push(b'\n'),
                0x1A => {}
                byte => self.out.push(byte),
            }
            self.after_cr = byte == b'\r';
        }
        &self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_do_not_matter() {
        let text = b"a\r\nb\rc\n\r\n\x1a\r";
        for size in 1..text.len() {
            let mut lines = Lines::default();
            let mut all: Vec<u8> = Vec::new();
            for piece in text.chunks(size) {
                all.extend(lines.convert(piece));
            }
            assert_eq!(all, b"a\nb\nc\n\n\n", "{size}");
        }
    }
}
