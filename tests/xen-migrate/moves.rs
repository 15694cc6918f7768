//! Domains that move: of each kind, under odd names, with several disks and with none.

use super::*;

#[test]
fn moves() {
    for (kind, mode) in KINDS {
        let lab = Lab::new(kind);
        let output = lab.migrate(&[]);
        ended(&output, 0);
        lab.is_at("h2");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            text.contains("g1: moved to h2, paused for "),
            "{mode}: {text}"
        );
        assert_eq!(output.stderr, b"", "{mode}");
    }
}

/// What a host says of itself does not always hold.
#[test]
fn saved_where_live_does_not_work() {
    for (mode, code) in [("auto", 0), ("live", 1)] {
        let lab = Lab::new("pv");
        for host in ["h1", "h2"] {
            let info =
                "xen_major : 4\nxen_minor : 17\nfree_memory : 900\nvirt_caps : pv hvm hap shadow\n";
            fs::write(lab.path(&format!("{host}/info")), info).unwrap();
        }
        fs::write(lab.path("h1/no-dirty-log"), "").unwrap();
        let output = lab.migrate(&[&format!("--mode={mode}")]);
        ended(&output, code);
        let text = shown(&output);
        if mode == "auto" {
            lab.is_at("h2");
            assert!(
                text.contains("g1: cannot be moved live here: it is saved\n"),
                "{text}"
            );
        } else {
            lab.is_at("h1");
            assert!(text.contains("Failed to enable logdirty"), "{text}");
        }
    }
}

#[test]
fn several_disks_other_paths_and_new_volumes() {
    for (kind, mode) in KINDS {
        let lab = Lab::new(kind);
        lab.disk("xvdb", "h1/disks/b's disk", "h2/disks/other b");
        lab.disk("xvdc", "h1/disks/c", "h1/disks/shared");
        fs::remove_file(lab.path("h2/disks/other b")).unwrap();
        let before = fs::read(lab.path("h1/disks/c")).unwrap();
        let shared = format!("--shared={}", lab.path("h1/disks/c").display());
        let map = lab.map("h1/disks/b's disk", "h2/disks/other b");
        let args = ["--create", "--remove-source", "--json", &shared, &map];
        let output = lab.migrate(&args);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{mode}: {}\n{}",
            shown(&output),
            lab.logs()
        );
        assert_eq!(lab.state("h2").as_deref(), Some("g1 running"));
        // The configuration names the disks as they are called there.
        let domain = fs::read_dir(lab.path("h2/domains"))
            .unwrap()
            .next()
            .unwrap()
            .unwrap();
        let disks = fs::read_to_string(domain.path().join("disks")).unwrap();
        let name = |name: &str| lab.path(name).display().to_string();
        let expected = [
            format!("xvda {}\n", name("h2/disks/a")),
            format!("xvdb {}\n", name("h2/disks/other b")),
            format!("xvdc {}\n", name("h1/disks/c")),
        ];
        assert_eq!(disks, expected.concat());
        assert!(fs::read(lab.path("h2/disks/other b")).unwrap()[8192..].starts_with(b"last write"));
        // What was shared is as it was, but for what the guest itself wrote to it.
        assert_eq!(
            fs::read(lab.path("h1/disks/c")).unwrap()[9000..],
            before[9000..]
        );
        assert!(!lab.path("h1/disks/a").exists() && !lab.path("h1/disks/b's disk").exists());
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(value["mode"], mode);
        let passes = value["passes"].as_array().unwrap();
        assert_eq!(passes.len() % 2, 0);
        assert!(value["paused_seconds"].as_f64().unwrap() > 0.0);
    }
}

/// Names that a shell or the parser could take for something else; and a domain without disks.
#[test]
fn odd_domains() {
    for (kind, name, disks) in [
        ("pv", "transport", true),
        ("pvh", "it's $(touch x); `touch x` & g", true),
        ("pv", "--help me", true),
        ("pvh", "transport", false),
        ("pv", "g1", false),
    ] {
        let lab = Lab::new(kind);
        fs::write(lab.path("h1/domains/3/name"), format!("{name}\n")).unwrap();
        let map = lab.map("h1/disks/a", "h2/disks/a");
        let mut args = vec!["-v", &map, "--", name, "h2"];
        if !disks {
            fs::write(lab.path("h1/domains/3/disks"), "").unwrap();
            args.remove(1);
        }
        let output = lab.start(&args).wait_with_output().unwrap();
        ended(&output, 0);
        let runs = format!("{name} running");
        assert_eq!(lab.state("h2").as_deref(), Some(&*runs), "{}", lab.logs());
        assert_eq!(lab.state("h1"), None);
        lab.never_both();
        for host in ["h1", "h2"] {
            let left = fs::read_dir(lab.path(&format!("{host}/state"))).unwrap();
            assert_eq!(left.count(), 0, "{name}");
        }
    }
}

/// Memory that is saved goes over packed where the target has zstd, and as it is where it has not. A
/// program there that breaks is a failure like others.
#[test]
fn packed_or_not() {
    if !common::can("packed_or_not", false, &["zstd"]) {
        return;
    }
    let script = |lab: &Lab, text: &str| {
        let path = lab.path("bin/zstd");
        fs::write(
            &path,
            format!("#!/bin/sh\necho unpacks >> $FAKE_HOST/log\n{text}\n"),
        )
        .unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&path, mode).unwrap();
    };
    let unpacks = |lab: &Lab| lab.logs().contains("unpacks");
    let lab = Lab::new("pv");
    script(&lab, "PATH=${PATH#*:}; exec zstd \"$@\"");
    ended(&lab.migrate(&[]), 0);
    lab.is_at("h2");
    assert!(unpacks(&lab));
    for text in [
        "head -c 20 > /dev/null; exit 1",
        "PATH=${PATH#*:}; zstd \"$@\" | head -c 100",
        "kill -9 $$",
    ] {
        let lab = Lab::new("pv");
        script(&lab, text);
        ended(&lab.migrate(&[]), 1);
        lab.is_at("h1");
        assert!(unpacks(&lab));
    }
    // All programs but that one.
    let lab = Lab::new("pv");
    for folder in ["/bin", "/usr/bin", "/sbin", "/usr/sbin"] {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_name() != "zstd" {
                let _ = std::os::unix::fs::symlink(
                    entry.path(),
                    lab.path("bin").join(entry.file_name()),
                );
            }
        }
    }
    let args = [&lab.map("h1/disks/a", "h2/disks/a"), "g1", "h2"];
    let mut command = lab.command(&args);
    ended(&command.env("PATH", lab.path("bin")).output().unwrap(), 0);
    lab.is_at("h2");
}
