//! Cases for dupes: trees with and without duplicates, against the usual finders.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::Result;
use crate::bench::{Bench, Case, Contender, Random};

const MIB: usize = 1 << 20;

/// All cases.
pub(crate) fn run(bench: &mut Bench) -> Result {
    pairs(bench)
}

/// 64 pairs of equal files, all of one size: each pair is told apart by its first block.
fn pairs(bench: &mut Bench) -> Result {
    let tree = bench.dir().join("tree");
    make_pairs(&tree, 64, 8).map_err(|e| format!("{}: {e}", tree.display()))?;
    bench.run(Case {
        name: "128 files of 8 MiB, 64 pairs",
        contenders: vec![
            Contender::ours("dupes", "dupes", |c| {
                c.arg("tree");
            }),
            Contender::peer("jdupes", "jdupes", |c| {
                c.args(["-rq", "tree"]);
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
        // Every format has one path a line; a path with a copy is named once.
        verify: &mut |_, stdout| {
            let text = fs::read_to_string(stdout).map_err(|e| e.to_string())?;
            match text.lines().filter(|line| line.contains("tree/")).count() {
                128 => Ok(()),
                count => Err(format!("{count} of 128 files named")),
            }
        },
    })?;
    fs::remove_dir_all(&tree).map_err(|e| format!("{}: {e}", tree.display()))
}

fn make_pairs(tree: &Path, pairs: u64, mib: usize) -> std::io::Result<()> {
    fs::create_dir(tree)?;
    let mut block = vec![0; MIB];
    for seed in 0..pairs {
        for name in [format!("a{seed}"), format!("b{seed}")] {
            let mut random = Random::new(seed);
            let mut file = File::create_new(tree.join(name))?;
            for _ in 0..mib {
                random.fill(&mut block);
                file.write_all(&block)?;
            }
        }
    }
    Ok(())
}
