//! A domain's copies at a host, whatever they are called: found by the UUID, which moves with the domain.

use crate::memory;
use crate::owner::Held;
use crate::shell::{LONG, Shell};
use crate::step::Trouble;
use crate::toolstack;
use std::thread;
use std::time::{Duration, Instant};

/// How long a domain may take to be what it was told to be.
const SOON: Duration = Duration::from_secs(60);
/// How long to wait for an xl that was cut off, and may let its domain go on by itself.
const BY_ITSELF: Duration = Duration::from_secs(10);
/// How long a domain that was started may take to be seen running.
const STARTS: Duration = Duration::from_secs(10);

/// One copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Instance {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) held: Held,
}

/// The copy at a host; `None` if there is none, or what is left of one that is dying. Two are an error:
/// then nobody can tell what is what.
pub(crate) fn find(shell: &Shell, uuid: &str) -> Result<Option<Instance>, Trouble> {
    let failed = |why: String| Trouble::Failed(format!("{}: {why}", shell.name));
    let uuids = toolstack::parse_uuids(&shell.ask("xl vm-list", toolstack::LIST_UUIDS)?);
    let ids: Vec<u32> = uuids
        .into_iter()
        .filter(|(other, _)| other == uuid)
        .map(|(_, id)| id)
        .collect();
    if ids.is_empty() {
        return Ok(None);
    }
    let listed = toolstack::parse_list(&shell.ask("xl list", toolstack::LIST)?);
    let mut found: Vec<Instance> = listed
        .into_iter()
        .filter(|one| ids.contains(&one.id) && one.held != Held::Absent)
        .map(|one| Instance {
            id: one.id,
            name: one.name,
            held: one.held,
        })
        .collect();
    match found.len() {
        0 | 1 => Ok(found.pop()),
        count => Err(failed(format!(
            "there are {count} domains with the UUID {uuid}"
        ))),
    }
}

/// What a host has of the domain.
pub(crate) fn held(shell: &Shell, uuid: &str) -> Result<Held, Trouble> {
    Ok(find(shell, uuid)?.map_or(Held::Absent, |one| one.held))
}

/// Makes the source's copy run under its own name again. `token` names the migration, whose transport
/// may be waiting and keep it suspended.
pub(crate) fn resume(shell: &Shell, uuid: &str, name: &str, token: &str) -> Result<(), Trouble> {
    memory::settle(token, false);
    let begun = Instant::now();
    let mut until = begun + BY_ITSELF + SOON;
    let mut told = false;
    let found = loop {
        let Some(found) = find(shell, uuid)? else {
            return Err(Trouble::Failed(format!("{}: {name} is gone", shell.name)));
        };
        match found.held {
            Held::Running => break found,
            _ if Instant::now() >= until => {
                return Err(Trouble::Failed(format!(
                    "{}: {name} does not go on",
                    shell.name
                )));
            }
            Held::Paused => {
                shell.ask("xl unpause", &toolstack::unpause(found.id))?;
            }
            Held::Suspended | Held::Absent if told => {}
            // As long as its own xl is there, that is the one to let it go on.
            Held::Suspended | Held::Absent => {
                if begun.elapsed() >= BY_ITSELF || memory::left(shell, token)?.is_empty() {
                    // Its xl may have let it go on, and ended, since it was looked at.
                    if held(shell, uuid)? == Held::Suspended {
                        shell.ask_within("xl save -c", &toolstack::resume(found.id), LONG)?;
                        told = true;
                        until = Instant::now() + SOON;
                    }
                    continue;
                }
            }
        }
        thread::sleep(Duration::from_millis(200));
    };
    if found.name == toolstack::away(name) {
        shell.ask("xl rename", &toolstack::rename(found.id, name))?;
    }
    Ok(())
}

/// Removes a copy that does not run. One that runs is not touched, and an error.
pub(crate) fn destroy(shell: &Shell, uuid: &str) -> Result<(), Trouble> {
    let until = Instant::now() + SOON;
    let mut why = None;
    loop {
        let Some(found) = find(shell, uuid)? else {
            return Ok(());
        };
        if found.held == Held::Running {
            return Err(Trouble::Unknown(format!(
                "{}: {} runs there",
                shell.name, found.name
            )));
        }
        if let Some(why) = why.filter(|_| Instant::now() >= until) {
            return Err(Trouble::Failed(format!(
                "{}: xl destroy {}: {why}",
                shell.name, found.id
            )));
        }
        // A domain with much memory takes its time.
        let reply = shell.run_within(&toolstack::destroy(found.id), LONG)?;
        why = Some(reply.err.trim().replace('\n', "; "));
        thread::sleep(Duration::from_millis(200));
    }
}

/// Starts the target's paused copy, under the domain's name, and sees that it runs: `xl unpause` ends
/// well with a domain that it cannot start.
pub(crate) fn start(shell: &Shell, uuid: &str, name: &str) -> Result<(), Trouble> {
    let Some(found) = find(shell, uuid)? else {
        return Err(Trouble::Failed(format!("{}: {name} is gone", shell.name)));
    };
    if found.name != name {
        shell.ask("xl rename", &toolstack::rename(found.id, name))?;
    }
    if found.held == Held::Running {
        return Ok(());
    }
    let reply = shell.run(&toolstack::unpause(found.id))?;
    let until = Instant::now() + STARTS;
    while held(shell, uuid)? != Held::Running {
        if reply.status != 0 || Instant::now() >= until {
            let why = reply.err.trim().replace('\n', "; ");
            return Err(Trouble::Failed(format!(
                "{}: xl unpause: {name} does not run: {why}",
                shell.name
            )));
        }
        thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}
