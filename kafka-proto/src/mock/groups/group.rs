//! One group: its phase, generation, members and offsets, and what can be read off them.
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bytes::Bytes;

use crate::messages::{ConsumerProtocolSubscription, ErrorCode, Message};
use crate::wire::Reader;

use super::modern::{Modern, ModernView};
use super::offsets::{Committed, TopicPartition};
use super::requests::{Joined, Synced, Ticket};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// No members; offsets may be left.
    Empty,
    /// Waiting for every member to join, until the deadline.
    Preparing {
        deadline: Duration,
        /// The first rebalance of an empty group waits a little for more members: how much longer it may be put off,
        /// and whether someone came since it was last put off.
        initial: Option<Initial>,
    },
    /// Generation made; waiting for the leader's assignment.
    Completing { deadline: Duration },
    /// Every member has its assignment.
    Stable,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Initial {
    pub(super) remaining: Duration,
    pub(super) newcomer: bool,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) instance_id: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) session_timeout: Duration,
    pub(super) rebalance_timeout: Duration,
    pub(super) protocols: Vec<(String, Bytes)>,
    pub(super) assignment: Bytes,
    pub(super) joining: Option<Ticket>,
    pub(super) syncing: Option<Ticket>,
    pub(super) synced: bool,
    pub(super) expires: Duration,
    pub(super) is_new: bool,
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) phase: Phase,
    pub(super) generation: i32,
    pub(super) protocol_type: String,
    pub(super) protocol: Option<String>,
    pub(super) leader: String,
    /// In the order they came.
    pub(super) members: Vec<Member>,
    /// Ids handed out and not yet used to join, with their deadline.
    pub(super) pending: HashMap<String, Duration>,
    pub(super) offsets: BTreeMap<TopicPartition, Committed>,
    /// Offsets inside transactions that are not decided, by producer id.
    pub(super) undecided: HashMap<i64, BTreeMap<TopicPartition, Committed>>,
    /// Its members if they speak the newer protocol (KIP-848): then there are no others.
    pub(super) modern: Option<Modern>,
}

impl Group {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Empty,
            generation: 0,
            protocol_type: String::new(),
            protocol: None,
            leader: String::new(),
            members: Vec::new(),
            pending: HashMap::new(),
            offsets: BTreeMap::new(),
            undecided: HashMap::new(),
            modern: None,
        }
    }

    /// Whether nobody is a member, in either protocol.
    pub(super) fn is_empty(&self) -> bool {
        let modern = self.modern.as_ref();
        self.members.is_empty()
            && self.pending.is_empty()
            && modern.is_none_or(|modern| modern.members.is_empty())
    }

    /// Does a member consume this topic?
    pub(super) fn is_subscribed(&self, topic: &str) -> bool {
        if let Some(modern) = &self.modern {
            return modern.is_subscribed(topic);
        }
        self.members.iter().any(|member| {
            let of = |(_, metadata): &(String, Bytes)| subscribes(metadata, topic);
            member.protocols.iter().any(of)
        })
    }

    pub(super) fn member(&mut self, id: &str) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.id == id)
    }

    pub(super) fn static_member(&self, instance_id: &str) -> Option<&Member> {
        self.members
            .iter()
            .find(|member| member.instance_id.as_deref() == Some(instance_id))
    }

    /// Is this the member it says it is?
    pub(super) fn check(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), ErrorCode> {
        if let Some(instance_id) = instance_id {
            return match self.static_member(instance_id) {
                None => Err(ErrorCode::UNKNOWN_MEMBER_ID),
                Some(member) if member.id != member_id => Err(ErrorCode::FENCED_INSTANCE_ID),
                Some(_) => Ok(()),
            };
        }
        if self.members.iter().any(|member| member.id == member_id) {
            Ok(())
        } else {
            Err(ErrorCode::UNKNOWN_MEMBER_ID)
        }
    }

    pub(super) fn supports(&self, protocols: &[(String, Bytes)]) -> bool {
        protocols.iter().any(|(name, _)| {
            self.members
                .iter()
                .all(|member| member.protocols.iter().any(|(known, _)| known == name))
        })
    }

    pub(super) fn rebalance_timeout(&self) -> Duration {
        self.members
            .iter()
            .map(|member| member.rebalance_timeout)
            .max()
            .unwrap_or_default()
    }

    /// Each member votes for the first of its protocols that all of them know.
    pub(super) fn elected_protocol(&self) -> Option<String> {
        let mut votes: Vec<(&str, usize)> = Vec::new();
        for member in &self.members {
            let choice = member.protocols.iter().find(|(name, _)| {
                self.members
                    .iter()
                    .all(|other| other.protocols.iter().any(|(known, _)| known == name))
            });
            if let Some((name, _)) = choice {
                match votes.iter_mut().find(|(known, _)| known == name) {
                    Some((_, count)) => *count += 1,
                    None => votes.push((name, 1)),
                }
            }
        }
        let most = votes.iter().map(|&(_, count)| count).max()?;
        votes
            .iter()
            .find(|&&(_, count)| count == most)
            .map(|&(name, _)| name.to_owned())
    }

    /// What a member is told of the current generation.
    pub(super) fn joined(&self, id: &str) -> Joined {
        let members = if id == self.leader {
            let protocol = self.protocol.as_deref();
            self.members
                .iter()
                .map(|member| {
                    let metadata = member
                        .protocols
                        .iter()
                        .find(|(name, _)| Some(name.as_str()) == protocol)
                        .map(|(_, metadata)| metadata.clone())
                        .unwrap_or_default();
                    (member.id.clone(), member.instance_id.clone(), metadata)
                })
                .collect()
        } else {
            Vec::new()
        };
        Joined {
            error: ErrorCode::NONE,
            generation: self.generation,
            protocol_type: Some(self.protocol_type.clone()),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            skip_assignment: false,
            member_id: id.to_owned(),
            members,
        }
    }

    pub(super) fn synced(&self, assignment: Bytes) -> Synced {
        Synced {
            error: ErrorCode::NONE,
            protocol_type: Some(self.protocol_type.clone()),
            protocol: self.protocol.clone(),
            assignment,
        }
    }
}

