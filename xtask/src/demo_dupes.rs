//! The demo of dupes: a small tree in which only the bytes tell who equals whom.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::Result;
use crate::demo::Stage;

/// The groups that must come out.
const GROUPS: [[&str; 2]; 2] = [
    ["backup/summer (1).jpg", "photos/summer.jpg"],
    ["backup/winter (1).jpg", "photos/winter.jpg"],
];

/// Runs the demo.
pub(crate) fn run(stage: &Stage) -> Result {
    stage.explain("Five pictures of one size: two pairs, and one that differs in its last byte.");
    make_tree(&stage.path("")).map_err(|e| format!("making the tree: {e}"))?;
    stage.run("ls -l photos backup")?;

    let stdout = stage.run("dupes photos backup")?;
    let found: BTreeSet<BTreeSet<&str>> = stdout
        .trim_end()
        .split("\n\n")
        .map(|group| group.lines().collect())
        .collect();
    let expected = BTreeSet::from(GROUPS.map(BTreeSet::from));
    if found != expected {
        return Err(format!("found {found:?}, not {expected:?}"));
    }
    stage.verified("The two pairs are found, and nothing else.");

    let stdout = stage.run("dupes --json photos backup")?;
    if stdout
        .lines()
        .any(|line| !line.starts_with('{') || !line.ends_with('}'))
    {
        return Err("--json printed a line that is no object".to_owned());
    }
    for name in GROUPS.as_flattened() {
        if stdout.matches(name).count() != 1 {
            return Err(format!("--json does not name {name} once"));
        }
    }
    stage.verified("One JSON object a line, each duplicate named once.");

    stage.explain("A script that calls cmp and gets dupes under that name.");
    let stdout = stage.run_as(
        "cmp",
        "dupes",
        "if cmp -s photos/summer.jpg 'backup/summer (1).jpg'; then echo equal; fi\n\
         cmp -l photos/summer.jpg photos/summer-edited.jpg | wc -l\n\
         cmp -n 299999 photos/summer.jpg photos/summer-edited.jpg && echo equal but for the end\n",
    )?;
    match stdout.split_whitespace().collect::<Vec<_>>().join(" ") == "equal 1 equal but for the end"
    {
        true => stage.verified("It answers as GNU cmp does."),
        false => return Err(format!("the script printed {stdout:?}")),
    }
    Ok(())
}

fn make_tree(top: &Path) -> std::io::Result<()> {
    for folder in ["photos", "backup"] {
        fs::create_dir(top.join(folder))?;
    }
    let picture = |seed: u8| -> Vec<u8> {
        (0..300_000_u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8 ^ seed)
            .collect()
    };
    let (summer, winter) = (picture(1), picture(2));
    let mut edited = summer.clone();
    if let Some(last) = edited.last_mut() {
        *last ^= 1;
    }
    fs::write(top.join("photos/summer.jpg"), &summer)?;
    fs::write(top.join("photos/winter.jpg"), &winter)?;
    fs::write(top.join("photos/summer-edited.jpg"), &edited)?;
    fs::write(top.join("backup/summer (1).jpg"), &summer)?;
    fs::write(top.join("backup/winter (1).jpg"), &winter)?;
    fs::write(top.join("backup/letter.txt"), "Dear all\n")
}
