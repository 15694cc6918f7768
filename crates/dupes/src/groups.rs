//! What was proven: groups of equal files, in the order in which they are told.

use crate::candidates::saving;
use crate::tree::Tree;
use std::cmp::Reverse;

/// Files that are equal byte by byte, as a range of [`Groups::files`].
#[derive(Clone, Copy, Debug)]
struct Group {
    size: u64,
    start: u32,
    count: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Groups {
    files: Vec<u32>,
    groups: Vec<Group>,
}

impl Groups {
    /// Adds a group: files as [`in_order`] sorts them.
    pub(crate) fn push(&mut self, size: u64, files: &[u32]) {
        let (start, count) = (self.files.len() as u32, files.len() as u32);
        self.files.extend_from_slice(files);
        self.groups.push(Group { size, start, count });
    }

    /// Sorts the groups: the largest saving first, then by the first path.
    pub(crate) fn sort(&mut self, tree: &Tree) {
        let saving = |g: &Group| Reverse(saving(u64::from(g.count), g.size));
        self.groups.sort_unstable_by_key(saving);
        for same in self.groups.chunk_by_mut(|a, b| saving(a) == saving(b)) {
            if same.len() > 1 {
                same.sort_by_cached_key(|g| {
                    let mut path = Vec::new();
                    let first = self.files[g.start as usize];
                    tree.path_of(&tree.files[first as usize], &mut path);
                    path
                });
            }
        }
    }

    /// The size and the files of each group.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &[u32])> {
        self.groups.iter().map(|g| {
            let files = g.start as usize..(g.start + g.count) as usize;
            (g.size, &self.files[files])
        })
    }

    pub(crate) fn count(&self) -> usize {
        self.groups.len()
    }

    /// Files that could go: all but one of each group.
    pub(crate) fn spare_files(&self) -> u64 {
        self.groups.iter().map(|g| u64::from(g.count) - 1).sum()
    }

    /// The bytes of these.
    pub(crate) fn spare_bytes(&self) -> u64 {
        let bytes: u128 = self
            .groups
            .iter()
            .map(|g| saving(u64::from(g.count), g.size))
            .sum();
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

/// Sorts files by their paths, in the order of bytes.
pub(crate) fn in_order(tree: &Tree, files: Vec<u32>) -> Vec<u32> {
    let mut path = Vec::new();
    // All paths in one piece: there can be many.
    let mut paths = Vec::new();
    let mut places = Vec::with_capacity(files.len());
    for file in files {
        tree.path_of(&tree.files[file as usize], &mut path);
        places.push((paths.len(), path.len(), file));
        paths.extend_from_slice(&path);
    }
    places.sort_unstable_by_key(|(start, len, _)| &paths[*start..start + len]);
    places.into_iter().map(|(_, _, file)| file).collect()
}
