//! File names in JSON, which knows Unicode only, while names are bytes.
//!
//! A name is given as a string, with U+FFFD for what is not UTF-8. Only for a name that is not
//! UTF-8 its exact bytes stand beside it, as base64 (RFC 4648, padded), so that the key with
//! `_bytes` also says that the string is not the name.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Inserts `key`, and for a name that is not UTF-8 also `key_bytes`, into `object`.
pub fn insert_path(object: &mut Map<String, Value>, key: &str, path: &Path) {
    object.insert(key.to_string(), path.to_string_lossy().into());
    if path.to_str().is_none() {
        let bytes = STANDARD.encode(path.as_os_str().as_bytes());
        object.insert(format!("{key}_bytes"), bytes.into());
    }
}

/// The form for arrays: a string, or for a name that is not UTF-8 an object with `path` and `path_bytes`.
pub fn path_value(path: &Path) -> Value {
    match path.to_str() {
        Some(text) => text.into(),
        None => {
            let mut object = Map::new();
            insert_path(&mut object, "path", path);
            object.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use std::ffi::OsStr;

    fn path(bytes: &[u8]) -> &Path {
        Path::new(OsStr::from_bytes(bytes))
    }

    #[test]
    fn paths() {
        assert_eq!(path_value(path("größe\n".as_bytes())), json!("größe\n"));
        let latin1 = json!({"path": "caf\u{fffd}", "path_bytes": "Y2Fm6Q=="});
        assert_eq!(path_value(path(b"caf\xe9")), latin1);
        let mut object = Map::new();
        insert_path(&mut object, "file", path(b"plain"));
        insert_path(&mut object, "twin", path(b"\xff"));
        let expected = json!({"file": "plain", "twin": "\u{fffd}", "twin_bytes": "/w=="});
        assert_eq!(Value::from(object), expected);
    }

    proptest! {
        #[test]
        fn the_bytes_can_be_had_back(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let back = match path_value(path(&bytes)) {
                Value::String(text) => text.into_bytes(),
                value => STANDARD.decode(value["path_bytes"].as_str().unwrap()).unwrap(),
            };
            prop_assert_eq!(back, bytes);
        }
    }
}
