//! StreamsGroupDescribe (key 89): streams groups with their members (KIP-1071).

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// Which groups to tell about.
    pub struct StreamsGroupDescribeRequest [0..=1] flexible [0..] {
        /// The groups asked about.
        group_ids: Vec<Text> [0..],
        /// Whether to say what the caller may do (KIP-430).
        include_authorized_operations: bool [0..],
        /// Whether to describe the topologies (KIP-1331).
        include_topology_description: bool [1..],
    }

    /// The groups.
    pub struct StreamsGroupDescribeResponse [0..=1] flexible [0..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// One entry for each group.
        groups: Vec<DescribedGroup> [0..],
    }

    /// One group.
    pub struct DescribedGroup {
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..] = None,
        /// The group, by the `group.id` that the request named.
        group_id: Text [0..],
        /// The group's state, by the name that Kafka's tools print, as `Stable` or `Empty`.
        group_state: Text [0..],
        /// The group's epoch: it grows when subscriptions or topics change.
        group_epoch: i32 [0..],
        /// The epoch of the assignment that the members are being moved to.
        assignment_epoch: i32 [0..],
        /// The topology; null if none is known yet.
        topology: Option<Topology> [0..] = None,
        /// One entry for each member.
        members: Vec<Member> [0..],
        /// What the caller may do, as a bit set; `i32::MIN` if it was not asked for (KIP-430).
        authorized_operations: i32 [0..] = i32::MIN,
        /// A description of the topology; null unless its status is 3 (KIP-1331).
        topology_description: Option<TopologyDescription> [1..] = None,
        /// What became of the description: 0 not asked for, 1 none is stored, 2 the broker could not fetch it, 3 it is
        /// there (KIP-1331).
        topology_description_status: i8 [1..],
        /// The assignor of the next assignment, which need not be the one of the present assignment; null after an
        /// error (KIP-1357).
        assignor_name: Option<Text> [1..] ignorable = None,
    }

    /// A description of the topology, for people and tools (KIP-1331).
    pub struct TopologyDescription {
        /// The parts of the topology.
        subtopologies: Vec<TopologyDescriptionSubtopology> [1..],
        /// The state that every process has whole.
        global_stores: Vec<TopologyDescriptionGlobalStore> [1..],
    }

    /// One part of the topology.
    pub struct TopologyDescriptionSubtopology {
        /// The part of the topology, by the id that the topology gives it (KIP-1071).
        subtopology_id: Text [1..],
        /// The nodes of its graph.
        nodes: Vec<TopologyDescriptionNode> [1..],
    }

    /// One node of the graph.
    pub struct TopologyDescriptionNode {
        /// The node's name, as `KSTREAM-SOURCE-0000000000`.
        name: Text [1..],
        /// What it is: 1 source, 2 processor, 3 sink.
        node_type: i8 [1..],
        /// The topics that a source reads; empty for other nodes, and where the topics are chosen while it runs.
        source_topics: Vec<Text> [1..],
        /// The topic that a sink writes; null for other nodes, and where the topic is chosen while it runs.
        sink_topic: Option<Text> [1..] = None,
        /// The state that a processor uses, by name.
        stores: Vec<Text> [1..],
        /// The nodes behind it, by name.
        successors: Vec<Text> [1..],
    }

    /// State that every process has whole.
    pub struct TopologyDescriptionGlobalStore {
        /// The source that feeds it.
        source: TopologyDescriptionNode [1..],
        /// The processor that fills it.
        processor: TopologyDescriptionNode [1..],
    }

    /// The topology of the application.
    pub struct Topology {
        /// The topology's epoch.
        epoch: i32 [0..],
        /// Its parts, each running as tasks of its own; null if the topology is not ready.
        subtopologies: Option<Vec<Subtopology>> [0..] = None,
    }

    /// One part of the topology.
    pub struct Subtopology {
        /// The part of the topology, by the id that the topology gives it (KIP-1071).
        subtopology_id: Text [0..],
        /// The topics it reads.
        source_topics: Vec<Text> [0..],
        /// The repartition topics it writes.
        repartition_sink_topics: Vec<Text> [0..],
        /// The topics that hold its state.
        state_changelog_topics: Vec<TopicInfo> [0..],
        /// The repartition topics it reads.
        repartition_source_topics: Vec<TopicInfo> [0..],
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

    /// A setting or tag.
    pub struct KeyValue {
        /// The name of the setting or tag.
        key: Text [0..],
        /// What it is set to.
        value: Text [0..],
    }

    /// One member.
    pub struct Member {
        /// The member's id, given out by the coordinator.
        member_id: Text [0..],
        /// The member's epoch (KIP-848).
        member_epoch: i32 [0..],
        /// The member's `group.instance.id` if it is a static member, else null.
        instance_id: Option<Text> [0..] = None,
        /// The member's rack; null if it has none.
        rack_id: Option<Text> [0..] = None,
        /// The member's `client.id`.
        client_id: Text [0..],
        /// The address the member connects from.
        client_host: Text [0..],
        /// The epoch of the member's topology.
        topology_epoch: i32 [0..],
        /// Identity of the process: members of one process share it.
        process_id: Text [0..],
        /// Where the process answers interactive queries; null if it does not.
        user_endpoint: Option<Endpoint> [0..] = None,
        /// The tags that rack-aware assignment goes by.
        client_tags: Vec<KeyValue> [0..],
        /// How far the member's copies of state have come, by task.
        task_offsets: Vec<TaskOffset> [0..],
        /// The ends of the changelogs, by task.
        task_end_offsets: Vec<TaskOffset> [0..],
        /// What the member is to work on.
        assignment: Assignment [0..],
        /// What the member will work on once the others have given it up.
        target_assignment: Assignment [0..],
        /// Whether the member uses the classic protocol.
        is_classic: bool [0..],
    }

    /// Where something listens.
    pub struct Endpoint {
        /// The host name or address to connect to, as its listener advertises it (`advertised.listeners`).
        host: Text [0..],
        /// The port to connect to on that host.
        port: u16 [0..],
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

    /// What a member works on.
    pub struct Assignment {
        /// The tasks the member runs.
        active_tasks: Vec<TaskIds> [0..],
        /// The tasks whose state it keeps as a copy.
        standby_tasks: Vec<TaskIds> [0..],
        /// The tasks whose state it builds up before it takes them over.
        warmup_tasks: Vec<TaskIds> [0..],
    }

    /// Tasks of one subtopology.
    pub struct TaskIds {
        /// The part of the topology, by the id that the topology gives it (KIP-1071).
        subtopology_id: Text [0..],
        /// The partitions, one task each.
        partitions: Vec<i32> [0..],
    }
}
