//! Cases for blocksync: a disk image that is made equal to another one, through ssh over a wire of
//! its own (with and without a delay) and here, against rsync, bdsync and dd. All that can be told to
//! have the copy on the disk before the clock stops, as blocksync does by itself.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Result;
use crate::bench::{Bench, Case, Contender, Random, equal, median_of, remove};
use crate::measure::{self, Measurement};
use crate::network::{Counters, DELAYED, DIRECT, Network};
use crate::workspace::find_program;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// Size of the images, and of those of the cases where size matters.
const SIZE: usize = 512 * MIB;
const LARGE: usize = 4096 * MIB;
/// Of the line, one way.
const DELAY: Duration = Duration::from_millis(20);

/// All cases.
pub(crate) fn run(bench: &mut Bench) -> Result {
    let images = Images::make(bench.dir(), SIZE)?;
    over_ssh(bench, &images, &Start::ALL)?;
    for start in Start::ALL {
        here(bench, &images, start)?;
    }
    between_devices(bench, &images)?;
    images.remove()?;
    let images = Images::make(bench.dir(), LARGE)?;
    over_ssh(bench, &images, &[Start::Identical, Start::Pages])?;
    images.remove()
}

/// What the destination holds before a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// One hole.
    Blank,
    Identical,
    /// All but 1 % of its pages, spread evenly.
    Pages,
    /// All but 64 MiB, in whole ones.
    Mebibytes,
}

impl Start {
    const ALL: [Start; 4] = [
        Start::Blank,
        Start::Identical,
        Start::Pages,
        Start::Mebibytes,
    ];

    fn name(self, size: usize) -> String {
        let whole = match size / MIB {
            mib if mib < 1024 => format!("{mib} MiB"),
            mib => format!("{} GiB", mib / 1024),
        };
        match self {
            Start::Blank => format!("{whole} to a blank destination"),
            Start::Identical => format!("{whole} to an identical destination"),
            Start::Pages => {
                let bytes = (size / (4 * KIB) / 100 * 4 * KIB) as f64 / 1e6;
                format!("{whole}, 1 % of the pages changed ({bytes:.2} MB)")
            }
            Start::Mebibytes => format!("{whole}, 64 whole MiB changed (67.1 MB)"),
        }
    }
}

/// Source and destination.
struct Images {
    source: PathBuf,
    destination: PathBuf,
    size: usize,
    pages: Vec<usize>,
    mebibytes: Vec<usize>,
    /// Whether the destination is a copy without holes but for what [`Images::prepare`] changed.
    is_copy: Cell<bool>,
}

impl Images {
    fn make(dir: &Path, size: usize) -> Result<Images> {
        let mut random = Random::new(45);
        let mut some = |of: usize, count: usize| {
            let mut all: Vec<usize> = (0..of).collect();
            for at in 0..count {
                let other = at + random.next() as usize % (of - at);
                all.swap(at, other);
            }
            all.truncate(count);
            all.sort_unstable();
            all
        };
        let pages = size / (4 * KIB);
        let images = Images {
            source: dir.join("src.img"),
            destination: dir.join("dst.img"),
            size,
            pages: some(pages, pages / 100),
            mebibytes: some(size / MIB, 64),
            is_copy: Cell::new(false),
        };
        disk_image(&images.source, size)
            .map_err(|e| format!("{}: {e}", images.source.display()))?;
        Ok(images)
    }

    fn prepare(&self, start: Start) -> Result {
        self.try_to_prepare(start)
            .map_err(|e| format!("{}: {e}", self.destination.display()))
    }

