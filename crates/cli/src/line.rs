//! The live line on the terminal, of which there is at most one, and the loops that show progress.

use console::Term;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use std::fs::File;
use std::io::{ErrorKind, IsTerminal, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::diag;
use crate::progress::{Counter, Mode};

/// Between two drawings, and between two lines for a front end.
const TICK: Duration = Duration::from_millis(100);
/// Between two whole lines where there is no terminal to draw on.
const PLAIN_TICK: Duration = Duration::from_secs(1);
/// Work that takes less is not worth a line.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long the last line waits for a front end that has stopped reading, in milliseconds.
const LAST_LINE_WAIT: u16 = 1000;

/// A line that is drawn. Behind a trait, so that a tool without progress is linked without what draws.
trait Live: Send {
    fn show(&mut self, text: String);
    fn redraw(&self);
    fn clear(&self);
}

/// The line on a terminal, as long as the terminal is wide.
struct TerminalLine {
    term: Term,
    text: String,
}

// A terminal that cannot be written to is no reason to end the work.
impl Live for TerminalLine {
    fn show(&mut self, text: String) {
        self.text = text;
        self.redraw();
    }

    fn redraw(&self) {
        let (_, columns) = self.term.size();
        let text = console::truncate_str(&self.text, columns.into(), "");
        let _ = self.term.write_str(&format!("\r\x1b[2K{text}"));
    }

    fn clear(&self) {
        let _ = self.term.clear_line();
    }
}

type Slot = Option<Box<dyn Live>>;

static LIVE: Mutex<Slot> = Mutex::new(None);

fn live() -> MutexGuard<'static, Slot> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `write` with the live line taken away, and nobody else within [`around`].
pub(crate) fn around(mut write: impl FnMut()) {
    match &*live() {
        Some(line) => {
            line.clear();
            write();
            line.redraw();
        }
        None => write(),
    }
}

/// Takes the live line away for good.
pub(crate) fn erase() {
    if let Some(line) = live().take() {
        line.clear();
    }
}

/// How one piece of work is shown.
pub(crate) enum Sink {
    Terminal { after: Duration },
    Plain,
    Lines(OwnedFd),
}

/// `None` where nothing is to be shown at all.
pub(crate) fn sink(mode: Mode) -> Option<Sink> {
    let drawable = || std::io::stderr().is_terminal() && !console::is_dumb();
    match mode {
        Mode::Off => None,
        Mode::Fd(fd) => Some(Sink::Lines(fd)),
        Mode::Auto => drawable().then_some(Sink::Terminal { after: PATIENCE }),
        Mode::Always if drawable() => Some(Sink::Terminal {
            after: Duration::ZERO,
        }),
        Mode::Always => Some(Sink::Plain),
    }
}

/// Shows the counter until it is stopped. Runs in a thread of its own.
pub(crate) fn show(counter: &Counter, sink: Sink, first: &str) {
    // A reader that goes away must not end the tool, be SIGPIPE at its default or not. The signal
    // goes to the thread that writes, and stays pending with it.
    let mut pipe = SigSet::empty();
    pipe.add(Signal::SIGPIPE);
    let _ = pipe.thread_block();
    match sink {
        Sink::Terminal { after } => draw(counter, after),
        Sink::Plain => print(counter),
        Sink::Lines(fd) => tell(counter, File::from(fd), first),
    }
}

fn draw(counter: &Counter, after: Duration) {
    if counter.stopped_within(after) {
        return;
    }
    let mut text = counter.shown();
    {
        let mut live = live();
        if live.is_some() {
            return; // two lines would overwrite each other
        }
        *live = Some(Box::new(TerminalLine {
            term: Term::stderr(),
            text: String::new(),
        }));
    }
    loop {
        if let Some(line) = live().as_mut() {
            line.show(text);
        }
        if counter.stopped_within(TICK) {
            return erase();
        }
        text = counter.shown();
    }
}

fn print(counter: &Counter) {
    loop {
        let stopped = counter.stopped_within(PLAIN_TICK);
        diag::print(&format!("{}\n", counter.shown()));
        if stopped {
            return;
        }
    }
}

fn tell(counter: &Counter, mut file: File, first: &str) {
    let mut told = String::new();
    let mut next = first.to_string();
    let mut stopped = false;
    loop {
        if next != told {
            match write_line(&mut file, &next, if stopped { LAST_LINE_WAIT } else { 0 }) {
                Ok(true) => told = next,
                Ok(false) => {}
                Err(_) => return,
            }
        }
        if stopped {
            return;
        }
        stopped = counter.stopped_within(TICK);
        next = counter.numbers();
    }
}

/// Whether there was room for the line: the work does not wait for whoever watches it.
fn write_line(file: &mut File, line: &str, wait: u16) -> std::io::Result<bool> {
    let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLOUT)];
    if poll(&mut fds, PollTimeout::from(wait))? == 0 {
        return Ok(false);
    }
    match file.write_all(line.as_bytes()) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        result => result.map(|()| true),
    }
}
