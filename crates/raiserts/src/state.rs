//! What happens when: the states of a transmission, without a system call.
//!
//! The one rule is in [`State::step`]'s answer: whenever the command does not run as it should, the
//! first act is to release. And after [`Act::Key`] comes nothing in the same answer: what needs the
//! transmitter waits for [`Event::Time`], even with a lead of 0, so that it is not done when keying fails.

use nix::sys::signal::Signal;
use ptt::Times;
use std::time::{Duration, Instant};

/// How long a command may go on after it was told to end, until it is killed.
const PATIENCE: Duration = Duration::from_secs(5);

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The time that [`State::wakes_at`] names has come.
    Time,
    /// The command was stopped.
    Stopped,
    /// The command goes on.
    Continued,
    /// The command has ended.
    Ended(Status),
    /// A signal that ends or stops a program has come to us, and not (or not only) to the command.
    Signal(Signal),
    /// One of the terminal's, which the command has got too.
    SignalToBoth(Signal),
    /// SIGCONT.
    Continue,
    /// The device cannot be relied on any more: it is unplugged, or a call has failed.
    Lost,
}

/// How a command has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Exit(u8),
    /// By the signal of this number, which may be one without a name (a real-time signal).
    Killed(i32),
}

/// What is to be done, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Key,
    Release,
    /// Run the command.
    Start,
    /// Send the command this signal.
    Pass(Signal),
    /// Stop ourselves, as this signal does by default.
    Stop(Signal),
    End(Outcome),
}

/// How it all ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// As the command did.
    Status(Status),
    /// A signal came, and the command has not ended in a way of its own.
    Signal(Signal),
    TimedOut,
    Failed,
}

/// What [`State::wakes_at`] is for, beside the time-out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// Until the command may start.
    Lead,
    /// Until the stopped command may go on.
    Resume,
    /// Until the transmitter is released.
    Tail(Status),
    /// Until the command is killed.
    Patience,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Child {
    Waiting,
    Running,
    Stopped,
    Ended,
}

/// A transmission.
#[derive(Debug)]
pub(crate) struct State {
    times: Times,
    child: Child,
    keyed_since: Option<Instant>,
    wait: Option<(Wait, Instant)>,
    /// Why the command is to end before its time.
    ending: Option<Outcome>,
}

impl State {
    pub(crate) fn new(times: Times) -> State {
        State {
            times,
            child: Child::Waiting,
            keyed_since: None,
            wait: None,
            ending: None,
        }
    }

    /// The first acts.
    pub(crate) fn start(&mut self, now: Instant) -> Vec<Act> {
        let mut acts = Vec::new();
        self.key(now, &mut acts);
        self.wait = Some((Wait::Lead, now + self.times.lead));
        acts
    }

    /// When [`Event::Time`] is due, if ever.
    pub(crate) fn wakes_at(&self) -> Option<Instant> {
        let wait = self.wait.map(|(_, until)| until);
        wait.into_iter().chain(self.time_out()).min()
    }

    fn time_out(&self) -> Option<Instant> {
        self.keyed_since?.checked_add(self.times.timeout?)
    }

    /// What to do upon an event.
    pub(crate) fn step(&mut self, event: Event, now: Instant) -> Vec<Act> {
        let mut acts = Vec::new();
        match event {
            Event::Time => self.time(now, &mut acts),
            Event::Ended(status) => self.ended(status, now, &mut acts),
            // On its way to go on again, when it was us who were continued.
            Event::Stopped if matches!(self.wait, Some((Wait::Resume, _))) => {}
            Event::Stopped => {
                self.child = Child::Stopped;
                self.release(&mut acts);
            }
            Event::Continued => {
                self.child = Child::Running;
                if self.ending.is_none() {
                    self.key(now, &mut acts);
                }
            }
            Event::Signal(Signal::SIGTSTP | Signal::SIGTTIN | Signal::SIGTTOU)
            | Event::SignalToBoth(Signal::SIGTSTP | Signal::SIGTTIN | Signal::SIGTTOU) => {
                self.stop(event, &mut acts);
            }
            Event::Signal(signal) => {
                self.end_early(Outcome::Signal(signal), Some(signal), None, &mut acts)
            }
            Event::SignalToBoth(signal) => {
                self.end_early(Outcome::Signal(signal), None, None, &mut acts);
            }
            Event::Continue => self.go_on(now, &mut acts),
            Event::Lost => {
                let term = Some(Signal::SIGTERM);
                self.end_early(Outcome::Failed, term, Some(now), &mut acts);
            }
        }
        acts
    }

