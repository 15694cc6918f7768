//! `cargo xtask setup`: the system packages that building and testing need.
//!
//! It looks for the programs themselves, not for packages: whoever brought them, they count.

use std::ffi::OsString;
use std::fs;
use std::io::IsTerminal;
use std::process::{Command, Stdio};

use crate::Result;
use crate::workspace::{find_program, is_root, run as run_command};

/// A program, a library that pkg-config knows (`NAME.pc`) or a plug-in of ALSA (`NAME.so`), and the
/// package that brings it, by distribution.
struct Need {
    program: &'static str,
    apt: &'static str,
    dnf: &'static str,
    pacman: &'static str,
    apk: &'static str,
}

impl Need {
    /// A program whose package has one name everywhere.
    const fn same(program: &'static str, package: &'static str) -> Need {
        Need {
            program,
            apt: package,
            dnf: package,
            pacman: package,
            apk: package,
        }
    }
}

/// What building the tools needs beside Rust and gcc: nothing, but for cqloop, which needs ALSA.
const BUILD: &[Need] = &[
    Need {
        program: "pkg-config",
        apt: "pkg-config",
        dnf: "pkgconf-pkg-config",
        pacman: "pkgconf",
        apk: "pkgconf",
    },
    Need {
        program: "alsa.pc",
        apt: "libasound2-dev",
        dnf: "alsa-lib-devel",
        pacman: "alsa-lib",
        apk: "alsa-lib-dev",
    },
];

/// What the tests and `check` use. Without one of these its tests say `skipped:`.
const TEST: &[Need] = &[
    Need::same("mandoc", "mandoc"),
    Need::same("strace", "strace"),
    Need::same("cmp", "diffutils"),
    Need::same("unzip", "unzip"),
    Need::same("zip", "zip"),
    Need {
        program: "7zz",
        apt: "7zip",
        dnf: "7zip",
        pacman: "7zip",
        apk: "7zip",
    },
    Need {
        program: "script",
        apt: "bsdutils",
        dnf: "util-linux-script",
        pacman: "util-linux",
        apk: "util-linux-misc",
    },
    Need::same("setpriv", "util-linux"),
    Need::same("prlimit", "util-linux"),
    Need::same("mke2fs", "e2fsprogs"),
    Need::same("mkfs.xfs", "xfsprogs"),
    Need::same("mkfs.btrfs", "btrfs-progs"),
    Need::same("blockdev", "util-linux"),
    Need {
        program: "sfdisk",
        apt: "fdisk",
        dnf: "util-linux",
        pacman: "util-linux",
        apk: "sfdisk",
    },
    Need {
        program: "ssh",
        apt: "openssh-client",
        dnf: "openssh-clients",
        pacman: "openssh",
        apk: "openssh-client",
    },
    Need {
        program: "sshd",
        apt: "openssh-server",
        dnf: "openssh-server",
        pacman: "openssh",
        apk: "openssh-server",
    },
    Need::same("pulseaudio", "pulseaudio"),
    Need {
        program: "parec",
        apt: "pulseaudio-utils",
        dnf: "pulseaudio-utils",
        pacman: "libpulse",
        apk: "pulseaudio-utils",
    },
    Need {
        program: "libasound_module_pcm_pulse.so",
        apt: "libasound2-plugins",
        dnf: "alsa-plugins-pulseaudio",
        pacman: "alsa-plugins",
        apk: "alsa-plugins-pulse",
    },
    Need {
        program: "losetup",
        apt: "mount",
        dnf: "util-linux",
        pacman: "util-linux",
        apk: "util-linux",
    },
];

