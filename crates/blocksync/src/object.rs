//! The object of a side: a file or block device, how it is opened, read past stale caches, and
//! written.

use crate::Error;
use crate::layout::{Layout, PAGE};
use crate::message::Forced;
use crate::source::Wanted;
use blkcore::{AlignedBuffer, At, Busy, Clearer, Description, Extent, Kind};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Zeros inside of written data shorter than this are written as they are on a block device: each
/// range to clear there is a request of its own.
const LEAST_CLEAR: u64 = 64 << 10;
/// Zero ranges are made in pieces of at most this.
const CLEAR_PIECE: u64 = 1 << 30;

/// An object by its name, looked up once: what is asked of it later is about this one, whatever
/// happens to the name meanwhile.
#[derive(Debug)]
pub(crate) struct Named {
    path: PathBuf,
    /// Opened with O_PATH (open(2)): good for nothing but to be opened again.
    file: File,
}

impl Named {
    /// Looks a name up. Nothing is opened yet, as far as devices can tell.
    pub(crate) fn open(path: &Path) -> Result<Named, Error> {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(OFlag::O_PATH.bits());
        let file = options.open(path).map_err(|e| Error::usage(path, &e))?;
        let path = path.to_owned();
        Ok(Named { path, file })
    }

    /// The name that was given.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The name without links, as the kernel has it.
    pub(crate) fn real(&self) -> Result<PathBuf, Error> {
        fs::read_link(self.door()).map_err(|e| Error::usage(&self.path, &e))
    }

    /// Whether it is a block device.
    pub(crate) fn is_block(&self) -> bool {
        let meta = self.file.metadata();
        meta.is_ok_and(|meta| meta.file_type().is_block_device())
    }

    /// A name that leads to this object and no other (proc_pid_fd(5)).
    fn door(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }
}

/// An object that digests are made of, from any thread.
#[derive(Debug)]
pub(crate) struct Reader {
    path: PathBuf,
    file: File,
    description: Description,
    is_source: bool,
    /// A block device that cannot be read past the page cache.
    is_cached: bool,
    /// What SEEK_DATA said last, and from where on, so that it is asked once an extent.
    extent: Mutex<Option<(u64, Extent)>>,
}

