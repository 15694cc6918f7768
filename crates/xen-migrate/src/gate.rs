//! The handshake of `xl migrate` and `xl migrate-receive`, and who may go on when. Pure: it is given what
//! comes from both and from the program that steers, and says what goes on to whom.
//!
//! xl's messages (tools/xl/xl_migrate.c): the receiver's banner; the sender's stream; `ready` when the
//! target has the whole domain, paused; the sender renames its copy and gives the permission, `go`; the
//! receiver starts the domain and reports with one byte, 0 for success. After another byte it removes
//! its copy and gives the permission back, and the sender lets the source go on.
//!
//! `ready` and `go` are held until they are asked for. Until `go` has been passed on, the target cannot
//! start; the receiver's failure can then be played to the sender, and the source goes on by itself.

/// From the receiver, before the stream.
pub(crate) const BANNER: &[u8] = b"xl migration receiver ready, send binary domain data.\n";
pub(crate) const READY: &[u8] = b"domain received, ready to unpause\0";
pub(crate) const GO: &[u8] = b"domain is yours, you are cleared to unpause\0";
pub(crate) const REPORT: &[u8] = b"my copy unpause results are as follows\0";
/// So much may come before the banner, of a chatty login.
const NOISE: usize = 64 << 10;

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    FromTarget(&'a [u8]),
    TargetEnded,
    /// What the sender says after it has read `ready`. The stream before is not the gate's.
    FromSource(&'a [u8]),
    SourceEnded,
    Command(Command),
    /// The program that steers has gone.
    Alone,
}

/// What the program that steers wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Pass `ready` on.
    Ready,
    /// Pass `go` on.
    Go,
    /// The target does not have it and will not: let the source go on. Once `go` has been passed on,
    /// this may be said only when the target's copy has been removed.
    Refuse,
    /// The target runs it: let the source's copy be removed.
    Started,
}

/// What is told to the program that steers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// The target has the whole domain, paused.
    Ready,
    /// The sender has given its permission.
    Go,
    /// The domain runs at the target.
    Started,
    /// It did not start there, and the source goes on.
    Refused,
    /// The connection broke after `go` had been passed on. The sender waits for a command.
    Unknown,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    ToSource(Vec<u8>),
    ToTarget(Vec<u8>),
    Tell(Notice),
    /// Close both sides. The sender lets the source go on; the receiver removes its copy.
    Drop,
    /// It is over; wait for the sender to end.
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Banner,
    Stream,
    Ready,
    ReadyPassed,
    GoHeld,
    GoPassed,
    /// After a failure that the receiver reported: it owes the permission.
    Failing,
    Unknown,
    Over,
}

/// The gate of one migration.
#[derive(Debug)]
pub(crate) struct Gate {
    state: State,
    from_target: Vec<u8>,
    from_source: Vec<u8>,
}

impl Gate {
    pub(crate) fn new() -> Gate {
        Gate {
            state: State::Banner,
            from_target: Vec::new(),
            from_source: Vec::new(),
        }
    }

    /// What follows from an event.
    pub(crate) fn on(&mut self, event: Event<'_>) -> Vec<Act> {
        use State::*;
        match (event, self.state) {
            (_, Over) => vec![],
            (Event::FromTarget(bytes), _) => {
                self.from_target.extend(bytes);
                self.target_said()
            }
            (Event::FromSource(bytes), ReadyPassed) => {
                self.from_source.extend(bytes);
                match self.from_source.as_slice() {
                    GO => {
                        self.state = GoHeld;
                        vec![Act::Tell(Notice::Go)]
                    }
                    part if GO.starts_with(part) => vec![],
                    _ => self.give_up(),
                }
            }
            (Event::FromSource(_), _) => self.give_up(),
            (Event::Command(Command::Ready), Ready) => {
                self.state = ReadyPassed;
                vec![Act::ToSource(READY.to_vec())]
            }
            (Event::Command(Command::Go), GoHeld) => {
                self.state = GoPassed;
                vec![Act::ToTarget(GO.to_vec())]
            }
            // Who says these two has asked the target another way, and removed its copy before a refusal.
            (Event::Command(Command::Started), GoPassed | Failing | Unknown) => self.started(),
            (Event::Command(Command::Refuse), GoPassed | Failing | Unknown) => self.play_failure(),
            (
                Event::Command(Command::Refuse)
                | Event::Alone
                | Event::TargetEnded
                | Event::SourceEnded,
                _,
            ) => self.ended(event),
            (Event::Command(_), _) => vec![],
        }
    }

