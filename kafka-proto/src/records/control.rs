//! Control batches: markers that brokers write among the records, never meant for applications.
//!
//! The key says the kind (`version: i16, type: i16`), the value depends on it. Kinds that nobody knows yet are skipped, and a later
//! version of a known key is still that kind.

use bytes::Bytes;

use super::{
    batch::{Batch, i16_at, i32_at},
    builder::{BatchBuilder, Placement, Stamp},
    compression::{Compression, Decompressor},
    error::RecordError,
};

/// A marker has some bytes; whoever compresses megabytes into one is up to no good.
const LARGEST_CONTROL_BODY: usize = 64 * 1024;

/// What a control record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlType {
    /// The producer's transaction was aborted: its records before this are void.
    Abort,
    /// The producer's transaction was committed.
    Commit,
    /// The KRaft quorum has another leader.
    LeaderChange,
    /// A KRaft snapshot begins.
    SnapshotHeader,
    /// A KRaft snapshot ends.
    SnapshotFooter,
    /// The KRaft protocol's version.
    KraftVersion,
    /// The voters of the KRaft quorum.
    KraftVoters,
    /// A kind of a later version: to be skipped.
    Unknown(i16),
}

impl ControlType {
    /// The number in the key.
    pub const fn id(self) -> i16 {
        match self {
            Self::Abort => 0,
            Self::Commit => 1,
            Self::LeaderChange => 2,
            Self::SnapshotHeader => 3,
            Self::SnapshotFooter => 4,
            Self::KraftVersion => 5,
            Self::KraftVoters => 6,
            Self::Unknown(id) => id,
        }
    }

    /// The kind with this number.
    pub const fn from_id(id: i16) -> Self {
        match id {
            0 => Self::Abort,
            1 => Self::Commit,
            2 => Self::LeaderChange,
            3 => Self::SnapshotHeader,
            4 => Self::SnapshotFooter,
            5 => Self::KraftVersion,
            6 => Self::KraftVoters,
            id => Self::Unknown(id),
        }
    }

    /// Reads the key of a control record: `None` if it is too short or its version is negative.
    pub fn from_key(key: &[u8]) -> Option<Self> {
        (key.len() >= 4 && i16_at(key, 0) >= 0).then(|| Self::from_id(i16_at(key, 2)))
    }

    /// The key of a control record of this kind.
    pub const fn to_key(self) -> [u8; 4] {
        let [high, low] = self.id().to_be_bytes();
        [0, 0, high, low]
    }
}

/// The value of a control record that ends a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndTxnMarker {
    /// Epoch of the transaction coordinator that wrote it: an older coordinator's marker is fenced by it.
    pub coordinator_epoch: i32,
}

impl EndTxnMarker {
    /// Reads the value of a control record of kind commit or abort: `None` if it is too short.
    pub fn from_value(value: &[u8]) -> Option<Self> {
        (value.len() >= 6 && i16_at(value, 0) >= 0).then(|| Self {
            coordinator_epoch: i32_at(value, 2),
        })
    }

    /// The value of a control record.
    pub const fn to_value(self) -> [u8; 6] {
        let [a, b, c, d] = self.coordinator_epoch.to_be_bytes();
        [0, 0, a, b, c, d]
    }
}

/// Builds the marker batch that a coordinator writes into a partition at the end of a transaction.
pub fn end_txn_batch(
    kind: ControlType,
    marker: EndTxnMarker,
    producer_id: i64,
    producer_epoch: i16,
    timestamp: i64,
    placement: Placement,
) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::NONE, 128);
    let stamp = Stamp {
        producer_id,
        producer_epoch,
        base_sequence: -1,
        transactional: true,
    };
    builder
        .append(
            timestamp,
            Some(&kind.to_key()),
            Some(&marker.to_value()),
            &[],
        )
        .expect("a marker fits into any batch");
    builder
        .finish_at(
            stamp,
            Placement {
                control: true,
                ..placement
            },
        )
        .expect("nothing is compressed")
}

pub(crate) fn control_type(batch: &Batch) -> Result<Option<ControlType>, RecordError> {
    let mut decompressor = Decompressor::new(LARGEST_CONTROL_BODY);
    let body = batch.uncompressed(&mut decompressor)?;
    let Some(record) = batch.records(body).next().transpose()? else {
        return Ok(None);
    };
    let malformed = |what| RecordError::Control {
        base_offset: batch.base_offset(),
        what,
    };
    let key = record
        .key
        .ok_or_else(|| malformed("its record has no key"))?;
    ControlType::from_key(key)
        .map(Some)
        .ok_or_else(|| malformed("its key is too short or has a negative version"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_a_version_below_0_is_no_key() {
        assert_eq!(
            ControlType::from_key(&[0, 0, 0, 1]),
            Some(ControlType::Commit)
        );
        assert_eq!(
            ControlType::from_key(&[0, 9, 0, 1]),
            Some(ControlType::Commit)
        );
        assert_eq!(ControlType::from_key(&[0xff, 0xff, 0, 1]), None);
        assert_eq!(ControlType::from_key(&[0x80, 0, 0, 1]), None);
    }
}
