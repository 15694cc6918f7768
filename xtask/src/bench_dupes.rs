//! Cases for dupes: trees that are hard in different ways, against the usual finders.
//!
//! Read bytes are the figure to look at; a finder that trusts digests may read as few of true
//! duplicates, but has proven nothing.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use crate::Result;
use crate::bench::{Bench, Case, Contender, Random};
use crate::workspace::Scratch;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// All cases.
pub(crate) fn run(bench: &mut Bench) -> Result {
    case(bench, "20 000 small files, a third of them copies", small)?;
    case(bench, "60 files of 24 MiB that differ early", early)?;
    case(
        bench,
        "48 files of 16 MiB that differ by one byte in the middle",
        late,
    )?;
    case(
        bench,
        "6000 files of 64 KiB, many with a common start",
        many_of_a_size,
    )?;
    case(bench, "1 GiB of true duplicates", duplicates)?;
    cmp(bench)
}

/// Two files against GNU cmp.
fn cmp(bench: &mut Bench) -> Result {
    let names = ["x", "y", "early", "s", "t"];
    let [x, y, early, s, t] = names.map(|name| bench.dir().join(name));
    let make = || -> io::Result<()> {
        let mut file = File::create(&x)?;
        let bytes = noise(4, 256 * MIB);
        (0..8).try_for_each(|_| file.write_all(&bytes))?;
        for copy in [&y, &early] {
            fs::copy(&x, copy)?;
        }
        File::options()
            .write(true)
            .open(&early)?
            .write_all(b"#!#!")?;
        // GNU cmp reads holes: not more than it can in some seconds.
        File::create(&s)?.set_len(4 << 30)?;
        File::create(&t)?.set_len(5 << 30)
    };
    make().map_err(|e| format!("{}: {e}", bench.dir().display()))?;
    let cases = [
        ("cmp: equal files of 2 GiB", ["x", "y"], 0, ""),
        (
            "cmp: 2 GiB that differ in the first byte",
            ["x", "early"],
            1,
            "x early differ: ",
        ),
        ("cmp: a hole of 4 GiB and one of 5 GiB", ["s", "t"], 1, ""),
    ];
    for (name, files, status, said) in cases {
        let ours = Contender::ours("dupes", "dupes --cmp", |c| {
            c.arg("--cmp").args(files);
        });
        let theirs = Contender::peer("cmp", "cmp", |c| {
            c.args(files);
        });
        bench.run(Case {
            name,
            contenders: vec![ours.exits(status), theirs.exits(status)],
            prepare: &mut |_| Ok(()),
            verify: &mut |_, stdout| {
                let text = fs::read_to_string(stdout).map_err(|e| e.to_string())?;
                match text.starts_with(said) {
                    true => Ok(()),
                    false => Err(format!("said {text:?}")),
                }
            },
        })?;
    }
    cmp_starts(bench)?;
    cmp_huge(bench)?;
    let removed = [x, y, early, s, t].iter().try_for_each(fs::remove_file);
    removed.map_err(|e| format!("{}: {e}", bench.dir().display()))
}

/// Many runs that find a difference at once: what it costs to start.
fn cmp_starts(bench: &mut Bench) -> Result {
    let script = "i=0; while [ $i -lt 500 ]; do \"$@\"; i=$((i + 1)); done >/dev/null; \"$@\"";
    let ours = Contender::ours("dupes", "dupes --cmp", |c| {
        c.args(["--cmp", "x", "early"]);
    });
    let theirs = Contender::peer("cmp", "cmp", |c| {
        c.args(["x", "early"]);
    });
    bench.run(Case {
        name: "cmp: 500 times 2 GiB that differ in the first byte",
        contenders: vec![
            ours.through(script).exits(1),
            theirs.through(script).exits(1),
        ],
        prepare: &mut |_| Ok(()),
        verify: &mut |_, _| Ok(()),
    })
}

/// Holes of 14 and 15 TiB, where a file system takes such files. GNU cmp would read for an hour.
fn cmp_huge(bench: &mut Bench) -> Result {
    let name = "cmp: a hole of 14 TiB and one of 15 TiB";
    let folders = [bench.dir().to_owned(), PathBuf::from("/dev/shm")];
    let make = |folder: &PathBuf| {
        let scratch = Scratch::new(folder, "bench-huge").ok()?;
        for (file, size) in [("s", 14u64 << 40), ("t", 15 << 40)] {
            let file = File::create(scratch.path().join(file)).ok()?;
            file.set_len(size).ok()?;
        }
        Some(scratch)
    };
    let Some(scratch) = folders.iter().find_map(make) else {
        bench.note(name, "skipped: no file system takes such files\n");
        return Ok(());
    };
    let files = ["s", "t"].map(|file| scratch.path().join(file));
    bench.run(Case {
        name,
        contenders: vec![
            Contender::ours("dupes", "dupes --cmp", |c| {
                c.arg("--cmp").args(&files);
            })
            .exits(1),
        ],
        prepare: &mut |_| Ok(()),
        verify: &mut |_, _| Ok(()),
    })
}