    fn try_to_prepare(&self, start: Start) -> io::Result<()> {
        if start == Start::Blank {
            self.is_copy.set(false);
            fs::remove_file(&self.destination).or_else(|e| match e.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(e),
            })?;
            let file = File::create_new(&self.destination)?;
            file.set_len(self.size as u64)?;
            return file.sync_all();
        }
        if !self.is_copy.get() {
            let mut source = File::open(&self.source)?;
            let mut file = File::create(&self.destination)?;
            let mut block = vec![0; MIB];
            for _ in 0..self.size / MIB {
                io::Read::read_exact(&mut source, &mut block)?;
                file.write_all(&block)?;
            }
            self.is_copy.set(true);
        }
        let file = File::options().write(true).open(&self.destination)?;
        let (places, unit): (&[usize], usize) = match start {
            Start::Pages => (&self.pages, 4 * KIB),
            Start::Mebibytes => (&self.mebibytes, MIB),
            _ => (&[], 0),
        };
        let mut random = Random::new(46);
        let mut block = vec![0; unit];
        for place in places {
            random.fill(&mut block);
            file.write_all_at(&block, (place * unit) as u64)?;
        }
        file.sync_all()
    }

    fn verify(&self) -> Result {
        let result = equal(&self.source, &self.destination);
        if result.is_err() {
            self.is_copy.set(false);
        }
        result
    }

    fn remove(&self) -> Result {
        remove(&self.source)?;
        remove(&self.destination)
    }
}

/// Runs of 64 KiB to 4 MiB: 30 % zeros, 40 % random, 30 % text that can be made three times smaller
/// and yet has no two pages alike.
fn disk_image(path: &Path, size: usize) -> io::Result<()> {
    let mut random = Random::new(47);
    let words: Vec<Vec<u8>> = (0..4000)
        .map(|_| {
            let length = 3 + random.next() as usize % 7;
            let letters = (0..length).map(|_| b'a' + (random.next() % 26) as u8);
            letters.chain([b' ']).collect()
        })
        .collect();
    let text = |random: &mut Random| {
        let mut text = Vec::with_capacity(4 * MIB + 16);
        while text.len() < 4 * MIB {
            text.extend_from_slice(&words[random.next() as usize % words.len()]);
        }
        text.truncate(4 * MIB);
        text
    };
    let texts: Vec<Vec<u8>> = (0..8).map(|_| text(&mut random)).collect();
    let mut file = File::create(path)?;
    let mut left = size;
    while left > 0 {
        let doublings = [0, 0, 1, 2, 3, 4, 5, 6][random.next() as usize % 8];
        let length = ((64 * KIB) << doublings).min(left);
        let mut run = vec![0; length];
        match random.next() % 10 {
            0..3 => {}
            3..7 => random.fill(&mut run),
            _ => {
                let text = &texts[random.next() as usize % texts.len()];
                let from = random.next() as usize % (text.len() - length + 1);
                run.copy_from_slice(&text[from..][..length]);
                for page in run.chunks_mut(4 * KIB) {
                    random.fill(&mut page[..16]);
                }
            }
        }
        file.write_all(&run)?;
        left -= length;
    }
    file.sync_all()
}

/// File to file.
fn here(bench: &mut Bench, images: &Images, start: Start) -> Result {
    let mut contenders = vec![
        Contender::ours("blocksync", "blocksync", |c| {
            c.args(["--quiet", "src.img", "dst.img"]);
        }),
        Contender::peer("rsync", "rsync", |c| {
            c.args(RSYNC).args(["src.img", "dst.img"]);
        }),
        Contender::peer("cp", "cp", |c| {
            c.args(["--reflink=never", "src.img", "dst.img"]);
        })
        .synced("dst.img"),
    ];
    if start == Start::Identical {
        contenders.push(Contender::peer("sh", "dd of each to nowhere", |c| {
            c.args(["-c", READ_BOTH]);
        }));
    }
    bench.run(Case {
        name: &format!("{}, here", start.name(images.size)),
        contenders,
        prepare: &mut |_| images.prepare(start),
        verify: &mut |_, _| images.verify(),
    })
}

