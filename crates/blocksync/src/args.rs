//! The command line, of the client and of the server.

use crate::layout::Hash;
use crate::message::Forced;
use crate::object::SizeRule;
use cli::progress;
use lexopt::prelude::*;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) const HELP: &str = "\
Usage: blocksync [OPTION]... SOURCE [USER@]HOST[:DESTINATION]
       blocksync [OPTION]... [USER@]HOST:SOURCE [DESTINATION]
       blocksync [OPTION]... SOURCE DESTINATION
       blocksync server [OPTION]... [PATH]
Make a block device or image equal to another one, moving only what differs.
A path that is left out at one side is the same as at the other side.

  -b, --block-size=SIZE      compare segments of this size: 64K to 16M (default: by size)
      --hash=NAME            make digests with blake3 (default) or sha256
      --size=RULE            take a destination of the exact size (default), of at least
                             the size (min), or make a file longer or shorter (grow)
  -n, --check                only tell whether they differ; status 1 if so
      --dry-run              the same as --check
      --verify               read what was written again, past the cache
      --session              push: then read lines 'again' (one more pass, in which only the
                             source is read) and 'end' from standard input
      --ranges=FILE          compare only these bytes of a source at this host: lines
                             'offset length'; the rest is taken for equal
      --state=FILE           keep in FILE what is finished; a run that broke off goes on there
      --force-mounted        write to a destination with a mounted file system
      --force-swap           write to a destination that is swapped to
      --force-held           write to a destination that another device or program holds
  -f, --force                all three
      --rsh=COMMAND          reach the other host by this command (default: ssh)
      --remote-command=NAME  run this program there (default: blocksync)
      --retry=N              connect again up to N times when the connection breaks
      --timeout=SECONDS      give up when the other side is silent (default: 120)
      --json                 print the result as JSON on standard output
      --progress[=FD]        show progress without a terminal too, or write it to descriptor FD
  -q, --quiet                print no result
      --only=PATTERN         server: serve paths of this form only; * and ? do not match /
      --read-only            server: refuse to be written
      --write-only           server: refuse to be read
      --max-size=SIZE        server: refuse larger objects
  -h, --help                 print this help
  -V, --version              print the version

SIZE is a number of bytes, also with a suffix: 64K, 1M, 1G (1024), 1MB (1000).
";

/// How long a side may be silent, if nothing else is asked for.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(120);

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Request {
    Sync(Box<Args>),
    Serve(ServerArgs),
    Help,
    Version,
}

/// Where an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Local(PathBuf),
    Remote(Remote),
}

/// An object at another host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remote {
    /// With the user, if one was given: as the transport takes it.
    pub(crate) host: OsString,
    /// `None` for the same path as at this side.
    pub(crate) path: Option<PathBuf>,
}

/// A run of the client. Exactly one of the places may be remote.
#[derive(Debug)]
pub(crate) struct Args {
    pub(crate) source: Place,
    pub(crate) destination: Place,
    /// Bytes of a segment; `None` for what suits the size.
    pub(crate) segment: Option<u64>,
    pub(crate) hash: Hash,
    pub(crate) size_rule: SizeRule,
    pub(crate) check: bool,
    pub(crate) verify: bool,
    pub(crate) ranges: Option<PathBuf>,
    pub(crate) session: bool,
    pub(crate) state: Option<PathBuf>,
    pub(crate) forced: Forced,
    pub(crate) retry: u32,
    pub(crate) rsh: OsString,
    pub(crate) remote_command: OsString,
    pub(crate) timeout: Duration,
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    pub(crate) progress: progress::Mode,
}

/// What a server allows.
#[derive(Debug)]
pub(crate) struct ServerArgs {
    pub(crate) path: Option<PathBuf>,
    pub(crate) only: Vec<OsString>,
    pub(crate) read_only: bool,
    pub(crate) write_only: bool,
    pub(crate) max_size: Option<u64>,
    pub(crate) timeout: Duration,
}

