//! The command line.

use crate::passes::Blocksync;
use crate::plan::{Mode, Wishes};
use crate::shell::Reach;
use cli::progress;
use lexopt::prelude::*;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) const HELP: &str = "\
Usage: xen-migrate [OPTION]... DOMAIN [USER@]HOST
       xen-migrate [OPTION]... --status [DOMAIN [[USER@]HOST]]
       xen-migrate [OPTION]... --recover DOMAIN [[USER@]HOST]
Move a running Xen domain with its local disks to another host.

  -n, --dry-run              only check both hosts and print the plan
      --mode=MODE            live, save, or auto (default): live where the domain and Xen can
      --map=SOURCE=TARGET    the disk SOURCE has the path TARGET there; may be given again
      --shared=PATH          both hosts share this disk: do not copy it; may be given again
      --create               make volumes that are missing at the target
      --copy-read-only       copy CD-ROMs and disks that the domain cannot write to, too
      --max-passes=N         copy the disks at most N times before the domain is stopped
                             (default: 5)
      --max-downtime=SECONDS  stop copying beforehand when a pass takes no longer (default: 1)
      --remove-source        remove the source's volumes when the domain has moved
      --status               tell what became of migrations that did not end
      --recover              bring a migration that did not end to one running copy
      --ssh-option=OPTION    give ssh the option -o OPTION; may be given again
      --rsh=COMMAND          reach the other host by this command instead of ssh
      --sudo                 become root at the other host by sudo -n
      --blocksync=NAME       run this program here instead of blocksync
      --remote-blocksync=NAME  run this program there instead of blocksync
      --json                 print the result as JSON on standard output
      --progress             show progress without a terminal too
  -q, --quiet                print no result
  -v, --verbose              tell each step on standard error
  -h, --help                 print this help
  -V, --version              print the version
";

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Request {
    Migrate(Args),
    /// Of all domains, if none is named.
    Status(Args),
    Recover(Args),
    /// What `xl migrate` runs: the socket, and the words of the command at the target.
    Transport(PathBuf, Vec<String>),
    Help,
    Version,
}

/// Options and operands.
#[derive(Debug)]
pub(crate) struct Args {
    /// Empty only with `--status`.
    pub(crate) domain: String,
    /// As ssh takes it; empty if it is not given, where it need not be.
    pub(crate) host: String,
    pub(crate) dry_run: bool,
    pub(crate) wishes: Wishes,
    pub(crate) max_passes: usize,
    pub(crate) max_downtime: Duration,
    pub(crate) remove_source: bool,
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    pub(crate) verbose: bool,
    always_progress: bool,
    rsh: Option<String>,
    ssh_options: Vec<String>,
    sudo: bool,
    blocksync: Blocksync,
}

impl Args {
    /// This host.
    pub(crate) fn source(&self) -> Reach {
        Reach {
            name: "here".to_owned(),
            words: Vec::new(),
            sudo: false,
        }
    }

    /// The other host, as the operand names it.
    pub(crate) fn target(&self) -> Reach {
        self.reach(&self.host)
    }

    /// Another host.
    pub(crate) fn reach(&self, host: &str) -> Reach {
        let mut words: Vec<String> = match &self.rsh {
            Some(rsh) => rsh.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect(),
            // Nobody is there to be asked, and a connection that hangs has to end.
            None => "ssh -o BatchMode=yes -o ConnectTimeout=60 -o ServerAliveInterval=15 -o ServerAliveCountMax=4"
                .split(' ')
                .map(str::to_owned)
                .collect(),
        };
        for option in &self.ssh_options {
            words.extend(["-o".to_owned(), option.clone()]);
        }
        words.push(host.to_owned());
        Reach {
            name: host.to_owned(),
            words,
            sudo: self.sudo,
        }
    }

    /// How blocksync is run here and there.
    pub(crate) fn blocksync(&self) -> Blocksync {
        self.blocksync.clone()
    }

    /// How progress is shown.
    pub(crate) fn progress(&self) -> progress::Mode {
        match (self.always_progress, self.quiet) {
            (true, _) => progress::Mode::Always,
            (false, true) => progress::Mode::Off,
            (false, false) => progress::Mode::Auto,
        }
    }
}

