//! ListTransactions (key 66): the transactions that this broker coordinates (KIP-664).

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// Which to list.
    pub struct ListTransactionsRequest [0..=2] flexible [0..] {
        /// The states to list; empty lists all.
        state_filters: Vec<Text> [0..],
        /// The producers whose to list; empty lists all.
        producer_id_filters: Vec<i64> [0..],
        /// Lists those that run for at least so long, in milliseconds; -1 lists all (KIP-994).
        duration_filter: i64 [1..] = -1,
        /// The pattern that the transactional id must match; null lists all (KIP-1152).
        transactional_id_pattern: Option<Text> [2..] = None,
    }

    /// The transactions.
    pub struct ListTransactionsResponse [0..=2] flexible [0..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// The states asked for that do not exist.
        unknown_state_filters: Vec<Text> [0..],
        /// One entry for each transaction.
        transaction_states: Vec<TransactionState> [0..],
    }

    /// One transaction.
    pub struct TransactionState {
        /// The producer's `transactional.id`.
        transactional_id: Text [0..],
        /// The producer's id, as InitProducerId gave it (KIP-98).
        producer_id: i64 [0..],
        /// Its state, as `Ongoing`.
        transaction_state: Text [0..],
    }
}
