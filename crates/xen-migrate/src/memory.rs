//! The domain's memory on its way: by `xl migrate` with this program as its transport, or by `xl save`
//! into `xl restore`. Both leave the target's copy paused until it is started, and let the source go on
//! by themselves when they are cut off before.

use crate::gate::{Command as Word, Notice};
use crate::journal;
use crate::plan::Mode;
use crate::running::Running;
use crate::shell::{Reach, Shell};
use crate::step::Trouble;
use crate::stream::Head;
use crate::toolstack;
use crate::transport;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long to wait for a login, and for xl to start its transport.
const BEGINS: Duration = Duration::from_secs(120);
/// How long xl may take to clean up when it has been cut off.
const ENDS: Duration = Duration::from_secs(120);
const PIECE: usize = 256 << 10;
/// Packing must not hold back what the network could take: zstd's fast levels pack some 500 MB/s, and of
/// a domain's memory, of which much is zeros, they leave a third to a sixth.
const LEVEL: i32 = -1;
/// In the environment of xl at the source and of the transport: which migration they are of.
pub(crate) const NAMED: &str = "XEN_MIGRATE_TOKEN";

/// What a transfer needs to know.
#[derive(Debug)]
pub(crate) struct Terms<'a> {
    pub(crate) id: u32,
    pub(crate) reach: &'a Reach,
    /// Paths of disks that are others at the target.
    pub(crate) paths: Vec<(String, String)>,
    /// Whether what is saved goes over packed.
    pub(crate) packed: bool,
    /// Names the migration.
    pub(crate) token: &'a str,
}

/// A transfer that is under way.
#[derive(Debug)]
pub(crate) enum Transfer {
    Live(Live),
    Save(Save),
}

/// Asked now and then whether to give up.
pub(crate) type Stop<'a> = &'a mut dyn FnMut() -> Option<Trouble>;

impl Transfer {
    /// Starts it. The domain stops some time after: see the host's list.
    pub(crate) fn start(
        mode: Mode,
        terms: &Terms<'_>,
        stop: Stop<'_>,
    ) -> Result<Transfer, Trouble> {
        match mode {
            Mode::Live => Live::start(terms, stop).map(Transfer::Live),
            Mode::Save => Save::start(terms, stop).map(Transfer::Save),
        }
    }

    /// Why it has failed, if it has.
    pub(crate) fn failed(&mut self) -> Option<Trouble> {
        match self {
            Transfer::Live(live) => live.failed(),
            Transfer::Save(save) => save.failed(),
        }
    }

    /// Whether it failed because this Xen cannot see what a running domain of this kind writes.
    pub(crate) fn cannot_be_live(&self) -> bool {
        match self {
            Transfer::Live(live) => live.xl.has_said(toolstack::NO_DIRTY_LOG),
            Transfer::Save(_) => false,
        }
    }

    /// Whether xl has written all of it: then the source has stopped for good.
    pub(crate) fn is_sent(&mut self) -> bool {
        match self {
            Transfer::Live(live) => live.heard(Notice::Ready),
            Transfer::Save(save) => save.is_sent(),
        }
    }

    /// Whether the target has all of it.
    pub(crate) fn is_built(&mut self) -> bool {
        match self {
            Transfer::Live(live) => live.heard(Notice::Ready),
            Transfer::Save(save) => save.is_built(),
        }
    }

    /// Waits until the target has all of it, paused, and only the word is missing.
    pub(crate) fn build(&mut self, stop: Stop<'_>) -> Result<(), Trouble> {
        while !self.is_built() {
            self.checked(stop)?;
        }
        let Transfer::Live(live) = self else {
            return Ok(());
        };
        live.say(Word::Ready)?;
        while !self.has_permission() {
            self.checked(stop)?;
        }
        Ok(())
    }

    fn has_permission(&mut self) -> bool {
        match self {
            Transfer::Live(live) => live.heard(Notice::Go),
            Transfer::Save(_) => true,
        }
    }

    fn checked(&mut self, stop: Stop<'_>) -> Result<(), Trouble> {
        if let Some(trouble) = self.failed().or_else(stop) {
            return Err(trouble);
        }
        thread::sleep(Duration::from_millis(5));
        Ok(())
    }

