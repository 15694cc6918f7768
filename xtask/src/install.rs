//! `cargo xtask install`: binaries, manual pages and completions below a prefix; or a folder of links
//! under the names of the programs that our tools stand in for.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::workspace::{build_release, build_release_of, can_build, read, root, take_value, tools};
use crate::{Result, completions, options};

/// The names under which a tool is another program.
const DROP_INS: &[(&str, &str)] = &[
    ("cmp", "dupes"),
    ("dd", "sparse-dd"),
    ("unzip", "unzip-cjk"),
    ("zipinfo", "unzip-cjk"),
];

/// Where the links go if no folder is named.
const DROP_IN_FOLDER: &str = "/usr/local/lib/blkutils/drop-in";

/// Builds what is not built yet and installs it to DESTDIR/PREFIX.
///
/// A packager gives the final place as the prefix and a folder of their own as destdir.
pub(crate) fn run(arguments: &[OsString]) -> Result {
    let mut prefix = PathBuf::from("/usr/local");
    let mut destdir = PathBuf::new();
    let mut rest = arguments;
    match arguments {
        [word] if word == "--drop-in" => return drop_in(Path::new(DROP_IN_FOLDER)),
        [word, ..] if word.as_bytes().starts_with(b"--drop-in") => {
            let folder = take_value("--drop-in", &mut rest)?;
            let folder = folder.filter(|folder| rest.is_empty() && !folder.as_os_str().is_empty());
            return drop_in(&folder.ok_or("--drop-in=DIR stands alone")?);
        }
        _ => {}
    }
    while let Some(first) = rest.first() {
        if let Some(value) = take_value("--prefix", &mut rest)? {
            prefix = value;
        } else if let Some(value) = take_value("--destdir", &mut rest)? {
            destdir = value;
        } else {
            return Err(format!("{}: unknown argument", first.display()));
        }
    }
    if !prefix.is_absolute() {
        return Err(format!(
            "{}: the prefix must begin with /",
            prefix.display()
        ));
    }
    let binaries = build_release()?;
    for tool in tools()? {
        if !can_build(&tool) {
            println!("{tool}: left out, since it needs ALSA to build: cargo xtask setup --build");
            continue;
        }
        install(&tool, &binaries, &below(&destdir, &prefix))?;
    }
    Ok(())
}

/// Builds the tools and fills a folder that is to stand first in PATH: binaries and links to them.
fn drop_in(folder: &Path) -> Result {
    let tools: Vec<&str> = DROP_INS.iter().map(|(_, tool)| *tool).collect();
    let binaries = build_release_of(&tools)?;
    let fault = |e: std::io::Error| format!("{}: {e}", folder.display());
    make_folders(folder).map_err(fault)?;
    let folder = fs::canonicalize(folder).map_err(fault)?;
    fill(&folder, &binaries)?;
    println!("\nput it first:  PATH={}:$PATH", folder.display());
    Ok(())
}

/// Puts binaries and links into a folder; nothing of it if the name of a link is taken.
fn fill(folder: &Path, binaries: &Path) -> Result {
    for (name, tool) in DROP_INS {
        let link = folder.join(name);
        let is_ours = fs::read_link(&link).is_ok_and(|target| target == Path::new(tool));
        if !is_ours && link.symlink_metadata().is_ok() {
            let link = link.display();
            return Err(format!(
                "{link}: is there already, and not a link of ours; name another folder"
            ));
        }
    }
    for (name, tool) in DROP_INS {
        let from = binaries.join(tool);
        let bytes = fs::read(&from).map_err(|e| format!("{}: {e}", from.display()))?;
        place(&folder.join(tool), &bytes, 0o755)?;
        let link = folder.join(name);
        if link.symlink_metadata().is_err() {
            symlink(tool, &link).map_err(|e| format!("{}: {e}", link.display()))?;
        }
        println!("{} -> {tool}", link.display());
    }
    Ok(())
}

/// The prefix inside DESTDIR; without DESTDIR the prefix itself.
fn below(destdir: &Path, prefix: &Path) -> PathBuf {
    match destdir.as_os_str().is_empty() {
        true => prefix.to_path_buf(),
        false => destdir.join(prefix.strip_prefix("/").unwrap_or(prefix)),
    }
}