    fn key(&mut self, now: Instant, acts: &mut Vec<Act>) {
        if self.keyed_since.is_none() {
            self.keyed_since = Some(now);
            acts.push(Act::Key);
        }
    }

    fn release(&mut self, acts: &mut Vec<Act>) {
        if self.keyed_since.take().is_some() {
            acts.push(Act::Release);
        }
    }

    fn waited(&mut self, what: Wait, acts: &mut Vec<Act>) {
        match what {
            Wait::Lead => {
                self.child = Child::Running;
                acts.push(Act::Start);
            }
            Wait::Resume => acts.push(Act::Pass(Signal::SIGCONT)),
            Wait::Tail(status) => {
                self.release(acts);
                acts.push(Act::End(Outcome::Status(status)));
            }
            Wait::Patience => acts.push(Act::Pass(Signal::SIGKILL)),
        }
    }

    fn time(&mut self, now: Instant, acts: &mut Vec<Act>) {
        if self.time_out().is_some_and(|at| at <= now) {
            let term = Some(Signal::SIGTERM);
            self.end_early(Outcome::TimedOut, term, Some(now), acts);
        } else if let Some((what, until)) = self.wait
            && until <= now
        {
            self.wait = None;
            self.waited(what, acts);
        }
    }

    fn ended(&mut self, status: Status, now: Instant, acts: &mut Vec<Act>) {
        self.child = Child::Ended;
        let is_keyed = self.keyed_since.is_some();
        match (self.ending, status) {
            (None, Status::Exit(_)) if is_keyed => match self.times.tail {
                Duration::ZERO => self.waited(Wait::Tail(status), acts),
                tail => self.wait = Some((Wait::Tail(status), now + tail)),
            },
            (ending, status) => {
                self.release(acts);
                acts.push(Act::End(match ending {
                    None => Outcome::Status(status),
                    // It has ended in its own way.
                    Some(Outcome::Signal(signal)) if status != Status::Killed(signal as i32) => {
                        Outcome::Status(status)
                    }
                    Some(outcome) => outcome,
                }));
            }
        }
    }

    /// Releases, and lets the command end if there is one.
    fn end_early(
        &mut self,
        why: Outcome,
        pass: Option<Signal>,
        patience_from: Option<Instant>,
        acts: &mut Vec<Act>,
    ) {
        self.release(acts);
        match self.child {
            Child::Waiting | Child::Ended => acts.push(Act::End(why)),
            Child::Running | Child::Stopped => {
                self.ending.get_or_insert(why);
                if !matches!(self.wait, Some((Wait::Patience, _))) {
                    self.wait = patience_from.map(|now| (Wait::Patience, now + PATIENCE));
                }
                acts.extend(pass.map(Act::Pass));
                if self.child == Child::Stopped {
                    acts.push(Act::Pass(Signal::SIGCONT)); // or it would not see the other
                }
            }
        }
    }

    fn stop(&mut self, event: Event, acts: &mut Vec<Act>) {
        self.release(acts);
        let has_child = matches!(self.child, Child::Running | Child::Stopped);
        if let Some((Wait::Tail(status), _)) = self.wait {
            acts.push(Act::End(Outcome::Status(status))); // nothing is left to go on with
            return;
        }
        if self.ending.is_none() {
            self.wait = None;
        }
        match event {
            Event::Signal(signal) => {
                if has_child {
                    acts.push(Act::Pass(signal));
                }
                acts.push(Act::Stop(signal));
            }
            Event::SignalToBoth(signal) => acts.push(Act::Stop(signal)),
            _ => {}
        }
    }

