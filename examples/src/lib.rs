//! What the example programs share: flags, sample data, progress, statistics.
#![forbid(unsafe_code)]
