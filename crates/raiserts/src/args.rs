//! The command line.

use lexopt::prelude::*;
use ptt::{Line, Locking, Output, Setup, Times};
use std::ffi::{OsStr, OsString};

/// What `--help` prints, and the one list of options: the man page and completions follow it.
pub(crate) const HELP: &str = "\
Usage: raiserts [OPTION]... DEVICE COMMAND
  or:  raiserts [OPTION]... DEVICE [--] PROGRAM [ARG]...
  or:  raiserts --list
Keys the transmitter at DEVICE while COMMAND runs: raises RTS, keeps DTR low.
However raiserts ends, the transmitter is released.

  -l, --line=LINE        the line that keys: rts, dtr or both (default rts)
  -i, --invert           the line is low while keyed, and high otherwise
      --cm108[=GPIO]     key with a pin (1 to 8, default 3) of a CM108 sound chip:
                         DEVICE is its hidraw device or its sound card
      --lead=MS          be keyed so many milliseconds before COMMAND starts
      --tail=MS          stay keyed so many milliseconds after its end
  -T, --timeout=SECONDS  release and end after so long (default 180; 0 never)
  -c, --command=STRING   the command for sh, in place of COMMAND
      --quiet-open       leave the port at speed 0, where opening it keys nothing
      --lock             fail where no UUCP lock file can be made
      --no-lock          neither look for locks nor make them
  -f, --force            use a device that is not safe or not known
      --list             list the devices that may key, and exit
  -h, --help             print this help
  -V, --version          print the version

One COMMAND goes to sh -c; a PROGRAM with ARGs, or after --, is run directly.
The exit status is that of the command; 124 after a time-out, 125 when raiserts
itself fails, 126 or 127 when the command cannot be run or found.
";

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Request {
    Transmit(Args),
    List,
    Help,
    Version,
}

/// A transmission.
#[derive(Debug)]
pub(crate) struct Args {
    pub(crate) setup: Setup,
    pub(crate) times: Times,
    /// The program and its arguments: at least one word.
    pub(crate) command: Vec<OsString>,
}

/// Parses the arguments, without the program's name. The error is a message for `cli::diag::usage`.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Request, String> {
    let mut setup = Setup::new("");
    let mut times = Times::default();
    let (mut device, mut line, mut cm108) = (None, None, None);
    let (mut string, mut list) = (None, false);
    let mut command = Vec::new();
    let mut is_direct = false;
    let text = |error: lexopt::Error| error.to_string();
    let mut parser = lexopt::Parser::from_args(args);
    parser.set_short_equals(false);
    loop {
        if device.is_some()
            && let Some(mut rest) = parser.try_raw_args()
            && rest.next_if(|word| word == "--").is_some()
        {
            is_direct = true;
            command.extend(rest);
            break;
        }
        let Some(arg) = parser.next().map_err(text)? else {
            break;
        };
        match arg {
            Short('l') | Long("line") => line = Some(of("--line", parser.value(), Line::parse)?),
            Short('i') | Long("invert") => setup.invert = true,
            Long("cm108") => {
                cm108 = Some(match parser.optional_value() {
                    None => Output::CM108,
                    Some(gpio) => Output::cm108(&gpio).map_err(|why| format!("--cm108 {why}"))?,
                });
            }
            Long("lead") => times.lead = of("--lead", parser.value(), Times::milliseconds)?,
            Long("tail") => times.tail = of("--tail", parser.value(), Times::milliseconds)?,
            Short('T') | Long("timeout") => {
                times.timeout = of("--timeout", parser.value(), Times::timeout)?;
            }
            Short('c') | Long("command") => string = Some(parser.value().map_err(text)?),
            Long("quiet-open") => setup.quiet_open = true,
            Long("lock") => setup.locking = Locking::Required,
            Long("no-lock") => setup.locking = Locking::Off,
            Short('f') | Long("force") => setup.force = true,
            Long("list") => list = true,
            Short('h') | Long("help") => return Ok(Request::Help),
            Short('V') | Long("version") => return Ok(Request::Version),
            Value(operand) if device.is_none() => device = Some(operand),
            // What follows is the command's, options too.
            Value(operand) => {
                command.push(operand);
                command.extend(parser.raw_args().map_err(text)?);
                break;
            }
            other => return Err(text(other.unexpected())),
        }
    }
    if list {
        return match device {
            Some(extra) => Err(format!(
                "{}: --list takes no operands",
                cli::diag::name(&extra)
            )),
            None => Ok(Request::List),
        };
    }
    setup.device = device.ok_or("no device given")?.into();
    setup.timeout = times.timeout;
    setup.output = match (line, cm108) {
        (Some(_), Some(_)) => return Err("--line and --cm108 exclude each other".into()),
        (None, Some(pin)) => pin,
        (line, None) => Output::Serial(line.unwrap_or(Line::Rts)),
    };
    if setup.quiet_open && setup.invert {
        return Err(
            "--quiet-open and --invert exclude each other: speed 0 holds the line low".into(),
        );
    }
    if setup.quiet_open && cm108.is_some() {
        return Err("--quiet-open and --cm108 exclude each other".into());
    }
    Ok(Request::Transmit(Args {
        setup,
        times,
        command: words(string, command, is_direct)?,
    }))
}