/// Parses the arguments, without the program's name. The error is a message for `cli::diag::usage`.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Request, String> {
    let mut operands: Vec<OsString> = Vec::new();
    let mut sync = Args {
        source: Place::Local(PathBuf::new()),
        destination: Place::Local(PathBuf::new()),
        segment: None,
        hash: Hash::Blake3,
        size_rule: SizeRule::Exact,
        check: false,
        verify: false,
        ranges: None,
        session: false,
        state: None,
        forced: Forced::default(),
        retry: 0,
        rsh: "ssh".into(),
        remote_command: "blocksync".into(),
        timeout: TIMEOUT,
        json: false,
        quiet: false,
        progress: progress::Mode::Auto,
    };
    let mut server = ServerArgs {
        path: None,
        only: Vec::new(),
        read_only: false,
        write_only: false,
        max_size: None,
        timeout: sync.timeout,
    };
    let mut parser = lexopt::Parser::from_args(args);
    parser.set_short_equals(false);
    let message = |error: lexopt::Error| error.to_string();
    while let Some(arg) = parser.next().map_err(message)? {
        match arg {
            Short('b') | Long("block-size") => {
                let value = parser.value().map_err(message)?;
                let size = parse_size(&value)?;
                sync.segment = Some(size);
                if !crate::server::is_segment(size) {
                    let value = cli::diag::name(&value).to_string();
                    return Err(format!(
                        "--block-size {value}: not a power of two from 64K to 16M"
                    ));
                }
            }
            Long("hash") => {
                let value = parser.value().map_err(message)?;
                sync.hash = match value.as_bytes() {
                    b"blake3" => Hash::Blake3,
                    b"sha256" => Hash::Sha256,
                    _ => return Err(format!("--hash {}: unknown", cli::diag::name(&value))),
                };
            }
            Long("size") => {
                let value = parser.value().map_err(message)?;
                sync.size_rule = match value.as_bytes() {
                    b"exact" => SizeRule::Exact,
                    b"min" => SizeRule::Min,
                    b"grow" => SizeRule::Grow,
                    _ => return Err(format!("--size {}: unknown", cli::diag::name(&value))),
                };
            }
            Short('n') | Long("check") => sync.check = true,
            Long("dry-run") => sync.check = true,
            Long("verify") => sync.verify = true,
            Long("session") => sync.session = true,
            Long("ranges") => sync.ranges = Some(parser.value().map_err(message)?.into()),
            Long("retry") => {
                let value = parser.value().map_err(message)?;
                let number = value.to_str().and_then(|text| text.parse().ok());
                let value = cli::diag::name(&value).to_string();
                sync.retry = number.ok_or(format!("--retry {value}: not a number"))?;
            }
            Long("state") => sync.state = Some(parser.value().map_err(message)?.into()),
            Long("force-mounted") => sync.forced.mounted = true,
            Long("force-swap") => sync.forced.swap = true,
            Long("force-held") => sync.forced.held = true,
            Short('f') | Long("force") => sync.forced = Forced::ALL,
            Long("rsh") => sync.rsh = parser.value().map_err(message)?,
            Long("remote-command") => sync.remote_command = parser.value().map_err(message)?,
            Long("timeout") => {
                let value = parser.value().map_err(message)?;
                let seconds = value
                    .to_str()
                    .and_then(|text| text.parse().ok())
                    .filter(|s| *s > 0);
                let value = cli::diag::name(&value).to_string();
                let seconds =
                    seconds.ok_or(format!("--timeout {value}: not a number of seconds"))?;
                sync.timeout = Duration::from_secs(seconds);
            }
            Long("json") => sync.json = true,
            Long("progress") => {
                let fd = parser.optional_value();
                sync.progress =
                    progress::mode(fd.as_deref()).map_err(|why| format!("--progress: {why}"))?;
            }
            Short('q') | Long("quiet") => sync.quiet = true,
            Long("only") => server.only.push(parser.value().map_err(message)?),
            Long("read-only") => server.read_only = true,
            Long("write-only") => server.write_only = true,
            Long("max-size") => {
                server.max_size = Some(parse_size(&parser.value().map_err(message)?)?);
            }
            Short('h') | Long("help") => return Ok(Request::Help),
            Short('V') | Long("version") => return Ok(Request::Version),
            Value(operand) => operands.push(operand),
            other => return Err(message(other.unexpected())),
        }
    }
    let is_server = operands.first().is_some_and(|first| first == "server");
    let most = 2;
    if let Some(extra) = operands.get(most) {
        return Err(format!("{}: one operand too many", cli::diag::name(extra)));
    }
    if is_server {
        server.path = operands.into_iter().nth(1).map(PathBuf::from);
        server.timeout = sync.timeout;
        return Ok(Request::Serve(server));
    }
    let restricts = !server.only.is_empty() || server.read_only || server.write_only;
    if restricts || server.max_size.is_some() {
        return Err(
            "--only, --read-only, --write-only and --max-size are for the server".to_owned(),
        );
    }
    places(&mut sync, operands)?;
    Ok(Request::Sync(Box::new(sync)))
}

