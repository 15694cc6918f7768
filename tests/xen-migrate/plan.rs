//! The plan of a migration, and what stands against it.

use super::*;

/// Everything below a folder, but for logs.
fn tree(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(tree(&path));
        } else if !path.ends_with("log") && !path.ends_with("pid") {
            all.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    all.sort();
    all
}

#[test]
fn plans() {
    let lab = Lab::new("pvh");
    let before = tree(lab.dir.path());
    let output = lab.migrate(&["--dry-run"]);
    ended(&output, 0);
    assert!(!lab.path("h1/state").exists() && !lab.path("h2/state").exists());
    let name = |name: &str| lab.path(name).display().to_string();
    let expected = format!(
        "g1: pvh, 64 MiB, live to h2\nxvda: {a} -> {b}, 1.0 MiB\n\
         run: {blocksync} --session '{a}' 'h2:{b}'\n\
         run: xl migrate -s 'xen-migrate transport' 3 h2\n",
        a = name("h1/disks/a"),
        b = name("h2/disks/a"),
        blocksync = lab.blocksync.display(),
    );
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    let output = lab.migrate(&["-n", "--json", "--mode=save"]);
    ended(&output, 0);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&value["mode"], &value["disks"][0]["vdev"]),
        (&"save".into(), &"xvda".into())
    );
    assert_eq!(value["impossible"].as_array().unwrap().len(), 0);

    // Each reason, in the plan and when it is tried.
    type Change = fn(&Lab);
    let cases: [(Change, &[&str], &str); 6] = [
        (
            |lab| fs::write(lab.path("h2/disks/a"), "short").unwrap(),
            &[],
            "has 5 bytes, and ",
        ),
        (
            |lab| fs::remove_file(lab.path("h2/disks/a")).unwrap(),
            &[],
            "is missing at the target: make it, or use --create",
        ),
        (
            |lab| {
                fs::write(
                    lab.path("h2/info"),
                    "xen_major : 4\nxen_minor : 16\nfree_memory : 9000\n",
                )
                .unwrap()
            },
            &[],
            "the target has Xen 4.16, older than the source's 4.17",
        ),
        (
            |lab| {
                let info = "xen_major : 4\nxen_minor : 17\nfree_memory : 9\nxen_commandline : dom0_mem=448M\n";
                fs::write(lab.path("h2/info"), info).unwrap();
            },
            &[],
            "the target has 9 MiB of memory free, and it has 64 MiB",
        ),
        (
            |lab| fs::write(lab.path("h1/domains/3/state"), "paused\n").unwrap(),
            &[],
            "it does not run",
        ),
        (
            |_| (),
            &["--map=/nonexistent=/x"],
            "--map: the domain has no disk /nonexistent",
        ),
    ];
    drop(before);
    for (change, args, why) in cases {
        let lab = Lab::new("pvh");
        change(&lab);
        let before = tree(lab.dir.path());
        let output = lab.migrate(&[args, &["--dry-run"]].concat());
        ended(&output, 3);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            text.contains("impossible: ") && text.contains(why),
            "{text}"
        );
        let output = lab.migrate(args);
        ended(&output, 3);
        assert!(
            String::from_utf8_lossy(&output.stderr).contains(why),
            "{}",
            shown(&output)
        );
        assert_eq!(tree(lab.dir.path()), before, "{why}");
    }
}
