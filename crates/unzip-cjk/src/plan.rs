//! The entries of an archive, one after the other: headers are read and compared, passwords asked
//! for, folders made, and jobs handed out. What is printed comes out in this order (see `report`).

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use crate::archive::{Archive, BLOCK};
use crate::attributes::{Attributes, Stamps, attributes, filtered};
use crate::decode::{Fault, Scratch};
use crate::directory::{Entry, FLAG_ENCRYPTED, FLAG_STREAMED, FLAG_UTF8, STORED, host};
use crate::extract::{Extraction, Overwrite};
use crate::job::{Destination, Job, LONGEST_LINK, Outcome};
use crate::local::{Headers, Local, Missing};
use crate::output::Place;
use crate::path::{Mapped, map};
use crate::pool::Pool;
use crate::report::{Link, MadeFolder};
use crate::say::{Say, padded, shown, text};
use crate::status::{self, Status};
use crate::target::{ANY_MODE, Refused};
use crate::unicode_path::{self, Field};
use crate::{ask, method};
use rustix::fs::Mode;

/// This many entries may be under way before the first of them is done.
const AHEAD: usize = 256;

/// How many entries there were.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Those that could be extracted.
    pub(crate) entries: u64,
    pub(crate) bad_passwords: u64,
}

/// Something to print, or a status.
#[derive(Debug)]
pub(crate) enum Step {
    Out(Vec<u8>),
    Err(Vec<u8>),
    /// At the start of a line.
    ErrLine(Vec<u8>),
    /// The status is at least this.
    Raise(Status),
    /// The status is this.
    Set(Status),
}

/// An entry that is under way.
#[derive(Debug)]
pub(crate) struct Slot<'r> {
    pub(crate) steps: Vec<Step>,
    pub(crate) task: Option<Task<'r>>,
    pub(crate) outcome: Option<Outcome>,
}

/// The part of it that is not only words.
#[derive(Clone, Debug)]
pub(crate) struct Task<'r> {
    pub(crate) entry: &'r Entry,
    pub(crate) job: Arc<Job>,
    /// The name in messages.
    pub(crate) shown: Vec<u8>,
    /// The user gave the name.
    pub(crate) renamed: bool,
}

/// The work on one archive.
#[derive(Debug)]
pub(crate) struct Run<'r, 'x> {
    pub(crate) x: &'r mut Extraction<'x>,
    pub(crate) archive: &'r Archive,
    pub(crate) say: &'r mut Say,
    /// Bytes before the archive, as the end record has it; and what was tried before.
    extra: i64,
    old_extra: i64,
    headers: Headers<'r>,
    pool: Option<Pool>,
    aside: bool,
    pub(crate) scratch: Scratch,
    slots: VecDeque<Slot<'r>>,
    /// The number of the first slot.
    first: u64,
    /// Paths of files that are under way.
    in_flight: HashSet<Vec<u8>>,
    pub(crate) status: Status,
    pub(crate) counts: Counts,
    /// No encrypted entry was met yet.
    new_archive: bool,
    reported_backslash: bool,
    pub(crate) links: Vec<Link>,
    pub(crate) made_folders: Vec<MadeFolder>,
    /// Nothing more is to be done.
    pub(crate) stopped: bool,
}

/// Why an entry is not extracted; its words are among the steps.
pub(crate) struct Skip;

impl<'r, 'x> Run<'r, 'x> {
    pub(crate) fn new(
        x: &'r mut Extraction<'x>,
        archive: &'r Archive,
        extra: i64,
        headers: Headers<'r>,
        pool: Option<Pool>,
        aside: bool,
        say: &'r mut Say,
    ) -> Run<'r, 'x> {
        Run {
            x,
            archive,
            say,
            extra,
            old_extra: 0,
            headers,
            pool,
            aside,
            scratch: Scratch::new(),
            slots: VecDeque::new(),
            first: 0,
            in_flight: HashSet::new(),
            status: status::OK,
            counts: Counts::default(),
            new_archive: true,
            reported_backslash: false,
            links: Vec::new(),
            made_folders: Vec::new(),
            stopped: false,
        }
    }

