//! What an error code of a Produce response means for the batch.

use crate::messages::ErrorCode;

/// What an error code means for the batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is in the log since an earlier attempt.
    Duplicate,
    /// The broker misses a sequence before this one.
    Gap,
    /// The broker knows a younger epoch of this producer, or nothing fitting: a new id is needed.
    Stale,
    Retry {
        refresh: bool,
    },
    /// It is larger than the topic allows, and was not written.
    Split,
    Fail,
}

pub(super) fn verdict(code: ErrorCode, idempotent: bool) -> Verdict {
    match code {
        ErrorCode::DUPLICATE_SEQUENCE_NUMBER => Verdict::Duplicate,
        ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER | ErrorCode::UNKNOWN_PRODUCER_ID if idempotent => {
            Verdict::Gap
        }
        ErrorCode::INVALID_PRODUCER_EPOCH if idempotent => Verdict::Stale,
        ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::RECORD_LIST_TOO_LARGE => Verdict::Split,
        code if code.is_retriable() => Verdict::Retry {
            refresh: code.refreshes_metadata(),
        },
        _ => Verdict::Fail,
    }
}

/// Whether a refusal proves that the batch is not in the log. A broker checks these before it appends; all others it may answer behind that: a leader
/// that is replaced while it waits for its replicas answers NOT_LEADER_OR_FOLLOWER or UNKNOWN_TOPIC_OR_PARTITION (`DelayedProduce`),
/// and UNKNOWN_SERVER_ERROR may come from anywhere.
pub(super) fn proves_unwritten(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::CORRUPT_MESSAGE
            | ErrorCode::MESSAGE_TOO_LARGE
            | ErrorCode::RECORD_LIST_TOO_LARGE
            | ErrorCode::INVALID_TOPIC_EXCEPTION
            | ErrorCode::NOT_ENOUGH_REPLICAS
            | ErrorCode::INVALID_REQUIRED_ACKS
            | ErrorCode::INVALID_TIMESTAMP
            | ErrorCode::INVALID_RECORD
            | ErrorCode::INVALID_REQUEST
            | ErrorCode::INVALID_CONFIG
            | ErrorCode::UNSUPPORTED_VERSION
            | ErrorCode::UNSUPPORTED_FOR_MESSAGE_FORMAT
            | ErrorCode::UNSUPPORTED_COMPRESSION_TYPE
            | ErrorCode::POLICY_VIOLATION
            | ErrorCode::TOPIC_AUTHORIZATION_FAILED
            | ErrorCode::CLUSTER_AUTHORIZATION_FAILED
            | ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED
            | ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER
            | ErrorCode::UNKNOWN_PRODUCER_ID
            | ErrorCode::INVALID_PRODUCER_EPOCH
            | ErrorCode::PRODUCER_FENCED
            | ErrorCode::INVALID_PRODUCER_ID_MAPPING
            | ErrorCode::INVALID_TXN_STATE
            | ErrorCode::CONCURRENT_TRANSACTIONS
            | ErrorCode::TRANSACTION_ABORTABLE
            | ErrorCode::UNKNOWN_TOPIC_ID
            | ErrorCode::INCONSISTENT_TOPIC_ID
    )
}
