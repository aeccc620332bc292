//! PushTelemetry (key 72): hands the broker the client's metrics (KIP-714).

use bytes::Bytes;

use super::ErrorCode;
use crate::wire::Uuid;

message! {
    /// The metrics.
    pub struct PushTelemetryRequest [0..=0] flexible [0..] {
        /// The client instance, by the id that GetTelemetrySubscriptions gave it (KIP-714).
        client_instance_id: Uuid [0..],
        /// Names this set of metrics: it changes when the set does.
        subscription_id: i32 [0..],
        /// Whether this is the last push before the client ends.
        terminating: bool [0..],
        /// The codec: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
        compression_type: i8 [0..],
        /// The metrics in OpenTelemetry's format, compressed.
        metrics: Bytes [0..],
    }

    /// Whether they were taken.
    pub struct PushTelemetryResponse [0..=0] flexible [0..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
    }
}
