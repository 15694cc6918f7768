//! `cargo xtask demo`: each tool does its main job on real input, here and now.
//!
//! A demo prints each command as a user would type it, what came out, and what was verified. It
//! needs nothing but what building needs, and leaves nothing behind.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::workspace::{Scratch, build_release, find_program};
use crate::{
    Result, demo_blocksync, demo_cqloop, demo_dupes, demo_raiserts, demo_sparse_dd, demo_unzip_cjk,
    demo_xen_migrate, setup,
};

/// A tool's demo.
type Demo = fn(&Stage) -> Result;

/// Tools and their demos.
pub(crate) const DEMOS: &[(&str, Demo)] = &[
    ("raiserts", demo_raiserts::run),
    ("sparse-dd", demo_sparse_dd::run),
    ("blocksync", demo_blocksync::run),
    ("dupes", demo_dupes::run),
    ("xen-migrate", demo_xen_migrate::run),
    ("cqloop", demo_cqloop::run),
    ("unzip-cjk", demo_unzip_cjk::run),
];

/// Builds the tools and shows those that are named, or all.
pub(crate) fn run(arguments: &[OsString]) -> Result {
    let known = |word: &OsString| DEMOS.iter().any(|(tool, _)| word == tool);
    if let Some(word) = arguments.iter().find(|word| !known(word)) {
        return Err(format!("{}: no such tool", word.display()));
    }
    setup::ensure(
        setup::Scope::Build,
        io::IsTerminal::is_terminal(&io::stdin()),
    )?;
    println!("Building the tools.");
    let binaries = build_release()?;
    let mut shown = 0;
    for (tool, demo) in DEMOS {
        if !arguments.is_empty() && !arguments.iter().any(|word| word == tool) {
            continue;
        }
        let scratch = Scratch::new(&std::env::temp_dir(), "demo")?;
        let stage = Stage {
            dir: scratch.path().to_path_buf(),
            binaries: binaries.clone(),
        };
        println!("\n== {tool}");
        demo(&stage).map_err(|e| format!("{tool}: {e}"))?;
        shown += 1;
    }
    println!("\ndemo: {shown} tools did their job");
    Ok(())
}

/// Where a demo takes place: a folder of its own and our binaries.
pub(crate) struct Stage {
    dir: PathBuf,
    binaries: PathBuf,
}

impl Stage {
    /// A path in the demo's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The binary of one of our tools.
    pub(crate) fn tool(&self, name: &str) -> PathBuf {
        self.binaries.join(name)
    }

    /// Runs `line`, words parted by single spaces, and shows it and what it says.
    ///
    /// The first word is one of our tools or a program of the system. Returns its stdout; a status
    /// other than 0 is an error.
    pub(crate) fn run(&self, line: &str) -> Result<String> {
        self.run_with(line, &[])
    }

    /// As [`run`](Stage::run), with variables in the environment.
    pub(crate) fn run_with(&self, line: &str, variables: &[(&str, OsString)]) -> Result<String> {
        println!("\n$ {line}");
        let mut words = line.split(' ');
        let name = words.next().unwrap_or_default();
        let ours = self.binaries.join(name);
        let is_ours = DEMOS.iter().any(|(tool, _)| *tool == name);
        let program = match is_ours {
            true => Some(ours),
            false => find_program(name),
        };
        let mut command = Command::new(program.ok_or(format!("{name}: not installed"))?);
        command
            .args(words)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.dir)
            .stdin(Stdio::null());
        let output = command.output().map_err(|e| format!("{name}: {e}"))?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        show(&stdout);
        show(&String::from_utf8_lossy(&output.stderr));
        match output.status.success() {
            true => Ok(stdout),
            false => Err(format!("{line}: {}", output.status)),
        }
    }

    /// Makes a folder in which `tool` has the name of the program that it stands in for, and runs a
    /// script with that folder first in PATH.
    pub(crate) fn run_as(&self, name: &str, tool: &str, script: &str) -> Result<String> {
        let folder = self.path("drop-in");
        let fault = |e: io::Error| format!("{}: {e}", folder.display());
        fs::create_dir(&folder).map_err(fault)?;
        symlink(self.tool(tool), folder.join(name)).map_err(fault)?;
        fs::write(self.path("script.sh"), script).map_err(fault)?;
        self.run("cat script.sh")?;
        let mut path = folder.into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        self.run_with("sh script.sh", &[("PATH", path)])
    }

    /// Says what has been verified.
    pub(crate) fn verified(&self, what: &str) {
        println!("# {what}");
    }

    /// Says how the demo makes its input where no command does it.
    pub(crate) fn explain(&self, what: &str) {
        println!("\n# {what}");
    }
}

/// Prints the lines of an output; of many only the first and the last.
fn show(text: &str) {
    let lines: Vec<&str> = text.lines().collect();
    let (first, last) = match lines.len() {
        0..=14 => (&lines[..], &lines[..0]),
        count => (&lines[..4], &lines[count - 3..]),
    };
    for line in first {
        println!("{line}");
    }
    if !last.is_empty() {
        println!(
            "... ({} more lines)",
            lines.len() - first.len() - last.len()
        );
    }
    for line in last {
        println!("{line}");
    }
}

/// Whether two files have the same bytes.
pub(crate) fn same_bytes(one: &Path, other: &Path) -> Result<bool> {
    let fault = |path: &Path, e: io::Error| format!("{}: {e}", path.display());
    let mut files = [one, other].map(|path| (path, File::open(path), vec![0; 1 << 20]));
    loop {
        let mut lengths = [0; 2];
        for ((path, file, buffer), length) in files.iter_mut().zip(&mut lengths) {
            let file = file
                .as_mut()
                .map_err(|e| format!("{}: {e}", path.display()))?;
            *length = read_full(file, buffer).map_err(|e| fault(path, e))?;
        }
        let [(_, _, first), (_, _, second)] = &files;
        if first[..lengths[0]] != second[..lengths[1]] {
            return Ok(false);
        }
        if lengths[0] == 0 {
            return Ok(true);
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn read_full(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// Bytes that a file takes on its file system.
pub(crate) fn allocated(path: &Path) -> Result<u64> {
    let metadata = fs::metadata(path).map_err(|e| format!("{}: {e}", path.display()))?;
    // `st_blocks` counts units of 512 bytes, whatever the file system's block is.
    Ok(metadata.blocks() * 512)
}

/// A number of bytes for people, as the tools print it.
pub(crate) fn human(bytes: u64) -> String {
    let mib = bytes as f64 / 1024.0 / 1024.0;
    format!("{mib:.1} MiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_compared_to_the_end() {
        let scratch = Scratch::new(&std::env::temp_dir(), "compare-test").unwrap();
        let [a, b] = ["a", "b"].map(|name| scratch.path().join(name));
        let mut content = vec![7; (1 << 20) + 5];
        fs::write(&a, &content).unwrap();
        fs::write(&b, &content).unwrap();
        assert_eq!(same_bytes(&a, &b), Ok(true));
        content.push(7);
        fs::write(&b, &content).unwrap();
        assert_eq!(same_bytes(&a, &b), Ok(false));
        content.pop();
        content[(1 << 20) + 4] = 8;
        fs::write(&b, &content).unwrap();
        assert_eq!(same_bytes(&a, &b), Ok(false));
        assert!(same_bytes(&a, &scratch.path().join("none")).is_err());
    }
}
