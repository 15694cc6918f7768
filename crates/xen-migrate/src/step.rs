//! The order of steps of a migration, and what follows when one of them fails. Nothing here does
//! anything: [`drive`] calls [`Hands`], which are the real hosts or, in the test, scripted ones.

use std::fmt;

/// What is written to the journals of both hosts, each before what it names is begun or claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mark {
    /// The plan holds; nothing has been touched.
    Planned,
    /// The target's disks hold what the source's did a short while ago.
    Presynced,
    /// The source is about to be stopped, or is.
    Suspended,
    /// The target's disks are what the stopped source has, and are on its disks.
    DisksFinal,
    /// The target has the whole domain, paused.
    TargetBuilt,
    /// The domain belongs to the target. Before this line it belongs to the source.
    Committed,
    /// The target runs it, and the source's copy is gone.
    SourceRemoved,
    /// The domain belongs to the source again, and the target's copy must not start.
    Revoked,
}

const NAMES: [(Mark, &str); 8] = [
    (Mark::Planned, "planned"),
    (Mark::Presynced, "presynced"),
    (Mark::Suspended, "suspended"),
    (Mark::DisksFinal, "disks-final"),
    (Mark::TargetBuilt, "target-built"),
    (Mark::Committed, "committed"),
    (Mark::SourceRemoved, "source-removed"),
    (Mark::Revoked, "revoked"),
];

impl Mark {
    /// The word of a journal.
    pub(crate) fn parse(word: &str) -> Option<Mark> {
        let found = NAMES.iter().find(|(_, name)| *name == word);
        found.map(|(mark, _)| *mark)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = NAMES.iter().find(|(mark, _)| mark == self);
        out.write_str(found.map_or("", |(_, name)| name))
    }
}

/// One thing to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Makes missing volumes at the target.
    Prepare,
    /// Copies the disks while the domain runs, again and again until little changes.
    Presync,
    /// Begins to send the memory, and returns when the source has stopped.
    Suspend,
    /// Copies what changed on the disks since the last pass, while the rest of the memory goes over.
    LastPass,
    /// Waits until the target has the whole domain, paused.
    Build,
    /// Writes to both journals that the domain is the target's: first there, then here.
    Commit,
    /// Starts the domain at the target.
    Start,
    /// Removes what is left of the domain at the source.
    Remove,
    /// Makes sure that the target has no copy and gets none. After it nothing can start there.
    Revoke,
    /// Lets the source go on.
    Resume,
    /// Takes away what the target has got.
    Cancel,
}

/// Why a step did not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It did not, and will not.
    Failed(String),
    /// Whether it did cannot be told.
    Unknown(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Trouble::Failed(why) | Trouble::Unknown(why)) = self;
        out.write_str(why)
    }
}

/// How a migration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It runs at the target, and nowhere else.
    Moved,
    /// It runs at the source as before, and the target has nothing of it but disks.
    Stayed,
    /// `--recover` has something left to do, or to find out.
    Undecided,
}

/// What a step needs: the hosts.
pub(crate) trait Hands {
    /// Writes a mark to both journals, the target's first, and to their disks.
    fn mark(&mut self, mark: Mark) -> Result<(), Trouble>;
    /// Does a step.
    fn act(&mut self, step: Step) -> Result<(), Trouble>;
    /// Hears of a trouble, in the order in which they come.
    fn hear(&mut self, trouble: &Trouble);
}

enum Next {
    Do(Step),
    End(Outcome),
}

/// Does the steps until the domain is at one of the two places, or nobody can tell.
pub(crate) fn drive(hands: &mut impl Hands) -> Outcome {
    let mut step = Step::Prepare;
    loop {
        let mut result = Ok(());
        for mark in before(step) {
            if result.is_ok() {
                result = hands.mark(*mark);
            }
        }
        if result.is_ok() {
            result = hands.act(step);
        }
        if let Err(trouble) = &result {
            hands.hear(trouble);
        }
        match after(step, &result) {
            Next::Do(next) => step = next,
            Next::End(outcome) => return outcome,
        }
    }
}

/// The marks to be written before a step. [`Step::Commit`] is nothing but its marks.
fn before(step: Step) -> &'static [Mark] {
    match step {
        Step::Prepare => &[Mark::Planned],
        Step::Suspend => &[Mark::Presynced, Mark::Suspended],
        Step::Build => &[Mark::DisksFinal],
        Step::Commit => &[Mark::TargetBuilt, Mark::Committed],
        _ => &[],
    }
}

