//! The data of an entry, decrypted and decompressed.
//!
//! Stored and deflated entries are read here: those that fit into memory are inflated at once, by
//! libdeflate, larger ones by zlib-rs as they come. Everything else goes through the `zip` crate:
//! it is shown a header made up from what is known and then the data, as if they came in a stream.
//! Nothing else of this program knows that crate.

use flate2::{Decompress, FlushDecompress, Status};
use std::io::{self, Cursor, Read};
use std::sync::mpsc;
use std::thread;
use zip::read::{ZipFile, ZipReadOptions, read_zipfile_from_stream_with_options};
use zip::result::ZipError;

use crate::archive::{Archive, u16_at, u32_at};
use crate::directory::{AES, DEFLATED, FLAG_ENCRYPTED, IMPLODED, LZMA, SHRUNK, STORED};
use crate::extra;
use crate::local::Local;

/// Entries up to this size are read and inflated whole.
const WHOLE: u64 = 2 << 20;
const READ: usize = 128 << 10;
const WRITE: usize = 256 << 10;
/// Of data that break off, as many whole windows are written as Info-ZIP writes.
const WINDOW: u64 = 64 << 10;
/// Old methods are decoded in memory; they are from a time of floppy disks.
const MOST_OLD: u64 = 512 << 20;

/// What is to be decoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub(crate) archive: &'a Archive,
    pub(crate) local: &'a Local,
    /// Below encryption.
    pub(crate) method: u16,
    pub(crate) password: Option<&'a [u8]>,
    /// Sizes and CRC stood behind the data when this was encrypted.
    pub(crate) streamed: bool,
}

/// What came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub(crate) size: u64,
    pub(crate) crc: u32,
    /// The data carry a proof of their own (AES), and no CRC.
    pub(crate) authentic: bool,
}

/// Why decoding ended early.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The data are not as the method wants them.
    Invalid,
    /// There are more than the header says.
    TooLong,
    /// The method takes more memory than it may.
    Memory,
    BadPassword,
    /// The archive cannot be read.
    Read(io::Error),
    /// The data cannot be written.
    Write(io::Error),
    /// A signal asks to stop.
    Stopped,
}

/// Where data go to.
pub(crate) trait Sink: Send {
    /// Takes the next data.
    fn write(&mut self, data: &[u8]) -> io::Result<()>;
}

impl<F: FnMut(&[u8]) -> io::Result<()> + Send> Sink for F {
    fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self(data)
    }
}

/// Buffers that are used again from entry to entry.
pub(crate) struct Scratch {
    packed: Vec<u8>,
    plain: Vec<u8>,
    whole: libdeflater::Decompressor,
    stream: Decompress,
}

impl Scratch {
    pub(crate) fn new() -> Scratch {
        Scratch {
            packed: Vec::new(),
            plain: Vec::new(),
            whole: libdeflater::Decompressor::new(),
            stream: Decompress::new(false),
        }
    }
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scratch").finish_non_exhaustive()
    }
}

/// Counts, checks and passes on. What is not a whole window waits for the end.
struct Meter<'a> {
    sink: &'a mut dyn Sink,
    crc: crc32fast::Hasher,
    size: u64,
    most: u64,
}

impl<'a> Meter<'a> {
    fn new(sink: &'a mut dyn Sink, most: u64) -> Meter<'a> {
        Meter {
            sink,
            crc: crc32fast::Hasher::new(),
            size: 0,
            most,
        }
    }

    fn pass(&mut self, data: &[u8]) -> Result<(), Fault> {
        if cli::signal::stop_requested().is_some() {
            return Err(Fault::Stopped);
        }
        let room = self.most - self.size;
        let fits = &data[..data.len().min(usize::try_from(room).unwrap_or(usize::MAX))];
        self.crc.update(fits);
        self.size += fits.len() as u64;
        self.sink.write(fits).map_err(Fault::Write)?;
        if fits.len() < data.len() {
            return Err(Fault::TooLong);
        }
        Ok(())
    }

    /// The data broke off here: passes on what ends at a window.
    fn broken(&mut self, pending: &[u8]) -> Result<(), Fault> {
        let end = (self.size + pending.len() as u64) / WINDOW * WINDOW;
        let keep = end.saturating_sub(self.size) as usize;
        self.pass(&pending[..keep])
    }

    fn done(self) -> Decoded {
        Decoded {
            size: self.size,
            crc: self.crc.finalize(),
            authentic: false,
        }
    }
}

impl Source<'_> {
    /// Decodes all into `sink`. With `aside` inflating and writing go on at the same time.
    pub(crate) fn decode(
        &self,
        scratch: &mut Scratch,
        sink: &mut dyn Sink,
        aside: bool,
    ) -> Result<Decoded, Fault> {
        let local = self.local;
        let plain = local.flags & FLAG_ENCRYPTED == 0;
        match local.method {
            STORED if plain => self.stored(scratch, sink),
            DEFLATED if plain => {
                if local.size <= WHOLE
                    && local.packed <= WHOLE
                    && let Some(decoded) = self.whole(scratch, sink)?
                {
                    return Ok(decoded);
                }
                if aside {
                    self.inflate_aside(scratch, sink)
                } else {
                    let mut meter = Meter::new(sink, local.size);
                    self.inflate(scratch, &mut meter)?;
                    Ok(meter.done())
                }
            }
            _ => self.other(scratch, sink),
        }
    }

