//! DescribeCluster (60): the brokers (KIP-700).
//!
//! Behaviour:
//! * Brokers that are down are left out, or named as fenced where the client asks for them.
//!
//! Version notes:
//! * v1: endpoint type; controllers (2) have no endpoints here: MISMATCHED_ENDPOINT_TYPE
//! * v2: fenced brokers (KIP-1073)
use crate::messages::describe_cluster::DescribeClusterBroker;
use crate::messages::{DescribeClusterRequest, DescribeClusterResponse, ErrorCode};
use crate::wire::Text;

use super::Context;

pub(super) fn handle(
    context: &Context<'_>,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse {
    let state = context.state();
    let mut response = DescribeClusterResponse {
        throttle_time_ms: context.throttle_ms(),
        cluster_id: Text::from(&state.settings.cluster_id),
        endpoint_type: request.endpoint_type,
        ..DescribeClusterResponse::default()
    };
    if let Some(injected) = context.injected() {
        response.error_code = injected.error;
        return response;
    }
    if request.endpoint_type != 1 {
        response.error_code = ErrorCode::MISMATCHED_ENDPOINT_TYPE;
        response.error_message = Some(Text::from_static("there are only broker endpoints here"));
        response.endpoint_type = 1;
        return response;
    }
    response.controller_id = state.controller();
    response.brokers = state
        .brokers
        .iter()
        .filter(|broker| broker.up || request.include_fenced_brokers)
        .map(|broker| DescribeClusterBroker {
            broker_id: broker.id,
            host: Text::from(&broker.host),
            port: broker.port.into(),
            rack: broker.rack.as_ref().map(Text::from),
            is_fenced: !broker.up,
        })
        .collect();
    response
}
