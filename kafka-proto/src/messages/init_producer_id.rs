//! InitProducerId (key 22): gives a producer its id and epoch (KIP-98).

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// Who wants to produce. Version 6 (KIP-939) is not stable: it is read and written here, and never negotiated.
    pub struct InitProducerIdRequest [0..=6, unstable 6] flexible [2..] {
        /// The producer's `transactional.id`; null for one that is only idempotent.
        transactional_id: Option<Text> [0..],
        /// After how long the coordinator aborts a transaction that is still open, in milliseconds.
        transaction_timeout_ms: i32 [0..],
        /// The id the producer has, to have its epoch raised; -1 for a new one (KIP-360).
        producer_id: i64 [3..] = -1,
        /// The epoch the producer has; -1 for a new one (KIP-360).
        producer_epoch: i16 [3..] = -1,
        /// Whether the producer takes part in two-phase commits of others (KIP-939).
        enable2_pc: bool [6..],
        /// Whether to keep a prepared transaction instead of aborting it (KIP-939).
        keep_prepared_txn: bool [6..],
    }

    /// The producer's identity.
    pub struct InitProducerIdResponse [0..=6] flexible [2..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..] ignorable,
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// The producer's id; -1 after an error.
        producer_id: i64 [0..] = -1,
        /// The epoch to put into batches and requests from now on: producers with an older one are fenced (KIP-98).
        producer_epoch: i16 [0..],
        /// The producer id of the transaction that was kept; -1 if there is none (KIP-939).
        ongoing_txn_producer_id: i64 [6..] = -1,
        /// The epoch of the transaction that was kept; -1 if there is none (KIP-939).
        ongoing_txn_producer_epoch: i16 [6..] = -1,
    }
}
