//! Groups: which there are, who is in them, what they have committed.

use std::collections::BTreeMap;

use super::{Admin, collect_results, no_answer, outcome};
use crate::client::cluster::BrokerId;
use crate::client::connection::Connection;
use crate::client::error::{Error, Result};
use crate::client::group::{
    CommittedOffset, GroupOffsets, OffsetToCommit, TopicPartition, protocol,
};
use crate::messages::consumer_group_describe::{self, Assignment};
use crate::messages::describe_groups;
use crate::messages::offset_delete::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use crate::messages::offset_fetch::OffsetFetchRequestGroup;
use crate::messages::{
    ConsumerGroupDescribeRequest, DeleteGroupsRequest, DescribeGroupsRequest, ErrorCode,
    ListGroupsRequest, OffsetDeleteRequest, OffsetFetchRequest,
};
use crate::wire::Text;

/// A group as its coordinator lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupListing {
    /// Its id.
    pub group_id: String,
    /// What its members are: `consumer`, `connect`, …; empty for a group that only holds offsets.
    pub protocol_type: String,
    /// `Stable`, `Empty`, …; empty from brokers before 2.6.
    pub state: String,
    /// `classic`, `consumer`, `share`, …; empty from brokers before 3.8.
    pub group_type: String,
    /// Its coordinator.
    pub coordinator: BrokerId,
}

/// What a group's coordinator says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupDescription {
    /// Its id.
    pub group_id: String,
    /// `Stable`, `Empty`, `PreparingRebalance`, `Dead` (there is none), …
    pub state: String,
    /// The assignor that it uses.
    pub assignor: String,
    /// Whether it speaks the protocol of KIP-848.
    pub is_consumer_protocol: bool,
    /// Its members.
    pub members: Vec<MemberDescription>,
    /// Its coordinator.
    pub coordinator: BrokerId,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberDescription {
    /// Its id.
    pub member_id: String,
    /// Its `group.instance.id`, if it is static (KIP-345).
    pub instance_id: Option<String>,
    /// Its `client.id`.
    pub client_id: String,
    /// Where it is.
    pub host: String,
    /// What it has been assigned; empty for members that are no consumers.
    pub assignment: Vec<TopicPartition>,
}

/// `GROUP_ID_NOT_FOUND` and the like: the group is not of this kind.
fn is_other_kind(code: Option<ErrorCode>) -> bool {
    matches!(
        code,
        Some(ErrorCode::GROUP_ID_NOT_FOUND | ErrorCode::UNSUPPORTED_VERSION)
    )
}

impl Admin {
    /// All groups of all brokers. A broker that cannot be asked is an error: a list with holes would look whole.
    ///
    /// # Errors
    /// [`Error::Broker`], or what goes wrong while asking.
    pub async fn list_groups(&self) -> Result<Vec<GroupListing>> {
        let call = self.for_one_call();
        let what = || "listing the brokers".to_owned();
        let refreshed = call.cluster().refresh(&[]);
        let metadata = call.limit().bound(what, refreshed).await?;
        let mut groups = Vec::new();
        for broker in metadata.brokers() {
            let listed = call
                .retried_at(broker.id, async |connection: Connection| {
                    let request = ListGroupsRequest::default();
                    let response = connection.call(&request, self.timeout()).await?;
                    let what = || format!("listing the groups of {}", connection.name()).into();
                    outcome(what, response.error_code, None)?;
                    Ok(response.groups)
                })
                .await?;
            groups.extend(listed.into_iter().map(|group| GroupListing {
                group_id: group.group_id.to_string(),
                protocol_type: group.protocol_type.to_string(),
                state: group.group_state.to_string(),
                group_type: group.group_type.to_string(),
                coordinator: broker.id,
            }));
        }
        groups.sort_by(|a, b| a.group_id.cmp(&b.group_id));
        Ok(groups)
    }

