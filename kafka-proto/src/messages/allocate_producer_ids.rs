//! AllocateProducerIds (key 67): the controller hands a broker a range of producer ids (KIP-730).

use super::ErrorCode;

message! {
    /// The broker.
    pub struct AllocateProducerIdsRequest [0..=0] flexible [0..] {
        /// The broker, by its `node.id`.
        broker_id: i32 [0..],
        /// The epoch the controller gave the broker when it registered.
        broker_epoch: i64 [0..] = -1,
    }

    /// The range.
    pub struct AllocateProducerIdsResponse [0..=0] flexible [0..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// The first id of the block, which the broker may hand out from now on.
        producer_id_start: i64 [0..],
        /// How many there are.
        producer_id_len: i32 [0..],
    }
}
