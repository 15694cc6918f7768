//! `cargo xtask lab radio`: raiserts and cqloop in a machine with real serial ports, watched from outside.
//!
//! A scenario is a script of tests/lab/radio/scenarios that runs in one boot of the guest. It says with
//! `expect` what the lines of a port are to go through from there to the next mark; that is compared with
//! what QEMU has traced. What the script finds out by itself it prints, as `ok:` or `FAIL:`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::lab_timeline::{Line, Timeline, What, wav};
use crate::workspace::{Scratch, build_release_of, find_program, root};

/// One boot of the guest.
struct Scenario {
    script: &'static str,
    /// Kernel modules beside those of the lab's devices.
    modules: &'static str,
    ports: &'static str,
}

const fn scenario(script: &'static str) -> Scenario {
    Scenario {
        script,
        modules: "",
        ports: "1",
    }
}

/// The list, in the order of its run: what is shortest comes first.
/// How often the machine is booted for `kills`, each time with another seed.
const KILLS: u32 = 10;

const SCENARIOS: &[Scenario] = &[
    scenario("plateaus"),
    scenario("statuses"),
    scenario("locks"),
    scenario("settings"),
    scenario("signals"),
    scenario("terminal"),
    scenario("unplug"),
    scenario("sound"),
    scenario("cqloop"),
    Scenario {
        script: "cm108",
        modules: "dummy_hcd libcomposite usb_f_hid usbhid hid-generic",
        ports: "1",
    },
    scenario("kills"),
];

/// Runs the scenarios whose script is named, or all. `--timeline DIR` reads the results of a run.sh;
/// `--seed N` kills at other times.
pub(crate) fn run(arguments: &[OsString]) -> Result {
    if let [option, out] = arguments
        && option == "--timeline"
    {
        return Timeline::read(Path::new(out))?.write(Path::new(out));
    }
    let (mut keep, mut names) = (None, Vec::new());
    let mut seed = 1;
    let mut words = arguments.iter().map(|word| word.to_string_lossy());
    while let Some(word) = words.next() {
        match &*word {
            "--keep" => keep = Some(PathBuf::from(&*words.next().ok_or("--keep: no folder")?)),
            "--seed" => {
                let number = words.next().and_then(|word| word.parse().ok());
                seed = number.ok_or("--seed: no number")?;
            }
            name if SCENARIOS.iter().any(|s| s.script == name) => names.push(name.to_owned()),
            other => return Err(format!("{other}: no such scenario")),
        }
    }
    for program in [
        "qemu-system-x86_64",
        "cpio",
        "depmod",
        "xz",
        "dpkg-deb",
        "apt-get",
    ] {
        find_program(program).ok_or(format!("{program} is missing"))?;
    }
    let scripts = root().join("tests/lab/radio");
    crate::workspace::run(&mut Command::new(scripts.join("build.sh")))?;
    let binaries = build_release_of(&["raiserts", "cqloop"])?;
    let scratch = Scratch::new(&std::env::temp_dir(), "lab-radio")?;
    for (name, samples) in [
        ("tone.wav", tone_samples()),
        ("cq.wav", call_samples(2)),
        ("long.wav", call_samples(10)),
    ] {
        let path = scratch.path().join(name);
        fs::write(&path, wav(&samples)).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    let mut failures = 0;
    for scenario in SCENARIOS {
        if !names.is_empty() && !names.iter().any(|name| name == scenario.script) {
            continue;
        }
        let arguments: Vec<String> = match scenario.script {
            "kills" => (seed..seed + KILLS).map(|seed| seed.to_string()).collect(),
            _ => vec![String::new()],
        };
        for argument in &arguments {
            let name = format!("{}{argument}", scenario.script);
            println!("{name}");
            let lab = Lab {
                scripts: &scripts,
                binaries: &binaries,
                files: scratch.path(),
                out: &keep.as_deref().unwrap_or(scratch.path()).join(&name),
            };
            let findings = lab.boot(scenario, argument)?;
            for finding in &findings {
                println!("  FAIL {finding}");
            }
            failures += findings.len();
        }
    }
    match failures {
        0 => Ok(()),
        count => Err(format!("{count} failed")),
    }
}

/// A second of 1 kHz, and 50 ms of silence: a card that is closed early loses its end.
fn tone_samples() -> Vec<u8> {
    let sample = |frame: u32| match frame {
        0..48_000 => (f64::from(frame) * std::f64::consts::TAU / 48.0).sin() * 16_000.0,
        _ => 0.0,
    };
    (0..50_400)
        .flat_map(|frame| [(sample(frame) as i16).to_le_bytes(); 2])
        .flatten()
        .collect()
}

/// Noise that does not repeat, begins and ends loudly.
fn call_samples(seconds: u32) -> Vec<u8> {
    let mut state = 0x1234_5678_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 16) as i16 / 8) | 1 // never silent
    };
    (0..seconds * 2 * 48_000)
        .flat_map(|_| next().to_le_bytes())
        .collect()
}

