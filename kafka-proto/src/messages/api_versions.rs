//! ApiVersions (key 18): what the broker speaks. The first request on every connection.

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// Who asks, and whom. A broker that does not know the version answers in version 0 with UNSUPPORTED_VERSION (KIP-511).
    pub struct ApiVersionsRequest [0..=5] flexible [3..] {
        /// The name of the client's software, matching `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?` (KIP-511).
        client_software_name: Text [3..] ignorable,
        /// The version of the client's software, of the same characters (KIP-511).
        client_software_version: Text [3..] ignorable,
        /// The cluster that the client means to talk to, by its id; null if it does not know it. A broker of another
        /// cluster answers REBOOTSTRAP_REQUIRED (KIP-1242).
        cluster_id: Option<Text> [5..] ignorable = None,
        /// The broker that the client means to talk to, by its `node.id`; -1 if it does not know it. Another broker
        /// answers REBOOTSTRAP_REQUIRED, and without `cluster_id` INVALID_REQUEST (KIP-1242).
        node_id: i32 [5..] ignorable = -1,
    }

    /// The APIs with their versions, and the cluster's features. Its header never has tagged fields.
    pub struct ApiVersionsResponse [0..=5] flexible [3..] {
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// The APIs that the broker offers.
        api_keys: Vec<ApiVersion> [0..],
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [1..] ignorable,
        /// The features that the broker supports (KIP-584).
        supported_features: Vec<SupportedFeatureKey> [3.., tag 0] ignorable,
        /// Counts the changes of the finalized features; -1 if it is not known (KIP-584).
        finalized_features_epoch: i64 [3.., tag 1] ignorable = -1,
        /// The feature levels that the whole cluster agreed on; only valid if their epoch is (KIP-584).
        finalized_features: Vec<FinalizedFeatureKey> [3.., tag 2] ignorable,
        /// Whether the controllers were ready to take over from ZooKeeper (KIP-866).
        zk_migration_ready: bool [3.., tag 3] ignorable,
    }

    /// The versions of one API.
    pub struct ApiVersion {
        /// The API's number.
        api_key: i16 [0..],
        /// The lowest version of this API that the broker accepts.
        min_version: i16 [0..],
        /// The highest version of this API that the broker accepts.
        max_version: i16 [0..],
    }

    /// A feature that the broker supports (KIP-584).
    pub struct SupportedFeatureKey {
        /// The feature's name, as `metadata.version`.
        name: Text [3..],
        /// The lowest level of the feature that the broker can run with.
        min_version: i16 [3..],
        /// The highest level of the feature that the broker can run with.
        max_version: i16 [3..],
    }

    /// A feature level that the cluster agreed on (KIP-584).
    pub struct FinalizedFeatureKey {
        /// The feature's name, as `metadata.version`.
        name: Text [3..],
        /// The highest level that all brokers of the cluster agreed on.
        max_version_level: i16 [3..],
        /// The lowest level that all brokers of the cluster agreed on.
        min_version_level: i16 [3..],
    }
}
