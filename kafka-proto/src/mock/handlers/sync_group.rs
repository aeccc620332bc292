//! SyncGroup (14): the leader brings the assignment, everybody gets his own.
//!
//! Behaviour:
//! * The rules are in [`groups`](super::super::groups); followers are answered when the leader has come.
//!
//! Version notes:
//! * v3: static members; v5: the protocol is checked (KIP-559)
use bytes::Bytes;

use crate::messages::{ErrorCode, SyncGroupRequest, SyncGroupResponse};
use crate::wire::Text;

use super::super::groups::{MemberOf, Reply, Sync};
use super::{Context, owned};

pub(super) async fn handle(context: &Context<'_>, request: SyncGroupRequest) -> SyncGroupResponse {
    let refused = |error_code| SyncGroupResponse {
        throttle_time_ms: context.throttle_ms(),
        error_code,
        ..SyncGroupResponse::default()
    };
    let injected = context.injected();
    if let Some(injected) = injected.filter(|injected| !injected.applied) {
        return refused(injected.error);
    }
    let receiver = {
        let mut state = context.state();
        if let Err(error) = state.check_coordinator(context.broker, &request.group_id) {
            return refused(error);
        }
        let (ticket, receiver) = context.shared.ticket(&mut state);
        let sync = Sync {
            member: MemberOf {
                group_id: request.group_id.as_str().to_owned(),
                generation: request.generation_id,
                member_id: request.member_id.as_str().to_owned(),
                instance_id: owned(request.group_instance_id.as_ref()),
            },
            protocol_type: owned(request.protocol_type.as_ref()),
            protocol: owned(request.protocol_name.as_ref()),
            assignments: request
                .assignments
                .iter()
                .map(|of| {
                    let assignment = Bytes::copy_from_slice(&of.assignment);
                    (of.member_id.as_str().to_owned(), assignment)
                })
                .collect(),
        };
        let now = context.shared.clock.now();
        state.groups.sync(now, sync, ticket);
        context.settle(state);
        receiver
    };
    // The ticket is dropped only when the cluster goes down.
    let Ok(Reply::Sync(_, synced)) = receiver.await else {
        return refused(ErrorCode::COORDINATOR_NOT_AVAILABLE);
    };
    if let Some(injected) = injected {
        return refused(injected.error);
    }
    SyncGroupResponse {
        throttle_time_ms: context.throttle_ms(),
        error_code: synced.error,
        protocol_type: synced.protocol_type.map(Text::from),
        protocol_name: synced.protocol.map(Text::from),
        assignment: synced.assignment,
    }
}
