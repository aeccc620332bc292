//! StreamsGroupTopologyDescriptionUpdate (key 93): a member of a streams group describes the topology (KIP-1331).

use super::ErrorCode;
use crate::wire::Text;

message! {
    /// Who describes which topology.
    pub struct StreamsGroupTopologyDescriptionUpdateRequest [0..=0] flexible [0..] {
        /// The group, by its `group.id`; the request goes to the broker that coordinates it.
        group_id: Text [0..],
        /// The member's id. One that is not in the group is answered UNKNOWN_MEMBER_ID.
        member_id: Text [0..],
        /// The epoch of the topology that is described.
        topology_epoch: i32 [0..],
        /// The description.
        topology_description: TopologyDescription [0..],
    }

    /// A description of the topology, for people and tools (KIP-1331).
    pub struct TopologyDescription {
        /// The parts of the topology.
        subtopologies: Vec<TopologyDescriptionSubtopology> [0..],
        /// The state that every process has whole.
        global_stores: Vec<TopologyDescriptionGlobalStore> [0..],
    }

    /// One part of the topology.
    pub struct TopologyDescriptionSubtopology {
        /// The part of the topology, by the id that the topology gives it (KIP-1071).
        subtopology_id: Text [0..],
        /// The nodes of its graph.
        nodes: Vec<TopologyDescriptionNode> [0..],
    }

    /// One node of the graph.
    pub struct TopologyDescriptionNode {
        /// The node's name, as `KSTREAM-SOURCE-0000000000`.
        name: Text [0..],
        /// What it is: 1 source, 2 processor, 3 sink.
        node_type: i8 [0..],
        /// The topics that a source reads; empty for other nodes, and where the topics are chosen while it runs.
        source_topics: Vec<Text> [0..],
        /// The topic that a sink writes; null for other nodes, and where the topic is chosen while it runs.
        sink_topic: Option<Text> [0..] = None,
        /// The state that a processor uses, by name.
        stores: Vec<Text> [0..],
        /// The nodes behind it, by name.
        successors: Vec<Text> [0..],
    }

    /// State that every process has whole.
    pub struct TopologyDescriptionGlobalStore {
        /// The source that feeds it.
        source: TopologyDescriptionNode [0..],
        /// The processor that fills it.
        processor: TopologyDescriptionNode [0..],
    }

    /// Whether it was stored.
    pub struct StreamsGroupTopologyDescriptionUpdateResponse [0..=0] flexible [0..] {
        /// How long the client should hold back because it went over a quota, in milliseconds; 0 if it did not
        /// (KIP-219).
        throttle_time_ms: i32 [0..],
        /// Whether it went well, and if not, why.
        error_code: ErrorCode [0..],
        /// What went wrong, in words for a person; null if nothing did or the broker adds none.
        error_message: Option<Text> [0..] = None,
    }
}
