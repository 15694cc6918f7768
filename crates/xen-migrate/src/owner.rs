//! Who owns a domain after a crash, from what can be seen at both hosts. Pure: [`decide`] is given the
//! evidence and says what has to be done, and why.
//!
//! The rule: before the source's journal says `committed` the domain belongs to the source, after it to
//! the target. What runs is stronger evidence than what was written: the target can run only after the
//! commit, and the source only if the target was never told to start, or has been stopped for good.

use crate::step::Mark;

/// What a host has of the domain (found by its UUID, under any name).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    Absent,
    Running,
    /// Stopped in a way that `xl unpause` ends.
    Paused,
    /// Stopped by a save or a migration that never ended: only its own xl could let it go on.
    Suspended,
}

/// What one host tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) copy: Held,
    /// The last mark of its journal; `None` without a journal.
    pub(crate) mark: Option<Mark>,
}

/// What has to be done, in this order, for one running copy and nothing left over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Writes `revoked` to the target's journal.
    RevokeTarget,
    DestroyTarget,
    DestroySource,
    UnpauseSource,
    /// Lets a suspended source go on.
    ResumeSource,
    UnpauseTarget,
}

/// Where the domain belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Source(Vec<Act>),
    Target(Vec<Act>),
    /// It belongs to the source, which has lost it: nothing runs, and the source's disks are the valid
    /// ones.
    Lost(Vec<Act>),
    /// It was given to the target, which has no copy of it. If the disks there are still equal to the
    /// source's, it never ran there: then it is the source's, and this has to be done.
    IfDisksEqual(Vec<Act>),
    /// It cannot be told, or must not be decided by a program.
    Unknown(&'static str),
}

const NOT_THE_SOURCE: &str =
    "the source has neither it nor a journal of it: is that the host that it came from?";
const NOT_THE_TARGET: &str =
    "it was given to the target, which has neither it nor a journal of it: is that the right host?";

/// Decides. `None` is a host that cannot be asked.
pub(crate) fn decide(source: Option<Seen>, target: Option<Seen>) -> Verdict {
    use Held::*;
    match (source, target) {
        (None, None) => Verdict::Unknown("neither host can be asked"),
        (Some(source), Some(target)) => both(source, target),
        // The source alone.
        (Some(Seen { copy: Running, .. }), None) => Verdict::Source(vec![]),
        (Some(source), None)
            if source.mark >= Some(Mark::Committed) && source.mark != Some(Mark::Revoked) =>
        {
            Verdict::Unknown("the target was allowed to start it and cannot be asked")
        }
        (Some(source), None) => of_source(source, vec![]),
        // The target alone.
        (None, Some(Seen { copy: Running, .. })) => Verdict::Target(vec![]),
        (None, Some(target)) => match (target.mark, target.copy) {
            (Some(Mark::Committed | Mark::SourceRemoved), _) | (None, _) => {
                Verdict::Unknown("the source may have let the target have it, and cannot be asked")
            }
            // The target's journal is written first: the source never got to its commit.
            (Some(_), Absent) => Verdict::Source(vec![]),
            (Some(_), _) => Verdict::Source(vec![Act::DestroyTarget]),
        },
    }
}

