//! A run over all archives that the command line means.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::archive::{Archive, BLOCK, End, Zip64};
use crate::args::Options;
use crate::directory::Directory;
use crate::extract::Extraction;
use crate::pattern::{Pattern, Rules, is_wild};
use crate::say::{Say, text};
use crate::select::Selection;
use crate::status::{self, Status};
use crate::zipinfo_args::Form;
use crate::{guess, list, naming, stamp, zipinfo};

/// How many archives came to what end.
#[derive(Debug, Default)]
struct Tally {
    good: u32,
    warned: u32,
    failed: u32,
    folders: u32,
    missing: u32,
}

/// What became of one archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Folder,
    Missing,
    Done(Status),
}

impl Tally {
    fn count(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::Folder => &mut self.folders,
            Outcome::Missing => &mut self.missing,
            Outcome::Done(status::OK) => &mut self.good,
            Outcome::Done(status::WARNING) => &mut self.warned,
            Outcome::Done(_) => &mut self.failed,
        } += 1;
    }

    fn opened(&self) -> u32 {
        self.good + self.warned + self.failed
    }
}

/// The run.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    options: &'a Options,
    say: &'a mut Say,
    extraction: Extraction<'a>,
    /// A file was there, but it had no directory.
    no_end_record: bool,
    /// A user or a signal wants no more.
    stopped: bool,
}

