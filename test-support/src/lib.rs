//! What tests and benchmarks share. Not part of any product: the one crate with `unsafe`, for its counting allocator.
#![deny(unsafe_code)]

pub mod alloc;
pub mod cpu;
pub mod kafka;
pub mod measure;
pub mod random;

pub use alloc::CountingAllocator;
pub use random::{SplitMix64, Zipf};