fn places(sync: &mut Args, operands: Vec<OsString>) -> Result<(), String> {
    let mut operands = operands.into_iter();
    let first = operands.next().ok_or("no source given")?;
    sync.source = place(&first, false)?;
    sync.destination = match (operands.next(), &sync.source) {
        (Some(second), _) => place(&second, matches!(sync.source, Place::Local(_)))?,
        (
            None,
            Place::Remote(Remote {
                path: Some(path), ..
            }),
        ) => Place::Local(path.clone()),
        (None, _) => return Err("no destination given".to_owned()),
    };
    match (&sync.source, &sync.destination) {
        (Place::Remote(_), Place::Remote(_)) => {
            Err("one of the two must be at this host".to_owned())
        }
        (Place::Remote(_), _) if sync.session => {
            Err("--session needs the source at this host".to_owned())
        }
        _ if sync.session && sync.check => {
            Err("--session and --check exclude each other".to_owned())
        }
        _ if sync.state.is_some() && sync.check => {
            Err("--state and --check exclude each other".to_owned())
        }
        _ if sync.session && sync.ranges.as_deref() == Some(Path::new("-")) => {
            Err("--session and --ranges=- both read standard input".to_owned())
        }
        (Place::Remote(_), _) if sync.ranges.is_some() => {
            Err("--ranges needs the source at this host".to_owned())
        }
        (Place::Remote(Remote { path: None, .. }), Place::Local(_)) => {
            Err(format!("{}: no path given", cli::diag::name(&first)))
        }
        _ => Ok(()),
    }
}

/// An operand with a colon before any slash is at another host, as ssh's and rsync's are. So is
/// (with `bare_host`) a word without slashes that is no file here. An address of IPv6 is in brackets.
fn place(operand: &OsStr, bare_host: bool) -> Result<Place, String> {
    let bytes = operand.as_bytes();
    let first_slash = bytes.iter().position(|b| *b == b'/').unwrap_or(bytes.len());
    let is_bare = || bare_host && first_slash == bytes.len() && !Path::new(operand).exists();
    let head = &bytes[..first_slash];
    let (host, path) = match bracketed(head) {
        Some((host, end)) if head.get(end) == Some(&b':') => (host, Some(&bytes[end + 1..])),
        Some((host, end)) if end == bytes.len() && is_bare() => (host, None),
        _ => match head.iter().position(|b| *b == b':') {
            Some(colon) => (bytes[..colon].to_vec(), Some(&bytes[colon + 1..])),
            None if is_bare() => (bytes.to_vec(), None),
            None => return Ok(Place::Local(operand.into())),
        },
    };
    // It would be an option to the transport.
    if host.is_empty() || host.starts_with(b"-") {
        return Err(format!("{}: not a host", cli::diag::name(operand)));
    }
    let path = path.filter(|path| !path.is_empty());
    Ok(Place::Remote(Remote {
        host: OsString::from_vec(host),
        path: path.map(|path| PathBuf::from(OsStr::from_bytes(path))),
    }))
}