    /// The process at the target that may still make a copy of the domain when it has been cut off. (That
    /// of a live migration removes its own copy then.)
    pub(crate) fn restoring(&self) -> Option<u32> {
        match self {
            Transfer::Live(_) => None,
            Transfer::Save(save) => Some(save.pid),
        }
    }

    /// Cuts it off, so that the source goes on, and waits until xl has ended.
    pub(crate) fn cut(&mut self) {
        match self {
            Transfer::Live(live) => live.cut(),
            Transfer::Save(save) => save.cut(),
        }
    }
}

/// `xl migrate`, with the transport between.
#[derive(Debug)]
pub(crate) struct Live {
    xl: Running,
    transport: UnixStream,
    notices: Receiver<Notice>,
    heard: Vec<Notice>,
    ended: bool,
}

impl Live {
    fn start(terms: &Terms<'_>, stop: Stop<'_>) -> Result<Live, Trouble> {
        let failed = |why: String| Trouble::Failed(format!("xl migrate: {why}"));
        let own = std::env::current_exe().map_err(|e| failed(cli::diag::system_text(&e)))?;
        let (own, socket) = (own.to_string_lossy(), socket(terms.token));
        let mut command = toolstack::migrate(terms.id, &own, &socket.to_string_lossy());
        command
            .env(NAMED, terms.token)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let mut xl =
            Running::start(&mut command).map_err(|e| failed(cli::diag::system_text(&e)))?;
        let until = Instant::now() + BEGINS;
        let mut transport = loop {
            match UnixStream::connect(&socket) {
                Ok(stream) => break stream,
                Err(_) if xl.ended().is_some() => return Err(failed(xl.said())),
                Err(e) if Instant::now() >= until => {
                    return Err(failed(cli::diag::system_text(&e)));
                }
                Err(_) => {}
            }
            if let Some(trouble) = stop() {
                return Err(trouble);
            }
            thread::sleep(Duration::from_millis(5));
        };
        // From here on it has to let the domain go on if this program dies.
        xl.leave();
        let sent = transport.write_all(transport::orders(terms.reach, &terms.paths).as_bytes());
        sent.map_err(|e| failed(cli::diag::system_text(&e)))?;
        let notices = listen(&transport).map_err(|e| failed(cli::diag::system_text(&e)))?;
        Ok(Live {
            xl,
            transport,
            notices,
            heard: Vec::new(),
            ended: false,
        })
    }

    fn listen(&mut self, limit: Duration) {
        match self.notices.recv_timeout(limit) {
            Ok(notice) => self.heard.push(notice),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.ended = true,
        }
    }

    fn heard(&mut self, notice: Notice) -> bool {
        while let Ok(notice) = self.notices.try_recv() {
            self.heard.push(notice);
        }
        self.heard.contains(&notice)
    }

    fn failed(&mut self) -> Option<Trouble> {
        self.listen(Duration::ZERO);
        let over = self.heard.contains(&Notice::Refused) || self.ended || self.xl.ended().is_some();
        if !over {
            return None;
        }
        // Its last words come with its end.
        self.xl.wait(Duration::from_secs(2));
        Some(Trouble::Failed(format!("xl migrate: {}", self.xl.why())))
    }

    fn say(&mut self, word: Word) -> Result<(), Trouble> {
        let line = format!("{}\n", transport::command_word(word));
        let said = self.transport.write_all(line.as_bytes());
        said.map_err(|e| Trouble::Failed(format!("xl migrate: {}", cli::diag::system_text(&e))))
    }

    /// Lets the target start, and waits for its report.
    pub(crate) fn start_target(&mut self) -> Result<(), Trouble> {
        self.say(Word::Go)?;
        self.report(ENDS)
    }

    fn report(&mut self, limit: Duration) -> Result<(), Trouble> {
        let until = Instant::now() + limit;
        loop {
            for notice in &self.heard {
                let said = |xl: &Running| format!("xl migrate: {}", xl.said());
                match notice {
                    Notice::Started => return Ok(()),
                    Notice::Refused => return Err(Trouble::Failed(said(&self.xl))),
                    Notice::Unknown => {
                        return Err(Trouble::Unknown(
                            "the connection broke before the target told that it started"
                                .to_owned(),
                        ));
                    }
                    Notice::Ready | Notice::Go => {}
                }
            }
            if self.ended || Instant::now() >= until {
                return Err(Trouble::Unknown(format!(
                    "xl migrate gave no report: {}",
                    self.xl.said()
                )));
            }
            self.listen(Duration::from_millis(100));
        }
    }

