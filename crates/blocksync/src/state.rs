//! The state file (`--state`): which bytes of the destination an earlier run has finished.
//!
//! It only says in which order the next run goes: first what is missing, then all the rest, which is
//! compared like everything else. So a destination that was edited or rolled back, a source that has
//! changed, and a state file that is old or wrong cost time, and never a wrong result. What is saved
//! is the way to where the work broke off: over a line that breaks every few minutes, a run that
//! compares from the start would never get there.
//!
//! The file is text: a first line with its version, `source`, `destination`, `size`, a line
//! `START END` for each range of finished bytes, and the digest of all that.

use crate::Error;
use blkcore::{Extent, ExtentList};
use nix::fcntl::OFlag;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const MAGIC: &str = "blocksync state 1\n";
/// Larger files are not looked at. Ranges take some 30 bytes.
const LARGEST: u64 = 64 << 20;
/// How often the file is written.
const INTERVAL: Duration = Duration::from_secs(1);

/// What is known of an earlier run, and of this one.
#[derive(Debug)]
pub(crate) struct State {
    /// `None` where only this process needs it, to connect again.
    path: Option<PathBuf>,
    about: About,
    done: ExtentList,
    saved: Instant,
    is_changed: bool,
}

/// What a state is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct About {
    /// Names of the two, each in one line.
    pub(crate) source: String,
    pub(crate) destination: String,
    pub(crate) size: u64,
}

/// What a file says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Not the file of any state.
    Foreign,
    /// It was cut off or changed.
    Damaged,
    Good(About, ExtentList),
}

impl State {
    /// Of a run without a file.
    pub(crate) fn new(about: About) -> State {
        State {
            path: None,
            about,
            done: ExtentList::new(),
            saved: Instant::now(),
            is_changed: false,
        }
    }

    /// Takes the file, if there is one; `about` has no size yet. A file that is not for these two is
    /// refused: it may be dear to someone. What else is wrong with it is told by `note`, and it is
    /// not used.
    pub(crate) fn open(path: &Path, about: About, note: impl Fn(String)) -> Result<State, Error> {
        let name = cli::diag::name(path).to_string();
        let mut state = State::new(about);
        state.path = Some(path.to_owned());
        let mut text = Vec::new();
        // A FIFO would wait for its other end.
        let mut options = File::options();
        options.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
        let read = options.open(path).and_then(|file| {
            if !file.metadata()?.is_file() {
                return Err(io::Error::other("not a file"));
            }
            file.take(LARGEST + 1).read_to_end(&mut text)
        });
        match read {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(state),
            Err(e) => return Err(Error::usage(path, &e)),
            Ok(_) if text.is_empty() => return Ok(state),
            Ok(_) => {}
        }
        match parse(&text) {
            Content::Foreign => {
                return Err(Error::Usage(format!("{name}: not a state of blocksync")));
            }
            Content::Damaged => note(format!("{name}: damaged, not used")),
            Content::Good(about, done) => {
                let same = about.source == state.about.source
                    && about.destination == state.about.destination;
                if !same {
                    let About {
                        source,
                        destination,
                        ..
                    } = about;
                    return Err(Error::Usage(format!(
                        "{name}: the state of {source} to {destination}"
                    )));
                }
                state.about.size = about.size;
                state.done = done;
            }
        }
        Ok(state)
    }

    /// The bytes that were finished, as far as is known.
    pub(crate) fn done(&self) -> &ExtentList {
        &self.done
    }

    /// Takes the size of the source. What was known of another size is not used, and told by `note`.
    pub(crate) fn set_size(&mut self, size: u64, note: impl Fn(String)) {
        let old = std::mem::replace(&mut self.about.size, size);
        if old != size && !self.done.is_empty() {
            self.done = ExtentList::new();
            let name = self.path.as_deref().map(cli::diag::name);
            let name = name.map_or(String::new(), |name| format!("{name}: "));
            note(format!(
                "{name}not used: the size was {old} bytes and is {size}"
            ));
        }
    }

    /// Notes that these bytes are finished and on the disk of the destination.
    pub(crate) fn add(&mut self, done: &ExtentList) -> Result<(), Error> {
        self.done = self.done.union(done);
        self.is_changed = true;
        if self.saved.elapsed() >= INTERVAL {
            self.save()?;
        }
        Ok(())
    }

    /// Writes the file, unless it says all of this already.
    pub(crate) fn save(&mut self) -> Result<(), Error> {
        if let Some(path) = self.path.as_ref().filter(|_| self.is_changed) {
            write(path, &text(&self.about, &self.done)).map_err(|e| Error::usage(path, &e))?;
            self.saved = Instant::now();
            self.is_changed = false;
        }
        Ok(())
    }

    /// Removes the file: all is done.
    pub(crate) fn remove(&mut self) -> Result<(), Error> {
        self.is_changed = false;
        self.done = ExtentList::new();
        match self
            .path
            .as_ref()
            .map(|path| (path, std::fs::remove_file(path)))
        {
            Some((path, Err(e))) if e.kind() != io::ErrorKind::NotFound => {
                Err(Error::usage(path, &e))
            }
            _ => Ok(()),
        }
    }
}

