//! DescribeTransactions (65): state, producer and partitions of transactional ids (KIP-664).
use crate::messages::describe_transactions::{TopicData, TransactionState};
use crate::messages::{DescribeTransactionsRequest, DescribeTransactionsResponse, ErrorCode};
use crate::wire::Text;

use super::super::transactions::TransactionView;
use super::Context;

pub(super) fn handle(
    context: &Context<'_>,
    request: DescribeTransactionsRequest,
) -> DescribeTransactionsResponse {
    let state = context.state();
    let clock = &context.shared.clock;
    let (now, now_ms) = (clock.now(), clock.unix_ms());
    let described = request.transactional_ids.into_iter().map(|id| {
        let mut described = TransactionState::default();
        described.error_code = context.with_fault(|| {
            if id.is_empty() {
                return ErrorCode::INVALID_REQUEST;
            }
            if let Err(error) = state.check_coordinator(context.broker, &id) {
                return error;
            }
            let Some(view) = state.transactions.view(&id) else {
                return ErrorCode::TRANSACTIONAL_ID_NOT_FOUND;
            };
            let ago = |started| now.saturating_sub(started).as_millis() as i64;
            let started_ms = view.started.map_or(-1, |started| now_ms - ago(started));
            described = of_view(view, started_ms);
            ErrorCode::NONE
        });
        described.transactional_id = id;
        described
    });
    DescribeTransactionsResponse {
        throttle_time_ms: context.throttle_ms(),
        transaction_states: described.collect(),
    }
}

fn of_view(view: TransactionView, transaction_start_time_ms: i64) -> TransactionState {
    let topics = view
        .partitions
        .into_iter()
        .map(|(topic, partitions)| TopicData {
            topic: Text::from(topic),
            partitions,
        });
    TransactionState {
        transaction_state: Text::from_static(view.state),
        transaction_timeout_ms: i32::try_from(view.timeout.as_millis()).unwrap_or(i32::MAX),
        transaction_start_time_ms,
        producer_id: view.identity.producer_id,
        producer_epoch: view.identity.epoch,
        topics: topics.collect(),
        ..TransactionState::default()
    }
}
