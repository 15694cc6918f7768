//! Completions for bash, zsh and fish, made from a tool's `HELP`.
//!
//! A value is completed by what `HELP` calls it: FILE gives files, DIR gives folders, others give
//! nothing. Operands are files. No completion needs a helper library of its shell.

use crate::options::{Opt, Takes};

/// What can be offered for a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hint {
    Files,
    Folders,
    Nothing,
}

fn hint(option: &Opt) -> Hint {
    let is = |word: &str| {
        option
            .value
            .split(|c: char| !c.is_ascii_alphabetic())
            .any(|w| w == word)
    };
    if is("FILE") || is("PATH") {
        Hint::Files
    } else if is("DIR") {
        Hint::Folders
    } else {
        Hint::Nothing
    }
}

/// The first clause of an option's text: lists are narrow.
fn brief(option: &Opt) -> &str {
    let text = option.text.as_str();
    let ends = [". ", "; ", " ("]
        .iter()
        .filter_map(|mark| text.find(mark))
        .min();
    text[..ends.unwrap_or(text.len())].trim_end_matches('.')
}

/// A shell function's name for a tool.
fn function(tool: &str) -> String {
    format!("_{}", tool.replace('-', "_"))
}

fn header(mark: &str, tool: &str) -> String {
    format!("{mark} Completion for {tool}, made from its help text by `cargo xtask install`.\n")
}

/// For `share/bash-completion/completions/TOOL`.
///
/// Bash cuts `--src=x` into three words at the equals sign; the script puts them together again.
pub(crate) fn bash(tool: &str, options: &[Opt]) -> String {
    let mut words = Vec::new();
    // Names before a file, a folder, and what nothing is known of.
    let mut names = [Vec::new(), Vec::new(), Vec::new()];
    for option in options {
        let short = option.short.map(|c| format!("-{c}"));
        let long = option.long.as_ref().map(|long| format!("--{long}"));
        let glued = option.long.as_ref().map(|long| format!("--{long}="));
        words.extend(short.clone());
        words.extend(match option.takes {
            Takes::Value => glued.clone(),
            _ => long.clone(),
        });
        let before_value = match option.takes {
            Takes::Value => [short, long, glued],
            // Its value is never a word of its own.
            Takes::Maybe => [None, None, glued],
            _ => [None, None, None],
        };
        names[hint(option) as usize].extend(before_value.into_iter().flatten());
    }
    let actions = [
        "            mapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n            compopt -o filenames\n",
        "            mapfile -t COMPREPLY < <(compgen -d -- \"$word\")\n            compopt -o filenames\n",
        "",
    ];
    let mut cases = String::new();
    for (names, action) in names.iter().zip(actions) {
        if !names.is_empty() {
            let names = names.join(" | ");
            cases += &format!("        {names})\n{action}            return\n            ;;\n");
        }
    }
    let name = function(tool);
    let words = words.join(" ");
    let header = header("#", tool);
    format!(
        r#"{header}
{name}() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}}
    if [[ $word == = ]]; then
        before+='=' word=
    elif [[ $before == = ]] && ((COMP_CWORD > 1)); then
        before=${{COMP_WORDS[COMP_CWORD - 2]}}=
    fi
    COMPREPLY=()
    case $before in
{cases}    esac
    if [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '{words}' -- "$word")
        if [[ ${{COMPREPLY[*]}} == *= ]]; then
            compopt -o nospace
        fi
        return
    fi
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
    compopt -o filenames
}}

complete -F {name} {tool}
"#
    )
}

/// For `share/zsh/site-functions/_TOOL`.
pub(crate) fn zsh(tool: &str, options: &[Opt]) -> String {
    let mut text = format!(
        "#compdef {tool}\n{}\n_arguments -s -S \\\n",
        header("#", tool)
    );
    for option in options {
        let about = zsh_quote(
            &brief(option)
                .replace('\\', "\\\\")
                .replace('[', "\\[")
                .replace(']', "\\]"),
        );
        let action = match hint(option) {
            Hint::Files => "_files",
            Hint::Folders => "_files -/",
            Hint::Nothing => " ",
        };
        let value = zsh_quote(&option.value.replace(':', "\\:"));
        // What follows the name: how the value is joined to it, and what the value is.
        let (short_join, long_join, message) = match option.takes {
            Takes::Value => ("+", "=", format!(":{value}:{action}")),
            Takes::Maybe => ("-", "=-", format!("::{value}:{action}")),
            _ => ("", "", String::new()),
        };
        let line = match (option.short, &option.long) {
            (Some(short), Some(long)) => format!(
                "'(-{short} --{long})'{{-{short}{short_join},--{long}{long_join}}}'[{about}]{message}'"
            ),
            (Some(short), None) => format!("'-{short}{short_join}[{about}]{message}'"),
            (None, Some(long)) => format!("'--{long}{long_join}[{about}]{message}'"),
            (None, None) => continue,
        };
        text += &format!("    {line} \\\n");
    }
    text + "    '*:file:_files'\n"
}

/// Makes a text safe between single quotes.
fn zsh_quote(text: &str) -> String {
    text.replace('\'', r"'\''")
}

