//! xl: the commands, and what its answers mean. Nothing else here knows of xl. The answers in the tests
//! were recorded at real hosts (Xen 4.17).

use crate::owner::Held;
use crate::shell::quoted;
use serde_json::Value;
use std::fmt;
use std::process::Command;

/// How a domain is run. `Display` as xl has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Pv,
    Pvh,
    Hvm,
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Kind::Pv => "pv",
            Kind::Pvh => "pvh",
            Kind::Hvm => "hvm",
        })
    }
}

/// What `xl info` says of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Info {
    pub(crate) version: (u32, u32),
    pub(crate) free_mib: u64,
    /// Whether its own domain gives memory away to new ones: it does unless it was given a fixed size.
    pub(crate) makes_room: bool,
    /// Words as `pv`, `hvm`, `hap`, `shadow`. Old versions do not tell all of them.
    pub(crate) virt_caps: Vec<String>,
}

/// A disk as in the domain's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Disk {
    pub(crate) vdev: String,
    /// Empty for a drive without a medium.
    pub(crate) path: String,
    pub(crate) format: String,
    pub(crate) writable: bool,
    pub(crate) cdrom: bool,
    /// Served by another domain than the host's own.
    pub(crate) served_elsewhere: bool,
    /// The script that makes a device of the path, where it is not xl's own; empty if it is.
    pub(crate) script: String,
}

/// A domain as in `xl list -l`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Domain {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) uuid: String,
    pub(crate) kind: Kind,
    pub(crate) memory_kib: u64,
    pub(crate) disks: Vec<Disk>,
    pub(crate) bridges: Vec<String>,
    /// Kernel and initial file system, which the host reads when the domain reboots.
    pub(crate) boot_files: Vec<String>,
    /// Devices passed through, which cannot move.
    pub(crate) passed_through: bool,
}

/// A line of `xl list`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) id: u32,
    pub(crate) held: Held,
}

pub(crate) const INFO: &str = "xl info";
pub(crate) const LIST: &str = "xl list";
/// The UUIDs of all domains, also of those that are half built.
pub(crate) const LIST_UUIDS: &str = "xl vm-list";

pub(crate) fn describe(name: &str) -> String {
    format!("xl list -l -- {}", quoted(name))
}

pub(crate) fn state(id: u32) -> String {
    format!("xl list {id}")
}

pub(crate) fn unpause(id: u32) -> String {
    format!("xl unpause {id}")
}

pub(crate) fn destroy(id: u32) -> String {
    format!("xl destroy {id}")
}

pub(crate) fn rename(id: u32, name: &str) -> String {
    format!("xl rename -- {id} {}", quoted(name))
}

/// Lets a suspended domain go on whose own xl has gone: a save that keeps it running finds that it is
/// suspended already, writes it to nowhere, and resumes it. (xl has no plainer command for it; seen
/// with 4.17.)
pub(crate) fn resume(id: u32) -> String {
    format!("xl save -c {id} /dev/null")
}

/// Writes the domain to standard output, and leaves it paused here: without `-p` it would be destroyed
/// as soon as all is written, whatever happened at the other end.
pub(crate) fn save(id: u32) -> String {
    format!("exec xl save -p {id} /dev/stdout")
}

/// Sends the domain through a transport of our own. xl makes a shell line of the words: `exec`, these,
/// the host, `xl migrate-receive`.
pub(crate) fn migrate(id: u32, program: &str, socket: &str) -> Command {
    let transport = format!("{} transport {}", quoted(program), quoted(socket));
    let mut command = Command::new("xl");
    command.args(["migrate", "-s", &transport, &id.to_string(), "target"]);
    command
}

/// As [`migrate`], for people.
pub(crate) fn shown_migrate(id: u32, host: &str) -> String {
    format!("xl migrate -s 'xen-migrate transport' {id} {host}")
}

/// As [`save`] and [`restore`], for people.
pub(crate) fn shown_save(id: u32, host: &str) -> String {
    format!("xl save -p {id} /dev/stdout | ssh {host} xl restore -p /dev/stdin")
}

