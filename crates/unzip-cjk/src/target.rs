//! The folder that files are extracted into.
//!
//! Everything below it is reached through descriptors. A folder is opened by its whole path from the
//! top with openat2 and RESOLVE_BENEATH, so that no link leads out, whoever put it there and when;
//! where the kernel has no openat2, folders are opened step by step and links are not followed.
//! A file is then named by the descriptor of its folder and one component.

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// More open folders are not kept, nor more than half the descriptors that there are.
const MOST_OPEN: u64 = 4096;

/// An open folder.
pub(crate) type Folder = Arc<OwnedFd>;

/// The top, and the folders below it that were opened lately.
#[derive(Debug)]
pub(crate) struct Target {
    top: Folder,
    open: HashMap<Vec<u8>, Folder>,
    most_open: usize,
    /// Folders above the top may be named (-:).
    unbound: bool,
}

/// Why a folder cannot be had.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It is not there, and none is to be made.
    Missing,
    /// It cannot be made or opened. The path is the part up to it.
    Cannot(Vec<u8>, Errno),
    /// Something else has its name.
    NotAFolder(Vec<u8>),
    /// It is a link that leads out of the target.
    LeadsOut(Vec<u8>),
}

const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// For folders that the archive says nothing of.
pub(crate) const ANY_MODE: Mode = Mode::from_raw_mode(0o777);

impl Target {
    pub(crate) fn open(path: &Path, unbound: bool) -> Result<Target, Errno> {
        let top = rustix::fs::openat(CWD, path, FOLDER, Mode::empty())?;
        Ok(Target {
            top: Arc::new(top),
            open: HashMap::new(),
            most_open: usize::try_from(descriptors() / 2).unwrap_or(0),
            unbound,
        })
    }

    /// The folder of these components below the top. Missing ones are made if `create`, the last one
    /// with this mode; the flag says whether that was done.
    pub(crate) fn folder(
        &mut self,
        components: &[Vec<u8>],
        create: Option<Mode>,
    ) -> Result<(Folder, bool), Refused> {
        if components.is_empty() {
            return Ok((self.top.clone(), false));
        }
        let path = components.join(&b'/');
        if let Some(folder) = self.open.get(&path) {
            return Ok((folder.clone(), false));
        }
        let (folder, made) = match self.open_below(&path) {
            Ok(folder) => (folder, false),
            Err(Errno::NOENT) => self.make(components, &path, create)?,
            Err(e) => return Err(self.refusal(components, e)),
        };
        let folder = Arc::new(folder);
        if self.open.len() >= self.most_open {
            self.open.clear();
        }
        self.open.insert(path, folder.clone());
        Ok((folder, made))
    }

    fn make(
        &mut self,
        components: &[Vec<u8>],
        path: &[u8],
        create: Option<Mode>,
    ) -> Result<(OwnedFd, bool), Refused> {
        let Some((name, above)) = components.split_last() else {
            return Err(Refused::Missing);
        };
        let (parent, _) = self.folder(above, create.map(|_| ANY_MODE))?;
        let Some(mode) = create else {
            return Err(Refused::Missing);
        };
        let cannot = |e| Refused::Cannot(path.to_vec(), e);
        match rustix::fs::mkdirat(&parent, name, mode) {
            Ok(()) => {
                let folder = self.open_below(path).map_err(cannot)?;
                Ok((folder, true))
            }
            // It is `..`, or somebody else has made it just now. What still cannot be opened is a
            // link to nowhere.
            Err(Errno::EXIST) => match self.open_below(path) {
                Ok(folder) => Ok((folder, false)),
                Err(_) => Err(cannot(Errno::EXIST)),
            },
            Err(e) => Err(cannot(e)),
        }
    }

