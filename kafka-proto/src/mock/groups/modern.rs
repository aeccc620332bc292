//! Groups of the newer consumer protocol (KIP-848): the coordinator keeps a target assignment, and every member walks towards it heartbeat by
//! heartbeat, giving up first what others wait for. Pure. The rules are those of Kafka's GroupMetadataManager and
//! CurrentAssignmentBuilder; members of the classic protocol cannot join such a group here.
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use regex::Regex;

use crate::messages::ErrorCode;
use crate::wire::Uuid;

use super::group::Group;
use super::{Groups, Settings};

mod assign;

pub(crate) use assign::Assignor;

/// Partitions by their topics' ids.
pub(crate) type Partitions = BTreeSet<(Uuid, i32)>;

/// Every topic by name: its id and its number of partitions.
pub(crate) type Layout = BTreeMap<String, (Uuid, i32)>;

/// The member leaves.
const LEAVES: i32 = -1;
/// A static member leaves for a while.
const LEAVES_FOR_A_WHILE: i32 = -2;

/// One ConsumerGroupHeartbeat request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Beat {
    pub(crate) group_id: String,
    pub(crate) member_id: String,
    pub(crate) epoch: i32,
    pub(crate) instance_id: Option<String>,
    pub(crate) rack: Option<String>,
    pub(crate) rebalance_timeout: Option<Duration>,
    pub(crate) topics: Option<Vec<String>>,
    pub(crate) pattern: Option<String>,
    pub(crate) assignor: Option<String>,
    pub(crate) owned: Option<Partitions>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
}

/// The answer to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Beaten {
    pub(crate) member_id: String,
    pub(crate) epoch: i32,
    pub(crate) interval: Duration,
    /// Only where it changed, or everything was told.
    pub(crate) assignment: Option<Partitions>,
}

/// Why a request was refused: the code, and words.
pub(crate) type Refused = (ErrorCode, String);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Has what the target gives it.
    Stable,
    /// Is to give up partitions first.
    Unrevoked,
    /// Waits for partitions that others are to give up.
    Unreleased,
}

#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) instance_id: Option<String>,
    rack: Option<String>,
    rebalance_timeout: Duration,
    topics: BTreeSet<String>,
    pattern: Option<String>,
    assignor: Option<String>,
    client_id: String,
    client_host: String,
    epoch: i32,
    previous_epoch: i32,
    state: State,
    assigned: Partitions,
    revoking: Partitions,
    target: Partitions,
    expires: Duration,
    revoked_by: Option<Duration>,
}

/// What makes a group one of the newer protocol.
#[derive(Debug, Default)]
pub(super) struct Modern {
    /// Grows when members, subscriptions or topics change.
    epoch: i32,
    /// Of the target assignment.
    assignment_epoch: i32,
    /// In the order they came.
    pub(super) members: Vec<Member>,
    /// What the members' topics were when the target was made.
    layout: Layout,
}

/// One member, as ConsumerGroupDescribe shows it.
#[derive(Debug, Clone)]
pub(crate) struct ModernMemberView {
    pub(crate) id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) rack: Option<String>,
    pub(crate) epoch: i32,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) topics: Vec<String>,
    pub(crate) pattern: Option<String>,
    pub(crate) assigned: Partitions,
    pub(crate) target: Partitions,
}

/// One group, as ConsumerGroupDescribe shows it.
#[derive(Debug, Clone)]
pub(crate) struct ModernView {
    /// Kafka's word: Empty, Assigning, Reconciling or Stable.
    pub(crate) state: &'static str,
    pub(crate) epoch: i32,
    pub(crate) assignment_epoch: i32,
    pub(crate) assignor: &'static str,
    pub(crate) members: Vec<ModernMemberView>,
}

