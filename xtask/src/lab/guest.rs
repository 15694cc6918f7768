//! A witness guest: made, moved, and asked whether all is well with it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::hosts::{Host, Reply, other};
use super::{Lab, Outcome};
use crate::Result;

/// Time for what normally takes seconds: the machine that emulates the hosts may be busy.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);

/// A guest and where it runs.
pub(super) struct Guest {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// As mkguest takes them: `phy:16,file:16`.
    pub(super) disks: &'static str,
    pub(super) host: Host,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Can only be saved and restored: Debian's Xen has no shadow paging.
    Pv,
    Pvh,
}

impl Kind {
    /// How xen-migrate moves it when it may choose.
    pub(super) fn mode(self) -> &'static str {
        match self {
            Kind::Pv => "save",
            Kind::Pvh => "live",
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Pv => "pv",
            Kind::Pvh => "pvh",
        }
    }
}

impl Guest {
    /// Makes a guest at host 1 and its volumes at host 2, and waits until it ticks.
    pub(super) fn start(lab: &Lab, name: &str, kind: Kind, disks: &'static str) -> Result<Guest> {
        Guest::start_with(lab, name, kind, disks, "churn=0", true)
    }

    /// The same, with settings for mkguest, and without volumes at host 2 on demand.
    pub(super) fn start_with(
        lab: &Lab,
        name: &str,
        kind: Kind,
        disks: &'static str,
        settings: &str,
        both: bool,
    ) -> Result<Guest> {
        let name = lab.new_name(name);
        let make = format!(
            "mkguest {name} type={} disks={disks} {settings}",
            kind.name()
        );
        lab.hosts
            .sh(1, &format!("xl create -q $({make}) > /dev/null"))?;
        if both {
            lab.hosts
                .sh(2, &format!("{make} > /dev/null; rm /etc/xen/{name}.cfg"))?;
        }
        let guest = Guest {
            name,
            kind,
            disks,
            host: 1,
        };
        lab.ticks.wait(&guest.name, 5, PATIENCE)?;
        Ok(guest)
    }

    /// The paths of its disks.
    pub(super) fn paths(&self) -> Vec<String> {
        let kinds = self.disks.split(',').map(|disk| disk.starts_with("phy"));
        kinds
            .zip(["", "-2"])
            .map(|(volume, part)| match volume {
                true => format!("/dev/vg0/{}{part}", self.name),
                false => format!("/srv/xen/{}{part}.img", self.name),
            })
            .collect()
    }

    /// The command that moves it to the other host.
    pub(super) fn command(&self, options: &str) -> String {
        let (mode, to) = (self.kind.mode(), other(self.host));
        format!(
            "xen-migrate -v --mode={mode} {options} {} xen{to}",
            self.name
        )
    }

    /// Moves it and checks all that is promised.
    pub(super) fn moved(&mut self, lab: &Lab, options: &str) -> Result<Outcome> {
        let from = self.host;
        let started = std::time::Instant::now();
        let command = format!("timeout -k 9 900 {}", self.command(options));
        let reply = lab.hosts.ask(from, &command)?;
        if reply.status != 0 {
            return Err(format!("not moved: {}", reply.tail()));
        }
        self.host = other(from);
        self.well(lab)?;
        self.same_disks(lab, from)?;
        Ok(Outcome {
            pause: lab.ticks.pause(&self.name, started),
            note: format!("tool says {}", paused(&reply)),
        })
    }

    /// Checks that it runs where it should and nowhere else, goes on without a break, and that nothing
    /// was left behind.
    pub(super) fn well(&self, lab: &Lab) -> Result {
        self.only_copy(lab)?;
        lab.ticks
            .wait(&self.name, lab.ticks.last(&self.name) + 3, PATIENCE)?;
        // A second copy would have said something by now.
        self.only_copy(lab)?;
        self.unbroken(lab)?;
        for host in [1, 2] {
            let script = "ls -A /var/lib/xen-migrate; ! pgrep -l -x 'xen-migrate|blocksync'";
            let reply =
                lab.hosts
                    .wait(host, "processes are left", script, Duration::from_secs(60))?;
            if !reply.out.trim().is_empty() {
                return Err(format!("host {host}: left behind: {}", reply.out.trim()));
            }
        }
        Ok(())
    }

