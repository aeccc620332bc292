//! What members of a `consumer` group put into JoinGroup and SyncGroup: a version, then Kafka's ConsumerProtocol messages.
//!
//! A reader takes a version that it does not know as the highest one that it does: later fields stand behind the known ones.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    client::cluster::TOPIC_NAME_BYTES_MAX,
    messages::{
        ConsumerProtocolAssignment, ConsumerProtocolSubscription, Message,
        consumer_protocol::TopicPartition, join_group::JoinGroupResponseMember,
    },
    wire::{DecodeError, Reader, Text},
};

use super::assignor::{GroupMember, MemberAssignment};

/// Partitions by topic.
pub(crate) type ByTopic = Vec<(Text, Vec<i32>)>;

/// What one member tells the leader.
pub(crate) struct Subscription<'a> {
    pub(crate) topics: &'a [Text],
    pub(crate) userdata: Option<Bytes>,
    /// What the member comes with, by topic: nothing under the eager protocol.
    pub(crate) owned: ByTopic,
    pub(crate) generation: i32,
    pub(crate) rack: Option<Text>,
}

/// The bytes of a subscription, for JoinGroup.
pub(crate) fn subscription(of: &Subscription<'_>) -> Bytes {
    // Kafka's assignors expect ascending topics, so that equal subscriptions are equal bytes.
    let mut topics = of.topics.to_vec();
    // Not to be written at all; the subscription says that it is no name.
    topics.retain(|topic| topic.len() <= TOPIC_NAME_BYTES_MAX);
    topics.sort_unstable();
    let message = ConsumerProtocolSubscription {
        topics,
        user_data: of.userdata.clone(),
        owned_partitions: of
            .owned
            .iter()
            .map(|(topic, partitions)| TopicPartition {
                topic: topic.clone(),
                partitions: partitions.clone(),
            })
            .collect(),
        generation_id: of.generation,
        rack_id: of.rack.clone(),
    };
    versioned(&message)
}

/// The bytes of one member's assignment, for SyncGroup.
pub(crate) fn assignment(of: &MemberAssignment) -> Bytes {
    let assigned_partitions = of
        .partitions
        .iter()
        .filter(|(topic, _)| topic.len() <= TOPIC_NAME_BYTES_MAX)
        .map(|(topic, partitions)| TopicPartition {
            topic: topic.clone(),
            partitions: partitions.clone(),
        })
        .collect();
    versioned(&ConsumerProtocolAssignment {
        assigned_partitions,
        user_data: of.userdata.clone(),
    })
}

fn versioned<M: Message>(message: &M) -> Bytes {
    let version = M::VERSIONS.max;
    let body = message
        .to_bytes(version)
        .expect("the highest version carries every field");
    let mut bytes = BytesMut::with_capacity(2 + body.len());
    bytes.put_i16(version);
    bytes.put(body);
    bytes.freeze()
}

fn read<M: Message>(bytes: Bytes) -> Result<M, DecodeError> {
    let mut reader = Reader::new(bytes);
    let version = reader.i16()?.clamp(M::VERSIONS.min, M::VERSIONS.max);
    M::decode(&mut reader, version)
}

/// A member as the leader sees it in the answer to JoinGroup.
pub(crate) fn member(answer: JoinGroupResponseMember) -> Result<GroupMember, DecodeError> {
    let subscription: ConsumerProtocolSubscription = read(answer.metadata)?;
    Ok(GroupMember {
        member_id: answer.member_id,
        instance_id: answer.group_instance_id,
        rack: subscription.rack_id,
        topics: subscription.topics,
        userdata: subscription.user_data,
        owned: subscription
            .owned_partitions
            .into_iter()
            .map(|TopicPartition { topic, partitions }| (topic, partitions))
            .collect(),
        generation: subscription.generation_id,
    })
}

/// Partitions by topic, and the leader's userdata, from the bytes of SyncGroup.
pub(crate) fn assigned(bytes: Bytes) -> Result<(ByTopic, Option<Bytes>), DecodeError> {
    if bytes.is_empty() {
        // What a coordinator hands to a member that the leader did not know.
        return Ok((Vec::new(), None));
    }
    let assignment: ConsumerProtocolAssignment = read(bytes)?;
    let partitions = assignment
        .assigned_partitions
        .into_iter()
        .map(|TopicPartition { topic, partitions }| (topic, partitions))
        .collect();
    Ok((partitions, assignment.user_data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_comes_back_as_it_was_said() {
        let topics = [Text::from("b"), Text::from("a")];
        let bytes = subscription(&Subscription {
            topics: &topics,
            userdata: Some(Bytes::from_static(b"state")),
            owned: vec![(Text::from("a"), vec![2])],
            generation: 4,
            rack: Some(Text::from("r")),
        });
        let answer = JoinGroupResponseMember {
            member_id: Text::from("m"),
            metadata: bytes,
            ..JoinGroupResponseMember::default()
        };
        let member = member(answer).unwrap();
        assert_eq!(member.topics, ["a", "b"]);
        assert_eq!(member.userdata.as_deref(), Some(&b"state"[..]));
        assert_eq!(member.owned, [(Text::from("a"), vec![2])]);
        assert_eq!((member.generation, member.rack.as_deref()), (4, Some("r")));
    }

    #[test]
    fn an_assignment_comes_back_as_it_was_said_and_none_is_empty() {
        let given = MemberAssignment {
            member_id: Text::from("m"),
            partitions: vec![(Text::from("t"), vec![0, 3])],
            userdata: None,
        };
        assert_eq!(
            assigned(assignment(&given)).unwrap(),
            (given.partitions, None)
        );
        assert_eq!(assigned(Bytes::new()).unwrap(), (Vec::new(), None));
    }

    #[test]
    fn a_later_version_is_read_as_the_highest_known_one() {
        let given = MemberAssignment {
            partitions: vec![(Text::from("t"), vec![1])],
            ..MemberAssignment::default()
        };
        let mut bytes = BytesMut::from(&assignment(&given)[..]);
        bytes[..2].copy_from_slice(&9_i16.to_be_bytes());
        bytes.extend_from_slice(b"fields of the future");
        assert_eq!(assigned(bytes.freeze()).unwrap().0, given.partitions);
    }

    #[test]
    fn bytes_that_are_no_subscription_are_an_error() {
        let answer = JoinGroupResponseMember {
            metadata: Bytes::from_static(b"\0\x01\0"),
            ..JoinGroupResponseMember::default()
        };
        assert!(member(answer).is_err());
    }
}