    /// Does all entries; `false` if it was stopped before the last one.
    pub(crate) fn entries(&mut self, entries: &[&'r Entry]) -> bool {
        for entry in entries {
            if cli::signal::stop_requested().is_some() {
                self.interrupt();
            }
            if self.stopped || self.say.quit {
                break;
            }
            self.counts.entries += 1;
            let mut steps = Vec::new();
            let task = self.prepare(entry, &mut steps).ok();
            self.push(steps, task);
            self.collect(false);
            while self.slots.len() >= AHEAD && !self.stopped {
                self.collect(true);
            }
        }
        self.drain();
        !self.stopped && !self.say.quit
    }

    pub(crate) fn interrupt(&mut self) {
        self.stopped = true;
        self.status = status::INTERRUPTED;
        if let Some(pool) = &self.pool {
            pool.cancel();
        }
    }

    pub(crate) fn stop(&mut self) {
        self.stopped = true;
        if let Some(pool) = &self.pool {
            pool.cancel();
        }
    }

    fn push(&mut self, steps: Vec<Step>, task: Option<Task<'r>>) {
        let mut outcome = None;
        if let Some(task) = &task {
            let must_exist = self.x.options.freshen && !task.renamed;
            match (&task.job.destination, &mut self.pool) {
                (Some(_), _) if must_exist => outcome = Some(Outcome::Exists),
                (_, Some(pool)) => {
                    let number = self.first + self.slots.len() as u64;
                    pool.send(number, task.job.clone());
                }
                (_, None) => {}
            }
        }
        self.slots.push_back(Slot {
            steps,
            task,
            outcome,
        });
    }

    /// Reports what is done, in order. Waits for the first one if `wait`.
    fn collect(&mut self, mut wait: bool) {
        loop {
            if let Some(pool) = &mut self.pool {
                for (number, outcome) in pool.receive(false) {
                    if let Some(slot) = self.slots.get_mut((number - self.first) as usize) {
                        slot.outcome = Some(outcome);
                    }
                }
            }
            while let Some(front) = self.slots.front() {
                let done = front.task.is_none() || front.outcome.is_some() || self.pool.is_none();
                if !done {
                    break;
                }
                let Some(slot) = self.slots.pop_front() else {
                    break;
                };
                self.first += 1;
                wait = false;
                if !self.stopped {
                    self.report(slot);
                }
            }
            if self.slots.is_empty() {
                self.in_flight.clear();
                return;
            }
            if !wait {
                return;
            }
            if let Some(pool) = &mut self.pool {
                for (number, outcome) in pool.receive(true) {
                    if let Some(slot) = self.slots.get_mut((number - self.first) as usize) {
                        slot.outcome = Some(outcome);
                    }
                }
            }
        }
    }

    /// Waits until nothing is under way.
    pub(crate) fn drain(&mut self) {
        while !self.slots.is_empty() {
            self.collect(true);
        }
    }

    /// All that comes before the data are touched.
    fn prepare(&mut self, entry: &'r Entry, steps: &mut Vec<Step>) -> Result<Task<'r>, Skip> {
        let mut local = self.header(entry, steps)?;
        self.compare(entry, &mut local, steps)?;
        let method = match local.method {
            crate::directory::AES => entry.inner_method(),
            method => method,
        };
        if !method::is_supported(method) {
            let name = shown(&entry.name);
            steps.push(Step::Err(text!(name, ":  unknown compression method\n")));
            steps.push(Step::Raise(status::WARNING));
            return Err(Skip);
        }
        let large = local.size > 8 << 20;
        let mut job = Job {
            local,
            method,
            streamed: entry.flags & FLAG_STREAMED != 0,
            password: None,
            destination: None,
            aside: self.aside && large,
        };
        if entry.is_encrypted() {
            job.password = Some(self.password(entry, &job, steps)?);
        }
        let options = self.x.options;
        if options.test || options.pipe {
            return Ok(Task {
                entry,
                job: Arc::new(job),
                shown: entry.name.clone(),
                renamed: false,
            });
        }
        self.place(entry, job, entry.name.clone(), false, steps)
    }

    /// Reads the local header, and tries another start of the archive where there is none.
    fn header(&mut self, entry: &Entry, steps: &mut Vec<Step>) -> Result<Local, Skip> {
        let number = self.counts.entries;
        let bad_offset = |what: &str, at: u64| {
            format!("file #{number}:  bad zipfile offset ({what}):  {at}\n").into_bytes()
        };
        let before_start = || {
            let name = &self.archive.name;
            text!(
                "error [",
                name,
                "]:  attempt to seek before beginning of zipfile\n",
                status::REPORT
            )
        };
        let recompensate = || b"  (attempting to re-compensate)\n".to_vec();
        let Some(mut at) = entry.offset.checked_add_signed(self.extra) else {
            steps.push(Step::Err(before_start()));
            if number == 1 && self.extra != 0 {
                steps.push(Step::Err(recompensate()));
                self.old_extra = std::mem::take(&mut self.extra);
            }
            steps.push(Step::Set(status::SEVERE));
            return Err(Skip);
        };
        let asked = at;
        for again in [false, true] {
            match self.headers.read(entry, at) {
                Ok(local) => return Ok(local),
                Err(Missing::OtherSignature) => {
                    steps.push(Step::Err(bad_offset("local header sig", asked)))
                }
                Err(Missing::BeyondEnd) => {
                    let block = at / BLOCK * BLOCK;
                    match block >= self.archive.len && !again {
                        true => steps.push(Step::Err(bad_offset("lseek", block))),
                        false => steps.push(Step::Err(bad_offset("EOF", asked))),
                    }
                    steps.push(Step::Set(status::SEVERE));
                    return Err(Skip);
                }
                Err(Missing::Cut) => {
                    let line = format!("file #{number}:  bad local header\n");
                    steps.push(Step::ErrLine(line.into()));
                    steps.push(Step::Set(status::ENDS_EARLY));
                    return Err(Skip);
                }
                Err(Missing::Read(e)) => {
                    let why = cli::diag::system_text(&e);
                    steps.push(Step::Err(
                        format!("error:  zipfile read error\n        {why}\n").into(),
                    ));
                    steps.push(Step::Raise(status::SEVERE));
                    return Err(Skip);
                }
            }
            let other = match (number, self.extra, self.old_extra) {
                _ if again => None,
                (1, 1.., _) | (1, ..0, _) => Some(0),
                (_, 0, old) if old != 0 => Some(old),
                _ => None,
            };
            let Some(other) = other else {
                let failed = if again { status::SEVERE } else { status::ERROR };
                steps.push(Step::Set(failed));
                return Err(Skip);
            };
            steps.push(Step::Err(recompensate()));
            steps.push(Step::Set(status::ERROR));
            if other == 0 {
                self.old_extra = self.extra;
            }
            self.extra = other;
            let Some(moved) = entry.offset.checked_add_signed(other) else {
                steps.push(Step::Set(status::SEVERE));
                return Err(Skip);
            };
            at = moved;
        }
        Err(Skip)
    }

    /// Says where local header and directory disagree, and makes them agree.
    fn compare(
        &mut self,
        entry: &Entry,
        local: &mut Local,
        steps: &mut Vec<Step>,
    ) -> Result<(), Skip> {
        let number = self.counts.entries;
        let name = shown(&entry.name);
        if (local.flags ^ entry.flags) & FLAG_UTF8 != 0 {
            if self.x.options.is_talkative() {
                let is_utf8 = u8::from(entry.flags & FLAG_UTF8 != 0);
                steps.push(Step::ErrLine(text!(
                    format!("file #{number} ("),
                    name,
                    "):\n         mismatch between local and central GPF bit 11 (\"UTF-8\"),\n",
                    format!("         continuing with central flag (IsUTF8 = {is_utf8})\n")
                )));
            }
            steps.push(Step::Raise(status::WARNING));
        }
        if local.corrupt_extra {
            steps.push(Step::Err(status::CORRUPT_EXTRA.into()));
            steps.push(Step::Raise(status::WARNING));
        }
        let is_utf8 = entry.flags & FLAG_UTF8 != 0 || self.x.options.unicode >= 2;
        if !is_utf8 && let Field::Warning(words) = unicode_path::field(&local.extra, &local.name) {
            steps.push(Step::Err(words.into()));
        }
        let other = unicode_path::resolved(&local.extra, &local.name, is_utf8);
        let differs = other != unicode_path::resolved(&entry.extra, &entry.raw_name, is_utf8);
        // Info-ZIP does not look at an empty name.
        if differs && !local.name.is_empty() {
            steps.push(Step::Err(text!(
                name,
                ":  mismatching \"local\" filename (",
                shown(other),
                "),\n         continuing with \"central\" filename version\n"
            )));
            steps.push(Step::Raise(status::WARNING));
        }
        local.flags = (local.flags & !FLAG_ENCRYPTED) | (entry.flags & FLAG_ENCRYPTED);
        if local.method == STORED {
            let header = if entry.is_encrypted() { 12 } else { 0 };
            let Some(packed) = local.packed.checked_sub(header) else {
                steps.push(Step::Err(
                    b"\n  error:  invalid compressed data to inflate\n".to_vec(),
                ));
                steps.push(Step::Raise(status::ERROR));
                return Err(Skip);
            };
            if local.size != packed {
                let size = local.size;
                steps.push(Step::Err(text!(
                    name,
                    format!(":  ucsize {size} <> csize {packed} for STORED entry\n"),
                    "         continuing with \"compressed\" size value\n"
                )));
                local.size = packed;
                steps.push(Step::Raise(status::WARNING));
            }
        }
        Ok(())
    }

    /// Finds a password that opens the entry, and asks for one if it must.
    fn password(
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

    /// Makes the folders of an entry, and finds the place for it.
    pub(crate) fn place(
        &mut self,
        entry: &'r Entry,
        mut job: Job,
        mut name: Vec<u8>,
        renamed: bool,
        steps: &mut Vec<Step>,
    ) -> Result<Task<'r>, Skip> {
        let options = self.x.options;
        if entry.host == host::FAT && !name.contains(&b'/') && name.contains(&b'\\') {
            if !std::mem::replace(&mut self.reported_backslash, true) {
                let archive = &self.archive.name;
                steps.push(Step::ErrLine(text!(
                    "warning:  ",
                    archive,
                    " appears to use backslashes as path separators\n"
                )));
                steps.push(Step::Raise(status::WARNING));
            }
            for byte in &mut name {
                if *byte == b'\\' {
                    *byte = b'/';
                }
            }
        }
        let mut absolute = false;
        if name.starts_with(b"/") {
            if renamed {
                absolute = true;
            } else {
                steps.push(Step::Err(text!(
                    "warning:  stripped absolute path spec from ",
                    shown(&name),
                    "\n"
                )));
                steps.push(Step::Raise(status::WARNING));
                let start = name.iter().position(|b| *b != b'/');
                name.drain(..start.unwrap_or(name.len()));
            }
        }
        if entry.is_volume_label() {
            let name = padded(&shown(&name), 22);
            steps.push(Step::Err(text!("   skipping: ", name, "  volume label\n")));
            return Err(Skip);
        }
        let mapped = map(&name, options, &job.local.extra);
        let prefix = if absolute {
            b"/".to_vec()
        } else {
            self.x.prefix.clone()
        };
        let path = mapped.shown(&prefix);
        let mode = attributes(entry, self.x.umask);
        let folder = self.folders(&mapped, &name, &prefix, mode, renamed, absolute, steps);
        if mapped.left_out_dot_dot && folder.is_ok() && options.is_talkative() {
            steps.push(Step::Out(text!(
                "warning:  skipped \"../\" path component(s) in ",
                shown(&name),
                "\n"
            )));
            steps.push(Step::Raise(status::WARNING));
        }
        let (folder, made) = folder?;
        if mapped.is_folder {
            if made {
                if options.is_talkative() {
                    steps.push(Step::Out(text!("   creating: ", shown(&path), "\n")));
                }
                let mut perms = filtered(mode.mode, options);
                if entry.host != host::UNIX || !(options.owners > 0 || options.keep_bits) {
                    perms |= inherited_group_bit(&folder);
                }
                self.made_folders.push(MadeFolder {
                    path,
                    folder_path: mapped.folders,
                    mode: perms,
                    stamps: Stamps::new(entry, &job.local, options),
                });
            }
            return Err(Skip);
        }
        if mapped.file.is_empty() {
            let name = shown(&name);
            steps.push(Step::Err(text!(
                "mapname:  conversion of ",
                name,
                " failed\n"
            )));
            steps.push(Step::Raise(status::ERROR));
            return Err(Skip);
        }
        if mapped.shortened {
            steps.push(Step::ErrLine(text!(
                "warning:  name too long:  ",
                shown(&name),
                "\n          extracted as ",
                shown(&path),
                "\n"
            )));
            steps.push(Step::Raise(status::WARNING));
        }
        if !self.in_flight.insert(path.clone()) {
            // The same name again: not before the first of them is there.
            self.drain();
            self.in_flight.insert(path.clone());
        }
        let always = self.x.overwrite == Overwrite::Always;
        let is_link = mode.is_link && job.local.size > 0 && job.local.size <= LONGEST_LINK;
        job.destination = Some(Destination {
            place: Place {
                folder,
                name: mapped.file,
            },
            replace: always && !options.backup && !options.update,
            mode: filtered(mode.mode, options),
            umask: Mode::from_raw_mode(self.x.umask),
            stamps: Stamps::new(entry, &job.local, options),
            set_times: options.no_times <= 1,
            is_link,
            text: match options.text {
                0 => false,
                1 => entry.is_text(),
                _ => true,
            },
        });
        Ok(Task {
            entry,
            job: Arc::new(job),
            shown: path,
            renamed,
        })
    }

    /// Opens or makes the folders of a name.
    #[allow(clippy::too_many_arguments)]
    fn folders(
        &mut self,
        mapped: &Mapped,
        name: &[u8],
        prefix: &[u8],
        mode: Attributes,
        renamed: bool,
        absolute: bool,
        steps: &mut Vec<Step>,
    ) -> Result<(crate::target::Folder, bool), Skip> {
        let options = self.x.options;
        let create = (!options.freshen || renamed).then_some(match mapped.is_folder {
            true => filtered(mode.mode, options) | Mode::RWXU,
            false => ANY_MODE,
        });
        // A folder cannot have the name of a file that is not there yet.
        let mut path = prefix.to_vec();
        for folder in &mapped.folders {
            path.extend(folder);
            if self.in_flight.contains(&path) {
                self.drain();
            }
            path.push(b'/');
        }
        let mut elsewhere;
        let target = match (absolute, &mut self.x.target) {
            (false, Some(target)) => target,
            // The user said so.
            _ => match crate::target::Target::open("/".as_ref(), true) {
                Ok(root) => {
                    elsewhere = root;
                    &mut elsewhere
                }
                Err(_) => return Err(Skip),
            },
        };
        let (path, what) = match target.folder(&mapped.folders, create) {
            Ok(found) => return Ok(found),
            Err(Refused::Missing) => return Err(Skip),
            Err(Refused::Cannot(path, e)) => {
                let why = cli::diag::system_text(&e.into());
                let path = text!("cannot create ", shown(&[prefix, &path].concat()));
                (path, format!("\n                 {why}"))
            }
            Err(Refused::NotAFolder(path)) => {
                let path = shown(&[prefix, &path].concat());
                (path, " exists but is not directory".to_owned())
            }
            Err(Refused::LeadsOut(path)) => {
                let path = shown(&[prefix, &path].concat());
                let what = " is a link that leads out of the extraction directory";
                (path, what.to_owned())
            }
        };
        steps.push(Step::Err(text!(
            "checkdir error:  ",
            path,
            what,
            "\n                 unable to process ",
            shown(name),
            ".\n"
        )));
        steps.push(Step::Raise(status::ERROR));
        Err(Skip)
    }
}

/// A new folder has it from the one above, so that files in it get its group.
fn inherited_group_bit(folder: &crate::target::Folder) -> Mode {
    match rustix::fs::fstat(folder) {
        Ok(stat) => Mode::from_raw_mode(stat.st_mode) & Mode::SGID,
        Err(_) => Mode::empty(),
    }
}
