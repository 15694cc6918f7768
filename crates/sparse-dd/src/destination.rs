//! What is copied to: its guards, what it may hold before, and how its bytes are written and made
//! zero.

use crate::args::Args;
use crate::new_file::NewFile;
use crate::{Error, Source};
use blkcore::{At, Clearer, Description, Extent, ExtentList, Kind};
use nix::errno::Errno;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Zero ranges are made in pieces of at most this, so that a signal is heard in between.
const CLEAR_PIECE: u64 = 1 << 30;

/// An open destination.
#[derive(Debug)]
pub(crate) struct Destination {
    path: PathBuf,
    target: Target,
    /// Only where there is something to write to.
    clearer: Option<Clearer>,
    /// Its size when it was opened.
    size: u64,
    is_block: bool,
    /// A regular file ends where the copy does.
    ends_with_copy: bool,
    /// It may hold a part of the copy.
    is_touched: bool,
    counts: Counts,
}

#[derive(Debug)]
enum Target {
    /// Not there before: gets its name when the copy is whole.
    New(NewFile),
    /// A file or block device that is written in place.
    InPlace(File),
    /// Written from first to last byte; `at` is the next one. `has_disk` for a file or block device
    /// that is standard output.
    Stream { file: File, at: u64, has_disk: bool },
    /// Nothing: a dry run.
    Dry,
    /// All is done.
    Done,
}

/// What was done to it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Writes of data.
    pub(crate) writes: u64,
    /// Bytes of data written; zeros inside of a written run count.
    pub(crate) written: u64,
    /// Bytes made zero, by whatever way.
    pub(crate) cleared: u64,
}

