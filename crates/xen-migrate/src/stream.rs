//! The head of a domain that xl saves or sends, with its configuration: paths of disks are changed in it
//! while it passes, where they are others at the target.
//!
//! The form is `struct save_file_header` in tools/xl/xl.h of the Xen sources: 32 bytes of magic, then
//! four 32-bit words in the order of the machine (a constant that shows the order, flags that must be
//! known, flags that need not, length of the optional data), then the optional data: the length of the
//! configuration in 32 bits, the configuration with a NUL at its end (JSON, if flag 1 says so), and
//! what else there may be.

use serde_json::Value;

const MAGIC: &[u8; 32] = b"Xen saved domain, xl format\n \0 \r";
const ORDER: u32 = 0x0102_0304;
const JSON: u32 = 1;
const FIXED: usize = 32 + 4 * 4;
/// No configuration is as long.
const LONGEST: usize = 4 << 20;

/// Takes the stream piece by piece, and gives it back with the paths changed.
#[derive(Debug)]
pub(crate) struct Head {
    /// Path at the source, path at the target; only of those that differ.
    paths: Vec<(String, String)>,
    held: Vec<u8>,
    passed: bool,
}

impl Head {
    /// With nothing to change, everything passes as it is.
    pub(crate) fn new(paths: Vec<(String, String)>) -> Head {
        let passed = paths.is_empty();
        Head {
            paths,
            held: Vec::new(),
            passed,
        }
    }

    /// Takes a piece and appends what can go on to `out`.
    pub(crate) fn pass(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        if self.passed {
            out.extend(piece);
            return Ok(());
        }
        self.held.extend(piece);
        if let Some(length) = whole(&self.held)? {
            let rest = self.held.split_off(length);
            out.extend(changed(&self.held, &self.paths)?);
            out.extend(rest);
            self.held = Vec::new();
            self.passed = true;
        }
        Ok(())
    }

    /// Whether everything that comes passes unchanged from now on.
    pub(crate) fn passed(&self) -> bool {
        self.passed
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The length of the head, once so much of it is there.
fn whole(bytes: &[u8]) -> Result<Option<usize>, String> {
    let magic = bytes.len().min(MAGIC.len());
    if bytes[..magic] != MAGIC[..magic] {
        return Err("what xl sends does not begin as expected".to_owned());
    }
    let (Some(order), Some(flags), Some(optional)) =
        (word(bytes, 32), word(bytes, 36), word(bytes, 44))
    else {
        return Ok(None);
    };
    let optional = optional as usize;
    if order != ORDER || flags & JSON == 0 || optional > LONGEST {
        return Err("xl sends a configuration in a form that is not known".to_owned());
    }
    Ok((bytes.len() >= FIXED + optional).then_some(FIXED + optional))
}

fn changed(head: &[u8], paths: &[(String, String)]) -> Result<Vec<u8>, String> {
    let broken = || "the configuration that xl sends is cut off".to_owned();
    let length = word(head, FIXED).ok_or_else(broken)? as usize;
    let start = FIXED + 4;
    let config = head
        .get(start..start.saturating_add(length))
        .ok_or_else(broken)?;
    let text = config.strip_suffix(b"\0").unwrap_or(config);
    let mut value: Value = serde_json::from_slice(text)
        .map_err(|e| format!("the configuration that xl sends: {e}"))?;
    let mut left: Vec<&(String, String)> = paths.iter().collect();
    for disk in value["disks"].as_array_mut().into_iter().flatten() {
        if let Some(Value::String(path)) = disk.get_mut("pdev_path")
            && let Some((source, target)) = paths.iter().find(|(source, _)| source == path)
        {
            *path = target.clone();
            left.retain(|(other, _)| other != source);
        }
    }
    if let Some((source, _)) = left.first() {
        return Err(format!(
            "the configuration that xl sends has no disk {source}"
        ));
    }
    let mut config = value.to_string().into_bytes();
    config.push(0);
    let rest = &head[start + length..];
    let size = |length: usize| {
        u32::try_from(length)
            .map(u32::to_ne_bytes)
            .map_err(|_| broken())
    };
    let mut out = head[..44].to_vec();
    out.extend(size(4 + config.len() + rest.len())?);
    out.extend(size(config.len())?);
    out.extend(config);
    out.extend(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn head(config: &str, more: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let optional = 4 + config.len() + 1 + more.len();
        for word in [ORDER, 3, 0, optional as u32, config.len() as u32 + 1] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(config.as_bytes());
        bytes.push(0);
        bytes.extend(more);
        bytes
    }

    const CONFIG: &str = r#"{"c_info":{"name":"g","domid":4294967295},"disks":[{"pdev_path":"/dev/a","vdev":"xvda","readwrite":1},{"pdev_path":"/dev/b"}]}"#;

    fn paths() -> Vec<(String, String)> {
        vec![("/dev/b".into(), "/srv/a much longer name".into())]
    }

    fn pass(head: &mut Head, stream: &[u8], piece: usize) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        stream
            .chunks(piece)
            .try_for_each(|piece| head.pass(piece, &mut out))?;
        Ok(out)
    }

    proptest! {
        #[test]
        fn paths_are_changed_in_whatever_pieces_it_comes(piece in 1usize..300, tail in any::<Vec<u8>>()) {
            let stream = [head(CONFIG, b"more"), tail.clone()].concat();
            let got = pass(&mut Head::new(paths()), &stream, piece).unwrap();
            let config: Value = serde_json::from_str(CONFIG).unwrap();
            let expected = config.to_string().replace("/dev/b", "/srv/a much longer name");
            prop_assert_eq!(got, [head(&expected, b"more"), tail].concat());
            let same = pass(&mut Head::new(vec![]), &stream, piece).unwrap();
            prop_assert_eq!(same, stream);
        }

        #[test]
        fn nothing_is_too_strange(at in 0usize..250, byte in any::<u8>(), cut in 0usize..300) {
            let mut stream = head(CONFIG, b"");
            let length = stream.len();
            stream[at % length] = byte;
            let _ = pass(&mut Head::new(paths()), &stream[..cut.min(length)], 7);
        }
    }

    /// The head of a domain that xl 4.17 sent, as the lab recorded it.
    #[test]
    fn a_recorded_head() {
        let stream = include_bytes!("../../../tests/lab/xen/recorded/handshake/sender-head.bin");
        let paths = vec![("/dev/vg0/h1".to_owned(), "/srv/h1.img".to_owned())];
        let got = pass(&mut Head::new(paths), stream, 100).unwrap();
        let length = whole(&got).unwrap().unwrap();
        let text = String::from_utf8_lossy(&got[..length]).into_owned();
        assert!(
            text.contains("\"/srv/h1.img\"") && !text.contains("/dev/vg0/h1\""),
            "{text}"
        );
        let before = whole(stream).unwrap().unwrap();
        assert_eq!(got[length..], stream[before..]);
    }

    #[test]
    fn what_cannot_be_changed_is_an_error() {
        let no_such = vec![("/dev/c".to_owned(), "/x".to_owned())];
        let error = pass(&mut Head::new(no_such), &head(CONFIG, b""), 100).unwrap_err();
        assert_eq!(error, "the configuration that xl sends has no disk /dev/c");
        let error = pass(&mut Head::new(paths()), b"LinuxGuestRecord", 100).unwrap_err();
        assert_eq!(error, "what xl sends does not begin as expected");
    }
}
