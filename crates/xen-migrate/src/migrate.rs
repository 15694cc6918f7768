//! A migration: the steps at the real hosts.

mod disks;

use crate::args::Args;
use crate::error::Error;
use crate::instance;
use crate::journal::{self, Journal, Lock, Side};
use crate::memory::{Terms, Transfer};
use crate::owner::Held;
use crate::passes::{Blocksync, Pass, Passes};
use crate::plan::{self, Facts, Mode, Plan};
use crate::report;
use crate::shell::{Reach, Shell, quoted};
use crate::step::{self, Hands, Mark, Outcome, Step, Trouble};
use crate::survey::{self, Place, Room, Volume};
use crate::toolstack::{self, Kind};
use std::thread;
use std::time::{Duration, Instant};

/// How long a stopped domain's requests to its disks may take to end.
const SETTLES: Duration = Duration::from_secs(60);
/// How long to look for a target that is not heard of after it was told to start.
const SEARCH: Duration = Duration::from_secs(60);

/// Migrates, or shows the plan.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let token = token()?;
    let (source, target) = (Shell::open(&args.source())?, Shell::open(&args.target())?);
    for (shell, place) in [(&source, "here"), (&target, "at the target")] {
        if !args.dry_run {
            take_lock(shell, args, &token)?;
        }
        if journal::read(shell, &args.domain)?.is_some() {
            let why = "a migration of it has not ended; its journal is";
            return Err(Error::Recover(format!("{}: {why} {place}", args.domain)));
        }
    }
    let plan = make_plan(&source, &target, args);
    let plan = match plan {
        Ok(plan) if args.dry_run => {
            report::plan(args, &plan)?;
            return if plan.against.is_empty() {
                Ok(())
            } else {
                Err(Error::Impossible(vec![]))
            };
        }
        Ok(plan) if plan.against.is_empty() => plan,
        refused => {
            unlock(&source, &target);
            return Err(refused.map_or_else(Error::from, |plan| Error::Impossible(plan.against)));
        }
    };
    if let Some(trouble) = interrupted() {
        unlock(&source, &target);
        return Err(trouble.into());
    }
    for note in &plan.notes {
        cli::diag::report(crate::TOOL, format_args!("{}: {note}", args.domain));
    }
    let mut migration = Migration {
        blocksync: args.blocksync(),
        args,
        token,
        source,
        target,
        reach: args.target(),
        plan,
        passes: None,
        all: Vec::new(),
        touched: false,
        transfer: None,
        restoring: None,
        inflight: Vec::new(),
        stopped: None,
        pause: None,
        troubles: Vec::new(),
        going: false,
    };
    let outcome = step::drive(&mut migration);
    migration.ended(outcome)
}

/// Names this migration, in the journals and locks of both hosts.
fn token() -> Result<String, Error> {
    let path = "/proc/sys/kernel/random/uuid";
    let text = std::fs::read_to_string(path)
        .map_err(|e| Error::NotMoved(format!("{path}: {}", cli::diag::system_text(&e))))?;
    Ok(text.trim().replace('-', ""))
}

fn take_lock(shell: &Shell, args: &Args, token: &str) -> Result<(), Error> {
    match journal::lock(shell, &args.domain, token)? {
        Lock::Taken => Ok(()),
        Lock::Own => Err(Error::Impossible(vec![
            "the target is this host".to_owned(),
        ])),
        Lock::Busy => Err(Error::NotMoved(busy(shell, &args.domain))),
    }
}

pub(crate) fn busy(shell: &Shell, domain: &str) -> String {
    let name = &shell.name;
    format!("{name}: {domain}: another run of xen-migrate works on it")
}

fn unlock(source: &Shell, target: &Shell) {
    // A host that is lost has lost the lock too.
    let _ = journal::unlock(target);
    let _ = journal::unlock(source);
}

fn make_plan(source: &Shell, target: &Shell, args: &Args) -> Result<Plan, Trouble> {
    let blocksync = args.blocksync();
    let here = survey::host(source, &quoted(&blocksync.here))?;
    let there = survey::host(target, &blocksync.there)?;
    let domain = survey::domain(source, &args.domain)?;
    let mut places = Vec::new();
    for disk in &domain.disks {
        let none = Place {
            volume: Volume::Missing,
            object: String::new(),
            identity: String::new(),
            room: Room::None,
        };
        places.push(match disk.path.as_str() {
            "" => (none.clone(), none),
            path => (
                survey::place(source, path)?,
                survey::place(target, plan::mapped(&args.wishes, path))?,
            ),
        });
    }
    let missing = survey::missing(target, &domain.bridges, &domain.boot_files)?;
    let facts = Facts {
        domain,
        source: &here,
        target: &there,
        places,
        missing,
    };
    Ok(plan::make(facts, &args.wishes))
}

