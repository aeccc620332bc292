//! ControllerRegistration (key 70): a controller makes itself known to the active one (KIP-919).

use super::ErrorCode;
use crate::wire::{Text, Uuid};

message! {
    /// The controller.
    pub struct ControllerRegistrationRequest [0..=0] flexible [0..] {
        /// The controller, by its `node.id`.
        controller_id: i32 [0..],
        /// An id of this run of the process.
        incarnation_id: Uuid [0..],
        /// Whether it was ready to take over from ZooKeeper (KIP-866).
        zk_migration_ready: bool [0..],
        /// Where it listens, one entry for each listener.
        listeners: Vec<Listener> [0..],
        /// The features it supports.
        features: Vec<Feature> [0..],
    }

    /// A listener.
    pub struct Listener {
        /// The listener's name.
        name: Text [0..],
        /// The host name or address to connect to, as its listener advertises it (`advertised.listeners`).
        host: Text [0..],
        /// The port to connect to on that host.
        port: u16 [0..],
        /// The listener's security protocol: 0 plaintext, 1 SSL, 2 SASL over plaintext, 3 SASL over SSL.
        security_protocol: i16 [0..],
    }

    /// A feature it supports.
    pub struct Feature {
        /// The feature's name, as `metadata.version`.
        name: Text [0..],
        /// The lowest level of the feature that this node can run with.
        min_supported_version: i16 [0..],
        /// The highest level of the feature that this node can run with.
        max_supported_version: i16 [0..],
    }

    /// Whether it is registered.
    pub struct ControllerRegistrationResponse [0..=0] flexible [0..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..],
    }
}
