//! Where an entry goes: its name, cut into components that may be file names.

use crate::archive::u32_at;
use crate::args::Options;
use crate::extra;

/// A longer file name cannot be.
const LONGEST: usize = 255;

/// The components of a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mapped {
    pub(crate) folders: Vec<Vec<u8>>,
    /// Empty for a folder, or if nothing of the name is left.
    pub(crate) file: Vec<u8>,
    pub(crate) is_folder: bool,
    /// A component `..` was left out.
    pub(crate) left_out_dot_dot: bool,
    /// A component was too long for a file name.
    pub(crate) shortened: bool,
}

impl Mapped {
    /// The path as messages show it, below `prefix`.
    pub(crate) fn shown(&self, prefix: &[u8]) -> Vec<u8> {
        let mut path = prefix.to_vec();
        for folder in &self.folders {
            path.extend(folder);
            path.push(b'/');
        }
        path.extend(&self.file);
        path
    }
}

/// Maps the name of an entry, as Info-ZIP does. Slashes part it; `local_extra` may have a file type
/// of Acorn's, that -F asks for.
pub(crate) fn map(name: &[u8], options: &Options, local_extra: &[u8]) -> Mapped {
    let mut mapped = Mapped {
        is_folder: name.ends_with(b"/"),
        ..Mapped::default()
    };
    let used = match name.iter().rposition(|b| *b == b'/') {
        Some(slash) if options.junk => &name[slash + 1..],
        _ => name,
    };
    let mut components: Vec<Vec<u8>> = used
        .split(|b| *b == b'/')
        .map(|component| filtered(component, options.controls > 0))
        .collect();
    let mut last = components.pop().unwrap_or_default();
    for component in components {
        match &component[..] {
            b"" | b"." => {}
            b".." if options.dot_dot == 0 => mapped.left_out_dot_dot = true,
            _ => mapped.folders.push(component),
        }
    }
    if !mapped.is_folder {
        if !options.versions {
            remove_version(&mut last);
        }
        match &last[..] {
            b"." => last = b"_".to_vec(),
            b".." => last = b"__".to_vec(),
            _ => {}
        }
        if options.acorn {
            add_acorn_type(&mut last, local_extra);
        }
        mapped.file = last;
    }
    for component in mapped.folders.iter_mut().chain([&mut mapped.file]) {
        if component.len() > LONGEST {
            *component = shortened(component);
            mapped.shortened = true;
        }
    }
    mapped
}

/// Without control characters, or with them; a NUL can be in no name.
fn filtered(component: &[u8], controls: bool) -> Vec<u8> {
    let stays = |b: &u8| match b {
        0 => false,
        1..32 | 127 | 255 => controls,
        _ => true,
    };
    component.iter().copied().filter(stays).collect()
}

/// `;12` at the end is a version of VMS.
fn remove_version(name: &mut Vec<u8>) {
    if let Some(at) = name.iter().rposition(|b| *b == b';')
        && name[at + 1..].iter().all(u8::is_ascii_digit)
    {
        name.truncate(at);
    }
}

/// Adds `,xxx` with the file type, in place of one that is there.
fn add_acorn_type(name: &mut Vec<u8>, local_extra: &[u8]) {
    let spark = extra::blocks(local_extra).find_map(|(id, data)| {
        let right =
            id == extra::SPARK && matches!(data.len(), 20 | 24) && data.starts_with(b"ARC0");
        right.then(|| u32_at(data, 4))
    });
    let Some(mut load) = spark else { return };
    if let Some(at) = name.iter().rposition(|b| *b == b',')
        && name.len() == at + 4
        && name[at + 1..].iter().all(u8::is_ascii_hexdigit)
    {
        name.truncate(at);
    }
    if load & 1 << 31 == 0 {
        load = 0x000F_FD00;
    }
    name.extend(format!(",{:03x}", load >> 8 & 0xFFF).into_bytes());
}

