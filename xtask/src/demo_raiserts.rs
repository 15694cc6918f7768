//! The demo of raiserts: what RTS goes through around a command, a failure and a time-out.
//!
//! There is no radio here: the port is the pseudo-terminal of script(1), with the modem lines that
//! tests/shim/modem.c gives it. `cargo xtask lab radio` has real ports.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::Result;
use crate::demo::Stage;
use crate::workspace::{find_program, root, run as run_command};

/// Runs the demo.
pub(crate) fn run(stage: &Stage) -> Result {
    stage.run("raiserts --list")?;
    for program in ["cc", "script"] {
        if find_program(program).is_none() {
            stage.explain(&format!(
                "{program} is not installed: no port can be faked."
            ));
            return Ok(());
        }
    }
    stage.explain("There is no radio here: a terminal with faked modem lines stands for its port.");
    let shim = stage.path("modem.so");
    let source = root().join("tests/shim/modem.c");
    run_command(
        Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .arg(&shim)
            .arg(source)
            .arg("-ldl"),
    )?;
    let tool = stage.tool("raiserts");
    let folder = tool.parent().unwrap_or(&tool);
    let path = format!("PATH={}:$PATH", folder.display());
    let faked = "export MODEM_LOG=log LD_PRELOAD=./modem.so";
    let keyed = |name: &str, arguments: &str| {
        let script = stage.path(name);
        let line = format!("raiserts {arguments}");
        fs::write(
            &script,
            format!("#!/bin/sh\n{path}\n{faked}\n{line}\necho status $?\n"),
        )
        .and_then(|()| fs::set_permissions(&script, Permissions::from_mode(0o755)))
        .map_err(|e| format!("{}: {e}", script.display()))?;
        stage.explain(&format!("In {name}: {line}"));
        stage.run(&format!("script -qec ./{name} /dev/null"))
    };

    let stdout = keyed(
        "send",
        "--lead=100 --tail=50 $(tty) 'echo on the air; sleep 0.3'",
    )?;
    if !stdout.contains("on the air") || !stdout.contains("status 0") {
        return Err("the command did not run".to_owned());
    }
    let ms = plateau(stage)?;
    if ms < 450 {
        return Err(format!("keyed for {ms} ms, not 450"));
    }
    stage.verified(&format!("RTS was up once, for {ms} ms."));

    if !keyed("killed", "$(tty) 'kill -9 $$'")?.contains("status 137") {
        return Err("a killed command did not give 137".to_owned());
    }
    plateau(stage)?;
    stage.verified("RTS was up once, and is low.");
    if !keyed("too-long", "-T 0.3 $(tty) 'sleep 60'")?.contains("status 124") {
        return Err("a time-out did not give 124".to_owned());
    }
    let ms = plateau(stage)?;
    stage.verified(&format!("The time-out released after {ms} ms."));
    Ok(())
}

/// How long RTS was up, in ms, in the log of changes: low, up, low. The log is taken away.
fn plateau(stage: &Stage) -> Result<u64> {
    let path = stage.path("log");
    let log = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    fs::remove_file(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut changes = Vec::new();
    for line in log.lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            [ms, _, rts, dtr] => changes.push((ms.parse().unwrap_or(0), (rts, dtr))),
            _ => return Err(format!("{line}: not a change")),
        }
    }
    match changes[..] {
        [(_, ("0", "0")), (up, ("1", "0")), (down, ("0", "0"))] => Ok(down - up),
        _ => Err(format!("not one plateau of RTS:\n{log}")),
    }
}
