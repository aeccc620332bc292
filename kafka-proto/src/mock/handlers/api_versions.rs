//! ApiVersions (18): what this cluster speaks.
//!
//! Behaviour:
//! * Names every API with a handler, within the ranges the cluster was built with.
//! * A client name or version against KIP-511's expression is INVALID_REQUEST.
//! * Produce is named from version 0 on, as Kafka 4 does: librdkafka up to 2.0 takes a higher lowest version for a broker
//!   without compression. Versions 0 to 2 are not served.
//!
//! Version notes:
//! * unknown version: answered in version 0 with UNSUPPORTED_VERSION and the ranges
//! * v3: features (KIP-584); a lowest level of 0 is told as 1 up to v3 (KIP-1022)
//! * v5: cluster and node of the client's choice (KIP-1242): REBOOTSTRAP_REQUIRED if this is another one, INVALID_REQUEST if only
//!   one of both is named
use crate::messages::api_versions::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use crate::messages::{APIS, ApiKey, ApiVersionsRequest, ApiVersionsResponse, ErrorCode};
use crate::wire::Text;

use super::super::server::Shared;
use super::{Context, versions};

const TRANSACTION_VERSION: Text = Text::from_static("transaction.version");

pub(super) fn handle(context: &Context<'_>, request: ApiVersionsRequest) -> ApiVersionsResponse {
    if let Err(error_code) = check(context, &request) {
        return ApiVersionsResponse {
            error_code,
            ..ApiVersionsResponse::default()
        };
    }
    let level = context.state().settings.transaction_version;
    let (supported_features, finalized_features) = if level > 0 {
        (
            vec![SupportedFeatureKey {
                name: TRANSACTION_VERSION,
                min_version: i16::from(context.version < 4),
                max_version: 2,
            }],
            vec![FinalizedFeatureKey {
                name: TRANSACTION_VERSION,
                max_version_level: level,
                min_version_level: level,
            }],
        )
    } else {
        (Vec::new(), Vec::new())
    };
    ApiVersionsResponse {
        error_code: context
            .injected()
            .map_or(ErrorCode::NONE, |injected| injected.error),
        api_keys: ranges(context.shared),
        throttle_time_ms: context.throttle_ms(),
        supported_features,
        finalized_features_epoch: 1,
        finalized_features,
        ..ApiVersionsResponse::default()
    }
}

fn check(context: &Context<'_>, request: &ApiVersionsRequest) -> Result<(), ErrorCode> {
    let named_well = is_software_name(&request.client_software_name)
        && is_software_name(&request.client_software_version);
    if context.version >= 3 && !named_well {
        return Err(ErrorCode::INVALID_REQUEST);
    }
    // Versions that lack the two read them as not named.
    match (&request.cluster_id, request.node_id) {
        (None, -1) => Ok(()),
        (None, _) | (_, -1) => Err(ErrorCode::INVALID_REQUEST),
        (Some(cluster_id), node_id) => {
            let is_this =
                *cluster_id == *context.state().settings.cluster_id && node_id == context.broker;
            let refused = Err(ErrorCode::REBOOTSTRAP_REQUIRED);
            if is_this { Ok(()) } else { refused }
        }
    }
}

/// The answer to a version that is not known here; goes out in version 0.
pub(super) fn unsupported(shared: &Shared) -> ApiVersionsResponse {
    ApiVersionsResponse {
        error_code: ErrorCode::UNSUPPORTED_VERSION,
        api_keys: ranges(shared),
        ..ApiVersionsResponse::default()
    }
}

fn ranges(shared: &Shared) -> Vec<ApiVersion> {
    let state = shared.state();
    APIS.iter()
        .filter_map(|api| {
            let range = versions(&state.settings, api);
            let lowest_is_ours = range.min == api.request.schema.versions.min;
            let min_version = if api.key == ApiKey::PRODUCE && lowest_is_ours {
                0
            } else {
                range.min
            };
            (!range.is_empty()).then_some(ApiVersion {
                api_key: api.key.0,
                min_version,
                max_version: range.max,
            })
        })
        .collect()
}

/// `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?` (KIP-511)
fn is_software_name(name: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    edge(bytes.first())
        && edge(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}
