//! What is done when all files are there: links are made, and folders get their times and modes.

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};

use crate::attributes::Stamps;
use crate::job::Inode;
use crate::output::{Place, Unset};
use crate::plan::Run;
use crate::say::{padded, shown, text};
use crate::status;
use crate::target;

/// A link to make.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) shown: Vec<u8>,
    pub(crate) place: Place,
    pub(crate) text: Vec<u8>,
    pub(crate) owner: Option<(u32, u32)>,
    /// The file that holds its place.
    pub(crate) holder: Inode,
}

/// A folder that was made, and how it is to be.
#[derive(Debug)]
pub(crate) struct MadeFolder {
    pub(crate) path: Vec<u8>,
    pub(crate) folder_path: Vec<Vec<u8>>,
    pub(crate) mode: Mode,
    pub(crate) stamps: Stamps,
}
impl Run<'_, '_> {
    /// Makes links, and sets what folders are to be.
    pub(crate) fn finish(&mut self) {
        if self.status == status::INTERRUPTED {
            return;
        }
        let talkative = self.x.options.is_talkative();
        if !self.links.is_empty() && talkative {
            self.say.out("finishing deferred symbolic links:\n");
        }
        for link in std::mem::take(&mut self.links) {
            self.make_link(&link, talkative);
        }
        let mut folders = std::mem::take(&mut self.made_folders);
        folders.sort_by(|a, b| b.path.cmp(&a.path));
        for folder in folders {
            self.set_folder(&folder);
        }
        if let Some(target) = &mut self.x.target {
            target.forget();
        }
    }

    fn make_link(&mut self, link: &Link, talkative: bool) {
        let Place { folder, name } = &link.place;
        let held = match target::look(folder, name) {
            Ok(Some(there)) => {
                target::kind(&there) == FileType::RegularFile
                    && (there.st_dev, there.st_ino) == link.holder
            }
            _ => false,
        };
        let shown_name = shown(&link.shown);
        if !held {
            self.say.err(text!(
                "warning:  deferred symlink (",
                shown_name,
                ") failed:\n          invalid placeholder file\n"
            ));
            return;
        }
        if talkative {
            let (name, text) = (padded(&shown_name, 22), shown(&link.text));
            self.say.out(text!("  ", name, " -> ", text, "\n"));
        }
        let made = rustix::fs::unlinkat(folder, name, AtFlags::empty())
            .and_then(|()| rustix::fs::symlinkat(&link.text[..], folder, name));
        if let Err(e) = made {
            let why = cli::diag::system_text(&e.into());
            self.say.err(format!("symlink error: {why}\n"));
            return self.raise(status::WARNING);
        }
        if let Some((uid, gid)) = link.owner
            && let Err(e) = rustix::fs::chownat(
                folder,
                name,
                Some(Uid::from_raw(uid)),
                Some(Gid::from_raw(gid)),
                AtFlags::SYMLINK_NOFOLLOW,
            )
        {
            let unset = Unset::Owner(uid, gid, e.into());
            self.say.err(unset_line(&unset, &shown_name, true));
        }
    }

    fn set_folder(&mut self, made: &MadeFolder) {
        let name = shown(&made.path);
        let Some(target) = &mut self.x.target else {
            return;
        };
        let reading = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = target
            .folder(&made.folder_path, None)
            .ok()
            .and_then(|(folder, _)| rustix::fs::openat(&folder, ".", reading, Mode::empty()).ok());
        let Some(folder) = opened else {
            self.say
                .err(text!("warning:  set times/attribs failed for ", name, "\n"));
            return self.raise(status::WARNING);
        };
        let mut failed = false;
        let mut warn = |line: Vec<u8>| {
            self.say.err(line);
            failed = true;
        };
        if let Some((uid, gid)) = made.stamps.owner
            && let Err(e) = std::os::unix::fs::fchown(&folder, Some(uid), Some(gid))
        {
            warn(unset_line(&Unset::Owner(uid, gid, e), &name, true));
        }
        if self.x.options.no_times == 0
            && let Err(e) = rustix::fs::futimens(&folder, &made.stamps.times())
        {
            warn(unset_line(&Unset::Times(e.into()), &name, true));
        }
        if let Err(e) = rustix::fs::fchmod(&folder, made.mode) {
            let why = cli::diag::system_text(&e.into());
            warn(text!(
                "warning:  cannot set permissions for ",
                name,
                "\n          ",
                why,
                "\n"
            ));
        }
        if failed {
            self.say
                .err(text!("warning:  set times/attribs failed for ", name, "\n"));
            self.raise(status::WARNING);
        }
    }
}

/// What could not be set; on the line of the entry, or with its name.
pub(crate) fn unset_line(unset: &Unset, name: &[u8], named: bool) -> Vec<u8> {
    let (what, error) = match unset {
        Unset::Owner(uid, gid, e) => (format!("cannot set UID {uid} and/or GID {gid}"), e),
        Unset::Times(e) => ("cannot set modif./access times".to_owned(), e),
        Unset::Mode(e) => {
            let why = cli::diag::system_text(e);
            return format!("fchmod (file attributes) error: {why}\n").into();
        }
    };
    let why = cli::diag::system_text(error);
    match named {
        true => text!("warning:  ", what, " for ", name, "\n          ", why, "\n"),
        false => text!(" (warning) ", what, "\n          ", why),
    }
}
