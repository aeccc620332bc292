//! Who of an application's processes owns a plan with keyed state: one of them, all of it. Pure.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use bytes::Bytes;
use kafka_proto::client::{Assignor, GroupMember, LastAssignment, MemberAssignment, TopicLayout};

/// Not the owner.
const NOBODY: i32 = -1;

/// Gives everything to one member: to the one that had it last, else to the one whose id comes first. The others stand by.
///
/// Rows move between the threads of one process only, so that two owners would each count half of a key.
#[derive(Debug, Clone)]
pub(crate) struct OneOwner {
    /// The generation in which this member was given the work and has kept it since.
    owner_since: Arc<AtomicI32>,
}

impl OneOwner {
    pub(crate) fn new() -> Self {
        Self {
            owner_since: Arc::new(AtomicI32::new(NOBODY)),
        }
    }

    /// This member has the work since this generation, or has it no more.
    pub(crate) fn note(&self, generation: Option<i32>) {
        self.owner_since
            .store(generation.unwrap_or(NOBODY), Ordering::Relaxed);
    }
}

impl Assignor for OneOwner {
    fn name(&self) -> &str {
        "one-owner"
    }

    fn userdata(&self, _: Option<&LastAssignment>) -> Option<Bytes> {
        Some(Bytes::copy_from_slice(
            &self.owner_since.load(Ordering::Relaxed).to_be_bytes(),
        ))
    }

    fn assign(&self, members: &[GroupMember], topics: &[TopicLayout]) -> Vec<MemberAssignment> {
        let since = |member: &GroupMember| {
            let bytes = member
                .userdata
                .as_deref()
                .and_then(|bytes| bytes.first_chunk::<4>());
            bytes.map_or(NOBODY, |bytes| i32::from_be_bytes(*bytes))
        };
        // A member that was cut off may still think that it owns the work: the latest owner does.
        let owner = members.iter().max_by(|a, b| {
            since(a)
                .cmp(&since(b))
                .then_with(|| b.member_id.cmp(&a.member_id))
        });
        let Some(owner) = owner else {
            return Vec::new();
        };
        let all = topics.iter().map(|topic| {
            (
                topic.name.clone(),
                (0..topic.partitions.len() as i32).collect(),
            )
        });
        vec![MemberAssignment {
            member_id: owner.member_id.clone(),
            partitions: all.collect(),
            userdata: None,
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: &str, since: i32) -> GroupMember {
        let userdata = Some(Bytes::copy_from_slice(&since.to_be_bytes()));
        GroupMember {
            member_id: id.to_owned().into(),
            userdata,
            ..GroupMember::default()
        }
    }

    fn owner(members: &[GroupMember]) -> Vec<(String, usize)> {
        let topics = [TopicLayout::new("a", 3), TopicLayout::new("b", 2)];
        let of = |a: MemberAssignment| {
            (
                a.member_id.to_string(),
                a.partitions.iter().map(|(_, p)| p.len()).sum(),
            )
        };
        OneOwner::new()
            .assign(members, &topics)
            .into_iter()
            .map(of)
            .collect()
    }

    #[test]
    fn one_member_gets_everything() {
        assert_eq!(
            owner(&[member("b", -1), member("a", -1)]),
            [("a".into(), 5)]
        );
        assert!(owner(&[]).is_empty());
    }

    #[test]
    fn the_owner_keeps_the_work_when_others_come() {
        assert_eq!(owner(&[member("a", -1), member("b", 3)]), [("b".into(), 5)]);
    }

    #[test]
    fn of_two_who_think_they_own_it_the_later_one_does() {
        assert_eq!(owner(&[member("a", 3), member("b", 7)]), [("b".into(), 5)]);
    }

    #[test]
    fn a_member_says_since_when_it_owns() {
        let me = OneOwner::new();
        me.note(Some(9));
        assert_eq!(me.userdata(None).as_deref(), Some(&9i32.to_be_bytes()[..]));
        me.note(None);
        assert_eq!(
            me.userdata(None).as_deref(),
            Some(&(-1i32).to_be_bytes()[..])
        );
    }

    #[test]
    fn userdata_of_something_else_counts_as_no_owner() {
        let odd = GroupMember {
            member_id: "a".into(),
            userdata: Some(Bytes::from_static(b"x")),
            ..GroupMember::default()
        };
        assert_eq!(owner(&[odd, member("b", 0)]), [("b".into(), 5)]);
    }
}
