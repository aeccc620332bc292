//! GetTelemetrySubscriptions (key 71): which metrics the broker wants from this client (KIP-714).

use super::ErrorCode;
use crate::wire::{Text, Uuid};

message! {
    /// The client.
    pub struct GetTelemetrySubscriptionsRequest [0..=0] flexible [0..] {
        /// The client's id; zero asks for a new one.
        client_instance_id: Uuid [0..],
    }

    /// What to push, and how often.
    pub struct GetTelemetrySubscriptionsResponse [0..=0] flexible [0..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// The client instance, by the id that GetTelemetrySubscriptions gave it; zeros ask for one (KIP-714).
        client_instance_id: Uuid [0..],
        /// Names this set of metrics: it changes when the set does.
        subscription_id: i32 [0..],
        /// The codecs the broker takes, the best first: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
        accepted_compression_types: Vec<i8> [0..],
        /// How long between pushes, in milliseconds.
        push_interval_ms: i32 [0..],
        /// The most bytes of one push.
        telemetry_max_bytes: i32 [0..],
        /// Whether counters are pushed as differences; else as totals.
        delta_temporality: bool [0..],
        /// Prefixes of the metrics' names; empty is none, one empty prefix is all.
        requested_metrics: Vec<Text> [0..],
    }
}