impl Reader {
    /// Opens an object for reading. Block devices are read with O_DIRECT: what another kernel path
    /// wrote, such as a guest, is not in the page cache. Where that cannot be done the cache is
    /// dropped first.
    pub(crate) fn open(named: &Named, is_source: bool) -> Result<Reader, Error> {
        let path = named.path();
        let fail = |e: io::Error| Error::usage(path, &e);
        let meta = named.file.metadata().map_err(fail)?;
        let is_block = meta.file_type().is_block_device();
        if !is_block && !meta.is_file() {
            let why = format!(
                "{}: neither a file nor a block device",
                cli::diag::name(path)
            );
            return Err(Error::Usage(why));
        }
        let door = named.door();
        let mut options = OpenOptions::new();
        options.read(true);
        let flags = if is_block { OFlag::O_DIRECT.bits() } else { 0 };
        let mut is_cached = false;
        let file = match options.custom_flags(flags).open(&door) {
            Err(e) if is_block && e.kind() == io::ErrorKind::InvalidInput => {
                let file = options.custom_flags(0).open(&door).map_err(fail)?;
                is_cached = true;
                blkcore::flush_buffers(&file).map_err(fail)?;
                file
            }
            file => file.map_err(fail)?,
        };
        let description = blkcore::describe(&file).map_err(fail)?;
        let extent = Mutex::new(None);
        Ok(Reader {
            path: path.to_owned(),
            file,
            description,
            is_source,
            is_cached,
            extent,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its size when it was opened.
    pub(crate) fn size(&self) -> u64 {
        self.description.size
    }

    pub(crate) fn kind(&self) -> Kind {
        self.description.kind
    }

    /// One object has one identity, on every run of the machine it is on (PROTOCOL.md, "Opening").
    pub(crate) fn identity(&self) -> Result<[u8; 32], Error> {
        let numbers = blkcore::identity(&self.file).map_err(|e| Error::usage(&self.path, &e))?;
        let boot = fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let mut hasher = blake3::Hasher::new();
        hasher.update(&boot);
        for number in numbers.unwrap_or_default() {
            hasher.update(&number.to_le_bytes());
        }
        Ok(hasher.finalize().into())
    }

    /// To be called before it is read once more: forgets what is known of it.
    pub(crate) fn forget(&self) -> Result<(), Error> {
        *self.extent.lock().unwrap_or_else(|e| e.into_inner()) = None;
        if self.is_cached {
            self.drop_cache()
        } else {
            Ok(())
        }
    }

    /// How many whole segments from `index` on are in holes, which need not be read.
    pub(crate) fn holes(&self, layout: &Layout, index: u64) -> Result<u64, Error> {
        let start = layout.range(index).start;
        let mut extent = self.extent.lock().unwrap_or_else(|e| e.into_inner());
        let known = extent.filter(|(from, data)| *from <= start && start < data.end);
        let data = match known {
            Some((_, data)) => data,
            None => match blkcore::next_data(&self.file, start, layout.size()) {
                Ok(next) => next.unwrap_or(Extent::new(layout.size(), layout.size())),
                Err(e) if e.kind() == io::ErrorKind::Unsupported => {
                    Extent::new(start, layout.size())
                }
                Err(e) => return Err(self.fail(&e)),
            },
        };
        *extent = Some((start, data));
        let most = layout.neighbours(index);
        if data.start >= layout.size() {
            return Ok(most);
        }
        let data = data.start.max(start);
        let before = (data - data % layout.segment() - start) / layout.segment();
        Ok(before.min(most))
    }

    /// Whether no byte of it is allocated.
    pub(crate) fn is_empty(&self, size: u64) -> bool {
        self.description.kind == Kind::File
            && matches!(blkcore::next_data(&self.file, 0, size), Ok(None))
    }

    /// Fills `buf`, which is aligned for O_DIRECT, from `offset`.
    pub(crate) fn read(&self, buf: &mut [u8], offset: u64) -> Result<(), Error> {
        let sector = self.description.logical_sector as usize;
        if self.description.kind == Kind::Block && !buf.len().is_multiple_of(sector) {
            // The end of a copy that is shorter than the device: O_DIRECT reads whole sectors.
            let mut whole = AlignedBuffer::new(buf.len().next_multiple_of(sector), 4096);
            self.read(&mut whole, offset)?;
            buf.copy_from_slice(&whole[..buf.len()]);
            return Ok(());
        }
        blkcore::read_full_at(&self.file, buf, offset).map_err(|at| self.fail_at(&at))
    }

    /// The error of a source whose segment at `offset` is not what it was a moment ago.
    pub(crate) fn has_changed(&self, offset: u64) -> Error {
        let path = cli::diag::name(&self.path);
        self.failure(format!(
            "{path}: changed at byte {offset} while it was sent"
        ))
    }

    /// Drops what the page cache holds of it, so that the next read asks the disk.
    pub(crate) fn drop_cache(&self) -> Result<(), Error> {
        if self.description.kind == Kind::Block && !self.is_cached {
            return Ok(()); // It is read past the cache anyhow.
        }
        blkcore::drop_cache(&self.file).map_err(|e| self.fail(&e))
    }

    fn fail_at(&self, at: &At) -> Error {
        let path = cli::diag::name(&self.path);
        let text = match at.error.kind() {
            io::ErrorKind::UnexpectedEof => "the file ended".to_owned(),
            _ => cli::diag::system_text(&at.error),
        };
        self.failure(format!("{path}: read at byte {}: {text}", at.offset))
    }

    fn fail(&self, error: &io::Error) -> Error {
        self.failure(format!(
            "{}: {}",
            cli::diag::name(&self.path),
            cli::diag::system_text(error)
        ))
    }

    fn failure(&self, text: String) -> Error {
        if self.is_source {
            Error::Source(text)
        } else {
            Error::Destination(text)
        }
    }
}

/// A destination that is written.
#[derive(Debug)]
pub(crate) struct Writer {
    path: PathBuf,
    file: File,
    /// Of a file; a device is opened exclusively.
    _lock: Option<Flock<File>>,
    clearer: Clearer,
    kind: Kind,
}

/// Which sizes of the destination are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SizeRule {
    /// The same as the source's.
    Exact = 0,
    /// At least as large; what is behind stays.
    Min = 1,
    /// A file is made longer or shorter.
    Grow = 2,
}

impl SizeRule {
    pub(crate) fn from_byte(byte: u8) -> Option<SizeRule> {
        [SizeRule::Exact, SizeRule::Min, SizeRule::Grow]
            .into_iter()
            .find(|r| *r as u8 == byte)
    }

    /// Refuses a destination of `has` bytes for `needs` bytes.
    pub(crate) fn check(self, path: &Path, kind: Kind, has: u64, needs: u64) -> Result<(), Error> {
        let fits = match self {
            SizeRule::Exact => has == needs,
            SizeRule::Min => has >= needs,
            SizeRule::Grow => kind == Kind::File || has >= needs,
        };
        if fits {
            return Ok(());
        }
        let path = cli::diag::name(path);
        Err(Error::Refused(format!(
            "{path}: has {has} bytes, the source has {needs}"
        )))
    }
}

/// How long a destination may be in use by another run: that of a connection that broke may not have
/// heard of it yet.
const PATIENCE: Duration = Duration::from_secs(3);

/// Tries again for a while what fails because something is in use.
fn patiently<T>(mut open: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let until = Instant::now() + PATIENCE;
    loop {
        match open() {
            Err(e) if is_busy(&e) && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(50));
            }
            done => return done,
        }
    }
}

