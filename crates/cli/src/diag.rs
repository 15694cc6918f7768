//! Diagnostics.
#![allow(missing_docs, unused_variables)]
use std::ffi::OsStr;
pub fn report(tool: &str, message: impl std::fmt::Display) {}
pub fn usage(tool: &str, message: impl std::fmt::Display) {}
pub struct Name<'a>(&'a OsStr);
pub fn name<'a>(path: &'a (impl AsRef<OsStr> + ?Sized)) -> Name<'a> { Name(path.as_ref()) }
impl std::fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { write!(f, "{}", self.0.display()) }
}
pub fn system_text(error: &std::io::Error) -> String { error.to_string() }
