//! The fake of modem lines, `modem.c`.
#![allow(unreachable_pub)]

use super::common::run;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// `modem.c` for LD_PRELOAD, compiled once. (Where Rust can link there is a C compiler.)
pub fn modem() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/shim/modem.c");
        let name = format!("modem-{}.so", std::process::id());
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-Wall", "-o"])
            .arg(&library);
        let ran = run(cc.arg(source).arg("-ldl"));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        library
    })
}

/// What the lines went through by the shim's log: R, D, B (both) or 0, with the first change at the front.
pub fn states(log: &str) -> String {
    let state = |line: &str| match line.split_once(' ').map(|(_, rest)| rest) {
        Some(rest) if rest.ends_with(" 0 0") => '0',
        Some(rest) if rest.ends_with(" 1 0") => 'R',
        Some(rest) if rest.ends_with(" 0 1") => 'D',
        Some(rest) if rest.ends_with(" 1 1") => 'B',
        _ => '!',
    };
    log.lines().map(state).collect()
}
