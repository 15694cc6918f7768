//! Where things are: the workspace, its tools, the programs on this machine; and scratch folders.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, setup};

/// The top folder of the workspace.
pub(crate) fn root() -> PathBuf {
    // `cargo run` says where the package is now; the folder may have moved since it was compiled.
    let package = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.parent().map(Path::to_path_buf).unwrap_or(package)
}

/// The names of all tools, sorted: the crates that have a `main.rs`.
pub(crate) fn tools() -> Result<Vec<String>> {
    let crates = root().join("crates");
    let entries = fs::read_dir(&crates).map_err(|e| format!("{}: {e}", crates.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok())
        .filter(|entry| entry.path().join("src/main.rs").is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    Ok(names)
}

/// The text of a file, given by its path from the top of the workspace.
pub(crate) fn read(path: &str) -> Result<String> {
    fs::read_to_string(root().join(path)).map_err(|e| format!("{path}: {e}"))
}

/// The version that all crates share.
pub(crate) fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// The cargo that runs us, in the top folder.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs a command on our own terminal; a status other than 0 is an error that names it.
pub(crate) fn run(command: &mut Command) -> Result {
    let name = Path::new(command.get_program())
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let first = command
        .get_args()
        .next()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let label = format!("{name} {first}");
    let status = command
        .status()
        .map_err(|e| format!("{}: {e}", label.trim_end()))?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("{}: {status}", label.trim_end())),
    }
}

/// A tool that is no default member, since it needs a library: what to do where that is missing.
pub(crate) const NEEDS_ALSA: &str = "cqloop";

/// Whether this tool can be built here.
pub(crate) fn can_build(tool: &str) -> bool {
    tool != NEEDS_ALSA || setup::has_library("alsa")
}

/// Builds all tools that can be built here in release mode and returns the folder that the binaries
/// are in.
pub(crate) fn build_release() -> Result<PathBuf> {
    let mut tools = tools()?;
    tools.retain(|tool| can_build(tool));
    let tools: Vec<&str> = tools.iter().map(String::as_str).collect();
    build_release_of(&tools)
}

/// Builds these packages, or the default members if none is named, and returns the same folder.
pub(crate) fn build_release_of(packages: &[&str]) -> Result<PathBuf> {
    let packages = packages.iter().flat_map(|name| ["-p", name]);
    run(cargo()
        .args(["build", "--release", "--locked"])
        .args(packages))?;
    // We are TARGET/debug/xtask. This also holds with CARGO_TARGET_DIR and with build.target.
    let own = env::current_exe().map_err(|e| format!("own path: {e}"))?;
    match own.ancestors().nth(2) {
        Some(target) => Ok(target.join("release")),
        None => Err(format!("{}: not in a target folder", own.display())),
    }
}

/// A program on this machine, also where only root's PATH looks.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| {
            fs::metadata(file).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
        })
}

/// Whether we are root, by the effective user id.
pub(crate) fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    line.and_then(|ids| ids.split_whitespace().nth(1)) == Some("0")
}

/// A folder for the length of one command; removed with all that is in it.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes `blkutils-NAME-PID` in `parent`. It must not exist: nobody else may own it.
    pub(crate) fn new(parent: &Path, name: &str) -> Result<Scratch> {
        let path = parent.join(format!("blkutils-{name}-{}", std::process::id()));
        fs::create_dir(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Scratch(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(e) = fs::remove_dir_all(&self.0) {
            eprintln!("xtask: {}: {e}", self.0.display());
        }
    }
}

/// Splits `--name=VALUE` or `--name VALUE` off a list of arguments.
///
/// Returns the value, or `None` when the first argument is another one.
pub(crate) fn take_value(name: &str, words: &mut &[impl AsRef<OsStr>]) -> Result<Option<PathBuf>> {
    use std::os::unix::ffi::OsStrExt;
    let Some((first, rest)) = words.split_first() else {
        return Ok(None);
    };
    let first = first.as_ref().as_bytes();
    let Some(tail) = first.strip_prefix(name.as_bytes()) else {
        return Ok(None);
    };
    if let Some(value) = tail.strip_prefix(b"=") {
        *words = rest;
        return Ok(Some(PathBuf::from(OsStr::from_bytes(value))));
    }
    if !tail.is_empty() {
        return Ok(None);
    }
    let Some((value, rest)) = rest.split_first() else {
        return Err(format!("{name}: needs a value"));
    };
    *words = rest;
    Ok(Some(PathBuf::from(value.as_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_glued_or_apart() {
        let words = ["--prefix=/usr", "--prefix", "/opt", "--prefixes"];
        let mut rest = &words[..];
        let first = take_value("--prefix", &mut rest).unwrap();
        assert_eq!(first, Some(PathBuf::from("/usr")));
        let second = take_value("--prefix", &mut rest).unwrap();
        assert_eq!(second, Some(PathBuf::from("/opt")));
        assert_eq!(take_value("--prefix", &mut rest), Ok(None));
        assert_eq!(rest, ["--prefixes"]);
        assert!(take_value("--x", &mut &["--x"][..]).is_err());
    }

    #[test]
    fn scratch_is_removed() {
        let scratch = Scratch::new(&env::temp_dir(), "scratch-test").unwrap();
        let path = scratch.path().to_path_buf();
        fs::write(path.join("file"), "x").unwrap();
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn this_workspace_has_tools() {
        assert!(tools().unwrap().contains(&"dupes".to_owned()));
    }
}