    /// Tells the waiting xl how it ended there, when it could not hear it by itself.
    pub(crate) fn settle(&mut self, started: bool) {
        let _ = self.say(if started { Word::Started } else { Word::Refuse });
        self.xl.wait(ENDS);
    }

    /// Waits until xl has removed the source's copy.
    pub(crate) fn finish(&mut self) {
        self.xl.wait(ENDS);
    }

    fn cut(&mut self) {
        let _ = self.say(Word::Refuse);
        self.xl.wait(ENDS);
    }
}

/// Reads the transport's notices in a thread.
fn listen(stream: &UnixStream) -> io::Result<Receiver<Notice>> {
    let stream = stream.try_clone()?;
    let (send, receive) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if let Some(notice) = transport::notice(&line)
                && send.send(notice).is_err()
            {
                return;
            }
        }
    });
    Ok(receive)
}

/// Where the transport of a migration listens.
fn socket(token: &str) -> PathBuf {
    PathBuf::from(journal::state_dir()).join(format!("{token}.sock"))
}

/// Tells a transport of this host that was left waiting how it ended, and waits for its end.
pub(crate) fn settle(token: &str, started: bool) {
    let Ok(mut stream) = UnixStream::connect(socket(token)) else {
        return;
    };
    let word = transport::command_word(if started { Word::Started } else { Word::Refuse });
    if stream.write_all(format!("{word}\n").as_bytes()).is_ok() {
        // It closes the connection when xl has ended.
        let _ = stream.set_read_timeout(Some(ENDS));
        let _ = stream.read_to_end(&mut Vec::new());
    }
}

/// Whether a transport of this host waits for somebody to find out whether the target started. One
/// that has something else to do does that, and is waited for until it has ended.
pub(crate) fn waits_for_a_word(token: &str) -> bool {
    let Ok(stream) = UnixStream::connect(socket(token)) else {
        return false;
    };
    let _ = stream.set_read_timeout(Some(ENDS));
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    lines.any(|line| transport::notice(&line) == Some(Notice::Unknown))
}

/// The processes at the source's host that are xl's and the transport's, of this migration.
pub(crate) fn left(shell: &Shell, token: &str) -> Result<Vec<u32>, Trouble> {
    let script = format!("grep -lsF {NAMED}={token} /proc/[0-9]*/environ; true");
    let text = shell.ask("processes", &script)?;
    let number = |line: &str| line.split('/').nth(2)?.parse().ok();
    Ok(text.lines().filter_map(number).collect())
}

/// Ends what is left of them: the domain is not theirs any more.
pub(crate) fn end_left(shell: &Shell, token: &str) -> Result<(), Trouble> {
    for pid in left(shell, token)? {
        shell.run(&format!("kill -9 {pid}"))?;
    }
    Ok(())
}

/// `xl save`, through this program, into `xl restore`.
#[derive(Debug)]
pub(crate) struct Save {
    xl: Running,
    restore: Running,
    /// The process at the target.
    pid: u32,
    relay: Receiver<Result<(), String>>,
    relayed: Option<Result<(), String>>,
}

