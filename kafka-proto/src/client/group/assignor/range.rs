//! Kafka's range assignor. Pure.

use std::collections::{HashMap, HashSet};

use super::{Assignor, GroupMember, MemberAssignment, TopicLayout, in_java_order};
use crate::wire::Text;

/// Kafka's default assignor: for each topic, the members in order (static ones by instance id first, then by member id)
/// get neighbouring partitions, the first ones one more where it does not come out even. Members prefer partitions with
/// a replica in their rack where racks are named and differ (KIP-881).
#[derive(Clone, Copy, Debug, Default)]
pub struct RangeAssignor;

impl Assignor for RangeAssignor {
    fn name(&self) -> &str {
        "range"
    }

    fn assign(&self, members: &[GroupMember], topics: &[TopicLayout]) -> Vec<MemberAssignment> {
        let mut order: Vec<&GroupMember> = members.iter().collect();
        order.sort_by(|a, b| in_java_order(a, b));
        let racks: HashSet<&str> = order.iter().filter_map(|m| rack(m)).collect();
        let mut states: Vec<TopicState<'_>> = topics
            .iter()
            .filter(|t| !t.partitions.is_empty())
            .map(|t| {
                TopicState::new(
                    t,
                    order.iter().copied().filter(|m| m.topics.contains(&t.name)),
                    &racks,
                )
            })
            .collect();
        if states.iter().any(|s| s.rack_aware) {
            match_racks(&mut states);
        }
        for state in &mut states {
            state.assign_ranges(|_, _| true);
        }
        collect(members, &states)
    }
}

fn rack(member: &GroupMember) -> Option<&str> {
    member.rack.as_deref().filter(|r| !r.is_empty())
}

/// One topic while it is being divided. Consumers are indexes into `consumers`.
struct TopicState<'a> {
    layout: &'a TopicLayout,
    consumers: Vec<&'a GroupMember>,
    assigned: Vec<Vec<i32>>,
    unassigned: Vec<i32>,
    per_consumer: usize,
    /// How many consumers may still get one partition more than `per_consumer`.
    extra: usize,
    rack_aware: bool,
}

impl<'a> TopicState<'a> {
    fn new(
        layout: &'a TopicLayout,
        consumers: impl Iterator<Item = &'a GroupMember>,
        consumer_racks: &HashSet<&str>,
    ) -> Self {
        let consumers: Vec<_> = consumers.collect();
        let partitions = layout.partitions.len();
        let all_racks: HashSet<&str> = layout.partitions.iter().flatten().map(|r| &**r).collect();
        // Where every partition has a replica in every rack there is nothing to prefer.
        let differ = layout
            .partitions
            .iter()
            .any(|p| p.iter().map(|r| &**r).collect::<HashSet<_>>() != all_racks);
        Self {
            layout,
            assigned: vec![Vec::new(); consumers.len()],
            unassigned: (0..partitions as i32).collect(),
            per_consumer: partitions.checked_div(consumers.len()).unwrap_or(0),
            extra: partitions.checked_rem(consumers.len()).unwrap_or(0),
            rack_aware: !consumer_racks.is_disjoint(&all_racks) && differ,
            consumers,
        }
    }

    fn max_assignable(&self, consumer: usize) -> usize {
        (self.per_consumer + usize::from(self.extra > 0))
            .saturating_sub(self.assigned[consumer].len())
    }

    fn racks_match(&self, consumer: usize, partition: i32) -> bool {
        rack(self.consumers[consumer]).is_none_or(|rack| {
            self.layout.partitions[partition as usize]
                .iter()
                .any(|r| &**r == rack)
        })
    }

    /// `partitions` are in ascending order.
    fn assign(&mut self, consumer: usize, partitions: &[i32]) {
        self.assigned[consumer].extend_from_slice(partitions);
        if self.assigned[consumer].len() > self.per_consumer {
            self.extra -= 1;
        }
        self.unassigned
            .retain(|p| partitions.binary_search(p).is_err());
    }

    fn assign_ranges(&mut self, may_assign: impl Fn(&Self, (usize, i32)) -> bool) {
        for consumer in 0..self.consumers.len() {
            if self.unassigned.is_empty() {
                break;
            }
            let limit = self.max_assignable(consumer);
            let partitions: Vec<i32> = self
                .unassigned
                .iter()
                .copied()
                .filter(|p| may_assign(self, (consumer, *p)))
                .take(limit)
                .collect();
            if !partitions.is_empty() {
                self.assign(consumer, &partitions);
            }
        }
    }

    /// Topics with the same consumers and as many partitions are divided together, so that joins over them stay local.
    fn co_partitioned_with(&self, other: &Self) -> bool {
        self.layout.partitions.len() == other.layout.partitions.len()
            && self.consumers.len() == other.consumers.len()
            && self
                .consumers
                .iter()
                .zip(&other.consumers)
                .all(|(a, b)| a.member_id == b.member_id)
    }
}

/// First pass where racks count: each partition to a member in a rack of one of its replicas, as far as that goes.
fn match_racks(states: &mut [TopicState<'_>]) {
    let mut done = vec![false; states.len()];
    for first in 0..states.len() {
        if done[first] {
            continue;
        }
        let group: Vec<usize> = (first..states.len())
            .filter(|&i| states[first].co_partitioned_with(&states[i]))
            .collect();
        for &i in &group {
            done[i] = true;
        }
        if group.len() > 1 {
            match_racks_together(states, &group);
        } else if states[first].rack_aware {
            states[first]
                .assign_ranges(|s, (consumer, partition)| s.racks_match(consumer, partition));
        }
    }
}

fn match_racks_together(states: &mut [TopicState<'_>], group: &[usize]) {
    let (partitions, consumers) = {
        let state = &states[group[0]];
        (state.layout.partitions.len(), state.consumers.len())
    };
    let mut remaining: Vec<usize> = (0..consumers).collect();
    for partition in 0..partitions as i32 {
        let matching = remaining.iter().copied().find(|&consumer| {
            group.iter().all(|&i| {
                states[i].racks_match(consumer, partition) && states[i].max_assignable(consumer) > 0
            })
        });
        let Some(consumer) = matching else { continue };
        for &i in group {
            states[i].assign(consumer, &[partition]);
        }
        if group
            .iter()
            .all(|&i| states[i].max_assignable(consumer) == 0)
        {
            remaining.retain(|&c| c != consumer);
            if remaining.is_empty() {
                break;
            }
        }
    }
}

fn collect(members: &[GroupMember], states: &[TopicState<'_>]) -> Vec<MemberAssignment> {
    let mut by_member: HashMap<&Text, Vec<(Text, Vec<i32>)>> = HashMap::new();
    for state in states {
        for (consumer, partitions) in state.consumers.iter().zip(&state.assigned) {
            if !partitions.is_empty() {
                let mut partitions = partitions.clone();
                partitions.sort_unstable();
                by_member
                    .entry(&consumer.member_id)
                    .or_default()
                    .push((state.layout.name.clone(), partitions));
            }
        }
    }
    members
        .iter()
        .map(|m| MemberAssignment {
            member_id: m.member_id.clone(),
            partitions: by_member.remove(&m.member_id).unwrap_or_default(),
            userdata: None,
        })
        .collect()
}
