//! `--status` and `--recover`: what became of a migration whose program did not come to its end.

use crate::args::Args;
use crate::error::Error;
use crate::instance;
use crate::journal::{self, Journal, Lock, Side};
use crate::memory;
use crate::migrate::busy;
use crate::owner::{self, Act, Held, Seen, Verdict};
use crate::report::print;
use crate::shell::{Shell, quoted};
use crate::step::{Mark, Trouble};
use serde_json::json;
use std::thread;
use std::time::{Duration, Instant};

/// How long to wait for processes that a migration has left: longer than a connection takes to be found
/// dead.
const LEFT: Duration = Duration::from_secs(90);

/// A migration, and both its hosts as far as they can be asked.
struct Case {
    journal: Journal,
    source: Option<Shell>,
    target: Option<Shell>,
    /// Why the other host cannot be asked.
    lost: Option<String>,
}

/// Tells of one migration, or of all that this host has journals of.
pub(crate) fn status(args: &Args) -> Result<(), Error> {
    if !args.domain.is_empty() {
        let Some(case) = Case::open(args)? else {
            return print(&format!("{}: no migration that did not end\n", args.domain));
        };
        for shell in [&case.source, &case.target].into_iter().flatten() {
            if journal::is_locked(shell, &args.domain)? {
                return print(&match args.json {
                    true => format!("{}\n", json!({"domain": args.domain, "under_way": true})),
                    false => format!("{}\n", busy(shell, &args.domain)),
                });
            }
        }
        let (seen, verdict) = case.judge()?;
        case.tell(args, seen, &verdict)?;
        return Err(Error::Recover(format!(
            "{}: --recover is needed",
            args.domain
        )));
    }
    let here = Shell::open(&args.source())?;
    let journals = journal::list(&here)?;
    let mut text = String::new();
    let mut over = true;
    for journal in &journals {
        let under_way = journal::is_locked(&here, &journal.domain)?;
        over &= under_way;
        let mark = journal
            .mark
            .map_or_else(String::new, |mark| mark.to_string());
        text += &match args.json {
            true => format!(
                "{}\n",
                json!({"domain": journal.domain, "host": journal.target, "mark": mark, "under_way": under_way})
            ),
            false => {
                let how = if under_way { ", under way" } else { "" };
                format!("{}: {mark}, to {}{how}\n", journal.domain, journal.target)
            }
        };
    }
    print(&text)?;
    match over {
        true => Ok(()),
        false => Err(Error::Recover("--recover is needed".to_owned())),
    }
}

/// Brings a migration to one running copy.
pub(crate) fn recover(args: &Args) -> Result<(), Error> {
    let Some(case) = Case::open(args)? else {
        return print(&format!("{}: no migration that did not end\n", args.domain));
    };
    let token = format!("recover-{}", std::process::id());
    for shell in [&case.source, &case.target].into_iter().flatten() {
        // A run lives at the source. Who has its lock there knows that it is dead.
        let taken = match (&case.source, &case.target) {
            (Some(_), Some(target)) if std::ptr::eq(shell, target) => {
                journal::retake(shell, &args.domain, &case.journal.token, &token)?
            }
            _ => journal::lock(shell, &args.domain, &token)?,
        };
        if taken != Lock::Taken {
            return Err(Error::Recover(busy(shell, &args.domain)));
        }
    }
    let ended = case.settle(args);
    for shell in [&case.target, &case.source].into_iter().flatten() {
        let _ = journal::unlock(shell);
    }
    ended
}

impl Case {
    /// `None` if neither host has a journal.
    fn open(args: &Args) -> Result<Option<Case>, Error> {
        let undecided = |trouble: Trouble| Error::Recover(trouble.to_string());
        let here = Shell::open(&args.source()).map_err(undecided)?;
        let own = journal::read(&here, &args.domain).map_err(undecided)?;
        let host = match (&own, args.host.as_str()) {
            (Some(journal), "") if journal.side == Side::Source => journal.target.clone(),
            (_, host) => host.to_owned(),
        };
        let (mut there, mut lost) = (None, None);
        if host.is_empty() {
            lost = Some("the other host was not named".to_owned());
        } else {
            match Shell::open(&args.reach(&host)) {
                Ok(shell) => there = Some(shell),
                Err(trouble) => lost = Some(trouble.to_string()),
            }
        }
        let other = match &there {
            Some(shell) => journal::read(shell, &args.domain).map_err(undecided)?,
            None => None,
        };
        let Some(journal) = own.clone().or(other.clone()) else {
            return match (lost, args.host.is_empty()) {
                (Some(why), false) => Err(Error::Recover(why)),
                _ => Ok(None),
            };
        };
        if let (Some(own), Some(other)) = (&own, &other)
            && own.token != other.token
        {
            let why = format!(
                "{}: the journals at the two hosts are of different migrations",
                args.domain
            );
            return Err(Error::Recover(why));
        }
        let source_is_here = match (&own, &other) {
            (Some(own), _) => own.side == Side::Source,
            (None, Some(other)) => other.side == Side::Target,
            (None, None) => true,
        };
        let (source, target) = if source_is_here {
            (Some(here), there)
        } else {
            (there, Some(here))
        };
        Ok(Some(Case {
            journal,
            source,
            target,
            lost,
        }))
    }