struct Migration<'a> {
    args: &'a Args,
    token: String,
    source: Shell,
    target: Shell,
    reach: Reach,
    blocksync: Blocksync,
    plan: Plan,
    passes: Option<Passes>,
    /// What each pass found.
    all: Vec<Vec<Pass>>,
    /// Whether the domain may have been stopped.
    touched: bool,
    transfer: Option<Transfer>,
    /// What may still make a copy at the target.
    restoring: Option<u32>,
    inflight: Vec<String>,
    /// When the source was last seen running.
    stopped: Option<Instant>,
    pause: Option<Duration>,
    troubles: Vec<String>,
    /// Whether the target was told to start.
    going: bool,
}

impl Hands for Migration<'_> {
    fn mark(&mut self, mark: Mark) -> Result<(), Trouble> {
        self.say(format_args!("{mark}"));
        let domain = &self.plan.domain;
        for (shell, side) in [(&self.target, Side::Target), (&self.source, Side::Source)] {
            if mark != Mark::Planned {
                let added = journal::add(shell, &domain.name, mark);
                if added.is_err() && (mark, side) == (Mark::Committed, Side::Source) {
                    // It may be in the journal, and the domain is about to go on here.
                    let _ = journal::add(shell, &domain.name, Mark::Revoked);
                }
                added?;
                continue;
            }
            let disks = self
                .plan
                .copied
                .iter()
                .map(|copy| (copy.source.clone(), copy.target.clone()));
            let journal = Journal {
                token: self.token.clone(),
                domain: domain.name.clone(),
                uuid: domain.uuid.clone(),
                side,
                target: self.args.host.clone(),
                disks: disks.collect(),
                shared: self.plan.shared(),
                mark: Some(mark),
            };
            journal.create(shell)?;
        }
        Ok(())
    }

    fn act(&mut self, step: Step) -> Result<(), Trouble> {
        match step {
            Step::Prepare => self.prepare(),
            Step::Presync => self.presync(),
            Step::Suspend => self.suspend(),
            Step::LastPass => self.last_pass(),
            Step::Build => self.build(),
            Step::Commit => Ok(()),
            Step::Start => self.start(),
            Step::Remove => self.remove(),
            Step::Revoke => self.revoke(),
            Step::Resume => self.resume(),
            Step::Cancel => self.cancel(),
        }
    }

    fn hear(&mut self, trouble: &Trouble) {
        self.troubles.push(trouble.to_string());
    }
}

/// A signal that asked to stop, as a trouble.
fn interrupted() -> Option<Trouble> {
    let signal = cli::signal::stop_requested()?;
    Some(Trouble::Failed(format!("interrupted by {signal}")))
}

