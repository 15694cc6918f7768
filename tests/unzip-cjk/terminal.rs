//! Questions, passwords and pauses.

use super::*;

/// Answers to questions, through a terminal that `script` makes.
fn at_terminal(program: &str, work: &Path, args: &str, typed: &str) -> Ran {
    let mut script = tool("script");
    script.args(["-qec", &format!("{program} {args}"), "/dev/null"]);
    script
        .current_dir(work)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = script.stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(typed.as_bytes()).unwrap();
    // The terminal stays: its end would be another answer.
    let output = std::thread::scope(|scope| {
        let wait = scope.spawn(|| child.wait_with_output().unwrap());
        let deadline = Instant::now() + Duration::from_secs(20);
        while !wait.is_finished() && Instant::now() < deadline {
            std::thread::yield_now();
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(input);
        wait.join().unwrap()
    });
    output.into()
}

#[test]
fn questions_are_those_of_unzip() {
    if !can("questions_are_those_of_unzip", false, &["unzip", "script"]) {
        return;
    }
    for typed in [
        "y\nn\n",
        "A\n",
        "N\n",
        "n\nN\n",
        "x\n\ny\nA\n",
        "r\nother\ny\n",
        "r\nreadme.txt\nA\n",
        "Y\nr\nnew/one\n",
    ] {
        let dir = Dir::new();
        let mut results = Vec::new();
        for (folder, program) in [("real", "unzip"), ("ours", OURS)] {
            let work = dir.path("work");
            fs::create_dir_all(work.join("dir")).unwrap();
            fs::write(work.join("a.zip"), sample().bytes()).unwrap();
            let archive = fs::File::options()
                .write(true)
                .open(work.join("a.zip"))
                .unwrap();
            archive.set_modified(std::time::UNIX_EPOCH).unwrap();
            fs::write(work.join("readme.txt"), "there").unwrap();
            fs::write(work.join("dir/Big.TXT"), "there").unwrap();
            let ran = at_terminal(program, &work, "a.zip", typed);
            let tree = tree(&work, false);
            fs::rename(&work, dir.path(folder)).unwrap();
            // What is typed is echoed wherever the terminal gets to it.
            let text = ran.out();
            let questions = (
                text.matches("replace ").count(),
                text.matches("new name: ").count(),
            );
            let invalid = text.matches("invalid response").count();
            results.push((ran.code, questions, invalid, tree));
        }
        assert_eq!(results[0], results[1], "{typed:?}");
    }
}

#[test]
fn a_full_path_is_a_new_name_too() {
    if !can("a_full_path_is_a_new_name_too", false, &["script"]) {
        return;
    }
    let dir = Dir::new();
    let zip = dir.zip("a.zip", &Zip::new().add(Entry::new(b"a").data(b"x")));
    let zip = zip.to_str().unwrap();
    let work = dir.path("work");
    fs::create_dir(&work).unwrap();
    fs::write(work.join("a"), "there").unwrap();
    let new = dir.path("new");
    // -j leaves out the folders of this name as well, so it is one below.
    for (options, wanted) in [("", &new), ("-j", &work.join("new"))] {
        let typed = format!("r\n{}\n", new.display());
        let ran = at_terminal(OURS, &work, &format!("{options} {zip}"), &typed);
        assert_eq!(ran.code, 0, "{}", ran.out());
        assert_eq!(fs::read(wanted).unwrap(), b"x", "{options}");
        fs::remove_file(wanted).unwrap();
    }
}

#[test]
fn nothing_comes_after_a_screen_that_was_the_last() {
    let test = "nothing_comes_after_a_screen_that_was_the_last";
    if !can(test, false, &["script"]) {
        return;
    }
    let dir = Dir::new();
    let names = (0..60).map(|number| format!("file{number}"));
    let zip = names.fold(Zip::new(), |zip, name| {
        zip.add(Entry::new(name.as_bytes()).data(b"x"))
    });
    let zip = dir.zip("a.zip", &zip);
    let work = dir.path("work");
    fs::create_dir(&work).unwrap();
    let ran = at_terminal(OURS, &work, &format!("-M {}", zip.display()), "q");
    assert_eq!(ran.code, 0, "{}", ran.out());
    assert_eq!(ran.out().matches("--More--").count(), 1, "{}", ran.out());
    assert!(work.join("file5").exists() && !work.join("file40").exists());
}

#[test]
fn passwords_are_asked_for_at_the_terminal() {
    let programs = ["zip", "7zz", "script"];
    if !can("passwords_are_asked_for_at_the_terminal", false, &programs) {
        return;
    }
    let dir = Dir::new();
    fs::write(dir.path("secret"), b"a secret\n".repeat(1000)).unwrap();
    let make = |args: &[&str]| {
        let made = run(command(args[0]).current_dir(dir.0.path()).args(&args[1..]));
        assert_eq!(made.code, 0, "{} {}", made.out(), made.stderr);
    };
    make(&["zip", "-q", "-P", "pass", "old.zip", "secret"]);
    make(&[
        "7zz",
        "a",
        "-bso0",
        "-ppass",
        "-mem=AES256",
        "aes.zip",
        "secret",
    ]);
    for archive in ["old.zip", "aes.zip"] {
        let path = dir.path(archive);
        let path = path.to_str().unwrap();
        dir.ours(&["-o", "-q", "-P", "pass", path]).exits(0);
        let secret = fs::read(dir.path("work/secret")).unwrap();
        assert_eq!(secret, fs::read(dir.path("secret")).unwrap(), "{archive}");
        let wrong = dir.ours(&["-o", "-P", "wrong", path]).exits(82);
        assert!(
            wrong
                .stderr
                .contains("   skipping: secret                  incorrect password\n")
        );
        dir.ours(&["-t", "-P", "pass", path]).exits(0);
        let typed = at_terminal(
            OURS,
            &dir.path("work"),
            &format!("-o {path}"),
            "bad\npass\n",
        );
        assert_eq!(typed.code, 0, "{}", typed.out());
        assert!(
            typed.out().contains("] secret password: "),
            "{}",
            typed.out()
        );
        assert!(typed.out().contains("password incorrect--reenter: "));
        assert!(!typed.out().contains("unable"));
    }
}

#[test]
fn a_pause_in_the_comment_waits_for_a_key() {
    let dir = Dir::new();
    let zip = Zip::new()
        .add(Entry::new(b"a").data(b"x"))
        .comment(b"one\x13two");
    let zip = dir.zip("a.zip", &zip);
    // At the end of input nobody is there to wait for.
    for (typed, goes_on) in [("q", false), ("y", true), ("", true)] {
        let work = dir.path("work");
        fs::create_dir_all(&work).unwrap();
        fs::write(dir.path("typed"), typed).unwrap();
        let mut ours = tool(OURS);
        ours.current_dir(&work).arg(&zip);
        let input = fs::File::open(dir.path("typed")).unwrap();
        let ran = Ran::from(ours.stdin(input).output().unwrap()).exits(0);
        assert!(
            ran.stderr.contains("--- Press `Q' to quit"),
            "{}",
            ran.stderr
        );
        assert_eq!(work.join("a").exists(), goes_on, "{typed:?}");
        fs::remove_dir_all(&work).unwrap();
    }
}