    fn only_copy(&self, lab: &Lab) -> Result {
        let mut found = Vec::new();
        for host in [1, 2] {
            for line in lab.hosts.sh(host, "xl list")?.lines().skip(1) {
                let mut words = line.split_whitespace();
                let (name, state) = (words.next().unwrap_or_default(), words.nth(3));
                // NAME--incoming and NAME--migratedaway are copies, too.
                if name.starts_with(&self.name) {
                    found.push((host, name.to_owned(), state.unwrap_or_default().to_owned()));
                }
            }
        }
        match &found[..] {
            [(host, name, state)]
                if *host == self.host && *name == self.name && !state.contains(['p', 's', 'c']) =>
            {
                Ok(())
            }
            _ => Err(format!(
                "{} should run at host {} only: {found:?}",
                self.name, self.host
            )),
        }
    }

    /// Checks what it said at both hosts: each tick once, none left out, no complaint.
    fn unbroken(&self, lab: &Lab) -> Result {
        let (mut numbers, twice) = lab.ticks.numbers(&self.name);
        if !twice.is_empty() {
            return Err(format!("{}: ticks came twice: {twice:?}", self.name));
        }
        for host in [1, 2] {
            let text = self.console(lab, host)?;
            if let Some(line) = text
                .lines()
                .find(|l| l.contains("MISMATCH") || l.contains("WRITE ERROR"))
            {
                return Err(format!("{} at host {host}: {line}", self.name));
            }
            let boots = text
                .lines()
                .filter(|line| line.contains("witness "))
                .count();
            if boots > usize::from(host == 1) {
                return Err(format!("{} at host {host}: it booted again", self.name));
            }
            numbers.extend(said(&text));
        }
        let last = numbers.last().copied().unwrap_or(0);
        let missing: Vec<u64> = (1..=last).filter(|n| !numbers.contains(n)).collect();
        match missing.is_empty() {
            true => Ok(()),
            false => Err(format!("{}: ticks are missing: {missing:?}", self.name)),
        }
    }

    /// Its console logs at a host. What xl migrate received was called otherwise at first.
    fn console(&self, lab: &Lab, host: Host) -> Result<String> {
        let script = format!(
            "cat /var/log/xen/console/guest-{0}.log /var/log/xen/console/guest-{0}--*.log 2> /dev/null || true",
            self.name
        );
        lab.hosts.sh(host, &script)
    }

    /// Checks that its disks are those that it left at host `left`: they differ only where it has written
    /// since, and there it says so itself.
    pub(super) fn same_disks(&self, lab: &Lab, left: Host) -> Result {
        let last = said(&self.console(lab, left)?).last().copied().unwrap_or(0);
        for path in self.paths() {
            let [old, new] = [left, self.host].map(|host| sectors(lab, host, &path));
            let (old, new) = (old?, new?);
            let all: BTreeSet<u64> = old.keys().chain(new.keys()).copied().collect();
            let wrong: Vec<u64> = all
                .iter()
                .copied()
                .filter(|at| {
                    old.get(at) != new.get(at)
                        && new
                            .get(at)
                            .is_none_or(|(tick, _)| tick.is_none_or(|tick| tick <= last))
                })
                .collect();
            if old.is_empty() || !wrong.is_empty() {
                return Err(format!(
                    "{path}: of {} sectors these differ and were written before tick {last}: {wrong:?}",
                    old.len()
                ));
            }
        }
        Ok(())
    }
}

/// The ticks of a console log.
fn said(text: &str) -> BTreeSet<u64> {
    let number = |line: &str| line.rsplit_once("tick ")?.1.trim().parse().ok();
    text.lines()
        .filter(|line| !line.contains("witness "))
        .filter_map(number)
        .collect()
}

/// Sectors that are not zero: who wrote them, and a checksum.
type Sectors = BTreeMap<u64, (Option<u64>, String)>;

fn sectors(lab: &Lab, host: Host, path: &str) -> Result<Sectors> {
    let text = lab.hosts.sh(host, &format!("sectors {path}"))?;
    let line = |line: &str| {
        let mut words = line.split(' ');
        let at = words.next()?.parse().ok()?;
        Some((at, (words.next()?.parse().ok(), words.next()?.to_owned())))
    };
    Ok(text.lines().filter_map(line).collect())
}

/// The pause that the tool tells.
fn paused(reply: &Reply) -> &str {
    let found = reply
        .out
        .split_once("paused for ")
        .map(|(_, rest)| rest.trim());
    found.unwrap_or("nothing")
}
