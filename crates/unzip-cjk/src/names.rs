//! Names of entries, decoded.
