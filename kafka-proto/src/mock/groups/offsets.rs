//! Committed offsets of groups: plain commits, and those that wait for their transaction to be decided (KIP-98, KIP-447).
use std::collections::BTreeMap;
use std::time::Duration;

use crate::messages::ErrorCode;

use super::group::{Group, Phase};
use super::{Groups, MemberOf};

/// Topic name and partition.
pub(crate) type TopicPartition = (String, i32);

/// What was committed for one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: String,
}

impl Groups {
    /// May this member commit now? A group that does not exist yet is made for consumers without membership.
    pub(crate) fn may_commit(
        &mut self,
        now: Duration,
        member: &MemberOf,
        transactional: bool,
    ) -> Result<(), ErrorCode> {
        let anonymous =
            member.generation < 0 && member.member_id.is_empty() && member.instance_id.is_none();
        if member.group_id.is_empty() && !anonymous {
            return Err(ErrorCode::INVALID_GROUP_ID);
        }
        if !self.groups.contains_key(&member.group_id) {
            if member.generation >= 0 {
                return Err(ErrorCode::ILLEGAL_GENERATION);
            }
            self.groups.insert(member.group_id.clone(), Group::new());
        }
        let Some(group) = self.groups.get_mut(&member.group_id) else {
            return Err(ErrorCode::GROUP_ID_NOT_FOUND);
        };
        let modern = group.modern.as_ref();
        if let Some(modern) = modern.filter(|of| !of.members.is_empty())
            && !(transactional && anonymous)
        {
            return modern.check_member(&member.member_id, member.generation);
        }
        if anonymous {
            return if transactional || group.phase == Phase::Empty {
                Ok(())
            } else {
                Err(ErrorCode::UNKNOWN_MEMBER_ID)
            };
        }
        if group.phase == Phase::Empty && member.generation < 0 {
            return Ok(());
        }
        group.check(&member.member_id, member.instance_id.as_deref())?;
        if group.generation != member.generation {
            return Err(ErrorCode::ILLEGAL_GENERATION);
        }
        let phase = group.phase;
        if !transactional && let Some(member) = group.member(&member.member_id) {
            member.expires = now + member.session_timeout;
        }
        if matches!(phase, Phase::Completing { .. }) {
            return Err(ErrorCode::REBALANCE_IN_PROGRESS);
        }
        Ok(())
    }

    /// Stores an offset that [`Groups::may_commit`] allowed.
    pub(crate) fn commit(&mut self, group_id: &str, of: TopicPartition, committed: Committed) {
        if let Some(group) = self.groups.get_mut(group_id) {
            group.offsets.insert(of, committed);
        }
    }

    /// Stores an offset that counts once the producer's transaction commits.
    pub(crate) fn commit_in_transaction(
        &mut self,
        group_id: &str,
        producer_id: i64,
        of: TopicPartition,
        committed: Committed,
    ) {
        self.groups
            .entry(group_id.to_owned())
            .or_insert_with(Group::new)
            .undecided
            .entry(producer_id)
            .or_default()
            .insert(of, committed);
    }

    /// Does a member consume this topic, so that its offsets cannot be deleted?
    pub(crate) fn is_subscribed(&self, group_id: &str, topic: &str) -> bool {
        self.groups
            .get(group_id)
            .is_some_and(|group| group.is_subscribed(topic))
    }

    /// Deletes what a group committed for one partition.
    pub(crate) fn delete_offset(&mut self, group_id: &str, of: &TopicPartition) {
        if let Some(group) = self.groups.get_mut(group_id) {
            group.offsets.remove(of);
        }
    }

    /// The producer's transaction is decided for this group.
    pub(crate) fn end_transaction(&mut self, group_id: &str, producer_id: i64, commit: bool) {
        if let Some(group) = self.groups.get_mut(group_id)
            && let Some(offsets) = group.undecided.remove(&producer_id)
            && commit
        {
            group.offsets.extend(offsets);
        }
    }

    /// What is committed for a partition, and whether a transaction that is not decided would change it.
    pub(crate) fn committed(
        &self,
        group_id: &str,
        of: &TopicPartition,
    ) -> (Option<&Committed>, bool) {
        let Some(group) = self.groups.get(group_id) else {
            return (None, false);
        };
        let unstable = group
            .undecided
            .values()
            .any(|offsets| offsets.contains_key(of));
        (group.offsets.get(of), unstable)
    }

    /// May this member of a group of the newer protocol ask for offsets? Whoever names no member may.
    pub(crate) fn may_fetch(
        &self,
        group_id: &str,
        member_id: Option<&str>,
        epoch: i32,
    ) -> Result<(), ErrorCode> {
        let modern = self
            .groups
            .get(group_id)
            .and_then(|group| group.modern.as_ref());
        match (modern, member_id) {
            (Some(modern), Some(member_id)) if epoch >= 0 => modern.check_member(member_id, epoch),
            _ => Ok(()),
        }
    }

    /// Every partition for which the group has committed something.
    pub(crate) fn all_committed(&self, group_id: &str) -> BTreeMap<TopicPartition, Committed> {
        self.groups
            .get(group_id)
            .map(|group| group.offsets.clone())
            .unwrap_or_default()
    }

    /// The topic is gone, and with it what groups committed for it.
    pub(crate) fn forget_topic(&mut self, topic: &str) {
        for group in self.groups.values_mut() {
            group.offsets.retain(|(name, _), _| name != topic);
            for offsets in group.undecided.values_mut() {
                offsets.retain(|(name, _), _| name != topic);
            }
        }
    }
}
