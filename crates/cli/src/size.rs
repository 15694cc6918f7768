//! Sizes.
#![allow(missing_docs, unused_variables)]
use std::ffi::OsStr;
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SizeError;
impl std::fmt::Display for SizeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { Ok(()) }
}
impl std::error::Error for SizeError {}
pub fn parse(text: &OsStr) -> Result<u64, SizeError> { Err(SizeError) }
pub fn human(bytes: u64) -> String { String::new() }