/// Makes a paused domain of what comes on standard input, packed or not. The word tells that the
/// connection stands, and which process it is.
pub(crate) fn restore(packed: bool) -> String {
    let restore = format!("echo {RESTORE_BEGINS}$$; exec xl restore -p /dev/stdin >&2");
    match packed {
        true => format!("{UNPACKER} -dcq | sh -c {}", quoted(&restore)),
        false => restore,
    }
}

/// What `xl migrate` says, among other things, where Xen cannot see which pages a running domain writes
/// (`tools/libs/guest/xg_sr_save.c`; `recorded/commands/migrate-pv-refused.txt` of the lab).
pub(crate) const NO_DIRTY_LOG: &str = "Failed to enable logdirty";

/// The program of the target that unpacks.
pub(crate) const UNPACKER: &str = "zstd";

/// Before the number of the process.
pub(crate) const RESTORE_BEGINS: &str = "xen-migrate:restore:";

/// Whether a process is still that of [`restore`].
pub(crate) fn is_restoring(pid: u32) -> String {
    format!("tr '\\0' ' ' < /proc/{pid}/cmdline 2>/dev/null | grep -q 'xl restore -p'")
}

/// What xl calls a domain that it receives, until it starts.
pub(crate) fn incoming(name: &str) -> String {
    format!("{name}--incoming")
}

/// What xl calls the source's copy when it has told the target to start.
pub(crate) fn away(name: &str) -> String {
    format!("{name}--migratedaway")
}

/// `xl info`.
pub(crate) fn parse_info(text: &str) -> Option<Info> {
    let field = |name: &str| {
        let mut values = text.lines().filter_map(|line| line.split_once(':'));
        values
            .find(|(key, _)| key.trim() == name)
            .map(|(_, value)| value.trim())
    };
    Some(Info {
        version: (
            field("xen_major")?.parse().ok()?,
            field("xen_minor")?.parse().ok()?,
        ),
        free_mib: field("free_memory")?.parse().ok()?,
        makes_room: !field("xen_commandline").unwrap_or("").contains("dom0_mem="),
        virt_caps: field("virt_caps")
            .unwrap_or("")
            .split(' ')
            .map(str::to_owned)
            .collect(),
    })
}

/// `xl list`, also of one domain. A name may have blanks: the columns are counted from the right.
pub(crate) fn parse_list(text: &str) -> Vec<Listed> {
    text.lines().skip(1).filter_map(listed).collect()
}

fn listed(line: &str) -> Option<Listed> {
    let mut rest = line.trim_end();
    let mut column = || {
        let (before, word) = rest.rsplit_once(char::is_whitespace)?;
        rest = before.trim_end();
        Some(word)
    };
    let (_seconds, state, _vcpus, _mib, id) =
        (column()?, column()?, column()?, column()?, column()?);
    Some(Listed {
        name: rest.to_owned(),
        id: id.parse().ok()?,
        held: held(state)?,
    })
}

/// The flags of a domain: running, blocked, paused, shut down (also when it was suspended), crashed,
/// dying; all of them `-` while it waits for a processor. One that is dying is gone for good, though it
/// may stay in the list as long as somebody holds a page of its memory. The fifth flag tells why it was
/// shut down (xl's `shutdown_reason_letters`: reboot, suspend, crash, watchdog; `?` for others).
fn held(flags: &str) -> Option<Held> {
    let known = flags.len() >= 6 && flags.chars().all(|flag| "rbpscwd?-".contains(flag));
    let is = |flag| flags.contains(flag);
    match () {
        () if !known => None,
        () if is('d') => Some(Held::Absent),
        () if is('s') || is('c') => Some(Held::Suspended),
        () if is('p') => Some(Held::Paused),
        () => Some(Held::Running),
    }
}

