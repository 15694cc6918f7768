//! What is said of each entry when it is its turn.

use crate::decode::{Decoded, Fault};
use crate::deferred::{Link, unset_line};
use crate::directory::STORED;
use crate::job::{Done, Inode, Job, Outcome};
use crate::plan::{Run, Slot, Step, Task};
use crate::say::{padded, shown, text};
use crate::{TOOL, status};
use crate::{ask, extra, method};

impl<'r> Run<'r, '_> {
    pub(crate) fn apply(&mut self, step: Step) {
        match step {
            Step::Out(text) => self.say.out(text),
            Step::Err(text) => self.say.err(text),
            Step::ErrLine(text) => self.say.err_line(text),
            Step::Note(text) => {
                self.say.flush();
                cli::diag::report(TOOL, text);
            }
            Step::Raise(status) => self.status = self.status.max(status),
            Step::Set(status) => self.status = status,
        }
    }

    pub(crate) fn raise(&mut self, status: status::Status) {
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
            Some(Outcome::WriteFailed(e)) if would_fit(&task.job, &e) => None,
            outcome => outcome,
        };
        let outcome = match outcome {
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
    pub(crate) fn run_here(&mut self, job: &Job) -> Outcome {
        job.run(self.archive, &mut self.scratch)
    }

    pub(crate) fn outcome(&mut self, task: &Task, outcome: Outcome) {
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
            return;
        }
        self.raise(status::DISK);
        if answer.is_none_or(|answer| answer[0] != b'y') {
            self.stop();
        }
    }

    /// `inflating: NAME`, without the end of the line.
    pub(crate) fn announce(&mut self, task: &Task) {
        if task.announced {
            return;
        }
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
            owner: to.stamps.owner,
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
}

/// Whether the disk was full, and now has room for the file: others that were written at the same time
/// are gone, or are complete.
fn would_fit(job: &Job, error: &std::io::Error) -> bool {
    let Some(to) = &job.destination else {
        return false;
    };
    let free = match rustix::fs::fstatvfs(&to.place.folder) {
        Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize),
        Err(_) => 0,
    };
    error.kind() == std::io::ErrorKind::StorageFull && job.local.size < free
}