    fn ended(&mut self, event: Event<'_>) -> Vec<Act> {
        use State::*;
        match (self.state, event) {
            (Banner | Stream | Ready, _) => self.give_up(),
            // A sender that has ended lets nothing go on any more.
            (ReadyPassed | GoHeld, Event::SourceEnded) => self.give_up(),
            (ReadyPassed | GoHeld, _) => self.play_failure(),
            (GoPassed | Failing, Event::TargetEnded) => {
                self.state = Unknown;
                vec![Act::Tell(Notice::Unknown)]
            }
            // A sender that has gone waits for nobody's word.
            (Unknown, Event::SourceEnded) => {
                self.state = Over;
                vec![Act::Done]
            }
            // The receiver's report decides, whoever hears it.
            (GoPassed | Failing | Unknown | Over, _) => vec![],
        }
    }

    fn target_said(&mut self) -> Vec<Act> {
        use State::*;
        let said = &mut self.from_target;
        match self.state {
            Banner => {
                let Some(at) = said.windows(BANNER.len()).position(|part| part == BANNER) else {
                    return if said.len() > NOISE {
                        self.give_up()
                    } else {
                        vec![]
                    };
                };
                said.drain(..at + BANNER.len());
                self.state = Stream;
                let mut acts = vec![Act::ToSource(BANNER.to_vec())];
                acts.extend(self.target_said());
                acts
            }
            Stream if *said == READY => {
                said.clear();
                self.state = Ready;
                vec![Act::Tell(Notice::Ready)]
            }
            Stream if READY.starts_with(said) => vec![],
            Stream | Ready => self.give_up(),
            // It has nothing to say before `go`.
            ReadyPassed | GoHeld => self.play_failure(),
            GoPassed => match said.strip_prefix(REPORT) {
                Some([0, ..]) => self.started(),
                Some([_, rest @ ..]) => {
                    let rest = rest.to_vec();
                    self.from_target = rest;
                    self.state = Failing;
                    self.target_said()
                }
                Some([]) => vec![],
                None if REPORT.starts_with(said) => vec![],
                None => self.unknown(),
            },
            Failing if said.starts_with(GO) => self.play_failure(),
            Failing if GO.starts_with(said) => vec![],
            Failing => self.unknown(),
            Unknown | Over => vec![],
        }
    }

    fn unknown(&mut self) -> Vec<Act> {
        self.state = State::Unknown;
        vec![Act::Tell(Notice::Unknown)]
    }

    fn give_up(&mut self) -> Vec<Act> {
        self.state = State::Over;
        vec![Act::Drop, Act::Tell(Notice::Refused)]
    }

    fn started(&mut self) -> Vec<Act> {
        self.state = State::Over;
        vec![
            Act::ToSource([REPORT, &[0]].concat()),
            Act::Tell(Notice::Started),
            Act::Done,
        ]
    }

    /// What a receiver says that could not start the domain and has removed it.
    fn play_failure(&mut self) -> Vec<Act> {
        self.state = State::Over;
        vec![
            Act::ToSource([REPORT, &[1], GO].concat()),
            Act::Tell(Notice::Refused),
            Act::Done,
        ]
    }