impl Migration<'_> {
    fn say(&self, what: std::fmt::Arguments<'_>) {
        if self.args.verbose {
            cli::diag::report(crate::TOOL, format_args!("{}: {what}", self.args.domain));
        }
    }

    /// Whether the domain and its disks are still those of the plan: passes took a while.
    fn is_as_planned(&self) -> Result<(), Trouble> {
        let planned = &self.plan.domain;
        let now = survey::domain(&self.source, &planned.name)?;
        let why = |why: &str| Err(Trouble::Failed(why.to_owned()));
        if (now.id, &now.uuid) != (planned.id, &planned.uuid) {
            return why("it was started anew while its disks were copied");
        }
        if now.disks != planned.disks {
            return why("it was given other disks while they were copied");
        }
        for copy in &self.plan.copied {
            let volume = survey::place(&self.source, &copy.source)?.volume;
            if !matches!(volume, Volume::Block(size) | Volume::File(size) if size == copy.size) {
                return why(&format!("{} has got another size", copy.source));
            }
        }
        Ok(())
    }

    fn suspend(&mut self) -> Result<(), Trouble> {
        self.is_as_planned()?;
        let id = self.plan.domain.id;
        // What a device model still has to write when the domain stops is written when xl has its state.
        let modelled = self.plan.domain.kind == Kind::Hvm || survey::has_qdisk(&self.source, id)?;
        self.inflight = survey::inflight(&self.source, id)?;
        let sent = self.send_memory(modelled);
        let is_free = self.args.wishes.mode.is_none();
        let cannot = |transfer: &Transfer| transfer.cannot_be_live();
        if sent.is_ok() || !is_free || !self.transfer.as_ref().is_some_and(cannot) {
            return sent;
        }
        let (tool, name) = (crate::TOOL, &self.args.domain);
        cli::diag::report(
            tool,
            format_args!("{name}: cannot be moved live here: it is saved"),
        );
        self.resume()?;
        self.reconnected()?;
        instance::destroy(&self.target, &self.plan.domain.uuid)?;
        self.plan.mode = Mode::Save;
        self.send_memory(modelled)
    }

    /// Returns when the domain has stopped, and nothing but its disks and the end of its memory is missing
    /// at the target.
    fn send_memory(&mut self, modelled: bool) -> Result<(), Trouble> {
        let id = self.plan.domain.id;
        let terms = Terms {
            id,
            reach: &self.reach,
            paths: self.plan.paths(),
            packed: self.plan.packed,
            token: &self.token,
        };
        self.say(format_args!("sending the memory"));
        self.touched = true;
        let transfer = Transfer::start(self.plan.mode, &terms, &mut interrupted)?;
        self.restoring = transfer.restoring();
        let transfer = self.transfer.insert(transfer);
        loop {
            let asked = Instant::now();
            let text = self.source.run(&toolstack::state(id))?.out;
            let listed = toolstack::parse_list(&text)
                .into_iter()
                .find(|one| one.id == id);
            match listed.map(|one| one.held) {
                Some(Held::Running) => self.stopped = Some(asked),
                Some(Held::Suspended) if !modelled => break,
                // Whoever paused it may let it go on again, before xl stops it.
                Some(Held::Paused | Held::Suspended) => {}
                Some(Held::Absent) | None if transfer.failed().is_none() => {
                    return Err(Trouble::Failed(
                        "it ended while its memory was being sent".to_owned(),
                    ));
                }
                Some(Held::Absent) | None => {}
            }
            if let Some(trouble) = transfer.failed().or_else(interrupted) {
                return Err(trouble);
            }
            if transfer.is_sent() {
                break;
            }
            thread::sleep(Duration::from_millis(if self.plan.mode == Mode::Save {
                5
            } else {
                50
            }));
        }
        self.stopped.get_or_insert_with(Instant::now);
        Ok(())
    }

    fn build(&mut self) -> Result<(), Trouble> {
        match &mut self.transfer {
            Some(transfer) => transfer.build(&mut interrupted),
            None => Ok(()),
        }
    }

    fn start(&mut self) -> Result<(), Trouble> {
        self.going = true;
        let (uuid, name) = (&self.plan.domain.uuid, &self.plan.domain.name);
        let started = match &mut self.transfer {
            Some(Transfer::Live(live)) => live.start_target(),
            _ => instance::start(&self.target, uuid, name),
        };
        let started = match started {
            Err(Trouble::Unknown(why)) => {
                self.troubles.push(why);
                self.find_out()
            }
            other => other,
        };
        if started.is_ok() {
            self.pause = self.stopped.map(|stopped| stopped.elapsed());
            self.say(format_args!("runs at the target"));
        }
        started
    }

    /// Nobody told whether the target started: asks over a new connection, for a while.
    fn find_out(&mut self) -> Result<(), Trouble> {
        let begun = Instant::now();
        let (uuid, domain) = (&self.plan.domain.uuid, &self.plan.domain);
        let started = loop {
            let asked = self.connected_anew().and_then(|shell| {
                let held = instance::held(&shell, uuid);
                // The old one may be lost, or hang.
                self.target = shell;
                held
            });
            match asked {
                Ok(Held::Running) => break Ok(()),
                // It may be about to.
                Ok(_) if begun.elapsed() < Duration::from_secs(3) => {
                    thread::sleep(Duration::from_secs(1))
                }
                Ok(_) => {
                    break Err(Trouble::Failed(format!(
                        "{} did not start at the target",
                        domain.name
                    )));
                }
                Err(trouble) if begun.elapsed() >= SEARCH => {
                    break Err(Trouble::Unknown(trouble.to_string()));
                }
                Err(_) => thread::sleep(Duration::from_secs(1)),
            }
        };
        if let (Some(Transfer::Live(live)), Ok(())) = (&mut self.transfer, &started) {
            live.settle(true);
        }
        started
    }

    fn remove(&mut self) -> Result<(), Trouble> {
        if let Some(Transfer::Live(live)) = &mut self.transfer {
            live.finish();
        }
        let domain = &self.plan.domain;
        instance::destroy(&self.source, &domain.uuid)?;
        self.transfer = None;
        self.reconnected()?;
        let domain = &self.plan.domain;
        for shell in [&self.target, &self.source] {
            journal::add(shell, &domain.name, Mark::SourceRemoved)?;
        }
        // What they wrote was on the disks before the target started.
        if let Some(Err(trouble)) = self.passes.take().map(Passes::end) {
            self.say(format_args!("{trouble}"));
        }
        self.close()
    }

    /// The journals and locks of a migration that is over.
    fn close(&self) -> Result<(), Trouble> {
        let name = &self.plan.domain.name;
        // The source's last: it is the one that tells where the other is.
        journal::remove(&self.target, name, &self.token)?;
        journal::remove(&self.source, name, &self.token)?;
        unlock(&self.source, &self.target);
        Ok(())
    }

    fn revoke(&mut self) -> Result<(), Trouble> {
        let domain = &self.plan.domain;
        instance::destroy(&self.target, &domain.uuid)?;
        journal::add(&self.target, &domain.name, Mark::Revoked)?;
        journal::add(&self.source, &domain.name, Mark::Revoked)
    }

    fn resume(&mut self) -> Result<(), Trouble> {
        if !self.touched {
            return Ok(());
        }
        match &mut self.transfer {
            Some(Transfer::Live(live)) if self.going => live.settle(false),
            Some(transfer) => transfer.cut(),
            None => {}
        }
        self.transfer = None;
        let domain = &self.plan.domain;
        instance::resume(&self.source, &domain.uuid, &domain.name, &self.token)
    }

    fn cancel(&mut self) -> Result<(), Trouble> {
        self.passes = None;
        let domain = self.plan.domain.clone();
        let cleaned = self
            .reconnected()
            .and_then(|()| self.end_restore())
            .and_then(|()| instance::destroy(&self.target, &domain.uuid));
        if cleaned.is_err() {
            // The target has to hear of it later.
            let _ = journal::add(&self.source, &domain.name, Mark::Revoked);
        }
        cleaned?;
        self.close()
    }

    /// Waits until nothing at the target makes a copy any more. It hears that it was cut off.
    fn end_restore(&self) -> Result<(), Trouble> {
        let Some(pid) = self.restoring else {
            return Ok(());
        };
        let until = Instant::now() + SETTLES;
        while self.target.run(&toolstack::is_restoring(pid))?.status == 0 {
            if Instant::now() >= until {
                self.target.run(&format!("kill -9 {pid}"))?;
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// The target may be reached again after a connection was cut.
    fn reconnected(&mut self) -> Result<(), Trouble> {
        if self.target.run("true").is_err() {
            self.target = self.connected_anew()?;
        }
        Ok(())
    }

    /// A new connection to the target, with the lock.
    fn connected_anew(&self) -> Result<Shell, Trouble> {
        let shell = Shell::open(&self.reach)?;
        let (name, token) = (&self.plan.domain.name, &self.token);
        match journal::retake(&shell, name, token, token)? {
            Lock::Taken => Ok(shell),
            Lock::Own | Lock::Busy => Err(Trouble::Failed(busy(&shell, name))),
        }
    }

    fn ended(self, outcome: Outcome) -> Result<(), Error> {
        let name = &self.args.domain;
        let why = self.troubles.join("; ");
        match outcome {
            Outcome::Moved => {
                let removed = match self.args.remove_source {
                    true => self.remove_volumes(),
                    false => Ok(()),
                };
                let told = report::moved(self.args, &self.plan, &self.all, self.pause);
                removed.and(told)
            }
            Outcome::Stayed => {
                let here = match instance::held(&self.source, &self.plan.domain.uuid) {
                    Ok(Held::Running) => ", it runs here",
                    Ok(Held::Absent) => ", it is here no more",
                    Ok(Held::Paused | Held::Suspended) => ", it is here and does not run",
                    Err(_) => "",
                };
                Err(Error::NotMoved(format!("{name}: not moved{here}: {why}")))
            }
            Outcome::Undecided => Err(Error::Recover(format!(
                "{name}: {why}; --recover is needed"
            ))),
        }
    }
}
