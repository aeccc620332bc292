//! A stream engine: the plan is an ordinary function over one batch of records.
#![forbid(unsafe_code)]

mod checkpoint;
mod runtime;

pub use runtime::{Config, Error};
