//! What is said of each entry when it is its turn, questions about files that are there already, and
//! what is done when all files are there: links, and the attributes of folders.

use rustix::fs::{AtFlags, FileType, Mode, OFlags};

use crate::attributes::Stamps;
use crate::decode::{Decoded, Fault};
use crate::directory::STORED;
use crate::extract::Overwrite;
use crate::job::{Done, Inode, Job, Outcome};
use crate::output::{Place, Unset};
use crate::plan::{Run, Slot, Step, Task};
use crate::say::{padded, shown, text};
use crate::status;
use crate::target;
use crate::{ask, extra, method};

/// A link to make.
#[derive(Debug)]
pub(crate) struct Link {
    shown: Vec<u8>,
    place: Place,
    text: Vec<u8>,
    /// The file that holds its place.
    holder: Inode,
}

/// A folder that was made, and how it is to be.
#[derive(Debug)]
pub(crate) struct MadeFolder {
    pub(crate) path: Vec<u8>,
    pub(crate) folder_path: Vec<Vec<u8>>,
    pub(crate) mode: Mode,
    pub(crate) stamps: Stamps,
}

/// What is to be done with a file that is there.
enum Decision {
    Skip,
    Replace,
    /// The user gave another name.
    Rename(Vec<u8>),
}

impl<'r> Run<'r, '_> {
    pub(crate) fn apply(&mut self, step: Step) {
        match step {
            Step::Out(text) => self.say.out(text),
            Step::Err(text) => self.say.err(text),
            Step::ErrLine(text) => self.say.err_line(text),
            Step::Raise(status) => self.status = self.status.max(status),
            Step::Set(status) => self.status = status,
        }
    }

    fn raise(&mut self, status: status::Status) {
        self.apply(Step::Raise(status));
    }

    /// Says all that is to be said of an entry.
    pub(crate) fn report(&mut self, slot: Slot<'r>) {
        for step in slot.steps {
            self.apply(step);
        }
        let Some(task) = slot.task else { return };
        if self.x.options.pipe {
            return self.pipe(&task);
        }
        let outcome = match slot.outcome {
            Some(outcome) => outcome,
            None => {
                let job = task.job.clone();
                self.run_here(&job)
            }
        };
        match outcome {
            Outcome::Exists => self.existing(task),
            outcome => self.outcome(&task, outcome),
        }
    }

    /// Runs a job in this thread.
    fn run_here(&mut self, job: &Job) -> Outcome {
        job.run(self.archive, &mut self.scratch)
    }

    fn existing(&mut self, task: Task<'r>) {
        let Some(destination) = &task.job.destination else {
            return;
        };
        match self.decide(&task, &destination.place, &destination.stamps) {
            Ok(Decision::Skip) => {}
            Ok(Decision::Replace) => {
                let mut job = Job::clone(&task.job);
                if let Some(to) = &mut job.destination {
                    to.replace = true;
                }
                if self.x.options.backup && !self.back_up(&task) {
                    return self.raise(status::DISK);
                }
                let outcome = self.run_here(&job);
                self.outcome(&task, outcome);
            }
            Ok(Decision::Rename(name)) => {
                let mut steps = Vec::new();
                let job = Job::clone(&task.job);
                let placed = self.place(task.entry, job, name, true, &mut steps);
                for step in steps {
                    self.apply(step);
                }
                if let Ok(task) = placed {
                    let job = task.job.clone();
                    match self.run_here(&job) {
                        Outcome::Exists => self.existing(task),
                        outcome => self.outcome(&task, outcome),
                    }
                }
            }
            Err(e) => {
                let error = Outcome::CannotCreate(e.into());
                self.outcome(&task, error);
            }
        }
    }

    /// Whether a file that is there gives way.
    fn decide(
        &mut self,
        task: &Task,
        place: &Place,
        stamps: &Stamps,
    ) -> Result<Decision, rustix::io::Errno> {
        let o = self.x.options;
        let Some(there) = target::look(&place.folder, &place.name)? else {
            return Ok(match o.freshen && !task.renamed {
                true => Decision::Skip,
                false => Decision::Replace,
            });
        };
        let is_link = target::kind(&there) == FileType::Symlink;
        let always = self.x.overwrite == Overwrite::Always;
        if is_link && o.is_talkative() && !always {
            let nothing = match target::leads_anywhere(&place.folder, &place.name) {
                true => "",
                false => " with no real file",
            };
            let name = shown(&task.shown);
            self.say.out(text!(
                name,
                " exists and is a symbolic link",
                nothing,
                ".\n"
            ));
        }
        let newer = !is_link && stamps.not_newer_than(there.st_mtime);
        let never = self.x.overwrite == Overwrite::Never && !o.backup;
        if never || (newer && o.update && !task.renamed) {
            return Ok(Decision::Skip);
        }
        if always || o.backup {
            return Ok(Decision::Replace);
        }
        Ok(self.ask(&task.shown))
    }

    fn ask(&mut self, name: &[u8]) -> Decision {
        loop {
            self.say.err(text!(
                "replace ",
                shown(name),
                "? [y]es, [n]o, [A]ll, [N]one, [r]ename: "
            ));
            self.say.flush();
            let Some(answer) = ask::line(9) else {
                if cli::signal::stop_requested().is_some() {
                    self.interrupt();
                } else {
                    self.end_of_answers();
                }
                return Decision::Skip;
            };
            match answer[0] {
                b'y' | b'Y' => return Decision::Replace,
                b'A' => {
                    self.x.overwrite = Overwrite::Always;
                    return Decision::Replace;
                }
                b'n' => return Decision::Skip,
                b'N' => {
                    self.x.overwrite = Overwrite::Never;
                    return Decision::Skip;
                }
                b'r' | b'R' => return self.ask_name(),
                b'\n' | b'\r' => self.say.err("error:  invalid response [{ENTER}]\n"),
                _ => {
                    let answer = answer.strip_suffix(b"\n").unwrap_or(&answer);
                    self.say
                        .err(text!("error:  invalid response [", answer, "]\n"));
                }
            }
        }
    }

    fn ask_name(&mut self) -> Decision {
        loop {
            self.say.err("new name: ");
            self.say.flush();
            let Some(line) = ask::line(4095) else {
                self.end_of_answers();
                return Decision::Skip;
            };
            let name = line.strip_suffix(b"\n").unwrap_or(&line);
            if !name.is_empty() {
                return Decision::Rename(name.to_vec());
            }
        }
    }

    fn end_of_answers(&mut self) {
        self.say
            .err(" NULL\n(EOF or read error, treating as \"[N]one\" ...)\n");
        self.x.overwrite = Overwrite::Never;
        self.raise(status::WARNING);
    }

    /// Gives a file that is there a name with a tilde, and a number if there is one already.
    fn back_up(&mut self, task: &Task) -> bool {
        let Some(destination) = &task.job.destination else {
            return false;
        };
        let Place { folder, name } = &destination.place;
        let tilde = |number: u32| {
            let mut tilde = name.clone();
            tilde.push(b'~');
            if number > 0 {
                tilde.extend(number.to_string().into_bytes());
            }
            tilde
        };
        let free = |number: &u32| !matches!(target::look(folder, &tilde(*number)), Ok(Some(_)));
        let number = match self.x.overwrite {
            Overwrite::Always => 0,
            _ => (0..99_999).find(free).unwrap_or(99_999),
        };
        match rustix::fs::renameat(folder, name, folder, tilde(number)) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => true,
            Err(e) => {
                let why = cli::diag::system_text(&e.into());
                let name = shown(&task.shown);
                let line = text!("error:  cannot rename old ", name, "\n        ", why, "\n");
                self.say.err(line);
                false
            }
        }
    }

    fn outcome(&mut self, task: &Task, outcome: Outcome) {
        let name = shown(&task.shown);
        match outcome {
            Outcome::Exists => {}
            Outcome::IsFolder => {
                let why = "        Is a directory\n";
                self.say
                    .err(text!("error:  cannot delete old ", name, "\n", why));
                self.raise(status::DISK);
            }
            Outcome::CannotCreate(e) => {
                let why = cli::diag::system_text(&e);
                self.say.err(text!(
                    "error:  cannot create ",
                    name,
                    "\n        ",
                    why,
                    "\n"
                ));
                self.raise(status::DISK);
            }
            Outcome::WriteFailed(e) => {
                self.announce(task);
                self.disk_full(&name, &e);
            }
            Outcome::Stopped => self.interrupt(),
            Outcome::Done(done) => {
                self.announce(task);
                self.done(task, done);
            }
        }
    }

    /// Nothing is left of the file. Others may still fit.
    fn disk_full(&mut self, name: &[u8], error: &std::io::Error) {
        let full = matches!(
            error.kind(),
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
        );
        if !full {
            let why = cli::diag::system_text(error);
            self.say
                .err_line(format!("error:  write error\n        {why}\n"));
        }
        self.say.err_line(text!(
            name,
            ":  write error (disk full?).  Continue? (y/n/^C) "
        ));
        self.say.flush();
        let answer = ask::line(9);
        if cli::signal::stop_requested().is_some() {
            self.interrupt();
        } else if answer.is_some_and(|answer| answer[0] == b'y') {
            self.raise(status::WARNING);
        } else {
            self.raise(status::DISK);
            self.stop();
        }
    }

    /// `inflating: NAME`, without the end of the line.
    fn announce(&mut self, task: &Task) {
        let options = self.x.options;
        let local = &task.job.local;
        let name = padded(&shown(&task.shown), 22);
        let line = |verb: &str, kind: &str, end: &str| {
            let verb = format!("{verb:>8}ing: ");
            text!(verb, name, "  ", kind, end)
        };
        if options.test {
            if options.quiet == 0 {
                self.say.out(line("test", "", ""));
            }
            return;
        }
        if !options.is_talkative() {
            return;
        }
        let is_link = task.job.destination.as_ref().is_some_and(|to| to.is_link);
        let verb = match task.job.method {
            STORED if is_link => "link",
            method => method::verb(method),
        };
        let kind = match (options.text, task.job.method) {
            _ if is_link && verb == "link" => "",
            (1, STORED) if local.size == 0 => "[empty] ",
            (1, _) if task.entry.is_text() => "[text]  ",
            (1, _) => "[binary]",
            _ => "",
        };
        let end = if options.pipe { "\n" } else { "" };
        self.say.out(line(verb, kind, end));
    }

    fn done(&mut self, task: &Task, done: Done) {
        let talkative = self.x.options.is_talkative();
        if let Err(fault) = &done.decoded {
            self.fault(task, fault);
        }
        let name = shown(&task.shown);
        for unset in &done.unset {
            let line = unset_line(unset, &name, self.x.options.quiet > 0);
            self.say.err(line);
        }
        if let Some((link, holder)) = done.link {
            self.link(task, link, holder, &name, talkative);
        }
        if let Ok(decoded) = done.decoded {
            self.check(task, decoded);
        }
    }

    fn link(&mut self, task: &Task, link: Vec<u8>, holder: Inode, name: &[u8], talk: bool) {
        let Some(to) = &task.job.destination else {
            return;
        };
        if link.len() as u64 != task.job.local.size {
            self.say
                .err(text!("warning:  symbolic link (", name, ") failed\n"));
            return;
        }
        let end = link.iter().position(|b| *b == 0).unwrap_or(link.len());
        let link = link[..end].to_vec();
        if talk {
            self.say.out(text!("-> ", shown(&link), " "));
        }
        self.links.push(Link {
            shown: task.shown.clone(),
            place: to.place.clone(),
            text: link,
            holder,
        });
    }

    /// Whether messages have to name the entry, since its line was not printed.
    fn is_unnamed(&self) -> bool {
        match self.x.options.test {
            true => self.x.options.quiet > 0,
            false => !self.x.options.is_talkative(),
        }
    }

    fn fault(&mut self, task: &Task, fault: &Fault) {
        let (what, failed) = match fault {
            Fault::Invalid | Fault::BadPassword => ("invalid compressed data to ", status::ERROR),
            Fault::TooLong => ("more data than declared to ", status::ERROR),
            Fault::Memory => ("not enough memory to ", 6),
            Fault::Stopped => return self.interrupt(),
            Fault::Read(e) | Fault::Write(e) => {
                let why = cli::diag::system_text(e);
                self.say
                    .err_line(format!("error:  zipfile read error\n        {why}\n"));
                return self.raise(status::SEVERE);
            }
        };
        let to_do = method::to_do(task.job.method);
        let line = match self.is_unnamed() {
            true => text!("  error:  ", what, to_do, " ", shown(&task.shown), "\n"),
            false => text!("\n  error:  ", what, to_do, "\n"),
        };
        self.say.err(line);
        self.raise(failed);
    }

    /// Compares the CRC and ends the line.
    fn check(&mut self, task: &Task, decoded: Decoded) {
        let local = &task.job.local;
        if decoded.crc != local.crc && !decoded.authentic {
            if self.is_unnamed() {
                self.say.err(text!(padded(&shown(&task.shown), 22), " "));
            }
            self.say.err(format!(
                " bad CRC {:08x}  (should be {:08x})\n",
                decoded.crc, local.crc
            ));
            if task.entry.is_encrypted() {
                self.say.err("    (may instead be incorrect password)\n");
            }
            self.raise(status::ERROR);
        } else if self.x.options.test {
            self.test_extra(task);
        } else if self.x.options.is_talkative() {
            self.say.out("\n");
        }
    }

    /// Extra fields that end in the middle of a block are an error of the test.
    fn test_extra(&mut self, task: &Task) {
        let extra = &task.job.local.extra;
        let read: usize = extra::blocks(extra).map(|(_, data)| 4 + data.len()).sum();
        let rest = &extra[read..];
        if rest.len() >= 4 {
            let claimed = crate::archive::u16_at(rest, 2);
            if self.x.options.quiet > 0 {
                self.say.err(text!(padded(&shown(&task.shown), 22), " "));
            }
            self.say.err(format!(
                "bad extra-field entry:\n      EF block length ({claimed} bytes) exceeds remaining EF data ({} bytes)\n",
                rest.len() - 4
            ));
            self.raise(status::ERROR);
        } else if self.x.options.quiet == 0 {
            self.say.out(" OK\n");
        }
    }

    /// Extracts to standard output.
    fn pipe(&mut self, task: &Task) {
        self.announce(task);
        let text = match self.x.options.text {
            0 => false,
            1 => task.entry.is_text(),
            _ => true,
        };
        let mut lines = crate::text::Lines::default();
        let (say, scratch) = (&mut *self.say, &mut self.scratch);
        let decoded = task.job.decode(self.archive, scratch, &mut |data| {
            say.out(if text { lines.convert(data) } else { data });
            match say.has_failed() || say.quit {
                true => Err(std::io::ErrorKind::BrokenPipe.into()),
                false => Ok(()),
            }
        });
        match decoded {
            Ok(decoded) => self.check(task, decoded),
            // Told at the end, once.
            Err(Fault::Write(_)) => self.stop(),
            Err(fault) => self.fault(task, &fault),
        }
    }

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
            self.raise(status::WARNING);
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
fn unset_line(unset: &Unset, name: &[u8], named: bool) -> Vec<u8> {
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
