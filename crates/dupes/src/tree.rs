//! All names in little room: folders that know their parent, and one arena of names.
//!
//! A file takes 32 bytes and its own name; its path is put together when it is needed. A folder is
//! known by its mount, device and inode number, so that one reached twice (operands that overlap) is
//! kept once; of its paths the one that comes first in the order of bytes is used, whichever thread
//! came first. Under another mount it may have other folders below it, and is looked at again: its
//! files are folded as hard links are.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// A folder of a [`Tree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DirId(u32);

impl DirId {
    /// The parent of what was named as an operand.
    pub(crate) const NONE: DirId = DirId(u32::MAX);
}

/// Marks the folder that stands for the files named as operands, whose names are whole paths.
const NAMELESS: u64 = u64::MAX;

#[derive(Clone, Copy, Debug)]
struct Dir {
    parent: DirId,
    /// Where its own name is.
    name: u64,
    /// Where the names of its files start.
    base: u64,
}

/// A regular file that is not empty.
#[derive(Clone, Copy, Debug)]
pub(crate) struct File {
    pub(crate) size: u64,
    pub(crate) inode: u64,
    dir: DirId,
    /// Where its name is, from the `base` of its folder.
    name: u32,
    /// Index of its device number.
    pub(crate) device: u32,
    pub(crate) traits: Traits,
}

/// What lstat(2) said besides.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traits {
    /// It was named as an operand: a symbolic link is followed.
    pub(crate) is_operand: bool,
    /// It is ours, so that O_NOATIME is allowed.
    pub(crate) is_own: bool,
    /// Fewer blocks than its size needs.
    pub(crate) is_sparse: bool,
    /// It has other names.
    pub(crate) is_linked: bool,
}

/// A file as the walk finds it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) size: u64,
    pub(crate) inode: u64,
    pub(crate) device: u64,
    /// Where its name is among the names that come with it.
    pub(crate) name: u32,
    pub(crate) traits: Traits,
}

/// The files of one folder. Names end with a NUL.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) names: Vec<u8>,
    pub(crate) files: Vec<Found>,
    /// How many regular files, empty ones too.
    pub(crate) total: u64,
}

impl Listing {
    pub(crate) fn clear(&mut self) {
        self.names.clear();
        self.files.clear();
        self.total = 0;
    }

    /// Adds a name and says where it is.
    pub(crate) fn push_name(&mut self, name: &[u8]) -> u32 {
        let at = u32::try_from(self.names.len()).expect("the names of a folder are below 4 GiB");
        self.names.extend_from_slice(name);
        self.names.push(0);
        at
    }
}

#[derive(Debug, Default)]
pub(crate) struct Tree {
    names: Vec<u8>,
    dirs: Vec<Dir>,
    pub(crate) files: Vec<File>,
    devices: Vec<u64>,
    seen: HashMap<(u64, u64, u64), DirId>,
    /// Other ways to a folder: its parent there, and its name.
    aliases: Vec<(DirId, DirId, u64)>,
    /// How many regular files were found, empty ones too.
    pub(crate) total: u64,
}

impl Tree {
    /// Adds a folder by its mount, device and inode number, with its files; `None` if it is there
    /// already, under this name or another.
    pub(crate) fn add_dir(
        &mut self,
        parent: DirId,
        name: &[u8],
        identity: (u64, u64, u64),
        listing: &Listing,
    ) -> Option<DirId> {
        let id = DirId(u32::try_from(self.dirs.len()).expect("fewer than 2^32 folders"));
        let own = self.names.len() as u64;
        self.names.extend_from_slice(name);
        self.names.push(0);
        match self.seen.entry(identity) {
            Entry::Occupied(entry) => {
                self.aliases.push((*entry.get(), parent, own));
                return None;
            }
            Entry::Vacant(entry) => entry.insert(id),
        };
        let base = self.names.len() as u64;
        self.dirs.push(Dir {
            parent,
            name: own,
            base,
        });
        self.add_files(id, listing);
        Some(id)
    }

    /// Adds files that were named as operands.
    pub(crate) fn add_operands(&mut self, listing: &Listing) {
        let id = DirId(u32::try_from(self.dirs.len()).expect("fewer than 2^32 folders"));
        self.dirs.push(Dir {
            parent: DirId::NONE,
            name: NAMELESS,
            base: self.names.len() as u64,
        });
        self.add_files(id, listing);
    }

    fn add_files(&mut self, dir: DirId, listing: &Listing) {
        self.total += listing.total;
        self.names.extend_from_slice(&listing.names);
        self.files.reserve(listing.files.len());
        for found in &listing.files {
            let device = self.device_index(found.device);
            self.files.push(File {
                size: found.size,
                inode: found.inode,
                dir,
                name: found.name,
                device,
                traits: found.traits,
            });
        }
    }

    fn device_index(&mut self, device: u64) -> u32 {
        // Nearly always the last one; there are few.
        let known = self.devices.iter().rposition(|d| *d == device);
        known.unwrap_or_else(|| {
            self.devices.push(device);
            self.devices.len() - 1
        }) as u32
    }

    /// The device numbers that [`File::device`] counts.
    pub(crate) fn devices(&self) -> &[u64] {
        &self.devices
    }

