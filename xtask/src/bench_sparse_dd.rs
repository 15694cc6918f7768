//! Cases for sparse-dd: copies of disk images, against cp, dd, qemu-img and nbdcopy.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use crate::Result;
use crate::bench::{Bench, Case, Contender, Random};

const MIB: u64 = 1 << 20;

/// All cases.
pub(crate) fn run(bench: &mut Bench) -> Result {
    sparse_to_new_file(bench)
}

/// An image of 2 GiB with 256 MiB of data in extents of 1 MiB, to a new file.
fn sparse_to_new_file(bench: &mut Bench) -> Result {
    let source = bench.dir().join("disk.img");
    let copy = bench.dir().join("copy.img");
    sparse_image(&source, 2048 * MIB, 256).map_err(|e| format!("{}: {e}", source.display()))?;
    bench.run(Case {
        name: "sparse image of 2 GiB, 256 MiB of data, to a new file",
        contenders: vec![
            Contender::ours("sparse-dd", "sparse-dd", |c| {
                c.args(["--quiet", "--src=disk.img", "--dest=copy.img"]);
            }),
            Contender::peer("cp", "cp --sparse=always", |c| {
                c.args(["--sparse=always", "--reflink=never", "disk.img", "copy.img"]);
            }),
            Contender::peer("dd", "dd conv=sparse", |c| {
                c.args([
                    "if=disk.img",
                    "of=copy.img",
                    "bs=1M",
                    "conv=sparse",
                    "status=none",
                ]);
            }),
            Contender::peer("qemu-img", "qemu-img convert", |c| {
                c.args(["convert", "-f", "raw", "-O", "raw", "disk.img", "copy.img"]);
            }),
            Contender::peer("nbdcopy", "nbdcopy", |c| {
                c.args(["disk.img", "copy.img"]);
            }),
        ],
        prepare: &mut |label| {
            remove(&copy)?;
            // nbdcopy does not make its destination longer.
            if label == "nbdcopy" {
                let file = File::create(&copy).and_then(|file| file.set_len(2048 * MIB));
                file.map_err(|e| format!("{}: {e}", copy.display()))?;
            }
            Ok(())
        },
        verify: &mut |_, _| equal(&source, &copy),
    })?;
    remove(&copy)?;
    remove(&source)
}

/// Makes an image with `count` extents of 1 MiB of random data, evenly spread.
fn sparse_image(path: &Path, length: u64, count: u64) -> std::io::Result<()> {
    let mut random = Random::new(42);
    let mut block = vec![0; MIB as usize];
    let file = File::create_new(path)?;
    file.set_len(length)?;
    let room = length / count;
    for number in 0..count {
        random.fill(&mut block);
        let slack = random.next() % ((room - MIB) / 4096 + 1);
        file.write_all_at(&block, number * room + slack * 4096)?;
    }
    file.sync_all()
}

fn equal(one: &Path, other: &Path) -> Result {
    let status = Command::new("cmp").arg(one).arg(other).status();
    match status.map_err(|e| format!("cmp: {e}"))?.success() {
        true => Ok(()),
        false => Err("the copy differs".to_owned()),
    }
}

fn remove(path: &Path) -> Result {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("{}: {e}", path.display()))
        }
        _ => Ok(()),
    }
}
