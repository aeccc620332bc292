//! Kafka's sticky assignors: balanced, and as few partitions change hands as that allows. Pure.
//!
//! Where all members subscribe to the same topics the balance is known beforehand and one pass suffices (`constrained`); else partitions are
//! moved while that helps (`general`). Both follow Java's AbstractStickyAssignor step by step, quirks included, because any
//! member may lead, and a new leader that divides otherwise would move partitions for nothing.

mod constrained;
mod general;

use std::collections::{HashMap, HashSet};

use bytes::{BufMut, Bytes, BytesMut};

use super::{Assignor, GroupMember, LastAssignment, MemberAssignment, TopicLayout, java};
use crate::{
    client::group::protocol::ByTopic,
    wire::{DecodeError, Reader, Text},
};

/// Balanced, and sticky over rebalances in which everybody gives up everything (the eager protocol): members tell the leader what they had
/// last in their userdata.
#[derive(Clone, Copy, Debug, Default)]
pub struct StickyAssignor;

impl Assignor for StickyAssignor {
    fn name(&self) -> &str {
        "sticky"
    }

    fn userdata(&self, last: Option<&LastAssignment>) -> Option<Bytes> {
        last.map(sticky_userdata)
    }

    fn assign(&self, members: &[GroupMember], topics: &[TopicLayout]) -> Vec<MemberAssignment> {
        let claims = members.iter().map(sticky_claim).collect();
        divide(members, topics, claims).0
    }
}

/// Balanced and sticky under the cooperative protocol (KIP-429): members keep what they have while they join, and a partition that changes
/// hands is nobody's for one generation, so that its former owner can give it up first.
#[derive(Clone, Copy, Debug, Default)]
pub struct CooperativeStickyAssignor;

impl Assignor for CooperativeStickyAssignor {
    fn name(&self) -> &str {
        "cooperative-sticky"
    }

    fn is_cooperative(&self) -> bool {
        true
    }

    fn userdata(&self, last: Option<&LastAssignment>) -> Option<Bytes> {
        // For leaders that do not know the subscription's own field.
        let generation = last.map_or(NEVER, |last| last.generation);
        Some(Bytes::copy_from_slice(&generation.to_be_bytes()))
    }

    fn assign(&self, members: &[GroupMember], topics: &[TopicLayout]) -> Vec<MemberAssignment> {
        let claims = members.iter().map(cooperative_claim).collect();
        let (mut assignments, transferring) = divide(members, topics, claims);
        let transferring = transferring.unwrap_or_else(|| changing_hands(members, &assignments));
        for assignment in &mut assignments {
            for (topic, partitions) in &mut assignment.partitions {
                partitions.retain(|partition| !transferring.contains(&(topic.clone(), *partition)));
            }
            assignment
                .partitions
                .retain(|(_, partitions)| !partitions.is_empty());
        }
        assignments
    }
}

/// The generation of a member that never was one.
const NEVER: i32 = -1;

/// What a member says that it had, and when.
struct Claim {
    owned: ByTopic,
    generation: Option<i32>,
}

fn cooperative_claim(member: &GroupMember) -> Claim {
    let said = || {
        let bytes = member.userdata.as_deref()?;
        let generation = bytes.first_chunk::<4>();
        Some(generation.map_or(NEVER, |bytes| i32::from_be_bytes(*bytes)))
    };
    let known = Some(member.generation).filter(|generation| *generation >= 0);
    Claim {
        owned: member.owned.clone(),
        generation: known.or_else(said),
    }
}

/// The partitions of a sticky member stand in its userdata: under the eager protocol it owns nothing when it joins.
fn sticky_claim(member: &GroupMember) -> Claim {
    let nothing = |generation| Claim {
        owned: Vec::new(),
        generation,
    };
    match &member.userdata {
        Some(bytes) if !bytes.is_empty() => {
            read_sticky_userdata(bytes.clone()).unwrap_or_else(|_| nothing(Some(NEVER)))
        }
        _ => nothing(None),
    }
}

/// Version 1 of the userdata: the partitions by topic, then the generation.
fn sticky_userdata(last: &LastAssignment) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i32(last.partitions.len() as i32);
    for (topic, partitions) in &last.partitions {
        bytes.put_i16(topic.len() as i16);
        bytes.put_slice(topic.as_bytes());
        bytes.put_i32(partitions.len() as i32);
        for partition in partitions {
            bytes.put_i32(*partition);
        }
    }
    bytes.put_i32(last.generation);
    bytes.freeze()
}

/// Versions 0 and 1; nothing says which it is but that the generation is there or not.
fn read_sticky_userdata(bytes: Bytes) -> Result<Claim, DecodeError> {
    let mut reader = Reader::new(bytes);
    let topics = reader.length_32(false)?.unwrap_or(0);
    let mut owned = ByTopic::new();
    for _ in 0..topics {
        let length = reader.length_16(false)?.unwrap_or(0);
        let topic = reader.text(length)?;
        let count = reader.length_32(false)?.unwrap_or(0);
        let partitions = (0..count).map(|_| reader.i32()).collect::<Result<_, _>>()?;
        owned.push((topic, partitions));
    }
    let generation = reader.i32().ok();
    Ok(Claim { owned, generation })
}

