//! The engine on a real Apache Kafka: time, state, sources and sinks, each against a truth that is computed apart from it. All tests share
//! one broker; each has topics, an application and a folder of its own name.
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod broker;
mod enrich;
#[path = "../support/running.rs"]
mod running;
mod sinks;
mod sources;
mod state;
mod time;
mod two_topics;
mod windows;

use std::collections::BTreeMap;
use std::time::Duration;

use broker::{Job, Transaction};
use engine::plan::Scope;
use running::{run, run_until, until};
use test_support::require_kafka;