/// `xl vm-list`: the UUID and the number of each domain.
pub(crate) fn parse_uuids(text: &str) -> Vec<(String, u32)> {
    let one = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
    };
    text.lines().skip(1).filter_map(one).collect()
}

/// `xl list -l`. The error says what is missing.
pub(crate) fn parse_domains(text: &str) -> Result<Vec<Domain>, String> {
    let value: Value = serde_json::from_str(text).map_err(|e| format!("xl list -l: {e}"))?;
    let entries = value.as_array().ok_or("xl list -l: no list")?;
    entries.iter().map(domain).collect()
}

fn domain(entry: &Value) -> Result<Domain, String> {
    let config = &entry["config"];
    let (created, build) = (&config["c_info"], &config["b_info"]);
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let list = |key: &str| config[key].as_array().map_or(&[][..], Vec::as_slice);
    let disks = list("disks").iter().map(disk).collect::<Result<_, _>>()?;
    let bridges = list("nics")
        .iter()
        .map(|nic| text(&nic["bridge"]))
        .filter(|name| !name.is_empty());
    let boot = ["kernel", "ramdisk", "firmware"].map(|key| text(&build[key]));
    Ok(Domain {
        id: entry["domid"]
            .as_u64()
            .and_then(|id| id.try_into().ok())
            .ok_or("xl list -l: no domid")?,
        name: text(&created["name"]),
        uuid: text(&created["uuid"]),
        kind: match text(&created["type"]).as_str() {
            "pvh" => Kind::Pvh,
            "hvm" => Kind::Hvm,
            // Domain 0 has none in some versions.
            "pv" | "" => Kind::Pv,
            other => return Err(format!("xl list -l: a domain of type {other}")),
        },
        memory_kib: build["max_memkb"].as_u64().unwrap_or(0),
        disks,
        bridges: bridges.collect(),
        boot_files: boot
            .into_iter()
            .filter(|path| path.starts_with('/'))
            .collect(),
        passed_through: ["pcidevs", "usbdevs", "usbctrls", "dtdevs"]
            .iter()
            .any(|key| !list(key).is_empty()),
    })
}

