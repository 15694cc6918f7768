//! Bounds of descriptors and memory.

use super::*;

/// Files of one size: some alike as a whole, some with a common start, most alone.
fn many_of_one_size(t: &Tree, count: u64) -> BTreeMap<u64, Vec<String>> {
    let mut want: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for i in 0..count {
        let content = if i % 4 == 3 { i / 8 } else { i };
        let mut bytes = noise(content, 12_000);
        if content % 3 != 0 {
            bytes[..5000].copy_from_slice(&noise(u64::MAX, 5000));
        }
        let name = format!("d{}/f{i:05}", i % 7);
        t.write(&name, bytes);
        want.entry(content).or_default().push(format!("./{name}"));
    }
    want.retain(|_, names| names.len() > 1);
    want.values_mut().for_each(|names| names.sort());
    want
}

#[track_caller]
fn assert_groups(ran: &Ran, want: &BTreeMap<u64, Vec<String>>) {
    let mut want: Vec<_> = want.values().cloned().collect();
    want.sort();
    let mut got = lines(ran);
    got.sort();
    assert_eq!(got.len(), want.len());
    assert_eq!(got, want);
}

#[test]
fn six_thousand_files_of_one_size_with_64_descriptors() {
    let t = Tree::new();
    let want = many_of_one_size(&t, 6000);
    let ran = t.shell("ulimit -n 64; exec dupes .").exits(0);
    assert_groups(&ran, &want);
    let few = bytes_read(&ran);
    let ran = t.run(["."]).exits(0);
    assert_groups(&ran, &want);
    assert_eq!(bytes_read(&ran), few, "the limit costs no reads");
    // Little memory, too: then some blocks are told apart by digests and read again.
    let ran = t.shell("ulimit -n 10; exec dupes --memory=1M .").exits(0);
    assert_groups(&ran, &want);
    let ran = t.run(["--memory=0", "."]).exits(0);
    assert_groups(&ran, &want);
}

#[test]
fn the_soft_limit_on_descriptors_is_raised() {
    let t = Tree::new();
    for i in 0..200 {
        t.write(format!("f{i}"), noise(7, 40_000));
    }
    let opens = |limit: &str| {
        let mut sh = command("sh");
        sh.current_dir(t.0.path())
            .args(["-c", &format!("ulimit {limit}; exec {DUPES} .")]);
        let is_file = |line: &&str| line.contains("\"./f");
        let log = strace("descriptors", "openat", &[], &mut sh).map(|(_, log)| log);
        log.map(|log| log.lines().filter(is_file).count())
    };
    if let Some(count) = opens("-S -n 40") {
        assert_eq!(count, 200, "each is opened once");
        assert!(
            opens("-n 40").unwrap() > 400,
            "with a hard limit they are opened again"
        );
    }
}
