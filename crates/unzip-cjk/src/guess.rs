//! `--guess`: the encodings that names may be in, side by side with what comes out.

use crate::directory::Entry;
use crate::names::Verdict;
use crate::say::{Say, shown, text};

/// More encodings or names do not help.
const MOST_ENCODINGS: usize = 8;
const MOST_NAMES: usize = 5;

/// Prints a line for each encoding: its name, how many bits it is behind the best one, and names.
pub(crate) fn print(entries: &[Entry], verdict: Option<&Verdict>, say: &mut Say) {
    let Some(verdict) = verdict else {
        say.out("All names say themselves what they are encoded in.\n");
        return;
    };
    let mut samples: Vec<&[u8]> = Vec::new();
    for entry in entries {
        let name = &entry.raw_name[..];
        // Names that are UTF-8 by accident have been decoded from something else.
        let foreign = std::str::from_utf8(name).is_err() || *name != entry.name[..];
        let tells = foreign && !name.is_ascii() && !samples.contains(&name);
        if tells && samples.len() < MOST_NAMES {
            samples.push(name);
        }
    }
    say.out("Encoding        Bits  Names\n");
    for (charset, bits) in verdict.candidates.iter().take(MOST_ENCODINGS) {
        say.out(format!("{:<14} {bits:5.1}", charset.name()));
        for sample in &samples {
            let decoded = charset.decode(sample);
            let name = decoded.map_or_else(|| b"-".to_vec(), |name| shown(name.as_bytes()));
            say.out(text!("  ", name));
        }
        say.out("\n");
    }
}