    /// Whether the sender's stream is over, and what it says belongs to the gate.
    pub(crate) fn stream_is_over(&self) -> bool {
        !matches!(self.state, State::Banner | State::Stream | State::Ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// xl at the source, as far as the messages go.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Source {
        Waiting,
        Permitted,
        Runs,
        Removed,
        /// Its own words: "Domain state is now undefined".
        Badly,
    }

    fn source_reads(source: Source, acts: &[Act], ended: bool) -> Source {
        let read: Vec<u8> = acts
            .iter()
            .filter_map(|act| match act {
                Act::ToSource(bytes) => Some(bytes.clone()),
                _ => None,
            })
            .flatten()
            .collect();
        let read = read.strip_prefix(BANNER).unwrap_or(&read);
        match source {
            Source::Waiting if read == READY => Source::Permitted,
            Source::Waiting if ended || acts.contains(&Act::Drop) => Source::Runs,
            Source::Permitted if read == [REPORT, &[0]].concat() => Source::Removed,
            Source::Permitted if read == [REPORT, &[1], GO].concat() => Source::Runs,
            Source::Permitted if acts.contains(&Act::Drop) => Source::Badly,
            other => other,
        }
    }

    #[test]
    fn the_usual_way() {
        let mut gate = Gate::new();
        let noise = [b"Welcome\n", &BANNER[..20]].concat();
        assert_eq!(gate.on(Event::FromTarget(&noise)), []);
        assert_eq!(
            gate.on(Event::FromTarget(&BANNER[20..])),
            [Act::ToSource(BANNER.to_vec())]
        );
        assert_eq!(gate.on(Event::Command(Command::Ready)), []);
        assert_eq!(gate.on(Event::FromTarget(&READY[..5])), []);
        assert_eq!(
            gate.on(Event::FromTarget(&READY[5..])),
            [Act::Tell(Notice::Ready)]
        );
        assert_eq!(gate.on(Event::Command(Command::Go)), []);
        assert_eq!(
            gate.on(Event::Command(Command::Ready)),
            [Act::ToSource(READY.to_vec())]
        );
        assert_eq!(gate.on(Event::FromSource(GO)), [Act::Tell(Notice::Go)]);
        assert_eq!(
            gate.on(Event::Command(Command::Go)),
            [Act::ToTarget(GO.to_vec())]
        );
        assert_eq!(gate.on(Event::FromTarget(REPORT)), []);
        let told = gate.on(Event::FromTarget(&[0]));
        assert_eq!(told[1..], [Act::Tell(Notice::Started), Act::Done]);
    }

    /// What xl 4.17 said, as the lab recorded it.
    #[test]
    fn recorded_receivers() {
        let until_ready = |gate: &mut Gate| {
            gate.on(Event::Command(Command::Ready));
            gate.on(Event::FromSource(GO));
        };
        let receiver = include_bytes!("../../../tests/lab/xen/recorded/handshake/receiver.bin");
        let go = include_bytes!("../../../tests/lab/xen/recorded/handshake/go.bin");
        assert_eq!(go, GO);
        let (first, report) = receiver.split_at(BANNER.len() + READY.len());
        let mut gate = Gate::new();
        assert_eq!(
            gate.on(Event::FromTarget(first))[1],
            Act::Tell(Notice::Ready)
        );
        until_ready(&mut gate);
        assert_eq!(
            gate.on(Event::Command(Command::Go)),
            [Act::ToTarget(go.to_vec())]
        );
        let told = gate.on(Event::FromTarget(report));
        assert_eq!(
            told,
            [
                Act::ToSource(report.to_vec()),
                Act::Tell(Notice::Started),
                Act::Done
            ]
        );
        // One that was not allowed to go on, and removed its copy.
        let receiver =
            include_bytes!("../../../tests/lab/xen/recorded/handshake/receiver-no-go.bin");
        let (first, report) = receiver.split_at(BANNER.len() + READY.len());
        let mut gate = Gate::new();
        gate.on(Event::FromTarget(first));
        until_ready(&mut gate);
        gate.on(Event::Command(Command::Go));
        let told = gate.on(Event::FromTarget(report));
        assert_eq!(told[1..], [Act::Tell(Notice::Refused), Act::Done]);
    }

    fn event() -> impl Strategy<Value = Event<'static>> {
        let failed = b"my copy unpause results are as follows\0\x01";
        let back = b"domain is yours, you are cleared to unpause\0";
        let started = b"my copy unpause results are as follows\0\0";
        proptest::sample::select(vec![
            Event::FromTarget(BANNER),
            Event::FromTarget(READY),
            Event::FromTarget(failed),
            Event::FromTarget(back),
            Event::FromTarget(started),
            Event::FromTarget(b"x"),
            Event::TargetEnded,
            Event::FromSource(GO),
            Event::SourceEnded,
            Event::Command(Command::Ready),
            Event::Command(Command::Go),
            Event::Command(Command::Refuse),
            Event::Command(Command::Started),
            Event::Alone,
        ])
    }

    proptest! {
        /// Whatever comes in whatever order: the source goes on only if `go` was not passed on, or the
        /// target gave it back, or the program that steers said so, having asked the target.
        #[test]
        fn never_both(lead in 0usize..6, events in proptest::collection::vec(event(), 0..12)) {
            let usual = [
                Event::FromTarget(BANNER),
                Event::FromTarget(READY),
                Event::Command(Command::Ready),
                Event::FromSource(GO),
                Event::Command(Command::Go),
            ];
            let mut gate = Gate::new();
            let (mut source, mut went, mut given_back, mut steered) = (Source::Waiting, false, false, false);
            for event in usual[..lead.min(5)].iter().copied().chain(events) {
                let allowed = match event {
                    // It speaks only when it has read `ready`, and once.
                    Event::FromSource(_) => source == Source::Permitted && gate.state == State::ReadyPassed,
                    Event::SourceEnded => source != Source::Permitted,
                    _ => true,
                };
                if !allowed {
                    continue;
                }
                let was = gate.state;
                let acts = gate.on(event);
                went |= acts.iter().any(|act| matches!(act, Act::ToTarget(_)));
                given_back |= was == State::Failing && acts.contains(&Act::Tell(Notice::Refused));
                given_back |= was == State::GoPassed && acts.contains(&Act::Tell(Notice::Refused));
                steered |= event == Event::Command(Command::Refuse);
                let before = source;
                source = source_reads(source, &acts, event == Event::SourceEnded);
                if source == Source::Runs && before != source {
                    prop_assert!(!went || given_back || steered, "{:?} {:?}", was, event);
                }
                if source == Source::Removed && before != source {
                    prop_assert!(went);
                }
                prop_assert!(source != Source::Badly);
            }
        }
    }
}
