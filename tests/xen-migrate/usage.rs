//! Command lines, help and version.

use super::*;

#[test]
fn usage() {
    let lab = Lab::new("pv");
    for (args, why) in [
        (&[][..], "missing domain"),
        (&["g1"], "missing host"),
        (&["g1", "h2", "h3"], "extra operand 'h3'"),
        (&["g1", "-oProxyCommand=x"], "invalid option '-o'"),
        (
            &["--", "g1", "-oProxyCommand=x"],
            "'-oProxyCommand=x': not a host",
        ),
        (&["g1", "h2:/x"], "'h2:/x': not a host"),
        (
            &["--mode=fast", "g1", "h2"],
            "--mode: 'fast': not live, save or auto",
        ),
        (&["--map=/a", "g1", "h2"], "--map: it takes SOURCE=TARGET"),
        (
            &["--map=a=/b", "g1", "h2"],
            "--map: both paths must be absolute",
        ),
        (
            &["--max-passes=0", "g1", "h2"],
            "--max-passes: '0': not a number from 1 on",
        ),
        (
            &["--max-downtime=-1", "g1", "h2"],
            "--max-downtime: '-1': not a time in seconds",
        ),
        (
            &["--ssh-option=User a", "g1", "h2"],
            "--ssh-option: 'User a': write it with = in place of blanks",
        ),
        (
            &["--status", "--recover", "g1"],
            "--status and --recover exclude each other",
        ),
    ] {
        let output = lab.command(args).output().unwrap();
        ended(&output, 2);
        let expected =
            format!("xen-migrate: {why}\nTry 'xen-migrate --help' for more information.\n");
        assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
    }
    let output = lab.command(&["nobody", "h2"]).output().unwrap();
    ended(&output, 1);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("nobody is an invalid domain identifier"),
        "{said}"
    );
    let output = lab.command(&["--recover", "g1"]).output().unwrap();
    ended(&output, 0);
    assert_eq!(output.stdout, b"g1: no migration that did not end\n");
    let mut full = lab.command(&["--help"]);
    full.stdout(fs::File::options().write(true).open("/dev/full").unwrap());
    ended(&full.output().unwrap(), 2);
    let output = lab.command(&["--version"]).output().unwrap();
    assert_eq!(
        output.stdout,
        concat!("xen-migrate ", env!("CARGO_PKG_VERSION"), "\n").as_bytes()
    );
    let help = String::from_utf8(lab.command(&["-h"]).output().unwrap().stdout).unwrap();
    common::golden("xen-migrate/help.txt", &help);
}
