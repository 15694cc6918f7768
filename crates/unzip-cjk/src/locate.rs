//! The local header of an entry: where it is, and whether it says what the directory says.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::archive::BLOCK;
use crate::directory::{Entry, FLAG_ENCRYPTED, FLAG_UTF8, STORED};
use crate::local::{Local, Missing};
use crate::plan::{Run, Skip, Step};
use crate::say::{shown, text};
use crate::status;
use crate::unicode_path::{self, Field};

impl Run<'_, '_> {
    /// Reads the local header, and tries another start of the archive where there is none.
    pub(crate) fn header(&mut self, entry: &Entry, steps: &mut Vec<Step>) -> Result<Local, Skip> {
        let number = self.counts.entries;
        let bad_offset = |what: &str, at: u64| {
            format!("file #{number}:  bad zipfile offset ({what}):  {at}\n").into_bytes()
        };
        let before_start = || {
            let name = &self.archive.name;
            text!(
                "error [",
                name,
                "]:  attempt to seek before beginning of zipfile\n",
                status::REPORT
            )
        };
        let recompensate = || b"  (attempting to re-compensate)\n".to_vec();
        let Some(mut at) = entry.offset.checked_add_signed(self.extra) else {
            steps.push(Step::Err(before_start()));
            if number == 1 && self.extra != 0 {
                steps.push(Step::Err(recompensate()));
                self.old_extra = std::mem::take(&mut self.extra);
            }
            steps.push(Step::Set(status::SEVERE));
            return Err(Skip);
        };
        let asked = at;
        for again in [false, true] {
            match self.headers.read(entry, at) {
                Ok(local) => return Ok(local),
                Err(Missing::OtherSignature) => {
                    steps.push(Step::Err(bad_offset("local header sig", asked)))
                }
                Err(Missing::BeyondEnd) => {
                    let block = at / BLOCK * BLOCK;
                    match block >= self.archive.len && !again {
                        true => steps.push(Step::Err(bad_offset("lseek", block))),
                        false => steps.push(Step::Err(bad_offset("EOF", asked))),
                    }
                    steps.push(Step::Set(status::SEVERE));
                    return Err(Skip);
                }
                Err(Missing::Cut) => {
                    let line = format!("file #{number}:  bad local header\n");
                    steps.push(Step::ErrLine(line.into()));
                    steps.push(Step::Set(status::ENDS_EARLY));
                    return Err(Skip);
                }
                Err(Missing::Read(e)) => {
                    let why = cli::diag::system_text(&e);
                    steps.push(Step::Err(
                        format!("error:  zipfile read error\n        {why}\n").into(),
                    ));
                    steps.push(Step::Raise(status::SEVERE));
                    return Err(Skip);
                }
            }
            let other = match (number, self.extra, self.old_extra) {
                _ if again => None,
                (1, 1.., _) | (1, ..0, _) => Some(0),
                (_, 0, old) if old != 0 => Some(old),
                _ => None,
            };
            let Some(other) = other else {
                let failed = if again { status::SEVERE } else { status::ERROR };
                steps.push(Step::Set(failed));
                return Err(Skip);
            };
            steps.push(Step::Err(recompensate()));
            steps.push(Step::Set(status::ERROR));
            if other == 0 {
                self.old_extra = self.extra;
            }
            self.extra = other;
            let Some(moved) = entry.offset.checked_add_signed(other) else {
                steps.push(Step::Set(status::SEVERE));
                return Err(Skip);
            };
            at = moved;
        }
        Err(Skip)
    }

    /// Says where local header and directory disagree, and makes them agree.
    pub(crate) fn compare(
        &mut self,
        entry: &Entry,
        local: &mut Local,
        steps: &mut Vec<Step>,
    ) -> Result<(), Skip> {
        let number = self.counts.entries;
        let name = shown(&entry.name);
        if (local.flags ^ entry.flags) & FLAG_UTF8 != 0 {
            if self.x.options.is_talkative() {
                let is_utf8 = u8::from(entry.flags & FLAG_UTF8 != 0);
                steps.push(Step::ErrLine(text!(
                    format!("file #{number} ("),
                    name,
                    "):\n         mismatch between local and central GPF bit 11 (\"UTF-8\"),\n",
                    format!("         continuing with central flag (IsUTF8 = {is_utf8})\n")
                )));
            }
            steps.push(Step::Raise(status::WARNING));
        }
        if local.corrupt_extra {
            steps.push(Step::Err(status::CORRUPT_EXTRA.into()));
            steps.push(Step::Raise(status::WARNING));
        }
        let is_utf8 = entry.flags & FLAG_UTF8 != 0 || self.x.options.unicode >= 2;
        if !is_utf8 && let Field::Warning(words) = unicode_path::field(&local.extra, &local.name) {
            steps.push(Step::Err(words.into()));
        }
        let other = unicode_path::resolved(&local.extra, &local.name, is_utf8);
        let differs = other != unicode_path::resolved(&entry.extra, &entry.raw_name, is_utf8);
        // Info-ZIP does not look at an empty name.
        if differs && !local.name.is_empty() {
            steps.push(Step::Err(text!(
                name,
                ":  mismatching \"local\" filename (",
                shown(other),
                "),\n         continuing with \"central\" filename version\n"
            )));
            steps.push(Step::Raise(status::WARNING));
        }
        let says = |size: u64, packed: u64, crc: u32| {
            format!("{size} bytes ({packed} compressed), CRC {crc:08x}")
        };
        let header_says = says(local.size, local.packed, local.crc);
        let directory_says = says(entry.size, entry.packed, entry.crc);
        if header_says != directory_says {
            // Info-ZIP does not look at this, so neither stream nor status of its change.
            let name = cli::diag::name(OsStr::from_bytes(&entry.name));
            steps.push(Step::Note(format!(
                "{name}: its header says {header_says}, and the directory {directory_says}; the header counts"
            )));
        }
        local.flags = (local.flags & !FLAG_ENCRYPTED) | (entry.flags & FLAG_ENCRYPTED);
        if local.method == STORED {
            let header = if entry.is_encrypted() { 12 } else { 0 };
            let Some(packed) = local.packed.checked_sub(header) else {
                steps.push(Step::Err(
                    b"\n  error:  invalid compressed data to inflate\n".to_vec(),
                ));
                steps.push(Step::Raise(status::ERROR));
                return Err(Skip);
            };
            if local.size != packed {
                let size = local.size;
                steps.push(Step::Err(text!(
                    name,
                    format!(":  ucsize {size} <> csize {packed} for STORED entry\n"),
                    "         continuing with \"compressed\" size value\n"
                )));
                local.size = packed;
                steps.push(Step::Raise(status::WARNING));
            }
        }
        Ok(())
    }
}
