//! `cargo xtask bench`: the tools side by side with the peers that are installed.
//!
//! Machines and their load differ, so the figures to look at are ratios and byte counts. The
//! commands of a case run in turn, round after round, each round beginning with another one, so that a
//! slow minute and the memory that the one before left warm are everyone's; a first round is not counted.
//! Each result is verified in every round: a wrong copy is not fast.
//!
//! To add a case, write a function in `bench_TOOL.rs` that makes the input below [`Bench::dir`],
//! calls [`Bench::run`] with a [`Case`], and removes what it made.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::measure::{self, Measurement, Moved};
use crate::workspace::{
    Scratch, build_release, build_release_of, find_program, root, take_value, version,
};
use crate::{
    Result, bench_blkcore, bench_blocksync, bench_dupes, bench_sparse_dd, bench_unzip_cjk,
};

/// The cases of one tool.
type Suite = fn(&mut Bench) -> Result;

/// Tools and their cases.
const SUITES: &[(&str, Suite)] = &[
    ("blkcore", bench_blkcore::run),
    ("blocksync", bench_blocksync::run),
    ("dupes", bench_dupes::run),
    ("sparse-dd", bench_sparse_dd::run),
    ("unzip-cjk", bench_unzip_cjk::run),
];

/// Those whose cases need the tool of that name and no other.
const WITH_ONE_TOOL: &[&str] = &["dupes", "sparse-dd", "unzip-cjk"];

/// One question: who does this best?
pub(crate) struct Case<'a> {
    /// The input and the job, in a few words.
    pub(crate) name: &'a str,
    /// Ours first.
    pub(crate) contenders: Vec<Contender<'a>>,
    /// Called with the label before each run; not measured. Remove the last run's result here.
    pub(crate) prepare: &'a mut dyn FnMut(&str) -> Result,
    /// Called after each run with the label and the file that has the command's stdout.
    pub(crate) verify: &'a mut dyn FnMut(&str, &Path) -> Result,
}

/// A command that takes part.
pub(crate) struct Contender<'a> {
    label: &'a str,
    program: &'a str,
    is_ours: bool,
    arguments: Box<dyn Fn(&mut Command) + 'a>,
    synced: Option<&'a str>,
    through: Option<&'a str>,
    status: i32,
}

impl<'a> Contender<'a> {
    /// Our tool, from the release build.
    pub(crate) fn ours(
        tool: &'a str,
        label: &'a str,
        arguments: impl Fn(&mut Command) + 'a,
    ) -> Self {
        let arguments = Box::new(arguments);
        Contender {
            label,
            program: tool,
            is_ours: true,
            arguments,
            synced: None,
            through: None,
            status: 0,
        }
    }

    /// A program that may be installed here.
    pub(crate) fn peer(
        program: &'a str,
        label: &'a str,
        arguments: impl Fn(&mut Command) + 'a,
    ) -> Self {
        let arguments = Box::new(arguments);
        Contender {
            label,
            program,
            is_ours: false,
            arguments,
            synced: None,
            through: None,
            status: 0,
        }
    }

    /// Writes `file` to the disk after the command, as part of it: for peers that leave that to
    /// the kernel, beside tools that do not.
    pub(crate) fn synced(mut self, file: &'a str) -> Self {
        self.synced = Some(file);
        self
    }

    /// Runs a script of sh, in which `"$@"` is the program with its arguments.
    pub(crate) fn through(mut self, script: &'a str) -> Self {
        self.through = Some(script);
        self
    }

    /// The exit status that is wanted, if that is not 0.
    pub(crate) fn exits(mut self, status: i32) -> Self {
        self.status = status;
        self
    }

    /// The command to run, when `program` is where the program is.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some(file) = self.synced {
            command = Command::new("sh");
            command.args(["-c", "file=$1; shift; \"$@\" && sync \"$file\"", "sh", file]);
            command.arg(program);
        }
        if let Some(script) = self.through {
            command = Command::new("sh");
            command.args(["-c", script, "sh"]).arg(program);
        }
        (self.arguments)(&mut command);
        command
    }
}

