//! The plan of a migration, made of what is at the two hosts. Pure: it finds everything that stands
//! against it, not only the first.

mod disks;
mod hosts;

use crate::survey::{Host, Place, Volume};
use crate::toolstack::Domain;
use disks::{copy, one_each, room};
use hosts::{hosts, mode};
use std::fmt::Write as _;

/// How memory moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// While the domain runs, but for the last of it.
    Live,
    /// While it is stopped.
    Save,
}

impl Mode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Mode::Live => "live",
            Mode::Save => "save",
        }
    }
}

/// What the user wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// `None`: what the domain and the hosts can do.
    pub(crate) mode: Option<Mode>,
    /// Path at the source, path at the target.
    pub(crate) map: Vec<(String, String)>,
    /// Paths at the source that both hosts share.
    pub(crate) shared: Vec<String>,
    /// Make volumes that are missing at the target.
    pub(crate) create: bool,
    /// Copy disks that the domain cannot write to, too.
    pub(crate) copy_read_only: bool,
}

/// A disk that is copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Copied {
    pub(crate) vdev: String,
    pub(crate) source: String,
    pub(crate) target: String,
    /// Bytes.
    pub(crate) size: u64,
    /// Whether the domain can write to it.
    pub(crate) writable: bool,
    pub(crate) create: Option<Create>,
    /// The target's is larger, and stays so.
    pub(crate) larger: bool,
}

/// How a volume is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Create {
    File,
    Lvm { group: String, name: String },
}

/// A plan. It holds if nothing is against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) domain: Domain,
    pub(crate) mode: Mode,
    /// Whether memory that is saved goes over packed.
    pub(crate) packed: bool,
    pub(crate) copied: Vec<Copied>,
    /// Disks that are not copied: their path at the source and at the target, and why.
    pub(crate) kept: Vec<(String, String, &'static str)>,
    /// What stands against it.
    pub(crate) against: Vec<String>,
    /// What may surprise.
    pub(crate) notes: Vec<String>,
}

/// What a plan is made of.
#[derive(Clone, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) domain: Domain,
    pub(crate) source: &'a Host,
    pub(crate) target: &'a Host,
    /// What is at the path of each disk, at the source and at the target, in the order of the disks.
    pub(crate) places: Vec<(Place, Place)>,
    /// Bridges and boot files that the target lacks.
    pub(crate) missing: Vec<String>,
}

/// The path of a disk at the target.
pub(crate) fn mapped<'a>(wishes: &'a Wishes, path: &'a str) -> &'a str {
    let found = wishes.map.iter().find(|(source, _)| source == path);
    found.map_or(path, |(_, target)| target)
}