fn disk(entry: &Value) -> Result<Disk, String> {
    let text = |key: &str| entry[key].as_str().unwrap_or("").to_owned();
    // libxl writes flags as numbers and as words.
    let is = |key: &str| match &entry[key] {
        Value::Bool(flag) => *flag,
        Value::String(word) => word.eq_ignore_ascii_case("true"),
        number => number.as_u64().is_some_and(|number| number != 0),
    };
    let vdev = text("vdev");
    if vdev.is_empty() {
        return Err("xl list -l: a disk without vdev".to_owned());
    }
    Ok(Disk {
        vdev,
        path: text("pdev_path"),
        format: text("format"),
        writable: is("readwrite"),
        cdrom: is("is_cdrom"),
        served_elsewhere: is("backend_domid") || !text("backend_domname").is_empty(),
        script: match text("script") {
            own if own.rsplit('/').next() == Some("block") => String::new(),
            other => other,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let text = "\
Name                                        ID   Mem VCPUs\tState\tTime(s)
Domain-0                                     0   448     1     r-----      27.2
g1                                           1    96     1     -b----       0.8
two words                                   12    96     1     --p---       0.0
g2--migratedaway                             3    96     1     ---s--       0.8
(null)                                       4     0     1     --ps-d       0.8
bitten                                       7    96     1     ---sw-       0.8
waiting                                      5    96     1     ------       3.5
a name of more than forty characters, all of it    6    96     1     -b----       0.8
";
        let found: Vec<_> = parse_list(text)
            .into_iter()
            .map(|one| (one.name, one.id, one.held))
            .collect();
        let expected = [
            ("Domain-0", 0, Held::Running),
            ("g1", 1, Held::Running),
            ("two words", 12, Held::Paused),
            ("g2--migratedaway", 3, Held::Suspended),
            ("(null)", 4, Held::Absent),
            ("bitten", 7, Held::Suspended),
            ("waiting", 5, Held::Running),
            (
                "a name of more than forty characters, all of it",
                6,
                Held::Running,
            ),
        ];
        assert_eq!(
            found,
            expected.map(|(name, id, held)| (name.to_owned(), id, held))
        );
        assert_eq!(parse_list("Name\nnonsense\n1 2 3 4 5 6\n"), []);
        let text = "\
UUID                                  ID    name
00000000-0000-0000-0000-000000000000  0    Domain-0
bf245636-e578-437d-a6a8-be07d49c43dc  19    two words
";
        let uuids = parse_uuids(text);
        assert_eq!(
            uuids[1],
            ("bf245636-e578-437d-a6a8-be07d49c43dc".to_owned(), 19)
        );
        assert_eq!(uuids.len(), 2);
    }

    /// Answers of real hosts, as the lab recorded them.
    macro_rules! recorded {
        ($name:literal) => {
            include_str!(concat!("../../../tests/lab/xen/recorded/", $name))
        };
    }

    #[test]
    fn recorded_hosts() {
        let info = parse_info(recorded!("xl-info.txt")).unwrap();
        assert_eq!(
            (info.version, info.free_mib, info.makes_room),
            ((4, 17), 562, false)
        );
        for (cap, is) in [("pv", true), ("hap", true), ("shadow", false)] {
            assert_eq!(info.virt_caps.iter().any(|one| one == cap), is, "{cap}");
        }
        assert_eq!(parse_info(""), None);
        for (text, name, held) in [
            (recorded!("xl-list-running.txt"), "h1", Held::Running),
            (recorded!("xl-list-paused.txt"), "p1", Held::Paused),
            (recorded!("xl-list-suspended.txt"), "p1", Held::Suspended),
            (
                recorded!("xl-list-incoming.txt"),
                "h1--incoming",
                Held::Paused,
            ),
            (
                recorded!("xl-list-migratedaway.txt"),
                "h1--migratedaway",
                Held::Suspended,
            ),
        ] {
            let found = parse_list(text).into_iter().find(|one| one.name == name);
            assert_eq!(found.map(|one| one.held), Some(held), "{name} in {text}");
        }
    }

    #[test]
    fn recorded_domains() {
        let one = |text| parse_domains(text).unwrap().remove(0);
        let domain = one(recorded!("xl-list-l-pvh-phy-file-readonly.json"));
        assert_eq!(
            (domain.name.as_str(), domain.kind, domain.memory_kib),
            ("h1", Kind::Pvh, 96 << 10)
        );
        let disks = domain
            .disks
            .iter()
            .map(|disk| (disk.vdev.as_str(), disk.path.as_str(), disk.writable));
        let expected = [
            ("xvda", "/dev/vg0/h1", true),
            ("xvdb", "/srv/xen/h1-b.img", true),
            ("xvdc", "/dev/vg0/cd1", false),
        ];
        assert_eq!(disks.collect::<Vec<_>>(), expected);
        assert!(
            domain
                .disks
                .iter()
                .all(|disk| disk.format == "raw" && !disk.cdrom && !disk.served_elsewhere)
        );
        assert_eq!(domain.bridges, ["xenbr0"]);
        assert_eq!(
            domain.boot_files,
            ["/var/lib/xenlab/vmlinux", "/var/lib/xenlab/initrd-domu"]
        );
        assert_eq!(one(recorded!("xl-list-l-pv-phy.json")).kind, Kind::Pv);
        let domain = one(recorded!("xl-list-l-pv-cdrom.json"));
        assert!(domain.disks.iter().any(|disk| disk.cdrom && !disk.writable));
        let all = parse_domains(recorded!("xl-list-l-all.json")).unwrap();
        assert_eq!((all[0].id, all[0].name.as_str()), (0, "Domain-0"));
        for text in [
            "",
            "{}",
            "[1]",
            "[{\"domid\":1,\"config\":{\"disks\":[{}]}}]",
        ] {
            assert!(parse_domains(text).is_err(), "{text}");
        }
    }
}
