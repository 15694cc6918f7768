//! The client: opens the object at this side, reaches the other one, and runs the session.

use crate::again::{self, Sent};
use crate::args::{Args, Place, ServerArgs};
use crate::control::{self, Command};
use crate::handshake::greet;
use crate::layout::Layout;
use crate::link::Link;
use crate::message::{Message, Open, Role};
use crate::object::{Named, Reader};
use crate::remote::Connection;
use crate::report::Live;
use crate::server::{open_target, refuse_same, serve};
use crate::session::{self, Ended, Synced, Terms};
use crate::source::Counts;
use crate::state::{About, State};
use crate::{Error, TOOL};
use cli::progress::Mode;
use nix::fcntl::OFlag;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

/// Bytes of a segment where none are given. In large objects what the digests take on the way counts
/// more than the prefixes of the pages of a segment that differs.
fn usual_segment(size: u64) -> u64 {
    match size >> 30 {
        0 => 1 << 20,
        1..4 => 2 << 20,
        _ => 4 << 20,
    }
}

/// How a run ended.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) counts: Counts,
    pub(crate) layout: Layout,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// Segments that an earlier run had finished, and of these the ones that differ again.
    pub(crate) finished_before: u64,
    pub(crate) changed_since: u64,
}

/// What is kept of a run that may break off, for the next one or to connect again.
pub(crate) fn state(args: &Args) -> Result<Option<State>, Error> {
    let name = |place: &Place, other: &Place| match place {
        Place::Local(path) => {
            let whole = std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
            cli::diag::name(&whole).to_string()
        }
        Place::Remote(remote) => {
            let (host, other) = (
                cli::diag::name(&remote.host),
                match other {
                    Place::Local(path) => Some(path),
                    Place::Remote(_) => None,
                },
            );
            let path = remote.path.as_ref().or(other);
            format!(
                "{host}:{}",
                cli::diag::name(path.map_or("".as_ref(), |p| p.as_path()))
            )
        }
    };
    let about = About {
        source: name(&args.source, &args.destination),
        destination: name(&args.destination, &args.source),
        size: 0,
    };
    match &args.state {
        Some(path) => State::open(path, about, note).map(Some),
        None if args.retry > 0 && !args.check => Ok(Some(State::new(about))),
        None => Ok(None),
    }
}

fn note(text: String) {
    cli::diag::report(TOOL, text);
}

/// Makes the destination equal, or finds out whether it is. In a session `pass` is called after each
/// pass.
pub(crate) fn run(
    args: &Args,
    mode: Mode,
    state: Option<&mut State>,
    pass: &mut dyn FnMut(&Outcome) -> Result<(), Error>,
) -> Result<Outcome, Error> {
    let (role, own, other, remote) = match (&args.source, &args.destination) {
        (Place::Local(own), Place::Remote(remote)) => {
            let other = remote.path.clone().unwrap_or_else(|| own.clone());
            (Role::Source, own, other, Some(remote))
        }
        (Place::Remote(remote), Place::Local(own)) => {
            let other = remote.path.clone().unwrap_or_else(|| own.clone());
            (Role::Sink, own, other, Some(remote))
        }
        (Place::Local(own), Place::Local(other)) => {
            refuse_overlap(own, other)?;
            (Role::Source, own, other.clone(), None)
        }
        (Place::Remote(_), Place::Remote(_)) => {
            return Err(Error::Usage(
                "one of the two must be at this host".to_owned(),
            ));
        }
    };
    let Some(remote) = remote else {
        return run_here(args, mode, own, &other, state, pass);
    };
    // What is wrong here is said before anything is started there.
    let side = Side::open(args, role, own)?;
    let (connection, input, output) = Connection::start(
        remote,
        &args.rsh,
        &args.remote_command,
        &other,
        side.segment,
        args.timeout,
    )?;
    let link = Link::new(input, output, args.timeout);
    let done = converse(link, args, mode, &side, &other, state, pass);
    connection.finish(done.as_ref().map(|_| ()).map_err(Error::clone))?;
    done
}

