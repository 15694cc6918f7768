//! What a run tells.

use super::*;

#[test]
fn machine_progress_rises_from_0_to_100() {
    let dir = Dir::new();
    image(&dir, "disk.img");
    dir.file("empty.img", 0, &[]);
    dir.file("hole.img", 100 * M, &[]);
    dir.file("full.img", 60 * M, &[(0, 60 * M, 3)]);
    for name in ["disk.img", "empty.img", "hole.img", "full.img"] {
        for extra in [&["-prezeroed"] as &[&str], &[]] {
            let args = [&["-machine", "-src", name, "-dest", "copy.img"], extra].concat();
            let ran = dir.run(&args).exits(0);
            let out = ran.out();
            let numbers: Vec<u64> = out
                .lines()
                .map(|line| line.strip_prefix("Progress: ").unwrap().parse().unwrap())
                .collect();
            assert!(numbers.windows(2).all(|w| w[0] < w[1]), "{numbers:?}");
            assert_eq!(
                (numbers[0], *numbers.last().unwrap()),
                (0, 100),
                "{numbers:?}"
            );
            fs::remove_file(dir.path("copy.img")).unwrap();
        }
    }
    let full = dir.run(&["-machine", "full.img", "copy.img"]).exits(0);
    assert!(full.out().lines().count() > 90, "{}", full.out());
}

#[test]
fn json_and_quiet() {
    let dir = Dir::new();
    image(&dir, "disk.img");
    let ran = dir.run(&["-q", "--json", "disk.img", "copy.img"]).exits(0);
    assert_eq!(ran.stderr, "");
    let value: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(value["source"], "disk.img");
    assert_eq!(value["destination"], "copy.img");
    assert_eq!(value["size"], 10 * M + 3333);
    assert_eq!(value["writes"], 4);
    assert_eq!(value["bytes_written"], 308 * K + 3333);
    assert_eq!(value["bytes_cleared"], 0);
    assert!(value["bytes_read"].as_u64().unwrap() > 308 * K && value["seconds"].is_f64());
    assert_eq!(ran.out().lines().count(), 1);
}

#[test]
fn a_dry_run_counts_and_writes_nothing() {
    let dir = Dir::new();
    image(&dir, "disk.img");
    let old = dir.file("old.img", 9 * M, &[(0, 9 * M, 0xff)]);
    let before = fs::read(&old).unwrap();
    for destination in ["new.img", "old.img"] {
        let dry = dir.run(&["-n", "disk.img", destination]).exits(0);
        assert!(!dir.path("new.img").exists() && fs::read(&old).unwrap() == before);
        let real = dir.run(&["disk.img", destination]).exits(0);
        let counts = |ran: &Ran| numbers(&ran.stderr);
        assert_eq!(counts(&dry), counts(&real));
        fs::remove_file(dir.path(destination)).unwrap();
    }
}

#[test]
fn a_dry_run_is_not_heard_at_a_fifo() {
    let dir = Dir::new();
    image(&dir, "disk.img");
    must("mkfifo", [dir.path("fifo")]);
    let ran = dir.run(&["-n", "disk.img", "fifo"]).exits(0);
    assert_eq!(numbers(&ran.stderr)["Number of bytes"], 308 * K + 3333);
}

#[test]
fn progress_on_a_descriptor() {
    let dir = Dir::new();
    dir.file("full.img", 4 * M, &[(0, 4 * M, 1)]);
    let script = "exec \"$0\" \"$@\" 9>lines";
    let mut shell = command("sh");
    shell
        .current_dir(dir.0.path())
        .args(["-c", script, env!("CARGO_BIN_EXE_sparse-dd")]);
    run(shell.args(["-q", "--progress=9", "full.img", "copy.img"]))
        .exits(0)
        .says_nothing();
    let lines = fs::read_to_string(dir.path("lines")).unwrap();
    assert!(lines.ends_with("4194304 4194304\n"), "{lines}");
    assert!(lines.starts_with("0 4194304\n"), "{lines}");
}
