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
        maybe_written: bool,
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
            // The leader has it, only the others do not.
            maybe_written: matches!(
                code,
                ErrorCode::REQUEST_TIMED_OUT | ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND
            ),
        },
        _ => Verdict::Fail,
    }
}