fn install(tool: &str, binaries: &Path, top: &Path) -> Result {
    let args = format!("crates/{tool}/src/args.rs");
    let help = options::help_text(&read(&args)?).ok_or(format!("{args}: no const HELP"))?;
    let scan = options::in_help(&help);
    if let Some(fault) = scan.faults.first() {
        return Err(format!("{args}: HELP: {fault}"));
    }
    let options = scan.options;
    let bytes = |path: PathBuf| fs::read(&path).map_err(|e| format!("{}: {e}", path.display()));
    let binary = bytes(binaries.join(tool))?;
    let page = bytes(root().join(format!("man/{tool}.1")))?;
    place(&top.join("bin").join(tool), &binary, 0o755)?;
    let share = top.join("share");
    let files = [
        (format!("man/man1/{tool}.1"), page),
        (
            format!("bash-completion/completions/{tool}"),
            completions::bash(tool, &options).into(),
        ),
        (
            format!("zsh/site-functions/_{tool}"),
            completions::zsh(tool, &options).into(),
        ),
        (
            format!("fish/vendor_completions.d/{tool}.fish"),
            completions::fish(tool, &options).into(),
        ),
    ];
    for (path, content) in files {
        place(&share.join(path), &content, 0o644)?;
    }
    Ok(())
}

/// Writes a file beside its place and moves it there: a tool that runs keeps its old binary.
fn place(path: &Path, content: &[u8], mode: u32) -> Result {
    let fault = |e: std::io::Error| format!("{}: {e}", path.display());
    let folder = path.parent().unwrap_or(path);
    make_folders(folder).map_err(fault)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = folder.join(format!(".{name}.new"));
    let written = fs::write(&new, content)
        .and_then(|()| fs::set_permissions(&new, fs::Permissions::from_mode(mode)))
        .and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // The error below says what went wrong; there may be nothing to remove.
        let _ = fs::remove_file(&new);
    }
    written.map_err(fault)?;
    println!("{}", path.display());
    Ok(())
}

/// Makes the folders that are missing, for everybody to enter, whatever the umask is.
fn make_folders(folder: &Path) -> std::io::Result<()> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|f| !f.exists()).collect();
    fs::create_dir_all(folder)?;
    let open = |folder: &&Path| fs::set_permissions(folder, fs::Permissions::from_mode(0o755));
    missing
        .iter()
        .filter(|f| !f.as_os_str().is_empty())
        .try_for_each(open)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Scratch;

    #[test]
    fn destdir_holds_the_prefix() {
        let below = |destdir: &str, prefix: &str| below(Path::new(destdir), Path::new(prefix));
        assert_eq!(below("", "/usr/local"), Path::new("/usr/local"));
        assert_eq!(below("/tmp/pkg", "/usr"), Path::new("/tmp/pkg/usr"));
        assert_eq!(below("pkg", "/usr"), Path::new("pkg/usr"));
    }

    #[test]
    fn a_drop_in_never_replaces_what_is_not_ours() {
        let scratch = Scratch::new(&std::env::temp_dir(), "drop-in-test").unwrap();
        let binaries = scratch.path().join("built");
        fs::create_dir(&binaries).unwrap();
        for (_, tool) in DROP_INS {
            fs::write(binaries.join(tool), tool).unwrap();
        }
        let folder = scratch.path().join("first");
        fs::create_dir(&folder).unwrap();
        fill(&folder, &binaries).unwrap();
        fill(&folder, &binaries).unwrap();
        for (name, tool) in DROP_INS {
            assert_eq!(fs::read_to_string(folder.join(name)).unwrap(), *tool);
        }
        let system = scratch.path().join("bin");
        fs::create_dir(&system).unwrap();
        fs::write(system.join("cmp"), "the system's own").unwrap();
        fill(&system, &binaries).unwrap_err();
        let left = fs::read_dir(&system).unwrap().count();
        assert_eq!(left, 1);
        assert_eq!(fs::read(system.join("cmp")).unwrap(), b"the system's own");
    }

    #[test]
    fn a_file_is_replaced_with_its_mode() {
        let scratch = Scratch::new(&std::env::temp_dir(), "install-test").unwrap();
        let file = scratch.path().join("bin/x");
        place(&file, b"one", 0o644).unwrap();
        place(&file, b"two", 0o755).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o755
        );
        assert_eq!(fs::read_dir(scratch.path().join("bin")).unwrap().count(), 1);
    }
}