    /// What a group's coordinator says about it, whichever protocol it speaks. A group that is not there is `Dead` to brokers before 4.0,
    /// and an error since.
    ///
    /// # Errors
    /// [`Error::Broker`]: `GROUP_ID_NOT_FOUND`, `GROUP_AUTHORIZATION_FAILED`, …
    pub async fn describe_group(&self, group: &str) -> Result<GroupDescription> {
        self.retried_at_coordinator(group, async |coordinator, connection: Connection| {
            let newer = self
                .describe_consumer_group(group, coordinator, &connection)
                .await;
            match newer {
                Err(Error::Unsupported { .. }) => {}
                Err(error) if is_other_kind(error.code()) => {}
                result => return result,
            }
            let request = DescribeGroupsRequest {
                groups: vec![Text::from(group)],
                ..Default::default()
            };
            let response = connection.call(&request, self.timeout()).await?;
            let found = response
                .groups
                .into_iter()
                .find(|found| found.group_id == *group);
            let found = found.ok_or_else(|| no_answer("group", group))?;
            outcome(
                || format!("describing group {group}").into(),
                found.error_code,
                found.error_message.as_deref(),
            )?;
            Ok(GroupDescription {
                group_id: group.to_owned(),
                state: found.group_state.to_string(),
                assignor: found.protocol_data.to_string(),
                is_consumer_protocol: false,
                members: found.members.into_iter().map(classic_member).collect(),
                coordinator,
            })
        })
        .await
    }

    async fn describe_consumer_group(
        &self,
        group: &str,
        coordinator: BrokerId,
        connection: &Connection,
    ) -> Result<GroupDescription> {
        let request = ConsumerGroupDescribeRequest {
            group_ids: vec![Text::from(group)],
            ..Default::default()
        };
        let response = connection.call(&request, self.timeout()).await?;
        let found = response
            .groups
            .into_iter()
            .find(|found| found.group_id == *group);
        let found = found.ok_or_else(|| no_answer("group", group))?;
        outcome(
            || format!("describing group {group}").into(),
            found.error_code,
            found.error_message.as_deref(),
        )?;
        Ok(GroupDescription {
            group_id: group.to_owned(),
            state: found.group_state.to_string(),
            assignor: found.assignor_name.to_string(),
            is_consumer_protocol: true,
            members: found.members.into_iter().map(consumer_member).collect(),
            coordinator,
        })
    }

    /// Deletes groups that have no members, with their offsets; the results stand in the order of the names.
    ///
    /// # Errors
    /// A group's own error stands in its place: `NON_EMPTY_GROUP`, `GROUP_ID_NOT_FOUND`, …
    pub async fn delete_groups(&self, groups: &[&str]) -> Vec<Result<()>> {
        let mut results = Vec::with_capacity(groups.len());
        let call = self.for_one_call();
        for group in groups {
            let result = call
                .retried_at_coordinator(group, async |_, connection: Connection| {
                    let request = DeleteGroupsRequest {
                        groups_names: vec![Text::from(*group)],
                    };
                    let response = connection.call(&request, self.timeout()).await?;
                    let found = response
                        .results
                        .iter()
                        .find(|found| found.group_id == **group);
                    let found = found.ok_or_else(|| no_answer("group", group))?;
                    outcome(
                        || format!("deleting group {group}").into(),
                        found.error_code,
                        None,
                    )
                })
                .await;
            results.push(result);
        }
        results
    }

