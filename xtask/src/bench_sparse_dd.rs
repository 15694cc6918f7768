//! Cases for sparse-dd: copies of disk images, against cp, dd, qemu-img and nbdcopy. All of them have
//! the copy on the disk before the clock stops, as sparse-dd does by itself.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::bench::{Bench, Case, Contender, Random, equal, remove};
use crate::workspace::find_program;

/// Writes an image.
type MakeImage = fn(&Path) -> io::Result<()>;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
/// Size of the images but the dense one.
const SIZE: u64 = 1024 * MIB;

/// All cases.
pub(crate) fn run(bench: &mut Bench) -> Result {
    start(bench)?;
    let source = bench.dir().join("disk.img");
    let images: [(&str, MakeImage); 3] = [
        ("1 GiB with holes, 128 MiB of data", sparse_image),
        ("1 GiB without holes, 85 % zeros", zero_image),
        ("512 MiB of data", dense_image),
    ];
    for (index, (name, make)) in images.into_iter().enumerate() {
        make(&source).map_err(|e| format!("{}: {e}", source.display()))?;
        to_new_file(bench, name, &source)?;
        as_dd(bench, name, &source)?;
        as_dd_in_a_pipe(bench, name, &source)?;
        if index < 2 {
            to_dirty_device(bench, name, &source)?;
        } else {
            as_dd_to_a_device(bench, name, &source)?;
        }
        remove(&source)?;
    }
    Ok(())
}

/// How long a program takes to do nothing.
fn start(bench: &mut Bench) -> Result {
    bench.run(Case {
        name: "start: --version",
        contenders: vec![
            Contender::ours("sparse-dd", "sparse-dd", |c| {
                c.arg("--version");
            }),
            Contender::peer("dd", "dd", |c| {
                c.arg("--version");
            }),
            Contender::peer("qemu-img", "qemu-img", |c| {
                c.arg("--version");
            }),
        ],
        prepare: &mut |_| Ok(()),
        verify: &mut |_, _| Ok(()),
    })?;
    let script = "i=0; while [ $i -lt 500 ]; do \"$@\" || exit; i=$((i + 1)); done";
    let words = ["if=/dev/zero", "of=/dev/null", "count=1", "status=none"];
    bench.run(Case {
        name: "start: 500 times one block, as dd",
        contenders: vec![
            Contender::ours("sparse-dd", "sparse-dd as dd", |c| {
                c.args(words);
            })
            .through(script),
            Contender::peer("dd", "dd", |c| {
                c.args(words);
            })
            .through(script),
        ],
        prepare: &mut |_| Ok(()),
        verify: &mut |_, _| Ok(()),
    })
}

fn to_new_file(bench: &mut Bench, image: &str, source: &Path) -> Result {
    let copy = bench.dir().join("copy.img");
    let size = fs::metadata(source).map_err(|e| e.to_string())?.len();
    bench.run(Case {
        name: &format!("{image}, to a new file"),
        contenders: vec![
            Contender::ours("sparse-dd", "sparse-dd", |c| {
                c.args(["--quiet", "--src=disk.img", "--dest=copy.img"]);
            }),
            Contender::peer("cp", "cp --sparse=always", |c| {
                c.args(["--sparse=always", "--reflink=never", "disk.img", "copy.img"]);
            })
            .synced("copy.img"),
            Contender::peer("dd", "dd conv=sparse", |c| {
                c.args(["if=disk.img", "of=copy.img", "bs=1M", "conv=sparse,fsync"]);
            }),
            Contender::peer("qemu-img", "qemu-img convert", |c| {
                c.args(["convert", "-f", "raw", "-O", "raw", "disk.img", "copy.img"]);
            })
            .synced("copy.img"),
            Contender::peer("nbdcopy", "nbdcopy", |c| {
                c.args(["--flush", "disk.img", "copy.img"]);
            }),
        ],
        prepare: &mut |label| {
            remove(&copy)?;
            // nbdcopy does not make its destination longer.
            if label == "nbdcopy" {
                let file = File::create(&copy).and_then(|file| file.set_len(size));
                file.map_err(|e| format!("{}: {e}", copy.display()))?;
            }
            Ok(())
        },
        verify: &mut |_, _| equal(source, &copy),
    })?;
    remove(&copy)
}

