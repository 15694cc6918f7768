//! Refuses an output that is the input, under whatever name, where bytes would be cut off or
//! overwritten before they are read.

use super::Stop;
use super::input::Input;
use super::operands::Operands;
use cli::quote;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::Whence;
use std::fs::{self, File, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

/// Whether input and output share bytes, in a way that does no harm.
pub(super) fn check(operands: &Operands, input: &Input) -> Result<bool, Stop> {
    let (Some(source), Some(target)) = (input.file(), output(operands)) else {
        return Ok(false);
    };
    if operands.copies_nothing() || !blkcore::overlaps(source, &target).unwrap_or(false) {
        return Ok(false);
    }
    let harm = match (blkcore::identity(source), blkcore::identity(&target)) {
        (Ok(Some(from)), Ok(Some(to))) if from[..2] == to[..2] => {
            harm(operands, input, &target, from[2], to[2])
        }
        // Where one lies in the other is not known.
        _ if operands.conv.notrunc => None,
        _ => Some("which would be overwritten"),
    };
    match harm {
        None => Ok(true),
        Some(harm) => {
            let default = "standard output".into();
            let name = operands.output.as_ref().unwrap_or(&default);
            let name = quote::always(name.as_bytes());
            Err(Stop::Fail(format!(
                "{name} is the input file, {harm} before it is read"
            )))
        }
    }
}

/// The output, opened to look at; only a file or block device that is there already.
fn output(operands: &Operands) -> Option<File> {
    let Some(name) = &operands.output else {
        return cli::output::descriptor().ok().map(File::from);
    };
    let kind = fs::metadata(name).ok()?.file_type();
    if !kind.is_file() && !kind.is_block_device() || kind.is_file() && operands.conv.excl {
        return None;
    }
    let mut options = OpenOptions::new();
    // Opening it as the output will say more about what fails here.
    let refusing = operands.oflag.open & (OFlag::O_NOFOLLOW | OFlag::O_DIRECTORY);
    options.custom_flags((OFlag::O_NONBLOCK | refusing).bits());
    let opened = options.read(true).open(name);
    opened
        .or_else(|_| options.read(false).write(true).open(name))
        .ok()
}

/// What would happen to bytes that are still to be read. `from` and `to` are the first bytes of input
/// and output in what they have in common.
fn harm(
    operands: &Operands,
    input: &Input,
    target: &File,
    from: u64,
    to: u64,
) -> Option<&'static str> {
    let size = blkcore::describe(target).ok()?.size;
    let is_file = target.metadata().ok()?.is_file();
    let at = input.offset().unwrap_or(0);
    let start = from + at.saturating_add(operands.skip.total(operands.ibs)?);
    let count = operands
        .count
        .map_or(Some(u64::MAX), |count| count.total(operands.ibs));
    let end = start.saturating_add(count.unwrap_or(u64::MAX));
    let seek = operands.seek.total(operands.obs)?;
    if operands.output.is_some() && is_file && !operands.conv.notrunc {
        let cut = if operands.seek.records > 0 { seek } else { 0 };
        if start < size && end > cut && size > cut {
            return Some("which would be cut");
        }
    }
    let appends = operands.oflag.open.contains(OFlag::O_APPEND)
        || fcntl(target, FcntlArg::F_GETFL)
            .is_ok_and(|flags| OFlag::from_bits_retain(flags).contains(OFlag::O_APPEND));
    let first = match &operands.output {
        _ if appends && is_file => size,
        Some(_) => to + seek,
        None => {
            let at = super::descriptor::seek(Some(target), 0, Whence::SeekCur).ok()?;
            to + at.saturating_add(seek)
        }
    };
    // A file grows by what is written, and is never read to its end.
    let end = if is_file { end } else { end.min(to + size) };
    let grows = operands.conv.block || operands.conv.unblock;
    (first > start && first < end || grows && first <= end).then_some("which would be overwritten")
}