    fn judge(&self) -> Result<([Option<Seen>; 2], Verdict), Error> {
        let look = |shell: &Option<Shell>| -> Result<Option<Seen>, Error> {
            let Some(shell) = shell else { return Ok(None) };
            let undecided = |trouble: Trouble| Error::Recover(trouble.to_string());
            let held = instance::held(shell, &self.journal.uuid).map_err(undecided)?;
            let journal = journal::read(shell, &self.journal.domain).map_err(undecided)?;
            Ok(Some(Seen {
                copy: held,
                mark: journal.and_then(|journal| journal.mark),
            }))
        };
        let (source, target) = (look(&self.source)?, look(&self.target)?);
        Ok(([source, target], owner::decide(source, target)))
    }

    fn tell(&self, args: &Args, seen: [Option<Seen>; 2], verdict: &Verdict) -> Result<(), Error> {
        let state = |seen: Option<Seen>| match seen.map(|seen| seen.copy) {
            None => "cannot be asked",
            Some(Held::Absent) => "absent",
            Some(Held::Running) => "running",
            Some(Held::Paused) => "paused",
            Some(Held::Suspended) => "suspended",
        };
        let mark =
            |seen: Option<Seen>| seen.and_then(|seen| seen.mark).map(|mark| mark.to_string());
        let (owner, why) = match verdict {
            Verdict::Source(_) => ("source", ""),
            Verdict::Target(_) => ("target", ""),
            Verdict::Lost(_) => ("source", "the source has lost it"),
            Verdict::IfDisksEqual(_) => (
                "unknown",
                "the source's, if the disks at both hosts are equal",
            ),
            Verdict::Unknown(why) => ("unknown", *why),
        };
        if args.json {
            let object = json!({
                "domain": self.journal.domain,
                "host": self.journal.target,
                "owner": owner,
                "why": why,
                "source": {"state": state(seen[0]), "mark": mark(seen[0])},
                "target": {"state": state(seen[1]), "mark": mark(seen[1])},
            });
            return print(&format!("{object}\n"));
        }
        let line = |seen: Option<Seen>| {
            let mark = mark(seen).map_or_else(
                || "no journal".to_owned(),
                |mark| format!("journal: {mark}"),
            );
            match seen {
                Some(_) => format!("{}, {mark}", state(seen)),
                None => match &self.lost {
                    Some(why) => format!("cannot be asked: {why}"),
                    None => "cannot be asked".to_owned(),
                },
            }
        };
        let reason = if why.is_empty() {
            String::new()
        } else {
            format!(": {why}")
        };
        print(&format!(
            "{}: to {}\nsource: {}\ntarget: {}\nowner: {owner}{reason}\n",
            self.journal.domain,
            self.journal.target,
            line(seen[0]),
            line(seen[1]),
        ))
    }

