//! What dd writes to: how it is opened, cut, moved in, written and brought to the disk.

use super::cache::Cache;
use super::input::Reader;
use super::operands::{Blocks, Operands};
use super::{Stop, buffer, descriptor, signals, talk};
use blkcore::{Clearer, Extent, Kind, is_zero};
use cli::quote;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::SFlag;
use nix::unistd::{Whence, fdatasync, fsync, ftruncate, write};
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;

/// An open output.
#[derive(Debug)]
pub(super) struct Output {
    /// `None`: standard output, which was closed.
    file: Option<File>,
    name: OsString,
    block: u64,
    direct: bool,
    /// Zero blocks are left out.
    sparse: bool,
    /// Only of a block device: there they are made zero.
    device: Option<Device>,
    /// The last block was left out, so the file may end before it.
    ends_in_hole: bool,
    wants_fdatasync: bool,
    wants_fsync: bool,
    is_quiet: bool,
    pub(super) cache: Cache,
}

#[derive(Debug)]
struct Device {
    clearer: Clearer,
    size: u64,
}

impl Output {
    /// Opens and cuts what the operands name.
    pub(super) fn open(operands: &Operands) -> Result<Output, Stop> {
        let conv = &operands.conv;
        let (file, name) = match &operands.output {
            Some(name) => (Some(open_file(operands, name)?), name.clone()),
            None => {
                let name = OsString::from("standard output");
                let file = cli::output::descriptor().ok().map(File::from);
                descriptor::set_flags(file.as_ref(), &operands.oflag, &name)?;
                (file, name)
            }
        };
        let description = file.as_ref().filter(|_| conv.sparse);
        let description = description.and_then(|file| blkcore::describe(file).ok());
        let device = description
            .filter(|description| description.kind == Kind::Block)
            .map(|description| Device {
                clearer: Clearer::new(&description),
                size: description.size,
            });
        Ok(Output {
            file,
            name,
            block: operands.obs,
            direct: operands.oflag.direct(),
            sparse: conv.sparse,
            device,
            ends_in_hole: false,
            wants_fdatasync: conv.fdatasync,
            wants_fsync: conv.fsync,
            is_quiet: operands.status == super::counts::Status::None,
            cache: Cache::new(operands.oflag.nocache, operands.copies_nothing()),
        })
    }

    pub(super) fn file(&self) -> Option<&File> {
        self.file.as_ref()
    }

    /// What it wants of the address of a block: with O_DIRECT, which a standard output may have
    /// brought along, a page serves every device.
    pub(super) fn alignment(&self) -> usize {
        let flags = self
            .file
            .as_ref()
            .map(|file| fcntl(file, FcntlArg::F_GETFL));
        let is_direct = |flags| OFlag::from_bits_retain(flags).contains(OFlag::O_DIRECT);
        match flags {
            Some(Ok(flags)) if is_direct(flags) => buffer::page() as usize,
            _ => 1,
        }
    }

    /// In quotes for a message.
    pub(super) fn quoted(&self) -> String {
        quote::always(self.name.as_bytes())
    }

    /// Whether its end is made by what is written: fsync or fdatasync follow.
    pub(super) fn wants_sync(&self) -> bool {
        self.wants_fdatasync || self.wants_fsync
    }

    fn offset(&self) -> Option<u64> {
        descriptor::seek(self.file.as_ref(), 0, Whence::SeekCur).ok()
    }

