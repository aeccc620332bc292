//! JoinGroup (11): a member enters the next generation of its group (classic protocol).
//!
//! Behaviour:
//! * The rules are in [`groups`](super::super::groups); the answer comes when the generation is made.
//!
//! Version notes:
//! * v0: the rebalance timeout is the session timeout
//! * v4: a new dynamic member is told its id first (MEMBER_ID_REQUIRED, KIP-394)
//! * v5: static members (KIP-345); v7: protocol type in the answer; v9: skip_assignment (KIP-814)
use std::time::Duration;

use crate::messages::join_group::JoinGroupResponseMember;
use crate::messages::{ErrorCode, JoinGroupRequest, JoinGroupResponse};
use crate::wire::Text;

use super::super::groups::{Join, Reply};
use super::{Context, owned};

pub(super) async fn handle(context: &Context<'_>, request: JoinGroupRequest) -> JoinGroupResponse {
    let refused = |error_code| JoinGroupResponse {
        throttle_time_ms: context.throttle_ms(),
        error_code,
        protocol_name: (context.version < 7).then(Text::default),
        member_id: request.member_id.clone(),
        ..JoinGroupResponse::default()
    };
    let injected = context.injected();
    if let Some(injected) = injected.filter(|injected| !injected.applied) {
        return refused(injected.error);
    }
    let millis = |ms: i32| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    let session_timeout = millis(request.session_timeout_ms);
    let receiver = {
        let mut state = context.state();
        if let Err(error) = state.check_coordinator(context.broker, &request.group_id) {
            return refused(error);
        }
        let (ticket, receiver) = context.shared.ticket(&mut state);
        let join = Join {
            group_id: request.group_id.as_str().to_owned(),
            member_id: request.member_id.as_str().to_owned(),
            instance_id: owned(request.group_instance_id.as_ref()),
            client_id: context.client_id.to_owned(),
            client_host: context.peer.host.clone(),
            protocol_type: request.protocol_type.as_str().to_owned(),
            protocols: request
                .protocols
                .iter()
                .map(|protocol| {
                    // Kept by the group for long: not as a slice of the request.
                    let metadata = bytes::Bytes::copy_from_slice(&protocol.metadata);
                    (protocol.name.as_str().to_owned(), metadata)
                })
                .collect(),
            session_timeout,
            rebalance_timeout: if context.version == 0 {
                session_timeout
            } else {
                millis(request.rebalance_timeout_ms)
            },
            id_required: context.version >= 4,
            can_skip_assignment: context.version >= 9,
        };
        let now = context.shared.clock.now();
        state.groups.join(now, join, ticket);
        context.settle(state);
        receiver
    };
    // The ticket is dropped only when the cluster goes down.
    let Ok(Reply::Join(_, joined)) = receiver.await else {
        return refused(ErrorCode::COORDINATOR_NOT_AVAILABLE);
    };
    if let Some(injected) = injected {
        return refused(injected.error);
    }
    let protocol_name = joined.protocol.map(Text::from);
    JoinGroupResponse {
        throttle_time_ms: context.throttle_ms(),
        error_code: joined.error,
        generation_id: joined.generation,
        protocol_type: joined.protocol_type.map(Text::from),
        protocol_name: if context.version < 7 {
            Some(protocol_name.unwrap_or_default())
        } else {
            protocol_name
        },
        leader: Text::from(joined.leader),
        // The group sets it only where the version has it.
        skip_assignment: joined.skip_assignment,
        member_id: Text::from(joined.member_id),
        members: joined
            .members
            .into_iter()
            .map(
                |(member_id, instance_id, metadata)| JoinGroupResponseMember {
                    member_id: Text::from(member_id),
                    group_instance_id: instance_id.map(Text::from),
                    metadata,
                },
            )
            .collect(),
    }
}