/// Parses the arguments, without the program's name. The error is a message for `cli::diag::usage`.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Request, String> {
    let mut parser = lexopt::Parser::from_args(args);
    parser.set_short_equals(false);
    let message = |error: lexopt::Error| error.to_string();
    let mut operands: Vec<String> = Vec::new();
    let (mut status, mut recover) = (false, false);
    let mut args = Args {
        domain: String::new(),
        host: String::new(),
        dry_run: false,
        wishes: Wishes::default(),
        max_passes: 5,
        max_downtime: Duration::from_secs(1),
        remove_source: false,
        json: false,
        quiet: false,
        verbose: false,
        always_progress: false,
        rsh: None,
        ssh_options: Vec::new(),
        sudo: false,
        blocksync: Blocksync {
            here: "blocksync".to_owned(),
            there: "blocksync".to_owned(),
        },
    };
    while let Some(arg) = parser.next().map_err(message)? {
        match arg {
            Short('n') | Long("dry-run") => args.dry_run = true,
            Long("mode") => args.wishes.mode = mode(&text(&mut parser, "--mode")?)?,
            Long("map") => {
                let value = text(&mut parser, "--map")?;
                args.wishes.map.push(map(&value)?);
            }
            Long("shared") => args.wishes.shared.push(text(&mut parser, "--shared")?),
            Long("create") => args.wishes.create = true,
            Long("copy-read-only") => args.wishes.copy_read_only = true,
            Long("max-passes") => {
                let value = text(&mut parser, "--max-passes")?;
                let number = value.parse().ok().filter(|number| *number >= 1);
                args.max_passes = number
                    .ok_or_else(|| format!("--max-passes: '{value}': not a number from 1 on"))?;
            }
            Long("max-downtime") => {
                let value = text(&mut parser, "--max-downtime")?;
                let seconds = value
                    .parse()
                    .ok()
                    .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                args.max_downtime = seconds
                    .ok_or_else(|| format!("--max-downtime: '{value}': not a time in seconds"))?;
            }
            Long("remove-source") => args.remove_source = true,
            Long("status") => status = true,
            Long("recover") => recover = true,
            Long("ssh-option") => {
                let option = text(&mut parser, "--ssh-option")?;
                if option.contains(' ') {
                    return Err(format!(
                        "--ssh-option: '{option}': write it with = in place of blanks"
                    ));
                }
                args.ssh_options.push(option);
            }
            Long("rsh") => {
                let command = text(&mut parser, "--rsh")?;
                if command.trim().is_empty() {
                    return Err("--rsh: empty".to_owned());
                }
                args.rsh = Some(command);
            }
            Long("sudo") => args.sudo = true,
            Long("blocksync") => args.blocksync.here = text(&mut parser, "--blocksync")?,
            Long("remote-blocksync") => {
                args.blocksync.there = text(&mut parser, "--remote-blocksync")?
            }
            Long("json") => args.json = true,
            Long("progress") => args.always_progress = true,
            Short('q') | Long("quiet") => args.quiet = true,
            Short('v') | Long("verbose") => args.verbose = true,
            Short('h') | Long("help") => return Ok(Request::Help),
            Short('V') | Long("version") => return Ok(Request::Version),
            Value(value) => {
                operands.push(utf8(value)?);
                // A domain may be called so, too.
                let by_xl = std::env::var_os(crate::memory::NAMED).is_some();
                if by_xl && operands[0] == "transport" && operands.len() == 1 {
                    return transport(&mut parser);
                }
            }
            other => return Err(other.unexpected().to_string()),
        }
    }
    if status && recover {
        return Err("--status and --recover exclude each other".to_owned());
    }
    let mut operands = operands.into_iter();
    args.domain = operands.next().unwrap_or_default();
    args.host = operands.next().unwrap_or_default();
    if let Some(extra) = operands.next() {
        return Err(format!("extra operand '{}'", cli::diag::name(&extra)));
    }
    if args.domain.is_empty() && !status {
        return Err("missing domain".to_owned());
    }
    if args.host.is_empty() && !status && !recover {
        return Err("missing host".to_owned());
    }
    if args.host.starts_with('-') || args.host.contains([' ', ':', '/', '\'']) {
        return Err(format!("'{}': not a host", cli::diag::name(&args.host)));
    }
    Ok(match (status, recover) {
        (true, _) => Request::Status(args),
        (_, true) => Request::Recover(args),
        _ => Request::Migrate(args),
    })
}

/// `transport SOCKET HOST WORD...`: as [`crate::toolstack::migrate`] and xl make it. xl's host is none:
/// the socket tells the real one.
fn transport(parser: &mut lexopt::Parser) -> Result<Request, String> {
    let rest = parser.raw_args().map_err(|error| error.to_string())?;
    let mut words = rest.map(utf8).collect::<Result<Vec<_>, _>>()?.into_iter();
    match (words.next(), words.next()) {
        (Some(socket), Some(_host)) => Ok(Request::Transport(socket.into(), words.collect())),
        _ => Err("transport: it is run by xl migrate".to_owned()),
    }
}

fn text(parser: &mut lexopt::Parser, option: &str) -> Result<String, String> {
    let value = parser.value().map_err(|error| error.to_string())?;
    utf8(value).map_err(|why| format!("{option}: {why}"))
}

fn utf8(value: OsString) -> Result<String, String> {
    value.into_string().map_err(|value| {
        format!(
            "'{}': not UTF-8, as xl's configuration is",
            cli::diag::name(&value)
        )
    })
}

/// `SOURCE=TARGET`. A `=` may be in both: the target begins at the first one before a `/`.
fn map(value: &str) -> Result<(String, String), String> {
    match value.split_once("=/") {
        Some((source, target)) if source.starts_with('/') => {
            Ok((source.to_owned(), format!("/{target}")))
        }
        _ if value.contains('=') => Err("--map: both paths must be absolute".to_owned()),
        _ => Err("--map: it takes SOURCE=TARGET".to_owned()),
    }
}

fn mode(word: &str) -> Result<Option<Mode>, String> {
    match word {
        "live" => Ok(Some(Mode::Live)),
        "save" => Ok(Some(Mode::Save)),
        "auto" => Ok(None),
        _ => Err(format!(
            "--mode: '{}': not live, save or auto",
            cli::diag::name(word)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps() {
        let pair = |a: &str, b: &str| Ok((a.to_owned(), b.to_owned()));
        assert_eq!(map("/dev/a=/dev/b"), pair("/dev/a", "/dev/b"));
        assert_eq!(map("/srv/a=1 b=/srv/c=d"), pair("/srv/a=1 b", "/srv/c=d"));
        for bad in ["/a", "/a=b", "a=/b", "=/b", ""] {
            assert!(map(bad).is_err(), "{bad}");
        }
    }
}