    /// Finds the component that `error` is about.
    fn refusal(&self, components: &[Vec<u8>], error: Errno) -> Refused {
        if error == Errno::NAMETOOLONG {
            // The kernel takes no path of 4 KiB; none of the components is at fault.
            return Refused::Cannot(components.join(&b'/'), error);
        }
        for len in 1..=components.len() {
            let path = components[..len].join(&b'/');
            match self.open_below(&path) {
                Ok(_) => {}
                Err(Errno::NOTDIR) => return Refused::NotAFolder(path),
                Err(Errno::XDEV | Errno::LOOP) => return Refused::LeadsOut(path),
                Err(e) => return Refused::Cannot(path, e),
            }
        }
        Refused::Cannot(components.join(&b'/'), error)
    }

    fn open_below(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        static NO_OPENAT2: AtomicBool = AtomicBool::new(false);
        if self.unbound {
            return rustix::fs::openat(&self.top, path, FOLDER, Mode::empty());
        }
        if !NO_OPENAT2.load(Ordering::Relaxed) {
            let how = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
            loop {
                match rustix::fs::openat2(&self.top, path, FOLDER, Mode::empty(), how) {
                    // Something was renamed meanwhile.
                    Err(Errno::AGAIN) => {}
                    Err(Errno::NOSYS | Errno::PERM) => break,
                    result => return result,
                }
            }
            NO_OPENAT2.store(true, Ordering::Relaxed);
        }
        let mut folder = None;
        for component in path.split(|b| *b == b'/') {
            if component == b".." {
                return Err(Errno::XDEV);
            }
            let at = folder.as_ref().map_or(self.top.as_fd(), OwnedFd::as_fd);
            let flags = FOLDER | OFlags::NOFOLLOW;
            folder = Some(rustix::fs::openat(at, component, flags, Mode::empty())?);
        }
        folder.ok_or(Errno::NOENT)
    }

    /// Another folder than the one that was open may have these names now.
    pub(crate) fn forget(&mut self) {
        self.open.clear();
    }
}

/// How many descriptors this process may have, after asking for more.
fn descriptors() -> u64 {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = limit
        .maximum
        .map_or(2 * MOST_OPEN, |most| most.min(2 * MOST_OPEN));
    let current = limit.current.unwrap_or(2 * MOST_OPEN);
    if current < wanted {
        limit.current = Some(wanted);
        if setrlimit(Resource::Nofile, limit).is_ok() {
            return wanted;
        }
    }
    current.min(2 * MOST_OPEN)
}

/// What stands at a name, not following a link; `None` if nothing does.
pub(crate) fn look(folder: &OwnedFd, name: &[u8]) -> Result<Option<Stat>, Errno> {
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Whether a link leads to anything.
pub(crate) fn leads_anywhere(folder: &OwnedFd, name: &[u8]) -> bool {
    rustix::fs::statat(folder, name, AtFlags::empty()).is_ok()
}

pub(crate) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_that_lead_out_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("top");
        std::fs::create_dir_all(top.join("real")).unwrap();
        symlink("..", top.join("up")).unwrap();
        symlink("/tmp", top.join("away")).unwrap();
        symlink("real", top.join("inside")).unwrap();
        symlink("nowhere", top.join("dangling")).unwrap();
        std::fs::write(top.join("file"), "").unwrap();
        let mut target = Target::open(&top, false).unwrap();
        let mut folder = |path: &str| {
            let parts: Vec<Vec<u8>> = path.split('/').map(|p| p.as_bytes().to_vec()).collect();
            target.folder(&parts, Some(ANY_MODE)).map(|(_, made)| made)
        };
        assert!(matches!(folder("up"), Err(Refused::LeadsOut(_))));
        assert!(matches!(folder("up/x"), Err(Refused::LeadsOut(p)) if p == b"up"));
        assert!(matches!(folder("away/x"), Err(Refused::LeadsOut(_))));
        assert!(matches!(folder("file/x"), Err(Refused::NotAFolder(p)) if p == b"file"));
        assert!(matches!(
            folder("dangling/x"),
            Err(Refused::Cannot(_, Errno::EXIST))
        ));
        assert!(matches!(folder("inside"), Ok(false)));
        assert!(matches!(folder("inside/new/deep"), Ok(true)));
        assert!(matches!(folder("../out"), Err(Refused::LeadsOut(_))));
        assert!(top.join("real/new/deep").is_dir());
        assert!(!dir.path().join("out").exists());
    }
}
