//! incremental_alter_configs

use super::ErrorCode;
use crate::wire::Text;

message! {
    pub struct IncrementalAlterConfigsRequest [0..=1] flexible [1..] {
        resources: Vec<AlterConfigsResource> [0..],
        validate_only: bool [0..],
    }

    pub struct AlterConfigsResource {
        resource_type: i8 [0..],
        resource_name: Text [0..],
        configs: Vec<AlterableConfig> [0..],
    }

    pub struct AlterableConfig {
        name: Text [0..],
        config_operation: i8 [0..],
        value: Option<Text> [0..],
    }

    pub struct IncrementalAlterConfigsResponse [0..=1] flexible [1..] {
        throttle_time_ms: i32 [0..],
        responses: Vec<AlterConfigsResourceResponse> [0..],
    }

    pub struct AlterConfigsResourceResponse {
        error_code: ErrorCode [0..],
        error_message: Option<Text> [0..],
        resource_type: i8 [0..],
        resource_name: Text [0..],
    }
}
