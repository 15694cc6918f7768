//! The client: opens the object at this side, reaches the other one, and runs the session.

use crate::Error;
use crate::again::{self, Sent};
use crate::args::{Args, Place, ServerArgs};
use crate::control::{self, Command};
use crate::handshake::greet;
use crate::layout::Layout;
use crate::link::Link;
use crate::message::{Message, Open, Role};
use crate::object::Reader;
use crate::remote::Connection;
use crate::server::{open_target, refuse_same, serve};
use crate::session::{self, Terms};
use crate::source::Counts;
use cli::progress::{Mode, Progress};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How a run ended.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) counts: Counts,
    pub(crate) layout: Layout,
    pub(crate) sent: u64,
    pub(crate) received: u64,
}

/// Makes the destination equal, or finds out whether it is. In a session `pass` is called after each
/// pass.
pub(crate) fn run(
    args: &Args,
    mode: Mode,
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
        return run_here(args, mode, own, &other, pass);
    };
    // What is wrong here is said before anything is started there.
    let reader = Arc::new(Reader::open(own, role == Role::Source)?);
    let (connection, input, output) = Connection::start(
        remote,
        &args.rsh,
        &args.remote_command,
        &other,
        args.segment,
        args.timeout,
    )?;
    let mut link = Link::new(input, output, args.timeout);
    let done = talk(&mut link, args, mode, role, &reader, &other, pass);
    let ended = match &done {
        Ok(_) => {
            link.close();
            Ok(())
        }
        Err(error) => {
            link.fail(error);
            Err(error.clone())
        }
    };
    connection.finish(ended)?;
    done
}

/// Both sides in this process, over a pair of sockets.
fn run_here(
    args: &Args,
    mode: Mode,
    own: &Path,
    other: &Path,
    pass: &mut dyn FnMut(&Outcome) -> Result<(), Error>,
) -> Result<Outcome, Error> {
    let broken = |e: std::io::Error| Error::lost(&e);
    let reader = Arc::new(Reader::open(own, true)?);
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
    let mut link = Link::new(input, output, args.timeout);
    let done = talk(&mut link, args, mode, Role::Source, &reader, other, pass);
    match &done {
        Ok(_) => link.close(),
        Err(error) => link.fail(error),
    }
    let _ = server.join();
    // There is no other side: its errors are ours.
    done.map_err(|error| match error {
        Error::Remote { status, text } => Error::of_status(status, text),
        error => error,
    })
}

fn talk(
    link: &mut Link,
    args: &Args,
    mode: Mode,
    role: Role,
    reader: &Arc<Reader>,
    other: &Path,
    pass: &mut dyn FnMut(&Outcome) -> Result<(), Error>,
) -> Result<Outcome, Error> {
    link.take_segments(args.segment);
    let greeting = greet(link)?;
    let identity = reader.identity()?;
    let own = PathBuf::from(reader.path());
    let is_zero = role == Role::Sink && !args.check && reader.is_empty(reader.size());
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
        size_rule: args.size_rule as u8,
        hash: args.hash as u8,
        force: args.force,
        segment: args.segment as u32,
        size: reader.size(),
        identity,
        path: other.as_os_str().as_bytes().to_vec(),
    }));
    let planned = match (role, &args.ranges) {
        (Role::Source, Some(file)) => {
            let extents = crate::ranges::read(file, reader.size())?;
            Some(Layout::of_extents(reader.size(), args.segment, &extents))
        }
        (Role::Source, None) => Some(Layout::whole(reader.size(), args.segment)),
        (Role::Sink, _) => None,
    };
    // Right behind OPEN: the other side can begin as soon as it is ready.
    planned
        .iter()
        .for_each(|layout| session::send_plan(link, layout));
    let salts = greeting.finish(link)?;
    let Message::Ready(ready) = link.message()? else {
        return Err(Error::protocol("OPEN is not answered with READY"));
    };
    refuse_same(&own, identity, ready.identity)?;
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
    let progress = Progress::start(mode, "compared", None);
    let (layout, counts) = match planned {
        Some(layout) => {
            progress.set_total(layout.total());
            let terms = terms(&layout);
            let sent = args.session.then(|| Sent::new(&layout)).transpose()?;
            let mut counts = session::send(link, reader, &terms, sent.as_ref(), &progress)?;
            while let Some(sent) = &sent {
                progress.finish();
                pass(&outcome(link, &layout, counts))?;
                if control::wait(link)? == Command::End {
                    return Ok(outcome(link, &layout, counts));
                }
                counts = again::send(link, reader, &terms, sent, &progress)?;
            }
            (layout, counts)
        }
        None => {
            let mut target = open_target(&own, args.size_rule, ready.size, args.check, args.force)?;
            target.prepare(args.size_rule, ready.size)?;
            let layout = session::take_plan(link, ready.size, args.segment)?;
            progress.set_total(layout.total());
            let terms = terms(&layout);
            let (counts, _) = session::receive(link, &mut target, &terms, false, &progress)?;
            (layout, counts)
        }
    };
    progress.finish();
    Ok(outcome(link, &layout, counts))
}

fn outcome(link: &Link, layout: &Layout, counts: Counts) -> Outcome {
    let (sent, received) = link.traffic();
    let layout = layout.clone();
    Outcome {
        counts,
        layout,
        sent,
        received,
    }
}

/// Refuses two names of the same bytes, through links, loop devices, partitions or mapped devices.
fn refuse_overlap(source: &Path, destination: &Path) -> Result<(), Error> {
    let open = |path: &Path| File::open(path).map_err(|e| Error::usage(path, &e));
    let (a, b) = (open(source)?, open(destination)?);
    if blkcore::overlaps(&a, &b).map_err(|e| Error::usage(destination, &e))? {
        let name = cli::diag::name(destination);
        return Err(Error::Refused(format!(
            "{name}: source and destination are the same"
        )));
    }
    Ok(())
}
