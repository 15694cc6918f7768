//! The server: what the client starts at the other side. It does one session over standard input and
//! output, within what its own command line allows.

use crate::again;
use crate::args::ServerArgs;
use crate::handshake::greet;
use crate::layout::{Hash, Layout};
use crate::link::Link;
use crate::message::{Forced, Message, Open, Ready, Role};
use crate::object::{Named, Reader, SizeRule, Writer};
use crate::report::Live;
use crate::session::{self, Synced, Target, Terms};
use crate::{Error, TOOL};
use cli::progress::Mode;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Segments that are taken: powers of two from 64 KiB to 16 MiB.
pub(crate) fn is_segment(bytes: u64) -> bool {
    bytes.is_power_of_two() && (64 << 10..=16 << 20).contains(&bytes)
}

/// Serves the client that started this process.
pub(crate) fn run(args: &ServerArgs) -> Result<(), Error> {
    let broken = |e: io::Error| Error::lost(&e);
    let input = File::from(io::stdin().as_fd().try_clone_to_owned().map_err(broken)?);
    let output = File::from(io::stdout().as_fd().try_clone_to_owned().map_err(broken)?);
    let mut link = Link::new(input, output, args.timeout);
    match serve(&mut link, args) {
        Ok(()) => {
            link.close();
            Ok(())
        }
        Err(error) => {
            link.fail(&error);
            Err(error)
        }
    }
}

/// Serves one session; in the same process too, where the client wants a local copy.
pub(crate) fn serve(link: &mut Link, args: &ServerArgs) -> Result<(), Error> {
    let salts = greet(link)?.finish(link)?;
    let Message::Open(open) = link.message()? else {
        return Err(Error::protocol("HELLO is not followed by OPEN"));
    };
    link.is_open();
    let unknown = |what: &str| Error::protocol(format!("OPEN with an unknown {what}"));
    let hash = [Hash::Blake3, Hash::Sha256]
        .into_iter()
        .find(|h| *h as u8 == open.hash);
    let hash = hash.ok_or_else(|| unknown("hash"))?;
    let rule = SizeRule::from_byte(open.size_rule).ok_or_else(|| unknown("size rule"))?;
    if open.session && (open.check || open.server_is == Role::Source) {
        return Err(unknown("use of a session"));
    }
    let is_source = open.server_is == Role::Source;
    if open.has_later && !is_source || open.tell_synced && (is_source || open.check) {
        return Err(unknown("use of a state"));
    }
    if !is_segment(u64::from(open.segment)) {
        return Err(unknown("segment"));
    }
    let path = Path::new(OsStr::from_bytes(&open.path));
    args.admit(path, &open)?;
    let named = Named::open(&below_home(path))?;
    args.admit_real(&named)?;
    let live = Live::start(Mode::Off);
    let segment = u64::from(open.segment);
    link.take_segments(segment);
    let terms = |layout: Layout, sink_is_zero: bool| Terms {
        layout,
        digester: salts.digester(hash, open.server_is),
        sink_is_zero,
        check: open.check,
        verify: open.verify,
    };
    match open.server_is {
        Role::Source => {
            let reader = Arc::new(Reader::open(&named, true)?);
            args.admit_size(path, reader.size())?;
            refuse_same(path, reader.identity()?, open.identity)?;
            let identity = reader.identity()?;
            link.send(Message::Ready(Ready {
                size: reader.size(),
                is_zero: false,
                identity,
            }));
            let mut layout = Layout::whole(reader.size(), segment);
            if open.has_later {
                let later = session::take_later(link, reader.size(), segment)?;
                layout = layout.leave_for_last(&later);
            }
            session::send_plan(link, &layout);
            let terms = terms(layout, open.is_zero);
            session::send(link, &reader, &terms, None, &live, None)?;
        }
        Role::Sink => {
            args.admit_size(path, open.size)?;
            let target = open_target(&named, rule, open.size, open.check, open.forced)?;
            let mut target = target;
            let identity = target.reader.identity()?;
            refuse_same(path, identity, open.identity)?;
            let is_zero = !open.check && target.prepare(rule, open.size)?;
            link.send(Message::Ready(Ready {
                size: target.reader.size(),
                is_zero,
                identity,
            }));
            let layout = session::take_plan(link, open.size, segment)?;
            let terms = terms(layout, is_zero);
            let synced = match open.tell_synced {
                true => Synced::Peer,
                false => Synced::Nobody,
            };
            let (_, mut digests) =
                session::receive(link, &mut target, &terms, open.session, &live, synced)?;
            while open.session && link.is_wanted_again()? {
                again::receive(link, &mut target, &terms, &mut digests)?;
            }
        }
    }
    Ok(())
}

/// Opens a destination for `size` bytes. Nothing is changed yet.
pub(crate) fn open_target(
    named: &Named,
    rule: SizeRule,
    size: u64,
    check: bool,
    forced: Forced,
) -> Result<Target, Error> {
    let reader = Reader::open(named, false)?;
    let rule = match rule {
        // To check is not to make longer or shorter.
        SizeRule::Grow if check => SizeRule::Exact,
        rule => rule,
    };
    rule.check(named.path(), reader.kind(), reader.size(), size)?;
    let writer = if check {
        None
    } else {
        Some(Writer::open(named, forced)?)
    };
    Ok(Target {
        reader: Arc::new(reader),
        writer,
    })
}

impl Target {
    /// Gives a file that may grow its size. Returns whether it is known to be zero.
    pub(crate) fn prepare(&self, rule: SizeRule, size: u64) -> Result<bool, Error> {
        if let (Some(writer), SizeRule::Grow) = (&self.writer, rule) {
            writer.resize(size)?;
        }
        Ok(self.reader.is_empty(size))
    }
}

