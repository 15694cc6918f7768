//! The surface that all tools share: diagnostics, sizes, progress, signals, checked output, paths in JSON.
//!
//! Nothing here knows about blocks or devices, or decides what a tool does. `main` of a tool calls
//! [`signal::start`] first (or [`signal::default_sigpipe`], or both), says what went wrong through
//! [`diag`] only, and writes its data through [`output::Output`] only.

pub mod diag;
pub mod input;
pub mod json;
mod line;
pub mod locale;
pub mod output;
mod process;
pub mod progress;
pub mod quote;
pub mod signal;
pub mod size;
