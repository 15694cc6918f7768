//! What is copied from: a file, a block device, or a stream, and which of its bytes are allocated.
//! A base (what the destination holds already) is read in the same way.

use crate::Error;
use crate::destination::{Destination, check_signal};
use blkcore::{Description, Extent, ExtentList, Kind};
use nix::poll::{PollFd, PollFlags, poll};
use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How long (milliseconds) a stream is waited for before the next look for a signal.
const SIGNAL_INTERVAL: u8 = 200;

/// An open source.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    file: File,
    is_stream: bool,
    size: Option<u64>,
    data: ExtentList,
    stamp: Option<Stamp>,
    bytes_read: Cell<u64>,
}

/// What changes when a regular file is written to.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    size: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl Source {
    /// Opens `path` (`-` is standard input) to copy `wanted` bytes of it, or all.
    pub(crate) fn open(path: &Path, wanted: Option<u64>) -> Result<Source, Error> {
        if path.as_os_str() == "-" {
            let name = Path::new("standard input");
            let stdin = cli::input::descriptor().map_err(|e| Error::system(name, e))?;
            let file = File::from(stdin);
            return Source::of_file(name, file, wanted);
        }
        let file = File::open(path).map_err(|e| Error::system(path, e))?;
        Source::of_file(path, file, wanted)
    }

    /// Opens what `--base` names: all of a file or block device, other than the destination's
    /// bytes at other offsets.
    pub(crate) fn base(path: &Path, destination: &Destination) -> Result<Source, Error> {
        let mut base = Source::open(path, None)?;
        if base.is_stream {
            if !base.file.metadata().is_ok_and(|meta| meta.is_file()) {
                let why = "a base must be a file or a block device";
                return Err(Error::unfit(path, why));
            }
            base = Source::with_map(path, base.file, 0, ExtentList::new());
        }
        if destination.admit_base(path, &base.file)? {
            // It will change while it is read.
            base.stamp = None;
        }
        // A destination that is shorter does not hold the rest of the base.
        let len = base.size.unwrap_or(0).min(destination.size());
        base.data = base.data.clip(len);
        base.size = Some(len);
        Ok(base)
    }

    fn of_file(path: &Path, file: File, wanted: Option<u64>) -> Result<Source, Error> {
        let system = |e| Error::system(path, e);
        let description = blkcore::describe(&file).map_err(system)?;
        if description.kind == Kind::Directory {
            return Err(system(nix::errno::Errno::EISDIR.into()));
        }
        if !has_offsets(&file, &description) {
            return Ok(Source::stream(path, file, wanted));
        }
        // The times are looked at before the map: what is changed while that is made is noticed.
        let stamp = match description.kind {
            Kind::File => Some(stamp_of(&file).map_err(system)?),
            _ => None,
        };
        let has = stamp.as_ref().map_or(description.size, |stamp| stamp.size);
        let size = wanted.unwrap_or(has);
        if size > has {
            let why = format!("has {has} bytes, fewer than the {size} to copy");
            return Err(Error::unfit(path, why));
        }
        let data = match blkcore::data_extents(&file, size) {
            Err(e) if e.kind() == io::ErrorKind::Unsupported => ExtentList::full(size),
            data => data.map_err(|e| Error::doing(path, "SEEK_DATA", e))?,
        };
        let mut source = Source::with_map(path, file, size, data);
        source.stamp = stamp;
        Ok(source)
    }

    /// A stream of `size` bytes, or to its end.
    pub(crate) fn stream(path: &Path, file: File, size: Option<u64>) -> Source {
        let most = size.unwrap_or(u64::MAX);
        let mut source = Source::with_map(path, file, most, ExtentList::full(most));
        source.is_stream = true;
        source.size = size;
        source
    }

    /// The first `size` bytes of `file`, which holds zeros outside of `data`.
    pub(crate) fn with_map(path: &Path, file: File, size: u64, data: ExtentList) -> Source {
        Source {
            path: path.to_owned(),
            file,
            is_stream: false,
            size: Some(size),
            data,
            stamp: None,
            bytes_read: Cell::new(0),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// How many bytes are copied; `None` for a stream that is read to its end.
    pub(crate) fn size(&self) -> Option<u64> {
        self.size
    }

    /// Where it may hold anything but zeros.
    pub(crate) fn data(&self) -> &ExtentList {
        &self.data
    }

    /// Bytes that were read so far; those of holes are not.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.bytes_read.get()
    }

    /// Fills `buf` from `offset`; what is not allocated is filled in without reading. Returns less
    /// than the length of `buf` only at the end of a stream without a given size. Streams must be
    /// read in order.
    pub(crate) fn read(&self, buf: &mut [u8], offset: u64) -> Result<usize, Error> {
        if self.is_stream {
            return self.read_stream(buf, offset);
        }
        let range = Extent::new(offset, offset + buf.len() as u64);
        let mut filled = offset;
        let index = |at: u64| (at - offset) as usize;
        for data in self.data.within(range) {
            buf[index(filled)..index(data.start)].fill(0);
            let part = &mut buf[index(data.start)..index(data.end)];
            blkcore::read_full_at(&self.file, part, data.start).map_err(|at| {
                match at.error.kind() {
                    io::ErrorKind::UnexpectedEof => self.ended_early(at.offset),
                    _ => Error::at(&self.path, "read", at),
                }
            })?;
            self.bytes_read.update(|n| n + data.len());
            filled = data.end;
        }
        buf[index(filled)..].fill(0);
        Ok(buf.len())
    }

    fn read_stream(&self, buf: &mut [u8], offset: u64) -> Result<usize, Error> {
        let mut done = 0;
        while done < buf.len() {
            wait_readable(&self.file)?;
            match (&self.file).read(&mut buf[done..]) {
                Ok(0) if self.size.is_some() => {
                    let why = format!("ended after {} bytes", offset + done as u64);
                    return Err(Error::unfit(&self.path, why));
                }
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let at = blkcore::At {
                        offset: offset + done as u64,
                        error,
                    };
                    return Err(Error::at(&self.path, "read", at));
                }
            }
        }
        self.bytes_read.update(|n| n + done as u64);
        Ok(done)
    }

    fn ended_early(&self, at: u64) -> Error {
        match self.check_unchanged() {
            // Some files of /sys are shorter than they say.
            Ok(()) if self.stamp.is_some() => {
                Error::unfit(&self.path, format!("ended at byte {at}"))
            }
            _ => {
                let why = format!("ended at byte {at} while it was copied");
                Error::Changed {
                    path: self.path.clone(),
                    why,
                }
            }
        }
    }

    /// That nobody wrote to it since it was opened, as far as a regular file's times tell.
    pub(crate) fn check_unchanged(&self) -> Result<(), Error> {
        let Some(stamp) = &self.stamp else {
            return Ok(());
        };
        if *stamp != stamp_of(&self.file).map_err(|e| Error::system(&self.path, e))? {
            let why = "changed while it was copied".to_owned();
            return Err(Error::Changed {
                path: self.path.clone(),
                why,
            });
        }
        Ok(())
    }
}

fn stamp_of(file: &File) -> io::Result<Stamp> {
    let meta = file.metadata()?;
    Ok(Stamp {
        size: meta.len(),
        seconds: meta.mtime(),
        nanoseconds: meta.mtime_nsec(),
    })
}

/// Waits for a stream to have something, hearing signals meanwhile: a read would not be interrupted.
fn wait_readable(file: &File) -> Result<(), Error> {
    loop {
        check_signal()?;
        let mut polled = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
        // What cannot be polled is left to the read.
        if poll(&mut polled, SIGNAL_INTERVAL) != Ok(0) {
            return Ok(());
        }
    }
}

/// Whether a source can be read at any offset. Standard input that was read from already cannot
/// (its first byte is not the image's), and files of `/proc`, which say that they are empty.
fn has_offsets(mut file: &File, description: &Description) -> bool {
    match description.kind {
        Kind::File if description.size == 0 => false,
        Kind::File | Kind::Block => io::Seek::stream_position(&mut file).is_ok_and(|at| at == 0),
        Kind::Directory | Kind::Stream => false,
    }
}
