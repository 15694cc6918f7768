//! The journal of a migration, one at each host: what is migrated, from where to where, and how far it
//! has come. A line is on the disk before what it says is begun.
//!
//! A text file `NAME.journal` in the state directory of the host: lines `KEY VALUE`, the first
//! `xen-migrate 1`, the last a `mark`. A last line that is cut off was never written.

use crate::shell::{Shell, quoted};
use crate::step::{Mark, Trouble};
use std::fmt::Write as _;

const MAGIC: &str = "xen-migrate 1";

/// What a journal says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Journal {
    /// The same at both hosts, and of no other migration.
    pub(crate) token: String,
    pub(crate) domain: String,
    pub(crate) uuid: String,
    /// Which side wrote it.
    pub(crate) side: Side,
    /// How the source reaches the target.
    pub(crate) target: String,
    /// Copied disks: path at the source, path at the target.
    pub(crate) disks: Vec<(String, String)>,
    /// Disks that the domain can write to and that are not copied: their paths at the source.
    pub(crate) shared: Vec<String>,
    /// The last one.
    pub(crate) mark: Option<Mark>,
}

/// An end of the migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Source,
    Target,
}

impl Journal {
    /// The text of a new journal.
    fn text(&self) -> String {
        let mut text = format!("{MAGIC}\n");
        let side = match self.side {
            Side::Source => "source",
            Side::Target => "target",
        };
        for (key, value) in [
            ("token", self.token.as_str()),
            ("domain", &self.domain),
            ("uuid", &self.uuid),
            ("side", side),
            ("target", &self.target),
        ] {
            let _ = writeln!(text, "{key} {}", escaped(value));
        }
        for (source, target) in &self.disks {
            let _ = writeln!(text, "disk {} {}", escaped(source), escaped(target));
        }
        for path in &self.shared {
            let _ = writeln!(text, "shared {}", escaped(path));
        }
        if let Some(mark) = self.mark {
            let _ = writeln!(text, "mark {mark}");
        }
        text
    }

    /// Reads one. `None` if it is no journal that this version knows.
    pub(crate) fn parse(text: &str) -> Option<Journal> {
        let mut lines = text
            .split_inclusive('\n')
            .filter_map(|line| line.strip_suffix('\n'));
        if lines.next()? != MAGIC {
            return None;
        }
        let mut journal = Journal {
            token: String::new(),
            domain: String::new(),
            uuid: String::new(),
            side: Side::Source,
            target: String::new(),
            disks: Vec::new(),
            shared: Vec::new(),
            mark: None,
        };
        let mut side = None;
        for line in lines.filter(|line| !line.is_empty()) {
            // The head was written whole. A later line that was cut off by a power failure, before others
            // were added, was never written.
            if journal.mark.is_some() {
                let mark = line.strip_prefix("mark ").and_then(Mark::parse);
                journal.mark = mark.or(journal.mark);
                continue;
            }
            let (key, value) = line.split_once(' ')?;
            match key {
                "token" => journal.token = plain(value)?,
                "domain" => journal.domain = plain(value)?,
                "uuid" => journal.uuid = plain(value)?,
                "target" => journal.target = plain(value)?,
                "side" if value == "source" => side = Some(Side::Source),
                "side" if value == "target" => side = Some(Side::Target),
                "disk" => {
                    let (source, target) = value.split_once(' ')?;
                    journal.disks.push((plain(source)?, plain(target)?));
                }
                "shared" => journal.shared.push(plain(value)?),
                "mark" => journal.mark = Some(Mark::parse(value)?),
                _ => return None,
            }
        }
        journal.side = side?;
        let whole = ![&journal.token, &journal.domain, &journal.uuid]
            .iter()
            .any(|text| text.is_empty());
        whole.then_some(journal)
    }

