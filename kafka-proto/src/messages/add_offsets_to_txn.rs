//! AddOffsetsToTxn (key 25): announces a group's offsets to a transaction (KIP-98).

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// Whose offsets will be committed with the transaction.
    pub struct AddOffsetsToTxnRequest [0..=4] flexible [3..] {
        /// The producer's `transactional.id`.
        transactional_id: Text [0..],
        /// The producer's id, as InitProducerId gave it (KIP-98).
        producer_id: i64 [0..],
        /// The producer's epoch: of two producers with one id, the one with the older epoch is fenced (KIP-98).
        producer_epoch: i16 [0..],
        /// The group whose offsets the transaction will commit, by its `group.id`.
        group_id: Text [0..],
    }

    /// Whether they may.
    pub struct AddOffsetsToTxnResponse [0..=4] flexible [3..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
    }
}
