//! Sources that change while they are copied.

use super::*;

#[test]
fn a_source_that_changes_is_told() {
    let test = "a_source_that_changes_is_told";
    if !can(test, false, &["strace"]) {
        return;
    }
    let dir = Dir::new();
    let source = image(&dir, "disk.img");
    let copy = dir.file("copy.img", M, &[]);
    // The fsync at the end waits for a second: time to see the data arrive and to write.
    let mut command = command("strace");
    command
        .current_dir(dir.0.path())
        .args(["-f", "-o", "/dev/null", "-P"])
        .arg(&copy);
    command.args([
        "-e",
        "trace=fsync",
        "-e",
        "inject=fsync:delay_enter=1000000",
    ]);
    command
        .arg(env!("CARGO_BIN_EXE_sparse-dd"))
        .args(["-q", "disk.img", "copy.img"]);
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    poll("the last byte", || fs::read(&copy).unwrap().ends_with(&[5]));
    File::options()
        .write(true)
        .open(&source)
        .unwrap()
        .write_all_at(&[9], 0)
        .unwrap();
    let ran: Ran = child.wait_with_output().unwrap().into();
    ran.exits(5)
        .says("sparse-dd: disk.img: changed while it was copied");

    let shrink = ("pread64:retval=0:when=2", "ended at byte");
    let Some(ran) = injected(
        test,
        shrink.0,
        &source,
        dir.tool().args(["disk.img", "new.img"]),
    ) else {
        return;
    };
    let said = ran.exits(1).stderr;
    assert!(said.contains(shrink.1), "{said}");
    assert!(!dir.path("new.img").exists());
}

#[test]
fn a_source_that_changes_while_it_is_mapped() {
    if !can(
        "a_source_that_changes_while_it_is_mapped",
        false,
        &["strace"],
    ) {
        return;
    }
    let dir = Dir::new();
    let source = dir.file("disk.img", 8 * M, &[(0, 8 * M, 1)]);
    let child = traced(
        &dir,
        "lseek:delay_enter=1500000:when=2",
        &source,
        &["-q", "disk.img", "copy.img"],
    );
    poll("the source to be open", || {
        children(child.id()).iter().any(|pid| {
            let links = fs::read_dir(format!("/proc/{pid}/fd"))
                .into_iter()
                .flatten()
                .flatten();
            links
                .filter_map(|l| fs::read_link(l.path()).ok())
                .any(|target| target == source)
        })
    });
    File::options()
        .write(true)
        .open(&source)
        .unwrap()
        .set_len(0)
        .unwrap();
    let ran: Ran = child.wait_with_output().unwrap().into();
    // It may have been cut before it was looked at: then the copy is empty too.
    let is_equal = || fs::read(dir.path("copy.img")).unwrap().is_empty();
    assert!(
        ran.code == 5 || (ran.code == 0 && is_equal()),
        "{}",
        ran.stderr
    );
}
