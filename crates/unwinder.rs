//! The build script of the tools that stand in for dd and cmp: links the unwinder of gcc into them, so that
//! they load one library less when they start. The others would only grow by it.
//!
//! Rust's std asks for `libgcc_s.so.1`, for panics alone. Loading and relocating it is a fifth of the
//! processor time that a short run takes: enough to make cmp and dd slower to start than the C programs
//! whose places they take, in scripts that call them thousands of times. `libgcc_eh.a` has the same
//! functions; it comes with gcc, which links every tool anyway. Where it is not there, all stays as it was.
//!
//! Wholly static programs (`-C target-feature=+crt-static`) would start faster still. They are not made:
//! with glibc they may not use its name services and plugins (ALSA's), and locales only of the release
//! that they were linked with.

#![allow(clippy::print_stdout)] // this is how a build script talks to Cargo

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=../unwinder.rs");
    let is = |name: &str, value: &str| std::env::var(name).as_deref() == Ok(value);
    if !is("CARGO_CFG_TARGET_OS", "linux") || !is("CARGO_CFG_TARGET_ENV", "gnu") {
        return;
    }
    let linker = std::env::var_os("RUSTC_LINKER").unwrap_or_else(|| "cc".into());
    let found = Command::new(linker)
        .arg("-print-file-name=libgcc_eh.a")
        .output();
    // Where it has none, gcc prints the name alone.
    let path = found.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    if path.is_ok_and(|path| Path::new(&path).is_absolute() && Path::new(&path).is_file()) {
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    }
}
