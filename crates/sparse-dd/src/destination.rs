//! What is copied to: its guards, what it may hold before, and how its bytes are written and made
//! zero.

use crate::args::Args;
use crate::{Error, Source};
use blkcore::{At, Clearer, Description, Extent, ExtentList, Kind};
use nix::errno::Errno;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Zero ranges are made in pieces of at most this, so that a signal is heard in between.
const CLEAR_PIECE: u64 = 1 << 30;

/// An open destination.
#[derive(Debug)]
pub(crate) struct Destination {
    path: PathBuf,
    target: Target,
    /// Only where there is something to write to.
    clearer: Option<Clearer>,
    /// A regular file ends where the copy does.
    ends_with_copy: bool,
    counts: Counts,
}

#[derive(Debug)]
enum Target {
    /// Not there before: gets its name when the copy is whole.
    New(NamedTempFile),
    /// A file or block device that is written in place.
    InPlace(File),
    /// Written from first to last byte; the next one.
    Stream(File, u64),
    /// Nothing: a dry run.
    Dry,
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
            let stdout = io::stdout().as_fd().try_clone_to_owned();
            let file = File::from(stdout.map_err(|e| Error::system(name, e))?);
            return Destination::stream(name, file, args, source);
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
        let system = |e| Error::system(path, e);
        let file = file.map_err(system)?;
        let description = blkcore::describe(&file).map_err(system)?;
        match description.kind {
            Kind::Directory => return Err(system(Errno::EISDIR.into())),
            Kind::Stream => return Destination::stream(path, file, args, source),
            Kind::File | Kind::Block => {}
        }
        if blkcore::overlaps(&file, source.file()).map_err(system)? {
            return Err(Error::refused(
                path,
                format!("is the source, {}", cli::diag::name(source.path())),
            ));
        }
        if !args.force
            && let Some(user) = blkcore::busy(&file).map_err(system)?
        {
            return Err(Error::refused(path, user.to_string()));
        }
        let needed = source.size().unwrap_or(0);
        if description.kind == Kind::Block && description.size < needed {
            let why = format!(
                "has {} bytes, fewer than the {needed} to copy",
                description.size
            );
            return Err(Error::refused(path, why));
        }
        let size = description.size.min(source.size().unwrap_or(u64::MAX));
        let dirt = match description.kind {
            _ if args.prezeroed => ExtentList::new(),
            Kind::File => allocated(&file, size).map_err(|e| Error::doing(path, "SEEK_DATA", e))?,
            _ => ExtentList::full(size),
        };
        let ends_with_copy = description.kind == Kind::File && args.size.is_none();
        let target = if args.dry_run {
            Target::Dry
        } else {
            Target::InPlace(file)
        };
        Ok((
            Destination::new(path, target, Some(&description), ends_with_copy),
            dirt,
        ))
    }

    /// A file that is not there yet. It is made under another name beside its own, so that it never
    /// looks whole when it is not.
    fn begin(args: &Args) -> Result<(Destination, ExtentList), Error> {
        let path = args.destination.as_path();
        let system = |e| Error::system(path, e);
        if fs::symlink_metadata(path).is_ok() {
            return Err(Error::unfit(path, "a symbolic link to nothing"));
        }
        if path.as_os_str().as_bytes().ends_with(b"/") {
            return Err(system(Errno::EISDIR.into()));
        }
        if args.base.is_some() {
            return Err(system(Errno::ENOENT.into()));
        }
        let (target, description) = if args.dry_run {
            (Target::Dry, None)
        } else {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            let file = tempfile::Builder::new()
                .prefix(".sparse-dd.")
                .make_in(folder_of(path), |name| options.open(name))
                .map_err(system)?;
            let description = blkcore::describe(file.as_file()).map_err(system)?;
            (Target::New(file), Some(description))
        };
        Ok((
            Destination::new(path, target, description.as_ref(), true),
            ExtentList::new(),
        ))
    }

    /// A pipe or character device: there every byte is written, zeros too.
    fn stream(
        name: &Path,
        file: File,
        args: &Args,
        source: &Source,
    ) -> Result<(Destination, ExtentList), Error> {
        if args.prezeroed || args.base.is_some() {
            let why = "a stream cannot hold anything before it is written";
            return Err(Error::unfit(name, why));
        }
        let description = blkcore::describe(&file).map_err(|e| Error::system(name, e))?;
        let dirt = ExtentList::full(source.size().unwrap_or(u64::MAX));
        let target = if args.dry_run {
            Target::Dry
        } else {
            Target::Stream(file, 0)
        };
        Ok((
            Destination::new(name, target, Some(&description), false),
            dirt,
        ))
    }

    /// A file of memory for the self-test, written in place.
    pub(crate) fn in_memory(file: File) -> Result<Destination, Error> {
        let path = Path::new("memory");
        let description = blkcore::describe(&file).map_err(|e| Error::system(path, e))?;
        Ok(Destination::new(
            path,
            Target::InPlace(file),
            Some(&description),
            false,
        ))
    }

    fn new(
        path: &Path,
        target: Target,
        description: Option<&Description>,
        ends_with_copy: bool,
    ) -> Destination {
        Destination {
            path: path.to_owned(),
            target,
            clearer: description.map(Clearer::new),
            ends_with_copy,
            counts: Counts::default(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Refuses a base that shares bytes with the destination, unless it is the destination itself:
    /// then each block is read before it is written.
    pub(crate) fn admit_base(&self, path: &Path, base: &File) -> Result<(), Error> {
        let Target::InPlace(file) = &self.target else {
            return Ok(());
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
        Ok(())
    }

    /// Makes room for `size` bytes, so that all of them can be written and made zero.
    pub(crate) fn prepare(&mut self, size: u64) -> Result<(), Error> {
        match &self.target {
            Target::New(file) => file.as_file().set_len(size),
            Target::InPlace(file) => grow(file, size),
            Target::Stream(..) | Target::Dry => Ok(()),
        }
        .map_err(|e| Error::system(&self.path, e))
    }

    /// Writes data at `offset`. Streams must be written in order.
    pub(crate) fn write(&mut self, bytes: &[u8], offset: u64) -> Result<(), Error> {
        let written = match &mut self.target {
            Target::New(file) => blkcore::write_full_at(file.as_file(), bytes, offset),
            Target::InPlace(file) => blkcore::write_full_at(file, bytes, offset),
            Target::Stream(file, at) => append(file, bytes, at),
            Target::Dry => Ok(()),
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
            let cleared = match (&mut self.target, &mut self.clearer) {
                (Target::New(file), Some(clearer)) => {
                    clearer.clear(file.as_file(), piece).map(drop)
                }
                (Target::InPlace(file), Some(clearer)) => clearer.clear(file, piece).map(drop),
                (Target::Stream(file, at), _) => append_zeros(file, piece.len(), at),
                (Target::Dry, _) | (_, None) => Ok(()),
            };
            cleared.map_err(|at| Error::at(&self.path, "clear", at))?;
            self.counts.cleared += piece.len();
        }
        Ok(())
    }

    /// Ends the copy of `size` bytes: cuts the file, writes everything to the disk, and gives a new
    /// file its name.
    pub(crate) fn finish(&mut self, size: u64) -> Result<(), Error> {
        let (Target::New(_) | Target::InPlace(_)) = &self.target else {
            return Ok(());
        };
        let path = self.path.clone();
        let system = |doing| {
            let path = path.clone();
            move |e| Error::doing(&path, doing, e)
        };
        if self.ends_with_copy {
            self.file()
                .map_or(Ok(()), |f| f.set_len(size))
                .map_err(system("truncate"))?;
        }
        self.file()
            .map_or(Ok(()), File::sync_all)
            .map_err(system("fsync"))?;
        if let Target::New(file) = std::mem::replace(&mut self.target, Target::Dry) {
            let (_, name) = file.into_parts();
            name.persist_noclobber(&path)
                .map_err(|e| Error::system(&path, e.error))?;
            let folder = File::open(folder_of(&path)).and_then(|f| f.sync_all());
            folder.map_err(system("fsync of its folder"))?;
        }
        Ok(())
    }

    /// What to say of a copy that failed: a new file is removed, one written in place is named.
    pub(crate) fn abandon(&self, error: Error) -> Error {
        let untouched = self.counts.writes == 0 && self.counts.cleared == 0;
        match &self.target {
            Target::InPlace(_) if !untouched => Error::Incomplete {
                error: Box::new(error),
                destination: self.path.clone(),
            },
            _ => error,
        }
    }

    fn file(&self) -> Option<&File> {
        match &self.target {
            Target::New(file) => Some(file.as_file()),
            Target::InPlace(file) | Target::Stream(file, _) => Some(file),
            Target::Dry => None,
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

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// The extents of data below `size`; all of it where the file system cannot tell.
fn allocated(file: &File, size: u64) -> io::Result<ExtentList> {
    match blkcore::data_extents(file, size) {
        Err(e) if e.kind() == io::ErrorKind::Unsupported => Ok(ExtentList::full(size)),
        data => data,
    }
}

/// Makes a regular file at least `size` bytes long.
fn grow(file: &File, size: u64) -> io::Result<()> {
    let meta = file.metadata()?;
    if meta.is_file() && meta.len() < size {
        file.set_len(size)
    } else {
        Ok(())
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