/// What `lab` needs beside them. Its machines are Debian's, whatever this one is.
const LAB: &[Need] = &[
    Need::same("mmdebstrap", "mmdebstrap"),
    Need {
        program: "qemu-system-x86_64",
        apt: "qemu-system-x86",
        dnf: "qemu-system-x86-core",
        pacman: "qemu-system-x86",
        apk: "qemu-system-x86_64",
    },
    Need::same("cpio", "cpio"),
    Need {
        program: "ssh",
        apt: "openssh-client",
        dnf: "openssh-clients",
        pacman: "openssh",
        apk: "openssh-client",
    },
    Need::same("mke2fs", "e2fsprogs"),
];
/// Whether it is there, whoever brought it.
fn is_there(need: &Need) -> bool {
    let name = need.program;
    if let Some(library) = name.strip_suffix(".pc") {
        return has_library(library);
    }
    if !name.ends_with(".so") {
        return find_program(name).is_some();
    }
    // /usr/lib, /usr/lib64 or /usr/lib/TRIPLET
    let below = |top: &str| fs::read_dir(top).into_iter().flatten().flatten();
    let folders = below("/usr/lib").map(|entry| entry.path());
    folders
        .chain(["/usr/lib", "/usr/lib64"].map(Into::into))
        .any(|folder| folder.join("alsa-lib").join(name).is_file())
}

/// Whether pkg-config knows how to build with a library.
pub(crate) fn has_library(name: &str) -> bool {
    let mut probe = Command::new("pkg-config");
    probe.args(["--exists", name]).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

/// Which packages are asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Only what building needs.
    Build,
    /// What building, the tests and `check` need.
    All,
    /// What building and the lab need.
    Lab,
}

/// A package manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manager {
    Apt,
    Dnf,
    Pacman,
    Apk,
}

impl Manager {
    /// From the text of /etc/os-release: ID first, then ID_LIKE from left to right.
    fn from_os_release(text: &str) -> Option<Manager> {
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default()
                .trim_matches(['"', '\''])
                .to_owned()
        };
        let names = format!("{} {}", field("ID="), field("ID_LIKE="));
        names.split_whitespace().find_map(|name| match name {
            "debian" | "ubuntu" => Some(Manager::Apt),
            "fedora" | "rhel" | "centos" => Some(Manager::Dnf),
            "arch" | "archlinux" => Some(Manager::Pacman),
            "alpine" => Some(Manager::Apk),
            _ => None,
        })
    }

    fn package(self, need: &Need) -> &'static str {
        match self {
            Manager::Apt => need.apt,
            Manager::Dnf => need.dnf,
            Manager::Pacman => need.pacman,
            Manager::Apk => need.apk,
        }
    }

    fn install(self) -> &'static [&'static str] {
        match self {
            Manager::Apt => &[
                "env",
                "DEBIAN_FRONTEND=noninteractive",
                "apt-get",
                "install",
                "-y",
                "--no-install-recommends",
            ],
            Manager::Dnf => &["dnf", "install", "-y"],
            Manager::Pacman => &["pacman", "-S", "--needed", "--noconfirm"],
            Manager::Apk => &["apk", "add"],
        }
    }

    /// What brings the lists of packages up to date.
    fn refresh(self) -> &'static [&'static str] {
        match self {
            Manager::Apt => &["apt-get", "update"],
            Manager::Dnf => &["dnf", "makecache"],
            Manager::Pacman => &["pacman", "-Sy"],
            Manager::Apk => &["apk", "update"],
        }
    }

    /// Whether an installation cannot work before a refresh: a fresh Debian image has no lists.
    fn has_no_lists(self) -> bool {
        let lists = || {
            fs::read_dir("/var/lib/apt/lists")
                .into_iter()
                .flatten()
                .flatten()
        };
        let is_list = |name: OsString| name.to_string_lossy().contains("_Packages");
        self == Manager::Apt && !lists().any(|entry| is_list(entry.file_name()))
    }
}

