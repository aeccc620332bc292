//! ElectLeaders (43): partitions go back to their preferred replica, or to any that is up (KIP-183, KIP-460).
//!
//! Behaviour:
//! * Without partitions all are meant, and only those that moved are answered.
//! * Every replica has everything here, so an unclean election loses nothing.
use crate::messages::elect_leaders::{PartitionResult, ReplicaElectionResult};
use crate::messages::{ElectLeadersRequest, ElectLeadersResponse, ErrorCode};
use crate::wire::Text;

use super::super::state::State;
use super::Context;

const PREFERRED: i8 = 0;

pub(super) fn handle(context: &Context<'_>, request: ElectLeadersRequest) -> ElectLeadersResponse {
    let mut state = context.state();
    let preferred = request.election_type == PREFERRED;
    let all = request.topic_partitions.is_none();
    let asked: Vec<(Text, Vec<i32>)> = match request.topic_partitions {
        Some(topics) => topics
            .into_iter()
            .map(|of| (of.topic, of.partitions))
            .collect(),
        None => {
            let topics = state.topics.iter();
            let numbered = topics.map(|(name, of)| {
                let partitions = (0..).zip(&of.partitions).map(|(index, _)| index);
                (Text::from(name), partitions.collect())
            });
            numbered.collect()
        }
    };
    let mut replica_election_results = Vec::new();
    for (topic, partitions) in asked {
        let results = partitions.into_iter().map(|partition_id| {
            let error_code = context.with_fault_for(&topic, partition_id, || {
                elect(&mut state, &topic, partition_id, preferred)
            });
            PartitionResult {
                partition_id,
                error_code,
                error_message: (!error_code.is_ok()).then(|| error_code.to_string().into()),
            }
        });
        let unmoved =
            |result: &PartitionResult| result.error_code == ErrorCode::ELECTION_NOT_NEEDED;
        let results = results.filter(|result| !all || !unmoved(result));
        let partition_result: Vec<PartitionResult> = results.collect();
        if !partition_result.is_empty() {
            replica_election_results.push(ReplicaElectionResult {
                topic,
                partition_result,
            });
        }
    }
    drop(state);
    context.shared.notify_changed();
    ElectLeadersResponse {
        throttle_time_ms: context.throttle_ms(),
        replica_election_results,
        ..ElectLeadersResponse::default()
    }
}

fn elect(state: &mut State, topic: &str, partition: i32, preferred: bool) -> ErrorCode {
    let up: Vec<i32> = state.up().map(|broker| broker.id).collect();
    let partition = match state.topics.partition(topic, partition) {
        Ok(partition) => partition,
        Err(error) => return error,
    };
    let first = partition.replicas.first().copied().unwrap_or(-1);
    let next = if preferred {
        Some(first).filter(|id| up.contains(id))
    } else {
        partition
            .replicas
            .iter()
            .copied()
            .find(|id| up.contains(id))
    };
    match next {
        _ if preferred && partition.leader == first => ErrorCode::ELECTION_NOT_NEEDED,
        _ if !preferred && partition.leader >= 0 => ErrorCode::ELECTION_NOT_NEEDED,
        None if preferred => ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE,
        None => ErrorCode::ELIGIBLE_LEADERS_NOT_AVAILABLE,
        Some(next) => {
            partition.lead(next);
            ErrorCode::NONE
        }
    }
}
