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
