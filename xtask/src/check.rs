//! `cargo xtask check`: what must hold of the sources before anything is tested.
//!
//! Each finding is one line, `file: what`. All checks run, whatever the first ones find.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use crate::demo::DEMOS;
use crate::workspace::{cargo, find_program, read, root, run as run_command, tools, version};
use crate::{COMMANDS, Result, agreement, licences};

/// Sections of a manual page, in the order of mdoc(7), which mandoc checks too.
const SECTIONS: &[&str] = &[
    "NAME",
    "SYNOPSIS",
    "DESCRIPTION",
    "ENVIRONMENT",
    "FILES",
    "EXIT STATUS",
    "EXAMPLES",
    "SEE ALSO",
    "STANDARDS",
    "CAVEATS",
];

/// Sections that no manual page may lack.
const NEEDED_SECTIONS: &[&str] = &["NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "EXAMPLES"];

/// Runs all checks.
pub(crate) fn run(arguments: &[OsString]) -> Result {
    if let [word, ..] = arguments {
        return Err(format!("{}: unknown argument", word.display()));
    }
    let tools = tools()?;
    let mut findings = Vec::new();
    for tool in &tools {
        findings.extend(tool_findings(tool));
    }
    findings.extend(mandoc_findings(&tools)?);
    let readme = read("README.md")?;
    let commands: Vec<&str> = COMMANDS.iter().map(|command| command.name).collect();
    findings.extend(readme_findings(&readme, &tools, &commands));
    findings.extend(changelog_findings(
        &read("CHANGELOG.md")?,
        &tools,
        version(),
    ));
    findings.extend(licences::findings()?);
    for finding in &findings {
        println!("{finding}");
    }
    let fmt = cargo_step("fmt", &["--all", "--check"]);
    let clippy = [
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ];
    let clippy = cargo_step("clippy", &clippy);
    let count = findings.len() + usize::from(!fmt) + usize::from(!clippy);
    if count > 0 {
        return Err(format!("findings: {count}"));
    }
    println!("check: {} tools, nothing found", tools.len());
    Ok(())
}

/// Runs a cargo command that a distribution may package apart; false when it finds something.
fn cargo_step(name: &str, arguments: &[&str]) -> bool {
    let mut probe = cargo();
    probe
        .args([name, "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if !probe.status().is_ok_and(|status| status.success()) {
        println!("skipped: cargo {name} not installed");
        return true;
    }
    match run_command(cargo().arg(name).args(arguments)) {
        Ok(()) => true,
        Err(_) => {
            println!("Cargo.toml: cargo {name} found something");
            false
        }
    }
}

/// What a tool's own files lack or contradict.
fn tool_findings(tool: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let test = format!("tests/{tool}.rs");
    if !root().join(&test).is_file() {
        findings.push(format!("{test}: missing"));
    }
    if !DEMOS.iter().any(|(name, _)| *name == tool) {
        findings.push(format!("xtask/src/demo.rs: nothing for {tool}"));
    }
    let man = format!("man/{tool}.1");
    match (read(&format!("crates/{tool}/src/args.rs")), read(&man)) {
        (Ok(source), Ok(page)) => {
            findings.extend(agreement::disagreements(tool, &source, &page));
            findings.extend(section_findings(&man, &page));
        }
        (source, page) => findings.extend([source.err(), page.err()].into_iter().flatten()),
    }
    findings
}

/// Missing sections, and sections out of order.
///
/// A section of another name may stand between DESCRIPTION and EXIT STATUS, where mdoc(7) has it.
fn section_findings(file: &str, page: &str) -> Vec<String> {
    let found: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix(".Sh "))
        .collect();
    let mut findings = Vec::new();
    for needed in NEEDED_SECTIONS {
        if !found.contains(needed) {
            findings.push(format!("{file}: no section {needed}"));
        }
    }
    let mut reached = 0;
    for section in found {
        match SECTIONS.iter().position(|known| *known == section) {
            Some(place) if place < reached => {
                findings.push(format!(
                    "{file}: {section} stands after {}",
                    SECTIONS[reached]
                ));
            }
            Some(place) => reached = place,
            None if SECTIONS[reached] == "DESCRIPTION" => {}
            None => findings.push(format!("{file}: {section} must follow DESCRIPTION")),
        }
    }
    findings
}

/// What mandoc has to say about the pages.
fn mandoc_findings(tools: &[String]) -> Result<Vec<String>> {
    let Some(mandoc) = find_program("mandoc") else {
        println!("skipped: mandoc not installed");
        return Ok(Vec::new());
    };
    let pages = tools.iter().map(|tool| format!("man/{tool}.1"));
    let there: Vec<String> = pages.filter(|page| root().join(page).is_file()).collect();
    if there.is_empty() {
        return Ok(Vec::new());
    }
    let mut lint = Command::new(mandoc);
    lint.args(["-T", "lint", "-W", "warning"])
        .args(there)
        .current_dir(root());
    let output = lint.output().map_err(|e| format!("mandoc: {e}"))?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let mut findings: Vec<String> = text
        .lines()
        .map(|line| line.strip_prefix("mandoc: ").unwrap_or(line).to_owned())
        .collect();
    if findings.is_empty() && !output.status.success() {
        findings.push(format!("man: mandoc: {}", output.status));
    }
    Ok(findings)
}

fn readme_findings(readme: &str, tools: &[String], commands: &[&str]) -> Vec<String> {
    let tools = tools.iter().map(|tool| format!("`{tool}`"));
    let commands = commands
        .iter()
        .map(|command| format!("cargo xtask {command}"));
    let missing = tools.chain(commands).filter(|text| !readme.contains(text));
    missing
        .map(|text| format!("README.md: {text} is not mentioned"))
        .collect()
}

/// The version needs a heading of the second level, each tool one of the third.
fn changelog_findings(changelog: &str, tools: &[String], version: &str) -> Vec<String> {
    let heading = |marks: &str, name: &str| {
        changelog.lines().any(|line| {
            let title = line
                .strip_prefix(marks)
                .and_then(|rest| rest.strip_prefix(' '));
            let first = title.and_then(|title| title.split_whitespace().next());
            first.is_some_and(|first| first.trim_matches(['[', ']']) == name)
        })
    };
    let mut findings = Vec::new();
    if !heading("##", version) {
        findings.push(format!("CHANGELOG.md: no heading for version {version}"));
    }
    for tool in tools.iter().filter(|tool| !heading("###", tool)) {
        findings.push(format!("CHANGELOG.md: no heading for {tool}"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_have_an_order() {
        let page = |names: &[&str]| -> String {
            names
                .iter()
                .map(|name| format!(".Sh {name}\ntext\n"))
                .collect()
        };
        let good = [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "OUTPUT",
            "EXIT STATUS",
            "EXAMPLES",
        ];
        assert_eq!(section_findings("m", &page(&good)), [""; 0]);
        let no_status = ["NAME", "SYNOPSIS", "DESCRIPTION", "EXAMPLES"];
        assert_eq!(
            section_findings("m", &page(&no_status)),
            ["m: no section EXIT STATUS"]
        );
        let swapped = ["NAME", "DESCRIPTION", "SYNOPSIS", "EXIT STATUS", "EXAMPLES"];
        let expected = ["m: SYNOPSIS stands after DESCRIPTION"];
        assert_eq!(section_findings("m", &page(&swapped)), expected);
        let late = [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "EXIT STATUS",
            "EXAMPLES",
            "OUTPUT",
        ];
        assert_eq!(
            section_findings("m", &page(&late)),
            ["m: OUTPUT must follow DESCRIPTION"]
        );
    }

    #[test]
    fn documents_name_tools_commands_and_version() {
        let tools = ["dupes".to_owned()];
        let readme = "`dupes` and `cargo xtask demo`";
        assert_eq!(readme_findings(readme, &tools, &["demo"]), [""; 0]);
        assert_eq!(readme_findings("dupes", &tools, &["demo"]).len(), 2);
        let changelog = "## 0.1.0 (unreleased)\n\n### dupes\n";
        assert_eq!(changelog_findings(changelog, &tools, "0.1.0"), [""; 0]);
        assert_eq!(changelog_findings(changelog, &tools, "0.2.0").len(), 1);
        assert_eq!(
            changelog_findings("## 0.1.0\n## dupes", &tools, "0.1.0").len(),
            1
        );
    }
}
