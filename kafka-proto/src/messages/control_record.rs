//! What control records hold that end transactions: the kind in the key, and the marker in the value (KIP-98).

message! {
    /// The key of a control record, behind two bytes of version.
    pub struct ControlRecordTypeSchema [0..=0] {
        /// 0 abort, 1 commit, 2 leader change, 3 snapshot header, 4 snapshot footer, 5 KRaft version, 6 KRaft voters.
        r#type: i16 [0..],
    }

    /// The value of a control record that ends a transaction (KIP-98).
    pub struct EndTxnMarker [0..=0] {
        /// The epoch of the transaction coordinator that wrote it.
        coordinator_epoch: i32 [0..],
    }
}
