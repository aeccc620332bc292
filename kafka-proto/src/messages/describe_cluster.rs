//! DescribeCluster (key 60): the cluster and its brokers or controllers (KIP-700).

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// What to tell.
    pub struct DescribeClusterRequest [0..=2] flexible [0..] {
        /// Whether to say what the caller may do with the cluster (KIP-430).
        include_cluster_authorized_operations: bool [0..],
        /// What to tell of: 1 brokers, 2 controllers (KIP-919).
        endpoint_type: i8 [1..] = 1,
        /// Whether to tell of brokers that are fenced, too (KIP-1073).
        include_fenced_brokers: bool [2..],
    }

    /// The cluster.
    pub struct DescribeClusterResponse [0..=2] flexible [0..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..] = None,
        /// What to tell of: 1 brokers, 2 controllers (KIP-919).
        endpoint_type: i8 [1..] = 1,
        /// The cluster's id, which its storage was formatted with.
        cluster_id: Text [0..],
        /// The broker that takes what is meant for the controller; -1 if it is not known.
        controller_id: i32 [0..] = -1,
        /// The brokers, or the controllers.
        brokers: Vec<DescribeClusterBroker> [0..],
        /// What the caller may do with the cluster, as a bit set; `i32::MIN` if it was not asked for (KIP-430).
        cluster_authorized_operations: i32 [0..] = i32::MIN,
    }

    /// One broker, or one controller.
    pub struct DescribeClusterBroker {
        /// The broker, by its `node.id`.
        broker_id: i32 [0..],
        /// The host name or address to connect to, as its listener advertises it (`advertised.listeners`).
        host: Text [0..],
        /// The port to connect to on that host.
        port: i32 [0..],
        /// Its rack; null if it names none.
        rack: Option<Text> [0..] = None,
        /// Whether it is fenced: it is known, and serves nothing (KIP-1073).
        is_fenced: bool [2..],
    }
}
