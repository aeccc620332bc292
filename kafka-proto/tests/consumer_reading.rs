//! A fetcher against the in-process cluster with scripted faults: nothing is lost, delivered twice or skipped in silence.
#![cfg(all(feature = "client", feature = "mock", feature = "compression"))]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[path = "consumer_reading/answers.rs"]
mod answers;
#[path = "consumer_reading/dropping.rs"]
mod dropping;
#[path = "consumer_reading/faults.rs"]
mod faults;
#[path = "consumer_reading/interfaces.rs"]
mod interfaces;
#[path = "consumer_reading/limits.rs"]
mod limits;
#[path = "support/lines.rs"]
mod lines;
#[path = "consumer_reading/log.rs"]
mod log;
#[path = "consumer_reading/patterns.rs"]
mod patterns;
#[path = "support/peer.rs"]
mod peer;
#[path = "support/rig.rs"]
mod rig;
