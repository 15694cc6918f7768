//! Help, the list of devices, and what is refused.

use super::*;

#[test]
fn help_and_version() {
    let ran = run(tool().arg("--help")).exits(0);
    golden("raiserts/help.txt", &ran.out());
    let ran = run(tool().arg("-V")).exits(0);
    assert_eq!(
        ran.out(),
        format!("raiserts {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn own_failures_are_125() {
    let port = Port::new();
    fs::write(port.path("file"), "").unwrap();
    for (args, why) in [
        (
            &["/dev/no-such-port", "true"][..],
            "/dev/no-such-port: opening: No such file or directory",
        ),
        (
            &["/dev/null", "true"],
            "/dev/null: not a serial port with RTS and DTR",
        ),
        (&["file", "true"], "file: not a character device"),
        (
            &["--cm108", "hw:77", "true"],
            "hw:77: sound card 77 has no hidraw device: no CM108 or like it",
        ),
        (
            &["--cm108", "/dev/null", "true"],
            "/dev/null: not a hidraw device",
        ),
    ] {
        let ran = run(tool().current_dir(port.dir.path()).args(args)).exits(125);
        ran.says(&format!("raiserts: {why}"));
    }
    let ran = run(tool().arg(&port.name)).exits(125);
    ran.says("raiserts: no command given\nTry 'raiserts --help' for more information.");
    // A pseudo-terminal without the fake has no modem lines.
    let ran = run(tool().args([&port.name, "echo ran"])).exits(125);
    assert_eq!(ran.out(), "");
    ran.says(&format!(
        "raiserts: {}: not a serial port with RTS and DTR",
        port.name
    ));
}

#[test]
fn the_list() {
    let ran = run(tool().arg("--list")).exits(0);
    for line in ran.out().lines() {
        assert_eq!(line.split('\t').count(), 3, "{line}");
        assert!(line.starts_with("/dev/"), "{line}");
    }
    let ran = run(tool().args(["--list", "x"])).exits(125);
    assert!(
        ran.stderr
            .starts_with("raiserts: x: --list takes no operands\n")
    );
}