    /// Goes to where `seek=` says: by moving, or where that is impossible, by reading what is there
    /// and then writing zeros. `buffer` gives one output block for that.
    pub(super) fn seek<'a>(
        &mut self,
        seek: Blocks,
        reader: &mut Reader,
        buffer: impl FnOnce() -> Result<&'a mut [u8], Stop>,
    ) -> Result<(), Stop> {
        let moved = seek
            .total(self.block)
            .map(|total| descriptor::seek(self.file.as_ref(), total as i64, Whence::SeekCur));
        let error = match moved {
            Some(Ok(_)) => return Ok(()),
            Some(Err(error)) => error,
            None => Errno::EOVERFLOW,
        };
        let name = quote::if_needed(self.name.as_bytes());
        let cannot = |error| Stop::quit(error, &format!("{name}: cannot seek"));
        if descriptor::seek(self.file.as_ref(), 0, Whence::SeekEnd).is_ok() {
            return Err(cannot(error));
        }
        let block = buffer()?;
        let (mut left, mut bytes) = (seek.records, seek.bytes);
        let mut is_at_end = false;
        while left > 0 || bytes > 0 {
            let len = if left > 0 { self.block } else { bytes } as usize;
            if !is_at_end {
                let got = reader.read(self.file.as_ref(), &mut block[..len]);
                is_at_end = got.map_err(|_| cannot(error))? == 0;
                if is_at_end {
                    block.fill(0);
                    continue;
                }
            } else if let (_, Some(error)) = self.write(&block[..len]) {
                return Err(Stop::quit(error, &format!("writing to {}", self.quoted())));
            }
            match left {
                0 => bytes = 0,
                _ => left -= 1,
            }
        }
        Ok(())
    }

    /// Writes a block, as often as it takes. Returns how many bytes were written, and the error if
    /// that is not all.
    pub(super) fn write(&mut self, buf: &[u8]) -> (u64, Option<Errno>) {
        if self.direct && (buf.len() as u64) < self.block {
            self.end_direct();
        }
        let mut done = 0;
        let mut failed = None;
        while done < buf.len() {
            signals::check();
            self.ends_in_hole = false;
            if self.sparse && is_zero(buf) {
                match self.leave_out(buf.len() as u64) {
                    Ok(()) => {
                        self.ends_in_hole = true;
                        done = buf.len();
                        break;
                    }
                    Err(Errno::ESPIPE) => self.sparse = false,
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
            }
            let written = match &self.file {
                Some(file) => write(file, &buf[done..]),
                None => Err(Errno::EBADF),
            };
            match written {
                Err(Errno::EINTR) => {}
                Ok(0) => {
                    failed = Some(Errno::ENOSPC);
                    break;
                }
                Ok(n) => done += n,
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        if let (Some(file), true) = (&self.file, done > 0) {
            let end = || descriptor::seek(Some(file), 0, Whence::SeekCur).ok();
            self.cache.passed(file, done as u64, end);
        }
        (done as u64, failed)
    }

    /// Moves over `len` zero bytes. A block device is made zero there: what it held would be stale.
    /// ESPIPE if they have to be written.
    pub(super) fn leave_out(&mut self, len: u64) -> Result<(), Errno> {
        let file = self.file.as_ref().ok_or(Errno::EBADF)?;
        if let Some(device) = &mut self.device {
            let at = descriptor::seek(Some(file), 0, Whence::SeekCur)?;
            let range = Extent::new(at, at.saturating_add(len));
            if range.end > device.size {
                return Err(Errno::ESPIPE);
            }
            device
                .clearer
                .clear(file, range)
                .map_err(|at| Errno::from_raw(at.error.raw_os_error().unwrap_or(nix::libc::EIO)))?;
        }
        let len = i64::try_from(len).map_err(|_| Errno::ESPIPE)?;
        let moved = descriptor::seek(Some(file), len, Whence::SeekCur);
        self.ends_in_hole = moved.is_ok();
        moved.map(drop).map_err(|_| Errno::ESPIPE)
    }

    /// The last block is not as long as O_DIRECT wants: it goes through the cache, and from there to
    /// the disk.
    fn end_direct(&mut self) {
        let Some(file) = &self.file else { return };
        let set = fcntl(file, FcntlArg::F_GETFL).and_then(|flags| {
            let flags = OFlag::from_bits_retain(flags) - OFlag::O_DIRECT;
            fcntl(file, FcntlArg::F_SETFL(flags))
        });
        if let (Err(error), false) = (set, self.is_quiet) {
            let name = quote::if_needed(self.name.as_bytes());
            talk::diagnose_errno(error, &format!("failed to turn off O_DIRECT: {name}"));
        }
        self.wants_fsync = true;
        self.cache.to_end = true;
    }

    /// A regular file whose last blocks were left out gets its length.
    pub(super) fn end_hole(&mut self) -> Result<(), String> {
        let (true, Some(file)) = (self.ends_in_hole, &self.file) else {
            return Ok(());
        };
        let message = |error: Errno, what: String| format!("{what}: {}", talk::text(error));
        let meta = file.metadata().map_err(|error| {
            let what = format!("cannot fstat {}", self.quoted());
            format!("{what}: {}", cli::diag::system_text(&error))
        })?;
        let Some(end) = self
            .offset()
            .filter(|end| meta.is_file() && meta.len() < *end)
        else {
            return Ok(());
        };
        truncate(file, end).map_err(|error| {
            let name = self.quoted();
            message(
                error,
                format!("failed to truncate to {end} bytes in output file {name}"),
            )
        })
    }

    /// Brings everything to the disk, once, as far as it is asked for. False if that failed.
    pub(super) fn synchronise(&mut self) -> bool {
        let mut is_good = true;
        if std::mem::take(&mut self.wants_fdatasync)
            && let Err(error) = self.uninterrupted(|file| fdatasync(file))
        {
            if !matches!(error, Errno::ENOSYS | Errno::EINVAL) {
                talk::diagnose_errno(error, &format!("fdatasync failed for {}", self.quoted()));
                is_good = false;
            }
            self.wants_fsync = true;
        }
        if std::mem::take(&mut self.wants_fsync)
            && let Err(error) = self.uninterrupted(|file| fsync(file))
        {
            talk::diagnose_errno(error, &format!("fsync failed for {}", self.quoted()));
            is_good = false;
        }
        is_good
    }

    fn uninterrupted(&self, call: impl Fn(&File) -> Result<(), Errno>) -> Result<(), Errno> {
        loop {
            signals::check();
            match self.file.as_ref().map_or(Err(Errno::EBADF), &call) {
                Err(Errno::EINTR) => {}
                done => return done,
            }
        }
    }

    /// Drops the rest from the cache.
    pub(super) fn finish_cache(&mut self) -> Result<(), Errno> {
        let end = self.offset();
        match &self.file {
            Some(file) => self.cache.finish(file, end),
            None => Err(Errno::EBADF),
        }
    }

    pub(super) fn name(&self) -> &OsString {
        &self.name
    }

    pub(super) fn close(self) -> Result<(), Stop> {
        let name = self.quoted();
        descriptor::close(self.file)
            .map_err(|e| Stop::errno(e, &format!("closing output file {name}")))
    }
}

fn truncate(file: &File, size: u64) -> Result<(), Errno> {
    loop {
        signals::check();
        match ftruncate(file, size as i64) {
            Err(Errno::EINTR) => {}
            done => return done,
        }
    }
}

fn open_file(operands: &Operands, name: &OsString) -> Result<File, Stop> {
    let (conv, seek) = (&operands.conv, operands.seek);
    let mut flags = operands.oflag.open;
    flags.set(OFlag::O_CREAT, !conv.nocreat);
    flags.set(OFlag::O_EXCL, conv.excl);
    flags.set(OFlag::O_TRUNC, seek.records == 0 && !conv.notrunc);
    let size = seek.total(operands.obs);
    if size.is_none() && !conv.notrunc {
        return Err(Stop::Fail(format!(
            "offset too large: cannot truncate to a length of seek={} ({}-byte) blocks",
            seek.records, operands.obs
        )));
    }
    // To seek in what cannot be moved in, it is read; where that is not allowed, writing will do.
    let both = match seek.records {
        0 => None,
        _ => descriptor::open(name, flags | OFlag::O_RDWR).ok(),
    };
    let quoted = quote::always(name.as_bytes());
    let file = match both {
        Some(file) => file,
        None => descriptor::open(name, flags | OFlag::O_WRONLY)
            .map_err(|e| Stop::errno(e, &format!("failed to open {quoted}")))?,
    };
    if let (Some(size), false, 1..) = (size, conv.notrunc, seek.records)
        && let Err(error) = truncate(&file, size)
    {
        // Devices need not be able to.
        let kind = descriptor::kind(&file)
            .map_err(|e| Stop::errno(e, &format!("cannot fstat {quoted}")))?;
        if matches!(kind, SFlag::S_IFREG | SFlag::S_IFDIR) {
            let what = format!("failed to truncate to {size} bytes in output file {quoted}");
            return Err(Stop::errno(error, &what));
        }
    }
    Ok(file)
}
