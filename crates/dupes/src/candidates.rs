//! From all files to those worth a look: one name an inode, and only sizes that more than one has.

use crate::tree::{File, Tree};

/// Files of one size, more than one, as a range of [`Candidates::files`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SizeClass {
    pub(crate) start: u32,
    pub(crate) count: u32,
    pub(crate) size: u64,
}

impl SizeClass {
    /// The bytes that are spare if all of them are equal.
    pub(crate) fn saving(&self) -> u128 {
        saving(u64::from(self.count), self.size)
    }
}

/// What `count` equal files of `size` bytes waste.
pub(crate) fn saving(count: u64, size: u64) -> u128 {
    u128::from(count.saturating_sub(1)) * u128::from(size)
}

/// Folds hard links, leaves only files that share their size with another in the tree, and returns
/// the sizes, largest possible saving first.
pub(crate) fn select(tree: &mut Tree) -> Vec<SizeClass> {
    let mut files = std::mem::take(&mut tree.files);
    // Within a class by inode: for most file systems that is the order on the disk.
    files.sort_unstable_by_key(|f| (f.size, f.device, f.inode));
    fold_links(&mut files, tree);
    let mut classes = Vec::new();
    let mut kept = 0;
    let mut start = 0;
    while start < files.len() {
        let size = files[start].size;
        let count = files[start..].iter().take_while(|f| f.size == size).count();
        if count > 1 {
            files.copy_within(start..start + count, kept);
            classes.push(SizeClass {
                start: kept as u32,
                count: count as u32,
                size,
            });
            kept += count;
        }
        start += count;
    }
    files.truncate(kept);
    files.shrink_to_fit();
    tree.files = files;
    // The sort is stable and the sizes differ, so that the order is always the same.
    classes.sort_by_key(|c| std::cmp::Reverse(c.saving()));
    classes
}

/// Keeps of each inode the name that is the first in the order of bytes.
fn fold_links(files: &mut Vec<File>, tree: &mut Tree) {
    let (mut old, mut new) = (Vec::new(), Vec::new());
    let mut repeated = 0;
    files.dedup_by(|next, kept| {
        if (next.device, next.inode) != (kept.device, kept.inode) {
            return false;
        }
        tree.path_of(kept, &mut old);
        tree.path_of(next, &mut new);
        if new < old {
            *kept = *next;
        }
        // The same name once more (an operand given twice, or also met in the walk).
        repeated += u64::from(new == old || !next.traits.is_linked);
        true
    });
    tree.total -= repeated;
}

/// The bytes of all files in the classes.
pub(crate) fn bytes(classes: &[SizeClass]) -> u64 {
    classes.iter().fold(0, |sum, c| {
        sum.saturating_add(c.size.saturating_mul(c.count.into()))
    })
}

/// How many sizes more than one file has, and how many files the largest such set has.
pub(crate) fn collisions(classes: &[SizeClass]) -> (usize, u32) {
    (
        classes.len(),
        classes.iter().map(|c| c.count).max().unwrap_or(0),
    )
}