/// Makes a tree, lets all finders search it, and removes it. `make` says how many files have a
/// copy.
fn case(bench: &mut Bench, name: &str, make: fn(&mut Maker) -> io::Result<usize>) -> Result {
    let tree = bench.dir().join("tree");
    let told = |e: io::Error| format!("{}: {e}", tree.display());
    let mut maker = Maker {
        tree: tree.clone(),
        count: 0,
    };
    let wanted = make(&mut maker).map_err(told)?;
    bench.run(Case {
        name,
        contenders: vec![
            Contender::ours("dupes", "dupes", |c| {
                c.arg("tree");
            }),
            Contender::peer("jdupes", "jdupes", |c| {
                c.args(["-rq", "tree"]);
            }),
            Contender::peer("jdupes", "jdupes by digest", |c| {
                c.args(["-rqQ", "tree"]);
            }),
            Contender::peer("fdupes", "fdupes", |c| {
                c.args(["-rq", "tree"]);
            }),
            Contender::peer("rmlint", "rmlint", |c| {
                c.args(["-T", "df", "-o", "fdupes:stdout", "tree"]);
            }),
            Contender::peer("rdfind", "rdfind", |c| {
                c.args(["-n", "true", "-outputname", "/dev/stdout", "tree"]);
            }),
            Contender::peer("fclones", "fclones", |c| {
                c.args(["group", "-f", "fdupes", "tree"]);
            }),
        ],
        prepare: &mut |_| Ok(()),
        // Every format has one path a line; a file with a copy is named once.
        verify: &mut |_, stdout| {
            let text = fs::read_to_string(stdout).map_err(|e| e.to_string())?;
            match text.lines().filter(|line| line.contains("tree/f")).count() {
                count if count == wanted => Ok(()),
                count => Err(format!("{count} of {wanted} files named")),
            }
        },
    })?;
    fs::remove_dir_all(&tree).map_err(told)
}

/// Writes the files of a tree, eight folders of them.
struct Maker {
    tree: PathBuf,
    count: usize,
}

impl Maker {
    fn write(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        let folder = self.tree.join(format!("f{}", self.count % 8));
        fs::create_dir_all(&folder)?;
        let mut file = File::create_new(folder.join(self.count.to_string()))?;
        self.count += 1;
        parts.iter().try_for_each(|part| file.write_all(part))
    }
}

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    Random::new(seed).fill(&mut bytes);
    bytes
}

/// Sizes from 16 bytes to 64 KiB, evenly in powers of two; each third file is a copy.
fn small(maker: &mut Maker) -> io::Result<usize> {
    for seed in 0..13_334 {
        let mut random = Random::new(seed);
        let bits = random.next() % 12;
        let size = (16 + random.next() % 16) << bits;
        let bytes = noise(seed, size as usize);
        for _ in 0..1 + usize::from(seed % 2 == 0) {
            maker.write(&[&bytes])?;
        }
    }
    Ok(13_334)
}

/// Differ at the start, behind a common header, or behind a longer one and before common zeros.
fn early(maker: &mut Maker) -> io::Result<usize> {
    let zeros = vec![0; 128 * KIB];
    for i in 0..60 {
        let (header, end) = match i % 3 {
            0 => (0, 0),
            1 => (64 * KIB, 0),
            _ => (256 * KIB, zeros.len()),
        };
        let body = noise(100 + i, 24 * MIB - header - end);
        maker.write(&[&noise(1, header), &body, &zeros[..end]])?;
    }
    Ok(0)
}

/// Each differs from the others in one byte of the middle half, but for four pairs.
fn late(maker: &mut Maker) -> io::Result<usize> {
    let mut bytes = noise(2, 16 * MIB);
    let mut random = Random::new(3);
    for i in 0..44 {
        let at = 4 * MIB + random.next() as usize % (8 * MIB);
        bytes[at] ^= 1;
        for _ in 0..1 + usize::from(i % 11 == 0) {
            maker.write(&[&bytes])?;
        }
        bytes[at] ^= 1;
    }
    Ok(8)
}

/// A quarter are copies; the others have the first 0, 4, 16 or 48 KiB in common.
fn many_of_a_size(maker: &mut Maker) -> io::Result<usize> {
    for seed in 0..4500 {
        let header = [0, 4, 16, 48][seed as usize % 4] * KIB;
        let body = noise(100 + seed, 64 * KIB - header);
        for _ in 0..1 + usize::from(seed % 3 == 0) {
            maker.write(&[&noise(header as u64, header), &body])?;
        }
    }
    Ok(3000)
}

/// Sizes from 1 to 32 MiB in twos and threes.
fn duplicates(maker: &mut Maker) -> io::Result<usize> {
    let (mut seed, mut total) = (0, 0);
    while total < 1024 * MIB {
        let bytes = noise(
            seed,
            (MIB + Random::new(seed).next() as usize % MIB) << (seed % 5),
        );
        for _ in 0..2 + seed % 2 {
            maker.write(&[&bytes])?;
            total += bytes.len();
        }
        seed += 1;
    }
    Ok(maker.count)
}
