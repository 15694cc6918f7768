//! `xen-migrate transport`: what `xl migrate -s` runs in place of ssh. It stands in the stream between
//! `xl migrate` and `xl migrate-receive`, and does with it what the [`gate`](crate::gate) says.
//!
//! It is a process of its own, so that the handshake comes to a good end when the program that steers
//! is killed. That one connects to its socket, gives it the command in a line of JSON, and then words,
//! one a line. When nobody can know whether the target started, it keeps the sender waiting, and
//! `--recover` connects to the same socket.

use crate::gate::{Act, Command, Event, Gate, Notice};
use crate::running::Running;
use crate::shell::Reach;
use crate::stream::Head;
use serde_json::Value;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

/// How long to wait for the program that steers, at the beginning.
const FIRST: Duration = Duration::from_secs(60);
/// How long xl may take to end when it has been told everything.
const LAST: Duration = Duration::from_secs(300);
const PIECE: usize = 256 << 10;

const COMMANDS: [(&str, Command); 4] = [
    ("ready", Command::Ready),
    ("go", Command::Go),
    ("refuse", Command::Refuse),
    ("started", Command::Started),
];
const NOTICES: [(&str, Notice); 5] = [
    ("ready", Notice::Ready),
    ("go", Notice::Go),
    ("started", Notice::Started),
    ("refused", Notice::Refused),
    ("unknown", Notice::Unknown),
];

/// The word of a command.
pub(crate) fn command_word(command: Command) -> &'static str {
    let found = COMMANDS.iter().find(|(_, one)| *one == command);
    found.map_or("", |(word, _)| word)
}

/// The notice that a line is.
pub(crate) fn notice(line: &str) -> Option<Notice> {
    let found = NOTICES.iter().find(|(word, _)| *word == line);
    found.map(|(_, notice)| *notice)
}

/// The first line to a transport: how to reach the target, and the paths that are others there.
pub(crate) fn orders(reach: &Reach, paths: &[(String, String)]) -> String {
    let paths: Vec<Value> = paths
        .iter()
        .map(|(a, b)| Value::from(vec![a.as_str(), b]))
        .collect();
    let words: Vec<Value> = reach
        .words
        .iter()
        .map(|word| word.as_str().into())
        .collect();
    let object =
        serde_json::json!({"name": reach.name, "words": words, "sudo": reach.sudo, "paths": paths});
    format!("{object}\n")
}

fn parse_orders(line: &str) -> Option<(Reach, Vec<(String, String)>)> {
    let value: Value = serde_json::from_str(line).ok()?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let words = value["words"]
        .as_array()?
        .iter()
        .map(text)
        .collect::<Option<_>>()?;
    let pair = |pair: &Value| Some((text(&pair[0])?, text(&pair[1])?));
    let paths = value["paths"]
        .as_array()?
        .iter()
        .map(pair)
        .collect::<Option<_>>()?;
    let reach = Reach {
        name: text(&value["name"])?,
        words,
        sudo: value["sudo"].as_bool()?,
    };
    Some((reach, paths))
}

/// What the threads bring.
enum Incoming {
    Target(Vec<u8>),
    TargetEnded,
    Source(Vec<u8>),
    SourceEnded,
    /// The stream cannot be passed on.
    Broken(String),
    /// Somebody connected; the number tells later lines from those of others.
    Controller(usize, UnixStream),
    Line(usize, String),
    Gone(usize),
}

/// Runs until xl has ended. The error is for standard error, which xl and then the user see.
pub(crate) fn run(socket: &Path, words: &[String]) -> Result<(), String> {
    let at = |e: io::Error| {
        format!(
            "{}: {}",
            cli::diag::name(socket),
            cli::diag::system_text(&e)
        )
    };
    let listener = UnixListener::bind(socket).map_err(at)?;
    let (events, incoming) = channel();
    {
        let events = events.clone();
        thread::spawn(move || listen(&listener, &events));
    }
    let result = steer(&incoming, &events, words);
    let _ = std::fs::remove_file(socket);
    result
}

