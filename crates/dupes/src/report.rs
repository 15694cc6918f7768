//! What is printed: groups as text or JSON on standard output, the summary on standard error.

use crate::candidates::{self, SizeClass};
use crate::groups::Groups;
use crate::problems::Problems;
use crate::tree::Tree;
use cli::output::Output;
use serde_json::json;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;

/// How groups are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Lines,
    Nul,
    Json,
}

/// The numbers of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Summary {
    pub(crate) total_files: u64,
    pub(crate) size_collisions: usize,
    pub(crate) longest_collision: u32,
    pub(crate) bytes_read: u64,
    pub(crate) errors: u64,
    /// Whether the run came to its end.
    pub(crate) is_complete: bool,
}

impl Summary {
    /// At the end of a run, that perhaps a signal has `stopped`.
    pub(crate) fn new(
        tree: &Tree,
        classes: &[SizeClass],
        bytes_read: u64,
        problems: &Problems,
        stopped: bool,
    ) -> Summary {
        let (size_collisions, longest_collision) = candidates::collisions(classes);
        Summary {
            total_files: tree.total,
            size_collisions,
            longest_collision,
            bytes_read,
            errors: problems.count(),
            is_complete: !stopped,
        }
    }

    /// Prints the three lines on standard error.
    pub(crate) fn print(&self) {
        cli::diag::print(&format!(
            "{} total files\n{} size collisions, max of length {}\nbytes read {}\n",
            self.total_files, self.size_collisions, self.longest_collision, self.bytes_read
        ));
    }
}

/// Prints help or version.
pub(crate) fn text(text: &str) -> io::Result<ExitCode> {
    let mut out = Output::stdout();
    out.write_all(text.as_bytes())?;
    out.finish().map(|()| ExitCode::SUCCESS)
}

/// Prints the groups in their order; with JSON the summary too.
pub(crate) fn print(
    tree: &Tree,
    groups: &Groups,
    format: Format,
    summary: &Summary,
) -> io::Result<()> {
    let mut out = Output::stdout();
    let mut path = Vec::new();
    for (size, files) in groups.iter() {
        let mut paths = Vec::new();
        for file in files {
            tree.path_of(&tree.files[*file as usize], &mut path);
            match format {
                Format::Lines => path.push(b'\n'),
                Format::Nul => path.push(0),
                Format::Json => {
                    paths.push(cli::json::path_value(Path::new(OsStr::from_bytes(&path))));
                    continue;
                }
            }
            out.write_all(&path)?;
        }
        match format {
            Format::Lines => out.write_all(b"\n")?,
            Format::Nul => out.write_all(b"\0")?,
            Format::Json => writeln!(out, "{}", json!({"size": size, "paths": paths}))?,
        }
    }
    if format == Format::Json {
        let summary = json!({"summary": {
            "total_files": summary.total_files,
            "size_collisions": summary.size_collisions,
            "longest_collision": summary.longest_collision,
            "bytes_read": summary.bytes_read,
            "groups": groups.count(),
            "spare_files": groups.spare_files(),
            "spare_bytes": groups.spare_bytes(),
            "errors": summary.errors,
            "complete": summary.is_complete,
        }});
        writeln!(out, "{summary}")?;
    }
    out.finish()
}
