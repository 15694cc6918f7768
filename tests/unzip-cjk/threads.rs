//! Threads.

use super::*;

/// Thousands of entries, so that threads have something to do.
fn many() -> Zip {
    let mut zip = Zip::new();
    for i in 0..1000_u32 {
        let data = format!("{i} ").repeat(1 + i as usize % 300);
        let name = format!("d{}/f{i}.txt", i % 17);
        zip = zip.add(Entry::new(name.as_bytes()).data(data.as_bytes()).deflate());
    }
    zip
}

#[test]
fn threads_change_nothing() {
    let dir = Dir::new();
    let zip = many()
        .add(Entry::new(b"d1/f1.txt").data(b"the second of this name"))
        .add(
            Entry::new(b"big")
                .data(
                    &(0..2_500_000_u32)
                        .flat_map(|n| (n / 3).to_le_bytes())
                        .collect::<Vec<u8>>(),
                )
                .deflate(),
        )
        .add(Entry::new(b"bad").data(b"bad").crc(1));
    let zip = dir.zip("a.zip", &zip);
    let zip = zip.to_str().unwrap();
    let mut results = Vec::new();
    for threads in ["1", "2", "7"] {
        let ran = dir
            .ours(&["-o", &format!("--threads={threads}"), zip])
            .exits(2);
        results.push((ran.out(), ran.stderr, tree(&dir.path("work"), false)));
        let tested = dir
            .ours(&["-t", &format!("--threads={threads}"), zip])
            .exits(2);
        assert!(
            tested
                .out()
                .contains("testing: bad                      bad CRC")
        );
        fs::remove_dir_all(dir.path("work")).unwrap();
    }
    assert_eq!(results[0], results[1]);
    assert_eq!(results[0], results[2]);
    let second = OsStr::new("d1/f1.txt");
    assert_eq!(results[0].2[second].2, b"the second of this name");
    if has_unzip("threads_change_nothing") {
        fs::create_dir(dir.path("work")).unwrap();
        let real = run(tool("unzip")
            .current_dir(dir.path("work"))
            .args(["-o", zip]));
        assert_eq!(
            (real.out(), real.stderr),
            (results[0].0.clone(), results[0].1.clone())
        );
        assert_eq!(tree(&dir.path("work"), false), results[0].2);
    }
}