/// Where things are for a boot.
struct Lab<'a> {
    scripts: &'a Path,
    binaries: &'a Path,
    files: &'a Path,
    out: &'a Path,
}

impl Lab<'_> {
    /// Runs one scenario and returns what is wrong.
    fn boot(&self, scenario: &Scenario, argument: &str) -> Result<Vec<String>> {
        let out = self.out;
        let mut command = Command::new(self.scripts.join("run.sh"));
        command.arg("-o").arg(out);
        command.args(["-m", scenario.modules, "-n", scenario.ports]);
        for program in ["raiserts", "cqloop"] {
            command.arg("-p").arg(self.binaries.join(program));
        }
        for file in ["tone.wav", "cq.wav", "long.wav"] {
            command.arg("-f").arg(self.files.join(file));
        }
        command.arg(self.scripts.join("scenarios").join(scenario.script));
        command.arg(argument);
        let status = command
            .status()
            .map_err(|e| format!("run.sh: {e}"))?
            .code()
            .unwrap_or(125);
        if matches!(status, 124 | 125) {
            return Err(format!(
                "{}: the lab has failed ({status})",
                scenario.script
            ));
        }
        let timeline = Timeline::read(out)?;
        timeline.write(out)?;
        let stdout = fs::read_to_string(out.join("stdout")).unwrap_or_default();
        let mut findings: Vec<String> = Vec::new();
        let (mut told, mut seen) = (0, 0);
        for line in stdout.lines() {
            match line.split_once(": ") {
                Some(("ok", _)) => told += 1,
                Some(("FAIL", what)) => findings.push(what.to_owned()),
                _ => println!("  {line}"),
            }
        }
        for expectation in expectations(&timeline) {
            seen += 1;
            findings.extend(expectation.finding(&timeline));
        }
        match scenario.script {
            "sound" => findings.extend(sound_finding(&timeline)),
            "cqloop" => findings.extend(call_findings(&timeline, &stdout)),
            _ => {}
        }
        if status != 0 {
            findings.push(format!("the script has ended with {status}"));
        }
        println!("  {told} answers right, {seen} timelines looked at");
        Ok(findings)
    }
}

/// The call, bit for bit, as often as the script says in `calls: WHERE COUNT FRAMES`: one after the other,
/// each so many frames of silence behind the one before it.
fn call_findings(timeline: &Timeline, stdout: &str) -> Vec<String> {
    let call = call_samples(2);
    let is_call = |at: usize| timeline.samples.get(at..at + call.len()) == Some(&call[..]);
    let is_silent = |range: std::ops::Range<usize>| {
        let samples = timeline.samples.get(range);
        samples.is_some_and(|samples| samples.iter().all(|byte| *byte == 0))
    };
    let mut findings = Vec::new();
    let mut at = 0;
    for line in stdout.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["calls:", place, count, frames] = words[..] else {
            continue;
        };
        let number = |text: &str| text.parse::<usize>().unwrap_or(0);
        let (count, gap) = (number(count), number(frames) * 4);
        let Some(first) = (at..timeline.samples.len())
            .step_by(4)
            .find(|at| is_call(*at))
        else {
            findings.push(format!("no call is whole on {place}"));
            continue;
        };
        let period = call.len() + gap;
        for pass in 1..count {
            let begin = first + pass * period;
            if !is_call(begin) || !is_silent(begin - gap..begin) {
                findings.push(format!("call {} is not in its place on {place}", pass + 1));
            }
        }
        at = first + (count - 1) * period + call.len();
    }
    findings
}