    /// Writes it as a new file, if there is none.
    pub(crate) fn create(&self, shell: &Shell) -> Result<(), Trouble> {
        let script = format!(
            "{DIR}\nf=$d/{name}.journal\n[ ! -e \"$f\" ] || {{ echo 'there is one already' >&2; exit 1; }}\n\
             printf %s {text} > \"$f.new\" && sync \"$f.new\" && mv \"$f.new\" \"$f\" && sync \"$d\" ||\n\
             {{ rm -f \"$f.new\"; exit 1; }}",
            name = quoted(&file_name(&self.domain)),
            text = quoted(&self.text()),
        );
        shell.ask("journal", &script).map(drop)
    }
}

/// Where a host keeps journals and locks. Only what writes makes the folder; one that is there already
/// keeps its permissions.
const DIR: &str = "d=${XEN_MIGRATE_STATE_DIR:-/var/lib/xen-migrate}";

/// Where this host keeps them, as its shell knows it too.
pub(crate) fn state_dir() -> String {
    let set = std::env::var("XEN_MIGRATE_STATE_DIR")
        .ok()
        .filter(|dir| !dir.is_empty());
    set.unwrap_or_else(|| "/var/lib/xen-migrate".to_owned())
}

/// Adds a mark to the journal of a host.
pub(crate) fn add(shell: &Shell, domain: &str, mark: Mark) -> Result<(), Trouble> {
    let script = format!(
        "{DIR}\nf=$d/{}.journal\n[ -e \"$f\" ] || {{ echo 'it is gone' >&2; exit 1; }}\n\
         printf '\\nmark {mark}\\n' >> \"$f\" && sync \"$f\"",
        quoted(&file_name(domain)),
    );
    shell.ask("journal", &script).map(drop)
}

/// The journal of a host; `None` if there is none.
pub(crate) fn read(shell: &Shell, domain: &str) -> Result<Option<Journal>, Trouble> {
    let script = format!(
        "{DIR}\nf=$d/{}.journal\n[ ! -e \"$f\" ] || cat \"$f\"",
        quoted(&file_name(domain)),
    );
    let text = shell.ask("journal", &script)?;
    if text.is_empty() {
        return Ok(None);
    }
    match Journal::parse(&text) {
        Some(journal) => Ok(Some(journal)),
        None => Err(Trouble::Failed(format!(
            "{}: the journal of {domain} cannot be understood",
            shell.name
        ))),
    }
}

/// The domains that a host has journals of.
pub(crate) fn list(shell: &Shell) -> Result<Vec<Journal>, Trouble> {
    let script = format!(
        "{DIR}\nfor f in \"$d\"/*.journal; do [ ! -e \"$f\" ] || {{ cat \"$f\"; printf '\\n\\f'; }}; done"
    );
    let text = shell.ask("journals", &script)?;
    let found = text
        .split('\u{c}')
        .map(|one| one.strip_suffix('\n').unwrap_or(one));
    Ok(found.filter_map(Journal::parse).collect())
}

/// Removes the journal of a host, and the socket of a transport that was killed.
pub(crate) fn remove(shell: &Shell, domain: &str, token: &str) -> Result<(), Trouble> {
    let (name, token) = (quoted(&file_name(domain)), quoted(token));
    let script = format!(
        "{DIR}\n[ ! -d \"$d\" ] || {{ rm -f \"$d\"/{name}.journal \"$d\"/{token}.sock && sync \"$d\"; }}"
    );
    shell.ask("journal", &script).map(drop)
}

/// Who has a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lock {
    Taken,
    /// Another run has it.
    Busy,
    /// This run has it already: through another name of the same host.
    Own,
}