/// In place of the old file, or not at all.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn text(about: &About, done: &ExtentList) -> String {
    let About {
        source,
        destination,
        size,
    } = about;
    let mut text = format!("{MAGIC}source {source}\ndestination {destination}\nsize {size}\n");
    for extent in done.iter() {
        let _ = writeln!(text, "{} {}", extent.start, extent.end);
    }
    let digest = blake3::hash(text.as_bytes());
    let _ = writeln!(text, "digest {digest}");
    text
}

/// Reads what [`text`] writes, and nothing else.
pub(crate) fn parse(bytes: &[u8]) -> Content {
    if !bytes.starts_with(MAGIC.as_bytes()) {
        return match MAGIC.as_bytes().starts_with(bytes) {
            true => Content::Damaged,
            false => Content::Foreign,
        };
    }
    let good = std::str::from_utf8(bytes).ok().and_then(body);
    good.map_or(Content::Damaged, |(about, done)| Content::Good(about, done))
}

fn body(text: &str) -> Option<(About, ExtentList)> {
    let (body, digest) = text.strip_suffix('\n')?.rsplit_once('\n')?;
    let body = &text[..body.len() + 1];
    if digest.strip_prefix("digest ")? != blake3::hash(body.as_bytes()).to_hex().as_str() {
        return None;
    }
    let mut lines = body.strip_prefix(MAGIC)?.lines();
    let mut line = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
    let about = About {
        source: line("source")?.to_owned(),
        destination: line("destination")?.to_owned(),
        size: line("size")?.parse().ok()?,
    };
    let mut done = Vec::new();
    let mut end = 0;
    for line in lines {
        let (start, stop) = line.split_once(' ')?;
        let extent = (start.parse::<u64>().ok()?, stop.parse::<u64>().ok()?);
        if extent.0 < end || extent.1 <= extent.0 || extent.1 > about.size {
            return None;
        }
        end = extent.1;
        done.push(Extent::new(extent.0, extent.1));
    }
    Some((about, ExtentList::from_iter(done)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn about() -> About {
        About {
            source: "/dev/vg0/a".to_owned(),
            destination: "u@h:/dev/vg0/b c".to_owned(),
            size: 1 << 40,
        }
    }

    fn open(path: &Path, about: About) -> (Result<State, Error>, String) {
        let notes = std::cell::RefCell::new(String::new());
        let state = State::open(path, about, |note| *notes.borrow_mut() += &note);
        (state, notes.into_inner())
    }

    #[test]
    fn what_was_saved_is_known_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let (state, note) = open(&path, about());
        let mut state = state.unwrap();
        assert!(state.done().is_empty() && note.is_empty());
        let done = [Extent::new(0, 7), Extent::new(9, 1 << 40)]
            .into_iter()
            .collect();
        state.set_size(1 << 40, |_| unreachable!());
        state.add(&done).unwrap();
        state.save().unwrap();
        let (again, note) = open(&path, about());
        assert_eq!((again.unwrap().done(), note.as_str()), (&done, ""));
        state.remove().unwrap();
        state.remove().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn what_is_not_used_or_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let good = text(&about(), &[Extent::new(5, 6)].into_iter().collect());
        let name = path.display();
        for (bytes, about, refused, noted) in [
            (&good[..30], about(), "", "damaged, not used"),
            (&good[..good.len() - 1], about(), "", "damaged, not used"),
            (&good[..5], about(), "", "damaged, not used"),
            ("", about(), "", ""),
            ("root:x:0:0", about(), "not a state of blocksync", ""),
            (
                &good,
                About {
                    source: "x".to_owned(),
                    ..about()
                },
                "the state of /dev/vg0/a to u@h:/dev/vg0/b c",
                "",
            ),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let (state, note) = open(&path, about);
            match state {
                Ok(state) => assert!(state.done().is_empty() && refused.is_empty()),
                Err(error) => assert_eq!(error.to_string(), format!("{name}: {refused}")),
            }
            let noted = match noted {
                "" => String::new(),
                noted => format!("{name}: {noted}"),
            };
            assert_eq!(note, noted);
        }
        std::fs::write(&path, &good).unwrap();
        let mut state = open(&path, about()).0.unwrap();
        state.set_size(1 << 40, |_| unreachable!());
        let notes = std::cell::RefCell::new(String::new());
        state.set_size(9, |note| *notes.borrow_mut() += &note);
        let noted = format!("{name}: not used: the size was 1099511627776 bytes and is 9");
        assert_eq!(*notes.borrow(), noted);
        assert!(state.done().is_empty());
        let (state, _) = open(dir.path(), about());
        assert_eq!(state.unwrap_err().status(), 2);
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let good = text(&about(), &[Extent::new(5, 6)].into_iter().collect());
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone().into_bytes();
                bad[at] ^= 1 << bit;
                assert!(!matches!(parse(&bad), Content::Good(..)), "byte {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(ends in prop::collection::btree_set(0..1u64 << 40, 0..40)) {
            let ends: Vec<u64> = ends.into_iter().collect();
            let done = ends.chunks_exact(2).map(|c| Extent::new(c[0], c[1])).collect();
            let content = parse(text(&about(), &done).as_bytes());
            prop_assert_eq!(content, Content::Good(about(), done));
        }
    }
}