impl Groups {
    /// A member is alive, joins, or leaves.
    pub(crate) fn beat(
        &mut self,
        now: Duration,
        beat: Beat,
        layout: &Layout,
    ) -> Result<Beaten, Refused> {
        check(&beat)?;
        if beat.epoch == 0 && !beat.group_id.is_empty() {
            let group = self
                .groups
                .entry(beat.group_id.clone())
                .or_insert_with(Group::new);
            if group.members.is_empty() && group.pending.is_empty() {
                group.modern.get_or_insert_default();
            }
        }
        let classic = self
            .groups
            .get(&beat.group_id)
            .is_some_and(|group| !group.members.is_empty());
        let no_group = || {
            // As brokers do whose `group.consumer.migration.policy` is `disabled`.
            let why = if classic {
                " It has members of the classic protocol, and the in-process cluster does not convert groups: stop those first."
            } else {
                ""
            };
            let text = format!("Group {} is not a consumer group.{why}", beat.group_id);
            (ErrorCode::GROUP_ID_NOT_FOUND, text)
        };
        let group = self.groups.get_mut(&beat.group_id);
        let modern = group
            .and_then(|group| group.modern.as_mut())
            .ok_or_else(no_group)?;
        if beat.epoch < 0 {
            return modern.leave(beat);
        }
        let known = modern
            .members
            .iter()
            .any(|member| member.id == beat.member_id);
        if !known && beat.instance_id.is_none() && modern.members.len() >= self.settings.size_max {
            let text = "The consumer group has reached its maximum capacity.".to_owned();
            return Err((ErrorCode::GROUP_MAX_SIZE_REACHED, text));
        }
        modern.beat(now, beat, layout, &self.settings)
    }

    /// One group of the newer protocol as an administrator sees it.
    pub(crate) fn modern_view(&self, group_id: &str) -> Option<ModernView> {
        Some(self.groups.get(group_id)?.modern.as_ref()?.view())
    }
}

fn check(beat: &Beat) -> Result<(), Refused> {
    let invalid = |text: &str| Err((ErrorCode::INVALID_REQUEST, text.to_owned()));
    if beat.group_id.is_empty() {
        return invalid("GroupId can't be empty.");
    }
    if beat.instance_id.as_deref() == Some("") {
        return invalid("InstanceId can't be empty.");
    }
    if beat.member_id.is_empty() {
        return invalid("MemberId can't be empty.");
    }
    match beat.epoch {
        LEAVES_FOR_A_WHILE if beat.instance_id.is_none() => invalid("InstanceId can't be null."),
        LEAVES | LEAVES_FOR_A_WHILE | 1.. => Ok(()),
        0 if beat.rebalance_timeout.is_none() => {
            invalid("RebalanceTimeoutMs must be provided in first request.")
        }
        0 if beat.owned.as_ref().is_none_or(|owned| !owned.is_empty()) => {
            invalid("TopicPartitions must be empty when (re-)joining.")
        }
        0 if beat.topics.as_ref().is_none_or(Vec::is_empty)
            && beat.pattern.as_deref().is_none_or(str::is_empty) =>
        {
            invalid(
                "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
            )
        }
        0 => Ok(()),
        _ => invalid("MemberEpoch is invalid."),
    }?;
    if let Some(name) = beat
        .assignor
        .as_deref()
        .filter(|name| Assignor::named(name).is_none())
    {
        let text =
            format!("ServerAssignor {name} is not supported. Supported assignors: uniform, range.");
        return Err((ErrorCode::UNSUPPORTED_ASSIGNOR, text));
    }
    if let Some(pattern) = beat.pattern.as_deref()
        && let Err(error) = anchored(pattern)
    {
        let text =
            format!("SubscribedTopicRegex `{pattern}` is not a valid regular expression: {error}.");
        return Err((ErrorCode::INVALID_REGULAR_EXPRESSION, text));
    }
    Ok(())
}

/// Patterns match whole names.
fn anchored(pattern: &str) -> Result<Regex, regex::Error> {
    Regex::new(&format!("^(?:{pattern})$"))
}

impl Member {
    fn new(beat: &Beat) -> Self {
        Self {
            id: beat.member_id.clone(),
            instance_id: beat.instance_id.clone(),
            rack: None,
            rebalance_timeout: Duration::ZERO,
            topics: BTreeSet::new(),
            pattern: None,
            assignor: None,
            client_id: String::new(),
            client_host: String::new(),
            epoch: 0,
            previous_epoch: -1,
            state: State::Stable,
            assigned: Partitions::new(),
            revoking: Partitions::new(),
            target: Partitions::new(),
            expires: Duration::ZERO,
            revoked_by: None,
        }
    }

