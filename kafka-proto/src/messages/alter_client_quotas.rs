//! AlterClientQuotas (key 49): changes quotas (KIP-546).

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// The changes.
    pub struct AlterClientQuotasRequest [0..=1] flexible [1..] {
        /// One entry for each entity.
        entries: Vec<RequestEntryData> [0..],
        /// Whether only to check the request and change nothing.
        validate_only: bool [0..],
    }

    /// The changes for one entity.
    pub struct RequestEntryData {
        /// What the entity is made of.
        entity: Vec<EntityData> [0..],
        /// Which quotas to set or to remove.
        ops: Vec<OpData> [0..],
    }

    /// A component of an entity.
    pub struct EntityData {
        /// The component's type: `user`, `client-id` or `ip`.
        entity_type: Text [0..],
        /// The component's name; null is the default of its type.
        entity_name: Option<Text> [0..],
    }

    /// One change.
    pub struct OpData {
        /// The quota, as `producer_byte_rate`.
        key: Text [0..],
        /// What the quota allows: bytes or mutations a second, or a share of request time in percent, by its key
        /// (KIP-546).
        value: f64 [0..],
        /// Whether to remove it; else it is set.
        remove: bool [0..],
    }

    /// What became of them.
    pub struct AlterClientQuotasResponse [0..=1] flexible [1..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// One entry for each entity.
        entries: Vec<ResponseEntryData> [0..],
    }

    /// One entity.
    pub struct ResponseEntryData {
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..],
        /// What the entity is made of.
        entity: Vec<EntityData> [0..],
    }
}
