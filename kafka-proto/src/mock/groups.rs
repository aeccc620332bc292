//! The group coordinator's classic protocol (join, sync, heartbeat, leave) and committed offsets. Pure: time comes in
//! as an argument, answers that have to wait go out through [`Groups::take_replies`] under the ticket they came with.
//! The rules are those of Kafka's ClassicGroup and GroupMetadataManager, static members (KIP-345) included.
use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use crate::messages::ErrorCode;

mod group;
mod modern;
mod offsets;
mod requests;

pub(crate) use group::{GroupView, MemberView};
pub(crate) use modern::{Beat, Partitions};
pub(crate) use offsets::{Committed, TopicPartition};
pub(crate) use requests::{Join, Joined, MemberOf, Reply, Sync, Synced, Ticket};

use group::{Group, Initial, Member, Phase, group_deadline, session_deadline};

/// A new member whose join was never followed by anything is dropped after this long, as Kafka does.
const NEW_MEMBER_JOIN_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// The broker's group settings.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// `group.initial.rebalance.delay.ms`
    pub(crate) initial_rebalance_delay: Duration,
    /// `group.min.session.timeout.ms`
    pub(crate) session_timeout_min: Duration,
    /// `group.max.session.timeout.ms`
    pub(crate) session_timeout_max: Duration,
    /// `group.max.size`
    pub(crate) size_max: usize,
    /// `group.consumer.session.timeout.ms`
    pub(crate) modern_session_timeout: Duration,
    /// `group.consumer.heartbeat.interval.ms`
    pub(crate) heartbeat_interval: Duration,
}

/// All groups of the cluster.
#[derive(Debug)]
pub(crate) struct Groups {
    settings: Settings,
    groups: BTreeMap<String, Group>,
    member_ids: u64,
    replies: Vec<Reply>,
}