impl<'a> Session<'a> {
    pub(crate) fn new(options: &'a Options, say: &'a mut Say) -> Session<'a> {
        Session {
            options,
            say,
            extraction: Extraction::new(options),
            no_end_record: false,
            stopped: false,
        }
    }

    /// Does all archives and returns the worst status.
    pub(crate) fn run(&mut self) -> Status {
        for caution in &self.options.cautions {
            self.say.err(caution);
        }
        let mut tally = Tally::default();
        let mut worst = status::OK;
        let names = archives(&self.options.archive);
        let mut last_done = true;
        for name in &names {
            let any = tally.opened() + tally.missing > 0;
            if self.options.quiet == 0 && last_done && any && !self.options.stamp {
                self.say.out("\n");
            }
            let outcome = self.archive(name, false);
            last_done = matches!(outcome, Outcome::Done(_));
            tally.count(outcome);
            match outcome {
                Outcome::Done(status) => worst = worst.max(status),
                Outcome::Missing => worst = worst.max(status::NO_ARCHIVE),
                Outcome::Folder => {}
            }
            if self.stopped || self.say.quit {
                return worst;
            }
        }
        if tally.opened() == 0
            && tally.folders + tally.missing == 1
            && let Some(name) = names.last()
        {
            (tally.folders, tally.missing) = (0, 0);
            worst = self.with_suffix(name, &mut tally);
        }
        if is_wild(&self.options.archive) {
            self.summary(&tally);
        }
        worst
    }

    /// Tries again with `.zip` and `.ZIP` at the end of the name.
    fn with_suffix(&mut self, name: &Path, tally: &mut Tally) -> Status {
        let with = |suffix: &str| {
            let mut name = name.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        let mut outcome = self.archive(&with(".zip"), false);
        if !matches!(outcome, Outcome::Done(_)) {
            tally.folders += u32::from(outcome == Outcome::Folder);
            outcome = self.archive(&with(".ZIP"), true);
        }
        match outcome {
            Outcome::Missing => status::NO_ARCHIVE,
            Outcome::Folder => {
                tally.folders += 1;
                status::NO_ARCHIVE
            }
            Outcome::Done(status) => {
                tally.count(outcome);
                status
            }
        }
    }

    fn summary(&mut self, tally: &Tally) {
        let o = self.options;
        if o.quiet >= 3 || (o.stamp && o.quiet > 1) {
            return;
        }
        let not_one = tally.missing + tally.failed + tally.warned > 0 || tally.good != 1;
        if not_one && !(o.stamp && o.quiet > 0) && !(o.test && o.quiet > 1) {
            self.say.err("\n");
        }
        let s = |n| if n == 1 { "" } else { "s" };
        let others = tally.folders + tally.missing + tally.failed + tally.warned;
        let mut line = |count: u32, line: String| {
            if count > 0 {
                self.say.err(line);
            }
        };
        let n = tally.good;
        let was = if n == 1 { " was" } else { "s were" };
        let tell = u32::from(n > 1 || (n == 1 && others > 0));
        line(tell, format!("{n} archive{was} successfully processed.\n"));
        let n = tally.warned;
        line(
            n,
            format!("{n} archive{} had warnings but no fatal errors.\n", s(n)),
        );
        let n = tally.failed;
        line(n, format!("{n} archive{} had fatal errors.\n", s(n)));
        let n = tally.missing;
        line(n, format!("{n} file{} had no zipfile directory.\n", s(n)));
        let n = tally.folders;
        line(
            n,
            match n {
                1 => "1 \"zipfile\" was a directory.\n".to_owned(),
                _ => format!("{n} \"zipfiles\" were directories.\n"),
            },
        );
        line(
            u32::from(tally.opened() == 0),
            "No zipfiles found.\n".into(),
        );
    }

    /// Does one archive. If it is the `last` try, says what is wrong with it.
    fn archive(&mut self, path: &Path, last: bool) -> Outcome {
        let name = path.as_os_str().as_bytes();
        let metadata = match fs::metadata(path) {
            Ok(metadata) if !metadata.is_dir() => metadata,
            found => {
                if last && self.options.quiet < 3 {
                    self.cannot_find(name);
                }
                return match found {
                    Ok(_) => Outcome::Folder,
                    Err(_) => Outcome::Missing,
                };
            }
        };
        let opened = File::open(path).and_then(|file| Archive::new(file, path));
        let archive = match opened {
            Ok(archive) => archive,
            Err(e) => {
                let why = cli::diag::system_text(&e);
                self.say.err(text!(
                    "error:  cannot open zipfile [ ",
                    name,
                    " ]\n        ",
                    why,
                    "\n"
                ));
                return Outcome::Missing;
            }
        };
        let header = match self.options.zipinfo {
            Some(listing) => listing.header,
            None => self.options.quiet == 0 && !self.options.stamp,
        };
        if header {
            self.say.out(text!("Archive:  ", name, "\n"));
        }
        let (end, status) = match self.find_end(&archive) {
            Ok(found) => found,
            Err(status) => {
                if metadata.permissions().mode() & 0o100 != 0 {
                    self.say.err(text!(
                        "note:  ",
                        name,
                        " may be a plain executable, not an archive\n"
                    ));
                }
                if last {
                    return Outcome::Done(status);
                }
                self.no_end_record = true;
                return Outcome::Missing;
            }
        };
        if self.options.comment > 0 && self.options.zipinfo.is_none() {
            return Outcome::Done(status);
        }
        Outcome::Done(self.contents(path, &archive, end, status))
    }

    fn cannot_find(&mut self, tried: &[u8]) {
        let asked = self.options.archive.as_bytes();
        let zipinfo = self.options.zipinfo.is_some();
        let tool: &str = if zipinfo { "zipinfo" } else { "unzip" };
        let line = if self.no_end_record {
            let indent = if zipinfo { "  " } else { "" };
            text!(
                tool,
                ":  cannot find zipfile directory in one of ",
                asked,
                " or\n        ",
                indent,
                asked,
                ".zip, and cannot find ",
                tried,
                ", period.\n"
            )
        } else {
            text!(
                tool,
                ":  cannot find or open ",
                asked,
                ", ",
                asked,
                ".zip or ",
                tried,
                ".\n"
            )
        };
        self.say.err(line);
    }

    /// Finds the end record and prints its comment; the error is a status.
    fn find_end(&mut self, archive: &Archive) -> Result<(End, Status), Status> {
        let quiet = self.options.quiet > 0 || self.options.zipinfo.is_some();
        let found = End::find(archive, self.options.zipinfo.is_some());
        let Ok(Some(mut end)) = found else {
            if let Err(e) = found {
                return Err(self.read_error(&e));
            }
            if quiet {
                self.say.err(text!("[", archive.name, "]\n"));
            }
            self.say.err(
                "  End-of-central-directory signature not found.  Either this file is not
  a zipfile, or it constitutes one disk of a multi-part archive.  In the
  latter case the central directory and zipfile comment will be found on
  the last disk(s) of this archive.\n",
            );
            return Err(status::ERROR);
        };
        let status = self.archive_comment(&end);
        let told = match end.widen(archive) {
            Ok(told) => told,
            Err(e) => return Err(self.read_error(&e)),
        };
        if told != Zip64::Fine && quiet {
            self.say.err(text!("[", archive.name, "]\n"));
        }
        match told {
            Zip64::Fine => {}
            Zip64::Moved => self.say.err(
                "error: End-of-centdir-64 signature not where expected (prepended bytes?)
  (attempting to process anyway)\n",
            ),
            Zip64::Broken => {
                self.say.err(
                    "fatal error: read failure while seeking for End-of-centdir-64 signature.
  This zipfile is corrupt.\n",
                );
                return Err(status::ERROR);
            }
        }
        if let Some(listing) = self.options.zipinfo {
            zipinfo::end_record(archive, &end, listing, self.say);
        }
        Ok((end, status))
    }

    fn read_error(&mut self, error: &std::io::Error) -> Status {
        self.say.err(format!(
            "error:  zipfile read error\n        {}\n",
            cli::diag::system_text(error)
        ));
        status::ENDS_EARLY
    }

    /// Prints the comment of the archive where it is wanted.
    fn archive_comment(&mut self, end: &End) -> Status {
        let whole = end.comment.len() == usize::from(end.comment_len);
        let verbose = self.options.zipinfo.map(|listing| listing.form) == Some(Form::Verbose);
        let print = match whole {
            true => list::comment,
            false => list::part_of_comment,
        };
        if verbose {
            if end.comment_len == 0 {
                self.say.out("There is no zipfile comment.\n");
                return status::OK;
            }
            self.say.out(format!(
                "The zipfile comment is {} bytes long and contains the following text:
======================== zipfile comment begins ==========================\n",
                end.comment_len
            ));
            print(&end.comment, self.say, false);
            self.say.out(
                "========================= zipfile comment ends ===========================\n",
            );
            if !whole {
                self.say.out("\n  The zipfile comment is truncated.\n");
            }
        } else {
            let wanted = match self.options.zipinfo {
                Some(listing) => listing.comment,
                None => {
                    self.options.comment > 0 || (self.options.quiet == 0 && !self.options.stamp)
                }
            };
            if end.comment_len == 0 || !wanted {
                return status::OK;
            }
            if !print(&end.comment, self.say, self.options.extracts()) {
                self.stopped = true;
            }
            if !whole {
                self.say.err("\ncaution:  zipfile comment truncated\n");
            }
        }
        if whole { status::OK } else { status::WARNING }
    }

    /// Lists or extracts what the archive holds.
    fn contents(&mut self, path: &Path, archive: &Archive, mut end: End, found: Status) -> Status {
        let mut status = found;
        if self.stopped {
            return status;
        }
        let name = &archive.name;
        if self.options.zipinfo.is_some() {
            if end.disk != end.directory_disk {
                let (disk, directory) = (end.disk, end.directory_disk);
                if disk > directory {
                    self.say.err(text!(
                        "\n   [",
                        name,
                        format!(
                            "]:
     Zipfile is disk {disk} of a multi-disk archive, and this is not the disk on
     which the central zipfile directory begins (disk {directory}).\n"
                        )
                    ));
                    return status::NOT_FOUND;
                }
                self.say.err(text!(
                    "\nwarning [",
                    name,
                    format!(
                        "]:  end-of-central-directory record claims this
  is disk {disk} but that the central directory starts on disk {directory}; this is a
  contradiction.  Attempting to process anyway.\n"
                    )
                ));
                status = status::WARNING;
            }
        } else if end.disk != 0 {
            self.say.err(text!(
                "warning [",
                name,
                "]:  zipfile claims to be last disk of a multi-part archive;
  attempting to process anyway, assuming all parts have been concatenated
  together in order.  Expect \"errors\" and warnings...true multi-part support
  doesn't exist yet (coming soon).\n"
            ));
            status = status::WARNING;
        }
        let expected = end.directory_offset.wrapping_add(end.directory_size);
        let mut extra = end.at.wrapping_sub(expected) as i64;
        if extra < 0 {
            let missing = extra.unsigned_abs();
            self.say.err(text!(
                "error [",
                name,
                format!(
                    "]:  missing {missing} bytes in zipfile
  (attempting to process anyway)\n"
                )
            ));
            status = status::ERROR;
        } else if extra > 0 && end.directory_offset == 0 && end.directory_size != 0 {
            self.say.err(text!(
                "error [",
                name,
                "]:  NULL central directory offset
  (attempting to process anyway)\n"
            ));
            end.directory_offset = extra.unsigned_abs();
            extra = 0;
            status = status::ERROR;
        } else if extra > 0 {
            let s = if extra == 1 { "" } else { "s" };
            self.say.err(text!(
                "warning [",
                name,
                format!(
                    "]:  {extra} extra byte{s} at beginning or within zipfile
  (attempting to process anyway)\n"
                )
            ));
            status = status::WARNING;
        }
        if expected == 0 && end.directory_size == 0 {
            match self.options.zipinfo {
                Some(listing) if listing.form == Form::Verbose => {
                    self.say.out("\n  Empty zipfile.\n");
                }
                Some(_) => self.say.out("Empty zipfile.\n"),
                None => self
                    .say
                    .err(text!("warning [", name, "]:  zipfile is empty\n")),
            }
            return status.max(status::WARNING);
        }
        match self.directory(archive, &end, &mut extra, &mut status) {
            Ok(directory) => {
                let done = self.entries(path, archive, &end, extra, directory);
                status.max(done)
            }
            Err(failed) => failed,
        }
    }

    /// Reads the directory, where it should be or where it would be without bytes before the archive.
    fn directory(
        &mut self,
        archive: &Archive,
        end: &End,
        extra: &mut i64,
        status: &mut Status,
    ) -> Result<Directory, Status> {
        let name = &archive.name;
        let Some(offset) = end.directory_offset.checked_add_signed(*extra) else {
            self.say.err(text!(
                "error [",
                name,
                "]:  attempt to seek before beginning of zipfile\n",
                status::REPORT
            ));
            return Err(status::SEVERE);
        };
        let starts_at = |offset| {
            let signature = archive.array::<4>(offset);
            signature.map(|signature| signature == Some(crate::archive::CENTRAL))
        };
        let read = || -> std::io::Result<Option<u64>> {
            if starts_at(offset)? {
                return Ok(Some(offset));
            }
            let other = end.directory_offset;
            Ok(starts_at(other)?.then_some(other))
        };
        let start = match read() {
            Ok(Some(start)) => start,
            Ok(None) => {
                self.say.err(text!(
                    "error [",
                    name,
                    "]:  start of central directory not found;
  zipfile corrupt.\n",
                    status::REPORT
                ));
                // Info-ZIP reads in blocks, and cannot where the last one ends before.
                let block = end.directory_offset / BLOCK * BLOCK;
                return Err(match block >= archive.len {
                    true => status::ENDS_EARLY,
                    false => status::SEVERE,
                });
            }
            Err(e) => return Err(self.read_error(&e)),
        };
        if start != offset {
            self.say.err(text!(
                "error [",
                name,
                format!(
                    "]:  reported length of central directory is
  {} bytes too long (Atari STZip zipfile?  J.H.Holm ZIPSPLIT 1.1
  zipfile?).  Compensating...\n",
                    extra.wrapping_neg()
                )
            ));
            *extra = 0;
            *status = status::ERROR;
        }
        Directory::read(archive, start, end.directory_size).map_err(|e| self.read_error(&e))
    }

    fn entries(
        &mut self,
        path: &Path,
        archive: &Archive,
        end: &End,
        extra: i64,
        mut directory: Directory,
    ) -> Status {
        let found = naming::name(&mut directory.entries, self.options);
        if self.options.quiet == 0 && !self.options.guess {
            self.say.flush();
            found.report(&archive.name);
        }
        let mut selection = Selection::new(self.options);
        let (options, say) = (self.options, &mut *self.say);
        if let Some(listing) = options.zipinfo {
            return zipinfo::list(&directory, end, listing, options, &mut selection, say);
        }
        if options.stamp {
            return stamp::stamp(path, &directory, end, options, &mut selection, say);
        }
        if options.list > 0 && !options.test && !options.pipe {
            let status = list::list(&directory, end, options, &mut selection, say);
            if options.guess {
                guess::print(&directory.entries, found.verdict.as_ref(), say);
            }
            return status;
        }
        let status = self
            .extraction
            .run(archive, end, extra, &directory, &mut selection, say);
        self.stopped |= status == status::INTERRUPTED;
        status
    }
}

/// The archives that a name means: itself, or the files that match it in the order of the folder.
fn archives(name: &OsStr) -> Vec<PathBuf> {
    if !is_wild(name) {
        return vec![name.into()];
    }
    let bytes = name.as_bytes();
    let split = bytes
        .iter()
        .rposition(|b| *b == b'/')
        .map_or(0, |at| at + 1);
    let (folder, wild) = bytes.split_at(split);
    let pattern = Pattern::new(wild, Rules::default());
    let listed = match folder {
        [] => fs::read_dir("."),
        folder => fs::read_dir(OsStr::from_bytes(folder)),
    };
    let mut found = Vec::new();
    for entry in listed.into_iter().flatten().flatten() {
        let file: OsString = entry.file_name();
        let hidden = file.as_bytes().starts_with(b".") && !wild.starts_with(b".");
        if !hidden && pattern.matches(file.as_bytes()) {
            let path = [folder, file.as_bytes()].concat();
            found.push(PathBuf::from(OsStr::from_bytes(&path)));
        }
    }
    if found.is_empty() {
        found.push(name.into());
    }
    found
}
