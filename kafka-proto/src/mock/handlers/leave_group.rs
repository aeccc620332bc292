//! LeaveGroup (13): members go, and the rest rebalances.
//!
//! Version notes:
//! * v0 to v2: one member, its error is the response's
//! * v3: several, also static ones by instance id alone (KIP-345)
use crate::messages::leave_group::{MemberIdentity, MemberResponse};
use crate::messages::{ErrorCode, LeaveGroupRequest, LeaveGroupResponse};
use crate::wire::Text;

use super::Context;

pub(super) fn handle(context: &Context<'_>, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let mut response = LeaveGroupResponse {
        throttle_time_ms: context.throttle_ms(),
        ..LeaveGroupResponse::default()
    };
    let single = context.version < 3;
    let members = if single {
        vec![MemberIdentity {
            member_id: request.member_id.clone(),
            ..MemberIdentity::default()
        }]
    } else {
        request.members
    };
    response.error_code = context.with_fault(|| {
        let mut state = context.state();
        if let Err(error) = state.check_coordinator(context.broker, &request.group_id) {
            return error;
        }
        let now = context.shared.clock.now();
        for member in &members {
            let instance_id = member.group_instance_id.as_ref().map(Text::as_str);
            let error_code =
                state
                    .groups
                    .leave(now, &request.group_id, &member.member_id, instance_id);
            response.members.push(MemberResponse {
                member_id: member.member_id.clone(),
                group_instance_id: member.group_instance_id.clone(),
                error_code,
            });
        }
        context.settle(state);
        ErrorCode::NONE
    });
    if single {
        let of_member = response.members.pop();
        if let (true, Some(member)) = (response.error_code.is_ok(), of_member) {
            response.error_code = member.error_code;
        }
    }
    response
}
