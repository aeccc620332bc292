//! WriteTxnMarkers (key 27): the coordinator has brokers mark the end of transactions in their logs (KIP-98).

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// The markers to write.
    pub struct WriteTxnMarkersRequest [1..=2] flexible [1..] {
        /// One entry for each transaction.
        markers: Vec<WritableTxnMarker> [0..],
    }

    /// The end of one transaction.
    pub struct WritableTxnMarker {
        /// The producer's id, as InitProducerId gave it (KIP-98).
        producer_id: i64 [0..],
        /// The producer's epoch: of two producers with one id, the one with the older epoch is fenced (KIP-98).
        producer_epoch: i16 [0..],
        /// Whether it was committed; else it was aborted.
        transaction_result: bool [0..],
        /// One entry for each topic.
        topics: Vec<WritableTxnMarkerTopic> [0..],
        /// The epoch of the transaction coordinator that wrote it.
        coordinator_epoch: i32 [0..],
        /// The version of the transaction protocol: from 2 on each transaction has an epoch of its own (KIP-890).
        transaction_version: i8 [2..] ignorable,
    }

    /// The partitions of one topic.
    pub struct WritableTxnMarkerTopic {
        /// The topic's name.
        name: Text [0..],
        /// The partitions, by their numbers, which count from 0 within a topic.
        partition_indexes: Vec<i32> [0..],
    }

    /// What was written.
    pub struct WriteTxnMarkersResponse [1..=2] flexible [1..] {
        /// One entry for each transaction.
        markers: Vec<WritableTxnMarkerResult> [0..],
    }

    /// One transaction.
    pub struct WritableTxnMarkerResult {
        /// The producer's id, as InitProducerId gave it (KIP-98).
        producer_id: i64 [0..],
        /// One entry for each topic.
        topics: Vec<WritableTxnMarkerTopicResult> [0..],
    }

    /// One topic.
    pub struct WritableTxnMarkerTopicResult {
        /// The topic's name, as in the request.
        name: Text [0..],
        /// One entry for each partition.
        partitions: Vec<WritableTxnMarkerPartitionResult> [0..],
    }

    /// One partition.
    pub struct WritableTxnMarkerPartitionResult {
        /// The partition's number.
        partition_index: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
    }
}