/// A run of `bench`: its options, its folder, and what it has found out so far.
pub(crate) struct Bench {
    scratch: Scratch,
    binaries: PathBuf,
    runs: usize,
    cold: bool,
    report: String,
}

impl Bench {
    /// Where inputs and results go. Commands run here too.
    pub(crate) fn dir(&self) -> &Path {
        self.scratch.path()
    }

    /// Where the release build of our tools is.
    pub(crate) fn binaries(&self) -> &Path {
        &self.binaries
    }

    /// How many rounds count.
    pub(crate) fn runs(&self) -> usize {
        self.runs
    }

    /// To be called before each command that is measured.
    pub(crate) fn settle(&self) -> Result {
        if self.cold {
            drop_caches()?;
        }
        forget_own_peak();
        Ok(())
    }

    /// Prints a table of a measure that runs by itself, and keeps it for the report.
    pub(crate) fn table(&mut self, name: &str, lines: &[Vec<String>], remarks: &str) {
        let mut text = format!("\n### {name}\n\n{}", markdown(lines));
        if !remarks.is_empty() {
            text += &format!("\n{remarks}");
        }
        print!("{text}");
        self.report += &text;
    }

    /// Prints lines of a measure that runs by itself, and keeps them for the report.
    pub(crate) fn note(&mut self, name: &str, lines: &str) {
        let text = format!("\n### {name}\n\n```\n{lines}```\n");
        print!("{text}");
        self.report += &text;
    }

    /// Runs a case and prints its table.
    pub(crate) fn run(&mut self, case: Case) -> Result {
        let Case {
            name,
            contenders,
            prepare,
            verify,
        } = case;
        let stdout = self.dir().join("stdout");
        let stderr = self.dir().join("stderr");
        let mut entries: Vec<Entry> = contenders.into_iter().map(|c| self.entry(c)).collect();
        // The first round warms up; without a cache there is nothing to warm.
        let first = usize::from(self.cold);
        for round in first..=self.runs {
            for turn in 0..entries.len() {
                let turn = (turn + round) % entries.len();
                let entry = &mut entries[turn];
                let State::Running { program, measured } = &mut entry.state else {
                    continue;
                };
                let label = entry.contender.label;
                prepare(label).map_err(|e| format!("{name}: {label}: {e}"))?;
                let mut command = entry.contender.command(program);
                command
                    .current_dir(self.scratch.path())
                    .stdin(Stdio::null())
                    .stdout(create(&stdout)?)
                    .stderr(create(&stderr)?);
                self.settle()?;
                let measurement = measure::run(&mut command)?;
                let result = if measurement.status.code() == Some(entry.contender.status) {
                    verify(label, &stdout)
                } else {
                    let text = fs::read(&stderr).unwrap_or_default();
                    let text = String::from_utf8_lossy(&text);
                    let last = text.lines().last().unwrap_or_default();
                    Err(format!("{}: {last}", measurement.status))
                };
                match result {
                    Ok(()) if round > 0 => measured.push(measurement),
                    Ok(()) => {}
                    Err(why) => entry.state = State::Out(format!("failed: {why}")),
                }
            }
        }
        let text = format!("\n### {name}\n\n{}", table(&entries));
        print!("{text}");
        self.report += &text;
        match entries.iter().find(|entry| entry.contender.is_ours) {
            Some(Entry {
                state: State::Out(why),
                contender,
            }) => Err(format!("{name}: {}: {why}", contender.label)),
            _ => Ok(()),
        }
    }

    fn entry<'a>(&self, contender: Contender<'a>) -> Entry<'a> {
        let program = match contender.is_ours {
            true => Some(self.binaries.join(contender.program)),
            false => find_program(contender.program),
        };
        let state = match program {
            Some(program) => State::Running {
                program,
                measured: Vec::new(),
            },
            None => State::Out("not installed".to_owned()),
        };
        Entry { contender, state }
    }
}

