//! Exit statuses, and findings at the end of a directory that lead to one.

use crate::archive::End;
use crate::directory::{After, Directory};
use crate::say::Say;

/// As in EXIT STATUS of the manual page; the greater one is the worse.
pub(crate) type Status = u8;

pub(crate) const OK: Status = 0;
pub(crate) const WARNING: Status = 1;
pub(crate) const ERROR: Status = 2;
pub(crate) const SEVERE: Status = 3;
pub(crate) const NO_PASSWORD: Status = 5;
pub(crate) const NO_ARCHIVE: Status = 9;
pub(crate) const USAGE: Status = 10;
pub(crate) const NOT_FOUND: Status = 11;
pub(crate) const BOMB: Status = 12;
pub(crate) const DISK: Status = 50;
pub(crate) const ENDS_EARLY: Status = 51;
pub(crate) const INTERRUPTED: Status = 80;
pub(crate) const UNSUPPORTED: Status = 81;
pub(crate) const BAD_PASSWORD: Status = 82;

pub(crate) const REPORT: &str =
    "  (please check that you have transferred or created the zipfile in the
  appropriate BINARY mode and that you have compiled UnZip properly)
";
pub(crate) const CORRUPT_EXTRA: &str =
    "warning:  extra field (type: 0x0001) corrupt.  Continuing...\n";
pub(crate) const END_SIGNATURE: &str =
    "\nnote:  didn't find end-of-central-dir signature at end of central dir.\n";

/// Whether the directory ends where it should; if not, says so and returns the status. The message
/// counts entries; Info-ZIP counts those it has `met` so far.
pub(crate) fn directory_end(
    directory: &Directory,
    end: &End,
    met: u64,
    say: &mut Say,
) -> Option<Status> {
    let count = directory.entries.len() as u64;
    match directory.after {
        After::Nothing => Some(ENDS_EARLY),
        After::Signature(_) if end.counts(count) => None,
        After::Signature(_) => {
            say.err(signature_missing(met + 1));
            say.err(REPORT);
            Some(SEVERE)
        }
    }
}

pub(crate) fn signature_missing(number: u64) -> String {
    format!("error:  expected central file header signature not found (file #{number}).\n")
}

/// Says so if something else than an end record follows the directory.
pub(crate) fn check_end_signature(directory: &Directory, end: &End, say: &mut Say) -> bool {
    let right = match directory.after {
        After::Signature(signature) => end.may_follow_directory(signature),
        After::Nothing => true,
    };
    if !right {
        say.err(END_SIGNATURE);
    }
    right
}
