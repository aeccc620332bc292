//! SIGTERM and Ctrl-C, turned into one future.

pub use engine::stop_requested as requested;
