//! A stream engine: the plan is an ordinary function over one batch of records.
#![forbid(unsafe_code)]
