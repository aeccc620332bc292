//! IncrementalAlterConfigs (key 44): changes single settings of resources (KIP-339).

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// The changes.
    pub struct IncrementalAlterConfigsRequest [0..=1] flexible [1..] {
        /// Whose settings.
        resources: Vec<AlterConfigsResource> [0..],
        /// Whether only to check the request and change nothing.
        validate_only: bool [0..],
    }

    /// The settings of one resource.
    pub struct AlterConfigsResource {
        /// The resource's type: 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group.
        resource_type: i8 [0..],
        /// The resource's name; a broker's is its id in decimals, and empty stands for the default of all brokers.
        resource_name: Text [0..],
        /// One entry for each setting.
        configs: Vec<AlterableConfig> [0..],
    }

    /// One setting.
    pub struct AlterableConfig {
        /// The setting's name, as `retention.ms`.
        name: Text [0..],
        /// What to do: 0 set, 1 delete, 2 append to a list, 3 remove from a list.
        config_operation: i8 [0..],
        /// Its value; null takes the default.
        value: Option<Text> [0..],
    }

    /// What became of them.
    pub struct IncrementalAlterConfigsResponse [0..=1] flexible [1..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// One entry for each resource.
        responses: Vec<AlterConfigsResourceResponse> [0..],
    }

    /// One resource.
    pub struct AlterConfigsResourceResponse {
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..],
        /// The resource's type: 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group.
        resource_type: i8 [0..],
        /// The resource's name; a broker's is its id in decimals, and empty stands for the default of all brokers.
        resource_name: Text [0..],
    }
}