/// Both sides in this process, over a pair of sockets.
fn run_here(
    args: &Args,
    mode: Mode,
    own: &Path,
    other: &Path,
    state: Option<&mut State>,
    pass: &mut dyn FnMut(&Outcome) -> Result<(), Error>,
) -> Result<Outcome, Error> {
    let broken = |e: std::io::Error| Error::lost(&e);
    let side = Side::open(args, Role::Source, own)?;
    let (here, there) = UnixStream::pair().map_err(broken)?;
    let ends = |stream: UnixStream| -> std::io::Result<(File, File)> {
        let file = File::from(OwnedFd::from(stream));
        Ok((file.try_clone()?, file))
    };
    let (server_input, server_output) = ends(there).map_err(broken)?;
    let allowed = ServerArgs {
        path: None,
        only: Vec::new(),
        read_only: false,
        write_only: false,
        max_size: None,
        timeout: args.timeout,
    };
    let server = std::thread::spawn(move || {
        let mut link = Link::new(server_input, server_output, allowed.timeout);
        match serve(&mut link, &allowed) {
            Ok(()) => link.close(),
            Err(error) => link.fail(&error),
        }
    });
    let (input, output) = ends(here).map_err(broken)?;
    let link = Link::new(input, output, args.timeout);
    let done = converse(link, args, mode, &side, other, state, pass);
    let _ = server.join();
    // There is no other side: its errors are ours.
    done.map_err(|error| match (error, cli::signal::stop_requested()) {
        (Error::Remote { status: 9, .. }, Some(signal)) => Error::Interrupted(signal),
        (Error::Remote { status, text }, _) => Error::of_status(status, text),
        (error, _) => error,
    })
}

/// What is at this side.
struct Side {
    role: Role,
    named: Named,
    reader: Arc<Reader>,
    segment: u64,
}

impl Side {
    fn open(args: &Args, role: Role, path: &Path) -> Result<Side, Error> {
        let named = Named::open(path)?;
        let reader = Arc::new(Reader::open(&named, role == Role::Source)?);
        let segment = args.segment;
        let segment = segment.unwrap_or_else(|| usual_segment(reader.size()));
        Ok(Side {
            role,
            named,
            reader,
            segment,
        })
    }
}

/// The session over this link, from the greeting to the last word.
fn converse(
    mut link: Link,
    args: &Args,
    mode: Mode,
    side: &Side,
    other: &Path,
    mut state: Option<&mut State>,
    pass: &mut dyn FnMut(&Outcome) -> Result<(), Error>,
) -> Result<Outcome, Error> {
    let done = talk(
        &mut link,
        args,
        mode,
        side,
        other,
        state.as_deref_mut(),
        pass,
    );
    let done = keep(done, state);
    match &done {
        Ok(_) => link.close(),
        Err(error) => link.fail(error),
    }
    done
}

/// Keeps what is known of a run that broke off; of one that is done nothing.
fn keep(done: Result<Outcome, Error>, state: Option<&mut State>) -> Result<Outcome, Error> {
    match (done, state) {
        (Ok(outcome), Some(state)) => state.remove().map(|()| outcome),
        (Err(error), Some(state)) => {
            // What ended the run is said first, and only that fits into one status.
            if let Err(also) = state.save() {
                note(also.to_string());
            }
            Err(error)
        }
        (done, None) => done,
    }
}