/// One object under two names is not synchronised.
pub(crate) fn refuse_same(path: &Path, one: [u8; 32], other: [u8; 32]) -> Result<(), Error> {
    if one == other {
        let path = cli::diag::name(path);
        return Err(Error::Refused(format!(
            "{path}: source and destination are the same"
        )));
    }
    Ok(())
}

impl ServerArgs {
    /// Refuses what the command line of the server does not allow.
    fn admit(&self, path: &Path, open: &Open) -> Result<(), Error> {
        let refuse = |why: &str| {
            Err(Error::Refused(format!(
                "{}: {why} not allowed here",
                cli::diag::name(path)
            )))
        };
        if self.read_only && open.server_is == Role::Sink && !open.check {
            return refuse("writing is");
        }
        if self.write_only && (open.server_is == Role::Source || open.check) {
            return refuse("reading is");
        }
        if open.forced.any() && self.is_restricted() {
            return refuse("--force is");
        }
        if !self.only.is_empty() {
            let is_plain = path.is_absolute()
                && !path
                    .components()
                    .any(|c| matches!(c, Component::ParentDir | Component::CurDir));
            if !is_plain || !self.only.iter().any(|pattern| matches(pattern, &open.path)) {
                return refuse("this path is");
            }
        } else if let Some(only) = &self.path
            && only.as_path() != path
        {
            return refuse("another path is");
        }
        Ok(())
    }

    /// A name that is allowed may be a link to one that is not. What is asked is the object that the
    /// name was found to be, and not the name once more, which may mean another one by now.
    fn admit_real(&self, named: &Named) -> Result<(), Error> {
        if self.only.is_empty() {
            return Ok(());
        }
        let (path, real) = (named.path(), named.real()?);
        let bytes = real.as_os_str().as_bytes();
        let is_allowed = || self.only.iter().any(|pattern| matches(pattern, bytes));
        if real != path && !is_allowed() && !(named.is_block() && is_device_name(path, &real)) {
            let path = cli::diag::name(path);
            return Err(Error::Refused(format!(
                "{path}: a link is not allowed here"
            )));
        }
        Ok(())
    }

    fn admit_size(&self, path: &Path, size: u64) -> Result<(), Error> {
        if self.max_size.is_some_and(|max| size > max) {
            let path = cli::diag::name(path);
            return Err(Error::Refused(format!("{path}: larger than allowed here")));
        }
        Ok(())
    }

    fn is_restricted(&self) -> bool {
        !self.only.is_empty() || self.read_only || self.write_only || self.max_size.is_some()
    }
}

/// Whether a link to a block device is a name of it, as volumes have theirs in `/dev/VG`. Only root
/// makes names in `/dev`, except in its folder for shared memory and in that for message queues.
fn is_device_name(path: &Path, real: &Path) -> bool {
    let is_of_root = |path: &Path| {
        let is_open = path.starts_with("/dev/shm") || path.starts_with("/dev/mqueue");
        path.starts_with("/dev") && !is_open
    };
    is_of_root(path) && is_of_root(real)
}

/// `~/NAME` as a shell would take it. The client puts its path into quotes, so that no shell takes
/// anything else in it for its own.
fn below_home(path: &Path) -> PathBuf {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => Path::new(&home).join(rest),
        _ => path.to_owned(),
    }
}

/// Whether a path has the form of a pattern: `*` stands for any bytes but `/`, `?` for one.
fn matches(pattern: &OsStr, path: &[u8]) -> bool {
    let pattern = pattern.as_bytes();
    let (mut p, mut s) = (0, 0);
    // The last star, and where its bytes end so far: the only place to come back to, since a star
    // before it may as well stay as short as it is.
    let mut star: Option<(usize, usize)> = None;
    while s < path.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, s));
                p += 1;
                continue;
            }
            Some(c) if *c == path[s] || (*c == b'?' && path[s] != b'/') => {
                p += 1;
                s += 1;
                continue;
            }
            _ => {}
        }
        match star {
            Some((at, end)) if path[end] != b'/' => {
                star = Some((at, end + 1));
                p = at + 1;
                s = end + 1;
            }
            _ => return false,
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

/// Says what went wrong where the client cannot be told.
pub(crate) fn report(error: &Error) {
    if matches!(error, Error::Connection(_)) {
        cli::diag::report(TOOL, format_args!("server: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let yes = [
            ("/dev/vg0/bk-*", "/dev/vg0/bk-root"),
            ("/dev/vg0/bk-*", "/dev/vg0/bk-"),
            ("/a/*/c?", "/a/b/cd"),
            ("*x*y", "axbxcy"),
            ("/a", "/a"),
        ];
        let no = [
            ("/dev/vg0/bk-*", "/dev/vg0/bk-a/../../sda"),
            ("/dev/vg0/bk-*", "/dev/vg0/root"),
            ("/a/*/c", "/a/b/x/c"),
            ("/a?b", "/a/b"),
            ("/a", "/ab"),
            ("", "/a"),
        ];
        for (pattern, path) in yes {
            assert!(
                matches(OsStr::new(pattern), path.as_bytes()),
                "{pattern} {path}"
            );
        }
        for (pattern, path) in no {
            assert!(
                !matches(OsStr::new(pattern), path.as_bytes()),
                "{pattern} {path}"
            );
        }
        let many = "*a".repeat(30);
        assert!(!matches(OsStr::new(&many), "a".repeat(29).as_bytes()));
    }
}