/// A contender and how it fares.
struct Entry<'a> {
    contender: Contender<'a>,
    state: State,
}

enum State {
    Running {
        program: PathBuf,
        measured: Vec<Measurement>,
    },
    Out(String),
}

/// Runs the cases of the named tools, or of all.
pub(crate) fn run(arguments: &[OsString]) -> Result {
    let mut runs = 5;
    let (mut cold, mut write) = (false, false);
    let mut dir = std::env::temp_dir();
    let mut tools = Vec::new();
    let mut rest = arguments;
    while let Some((first, after)) = rest.split_first() {
        if let Some(value) = take_value("--runs", &mut rest)? {
            let number = value.to_str().and_then(|text| text.parse().ok());
            let number = number.filter(|number| *number > 0);
            runs = number.ok_or(format!("--runs: {}: not a number", value.display()))?;
            continue;
        }
        if let Some(value) = take_value("--dir", &mut rest)? {
            dir = value;
            continue;
        }
        match first.to_str() {
            Some("--cold") => cold = true,
            Some("--write") => write = true,
            Some(tool) if SUITES.iter().any(|(name, _)| *name == tool) => tools.push(tool),
            _ => return Err(format!("{}: unknown argument or tool", first.display())),
        }
        rest = after;
    }
    let dir = fs::canonicalize(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let needs_all = tools.is_empty() || tools.iter().any(|tool| !WITH_ONE_TOOL.contains(tool));
    let binaries = match needs_all {
        true => build_release()?,
        false => build_release_of(&tools)?,
    };
    let mut bench = Bench {
        binaries,
        scratch: Scratch::new(&dir, "bench")?,
        runs,
        cold,
        report: String::new(),
    };
    for (tool, suite) in SUITES {
        if !tools.is_empty() && !tools.contains(tool) {
            continue;
        }
        let cache = if cold { "cold" } else { "warm" };
        let heading = format!(
            "\n## {tool} {}, {}\n\n{}\nMedians of {runs} runs, {cache} cache.\n",
            version(),
            first_line("date", &["-u", "+%F"]),
            machine(bench.dir()),
        );
        print!("{heading}");
        bench.report += &heading;
        suite(&mut bench)?;
    }
    if write {
        let path = root().join("BENCHMARKS.md");
        let file = File::options().append(true).open(&path);
        file.and_then(|mut file| file.write_all(bench.report.as_bytes()))
            .map_err(|e| format!("{}: {e}", path.display()))?;
        println!("\nwritten to BENCHMARKS.md");
    }
    Ok(())
}

fn create(path: &Path) -> Result<File> {
    File::create(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// Writes everything out and empties the page cache of the whole machine.
fn drop_caches() -> Result {
    let sync = Command::new("sync").status();
    sync.and_then(|_| fs::write("/proc/sys/vm/drop_caches", "3"))
        .map_err(|e| format!("--cold: /proc/sys/vm/drop_caches: {e}"))
}

/// Resets our own peak memory: a child's peak begins with that of the process that starts it.
fn forget_own_peak() {
    // Not on every kernel; then the child's peak is at least ours.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// One line on processor, cores, memory, kernel and file system.
fn machine(dir: &Path) -> String {
    let field = |path: &str, name: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':'))
            .map(|(_, value)| value.trim().to_owned())
    };
    let model = field("/proc/cpuinfo", "model name").unwrap_or(std::env::consts::ARCH.to_owned());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_default();
    let kib: f64 = memory.trim_end_matches(" kB").parse().unwrap_or(0.0);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let dir = dir.as_os_str();
    let file_system = first_line("stat", &["-f".as_ref(), "-c%T".as_ref(), dir]);
    format!(
        "{model}, {cores} cores, {:.0} GiB of memory, Linux {}, files on {file_system}.",
        kib / 1024.0 / 1024.0,
        kernel.trim(),
    )
}

fn first_line(program: &str, arguments: &[impl AsRef<OsStr>]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default()
        .lines()
        .next()
        .unwrap_or("unknown")
        .to_owned()
}

/// The medians of one contender.
struct Row<'a> {
    label: &'a str,
    is_ours: bool,
    wall: f64,
    cpu: f64,
    user: f64,
    system: f64,
    peak: f64,
    read: f64,
    written: f64,
    disk_read: f64,
}

