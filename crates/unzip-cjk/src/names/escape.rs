//! Names that no code page decodes, written so that no byte is lost.
//!
//! A byte that is not printable ASCII becomes `%` and two hexadecimal digits, as in a URL, and so do
//! `%` itself and `\`. The way back is [`unescape`].

/// `bytes` as text: `/` and printable ASCII as they are, every other byte as `%XX`.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        match byte {
            b'%' | b'\\' => text.push_str(&format!("%{byte:02X}")),
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// The bytes that [`escape`] has made `text` of; `None` if it has not.
#[cfg(test)]
pub(crate) fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            _ => byte,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_byte_comes_back(bytes: Vec<u8>) {
            prop_assert_eq!(unescape(&escape(&bytes)), Some(bytes));
        }

        #[test]
        fn a_component_stays_one(bytes in proptest::collection::vec(any::<u8>(), 1..40)) {
            let component: Vec<u8> = bytes.into_iter().filter(|b| *b != b'/').collect();
            let text = escape(&component);
            prop_assert!(text.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'/' && b != b'\\'));
        }
    }
}