/// Device to device: loop devices over the same images, read past the page cache.
fn between_devices(bench: &mut Bench, images: &Images) -> Result {
    // A device is as large as its file is when it is attached.
    images.prepare(Start::Identical)?;
    let attached = Loops::attach(&[&images.source, &images.destination]);
    let loops = match attached {
        Ok(loops) => loops,
        Err(why) => {
            bench.note("Device to device", &format!("skipped: {why}\n"));
            return Ok(());
        }
    };
    let [source, destination] = [&loops.0[0], &loops.0[1]];
    for start in [Start::Identical, Start::Pages, Start::Mebibytes] {
        images.prepare(start)?;
        let mut contenders = vec![
            Contender::ours("blocksync", "blocksync", |c| {
                c.args(["--quiet", source, destination]);
            }),
            Contender::peer("rsync", "rsync", |c| {
                c.args(RSYNC).args([source, destination]);
            }),
            Contender::peer("dd", "dd", |c| {
                c.arg(format!("if={source}"))
                    .arg(format!("of={destination}"));
                c.args(["bs=1M", "iflag=direct", "conv=notrunc,fsync", "status=none"]);
            }),
        ];
        if start == Start::Identical {
            contenders.push(Contender::peer("sh", "dd of each to nowhere", |c| {
                let script = "for name; do dd if=$name of=/dev/null bs=1M iflag=direct \
                    status=none & done; wait";
                c.args(["-c", script, "sh", source, destination]);
            }));
        }
        bench.run(Case {
            name: &format!("{}, device to device", start.name(images.size)),
            contenders,
            prepare: &mut |_| images.prepare(start),
            verify: &mut |_, _| images.verify(),
        })?;
    }
    Ok(())
}

/// Loop devices, detached at the end.
struct Loops(Vec<String>);

impl Loops {
    fn attach(files: &[&Path]) -> Result<Loops> {
        let losetup = find_program("losetup").ok_or("losetup is not installed")?;
        let mut loops = Loops(Vec::new());
        for file in files {
            let mut command = Command::new(&losetup);
            let output = command.args(["--find", "--show"]).arg(file).output();
            let output = output.map_err(|e| format!("losetup: {e}"))?;
            if !output.status.success() {
                let text = String::from_utf8_lossy(&output.stderr);
                return Err(text.trim().to_owned());
            }
            let name = String::from_utf8_lossy(&output.stdout);
            loops.0.push(name.trim().to_owned());
        }
        Ok(loops)
    }
}

impl Drop for Loops {
    fn drop(&mut self) {
        for name in &self.0 {
            let mut command = Command::new(find_program("losetup").unwrap_or_default());
            let _ = command.arg("--detach").arg(name).status();
        }
    }
}

/// As for devices: in place, only what differs, whatever times and sizes say, and onto the disk.
const RSYNC: [&str; 6] = [
    "--inplace",
    "--no-whole-file",
    "--copy-devices",
    "--write-devices",
    "--ignore-times",
    "--fsync",
];

/// What reading alone takes: both images at once, as fast as the slower one.
const READ_BOTH: &str = "for name in src dst; do \
    dd if=$name.img of=/dev/null bs=1M status=none & done; wait";

/// Who takes part over ssh.
struct Runner {
    label: &'static str,
    /// Not there, no part.
    program: PathBuf,
    is_ours: bool,
    /// At the near end, with where the program is and the name of the far end.
    command: Line,
    state: std::result::Result<Vec<Run>, String>,
}

type Line = fn(&Network, &Path, &str) -> Command;

/// One run over ssh.
#[derive(Clone, Debug)]
struct Run {
    near: Measurement,
    far_cpu: f64,
    far_peak: u64,
    sent: u64,
    received: u64,
}

/// A column of the table.
type Figure = fn(&Run) -> f64;

impl Run {
    fn wall(&self) -> f64 {
        self.near.wall.as_secs_f64()
    }

