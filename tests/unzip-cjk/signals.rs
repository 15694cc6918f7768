//! Signals, and readers that go away.

use super::*;

#[test]
fn an_interrupt_leaves_whole_files_only() {
    let dir = Dir::new();
    let noise: Vec<u8> = (0..16 << 20)
        .map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let mut zip = Zip::new();
    for i in 0..8_u8 {
        zip = zip.add(Entry::new(&[b'a' + i]).data(&noise));
    }
    let zip = dir.zip("a.zip", &zip);
    let work = dir.path("work");
    fs::create_dir(&work).unwrap();
    fs::write(work.join("h"), "what was there").unwrap();
    let mut ours = tool(OURS);
    ours.current_dir(&work).args(["-o", "-q"]).arg(&zip);
    let mut child = ours.stdin(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while fs::read_dir(&work).unwrap().count() < 2 && Instant::now() < deadline {
        std::thread::yield_now();
    }
    let pid = child.id().to_string();
    run(command("kill").args(["-INT", &pid]));
    let code = child.wait().unwrap().code();
    let left: Vec<PathBuf> = fs::read_dir(&work)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    // It may have been faster than the signal.
    assert!(matches!(code, Some(80 | 0)), "{code:?}");
    for path in left {
        let content = fs::read(&path).unwrap();
        assert!(
            content == noise || content == b"what was there",
            "{}",
            path.display()
        );
        assert!(!path.to_str().unwrap().contains(".unzip-cjk"));
    }
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let dir = Dir::new();
    let zip = dir.zip(
        "a.zip",
        &Zip::new().add(Entry::new(b"a").data(&vec![b'x'; 4 << 20])),
    );
    let shell = format!(
        "'{OURS}' -p '{}' | head -c 10; echo ${{PIPESTATUS[0]}}",
        zip.display()
    );
    let ran = run(tool("bash").args(["-c", &shell]));
    assert_eq!(
        (ran.out(), ran.stderr),
        ("xxxxxxxxxx141\n".into(), String::new())
    );
    let full = format!("'{OURS}' -p '{}' > /dev/full", zip.display());
    let ran = run(tool("bash").args(["-c", &full])).exits(50);
    assert!(
        ran.stderr
            .contains("standard output: No space left on device"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_closed_pipe_leaves_whole_files_only() {
    let dir = Dir::new();
    let data = vec![b'x'; 12 << 20];
    let mut zip = Zip::new();
    for number in 0..6 {
        let name = format!("file{number}");
        zip = zip.add(Entry::new(name.as_bytes()).data(&data).deflate());
    }
    let zip = dir.zip("a.zip", &zip);
    for reader in ["true", "head -1"] {
        let shell = format!(
            "'{OURS}' '{}' -d out | {reader} > /dev/null; echo ${{PIPESTATUS[0]}}",
            zip.display()
        );
        let mut bash = tool("bash");
        let ran = run(bash.current_dir(dir.path("")).args(["-c", &shell]));
        assert_eq!((ran.out(), ran.stderr), ("141\n".into(), String::new()));
        for (name, (_, _, content)) in tree(&dir.path("out"), false) {
            assert!(content == data, "{name:?} has {} bytes", content.len());
        }
        fs::remove_dir_all(dir.path("out")).unwrap();
    }
}
