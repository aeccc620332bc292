//! api_versions

use super::ErrorCode;
use crate::wire::Text;

message! {
    pub struct ApiVersionsRequest [0..=4] flexible [3..] {
        client_software_name: Text [3..] ignorable,
        client_software_version: Text [3..] ignorable,
    }

    pub struct ApiVersionsResponse [0..=4] flexible [3..] {
        error_code: ErrorCode [0..],
        api_keys: Vec<ApiVersion> [0..],
        throttle_time_ms: i32 [1..] ignorable,
        supported_features: Vec<SupportedFeatureKey> [3.., tag 0] ignorable,
        finalized_features_epoch: i64 [3.., tag 1] ignorable = -1,
        finalized_features: Vec<FinalizedFeatureKey> [3.., tag 2] ignorable,
        zk_migration_ready: bool [3.., tag 3] ignorable,
    }

    pub struct ApiVersion {
        api_key: i16 [0..],
        min_version: i16 [0..],
        max_version: i16 [0..],
    }

    pub struct SupportedFeatureKey {
        name: Text [3..],
        min_version: i16 [3..],
        max_version: i16 [3..],
    }

    pub struct FinalizedFeatureKey {
        name: Text [3..],
        max_version_level: i16 [3..],
        min_version_level: i16 [3..],
    }
}