/// Takes the lock of a domain at a host, for as long as the shell lives. The file goes with it.
pub(crate) fn lock(shell: &Shell, domain: &str, token: &str) -> Result<Lock, Trouble> {
    let name = quoted(&file_name(domain));
    let token = quoted(token);
    // A file that was removed by who had the lock before is not the lock any more.
    let script = format!(
        "{{ {DIR}; l=$d/{name}.lock\n\
         if ! {{ [ -d \"$d\" ] || mkdir -p -m 700 \"$d\"; }} || ! true >> \"$l\"; then l=\n\
         elif exec 9>>\"$l\"; flock -n 9 && [ \"$l\" -ef /proc/$$/fd/9 ]; then trap 'rm -f \"$l\"' EXIT; trap 'exit 1' HUP INT TERM PIPE; printf '%s\n' {token} $$ > \"$l\" && echo taken\n\
         elif [ \"$(head -n 1 \"$l\")\" = {token} ]; then echo own; exec 9>&-\n\
         else echo busy; exec 9>&-; fi; }} </dev/null"
    );
    let reply = shell.keep(&script)?;
    match reply.out.trim() {
        "taken" => Ok(Lock::Taken),
        "own" => Ok(Lock::Own),
        "busy" => Ok(Lock::Busy),
        _ => Err(Trouble::Failed(format!(
            "{}: lock: {}",
            shell.name,
            reply.err.trim()
        ))),
    }
}

/// [`lock`] for the new shell of a run whose connection broke, or of who comes after a run that is dead: the
/// host may not know of it for hours, and keep the old shell, with the lock. That is ended then.
pub(crate) fn retake(shell: &Shell, domain: &str, old: &str, token: &str) -> Result<Lock, Trouble> {
    let script = format!(
        "{DIR}; l=$d/{name}.lock; [ -e \"$l\" ] || exit 0; {{ read -r t; read -r p; }} < \"$l\"\n\
         [ \"$t\" = {old} ] && [ \"$l\" -ef \"/proc/$p/fd/9\" ] || exit 0; kill -9 \"$p\"; flock -w 10 \"$l\" true",
        name = quoted(&file_name(domain)),
        old = quoted(old),
    );
    shell.ask("lock", &script)?;
    lock(shell, domain, token)
}

/// Whether a run has the lock of a domain at a host.
pub(crate) fn is_locked(shell: &Shell, domain: &str) -> Result<bool, Trouble> {
    let name = quoted(&file_name(domain));
    let script =
        format!("{DIR}; l=$d/{name}.lock; [ ! -e \"$l\" ] || flock -n \"$l\" true || echo yes");
    Ok(!shell.ask("lock", &script)?.is_empty())
}

/// Gives the lock back, and removes its file.
pub(crate) fn unlock(shell: &Shell) -> Result<(), Trouble> {
    shell
        .keep("[ -z \"$l\" ] || rm -f \"$l\"; trap - EXIT; exec 9>&-; l=")
        .map(drop)
}

/// A name as a file name: letters, digits and `_`, `.`, `-` (not first), others as `%XX`.
pub(crate) fn file_name(domain: &str) -> String {
    let mut name = String::new();
    for (index, byte) in domain.bytes().enumerate() {
        match byte {
            b'.' | b'-' if index == 0 => {}
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' => {
                name.push(char::from(byte));
                continue;
            }
            _ => {}
        }
        let _ = write!(name, "%{byte:02X}");
    }
    name
}

/// A value in one word: blanks, controls and `%` as `%XX`.
fn escaped(value: &str) -> String {
    let mut text = String::new();
    for c in value.chars() {
        match c {
            ' ' | '%' | '\u{7f}' => {
                let _ = write!(text, "%{:02X}", c as u32);
            }
            c if c < ' ' => {
                let _ = write!(text, "%{:02X}", c as u32);
            }
            c => text.push(c),
        }
    }
    text
}

