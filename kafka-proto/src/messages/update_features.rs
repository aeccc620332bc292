//! UpdateFeatures (key 57): raises and lowers feature levels of the cluster (KIP-584).

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// The changes.
    pub struct UpdateFeaturesRequest [0..=2] flexible [0..] {
        /// How long the broker may take before it answers that the time is up, in milliseconds.
        timeout_ms: i32 [0..] = 60000,
        /// One entry for each feature.
        feature_updates: Vec<FeatureUpdateKey> [0..],
        /// Whether only to check the request and change nothing.
        validate_only: bool [1..],
    }

    /// One feature.
    pub struct FeatureUpdateKey {
        /// The feature's name, as `metadata.version`.
        feature: Text [0..],
        /// The new level; below 1 deletes the feature.
        max_version_level: i16 [0..],
        /// Whether the level may be lowered.
        allow_downgrade: bool [0..=0],
        /// 1 only raises, 2 lowers where that loses nothing, 3 lowers in any case.
        upgrade_type: i8 [1..] = 1,
    }

    /// What became of them.
    pub struct UpdateFeaturesResponse [0..=2] flexible [0..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// What went wrong with the request as a whole.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..],
        /// One entry for each feature.
        results: Vec<UpdatableFeatureResult> [0..=1] ignorable,
    }

    /// One feature.
    pub struct UpdatableFeatureResult {
        /// The feature's name, as `metadata.version`.
        feature: Text [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..],
    }
}