    fn near_cpu(&self) -> f64 {
        (self.near.user + self.near.system).as_secs_f64()
    }

    fn cpu(&self) -> f64 {
        self.near_cpu() + self.far_cpu
    }

    fn wire(&self) -> f64 {
        (self.sent + self.received) as f64
    }
}

fn over_ssh(bench: &mut Bench, images: &Images, starts: &[Start]) -> Result {
    let network = match Network::start(bench.dir(), bench.binaries(), DELAY) {
        Ok(network) => network,
        Err(why) => {
            let lines = format!("skipped: {why}\n");
            bench.note("Over ssh", &lines);
            return Ok(());
        }
    };
    let runs = bench.runs();
    for (host, how, rounds) in [
        (DIRECT, "over ssh", 0..=runs),
        (DELAYED, "over ssh, 40 ms round trip, once", 1..=1),
    ] {
        for start in starts.iter().copied() {
            let name = format!("{}, {how}", start.name(images.size));
            let mut runners = runners(bench.binaries(), images.size, start);
            for round in rounds.clone() {
                for runner in &mut runners {
                    let Ok(measured) = &mut runner.state else {
                        continue;
                    };
                    images
                        .prepare(start)
                        .map_err(|e| format!("{name}: {}: {e}", runner.label))?;
                    let mut command = (runner.command)(&network, &runner.program, host);
                    match one(bench, &network, &mut command).and_then(|run| {
                        images.verify()?;
                        Ok(run)
                    }) {
                        // The first round warms up.
                        Ok(run) if round > 0 => measured.push(run),
                        Ok(_) => {}
                        Err(why) => runner.state = Err(format!("failed: {why}")),
                    }
                }
            }
            show(bench, &name, &runners);
            for runner in runners.iter().filter(|runner| runner.is_ours) {
                if let Err(why) = &runner.state {
                    return Err(format!("{name}: {}: {why}", runner.label));
                }
            }
        }
    }
    Ok(())
}

fn runners(binaries: &Path, size: usize, start: Start) -> Vec<Runner> {
    let mut all: Vec<(&str, &str, Line)> = vec![
        ("blocksync", "blocksync", |network, program, host| {
            let mut command = network.command(program);
            command.args([SHELL, "--quiet", "src.img"]);
            command.arg(format!("{host}:dst.img"));
            command
        }),
        ("blocksync, pull", "blocksync", |network, program, host| {
            let mut command = network.command(program);
            command.args([SHELL, "--quiet"]);
            command.arg(format!("{host}:src.img")).arg("dst.img");
            command
        }),
        ("rsync", "rsync", |network, program, host| {
            let mut command = network.command(program);
            command.args(RSYNC).args([SHELL, "src.img"]);
            command.arg(format!("{host}:dst.img"));
            command
        }),
        ("rsync with zstd", "rsync", |network, program, host| {
            let mut command = network.command(program);
            command
                .args(RSYNC)
                .args(["--compress", "--zc=zstd", "--zl=1"]);
            command
                .args([SHELL, "src.img"])
                .arg(format!("{host}:dst.img"));
            command
        }),
        ("bdsync", "bdsync", |network, _, host| {
            let script = "bdsync \"ssh -F ssh_config $0 bdsync --server\" src.img dst.img | \
                ssh -F ssh_config $0 bdsync --patch=dst.img";
            script_at(network, script, host)
        }),
        ("dd", "dd", |network, _, host| {
            let script = "dd if=src.img bs=1M status=none | ssh -F ssh_config $0 \
                dd of=dst.img bs=1M conv=notrunc,fsync iflag=fullblock status=none";
            script_at(network, script, host)
        }),
    ];
    if start == Start::Identical {
        all.push(("ssh with nothing to do", "ssh", |network, program, host| {
            let mut command = network.command(program);
            command.args(["-F", "ssh_config", host, "true"]);
            command
        }));
        all.push(("dd of each to nowhere", "dd", |network, _, host| {
            script_at(network, READ_BOTH, host)
        }));
    }
    if size == LARGE {
        // It would only take long.
        all.retain(|(label, ..)| !matches!(*label, "dd" | "bdsync"));
    }
    let runners = all.into_iter().map(|(label, program, command)| {
        let is_ours = program == "blocksync";
        let found = match is_ours {
            true => Some(binaries.join(program)),
            false => find_program(program),
        };
        let state = match &found {
            Some(_) => Ok(Vec::new()),
            None => Err("not installed".to_owned()),
        };
        Runner {
            label,
            program: found.unwrap_or_default(),
            is_ours,
            command,
            state,
        }
    });
    runners.collect()
}