/// The words to run: `sh -c` and one of them, or all of them.
fn words(
    string: Option<OsString>,
    command: Vec<OsString>,
    is_direct: bool,
) -> Result<Vec<OsString>, String> {
    let shell = |string| vec!["/bin/sh".into(), "-c".into(), string];
    match (string, &command[..]) {
        (Some(_), [extra, ..]) => Err(format!(
            "{}: --command takes the place of operands",
            cli::diag::name(extra)
        )),
        (Some(string), []) => Ok(shell(string)),
        (None, []) => Err("no command given".to_owned()),
        (None, [string]) if !is_direct => Ok(shell(string.clone())),
        (None, _) => Ok(command),
    }
}

/// The value of an option, with the option's name before what is wrong with it.
fn of<T>(
    option: &str,
    value: Result<OsString, lexopt::Error>,
    parse: impl Fn(&OsStr) -> Result<T, String>,
) -> Result<T, String> {
    let value = value.map_err(|e| e.to_string())?;
    parse(&value).map_err(|why| format!("{option} {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn parse_words(line: &str) -> Result<Request, String> {
        parse(line.split(' ').map(OsString::from))
    }

    fn args(line: &str) -> Args {
        match parse_words(line) {
            Ok(Request::Transmit(args)) => args,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn which_words_are_run() {
        for (line, words) in [
            ("/dev/x true", "/bin/sh -c true"),
            ("/dev/x -c true", "/bin/sh -c true"),
            ("-c true /dev/x", "/bin/sh -c true"),
            ("-- /dev/x true", "/bin/sh -c true"),
            ("/dev/x -- true", "true"),
            ("-- /dev/x -- true", "true"),
            ("/dev/x aplay -q -D hw --", "aplay -q -D hw --"),
            ("/dev/x -i -- -i --list", "-i --list"),
            ("/dev/x true --help", "true --help"),
        ] {
            assert_eq!(args(line).command.join(OsStr::new(" ")), words, "{line}");
        }
    }

    #[test]
    fn options() {
        let args = args("-il dtr --lead=100 /dev/x --tail 50 -T1.5 --no-lock -- x");
        assert_eq!(args.setup.output, Output::Serial(Line::Dtr));
        assert_eq!(args.setup.device.to_str(), Some("/dev/x"));
        assert!(args.setup.invert && args.setup.locking == Locking::Off);
        let ms = Duration::from_millis;
        let times = args.times;
        assert_eq!((times.lead, times.tail), (ms(100), ms(50)));
        assert_eq!(times.timeout, Some(ms(1500)));
        assert_eq!(args.setup.timeout, Some(ms(1500)));
    }

    #[test]
    fn defaults() {
        let args = args("/dev/x y");
        assert_eq!(args.times, Times::default());
        assert_eq!(args.setup.output, Output::Serial(Line::Rts));
        assert_eq!(args.setup.locking, Locking::Auto);
    }

    #[test]
    fn what_is_refused() {
        for (line, why) in [
            ("--line=rts", "no device given"),
            ("/dev/x", "no command given"),
            ("/dev/x --", "no command given"),
            ("/dev/x -c a b", "b: --command takes the place of operands"),
            ("/dev/x -l cts y", "--line 'cts': not rts, dtr or both"),
            ("/dev/x --cm108=9 y", "--cm108 '9': not a pin from 1 to 8"),
            (
                "/dev/x --cm108 -l rts y",
                "--line and --cm108 exclude each other",
            ),
            ("--list /dev/x", "/dev/x: --list takes no operands"),
            ("/dev/x --tali=3 y", "invalid option '--tali'"),
        ] {
            assert_eq!(parse_words(line).unwrap_err(), why, "{line}");
        }
    }

    #[test]
    fn a_pin_is_given_with_an_equals_sign_only() {
        let args = args("--cm108 /dev/hidraw0 y");
        assert_eq!(args.setup.output, Output::CM108);
        assert!(matches!(parse_words("--list"), Ok(Request::List)));
        assert!(matches!(parse_words("x --help --no"), Ok(Request::Help)));
    }
}
