//! Passwords of encrypted entries.

use std::sync::Arc;

use crate::ask;
use crate::decode::Fault;
use crate::directory::Entry;
use crate::job::Job;
use crate::plan::{Run, Skip, Step};
use crate::say::{padded, shown, text};
use crate::status;

impl Run<'_, '_> {
    /// Finds a password that opens the entry, and asks for one if it must.
    pub(crate) fn password(
        &mut self,
        entry: &Entry,
        job: &Job,
        steps: &mut Vec<Step>,
    ) -> Result<Arc<[u8]>, Skip> {
        let name = shown(&entry.name);
        let talk = match self.x.options.test {
            true => self.x.options.quiet == 0,
            false => self.x.options.is_talkative(),
        };
        let skipping = |why: &str| text!("   skipping: ", padded(&name, 22), "  ", why, "\n");
        if std::mem::take(&mut self.new_archive) {
            match &self.x.options.password {
                Some(given) if self.x.password.is_none() => {
                    self.x.password = Some(given.clone().into());
                    self.x.no_question = true;
                }
                Some(_) => {}
                None => self.x.password = None,
            }
        }
        let archive = self.archive;
        let check = |password: &[u8]| job.accepts(archive, password);
        let given = self.x.password.clone();
        let mut result = match &given {
            Some(password) => check(password),
            None => Ok(false),
        };
        if matches!(result, Ok(false)) && !(given.is_some() && self.x.no_question) {
            // What was said so far comes before the question.
            self.drain();
            for step in steps.drain(..) {
                self.apply(step);
            }
            self.say.flush();
            let name_of_archive = shown(&self.archive.name);
            let mut prompt = text!("[", name_of_archive, "] ", name, " password: ");
            for _ in 0..3 {
                let Some(typed) = ask::password(&prompt) else {
                    if cli::signal::stop_requested().is_some() {
                        self.interrupt();
                    }
                    steps.push(Step::Raise(status::NO_PASSWORD));
                    steps.push(Step::Err(skipping("unable to get password")));
                    self.x.password = None;
                    return Err(Skip);
                };
                let given_up = typed.is_empty();
                let typed: Arc<[u8]> = typed.into();
                result = check(&typed);
                self.x.password = Some(typed);
                if given_up {
                    self.x.no_question |= !matches!(result, Ok(true));
                    break;
                }
                if !matches!(result, Ok(false)) {
                    break;
                }
                prompt = b"password incorrect--reenter: ".to_vec();
            }
        }
        match (result, &self.x.password) {
            (Ok(true), Some(password)) => Ok(password.clone()),
            (Ok(_), _) => {
                if talk {
                    steps.push(Step::Err(skipping("incorrect password")));
                }
                self.counts.bad_passwords += 1;
                Err(Skip)
            }
            (Err(fault), _) => {
                let failed = match fault {
                    Fault::Read(_) => status::SEVERE,
                    _ => status::ERROR,
                };
                steps.push(Step::Raise(failed));
                steps.push(Step::Err(skipping("unable to get password")));
                Err(Skip)
            }
        }
    }
}
