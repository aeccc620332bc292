//! Members subscribe to different topics: partitions go to whoever has fewest, then move one by one while that helps the balance.

use std::collections::{BTreeSet, HashMap};

use super::{Group, java};

/// The owner of each partition; none where nobody subscribes.
pub(super) fn divide(group: &Group<'_>) -> Vec<Option<usize>> {
    let mut balance = Balance::new(group);
    balance.run();
    balance.owners
}

struct Balance<'a> {
    group: &'a Group<'a>,
    /// Of each topic, who may get its partitions.
    takers: Vec<Vec<usize>>,
    /// Of each member, its topics.
    topics: Vec<Vec<usize>>,
    ranks: Vec<usize>,
    /// Members that take part, those with the fewest partitions first: count, rank, member.
    order: BTreeSet<(usize, usize, usize)>,
    counts: Vec<usize>,
    owners: Vec<Option<usize>>,
    movements: Movements,
    /// A member owned what it may not have any more: then more may move at once.
    revoking: bool,
}

impl<'a> Balance<'a> {
    fn new(group: &'a Group<'a>) -> Self {
        let places: HashMap<&str, usize> = group
            .topics
            .iter()
            .enumerate()
            .map(|(at, topic)| (&*topic.name, at))
            .collect();
        let mut takers = vec![Vec::new(); group.topics.len()];
        let mut topics = vec![Vec::new(); group.members.len()];
        for (member, of) in group.members.iter().enumerate() {
            for at in of.topics.iter().filter_map(|topic| places.get(&**topic)) {
                takers[*at].push(member);
                topics[member].push(*at);
            }
        }
        let mut balance = Self {
            group,
            takers,
            topics,
            ranks: group.ranks(),
            order: BTreeSet::new(),
            counts: vec![0; group.members.len()],
            owners: vec![None; group.partition_count()],
            movements: Movements::default(),
            revoking: false,
        };
        balance.keep_owned();
        balance.order = (0..group.members.len())
            .map(|member| balance.key(member))
            .collect();
        balance
    }

    fn keep_owned(&mut self) {
        for (member, owned) in self.group.owned.iter().enumerate() {
            for &partition in owned {
                let topic = &self.group.topics[self.group.topic_of[partition]].name;
                if !self.group.members[member].topics.contains(topic)
                    || self.group.racks_mismatch(member, partition)
                {
                    self.revoking = true;
                } else {
                    self.owners[partition] = Some(member);
                    self.counts[member] += 1;
                }
            }
        }
    }

    fn key(&self, member: usize) -> (usize, usize, usize) {
        (self.counts[member], self.ranks[member], member)
    }

    fn takers_of(&self, partition: usize) -> &[usize] {
        &self.takers[self.group.topic_of[partition]]
    }

    fn run(&mut self) {
        let initial = self.order.last().is_none_or(|(count, ..)| *count == 0);
        // Topics with the fewest takers first.
        let mut topics: Vec<usize> = (0..self.group.topics.len()).collect();
        topics.sort_by_key(|topic| self.takers[*topic].len());
        let first = &self.group.first;
        let all: Vec<usize> = topics
            .iter()
            .flat_map(|topic| first[*topic]..first[topic + 1])
            .collect();
        let unassigned: Vec<usize> = all
            .iter()
            .copied()
            .filter(|partition| self.owners[*partition].is_none())
            .collect();

        let mut left = unassigned.clone();
        if self.group.racks.heeded {
            left.retain(|partition| !self.assign(*partition, true));
        }
        for partition in left {
            self.assign(partition, false);
        }

        // What cannot move takes no part, nor does who has only that and can get no more.
        let movable = |of: &Vec<usize>| -> Vec<usize> {
            of.iter()
                .copied()
                .filter(|partition| self.takers_of(*partition).len() > 1)
                .collect()
        };
        let (all, unassigned) = (movable(&all), movable(&unassigned));
        let fixed = (0..self.group.members.len()).filter(|member| !self.takes_part(*member));
        for member in fixed.collect::<Vec<_>>() {
            let key = self.key(member);
            self.order.remove(&key);
        }

        let (owners, counts) = (self.owners.clone(), self.counts.clone());
        let before = self.score();
        if !self.revoking {
            self.reassign(&unassigned);
        }
        let reassigned = self.reassign(&all);
        if !initial && reassigned && self.score() >= before {
            (self.owners, self.counts) = (owners, counts);
        }
    }

    /// Gives a partition to the member with the fewest that may have it.
    fn assign(&mut self, partition: usize, near: bool) -> bool {
        let topic = self.group.topic_of[partition];
        let member = self
            .order
            .iter()
            .map(|(.., member)| *member)
            .find(|member| {
                self.topics[*member].contains(&topic)
                    && !(near && self.group.racks_mismatch(*member, partition))
            });
        let Some(member) = member else { return false };
        let key = self.key(member);
        self.order.remove(&key);
        self.counts[member] += 1;
        self.owners[partition] = Some(member);
        self.order.insert(self.key(member));
        true
    }

    /// How many partitions a member can have at most.
    fn most(&self, member: usize) -> usize {
        let of = |topic: &usize| self.group.topics[*topic].partitions.len();
        self.topics[member].iter().map(of).sum()
    }