/// A member whose request is held by the coordinator cannot send heartbeats meanwhile.
/// Is the topic in a consumer's subscription, as its JoinGroup has it: a version, then the message?
fn subscribes(metadata: &Bytes, topic: &str) -> bool {
    let mut reader = Reader::new(metadata.clone());
    let versions = ConsumerProtocolSubscription::VERSIONS;
    let subscription = reader.i16().and_then(|version| {
        let version = version.clamp(versions.min, versions.max);
        ConsumerProtocolSubscription::decode(&mut reader, version)
    });
    subscription.is_ok_and(|of| of.topics.iter().any(|name| *name == topic))
}

pub(super) fn session_deadline(member: &Member) -> Option<Duration> {
    let waits = member.joining.is_some() || member.syncing.is_some();
    (member.is_new || !waits).then_some(member.expires)
}

pub(super) fn group_deadline(group: &Group) -> Option<Duration> {
    let phase = match group.phase {
        Phase::Preparing { deadline, .. } | Phase::Completing { deadline } => Some(deadline),
        Phase::Empty | Phase::Stable => None,
    };
    let members = group.members.iter().filter_map(session_deadline);
    let pending = group.pending.values().copied();
    let modern = group.modern.as_ref().and_then(Modern::deadline);
    members.chain(pending).chain(phase).chain(modern).min()
}

/// One member, as DescribeGroups shows it.
#[derive(Debug, Clone)]
pub(crate) struct MemberView {
    pub(crate) id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) metadata: Bytes,
    pub(crate) assignment: Bytes,
}

/// One group, as DescribeGroups and ListGroups show it.
#[derive(Debug, Clone)]
pub(crate) struct GroupView {
    /// Kafka's word for the state: Empty, PreparingRebalance, CompletingRebalance or Stable; of the newer protocol
    /// also Assigning and Reconciling.
    pub(crate) state: &'static str,
    pub(crate) protocol_type: String,
    pub(crate) protocol: String,
    /// Of the newer protocol: its epoch.
    pub(crate) generation: i32,
    pub(crate) members: Vec<MemberView>,
    /// Whether it is a group of the newer protocol (KIP-848).
    pub(crate) modern: bool,
}

impl GroupView {
    pub(super) fn of_modern(view: ModernView) -> Self {
        let members = view.members.into_iter().map(|member| MemberView {
            id: member.id,
            instance_id: member.instance_id,
            client_id: member.client_id,
            client_host: member.client_host,
            metadata: Bytes::new(),
            assignment: Bytes::new(),
        });
        Self {
            state: view.state,
            protocol_type: "consumer".to_owned(),
            protocol: view.assignor.to_owned(),
            generation: view.epoch,
            members: members.collect(),
            modern: true,
        }
    }
}