/// Runs `setup`; `--build` leaves out what only the tests use, `--lab` is for the lab instead of them.
pub(crate) fn run(arguments: &[OsString]) -> Result {
    let scope = match arguments {
        [] => Scope::All,
        [word] if word == "--build" => Scope::Build,
        [word] if word == "--lab" => Scope::Lab,
        [word, ..] => return Err(format!("{}: unknown argument", word.display())),
    };
    // A person at a terminal can be asked for a password.
    ensure(scope, std::io::stdin().is_terminal())?;
    println!("setup: all there");
    Ok(())
}

/// Installs what is missing; silent when nothing is.
///
/// `may_ask` says whether sudo may ask for a password.
pub(crate) fn ensure(scope: Scope, may_ask: bool) -> Result {
    let wanted = match scope {
        Scope::Build => BUILD.iter().chain(&[]),
        Scope::All => BUILD.iter().chain(TEST),
        Scope::Lab => BUILD.iter().chain(LAB),
    };
    let missing: Vec<&Need> = wanted.filter(|need| !is_there(need)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let programs = names(missing.iter().map(|need| need.program)).join(", ");
    let os_release = ["/etc/os-release", "/usr/lib/os-release"]
        .iter()
        .find_map(|path| fs::read_to_string(path).ok())
        .unwrap_or_default();
    let Some(manager) = Manager::from_os_release(&os_release) else {
        return Err(format!(
            "missing: {programs} (unknown distribution: please install them)"
        ));
    };
    let packages = names(missing.iter().map(|need| manager.package(need)));
    let Some(prefix) = root_prefix(may_ask) else {
        return Err(format!(
            "missing: {programs}; as root: {} {}",
            manager.install().join(" "),
            packages.join(" ")
        ));
    };
    let act = |words: &[&str]| {
        let words: Vec<&str> = prefix.iter().chain(words).copied().collect();
        println!("setup: {}", words.join(" "));
        run_command(
            Command::new(words[0])
                .args(&words[1..])
                .stdin(Stdio::null()),
        )
    };
    let install: Vec<&str> = manager.install().iter().chain(&packages).copied().collect();
    let refresh_first = manager.has_no_lists();
    if refresh_first {
        act(manager.refresh())?;
    }
    match act(&install) {
        // Lists that have grown old name files that are gone.
        Err(_) if !refresh_first => act(manager.refresh()).and_then(|()| act(&install))?,
        other => other?,
    }
    let still = missing.iter().filter(|need| !is_there(need));
    match names(still.map(|need| need.program)) {
        names if names.is_empty() => Ok(()),
        names => Err(format!("still missing: {}", names.join(", "))),
    }
}

/// Each name once, in the order of the table.
fn names(all: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
    let mut names = Vec::new();
    for name in all {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// What to put before a command so that root runs it; `None` if there is no way.
fn root_prefix(may_ask: bool) -> Option<&'static [&'static str]> {
    if is_root() {
        return Some(&[]);
    }
    find_program("sudo")?;
    if may_ask {
        return Some(&["sudo"]);
    }
    let mut probe = Command::new("sudo");
    probe.args(["-n", "true"]).stdin(Stdio::null());
    let quiet = probe.stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet
        .is_ok_and(|status| status.success())
        .then_some(&["sudo", "-n"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_are_known_by_id_and_by_kin() {
        let cases = [
            ("ID=debian\n", Some(Manager::Apt)),
            (
                "NAME=Mint\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\n",
                Some(Manager::Apt),
            ),
            (
                "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n",
                Some(Manager::Dnf),
            ),
            ("ID=manjaro\nID_LIKE=arch\n", Some(Manager::Pacman)),
            ("VERSION_ID=3.20\nID=alpine\n", Some(Manager::Apk)),
            ("ID=nixos\n", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Manager::from_os_release(text), expected, "{text}");
        }
    }

    #[test]
    fn a_package_is_named_once() {
        let all = TEST.iter().map(|need| Manager::Dnf.package(need));
        assert_eq!(
            names(all)
                .iter()
                .filter(|name| **name == "util-linux")
                .count(),
            1
        );
    }
}