    /// Whether the password opens this entry. The check lets one in 256 or 65536 wrong ones pass.
    pub(crate) fn accepts(&self, password: &[u8]) -> Result<bool, Fault> {
        let source = Source {
            password: Some(password),
            ..*self
        };
        let mut feed = source.feed(Vec::new())?;
        match open(&mut feed, source.password) {
            Ok(_) => Ok(true),
            Err(Fault::BadPassword) => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    fn stored(&self, scratch: &mut Scratch, sink: &mut dyn Sink) -> Result<Decoded, Fault> {
        let local = self.local;
        // Of a stored entry the length of the data counts, as Info-ZIP has it.
        let mut meter = Meter::new(sink, local.packed);
        scratch.packed.resize(WRITE, 0);
        let mut at = 0;
        while at < local.packed {
            let len = (local.packed - at).min(WRITE as u64) as usize;
            let piece = &mut scratch.packed[..len];
            let read = self
                .archive
                .read_at(piece, local.data.saturating_add(at))
                .map_err(Fault::Read)?;
            if read == 0 {
                break;
            }
            meter.pass(&piece[..read])?;
            at += read as u64;
        }
        Ok(meter.done())
    }

    /// Inflates at once; `None` if that does not work out and has to be done bit by bit.
    fn whole(&self, scratch: &mut Scratch, sink: &mut dyn Sink) -> Result<Option<Decoded>, Fault> {
        let local = self.local;
        // Room for one byte, since libdeflate takes none for no room.
        let (packed, plain) = (local.packed as usize, local.size as usize);
        grow(&mut scratch.packed, packed);
        grow(&mut scratch.plain, plain);
        let packed = &mut scratch.packed[..packed];
        let read = self
            .archive
            .read_at(packed, local.data)
            .map_err(Fault::Read)?;
        let plain = &mut scratch.plain[..plain];
        let Ok(size) = scratch.whole.deflate_decompress(&packed[..read], plain) else {
            return Ok(None);
        };
        let mut meter = Meter::new(sink, local.size);
        meter.pass(&plain[..size])?;
        Ok(Some(meter.done()))
    }

    fn inflate(&self, scratch: &mut Scratch, meter: &mut Meter) -> Result<(), Fault> {
        scratch.plain.resize(WRITE.max(scratch.plain.len()), 0);
        let mut plain = std::mem::take(&mut scratch.plain);
        let mut filled = 0;
        let result = self.inflate_into(scratch, &mut plain, &mut filled, &mut |piece| {
            meter.pass(piece)
        });
        let result = match result {
            Ok(()) => meter.pass(&plain[..filled]),
            Err(Fault::Invalid) => meter.broken(&plain[..filled]).and(Err(Fault::Invalid)),
            Err(fault) => Err(fault),
        };
        scratch.plain = plain;
        result
    }

    /// Inflates into `plain`, and hands it on whenever it is full; the callee may give another
    /// buffer for it. What is left in it at the end is `filled`.
    fn inflate_into(
        &self,
        scratch: &mut Scratch,
        plain: &mut Vec<u8>,
        filled: &mut usize,
        full: &mut dyn FnMut(&mut Vec<u8>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let local = self.local;
        scratch.stream.reset(false);
        scratch.packed.resize(READ.max(scratch.packed.len()), 0);
        let (mut at, mut used, mut there) = (0, 0, 0);
        loop {
            if used == there && at < local.packed {
                let len = (local.packed - at).min(READ as u64) as usize;
                let piece = &mut scratch.packed[..len];
                there = self
                    .archive
                    .read_at(piece, local.data.saturating_add(at))
                    .map_err(Fault::Read)?;
                used = 0;
                at += there as u64;
                if there == 0 {
                    at = local.packed;
                }
            }
            let (before_in, before_out) = (scratch.stream.total_in(), scratch.stream.total_out());
            let status = scratch.stream.decompress(
                &scratch.packed[used..there],
                &mut plain[*filled..],
                FlushDecompress::None,
            );
            let taken = (scratch.stream.total_in() - before_in) as usize;
            let given = (scratch.stream.total_out() - before_out) as usize;
            used += taken;
            *filled += given;
            match status {
                Ok(Status::StreamEnd) => return Ok(()),
                Err(_) => return Err(Fault::Invalid),
                Ok(_) if *filled == plain.len() => {
                    full(plain)?;
                    *filled = 0;
                }
                // No progress, and no more data.
                Ok(_) if taken == 0 && given == 0 && used == there && at >= local.packed => {
                    return Err(Fault::Invalid);
                }
                Ok(_) => {}
            }
        }
    }

    /// Inflates in this thread, while another one checks and writes.
    fn inflate_aside(&self, scratch: &mut Scratch, sink: &mut dyn Sink) -> Result<Decoded, Fault> {
        const BUFFERS: usize = 4;
        let meter = Meter::new(sink, self.local.size);
        let (full_in, full_out) = mpsc::sync_channel::<(Vec<u8>, usize, bool)>(BUFFERS);
        let (free_in, free_out) = mpsc::channel();
        for _ in 1..BUFFERS {
            let _ = free_in.send(vec![0; WRITE]); // the receiver is here
        }
        thread::scope(|scope| {
            // It owns its ends of the channels: when it fails, nobody waits for a buffer any more.
            let writer = thread::Builder::new().spawn_scoped(scope, move || {
                let mut meter = meter;
                for (buffer, filled, broken) in full_out {
                    let data = &buffer[..filled];
                    if broken {
                        meter.broken(data)?;
                    } else {
                        meter.pass(data)?;
                    }
                    let _ = free_in.send(buffer); // nobody needs it at the end
                }
                Ok(meter.done())
            });
            let Ok(writer) = writer else {
                return Err(Fault::Memory);
            };
            let mut plain = vec![0; WRITE];
            let mut filled = 0;
            let inflated = self.inflate_into(scratch, &mut plain, &mut filled, &mut |buffer| {
                // The writer is gone when it failed; it says why.
                let Ok(next) = free_out.recv() else {
                    return Err(Fault::Stopped);
                };
                let whole = std::mem::replace(buffer, next);
                let len = whole.len();
                full_in
                    .send((whole, len, false))
                    .map_err(|_| Fault::Stopped)?;
                Ok(())
            });
            let broken = inflated.is_err();
            let _ = full_in.send((plain, filled, broken)); // as above
            drop(full_in);
            let written = writer.join().unwrap_or(Err(Fault::Invalid));
            match (inflated, written) {
                (_, Err(fault)) => Err(fault),
                (Err(fault), _) => Err(fault),
                (Ok(()), Ok(decoded)) => Ok(decoded),
            }
        })
    }

    /// Any method, encrypted or not.
    fn other(&self, scratch: &mut Scratch, sink: &mut dyn Sink) -> Result<Decoded, Fault> {
        let local = self.local;
        if matches!(self.method, SHRUNK..=IMPLODED) && local.size > MOST_OLD {
            return Err(Fault::Memory);
        }
        let mut feed = self.feed(std::mem::take(&mut scratch.packed))?;
        let mut meter = Meter::new(sink, local.size);
        scratch.plain.resize(WINDOW as usize, 0);
        let result = self.copy(&mut feed, &mut scratch.plain, &mut meter);
        if let Some(error) = feed.error.take() {
            return Err(Fault::Read(error));
        }
        scratch.packed = feed.buffer;
        result?;
        let version = extra::block(&local.extra, extra::AES).filter(|aes| aes.len() >= 7);
        Ok(Decoded {
            authentic: local.method == AES && version.is_some_and(|aes| u16_at(aes, 0) == 2),
            ..meter.done()
        })
    }

    fn copy(&self, feed: &mut Feed, window: &mut [u8], meter: &mut Meter) -> Result<(), Fault> {
        let mut reader = open(feed, self.password)?;
        loop {
            let mut filled = 0;
            while filled < window.len() {
                match reader.read(&mut window[filled..]) {
                    Ok(0) => return meter.pass(&window[..filled]),
                    Ok(n) => filled += n,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => {
                        // What was read of a window is not flushed, as with Info-ZIP.
                        return Err(match e.kind() {
                            io::ErrorKind::OutOfMemory => Fault::Memory,
                            _ if e.to_string().contains("larger than its declared") => {
                                Fault::TooLong
                            }
                            _ => Fault::Invalid,
                        });
                    }
                }
            }
            meter.pass(&window[..filled])?;
        }
    }

    /// A header as the zip crate wants it, and then the data.
    fn feed(&self, mut buffer: Vec<u8>) -> Result<Feed<'_>, Fault> {
        let local = self.local;
        let aes = extra::block(&local.extra, extra::AES).filter(|_| local.method == AES);
        let mut fields = Vec::new();
        let wide = local.packed >= 0xFFFF_FFFF || local.size >= 0xFFFF_FFFF;
        if wide {
            fields.extend([1, 0, 16, 0]);
            fields.extend(local.size.to_le_bytes());
            fields.extend(local.packed.to_le_bytes());
        }
        if let Some(aes) = aes {
            fields.extend(extra::AES.to_le_bytes());
            fields.extend((aes.len() as u16).to_le_bytes());
            fields.extend(aes);
        }
        // The last byte of the encryption header is checked with the time or with the CRC.
        let check = match self.streamed {
            true => (local.dos_time >> 8 & 0xFF) << 24,
            false => local.crc,
        };
        let narrow = |size: u64| {
            let size = if wide { u32::MAX } else { size as u32 };
            size.to_le_bytes()
        };
        let mut head = b"PK\x03\x04".to_vec();
        head.extend(20_u16.to_le_bytes());
        head.extend((local.flags & 0b111).to_le_bytes());
        head.extend(local.method.to_le_bytes());
        head.extend(local.dos_time.to_le_bytes());
        head.extend(check.to_le_bytes());
        head.extend(narrow(local.packed));
        head.extend(narrow(local.size));
        head.extend([0, 0]);
        head.extend((fields.len() as u16).to_le_bytes());
        head.extend(fields);
        let mut at = 0;
        if local.method == LZMA && local.flags & FLAG_ENCRYPTED == 0 && local.packed >= 9 {
            head.extend(self.lzma_properties()?);
            at = 9;
        }
        buffer.resize(READ.max(buffer.len()), 0);
        Ok(Feed {
            head: Cursor::new(head),
            archive: self.archive,
            at: local.data.saturating_add(at),
            end: local.end(),
            buffer,
            used: 0,
            there: 0,
            error: None,
            asked_in_vain: 0,
        })
    }

    /// The properties of LZMA data, with a dictionary no larger than the data can make use of.
    fn lzma_properties(&self) -> Result<[u8; 9], Fault> {
        let properties = self.archive.array::<9>(self.local.data);
        let mut properties = properties.map_err(Fault::Read)?.ok_or(Fault::Invalid)?;
        let useful = u32::try_from(self.local.size.max(4096)).unwrap_or(u32::MAX);
        let dictionary = u32_at(&properties, 5).min(useful);
        properties[5..].copy_from_slice(&dictionary.to_le_bytes());
        Ok(properties)
    }
}

/// Opens the entry that `feed` pretends to be.
fn open<'f, 'a>(
    feed: &'f mut Feed<'a>,
    password: Option<&'f [u8]>,
) -> Result<ZipFile<'f, Feed<'a>>, Fault> {
    let options = ZipReadOptions::new().password(password).ignore_crc32(true);
    match read_zipfile_from_stream_with_options(feed, options) {
        Ok(Some(reader)) => Ok(reader),
        Err(ZipError::InvalidPassword) => Err(Fault::BadPassword),
        Ok(None) | Err(_) => Err(Fault::Invalid),
    }
}

fn grow(buffer: &mut Vec<u8>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, 0);
    }
}

