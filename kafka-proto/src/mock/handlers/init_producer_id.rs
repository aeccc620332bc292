//! InitProducerId (22): an id for an idempotent producer, an id and epoch for a transactional one.
//!
//! Behaviour:
//! * Without a transactional id every call gives a new id, whatever the client says it had.
//! * An undecided transaction of an earlier instance is aborted; as on a broker the call itself is answered
//!   CONCURRENT_TRANSACTIONS and succeeds when it is repeated.
//!
//! Version notes:
//! * v3: the client says who it was, to bump its own epoch (KIP-360)
//! * v4: PRODUCER_FENCED; before, INVALID_PRODUCER_EPOCH
use std::time::Duration;

use crate::messages::{ErrorCode, InitProducerIdRequest, InitProducerIdResponse};

use super::super::transactions::Identity;
use super::Context;

pub(super) fn handle(
    context: &Context<'_>,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    let mut response = InitProducerIdResponse {
        throttle_time_ms: context.throttle_ms(),
        ..InitProducerIdResponse::default()
    };
    let error = context.with_fault(|| match initialise(context, &request) {
        Ok(identity) => {
            response.producer_id = identity.producer_id;
            response.producer_epoch = identity.epoch;
            ErrorCode::NONE
        }
        Err(error) => error,
    });
    if !error.is_ok() {
        response.producer_id = -1;
        response.producer_epoch = -1;
    }
    response.error_code = if error == ErrorCode::PRODUCER_FENCED && context.version < 4 {
        ErrorCode::INVALID_PRODUCER_EPOCH
    } else {
        error
    };
    response
}

fn initialise(
    context: &Context<'_>,
    request: &InitProducerIdRequest,
) -> Result<Identity, ErrorCode> {
    let mut state = context.state();
    let Some(transactional_id) = &request.transactional_id else {
        return Ok(Identity {
            producer_id: state.transactions.new_producer_id(),
            epoch: 0,
        });
    };
    state.check_coordinator(context.broker, transactional_id)?;
    let timeout = u64::try_from(request.transaction_timeout_ms)
        .map_err(|_| ErrorCode::INVALID_TRANSACTION_TIMEOUT)?;
    let expected = (request.producer_id >= 0).then_some(Identity {
        producer_id: request.producer_id,
        epoch: request.producer_epoch,
    });
    let timeout = Duration::from_millis(timeout);
    let (result, ended) = state.transactions.init(transactional_id, timeout, expected);
    if let Some(ended) = ended {
        state.write_markers(&ended, context.shared.clock.unix_ms());
        drop(state);
        context.shared.notify_changed();
    }
    result
}
