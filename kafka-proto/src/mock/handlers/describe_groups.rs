//! DescribeGroups (15): state, members and assignments of groups.
//!
//! Behaviour:
//! * A group of the newer protocol is none that exists: ConsumerGroupDescribe shows it.
//!
//! Version notes:
//! * up to v5 a group that does not exist is Dead without an error; v6: GROUP_ID_NOT_FOUND (KIP-1043)
use crate::messages::describe_groups::{DescribedGroup, DescribedGroupMember};
use crate::messages::{DescribeGroupsRequest, DescribeGroupsResponse, ErrorCode};
use crate::wire::Text;

use super::Context;

pub(super) fn handle(
    context: &Context<'_>,
    request: DescribeGroupsRequest,
) -> DescribeGroupsResponse {
    let state = context.state();
    let groups = request.groups.into_iter().map(|group_id| {
        let injected = context.injected().map(|injected| injected.error);
        let checked = state.check_coordinator(context.broker, &group_id);
        if let Some(error_code) = injected.or_else(|| checked.err()) {
            return DescribedGroup {
                error_code,
                group_id,
                ..DescribedGroup::default()
            };
        }
        let group = state.groups.view(&group_id);
        let Some(group) = group.filter(|group| !group.modern) else {
            let mut dead = DescribedGroup {
                group_state: Text::from_static("Dead"),
                ..DescribedGroup::default()
            };
            if context.version >= 6 {
                dead.error_code = ErrorCode::GROUP_ID_NOT_FOUND;
                dead.error_message = Some(format!("Group {group_id} not found.").into());
            }
            dead.group_id = group_id;
            return dead;
        };
        let members = group
            .members
            .into_iter()
            .map(|member| DescribedGroupMember {
                member_id: Text::from(member.id),
                group_instance_id: member.instance_id.map(Text::from),
                client_id: Text::from(member.client_id),
                client_host: Text::from(member.client_host),
                member_metadata: member.metadata,
                member_assignment: member.assignment,
            });
        DescribedGroup {
            group_id,
            group_state: Text::from_static(group.state),
            protocol_type: Text::from(group.protocol_type),
            protocol_data: Text::from(group.protocol),
            members: members.collect(),
            ..DescribedGroup::default()
        }
    });
    DescribeGroupsResponse {
        throttle_time_ms: context.throttle_ms(),
        groups: groups.collect(),
    }
}
