//! What is printed, on the two streams that Info-ZIP prints it on.
//!
//! Messages go on in the middle of a line, and some begin a new line only if they are not at the
//! start of one. Both streams count as one for that. With -t messages for stderr go to stdout.

use std::io::{self, IsTerminal, Write};

use cli::output::Output;

/// The two streams.
#[derive(Debug)]
pub(crate) struct Say {
    out: Output,
    /// At the start of a line.
    at_start: bool,
    /// Messages for stderr go to stdout.
    testing: bool,
    /// They go to stderr too: it is a terminal, and stdout is not.
    tee: bool,
    /// stdout is a terminal: a person reads along.
    live: bool,
    more: Option<More>,
    /// The first write to stdout that failed.
    failed: Option<io::Error>,
    /// `q` was typed at the --More-- prompt.
    pub(crate) quit: bool,
}

/// Pages on a terminal (-M).
#[derive(Debug)]
struct More {
    height: usize,
    width: usize,
    lines: usize,
    column: usize,
    total: usize,
}

impl Say {
    pub(crate) fn new(testing: bool, more: bool) -> Say {
        let live = io::stdout().is_terminal();
        let size = || {
            let size = rustix::termios::tcgetwinsize(io::stdout()).ok();
            let size = size.filter(|size| size.ws_row > 0 && size.ws_col > 0);
            size.map_or((24, 80), |size| (size.ws_row.into(), size.ws_col.into()))
        };
        Say {
            out: Output::stdout(),
            at_start: true,
            testing,
            tee: testing && !live && io::stderr().is_terminal(),
            live,
            more: (more && live).then(|| {
                let (height, width): (usize, usize) = size();
                More {
                    height: height.saturating_sub(2).max(1),
                    width,
                    lines: 0,
                    column: 0,
                    total: 0,
                }
            }),
            failed: None,
            quit: false,
        }
    }

    /// Prints on stdout.
    pub(crate) fn out(&mut self, text: impl AsRef<[u8]>) {
        let text = text.as_ref();
        if self.more.is_some() {
            return self.paged(text);
        }
        self.write(text);
        if self.live {
            self.flush();
        }
    }

    /// Prints on stderr, or where errors go.
    pub(crate) fn err(&mut self, text: impl AsRef<[u8]>) {
        let text = text.as_ref();
        if self.testing {
            self.out(text);
            if self.tee {
                self.note(text);
            }
        } else {
            self.flush();
            self.note(text);
            self.saw(text);
        }
    }

    /// [`Say::err`], at the start of a line.
    pub(crate) fn err_line(&mut self, text: impl AsRef<[u8]>) {
        if !self.at_start {
            self.err("\n");
        }
        self.err(text);
    }

    /// Ends the line on stdout, if one has begun.
    pub(crate) fn end_line(&mut self) {
        if !self.at_start {
            self.out("\n");
        }
    }

    fn saw(&mut self, text: &[u8]) {
        if let Some(last) = text.last() {
            self.at_start = *last == b'\n';
        }
    }

    fn write(&mut self, text: &[u8]) {
        if let Err(e) = self.out.write_all(text) {
            self.failed.get_or_insert(e);
        }
        self.saw(text);
    }

    fn note(&mut self, text: &[u8]) {
        // There is nowhere left to tell of a failure.
        let _ = io::stderr().write_all(text);
    }

    /// Everything so far is to be seen before a question.
    pub(crate) fn flush(&mut self) {
        if let Err(e) = self.out.flush() {
            self.failed.get_or_insert(e);
        }
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Whether nobody wants to see more.
    pub(crate) fn is_unread(&self) -> bool {
        let kind = self.failed.as_ref().map(io::Error::kind);
        self.quit || kind == Some(io::ErrorKind::BrokenPipe)
    }

    /// Ends printing, and tells whether all of stdout was written.
    pub(crate) fn finish(self) -> io::Result<()> {
        match self.failed {
            Some(e) => Err(e),
            None => self.out.finish(),
        }
    }

    fn paged(&mut self, text: &[u8]) {
        if self.quit {
            return;
        }
        let mut start = 0;
        for (at, byte) in text.iter().enumerate() {
            let Some(more) = &mut self.more else { break };
            more.column = if *byte == b'\r' { 0 } else { more.column + 1 };
            if *byte != b'\n' && more.column < more.width {
                continue;
            }
            more.column = 0;
            more.lines += 1;
            more.total += 1;
            if more.lines >= more.height {
                self.write(&text[start..=at]);
                start = at + 1;
                self.pause();
                if self.quit {
                    return;
                }
            }
        }
        self.write(&text[start..]);
        self.flush();
    }

    fn pause(&mut self) {
        self.flush();
        let total = self.more.as_ref().map_or(0, |more| more.total);
        let begin = if self.at_start { "" } else { "\n" };
        self.note(format!("{begin}--More--({total})").as_bytes());
        let key = key(b"\r\n qQ");
        self.note(b"\r                                                         \r");
        self.at_start = true;
        match key {
            Some(b' ') => {
                if let Some(more) = &mut self.more {
                    more.lines = 0;
                }
            }
            Some(b'q' | b'Q') => self.quit = true,
            Some(_) => {}
            None => self.more = None,
        }
    }

    /// Waits for a key after a pause in a comment; `false` to stop.
    pub(crate) fn pause_in_comment(&mut self) -> bool {
        self.flush();
        let begin = if self.at_start { "" } else { "\n" };
        self.note(
            format!("{begin}--- Press `Q' to quit, or any other key to continue ---").as_bytes(),
        );
        let key = key(b"");
        self.note(b"\r                                                         \r");
        self.at_start = true;
        !matches!(key, Some(b'q' | b'Q'))
    }
}

/// A key, one of `wanted` if that is not empty. It comes from standard input, whatever that is;
/// `None` at its end: nobody is there to wait for. A signal is as good as a `q`.
fn key(wanted: &[u8]) -> Option<u8> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let stdin = io::stdin();
    let before = tcgetattr(&stdin).ok();
    if let Some(before) = &before {
        let mut raw = before.clone();
        raw.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        let _ = tcsetattr(&stdin, OptionalActions::Now, &raw);
    }
    let key = loop {
        if !crate::ask::ready(&stdin) {
            break Some(b'q');
        }
        let mut byte = [0];
        match rustix::io::read(&stdin, &mut byte) {
            Ok(1) if wanted.is_empty() || wanted.contains(&byte[0]) => break Some(byte[0]),
            Ok(1) | Err(rustix::io::Errno::INTR) => {}
            _ => break None,
        }
    };
    if let Some(before) = &before {
        let _ = tcsetattr(&stdin, OptionalActions::Now, before);
    }
    key
}

/// A name as Info-ZIP shows it: control characters as `^A`.
pub(crate) fn shown(name: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(name.len());
    for byte in name {
        match byte {
            0..32 => text.extend([b'^', 64 + byte]),
            _ => text.push(*byte),
        }
    }
    text
}

/// Text of pieces that may be no UTF-8, as names are.
macro_rules! text {
    ($($piece:expr),* $(,)?) => {{
        let mut text: Vec<u8> = Vec::new();
        $(text.extend_from_slice(AsRef::<[u8]>::as_ref(&$piece));)*
        text
    }};
}
pub(crate) use text;

/// `text`, filled up with blanks to `width` bytes.
pub(crate) fn padded(text: &[u8], width: usize) -> Vec<u8> {
    let mut padded = text.to_vec();
    padded.resize(padded.len().max(width), b' ');
    padded
}
