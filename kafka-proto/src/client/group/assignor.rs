//! Who of a classic group reads which partition: the [`Assignor`] trait, which applications may implement, and Kafka's
//! own assignors. Pure: the leader of a group calls it between JoinGroup and SyncGroup.
//!
//! Members of one group may be written in several languages, and any of them may lead. So Kafka's assignors give here what Java's give, to the
//! partition, for members in the same order.

mod java;
mod range;
mod round_robin;
mod sticky;

use std::{cmp::Ordering, sync::Arc};

use bytes::Bytes;

use crate::wire::Text;

pub use range::RangeAssignor;
pub use round_robin::RoundRobinAssignor;
pub use sticky::{CooperativeStickyAssignor, StickyAssignor};

/// One member of the group, as its subscription describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupMember {
    /// The id that the coordinator gave.
    pub member_id: Text,
    /// `group.instance.id` of a static member (KIP-345).
    pub instance_id: Option<Text>,
    /// `client.rack` of the member (KIP-881).
    pub rack: Option<Text>,
    /// The topics that it subscribes to.
    pub topics: Vec<Text>,
    /// What the member's own [`Assignor::userdata`] said.
    pub userdata: Option<Bytes>,
    /// The partitions that it still owns (cooperative protocols only; empty under the eager one).
    pub owned: Vec<(Text, Vec<i32>)>,
    /// The generation in which it owned them, −1 if it never was a member.
    pub generation: i32,
}

/// A topic that some member subscribes to, as the leader's metadata shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicLayout {
    /// The topic's name.
    pub name: Text,
    /// For each partition, from 0, the racks of its replicas; empty where no broker names its rack.
    pub partitions: Vec<Vec<Text>>,
}

impl TopicLayout {
    /// A topic of so many partitions whose brokers name no racks.
    pub fn new(name: impl Into<Text>, partition_count: usize) -> Self {
        Self {
            name: name.into(),
            partitions: vec![Vec::new(); partition_count],
        }
    }
}

/// What the leader hands to one member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberAssignment {
    /// The member.
    pub member_id: Text,
    /// Its partitions, by topic.
    pub partitions: Vec<(Text, Vec<i32>)>,
    /// Anything else that the member's application should know.
    pub userdata: Option<Bytes>,
}

/// What a member was given when it joined last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastAssignment {
    /// In which generation.
    pub generation: i32,
    /// The partitions, by topic.
    pub partitions: Vec<(Text, Vec<i32>)>,
}

/// Divides partitions among the members of a classic group. All members of a group must have one assignor's name in
/// common; the coordinator picks the one that most of them prefer.
pub trait Assignor: Send + Sync {
    /// The protocol name that the members agree on, for instance `range`.
    fn name(&self) -> &str;

    /// Whether members may keep their partitions while they join again (KIP-429). Then no partition may be handed to a new owner in a
    /// generation to which a member comes with it: its owner gives it up first and joins once more. Members join so if all of
    /// their assignors allow it.
    fn is_cooperative(&self) -> bool {
        false
    }

    /// Bytes that this member's subscription carries to the leader; asked for anew at each join, with what the member was given last.
    fn userdata(&self, last: Option<&LastAssignment>) -> Option<Bytes> {
        let _ = last;
        None
    }

    /// The assignment, one entry for each member; a member that is left out gets nothing. `topics` has every topic that
    /// some member subscribes to and that exists.
    fn assign(&self, members: &[GroupMember], topics: &[TopicLayout]) -> Vec<MemberAssignment>;
}

/// One of Kafka's assignors by the name that `partition.assignment.strategy` gives it: `range`, `roundrobin`, `sticky`,
/// `cooperative-sticky`, or the name of its Java class.
#[must_use]
pub fn assignor_named(name: &str) -> Option<Arc<dyn Assignor>> {
    let name = name
        .strip_prefix("org.apache.kafka.clients.consumer.")
        .unwrap_or(name);
    Some(match name {
        "range" | "RangeAssignor" => Arc::new(RangeAssignor),
        "roundrobin" | "RoundRobinAssignor" => Arc::new(RoundRobinAssignor),
        "sticky" | "StickyAssignor" => Arc::new(StickyAssignor),
        "cooperative-sticky" | "CooperativeStickyAssignor" => Arc::new(CooperativeStickyAssignor),
        _ => return None,
    })
}

/// Static members by their instance id, then the others by member id.
fn in_java_order(a: &GroupMember, b: &GroupMember) -> Ordering {
    match (&a.instance_id, &b.instance_id) {
        (Some(a), Some(b)) => java::compare(a, b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => java::compare(&a.member_id, &b.member_id),
    }
}

#[cfg(test)]
mod tests;