/// Makes the plan.
pub(crate) fn make(facts: Facts<'_>, wishes: &Wishes) -> Plan {
    let mut against = Vec::new();
    let mut notes = Vec::new();
    hosts(&facts, &mut against, &mut notes);
    let mode = mode(&facts, wishes.mode, &mut against);
    let (mut copied, mut kept) = (Vec::new(), Vec::new());
    for (disk, places) in facts.domain.disks.iter().zip(&facts.places) {
        let target = mapped(wishes, &disk.path).to_owned();
        let why = match disk {
            disk if disk.path.is_empty() => continue,
            disk if wishes.shared.contains(&disk.path) => Some("shared"),
            disk if disk.cdrom && !wishes.copy_read_only => Some("a CD-ROM"),
            disk if !disk.writable && !wishes.copy_read_only => Some("read-only"),
            _ => None,
        };
        if let Some(why) = why {
            // What a script makes a device of need not be there by itself.
            if places.1.volume == Volume::Missing && disk.script.is_empty() {
                against.push(format!(
                    "{}: {target} is missing at the target and is not copied, being {why}",
                    disk.vdev
                ));
            }
            kept.push((disk.path.clone(), target, why));
            continue;
        }
        if disk.format != "raw" {
            against.push(format!(
                "{}: {} has the format {}: only raw disks can be copied",
                disk.vdev, disk.path, disk.format
            ));
        }
        if !disk.script.is_empty() {
            against.push(format!(
                "{}: {} is what the script {} makes a device of, which nothing is known of: copy it yourself, and use --shared",
                disk.vdev, disk.path, disk.script
            ));
            continue;
        }
        if disk.served_elsewhere {
            against.push(format!(
                "{}: it is served by another domain than the host's own",
                disk.vdev
            ));
        }
        if !places.0.identity.is_empty() && places.0.identity == places.1.identity {
            against.push(format!(
                "{}: {} and {target} at the target are one and the same: use --shared={}",
                disk.vdev, disk.path, disk.path
            ));
            continue;
        }
        match copy(disk, &target, places, wishes, &mut against) {
            Some(copy) if copy.larger => {
                notes.push(format!(
                    "{}: {target} is larger than {}",
                    copy.vdev, disk.path
                ));
                copied.push(copy);
            }
            Some(copy) => copied.push(copy),
            None => {}
        }
    }
    for (index, (source, _)) in wishes.map.iter().enumerate() {
        if wishes.map[..index].iter().any(|(other, _)| other == source) {
            against.push(format!("--map: {source} is mapped twice"));
        }
        if !facts.domain.disks.iter().any(|disk| disk.path == *source) {
            against.push(format!("--map: the domain has no disk {source}"));
        }
    }
    for source in &wishes.shared {
        if !facts.domain.disks.iter().any(|disk| disk.path == *source) {
            against.push(format!("--shared: the domain has no disk {source}"));
        }
    }
    room(&copied, &facts.places, &facts.domain, &mut against);
    one_each(&copied, &facts, wishes, &mut against);
    Plan {
        domain: facts.domain,
        mode,
        packed: facts.target.unpacks,
        copied,
        kept,
        against,
        notes,
    }
}

impl Plan {
    /// Paths that are others at the target.
    pub(crate) fn paths(&self) -> Vec<(String, String)> {
        let copied = self
            .copied
            .iter()
            .map(|copy| (copy.source.clone(), copy.target.clone()));
        let kept = self
            .kept
            .iter()
            .map(|(source, target, _)| (source.clone(), target.clone()));
        copied
            .chain(kept)
            .filter(|(source, target)| source != target)
            .collect()
    }

    /// Disks that the domain can write to at both hosts.
    pub(crate) fn shared(&self) -> Vec<String> {
        let kept = |path: &String| self.kept.iter().any(|(source, ..)| source == path);
        let disks = self.domain.disks.iter().filter(|disk| disk.writable);
        disks.map(|disk| disk.path.clone()).filter(kept).collect()
    }