impl Groups {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            groups: BTreeMap::new(),
            member_ids: 0,
            replies: Vec::new(),
        }
    }

    /// The answers that have become due.
    pub(crate) fn take_replies(&mut self) -> Vec<Reply> {
        std::mem::take(&mut self.replies)
    }

    /// A member wants to be part of the next generation. The answer comes as a reply, at once or later.
    pub(crate) fn join(&mut self, now: Duration, join: Join, ticket: Ticket) {
        match self.try_join(now, join, ticket) {
            Ok(()) => {}
            Err(refused) => self.replies.push(Reply::Join(ticket, *refused)),
        }
    }

    fn try_join(&mut self, now: Duration, join: Join, ticket: Ticket) -> Result<(), Box<Joined>> {
        let refuse = |error| Box::new(Joined::refused(error, &join.member_id));
        if join.group_id.is_empty() {
            return Err(refuse(ErrorCode::INVALID_GROUP_ID));
        }
        let allowed = self.settings.session_timeout_min..=self.settings.session_timeout_max;
        if !allowed.contains(&join.session_timeout) {
            return Err(refuse(ErrorCode::INVALID_SESSION_TIMEOUT));
        }
        if !join.member_id.is_empty() && !self.groups.contains_key(&join.group_id) {
            return Err(refuse(ErrorCode::UNKNOWN_MEMBER_ID));
        }
        if join.protocol_type.is_empty() || join.protocols.is_empty() {
            return Err(refuse(ErrorCode::INCONSISTENT_GROUP_PROTOCOL));
        }
        let group = self
            .groups
            .entry(join.group_id.clone())
            .or_insert_with(Group::new);
        if let Some(modern) = &group.modern {
            if !modern.members.is_empty() {
                // JoinGroup has no room for words.
                tracing::warn!(
                    group = join.group_id,
                    client_id = join.client_id,
                    "a member of the classic protocol is refused: the group has members of the consumer protocol, and the in-process cluster does \
                     not convert groups (as brokers with `group.consumer.migration.policy=disabled`)"
                );
                return Err(refuse(ErrorCode::INCONSISTENT_GROUP_PROTOCOL));
            }
            group.modern = None;
        }
        let is_member = group
            .check(&join.member_id, join.instance_id.as_deref())
            .is_ok();
        if !group.members.is_empty()
            && (group.protocol_type != join.protocol_type || !group.supports(&join.protocols))
        {
            return Err(refuse(ErrorCode::INCONSISTENT_GROUP_PROTOCOL));
        }
        let returning_static = join
            .instance_id
            .as_deref()
            .is_some_and(|id| group.static_member(id).is_some());
        let pending = group.pending.contains_key(&join.member_id);
        if group.members.len() >= self.settings.size_max && !is_member && !returning_static {
            return Err(refuse(ErrorCode::GROUP_MAX_SIZE_REACHED));
        }
        if join.member_id.is_empty() {
            self.member_ids += 1;
            let prefix = join.instance_id.as_ref().unwrap_or(&join.client_id);
            let id = format!(
                "{prefix}-{:08x}-0000-4000-8000-{:012x}",
                self.member_ids, self.member_ids
            );
            if returning_static {
                self.replace_static(now, join, id, ticket);
            } else if join.instance_id.is_none() && join.id_required {
                group.pending.insert(id.clone(), now + join.session_timeout);
                let told = Joined::refused(ErrorCode::MEMBER_ID_REQUIRED, &id);
                return Err(Box::new(told));
            } else {
                self.add(now, join, id, ticket);
            }
            return Ok(());
        }
        if pending {
            if join.instance_id.is_some() {
                return Err(refuse(ErrorCode::UNKNOWN_MEMBER_ID));
            }
            group.pending.remove(&join.member_id);
            let id = join.member_id.clone();
            self.add(now, join, id, ticket);
            return Ok(());
        }
        if let Err(error) = group.check(&join.member_id, join.instance_id.as_deref()) {
            return Err(refuse(error));
        }
        self.rejoin(now, join, ticket);
        Ok(())
    }

    fn add(&mut self, now: Duration, join: Join, id: String, ticket: Ticket) {
        let Some(group) = self.groups.get_mut(&join.group_id) else {
            return;
        };
        if group.members.is_empty() {
            group.protocol_type = join.protocol_type;
        }
        if let Phase::Preparing {
            initial: Some(initial),
            ..
        } = &mut group.phase
        {
            initial.newcomer = true;
        }
        group.members.push(Member {
            id,
            instance_id: join.instance_id,
            client_id: join.client_id,
            client_host: join.client_host,
            session_timeout: join.session_timeout,
            rebalance_timeout: join.rebalance_timeout,
            protocols: join.protocols,
            assignment: Bytes::new(),
            joining: Some(ticket),
            syncing: None,
            synced: false,
            expires: now + NEW_MEMBER_JOIN_TIMEOUT,
            is_new: true,
        });
        self.rebalance(now, &join.group_id);
    }

    /// A member of the group joins again.
    fn rejoin(&mut self, now: Duration, join: Join, ticket: Ticket) {
        let Some(group) = self.groups.get_mut(&join.group_id) else {
            return;
        };
        let is_leader = group.leader == join.member_id;
        let phase = group.phase;
        let Some(member) = group.member(&join.member_id) else {
            return;
        };
        let unchanged = member.protocols == join.protocols;
        let answer_now = match phase {
            Phase::Empty | Phase::Preparing { .. } => false,
            // The answer to the first join was lost.
            Phase::Completing { .. } => unchanged,
            Phase::Stable => unchanged && !is_leader,
        };
        if answer_now {
            member.expires = now + member.session_timeout;
            let joined = group.joined(&join.member_id);
            self.replies.push(Reply::Join(ticket, joined));
            return;
        }
        member.protocols = join.protocols;
        member.session_timeout = join.session_timeout;
        member.rebalance_timeout = join.rebalance_timeout;
        if let Some(lost) = member.joining.replace(ticket) {
            let refused = Joined::refused(ErrorCode::UNKNOWN_MEMBER_ID, &join.member_id);
            self.replies.push(Reply::Join(lost, refused));
        }
        self.rebalance(now, &join.group_id);
    }

    /// A static member is back under a new member id; the old id is fenced from now on.
    fn replace_static(&mut self, now: Duration, join: Join, id: String, ticket: Ticket) {
        let Some(group) = self.groups.get_mut(&join.group_id) else {
            return;
        };
        let protocol_before = group.protocol.clone();
        let was_leader;
        let unchanged;
        let former_id;
        {
            let leader = group.leader.clone();
            let Some(member) = group
                .members
                .iter_mut()
                .find(|member| member.instance_id == join.instance_id)
            else {
                return;
            };
            was_leader = member.id == leader;
            if let Some(lost) = member.joining.take() {
                let refused = Joined::refused(ErrorCode::FENCED_INSTANCE_ID, &member.id);
                self.replies.push(Reply::Join(lost, refused));
            }
            if let Some(lost) = member.syncing.take() {
                let refused = Synced::refused(ErrorCode::FENCED_INSTANCE_ID);
                self.replies.push(Reply::Sync(lost, refused));
            }
            unchanged = member.protocols == join.protocols;
            former_id = std::mem::replace(&mut member.id, id.clone());
            member.protocols = join.protocols;
            member.session_timeout = join.session_timeout;
            member.rebalance_timeout = join.rebalance_timeout;
            member.expires = now + join.session_timeout;
            member.client_id = join.client_id;
            member.client_host = join.client_host;
            member.joining = Some(ticket);
        }
        if was_leader {
            group.leader.clone_from(&id);
        }
        let keeps_protocol = group.elected_protocol() == protocol_before;
        if group.phase == Phase::Stable && keeps_protocol && (unchanged || !was_leader) {
            let can_skip = join.can_skip_assignment;
            let mut joined = group.joined(&id);
            if let Some(member) = group.member(&id) {
                member.joining = None;
            }
            if was_leader {
                if can_skip {
                    joined.skip_assignment = true;
                } else {
                    // An old client that thinks it leads would assign anew; it is told of the leader's former id.
                    joined.leader = former_id;
                    joined.members = Vec::new();
                }
            }
            self.replies.push(Reply::Join(ticket, joined));
            return;
        }
        self.rebalance(now, &join.group_id);
    }

    /// Begins a rebalance, or lets one go on that has begun.
    fn rebalance(&mut self, now: Duration, group_id: &str) {
        let delay = self.settings.initial_rebalance_delay;
        let Some(group) = self.groups.get_mut(group_id) else {
            return;
        };
        let rebalance_timeout = group.rebalance_timeout();
        match group.phase {
            Phase::Preparing { .. } => {}
            Phase::Empty => {
                group.phase = Phase::Preparing {
                    deadline: now + delay.min(rebalance_timeout),
                    initial: Some(Initial {
                        remaining: rebalance_timeout.saturating_sub(delay),
                        newcomer: false,
                    }),
                };
            }
            Phase::Completing { .. } | Phase::Stable => {
                for member in &mut group.members {
                    if let Some(ticket) = member.syncing.take() {
                        let refused = Synced::refused(ErrorCode::REBALANCE_IN_PROGRESS);
                        self.replies.push(Reply::Sync(ticket, refused));
                        member.expires = now + member.session_timeout;
                    }
                }
                group.phase = Phase::Preparing {
                    deadline: now + rebalance_timeout,
                    initial: None,
                };
            }
        }
        self.maybe_complete_join(now, group_id);
    }

    fn maybe_complete_join(&mut self, now: Duration, group_id: &str) {
        let Some(group) = self.groups.get_mut(group_id) else {
            return;
        };
        let Phase::Preparing { deadline, initial } = group.phase else {
            return;
        };
        let complete = match initial {
            Some(_) => deadline <= now,
            None => {
                group.pending.is_empty()
                    && group.members.iter().all(|member| member.joining.is_some())
            }
        };
        if complete {
            self.complete_join(now, group_id);
        }
    }

    /// Makes the next generation of those who joined.
    fn complete_join(&mut self, now: Duration, group_id: &str) {
        let Some(group) = self.groups.get_mut(group_id) else {
            return;
        };
        // Static members that are away keep their place until their session ends.
        group
            .members
            .retain(|member| member.joining.is_some() || member.instance_id.is_some());
        if group.members.is_empty() {
            group.phase = Phase::Empty;
            group.generation += 1;
            group.protocol = None;
            group.leader.clear();
            return;
        }
        let leader_joined = group
            .members
            .iter()
            .any(|member| member.id == group.leader && member.joining.is_some());
        if !leader_joined {
            let Some(first) = group
                .members
                .iter()
                .find(|member| member.joining.is_some())
                .map(|member| member.id.clone())
            else {
                group.phase = Phase::Preparing {
                    deadline: now + group.rebalance_timeout().max(Duration::from_millis(1)),
                    initial: None,
                };
                return;
            };
            group.leader = first;
        }
        group.generation += 1;
        group.protocol = group.elected_protocol();
        group.phase = Phase::Completing {
            deadline: now + group.rebalance_timeout(),
        };
        for index in 0..group.members.len() {
            let member = &mut group.members[index];
            member.synced = false;
            member.is_new = false;
            let Some(ticket) = member.joining.take() else {
                continue;
            };
            member.expires = now + member.session_timeout;
            let id = member.id.clone();
            let joined = group.joined(&id);
            self.replies.push(Reply::Join(ticket, joined));
        }
    }

    /// A member asks for its assignment; the leader brings everybody's. The answer comes as a reply.
    pub(crate) fn sync(&mut self, now: Duration, sync: Sync, ticket: Ticket) {
        if let Err(error) = self.try_sync(now, sync, ticket) {
            self.replies
                .push(Reply::Sync(ticket, Synced::refused(error)));
        }
    }

    fn try_sync(&mut self, now: Duration, sync: Sync, ticket: Ticket) -> Result<(), ErrorCode> {
        let group = checked(&mut self.groups, &sync.member)?;
        let mismatch = |named: &Option<String>, actual: Option<&str>| {
            named.as_deref().is_some_and(|named| Some(named) != actual)
        };
        if mismatch(&sync.protocol_type, Some(&group.protocol_type))
            || mismatch(&sync.protocol, group.protocol.as_deref())
        {
            return Err(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        }
        let is_leader = group.leader == sync.member.member_id;
        let phase = group.phase;
        let member = group
            .member(&sync.member.member_id)
            .ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
        member.expires = now + member.session_timeout;
        match phase {
            Phase::Empty => return Err(ErrorCode::UNKNOWN_MEMBER_ID),
            Phase::Preparing { .. } => return Err(ErrorCode::REBALANCE_IN_PROGRESS),
            Phase::Stable => {
                let assignment = member.assignment.clone();
                let synced = group.synced(assignment);
                self.replies.push(Reply::Sync(ticket, synced));
            }
            Phase::Completing { .. } => {
                member.synced = true;
                if let Some(lost) = member.syncing.replace(ticket) {
                    let refused = Synced::refused(ErrorCode::REBALANCE_IN_PROGRESS);
                    self.replies.push(Reply::Sync(lost, refused));
                }
                if is_leader {
                    group.phase = Phase::Stable;
                    for index in 0..group.members.len() {
                        let member = &mut group.members[index];
                        member.assignment = sync
                            .assignments
                            .iter()
                            .find(|(id, _)| *id == member.id)
                            .map(|(_, assignment)| assignment.clone())
                            .unwrap_or_default();
                        if let Some(ticket) = member.syncing.take() {
                            member.expires = now + member.session_timeout;
                            let assignment = member.assignment.clone();
                            let synced = group.synced(assignment);
                            self.replies.push(Reply::Sync(ticket, synced));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// A member is alive; it learns here that a rebalance has begun.
    pub(crate) fn heartbeat(&mut self, now: Duration, member: &MemberOf) -> ErrorCode {
        let group = match checked(&mut self.groups, member) {
            Ok(group) => group,
            Err(error) => return error,
        };
        let phase = group.phase;
        if let Some(member) = group.member(&member.member_id) {
            member.expires = now + member.session_timeout;
        }
        match phase {
            Phase::Empty => ErrorCode::UNKNOWN_MEMBER_ID,
            Phase::Preparing { .. } => ErrorCode::REBALANCE_IN_PROGRESS,
            Phase::Completing { .. } | Phase::Stable => ErrorCode::NONE,
        }
    }

    /// A member goes, or an administrator removes a static one by its instance id alone.
    pub(crate) fn leave(
        &mut self,
        now: Duration,
        group_id: &str,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> ErrorCode {
        let Some(group) = self.groups.get_mut(group_id) else {
            return ErrorCode::UNKNOWN_MEMBER_ID;
        };
        if group.pending.remove(member_id).is_some() {
            self.maybe_complete_join(now, group_id);
            return ErrorCode::NONE;
        }
        let id = match instance_id {
            Some(instance_id) => match group.static_member(instance_id) {
                None => return ErrorCode::UNKNOWN_MEMBER_ID,
                Some(member) if !member_id.is_empty() && member.id != member_id => {
                    return ErrorCode::FENCED_INSTANCE_ID;
                }
                Some(member) => member.id.clone(),
            },
            None => member_id.to_owned(),
        };
        if group.member(&id).is_none() {
            return ErrorCode::UNKNOWN_MEMBER_ID;
        }
        self.remove(now, group_id, &id);
        ErrorCode::NONE
    }

    fn remove(&mut self, now: Duration, group_id: &str, member_id: &str) {
        let Some(group) = self.groups.get_mut(group_id) else {
            return;
        };
        let Some(at) = group
            .members
            .iter()
            .position(|member| member.id == member_id)
        else {
            return;
        };
        let member = group.members.remove(at);
        if let Some(ticket) = member.joining {
            let refused = Joined::refused(ErrorCode::UNKNOWN_MEMBER_ID, member_id);
            self.replies.push(Reply::Join(ticket, refused));
        }
        if let Some(ticket) = member.syncing {
            let refused = Synced::refused(ErrorCode::UNKNOWN_MEMBER_ID);
            self.replies.push(Reply::Sync(ticket, refused));
        }
        match group.phase {
            Phase::Empty => {}
            Phase::Preparing { .. } => self.maybe_complete_join(now, group_id),
            Phase::Completing { .. } | Phase::Stable => self.rebalance(now, group_id),
        }
    }

    /// Lets everything happen that was due by `now`.
    pub(crate) fn tick(&mut self, now: Duration) {
        let due: Vec<String> = self
            .groups
            .iter()
            .filter(|(_, group)| group_deadline(group).is_some_and(|deadline| deadline <= now))
            .map(|(id, _)| id.clone())
            .collect();
        for group_id in due {
            self.tick_group(now, &group_id);
        }
    }

    fn tick_group(&mut self, now: Duration, group_id: &str) {
        let Some(group) = self.groups.get_mut(group_id) else {
            return;
        };
        if let Some(modern) = &mut group.modern {
            modern.tick(now);
        }
        let pending_before = group.pending.len();
        group.pending.retain(|_, deadline| *deadline > now);
        let pending_gone = group.pending.len() < pending_before;
        let expired: Vec<String> = group
            .members
            .iter()
            .filter(|member| session_deadline(member).is_some_and(|deadline| deadline <= now))
            .map(|member| member.id.clone())
            .collect();
        for member_id in &expired {
            self.remove(now, group_id, member_id);
        }
        if pending_gone {
            self.maybe_complete_join(now, group_id);
        }
        let Some(group) = self.groups.get_mut(group_id) else {
            return;
        };
        match &mut group.phase {
            Phase::Preparing { deadline, initial } if *deadline <= now => {
                if let Some(initial) = initial
                    && initial.newcomer
                    && !initial.remaining.is_zero()
                {
                    let step = initial.remaining.min(self.settings.initial_rebalance_delay);
                    *deadline = now + step;
                    initial.remaining -= step;
                    initial.newcomer = false;
                    return;
                }
                self.complete_join(now, group_id);
            }
            Phase::Completing { deadline } if *deadline <= now => {
                let missing: Vec<String> = group
                    .members
                    .iter()
                    .filter(|member| !member.synced)
                    .map(|member| member.id.clone())
                    .collect();
                for member_id in &missing {
                    self.remove(now, group_id, member_id);
                }
                if missing.is_empty() {
                    self.rebalance(now, group_id);
                }
            }
            _ => {}
        }
    }

    /// When `tick` has something to do next.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.groups.values().filter_map(group_deadline).min()
    }

    /// One group as an administrator sees it.
    pub(crate) fn view(&self, group_id: &str) -> Option<GroupView> {
        let group = self.groups.get(group_id)?;
        if let Some(modern) = &group.modern {
            return Some(GroupView::of_modern(modern.view()));
        }
        let state = match group.phase {
            Phase::Empty => "Empty",
            Phase::Preparing { .. } => "PreparingRebalance",
            Phase::Completing { .. } => "CompletingRebalance",
            Phase::Stable => "Stable",
        };
        let protocol = group.protocol.clone().unwrap_or_default();
        let members = group.members.iter().map(|member| MemberView {
            id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: member
                .protocols
                .iter()
                .find(|(name, _)| *name == protocol)
                .map(|(_, metadata)| metadata.clone())
                .unwrap_or_default(),
            assignment: if group.phase == Phase::Stable {
                member.assignment.clone()
            } else {
                Bytes::new()
            },
        });
        Some(GroupView {
            state,
            protocol_type: group.protocol_type.clone(),
            protocol: protocol.clone(),
            generation: group.generation,
            members: members.collect(),
            modern: false,
        })
    }

    /// The ids of all groups.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.groups.keys().cloned().collect()
    }

    /// Deletes an empty group with its offsets.
    pub(crate) fn delete(&mut self, group_id: &str) -> ErrorCode {
        match self.groups.get(group_id) {
            None => ErrorCode::GROUP_ID_NOT_FOUND,
            Some(group) if !group.is_empty() => ErrorCode::NON_EMPTY_GROUP,
            Some(_) => {
                self.groups.remove(group_id);
                ErrorCode::NONE
            }
        }
    }
}

/// The group, if the speaker is one of its members in this generation.
fn checked<'a>(
    groups: &'a mut BTreeMap<String, Group>,
    member: &MemberOf,
) -> Result<&'a mut Group, ErrorCode> {
    if member.group_id.is_empty() {
        return Err(ErrorCode::INVALID_GROUP_ID);
    }
    let group = groups
        .get_mut(&member.group_id)
        .ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
    group.check(&member.member_id, member.instance_id.as_deref())?;
    if group.generation != member.generation {
        return Err(ErrorCode::ILLEGAL_GENERATION);
    }
    Ok(group)
}

#[cfg(test)]
mod tests;
