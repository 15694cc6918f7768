//! How little is read.

use super::*;

#[test]
fn bytes_read_are_those_that_reads_returned() {
    let t = Tree::new();
    for i in 0..30u64 {
        let mut bytes = noise(i % 3, 70_000 + 1000 * (i as usize % 5));
        bytes[40_000] = (i % 2) as u8;
        t.write(format!("f{i}"), bytes);
    }
    let Some((ran, log)) = strace("bytes read", "read,pread64", &[], &mut t.dupes(["."])) else {
        return;
    };
    // A call that another thread interrupts is written in two lines, the result in the second.
    let folder = t.0.path().to_string_lossy();
    let mut begun = std::collections::HashSet::new();
    let mut sum = 0;
    for line in log.lines() {
        let thread = line.split(' ').next().unwrap();
        if line.ends_with("<unfinished ...>") {
            if line.contains(&*folder) {
                begun.insert(thread);
            }
        } else if line.contains(&*folder) || begun.remove(thread) {
            sum += line
                .rsplit_once("= ")
                .unwrap()
                .1
                .trim()
                .parse::<u64>()
                .unwrap();
        }
    }
    assert_eq!(bytes_read(&ran.exits(0)), sum);
}

#[test]
fn no_byte_of_true_duplicates_is_read_twice() {
    let t = Tree::new();
    let mut total = 0;
    for (i, size) in [1, 4096, 4097, 8192, 8193, 65_536, 200_001, 5 << 20]
        .into_iter()
        .enumerate()
    {
        for copy in 0..3 {
            t.write(format!("{i}-{copy}"), noise(i as u64, size));
            total += size as u64;
        }
    }
    let ran = t.run(["."]).exits(0);
    assert_eq!(lines(&ran).len(), 8);
    assert_eq!(bytes_read(&ran), total);
}

#[test]
fn files_that_differ_early_are_hardly_read() {
    let t = Tree::new();
    let header = noise(1, 300_000);
    for i in 0..40 {
        let file = File::create(t.path(format!("f{i}"))).unwrap();
        let body = noise(100 + i, 4 << 20);
        file.write_all_at(&body, 0).unwrap();
        file.write_all_at(&header, 0).unwrap();
        file.write_all_at(&[0; 100_000], (4 << 20) - 100_000)
            .unwrap();
    }
    let ran = t.run(["."]).exits(0);
    assert_eq!(ran.out(), "");
    assert!(bytes_read(&ran) <= 40 * 3 * 5120, "{}", ran.stderr);
}

#[test]
fn sizes_of_one_file_are_not_opened() {
    let t = Tree::new();
    t.write("alone", "abc");
    t.write("a", "abcd");
    t.write("b", "abcd");
    if let Some((ran, log)) = strace("alone", "openat", &[], &mut t.dupes(["."])) {
        assert_eq!(ran.exits(0).out(), "./a\n./b\n\n");
        assert!(log.contains("/a\"") && !log.contains("alone"), "{log}");
    }
}