    fn settle(&self, args: &Args) -> Result<(), Error> {
        let name = &self.journal.domain;
        self.wait_for_what_is_left()?;
        let (seen, verdict) = self.judge()?;
        if self.is_whole() && seen.iter().flatten().all(|seen| seen.mark.is_none()) {
            // Another run of this has come to its end meanwhile.
            return print(&format!("{name}: no migration that did not end\n"));
        }
        let (acts, place) = match &verdict {
            Verdict::Source(acts) => (acts, "runs at the source"),
            Verdict::Target(acts) => (acts, "runs at the target"),
            Verdict::Lost(acts) => (
                acts,
                "runs nowhere; the source's disks are the valid ones: create it there",
            ),
            Verdict::IfDisksEqual(acts) if self.disks_are_equal(args)? => {
                (acts, "runs at the source")
            }
            Verdict::IfDisksEqual(_) => {
                let why = "it was given to the target, whose disks have gone on or may have, and is not there";
                return Err(Error::Recover(format!("{name}: {why}")));
            }
            Verdict::Unknown(why) => {
                let lost = self
                    .lost
                    .as_ref()
                    .map_or_else(String::new, |lost| format!(" ({lost})"));
                return Err(Error::Recover(format!("{name}: {why}{lost}")));
            }
        };
        let undecided = |trouble: Trouble| Error::Recover(trouble.to_string());
        for act in acts {
            self.act(*act).map_err(undecided)?;
        }
        if let Some(source) = &self.source {
            memory::end_left(source, &self.journal.token).map_err(undecided)?;
        }
        // A host that cannot be asked has to be cleaned later, for which this one's journal is needed.
        if !self.is_whole() {
            if let (Some(shell), Verdict::Source(_)) = (&self.source, &verdict) {
                journal::add(shell, name, Mark::Revoked).map_err(undecided)?;
            }
            let lost = self.lost.clone().unwrap_or_default();
            return Err(Error::Recover(format!(
                "{name}: {place}; the other host cannot be cleaned: {lost}"
            )));
        }
        for shell in [&self.target, &self.source].into_iter().flatten() {
            journal::remove(shell, name, &self.journal.token).map_err(undecided)?;
        }
        print(&format!("{name}: {place}\n"))?;
        match verdict {
            Verdict::Lost(_) => Err(Error::NotMoved(format!("{name}: {place}"))),
            _ => Ok(()),
        }
    }

    /// Whether both hosts can be asked.
    fn is_whole(&self) -> bool {
        self.source.is_some() && self.target.is_some()
    }

    /// A migration whose program was killed may still be about to let the domain go on at one of the
    /// hosts: what can be seen counts only when that has ended, or waits to be told.
    fn wait_for_what_is_left(&self) -> Result<(), Error> {
        let Some(source) = &self.source else {
            return Ok(());
        };
        let (token, until) = (&self.journal.token, Instant::now() + LEFT);
        while !memory::waits_for_a_word(token) {
            let left = memory::left(source, token);
            let left = left.map_err(|trouble| Error::Recover(trouble.to_string()))?;
            if left.is_empty() || Instant::now() >= until {
                break;
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    fn act(&self, act: Act) -> Result<(), Trouble> {
        let Journal {
            uuid,
            domain,
            token,
            ..
        } = &self.journal;
        let lost = || Trouble::Unknown("a host cannot be asked".to_owned());
        let source = || self.source.as_ref().ok_or_else(lost);
        let target = || self.target.as_ref().ok_or_else(lost);
        match act {
            Act::RevokeTarget => journal::add(target()?, domain, Mark::Revoked),
            Act::DestroyTarget => instance::destroy(target()?, uuid),
            Act::UnpauseTarget => instance::start(target()?, uuid, domain),
            Act::UnpauseSource | Act::ResumeSource => {
                instance::resume(source()?, uuid, domain, token)
            }
            Act::DestroySource => {
                // An xl that waits for the target's report does it by itself.
                memory::settle(token, true);
                instance::destroy(source()?, uuid)
            }
        }
    }

    /// Whether the target's disks are what the source's are: then the domain never ran there. Where there
    /// are none, or such that both hosts share, that cannot be known.
    fn disks_are_equal(&self, args: &Args) -> Result<bool, Error> {
        if self.journal.side != Side::Source {
            return Err(Error::Recover("run --recover at the source".to_owned()));
        }
        if self.journal.disks.is_empty() || !self.journal.shared.is_empty() {
            return Ok(false);
        }
        let reach = args.reach(&self.journal.target);
        for (source, target) in &self.journal.disks {
            let mut command = crate::passes::check(source, target, &reach, &args.blocksync());
            let failed = |why: String| Error::Recover(format!("{}: {why}", quoted(source)));
            let mut process = crate::running::Running::start(&mut command)
                .map_err(|e| failed(cli::diag::system_text(&e)))?;
            let status = process
                .child
                .wait()
                .map_err(|e| failed(cli::diag::system_text(&e)))?;
            match status.code() {
                Some(0) => {}
                Some(1) => return Ok(false),
                _ => return Err(failed(process.said())),
            }
        }
        Ok(true)
    }
}
