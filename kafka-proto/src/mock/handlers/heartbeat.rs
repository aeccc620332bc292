//! Heartbeat (12): a member is alive, and learns of rebalances.
//!
//! Version notes:
//! * v3: static members (KIP-345)
use crate::messages::{HeartbeatRequest, HeartbeatResponse};

use super::super::groups::MemberOf;
use super::{Context, owned};

pub(super) fn handle(context: &Context<'_>, request: HeartbeatRequest) -> HeartbeatResponse {
    let error_code = context.with_fault(|| {
        let mut state = context.state();
        if let Err(error) = state.check_coordinator(context.broker, &request.group_id) {
            return error;
        }
        let member = MemberOf {
            group_id: request.group_id.as_str().to_owned(),
            generation: request.generation_id,
            member_id: request.member_id.as_str().to_owned(),
            instance_id: owned(request.group_instance_id.as_ref()),
        };
        let now = context.shared.clock.now();
        state.groups.heartbeat(now, &member)
    });
    HeartbeatResponse {
        throttle_time_ms: context.throttle_ms(),
        error_code,
    }
}
