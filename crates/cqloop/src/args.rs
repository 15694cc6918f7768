//! The command line.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;
use ptt::{Line, Locking, Output, Setup, Times};

use crate::message::{Loudness, Margins, TONE_LEVEL, Tone};

pub(crate) const HELP: &str = "\
Usage: cqloop [OPTION]... [DELAY] FILE
       cqloop --list
Play a recording (WAV, FLAC, Ogg Vorbis, MP3) over and over to a radio, DELAY seconds apart
(default: 1.5), and key the transmitter while it plays. Any key stops it at once.

  -D, --device=NAME       play to this ALSA device
                          (default: default:CARD=CODEC if there is such a card, or default)
      --tone[=HZ[:DB]]    key a VOX circuit by a tone under the recording (default: 20000:-1)
  -p, --ptt=DEVICE        key by this serial port, or with --cm108 by this sound card
  -l, --line=LINE         key by the line rts, dtr or both (default: rts)
  -i, --invert            keyed is low
      --cm108[=GPIO]      key by a pin of a C-Media sound chip (default: 3)
      --quiet-open        leave the port so that the next open does not raise its lines
      --lock              refuse to key without a lock on the device
      --no-lock           do not lock the device
  -f, --force             key by what is refused as unsafe
      --lead=MS           key so many milliseconds before the recording (default: 50)
      --tail=MS           and so many after it (default: 50)
  -T, --timeout=SECONDS   release the transmitter after this time (default: 180; 0 is never)
  -c, --count=N           stop after so many passes
      --gain=DB           play it so many decibels louder (default: 0)
      --normalize         play it as loud as full scale and the tone allow
      --list              list the sound devices and the ports that can key
  -n, --dry-run           print what would happen when; play and key nothing
      --log=FILE          append a line to FILE for all that happens
  -h, --help              print this help
  -V, --version           print the version
";

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Request {
    Play(Box<Args>),
    List,
    Help,
    Version,
}

/// A run.
#[derive(Debug)]
pub(crate) struct Args {
    pub(crate) file: PathBuf,
    pub(crate) delay: Delay,
    pub(crate) device: Option<String>,
    pub(crate) tone: Option<Tone>,
    pub(crate) ptt: Option<Setup>,
    pub(crate) margins: Margins,
    /// How long the transmitter may be keyed without a pause.
    pub(crate) timeout: Option<Duration>,
    pub(crate) count: Option<u64>,
    pub(crate) loudness: Loudness,
    pub(crate) dry_run: bool,
    pub(crate) log: Option<PathBuf>,
}

/// From the end of a recording to its next beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delay {
    pub(crate) nanoseconds: u64,
    /// As the user wrote it.
    pub(crate) text: String,
}

impl Delay {
    /// Up to a day, as a decimal number of seconds.
    fn parse(text: &OsStr) -> Option<Delay> {
        let text = text.to_str()?;
        let nanoseconds = nanoseconds(text)?;
        (nanoseconds <= 86_400 * SECOND).then(|| Delay {
            nanoseconds,
            text: text.to_owned(),
        })
    }
}

const SECOND: u64 = 1_000_000_000;

/// Between keyed overs: longer than anything here, and the radio looks hung.
const MAX_MARGINS: Duration = Duration::from_secs(2);
/// What the transmitter needs for going over, if nothing else is said.
const USUAL_MARGIN: Duration = Duration::from_millis(50);

/// A number of seconds without sign and exponent, exactly.
fn nanoseconds(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && part.is_empty()) || !digits(whole) || !digits(part) {
        return None;
    }
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let part = format!("{part:0<9}");
    let part: u64 = part[..9].parse().ok()?;
    whole.checked_mul(SECOND)?.checked_add(part)
}