/// For `share/fish/vendor_completions.d/TOOL.fish`.
pub(crate) fn fish(tool: &str, options: &[Opt]) -> String {
    let mut text = header("#", tool) + "\n";
    for option in options {
        text += &format!("complete -c {tool}");
        if let Some(short) = option.short {
            text += &format!(" -s {short}");
        }
        if let Some(long) = &option.long {
            text += &format!(" -l {long}");
        }
        if option.takes == Takes::Value {
            text += match hint(option) {
                Hint::Files => " -r -F",
                Hint::Folders => " -x -a '(__fish_complete_directories)'",
                Hint::Nothing => " -x",
            };
        }
        let about = brief(option).replace('\\', r"\\").replace('\'', r"\'");
        text += &format!(" -d '{about}'\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::in_help;
    use crate::test::skip;
    use crate::workspace::{Scratch, find_program};
    use std::process::Command;

    const HELP: &str = "\
Usage: sample-tool [OPTION]... FILE...

      --src=FILE       read FILE (don't [write])
      --into=DIR       put it into DIR
      --size=SIZE      bytes; more
      --progress[=FD]  show progress
  -f, --force          do it
  -0                   NUL
";

    fn scripts() -> [(&'static str, String); 3] {
        let options = in_help(HELP).options;
        assert_eq!(options.len(), 6);
        let tool = "sample-tool";
        [
            ("bash", bash(tool, &options)),
            ("zsh", zsh(tool, &options)),
            ("fish", fish(tool, &options)),
        ]
    }

    #[test]
    fn every_shell_accepts_its_script() {
        let scratch = Scratch::new(&std::env::temp_dir(), "syntax-test").unwrap();
        for (shell, text) in scripts() {
            let Some(program) = find_program(shell) else {
                skip(
                    "every_shell_accepts_its_script",
                    &format!("{shell} not installed"),
                );
                continue;
            };
            let file = scratch.path().join(shell);
            std::fs::write(&file, &text).unwrap();
            let output = Command::new(program).arg("-n").arg(&file).output().unwrap();
            assert!(
                output.status.success() && output.stderr.is_empty(),
                "{output:?}\n{text}"
            );
        }
    }

    #[test]
    fn bash_completes_options_and_values() {
        let Some(program) = find_program("bash") else {
            return skip("bash_completes_options_and_values", "bash not installed");
        };
        let scratch = Scratch::new(&std::env::temp_dir(), "bash-test").unwrap();
        std::fs::create_dir(scratch.path().join("dir one")).unwrap();
        std::fs::write(scratch.path().join("disk one"), "").unwrap();
        std::fs::write(
            scratch.path().join("complete"),
            bash("sample-tool", &in_help(HELP).options),
        )
        .unwrap();
        let cases = [
            ("sample-tool --s", "--src= --size= "),
            ("sample-tool --f", "--force "),
            ("sample-tool di", "dir one disk one "),
            ("sample-tool --src = di", "dir one disk one "),
            ("sample-tool --src =", "complete dir one disk one "),
            ("sample-tool --src dis", "disk one "),
            ("sample-tool --into = d", "dir one "),
            ("sample-tool --size = d", ""),
            ("sample-tool --progress = d", ""),
            ("sample-tool --progress dis", "disk one "),
        ];
        for (line, expected) in cases {
            let script = "compopt() { :; }; . ./complete; COMP_WORDS=($1); \
                          COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _sample_tool; \
                          printf '%s\\n' \"${COMPREPLY[@]}\" | LC_ALL=C sort -s -k1,1.3 | tr '\\n' ' '";
            let mut bash = Command::new(&program);
            bash.args(["--norc", "-c", script, "bash", line])
                .current_dir(scratch.path());
            let output = bash.output().unwrap();
            let found = String::from_utf8(output.stdout.clone()).unwrap();
            let sorted = |text: &str| -> Vec<String> {
                let mut words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
                words.sort();
                words
            };
            assert_eq!(sorted(&found), sorted(expected), "{line}: {output:?}");
        }
    }

    #[test]
    fn zsh_and_fish_say_what_a_value_is() {
        let [_, (_, zsh), (_, fish)] = scripts();
        for line in [
            "'--src=[read FILE]:FILE:_files'",
            "'--into=[put it into DIR]:DIR:_files -/'",
            "'--size=[bytes]:SIZE: '",
            "'--progress=-[show progress]::FD: '",
            "'(-f --force)'{-f,--force}'[do it]'",
            "'-0[NUL]'",
        ] {
            assert!(zsh.contains(line), "{line}\n{zsh}");
        }
        for line in [
            "complete -c sample-tool -l src -r -F -d 'read FILE'",
            "complete -c sample-tool -l into -x -a '(__fish_complete_directories)' -d 'put it into DIR'",
            "complete -c sample-tool -l size -x -d 'bytes'",
            "complete -c sample-tool -l progress -d 'show progress'",
            "complete -c sample-tool -s f -l force -d 'do it'",
        ] {
            assert!(fish.contains(line), "{line}\n{fish}");
        }
    }
}
