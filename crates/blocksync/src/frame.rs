//! Frames: how messages are cut out of a byte stream (PROTOCOL.md, "Preamble and frames").
//!
//! Nothing from the peer is trusted: a length is only believed when the checksum of its header is
//! right, which the number of the frame is part of, and when the type may have it. So damage is found
//! at once, and never by waiting for bytes that do not come.

use crate::Error;
use std::io::{self, Read, Write};

/// What each peer sends first. It cannot be text.
const PREAMBLE: [u8; 8] = *b"\0blksync";
/// Length, type and three zeros, and the CRC-32 of these and of the frame's number.
const HEADER: usize = 12;
/// The CRC-32 of a payload, behind it.
const TRAILER: usize = 4;
/// A preamble with at least so many right bytes was damaged; with fewer it is none.
const LIKE_PREAMBLE: usize = 6;
/// How much noise before the preamble is shown.
const NOISE: usize = 200;
/// Room for what stands around a segment in DATA and PATCH.
const AROUND: usize = 16 << 10;
/// The largest segment, with that.
const LARGEST: usize = (16 << 20) + AROUND;

/// The types of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Type {
    Hello = 1,
    Open,
    Ready,
    Fail,
    Digests,
    Answers,
    Pages,
    Need,
    Data,
    Whole,
    Ping,
    End,
    Done,
    Written,
    Plan,
    Again,
    Patch,
    Synced,
    Later,
}

impl Type {
    const ALL: [Type; 19] = [
        Type::Hello,
        Type::Open,
        Type::Ready,
        Type::Fail,
        Type::Digests,
        Type::Answers,
        Type::Pages,
        Type::Need,
        Type::Data,
        Type::Whole,
        Type::Ping,
        Type::End,
        Type::Done,
        Type::Written,
        Type::Plan,
        Type::Again,
        Type::Patch,
        Type::Synced,
        Type::Later,
    ];

    fn from_byte(byte: u8) -> Option<Type> {
        Type::ALL.into_iter().find(|t| *t as u8 == byte)
    }

    /// Whether its payload may have this length, where segments have at most `segment` bytes.
    fn allows(self, length: usize, segment: usize) -> bool {
        let (least, most) = self.lengths();
        let most = match self {
            Type::Data | Type::Patch => most.min(segment + AROUND),
            _ => most,
        };
        (least..=most).contains(&length)
    }

    /// Least and greatest length of its payload in bytes.
    fn lengths(self) -> (usize, usize) {
        match self {
            Type::Hello => (36, 256),
            Type::Open => (53, 8 << 10),
            Type::Ready => (48, 48),
            Type::Fail => (1, 4 << 10),
            Type::Digests | Type::Answers => (9, 64 << 10),
            Type::Pages => (11, 16 << 10),
            Type::Need => (9, 1 << 10),
            Type::Data => (9, LARGEST),
            Type::Whole => (8, 8),
            Type::Ping => (0, 0),
            Type::End => (32, 32),
            Type::Done => (48, 48),
            Type::Written => (8, 512),
            Type::Plan | Type::Later => (1, 64 << 10),
            Type::Synced => (8, 8),
            Type::Again => (0, 0),
            Type::Patch => (43, LARGEST),
        }
    }
}

/// Bytes on the way of a frame with such a payload.
pub(crate) fn bytes_of(payload: usize) -> u64 {
    let trailer = if payload > 0 { TRAILER } else { 0 };
    (HEADER + payload + trailer) as u64
}

/// Writes frames to a stream.
pub(crate) struct FrameWriter<W> {
    stream: W,
    sequence: u32,
}

impl<W: Write> FrameWriter<W> {
    /// Begins with the preamble.
    pub(crate) fn new(mut stream: W) -> io::Result<FrameWriter<W>> {
        stream.write_all(&PREAMBLE)?;
        Ok(FrameWriter {
            stream,
            sequence: 0,
        })
    }

