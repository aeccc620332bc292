//! ConsumerGroupHeartbeat (68): a member joins, lives in, or leaves a group of the newer protocol (KIP-848).
//!
//! Behaviour:
//! * The rules are in [`groups::modern`](super::super::groups).
//! * An empty member id is refused in every version.
//!
//! Version notes:
//! * v1: patterns, and the member makes its id (KIP-1082)
use std::time::Duration;

use crate::messages::consumer_group_heartbeat::{Assignment, TopicPartitions};
use crate::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, ErrorCode};
use crate::wire::Text;

use super::super::groups::{Beat, Partitions};
use super::{Context, owned};

pub(super) fn handle(
    context: &Context<'_>,
    request: ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    let refused = |error_code, text: Option<String>| ConsumerGroupHeartbeatResponse {
        throttle_time_ms: context.throttle_ms(),
        error_code,
        error_message: text.map(Text::from),
        ..ConsumerGroupHeartbeatResponse::default()
    };
    let injected = context.injected();
    if let Some(injected) = injected.filter(|injected| !injected.applied) {
        return refused(injected.error, None);
    }
    let names = |names: Vec<Text>| names.iter().map(|name| name.as_str().to_owned()).collect();
    let beat = Beat {
        group_id: request.group_id.as_str().to_owned(),
        member_id: request.member_id.as_str().to_owned(),
        epoch: request.member_epoch,
        instance_id: owned(request.instance_id.as_ref()),
        rack: owned(request.rack_id.as_ref()),
        rebalance_timeout: u64::try_from(request.rebalance_timeout_ms)
            .ok()
            .map(Duration::from_millis),
        topics: request.subscribed_topic_names.map(names),
        pattern: owned(request.subscribed_topic_regex.as_ref()),
        assignor: owned(request.server_assignor.as_ref()),
        owned: request.topic_partitions.map(flat),
        client_id: context.client_id.to_owned(),
        client_host: context.peer.host.clone(),
    };
    let mut state = context.state();
    let result = state
        .check_coordinator(context.broker, &request.group_id)
        .map_err(|error| (error, String::new()))
        .and_then(|()| {
            let topics = state.topics.iter();
            let layout = topics
                .map(|(name, topic)| (name.clone(), (topic.id, topic.partitions.len() as i32)))
                .collect();
            state.groups.beat(context.shared.clock.now(), beat, &layout)
        });
    context.settle(state);
    if let Some(injected) = injected {
        return refused(injected.error, None);
    }
    match result {
        Err((error, text)) => refused(error, Some(text).filter(|text| !text.is_empty())),
        Ok(beaten) => ConsumerGroupHeartbeatResponse {
            throttle_time_ms: context.throttle_ms(),
            error_code: ErrorCode::NONE,
            error_message: None,
            member_id: Some(Text::from(beaten.member_id)),
            member_epoch: beaten.epoch,
            heartbeat_interval_ms: i32::try_from(beaten.interval.as_millis()).unwrap_or(i32::MAX),
            assignment: beaten.assignment.map(|partitions| Assignment {
                topic_partitions: by_topic(&partitions),
            }),
        },
    }
}

fn flat(topics: Vec<TopicPartitions>) -> Partitions {
    let of = |topic: TopicPartitions| {
        let id = topic.topic_id;
        topic
            .partitions
            .into_iter()
            .map(move |partition| (id, partition))
    };
    topics.into_iter().flat_map(of).collect()
}

fn by_topic(partitions: &Partitions) -> Vec<TopicPartitions> {
    let mut topics: Vec<TopicPartitions> = Vec::new();
    for (topic_id, partition) in partitions {
        match topics.last_mut() {
            Some(last) if last.topic_id == *topic_id => last.partitions.push(*partition),
            _ => topics.push(TopicPartitions {
                topic_id: *topic_id,
                partitions: vec![*partition],
            }),
        }
    }
    topics
}