    fn takes_part(&self, member: usize) -> bool {
        self.counts[member] < self.most(member)
            || self.owners.iter().enumerate().any(|(partition, owner)| {
                *owner == Some(member) && self.takers_of(partition).len() > 1
            })
    }

    /// Whether nobody could get a partition from a member that has at least two more.
    fn is_balanced(&self) -> bool {
        let (Some((least, ..)), Some((most, ..))) = (self.order.first(), self.order.last()) else {
            return true;
        };
        if least + 1 >= *most {
            return true;
        }
        let mut most_of_topic = vec![0; self.takers.len()];
        for (partition, owner) in self.owners.iter().enumerate() {
            let Some(owner) = owner else { continue };
            let most = &mut most_of_topic[self.group.topic_of[partition]];
            *most = self.counts[*owner].max(*most);
        }
        self.order.iter().all(|(count, _, member)| {
            self.topics[*member]
                .iter()
                .all(|topic| most_of_topic[*topic] <= count + 1)
        })
    }

    /// The sum of the differences between all pairs of members: 0 is perfect.
    fn score(&self) -> usize {
        let counts: Vec<usize> = self.order.iter().map(|(count, ..)| *count).collect();
        let mut score = 0;
        let mut sum = 0;
        for (index, count) in counts.iter().enumerate() {
            score += count * index - sum;
            sum += count;
        }
        score
    }

    fn reassign(&mut self, partitions: &[usize]) -> bool {
        let mut reassigned = false;
        loop {
            let mut modified = false;
            for &partition in partitions {
                if self.is_balanced() {
                    break;
                }
                modified |= self.reassign_one(partition);
            }
            if !modified {
                return reassigned;
            }
            reassigned = true;
        }
    }

    fn reassign_one(&mut self, partition: usize) -> bool {
        let Some(owner) = self.owners[partition] else {
            return false;
        };
        let topic = self.group.topic_of[partition];
        let has_two_less = |other: usize| self.counts[owner] > self.counts[other] + 1;
        if let Some(&former) = self.group.outdated.get(&partition)
            && self.topics[former].contains(&topic)
            && has_two_less(former)
        {
            self.relocate(partition, owner, former);
            return true;
        }
        // Java prefers a taker near the partition here, and then moves it to the same one: the first in the order.
        if !self
            .takers_of(partition)
            .iter()
            .any(|other| has_two_less(*other))
        {
            return false;
        }
        let taker = self.order.iter().map(|(.., member)| *member);
        let Some(taker) = taker
            .into_iter()
            .find(|member| self.topics[*member].contains(&topic))
        else {
            return false;
        };
        self.relocate(partition, owner, taker);
        true
    }

    /// Moves the partition, or another one back that came the opposite way.
    fn relocate(&mut self, partition: usize, owner: usize, taker: usize) {
        let topic = self.group.topic_of[partition];
        let moved = self.movements.actual(topic, partition, owner, taker);
        let Some(from) = self.owners[moved] else {
            return;
        };
        for member in [from, taker] {
            let key = self.key(member);
            self.order.remove(&key);
        }
        let (layout, index) = self.group.partition(moved);
        let hash = java::hash_of_partition(&layout.name, index);
        self.movements.note(topic, moved, hash, from, taker);
        self.counts[from] -= 1;
        self.counts[taker] += 1;
        self.owners[moved] = Some(taker);
        for member in [from, taker] {
            self.order.insert(self.key(member));
        }
    }
}

/// Where partitions moved from and to, so that none moves back while another goes the same way.
#[derive(Default)]
struct Movements {
    /// Each partition's first owner and its present one.
    ways: HashMap<usize, (usize, usize)>,
    /// By topic, first owner and present one.
    moved: HashMap<(usize, usize, usize), Moved>,
}

impl Movements {
    fn actual(&self, topic: usize, partition: usize, owner: usize, taker: usize) -> usize {
        let origin = self.ways.get(&partition).map_or(owner, |(from, _)| *from);
        self.moved
            .get(&(topic, taker, origin))
            .and_then(Moved::first)
            .unwrap_or(partition)
    }

    fn note(&mut self, topic: usize, partition: usize, hash: i32, from: usize, to: usize) {
        let mut origin = from;
        if let Some((first, present)) = self.ways.remove(&partition) {
            if let Some(moved) = self.moved.get_mut(&(topic, first, present)) {
                moved.entries.retain(|(of, _)| *of != partition);
                if moved.entries.is_empty() {
                    self.moved.remove(&(topic, first, present));
                }
            }
            if first == to {
                return;
            }
            origin = first;
        }
        self.ways.insert(partition, (origin, to));
        self.moved
            .entry((topic, origin, to))
            .or_default()
            .add(partition, hash);
    }
}

/// Partitions with the order of Java's hash set.
#[derive(Default)]
struct Moved {
    most: usize,
    entries: Vec<(usize, i32)>,
}

impl Moved {
    fn add(&mut self, partition: usize, hash: i32) {
        self.entries.push((partition, hash));
        self.most = self.most.max(self.entries.len());
    }

    fn first(&self) -> Option<usize> {
        let size = java::table_size(self.most);
        let first = self
            .entries
            .iter()
            .min_by_key(|(_, hash)| java::place(*hash, size));
        first.map(|(partition, _)| *partition)
    }
}
