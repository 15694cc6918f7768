//! The walk: all regular files below the operands, found by all threads at once.
//!
//! Folders are opened from their parent while that may stay open, otherwise by path; symbolic links
//! are followed only when they are operands, and nothing but folders is opened. Each thread goes
//! down on its own and hands folders over when another one has none. The files of a folder are
//! looked at in the order of their inode numbers, as they lie on the disk.

use crate::limits::{Limits, Stock};
use crate::names::{self, Source};
use crate::open;
use crate::problems::{Problem, Problems};
use crate::tree::{DirId, Found, Listing, Traits, Tree};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RawDir, Stat, StatxFlags, fstat, openat, statat, statx,
};
use rustix::io::Errno;
use std::ffi::{CStr, CString, OsString};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;

/// Room for what one getdents64 call returns.
const ENTRIES: usize = 32 * 1024;

/// Finds all files. What cannot be read is reported.
pub(crate) fn walk(sources: Vec<Source>, nul: bool, limits: &Limits, problems: &Problems) -> Tree {
    let walk = Walk {
        limits,
        problems,
        tree: Mutex::default(),
        // The thread that reads the names is busy until it has read all.
        shared: Mutex::new(Shared {
            items: Vec::new(),
            busy: 1,
        }),
        wake: Condvar::new(),
        hungry: AtomicUsize::new(0),
        user: rustix::process::geteuid().as_raw(),
    };
    std::thread::scope(|scope| {
        for _ in 1..limits.threads {
            let spawned = Builder::new().spawn_scoped(scope, || Walker::new(&walk).run());
            if spawned.is_err() {
                break; // Fewer threads do it too.
            }
        }
        names::each(sources, nul, problems, |batch| {
            walk.hand_over([Item::Names(batch)])
        });
        walk.shared().busy -= 1;
        Walker::new(&walk).run();
    });
    let mut tree = walk
        .tree
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    tree.settle();
    tree
}

/// Something to look at.
enum Item<'a> {
    Names(Vec<OsString>),
    Folder {
        name: CString,
        parent: DirId,
        handle: Option<Arc<Handle<'a>>>,
    },
}

/// A folder that is kept open for those in it.
struct Handle<'a> {
    fd: OwnedFd,
    stock: &'a Stock,
}

impl Drop for Handle<'_> {
    fn drop(&mut self) {
        self.stock.give(1);
    }
}

struct Walk<'a> {
    limits: &'a Limits,
    problems: &'a Problems,
    tree: Mutex<Tree>,
    shared: Mutex<Shared<'a>>,
    wake: Condvar,
    /// How many threads wait for an item.
    hungry: AtomicUsize,
    user: u32,
}

struct Shared<'a> {
    items: Vec<Item<'a>>,
    /// How many threads may still find new items.
    busy: usize,
}

impl<'a> Walk<'a> {
    fn shared(&self) -> MutexGuard<'_, Shared<'a>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hand_over(&self, items: impl IntoIterator<Item = Item<'a>>) {
        self.shared().items.extend(items);
        self.wake.notify_all();
    }

    /// The next item, or `None` when no thread can find one any more.
    fn next(&self) -> Option<Item<'a>> {
        let mut shared = self.shared();
        loop {
            if cli::signal::stop_requested().is_some() {
                shared.items.clear();
            }
            if let Some(item) = shared.items.pop() {
                shared.busy += 1;
                return Some(item);
            }
            if shared.busy == 0 {
                self.wake.notify_all();
                return None;
            }
            self.hungry.fetch_add(1, Relaxed);
            shared = self
                .wake
                .wait(shared)
                .unwrap_or_else(PoisonError::into_inner);
            self.hungry.fetch_sub(1, Relaxed);
        }
    }
}

/// One thread of the walk.
struct Walker<'w, 'a> {
    walk: &'w Walk<'a>,
    /// What this thread found and has not looked at.
    own: Vec<Item<'a>>,
    listing: Listing,
    /// Regular files of a folder by inode number, with the place of their names.
    entries: Vec<(u64, u32)>,
    subfolders: Vec<CString>,
    room: Vec<MaybeUninit<u8>>,
}

impl<'w, 'a> Walker<'w, 'a> {
    fn new(walk: &'w Walk<'a>) -> Walker<'w, 'a> {
        Walker {
            walk,
            own: Vec::new(),
            listing: Listing::default(),
            entries: Vec::new(),
            subfolders: Vec::new(),
            room: vec![MaybeUninit::uninit(); ENTRIES],
        }
    }

    fn run(mut self) {
        while let Some(item) = self.walk.next() {
            self.own.push(item);
            while let Some(item) = self.own.pop() {
                match item {
                    Item::Names(names) => self.look_up(names),
                    Item::Folder {
                        name,
                        parent,
                        handle,
                    } => self.enter(&name, parent, handle),
                }
                if cli::signal::stop_requested().is_some() {
                    self.own.clear();
                } else if self.own.len() > 1 && self.walk.hungry.load(Relaxed) > 0 {
                    // The oldest have the most below them.
                    let half = self.own.len() / 2;
                    self.walk.hand_over(self.own.drain(..half));
                }
            }
            self.walk.shared().busy -= 1;
        }
    }

