//! The run: sound is written ahead, the key follows what is heard, and every end releases it.
//!
//! The schedule is in frames, and the card's own clock counts them: nothing drifts against the
//! sound. The loop asks the card where it is, does what is due by then, writes ahead, and sleeps
//! until the next thing is due. The key follows the card, not the writing: as long as the card does
//! not move, the guardian of the key ([`ptt::Setup::dead_man`]) is not told that all is well.

use std::time::Duration;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::Signal;
use nix::sys::time::TimeSpec;

use crate::card::{Card, Position, Trouble};
use crate::clock;
use crate::error::Error;
use crate::key::Key;
use crate::log::Log;
use crate::message::Message;
use crate::ready;
use crate::schedule::{Moment, Moments, Schedule, seconds};
use crate::signals::{Asked, Signals, pause};
use crate::status::Status;
use crate::terminal::Terminal;

/// Silence before the first over of a stream: dmix may lose the first 10 ms.
const AHEAD: Duration = Duration::from_millis(50);
/// The same for a sound server: its first word on where it is may be wrong by as much as it plays ahead
/// while there is nothing to play, which is two seconds of PulseAudio's null sink.
const AHEAD_OF_SERVER: Duration = Duration::from_millis(2300);
/// Silence behind the last over, and how much of it is heard before the card is stopped: a card may
/// lose the last 5 ms at its end. (Draining would need no second number, but takes half a minute of
/// some sound servers.)
const BEHIND: Duration = Duration::from_millis(300);
const HEARD_OUT: Duration = Duration::from_millis(200);
/// The longest sleep while the transmitter is keyed. Twice this and the buffer are well below the
/// two seconds that it may at most be keyed without sound.
const LOOK: Duration = Duration::from_millis(250);
/// The shortest sleeps, when there will be something to write, or to do. A card that tells where it is in
/// steps would be asked for nothing in between.
const REST: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(1));
/// A card that has not moved for so long may be stuck: the guardian hears nothing more.
const STILL: Duration = Duration::from_millis(500);
/// Then it is stuck, while the transmitter is keyed, and before.
const STUCK: (Duration, Duration) = (Duration::from_millis(1500), Duration::from_secs(5));
/// So many interruptions in a row, and no pass that came through: there is no use.
const PATIENCE: u32 = 10;

/// How a run ended, when nothing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// All passes that were asked for.
    Counted,
    /// A key was pressed.
    Key,
    /// To be died by.
    Signal(Signal),
}

/// Why the loop leaves its usual path.
enum Turn {
    End(End),
    /// The card ran out of sound: the pass that it cut off begins again.
    Interrupted(&'static str),
    Failed(Error),
}

impl From<Error> for Turn {
    fn from(error: Error) -> Turn {
        Turn::Failed(error)
    }
}

/// All that a run needs. The key is released before the card is closed.
pub(crate) struct Player<'a> {
    pub(crate) key: Key,
    pub(crate) card: Card,
    pub(crate) message: &'a Message,
    pub(crate) delay: u64,
    pub(crate) count: Option<u64>,
    pub(crate) signals: &'a Signals,
    pub(crate) status: Status,
    pub(crate) log: &'a mut Log,
}

/// Where the stream is.
struct Stream {
    schedule: Schedule,
    moments: Moments,
    /// Frames written, and heard, since the stream began.
    written: u64,
    heard: u64,
    /// When the card moved last, by our clock.
    moved: Duration,
    /// It is no card with a clock: it has heard at once what is written to it.
    at_once: bool,
    /// By our clock, when the sound that is written has all been heard.
    lasts: Option<Duration>,
    /// When pass 1 began.
    epoch: Option<Duration>,
    xruns: u32,
    in_a_row: u32,
    passes: u64,
    buffer: Vec<u8>,
}