impl Save {
    fn start(terms: &Terms<'_>, stop: Stop<'_>) -> Result<Save, Trouble> {
        let failed = |what: &str, e: &io::Error| {
            Trouble::Failed(format!("{what}: {}", cli::diag::system_text(e)))
        };
        let mut command = terms.reach.command(&toolstack::restore(terms.packed));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut restore = Running::start(&mut command).map_err(|e| failed("xl restore", &e))?;
        let (Some(input), Some(output)) = (restore.child.stdin.take(), restore.child.stdout.take())
        else {
            return Err(Trouble::Failed("xl restore: no pipes".to_owned()));
        };
        let ready = answers(output);
        let until = Instant::now() + BEGINS;
        let pid = loop {
            if let Ok(pid) = ready.try_recv() {
                break pid;
            }
            if restore.ended().is_some() || Instant::now() >= until {
                restore.wait(Duration::from_secs(1));
                return Err(Trouble::Failed(format!("xl restore: {}", restore.said())));
            }
            if let Some(trouble) = stop() {
                return Err(trouble);
            }
            thread::sleep(Duration::from_millis(5));
        };
        // Writing to a pipe that is closed must be an error for xl, and not its end: then it lets the
        // domain go on. A shell can pass that on; std cannot.
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("trap '' PIPE; {}", toolstack::save(terms.id)));
        command
            .env(NAMED, terms.token)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut xl = Running::start(&mut command).map_err(|e| failed("xl save", &e))?;
        xl.leave();
        let Some(stream) = xl.child.stdout.take() else {
            return Err(Trouble::Failed("xl save: no pipe".to_owned()));
        };
        let (send, relay) = channel();
        let (head, packed) = (Head::new(terms.paths.clone()), terms.packed);
        thread::spawn(move || {
            let to = File::from(OwnedFd::from(input));
            let _ = send.send(match packed {
                true => pack(stream, to, head),
                false => pass_on(stream, to, head),
            });
        });
        Ok(Save {
            xl,
            restore,
            pid,
            relay,
            relayed: None,
        })
    }

    fn relayed(&mut self) -> Option<&Result<(), String>> {
        if self.relayed.is_none() {
            self.relayed = self.relay.try_recv().ok();
        }
        self.relayed.as_ref()
    }

    fn failed(&mut self) -> Option<Trouble> {
        let relayed = self.relayed().cloned();
        let bad = |process: &mut Running| process.ended().is_some_and(|status| !status.success());
        if bad(&mut self.xl) {
            return Some(Trouble::Failed(format!("xl save: {}", self.xl.why())));
        }
        if bad(&mut self.restore) {
            self.restore.wait(Duration::from_secs(1));
            return Some(Trouble::Failed(format!(
                "xl restore: {}",
                self.restore.why()
            )));
        }
        match relayed {
            Some(Err(why)) => Some(Trouble::Failed(format!(
                "memory: {why}: {}",
                self.restore.said()
            ))),
            _ => None,
        }
    }

    fn is_sent(&mut self) -> bool {
        self.xl.ended().is_some_and(|status| status.success())
    }

    fn is_built(&mut self) -> bool {
        let received = |restore: &mut Running| restore.ended().is_some_and(|one| one.success());
        matches!(self.relayed(), Some(Ok(()))) && self.is_sent() && received(&mut self.restore)
    }

    fn cut(&mut self) {
        self.restore.kill();
        self.xl.wait(ENDS);
    }
}

/// Tells when the line has come that `xl restore` is started after, and which process it is.
fn answers(output: impl Read + Send + 'static) -> Receiver<u32> {
    let (send, receive) = channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // What a login prints before may lack its line's end.
            let pid = line
                .split_once(toolstack::RESTORE_BEGINS)
                .and_then(|(_, pid)| pid.parse().ok());
            if let Some(pid) = pid {
                let _ = send.send(pid);
            }
        }
    });
    receive
}

/// Passes the saved domain on, packed. Both ends are closed when it ends.
fn pack(from: impl Read, to: File, head: Head) -> Result<(), String> {
    let failed = |e: io::Error| cli::diag::system_text(&e);
    let mut packer = zstd::stream::write::Encoder::new(to, LEVEL).map_err(failed)?;
    pass_on(from, &mut packer, head)?;
    packer.finish().map(drop).map_err(failed)
}

/// Passes the saved domain on. Both ends are closed when it ends.
fn pass_on(mut from: impl Read, mut to: impl Write, mut head: Head) -> Result<(), String> {
    let mut piece = vec![0; PIECE];
    let mut changed = Vec::new();
    loop {
        let count = match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(cli::diag::system_text(&e)),
        };
        let written = match head.passed() {
            true => to.write_all(&piece[..count]),
            false => {
                changed.clear();
                head.pass(&piece[..count], &mut changed)?;
                to.write_all(&changed)
            }
        };
        written.map_err(|e| cli::diag::system_text(&e))?;
    }
}