    /// The payload may come in two parts, so that data need not be copied behind its header.
    pub(crate) fn write(&mut self, kind: Type, head: &[u8], body: &[u8]) -> io::Result<()> {
        let length = head.len() + body.len();
        debug_assert!(
            (kind.lengths().0..=kind.lengths().1).contains(&length),
            "{kind:?} {length}"
        );
        let mut header = [0; HEADER];
        header[..4].copy_from_slice(&(length as u32).to_le_bytes());
        header[4] = kind as u8;
        let crc = header_crc(&header, self.sequence);
        header[8..].copy_from_slice(&crc.to_le_bytes());
        self.sequence = self.sequence.wrapping_add(1);
        self.stream.write_all(&header)?;
        if length == 0 {
            return Ok(());
        }
        self.stream.write_all(head)?;
        self.stream.write_all(body)?;
        let crc = payload_crc(&[head, body]);
        self.stream.write_all(&crc.to_le_bytes())
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Reads frames from a stream.
pub(crate) struct FrameReader<R> {
    stream: R,
    sequence: u32,
}

impl<R: Read> FrameReader<R> {
    /// Takes the preamble.
    pub(crate) fn new(mut stream: R) -> Result<FrameReader<R>, Error> {
        let mut seen = Vec::new();
        // Enough for a line, which may be all that comes for long; whoever talks on is not listened to.
        let is_line = |seen: &[u8]| seen.last() == Some(&b'\n') && !seen.trim_ascii().is_empty();
        let mut byte = [0];
        while seen.len() < NOISE && !is_line(&seen) {
            match stream.read(&mut byte) {
                Ok(0) => break,
                Ok(_) => seen.push(byte[0]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if seen.is_empty() => return Err(Error::lost(&e)),
                Err(_) => break,
            }
            if seen.len() == PREAMBLE.len() {
                let right = seen.iter().zip(PREAMBLE).filter(|(a, b)| **a == *b);
                match right.count() {
                    8 => {
                        return Ok(FrameReader {
                            stream,
                            sequence: 0,
                        });
                    }
                    LIKE_PREAMBLE.. => return Err(damaged()),
                    _ => {}
                }
            }
        }
        if seen.is_empty() {
            return Err(Error::Connection("the other side said nothing".to_owned()));
        }
        let text = String::from_utf8_lossy(&seen).into_owned();
        let mut lines = text.lines();
        let line = lines
            .find(|line| !line.trim().is_empty())
            .unwrap_or_default();
        Err(Error::Connection(format!(
            "the other side is not blocksync, it says: {line}"
        )))
    }

    /// The next frame; `None` when the stream ends between two of them. Data is for segments of
    /// `segment` bytes at the most.
    pub(crate) fn read(&mut self, segment: usize) -> Result<Option<(Type, Vec<u8>)>, Error> {
        let mut header = [0; HEADER];
        let got = read_up_to(&mut self.stream, &mut header)?;
        if got == 0 {
            return Ok(None);
        }
        if got < HEADER {
            return Err(cut_off());
        }
        let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| header[at + i]));
        if header_crc(&header, self.sequence) != word(8) {
            return Err(damaged());
        }
        self.sequence = self.sequence.wrapping_add(1);
        let length = word(0) as usize;
        let kind = Type::from_byte(header[4]).filter(|_| header[5..8] == [0; 3]);
        let Some(kind) = kind.filter(|kind| kind.allows(length, segment)) else {
            return Err(Error::protocol(format!(
                "frame of type {} and {length} bytes",
                header[4]
            )));
        };
        if length == 0 {
            return Ok(Some((kind, Vec::new())));
        }
        // Taken as it comes, so that a length alone takes no memory.
        let mut payload = Vec::with_capacity(length.min(64 << 10));
        let taken = (&mut self.stream)
            .take(length as u64)
            .read_to_end(&mut payload);
        let mut crc = [0; TRAILER];
        if taken.map_err(|e| Error::lost(&e))? < length
            || read_up_to(&mut self.stream, &mut crc)? < TRAILER
        {
            return Err(cut_off());
        }
        if payload_crc(&[&payload]) != u32::from_le_bytes(crc) {
            return Err(damaged());
        }
        Ok(Some((kind, payload)))
    }
}

fn cut_off() -> Error {
    Error::Connection("the connection broke".to_owned())
}

fn damaged() -> Error {
    Error::protocol("a frame was damaged on the way")
}

/// The number of the frame is not sent: it is known, and goes into the checksum.
fn header_crc(header: &[u8; HEADER], sequence: u32) -> u32 {
    payload_crc(&[&header[..8], &sequence.to_le_bytes()])
}

fn payload_crc(parts: &[&[u8]]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    parts.iter().for_each(|part| crc.update(part));
    crc.finalize()
}

fn read_up_to(stream: &mut impl Read, buf: &mut [u8]) -> Result<usize, Error> {
    let mut done = 0;
    while done < buf.len() {
        match stream.read(&mut buf[done..]) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::lost(&e)),
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stream() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = FrameWriter::new(&mut bytes).unwrap();
        writer.write(Type::Whole, &7u64.to_le_bytes(), &[]).unwrap();
        writer.write(Type::Data, &[1; 9], &[2; 5000]).unwrap();
        writer.write(Type::Ping, &[], &[]).unwrap();
        bytes
    }

