//! `-T`: the archive gets the time of its newest entry.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::archive::End;
use crate::args::Options;
use crate::directory::{Directory, Entry, host};
use crate::say::{Say, text};
use crate::select::Selection;
use crate::status::{self, Status};
use crate::{clock, extra};

/// Sets the times of the archive at `path`.
pub(crate) fn stamp(
    path: &Path,
    directory: &Directory,
    end: &End,
    options: &Options,
    selection: &mut Selection,
    say: &mut Say,
) -> Status {
    let mut newest = None;
    let mut status = status::OK;
    for entry in &directory.entries {
        if !entry.check_extra(options, say) {
            status = status::WARNING;
        }
        if selection.takes(&entry.name) && !is_folder(entry) {
            let modified = extra::unix(&entry.extra, true, entry.dos_time).modified;
            let modified = modified.unwrap_or_else(|| clock::dos_to_seconds(entry.dos_time));
            newest = newest.max(Some(modified.max(0)));
        }
    }
    let met = directory.entries.len() as u64;
    match status::directory_end(directory, end, met, say) {
        Some(broken) => status = broken,
        None if !status::check_end_signature(directory, end, say) => status = status::WARNING,
        None => {}
    }
    let name = path.as_os_str().as_bytes();
    let Some(newest) = newest else {
        return if status <= status::WARNING {
            status::NOT_FOUND
        } else {
            status
        };
    };
    if set(path, newest).is_err() {
        if options.quiet < 3 {
            say.err(text!("warning:  cannot set time for ", name, "\n"));
        }
        return status.max(status::WARNING);
    }
    if options.quiet == 0 {
        say.out(text!("Updated time stamp for ", name, ".\n"));
    }
    status
}

fn set(path: &Path, seconds: i64) -> std::io::Result<()> {
    let time = rustix::fs::Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    let times = rustix::fs::Timestamps {
        last_access: time,
        last_modification: time,
    };
    let no_flags = rustix::fs::AtFlags::empty();
    Ok(rustix::fs::utimensat(
        rustix::fs::CWD,
        path,
        &times,
        no_flags,
    )?)
}

fn is_folder(entry: &Entry) -> bool {
    let name = &entry.name;
    name.ends_with(b"/")
        || (entry.host == host::FAT && !name.contains(&b'/') && name.ends_with(b"\\"))
}
