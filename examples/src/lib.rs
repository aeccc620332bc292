//! What the example programs share: the command line, statistics, sample data, and what a person sees while they run.
//! The programs themselves are in `src/bin`, one screen each.
#![forbid(unsafe_code)]

pub mod chart;
pub mod cli;
pub mod demo;
pub mod lines;
pub mod numbers;
pub mod perf;
pub mod run;
pub mod sample;
pub mod screen;
pub mod stats;
pub mod stop;
pub mod verifiable;

/// The programs in the README compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
