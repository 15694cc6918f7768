//! The place of an entry below the target: its folders are made, and its file gets a name.

use rustix::fs::Mode;
use std::sync::Arc;

use crate::attributes::{Attributes, Stamps, attributes, filtered};
use crate::deferred::MadeFolder;
use crate::directory::{Entry, host};
use crate::extract::Overwrite;
use crate::job::{Destination, Job, LONGEST_LINK};
use crate::output::Place;
use crate::path::{Mapped, map};
use crate::plan::{Run, Skip, Step, Task};
use crate::say::{padded, shown, text};
use crate::status;
use crate::target::{ANY_MODE, Folder, Refused, Target};

impl<'r> Run<'r, '_> {
    /// Makes the folders of an entry, and finds the place for it.
    pub(crate) fn place(
        &mut self,
        entry: &'r Entry,
        mut job: Job,
        mut name: Vec<u8>,
        renamed: bool,
        steps: &mut Vec<Step>,
    ) -> Result<Task<'r>, Skip> {
        let options = self.x.options;
        let backslashes = entry.host == host::FAT && !options.raw_names;
        if backslashes && !name.contains(&b'/') && name.contains(&b'\\') {
            if !std::mem::replace(&mut self.reported_backslash, true) {
                let archive = &self.archive.name;
                steps.push(Step::ErrLine(text!(
                    "warning:  ",
                    archive,
                    " appears to use backslashes as path separators\n"
                )));
                steps.push(Step::Raise(status::WARNING));
            }
            for byte in &mut name {
                if *byte == b'\\' {
                    *byte = b'/';
                }
            }
        }
        let mut absolute = false;
        if name.starts_with(b"/") {
            if renamed {
                absolute = !options.junk;
            } else {
                steps.push(Step::Err(text!(
                    "warning:  stripped absolute path spec from ",
                    shown(&name),
                    "\n"
                )));
                steps.push(Step::Raise(status::WARNING));
                let start = name.iter().position(|b| *b != b'/');
                name.drain(..start.unwrap_or(name.len()));
            }
        }
        if entry.is_volume_label() {
            let name = padded(&shown(&name), 22);
            steps.push(Step::Err(text!("   skipping: ", name, "  volume label\n")));
            return Err(Skip);
        }
        let mapped = map(&name, options, &job.local.extra);
        let prefix = if absolute {
            b"/".to_vec()
        } else {
            self.x.prefix.clone()
        };
        let path = mapped.shown(&prefix);
        let mode = attributes(entry, self.x.umask);
        let folder = self.folders(&mapped, &name, &prefix, mode, renamed, absolute, steps);
        if mapped.left_out_dot_dot && folder.is_ok() && options.is_talkative() {
            steps.push(Step::Out(text!(
                "warning:  skipped \"../\" path component(s) in ",
                shown(&name),
                "\n"
            )));
            steps.push(Step::Raise(status::WARNING));
        }
        let (folder, made) = folder?;
        if mapped.is_folder {
            if made {
                if options.is_talkative() {
                    steps.push(Step::Out(text!("   creating: ", shown(&path), "\n")));
                }
                let mut perms = filtered(mode.mode, options);
                if entry.host != host::UNIX || !(options.owners > 0 || options.keep_bits) {
                    perms |= inherited_group_bit(&folder);
                }
                self.made_folders.push(MadeFolder {
                    path,
                    folder_path: mapped.folders,
                    mode: perms,
                    stamps: Stamps::new(entry, &job.local, options),
                });
            }
            return Err(Skip);
        }
        if mapped.file.is_empty() {
            let name = shown(&name);
            steps.push(Step::Err(text!(
                "mapname:  conversion of ",
                name,
                " failed\n"
            )));
            steps.push(Step::Raise(status::ERROR));
            return Err(Skip);
        }
        if mapped.shortened {
            steps.push(Step::ErrLine(text!(
                "warning:  name too long:  ",
                shown(&name),
                "\n          extracted as ",
                shown(&path),
                "\n"
            )));
            steps.push(Step::Raise(status::WARNING));
        }
        if !self.in_flight.insert(path.clone()) {
            // The same name again: not before the first of them is there.
            self.drain();
            self.in_flight.insert(path.clone());
        }
        let always = self.x.overwrite == Overwrite::Always;
        let is_link = mode.is_link && job.local.size > 0 && job.local.size <= LONGEST_LINK;
        job.destination = Some(Destination {
            place: Place {
                folder,
                name: mapped.file,
            },
            replace: always && !options.backup && !options.update,
            mode: filtered(mode.mode, options),
            umask: Mode::from_raw_mode(self.x.umask),
            stamps: Stamps::new(entry, &job.local, options),
            set_times: options.no_times <= 1,
            is_link,
            text: match options.text {
                0 => false,
                1 => entry.is_text(),
                _ => true,
            },
        });
        Ok(Task {
            entry,
            job: Arc::new(job),
            shown: path,
            renamed,
            announced: false,
        })
    }

    /// Opens or makes the folders of a name.
    #[allow(clippy::too_many_arguments)]
    fn folders(
        &mut self,
        mapped: &Mapped,
        name: &[u8],
        prefix: &[u8],
        mode: Attributes,
        renamed: bool,
        absolute: bool,
        steps: &mut Vec<Step>,
    ) -> Result<(Folder, bool), Skip> {
        let options = self.x.options;
        let create = (!options.freshen || renamed).then_some(match mapped.is_folder {
            true => filtered(mode.mode, options) | Mode::RWXU,
            false => ANY_MODE,
        });
        // A folder cannot have the name of a file that is not there yet.
        let mut path = prefix.to_vec();
        for folder in &mapped.folders {
            path.extend(folder);
            if self.in_flight.contains(&path) {
                self.drain();
            }
            path.push(b'/');
        }
        let mut elsewhere;
        let target = match (absolute, &mut self.x.target) {
            (false, Some(target)) => target,
            // The user said so.
            _ => match Target::open("/".as_ref(), true) {
                Ok(root) => {
                    elsewhere = root;
                    &mut elsewhere
                }
                Err(_) => return Err(Skip),
            },
        };
        let (path, what) = match target.folder(&mapped.folders, create) {
            Ok(found) => return Ok(found),
            Err(Refused::Missing) => return Err(Skip),
            Err(Refused::Cannot(path, e)) => {
                let why = cli::diag::system_text(&e.into());
                let path = text!("cannot create ", shown(&[prefix, &path].concat()));
                (path, format!("\n                 {why}"))
            }
            Err(Refused::NotAFolder(path)) => {
                let path = shown(&[prefix, &path].concat());
                (path, " exists but is not directory".to_owned())
            }
            Err(Refused::LeadsOut(path)) => {
                let path = shown(&[prefix, &path].concat());
                let what = " is a link that leads out of the extraction directory";
                (path, what.to_owned())
            }
        };
        steps.push(Step::Err(text!(
            "checkdir error:  ",
            path,
            what,
            "\n                 unable to process ",
            shown(name),
            ".\n"
        )));
        steps.push(Step::Raise(status::ERROR));
        Err(Skip)
    }
}

/// A new folder has it from the one above, so that files in it get its group.
fn inherited_group_bit(folder: &Folder) -> Mode {
    match rustix::fs::fstat(folder) {
        Ok(stat) => Mode::from_raw_mode(stat.st_mode) & Mode::SGID,
        Err(_) => Mode::empty(),
    }
}