/// Parses the arguments, without the program's name. The error is a message for `cli::diag::usage`.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Request, String> {
    let mut parser = lexopt::Parser::from_args(args);
    parser.set_short_equals(false);
    let mut seen = Seen::default();
    let text = |e: lexopt::Error| e.to_string();
    while let Some(arg) = parser.next().map_err(text)? {
        match arg {
            Short('D') | Long("device") => {
                let value = parser.value().map_err(text)?;
                let shown = cli::diag::name(&value).to_string();
                let name = value.into_string();
                seen.device = Some(name.map_err(|_| format!("'{shown}': no such device"))?);
            }
            Long("tone") => seen.tone = Some(tone(&mut parser)?),
            Short('p') | Long("ptt") => seen.ptt = Some(parser.value().map_err(text)?.into()),
            Short('l') | Long("line") => {
                let value = parser.value().map_err(text)?;
                seen.line = Some(Line::parse(&value).map_err(|why| format!("--line {why}"))?);
            }
            Short('i') | Long("invert") => seen.invert = true,
            Long("cm108") => {
                let pin = parser.optional_value().map(|gpio| Output::cm108(&gpio));
                let pin = pin.unwrap_or(Ok(Output::CM108));
                seen.cm108 = Some(pin.map_err(|why| format!("--cm108 {why}"))?);
            }
            Long("quiet-open") => seen.quiet_open = true,
            Long("lock") => seen.locking = Some(Locking::Required),
            Long("no-lock") => seen.locking = Some(Locking::Off),
            Short('f') | Long("force") => seen.force = true,
            Long("lead") => {
                let value = parser.value().map_err(text)?;
                seen.lead =
                    Some(Times::milliseconds(&value).map_err(|why| format!("--lead {why}"))?);
            }
            Long("tail") => {
                let value = parser.value().map_err(text)?;
                seen.tail =
                    Some(Times::milliseconds(&value).map_err(|why| format!("--tail {why}"))?);
            }
            Short('T') | Long("timeout") => {
                let value = parser.value().map_err(text)?;
                seen.timeout =
                    Some(Times::timeout(&value).map_err(|why| format!("--timeout {why}"))?);
            }
            Short('c') | Long("count") => {
                let value = parser.value().map_err(text)?;
                let number = value
                    .to_str()
                    .and_then(|t| t.parse().ok())
                    .filter(|n| *n > 0);
                let why = || format!("--count '{}': not a number from 1", cli::diag::name(&value));
                seen.count = Some(number.ok_or_else(why)?);
            }
            Long("gain") => {
                let value = parser.value().map_err(text)?;
                let why = || format!("--gain '{}': not from -100 to 100", cli::diag::name(&value));
                seen.gain = Some(value.to_str().and_then(decibels).ok_or_else(why)?);
            }
            Long("normalize") => seen.normalize = true,
            Long("list") => seen.list = true,
            Short('n') | Long("dry-run") => seen.dry_run = true,
            Long("log") => seen.log = Some(parser.value().map_err(text)?.into()),
            Short('h') | Long("help") => return Ok(Request::Help),
            Short('V') | Long("version") => return Ok(Request::Version),
            Value(operand) => seen.operands.push(operand),
            other => return Err(other.unexpected().to_string()),
        }
    }
    seen.request()
}

/// The value of `--tone`. HZ:DB may also follow as a word of its own; HZ alone may not, since it
/// would look like a DELAY.
fn tone(parser: &mut lexopt::Parser) -> Result<Tone, String> {
    let mut value = parser.optional_value();
    if value.is_none()
        && let Some(mut raw) = parser.try_raw_args()
        && let Some(next) = raw.peek().and_then(|word| word.to_str())
    {
        if next.contains(':') && parse_tone(next).is_some() {
            value = raw.next();
        } else if next.parse::<f64>().is_ok_and(|number| number >= 1000.0) {
            return Err(format!(
                "--tone {next}: write --tone={next}, or DELAY before --tone"
            ));
        }
    }
    let Some(value) = value else {
        return Ok(Tone {
            hertz: 20_000.0,
            decibels: None,
        });
    };
    let tone = value.to_str().and_then(parse_tone);
    tone.ok_or_else(|| {
        let value = cli::diag::name(&value);
        format!("--tone '{value}': not HZ or HZ:DB, from 10 to 96000 and from -100 to 0")
    })
}

fn parse_tone(text: &str) -> Option<Tone> {
    let (hertz, level) = match text.split_once(':') {
        Some((hertz, level)) => (hertz, Some(decibels(level).filter(|db| *db <= 0.0)?)),
        None => (text, None),
    };
    let hertz = nanoseconds(hertz)? as f64 / SECOND as f64;
    (10.0..=96_000.0).contains(&hertz).then_some(Tone {
        hertz,
        decibels: level,
    })
}

fn decibels(text: &str) -> Option<f64> {
    let text = text.strip_suffix("dB").unwrap_or(text);
    let plain = text.strip_prefix(['-', '+']).unwrap_or(text);
    let value = nanoseconds(plain)? as f64 / SECOND as f64;
    let value = if text.starts_with('-') { -value } else { value };
    (-100.0..=100.0).contains(&value).then_some(value)
}