fn steer(
    incoming: &Receiver<Incoming>,
    events: &Sender<Incoming>,
    words: &[String],
) -> Result<(), String> {
    let nobody = || "nobody said what to do".to_owned();
    let (mut controller, mut number, orders) = first(incoming).ok_or_else(nobody)?;
    let (reach, paths) = parse_orders(&orders).ok_or("orders that cannot be understood")?;
    let mut command = reach.command(&words.join(" "));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut target = Running::start(&mut command)
        .map_err(|e| format!("{}: {}", reach.name, cli::diag::system_text(&e)))?;
    // It ends by itself when its input does.
    target.leave();
    let pipes = (target.child.stdin.take(), target.child.stdout.take());
    let (Some(to_target), Some(from_target)) = pipes else {
        return Err("no pipes".to_owned());
    };
    let own = to_target
        .as_fd()
        .try_clone_to_owned()
        .map_err(|e| cli::diag::system_text(&e))?;
    let mut go = Some(File::from(own));
    let over = Arc::new(AtomicBool::new(false));
    {
        let (events, over) = (events.clone(), Arc::clone(&over));
        let to_target = File::from(OwnedFd::from(to_target));
        thread::spawn(move || source(to_target, Head::new(paths), &over, &events));
    }
    {
        let events = events.clone();
        thread::spawn(move || read_target(from_target, &events));
    }
    let mut gate = Gate::new();
    let mut told = None;
    let mut source_ended = false;
    loop {
        let Ok(event) = incoming.recv() else {
            return Ok(());
        };
        let acts = match &event {
            Incoming::Target(bytes) => gate.on(Event::FromTarget(bytes)),
            Incoming::TargetEnded => gate.on(Event::TargetEnded),
            Incoming::Source(bytes) => gate.on(Event::FromSource(bytes)),
            Incoming::SourceEnded => {
                source_ended = true;
                gate.on(Event::SourceEnded)
            }
            Incoming::Broken(why) => {
                cli::diag::report("xen-migrate", why);
                gate.on(Event::Command(Command::Refuse))
            }
            Incoming::Controller(new, stream) => {
                number = *new;
                controller = stream.try_clone().ok();
                tell(&mut controller, told);
                vec![]
            }
            Incoming::Line(of, line) if *of == number => {
                let found = COMMANDS.iter().find(|(word, _)| word == line);
                found.map_or_else(Vec::new, |(_, command)| gate.on(Event::Command(*command)))
            }
            Incoming::Gone(of) if *of == number => {
                controller = None;
                gate.on(Event::Alone)
            }
            Incoming::Line(..) | Incoming::Gone(_) => vec![],
        };
        over.store(gate.stream_is_over(), SeqCst);
        for act in acts {
            match act {
                Act::ToSource(bytes) => {
                    let mut out = io::stdout().lock();
                    // A sender that has gone is heard of by its end.
                    let _ = out.write_all(&bytes).and_then(|()| out.flush());
                }
                Act::ToTarget(bytes) => {
                    if let Some(target) = &mut go {
                        let _ = target.write_all(&bytes);
                    }
                }
                Act::Tell(notice) => {
                    told = Some(notice);
                    tell(&mut controller, told);
                }
                Act::Drop => {
                    explain(&target);
                    return Err("the transfer was ended".to_owned());
                }
                Act::Done => {
                    drop(go);
                    if !source_ended {
                        wait_for_source(incoming);
                    }
                    return Ok(());
                }
            }
        }
    }
}

/// What the other end said, for xl's standard error.
fn explain(target: &Running) {
    thread::sleep(Duration::from_millis(50));
    let said = target.said();
    if !said.is_empty() {
        cli::diag::report("xen-migrate", format_args!("the target said: {said}"));
    }
}

fn wait_for_source(incoming: &Receiver<Incoming>) {
    let until = std::time::Instant::now() + LAST;
    loop {
        let left = until.saturating_duration_since(std::time::Instant::now());
        match incoming.recv_timeout(left) {
            Ok(Incoming::SourceEnded) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

fn tell(controller: &mut Option<UnixStream>, notice: Option<Notice>) {
    let found = NOTICES.iter().find(|(_, one)| Some(*one) == notice);
    if let (Some(stream), Some((word, _))) = (controller.as_mut(), found)
        && stream.write_all(format!("{word}\n").as_bytes()).is_err()
    {
        *controller = None;
    }
}

/// The first who connects, and the first line.
fn first(incoming: &Receiver<Incoming>) -> Option<(Option<UnixStream>, usize, String)> {
    let mut controller = None;
    let mut number = 0;
    loop {
        match incoming.recv_timeout(FIRST).ok()? {
            Incoming::Controller(new, stream) => (number, controller) = (new, Some(stream)),
            Incoming::Line(_, line) => return Some((controller, number, line)),
            Incoming::Gone(_) => return None,
            _ => {}
        }
    }
}

fn listen(listener: &UnixListener, events: &Sender<Incoming>) {
    for (number, stream) in listener.incoming().flatten().enumerate() {
        let Ok(own) = stream.try_clone() else {
            continue;
        };
        if events.send(Incoming::Controller(number, own)).is_err() {
            return;
        }
        let events = events.clone();
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                let _ = events.send(Incoming::Line(number, line));
            }
            let _ = events.send(Incoming::Gone(number));
        });
    }
}

/// Passes the sender's stream on; what comes after it goes to the gate.
fn source(mut to_target: File, mut head: Head, over: &AtomicBool, events: &Sender<Incoming>) {
    let mut input = io::stdin().lock();
    let mut piece = vec![0; PIECE];
    let mut changed = Vec::new();
    loop {
        let count = match input.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        let piece = &piece[..count];
        if over.load(SeqCst) {
            let _ = events.send(Incoming::Source(piece.to_vec()));
            continue;
        }
        let sent = match head.passed() {
            true => to_target.write_all(piece),
            false => {
                changed.clear();
                if let Err(why) = head.pass(piece, &mut changed) {
                    let _ = events.send(Incoming::Broken(why));
                    return;
                }
                to_target.write_all(&changed)
            }
        };
        if sent.is_err() {
            return; // the target has ended, which its output tells
        }
    }
    let _ = events.send(Incoming::SourceEnded);
}

fn read_target(mut from_target: impl Read, events: &Sender<Incoming>) {
    let mut piece = [0; 4096];
    loop {
        match from_target.read(&mut piece) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => break,
            Ok(count) => {
                let _ = events.send(Incoming::Target(piece[..count].to_vec()));
            }
        }
    }
    let _ = events.send(Incoming::TargetEnded);
}
