//! What is at the two hosts, as far as a plan needs it. Asks, and changes nothing.

use crate::shell::{Shell, quoted};
use crate::step::Trouble;
use crate::toolstack::{self, Domain, Info, Listed, UNPACKER};

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Volume {
    Missing,
    /// Size in bytes.
    Block(u64),
    File(u64),
    Other,
}

/// Where a missing volume could be made, and how much room there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// In a volume group: bytes free, and bytes that each volume is a multiple of.
    Lvm {
        group: String,
        name: String,
        free: u64,
        extent: u64,
    },
    /// In a folder.
    Folder {
        free: u64,
    },
    None,
}

/// What a host has at one of the paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) volume: Volume,
    /// The same for two paths to the same object; empty if there is none.
    pub(crate) object: String,
    /// The same for one volume that two hosts share, where it can be told; otherwise empty.
    pub(crate) identity: String,
    pub(crate) room: Room,
}

/// A host that can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) info: Info,
    pub(crate) domains: Vec<Listed>,
    /// The UUIDs of all domains, and their numbers.
    pub(crate) uuids: Vec<(String, u32)>,
    /// Programs that are missing.
    pub(crate) missing: Vec<String>,
    /// Whether it can unpack what was packed on its way.
    pub(crate) unpacks: bool,
}

/// What xl says of a host, and whether blocksync, given as a shell takes it, flock and zstd are there.
pub(crate) fn host(shell: &Shell, blocksync: &str) -> Result<Host, Trouble> {
    let missing = [blocksync, "flock", UNPACKER].map(|program| {
        // The words of a command: the first is the program.
        format!(
            "command -v {program} >/dev/null 2>&1 || printf '%s\\n' {}",
            quoted(program)
        )
    });
    let missing = shell.ask("programs", &missing.join("\n"))?;
    let mut missing: Vec<String> = missing.lines().map(str::to_owned).collect();
    let unpacks = !missing.iter().any(|program| program == UNPACKER);
    missing.retain(|program| program != UNPACKER);
    let info = shell.ask("xl info", toolstack::INFO)?;
    let info = toolstack::parse_info(&info).ok_or_else(|| {
        Trouble::Failed(format!(
            "{}: xl info: it lacks the version or the memory",
            shell.name
        ))
    })?;
    let domains = toolstack::parse_list(&shell.ask("xl list", toolstack::LIST)?);
    let uuids = toolstack::parse_uuids(&shell.ask("xl vm-list", toolstack::LIST_UUIDS)?);
    Ok(Host {
        info,
        domains,
        uuids,
        missing,
        unpacks,
    })
}

/// The domain of this name.
pub(crate) fn domain(shell: &Shell, name: &str) -> Result<Domain, Trouble> {
    let text = shell.ask(name, &toolstack::describe(name))?;
    let failed = |why| Trouble::Failed(format!("{}: {name}: {why}", shell.name));
    let found = toolstack::parse_domains(&text).map_err(failed)?;
    let found = found.into_iter().find(|domain| domain.name == name);
    found.ok_or_else(|| failed("xl tells of another one".to_owned()))
}

