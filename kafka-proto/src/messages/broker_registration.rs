//! BrokerRegistration (key 62): a broker makes itself known to the controller (KIP-631).

use super::ErrorCode;
use crate::wire::{Text, Uuid};

message! {
    /// The broker.
    pub struct BrokerRegistrationRequest [0..=4] flexible [0..] {
        /// The broker, by its `node.id`.
        broker_id: i32 [0..],
        /// The cluster's id, which its storage was formatted with.
        cluster_id: Text [0..],
        /// An id of this run of the process.
        incarnation_id: Uuid [0..],
        /// Where it listens, one entry for each listener.
        listeners: Vec<Listener> [0..],
        /// The features it supports.
        features: Vec<Feature> [0..],
        /// The broker's rack; null if it has none.
        rack: Option<Text> [0..],
        /// Whether it is moving from ZooKeeper (KIP-866).
        is_migrating_zk_broker: bool [1..],
        /// The ids of the broker's log directories (KIP-858).
        log_dirs: Vec<Uuid> [2..] ignorable,
        /// The epoch before a clean stop; -1 if it did not stop cleanly (KIP-966).
        previous_broker_epoch: i64 [3..] ignorable = -1,
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
    pub struct BrokerRegistrationResponse [0..=4] flexible [0..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// The epoch it has from now on; -1 after an error.
        broker_epoch: i64 [0..] = -1,
    }
}
