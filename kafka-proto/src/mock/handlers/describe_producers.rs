//! DescribeProducers (61): the idempotent producers that a partition remembers (KIP-664).
use crate::messages::describe_producers::{PartitionResponse, ProducerState, TopicResponse};
use crate::messages::{DescribeProducersRequest, DescribeProducersResponse, ErrorCode};

use super::Context;

pub(super) fn handle(
    context: &Context<'_>,
    request: DescribeProducersRequest,
) -> DescribeProducersResponse {
    let mut state = context.state();
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partition_indexes.iter().map(|&index| {
            let mut active_producers = Vec::new();
            let error_code = context.with_fault_for(&topic.name, index, || {
                let partition = match state.topics.partition(&topic.name, index) {
                    Ok(partition) => partition,
                    Err(error) => return error,
                };
                if let Err(error) = partition.check_leader(context.broker, -1) {
                    return error;
                }
                let producers = partition.log.producers();
                active_producers = producers
                    .map(|(active, first)| ProducerState {
                        producer_id: active.producer_id,
                        producer_epoch: active.epoch.into(),
                        last_sequence: active.last_sequence,
                        last_timestamp: active.last_timestamp,
                        coordinator_epoch: active.coordinator_epoch,
                        current_txn_start_offset: first.unwrap_or(-1),
                    })
                    .collect();
                ErrorCode::NONE
            });
            PartitionResponse {
                partition_index: index,
                error_code,
                error_message: None,
                active_producers,
            }
        });
        TopicResponse {
            partitions: partitions.collect(),
            name: topic.name.clone(),
        }
    });
    DescribeProducersResponse {
        topics: topics.collect(),
        throttle_time_ms: context.throttle_ms(),
    }
}
