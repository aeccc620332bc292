//! Kafka's round-robin assignor. Pure.

use std::collections::{BTreeMap, HashSet};

use super::{Assignor, GroupMember, MemberAssignment, TopicLayout, in_java_order, java};
use crate::wire::Text;

/// Deals out all partitions of all topics one by one, topic after topic, to the members in order (static ones by instance id first,
/// then by member id); who does not subscribe to a topic is passed over.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoundRobinAssignor;

impl Assignor for RoundRobinAssignor {
    fn name(&self) -> &str {
        "roundrobin"
    }

    fn assign(&self, members: &[GroupMember], topics: &[TopicLayout]) -> Vec<MemberAssignment> {
        let mut order: Vec<(&GroupMember, HashSet<&str>)> = members
            .iter()
            .map(|member| (member, member.topics.iter().map(|topic| &**topic).collect()))
            .collect();
        order.sort_by(|(a, _), (b, _)| in_java_order(a, b));
        let mut sorted: Vec<&TopicLayout> = topics
            .iter()
            .filter(|topic| order.iter().any(|(_, of)| of.contains(&*topic.name)))
            .collect();
        sorted.sort_by(|a, b| java::compare(&a.name, &b.name));

        let mut given: BTreeMap<&Text, Vec<(Text, Vec<i32>)>> = BTreeMap::new();
        let mut turn = 0;
        for topic in sorted {
            for partition in 0..topic.partitions.len() as i32 {
                // Somebody subscribes to the topic, so this ends.
                while !order[turn].1.contains(&*topic.name) {
                    turn = (turn + 1) % order.len();
                }
                let of = given.entry(&order[turn].0.member_id).or_default();
                match of.last_mut() {
                    Some((name, partitions)) if *name == topic.name => partitions.push(partition),
                    _ => of.push((topic.name.clone(), vec![partition])),
                }
                turn = (turn + 1) % order.len();
            }
        }
        members
            .iter()
            .map(|member| MemberAssignment {
                member_id: member.member_id.clone(),
                partitions: given.remove(&member.member_id).unwrap_or_default(),
                userdata: None,
            })
            .collect()
    }
}
