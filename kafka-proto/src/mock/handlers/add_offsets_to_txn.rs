//! AddOffsetsToTxn (25): the group whose offsets a transaction will commit (TV1).
//!
//! Version notes:
//! * v2: PRODUCER_FENCED; before, INVALID_PRODUCER_EPOCH
use crate::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, ErrorCode};

use super::super::transactions::Identity;
use super::{Context, error_of};

pub(super) fn handle(
    context: &Context<'_>,
    request: AddOffsetsToTxnRequest,
) -> AddOffsetsToTxnResponse {
    let error = context.with_fault(|| {
        let mut state = context.state();
        let id = request.transactional_id.as_str();
        let identity = Identity {
            producer_id: request.producer_id,
            epoch: request.producer_epoch,
        };
        let now = context.shared.clock.now();
        let added = state.check_coordinator(context.broker, id).and_then(|()| {
            state
                .transactions
                .add_group(now, id, identity, &request.group_id)
        });
        context.settle(state);
        error_of(added)
    });
    AddOffsetsToTxnResponse {
        throttle_time_ms: context.throttle_ms(),
        error_code: if error == ErrorCode::PRODUCER_FENCED && context.version < 2 {
            ErrorCode::INVALID_PRODUCER_EPOCH
        } else {
            error
        },
    }
}
