//! The control records that a snapshot of the cluster's metadata begins and ends with (KIP-630).

message! {
    /// The first record of a metadata snapshot (KIP-630).
    pub struct SnapshotHeaderRecord [0..=0] flexible [0..] {
        /// The version in which the record was written; it is the version of this structure.
        version: i16 [0..],
        /// The time of the last record it covers, in milliseconds since 1970.
        last_contained_log_timestamp: i64 [0..],
    }

    /// The last record of a metadata snapshot (KIP-630).
    pub struct SnapshotFooterRecord [0..=0] flexible [0..] {
        /// The version in which the record was written; it is the version of this structure.
        version: i16 [0..],
    }
}
