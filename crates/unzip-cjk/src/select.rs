//! Which entries are meant: members that are named on the command line, and those left out.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use crate::args::Options;
use crate::pattern::{Pattern, Rules};

/// Patterns, and which of them have matched.
#[derive(Debug)]
pub(crate) struct Selection {
    all: bool,
    wanted: Vec<(Pattern, OsString, bool)>,
    unwanted: Vec<(Pattern, OsString, bool)>,
}

impl Selection {
    pub(crate) fn new(options: &Options) -> Selection {
        let rules = Rules {
            ignore_case: options.ignore_case,
            stop_at_slash: options.stop_at_slash,
        };
        let patterns = |names: &[OsString]| {
            let pattern = |name: &OsString| {
                let pattern = Pattern::new(name.as_bytes(), rules);
                (pattern, name.clone(), false)
            };
            names.iter().map(pattern).collect()
        };
        Selection {
            all: options.all_members,
            wanted: patterns(&options.members),
            unwanted: patterns(&options.excluded),
        }
    }

    /// Whether an entry of this name is meant. The first pattern that matches counts as found.
    pub(crate) fn takes(&mut self, name: &[u8]) -> bool {
        let matching = |patterns: &mut Vec<(Pattern, OsString, bool)>| {
            let found = patterns
                .iter_mut()
                .find(|(pattern, _, _)| pattern.matches(name));
            found.map(|(_, _, matched)| *matched = true).is_some()
        };
        self.all
            || ((self.wanted.is_empty() || matching(&mut self.wanted))
                && !matching(&mut self.unwanted))
    }

    pub(crate) fn takes_all(&self) -> bool {
        self.all
    }

    /// Members that no entry matched.
    pub(crate) fn missing(&self) -> impl Iterator<Item = Vec<u8>> {
        unmatched(&self.wanted, "caution: filename not matched:  ")
    }

    /// Members to leave out that no entry matched.
    pub(crate) fn missing_excluded(&self) -> impl Iterator<Item = Vec<u8>> {
        unmatched(&self.unwanted, "caution: excluded filename not matched:  ")
    }
}

fn unmatched<'a>(
    patterns: &'a [(Pattern, OsString, bool)],
    caution: &'a str,
) -> impl Iterator<Item = Vec<u8>> {
    patterns
        .iter()
        .filter(|(_, _, matched)| !matched)
        .map(move |(_, name, _)| [caution.as_bytes(), name.as_bytes(), b"\n"].concat())
}
