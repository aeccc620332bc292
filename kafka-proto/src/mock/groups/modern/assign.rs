//! The assignors that run in the coordinator: `uniform` (balanced and sticky) and `range`.
use std::collections::{BTreeMap, BTreeSet};

use crate::wire::Uuid;

use super::Partitions;

/// One member, as an assignor sees it.
pub(super) struct Subscriber<'a> {
    pub(super) id: &'a str,
    pub(super) instance_id: Option<&'a str>,
    /// Ids and numbers of partitions.
    pub(super) topics: BTreeSet<(Uuid, i32)>,
    /// What the target before gave it.
    pub(super) owned: &'a Partitions,
}

/// Which of them: the first one is the broker's default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Assignor {
    #[default]
    Uniform,
    Range,
}

impl Assignor {
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "uniform" => Some(Self::Uniform),
            "range" => Some(Self::Range),
            _ => None,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    /// The target of each member, in their order.
    pub(super) fn assign(self, members: &[Subscriber<'_>]) -> Vec<Partitions> {
        match self {
            Self::Uniform => uniform(members),
            Self::Range => range(members),
        }
    }
}

/// Neighbouring partitions of each topic, to static members by instance id, then to others by member id.
fn range(members: &[Subscriber<'_>]) -> Vec<Partitions> {
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|at| {
        let member = &members[*at];
        (
            member.instance_id.is_none(),
            member.instance_id.unwrap_or(member.id),
        )
    });
    let mut targets = vec![Partitions::new(); members.len()];
    let topics: BTreeSet<(Uuid, i32)> = members
        .iter()
        .flat_map(|member| member.topics.iter().copied())
        .collect();
    for topic in topics {
        let (id, partitions) = topic;
        let takers: Vec<usize> = order
            .iter()
            .copied()
            .filter(|at| members[*at].topics.contains(&topic))
            .collect();
        let count = takers.len() as i32;
        let mut next = 0;
        for (index, taker) in takers.into_iter().enumerate() {
            let quota = partitions / count + i32::from((index as i32) < partitions % count);
            targets[taker].extend((next..next + quota).map(|partition| (id, partition)));
            next += quota;
        }
    }
    targets
}

/// Everybody keeps what it has as far as it comes out even; the rest goes to whoever has fewest.
fn uniform(members: &[Subscriber<'_>]) -> Vec<Partitions> {
    let mut takers: BTreeMap<Uuid, Vec<usize>> = BTreeMap::new();
    let mut free = Partitions::new();
    for (at, member) in members.iter().enumerate() {
        for (id, partitions) in &member.topics {
            takers.entry(*id).or_default().push(at);
            free.extend((0..*partitions).map(|partition| (*id, partition)));
        }
    }
    let mut targets = vec![Partitions::new(); members.len()];
    for (at, member) in members.iter().enumerate() {
        let subscribed = |of: &(Uuid, i32)| takers.get(&of.0).is_some_and(|of| of.contains(&at));
        for partition in member.owned.iter().copied().filter(subscribed) {
            if free.remove(&partition) {
                targets[at].insert(partition);
            }
        }
    }
    for partition in free {
        let fewest = takers[&partition.0]
            .iter()
            .copied()
            .min_by_key(|at| targets[*at].len());
        if let Some(at) = fewest {
            targets[at].insert(partition);
        }
    }
    // One by one from who has at least two more; each step makes it more even, so it ends.
    while let Some((from, to, partition)) = uneven(&takers, &targets) {
        targets[from].remove(&partition);
        targets[to].insert(partition);
    }
    targets
}

fn uneven(
    takers: &BTreeMap<Uuid, Vec<usize>>,
    targets: &[Partitions],
) -> Option<(usize, usize, (Uuid, i32))> {
    let mut from: Vec<usize> = (0..targets.len()).collect();
    from.sort_by_key(|at| std::cmp::Reverse(targets[*at].len()));
    from.into_iter().find_map(|from| {
        // The last ones go, so that the first ones stay together.
        targets[from].iter().rev().find_map(|partition| {
            let to = takers
                .get(&partition.0)?
                .iter()
                .copied()
                .min_by_key(|at| targets[*at].len())?;
            (targets[to].len() + 1 < targets[from].len()).then_some((from, to, *partition))
        })
    })
}