/// The same words for GNU dd and for sparse-dd in its place.
fn as_dd(bench: &mut Bench, image: &str, source: &Path) -> Result {
    let copy = bench.dir().join("copy.img");
    for words in [
        "bs=1M",
        "bs=1M conv=sparse",
        "bs=4K",
        "bs=512",
        "ibs=64K obs=4K",
    ] {
        let all = format!("if=disk.img of=copy.img status=none {words}");
        bench.run(Case {
            name: &format!("{image}, dd {words}"),
            contenders: vec![
                Contender::ours("sparse-dd", "sparse-dd as dd", |c| {
                    c.args(all.split(' '));
                }),
                Contender::peer("dd", "dd", |c| {
                    c.args(all.split(' '));
                }),
            ],
            prepare: &mut |_| warm(source, &copy),
            verify: &mut |_, _| equal(source, &copy),
        })?;
    }
    remove(&copy)
}

/// Makes and removes a copy, so that the memory for the next is there: a virtual machine may have to ask
/// its host for it, which takes longer than the copying, and falls to whoever comes first.
fn warm(source: &Path, copy: &Path) -> Result {
    fs::copy(source, copy).map_err(|e| format!("{}: {e}", copy.display()))?;
    remove(copy)
}

/// One dd into another one, as scripts have it.
fn as_dd_in_a_pipe(bench: &mut Bench, image: &str, source: &Path) -> Result {
    let copy = bench.dir().join("copy.img");
    for (words, script) in [
        (
            "bs=1M",
            "\"$1\" if=disk.img bs=1M status=none | \"$1\" of=copy.img bs=1M iflag=fullblock status=none",
        ),
        (
            "bs=4K",
            "\"$1\" if=disk.img bs=4K status=none | \"$1\" of=copy.img bs=4K iflag=fullblock status=none",
        ),
    ] {
        bench.run(Case {
            name: &format!("{image}, dd | dd {words}"),
            contenders: vec![
                Contender::ours("sparse-dd", "sparse-dd as dd", |_| {}).through(script),
                Contender::peer("dd", "dd", |_| {}).through(script),
            ],
            prepare: &mut |_| warm(source, &copy),
            verify: &mut |_, _| equal(source, &copy),
        })?;
    }
    remove(&copy)
}

/// dd onto a loop device. (With conv=sparse GNU dd would leave there what was there before.)
fn as_dd_to_a_device(bench: &mut Bench, image: &str, source: &Path) -> Result {
    let backing = bench.dir().join("device.img");
    let size = fs::metadata(source).map_err(|e| e.to_string())?.len();
    let Some(device) = LoopDevice::attach(&backing, size)? else {
        bench.note(
            &format!("{image}, dd to a block device"),
            "skipped: no loop device\n",
        );
        return Ok(());
    };
    for words in ["bs=1M conv=fsync", "bs=4K conv=fsync"] {
        let of = format!("of={}", device.path.display());
        let all = format!("if=disk.img status=none {of} {words}");
        bench.run(Case {
            name: &format!("{image}, dd {words} to a block device"),
            contenders: vec![
                Contender::ours("sparse-dd", "sparse-dd as dd", |c| {
                    c.args(all.split(' '));
                }),
                Contender::peer("dd", "dd", |c| {
                    c.args(all.split(' '));
                }),
            ],
            prepare: &mut |_| Ok(()),
            verify: &mut |_, _| equal(source, &device.path),
        })?;
    }
    Ok(())
}

