//! ConsumerGroupDescribe (key 69): groups of the newer protocol with their members (KIP-848).

use super::ErrorCode;
use crate::wire::{Text, Uuid};

message! {
    /// Which groups to tell about.
    pub struct ConsumerGroupDescribeRequest [0..=1] flexible [0..] {
        /// The groups asked about.
        group_ids: Vec<Text> [0..],
        /// Whether to say what the caller may do (KIP-430).
        include_authorized_operations: bool [0..],
    }

    /// The groups.
    pub struct ConsumerGroupDescribeResponse [0..=1] flexible [0..] {
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
        /// The broker's assignor that the group uses, as `uniform`.
        assignor_name: Text [0..],
        /// One entry for each member.
        members: Vec<Member> [0..],
        /// What the caller may do, as a bit set; `i32::MIN` if it was not asked for (KIP-430).
        authorized_operations: i32 [0..] = i32::MIN,
    }

    /// One member.
    pub struct Member {
        /// The member's id, given out by the coordinator.
        member_id: Text [0..],
        /// The member's `group.instance.id` if it is a static member, else null.
        instance_id: Option<Text> [0..] = None,
        /// The member's rack; null if it has none.
        rack_id: Option<Text> [0..] = None,
        /// The member's epoch (KIP-848).
        member_epoch: i32 [0..],
        /// The member's `client.id`.
        client_id: Text [0..],
        /// The address the member connects from.
        client_host: Text [0..],
        /// The topics the member subscribes to by name.
        subscribed_topic_names: Vec<Text> [0..],
        /// The topics it subscribes to by pattern; null if unchanged or not used.
        subscribed_topic_regex: Option<Text> [0..] = None,
        /// What the member is to work on.
        assignment: Assignment [0..],
        /// What the member will work on once the others have given it up.
        target_assignment: Assignment [0..],
        /// 0 classic protocol, 1 newer protocol, -1 not known (KIP-1099).
        member_type: i8 [1..] ignorable = -1,
    }

    /// What a member works on.
    pub struct Assignment {
        /// One entry for each topic, with its partitions.
        topic_partitions: Vec<TopicPartitions> [0..],
    }

    /// Partitions of one topic.
    pub struct TopicPartitions {
        /// The topic's id, which no later topic of the same name shares (KIP-516).
        topic_id: Uuid [0..],
        /// The topic's name.
        topic_name: Text [0..],
        /// The partitions, by their numbers, which count from 0 within a topic.
        partitions: Vec<i32> [0..],
    }
}
