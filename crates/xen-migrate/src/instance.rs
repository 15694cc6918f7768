//! A domain's copies at a host, whatever they are called: found by the UUID, which moves with the domain.

use crate::memory;
use crate::owner::Held;
use crate::shell::Shell;
use crate::step::Trouble;
use crate::toolstack;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How long a domain may take to be what it was told to be.
const SOON: Duration = Duration::from_secs(60);
/// How long an xl that was cut off may take to let its domain go on by itself.
const BY_ITSELF: Duration = Duration::from_secs(10);

/// One copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Instance {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) held: Held,
}

/// The copy at a host; `None` if there is none. Two are an error: then nobody can tell what is what.
pub(crate) fn find(shell: &Shell, uuid: &str) -> Result<Option<Instance>, Trouble> {
    let failed = |why: String| Trouble::Failed(format!("{}: {why}", shell.name));
    let uuids = toolstack::parse_uuids(&shell.ask("xl vm-list", toolstack::LIST_UUIDS)?);
    let found: Vec<u32> = uuids
        .into_iter()
        .filter(|(other, _)| other == uuid)
        .map(|(_, id)| id)
        .collect();
    let id = match found[..] {
        [] => return Ok(None),
        [id] => id,
        _ => {
            return Err(failed(format!(
                "there are {} domains with the UUID {uuid}",
                found.len()
            )));
        }
    };
    let listed = toolstack::parse_list(&shell.ask("xl list", toolstack::LIST)?);
    let listed = listed.into_iter().find(|one| one.id == id);
    Ok(listed.map(|one| Instance {
        id: one.id,
        name: one.name,
        held: one.held,
    }))
}

/// What a host has of the domain.
pub(crate) fn held(shell: &Shell, uuid: &str) -> Result<Held, Trouble> {
    Ok(find(shell, uuid)?.map_or(Held::Absent, |one| one.held))
}

/// Makes the source's copy run under its own name again. `socket` is where a transport may be waiting
/// that keeps it suspended.
pub(crate) fn resume(shell: &Shell, uuid: &str, name: &str, socket: &Path) -> Result<(), Trouble> {
    memory::settle(socket, false);
    let begun = Instant::now();
    let found = loop {
        let Some(found) = find(shell, uuid)? else {
            return Err(Trouble::Failed(format!("{}: {name} is gone", shell.name)));
        };
        match found.held {
            Held::Running => break found,
            Held::Paused => {
                shell.ask("xl unpause", &toolstack::unpause(found.id))?;
            }
            Held::Suspended | Held::Absent if begun.elapsed() >= BY_ITSELF => {
                shell.ask("xl save -c", &toolstack::resume(found.id))?;
            }
            Held::Suspended | Held::Absent => {}
        }
        if begun.elapsed() >= BY_ITSELF + SOON {
            return Err(Trouble::Failed(format!(
                "{}: {name} does not go on",
                shell.name
            )));
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
        let reply = shell.run(&toolstack::destroy(found.id))?;
        if Instant::now() >= until {
            let why = reply.err.trim().replace('\n', "; ");
            return Err(Trouble::Failed(format!(
                "{}: xl destroy {}: {why}",
                shell.name, found.id
            )));
        }
        thread::sleep(Duration::from_millis(200));
    }
}

/// Starts the target's paused copy, under the domain's name.
pub(crate) fn start(shell: &Shell, uuid: &str, name: &str) -> Result<(), Trouble> {
    let Some(found) = find(shell, uuid)? else {
        return Err(Trouble::Failed(format!("{}: {name} is gone", shell.name)));
    };
    if found.name != name {
        shell.ask("xl rename", &toolstack::rename(found.id, name))?;
    }
    match found.held {
        Held::Running => Ok(()),
        _ => shell
            .ask("xl unpause", &toolstack::unpause(found.id))
            .map(drop),
    }
}
