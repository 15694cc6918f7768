//! Whether parser, `HELP` and manual page of a tool have the same options.
//!
//! Compared are the names, which letter belongs to which long name, and whether a value is taken.

use std::collections::BTreeSet;

use crate::options::{Opt, Takes, help_text, in_help, in_man, in_parser};

/// What the three places of one tool do not agree on; each finding is `file: what`.
pub(crate) fn disagreements(tool: &str, source: &str, page: &str) -> Vec<String> {
    let args = format!("crates/{tool}/src/args.rs");
    let man = format!("man/{tool}.1");
    let Some(help) = help_text(source) else {
        return vec![format!("{args}: no const HELP")];
    };
    let places = [
        (&args, "the parser", in_parser(source)),
        (&args, "HELP", in_help(&help)),
        (&man, "the manual page", in_man(page)),
    ];
    let mut findings = Vec::new();
    for (file, place, scan) in &places {
        findings.extend(
            scan.faults
                .iter()
                .map(|fault| format!("{file}: {place}: {fault}")),
        );
    }
    let names: BTreeSet<String> = places
        .iter()
        .flat_map(|(_, _, scan)| &scan.options)
        .map(Opt::name)
        .collect();
    for name in names {
        let found = places.each_ref().map(|(file, place, scan)| {
            (
                *file,
                *place,
                scan.options.iter().find(|option| option.name() == name),
            )
        });
        for (file, place, option) in found {
            if option.is_none() {
                findings.push(format!("{file}: {name}: not in {place}, but elsewhere"));
            }
        }
        let present = found
            .iter()
            .filter_map(|(file, place, option)| Some((file, place, (*option)?)));
        let shorts = present.clone().map(|(file, place, option)| {
            (
                *file,
                *place,
                option
                    .short
                    .map_or("no letter".to_owned(), |c| format!("-{c}")),
            )
        });
        findings.extend(difference(&name, shorts.collect()));
        let takes = present.filter_map(|(file, place, option)| {
            let word = match option.takes {
                Takes::Nothing => "no value",
                Takes::Maybe => "an optional value",
                Takes::Value => "a value",
                Takes::Unknown => return None,
            };
            Some((*file, *place, word.to_owned()))
        });
        findings.extend(difference(&name, takes.collect()));
    }
    findings
}

/// One finding if the last members are not all equal; it is filed under the one that stands alone.
fn difference(name: &str, all: Vec<(&String, &str, String)>) -> Option<String> {
    let alone = all.iter().find(|(_, _, what)| {
        all.iter().filter(|(_, _, other)| other == what).count() < all.len().div_ceil(2)
    });
    let differs = all.windows(2).any(|pair| pair[0].2 != pair[1].2);
    let (file, _, _) = alone.or(all.last()).filter(|_| differs)?;
    let list: Vec<String> = all
        .iter()
        .map(|(_, place, what)| format!("{place} has {what}"))
        .collect();
    Some(format!("{file}: {name}: {}", list.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::tests::{ARGS, PAGE};
    use crate::workspace;

    /// Every way to take one option out of one place; returns how many were tried.
    fn every_removal_is_found(tool: &str, source: &str, page: &str) -> usize {
        let options = in_help(&help_text(source).unwrap()).options;
        for option in &options {
            let long = option.long.as_deref().unwrap_or_default();
            let pattern = match (&option.long, option.short) {
                (None, Some(short)) => format!("Short('{short}')"),
                _ => format!("Long(\"{long}\")"),
            };
            let help_start = match (&option.long, option.short) {
                (Some(long), Some(short)) => format!("  -{short}, --{long}"),
                (Some(long), None) => format!("      --{long}"),
                (None, short) => format!("  -{}", short.unwrap()),
            };
            let without = |text: &str, is_it: &dyn Fn(&str) -> bool| -> String {
                let kept = text.lines().filter(|line| !is_it(line));
                kept.map(|line| format!("{line}\n")).collect()
            };
            let ends = |tail: &str| tail.is_empty() || tail.starts_with([' ', '=', '[']);
            let no_help = without(source, &|line| {
                line.strip_prefix(&help_start).is_some_and(ends)
            });
            let item = match &option.long {
                Some(long) => format!("Fl -{long}"),
                None => format!("Fl {}", option.short.unwrap()),
            };
            let no_item = without(page, &|line| {
                line.starts_with(".It ")
                    && line.split_once(&item).is_some_and(|(_, tail)| ends(tail))
            });
            let no_pattern = source.replace(&pattern, "Gone");
            let edits = [
                (&pattern, no_pattern.as_str(), page),
                (&help_start, no_help.as_str(), page),
                (&item, source, no_item.as_str()),
            ];
            for (what, args, man) in edits {
                assert!(
                    args != source || man != page,
                    "{tool}: {what} was not removed"
                );
                let findings = disagreements(tool, args, man);
                let name = option.name();
                assert!(
                    findings.iter().any(|finding| finding.contains(&name)),
                    "{tool}: removing {what} was not found: {findings:?}"
                );
            }
            if option.long.is_some()
                && let Some(short) = option.short
            {
                let args = source.replace(&format!("Short('{short}') | "), "");
                assert!(
                    !disagreements(tool, &args, page).is_empty(),
                    "{tool}: -{short}"
                );
            }
        }
        options.len()
    }

    #[test]
    fn a_removed_option_is_found_in_the_sample() {
        assert_eq!(disagreements("sample", ARGS, PAGE), [""; 0]);
        assert_eq!(every_removal_is_found("sample", ARGS, PAGE), 5);
    }

    #[test]
    fn a_removed_option_is_found_in_every_tool() {
        for tool in workspace::tools().unwrap() {
            let source = workspace::read(&format!("crates/{tool}/src/args.rs")).unwrap();
            let page = workspace::read(&format!("man/{tool}.1")).unwrap();
            assert_eq!(disagreements(&tool, &source, &page), [""; 0]);
            assert!(every_removal_is_found(&tool, &source, &page) >= 2, "{tool}");
        }
    }

    #[test]
    fn pairs_and_values_are_compared() {
        let cases = [
            ("Short('f') | Long(\"force\")", "Long(\"force\")"),
            ("  -f, --force ", "      --force "),
            ("  -f, --force ", "  -f, --force=X "),
            ("--progress[=FD]", "--progress=FD"),
            ("p.optional_value()", "p.value()?"),
            ("args.force = true", "args.force = p.value()?"),
        ];
        for (from, to) in cases {
            assert!(ARGS.contains(from), "{from}");
            let findings = disagreements("sample", &ARGS.replace(from, to), PAGE);
            assert_eq!(findings.len(), 1, "{from} to {to}: {findings:?}");
        }
        let cases = [
            ("Fl f , Fl -force", "Fl -force"),
            ("Fl -src Ns = Ns Ar file", "Fl -src"),
            ("Oo Ns = Ns Ar fd Oc", "= Ns Ar fd"),
            ("Fl h , Fl -help", "Fl H , Fl -help"),
        ];
        for (from, to) in cases {
            assert!(PAGE.contains(from), "{from}");
            let findings = disagreements("sample", ARGS, &PAGE.replace(from, to));
            assert_eq!(findings.len(), 1, "{from} to {to}: {findings:?}");
            assert!(findings[0].starts_with("man/sample.1: --"), "{findings:?}");
        }
    }
}