fn both(source: Seen, target: Seen) -> Verdict {
    use Held::*;
    let away = |copy| match copy {
        Absent => vec![],
        _ => vec![Act::RevokeTarget, Act::DestroyTarget],
    };
    match (source.copy, target.copy) {
        (Running, Running) => Verdict::Unknown("it runs at both hosts"),
        (Absent, Running) => Verdict::Target(vec![]),
        (_, Running) => Verdict::Target(vec![Act::DestroySource]),
        (Running, copy) => Verdict::Source(away(copy)),
        // From its first step on the source has a journal, to the end: this may be another host.
        (Absent, copy) if source.mark.is_none() => match (target.mark, copy) {
            // Or it died between the first line there and the first line here.
            (None | Some(Mark::Planned), Absent) => Verdict::Lost(vec![]),
            _ => Verdict::Unknown(NOT_THE_SOURCE),
        },
        _ if committed(source) => match (source.copy, target.copy) {
            (Absent, Paused) => Verdict::Target(vec![Act::UnpauseTarget]),
            (_, Paused) => Verdict::Target(vec![Act::UnpauseTarget, Act::DestroySource]),
            // The target lost it before it ever ran, or after: its disks may have gone on.
            (Absent, _) => Verdict::Unknown("it was the target's, and is at neither host"),
            (_, Absent) if target.mark.is_none() => Verdict::Unknown(NOT_THE_TARGET),
            (_, Absent) => match of_source(source, vec![Act::RevokeTarget]) {
                Verdict::Source(acts) => Verdict::IfDisksEqual(acts),
                other => other,
            },
            (_, Suspended | Running) => Verdict::Unknown("the target's copy is stopped half-way"),
        },
        (_, copy) => of_source(source, away(copy)),
    }
}

/// Whether the source gave it away: its own journal says so.
fn committed(source: Seen) -> bool {
    matches!(source.mark, Some(Mark::Committed | Mark::SourceRemoved))
}

