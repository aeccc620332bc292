//! Who of a classic group reads which partition: the [`Assignor`] trait, which applications may implement, and Kafka's
//! range assignor. Pure: the leader of a group calls it between JoinGroup and SyncGroup.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use crate::wire::Text;

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

/// Divides partitions among the members of a classic group. All members of a group must have one assignor's name in
/// common; the coordinator picks the one that most of them prefer.
pub trait Assignor: Send + Sync {
    /// The protocol name that the members agree on, for instance `range`.
    fn name(&self) -> &str;

    /// Bytes that this member's subscription carries to the leader; asked for anew at each join.
    fn userdata(&self) -> Option<Bytes> {
        None
    }

    /// The assignment, one entry for each member; a member that is left out gets nothing. `topics` has every topic that
    /// some member subscribes to and that exists.
    fn assign(&self, members: &[GroupMember], topics: &[TopicLayout]) -> Vec<MemberAssignment>;
}

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
        order.sort_by_key(|m| {
            (
                m.instance_id.is_none(),
                m.instance_id.clone(),
                m.member_id.clone(),
            )
        });
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

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        fs::File,
        io::{BufRead, BufReader},
    };

    use serde_json::Value;

    use super::*;

    type Assigned = BTreeMap<String, BTreeMap<String, Vec<i64>>>;

    /// Kafka 4.3.1's own answers; see `testdata/goldens`.
    fn golden_cases() -> Vec<Value> {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../testdata/goldens/assignors.jsonl.gz"
        );
        let lines = BufReader::new(flate2::read::GzDecoder::new(File::open(path).unwrap())).lines();
        lines
            .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap())
            .filter(|case| case["assignor"] == "range" && case["side"] == "client")
            .collect()
    }

    fn text(value: &Value) -> Option<Text> {
        value.as_str().map(Text::from)
    }

    fn members(case: &Value) -> Vec<GroupMember> {
        let list = case["in"]["members"].as_array().unwrap();
        list.iter()
            .map(|m| GroupMember {
                member_id: text(&m["memberId"]).unwrap(),
                instance_id: text(&m["groupInstanceId"]),
                rack: text(&m["rackId"]),
                topics: m["topics"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter_map(text)
                    .collect(),
                ..GroupMember::default()
            })
            .collect()
    }

    fn topics(case: &Value) -> Vec<TopicLayout> {
        let counts = case["in"]["partitionsPerTopic"].as_object().unwrap();
        let layout = |(name, count): (&String, &Value)| {
            let mut layout = TopicLayout::new(name.as_str(), count.as_u64().unwrap() as usize);
            if let Some(racks) = case["in"]["replicaRacks"][name].as_array() {
                let of = |replicas: &Value| {
                    replicas
                        .as_array()
                        .unwrap()
                        .iter()
                        .filter_map(text)
                        .collect()
                };
                layout.partitions = racks.iter().map(of).collect();
            }
            layout
        };
        counts.iter().map(layout).collect()
    }

    #[test]
    fn range_gives_what_kafkas_gives() {
        let cases = golden_cases();
        assert!(cases.len() >= 12, "the vectors are there");
        for case in &cases {
            let (members, topics) = (members(case), topics(case));
            let mut got = Assigned::new();
            for assignment in RangeAssignor.assign(&members, &topics) {
                let of = got.entry(assignment.member_id.to_string()).or_default();
                for (topic, partitions) in assignment.partitions {
                    of.insert(
                        topic.to_string(),
                        partitions.into_iter().map(i64::from).collect(),
                    );
                }
            }
            let expected: Assigned = serde_json::from_value(case["out"].clone()).unwrap();
            assert_eq!(got, expected, "{}", case["case"]);
        }
    }

    #[test]
    fn the_order_of_members_changes_nothing() {
        for case in golden_cases() {
            let (mut members, topics) = (members(&case), topics(&case));
            let mut forwards = RangeAssignor.assign(&members, &topics);
            members.reverse();
            let mut backwards = RangeAssignor.assign(&members, &topics);
            forwards.sort_by(|a, b| a.member_id.cmp(&b.member_id));
            backwards.sort_by(|a, b| a.member_id.cmp(&b.member_id));
            assert_eq!(forwards, backwards, "{}", case["case"]);
        }
    }

    #[test]
    fn a_topic_without_takers_is_left_out() {
        let members = [GroupMember {
            member_id: Text::from("m"),
            ..GroupMember::default()
        }];
        let assignment = RangeAssignor.assign(&members, &[TopicLayout::new("t", 3)]);
        assert_eq!(
            assignment,
            [MemberAssignment {
                member_id: Text::from("m"),
                ..MemberAssignment::default()
            }]
        );
    }
}