    fn go_on(&mut self, now: Instant, acts: &mut Vec<Act>) {
        if self.ending.is_some() {
            acts.push(Act::Pass(Signal::SIGCONT));
            return;
        }
        if self.keyed_since.is_some() {
            return; // nothing had stopped
        }
        self.key(now, acts);
        let what = match self.child {
            Child::Waiting => Wait::Lead,
            _ => Wait::Resume,
        };
        self.wait = Some((what, now + self.times.lead));
    }
}

#[cfg(test)]
mod tests {
    use super::Act::{End, Key, Pass, Release, Start, Stop};
    use super::Event::{Continue, Continued, Ended, Lost, SignalToBoth, Stopped, Time};
    use super::*;
    use Signal::{SIGCONT, SIGINT, SIGKILL, SIGTERM, SIGTSTP, SIGTTIN};

    const DONE: Status = Status::Exit(0);

    /// A transmission whose clock is ours, in milliseconds.
    struct Run {
        state: State,
        zero: Instant,
        now: Instant,
    }

    impl Run {
        /// `lead`, `tail` and time-out (0: none) in milliseconds. Without a lead, the command is started.
        fn new(lead: u64, tail: u64, timeout: u64) -> (Run, Vec<Act>) {
            let ms = Duration::from_millis;
            let mut state = State::new(Times {
                lead: ms(lead),
                tail: ms(tail),
                timeout: (timeout > 0).then(|| ms(timeout)),
            });
            let now = Instant::now();
            let mut acts = state.start(now);
            if lead == 0 {
                assert_eq!(acts, [Key]);
                acts.extend(state.step(Time, now));
            }
            let zero = now;
            (Run { state, zero, now }, acts)
        }

        fn then(&mut self, event: Event) -> Vec<Act> {
            self.state.step(event, self.now)
        }

        /// Goes to the next time, asserts when that is, and returns what is done then.
        fn wakes(&mut self, at: u64) -> Vec<Act> {
            let wakes = self.state.wakes_at().expect("it waits");
            assert_eq!((wakes - self.zero).as_millis(), u128::from(at));
            self.now = wakes;
            self.then(Time)
        }

        fn passes(&mut self, ms: u64) {
            self.now += Duration::from_millis(ms);
        }
    }

    #[test]
    fn a_command_without_any_times() {
        let (mut run, acts) = Run::new(0, 0, 0);
        assert_eq!(acts, [Key, Start]);
        assert_eq!(run.state.wakes_at(), None);
        let three = Status::Exit(3);
        assert_eq!(
            run.then(Ended(three)),
            [Release, End(Outcome::Status(three))]
        );
    }

    #[test]
    fn lead_and_tail() {
        let (mut run, acts) = Run::new(200, 100, 0);
        assert_eq!(acts, [Key]);
        assert_eq!(run.wakes(200), [Start]);
        run.passes(1000);
        assert_eq!(run.then(Ended(DONE)), []);
        assert_eq!(run.wakes(1300), [Release, End(Outcome::Status(DONE))]);
    }

    #[test]
    fn a_killed_command_has_no_tail() {
        let (mut run, _) = Run::new(0, 100, 0);
        let killed = Status::Killed(9);
        assert_eq!(
            run.then(Ended(killed)),
            [Release, End(Outcome::Status(killed))]
        );
    }

    #[test]
    fn a_signal_releases_first_and_goes_to_the_command() {
        let (mut run, _) = Run::new(0, 100, 1000);
        assert_eq!(run.then(Event::Signal(SIGTERM)), [Release, Pass(SIGTERM)]);
        assert_eq!(run.state.wakes_at(), None);
        assert_eq!(run.then(Event::Signal(SIGINT)), [Pass(SIGINT)]);
        assert_eq!(
            run.then(Ended(Status::Killed(15))),
            [End(Outcome::Signal(SIGTERM))]
        );
    }