    fn subscription(
        &self,
    ) -> (
        &BTreeSet<String>,
        &Option<String>,
        &Option<String>,
        &Option<String>,
    ) {
        (&self.topics, &self.pattern, &self.assignor, &self.rack)
    }

    fn names<'a>(&'a self, layout: &'a Layout) -> impl Iterator<Item = &'a String> + 'a {
        let pattern = self
            .pattern
            .as_deref()
            .filter(|pattern| !pattern.is_empty());
        let pattern = pattern.and_then(|pattern| anchored(pattern).ok());
        layout.keys().filter(move |name| {
            self.topics.contains(*name)
                || pattern
                    .as_ref()
                    .is_some_and(|pattern| pattern.is_match(name))
        })
    }

    fn is_at(&self, epoch: i32) -> bool {
        self.state == State::Stable && self.epoch == epoch
    }

    /// May it speak with this epoch? The one before counts while the answer with the new one may have been lost.
    fn check_epoch(&self, beat: &Beat) -> Result<(), Refused> {
        let lost_answer = beat.epoch == self.previous_epoch
            && beat
                .owned
                .as_ref()
                .is_some_and(|owned| owned.is_subset(&self.assigned));
        if beat.epoch == self.epoch || (beat.epoch < self.epoch && lost_answer) {
            return Ok(());
        }
        let text = format!(
            "The consumer group member has epoch {} and the coordinator knows {}. The member must abandon all its partitions and rejoin.",
            beat.epoch, self.epoch
        );
        Err((ErrorCode::FENCED_MEMBER_EPOCH, text))
    }

    fn update_epoch(&mut self, epoch: i32) {
        self.previous_epoch = std::mem::replace(&mut self.epoch, epoch);
    }
}

impl Modern {
    fn at(&self, id: &str) -> Option<usize> {
        self.members.iter().position(|member| member.id == id)
    }

    pub(super) fn static_at(&self, instance_id: &str) -> Option<usize> {
        self.members
            .iter()
            .position(|member| member.instance_id.as_deref() == Some(instance_id))
    }

    /// Finds the member that speaks, or makes it: its place, and what it was before.
    fn speaker(&mut self, beat: &Beat) -> Result<usize, Refused> {
        let unknown = || {
            let text = format!(
                "Member {} is not a member of group {}.",
                beat.member_id, beat.group_id
            );
            (ErrorCode::UNKNOWN_MEMBER_ID, text)
        };
        let Some(instance_id) = beat.instance_id.as_deref() else {
            if let Some(at) = self.at(&beat.member_id) {
                // Who joins again after it lost everything starts from nothing.
                self.members[at]
                    .check_epoch(beat)
                    .or_else(|refused| match beat.epoch {
                        0 => Ok(()),
                        _ => Err(refused),
                    })?;
                return Ok(at);
            }
            if beat.epoch != 0 {
                return Err(unknown());
            }
            self.members.push(Member::new(beat));
            return Ok(self.members.len() - 1);
        };
        match (self.static_at(instance_id), beat.epoch) {
            (None, 0) => {
                self.members.push(Member::new(beat));
                Ok(self.members.len() - 1)
            }
            (None, _) => Err(unknown()),
            (Some(at), 0) => {
                let member = &mut self.members[at];
                if member.epoch != LEAVES_FOR_A_WHILE && member.id != beat.member_id {
                    let text = format!(
                        "Static member {} with instance id {instance_id} cannot join the group because the instance id is owned by {} member.",
                        beat.member_id, member.id
                    );
                    return Err((ErrorCode::UNRELEASED_INSTANCE_ID, text));
                }
                member.id.clone_from(&beat.member_id);
                (member.epoch, member.previous_epoch) = (0, 0);
                Ok(at)
            }
            (Some(at), _) if self.members[at].id != beat.member_id => {
                let text = format!(
                    "Static member {} with instance id {instance_id} was fenced by member {}.",
                    beat.member_id, self.members[at].id
                );
                Err((ErrorCode::FENCED_INSTANCE_ID, text))
            }
            (Some(at), _) => self.members[at].check_epoch(beat).map(|()| at),
        }
    }

