//! EndTxn (key 26): commits or aborts a transaction (KIP-98).

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// How the transaction ends.
    pub struct EndTxnRequest [0..=5] flexible [3..] {
        /// The producer's `transactional.id`.
        transactional_id: Text [0..],
        /// The producer's id, as InitProducerId gave it (KIP-98).
        producer_id: i64 [0..],
        /// The producer's epoch: of two producers with one id, the one with the older epoch is fenced (KIP-98).
        producer_epoch: i16 [0..],
        /// Whether it is committed; else it is aborted.
        committed: bool [0..],
    }

    /// Whether it ended; from version 5 on with the identity to go on with (KIP-890).
    pub struct EndTxnResponse [0..=5] flexible [3..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// The id for the next transaction; -1 keeps the old one (KIP-890).
        producer_id: i64 [5..] ignorable = -1,
        /// The epoch for the next transaction; -1 keeps the old one (KIP-890).
        producer_epoch: i16 [5..] ignorable = -1,
    }
}
