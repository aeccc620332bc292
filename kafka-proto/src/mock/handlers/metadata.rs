//! Metadata (3): brokers, topics, partitions and their leaders.
//!
//! Behaviour:
//! * Brokers that are down are not named; their replicas are offline and out of the in-sync set.
//! * A topic made on the way (`auto.create.topics.enable`) is answered at once, with its leaders.
//! * All topics are in the order of their names.
//!
//! Version notes:
//! * v0: an empty list means all topics; from v1 null means all and an empty list none
//! * v4: the client says whether topics may be made
//! * v10: topic ids; v12: asked for by id
use crate::messages::metadata::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use crate::messages::{ErrorCode, MetadataRequest, MetadataResponse};
use crate::wire::Text;

use super::super::configs::TopicConfigs;
use super::super::state::State;
use super::super::topics::{Topic, is_internal, is_valid_name};
use super::Context;

pub(super) fn handle(context: &Context<'_>, request: MetadataRequest) -> MetadataResponse {
    let mut state = context.state();
    let may_create = state.settings.auto_create_topics
        && (context.version < 4 || request.allow_auto_topic_creation);
    let asked = match request.topics {
        Some(topics) if context.version > 0 || !topics.is_empty() => Some(topics),
        _ => None,
    };
    let mut topics = Vec::new();
    match asked {
        None => {
            for (name, topic) in state.topics.iter() {
                topics.push(describe(&state, name, topic));
            }
        }
        Some(asked) => {
            for topic in asked {
                let described = match topic.name {
                    Some(name) => by_name(&mut state, &name, may_create),
                    None => match state.topics.name_of(&topic.topic_id).map(str::to_owned) {
                        Some(name) => by_name(&mut state, &name, false),
                        None => MetadataResponseTopic {
                            error_code: ErrorCode::UNKNOWN_TOPIC_ID,
                            name: (context.version < 12).then(Text::default),
                            topic_id: topic.topic_id,
                            ..MetadataResponseTopic::default()
                        },
                    },
                };
                topics.push(described);
            }
        }
    }
    let brokers = state
        .up()
        .map(|broker| MetadataResponseBroker {
            node_id: broker.id,
            host: Text::from(&broker.host),
            port: broker.port.into(),
            rack: broker.rack.as_ref().map(Text::from),
        })
        .collect();
    let (cluster_id, controller_id) = (Text::from(&state.settings.cluster_id), state.controller());
    drop(state);
    for topic in &mut topics {
        let name = topic.name.clone().unwrap_or_default();
        for partition in &mut topic.partitions {
            if let Some(injected) = context.injected_for(&name, partition.partition_index) {
                partition.error_code = injected.error;
                topic.error_code = injected.error;
            }
        }
        if let Some(injected) = context.injected_for(&name, -1) {
            topic.error_code = injected.error;
        }
    }
    MetadataResponse {
        throttle_time_ms: context.throttle_ms(),
        brokers,
        cluster_id: Some(cluster_id),
        controller_id,
        topics,
        ..MetadataResponse::default()
    }
}

fn by_name(state: &mut State, name: &str, may_create: bool) -> MetadataResponseTopic {
    let refused = |error_code| MetadataResponseTopic {
        error_code,
        name: Some(Text::from(name)),
        ..MetadataResponseTopic::default()
    };
    if !is_valid_name(name) {
        return refused(ErrorCode::INVALID_TOPIC_EXCEPTION);
    }
    if may_create && state.topics.get(name).is_none() {
        if state.topics.colliding(name).is_some() {
            return refused(ErrorCode::INVALID_TOPIC_EXCEPTION);
        }
        let settings = &state.settings;
        let replicas = state.place(0, settings.partitions_default, settings.replication_factor);
        state.create_topic(name, replicas, TopicConfigs::default());
    }
    match state.topics.get(name) {
        Some(topic) => describe(state, name, topic),
        None => refused(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
    }
}

fn describe(state: &State, name: &str, topic: &Topic) -> MetadataResponseTopic {
    let is_up = |id: &i32| state.broker(*id).is_some_and(|broker| broker.up);
    let partitions = topic.partitions.iter().zip(0..).map(|(partition, index)| {
        let (isr_nodes, offline_replicas): (Vec<i32>, Vec<i32>) =
            partition.replicas.iter().partition(|id| is_up(id));
        MetadataResponsePartition {
            error_code: if partition.leader < 0 {
                ErrorCode::LEADER_NOT_AVAILABLE
            } else {
                ErrorCode::NONE
            },
            partition_index: index,
            leader_id: partition.leader,
            leader_epoch: partition.leader_epoch,
            replica_nodes: partition.replicas.clone(),
            isr_nodes,
            offline_replicas,
        }
    });
    MetadataResponseTopic {
        name: Some(Text::from(name)),
        topic_id: topic.id,
        is_internal: is_internal(name),
        partitions: partitions.collect(),
        ..MetadataResponseTopic::default()
    }
}