fn of_source(source: Seen, mut acts: Vec<Act>) -> Verdict {
    match source.copy {
        Held::Running => {}
        Held::Paused => acts.push(Act::UnpauseSource),
        Held::Suspended => acts.push(Act::ResumeSource),
        Held::Absent => return Verdict::Lost(acts),
    }
    Verdict::Source(acts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Held::*;

    const COPIES: [Held; 4] = [Absent, Running, Paused, Suspended];
    const MARKS: [Option<Mark>; 9] = [
        None,
        Some(Mark::Planned),
        Some(Mark::Presynced),
        Some(Mark::Suspended),
        Some(Mark::DisksFinal),
        Some(Mark::TargetBuilt),
        Some(Mark::Committed),
        Some(Mark::SourceRemoved),
        Some(Mark::Revoked),
    ];

    fn all() -> Vec<Option<Seen>> {
        let mut all = vec![None];
        for copy in COPIES {
            all.extend(MARKS.map(|mark| Some(Seen { copy, mark })));
        }
        all
    }

    fn apply(copy: Held, acts: &[Act], of_source: bool) -> Held {
        acts.iter().fold(copy, |copy, act| match (act, of_source) {
            (Act::DestroySource, true) | (Act::DestroyTarget, false) => Absent,
            (Act::UnpauseSource, true) | (Act::UnpauseTarget, false) if copy == Paused => Running,
            (Act::ResumeSource, true) if copy == Suspended => Running,
            _ => copy,
        })
    }

    #[test]
    fn no_decision_makes_two_copies_run_or_removes_the_one_that_runs() {
        for source in all() {
            for target in all() {
                let verdict = decide(source, target);
                let (acts, there) = match &verdict {
                    Verdict::Source(acts) | Verdict::IfDisksEqual(acts) => (acts, false),
                    Verdict::Target(acts) => (acts, true),
                    Verdict::Lost(acts) => (acts, false),
                    Verdict::Unknown(_) => continue,
                };
                let before = |seen: Option<Seen>| seen.map_or(Absent, |seen| seen.copy);
                // Also in the middle of it, if the program is killed.
                for done in 0..=acts.len() {
                    let here = apply(before(source), &acts[..done], true);
                    let target_copy = apply(before(target), &acts[..done], false);
                    assert!(
                        (here, target_copy) != (Running, Running),
                        "{source:?} {target:?}: {verdict:?}"
                    );
                    for (was, is) in [(before(source), here), (before(target), target_copy)] {
                        assert!(
                            was != Running || is == Running,
                            "{source:?} {target:?}: {verdict:?}"
                        );
                    }
                }
                let here = apply(before(source), acts, true);
                let target_copy = apply(before(target), acts, false);
                match (&verdict, there) {
                    (Verdict::Lost(_), _) => assert_eq!(here, Absent),
                    // The source's copy may be at a host that cannot be asked.
                    (_, false) => {
                        assert!(here == Running || source.is_none(), "{source:?} {target:?}")
                    }
                    (_, true) => assert_eq!((here == Running, target_copy), (false, Running)),
                }
                // A host that cannot be asked is not acted upon.
                for act in acts {
                    let at_source = matches!(
                        act,
                        Act::DestroySource | Act::UnpauseSource | Act::ResumeSource
                    );
                    assert!(if at_source {
                        source.is_some()
                    } else {
                        target.is_some()
                    });
                }
            }
        }
    }

    #[test]
    fn what_is_decided_once_more_stays() {
        for source in all().into_iter().flatten() {
            for target in all().into_iter().flatten() {
                let (Verdict::Source(acts) | Verdict::Target(acts)) =
                    decide(Some(source), Some(target))
                else {
                    continue;
                };
                let source = Seen {
                    copy: apply(source.copy, &acts, true),
                    ..source
                };
                let mut target = Seen {
                    copy: apply(target.copy, &acts, false),
                    ..target
                };
                if acts.contains(&Act::RevokeTarget) {
                    target.mark = Some(Mark::Revoked);
                }
                match decide(Some(source), Some(target)) {
                    Verdict::Source(acts) | Verdict::Target(acts) => assert_eq!(acts, []),
                    other => panic!("{source:?} {target:?}: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn the_commit_decides() {
        let seen = |copy, mark| {
            Some(Seen {
                copy,
                mark: Some(mark),
            })
        };
        for (source, target, verdict) in [
            // Killed before the commit, at each mark.
            (
                seen(Running, Mark::Planned),
                seen(Absent, Mark::Planned),
                Verdict::Source(vec![]),
            ),
            (
                seen(Paused, Mark::TargetBuilt),
                seen(Paused, Mark::Committed),
                Verdict::Source(vec![
                    Act::RevokeTarget,
                    Act::DestroyTarget,
                    Act::UnpauseSource,
                ]),
            ),
            (
                seen(Suspended, Mark::Suspended),
                seen(Absent, Mark::Suspended),
                Verdict::Source(vec![Act::ResumeSource]),
            ),
            (
                seen(Absent, Mark::Suspended),
                seen(Paused, Mark::Suspended),
                Verdict::Lost(vec![Act::RevokeTarget, Act::DestroyTarget]),
            ),
            // After it.
            (
                seen(Paused, Mark::Committed),
                seen(Paused, Mark::Committed),
                Verdict::Target(vec![Act::UnpauseTarget, Act::DestroySource]),
            ),
            (
                seen(Suspended, Mark::Committed),
                seen(Running, Mark::Committed),
                Verdict::Target(vec![Act::DestroySource]),
            ),
            (
                seen(Suspended, Mark::Committed),
                seen(Absent, Mark::Committed),
                Verdict::IfDisksEqual(vec![Act::RevokeTarget, Act::ResumeSource]),
            ),
        ] {
            assert_eq!(decide(source, target), verdict);
        }
        // Another host was named than that of the migration.
        let other = Some(Seen {
            copy: Absent,
            mark: None,
        });
        for (source, target) in [
            (other, seen(Paused, Mark::Committed)),
            (other, seen(Paused, Mark::TargetBuilt)),
            (other, seen(Absent, Mark::Suspended)),
            (seen(Paused, Mark::Committed), other),
            (seen(Suspended, Mark::SourceRemoved), other),
            (seen(Paused, Mark::Committed), None),
            (None, seen(Paused, Mark::Committed)),
            (None, None),
        ] {
            assert!(matches!(decide(source, target), Verdict::Unknown(_)));
        }
    }
}
