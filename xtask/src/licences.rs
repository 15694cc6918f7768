//! Whether each crate in Cargo.lock has a licence that deny.toml allows.
//!
//! `cargo tree` prints names and licences one a line, so no JSON has to be read. deny.toml itself
//! is in the form of cargo-deny, for those who have it.

use std::collections::{BTreeMap, BTreeSet};

use crate::Result;
use crate::workspace::{cargo, read};

/// One finding for each crate whose licence is not allowed or not known.
pub(crate) fn findings() -> Result<Vec<String>> {
    let allowed = allow_list(&read("deny.toml")?);
    let licences = licences()?;
    let mut findings = Vec::new();
    for package in locked(&read("Cargo.lock")?) {
        match licences.get(&package) {
            None => findings.push(format!("Cargo.lock: {package}: no crate of ours uses it")),
            Some(licence) if licence.is_empty() => {
                findings.push(format!("Cargo.lock: {package}: names no licence"));
            }
            Some(licence) if !is_allowed(licence, &allowed) => {
                findings.push(format!(
                    "Cargo.lock: {package}: {licence} is not in deny.toml"
                ));
            }
            Some(_) => {}
        }
    }
    Ok(findings)
}

/// The strings in `allow = [...]` of deny.toml.
fn allow_list(deny: &str) -> BTreeSet<String> {
    let lines = deny
        .lines()
        .skip_while(|line| !line.trim_start().starts_with("allow"));
    let mut allowed = BTreeSet::new();
    for line in lines {
        let code = line.split('#').next().unwrap_or_default();
        allowed.extend(code.split('"').skip(1).step_by(2).map(str::to_owned));
        if code.contains(']') {
            break;
        }
    }
    allowed
}

/// Each package of Cargo.lock as `name version`.
fn locked(lock: &str) -> BTreeSet<String> {
    let field = |line: &str, name: &str| {
        line.strip_prefix(name)
            .map(|value| value.trim_matches('"').to_owned())
    };
    let mut packages = BTreeSet::new();
    let mut name = None;
    for line in lock.lines() {
        if let Some(value) = field(line, "name = ") {
            name = Some(value);
        } else if let (Some(version), Some(name)) = (field(line, "version = "), &name) {
            packages.insert(format!("{name} {version}"));
        }
    }
    packages
}

/// Licences by `name version`, for all systems and features.
fn licences() -> Result<BTreeMap<String, String>> {
    let mut tree = cargo();
    tree.args([
        "tree",
        "--workspace",
        "--locked",
        "--quiet",
        "--all-features",
    ]);
    tree.args([
        "--target=all",
        "--edges=normal,build,dev",
        "--prefix=none",
        "--no-dedupe",
    ]);
    tree.args(["--format={p}\t{l}"]);
    let output = tree.output().map_err(|e| format!("cargo tree: {e}"))?;
    if !output.status.success() {
        let trouble = String::from_utf8_lossy(&output.stderr);
        return Err(format!("cargo tree: {}", trouble.trim_end()));
    }
    let mut licences = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        // `name v1.2.3 (/path)`, a tab, the licence
        let Some((package, licence)) = line.split_once('\t') else {
            continue;
        };
        let mut words = package.split(' ');
        if let (Some(name), Some(version)) = (words.next(), words.next()) {
            let version = version.trim_start_matches('v');
            licences.insert(format!("{name} {version}"), licence.trim().to_owned());
        }
    }
    Ok(licences)
}

/// Whether an SPDX expression can be met with the allowed licences alone.
///
/// `/` is the old spelling of OR. AND binds tighter than OR; WITH belongs to its licence.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = &words[..];
    let value = any(&mut rest, allowed);
    value && rest.is_empty()
}

fn any(rest: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let mut value = all(rest, allowed);
    while rest.first() == Some(&"OR") {
        *rest = &rest[1..];
        value |= all(rest, allowed);
    }
    value
}

fn all(rest: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let mut value = one(rest, allowed);
    while rest.first() == Some(&"AND") {
        *rest = &rest[1..];
        value &= one(rest, allowed);
    }
    value
}

fn one(rest: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    match **rest {
        ["(", ref inner @ ..] => {
            *rest = inner;
            let value = any(rest, allowed);
            match rest.split_first() {
                Some((&")", after)) => {
                    *rest = after;
                    value
                }
                _ => false,
            }
        }
        [licence, "WITH", exception, ref after @ ..] => {
            *rest = after;
            allowed.contains(&format!("{licence} WITH {exception}"))
        }
        [licence, ref after @ ..] => {
            *rest = after;
            allowed.contains(licence)
        }
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DENY: &str = "[licenses]\nallow = [\n  \"MIT\", # ours\n  \"Apache-2.0\",\n  \
                        \"Apache-2.0 WITH LLVM-exception\",\n  \"Unicode-3.0\",\n]\n\
                        [bans]\nx = \"GPL-3.0\"\n";

    #[test]
    fn expressions_are_weighed() {
        let allowed = allow_list(DENY);
        assert_eq!(allowed.len(), 4);
        let cases = [
            ("MIT", true),
            ("GPL-3.0", false),
            ("MIT OR GPL-3.0", true),
            ("GPL-2.0/MIT", true),
            ("MIT AND GPL-3.0", false),
            ("GPL-3.0 OR MIT AND Unicode-3.0", true),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
            ("(GPL-3.0 OR ISC) AND MIT", false),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("MIT WITH LLVM-exception", false),
            ("(MIT", false),
            ("MIT )", false),
            ("", false),
        ];
        for (expression, expected) in cases {
            assert_eq!(is_allowed(expression, &allowed), expected, "{expression}");
        }
    }

    #[test]
    fn packages_of_the_lock_file_are_listed() {
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n\n\
                    [[package]]\nname = \"a\"\nversion = \"2.0.0\"\ndependencies = [\n \"b\",\n]\n";
        let expected = ["a 1.0.0", "a 2.0.0"].map(str::to_owned);
        assert_eq!(locked(lock), BTreeSet::from(expected));
    }
}
