//! A file that is there already: what the options or the user want done with it.

use rustix::fs::FileType;

use crate::ask;
use crate::attributes::Stamps;
use crate::extract::Overwrite;
use crate::job::{Job, Outcome};
use crate::output::Place;
use crate::plan::{Run, Task};
use crate::say::{shown, text};
use crate::status;
use crate::target;

/// What is to be done with a file that is there.
enum Decision {
    Skip,
    Replace,
    /// The user gave another name.
    Rename(Vec<u8>),
}
impl<'r> Run<'r, '_> {
    pub(crate) fn existing(&mut self, task: Task<'r>) {
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
}
