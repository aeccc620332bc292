//! ListTransactions (66): the transactional ids that this broker coordinates (KIP-664).
//!
//! Version notes:
//! * v1: only those that run for longer (KIP-994); v2: only ids that match a pattern (KIP-1152)
use crate::messages::list_transactions::TransactionState;
use crate::messages::{ErrorCode, ListTransactionsRequest, ListTransactionsResponse};
use crate::wire::Text;

use super::super::transactions::{STATES, TransactionView};
use super::Context;

pub(super) fn handle(
    context: &Context<'_>,
    request: ListTransactionsRequest,
) -> ListTransactionsResponse {
    let mut response = ListTransactionsResponse {
        throttle_time_ms: context.throttle_ms(),
        ..ListTransactionsResponse::default()
    };
    if let Some(injected) = context.injected() {
        response.error_code = injected.error;
        return response;
    }
    let pattern = request.transactional_id_pattern.as_deref().unwrap_or("");
    let Ok(pattern) = regex::Regex::new(&format!("^(?:{pattern})$")) else {
        response.error_code = ErrorCode::INVALID_REGULAR_EXPRESSION;
        return response;
    };
    let any_id = request
        .transactional_id_pattern
        .as_deref()
        .unwrap_or("")
        .is_empty();
    let unknown = request.state_filters.iter();
    let unknown = unknown.filter(|state| !STATES.contains(&state.as_str()));
    response.unknown_state_filters = unknown.cloned().collect();
    let now = context.shared.clock.now();
    let wanted = |view: &TransactionView| {
        let states = &request.state_filters;
        let producers = &request.producer_id_filters;
        let running = view.started.map(|started| now.saturating_sub(started));
        let long = running.is_none_or(|ran| ran.as_millis() as i64 > request.duration_filter);
        (states.is_empty() || states.iter().any(|state| *state == view.state))
            && (producers.is_empty() || producers.contains(&view.identity.producer_id))
            && (request.duration_filter < 0 || long)
    };
    let state = context.state();
    let ids = state.transactions.ids().filter(|id| {
        (any_id || pattern.is_match(id)) && state.check_coordinator(context.broker, id).is_ok()
    });
    response.transaction_states = ids
        .filter_map(|id| Some((id, state.transactions.view(id)?)))
        .filter(|(_, view)| wanted(view))
        .map(|(id, view)| TransactionState {
            transactional_id: Text::from(id),
            producer_id: view.identity.producer_id,
            transaction_state: Text::from_static(view.state),
        })
        .collect();
    response
}
