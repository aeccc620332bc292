//! ListGroups (16): the groups this broker coordinates.
//!
//! Version notes:
//! * v4: filter by state (KIP-518); v5: filter by type (KIP-848)
use crate::messages::list_groups::ListedGroup;
use crate::messages::{ErrorCode, ListGroupsRequest, ListGroupsResponse};
use crate::wire::Text;

use super::Context;

pub(super) fn handle(context: &Context<'_>, request: ListGroupsRequest) -> ListGroupsResponse {
    let state = context.state();
    let named = |filter: &[Text], word: &str| {
        filter.is_empty() || filter.iter().any(|text| text.eq_ignore_ascii_case(word))
    };
    let groups = state.groups.ids().into_iter().filter_map(|id| {
        state.check_coordinator(context.broker, &id).ok()?;
        let group = state.groups.view(&id)?;
        let kind = if group.modern { "consumer" } else { "classic" };
        let listed =
            named(&request.states_filter, group.state) && named(&request.types_filter, kind);
        listed.then(|| ListedGroup {
            group_id: Text::from(id),
            protocol_type: Text::from(group.protocol_type),
            group_state: Text::from_static(group.state),
            group_type: Text::from_static(kind),
        })
    });
    ListGroupsResponse {
        throttle_time_ms: context.throttle_ms(),
        error_code: context
            .injected()
            .map_or(ErrorCode::NONE, |injected| injected.error),
        groups: groups.collect(),
    }
}