/// A name that fits, from the start of a longer one, its CRC, and its extension. Two long
/// names stay two.
fn shortened(name: &[u8]) -> Vec<u8> {
    const LONGEST_EXTENSION: usize = 16;
    let mark = format!("~{:08x}", crc32fast::hash(name));
    let dot = name.iter().rposition(|b| *b == b'.');
    let extension = dot.map_or(&b""[..], |at| &name[at..]);
    let extension = match extension.len() {
        ..=LONGEST_EXTENSION => extension,
        _ => b"",
    };
    let room = LONGEST - mark.len() - extension.len();
    let mut start = &name[..room];
    // Not in the middle of a character.
    if let Some(last) = start.utf8_chunks().last()
        && !last.invalid().is_empty()
        && last.invalid().len() < 4
    {
        start = &start[..room - last.invalid().len()];
    }
    [start, mark.as_bytes(), extension].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mapped(name: &str, options: &Options) -> Mapped {
        map(name.as_bytes(), options, b"")
    }

    #[test]
    fn names_are_cut_as_by_info_zip() {
        let plain = Options::default();
        for (name, wanted) in [
            ("a/b", "a/b"),
            ("./a//b", "a/b"),
            ("../a/../../b", "a/b"),
            ("a/.", "a/_"),
            ("a/..", "a/__"),
            ("a;1", "a"),
            ("a;1x", "a;1x"),
            ("d;1/a", "d;1/a"),
            ("a\u{1}b\u{7f}", "ab"),
            (".\0./.\0./x", "x"),
            ("\\..\\a", "\\..\\a"),
            ("a/", "a/"),
        ] {
            let mapped = mapped(name, &plain);
            let shown = mapped.shown(b"");
            assert_eq!(String::from_utf8(shown).unwrap(), wanted, "{name:?}");
        }
        let junk = Options {
            junk: true,
            versions: true,
            controls: 1,
            ..Options::default()
        };
        assert_eq!(mapped("d/a;1\u{1}", &junk).shown(b"o/"), b"o/a;1\x01");
        assert!(mapped("d/e/", &junk).folders.is_empty());
        let up = Options {
            dot_dot: 1,
            ..Options::default()
        };
        assert_eq!(mapped("../a", &up).folders, [b"..".to_vec()]);
    }

    #[test]
    fn long_names_are_shortened_and_stay_different() {
        let long = |end: &str| format!("{}{end}.txt", "長".repeat(100));
        let one = mapped(&long("1"), &Options::default());
        let two = mapped(&long("2"), &Options::default());
        assert!(one.shortened && one.file.len() <= LONGEST);
        assert!(one.file.ends_with(b".txt"));
        assert!(String::from_utf8(one.file.clone()).is_ok());
        assert_ne!(one.file, two.file);
    }

    #[test]
    fn acorn_types() {
        let mut field = vec![0x41, 0x43, 20, 0];
        field.extend(b"ARC0\x00\xFB\xFF\xFF");
        field.resize(24, 0);
        let acorn = Options {
            acorn: true,
            ..Options::default()
        };
        assert_eq!(map(b"a,fff", &acorn, &field).file, b"a,ffb");
        assert_eq!(map(b"a", &acorn, b"").file, b"a");
    }

    proptest! {
        #[test]
        fn no_name_leads_out(name in proptest::collection::vec(
            proptest::sample::select(&b"./\\\0a;~\x01\xe3\x81\xff"[..]), 0..40)) {
            let mapped = map(&name, &Options::default(), b"");
            for component in mapped.folders.iter().chain([&mapped.file]) {
                prop_assert!(component != b"." && component != b"..");
                prop_assert!(!component.contains(&b'/') && !component.contains(&0));
                prop_assert!(component.len() <= LONGEST);
            }
            prop_assert!(mapped.folders.iter().all(|folder| !folder.is_empty()));
        }
    }
}
