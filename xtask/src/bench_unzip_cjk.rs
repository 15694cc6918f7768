//! Cases for unzip-cjk: archives that `zip` makes, against the usual extractors.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::Result;
use crate::bench::{Bench, Case, Contender, Random};
use crate::workspace::find_program;

const MIB: u64 = 1 << 20;

/// What an archive holds: how many files, and bytes in each.
struct Shape {
    name: &'static str,
    files: u64,
    bytes: u64,
    stored: bool,
}

/// All cases.
pub(crate) fn run(bench: &mut Bench) -> Result {
    if find_program("zip").is_none() {
        return Err("zip is not installed".to_owned());
    }
    for shape in [
        Shape {
            name: "one deflated file of 512 MiB",
            files: 1,
            bytes: 512 * MIB,
            stored: false,
        },
        Shape {
            name: "ten deflated files of 100 MiB",
            files: 10,
            bytes: 100 * MIB,
            stored: false,
        },
        Shape {
            name: "one stored file of 512 MiB",
            files: 1,
            bytes: 512 * MIB,
            stored: true,
        },
        Shape {
            name: "10 000 small files",
            files: 10_000,
            bytes: 4096,
            stored: false,
        },
    ] {
        case(bench, &shape)?;
    }
    Ok(())
}

fn case(bench: &mut Bench, shape: &Shape) -> Result {
    let dir = bench.dir().to_owned();
    let (tree, archive, out) = (dir.join("tree"), dir.join("a.zip"), dir.join("out"));
    let told = |path: &Path| {
        let path = path.to_owned();
        move |e: io::Error| format!("{}: {e}", path.display())
    };
    make(&tree, shape).map_err(told(&tree))?;
    zip(&dir, shape)?;
    let bare = out.clone();
    bench.run(Case {
        name: shape.name,
        contenders: vec![
            Contender::ours("unzip-cjk", "unzip-cjk", |c| {
                c.args(["-oqq", "-d", "out", "a.zip"]);
            }),
            Contender::peer("unzip", "unzip", |c| {
                c.args(["-oqq", "-d", "out", "a.zip"]);
            }),
            Contender::peer("7zz", "7zz", |c| {
                c.args(["x", "-y", "-bd", "-bso0", "-bsp0", "-oout", "a.zip"]);
            }),
            Contender::peer("bsdtar", "bsdtar", |c| {
                c.args(["-x", "-f", "a.zip", "-C", "out"]);
            }),
            Contender::peer("ripunzip", "ripunzip", |c| {
                c.args(["unzip-file", "-q", "-d", "out", "a.zip"]);
            }),
            Contender::peer("cp", "cp -r of the files", |c| {
                c.args(["-r", "tree", "out"]);
            }),
        ],
        prepare: &mut |_| {
            let _ = fs::remove_dir_all(&bare);
            fs::create_dir(&bare).map_err(told(&bare))
        },
        verify: &mut |_, _| {
            let found = bytes_below(&out).map_err(told(&out))?;
            match shape.files * shape.bytes {
                wanted if wanted == found => Ok(()),
                wanted => Err(format!("{found} bytes, not {wanted}")),
            }
        },
    })?;
    for path in [&tree, &dir.join("out")] {
        fs::remove_dir_all(path).map_err(told(path))?;
    }
    fs::remove_file(&archive).map_err(told(&archive))
}

/// Words of a small vocabulary: deflated they take about a third.
fn make(tree: &Path, shape: &Shape) -> io::Result<()> {
    let mut random = Random::new(shape.files);
    let words: Vec<String> = (0..4096)
        .map(|_| {
            let len = 2 + random.next() % 9;
            let letter = |random: &mut Random| char::from(b'a' + (random.next() % 26) as u8);
            (0..len).map(|_| letter(&mut random)).collect()
        })
        .collect();
    for number in 0..shape.files {
        let folder = tree.join(format!("d{:02}", number % 100));
        fs::create_dir_all(&folder)?;
        let mut file = BufWriter::new(File::create(folder.join(format!("f{number}.txt")))?);
        let mut left = shape.bytes;
        while left > 0 {
            let word = &words[random.next() as usize % words.len()];
            let text = format!("{word} ");
            let len = left.min(text.len() as u64) as usize;
            file.write_all(&text.as_bytes()[..len])?;
            left -= len as u64;
        }
        file.flush()?;
    }
    Ok(())
}

fn zip(dir: &Path, shape: &Shape) -> Result {
    let program = find_program("zip").unwrap_or_else(|| PathBuf::from("zip"));
    let level = if shape.stored { "-0" } else { "-6" };
    let status = std::process::Command::new(program)
        .args(["-qr", level, "a.zip", "tree"])
        .current_dir(dir)
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("zip: {status}")),
        Err(e) => Err(format!("zip: {e}")),
    }
}

fn bytes_below(folder: &Path) -> io::Result<u64> {
    let mut total = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        total += match entry.file_type()?.is_dir() {
            true => bytes_below(&entry.path())?,
            false if entry.path().extension() == Some(OsStr::new("txt")) => entry.metadata()?.len(),
            false => 0,
        };
    }
    Ok(total)
}
