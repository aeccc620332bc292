//! EndTxn (26): a transaction commits or aborts.
//!
//! Behaviour:
//! * Markers and offsets are written before the answer, unless a test holds the markers.
//!
//! Version notes:
//! * v2: PRODUCER_FENCED; before, INVALID_PRODUCER_EPOCH
//! * v5: TV2 (KIP-890): the answer has the producer's next epoch, an empty abort bumps it too
use crate::messages::{EndTxnRequest, EndTxnResponse, ErrorCode};

use super::super::transactions::Identity;
use super::Context;

pub(super) fn handle(context: &Context<'_>, request: EndTxnRequest) -> EndTxnResponse {
    let mut response = EndTxnResponse {
        throttle_time_ms: context.throttle_ms(),
        ..EndTxnResponse::default()
    };
    let error = context.with_fault(|| match end(context, &request) {
        Ok(next) => {
            if context.version >= 5 {
                response.producer_id = next.producer_id;
                response.producer_epoch = next.epoch;
            }
            ErrorCode::NONE
        }
        Err(error) => error,
    });
    if !error.is_ok() {
        response.producer_id = -1;
        response.producer_epoch = -1;
    }
    response.error_code = if error == ErrorCode::PRODUCER_FENCED && context.version < 2 {
        ErrorCode::INVALID_PRODUCER_EPOCH
    } else {
        error
    };
    response
}

fn end(context: &Context<'_>, request: &EndTxnRequest) -> Result<Identity, ErrorCode> {
    let mut state = context.state();
    let id = request.transactional_id.as_str();
    state.check_coordinator(context.broker, id)?;
    let identity = Identity {
        producer_id: request.producer_id,
        epoch: request.producer_epoch,
    };
    let bumps_epoch = context.version >= 5;
    let (result, ended) = state
        .transactions
        .end(id, identity, request.committed, bumps_epoch);
    if let Some(ended) = ended {
        state.write_markers(&ended, context.shared.clock.unix_ms());
    }
    context.settle(state);
    context.shared.notify_changed();
    result
}
