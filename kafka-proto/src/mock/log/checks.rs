//! What a topic asks of single records: keys where it is compacted, timestamps near the broker's clock (KIP-937).
//! Pure. A batch is looked into only where one of them may be missed.
use bytes::Bytes;

use crate::records::{Batch, Decompressor};

use super::{Header, Refusal, Terms};

/// A batch that inflates to more is refused.
const INFLATED_BYTES_MAX: usize = 100 << 20;

/// `message.timestamp.before.max.ms` and `message.timestamp.after.max.ms`, and the broker's clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timestamps {
    pub(crate) now_ms: i64,
    pub(crate) before_max_ms: Option<i64>,
    pub(crate) after_max_ms: Option<i64>,
}

impl Timestamps {
    /// -1 is no timestamp, which is always taken.
    fn takes(&self, timestamp: i64) -> bool {
        let ahead = timestamp.saturating_sub(self.now_ms);
        let behind = self.now_ms.saturating_sub(timestamp);
        timestamp == -1
            || (self.after_max_ms.is_none_or(|max| ahead <= max)
                && self.before_max_ms.is_none_or(|max| behind <= max))
    }

    fn may_refuse(&self, max_timestamp: i64) -> bool {
        !self.takes(max_timestamp) || self.before_max_ms.is_some_and(|max| max < i64::MAX)
    }
}

/// Records that were refused, by their place in the batch (KIP-467).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordErrors {
    /// A timestamp is among the reasons.
    pub(crate) timestamps: bool,
    pub(crate) errors: Vec<(i32, String)>,
}

/// Looks at the records of one producer's batch.
pub(super) fn check_records(bytes: &[u8], header: &Header, terms: &Terms) -> Result<(), Refusal> {
    let times = terms.log_append_time_ms.is_none();
    let times = times && terms.timestamps.may_refuse(header.max_timestamp);
    if !times && !terms.keys_needed {
        return Ok(());
    }
    let unreadable = |_| Refusal::Corrupt("the records of the batch cannot be read");
    let batch = Batch::new(Bytes::copy_from_slice(bytes)).map_err(unreadable)?;
    let mut decompressor = Decompressor::new(INFLATED_BYTES_MAX);
    let body = batch.uncompressed(&mut decompressor).map_err(unreadable)?;
    let mut refused = RecordErrors {
        timestamps: false,
        errors: Vec::new(),
    };
    for (record, index) in batch.records(body).zip(0..) {
        let record = record.map_err(unreadable)?;
        if terms.keys_needed && record.key.is_none() {
            let text = "Compacted topic cannot accept message without key.";
            refused.errors.push((index, text.to_owned()));
        } else if times && !terms.timestamps.takes(record.timestamp) {
            refused.timestamps = true;
            let text = format!(
                "Timestamp {} of message with offset {index} is out of range of the broker's clock ({}).",
                record.timestamp, terms.timestamps.now_ms
            );
            refused.errors.push((index, text));
        }
    }
    if refused.errors.is_empty() {
        return Ok(());
    }
    Err(Refusal::Records(refused))
}