    /// Ends the walk: gives each folder that was reached twice the first of its paths, and frees
    /// what only the walk needs.
    pub(crate) fn settle(&mut self) {
        let mut aliases = std::mem::take(&mut self.aliases);
        let (mut old, mut new) = (Vec::new(), Vec::new());
        // A path through the folder itself is longer than it and starts with it, so that it is
        // never the first: there are no circles. Each turn makes some path smaller.
        let mut changed = true;
        while std::mem::take(&mut changed) {
            for (id, parent, name) in &mut aliases {
                let dir = self.dirs[id.0 as usize];
                self.dir_key(dir.parent, dir.name, &mut old);
                self.dir_key(*parent, *name, &mut new);
                if new < old {
                    let dir = &mut self.dirs[id.0 as usize];
                    std::mem::swap(&mut dir.parent, parent);
                    std::mem::swap(&mut dir.name, name);
                    changed = true;
                }
            }
        }
        self.seen = HashMap::new();
        self.names.shrink_to_fit();
    }

    /// The path of a folder with the slash that everything in it has behind it.
    fn dir_key(&self, parent: DirId, name: u64, out: &mut Vec<u8>) {
        self.build(parent, self.name_at(name), out);
        if out.last() != Some(&b'/') {
            out.push(b'/');
        }
    }

    /// Writes the path of a file over `out`.
    pub(crate) fn path_of(&self, file: &File, out: &mut Vec<u8>) {
        let base = self.dirs[file.dir.0 as usize].base;
        self.build(file.dir, self.name_at(base + u64::from(file.name)), out);
    }

    /// Writes the path of `name` in the folder `parent` over `out`.
    pub(crate) fn path_in(&self, parent: DirId, name: &[u8], out: &mut Vec<u8>) {
        self.build(parent, name, out);
    }

    fn name_at(&self, offset: u64) -> &[u8] {
        let rest = &self.names[offset as usize..];
        let len = rest.iter().position(|b| *b == 0);
        &rest[..len.expect("names end with a NUL")]
    }

    /// From the last name to the first, into room that was measured before: paths can be deep.
    fn build(&self, parent: DirId, name: &[u8], out: &mut Vec<u8>) {
        let mut len = name.len();
        for folder in self.upwards(parent) {
            len += folder.len() + usize::from(!folder.ends_with(b"/"));
        }
        out.clear();
        out.resize(len, b'/');
        let mut end = len - name.len();
        out[end..].copy_from_slice(name);
        for folder in self.upwards(parent) {
            end -= usize::from(!folder.ends_with(b"/"));
            out[end - folder.len()..end].copy_from_slice(folder);
            end -= folder.len();
        }
    }

    /// The names of a folder, its parent, and so on.
    fn upwards(&self, from: DirId) -> impl Iterator<Item = &[u8]> {
        let mut at = from;
        std::iter::from_fn(move || {
            let dir = self.dirs.get(at.0 as usize)?;
            at = dir.parent;
            (dir.name != NAMELESS).then(|| self.name_at(dir.name))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(names: &[&str]) -> Listing {
        let mut listing = Listing::default();
        for name in names {
            let name = listing.push_name(name.as_bytes());
            listing.files.push(Found {
                size: 1,
                inode: 1,
                device: 7,
                name,
                traits: Traits::default(),
            });
        }
        listing
    }

    fn paths(tree: &Tree) -> Vec<String> {
        let mut out = Vec::new();
        let path = |f| {
            tree.path_of(f, &mut out);
            String::from_utf8(out.clone()).unwrap()
        };
        tree.files.iter().map(path).collect()
    }

    #[test]
    fn paths_keep_the_spelling_of_the_operand() {
        let mut tree = Tree::default();
        let root = tree
            .add_dir(DirId::NONE, b"/", (0, 1, 1), &listing(&["f"]))
            .unwrap();
        tree.add_dir(root, b"sub", (0, 1, 2), &listing(&["g"]))
            .unwrap();
        tree.add_dir(DirId::NONE, b"./x//", (0, 1, 3), &listing(&["h"]))
            .unwrap();
        tree.add_operands(&listing(&["a/b", "c"]));
        assert_eq!(paths(&tree), ["/f", "/sub/g", "./x//h", "a/b", "c"]);
        assert_eq!(tree.devices(), [7]);
    }

    /// `a` and `z/b` are one folder; so are `z` and `c`. The first path of the file needs both.
    #[test]
    fn a_folder_reached_twice_gets_its_first_path_in_any_order() {
        let one = |swap: bool| {
            let mut tree = Tree::default();
            let names: [&[u8]; 2] = if swap { [b"c", b"z"] } else { [b"z", b"c"] };
            let z = tree
                .add_dir(DirId::NONE, names[0], (0, 1, 1), &listing(&[]))
                .unwrap();
            let b = tree.add_dir(z, b"b", (0, 1, 2), &listing(&["f"])).unwrap();
            tree.add_dir(b, b"deep", (0, 1, 3), &listing(&["g"]))
                .unwrap();
            assert!(
                tree.add_dir(DirId::NONE, b"d", (0, 1, 2), &listing(&["f"]))
                    .is_none()
            );
            assert!(
                tree.add_dir(DirId::NONE, names[1], (0, 1, 1), &listing(&[]))
                    .is_none()
            );
            tree.settle();
            paths(&tree)
        };
        assert_eq!(one(false), ["c/b/f", "c/b/deep/g"]);
        assert_eq!(one(true), one(false));
    }

    /// `x` is mounted at `x/y/x` too.
    #[test]
    fn a_folder_inside_itself_makes_no_circle() {
        let mut tree = Tree::default();
        let x = tree
            .add_dir(DirId::NONE, b"x", (0, 1, 1), &listing(&["f"]))
            .unwrap();
        let y = tree.add_dir(x, b"y", (0, 1, 2), &listing(&[])).unwrap();
        assert!(tree.add_dir(y, b"x", (0, 1, 1), &listing(&["f"])).is_none());
        tree.settle();
        assert_eq!(paths(&tree), ["x/f"]);
    }
}