/// Bytes made up, then bytes of the archive.
struct Feed<'a> {
    head: Cursor<Vec<u8>>,
    archive: &'a Archive,
    at: u64,
    end: u64,
    buffer: Vec<u8>,
    used: usize,
    there: usize,
    error: Option<io::Error>,
    asked_in_vain: u32,
}

/// How often a decoder may ask for more than there is.
const PATIENCE: u32 = 64;

impl Read for Feed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let made_up = self.head.read(buffer)?;
        if made_up > 0 || buffer.is_empty() {
            return Ok(made_up);
        }
        if self.used == self.there {
            let len = (self.end.saturating_sub(self.at)).min(READ as u64) as usize;
            match self.archive.read_at(&mut self.buffer[..len], self.at) {
                Ok(read) => (self.used, self.there) = (0, read),
                Err(e) => {
                    let told = io::Error::from(e.kind());
                    self.error = Some(e);
                    return Err(told);
                }
            }
            self.at += self.there as u64;
            if self.there == 0 {
                // Some decoders go on with nothing for as long as the header says.
                self.asked_in_vain += 1;
                if self.asked_in_vain > PATIENCE {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
        let len = buffer.len().min(self.there - self.used);
        buffer[..len].copy_from_slice(&self.buffer[self.used..self.used + len]);
        self.used += len;
        Ok(len)
    }
}
