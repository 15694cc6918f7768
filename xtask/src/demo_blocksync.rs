//! The demo of blocksync: an image of a device is synchronised, changes, and is synchronised again.
//!
//! Both are at this host, so that no sshd is needed; with `host:copy.img` the commands are the same.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::Result;
use crate::demo::{Stage, allocated, human, same_bytes};

const LENGTH: u64 = 256 << 20;
const SEGMENTS: u64 = LENGTH >> 20;

/// Runs the demo.
pub(crate) fn run(stage: &Stage) -> Result {
    let (disk, copy) = (stage.path("disk.img"), stage.path("copy.img"));
    stage.explain("A disk of 256 MiB: data in 24 places, holes in between. Its copy is blank.");
    make_disk(&disk).map_err(|e| format!("{}: {e}", disk.display()))?;
    stage.run("truncate -s 256M copy.img")?;

    let line = stage.run("blocksync disk.img ./copy.img")?;
    verify(stage, &disk, &copy, &line, 24)?;

    stage.explain("Three places change, far apart: a page, a byte, and 100 KB that become zero.");
    change(&disk).map_err(|e| format!("{}: {e}", disk.display()))?;
    let line = stage.run("blocksync --json --verify disk.img ./copy.img")?;
    let sent = number(&line, "bytes_sent").ok_or("no bytes_sent in the JSON")?;
    if number(&line, "different") != Some(3) || sent > 200_000 {
        return Err(format!("more was sent than what changed: {line}"));
    }
    verify(stage, &disk, &copy, "", 3)?;
    stage.verified(&format!("{sent} bytes went over the connection."));

    let line = stage.run("blocksync disk.img ./copy.img")?;
    verify(stage, &disk, &copy, &line, 0)?;
    let line = stage.run("blocksync --check disk.img ./copy.img")?;
    verify(stage, &disk, &copy, &line, 0)
}

fn make_disk(disk: &Path) -> io::Result<()> {
    let file = File::create_new(disk)?;
    file.set_len(LENGTH)?;
    let text: Vec<u8> = (0..)
        .flat_map(|n: u32| format!("line {n}\n").into_bytes())
        .take(300_000)
        .collect();
    for place in 0..24 {
        file.write_all_at(&text, place * (10 << 20) + 4096)?;
    }
    file.sync_all()
}

fn change(disk: &Path) -> io::Result<()> {
    let file = File::options().write(true).open(disk)?;
    file.write_all_at(&[0xa5; 4096], 80 << 20)?;
    file.write_all_at(b"!", LENGTH - 1)?;
    file.write_all_at(&[0; 100_000], (20 << 20) + 8192)?;
    file.sync_all()
}

/// The number that stands behind a key in JSON.
fn number(line: &str, key: &str) -> Option<u64> {
    let (_, rest) = line.split_once(&format!("\"{key}\":"))?;
    rest.split([',', '}']).next()?.trim().parse().ok()
}

/// The copy must be equal, and `line` (if there is one) say how many segments were not.
fn verify(stage: &Stage, disk: &Path, copy: &Path, line: &str, different: u64) -> Result {
    let same = SEGMENTS - different;
    let want = format!("same: {same}, diff: {different}, {SEGMENTS}/{SEGMENTS}\n");
    if !line.is_empty() && line != want {
        return Err(format!("{line} instead of {want}"));
    }
    if !same_bytes(disk, copy)? {
        return Err("copy.img differs from disk.img".to_owned());
    }
    let (of_disk, of_copy) = (allocated(disk)?, allocated(copy)?);
    // The file system may need more blocks to list the extents.
    if of_copy > of_disk + (1 << 20) {
        return Err(format!(
            "copy.img takes {of_copy} bytes, disk.img {of_disk}"
        ));
    }
    stage.verified(&format!(
        "copy.img equals disk.img: {}, of which {} are allocated.",
        human(LENGTH),
        human(of_copy),
    ));
    Ok(())
}
