//! The demo of sparse-dd: copy a disk image with holes, update the copy, follow the progress, be dd.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::Result;
use crate::demo::{Stage, allocated, human, same_bytes};
use crate::workspace::find_program;

const LENGTH: u64 = 256 << 20;

/// Runs the demo.
pub(crate) fn run(stage: &Stage) -> Result {
    let disk = stage.path("disk.img");
    make_image(stage, &disk)?;

    stage.run("sparse-dd -src disk.img -dest copy.img")?;
    verify_copy(stage, &disk, "copy.img")?;

    stage
        .explain("The disk goes on living: two places change. The copy becomes a clone to update.");
    stage.run("cp disk.img yesterday.img")?;
    let fault = |e: io::Error| format!("{}: {e}", disk.display());
    let file = File::options().write(true).open(&disk).map_err(fault)?;
    file.write_all_at(&[0xa5; 65536], 40 << 20).map_err(fault)?;
    file.write_all_at(b"!", LENGTH - 1).map_err(fault)?;
    file.sync_all().map_err(fault)?;
    stage.run("sparse-dd -base yesterday.img -src disk.img -dest copy.img")?;
    verify_copy(stage, &disk, "copy.img")?;

    let stdout = stage.run("sparse-dd -machine -src disk.img -dest machine.img")?;
    verify_progress(&stdout)?;
    stage.verified("Progress rises from 0 to 100, and stdout has nothing else.");
    verify_copy(stage, &disk, "machine.img")?;

    stage.explain("A script that calls dd and gets sparse-dd under that name.");
    let stdout = stage.run_as(
        "dd",
        "sparse-dd",
        "dd if=disk.img of=as-dd.img bs=4K conv=sparse\n\
         dd if=as-dd.img bs=1k skip=1 count=1 status=none | wc -c\n\
         dd if=disk.img of=disk.img bs=1M || echo refused\n",
    )?;
    if stdout.split_whitespace().ne(["1024", "refused"]) {
        return Err(format!("the script printed {stdout:?}"));
    }
    verify_copy(stage, &disk, "as-dd.img")
}

/// An ext4 file system with files in it where mke2fs is installed, else a sparse file.
fn make_image(stage: &Stage, disk: &Path) -> Result {
    let fault = |e: io::Error| format!("{}: {e}", disk.display());
    if find_program("mke2fs").is_some() {
        stage.explain("A disk image: ext4 with three files in it.");
        let tree = stage.path("tree");
        fs::create_dir(&tree).map_err(fault)?;
        for (name, lines) in [("notes", 200_000_u32), ("log", 500_000), ("small", 1)] {
            let text: String = (0..lines).map(|n| format!("{name} {n}\n")).collect();
            fs::write(tree.join(name), text).map_err(fault)?;
        }
        stage.run(&format!(
            "mke2fs -q -t ext4 -d tree disk.img {}M",
            LENGTH >> 20
        ))?;
    } else {
        stage.explain("A disk image: holes, and data at its start, middle and end.");
        let mut file = File::create_new(disk).map_err(fault)?;
        let block: Vec<u8> = (1..=255).cycle().take(3 << 20).collect();
        file.set_len(LENGTH).map_err(fault)?;
        file.write_all(&block).map_err(fault)?;
        for offset in [70_000_001, LENGTH - 4096] {
            let room = (LENGTH - offset).min(block.len() as u64) as usize;
            file.write_all_at(&block[..room], offset).map_err(fault)?;
        }
    }
    // Some file systems count the blocks only when they are written out.
    File::open(disk)
        .and_then(|file| file.sync_all())
        .map_err(fault)
}

fn verify_copy(stage: &Stage, disk: &Path, name: &str) -> Result {
    let copy = stage.path(name);
    if !same_bytes(disk, &copy)? {
        return Err(format!("{name} differs from disk.img"));
    }
    let (of_disk, of_copy) = (allocated(disk)?, allocated(&copy)?);
    // The file system may need one more block to list the extents.
    if of_copy > of_disk + 65536 {
        return Err(format!("{name} takes {of_copy} bytes, disk.img {of_disk}"));
    }
    stage.verified(&format!(
        "{name} equals disk.img: {}, of which {} are allocated (disk.img: {}).",
        human(LENGTH),
        human(of_copy),
        human(of_disk),
    ));
    Ok(())
}

/// Each line must be `Progress: N` with a larger N, from 0 to 100.
fn verify_progress(stdout: &str) -> Result {
    let number = |line: &str| {
        line.strip_prefix("Progress: ")
            .and_then(|n| n.parse::<u32>().ok())
    };
    let numbers: Option<Vec<u32>> = stdout.lines().map(number).collect();
    let numbers = numbers.ok_or("stdout has other lines than Progress: N")?;
    let rises = numbers.windows(2).all(|pair| pair[0] < pair[1]);
    match rises && numbers.first() == Some(&0) && numbers.last() == Some(&100) {
        true => Ok(()),
        false => Err(format!("progress does not rise from 0 to 100: {numbers:?}")),
    }
}