/// What was seen on the command line, in whatever order.
#[derive(Default)]
struct Seen {
    operands: Vec<OsString>,
    device: Option<String>,
    tone: Option<Tone>,
    ptt: Option<PathBuf>,
    line: Option<Line>,
    invert: bool,
    cm108: Option<Output>,
    quiet_open: bool,
    locking: Option<Locking>,
    force: bool,
    lead: Option<Duration>,
    tail: Option<Duration>,
    timeout: Option<Option<Duration>>,
    count: Option<u64>,
    gain: Option<f64>,
    normalize: bool,
    list: bool,
    dry_run: bool,
    log: Option<PathBuf>,
}

impl Seen {
    fn request(self) -> Result<Request, String> {
        if self.list {
            return match self.operands.first() {
                Some(extra) => Err(format!(
                    "{}: --list takes no operands",
                    cli::diag::name(extra)
                )),
                None => Ok(Request::List),
            };
        }
        self.check()?;
        let (delay, file) = operands(&self.operands)?;
        let is_keyed = self.tone.is_some() || self.ptt.is_some();
        let margin = |given: Option<Duration>| match is_keyed {
            true => given.unwrap_or(USUAL_MARGIN),
            false => Duration::ZERO,
        };
        let (lead, tail) = (margin(self.lead), margin(self.tail));
        let timeout = self.timeout.unwrap_or(Times::default().timeout);
        let together = lead + tail;
        if together > MAX_MARGINS {
            return Err("--lead and --tail: more than 2 s keyed without sound".into());
        }
        if is_keyed && u128::from(delay.nanoseconds) <= together.as_nanos() {
            return Err(format!(
                "a delay of {} s leaves the transmitter keyed: --lead and --tail take {} s of it",
                delay.text,
                together.as_secs_f64()
            ));
        }
        let margins = Margins {
            lead: lead.as_nanos() as u64, // at most 2 s
            tail: tail.as_nanos() as u64,
        };
        let loudness = match self.normalize {
            true => Loudness::Normalize,
            false => Loudness::Gain(self.gain.unwrap_or(0.0)),
        };
        let ptt = self.ptt.map(|device| Setup {
            output: self
                .cm108
                .unwrap_or(Output::Serial(self.line.unwrap_or(Line::Rts))),
            invert: self.invert,
            quiet_open: self.quiet_open,
            locking: self.locking.unwrap_or(Locking::Auto),
            force: self.force,
            timeout,
            ..Setup::new(device)
        });
        Ok(Request::Play(Box::new(Args {
            file,
            delay,
            device: self.device,
            tone: self.tone,
            ptt,
            margins,
            timeout,
            count: self.count,
            loudness,
            dry_run: self.dry_run,
            log: self.log,
        })))
    }

    /// What does not go together, or means nothing alone.
    fn check(&self) -> Result<(), String> {
        let of_ptt = [
            (self.line.is_some(), "--line"),
            (self.invert, "--invert"),
            (self.cm108.is_some(), "--cm108"),
            (self.quiet_open, "--quiet-open"),
            (self.locking == Some(Locking::Required), "--lock"),
            (self.locking == Some(Locking::Off), "--no-lock"),
            (self.force, "--force"),
        ];
        if self.ptt.is_none()
            && let Some((_, name)) = of_ptt.iter().find(|(given, _)| *given)
        {
            return Err(format!("{name}: without --ptt nothing is keyed by a line"));
        }
        let of_key = [
            (self.lead.is_some(), "--lead"),
            (self.tail.is_some(), "--tail"),
        ];
        if self.ptt.is_none()
            && self.tone.is_none()
            && let Some((_, name)) = of_key.iter().find(|(given, _)| *given)
        {
            return Err(format!("{name}: nothing is keyed without --tone or --ptt"));
        }
        if self.gain.is_some() && self.normalize {
            return Err("--gain and --normalize exclude each other".into());
        }
        if self.line.is_some() && self.cm108.is_some() {
            return Err("--line and --cm108 exclude each other".into());
        }
        if self.quiet_open && self.invert {
            return Err(
                "--quiet-open and --invert exclude each other: speed 0 holds the line low".into(),
            );
        }
        if self.quiet_open && self.cm108.is_some() {
            return Err("--quiet-open and --cm108 exclude each other".into());
        }
        Ok(())
    }
}

/// `[DELAY] FILE`. A lone operand is the FILE, be it a number.
fn operands(operands: &[OsString]) -> Result<(Delay, PathBuf), String> {
    let usual = Delay {
        nanoseconds: 3 * SECOND / 2,
        text: "1.5".into(),
    };
    match operands {
        [] => Err("no file given".into()),
        [file] => Ok((usual, file.into())),
        [delay, file] => match Delay::parse(delay) {
            Some(delay) => Ok((delay, file.into())),
            None => {
                let delay = cli::diag::name(delay);
                Err(format!(
                    "'{delay}': not a number of seconds from 0 to 86400"
                ))
            }
        },
        [_, _, extra, ..] => Err(format!("{}: one operand too many", cli::diag::name(extra))),
    }
}

