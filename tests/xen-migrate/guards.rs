//! One migration at a time, and only of the domain that was planned for.

use super::*;

#[test]
fn one_at_a_time() {
    let lab = Lab::new("pv");
    // The source again, by another name.
    std::os::unix::fs::symlink(lab.path("h1"), lab.path("h3")).unwrap();
    let output = lab.start(&["g1", "h3"]).wait_with_output().unwrap();
    ended(&output, 3);
    assert_eq!(output.stderr, b"xen-migrate: the target is this host\n");
    fs::remove_file(lab.path("h3")).unwrap();
    // A migration that did not end.
    fs::write(lab.path("h1/kill"), "saved KILL\n").unwrap();
    assert!(lab.migrate(&[]).status.code().is_none());
    settle(&lab);
    let output = lab.migrate(&[]);
    ended(&output, 4);
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("has not ended"),
        "{}",
        shown(&output)
    );
    ended(&lab.command(&["--recover", "g1"]).output().unwrap(), 0);
    lab.is_at("h1");
    // One that is under way.
    fs::write(lab.path("h1/kill"), "suspended STOP\n").unwrap();
    let child = lab.start(&[&lab.map("h1/disks/a", "h2/disks/a"), "g1", "h2"]);
    let until = Instant::now() + Duration::from_secs(60);
    while lab.path("h1/kill").exists() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(10));
    }
    for (args, code) in [(&["g1", "h2"][..], 1), (&["--recover", "g1"], 4)] {
        let output = lab.command(args).output().unwrap();
        ended(&output, code);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.contains("another run of xen-migrate works on it"),
            "{said}"
        );
    }
    let output = lab.command(&["--status"]).output().unwrap();
    ended(&output, 0);
    assert!(output.stdout.ends_with(b", to h2, under way\n"));
    let output = lab.command(&["--status", "--json", "g1"]).output().unwrap();
    ended(&output, 0);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["under_way"], true);
    let id = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGCONT).unwrap();
    ended(&child.wait_with_output().unwrap(), 0);
    lab.is_at("h2");
}

/// Who pauses the domain may let it go on again before xl stops it: the last pass has to wait for xl.
#[test]
fn paused_meanwhile() {
    for (kind, at) in [("pv", "save"), ("pvh", "banner")] {
        let lab = Lab::new(kind);
        let script = "set_state $id paused; sleep 1; set_state $id running; sleep 0.2\n";
        hook(&lab, "h1", at, script);
        ended(&lab.migrate(&[]), 0);
        lab.is_at("h2");
    }
}

/// The domain changes while its disks are copied: another one, with other disks, or none is not moved.
#[test]
fn changed_meanwhile() {
    for (script, why, left) in [
        ("echo xvdz \"$D/name\" >> \"$D/disks\"", "other disks", true),
        (
            "truncate -s 2M \"$(cut -d' ' -f2 \"$D/disks\")\"",
            "another size",
            true,
        ),
        ("mv \"$D\" \"${D%3}5\"", "started anew", true),
        (
            "echo paused > \"$D/state\"; mv \"$D\" \"${D%3}5\"",
            "it is here and does not run",
            true,
        ),
        ("rm -r \"$D\"", "it is here no more", false),
    ] {
        let lab = Lab::new("pvh");
        // As soon as the disks have been copied.
        let script = format!(
            "if grep -qs presynced \"$H/state/g1.journal\"; then D=$D/3; {script}; D=$H/domains\n\
             else cp \"$H/at\" \"$H/at.list\"; fi\n"
        );
        hook(&lab, "h1", "list", &script);
        let output = lab.migrate(&[]);
        ended(&output, 1);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(why), "{said}");
        assert_eq!(lab.state("h1").is_some(), left, "{why}");
        assert_eq!(lab.state("h2"), None, "{why}");
        assert!(!lab.path("h1/state/g1.journal").exists());
    }
}

/// A domain is found by its UUID: another one of it at the target must not be taken for the copy. What
/// is left of one that is dying is none.
#[test]
fn others_of_its_uuid() {
    let add = |lab: &Lab, host: &str, state: &str| {
        let domain = lab.path(&format!("{host}/domains/2"));
        fs::create_dir(&domain).unwrap();
        for (name, text) in [("name", "other\n"), ("uuid", UUID), ("state", state)] {
            fs::write(domain.join(name), text).unwrap();
        }
        for name in ["kind", "memory", "disks"] {
            fs::write(domain.join(name), "").unwrap();
        }
        domain
    };
    let lab = Lab::new("pv");
    add(&lab, "h2", "running");
    let output = lab.migrate(&[]);
    ended(&output, 3);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("another domain of its UUID"), "{said}");
    for (kind, _) in KINDS {
        let lab = Lab::new(kind);
        let dying = ["h1", "h2"].map(|host| add(&lab, host, "dying"));
        ended(&lab.migrate(&[]), 0);
        for domain in dying {
            fs::remove_dir_all(domain).unwrap();
        }
        lab.is_at("h2");
    }
}