fn after(step: Step, result: &Result<(), Trouble>) -> Next {
    use Step::*;
    match (step, result) {
        (Prepare, Ok(())) => Next::Do(Presync),
        (Presync, Ok(())) => Next::Do(Suspend),
        (Suspend, Ok(())) => Next::Do(LastPass),
        (LastPass, Ok(())) => Next::Do(Build),
        (Build, Ok(())) => Next::Do(Commit),
        (Commit, Ok(())) => Next::Do(Start),
        (Start, Ok(())) => Next::Do(Remove),
        (Remove, Ok(())) => Next::End(Outcome::Moved),

        // The source has not been touched.
        (Prepare | Presync, Err(_)) => Next::Do(Cancel),
        // Nothing was said to the target that could make it start.
        (Suspend | LastPass | Build | Commit, Err(_)) => Next::Do(Resume),
        (Resume, Ok(())) => Next::Do(Cancel),
        (Cancel, Ok(())) => Next::End(Outcome::Stayed),

        // It was told to start: first make sure that it did not and cannot.
        (Start, Err(Trouble::Failed(_))) => Next::Do(Revoke),
        (Revoke, Ok(())) => Next::Do(Resume),

        (Start, Err(Trouble::Unknown(_))) | (Remove | Revoke | Resume | Cancel, Err(_)) => {
            Next::End(Outcome::Undecided)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owner::{self, Act, Held, Seen, Verdict};

    /// What goes wrong with a step or a mark.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Fault {
        /// It fails without an effect.
        Fails,
        /// The connection breaks before it, and the target cannot be asked from then on.
        CutBefore,
        /// The connection breaks when it has been done.
        CutAfter,
        KilledBefore,
        KilledAfter,
        /// The source host dies: its memory is gone, its journal is not.
        SourceDies,
        TargetDies,
    }
    use Fault::*;

    const FAULTS: [Fault; 7] = [
        Fails,
        CutBefore,
        CutAfter,
        KilledBefore,
        KilledAfter,
        SourceDies,
        TargetDies,
    ];

    /// Scripted hosts. The two modes differ in what is left when the program is killed: in live mode
    /// xl, in save mode nothing lets the source go on once its memory has been written.
    struct World {
        live: bool,
        source: Held,
        target: Held,
        source_mark: Option<Mark>,
        target_mark: Option<Mark>,
        reachable: bool,
        killed: bool,
        /// Told to start: then xl does not let the source go on by itself.
        told: bool,
        count: usize,
        fault_at: usize,
        fault: Fault,
        done: Vec<String>,
    }

    impl World {
        fn new(live: bool, fault_at: usize, fault: Fault) -> World {
            World {
                live,
                source: Held::Running,
                target: Held::Absent,
                source_mark: None,
                target_mark: None,
                reachable: true,
                killed: false,
                told: false,
                count: 0,
                fault_at,
                fault,
                done: Vec::new(),
            }
        }

        /// Whether this is where the fault is.
        fn now(&mut self, what: String) -> Option<Fault> {
            self.done.push(what);
            self.count += 1;
            (self.count - 1 == self.fault_at).then_some(self.fault)
        }

        fn check(&self) {
            assert!(
                (self.source, self.target) != (Held::Running, Held::Running),
                "{:?}",
                self.done
            );
        }

        fn kill(&mut self) -> Result<(), Trouble> {
            self.killed = true;
            // xl hears that nobody steers: it lets the source go on, unless the target was told.
            if self.live && !self.told && self.source == Held::Suspended {
                self.source = Held::Running;
                self.target = Held::Absent;
            }
            self.check();
            Err(Trouble::Failed("killed".into()))
        }

        fn with(
            &mut self,
            what: String,
            effect: impl FnOnce(&mut World) -> Result<(), Trouble>,
            there: bool,
        ) -> Result<(), Trouble> {
            if self.killed {
                return Err(Trouble::Failed("killed".into()));
            }
            let fault = self.now(what);
            match fault {
                Some(Fails) => return Err(Trouble::Failed("fails".into())),
                Some(CutBefore) => self.reachable = false,
                Some(KilledBefore) => return self.kill(),
                Some(SourceDies) => {
                    self.source = Held::Absent;
                    return self.kill();
                }
                Some(TargetDies) => {
                    self.target = Held::Absent;
                    self.reachable = false;
                }
                Some(CutAfter | KilledAfter) | None => {}
            }
            if there && !self.reachable {
                return Err(Trouble::Failed("cut".into()));
            }
            let result = effect(self);
            self.check();
            match fault {
                Some(CutAfter) => {
                    self.reachable = false;
                    // Nobody hears how it ended.
                    if there {
                        Err(Trouble::Unknown("cut".into()))
                    } else {
                        result
                    }
                }
                Some(KilledAfter) => self.kill(),
                _ => result,
            }
        }
    }

    impl Hands for World {
        fn mark(&mut self, mark: Mark) -> Result<(), Trouble> {
            self.with(
                format!("{mark} there"),
                |world| {
                    world.target_mark = Some(mark);
                    Ok(())
                },
                true,
            )?;
            self.with(
                format!("{mark} here"),
                |world| {
                    world.source_mark = Some(mark);
                    Ok(())
                },
                false,
            )
        }

        fn act(&mut self, step: Step) -> Result<(), Trouble> {
            let there = !matches!(
                step,
                Step::Suspend | Step::Commit | Step::Remove | Step::Resume
            );
            let effect = |world: &mut World| {
                match step {
                    Step::Prepare | Step::Presync | Step::LastPass | Step::Commit => {}
                    Step::Suspend => world.source = Held::Suspended,
                    Step::Build => {
                        world.target = Held::Paused;
                        if !world.live {
                            world.source = Held::Paused;
                        }
                    }
                    Step::Start => {
                        world.told = true;
                        world.target = Held::Running;
                    }
                    Step::Remove => {
                        assert!(world.told);
                        world.source = Held::Absent;
                        (world.source_mark, world.target_mark) = (None, None);
                    }
                    Step::Revoke => {
                        if world.target == Held::Running {
                            return Err(Trouble::Unknown("it runs there".into()));
                        }
                        world.target = Held::Absent;
                        (world.source_mark, world.target_mark) =
                            (Some(Mark::Revoked), Some(Mark::Revoked));
                    }
                    Step::Resume => {
                        if world.source == Held::Absent {
                            return Err(Trouble::Failed("gone".into()));
                        }
                        world.source = Held::Running;
                    }
                    Step::Cancel => {
                        world.target = Held::Absent;
                        (world.source_mark, world.target_mark) = (None, None);
                    }
                }
                Ok(())
            };
            self.with(format!("{step:?}"), effect, there)
        }

        fn hear(&mut self, _: &Trouble) {}
    }

    /// What `--recover` does, with whom can be asked.
    fn recover(world: &mut World, source: bool, target: bool) -> Verdict {
        let seen = |ask: bool, copy, mark| ask.then_some(Seen { copy, mark });
        let verdict = owner::decide(
            seen(source, world.source, world.source_mark),
            seen(target, world.target, world.target_mark),
        );
        let acts = match &verdict {
            Verdict::Source(acts) | Verdict::Target(acts) | Verdict::Lost(acts) => acts.clone(),
            // Here the target's disks are equal if it never ran.
            Verdict::IfDisksEqual(acts) if !world.told => acts.clone(),
            Verdict::IfDisksEqual(_) | Verdict::Unknown(_) => vec![],
        };
        for act in acts {
            match act {
                Act::RevokeTarget => world.target_mark = Some(Mark::Revoked),
                Act::DestroyTarget => world.target = Held::Absent,
                Act::DestroySource => world.source = Held::Absent,
                Act::UnpauseSource | Act::ResumeSource => world.source = Held::Running,
                Act::UnpauseTarget => world.target = Held::Running,
            }
            world.check();
        }
        verdict
    }

    /// Every fault at every mark and step, in both modes: never two copies; and one of them runs, at
    /// once or after `--recover` at both hosts, or the source host had died before the commit.
    #[test]
    fn every_fault_at_every_step() {
        let mut cases = 0;
        for live in [false, true] {
            for fault in FAULTS {
                for at in 0.. {
                    let mut world = World::new(live, at, fault);
                    let outcome = drive(&mut world);
                    if world.count <= at {
                        assert_eq!(outcome, Outcome::Moved);
                        break;
                    }
                    cases += 1;
                    let what = format!("live {live}, {fault:?}: {:?}", world.done);
                    let one = |world: &World| {
                        (world.source == Held::Running) != (world.target == Held::Running)
                    };
                    if !world.killed && fault != TargetDies {
                        match outcome {
                            Outcome::Moved => assert_eq!(
                                (world.source, world.target),
                                (Held::Absent, Held::Running),
                                "{what}"
                            ),
                            Outcome::Stayed => assert_eq!(
                                (world.source, world.target),
                                (Held::Running, Held::Absent),
                                "{what}"
                            ),
                            Outcome::Undecided => {}
                        }
                    }
                    // One host alone may decide only what stays right when the other comes back.
                    let alone = recover(&mut world, true, false);
                    let ran = one(&world);
                    if !matches!(alone, Verdict::Unknown(_))
                        && world.source_mark.is_some()
                        && fault != SourceDies
                    {
                        assert!(ran, "{what}: {alone:?}");
                    }
                    recover(&mut world, false, true);
                    let verdict = recover(&mut world, true, true);
                    let lost = matches!(verdict, Verdict::Lost(_)) && fault == SourceDies;
                    // A target that dies after it ran has the newest state on its disks.
                    let dead = fault == TargetDies && world.told;
                    assert!(one(&world) || lost || dead, "{what}: {verdict:?}");
                    if lost {
                        assert_eq!(world.target, Held::Absent, "{what}");
                    }
                }
            }
        }
        assert!(cases > 200, "{cases}");
    }
}
