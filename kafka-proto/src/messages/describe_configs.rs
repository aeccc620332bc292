//! DescribeConfigs (key 32): reads the settings of topics, brokers and groups.

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// Which settings to read.
    pub struct DescribeConfigsRequest [1..=4] flexible [4..] {
        /// Whose settings.
        resources: Vec<DescribeConfigsResource> [0..],
        /// Whether to tell the settings that stand behind each, in the order they are looked up (KIP-226).
        include_synonyms: bool [1..],
        /// Whether to tell what each setting is for (KIP-569).
        include_documentation: bool [3..],
    }

    /// One topic, broker or group.
    pub struct DescribeConfigsResource {
        /// The resource's type: 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group.
        resource_type: i8 [0..],
        /// The resource's name; a broker's is its id in decimals, and empty stands for the default of all brokers.
        resource_name: Text [0..],
        /// The settings' names; null is all.
        configuration_keys: Option<Vec<Text>> [0..],
    }

    /// The settings.
    pub struct DescribeConfigsResponse [1..=4] flexible [4..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// One entry for each thing asked for.
        results: Vec<DescribeConfigsResult> [0..],
    }

    /// The settings of one resource.
    pub struct DescribeConfigsResult {
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..],
        /// The resource's type: 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group.
        resource_type: i8 [0..],
        /// The resource's name; a broker's is its id in decimals, and empty stands for the default of all brokers.
        resource_name: Text [0..],
        /// One entry for each setting.
        configs: Vec<DescribeConfigsResourceResult> [0..],
    }

    /// One setting.
    pub struct DescribeConfigsResourceResult {
        /// The setting's name, as `retention.ms`.
        name: Text [0..],
        /// Its value; null if it is secret.
        value: Option<Text> [0..],
        /// Whether it cannot be changed.
        read_only: bool [0..],
        /// Where the value comes from: 1 topic, 2 broker, 3 all brokers' default, 4 the broker's file, 5 Kafka's
        /// default, 6 broker logger, 7 client metrics, 8 group.
        config_source: i8 [1..] ignorable = -1,
        /// Whether the value is secret, and so not told.
        is_sensitive: bool [0..],
        /// The settings behind it, in the order they are looked up (KIP-226).
        synonyms: Vec<DescribeConfigsSynonym> [1..] ignorable,
        /// The type of its value: 1 boolean, 2 string, 3 int, 4 short, 5 long, 6 double, 7 list, 8 class, 9 password
        /// (KIP-569).
        config_type: i8 [3..] ignorable,
        /// What it is for (KIP-569); null if it was not asked for.
        documentation: Option<Text> [3..] ignorable,
    }

    /// A setting behind another (KIP-226).
    pub struct DescribeConfigsSynonym {
        /// The setting's name, as `retention.ms`.
        name: Text [1..],
        /// Its value; null if it is secret.
        value: Option<Text> [1..],
        /// Where the value comes from, numbered as `config_source`.
        source: i8 [1..],
    }
}