/// What is at a path. A path is taken as it is.
pub(crate) fn place(shell: &Shell, path: &str) -> Result<Place, Trouble> {
    let script = format!(
        r#"p={}
if [ -b "$p" ]; then
  n=$(stat -Lc %t:%T -- "$p")
  echo "block $(blockdev --getsize64 "$p") $n"
  s=/sys/dev/block/$((0x${{n%%:*}})):$((0x${{n##*:}}))
  # Names of virtual disks that count from 1 are no identity: those of LVM, multipath and SCSI are.
  i=$(cat $s/dm/uuid $s/wwid $s/device/wwid $s/../wwid $s/../device/wwid 2>/dev/null | grep -m 1 -e ^LVM- -e mpath- -e ^naa\. -e ^eui\.) &&
    echo "same $i $(cat $s/partition 2>/dev/null)"
elif [ -f "$p" ]; then
  echo "file $(stat -Lc '%s %d:%i' -- "$p")"
  t=$(stat -Lfc %T -- "$p")
  case $t in nfs*|cifs|smb*|ceph|gfs*|ocfs2|lustre|gpfs|fuse*)
    echo "same $t $(stat -Lc %i -- "$p") $(df -P -- "$p" | awk 'NR==2 {{ print $1 }}')" ;;
  esac
elif [ -e "$p" ]; then echo other
else
  echo missing
  case $p in
  /dev/mapper/*) ;;
  /dev/*/*)
    g=${{p#/dev/}}; n=${{g#*/}}; g=${{g%%/*}}
    case $n in */*) ;; *)
      f=$(vgs --noheadings --nosuffix --units b -o vg_free,vg_extent_size -- "$g" 2>/dev/null) && echo lvm $f
    esac ;;
  /dev/*) ;;
  /*/*|/*) [ -d "${{p%/*}}/" ] && echo folder $(df -Pk -- "${{p%/*}}/" | awk 'NR==2 {{ print $4 }}') ;;
  esac
fi
true"#,
        quoted(path)
    );
    let text = shell.ask(path, &script)?;
    parse_place(path, &text)
        .ok_or_else(|| Trouble::Failed(format!("{}: {path}: its size cannot be told", shell.name)))
}

fn parse_place(path: &str, text: &str) -> Option<Place> {
    let mut lines = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let first = lines.next()?;
    let (volume, object) = match first[..] {
        ["block", size, object] => (Volume::Block(size.parse().ok()?), format!("block {object}")),
        ["file", size, object] => (Volume::File(size.parse().ok()?), format!("file {object}")),
        ["other"] => (Volume::Other, String::new()),
        ["missing"] => (Volume::Missing, String::new()),
        _ => return None,
    };
    let second = lines.next();
    let identity = match second.as_deref() {
        Some(["same", words @ ..]) => words.join(" "),
        _ => String::new(),
    };
    let room = match second.as_deref() {
        Some(["lvm", free, extent]) => {
            let (group, name) = path.strip_prefix("/dev/")?.split_once('/')?;
            // vgs prints no fractions of bytes.
            let (free, extent) = (
                free.parse().ok()?,
                extent.parse().ok().filter(|extent| *extent > 0)?,
            );
            Room::Lvm {
                group: group.to_owned(),
                name: name.to_owned(),
                free,
                extent,
            }
        }
        Some(["folder", free]) => Room::Folder {
            free: free.parse::<u64>().ok()?.checked_mul(1024)?,
        },
        _ => Room::None,
    };
    Some(Place {
        volume,
        object,
        identity,
        room,
    })
}

/// Of these names, those that are not there: network bridges by name, files by path.
pub(crate) fn missing(
    shell: &Shell,
    bridges: &[String],
    files: &[String],
) -> Result<Vec<String>, Trouble> {
    let bridges = bridges
        .iter()
        .map(|name| (name, format!("/sys/class/net/{name}")));
    let files = files.iter().map(|path| (path, path.clone()));
    let script = bridges.chain(files).map(|(name, path)| {
        format!(
            "[ -e {} ] || printf '%s\\n' {}\n",
            quoted(&path),
            quoted(name)
        )
    });
    let text = shell.ask("bridges", &format!("{}true", script.collect::<String>()))?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// Whether a device model serves disks of a domain.
pub(crate) fn has_qdisk(shell: &Shell, id: u32) -> Result<bool, Trouble> {
    let script = format!(
        "xenstore-list /local/domain/0/backend/qdisk/{id} >/dev/null 2>&1 && echo yes; true"
    );
    Ok(!shell.ask("xenstore", &script)?.is_empty())
}

/// The files of sysfs that tell how many requests a domain's disks have under way.
pub(crate) fn inflight(shell: &Shell, id: u32) -> Result<Vec<String>, Trouble> {
    let script = format!(
        r#"b=/local/domain/0/backend/vbd/{id}
for v in $(xenstore-list "$b" 2>/dev/null); do
  d=$(xenstore-read "$b/$v/physical-device" 2>/dev/null) || continue
  f=/sys/dev/block/$((0x${{d%%:*}})):$((0x${{d##*:}}))/inflight
  [ ! -e "$f" ] || echo "$f"
done
true"#
    );
    let text = shell.ask("xenstore", &script)?;
    Ok(text.lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::Reach;

    #[test]
    fn places() {
        let dir = tempfile::tempdir().unwrap();
        let reach = Reach {
            name: "here".into(),
            words: vec![],
            sudo: false,
        };
        let shell = Shell::open(&reach).unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(path("it's a disk"), [1; 1000]).unwrap();
        let found = place(&shell, &path("it's a disk")).unwrap();
        assert_eq!((found.volume, found.room), (Volume::File(1000), Room::None));
        std::os::unix::fs::symlink("it's a disk", path("link")).unwrap();
        assert_eq!(place(&shell, &path("link")).unwrap().object, found.object);
        let found = place(&shell, &path("none")).unwrap();
        assert_eq!(found.volume, Volume::Missing);
        assert!(
            matches!(found.room, Room::Folder { free } if free > 0 && free % 1024 == 0),
            "{found:?}"
        );
        let found = place(&shell, &path("no/folder")).unwrap();
        assert_eq!(
            found,
            Place {
                volume: Volume::Missing,
                object: String::new(),
                identity: String::new(),
                room: Room::None
            }
        );
        assert_eq!(place(&shell, "/dev/null").unwrap().volume, Volume::Other);
        assert_eq!(
            missing(
                &shell,
                &["lo".into(), "no bridge".into()],
                &[path("x"), "/dev/null".into()]
            ),
            Ok(vec!["no bridge".to_owned(), path("x")])
        );
    }

    #[test]
    fn a_volume_group_is_understood() {
        let found = parse_place("/dev/vg0/g1", "missing\nlvm 2143289344 4194304\n").unwrap();
        let room = Room::Lvm {
            group: "vg0".into(),
            name: "g1".into(),
            free: 2_143_289_344,
            extent: 4 << 20,
        };
        assert_eq!(
            found,
            Place {
                volume: Volume::Missing,
                object: String::new(),
                identity: String::new(),
                room
            }
        );
        assert_eq!(
            parse_place("/dev/vg0/g1", "block 16777216 fd:0")
                .unwrap()
                .volume,
            Volume::Block(16 << 20)
        );
        assert_eq!(parse_place("/x", "block many fd:0"), None);
        let shared = parse_place("/dev/vg0/g1", "block 512 fd:0\nsame LVM-8Gh3 \n").unwrap();
        assert_eq!(shared.identity, "LVM-8Gh3");
        let own = parse_place("/srv/a", "file 512 1:2").unwrap();
        assert_eq!(own.identity, "");
    }
}
