//! AddPartitionsToTxn (key 24): announces partitions to a transaction, and lets brokers verify them (KIP-98, KIP-890).

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// The partitions. Clients send version 3 and below; the later ones are between brokers.
    pub struct AddPartitionsToTxnRequest [0..=5] flexible [3..] {
        /// One entry for each transaction (KIP-890).
        transactions: Vec<AddPartitionsToTxnTransaction> [4..],
        /// The producer's `transactional.id`.
        v3_and_below_transactional_id: Text [0..=3],
        /// The producer's id, as InitProducerId gave it (KIP-98).
        v3_and_below_producer_id: i64 [0..=3],
        /// The producer's epoch: of two producers with one id, the one with the older epoch is fenced (KIP-98).
        v3_and_below_producer_epoch: i16 [0..=3],
        /// The partitions that join the transaction.
        v3_and_below_topics: Vec<AddPartitionsToTxnTopic> [0..=3],
    }

    /// One transaction (KIP-890).
    pub struct AddPartitionsToTxnTransaction {
        /// The producer's `transactional.id`.
        transactional_id: Text [4..],
        /// The producer's id, as InitProducerId gave it (KIP-98).
        producer_id: i64 [4..],
        /// The producer's epoch: of two producers with one id, the one with the older epoch is fenced (KIP-98).
        producer_epoch: i16 [4..],
        /// Whether only to check that the partitions belong to it.
        verify_only: bool [4..],
        /// One entry for each topic.
        topics: Vec<AddPartitionsToTxnTopic> [4..],
    }

    /// Partitions of one topic.
    pub struct AddPartitionsToTxnTopic {
        /// The topic's name.
        name: Text [0..],
        /// The partitions, by their numbers, which count from 0 within a topic.
        partitions: Vec<i32> [0..],
    }

    /// What became of them.
    pub struct AddPartitionsToTxnResponse [0..=5] flexible [3..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [4..] ignorable,
        /// One entry for each transaction (KIP-890).
        results_by_transaction: Vec<AddPartitionsToTxnResult> [4..],
        /// One entry for each topic.
        results_by_topic_v3_and_below: Vec<AddPartitionsToTxnTopicResult> [0..=3],
    }

    /// One transaction (KIP-890).
    pub struct AddPartitionsToTxnResult {
        /// The producer's `transactional.id`.
        transactional_id: Text [4..],
        /// One entry for each topic.
        topic_results: Vec<AddPartitionsToTxnTopicResult> [4..],
    }

    /// One topic.
    pub struct AddPartitionsToTxnTopicResult {
        /// The topic's name, as in the request.
        name: Text [0..],
        /// One entry for each partition.
        results_by_partition: Vec<AddPartitionsToTxnPartitionResult> [0..],
    }

    /// One partition.
    pub struct AddPartitionsToTxnPartitionResult {
        /// The partition's number.
        partition_index: i32 [0..],
        /// Whether it joined, and if not, why.
        partition_error_code: ErrorCode [0..],
    }
}
