//! The restricted server.

use super::*;

/// A transport as an authorized_keys line with `command=` makes it: whatever the client asks for,
/// the server is started with these words.
fn forced(dir: &Dir, words: &str) {
    dir.script("forced", &format!("exec '{BINARY}' server {words}\n"));
}

#[test]
fn a_restricted_server_serves_what_it_was_told_to() {
    let dir = Dir::new();
    let root = fs::canonicalize(dir.0.path()).unwrap();
    let root = root.to_str().unwrap();
    let inner = dir.path("bk");
    fs::create_dir_all(inner.join("deep")).unwrap();
    for name in ["bk/bk-one", "bk/other", "bk/deep/bk-two", "secret"] {
        dir.file(name, M, &[(0, M, 7)]);
    }
    symlink("../secret", inner.join("bk-link")).unwrap();
    symlink("bk-one", inner.join("bk-near")).unwrap();
    symlink("..", inner.join("bk-up")).unwrap();
    dir.file("source", M, &[(0, M, 1)]);
    forced(
        &dir,
        &format!("--only '{root}/bk/bk-*' --write-only --max-size 1M"),
    );
    let run_by = |args: &[&str]| run(dir.tool_by("forced").args(args));
    let refused = |path: &str, why: &str, args: &[&str]| {
        let path = path.replace('\n', "\\n");
        run_by(args).exits(7).says(&format!(
            "blocksync: the other side: {path}: {why} not allowed here"
        ));
    };
    for path in [
        format!("{root}/secret"),
        format!("{root}/bk/other"),
        format!("{root}/bk/deep/bk-two"),
        format!("{root}/bk/bk-one/../../secret"),
        format!("{root}/bk/bk-../other"),
        format!("{root}/bk/./bk-one"),
        format!("{root}/bk/bk-up/secret"),
        "bk/bk-one".to_owned(),
        format!("{root}/bk/bk-one\n"),
        format!("{root}/bk/bk-*;touch {root}/owned"),
    ] {
        let refusals = ["this path is", "a link is"];
        let ran = run_by(&["source", &format!("host:{path}")]);
        let said = ran.stderr.trim_end().to_owned();
        let missing =
            said.ends_with("No such file or directory") || said.ends_with("Not a directory");
        assert!(
            ran.code == 7 || (ran.code == 2 && missing),
            "{path}: {} {said}",
            ran.code
        );
        assert!(
            missing
                || refusals
                    .iter()
                    .any(|r| said.ends_with(&format!("{r} not allowed here"))),
            "{said}"
        );
    }
    assert!(!dir.path("owned").exists());
    let link = format!("{root}/bk/bk-link");
    refused(&link, "a link is", &["source", &format!("host:{link}")]);
    let one = format!("{root}/bk/bk-one");
    let there = format!("host:{one}");
    refused(&one, "reading is", &[&there, "source"]);
    refused(&one, "reading is", &["-n", "source", &there]);
    refused(&one, "--force is", &["-f", "source", &there]);
    for name in ["bk/bk-one", "bk/other", "bk/deep/bk-two", "secret"] {
        assert!(
            fs::read(dir.path(name)).unwrap() == vec![7; M as usize],
            "{name}: untouched"
        );
    }
    // What is allowed.
    run_by(&["source", &there]).prints("same: 0, diff: 1, 1/1");
    assert_equal(&dir.path("source"), &dir.path("bk/bk-one"));
    edit(&dir.path("bk/bk-one"), 0, &[2]);
    run_by(&["source", &format!("host:{root}/bk/bk-near")]).exits(0);
    assert_equal(&dir.path("source"), &dir.path("bk/bk-one"));
    // The size, of either side.
    dir.file("large", M + 1, &[]);
    let large = dir.file("bk/bk-large", M + 1, &[(0, M + 1, 7)]);
    let path = large.to_str().unwrap();
    run_by(&["large", &format!("host:{path}")])
        .exits(7)
        .says(&format!(
            "blocksync: the other side: {path}: larger than allowed here"
        ));
    run_by(&["--size=grow", "large", &there]).exits(7);

    forced(
        &dir,
        &format!("--read-only --only '{root}/bk/*' --only '{root}/secret' --max-size 1M"),
    );
    let run_by = |args: &[&str]| run(dir.tool_by("forced").args(args));
    let secret = format!("host:{root}/secret");
    refused(&one, "writing is", &["source", &there]);
    // To check is not to write.
    run_by(&["-n", "source", &there]).prints("same: 1, diff: 0, 1/1");
    run_by(&["-n", "source", &secret]).exits(1);
    run_by(&[&secret, "source"]).prints("same: 0, diff: 1, 1/1");
    run_by(&[&there, "source"]).exits(0);
    assert_equal(&dir.path("source"), &dir.path("bk/bk-one"));
    run_by(&[&format!("host:{path}"), "large"])
        .exits(7)
        .says(&format!(
            "blocksync: the other side: {path}: larger than allowed here"
        ));

    // A server for one path.
    forced(&dir, &format!("'{root}/secret'"));
    refused(&one, "another path is", &["source", &there]);
    run(dir.tool_by("forced").args(["source", &secret])).exits(0);
    assert_equal(&dir.path("source"), &dir.path("secret"));
}

#[test]
fn a_name_that_changes_its_meaning_meanwhile() {
    let dir = Dir::new();
    let root = fs::canonicalize(dir.0.path()).unwrap();
    fs::create_dir(root.join("bk")).unwrap();
    let secret = dir.file("secret", 64 * K, &[(0, 64 * K, 7)]);
    dir.file("source", 64 * K, &[(0, 64 * K, 1)]);
    forced(&dir, &format!("--only '{}/bk/*'", root.display()));
    // The name is a file and a link to what is not allowed, in turn.
    let [name, file, link] = ["bk/name", "a-file", "a-link"].map(|name| root.join(name));
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                fs::write(&file, vec![5; 64 << 10]).unwrap();
                symlink(&secret, &link).unwrap();
                fs::rename(&file, &name).unwrap();
                fs::rename(&link, &name).unwrap();
            }
        });
        let there = format!("host:{}", name.display());
        let mut codes = Vec::new();
        for round in 0..60 {
            let args = match round % 2 {
                0 => ["source", there.as_str()],
                _ => [there.as_str(), "got"],
            };
            dir.file("got", 64 * K, &[]);
            let ran = run(dir.tool_by("forced").arg("-q").args(args));
            codes.push(ran.code);
            assert!(matches!(ran.code, 0 | 2 | 7), "{}", ran.stderr);
            let got = fs::read(dir.path("got")).unwrap();
            assert!(!got.contains(&7), "the secret was read");
        }
        stop.store(true, Ordering::Relaxed);
        assert!(codes.contains(&7), "{codes:?}");
    });
    assert!(fs::read(&secret).unwrap() == vec![7; 64 << 10], "untouched");
}