    #[test]
    fn a_command_that_survives_a_signal_has_its_own_status_and_is_not_keyed_again() {
        let (mut run, _) = Run::new(0, 100, 0);
        assert_eq!(run.then(SignalToBoth(SIGINT)), [Release]);
        assert_eq!(run.then(Stopped), []);
        assert_eq!(run.then(Continued), []);
        assert_eq!(run.then(Continue), [Pass(SIGCONT)]);
        assert_eq!(run.then(Ended(DONE)), [End(Outcome::Status(DONE))]);
    }

    #[test]
    fn a_signal_during_the_lead_starts_nothing() {
        let (mut run, _) = Run::new(200, 0, 0);
        assert_eq!(
            run.then(Event::Signal(SIGINT)),
            [Release, End(Outcome::Signal(SIGINT))]
        );
    }

    #[test]
    fn a_signal_during_the_tail_cuts_it() {
        let (mut run, _) = Run::new(0, 200, 0);
        run.then(Ended(DONE));
        assert_eq!(
            run.then(SignalToBoth(SIGINT)),
            [Release, End(Outcome::Signal(SIGINT))]
        );
    }

    #[test]
    fn a_stopped_command_releases_until_it_goes_on() {
        let (mut run, _) = Run::new(100, 0, 1000);
        run.wakes(100);
        assert_eq!(run.then(Stopped), [Release]);
        assert_eq!(run.state.wakes_at(), None);
        run.passes(5000);
        assert_eq!(run.then(Continued), [Key]);
        // The time-out is of one time on the air.
        assert_eq!(run.wakes(6100), [Release, Pass(SIGTERM)]);
    }

    #[test]
    fn a_stop_goes_to_the_command_and_to_us() {
        let (mut run, _) = Run::new(100, 0, 0);
        run.wakes(100);
        assert_eq!(
            run.then(Event::Signal(SIGTSTP)),
            [Release, Pass(SIGTSTP), Stop(SIGTSTP)]
        );
        run.passes(900);
        assert_eq!(run.then(Continue), [Key]);
        assert_eq!(run.then(Stopped), []); // known only now
        assert_eq!(run.then(Continue), []);
        assert_eq!(run.wakes(1100), [Pass(SIGCONT)]);
        assert_eq!(run.then(Continued), []);
    }

    #[test]
    fn the_terminals_stop_is_not_sent_twice() {
        let (mut run, _) = Run::new(0, 0, 0);
        assert_eq!(run.then(Stopped), [Release]);
        assert_eq!(run.then(SignalToBoth(SIGTTIN)), [Stop(SIGTTIN)]);
        assert_eq!(run.then(Continue), [Key]);
        assert_eq!(run.wakes(0), [Pass(SIGCONT)]);
    }

    #[test]
    fn a_stop_during_the_lead_begins_it_again() {
        let (mut run, _) = Run::new(100, 0, 0);
        run.passes(50);
        assert_eq!(run.then(SignalToBoth(SIGTSTP)), [Release, Stop(SIGTSTP)]);
        assert_eq!(run.state.wakes_at(), None);
        run.passes(1000);
        assert_eq!(run.then(Continue), [Key]);
        assert_eq!(run.wakes(1150), [Start]);
    }

    #[test]
    fn a_stop_during_the_tail_cuts_it() {
        let (mut run, _) = Run::new(0, 100, 0);
        run.then(Ended(DONE));
        assert_eq!(
            run.then(SignalToBoth(SIGTSTP)),
            [Release, End(Outcome::Status(DONE))]
        );
    }