    /// Sorts operands into files and folders.
    fn look_up(&mut self, names: Vec<OsString>) {
        self.listing.clear();
        for name in names {
            let stat = match open::stat(name.as_bytes()) {
                Ok(stat) => stat,
                Err(e) => {
                    self.walk.problems.failed(name.as_bytes(), &e.into());
                    continue;
                }
            };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => {
                    self.walk.problems.was_useful();
                    let at = self.listing.push_name(name.as_bytes());
                    self.list(&stat, at, true);
                }
                FileType::Directory => {
                    let name = CString::new(name.into_vec()).expect("the system took this name");
                    let (parent, handle) = (DirId::NONE, None);
                    self.own.push(Item::Folder {
                        name,
                        parent,
                        handle,
                    });
                }
                _ => {
                    let why = Problem::Other("not a regular file or directory");
                    self.walk.problems.failed(name.as_bytes(), &why);
                }
            }
        }
        self.walk.tree().add_operands(&self.listing);
    }

    /// Reads a folder: its files go into the tree, its folders to `own`.
    fn enter(&mut self, name: &CStr, parent: DirId, handle: Option<Arc<Handle<'a>>>) {
        if let Err(problem) = self.try_enter(name, parent, handle) {
            self.failed(parent, name.to_bytes(), &problem);
        }
    }

    fn try_enter(
        &mut self,
        name: &CStr,
        parent: DirId,
        handle: Option<Arc<Handle<'a>>>,
    ) -> Result<(), Problem> {
        let mut flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY;
        if parent != DirId::NONE {
            flags |= OFlags::NOFOLLOW;
        }
        let fd = match handle {
            Some(handle) => openat(&handle.fd, name, flags, Mode::empty())?,
            None => {
                let mut path = Vec::new();
                self.walk.tree().path_in(parent, name.to_bytes(), &mut path);
                open::open(&path, flags)?
            }
        };
        let stat = fstat(&fd)?;
        if parent == DirId::NONE {
            self.walk.problems.was_useful();
        }
        let mut failed = Vec::new();
        let read = self.read_entries(&fd);
        self.look_at_files(&fd, &mut failed);
        let identity = (mount_of(&fd), stat.st_dev, stat.st_ino);
        let added = self
            .walk
            .tree()
            .add_dir(parent, name.to_bytes(), identity, &self.listing);
        let Some(id) = added else {
            return Ok(()); // It was read before, and what failed was told.
        };
        for (name, problem) in failed {
            self.failed(id, &name, &problem);
        }
        let stock = &self.walk.limits.open_files;
        let stays_open = !self.subfolders.is_empty() && stock.take(1);
        let handle = stays_open.then(|| Arc::new(Handle { fd, stock }));
        for name in self.subfolders.drain(..) {
            self.own.push(Item::Folder {
                name,
                parent: id,
                handle: handle.clone(),
            });
        }
        Ok(read?)
    }

    /// Reads the names in a folder into `entries` and `subfolders`.
    fn read_entries(&mut self, fd: &OwnedFd) -> Result<(), Errno> {
        self.listing.clear();
        self.entries.clear();
        self.subfolders.clear();
        let mut entries = RawDir::new(fd, &mut self.room);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            match entry.file_type() {
                _ if name == c"." || name == c".." => {}
                FileType::Directory => self.subfolders.push(name.into()),
                // Not every file system says what it is: lstat will.
                FileType::RegularFile | FileType::Unknown => {
                    self.entries
                        .push((entry.ino(), self.listing.push_name(name.to_bytes())));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Fills the listing from `entries`.
    fn look_at_files(&mut self, fd: &OwnedFd, failed: &mut Vec<(Vec<u8>, Problem)>) {
        self.entries.sort_unstable();
        for i in 0..self.entries.len() {
            let at = self.entries[i].1;
            let name = CStr::from_bytes_until_nul(&self.listing.names[at as usize..]);
            let name = name.expect("names end with a NUL");
            match statat(fd, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
                    FileType::RegularFile => self.list(&stat, at, false),
                    FileType::Directory => self.subfolders.push(name.into()),
                    _ => {}
                },
                Err(e) => failed.push((name.to_bytes().to_vec(), e.into())),
            }
        }
    }

    /// Adds a regular file to the listing.
    fn list(&mut self, stat: &Stat, name: u32, is_operand: bool) {
        self.listing.total += 1;
        let size = stat.st_size as u64;
        if size == 0 {
            return;
        }
        self.listing.files.push(Found {
            size,
            inode: stat.st_ino,
            device: stat.st_dev,
            name,
            traits: Traits {
                is_operand,
                is_own: self.walk.user == 0 || self.walk.user == stat.st_uid,
                is_sparse: (stat.st_blocks as u64) < size.div_ceil(512),
                is_linked: stat.st_nlink > 1,
            },
        });
    }

    fn failed(&self, parent: DirId, name: &[u8], problem: &Problem) {
        let mut path = Vec::new();
        self.walk.tree().path_in(parent, name, &mut path);
        self.walk.problems.failed(&path, problem);
    }
}

/// The number of the mount by which a folder was reached: under another one it may have other folders
/// mounted below it. 0 where the kernel does not tell.
fn mount_of(folder: &OwnedFd) -> u64 {
    let told = statx(folder, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID);
    told.map_or(0, |stat| stat.stx_mnt_id)
}