/// The tone, whole, for each time that the script has played it.
fn sound_finding(timeline: &Timeline) -> Option<String> {
    let tone = tone_samples();
    let wanted = &tone[..48_000 * 4];
    let found = timeline
        .samples
        .windows(wanted.len())
        .step_by(4)
        .filter(|w| w[..400] == wanted[..400] && *w == wanted)
        .count();
    (found != 2).then(|| format!("the tone was played whole {found} times, not 2"))
}

/// What a script expects of a port, from one mark to the next.
struct Expectation {
    name: String,
    port: String,
    words: Vec<String>,
    from: f64,
    to: f64,
}

fn expectations(timeline: &Timeline) -> Vec<Expectation> {
    let marks: Vec<(f64, &str)> = timeline
        .events
        .iter()
        .filter_map(|event| match &event.what {
            What::Mark(text) => Some((event.ms, text.as_str())),
            _ => None,
        })
        .collect();
    let mut all = Vec::new();
    for (index, (from, text)) in marks.iter().enumerate() {
        let mut words = text.split_whitespace();
        if let (Some("expect"), Some(name), Some(port)) = (words.next(), words.next(), words.next())
        {
            all.push(Expectation {
                name: name.to_owned(),
                port: port.trim_start_matches("/dev/").to_owned(),
                words: words.map(str::to_owned).collect(),
                from: *from,
                to: marks.get(index + 1).map_or(f64::INFINITY, |(ms, _)| *ms),
            });
        }
    }
    all
}

/// A time in which the lines of a port do not move.
#[derive(Debug, PartialEq)]
struct Plateau {
    dtr: bool,
    rts: bool,
    from: f64,
    to: f64,
}

/// Shorter than this, both lines up are the kernel's doing, in ms. (It is less than one on a real
/// machine; an emulated one may be interrupted in between.)
const GLITCH: f64 = 200.0;

/// The plateaus of a port that end after `from` and begin before `to`.
fn plateaus(timeline: &Timeline, port: &str, from: f64, to: f64) -> Vec<Plateau> {
    let mut all: Vec<Plateau> = Vec::new();
    let (mut dtr, mut rts, mut since) = (false, false, f64::NEG_INFINITY);
    let mut close = |dtr, rts, since: f64, now: f64| {
        // Two lines that move in one call are two events at one time.
        if now > since {
            all.push(Plateau {
                dtr,
                rts,
                from: since,
                to: now,
            });
        }
    };
    for event in &timeline.events {
        let What::Line(of, line, up) = &event.what else {
            continue;
        };
        if of != port {
            continue;
        }
        close(dtr, rts, since, event.ms);
        since = event.ms;
        match line {
            Line::Dtr => dtr = *up,
            Line::Rts => rts = *up,
        }
    }
    close(dtr, rts, since, f64::INFINITY);
    all.retain(|p| p.to > from && p.from < to);
    all
}

