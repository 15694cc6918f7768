//! The surface that all tools share: diagnostics, sizes, progress, signals, checked output, JSON paths.
//!
//! Nothing here knows about blocks, devices or what a tool does.

pub mod diag;
mod early;
pub mod json;
pub mod output;
pub mod progress;
pub mod signal;
pub mod size;