    /// All that a group has committed.
    ///
    /// # Errors
    /// [`Error::Broker`]. An error is never read as "nothing is committed".
    pub async fn group_offsets(
        &self,
        group: &str,
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>> {
        let call = self.for_one_call();
        let partitions = call
            .retried_at_coordinator(group, async |_, connection: Connection| {
                self.committed_partitions(group, &connection).await
            })
            .await?;
        let offsets = GroupOffsets::new(self.cluster(), group);
        let committed = offsets.committed_with(&partitions, false, call.limit());
        let committed = committed.await?;
        let found = partitions.into_iter().zip(committed);
        Ok(found
            .filter_map(|(partition, offset)| Some((partition, offset?)))
            .collect())
    }

    async fn committed_partitions(
        &self,
        group: &str,
        connection: &Connection,
    ) -> Result<Vec<TopicPartition>> {
        const LAST_BY_NAME: i16 = 9;
        const FIRST_WITH_GROUPS: i16 = 8;
        let version = connection.version_at_most::<OffsetFetchRequest>(LAST_BY_NAME)?;
        // No topics at all stands for all of them.
        let request = if version < FIRST_WITH_GROUPS {
            OffsetFetchRequest {
                group_id: Text::from(group),
                topics: None,
                ..Default::default()
            }
        } else {
            OffsetFetchRequest {
                groups: vec![OffsetFetchRequestGroup {
                    group_id: Text::from(group),
                    topics: None,
                    ..Default::default()
                }],
                ..Default::default()
            }
        };
        let response = connection
            .call_at_most(&request, version, self.timeout())
            .await?;
        let what = || format!("reading the offsets of group {group}").into();
        outcome(what, response.error_code, None)?;
        let mut partitions = Vec::new();
        for topic in &response.topics {
            let indexes = topic.partitions.iter().map(|found| found.partition_index);
            let topic = topic.name.detach();
            partitions.extend(indexes.map(|at| TopicPartition::new(topic.clone(), at)));
        }
        for group in &response.groups {
            outcome(what, group.error_code, None)?;
            for topic in &group.topics {
                let indexes = topic.partitions.iter().map(|found| found.partition_index);
                let topic = topic.name.detach();
                partitions.extend(indexes.map(|at| TopicPartition::new(topic.clone(), at)));
            }
        }
        Ok(partitions)
    }

    /// Sets committed offsets of a group that has no members.
    ///
    /// # Errors
    /// [`Error::Broker`]: `UNKNOWN_MEMBER_ID` while the group has members, `UNKNOWN_TOPIC_OR_PARTITION`, …
    pub async fn alter_group_offsets(&self, group: &str, offsets: &[OffsetToCommit]) -> Result<()> {
        GroupOffsets::new(self.cluster(), group)
            .commit(offsets)
            .await
    }

    /// Takes committed offsets of a group away; the results stand in the order of the partitions (KIP-496).
    ///
    /// # Errors
    /// Of the whole: `GROUP_ID_NOT_FOUND`, …; a partition's own error stands in its place: `GROUP_SUBSCRIBED_TO_TOPIC`, …
    pub async fn delete_group_offsets(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<Vec<Result<()>>> {
        let mut topics: BTreeMap<&Text, Vec<OffsetDeleteRequestPartition>> = BTreeMap::new();
        for TopicPartition { topic, partition } in partitions {
            let partition_index = *partition;
            let of_topic = topics.entry(topic).or_default();
            of_topic.push(OffsetDeleteRequestPartition { partition_index });
        }
        let topics = topics.into_iter();
        let request = OffsetDeleteRequest {
            group_id: Text::from(group),
            topics: topics
                .map(|(name, partitions)| OffsetDeleteRequestTopic {
                    name: name.clone(),
                    partitions,
                })
                .collect(),
        };
        self.retried_at_coordinator(group, async |_, connection: Connection| {
            let response = connection.call(&request, self.timeout()).await?;
            let what = || format!("deleting offsets of group {group}").into();
            outcome(what, response.error_code, None)?;
            Ok(collect_results(
                partitions,
                |TopicPartition { topic, partition }| {
                    let mut found = response
                        .topics
                        .iter()
                        .filter(|answer| answer.name == *topic);
                    let found = found.find_map(|topic| {
                        let mut all = topic.partitions.iter();
                        all.find(|answer| answer.partition_index == *partition)
                    });
                    let found = found.ok_or_else(|| no_answer("partition", topic))?;
                    let what = || {
                        format!("deleting the offset of {topic}-{partition} in group {group}")
                            .into()
                    };
                    outcome(what, found.error_code, None)
                },
            ))
        })
        .await
    }
}

fn classic_member(member: describe_groups::DescribedGroupMember) -> MemberDescription {
    // What is no consumer's assignment is shown as none.
    let assigned = protocol::assigned(member.member_assignment).map(|(topics, _)| topics);
    let assignment = assigned
        .unwrap_or_default()
        .into_iter()
        .flat_map(|(topic, partitions)| {
            let topic = topic.detach();
            let partition = move |at| TopicPartition::new(topic.clone(), at);
            partitions.into_iter().map(partition)
        });
    MemberDescription {
        member_id: member.member_id.to_string(),
        instance_id: member.group_instance_id.as_deref().map(str::to_owned),
        client_id: member.client_id.to_string(),
        host: member.client_host.to_string(),
        assignment: assignment.collect(),
    }
}

fn consumer_member(member: consumer_group_describe::Member) -> MemberDescription {
    let Assignment { topic_partitions } = member.assignment;
    let assignment = topic_partitions.into_iter().flat_map(|topic| {
        let name = topic.topic_name.detach();
        let partition = move |at| TopicPartition::new(name.clone(), at);
        topic.partitions.into_iter().map(partition)
    });
    MemberDescription {
        member_id: member.member_id.to_string(),
        instance_id: member.instance_id.as_deref().map(str::to_owned),
        client_id: member.client_id.to_string(),
        host: member.client_host.to_string(),
        assignment: assignment.collect(),
    }
}