impl<'a> Row<'a> {
    fn new(contender: &Contender<'a>, measured: &[Measurement]) -> Row<'a> {
        let median =
            |of: &dyn Fn(&Measurement) -> f64| median_of(measured.iter().map(of).collect());
        let mib = |bytes: u64| bytes as f64 / 1024.0 / 1024.0;
        let seconds = |time: Duration| time.as_secs_f64();
        let moved = |of: fn(&Moved) -> u64| {
            let known = measured.iter().filter_map(|m| m.moved.as_ref());
            median_of(known.map(|moved| mib(of(moved))).collect())
        };
        Row {
            label: contender.label,
            is_ours: contender.is_ours,
            wall: median(&|m| seconds(m.wall)),
            cpu: median(&|m| seconds(m.user + m.system)),
            user: median(&|m| seconds(m.user)),
            system: median(&|m| seconds(m.system)),
            peak: median(&|m| mib(m.peak_memory)),
            read: moved(|moved| moved.read),
            written: moved(|moved| moved.written),
            disk_read: moved(|moved| moved.disk_read),
        }
    }
}

/// Compares as far as the source goes: a device may be longer.
pub(crate) fn equal(source: &Path, copy: &Path) -> Result {
    let size = fs::metadata(source).map_err(|e| e.to_string())?.len();
    let mut command = Command::new("cmp");
    let status = command
        .args(["-n", &size.to_string()])
        .arg(source)
        .arg(copy)
        .status();
    match status.map_err(|e| format!("cmp: {e}"))?.success() {
        true => Ok(()),
        false => Err("the copy differs".to_owned()),
    }
}

/// Removes a file that may not be there.
pub(crate) fn remove(path: &Path) -> Result {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(format!("{}: {e}", path.display())),
        _ => Ok(()),
    }
}

/// The middle of the values; of an even number the mean of the two in the middle.
pub(crate) fn median_of(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

/// A Markdown table of a case, with ratios of wall clock and CPU time to the best and to ours.
fn table(entries: &[Entry]) -> String {
    let running = entries.iter().filter_map(|entry| match &entry.state {
        State::Running { measured, .. } => Some(Row::new(&entry.contender, measured)),
        State::Out(_) => None,
    });
    let rows: Vec<Row> = running.collect();
    let best = |of: fn(&Row) -> f64| rows.iter().map(of).fold(f64::INFINITY, f64::min);
    let (best_wall, best_cpu) = (best(|row| row.wall), best(|row| row.cpu));
    let ours = rows.iter().find(|row| row.is_ours);
    let ratio = |value: f64, to: f64| match value / to {
        ratio if ratio.is_finite() => format!("{ratio:.2}"),
        _ => "-".to_owned(),
    };
    let number = |value: f64| match value.is_nan() {
        true => "-".to_owned(),
        false => format!("{value:.1}"),
    };
    let to_ours = |value: f64, of: fn(&Row) -> f64| ratio(value, ours.map_or(f64::NAN, of));
    let head = [
        "command",
        "wall s",
        "/best",
        "/ours",
        "CPU s",
        "/best",
        "/ours",
        "user",
        "system",
        "peak MiB",
        "read MiB",
        "written MiB",
        "from disk MiB",
    ];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    for row in &rows {
        lines.push(vec![
            row.label.to_owned(),
            format!("{:.3}", row.wall),
            ratio(row.wall, best_wall),
            to_ours(row.wall, |row| row.wall),
            format!("{:.3}", row.cpu),
            ratio(row.cpu, best_cpu),
            to_ours(row.cpu, |row| row.cpu),
            format!("{:.3}", row.user),
            format!("{:.3}", row.system),
            number(row.peak),
            number(row.read),
            number(row.written),
            number(row.disk_read),
        ]);
    }
    let mut text = markdown(&lines);
    let out = entries.iter().filter_map(|entry| match &entry.state {
        State::Out(why) => Some(format!("{}: {why}.\n", entry.contender.label)),
        State::Running { .. } => None,
    });
    let out: String = out.collect();
    if !out.is_empty() {
        text += &format!("\n{out}");
    }
    text
}

/// Cells in columns of even width; the first is on the left, figures are on the right.
fn markdown(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<usize> = (0..columns)
        .map(|column| width(column).unwrap_or(0).max(3))
        .collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            text += &match column {
                0 => format!("| {cell:<width$} |"),
                _ => format!(" {cell:>width$} |"),
            };
        }
        text.push('\n');
        if number == 0 {
            for (column, width) in widths.iter().enumerate() {
                text += &match column {
                    0 => format!("| {:-<width$} |", ""),
                    _ => format!(" {:->1$}: |", "", width - 1),
                };
            }
            text.push('\n');
        }
    }
    text
}