impl Player<'_> {
    /// Plays until something ends it. Afterwards the key is released and the card silent.
    pub(crate) fn run(&mut self) -> Result<End, Error> {
        let mut terminal = Terminal::open();
        let mut stream = self.stream();
        let result = loop {
            let turn = match self.play(&mut stream, &mut terminal) {
                Err(turn) => turn,
                Ok(never) => match never {},
            };
            match turn {
                Turn::End(end) => break Ok(end),
                Turn::Failed(error) => break Err(error),
                Turn::Interrupted(why) => match self.interrupted(&mut stream, why) {
                    Ok(None) => {}
                    Ok(Some(end)) => break Ok(end),
                    Err(error) => break Err(error),
                },
            }
        };
        // First the transmitter, then the sound, then everything else.
        let released = self.key.release();
        self.card.stop();
        self.status.end();
        let (passes, xruns) = (stream.passes, stream.xruns);
        let how = match &result {
            Ok(End::Counted) => "all passes done".to_owned(),
            Ok(End::Key) => "stopped by a key".to_owned(),
            Ok(End::Signal(signal)) => format!("stopped by {signal}"),
            Err(error) => format!("stopped: {error}"),
        };
        self.log
            .say(format_args!("end {how}; passes={passes} xruns={xruns}"));
        result.and_then(|end| released.map(|()| end))
    }

    fn stream(&self) -> Stream {
        let message = self.message;
        let rate = self.card.sound.rate;
        let margins = (message.lead, message.tail);
        let ahead = self.frames(self.ahead());
        let schedule = Schedule::new(rate, message.length, self.delay, margins, self.count, ahead);
        Stream {
            schedule,
            moments: Moments::from_pass(0),
            written: 0,
            heard: 0,
            moved: clock::now(),
            at_once: false,
            lasts: None,
            epoch: None,
            xruns: 0,
            in_a_row: 0,
            passes: 0,
            buffer: Vec::new(),
        }
    }

    /// Silence at the begin of a stream.
    fn ahead(&self) -> Duration {
        match self.card.is_server {
            true => AHEAD_OF_SERVER,
            false => AHEAD,
        }
    }

    fn frames(&self, time: Duration) -> u64 {
        crate::schedule::frames(time.as_nanos() as u64, self.card.sound.rate)
    }

    fn time(&self, frames: u64) -> Duration {
        Duration::from_secs_f64(seconds(frames, self.card.sound.rate))
    }

    /// Plays a stream from its beginning. It only leaves by an error.
    fn play(
        &mut self,
        stream: &mut Stream,
        terminal: &mut Option<Terminal>,
    ) -> Result<std::convert::Infallible, Turn> {
        let full = Position {
            room: self.card.buffer,
            ahead: 0,
        };
        self.write_ahead(stream, full)?;
        self.card.start().map_err(|e| self.trouble(e))?;
        stream.moved = clock::now();
        loop {
            self.heed(stream, terminal)?;
            let mut position = self.card.position().map_err(|e| self.trouble(e))?;
            self.follow(stream, position)?;
            self.happen(stream)?;
            if position.room >= self.card.buffer / 4 {
                self.write_ahead(stream, position)?;
                position = self.card.position().map_err(|e| self.trouble(e))?;
            }
            self.guard(stream)?;
            let sleep = self.until_next(stream, position)?;
            stream.lasts = (position.ahead > 0).then(|| clock::now() + self.time(position.ahead));
            if !sleep.is_zero() {
                self.sleep(sleep, terminal.as_ref())?;
            }
        }
    }

    /// What keys and signals ask for.
    fn heed(&mut self, stream: &mut Stream, terminal: &mut Option<Terminal>) -> Result<(), Turn> {
        while let Some(asked) = self.signals.next() {
            match asked {
                Asked::Stop(signal) => return Err(Turn::End(End::Signal(signal))),
                Asked::Status => {
                    let (passes, xruns) = (stream.passes, stream.xruns);
                    if ready::to_write(std::io::stderr()) {
                        let status = format_args!("{passes} passes, {xruns} xruns");
                        cli::diag::report(crate::TOOL, status);
                    }
                }
                Asked::Pause => {
                    self.key.release()?;
                    self.card.stop();
                    self.status.show(false)?;
                    *terminal = None;
                    self.log.say("paused");
                    pause();
                    return Err(Turn::Interrupted("paused"));
                }
            }
        }
        // A shell may have put us into the background, or back (`bg`, `fg`).
        if !terminal.as_ref().is_some_and(Terminal::is_ours) {
            *terminal = None;
            *terminal = Terminal::open();
        }
        if let Some(keys) = terminal
            && ready::to_read(keys.fd())
        {
            match keys.key() {
                Ok(_) => return Err(Turn::End(End::Key)),
                Err(_) => *terminal = None, // hung up: SIGHUP tells the rest
            }
        }
        Ok(())
    }

    /// Takes note of where the card is, and whether we were there in time.
    fn follow(&mut self, stream: &mut Stream, position: Position) -> Result<(), Turn> {
        let now = clock::now();
        let heard = stream.written.saturating_sub(position.ahead);
        stream.at_once = position.ahead == 0;
        if heard > stream.heard || stream.at_once {
            stream.moved = now;
        }
        stream.heard = stream.heard.max(heard);
        // Some sound servers do not tell that they ran dry, and leave out as much as came too late. In the
        // silence between overs a little of that harms nobody.
        let slack = match stream.moments.is_keyed() {
            true => Duration::ZERO,
            false => LOOK,
        };
        if stream.lasts.is_some_and(|lasts| now > lasts + slack) {
            return Err(Turn::Interrupted("stopped for too long"));
        }
        let patience = if self.key.is_raised() {
            STUCK.0
        } else {
            STUCK.1
        };
        if now.saturating_sub(stream.moved) > patience {
            return Err(Turn::Interrupted("the card is stuck"));
        }
        Ok(())
    }

    /// Does what is due by the frame that is heard now.
    fn happen(&mut self, stream: &mut Stream) -> Result<(), Turn> {
        while let Some((frame, moment, pass)) = stream.moments.peek(&stream.schedule) {
            if frame > stream.heard {
                return Ok(());
            }
            let number = pass + 1;
            match moment {
                Moment::On => {
                    self.key.raise()?;
                    self.status.show(true)?;
                    self.log.say(format_args!("on pass={number} frame={frame}"));
                }
                Moment::Begin => {
                    // When the frame was heard, not when this was noticed.
                    let late = match stream.at_once {
                        true => Duration::ZERO,
                        false => self.time(stream.heard - frame),
                    };
                    let at = clock::now().saturating_sub(late);
                    let since = at.saturating_sub(*stream.epoch.get_or_insert(at));
                    let since = since.as_secs_f64();
                    self.log.say(format_args!(
                        "begin pass={number} frame={frame} at={since:.6}"
                    ));
                }
                Moment::End => self
                    .log
                    .say(format_args!("end pass={number} frame={frame}")),
                Moment::Off => {
                    self.key.release()?;
                    self.status.show(false)?;
                    self.log
                        .say(format_args!("off pass={number} frame={frame}"));
                    stream.passes += 1;
                    stream.in_a_row = 0;
                }
            }
            stream.moments.advance();
        }
        match self.last(stream) {
            Some(off) if stream.heard < off + self.frames(HEARD_OUT) => Ok(()),
            _ => Err(Turn::End(End::Counted)),
        }
    }

    /// Where the last over ends, if there is a last one.
    fn last(&self, stream: &Stream) -> Option<u64> {
        Some(stream.schedule.over(self.count? - 1)?.off)
    }

    /// Writes as much as the card takes: the overs, and silence.
    fn write_ahead(&mut self, stream: &mut Stream, position: Position) -> Result<(), Turn> {
        let end = self
            .last(stream)
            .map_or(u64::MAX, |off| off + self.frames(BEHIND));
        let count = position.room.min(end.saturating_sub(stream.written)) as usize;
        let (sound, pass) = (self.card.sound, stream.moments.pass());
        stream.buffer.clear();
        let Stream {
            schedule, buffer, ..
        } = stream;
        self.message
            .fill(&sound, schedule, pass, stream.written, count, buffer);
        let mut rest = &stream.buffer[..];
        while !rest.is_empty() {
            let taken = self.card.write(rest).map_err(|e| self.trouble(e))?;
            if taken == 0 {
                break;
            }
            stream.written += taken;
            rest = &rest[taken as usize * sound.frame_bytes()..];
        }
        Ok(())
    }

    /// Looks whether the key can be relied on, and tells its guardian that there is sound, as long as
    /// there is.
    fn guard(&mut self, stream: &Stream) -> Result<(), Turn> {
        self.key.check()?; // between overs too, or sleep() would not sleep
        if !self.key.is_raised() {
            return Ok(());
        }
        let moving = clock::now().saturating_sub(stream.moved) <= STILL;
        match moving && !self.key.alive()? {
            true => Err(Turn::Interrupted("the key was released by its guardian")),
            false => Ok(()),
        }
    }

    /// How long nothing is to be done.
    fn until_next(&self, stream: &Stream, position: Position) -> Result<Duration, Turn> {
        // Half a buffer of sound at least, and a round number of writes.
        let threshold = self.card.buffer / 4;
        let mut wait = self.time(threshold.saturating_sub(position.room));
        wait = wait.max(REST.0);
        if position.room >= threshold && position.ahead == 0 {
            wait = Duration::ZERO; // a file
        }
        let moment = stream
            .moments
            .peek(&stream.schedule)
            .map(|(frame, ..)| frame);
        let end = || Some(self.last(stream)? + self.frames(HEARD_OUT));
        if let Some(frame) = moment.or_else(end) {
            wait = wait.min(self.time(frame.saturating_sub(stream.heard)).max(REST.1));
        }
        Ok(wait.min(LOOK))
    }

    /// Sleeps, but not through a signal, a key, or the end of the key's device.
    fn sleep(&self, time: Duration, terminal: Option<&Terminal>) -> Result<(), Turn> {
        let mut fds = vec![PollFd::new(self.signals.fd(), PollFlags::POLLIN)];
        fds.extend(terminal.map(|t| PollFd::new(t.fd(), PollFlags::POLLIN)));
        fds.extend(
            self.key
                .watched()
                .map(|fd| PollFd::new(fd, PollFlags::empty())),
        );
        match ppoll(&mut fds, Some(TimeSpec::from_duration(time)), None) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(error) => Err(Error::failed("waiting", error.desc()).into()),
        }
    }

    fn trouble(&self, trouble: Trouble) -> Turn {
        match trouble {
            Trouble::Xrun => Turn::Interrupted("xrun"),
            Trouble::Lost(error) => {
                let text = cli::diag::system_text(&error);
                Turn::Failed(Error::failed(self.card.name(), text))
            }
        }
    }

    /// Releases the key, and sets the card and the schedule up for a new stream, which begins with
    /// the pass that was cut off. Says so if that was the end.
    fn interrupted(&mut self, stream: &mut Stream, why: &str) -> Result<Option<End>, Error> {
        self.key.release()?;
        // What was written has been heard, unless somebody cut it off.
        if why == "xrun" {
            stream.heard = stream.written;
        }
        self.log.say(format_args!("interrupted {why}"));
        if why != "paused" {
            stream.xruns += 1;
            stream.in_a_row += 1;
        }
        if stream.in_a_row >= PATIENCE {
            let why = format!("{PATIENCE} interruptions in a row ({why})");
            return Err(Error::failed(self.card.name(), why));
        }
        // Of the pass only its end may have been missed.
        while let Some((frame, moment, pass)) = stream.moments.peek(&stream.schedule) {
            if frame > stream.heard || moment == Moment::On {
                break;
            }
            if moment == Moment::Off {
                stream.passes += 1;
                let number = pass + 1;
                self.log
                    .say(format_args!("off pass={number} frame={frame}"));
            }
            stream.moments.advance();
        }
        self.status.show(false)?;
        let pass = stream.moments.pass();
        let rest = match stream.schedule.over(pass) {
            None => return Ok(Some(End::Counted)),
            Some(_) if stream.moments.is_keyed() => 0,
            Some(over) => over.on.saturating_sub(stream.heard),
        };
        let ahead = rest.max(self.frames(self.ahead()));
        match self.card.recover() {
            Ok(()) => {}
            Err(Trouble::Xrun) => {
                return Err(Error::failed(self.card.name(), "does not recover"));
            }
            Err(Trouble::Lost(error)) => {
                let text = cli::diag::system_text(&error);
                return Err(Error::failed(self.card.name(), text));
            }
        }
        stream.schedule.restart(pass, ahead);
        stream.moments = Moments::from_pass(pass);
        (stream.written, stream.heard) = (0, 0);
        stream.lasts = None;
        if pass == 0 {
            stream.epoch = None;
        }
        Ok(None)
    }
}