impl Destination {
    /// Opens (or, when it is not there, begins) what the arguments name, having asked its guards.
    /// Nothing is written yet. Returns also where it may hold anything but zeros, below the size of
    /// the copy.
    pub(crate) fn open(args: &Args, source: &Source) -> Result<(Destination, ExtentList), Error> {
        let path = args.destination.as_path();
        if path.as_os_str() == "-" {
            let name = Path::new("standard output");
            cli::signal::default_sigpipe();
            let stdout = cli::output::descriptor().map_err(|e| Error::system(name, e))?;
            return Destination::stream(name, File::from(stdout), args, source);
        }
        let system = |e| Error::system(path, e);
        if args.dry_run && fs::metadata(path).is_ok_and(|meta| is_stream(meta.file_type())) {
            // To open it would be heard at the other end.
            return Destination::dry_stream(path, args, source);
        }
        let mut options = OpenOptions::new();
        options.read(args.dry_run).write(!args.dry_run);
        let file = match blkcore::open_exclusive(path, &mut options) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Destination::begin(args),
            Err(e) if e.kind() == io::ErrorKind::ResourceBusy => match args.force {
                true => options.custom_flags(0).open(path),
                false => return Err(Destination::in_use(path)),
            },
            file => file,
        };
        let file = file.map_err(system)?;
        let description = blkcore::describe(&file).map_err(system)?;
        match description.kind {
            Kind::Directory => return Err(system(Errno::EISDIR.into())),
            Kind::Stream => return Destination::stream(path, file, args, source),
            Kind::File | Kind::Block => guard(path, &file, &description, args, source)?,
        }
        let size = description.size.min(source.size().unwrap_or(u64::MAX));
        let dirt = match description.kind {
            _ if args.prezeroed => ExtentList::new(),
            Kind::File => allocated(&file, size).map_err(|e| Error::doing(path, "SEEK_DATA", e))?,
            _ => ExtentList::full(size),
        };
        let target = if args.dry_run {
            Target::Dry
        } else {
            Target::InPlace(file)
        };
        let mut destination = Destination::new(path, target, Some(&description));
        destination.ends_with_copy = description.kind == Kind::File && args.size.is_none();
        Ok((destination, dirt))
    }

    /// A file that is not there yet.
    fn begin(args: &Args) -> Result<(Destination, ExtentList), Error> {
        let path = args.destination.as_path();
        let name = path.as_os_str().as_bytes();
        if fs::symlink_metadata(path).is_ok() {
            return Err(Error::unfit(path, "a symbolic link to nothing"));
        }
        if name.ends_with(b"/") {
            return Err(Error::system(path, Errno::EISDIR.into()));
        }
        if args.base.is_some() || name.is_empty() || name.ends_with(b"/.") {
            return Err(Error::system(path, Errno::ENOENT.into()));
        }
        let mut destination = if args.dry_run {
            Destination::new(path, Target::Dry, None)
        } else {
            let file = NewFile::create(path)?;
            let description = blkcore::describe(file.file());
            let description = description.map_err(|e| Error::system(path, e))?;
            Destination::new(path, Target::New(file), Some(&description))
        };
        destination.ends_with_copy = true;
        Ok((destination, ExtentList::new()))
    }

    /// A pipe, a character device, or whatever is standard output: there every byte is written, zeros
    /// too.
    fn stream(
        name: &Path,
        file: File,
        args: &Args,
        source: &Source,
    ) -> Result<(Destination, ExtentList), Error> {
        let (mut destination, dirt) = Destination::dry_stream(name, args, source)?;
        let description = blkcore::describe(&file).map_err(|e| Error::system(name, e))?;
        let has_disk = matches!(description.kind, Kind::File | Kind::Block);
        if has_disk {
            guard(name, &file, &description, args, source)?;
        }
        if !args.dry_run {
            destination.target = Target::Stream {
                file,
                at: 0,
                has_disk,
            };
        }
        Ok((destination, dirt))
    }

    fn dry_stream(
        name: &Path,
        args: &Args,
        source: &Source,
    ) -> Result<(Destination, ExtentList), Error> {
        if args.prezeroed || args.base.is_some() {
            let why = "a stream cannot hold anything before it is written";
            return Err(Error::unfit(name, why));
        }
        let dirt = ExtentList::full(source.size().unwrap_or(u64::MAX));
        Ok((Destination::new(name, Target::Dry, None), dirt))
    }

    /// A file of memory for the self-test, written in place.
    pub(crate) fn in_memory(file: File) -> Result<Destination, Error> {
        let path = Path::new("memory");
        let description = blkcore::describe(&file).map_err(|e| Error::system(path, e))?;
        Ok(Destination::new(
            path,
            Target::InPlace(file),
            Some(&description),
        ))
    }

    fn new(path: &Path, target: Target, description: Option<&Description>) -> Destination {
        let is_block = description.is_some_and(|d| d.kind == Kind::Block);
        Destination {
            path: path.to_owned(),
            target,
            size: description.map_or(0, |d| d.size),
            is_block,
            clearer: description.map(Clearer::new),
            ends_with_copy: false,
            is_touched: false,
            counts: Counts::default(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Its size before the copy; 0 for what has none.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Refuses a base that shares bytes with the destination, unless it is the destination itself:
    /// then each block is read before it is written. Returns whether it is.
    pub(crate) fn admit_base(&self, path: &Path, base: &File) -> Result<bool, Error> {
        let Target::InPlace(file) = &self.target else {
            return Ok(false);
        };
        let system = |e| Error::system(path, e);
        let (a, b) = (
            file.metadata().map_err(system)?,
            base.metadata().map_err(system)?,
        );
        let is_same = (a.dev(), a.ino()) == (b.dev(), b.ino());
        if !is_same && blkcore::overlaps(file, base).map_err(system)? {
            return Err(Error::refused(
                path,
                "is the destination under another name",
            ));
        }
        Ok(is_same)
    }

    /// Makes room for `size` bytes, so that all of them can be written and made zero.
    pub(crate) fn prepare(&mut self, size: u64) -> Result<(), Error> {
        let (file, has) = match &self.target {
            Target::New(new) => (new.file(), 0),
            Target::InPlace(file) if !self.is_block => (file, self.size),
            _ => return Ok(()),
        };
        if has >= size {
            return Ok(());
        }
        self.is_touched = true;
        // (std would speak of integers.)
        let fits = i64::try_from(size).map_err(|_| io::Error::from(Errno::EFBIG));
        let grown = fits.and_then(|_| file.set_len(size));
        grown.map_err(|e| Error::system(&self.path, e))
    }

    /// An error when a copy of `size` bytes does not fit: the end of a stream comes as a surprise.
    pub(crate) fn check_room(&self, size: u64) -> Result<(), Error> {
        if self.is_block && size > self.size {
            let why = format!("has {} bytes, fewer than the source", self.size);
            return Err(Error::unfit(&self.path, why));
        }
        Ok(())
    }

    /// Writes data at `offset`. Streams must be written in order.
    pub(crate) fn write(&mut self, bytes: &[u8], offset: u64) -> Result<(), Error> {
        self.is_touched = true;
        let written = match &mut self.target {
            Target::New(new) => blkcore::write_full_at(new.file(), bytes, offset),
            Target::InPlace(file) => blkcore::write_full_at(file, bytes, offset),
            Target::Stream { file, at, .. } => append(file, bytes, at),
            Target::Dry | Target::Done => Ok(()),
        };
        written.map_err(|at| Error::at(&self.path, "write", at))?;
        self.counts.writes += 1;
        self.counts.written += bytes.len() as u64;
        Ok(())
    }

    /// Makes `range` zero.
    pub(crate) fn clear(&mut self, range: Extent) -> Result<(), Error> {
        for piece in range.blocks(CLEAR_PIECE) {
            check_signal()?;
            self.is_touched = true;
            let cleared = match (&mut self.target, &mut self.clearer) {
                (Target::New(new), Some(clearer)) => clearer.clear(new.file(), piece).map(drop),
                (Target::InPlace(file), Some(clearer)) => clearer.clear(file, piece).map(drop),
                (Target::Stream { file, at, .. }, _) => append_zeros(file, piece.len(), at),
                _ => Ok(()),
            };
            cleared.map_err(|at| Error::at(&self.path, "clear", at))?;
            self.counts.cleared += piece.len();
        }
        Ok(())
    }

    /// Ends the copy of `size` bytes: cuts the file, writes everything to the disk, and gives a new
    /// file its name.
    pub(crate) fn finish(&mut self, size: u64) -> Result<(), Error> {
        let file = match &self.target {
            Target::New(new) => new.file(),
            Target::InPlace(file)
            | Target::Stream {
                file,
                has_disk: true,
                ..
            } => file,
            Target::Stream { .. } | Target::Dry | Target::Done => return Ok(()),
        };
        if self.ends_with_copy {
            file.set_len(size)
                .map_err(|e| Error::doing(&self.path, "truncate", e))?;
        }
        file.sync_all()
            .map_err(|e| Error::doing(&self.path, "fsync", e))?;
        cli::output::close_copy(file).map_err(|e| Error::doing(&self.path, "close", e))?;
        // That may have taken long.
        check_signal()?;
        if let Target::New(new) = std::mem::replace(&mut self.target, Target::Done) {
            new.publish()?;
        }
        Ok(())
    }

    /// What to say of a copy that failed: a new file is gone, one written in place is named.
    pub(crate) fn abandon(&self, error: Error) -> Error {
        match &self.target {
            Target::InPlace(_) if self.is_touched => Error::Incomplete {
                error: Box::new(error),
                destination: self.path.clone(),
            },
            _ => error,
        }
    }

    /// Why a block device cannot be had alone.
    fn in_use(path: &Path) -> Error {
        let user = File::open(path)
            .and_then(|file| blkcore::busy(&file))
            .ok()
            .flatten();
        Error::refused(
            path,
            user.map_or("in use".to_owned(), |user| user.to_string()),
        )
    }
}

/// Ends the copy when a signal asked for it.
pub(crate) fn check_signal() -> Result<(), Error> {
    cli::signal::stop_requested().map_or(Ok(()), |signal| Err(Error::Interrupted(signal)))
}

fn is_stream(kind: fs::FileType) -> bool {
    kind.is_fifo() || kind.is_char_device() || kind.is_socket()
}

/// The guards of a file or block device.
fn guard(
    path: &Path,
    file: &File,
    description: &Description,
    args: &Args,
    source: &Source,
) -> Result<(), Error> {
    let system = |e| Error::system(path, e);
    if blkcore::overlaps(file, source.file()).map_err(system)? {
        let why = format!("is the source, {}", cli::diag::name(source.path()));
        return Err(Error::refused(path, why));
    }
    if !args.force
        && let Some(user) = blkcore::busy(file).map_err(system)?
    {
        return Err(Error::refused(path, user.to_string()));
    }
    if description.read_only {
        return Err(Error::refused(path, "is read-only"));
    }
    let (has, needed) = (description.size, source.size().unwrap_or(0));
    if description.kind == Kind::Block && has < needed {
        let why = format!("has {has} bytes, fewer than the {needed} to copy");
        return Err(Error::refused(path, why));
    }
    Ok(())
}

/// The extents of data below `size`; all of it where the file system cannot tell.
fn allocated(file: &File, size: u64) -> io::Result<ExtentList> {
    match blkcore::data_extents(file, size) {
        Err(e) if e.kind() == io::ErrorKind::Unsupported => Ok(ExtentList::full(size)),
        data => data,
    }
}

fn append(file: &mut File, bytes: &[u8], at: &mut u64) -> Result<(), At> {
    file.write_all(bytes)
        .map_err(|error| At { offset: *at, error })?;
    *at += bytes.len() as u64;
    Ok(())
}

fn append_zeros(file: &mut File, len: u64, at: &mut u64) -> Result<(), At> {
    let zeros = [0; 64 << 10];
    let end = *at + len;
    while *at < end {
        let piece = (end - *at).min(zeros.len() as u64) as usize;
        append(file, &zeros[..piece], at)?;
    }
    Ok(())
}
