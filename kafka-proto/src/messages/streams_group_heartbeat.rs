//! StreamsGroupHeartbeat (key 88): everything a member of a streams group says and hears (KIP-1071).

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// The member. What has not changed since the last heartbeat may be left out.
    pub struct StreamsGroupHeartbeatRequest [0..=1] flexible [0..] {
        /// The group, by its `group.id`; the request goes to the broker that coordinates it.
        group_id: Text [0..],
        /// The member's id, chosen by the member for as long as its process lives.
        member_id: Text [0..],
        /// The member's epoch; 0 joins, -1 leaves, -2 leaves for a while as a static member.
        member_epoch: i32 [0..],
        /// The epoch of the endpoints the member knows.
        endpoint_information_epoch: i32 [0..],
        /// The member's `group.instance.id` if it is a static member, else null.
        instance_id: Option<Text> [0..] = None,
        /// The member's rack; null if it has not changed.
        rack_id: Option<Text> [0..] = None,
        /// How long the member may take to give up partitions, in milliseconds; -1 if it has not changed.
        rebalance_timeout_ms: i32 [0..] = -1,
        /// The topology; null if it has not changed.
        topology: Option<Topology> [0..] = None,
        /// The tasks it runs; null if they have not changed.
        active_tasks: Option<Vec<TaskIds>> [0..] = None,
        /// The tasks whose state it keeps as a copy; null if they have not changed.
        standby_tasks: Option<Vec<TaskIds>> [0..] = None,
        /// The tasks whose state it builds up; null if they have not changed.
        warmup_tasks: Option<Vec<TaskIds>> [0..] = None,
        /// Identity of the process; null if it has not changed.
        process_id: Option<Text> [0..] = None,
        /// Where the process answers interactive queries; null if it does not or has not changed.
        user_endpoint: Option<Endpoint> [0..] = None,
        /// The tags that rack-aware assignment goes by; null if they have not changed.
        client_tags: Option<Vec<KeyValue>> [0..] = None,
        /// How far the member's copies of state have come, by task; null if that is not told.
        task_offsets: Option<Vec<TaskOffset>> [0..] = None,
        /// The ends of the changelogs, by task; null if that is not told.
        task_end_offsets: Option<Vec<TaskOffset>> [0..] = None,
        /// Whether the whole application shall stop.
        shutdown_application: bool [0..],
    }

    /// The topology of the application.
    pub struct Topology {
        /// The topology's epoch.
        epoch: i32 [0..],
        /// Its parts, each running as tasks of its own.
        subtopologies: Vec<Subtopology> [0..],
    }

    /// One part of the topology.
    pub struct Subtopology {
        /// The part of the topology, by the id that the topology gives it (KIP-1071).
        subtopology_id: Text [0..],
        /// The topics it reads.
        source_topics: Vec<Text> [0..],
        /// Patterns of the topics it reads.
        source_topic_regex: Vec<Text> [0..],
        /// The topics that hold its state.
        state_changelog_topics: Vec<TopicInfo> [0..],
        /// The repartition topics it writes.
        repartition_sink_topics: Vec<Text> [0..],
        /// The repartition topics it reads.
        repartition_source_topics: Vec<TopicInfo> [0..],
        /// Topics that must have equally many partitions.
        copartition_groups: Vec<CopartitionGroup> [0..],
    }

    /// A topic that the application needs.
    pub struct TopicInfo {
        /// The topic's name.
        name: Text [0..],
        /// How many partitions it must have; 0 if that follows from others.
        partitions: i32 [0..],
        /// How many replicas it must have; 0 takes the broker's default.
        replication_factor: i16 [0..],
        /// The settings it must be created with, as `cleanup.policy`.
        topic_configs: Vec<KeyValue> [0..],
    }

    /// Topics that must have equally many partitions, as places in the lists of the subtopology.
    pub struct CopartitionGroup {
        /// Places in `source_topics`.
        source_topics: Vec<i16> [0..],
        /// Places in `source_topic_regex`.
        source_topic_regex: Vec<i16> [0..],
        /// Places in `repartition_source_topics`.
        repartition_source_topics: Vec<i16> [0..],
    }

    /// Tasks of one subtopology.
    pub struct TaskIds {
        /// The part of the topology, by the id that the topology gives it (KIP-1071).
        subtopology_id: Text [0..],
        /// The partitions, one task each.
        partitions: Vec<i32> [0..],
    }

    /// Where something listens.
    pub struct Endpoint {
        /// The host name or address to connect to, as its listener advertises it (`advertised.listeners`).
        host: Text [0..],
        /// The port to connect to on that host.
        port: u16 [0..],
    }

    /// A setting or tag.
    pub struct KeyValue {
        /// The name of the setting or tag.
        key: Text [0..],
        /// What it is set to.
        value: Text [0..],
    }

    /// How far the state of one task has come.
    pub struct TaskOffset {
        /// The part of the topology, by the id that the topology gives it (KIP-1071).
        subtopology_id: Text [0..],
        /// The partition's number.
        partition: i32 [0..],
        /// The offset up to which the task's changelog has been applied or written.
        offset: i64 [0..],
    }

    /// The member's epoch and tasks.
    pub struct StreamsGroupHeartbeatResponse [0..=1] flexible [0..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..] = None,
        /// The member's id, given out by the coordinator.
        member_id: Text [0..],
        /// The member's epoch (KIP-848).
        member_epoch: i32 [0..],
        /// How long to wait before the next heartbeat, in milliseconds.
        heartbeat_interval_ms: i32 [0..],
        /// How many records a copy of state may lag behind and still take over; version 1 has it with 64 bits.
        acceptable_recovery_lag_legacy: i32 [0..=0],
        /// How often to tell the offsets of tasks, in milliseconds.
        task_offset_interval_ms: i32 [0..],
        /// How many records a copy of state may lag behind and still take over; -1 if the broker does not say.
        acceptable_recovery_lag: i64 [1..] ignorable = -1,
        /// What the member should know: missing topics, an old topology and so on; null if it has not changed.
        status: Option<Vec<Status>> [0..],
        /// The tasks to run; null if they have not changed.
        active_tasks: Option<Vec<TaskIds>> [0..] = None,
        /// The tasks whose state to keep as a copy; null if they have not changed.
        standby_tasks: Option<Vec<TaskIds>> [0..] = None,
        /// The tasks whose state to build up; null if they have not changed.
        warmup_tasks: Option<Vec<TaskIds>> [0..] = None,
        /// Whether the broker lacks a description of the topology: StreamsGroupTopologyDescriptionUpdate sends it (KIP-1331).
        topology_description_required: bool [1..],
        /// The epoch of the endpoints told here.
        endpoint_information_epoch: i32 [0..],
        /// Which process answers queries for which partitions; null if that has not changed.
        partitions_by_user_endpoint: Option<Vec<EndpointToPartitions>> [0..] = None,
    }

    /// Something the member should know.
    pub struct Status {
        /// What it is: 0 stale topology, 1 missing source topics, 2 topics not partitioned alike, 3 missing internal
        /// topics, 4 shut down; from version 1 on also 6 missing client tags.
        status_code: i8 [0..],
        /// The same in words.
        status_detail: Text [0..],
    }

    /// The partitions of one process.
    pub struct EndpointToPartitions {
        /// Where the process answers queries.
        user_endpoint: Endpoint [0..],
        /// The partitions it works on.
        active_partitions: Vec<TopicPartition> [0..],
        /// The partitions it keeps copies of.
        standby_partitions: Vec<TopicPartition> [0..],
    }

    /// Partitions of one topic.
    pub struct TopicPartition {
        /// The topic's name.
        topic: Text [0..],
        /// The partitions, by their numbers, which count from 0 within a topic.
        partitions: Vec<i32> [0..],
    }
}
