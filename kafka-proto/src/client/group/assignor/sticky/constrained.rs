//! All members subscribe to the same topics: everybody gets `partitions / members` partitions, some one more.

use std::collections::{HashMap, HashSet, VecDeque};

use super::{Group, in_rack, java};

/// The owner of each partition, and the partitions that change hands.
pub(super) fn divide(group: &Group<'_>) -> (Vec<Option<usize>>, HashSet<usize>) {
    let mut quotas = Quotas::new(group);
    quotas.keep_owned();
    let mut unassigned: Vec<usize> = (0..group.partition_count())
        .filter(|partition| quotas.owners[*partition].is_none())
        .collect();
    let ranks = group.ranks();
    quotas.below.sort_by_key(|member| ranks[*member]);
    quotas
        .exact
        .make_contiguous()
        .sort_by_key(|member| ranks[*member]);
    // What fewer members are near to goes first. The sort is stable.
    unassigned.sort_by_cached_key(|partition| {
        let (topic, index) = group.partition(*partition);
        group.racks.members_near(topic, index)
    });
    if group.racks.heeded {
        quotas.deal_by_rack(&mut unassigned);
    }
    quotas.deal(&unassigned);
    (quotas.owners, quotas.transferring)
}

struct Quotas<'a> {
    group: &'a Group<'a>,
    /// Everybody gets at least this many.
    least: usize,
    /// And at most this many: the same or one more.
    most: usize,
    /// How many members get `most`, if that is more than `least`.
    expected_above: usize,
    above: usize,
    /// Members that have less than `least`.
    below: Vec<usize>,
    /// Members that have `least` and may get one more.
    exact: VecDeque<usize>,
    /// How many partitions each member has.
    counts: Vec<usize>,
    owners: Vec<Option<usize>>,
    /// Partitions that their owners may have to give up.
    revoked_from: HashMap<usize, usize>,
    transferring: HashSet<usize>,
}

impl<'a> Quotas<'a> {
    fn new(group: &'a Group<'a>) -> Self {
        let (partitions, members) = (group.partition_count(), group.members.len());
        Self {
            group,
            least: partitions / members,
            most: partitions.div_ceil(members),
            expected_above: partitions % members,
            above: 0,
            below: Vec::new(),
            exact: VecDeque::new(),
            counts: vec![0; members],
            owners: vec![None; partitions],
            revoked_from: HashMap::new(),
            transferring: HashSet::new(),
        }
    }

    /// Everybody keeps what it owned, up to its quota. The first ones get the greater quota: first in the order of Java's hash map.
    fn keep_owned(&mut self) {
        let mut order: Vec<usize> = (0..self.group.members.len()).collect();
        java::sort_as_hash_map(&mut order, |member| {
            java::hash(&self.group.members[*member].member_id)
        });
        for member in order {
            let mut owned = self.group.owned[member].clone();
            owned.retain(|partition| {
                let mismatch = self.group.racks_mismatch(member, *partition);
                if mismatch {
                    self.revoked_from.insert(*partition, member);
                }
                !mismatch
            });
            // By partition first, then by topic.
            owned.sort_by_key(|partition| {
                (
                    self.group.partition(*partition).1,
                    self.group.topic_of[*partition],
                )
            });
            owned.retain(|partition| !self.group.claimed_twice.contains(partition));
            let keeps = if owned.len() < self.least {
                self.below.push(member);
                owned.len()
            } else if owned.len() >= self.most && self.above < self.expected_above {
                self.above += 1;
                if self.above == self.expected_above {
                    self.exact.clear();
                }
                self.most
            } else {
                if self.above < self.expected_above {
                    self.exact.push_back(member);
                }
                self.least
            };
            for partition in &owned[..keeps] {
                self.owners[*partition] = Some(member);
            }
            self.counts[member] = keeps;
            for partition in &owned[keeps..] {
                self.revoked_from.insert(*partition, member);
            }
        }
    }

    fn give(&mut self, partition: usize, member: usize) {
        self.owners[partition] = Some(member);
        self.counts[member] += 1;
        let from_another = self
            .revoked_from
            .get(&partition)
            .is_some_and(|former| *former != member);
        if from_another || self.group.claimed_twice.contains(&partition) {
            self.transferring.insert(partition);
        }
    }

    /// The next of these members, from `start` on, that is near the partition.
    fn near(
        &self,
        partition: usize,
        members: impl ExactSizeIterator<Item = usize> + Clone,
        start: usize,
    ) -> Option<usize> {
        let (topic, index) = self.group.partition(partition);
        let count = members.len();
        let is_near = |member: usize| {
            self.group
                .racks
                .of(member)
                .is_some_and(|rack| in_rack(topic, index, rack))
        };
        let near: Vec<usize> = members
            .enumerate()
            .filter(|(_, member)| is_near(*member))
            .map(|(at, _)| at)
            .collect();
        near.into_iter()
            .min_by_key(|at| (at + count - start % count) % count)
    }

    /// Gives each partition to a member near it, as far as there is one with room; removes what was given.
    fn deal_by_rack(&mut self, unassigned: &mut Vec<usize>) {
        let mut start = 0;
        unassigned.retain(|&partition| {
            if let Some(mut at) = self.near(partition, self.below.iter().copied(), start) {
                let member = self.below[at];
                let count = self.counts[member] + 1;
                if count >= self.least {
                    self.below.remove(at);
                    if count < self.most && self.above < self.expected_above {
                        self.exact.push_back(member);
                    }
                } else {
                    at += 1;
                }
                start = if self.below.is_empty() {
                    0
                } else {
                    at % self.below.len()
                };
                self.give(partition, member);
                return false;
            }
            let Some(at) = self.near(partition, self.exact.iter().copied(), 0) else {
                return true;
            };
            let member = self.exact[at];
            if self.counts[member] + 1 == self.most {
                self.exact.remove(at);
                self.above += 1;
                if self.above == self.expected_above {
                    self.exact.clear();
                }
            }
            self.give(partition, member);
            false
        });
    }

    /// Deals the rest out: members below the quota take turns until all have it, then those that may have one more.
    fn deal(&mut self, unassigned: &[usize]) {
        let mut turn = 0;
        for &partition in unassigned {
            let member = if turn < self.below.len() {
                turn += 1;
                self.below[turn - 1]
            } else if let Some(first) = self.below.first() {
                turn = 1;
                *first
            } else if let Some(member) = self.exact.pop_front() {
                member
            } else {
                // The quotas add up to all partitions.
                debug_assert!(false, "nobody has room for a partition");
                return;
            };
            self.give(partition, member);
            if self.counts[member] == self.least {
                turn -= 1;
                self.below.remove(turn);
                self.exact.push_back(member);
            } else if self.counts[member] == self.most {
                self.above += 1;
            }
        }
    }
}