    fn read_all(bytes: &[u8]) -> Result<Vec<(Type, Vec<u8>)>, Error> {
        let mut reader = FrameReader::new(bytes)?;
        let mut frames = Vec::new();
        while let Some(frame) = reader.read(1 << 20)? {
            frames.push(frame);
        }
        Ok(frames)
    }

    #[test]
    fn what_is_written_is_read() {
        let frames = read_all(&stream()).unwrap();
        assert_eq!(frames.len(), 3);
        assert_eq!(frames[0], (Type::Whole, 7u64.to_le_bytes().to_vec()));
        assert_eq!(frames[1].1, [vec![1; 9], vec![2; 5000]].concat());
        assert_eq!(frames[2], (Type::Ping, vec![]));
    }

    #[test]
    fn noise_is_shown() {
        let error = read_all(b"Welcome!\nmore").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the other side is not blocksync, it says: Welcome!"
        );
        assert_eq!(error.status(), 3);
        assert_eq!(
            read_all(b"").unwrap_err().to_string(),
            "the other side said nothing"
        );
        assert_eq!(
            read_all(b"\n\r\nHello\n").unwrap_err().to_string(),
            "the other side is not blocksync, it says: Hello"
        );
        let long = vec![b'x'; 1 << 20];
        assert!(read_all(&long).unwrap_err().to_string().len() < 300);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_seen() {
        let good = stream();
        for at in 0..good.len() {
            for bit in [1, 128] {
                let mut bad = good.clone();
                bad[at] ^= bit;
                assert!(read_all(&bad).is_err(), "byte {at}");
            }
            let cut = read_all(&good[..at]);
            assert!(cut.is_err() || cut.unwrap().len() < 3);
        }
    }

    /// A stream that must not be read to its end, which never comes.
    struct Endless<'a>(&'a [u8]);

    impl Read for Endless<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            assert!(!self.0.is_empty(), "waits for more");
            self.0.read(buf)
        }
    }

    #[test]
    fn a_damaged_preamble_or_header_is_seen_without_waiting_for_more() {
        let mut good = PREAMBLE.to_vec();
        let mut bytes = Vec::new();
        let mut frames = FrameWriter {
            stream: &mut bytes,
            sequence: 0,
        };
        frames.write(Type::Whole, &7u64.to_le_bytes(), &[]).unwrap();
        good.extend(&bytes[..HEADER]);
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                let seen = FrameReader::new(Endless(&bad)).and_then(|mut r| r.read(1 << 20));
                assert_eq!(seen.unwrap_err().status(), 4, "byte {at}");
            }
        }
    }

    #[test]
    fn frames_out_of_order_are_seen() {
        let mut bytes = stream();
        let (whole, ping) = (8..8 + 24, 8 + 24 + 16 + 5009..); // header, payload and trailer each
        let part = bytes[ping].to_vec();
        bytes.truncate(whole.start);
        bytes.extend(part);
        assert_eq!(read_all(&bytes).unwrap_err().status(), 4);
    }

    proptest! {
        #[test]
        fn garbage_is_an_error_in_bounded_memory(tail in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = PREAMBLE.to_vec();
            bytes.extend(tail);
            if let Ok(frames) = read_all(&bytes) {
                prop_assert!(frames.len() <= bytes.len() / HEADER);
            }
        }
    }
}