    fn beat(
        &mut self,
        now: Duration,
        beat: Beat,
        layout: &Layout,
        settings: &Settings,
    ) -> Result<Beaten, Refused> {
        let count = self.members.len();
        let at = self.speaker(&beat)?;
        let is_new = self.members.len() > count;
        let before = self.members[at].clone();
        let full = beat.epoch == 0
            || (beat.rebalance_timeout.is_some() && beat.topics.is_some() && beat.owned.is_some());

        let member = &mut self.members[at];
        member.expires = now + settings.modern_session_timeout;
        member.client_id = beat.client_id;
        member.client_host = beat.client_host;
        if beat.rack.is_some() {
            member.rack = beat.rack;
        }
        if let Some(timeout) = beat.rebalance_timeout {
            member.rebalance_timeout = timeout;
        }
        if let Some(topics) = beat.topics {
            member.topics = topics.into_iter().collect();
        }
        if let Some(pattern) = beat.pattern {
            member.pattern = Some(pattern).filter(|pattern| !pattern.is_empty());
        }
        if beat.assignor.is_some() {
            member.assignor = beat.assignor;
        }
        let changed = is_new || member.subscription() != before.subscription();
        let subscribed = self.subscribed(layout);
        if changed || subscribed != self.layout {
            self.layout = subscribed;
            self.epoch += 1;
        }
        if self.epoch > self.assignment_epoch {
            self.make_target(layout);
        }
        self.reconcile(now, at, beat.owned.as_ref());

        let member = &self.members[at];
        let assignment =
            (full || member.assigned != before.assigned).then(|| member.assigned.clone());
        Ok(Beaten {
            member_id: member.id.clone(),
            epoch: member.epoch,
            interval: settings.heartbeat_interval,
            assignment,
        })
    }

    /// Does a member consume this topic?
    pub(super) fn is_subscribed(&self, topic: &str) -> bool {
        !self.members.is_empty() && self.layout.contains_key(topic)
    }

    /// What the members' topics look like now.
    fn subscribed(&self, layout: &Layout) -> Layout {
        let names: BTreeSet<&String> = self
            .members
            .iter()
            .flat_map(|member| member.names(layout))
            .collect();
        names
            .into_iter()
            .map(|name| (name.clone(), layout[name]))
            .collect()
    }

    fn assignor(&self) -> Assignor {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for name in self
            .members
            .iter()
            .filter_map(|member| member.assignor.as_deref())
        {
            *votes.entry(name).or_default() += 1;
        }
        let most = votes.into_iter().max_by_key(|(_, count)| *count);
        most.and_then(|(name, _)| Assignor::named(name))
            .unwrap_or_default()
    }

    fn make_target(&mut self, layout: &Layout) {
        let subscribers: Vec<assign::Subscriber<'_>> = self
            .members
            .iter()
            .map(|member| assign::Subscriber {
                id: &member.id,
                instance_id: member.instance_id.as_deref(),
                topics: member.names(layout).map(|name| layout[name]).collect(),
                owned: &member.target,
            })
            .collect();
        let targets = self.assignor().assign(&subscribers);
        for (member, target) in self.members.iter_mut().zip(targets) {
            member.target = target;
        }
        self.assignment_epoch = self.epoch;
    }

