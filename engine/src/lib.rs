//! A stream engine: the plan is an ordinary function over one batch of records.
#![forbid(unsafe_code)]

pub mod batch;
pub mod checkpoint;
pub mod connectors;
pub mod flow;
pub mod formats;
pub mod inspect;
pub mod operators;
pub mod plan;
mod runtime;
pub mod state;
pub mod testing;

pub use runtime::{Config, Error};
