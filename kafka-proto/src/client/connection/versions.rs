//! What a broker said about itself when the connection was made: its APIs' versions and its features. Pure.

use crate::messages::{ApiKey, ApiVersionsResponse};

/// Inclusive ranges of versions by API.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BrokerVersions {
    /// Sorted by key.
    apis: Vec<(ApiKey, i16, i16)>,
    features: Vec<(String, i16)>,
}

impl BrokerVersions {
    pub(super) fn from_response(response: &ApiVersionsResponse) -> Self {
        let mut apis: Vec<_> = response
            .api_keys
            .iter()
            .map(|api| (ApiKey(api.api_key), api.min_version, api.max_version))
            .collect();
        apis.sort_by_key(|(key, ..)| key.0);
        let features = response
            .finalized_features
            .iter()
            .map(|feature| (feature.name.to_string(), feature.max_version_level))
            .collect();
        Self { apis, features }
    }

    /// The range that the broker serves, if it serves the API at all.
    #[must_use]
    pub fn range(&self, key: ApiKey) -> Option<(i16, i16)> {
        let at = self
            .apis
            .binary_search_by_key(&key.0, |(key, ..)| key.0)
            .ok()?;
        let (_, min, max) = self.apis[at];
        Some((min, max))
    }

    /// The finalized level of a feature such as `transaction.version`; 0 if the cluster does not have it.
    #[must_use]
    pub fn feature(&self, name: &str) -> i16 {
        self.features
            .iter()
            .find(|(known, _)| known == name)
            .map_or(0, |(_, level)| *level)
    }

    /// The highest version that both sides speak, given ours.
    #[must_use]
    pub fn common(&self, key: ApiKey, ours: (i16, i16)) -> Option<i16> {
        let (min, max) = self.range(key)?;
        common(ours, (min, max))
    }
}

/// The highest version in both ranges.
pub(super) fn common(ours: (i16, i16), theirs: (i16, i16)) -> Option<i16> {
    let version = ours.1.min(theirs.1);
    (version >= ours.0 && version >= theirs.0).then_some(version)
}

/// The version to ask for ApiVersions again after the answer `UNSUPPORTED_VERSION`; `None` to give up. Never as high as before, so
/// that two sides which do not understand each other stop (KIP-511).
pub(super) fn downgrade(asked: i16, offered: Option<(i16, i16)>) -> Option<i16> {
    // A broker older than KIP-511 answers without ranges: it speaks version 0.
    let version = common((0, asked), offered.unwrap_or((0, 0)))?;
    (version < asked).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_downgrade_goes_down_or_ends() {
        assert_eq!(downgrade(4, Some((0, 3))), Some(3));
        assert_eq!(downgrade(4, None), Some(0));
        assert_eq!(downgrade(4, Some((0, 4))), None);
        assert_eq!(downgrade(4, Some((0, 9))), None);
        assert_eq!(downgrade(0, None), None);
        assert_eq!(downgrade(4, Some((5, 9))), None);
    }

    #[test]
    fn the_common_version_lies_in_both_ranges() {
        assert_eq!(common((3, 13), (0, 11)), Some(11));
        assert_eq!(common((3, 13), (4, 20)), Some(13));
        assert_eq!(common((3, 13), (0, 2)), None);
        assert_eq!(common((0, 2), (3, 13)), None);
    }
}
