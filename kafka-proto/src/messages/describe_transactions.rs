//! DescribeTransactions (key 65): the state of transactions (KIP-664).

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// Which to tell about.
    pub struct DescribeTransactionsRequest [0..=0] flexible [0..] {
        /// The transactions to describe, each by the `transactional.id` of its producer.
        transactional_ids: Vec<Text> [0..],
    }

    /// The transactions.
    pub struct DescribeTransactionsResponse [0..=0] flexible [0..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// One entry for each transaction.
        transaction_states: Vec<TransactionState> [0..],
    }

    /// One transaction.
    pub struct TransactionState {
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// The producer's `transactional.id`.
        transactional_id: Text [0..],
        /// Its state, as `Ongoing`.
        transaction_state: Text [0..],
        /// After how long the coordinator aborts it, in milliseconds.
        transaction_timeout_ms: i32 [0..],
        /// When it began, in milliseconds since 1970; -1 if it has not.
        transaction_start_time_ms: i64 [0..],
        /// The producer's id, as InitProducerId gave it (KIP-98).
        producer_id: i64 [0..],
        /// The producer's epoch: of two producers with one id, the one with the older epoch is fenced (KIP-98).
        producer_epoch: i16 [0..],
        /// The partitions that belong to it.
        topics: Vec<TopicData> [0..],
    }

    /// Partitions of one topic.
    pub struct TopicData {
        /// The topic's name.
        topic: Text [0..],
        /// The partitions, by their numbers, which count from 0 within a topic.
        partitions: Vec<i32> [0..],
    }
}
