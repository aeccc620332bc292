//! DeleteGroups (42): groups without members go, with their offsets.
use crate::messages::delete_groups::DeletableGroupResult;
use crate::messages::{DeleteGroupsRequest, DeleteGroupsResponse};

use super::Context;

pub(super) fn handle(context: &Context<'_>, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let mut state = context.state();
    let results = request.groups_names.into_iter().map(|group_id| {
        let error_code =
            context.with_fault(
                || match state.check_coordinator(context.broker, &group_id) {
                    Ok(()) => state.groups.delete(&group_id),
                    Err(error) => error,
                },
            );
        DeletableGroupResult {
            group_id,
            error_code,
            error_message: None,
        }
    });
    DeleteGroupsResponse {
        throttle_time_ms: context.throttle_ms(),
        results: results.collect(),
    }
}
