//! What tests and benchmarks share. Not part of any product: the one crate with `unsafe`, for its counting allocator.