fn is_busy(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ResourceBusy
}

fn in_use(path: &Path) -> Error {
    let path = cli::diag::name(path);
    Error::Refused(format!("{path}: in use"))
}

/// Keeps other runs from the file; `None` where there are no locks.
fn lock(file: &File) -> io::Result<Option<Flock<File>>> {
    patiently(|| {
        let locked = Flock::lock(file.try_clone()?, FlockArg::LockExclusiveNonblock);
        match locked {
            Ok(lock) => Ok(Some(lock)),
            Err((_, Errno::EWOULDBLOCK)) => Err(io::ErrorKind::ResourceBusy.into()),
            Err(_) => Ok(None),
        }
    })
}

impl Writer {
    /// Opens an existing file or block device to be written, having asked the guards that are on.
    pub(crate) fn open(named: &Named, forced: Forced) -> Result<Writer, Error> {
        let (path, door) = (named.path(), named.door());
        let fail = |e: io::Error| Error::usage(path, &e);
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        let file = match blkcore::open_exclusive(&door, &mut options) {
            Err(e) if is_busy(&e) => {
                let users = File::open(&door).and_then(|file| blkcore::users(&file));
                let users = users.map_err(fail)?;
                refuse_users(path, &users, forced)?;
                if users.is_empty() && !forced.held {
                    patiently(|| blkcore::open_exclusive(&door, &mut options))
                } else {
                    options.custom_flags(0).open(&door)
                }
            }
            file => file,
        };
        let file = match file {
            Err(e) if is_busy(&e) => return Err(in_use(path)),
            Err(e) if e.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                let path = cli::diag::name(path);
                return Err(Error::Refused(format!("{path}: read-only")));
            }
            file => file.map_err(fail)?,
        };
        let description = blkcore::describe(&file).map_err(fail)?;
        if description.read_only {
            let path = cli::diag::name(path);
            return Err(Error::Refused(format!("{path}: read-only")));
        }
        refuse_users(path, &blkcore::users(&file).map_err(fail)?, forced)?;
        let lock = match description.kind {
            Kind::File if !forced.held => lock(&file).map_err(|_| in_use(path))?,
            _ => None,
        };
        let clearer = Clearer::new(&description);
        Ok(Writer {
            path: path.to_owned(),
            file,
            _lock: lock,
            clearer,
            kind: description.kind,
        })
    }

    /// Gives a file this size.
    pub(crate) fn resize(&self, size: u64) -> Result<(), Error> {
        let meta = self
            .file
            .metadata()
            .map_err(|e| Error::destination(&self.path, &e))?;
        if !meta.is_file() || meta.len() == size {
            return Ok(());
        }
        self.file
            .set_len(size)
            .map_err(|e| Error::destination(&self.path, &e))
    }

    pub(crate) fn clear(&mut self, range: Extent) -> Result<(), Error> {
        for piece in range.blocks(CLEAR_PIECE) {
            let cleared = self.clearer.clear(&self.file, piece);
            cleared.map_err(|at| self.fail("clear", &at))?;
        }
        Ok(())
    }

    /// Writes pages of a segment; of these, zeros are cleared where that is worth it.
    pub(crate) fn write(
        &mut self,
        layout: &Layout,
        segment: u64,
        wanted: &Wanted,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let base = layout.range(segment).start;
        let least = if self.kind == Kind::Block {
            LEAST_CLEAR
        } else {
            PAGE
        };
        let mut rest = bytes;
        for range in wanted.ranges(layout, segment).iter() {
            let (this, tail) = rest.split_at(range.len() as usize);
            rest = tail;
            self.write_run(base + range.start, this, least)?;
        }
        Ok(())
    }

    /// Writes `bytes` at `offset`, but for runs of at least `least` zeros, which are cleared.
    fn write_run(&mut self, offset: u64, bytes: &[u8], least: u64) -> Result<(), Error> {
        let data = blkcore::nonzero_runs(bytes, offset, PAGE);
        let all = Extent::new(offset, offset + bytes.len() as u64);
        let data: blkcore::ExtentList = data.collect();
        let zeros = blkcore::ExtentList::from_iter([all]).difference(&data);
        let zeros: blkcore::ExtentList = zeros.iter().filter(|z| z.len() >= least).collect();
        for run in blkcore::ExtentList::from_iter([all])
            .difference(&zeros)
            .iter()
        {
            let part = &bytes[(run.start - offset) as usize..(run.end - offset) as usize];
            let written = blkcore::write_full_at(&self.file, part, run.start);
            written.map_err(|at| self.fail("write", &at))?;
        }
        zeros.iter().try_for_each(|run| self.clear(run))
    }

    /// Has everything that was written on the disk.
    pub(crate) fn flush(&self) -> Result<(), Error> {
        let synced = self.file.sync_data();
        synced.map_err(|e| self.fail_at_end("fdatasync", &e))
    }

    /// Has everything on the disk; a block device's cache is dropped too, for those who read it by
    /// another path.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.flush()?;
        if self.kind == Kind::Block {
            match blkcore::flush_buffers(&self.file) {
                // Without privilege it stays, and is equal to the disk: all has been written out.
                Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {}
                flushed => flushed.map_err(|e| self.fail_at_end("BLKFLSBUF", &e))?,
            }
        }
        cli::output::close_copy(&self.file).map_err(|e| self.fail_at_end("close", &e))
    }

    fn fail_at_end(&self, doing: &str, error: &io::Error) -> Error {
        let (path, text) = (cli::diag::name(&self.path), cli::diag::system_text(error));
        Error::Destination(format!("{path}: {doing}: {text}"))
    }

    fn fail(&self, doing: &str, at: &At) -> Error {
        let text = cli::diag::system_text(&at.error);
        let path = cli::diag::name(&self.path);
        Error::Destination(format!("{path}: {doing} at byte {}: {text}", at.offset))
    }
}

/// Refuses a destination that one of these uses, unless the guard against that is off.
fn refuse_users(path: &Path, users: &[Busy], forced: Forced) -> Result<(), Error> {
    let refused = users.iter().find(|user| match user {
        Busy::Mounted(_) => !forced.mounted,
        Busy::Swap => !forced.swap,
        Busy::Held(_) => !forced.held,
    });
    refused.map_or(Ok(()), |user| {
        let path = cli::diag::name(path);
        Err(Error::Refused(format!("{path}: {user}")))
    })
}
