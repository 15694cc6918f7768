//! One transmission: the main path. Waits for what happens, asks `state` what to do, and does it.

use crate::args::Args;
use crate::child::{self, Child};
use crate::signals::{self, Signals};
use crate::state::{Act, Event, Outcome, State, Status};
use crate::{Error, FAILED, TOOL};
use cli::diag;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::sys::time::TimeSpec;
use ptt::Ptt;
use std::collections::VecDeque;
use std::time::Instant;

/// Runs the command with the transmitter keyed. Returns the exit status.
pub(crate) fn run(args: &Args) -> Result<u8, Error> {
    crate::sys::keep_descriptors_to_ourselves();
    child::find(&args.command[0])?;
    let signals = Signals::block()?;
    let mut session = Session {
        args,
        signals,
        ptt: Ptt::open(&args.setup)?,
        child: None,
        is_lost: false,
    };
    let outcome = session.run();
    // On a failure too: released, restored, unlocked.
    let closed = session.ptt.close();
    let mut is_safe = !session.is_lost;
    if let Err(error) = closed
        && is_safe
    {
        diag::report(TOOL, error);
        is_safe = false;
    }
    Ok(match outcome? {
        Outcome::Status(Status::Exit(0)) if !is_safe => FAILED,
        outcome => exit_code(outcome, args),
    })
}

struct Session<'a> {
    args: &'a Args,
    signals: Signals,
    ptt: Ptt,
    child: Option<Child>,
    /// The device or its guardian has gone, and need not be looked at again.
    is_lost: bool,
}

impl Session<'_> {
    fn run(&mut self) -> Result<Outcome, Error> {
        let mut state = State::new(self.args.times);
        let mut acts = state.start(Instant::now());
        let mut events = VecDeque::new();
        loop {
            for act in acts.drain(..) {
                match self.act(act)? {
                    Done::Yes => {}
                    Done::End(outcome) => return Ok(outcome),
                    Done::Lost => events.push_front(Event::Lost),
                    // SIGCONT has come; or the kernel has not stopped us, and none will.
                    Done::Stopped => events.push_back(Event::Continue),
                }
            }
            if events.is_empty() {
                self.wait(state.wakes_at())?;
                self.look(&state, &mut events)?;
            }
            if let Some(event) = events.pop_front() {
                acts = state.step(event, Instant::now());
            }
        }
    }

    fn act(&mut self, act: Act) -> Result<Done, Error> {
        match act {
            Act::Key => return Ok(self.lost_if(|ptt| ptt.key())),
            Act::Release => return Ok(self.lost_if(|ptt| ptt.release())),
            Act::Start => self.child = Some(Child::start(&self.args.command, &self.signals)?),
            Act::Pass(signal) => {
                if let Some(child) = &self.child {
                    child.send(signal);
                }
            }
            Act::Stop(signal) => {
                signals::stop_by(signal)?;
                return Ok(Done::Stopped);
            }
            Act::End(outcome) => return Ok(Done::End(outcome)),
        }
        Ok(Done::Yes)
    }

    /// Does something with the device. When that fails, it is said, and the command has to end.
    fn lost_if(&mut self, work: impl FnOnce(&mut Ptt) -> Result<(), ptt::Error>) -> Done {
        match work(&mut self.ptt) {
            Ok(()) => Done::Yes,
            Err(_) if self.is_lost => Done::Yes,
            Err(error) => {
                diag::report(TOOL, error);
                self.is_lost = true;
                Done::Lost
            }
        }
    }

    /// Waits for a signal, for the device to go, or for a time. Takes no CPU time.
    fn wait(&self, until: Option<Instant>) -> Result<(), Error> {
        let mut fds = vec![PollFd::new(self.signals.fd(), PollFlags::POLLIN)];
        if !self.is_lost {
            let watched = self.ptt.watched();
            fds.extend(watched.map(|fd| PollFd::new(fd, PollFlags::empty())));
        }
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        match ppoll(&mut fds, left.map(TimeSpec::from), None) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(e) => Err(Error::system("waiting", e)),
        }
    }

    /// What has happened meanwhile. A stop of the command came before a SIGCONT to us that is read with
    /// it, and its end after the signal that it died of.
    fn look(&mut self, state: &State, events: &mut VecDeque<Event>) -> Result<(), Error> {
        let mut end = None;
        if let Some(child) = &mut self.child {
            while let Some(event) = child.news()? {
                match event {
                    Event::Ended(_) => end = Some(event),
                    event => events.push_back(event),
                }
            }
        }
        while let Some((signal, by_kernel)) = self.signals.next()? {
            // A terminal that goes away tells the leader of the session only.
            let both = by_kernel
                && signal != Signal::SIGHUP
                && self.child.as_ref().is_some_and(Child::is_in_our_group);
            match signal {
                Signal::SIGCHLD => {}
                Signal::SIGCONT => events.push_back(Event::Continue),
                signal if both => events.push_back(Event::SignalToBoth(signal)),
                signal => events.push_back(Event::Signal(signal)),
            }
        }
        events.extend(end);
        if !self.is_lost
            && let Err(error) = self.ptt.check()
        {
            let _ = self.ptt.release(); // first: nobody may read what is said
            diag::report(TOOL, error);
            self.is_lost = true;
            events.push_back(Event::Lost);
        }
        if state.wakes_at().is_some_and(|at| at <= Instant::now()) {
            events.push_back(Event::Time);
        }
        Ok(())
    }
}

/// What came of an act.
enum Done {
    Yes,
    End(Outcome),
    Lost,
    /// We were, or should have been, and go on.
    Stopped,
}

/// The exit status; or, for a signal that the command has died of too, the end by it, so that a shell
/// that waits for us stops as well.
fn exit_code(outcome: Outcome, args: &Args) -> u8 {
    match outcome {
        Outcome::Status(Status::Exit(code)) => code,
        Outcome::Status(Status::Killed(signal)) => 128u8.saturating_add(signal as u8), // 1 to 64
        Outcome::Signal(signal) => {
            let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
            cli::signal::die_by(signal)
        }
        Outcome::TimedOut => {
            let time = args.times.timeout.unwrap_or_default();
            let (s, ms) = (time.as_secs(), time.subsec_millis());
            let device = diag::name(&args.setup.device);
            diag::report(TOOL, format_args!("{device}: released after {s}.{ms:03} s"));
            124
        }
        Outcome::Failed => FAILED,
    }
}
