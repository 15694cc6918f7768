//! The disks of a plan: which volume each is copied to, and whether it can be.

use super::{Copied, Create, Facts, Wishes, mapped};
use crate::survey::{Place, Room, Volume};
use crate::toolstack::{Disk, Domain};

pub(super) fn copy(
    disk: &Disk,
    target: &str,
    places: &(Place, Place),
    wishes: &Wishes,
    against: &mut Vec<String>,
) -> Option<Copied> {
    let Disk {
        vdev, path: source, ..
    } = disk;
    let mut no = |why: String| {
        against.push(format!("{vdev}: {why}"));
        None
    };
    if !source.starts_with('/') || !target.starts_with('/') {
        return no(format!("{source}: not an absolute path"));
    }
    let size = match places.0.volume {
        Volume::Block(size) | Volume::File(size) => size,
        Volume::Missing => return no(format!("{source} is missing at the source")),
        Volume::Other => return no(format!("{source} is neither a file nor a block device")),
    };
    let copied = Copied {
        vdev: vdev.to_owned(),
        source: source.to_owned(),
        target: target.to_owned(),
        size,
        writable: disk.writable,
        create: None,
        larger: false,
    };
    match (&places.1.volume, &places.1.room) {
        (Volume::Block(there) | Volume::File(there), _) if *there < size => no(format!(
            "{target} has {there} bytes, and {source} has {size}"
        )),
        (Volume::Block(there) | Volume::File(there), _) => Some(Copied {
            larger: *there > size,
            ..copied
        }),
        (Volume::Other, _) => no(format!("{target} is neither a file nor a block device")),
        (Volume::Missing, _) if !wishes.create => no(format!(
            "{target} is missing at the target: make it, or use --create"
        )),
        (Volume::Missing, Room::Folder { .. }) => Some(Copied {
            create: Some(Create::File),
            ..copied
        }),
        (Volume::Missing, Room::Lvm { group, name, .. }) => {
            let (group, name) = (group.clone(), name.clone());
            Some(Copied {
                create: Some(Create::Lvm { group, name }),
                ..copied
            })
        }
        (Volume::Missing, Room::None) => no(format!(
            "{target} cannot be made: no volume group or folder for it"
        )),
    }
}

/// Volumes that are made in one place need room together.
pub(super) fn room(
    copied: &[Copied],
    places: &[(Place, Place)],
    domain: &Domain,
    against: &mut Vec<String>,
) {
    let mut groups: Vec<(String, u64, u64)> = Vec::new();
    for copy in copied {
        let place = domain
            .disks
            .iter()
            .zip(places)
            .find(|(disk, _)| disk.vdev == copy.vdev);
        let Some((_, (_, place))) = place else {
            continue;
        };
        match (&copy.create, &place.room) {
            (Some(Create::Lvm { group, .. }), Room::Lvm { free, extent, .. }) => {
                let need = copy.size.div_ceil(*extent).saturating_mul(*extent);
                match groups.iter_mut().find(|(name, ..)| name == group) {
                    Some((_, sum, _)) => *sum = sum.saturating_add(need),
                    None => groups.push((group.clone(), need, *free)),
                }
            }
            // Files get holes: how much they take shows only when they are copied.
            (Some(Create::File), Room::Folder { free }) if *free == 0 => {
                against.push(format!(
                    "{}: {} has no room at the target",
                    copy.vdev, copy.target
                ));
            }
            _ => {}
        }
    }
    for (group, need, free) in groups {
        if need > free {
            against.push(format!("the volume group {group} has {free} bytes free at the target, and {need} are needed"));
        }
    }
}

/// Nothing else of the domain may be where a disk is copied to, by whatever path.
pub(super) fn one_each(
    copied: &[Copied],
    facts: &Facts<'_>,
    wishes: &Wishes,
    against: &mut Vec<String>,
) {
    let disks = || facts.domain.disks.iter().zip(&facts.places);
    for copy in copied {
        let own = disks().position(|(disk, _)| disk.vdev == copy.vdev);
        let object = own.map_or("", |own| facts.places[own].1.object.as_str());
        for (index, (disk, (_, there))) in disks().enumerate() {
            let same = mapped(wishes, &disk.path) == copy.target
                || !object.is_empty() && there.object == object;
            // Of two that are copied the second is told of.
            let told = copied.iter().any(|other| other.vdev == disk.vdev) && own < Some(index);
            if own != Some(index) && same && !told {
                against.push(format!(
                    "{}: another disk goes to {} too",
                    copy.vdev, copy.target
                ));
            }
        }
    }
}
