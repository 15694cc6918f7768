//! Measures of blkcore: its own benchmark of the zero scan, beside the speed of memory.

use crate::Result;
use crate::bench::Bench;
use crate::workspace::cargo;

/// Runs it.
pub(crate) fn run(bench: &mut Bench) -> Result {
    let mut command = cargo();
    command.args([
        "bench", "--quiet", "--locked", "-p", "blkcore", "--bench", "zero",
    ]);
    let output = command.output().map_err(|e| format!("cargo: {e}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    bench.note("zero scan", &String::from_utf8_lossy(&output.stdout));
    Ok(())
}
