//! FindCoordinator (10): which broker looks after a group or a transactional id.
//!
//! Behaviour:
//! * The first one who asks makes `__consumer_offsets` or `__transaction_state`, as on a broker.
//! * The same key has the same coordinator, unless a test has moved it or its broker is down.
//! * Share-group keys (type 2) are not served.
//!
//! Version notes:
//! * v0: groups only; v1: transactional ids; v4: several keys at once (KIP-699)
use crate::messages::find_coordinator::Coordinator;
use crate::messages::{ErrorCode, FindCoordinatorRequest, FindCoordinatorResponse};
use crate::wire::Text;

use super::super::state::State;
use super::super::topics::{CONSUMER_OFFSETS, TRANSACTION_STATE};
use super::Context;

pub(super) fn handle(
    context: &Context<'_>,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    let mut state = context.state();
    match request.key_type {
        0 => state.ensure_internal(CONSUMER_OFFSETS),
        1 => state.ensure_internal(TRANSACTION_STATE),
        _ => {}
    }
    let injected = context.injected().map(|injected| injected.error);
    let find = |key: &Text| find(&state, key, request.key_type, injected);
    let mut response = FindCoordinatorResponse {
        throttle_time_ms: context.throttle_ms(),
        ..FindCoordinatorResponse::default()
    };
    if context.version >= 4 {
        response.coordinators = request.coordinator_keys.iter().map(find).collect();
    } else {
        let found = find(&request.key);
        response.error_code = found.error_code;
        response.error_message = found.error_message;
        response.node_id = found.node_id;
        response.host = found.host;
        response.port = found.port;
    }
    response
}

fn find(state: &State, key: &Text, key_type: i8, injected: Option<ErrorCode>) -> Coordinator {
    let none = |error_code| Coordinator {
        key: key.clone(),
        node_id: -1,
        port: -1,
        error_code,
        ..Coordinator::default()
    };
    if let Some(error) = injected {
        return none(error);
    }
    if !matches!(key_type, 0 | 1) {
        return none(ErrorCode::INVALID_REQUEST);
    }
    match state.coordinator(key) {
        None => none(ErrorCode::COORDINATOR_NOT_AVAILABLE),
        Some(broker) => Coordinator {
            key: key.clone(),
            node_id: broker.id,
            host: Text::from(&broker.host),
            port: broker.port.into(),
            ..Coordinator::default()
        },
    }
}