/// Partitions that somebody gives up and somebody else gets.
fn changing_hands(
    members: &[GroupMember],
    assignments: &[MemberAssignment],
) -> HashSet<(Text, i32)> {
    let flat = |by_topic: &ByTopic| -> HashSet<(Text, i32)> {
        let of = |(topic, partitions): &(Text, Vec<i32>)| {
            let topic = topic.clone();
            partitions
                .clone()
                .into_iter()
                .map(move |p| (topic.clone(), p))
        };
        by_topic.iter().flat_map(of).collect()
    };
    let (mut added, mut revoked) = (HashSet::new(), HashSet::new());
    for (member, assignment) in members.iter().zip(assignments) {
        let (before, after) = (flat(&member.owned), flat(&assignment.partitions));
        added.extend(after.difference(&before).cloned());
        revoked.extend(before.difference(&after).cloned());
    }
    added.retain(|partition| revoked.contains(partition));
    added
}

/// Divides; beside the assignments, in the order of the members, the partitions that change hands, if that is known.
fn divide(
    members: &[GroupMember],
    topics: &[TopicLayout],
    claims: Vec<Claim>,
) -> (Vec<MemberAssignment>, Option<HashSet<(Text, i32)>>) {
    if members.is_empty() {
        return (Vec::new(), None);
    }
    let group = Group::new(members, topics, &claims);
    let (owners, transferring) = if group.subscribed_alike {
        let (owners, transferring) = constrained::divide(&group);
        (owners, Some(transferring))
    } else {
        (general::divide(&group), None)
    };
    let transferring = transferring.map(|of| {
        let name = |partition: usize| {
            let (topic, index) = group.partition(partition);
            (topic.name.clone(), index)
        };
        of.into_iter().map(name).collect()
    });
    (group.assignments(&owners), transferring)
}

/// The group as both algorithms see it: members are their indexes, partitions are numbered through, topic after topic by name.
struct Group<'a> {
    members: &'a [GroupMember],
    /// Of each member, what it owned and nobody took from it since.
    owned: Vec<Vec<usize>>,
    /// Partitions that several members claim from the same generation: nobody has them.
    claimed_twice: HashSet<usize>,
    /// Of each member, what it claims from generations that are past: whose it was, and when.
    outdated: HashMap<usize, usize>,
    topics: Vec<&'a TopicLayout>,
    /// The first partition of each topic, and the number of all.
    first: Vec<usize>,
    /// The topic of each partition.
    topic_of: Vec<usize>,
    racks: Racks<'a>,
    subscribed_alike: bool,
}

impl<'a> Group<'a> {
    fn new(members: &'a [GroupMember], topics: &'a [TopicLayout], claims: &[Claim]) -> Self {
        let mut topics: Vec<&TopicLayout> = topics
            .iter()
            .filter(|topic| !topic.partitions.is_empty())
            .collect();
        topics.sort_by(|a, b| java::compare(&a.name, &b.name));
        let mut first = vec![0];
        let mut topic_of = Vec::new();
        for (index, topic) in topics.iter().enumerate() {
            topic_of.extend(std::iter::repeat_n(index, topic.partitions.len()));
            first.push(topic_of.len());
        }
        let mut group = Self {
            members,
            owned: vec![Vec::new(); members.len()],
            claimed_twice: HashSet::new(),
            outdated: HashMap::new(),
            racks: Racks::new(members, &topics),
            topics,
            first,
            topic_of,
            subscribed_alike: subscribed_alike(members),
        };
        group.settle_claims(claims);
        group
    }

    /// Who owns what: of several claims the one of the latest generation counts, of two from the same none.
    fn settle_claims(&mut self, claims: &[Claim]) {
        let places: HashMap<&str, usize> = self
            .topics
            .iter()
            .enumerate()
            .map(|(at, topic)| (&*topic.name, at))
            .collect();
        let number = |topic: &Text, partition: i32| {
            let at = *places.get(&**topic)?;
            let index = usize::try_from(partition).ok()?;
            (index < self.topics[at].partitions.len()).then(|| self.first[at] + index)
        };
        let numbers = |claim: &Claim| -> Vec<usize> {
            let mut numbers = Vec::new();
            for (topic, partitions) in &claim.owned {
                numbers.extend(partitions.iter().filter_map(|of| number(topic, *of)));
            }
            numbers
        };
        let claimed: Vec<Vec<usize>> = claims.iter().map(numbers).collect();
        let generation = |member: usize| claims[member].generation.unwrap_or(NEVER);
        let latest = (0..claims.len()).map(generation).max().unwrap_or(NEVER);

        let mut owner: HashMap<usize, usize> = HashMap::new();
        for (member, claimed) in claimed.iter().enumerate() {
            for &partition in claimed {
                let Some(other) = owner.get(&partition).copied() else {
                    self.owned[member].push(partition);
                    owner.insert(partition, member);
                    continue;
                };
                // Java looks at the subscription's own field here, whatever the userdata says.
                let others = self.members[other].generation.max(NEVER);
                if generation(member) < others {
                    continue;
                }
                self.owned[other].retain(|of| *of != partition);
                owner.insert(partition, member);
                if generation(member) > others {
                    self.owned[member].push(partition);
                } else {
                    self.claimed_twice.insert(partition);
                }
            }
        }

        let mut outdated: HashMap<usize, (i32, usize)> = HashMap::new();
        for (member, claimed) in claimed.iter().enumerate() {
            if generation(member) >= latest {
                continue;
            }
            for &partition in claimed {
                let (of, whose) = outdated
                    .entry(partition)
                    .or_insert_with(|| (generation(member), member));
                if generation(member) > *of {
                    (*of, *whose) = (generation(member), member);
                }
            }
        }
        self.outdated = outdated
            .into_iter()
            .map(|(partition, (_, whose))| (partition, whose))
            .collect();
    }