/// How blocksync and rsync reach the far end.
const SHELL: &str = "--rsh=ssh -F ssh_config";

/// A shell at the near end; `$0` is the host.
fn script_at(network: &Network, script: &str, host: &str) -> Command {
    let mut command = network.command("sh");
    command.args(["-c", script, host]);
    command
}

/// Runs a command at the near end and counts.
fn one(bench: &Bench, network: &Network, command: &mut Command) -> Result<Run> {
    let path = bench.dir().join("stderr");
    let stderr = File::create(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    command
        .current_dir(bench.dir())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr);
    let before = network.counters()?;
    network.far_peak();
    bench.settle()?;
    let near = measure::run(command)?;
    let after = network.counters()?;
    if !near.status.success() {
        let text = fs::read(&path).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let last = text.lines().last().unwrap_or_default();
        return Err(format!("{}: {last}", near.status));
    }
    let since = |of: fn(&Counters) -> u64| of(&after) - of(&before);
    Ok(Run {
        near,
        far_cpu: (after.far_cpu - before.far_cpu).as_secs_f64(),
        far_peak: network.far_peak(),
        sent: since(|counters| counters.sent),
        received: since(|counters| counters.received),
    })
}

/// Medians of all that ran, and why others did not.
fn show(bench: &mut Bench, name: &str, runners: &[Runner]) {
    let median = |of: Figure, runs: &[Run]| median_of(runs.iter().map(of).collect());
    let all = || {
        let all = runners.iter();
        all.filter_map(|runner| runner.state.as_ref().ok().map(|runs| (runner, runs)))
    };
    let to_ours = |of: Figure, runs: &[Run]| {
        let ours = all().find(|(runner, _)| runner.is_ours);
        let ours = ours.map_or(f64::NAN, |(_, runs)| median(of, runs));
        format!("{:.2}", median(of, runs) / ours)
    };
    let head = [
        "command",
        "wall s",
        "/ours",
        "CPU s",
        "/ours",
        "of it far",
        "wire bytes",
        "/ours",
        "sent",
        "received",
        "peak MiB",
        "far peak MiB",
    ];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    for (runner, runs) in all() {
        lines.push(vec![
            runner.label.to_owned(),
            format!("{:.3}", median(Run::wall, runs)),
            to_ours(Run::wall, runs),
            format!("{:.2}", median(Run::cpu, runs)),
            to_ours(Run::cpu, runs),
            format!("{:.2}", median(|run| run.far_cpu, runs)),
            format!("{:.0}", median(Run::wire, runs)),
            to_ours(Run::wire, runs),
            format!("{:.0}", median(|run| run.sent as f64, runs)),
            format!("{:.0}", median(|run| run.received as f64, runs)),
            format!("{:.1}", median(|run| mib(run.near.peak_memory), runs)),
            format!("{:.1}", median(|run| mib(run.far_peak), runs)),
        ]);
    }
    let out = runners.iter().filter_map(|runner| {
        let why = runner.state.as_ref().err()?;
        Some(format!("{}: {why}.\n", runner.label))
    });
    let remarks: String = out.collect();
    bench.table(name, &lines, &remarks);
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB as f64
}