/// Seeded pseudo-random bytes (SplitMix64): the same input on every machine.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let bytes = self.next().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bench() -> Bench {
        let scratch = Scratch::new(&std::env::temp_dir(), "harness-test").unwrap();
        let binaries = scratch.path().join("bin");
        fs::create_dir(&binaries).unwrap();
        std::os::unix::fs::symlink("/bin/cat", binaries.join("ours")).unwrap();
        Bench {
            scratch,
            binaries,
            runs: 3,
            cold: false,
            report: String::new(),
        }
    }

    #[test]
    fn contenders_run_in_turn_and_wrong_ones_are_named() {
        let mut bench = bench();
        let dir = bench.dir().to_path_buf();
        fs::write(dir.join("input"), vec![b'x'; 5 << 20]).unwrap();
        let mut order = String::new();
        let case = Case {
            name: "five MiB",
            contenders: vec![
                Contender::ours("ours", "o", |c| {
                    c.arg("input");
                }),
                Contender::peer("head", "h", |c| {
                    c.args(["-c", "9", "input"]);
                }),
                Contender::peer("sh", "s", |c| {
                    c.args(["-c", "echo no >&2; exit 4"]);
                }),
                Contender::peer("no-such-program", "n", |_| {}),
            ],
            prepare: &mut |label| {
                order += label;
                Ok(())
            },
            verify: &mut |_, stdout| match fs::metadata(stdout).unwrap().len() {
                5_242_880 => Ok(()),
                length => Err(format!("{length} bytes")),
            },
        };
        bench.run(case).unwrap();
        assert_eq!(order, "ohsooo");
        for line in [
            "\nh: failed: 9 bytes.\n",
            "\ns: failed: exit status: 4: no.\n",
            "\nn: not installed.\n",
        ] {
            assert!(bench.report.contains(line), "{}", bench.report);
        }
        let ours = bench
            .report
            .lines()
            .find(|line| line.starts_with("| o"))
            .unwrap();
        let cells: Vec<&str> = ours.split('|').map(str::trim).collect();
        assert_eq!((cells[3], cells[4]), ("1.00", "1.00"));
        assert!(cells[12] == "5.0" || cells[12] == "-", "{ours}");
    }

    #[test]
    fn medians_and_tables() {
        assert_eq!(median_of(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median_of(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        let lines = [["a", "b"], ["long", "1"]].map(|line| line.map(str::to_owned).to_vec());
        let expected = "| a    |   b |\n| ---- | --: |\n| long |   1 |\n";
        assert_eq!(markdown(&lines), expected);
    }
}