    fn partition(&self, number: usize) -> (&'a TopicLayout, i32) {
        let topic = self.topic_of[number];
        (self.topics[topic], (number - self.first[topic]) as i32)
    }

    fn partition_count(&self) -> usize {
        self.topic_of.len()
    }

    /// Members by their ids: where each stands.
    fn ranks(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.members.len()).collect();
        order.sort_by(|a, b| {
            java::compare(&self.members[*a].member_id, &self.members[*b].member_id)
        });
        let mut ranks = vec![0; order.len()];
        for (rank, member) in order.into_iter().enumerate() {
            ranks[member] = rank;
        }
        ranks
    }

    fn racks_mismatch(&self, member: usize, partition: usize) -> bool {
        let (topic, index) = self.partition(partition);
        self.racks
            .of(member)
            .is_some_and(|rack| !in_rack(topic, index, rack))
    }

    fn assignments(&self, owners: &[Option<usize>]) -> Vec<MemberAssignment> {
        let mut given: Vec<ByTopic> = vec![Vec::new(); self.members.len()];
        for (number, owner) in owners.iter().enumerate() {
            let Some(owner) = *owner else { continue };
            let (topic, index) = self.partition(number);
            match given[owner].last_mut() {
                Some((name, partitions)) if *name == topic.name => partitions.push(index),
                _ => given[owner].push((topic.name.clone(), vec![index])),
            }
        }
        let of = |(member, partitions): (&GroupMember, ByTopic)| MemberAssignment {
            member_id: member.member_id.clone(),
            partitions,
            userdata: None,
        };
        self.members.iter().zip(given).map(of).collect()
    }
}

/// As Java decides it: members without topics count only behind the first that has some.
fn subscribed_alike(members: &[GroupMember]) -> bool {
    let mut first: HashSet<&str> = HashSet::new();
    for member in members {
        if first.is_empty() {
            first.extend(member.topics.iter().map(|topic| &**topic));
        } else if member.topics.len() != first.len()
            || !member.topics.iter().all(|topic| first.contains(&**topic))
        {
            return false;
        }
    }
    true
}

fn in_rack(topic: &TopicLayout, partition: i32, rack: &str) -> bool {
    topic.partitions[partition as usize]
        .iter()
        .any(|of| &**of == rack)
}

/// Which members and replicas are near each other (KIP-881).
struct Racks<'a> {
    /// Of each member; none if racks are not to be heeded.
    of_member: Vec<Option<&'a str>>,
    /// How many members have a rack, by rack.
    members_in: HashMap<&'a str, usize>,
    /// Racks are named and differ.
    heeded: bool,
}

impl<'a> Racks<'a> {
    fn new(members: &'a [GroupMember], topics: &[&'a TopicLayout]) -> Self {
        let of_member: Vec<Option<&str>> = members
            .iter()
            .map(|member| member.rack.as_deref().filter(|rack| !rack.is_empty()))
            .collect();
        let mut members_in = HashMap::new();
        for rack in of_member.iter().flatten() {
            *members_in.entry(*rack).or_default() += 1;
        }
        let racks = |partition: &'a Vec<Text>| -> HashSet<&'a str> {
            partition.iter().map(|rack| &**rack).collect()
        };
        let partitions = || topics.iter().flat_map(|topic| &topic.partitions);
        let all: HashSet<&str> = partitions().flat_map(racks).collect();
        let heeded = members_in.keys().any(|rack| all.contains(rack))
            && partitions().any(|partition| racks(partition) != all);
        Self {
            of_member,
            members_in,
            heeded,
        }
    }

    fn of(&self, member: usize) -> Option<&'a str> {
        self.of_member[member].filter(|_| self.heeded)
    }

    /// How many members are near a partition, heeded or not; `None` if no member names a rack.
    fn members_near(&self, topic: &TopicLayout, partition: i32) -> Option<usize> {
        if self.members_in.is_empty() {
            return None;
        }
        let racks = &topic.partitions[partition as usize];
        let distinct: HashSet<&str> = racks.iter().map(|rack| &**rack).collect();
        Some(
            distinct
                .iter()
                .filter_map(|rack| self.members_in.get(rack))
                .sum(),
        )
    }
}