    #[test]
    fn a_time_out_ends_the_command_and_then_kills_it() {
        let (mut run, _) = Run::new(100, 0, 1000);
        run.wakes(100);
        assert_eq!(run.wakes(1000), [Release, Pass(SIGTERM)]);
        assert_eq!(run.then(Event::Signal(SIGINT)), [Pass(SIGINT)]);
        assert_eq!(run.wakes(6000), [Pass(SIGKILL)]);
        assert_eq!(run.state.wakes_at(), None);
        assert_eq!(run.then(Ended(Status::Killed(9))), [End(Outcome::TimedOut)]);
    }

    #[test]
    fn a_time_out_in_lead_or_tail() {
        let (mut run, _) = Run::new(100, 0, 50);
        assert_eq!(run.wakes(50), [Release, End(Outcome::TimedOut)]);
        let (mut run, _) = Run::new(0, 100, 50);
        run.then(Ended(DONE));
        assert_eq!(run.wakes(50), [Release, End(Outcome::TimedOut)]);
    }

    #[test]
    fn a_stopped_command_is_woken_to_end() {
        let (mut run, _) = Run::new(0, 0, 0);
        run.then(Stopped);
        assert_eq!(
            run.then(Event::Signal(SIGTERM)),
            [Pass(SIGTERM), Pass(SIGCONT)]
        );
    }

    #[test]
    fn what_cannot_be_keyed_is_not_started() {
        let mut state = State::new(Times {
            lead: Duration::ZERO,
            tail: Duration::ZERO,
            timeout: None,
        });
        let now = Instant::now();
        assert_eq!(state.start(now), [Key]);
        let acts = state.step(Lost, now);
        assert_eq!(acts, [Release, End(Outcome::Failed)]);
    }

    #[test]
    fn a_lost_device_ends_the_command() {
        let (mut run, _) = Run::new(0, 100, 0);
        assert_eq!(run.then(Lost), [Release, Pass(SIGTERM)]);
        assert_eq!(run.wakes(5000), [Pass(SIGKILL)]);
        assert_eq!(run.then(Ended(DONE)), [End(Outcome::Failed)]);
    }

    #[test]
    fn whatever_happens_nothing_is_keyed_in_the_end() {
        use proptest::prelude::*;
        let event = prop_oneof![
            Just(Time),
            Just(Stopped),
            Just(Continued),
            Just(Continue),
            Just(Lost),
            Just(Event::Signal(SIGTERM)),
            Just(SignalToBoth(SIGINT)),
            Just(Event::Signal(SIGTSTP)),
            Just(SignalToBoth(SIGTTIN)),
            Just(Ended(DONE)),
            Just(Ended(Status::Killed(9))),
        ];
        let times = (0..2u64, 0..2u64, 0..3u64);
        let events = prop::collection::vec(event, 0..30);
        proptest!(|((lead, tail, timeout) in times, events in events)| {
            let (mut run, mut acts) = Run::new(lead * 100, tail * 100, timeout * 70);
            let (mut keyed, mut started, mut stopped) = (false, false, false);
            let mut events = events.into_iter();
            'run: loop {
                for act in &acts {
                    match act {
                        Key => { prop_assert!(!keyed); keyed = true }
                        Release => { prop_assert!(keyed); keyed = false }
                        Start => { prop_assert!(keyed && !started); started = true }
                        Pass(_) => prop_assert!(started),
                        Stop(_) => { prop_assert!(!keyed); stopped = true }
                        End(_) => { prop_assert!(!keyed); break 'run }
                    }
                }
                let Some(event) = events.next() else { break };
                // A command that has not been started, or has ended, does nothing.
                let is_childs = matches!(event, Stopped | Continued | Ended(_));
                if is_childs && !matches!(run.state.child, Child::Running | Child::Stopped) {
                    acts.clear();
                    continue;
                }
                if let (Time, Some(at)) = (event, run.state.wakes_at()) {
                    run.now = run.now.max(at);
                }
                stopped &= event != Continue;
                acts = run.then(event);
                // One that is stopped keys only what goes on.
                prop_assert!(!(stopped && acts.contains(&Key) && event != Continued));
            }
        });
    }
}