/// `[user@]HOST` of what begins with `[user@][HOST]`, and where that ends.
fn bracketed(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let start = bytes.iter().position(|b| *b == b'[')?;
    let end = start + bytes[start..].iter().position(|b| *b == b']')?;
    let (user, host) = (&bytes[..start], &bytes[start + 1..end]);
    let is_user = user.is_empty() || (user.ends_with(b"@") && !user.contains(&b':'));
    (is_user && !host.is_empty()).then(|| ([user, host].concat(), end + 1))
}

fn parse_size(value: &OsStr) -> Result<u64, String> {
    cli::size::parse(value).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sync(line: &str) -> Result<Args, String> {
        match parse(line.split(' ').map(OsString::from))? {
            Request::Sync(args) => Ok(*args),
            other => panic!("{other:?}"),
        }
    }

    fn remote(host: &str, path: Option<&str>) -> Place {
        Place::Remote(Remote {
            host: host.into(),
            path: path.map(PathBuf::from),
        })
    }

    #[test]
    fn places_of_both_sides() {
        let local = |path: &str| Place::Local(path.into());
        for (line, source, destination) in [
            ("/dev/a h", local("/dev/a"), remote("h", None)),
            ("/dev/a u@h:", local("/dev/a"), remote("u@h", None)),
            ("/dev/a h:/b:c", local("/dev/a"), remote("h", Some("/b:c"))),
            ("h:/dev/a", remote("h", Some("/dev/a")), local("/dev/a")),
            ("h:/dev/a b", remote("h", Some("/dev/a")), local("b")),
            ("a ./b:c", local("a"), local("./b:c")),
            ("a [fe80::1]:/b", local("a"), remote("fe80::1", Some("/b"))),
            ("a u@[::1]:b:c", local("a"), remote("u@::1", Some("b:c"))),
            ("/a u@[::1]", local("/a"), remote("u@::1", None)),
            ("/a x[1]:b", local("/a"), remote("x[1]", Some("b"))),
            ("a /tmp", local("a"), local("/tmp")),
        ] {
            let args = sync(line).unwrap();
            assert_eq!(
                (args.source, args.destination),
                (source, destination),
                "{line}"
            );
        }
    }

    #[test]
    fn what_is_refused() {
        for (line, why) in [
            ("a", "no destination given"),
            ("h:a g:b", "one of the two must be at this host"),
            ("h: b", "h:: no path given"),
            ("a :b", ":b: not a host"),
            ("-- a -oProxyCommand=x:b", "-oProxyCommand=x:b: not a host"),
            ("a b c", "c: one operand too many"),
            (
                "a b -b 3M",
                "--block-size 3M: not a power of two from 64K to 16M",
            ),
            (
                "a b --only=x",
                "--only, --read-only, --write-only and --max-size are for the server",
            ),
            ("a b --timeout 0", "--timeout 0: not a number of seconds"),
        ] {
            assert_eq!(sync(line).unwrap_err(), why, "{line}");
        }
    }

    #[test]
    fn a_server() {
        let words = [
            "server",
            "/dev/x",
            "-b",
            "1048576",
            "--only",
            "/dev/*",
            "--write-only",
        ];
        let Ok(Request::Serve(args)) = parse(words.map(OsString::from)) else {
            panic!()
        };
        assert_eq!(args.path, Some("/dev/x".into()));
        assert!(args.write_only && args.only == ["/dev/*"]);
    }
}