fn talk(
    link: &mut Link,
    args: &Args,
    mode: Mode,
    side: &Side,
    other: &Path,
    mut state: Option<&mut State>,
    pass: &mut dyn FnMut(&Outcome) -> Result<(), Error>,
) -> Result<Outcome, Error> {
    let Side {
        role,
        named,
        reader,
        segment,
    } = side;
    let (role, segment) = (*role, *segment);
    link.take_segments(segment);
    let greeting = greet(link)?;
    let identity = reader.identity()?;
    let is_zero = role == Role::Sink && !args.check && reader.is_empty(reader.size());
    let later = state.as_ref().filter(|_| role == Role::Sink && !is_zero);
    let later = later.map(|state| state.done().clone());
    link.send(Message::Open(Open {
        server_is: if role == Role::Source {
            Role::Sink
        } else {
            Role::Source
        },
        check: args.check,
        verify: args.verify,
        is_zero,
        session: args.session,
        tell_synced: role == Role::Source && state.is_some(),
        has_later: later.is_some(),
        size_rule: args.size_rule as u8,
        hash: args.hash as u8,
        forced: args.forced,
        segment: segment as u32,
        size: reader.size(),
        identity,
        path: other.as_os_str().as_bytes().to_vec(),
    }));
    // Right behind OPEN: the other side can begin as soon as it is ready.
    if let Some(later) = &later {
        session::send_later(link, segment, later);
    }
    let planned = match role {
        Role::Source => Some(plan(args, reader, segment, state.as_deref_mut())?),
        Role::Sink => None,
    };
    planned
        .iter()
        .for_each(|layout| session::send_plan(link, layout));
    let salts = greeting.finish(link)?;
    let Message::Ready(ready) = link.message()? else {
        return Err(Error::protocol("OPEN is not answered with READY"));
    };
    link.is_open();
    refuse_same(named.path(), identity, ready.identity)?;
    let terms = |layout: &Layout| Terms {
        layout: layout.clone(),
        digester: salts.digester(args.hash, role),
        sink_is_zero: if role == Role::Source {
            ready.is_zero
        } else {
            is_zero
        },
        check: args.check,
        verify: args.verify,
    };
    let live = Live::start(mode);
    let Some(layout) = planned else {
        let mut target = open_target(named, args.size_rule, ready.size, args.check, args.forced)?;
        target.prepare(args.size_rule, ready.size)?;
        let mut layout = session::take_plan(link, ready.size, segment)?;
        if let Some(state) = &mut state {
            state.set_size(ready.size, note);
            layout = layout.left_for_last(state.done());
        }
        live.set_layout(&layout);
        let terms = terms(&layout);
        let synced = state.map_or(Synced::Nobody, Synced::State);
        let (ended, _) = session::receive(link, &mut target, &terms, false, &live, synced)?;
        live.finish();
        return Ok(outcome(link, &layout, ended));
    };
    live.set_layout(&layout);
    let terms = terms(&layout);
    let sent = args.session.then(|| Sent::new(&layout)).transpose()?;
    let mut ended = session::send(link, reader, &terms, sent.as_ref(), &live, state)?;
    while let Some(sent) = &sent {
        live.finish();
        pass(&outcome(link, &layout, ended))?;
        if control::wait(link)? == Command::End {
            break;
        }
        ended.counts = again::send(link, reader, &terms, sent, &live)?;
        ended.changed_since = 0;
    }
    live.finish();
    Ok(outcome(link, &layout, ended))
}

/// What is compared, and in which order.
fn plan(
    args: &Args,
    reader: &Reader,
    segment: u64,
    state: Option<&mut State>,
) -> Result<Layout, Error> {
    let layout = match &args.ranges {
        Some(file) => {
            let extents = crate::ranges::read(file, reader.size())?;
            Layout::of_extents(reader.size(), segment, &extents)
        }
        None => Layout::whole(reader.size(), segment),
    };
    let Some(state) = state else {
        return Ok(layout);
    };
    state.set_size(reader.size(), note);
    Ok(layout.leave_for_last(state.done()))
}

fn outcome(link: &Link, layout: &Layout, ended: Ended) -> Outcome {
    let (sent, received) = link.traffic();
    Outcome {
        counts: ended.counts,
        layout: layout.clone(),
        sent,
        received,
        finished_before: layout.count() - layout.later(),
        changed_since: ended.changed_since,
    }
}

/// Refuses two names of the same bytes, through links, loop devices, partitions or mapped devices.
fn refuse_overlap(source: &Path, destination: &Path) -> Result<(), Error> {
    // A FIFO would wait for its other end. What is no file and no device is refused later.
    let mut options = File::options();
    options.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
    let open = |path: &Path| options.open(path).map_err(|e| Error::usage(path, &e));
    let (a, b) = (open(source)?, open(destination)?);
    if blkcore::overlaps(&a, &b).map_err(|e| Error::usage(destination, &e))? {
        let name = cli::diag::name(destination);
        return Err(Error::Refused(format!(
            "{name}: source and destination are the same"
        )));
    }
    Ok(())
}
