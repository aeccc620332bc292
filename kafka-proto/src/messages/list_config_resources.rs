//! ListConfigResources (key 74): which resources have settings (KIP-1142).

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// Which to list.
    pub struct ListConfigResourcesRequest [0..=1] flexible [0..] {
        /// The types to list, numbered as in DescribeConfigs; empty lists all. Version 0 lists client metrics.
        resource_types: Vec<i8> [1..],
    }

    /// The resources.
    pub struct ListConfigResourcesResponse [0..=1] flexible [0..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// One entry for each resource.
        config_resources: Vec<ConfigResource> [0..],
    }

    /// One resource.
    pub struct ConfigResource {
        /// The resource's name; a broker's is its id in decimals, and empty stands for the default of all brokers.
        resource_name: Text [0..],
        /// The resource's type: 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group.
        resource_type: i8 [1..] ignorable = 16,
    }
}
