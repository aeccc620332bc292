//! DescribeClientQuotas (key 48): reads quotas (KIP-546).

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// Which quotas to read.
    pub struct DescribeClientQuotasRequest [0..=1] flexible [1..] {
        /// What their entities must have; all of it.
        components: Vec<ComponentData> [0..],
        /// Whether entities with more than these components are left out.
        strict: bool [0..],
    }

    /// One component of an entity to match.
    pub struct ComponentData {
        /// The component's type: `user`, `client-id` or `ip`.
        entity_type: Text [0..],
        /// How to match: 0 exactly `match`, 1 the default, 2 any name.
        match_type: i8 [0..],
        /// The name to match; null where none is.
        r#match: Option<Text> [0..],
    }

    /// The quotas.
    pub struct DescribeClientQuotasResponse [0..=1] flexible [1..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..],
        /// One entry for each entity.
        entries: Option<Vec<EntryData>> [0..],
    }

    /// The quotas of one entity.
    pub struct EntryData {
        /// What the entity is made of.
        entity: Vec<EntityData> [0..],
        /// The quotas that are set for this entity.
        values: Vec<ValueData> [0..],
    }

    /// A component of an entity.
    pub struct EntityData {
        /// The component's type: `user`, `client-id` or `ip`.
        entity_type: Text [0..],
        /// The component's name; null is the default of its type.
        entity_name: Option<Text> [0..],
    }

    /// One quota.
    pub struct ValueData {
        /// The quota, as `producer_byte_rate`.
        key: Text [0..],
        /// What the quota allows: bytes or mutations a second, or a share of request time in percent, by its key
        /// (KIP-546).
        value: f64 [0..],
    }
}