/// A loop device that is full of something else before each copy.
fn to_dirty_device(bench: &mut Bench, image: &str, source: &Path) -> Result {
    let backing = bench.dir().join("device.img");
    let Some(device) = LoopDevice::attach(&backing, SIZE)? else {
        bench.note(
            &format!("{image}, to a dirty block device"),
            "skipped: no loop device\n",
        );
        return Ok(());
    };
    let name = device.path.to_str().unwrap_or_default();
    bench.run(Case {
        name: &format!("{image}, to a dirty block device"),
        contenders: vec![
            Contender::ours("sparse-dd", "sparse-dd", |c| {
                c.args(["--quiet", "disk.img", name]);
            }),
            Contender::peer("qemu-img", "qemu-img convert", |c| {
                c.args(["convert", "-n", "-f", "raw", "-O", "raw", "disk.img", name]);
            })
            .synced(name),
            Contender::peer("nbdcopy", "nbdcopy", |c| {
                c.args(["--flush", "disk.img", name]);
            }),
            Contender::peer("dd", "dd", |c| {
                c.args(["if=disk.img", &format!("of={name}"), "bs=1M", "conv=fsync"]);
            }),
        ],
        prepare: &mut |_| fill(&device.path).map_err(|e| format!("{name}: {e}")),
        verify: &mut |_, _| equal(source, &device.path),
    })
}

/// A loop device over a file of its own; both go away with it.
struct LoopDevice {
    path: PathBuf,
    backing: PathBuf,
}

impl LoopDevice {
    /// `None` where there are no loop devices, or none for us.
    fn attach(backing: &Path, size: u64) -> Result<Option<LoopDevice>> {
        let Some(losetup) = find_program("losetup") else {
            return Ok(None);
        };
        let file = File::create(backing).and_then(|file| file.set_len(size));
        file.map_err(|e| format!("{}: {e}", backing.display()))?;
        let output = Command::new(losetup)
            .args(["--find", "--show"])
            .arg(backing)
            .output();
        let output = output.map_err(|e| format!("losetup: {e}"))?;
        if !output.status.success() {
            remove(backing)?;
            return Ok(None);
        }
        let path = String::from_utf8_lossy(&output.stdout).trim().into();
        Ok(Some(LoopDevice {
            path,
            backing: backing.to_path_buf(),
        }))
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        if let Some(losetup) = find_program("losetup") {
            let _ = Command::new(losetup)
                .arg("--detach")
                .arg(&self.path)
                .status();
        }
        let _ = fs::remove_file(&self.backing);
    }
}

/// Makes every byte of a device something but zero, and has that on the disk.
fn fill(device: &Path) -> io::Result<()> {
    let mut file = File::options().write(true).open(device)?;
    let block = vec![0xff; MIB as usize];
    for _ in 0..SIZE / MIB {
        file.write_all(&block)?;
    }
    file.sync_all()
}

/// Extents of 64 KiB to 4 MiB of random data, evenly spread.
fn sparse_image(path: &Path) -> io::Result<()> {
    let mut random = Random::new(42);
    let file = File::create(path)?;
    file.set_len(SIZE)?;
    let mut block = vec![0; 4 * MIB as usize];
    let (mut at, mut left) = (0, 128 * MIB);
    while left > 0 {
        let length = ((64 * KIB) << (random.next() % 7)).min(left);
        // Seven times as much hole as data, on the average.
        at += (random.next() % (length / (64 * KIB) * 14 + 1)) * 64 * KIB;
        at = at.min(SIZE - left);
        random.fill(&mut block[..length as usize]);
        file.write_all_at(&block[..length as usize], at)?;
        at += length;
        left -= length;
    }
    file.sync_all()
}

/// Runs of 4 KiB to 1 MiB of random data, with zeros written in between.
fn zero_image(path: &Path) -> io::Result<()> {
    let mut random = Random::new(43);
    let mut file = io::BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut block = vec![0; MIB as usize];
    let zeros = vec![0; 12 * MIB as usize];
    let mut left = SIZE;
    while left > 0 {
        let data = ((4 * KIB) << (random.next() % 9)).min(left);
        random.fill(&mut block[..data as usize]);
        file.write_all(&block[..data as usize])?;
        left -= data;
        let zero = (data * 85 / 15 / 4096 * (20 + random.next() % 160) / 100 * 4096).min(left);
        file.write_all(&zeros[..zero as usize])?;
        left -= zero;
    }
    file.flush()?;
    file.get_ref().sync_all()
}

fn dense_image(path: &Path) -> io::Result<()> {
    let mut random = Random::new(44);
    let mut file = File::create(path)?;
    let mut block = vec![0; MIB as usize];
    for _ in 0..512 {
        random.fill(&mut block);
        file.write_all(&block)?;
    }
    file.sync_all()
}