impl Expectation {
    fn finding(&self, timeline: &Timeline) -> Option<String> {
        let plateaus = plateaus(timeline, &self.port, self.from, self.to);
        let is_up = |p: &&Plateau| p.dtr || p.rts;
        let stays = plateaus.last().is_some_and(|p| is_up(&p));
        let up: Vec<&Plateau> = plateaus.iter().filter(is_up).collect();
        let (words, may_stay) = match &self.words[..] {
            [words @ .., last] if last == "stays" => (words, true),
            words => (words, false),
        };
        let is_as_expected = match words {
            [word] if word == "any" => true,
            words => {
                words.len() == up.len() && words.iter().zip(&up).all(|(w, p)| fits(w, p, timeline))
            }
        };
        if is_as_expected && stays == may_stay {
            return None;
        }
        let seen: Vec<String> = up.iter().map(|p| show(p)).collect();
        Some(format!(
            "{} {}: expected '{}', seen '{}'{}",
            self.name,
            self.port,
            self.words.join(" "),
            seen.join(" "),
            if stays { ", up at the end" } else { "" }
        ))
    }
}

fn kind(p: &Plateau) -> &'static str {
    match (p.dtr, p.rts) {
        (true, true) if p.to - p.from < GLITCH => "glitch",
        (true, true) => "both",
        (true, false) => "dtr",
        _ => "rts",
    }
}

fn show(p: &Plateau) -> String {
    format!("{}:{:.1}", kind(p), p.to - p.from)
}

/// `KIND[:MIN-[MAX]][+sound]`, times in ms.
fn fits(word: &str, p: &Plateau, timeline: &Timeline) -> bool {
    let (word, has_sound) = match word.strip_suffix("+sound") {
        Some(word) => (word, true),
        None => (word, false),
    };
    let (name, times) = word.split_once(':').unwrap_or((word, "0-"));
    let (min, max) = times.split_once('-').unwrap_or((times, ""));
    let within = |text: &str, other: f64| text.parse().unwrap_or(other);
    let length = p.to - p.from;
    let all_sound = || {
        let sounds: Vec<f64> = timeline
            .events
            .iter()
            .filter(|e| matches!(e.what, What::Sound(_)) && (p.from..=p.to).contains(&e.ms))
            .map(|e| e.ms)
            .collect();
        sounds.len() == 2
    };
    kind(p) == name
        && (within(min, 0.0)..=within(max, f64::INFINITY)).contains(&length)
        && (!has_sound || all_sound())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab_timeline::Event;

    fn timeline(events: &[(f64, Line, bool)]) -> Timeline {
        let event = |(ms, line, up): &(f64, Line, bool)| Event {
            ms: *ms,
            what: What::Line("ttyS0".into(), *line, *up),
        };
        Timeline {
            events: events.iter().map(event).collect(),
            samples: Vec::new(),
            streams: Vec::new(),
        }
    }

    fn finding(words: &str, events: &[(f64, Line, bool)]) -> Option<String> {
        let expectation = Expectation {
            name: "test".into(),
            port: "ttyS0".into(),
            words: words.split_whitespace().map(str::to_owned).collect(),
            from: 0.0,
            to: 10_000.0,
        };
        expectation.finding(&timeline(events))
    }

    const KEYED: &[(f64, Line, bool)] = &[
        (100.0, Line::Dtr, true),
        (100.0, Line::Rts, true),
        (101.0, Line::Dtr, false),
        (101.0, Line::Rts, false),
        (110.0, Line::Rts, true),
        (1110.0, Line::Rts, false),
    ];

    #[test]
    fn lines_are_compared_with_words() {
        assert_eq!(finding("glitch rts:990-1010", KEYED), None);
        assert_eq!(finding("any", KEYED), None);
        assert_eq!(
            finding("rts", KEYED).unwrap(),
            "test ttyS0: expected 'rts', seen 'glitch:1.0 rts:1000.0'"
        );
        assert!(finding("glitch rts:1100-", KEYED).is_some());
        assert!(finding("glitch dtr", KEYED).is_some());
        assert!(finding("glitch rts+sound", KEYED).is_some());
        assert_eq!(finding("", &[]), None);
    }

    #[test]
    fn a_line_that_stays_up_is_found() {
        let stuck = finding("any", &KEYED[..5]).unwrap();
        assert!(stuck.ends_with("up at the end"), "{stuck}");
    }
}