    /// A step of this member towards the target.
    fn reconcile(&mut self, now: Duration, at: usize, owned: Option<&Partitions>) {
        let epoch = self.assignment_epoch;
        let member = &self.members[at];
        if member.is_at(epoch) {
            return;
        }
        let still_owns =
            |revoking: &Partitions| owned.is_none_or(|owned| !owned.is_disjoint(revoking));
        let mut reached = member.epoch;
        if member.state == State::Unrevoked {
            if still_owns(&member.revoking) {
                return;
            }
            reached += 1;
        }
        let kept: Partitions = member
            .assigned
            .intersection(&member.target)
            .copied()
            .collect();
        let revoking: Partitions = member
            .assigned
            .difference(&member.target)
            .copied()
            .collect();
        let held: Partitions = self
            .members
            .iter()
            .flat_map(|other| other.assigned.union(&other.revoking).copied())
            .collect();
        let wanted: Partitions = member.target.difference(&kept).copied().collect();
        let free: Partitions = wanted.difference(&held).copied().collect();
        let unreleased = free.len() < wanted.len();
        let must_revoke = !revoking.is_empty() && still_owns(&revoking);

        let member = &mut self.members[at];
        member.assigned = kept;
        if must_revoke {
            member.state = State::Unrevoked;
            member.revoking = revoking;
            member.update_epoch(reached);
            member.revoked_by = Some(now + member.rebalance_timeout);
        } else {
            member.assigned.extend(free);
            member.state = if unreleased {
                State::Unreleased
            } else {
                State::Stable
            };
            member.revoking.clear();
            member.update_epoch(epoch);
            member.revoked_by = None;
        }
    }

    fn leave(&mut self, beat: Beat) -> Result<Beaten, Refused> {
        let at = match beat.instance_id.as_deref() {
            None => self.at(&beat.member_id),
            Some(instance_id) => {
                let at = self.static_at(instance_id);
                if let Some(member) = at.map(|at| &self.members[at])
                    && member.id != beat.member_id
                {
                    let text = format!(
                        "Static member {} with instance id {instance_id} was fenced by member {}.",
                        beat.member_id, member.id
                    );
                    return Err((ErrorCode::FENCED_INSTANCE_ID, text));
                }
                at
            }
        };
        let Some(at) = at else {
            let text = format!(
                "Member {} is not a member of group {}.",
                beat.member_id, beat.group_id
            );
            return Err((ErrorCode::UNKNOWN_MEMBER_ID, text));
        };
        if beat.epoch == LEAVES_FOR_A_WHILE {
            // Its place is kept until the session ends.
            let member = &mut self.members[at];
            member.epoch = LEAVES_FOR_A_WHILE;
            member.revoking.clear();
            member.revoked_by = None;
        } else {
            self.remove(at);
        }
        Ok(Beaten {
            member_id: beat.member_id,
            epoch: beat.epoch,
            interval: Duration::ZERO,
            assignment: None,
        })
    }

    fn remove(&mut self, at: usize) {
        self.members.remove(at);
        self.epoch += 1;
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        let of = |member: &Member| [Some(member.expires), member.revoked_by];
        self.members.iter().flat_map(of).flatten().min()
    }

    /// Members whose session is over, or who did not give up in time what they should, are out.
    pub(super) fn tick(&mut self, now: Duration) {
        while let Some(at) = self.members.iter().position(|member| {
            member.expires <= now || member.revoked_by.is_some_and(|by| by <= now)
        }) {
            self.remove(at);
        }
    }

    /// May this member commit or ask for offsets?
    pub(super) fn check_member(&self, member_id: &str, epoch: i32) -> Result<(), ErrorCode> {
        let at = self.at(member_id).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
        if self.members[at].epoch == epoch {
            Ok(())
        } else {
            Err(ErrorCode::STALE_MEMBER_EPOCH)
        }
    }

    pub(super) fn view(&self) -> ModernView {
        let reconciled = self
            .members
            .iter()
            .all(|member| member.is_at(self.assignment_epoch));
        let state = match () {
            () if self.members.is_empty() => "Empty",
            () if self.epoch > self.assignment_epoch => "Assigning",
            () if !reconciled => "Reconciling",
            () => "Stable",
        };
        let members = self.members.iter().map(|member| ModernMemberView {
            id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            rack: member.rack.clone(),
            epoch: member.epoch,
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            topics: member.topics.iter().cloned().collect(),
            pattern: member.pattern.clone(),
            assigned: member.assigned.clone(),
            target: member.target.clone(),
        });
        ModernView {
            state,
            epoch: self.epoch,
            assignment_epoch: self.assignment_epoch,
            assignor: self.assignor().name(),
            members: members.collect(),
        }
    }
}

#[cfg(test)]
mod tests;
