//! Fetch (key 1): reads record batches from partitions, for consumers and for followers.

use super::ErrorCode;
use crate::wire::{Records, Text, Uuid};

message! {
    /// Which partitions to read from where, and how much. Within a session (KIP-227) only what changed is named.
    pub struct FetchRequest [4..=18] flexible [12..] {
        /// The cluster's id, if the sender knows it: the broker refuses another one (KIP-595).
        cluster_id: Option<Text> [12.., tag 0] ignorable = None,
        /// The follower's broker id; -1 for a consumer. From version 15 on it stands in `replica_state`.
        replica_id: i32 [0..=14] = -1,
        /// The follower that fetches; at its default for a consumer (KIP-903).
        replica_state: ReplicaState [15.., tag 1],
        /// How long the broker may wait for `min_bytes` to arrive, in milliseconds.
        max_wait_ms: i32 [0..],
        /// The least bytes worth an answer before `max_wait_ms` is over.
        min_bytes: i32 [0..],
        /// The most bytes of the answer. A first batch that is larger is still returned, so that there is progress
        /// (KIP-74).
        max_bytes: i32 [3..] ignorable = i32::MAX,
        /// 0 reads everything below the high watermark, 1 only up to the last stable offset, with a list of what was
        /// aborted (KIP-98).
        isolation_level: i8 [4..] ignorable,
        /// The fetch session; 0 outside of one, or to begin one (KIP-227).
        session_id: i32 [7..] ignorable,
        /// Counts the requests of the session: 0 begins one, -1 does without (KIP-227).
        session_epoch: i32 [7..] ignorable = -1,
        /// What to read. Within a session, only the partitions that are new or have changed.
        topics: Vec<FetchTopic> [0..],
        /// The partitions that leave the session (KIP-227).
        forgotten_topics_data: Vec<ForgottenTopic> [7..],
        /// The consumer's rack, so that a replica nearby may serve it (KIP-392).
        rack_id: Text [11..] ignorable,
    }

    /// A follower that fetches (KIP-903).
    pub struct ReplicaState {
        /// The follower's broker id; -1 for a consumer.
        replica_id: i32 [15..] = -1,
        /// The follower's broker epoch; -1 for none.
        replica_epoch: i64 [15..] = -1,
    }

    /// One topic to read.
    pub struct FetchTopic {
        /// The topic's name; from version 13 on its id stands here instead (KIP-516).
        topic: Text [0..=12] ignorable,
        /// The topic's id, which no later topic of the same name shares (KIP-516).
        topic_id: Uuid [13..] ignorable,
        /// One entry for each partition.
        partitions: Vec<FetchPartition> [0..],
    }

    /// One partition to read.
    pub struct FetchPartition {
        /// The partition's number.
        partition: i32 [0..],
        /// The leader epoch the sender believes in: a broker with another one refuses. -1 asks for no such check
        /// (KIP-320).
        current_leader_epoch: i32 [9..] ignorable = -1,
        /// The offset to read from.
        fetch_offset: i64 [0..],
        /// The epoch of the last record read; -1 if there is none. With it the leader notices that the logs have
        /// diverged (KIP-595).
        last_fetched_epoch: i32 [12..] = -1,
        /// The follower's first offset; -1 for a consumer (KIP-107).
        log_start_offset: i64 [5..] ignorable = -1,
        /// The most bytes of this partition; a first batch that is larger is still returned.
        partition_max_bytes: i32 [0..],
        /// The id of the directory that holds the replica's log (KIP-853).
        replica_directory_id: Uuid [17.., tag 0] ignorable,
        /// The high watermark that the follower knows, so that the leader answers early when it moves (KIP-1166).
        high_watermark: i64 [18.., tag 1] ignorable = i64::MAX,
    }

    /// Partitions of a topic that leave the session.
    pub struct ForgottenTopic {
        /// The topic's name; from version 13 on its id stands here instead (KIP-516).
        topic: Text [7..=12] ignorable,
        /// The topic's id, which no later topic of the same name shares (KIP-516).
        topic_id: Uuid [13..] ignorable,
        /// The numbers of the partitions that leave the session.
        partitions: Vec<i32> [7..],
    }

    /// The records read. Within a session, only partitions that have something to say.
    pub struct FetchResponse [4..=18] flexible [12..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [1..] ignorable,
        /// What went wrong with the request as a whole, sessions above all (KIP-227).
        error_code: ErrorCode [7..] ignorable,
        /// The session to name in the next request; 0 if the broker keeps none (KIP-227).
        session_id: i32 [7..],
        /// One entry for each topic of the request.
        responses: Vec<FetchableTopicResponse> [0..],
        /// Where the leaders named in this response listen, so that no metadata need be fetched (KIP-951).
        node_endpoints: Vec<NodeEndpoint> [16.., tag 0],
    }

    /// The records of one topic.
    pub struct FetchableTopicResponse {
        /// The topic's name; from version 13 on its id stands here instead (KIP-516).
        topic: Text [0..=12] ignorable,
        /// The topic's id, which no later topic of the same name shares (KIP-516).
        topic_id: Uuid [13..] ignorable,
        /// One entry for each partition.
        partitions: Vec<PartitionData> [0..],
    }

    /// The records of one partition.
    pub struct PartitionData {
        /// The partition's number.
        partition_index: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// The offset up to which all replicas in sync have the log: consumers see nothing behind it.
        high_watermark: i64 [0..],
        /// The offset up to which every transaction is decided; -1 if it was not asked for (KIP-98).
        last_stable_offset: i64 [4..] ignorable = -1,
        /// The first offset of the partition's log; -1 if it is not known (KIP-107).
        log_start_offset: i64 [5..] ignorable = -1,
        /// Where the fetcher's log and the leader's part, if they do (KIP-595).
        diverging_epoch: EpochEndOffset [12.., tag 0],
        /// The partition's leader as far as this broker knows (KIP-595, KIP-951).
        current_leader: LeaderIdAndEpoch [12.., tag 1],
        /// The snapshot to fetch instead, because the log no longer reaches back so far (KIP-630).
        snapshot_id: SnapshotId [12.., tag 2],
        /// The transactions in these records that were aborted; null under isolation level 0 (KIP-98).
        aborted_transactions: Option<Vec<AbortedTransaction>> [4..] ignorable,
        /// The replica to read from instead; -1 to stay (KIP-392).
        preferred_read_replica: i32 [11..] = -1,
        /// Record batches. The last one may be cut off.
        records: Option<Records> [0..],
    }

    /// Where an epoch ends in the leader's log.
    pub struct EpochEndOffset {
        /// The largest epoch that both logs have.
        epoch: i32 [12..] = -1,
        /// The offset at which it ends.
        end_offset: i64 [12..] = -1,
    }

    /// A partition's leader.
    pub struct LeaderIdAndEpoch {
        /// The leader's broker id; -1 if there is none or it is not known.
        leader_id: i32 [12..] = -1,
        /// The leader's epoch; -1 if it is not known.
        leader_epoch: i32 [12..] = -1,
    }

    /// The name of a metadata snapshot (KIP-630).
    pub struct SnapshotId {
        /// The offset behind the last record it covers.
        end_offset: i64 [0..] = -1,
        /// The epoch of that record.
        epoch: i32 [0..] = -1,
    }

    /// A transaction that was aborted.
    pub struct AbortedTransaction {
        /// The producer whose transaction it was.
        producer_id: i64 [4..],
        /// The offset of the transaction's first record: its abort marker ends what a reader skips from here on.
        first_offset: i64 [4..],
    }

    /// Where a broker listens.
    pub struct NodeEndpoint {
        /// The broker's id.
        node_id: i32 [16..],
        /// The host name or address to connect to, as its listener advertises it (`advertised.listeners`).
        host: Text [16..],
        /// The port to connect to on that host.
        port: i32 [16..],
        /// Its rack; null if it names none.
        rack: Option<Text> [16..] = None,
    }
}