fn plain(value: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match first {
            b'%' => {
                let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = &rest[2..];
            }
            byte => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::Reach;
    use proptest::prelude::*;

    fn journal() -> Journal {
        Journal {
            token: "6b1f".into(),
            domain: "a guest".into(),
            uuid: "b187a03e-b458-47d6-9ada-0a7d9c4ab244".into(),
            side: Side::Target,
            target: "root@xen2".into(),
            disks: vec![
                ("/dev/vg0/a b".into(), "/srv/100%\n".into()),
                ("/x".into(), "/y".into()),
            ],
            shared: vec!["/dev/a b".into()],
            mark: Some(Mark::Planned),
        }
    }

    #[test]
    fn at_a_host() {
        let dir = tempfile::tempdir().unwrap();
        let words = [
            "env".to_owned(),
            format!("XEN_MIGRATE_STATE_DIR={}/s", dir.path().display()),
            "sh".into(),
            "-c".into(),
        ];
        let reach = Reach {
            name: "here".into(),
            words: words.to_vec(),
            sudo: false,
        };
        let shell = Shell::open(&reach).unwrap();
        let mut expected = journal();
        assert!(lock(&shell, "a guest", "t1").unwrap() == Lock::Taken);
        let other = Shell::open(&reach).unwrap();
        assert_eq!(lock(&other, "a guest", "t2"), Ok(Lock::Busy));
        assert_eq!(lock(&other, "a guest", "t1"), Ok(Lock::Own));
        assert!(lock(&other, "another guest", "t3").unwrap() == Lock::Taken);
        assert_eq!(read(&shell, "a guest"), Ok(None));
        assert!(add(&shell, "a guest", Mark::Presynced).is_err());
        expected.create(&shell).unwrap();
        assert!(expected.create(&shell).is_err());
        assert_eq!(read(&shell, "a guest"), Ok(Some(expected.clone())));
        add(&shell, "a guest", Mark::Committed).unwrap();
        expected.mark = Some(Mark::Committed);
        assert_eq!(read(&other, "a guest"), Ok(Some(expected.clone())));
        assert_eq!(list(&other), Ok(vec![expected]));
        remove(&shell, "a guest", "6b1f").unwrap();
        assert_eq!(list(&other), Ok(vec![]));
        unlock(&shell).unwrap();
        assert!(lock(&other, "a guest", "t2").unwrap() == Lock::Taken);
        // What a connection left that is lost.
        assert_eq!(retake(&shell, "a guest", "t1", "t3"), Ok(Lock::Busy));
        assert_eq!(retake(&shell, "a guest", "t2", "t3"), Ok(Lock::Taken));
        assert!(other.run("true").is_err());
        unlock(&shell).unwrap();
        assert!(lock(&shell, "a guest", "t1").unwrap() == Lock::Taken);
        unlock(&shell).unwrap();
        std::fs::remove_file(dir.path().join("s/another%20guest.lock")).unwrap();
        assert_eq!(std::fs::read_dir(dir.path().join("s")).unwrap().count(), 0);
    }

    #[test]
    fn a_cut_line_was_never_written() {
        let text = journal().text();
        assert_eq!(Journal::parse(&text), Some(journal()));
        assert_eq!(Journal::parse(&format!("{text}mark comm")), Some(journal()));
        assert_eq!(
            Journal::parse(&format!("{text}mark comm\n")),
            Some(journal())
        );
        let later = Journal {
            mark: Some(Mark::Revoked),
            ..journal()
        };
        assert_eq!(
            Journal::parse(&format!("{text}mark comm\nmark revoked\n")),
            Some(later)
        );
        let line = "mark committed";
        for cut in (0..line.len())
            .map(|cut| &line[..cut])
            .chain(["\0\0\0", "mark \u{fffd}"])
        {
            let read = Journal::parse(&format!("{text}{cut}\nmark revoked\n"));
            assert_eq!(
                read.map(|one| one.mark),
                Some(Some(Mark::Revoked)),
                "{cut:?}"
            );
        }
        for cut in 0..text.len() - 1 {
            assert_ne!(Journal::parse(&text[..cut]), Some(journal()));
        }
    }

    proptest! {
        #[test]
        fn any_value_comes_back(value in any::<String>()) {
            let word = escaped(&value);
            prop_assert!(!word.contains([' ', '\n']));
            prop_assert_eq!(plain(&word), Some(value.clone()));
            let name = file_name(&value);
            prop_assert!(!name.contains('/') && !name.starts_with('.'));
        }

        #[test]
        fn no_text_is_too_strange(text in any::<String>()) {
            let _ = Journal::parse(&text);
            let _ = Journal::parse(&format!("{MAGIC}\n{text}"));
        }
    }
}