    /// The text of `--dry-run`.
    pub(crate) fn text(&self, target: &str) -> String {
        let mut text = String::new();
        let domain = &self.domain;
        let mib = domain.memory_kib.div_ceil(1024);
        let _ = writeln!(
            text,
            "{}: {}, {mib} MiB, {} to {target}",
            domain.name,
            domain.kind,
            self.mode.name()
        );
        for copy in &self.copied {
            let size = cli::size::human(copy.size);
            let how = match &copy.create {
                Some(Create::File) => ", to be made as a file",
                Some(Create::Lvm { .. }) => ", to be made as a logical volume",
                None if copy.larger => ", larger there",
                None => "",
            };
            let _ = writeln!(
                text,
                "{}: {} -> {}, {size}{how}",
                copy.vdev, copy.source, copy.target
            );
        }
        for (source, target, why) in &self.kept {
            let _ = writeln!(text, "{source} -> {target}: not copied, {why}");
        }
        for note in &self.notes {
            let _ = writeln!(text, "note: {note}");
        }
        for why in &self.against {
            let _ = writeln!(text, "impossible: {why}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owner::Held;
    use crate::survey::Room;
    use crate::toolstack::{Disk, Info, Kind, Listed};

    fn disk(vdev: &str, path: &str) -> Disk {
        Disk {
            vdev: vdev.into(),
            path: path.into(),
            format: "raw".into(),
            writable: true,
            cdrom: false,
            served_elsewhere: false,
            script: String::new(),
        }
    }

    fn host(caps: &str) -> Host {
        Host {
            info: Info {
                version: (4, 17),
                free_mib: 500,
                makes_room: false,
                virt_caps: caps.split(' ').map(str::to_owned).collect(),
            },
            domains: vec![Listed {
                name: "g1".into(),
                id: 3,
                held: Held::Running,
            }],
            uuids: vec![("u".into(), 3)],
            missing: vec![],
            unpacks: true,
        }
    }

    fn place(volume: Volume) -> Place {
        Place {
            volume,
            object: String::new(),
            identity: String::new(),
            room: Room::None,
        }
    }

    fn domain(kind: Kind) -> Domain {
        Domain {
            id: 3,
            name: "g1".into(),
            uuid: "u".into(),
            kind,
            memory_kib: 96 << 10,
            disks: vec![disk("xvda", "/dev/vg0/g1")],
            bridges: vec!["xenbr0".into()],
            boot_files: vec![],
            passed_through: false,
        }
    }

    fn made(change: impl Fn(&mut Facts<'_>, &mut Wishes), caps: &str, kind: Kind) -> Plan {
        let (source, mut target) = (host(caps), host(caps));
        target.domains.clear();
        target.uuids.clear();
        let mut facts = Facts {
            domain: domain(kind),
            source: &source,
            target: &target,
            places: vec![(
                place(Volume::Block(16 << 20)),
                place(Volume::Block(16 << 20)),
            )],
            missing: vec![],
        };
        let mut wishes = Wishes::default();
        change(&mut facts, &mut wishes);
        make(facts, &wishes)
    }

    #[test]
    fn modes() {
        for (caps, kind, wish, mode, works) in [
            ("pv hvm hap", Kind::Pv, None, Mode::Save, true),
            ("pv hvm hap", Kind::Pv, Some(Mode::Live), Mode::Live, false),
            ("pv hvm hap shadow", Kind::Pv, None, Mode::Live, true),
            ("pv hvm hap", Kind::Pvh, None, Mode::Live, true),
            ("pv hvm hap", Kind::Pvh, Some(Mode::Save), Mode::Save, true),
            ("pv", Kind::Pv, None, Mode::Live, true),
        ] {
            let plan = made(|_, wishes| wishes.mode = wish, caps, kind);
            assert_eq!(
                (plan.mode, plan.against.is_empty()),
                (mode, works),
                "{caps} {kind} {wish:?}"
            );
        }
    }

    #[test]
    fn everything_that_stands_against_it_is_told() {
        type Change = fn(&mut Facts<'_>, &mut Wishes);
        let cases: [(Change, &str); 16] = [
            (
                |f, _| f.domain.disks[0].script = "block-drbd".into(),
                "xvda: /dev/vg0/g1 is what the script block-drbd makes a device of, which nothing is known of: copy it yourself, and use --shared",
            ),
            (
                |f, _| {
                    f.places[0].0.identity = "LVM-abc".into();
                    f.places[0].1.identity = "LVM-abc".into();
                },
                "xvda: /dev/vg0/g1 and /dev/vg0/g1 at the target are one and the same: use --shared=/dev/vg0/g1",
            ),
            (
                |_, w| {
                    let map = |to: &str| ("/dev/vg0/g1".to_owned(), to.to_owned());
                    w.map = vec![map("/x"), map("/y")];
                },
                "--map: /dev/vg0/g1 is mapped twice",
            ),
            (
                |f, _| {
                    f.domain.disks.push(disk("xvdb", "/dev/mapper/other"));
                    f.places[0].1.object = "block fd:1".into();
                    f.places.push(f.places[0].clone());
                },
                "xvdb: another disk goes to /dev/mapper/other too",
            ),
            (
                |f, _| f.domain.disks[0].format = "qcow2".into(),
                "xvda: /dev/vg0/g1 has the format qcow2: only raw disks can be copied",
            ),
            (
                |f, _| f.places[0].1 = place(Volume::Block(1)),
                "xvda: /dev/vg0/g1 has 1 bytes, and /dev/vg0/g1 has 16777216",
            ),
            (
                |f, _| f.places[0].1 = place(Volume::Missing),
                "xvda: /dev/vg0/g1 is missing at the target: make it, or use --create",
            ),
            (
                |f, w| (f.places[0].1, w.create) = (place(Volume::Missing), true),
                "xvda: /dev/vg0/g1 cannot be made: no volume group or folder for it",
            ),
            (
                |f, w| {
                    let room = Room::Lvm {
                        group: "vg0".into(),
                        name: "g1".into(),
                        free: 1 << 20,
                        extent: 4 << 20,
                    };
                    (f.places[0].1, w.create) = (
                        Place {
                            volume: Volume::Missing,
                            object: String::new(),
                            identity: String::new(),
                            room,
                        },
                        true,
                    );
                },
                "the volume group vg0 has 1048576 bytes free at the target, and 16777216 are needed",
            ),
            (
                |f, _| f.places[0].0 = place(Volume::Missing),
                "xvda: /dev/vg0/g1 is missing at the source",
            ),
            (
                |f, _| f.domain.passed_through = true,
                "it has devices of the host passed through",
            ),
            (
                |f, _| (f.domain.id, f.domain.uuid) = (9, "v".into()),
                "it does not run",
            ),
            (
                |f, _| f.domain.memory_kib = 600 << 10,
                "the target has 500 MiB of memory free, and it has 600 MiB",
            ),
            (
                |f, _| f.missing = vec!["xenbr0".into()],
                "the target has no bridge xenbr0",
            ),
            (
                |_, w| w.map = vec![("/x".into(), "/y".into())],
                "--map: the domain has no disk /x",
            ),
            (
                |f, w| {
                    (f.places[0].1, w.shared) = (place(Volume::Missing), vec!["/dev/vg0/g1".into()])
                },
                "xvda: /dev/vg0/g1 is missing at the target and is not copied, being shared",
            ),
        ];
        for (change, why) in cases {
            let plan = made(change, "hvm hap", Kind::Pvh);
            assert_eq!(plan.against, [why]);
        }
        let (source, target) = (host("hap"), host("hap"));
        let facts = Facts {
            domain: domain(Kind::Pvh),
            source: &source,
            target: &Host {
                domains: vec![],
                ..target
            },
            places: vec![(
                place(Volume::Block(16 << 20)),
                place(Volume::Block(16 << 20)),
            )],
            missing: vec![],
        };
        assert_eq!(
            make(facts, &Wishes::default()).against,
            ["the target has another domain of its UUID, u: number 3"]
        );
        let all = made(
            |f, _| (f.domain.passed_through, f.domain.disks[0].format) = (true, "vhd".into()),
            "hap",
            Kind::Pvh,
        );
        assert_eq!(all.against.len(), 2);
    }

    #[test]
    fn paths_and_kept_disks() {
        let plan = made(
            |f, w| {
                f.domain.disks.push(Disk {
                    writable: false,
                    ..disk("xvdb", "/srv/ro")
                });
                f.domain.disks.push(Disk {
                    cdrom: true,
                    writable: false,
                    ..disk("hdc", "")
                });
                let place = place(Volume::File(4096));
                f.places.push((place.clone(), place.clone()));
                f.places.push((place.clone(), place));
                w.map = vec![
                    ("/dev/vg0/g1".into(), "/dev/vg1/x".into()),
                    ("/srv/ro".into(), "/srv/r".into()),
                ];
            },
            "hap",
            Kind::Pvh,
        );
        assert_eq!(plan.against, [""; 0]);
        assert_eq!(
            plan.paths(),
            [
                ("/dev/vg0/g1".into(), "/dev/vg1/x".into()),
                ("/srv/ro".into(), "/srv/r".into())
            ]
        );
        assert_eq!(plan.copied.len(), 1);
        assert_eq!(
            plan.kept,
            [("/srv/ro".to_owned(), "/srv/r".to_owned(), "read-only")]
        );
        let plan = made(
            |f, w| {
                f.domain.disks[0].script = "block-iscsi".into();
                f.domain.disks[0].path = "iqn=iqn.2001-05.com:web,portal=10.0.0.1".into();
                f.places[0] = (place(Volume::Missing), place(Volume::Missing));
                w.shared = vec![f.domain.disks[0].path.clone()];
            },
            "hap",
            Kind::Pvh,
        );
        assert_eq!((&plan.against[..], plan.copied.len()), (&[][..], 0));
    }
}
