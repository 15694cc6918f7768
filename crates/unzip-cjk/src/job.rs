//! The part of extracting an entry that any thread can do.

use rustix::fs::Mode;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::archive::Archive;
use crate::attributes::Stamps;
use crate::decode::{Decoded, Fault, Scratch, Source};
use crate::local::Local;
use crate::output::{NoOutput, Output, Place, Unset};
use crate::text::Lines;

/// An entry, ready to be extracted or tested.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) local: Local,
    /// Below encryption.
    pub(crate) method: u16,
    pub(crate) streamed: bool,
    pub(crate) password: Option<Arc<[u8]>>,
    /// `None`: only test.
    pub(crate) destination: Option<Destination>,
    /// Inflate and write at the same time.
    pub(crate) aside: bool,
    /// Set when the file is there and the data come, for an entry that takes its time.
    pub(crate) begun: Option<Arc<AtomicBool>>,
}

/// The file to make.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    pub(crate) place: Place,
    pub(crate) replace: bool,
    pub(crate) mode: Mode,
    pub(crate) umask: Mode,
    pub(crate) stamps: Stamps,
    pub(crate) set_times: bool,
    pub(crate) is_link: bool,
    pub(crate) text: bool,
}

/// What became of a job.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// There is a file already; nothing was done.
    Exists,
    /// No file could be made.
    IsFolder,
    CannotCreate(io::Error),
    /// Nothing is left of it.
    WriteFailed(io::Error),
    Stopped,
    /// There is a file, though perhaps not as it should be.
    Done(Done),
}

/// What is known of a file that was extracted.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) decoded: Result<Decoded, Fault>,
    pub(crate) unset: Vec<Unset>,
    /// For a link: the text of it, and the file that holds its place.
    pub(crate) link: Option<(Vec<u8>, Inode)>,
}

/// Device and number.
pub(crate) type Inode = (u64, u64);

/// A longer link cannot be.
pub(crate) const LONGEST_LINK: u64 = 4095;

impl Job {
    fn source<'a>(&'a self, archive: &'a Archive) -> Source<'a> {
        Source {
            archive,
            local: &self.local,
            method: self.method,
            password: self.password.as_deref(),
            streamed: self.streamed,
        }
    }

    /// Whether the password is right.
    pub(crate) fn accepts(&self, archive: &Archive, password: &[u8]) -> Result<bool, Fault> {
        self.source(archive).accepts(password)
    }

    /// Decodes into anything.
    pub(crate) fn decode(
        &self,
        archive: &Archive,
        scratch: &mut Scratch,
        sink: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
    ) -> Result<Decoded, Fault> {
        let mut sink = sink;
        self.source(archive).decode(scratch, &mut sink, self.aside)
    }

    /// Whether its line may be printed although it is not done.
    pub(crate) fn has_begun(&self) -> bool {
        let begun = self.begun.as_ref();
        begun.is_some_and(|begun| begun.load(Ordering::Relaxed))
    }

    /// Does all of it.
    pub(crate) fn run(&self, archive: &Archive, scratch: &mut Scratch) -> Outcome {
        let begin = || {
            if let Some(begun) = &self.begun {
                begun.store(true, Ordering::Relaxed);
            }
        };
        let Some(to) = &self.destination else {
            begin();
            let decoded = self.decode(archive, scratch, &mut |_| Ok(()));
            return match decoded {
                Err(Fault::Stopped) => Outcome::Stopped,
                decoded => Outcome::Done(Done {
                    decoded,
                    unset: Vec::new(),
                    link: None,
                }),
            };
        };
        let mut output = match Output::create(to.place.clone(), to.mode, to.replace) {
            Ok(output) => output,
            Err(NoOutput::Exists) => return Outcome::Exists,
            Err(NoOutput::IsFolder) => return Outcome::IsFolder,
            Err(NoOutput::Cannot(e)) => return Outcome::CannotCreate(e),
        };
        begin();
        let mut link = Vec::new();
        let mut lines = Lines::default();
        let decoded = self.decode(archive, scratch, &mut |data| {
            if to.is_link && (link.len() + data.len()) as u64 <= LONGEST_LINK {
                link.extend(data);
            }
            if to.text {
                output.write(lines.convert(data))
            } else {
                output.write(data)
            }
        });
        let decoded = match decoded {
            Err(Fault::Write(e)) => return Outcome::WriteFailed(e),
            Err(Fault::Stopped) => return Outcome::Stopped,
            decoded => decoded,
        };
        if to.is_link {
            return placeholder(output, to, decoded, link);
        }
        let stamps = Some(&to.stamps).filter(|_| to.set_times);
        match output.finish(to.mode, to.umask, stamps, to.stamps.owner) {
            Ok(unset) => Outcome::Done(Done {
                decoded,
                unset,
                link: None,
            }),
            Err(e) => Outcome::WriteFailed(e),
        }
    }
}

/// Links are made when all files are there; until then a file holds the place.
fn placeholder(
    output: Output,
    to: &Destination,
    decoded: Result<Decoded, Fault>,
    link: Vec<u8>,
) -> Outcome {
    let inode = match output.inode() {
        Ok(inode) => inode,
        Err(e) => return Outcome::WriteFailed(e),
    };
    let private = Mode::from_raw_mode(0o600);
    match output.finish(private, to.umask, None, None) {
        Ok(unset) => Outcome::Done(Done {
            decoded,
            unset,
            link: Some((link, inode)),
        }),
        Err(e) => Outcome::WriteFailed(e),
    }
}