/// The default of HELP is that of the code.
const _: () = assert!(TONE_LEVEL == -1.0);

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Request, String> {
        parse(line.split(' ').map(OsString::from))
    }

    fn play(line: &str) -> Args {
        match words(line) {
            Ok(Request::Play(args)) => *args,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn operands_and_defaults() {
        let args = play("cq.wav");
        assert_eq!(
            (args.delay.text.as_str(), args.delay.nanoseconds),
            ("1.5", 1_500_000_000)
        );
        assert_eq!(args.margins, Margins::default());
        assert_eq!(args.timeout, Some(Duration::from_secs(180)));
        assert_eq!(play("5").file, PathBuf::from("5"));
        let args = play("-T0 -c 3 .25 -- -x");
        assert_eq!(
            (args.delay.text.as_str(), args.delay.nanoseconds),
            (".25", 250_000_000)
        );
        assert_eq!((args.timeout, args.count), (None, Some(3)));
        assert_eq!(args.file, PathBuf::from("-x"));
    }

    #[test]
    fn tones() {
        let tone = |line| play(line).tone.map(|t| (t.hertz, t.decibels));
        assert_eq!(tone("--tone f"), Some((20_000.0, None)));
        assert_eq!(tone("--tone=17500.5 f"), Some((17_500.5, None)));
        assert_eq!(tone("--tone=18000:-7.5 2 f"), Some((18_000.0, Some(-7.5))));
        assert_eq!(tone("--tone 18000:-7 f"), Some((18_000.0, Some(-7.0))));
        assert_eq!(play("--tone 2 f").delay.text, "2");
        assert!(
            words("--tone 20000 f")
                .unwrap_err()
                .contains("write --tone=20000")
        );
        for wrong in [
            "--tone=5 f",
            "--tone=x f",
            "--tone=20000:3 f",
            "--tone=1e4 f",
        ] {
            assert!(words(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_refused() {
        for (line, why) in [
            ("--list x", "x: --list takes no operands"),
            ("a b c", "c: one operand too many"),
            ("x f", "'x': not a number of seconds from 0 to 86400"),
            ("-1 f", "invalid option '-1'"),
            (
                "86401 f",
                "'86401': not a number of seconds from 0 to 86400",
            ),
            (
                "-l dtr f",
                "--line: without --ptt nothing is keyed by a line",
            ),
            (
                "--lead 5 f",
                "--lead: nothing is keyed without --tone or --ptt",
            ),
            (
                "--gain 1 --normalize f",
                "--gain and --normalize exclude each other",
            ),
            (
                "-p /dev/x --quiet-open -i f",
                "--quiet-open and --invert exclude each other: speed 0 holds the line low",
            ),
            (
                "-p hw:1 --quiet-open --cm108 f",
                "--quiet-open and --cm108 exclude each other",
            ),
            ("--count 0 f", "--count '0': not a number from 1"),
            (
                "--tone --lead 1500 --tail 501 5 f",
                "--lead and --tail: more than 2 s keyed without sound",
            ),
            (
                "--tone 0.1 f",
                "a delay of 0.1 s leaves the transmitter keyed: --lead and --tail take 0.1 s of it",
            ),
        ] {
            assert_eq!(words(line).unwrap_err(), why, "{line}");
        }
        assert!(words("--tone").unwrap_err().contains("no file given"));
    }

    #[test]
    fn keying_is_that_of_raiserts() {
        let setup = play("--ptt /dev/ttyUSB1 --line=dtr -i --no-lock -f f")
            .ptt
            .unwrap();
        assert_eq!(setup.output, Output::Serial(Line::Dtr));
        assert!(setup.invert && setup.force && setup.locking == Locking::Off);
        let setup = play("-p hw:1 --cm108=2 --lead 0 --tail=0 0.01 f")
            .ptt
            .unwrap();
        assert_eq!(setup.output, Output::Cm108 { gpio: 2 });
    }

    #[test]
    fn numbers_are_exact() {
        assert_eq!(nanoseconds("0.333333333"), Some(333_333_333));
        assert_eq!(nanoseconds("1."), Some(SECOND));
        for wrong in ["", ".", "+1", "1e3", "1.5.2", "0x10", " 1"] {
            assert_eq!(nanoseconds(wrong), None, "{wrong}");
        }
        assert_eq!(decibels("-3.5dB"), Some(-3.5));
        assert_eq!(decibels("--3"), None);
    }
}
