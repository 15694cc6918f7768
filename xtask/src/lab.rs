//! `cargo xtask lab`: tools at work on real machines in emulation.
//!
//! `lab xen` brings up the two Xen hosts of `tests/lab/xen`, puts xen-migrate and blocksync on them, and
//! runs scenarios: each is a promise of the tool, checked from outside it.

mod faults;
mod guest;
mod hosts;
mod moves;
mod ticks;

use std::cell::Cell;
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::time::Instant;

use crate::workspace::{build_release_of, take_value};
use crate::{Result, lab_radio, setup};
use hosts::Hosts;
use ticks::{Pause, Ticks};

/// A promise and how it is checked.
struct Scenario {
    name: &'static str,
    about: &'static str,
    run: fn(&mut Lab) -> Result,
}

const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "pv",
        about: "a PV guest moves there and back, in save mode",
        run: moves::pv,
    },
    Scenario {
        name: "pvh",
        about: "a PVH guest moves there and back, in live mode",
        run: moves::pvh,
    },
    Scenario {
        name: "auto",
        about: "PV and PVH move where no mode is asked for",
        run: moves::auto,
    },
    Scenario {
        name: "two-disks",
        about: "two volumes, and a guest that writes much, in both modes",
        run: moves::two_disks,
    },
    Scenario {
        name: "file-disk",
        about: "disks that are files, in both modes",
        run: moves::file_disk,
    },
    Scenario {
        name: "create",
        about: "--create makes the missing volume and the missing file",
        run: moves::create,
    },
    Scenario {
        name: "stale-cache",
        about: "blocksync's second pass finds what a running guest wrote after the first",
        run: moves::stale_cache,
    },
    Scenario {
        name: "by-hand",
        about: "the pause beside that of save, sync, copy and restore by hand",
        run: moves::by_hand,
    },
    Scenario {
        name: "small-target",
        about: "a target volume that is too small is refused, and nothing happens",
        run: faults::small_target,
    },
    Scenario {
        name: "kill",
        about: "xen-migrate is killed after each mark of its journal; then --recover",
        run: faults::kill,
    },
    Scenario {
        name: "cut",
        about: "every ssh is killed after each mark; then --recover if it says so",
        run: faults::cut,
    },
    Scenario {
        name: "last-pass",
        about: "the target's volume fails when the last pass writes to it",
        run: faults::last_pass,
    },
    Scenario {
        name: "unplug",
        about: "the link between the hosts is dead for two minutes from the suspension on",
        run: faults::unplug,
    },
    Scenario {
        name: "random",
        about: "kill, cut or unplug at a random moment, --runs times",
        run: faults::random,
    },
];

/// The labs: of Xen here, of radios in `lab_radio`.
pub(crate) fn run(arguments: &[OsString]) -> Result {
    match arguments.split_first() {
        Some((name, rest)) if name == "xen" => xen(rest),
        Some((name, rest)) if name == "radio" => lab_radio::run(rest),
        Some((name, _)) => Err(format!("{}: no such lab", name.display())),
        None => Err("which lab? There are: xen, radio".to_owned()),
    }
}

/// The hosts, what the guests say, and what has come out so far.
struct Lab {
    hosts: Hosts,
    ticks: Ticks,
    /// How often a scenario that can be repeated is.
    runs: usize,
    seed: u64,
    /// The scenario that runs.
    scenario: &'static str,
    rows: Vec<Row>,
    /// How many guests there have been.
    named: Cell<usize>,
}

/// A line of the table.
struct Row {
    scenario: &'static str,
    what: String,
    trouble: Option<String>,
    note: String,
    pause: Option<Pause>,
}

impl Lab {
    /// Carries out one case of the scenario and notes what came out. Trouble ends only this case.
    fn case(&mut self, what: &str, work: impl FnOnce(&mut Lab) -> Result<Outcome>) {
        self.case_of_many(what, true, work);
    }

