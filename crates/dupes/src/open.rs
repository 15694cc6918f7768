//! Opening by paths of any length.

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Stat, openat, statat};
use rustix::io::Errno;
use std::os::fd::OwnedFd;

/// The kernel takes paths up to this length, with the NUL at their end.
const PATH_MAX: usize = 4096;

/// Opens `path` for reading. A path longer than the kernel takes is followed step by step.
pub(crate) fn open(path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC;
    if path.len() < PATH_MAX {
        return openat(CWD, path, flags, Mode::empty());
    }
    let (folder, rest) = approach(path)?;
    openat(&folder, rest, flags, Mode::empty())
}

/// stat(2) of what `path` leads to, symbolic links followed.
pub(crate) fn stat(path: &[u8]) -> Result<Stat, Errno> {
    if path.len() < PATH_MAX {
        return statat(CWD, path, AtFlags::empty());
    }
    let (folder, rest) = approach(path)?;
    statat(&folder, rest, AtFlags::empty())
}

/// Opens folders on the way of a long path until what is left of it is short enough.
fn approach(path: &[u8]) -> Result<(OwnedFd, &[u8]), Errno> {
    let way = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut folder = openat(
        CWD,
        if path.starts_with(b"/") { "/" } else { "." },
        way,
        Mode::empty(),
    )?;
    let mut rest = path;
    loop {
        // A slash in front would lead back to the root.
        let slashes = rest.iter().take_while(|b| **b == b'/').count();
        rest = &rest[slashes..];
        if rest.len() < PATH_MAX {
            return Ok((folder, rest));
        }
        let cut = rest[..PATH_MAX - 1].iter().rposition(|b| *b == b'/');
        let cut = cut.ok_or(Errno::NAMETOOLONG)?;
        folder = openat(&folder, &rest[..cut], way, Mode::empty())?;
        rest = &rest[cut..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{mkdirat, unlinkat};

    #[test]
    fn a_path_of_a_hundred_thousand_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let top = open(dir.path().as_os_str().as_encoded_bytes(), OFlags::DIRECTORY).unwrap();
        let name = "n".repeat(200);
        let mut path = dir.path().as_os_str().as_encoded_bytes().to_vec();
        let mut folders = vec![top];
        for _ in 0..500 {
            let here = folders.last().unwrap();
            mkdirat(here, &name, Mode::RWXU).unwrap();
            let next = openat(here, &name, OFlags::DIRECTORY, Mode::empty()).unwrap();
            folders.push(next);
            path.extend_from_slice(b"//");
            path.extend_from_slice(name.as_bytes());
        }
        let last = open(&path, OFlags::DIRECTORY).unwrap();
        let inode = |fd: &OwnedFd| rustix::fs::fstat(fd).unwrap().st_ino;
        assert_eq!(inode(&last), inode(folders.last().unwrap()));
        path.extend_from_slice(b"/missing");
        assert_eq!(open(&path, OFlags::empty()).unwrap_err(), Errno::NOENT);
        path.truncate(path.len() - 8);
        path.extend_from_slice(&[b'm'; 5000]);
        assert_eq!(
            open(&path, OFlags::empty()).unwrap_err(),
            Errno::NAMETOOLONG
        );
        folders.pop();
        while let Some(here) = folders.pop() {
            unlinkat(&here, &name, AtFlags::REMOVEDIR).unwrap();
        }
    }
}
