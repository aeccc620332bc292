//! AddPartitionsToTxn (24): partitions that a transaction will write to (TV1).
//!
//! Behaviour:
//! * All or nothing: one unknown partition makes the others OPERATION_NOT_ATTEMPTED.
//!
//! Version notes:
//! * v2: PRODUCER_FENCED; before, INVALID_PRODUCER_EPOCH
//! * v4: several transactions, and verification only (between brokers)
use crate::messages::add_partitions_to_txn::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
    AddPartitionsToTxnTransaction,
};
use crate::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, ErrorCode};

use super::super::state::State;
use super::super::transactions::Identity;
use super::Context;

pub(super) fn handle(
    context: &Context<'_>,
    request: AddPartitionsToTxnRequest,
) -> AddPartitionsToTxnResponse {
    let mut response = AddPartitionsToTxnResponse {
        throttle_time_ms: context.throttle_ms(),
        ..AddPartitionsToTxnResponse::default()
    };
    let mut state = context.state();
    if context.version >= 4 {
        for transaction in request.transactions {
            let topic_results = add(context, &mut state, &transaction);
            response
                .results_by_transaction
                .push(AddPartitionsToTxnResult {
                    transactional_id: transaction.transactional_id,
                    topic_results,
                });
        }
    } else {
        let transaction = AddPartitionsToTxnTransaction {
            transactional_id: request.v3_and_below_transactional_id,
            producer_id: request.v3_and_below_producer_id,
            producer_epoch: request.v3_and_below_producer_epoch,
            verify_only: false,
            topics: request.v3_and_below_topics,
        };
        response.results_by_topic_v3_and_below = add(context, &mut state, &transaction);
    }
    context.settle(state);
    response
}

fn add(
    context: &Context<'_>,
    state: &mut State,
    transaction: &AddPartitionsToTxnTransaction,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let identity = Identity {
        producer_id: transaction.producer_id,
        epoch: transaction.producer_epoch,
    };
    let id = transaction.transactional_id.as_str();
    let all: Vec<(String, i32)> = transaction
        .topics
        .iter()
        .flat_map(|topic| {
            let name = topic.name.as_str();
            topic
                .partitions
                .iter()
                .map(move |index| (name.to_owned(), *index))
        })
        .collect();
    let is_known =
        |state: &mut State, of: &(String, i32)| state.topics.partition(&of.0, of.1).is_ok();
    let missing = all.iter().any(|of| !is_known(state, of));
    let injected = all
        .iter()
        .find_map(|(name, index)| context.injected_for(name, *index));
    let run = |state: &mut State| -> ErrorCode {
        if let Err(error) = state.check_coordinator(context.broker, id) {
            return error;
        }
        if missing {
            return ErrorCode::OPERATION_NOT_ATTEMPTED;
        }
        let result = if transaction.verify_only {
            all.iter()
                .try_for_each(|of| state.transactions.verify_partition(id, identity, of))
        } else {
            let now = context.shared.clock.now();
            state
                .transactions
                .add_partitions(now, id, identity, all.iter().cloned())
        };
        super::error_of(result)
    };
    let error = match injected {
        Some(injected) => {
            if injected.applied {
                run(state);
            }
            injected.error
        }
        None => run(state),
    };
    let error = if error == ErrorCode::PRODUCER_FENCED && context.version < 2 {
        ErrorCode::INVALID_PRODUCER_EPOCH
    } else {
        error
    };
    let results = transaction.topics.iter().map(|topic| {
        let results = topic.partitions.iter().map(|index| {
            let of = (topic.name.as_str().to_owned(), *index);
            let unknown = error == ErrorCode::OPERATION_NOT_ATTEMPTED && !is_known(state, &of);
            AddPartitionsToTxnPartitionResult {
                partition_index: *index,
                partition_error_code: if unknown {
                    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
                } else {
                    error
                },
            }
        });
        AddPartitionsToTxnTopicResult {
            results_by_partition: results.collect(),
            name: topic.name.clone(),
        }
    });
    results.collect()
}
