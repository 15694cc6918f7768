//! The entries of an archive, one after the other: headers are read and compared (`locate`), passwords
//! asked for (`password`), folders made (`place`), and jobs handed out. What is printed comes out in
//! this order (see `report`).

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::archive::Archive;
use crate::decode::Scratch;
use crate::deferred::{Link, MadeFolder};
use crate::directory::{Entry, FLAG_STREAMED};
use crate::extract::Extraction;
use crate::job::{Job, Outcome};
use crate::local::Headers;
use crate::method;
use crate::pool::Pool;
use crate::say::{Say, shown, text};
use crate::status::{self, Status};

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
    /// A diagnostic of our own.
    Note(String),
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
    /// Its line was printed when it began.
    pub(crate) announced: bool,
}

/// The work on one archive.
#[derive(Debug)]
pub(crate) struct Run<'r, 'x> {
    pub(crate) x: &'r mut Extraction<'x>,
    pub(crate) archive: &'r Archive,
    pub(crate) say: &'r mut Say,
    /// Bytes before the archive, as the end record has it; and what was tried before.
    pub(crate) extra: i64,
    pub(crate) old_extra: i64,
    pub(crate) headers: Headers<'r>,
    pool: Option<Pool>,
    aside: bool,
    pub(crate) scratch: Scratch,
    slots: VecDeque<Slot<'r>>,
    /// The number of the first slot.
    first: u64,
    /// Paths of files that are under way.
    pub(crate) in_flight: HashSet<Vec<u8>>,
    pub(crate) status: Status,
    pub(crate) counts: Counts,
    /// No encrypted entry was met yet.
    pub(crate) new_archive: bool,
    pub(crate) reported_backslash: bool,
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
            if self.stopped {
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
        !self.stopped
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
        /// How soon a user sees what large entry is under way.
        const LOOK: Duration = Duration::from_millis(100);
        loop {
            let outcomes = self.pool.as_mut().map(Pool::receive);
            self.sort(outcomes.unwrap_or_default());
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
                if self.say.is_unread() {
                    self.stop();
                }
            }
            if self.slots.is_empty() {
                self.in_flight.clear();
                return;
            }
            self.announce_first();
            if !wait {
                return;
            }
            let outcomes = self.pool.as_mut().map(|pool| pool.wait(LOOK));
            self.sort(outcomes.unwrap_or_default());
        }
    }

    fn sort(&mut self, outcomes: Vec<(u64, Outcome)>) {
        for (number, outcome) in outcomes {
            if let Some(slot) = self.slots.get_mut((number - self.first) as usize) {
                slot.outcome = Some(outcome);
            }
        }
    }

    /// Prints the line of an entry that is being extracted, if it is the next to be reported.
    fn announce_first(&mut self) {
        let Some(slot) = self.slots.front_mut() else {
            return;
        };
        let Some(task) = slot.task.as_mut() else {
            return;
        };
        if self.stopped || task.announced || !task.job.has_begun() {
            return;
        }
        let early = task.clone();
        task.announced = true;
        for step in std::mem::take(&mut slot.steps) {
            self.apply(step);
        }
        self.announce(&early);
        self.say.flush();
        if self.say.is_unread() {
            self.stop();
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
            begun: large.then(Default::default),
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
                announced: false,
            });
        }
        self.place(entry, job, entry.name.clone(), false, steps)
    }
}