    /// The same; whether this is the `last` that needs what is on the hosts, so that it can be taken away.
    fn case_of_many(
        &mut self,
        what: &str,
        last: bool,
        work: impl FnOnce(&mut Lab) -> Result<Outcome>,
    ) {
        println!("-- {}: {what}", self.scenario);
        let started = Instant::now();
        let result = work(self);
        let seconds = started.elapsed().as_secs();
        let mut row = Row {
            scenario: self.scenario,
            what: what.to_owned(),
            trouble: None,
            note: String::new(),
            pause: None,
        };
        match result {
            Ok(outcome) => {
                row.note = outcome.note;
                row.pause = outcome.pause;
            }
            Err(trouble) => {
                println!("{trouble}");
                row.trouble = Some(trouble);
            }
        }
        println!("{}  ({seconds} s)", row.line());
        let failed = row.trouble.is_some();
        self.rows.push(row);
        if failed {
            self.hosts.show_state();
        }
        if last && let Err(e) = self.hosts.clean() {
            println!("{e}");
        }
    }

    /// A name that no guest has had since the lab began: ticks are told apart by it.
    fn new_name(&self, stem: &str) -> String {
        self.named.set(self.named.get() + 1);
        format!("{stem}{}", self.named.get())
    }
}

/// What a case that went well has to tell.
#[derive(Default)]
struct Outcome {
    note: String,
    pause: Option<Pause>,
}

impl Row {
    fn line(&self) -> String {
        let result = match self.trouble {
            None => "ok",
            Some(_) => "FAILED",
        };
        let pause = self.pause.as_ref().map_or_else(
            || format!("{:>8}  {:>6}", "-", "-"),
            |pause| {
                format!(
                    "{:>6.1} s  {:>6.1}",
                    pause.seconds(),
                    pause.seconds() / pause.usual.as_secs_f64().max(0.001)
                )
            },
        );
        let line = format!(
            "{:<12}  {:<34}  {result:<6}  {pause}  {}",
            self.scenario, self.what, self.note
        );
        line.trim_end().to_owned()
    }
}

fn list() -> String {
    let line = |scenario: &Scenario| format!("  {:<12}  {}\n", scenario.name, scenario.about);
    SCENARIOS.iter().map(line).collect()
}

fn xen(arguments: &[OsString]) -> Result {
    let mut rest = arguments;
    let (mut runs, mut seed, mut keep) = (1, 0, false);
    let mut wanted: Vec<&Scenario> = Vec::new();
    while let Some((first, tail)) = rest.split_first() {
        let number = |text: &std::path::Path| text.to_str().and_then(|text| text.parse().ok());
        if let Some(value) = take_value("--runs", &mut rest)? {
            let error = || format!("--runs: {}: not a number", value.display());
            runs = number(&value).ok_or_else(error)? as usize;
        } else if let Some(value) = take_value("--seed", &mut rest)? {
            let error = || format!("--seed: {}: not a number", value.display());
            seed = number(&value).ok_or_else(error)?;
        } else if first == "--keep" {
            (keep, rest) = (true, tail);
        } else if first == "--list" {
            print!("{}", list());
            return Ok(());
        } else {
            let found = SCENARIOS.iter().find(|scenario| first == scenario.name);
            let error = || {
                format!(
                    "{}: no such scenario. There are:\n{}",
                    first.display(),
                    list()
                )
            };
            wanted.push(found.ok_or_else(error)?);
            rest = tail;
        }
    }
    if wanted.is_empty() {
        wanted = SCENARIOS.iter().collect();
    }
    setup::ensure(setup::Scope::Lab, io::stdin().is_terminal())?;
    println!("Building the tools.");
    let binaries = build_release_of(&["blocksync", "xen-migrate"])?;
    let hosts = Hosts::start(keep)?;
    for tool in ["blocksync", "xen-migrate"] {
        hosts.install(&binaries.join(tool))?;
    }
    hosts.clean()?;
    let mut lab = Lab {
        ticks: Ticks::follow(&hosts.serial_log()),
        hosts,
        runs,
        seed,
        scenario: "",
        rows: Vec::new(),
        named: Cell::new(0),
    };
    for scenario in wanted {
        println!("\n== {}: {}", scenario.name, scenario.about);
        lab.scenario = scenario.name;
        (scenario.run)(&mut lab)?;
    }
    println!(
        "\n{:<12}  {:<34}  {:<6}  {:>8}  {:>6}  note",
        "scenario", "case", "result", "pause", "ticks"
    );
    for row in &lab.rows {
        println!("{}", row.line());
    }
    println!(
        "\nThe pause is measured from outside: the longest silence of the guest, less its usual one."
    );
    let failed = lab.rows.iter().filter(|row| row.trouble.is_some()).count();
    match failed {
        0 => Ok(()),
        _ => Err(format!("{failed} of {} cases failed", lab.rows.len())),
    }
}
