//! What the two hosts have to say to a plan: whether they can hand the domain over, and how.

use super::{Facts, Mode};
use crate::owner::Held;
use crate::toolstack::Kind;

pub(super) fn hosts(facts: &Facts<'_>, against: &mut Vec<String>, notes: &mut Vec<String>) {
    let Facts {
        domain,
        source,
        target,
        ..
    } = facts;
    if domain.id == 0 {
        against.push("it is the host's own domain".to_owned());
    }
    if domain.uuid.is_empty() {
        against.push("it has no UUID".to_owned());
    }
    // By it the copies of the domain are found, and let go on or removed.
    for (host, name) in [(source, "source"), (target, "target")] {
        let mut same = host.uuids.iter().filter(|(uuid, _)| *uuid == domain.uuid);
        let gone =
            |id: u32| (host.domains.iter()).any(|one| one.id == id && one.held == Held::Absent);
        let others = |id: u32| !gone(id) && (name == "target" || id != domain.id);
        if let Some((uuid, id)) = same.find(|(_, id)| others(*id)) {
            against.push(format!(
                "the {name} has another domain of its UUID, {uuid}: number {id}"
            ));
        }
    }
    let state = source
        .domains
        .iter()
        .find(|one| one.id == domain.id)
        .map(|one| one.held);
    if state != Some(Held::Running) {
        against.push("it does not run".to_owned());
    }
    if domain.passed_through {
        against.push("it has devices of the host passed through".to_owned());
    }
    for (host, name) in [(source, "source"), (target, "target")] {
        for program in &host.missing {
            against.push(format!("{program} is missing at the {name}"));
        }
    }
    for name in [
        domain.name.clone(),
        crate::toolstack::incoming(&domain.name),
    ] {
        if target.domains.iter().any(|one| one.name == name) {
            against.push(format!("the target has a domain {name} already"));
        }
    }
    let ((from, to), dot) = (
        (source.info.version, target.info.version),
        |v: (u32, u32)| format!("{}.{}", v.0, v.1),
    );
    if to < from {
        against.push(format!(
            "the target has Xen {}, older than the source's {}",
            dot(to),
            dot(from)
        ));
    }
    let (need, free) = (domain.memory_kib.div_ceil(1024), target.info.free_mib);
    if free < need {
        let text = format!("the target has {free} MiB of memory free, and it has {need} MiB");
        match target.info.makes_room {
            true => notes.push(format!(
                "{text}: xl has to take some from the target's own domain"
            )),
            false => against.push(text),
        }
    }
    for name in &facts.missing {
        match domain.bridges.contains(name) {
            true => against.push(format!("the target has no bridge {name}")),
            false => notes.push(format!(
                "the target has no {name}: the domain cannot reboot there"
            )),
        }
    }
}

/// Live needs a way to see which pages a running domain writes to.
pub(super) fn mode(facts: &Facts<'_>, wish: Option<Mode>, against: &mut Vec<String>) -> Mode {
    let caps = &facts.source.info.virt_caps;
    let has = |cap: &str| caps.iter().any(|one| one == cap);
    // Versions that do not tell have both.
    let untold = !has("hap") && !has("shadow");
    let able = match facts.domain.kind {
        Kind::Pv => has("shadow") || untold,
        Kind::Pvh | Kind::Hvm => has("hap") || has("shadow") || untold,
    };
    match wish {
        Some(Mode::Live) if !able => {
            let kind = facts.domain.kind;
            against.push(format!(
                "a {kind} domain cannot be moved live: Xen was built without shadow paging"
            ));
            Mode::Live
        }
        Some(mode) => mode,
        None if able => Mode::Live,
        None => Mode::Save,
    }
}
