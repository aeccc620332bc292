//! What a broker said about itself when the connection was made: its APIs' versions and its features. Pure.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse, Message};

/// The version of ApiVersions that a peer is asked in of whom nothing is known.
pub(super) const HIGHEST: i16 = ApiVersionsRequest::STABLE.max;

/// How long a lower version is remembered: a broker may be replaced by a newer one at the same address.
const REMEMBERED_FOR: Duration = Duration::from_secs(300);

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

/// In which version of ApiVersions an address is to be asked first, where that is not the highest: old brokers need not be asked
/// twice on each connection, and peers that hang up on what they do not know must be asked lower. Pure.
#[derive(Debug, Default)]
pub(crate) struct Spoken {
    /// Versions with the time when they are forgotten.
    by_address: HashMap<Box<str>, (i16, Instant)>,
}

impl Spoken {
    /// The version to begin with, if one is remembered.
    pub(super) fn at(&self, address: &str, now: Instant) -> Option<i16> {
        let remembered = self.by_address.get(address);
        remembered
            .filter(|(_, until)| now < *until)
            .map(|(version, _)| *version)
    }

    /// A peer has answered in `version` and said which ones it has. Only if it has no higher one in common with us is that worth
    /// remembering: else it had hung up for another reason.
    pub(super) fn agreed(
        &mut self,
        address: &str,
        version: i16,
        offered: Option<(i16, i16)>,
        now: Instant,
    ) {
        let highest = offered.and_then(|offered| common((0, HIGHEST), offered));
        if highest.is_some_and(|highest| highest > version) || version == HIGHEST {
            self.by_address.remove(address);
        } else if self.at(address, now) != Some(version) {
            self.remember(address, version, now);
        }
    }

    /// A peer has hung up on `version`; gives the one to ask next: one lower, from the lowest on again the highest.
    pub(super) fn hung_up(&mut self, address: &str, version: i16, now: Instant) -> i16 {
        let next = if version > 0 { version - 1 } else { HIGHEST };
        self.remember(address, next, now);
        next
    }

    fn remember(&mut self, address: &str, version: i16, now: Instant) {
        self.by_address.retain(|_, (_, until)| now < *until);
        let until = now + REMEMBERED_FOR;
        self.by_address.insert(address.into(), (version, until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_version_is_remembered_for_a_while_only_and_not_longer_for_being_used() {
        let (mut spoken, start) = (Spoken::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        spoken.agreed("old:1", 3, Some((0, 3)), start);
        spoken.agreed("old:1", 3, Some((0, 3)), after(200));
        assert_eq!(spoken.at("old:1", after(299)), Some(3));
        assert_eq!(spoken.at("old:1", after(300)), None);
        assert_eq!(spoken.at("other:1", start), None);
        // What is forgotten leaves no trace.
        spoken.agreed("other:1", 0, None, after(300));
        assert_eq!(spoken.by_address.len(), 1);
    }

    #[test]
    fn a_peer_that_hangs_up_is_asked_lower_and_from_the_lowest_on_the_highest_again() {
        let (mut spoken, now) = (Spoken::default(), Instant::now());
        let mut asked = vec![HIGHEST];
        for _ in 0..=HIGHEST {
            let next = spoken.hung_up("a:1", asked[asked.len() - 1], now);
            assert_eq!(spoken.at("a:1", now), Some(next));
            asked.push(next);
        }
        assert_eq!(asked, [5, 4, 3, 2, 1, 0, 5]);
    }

    #[test]
    fn a_version_below_what_the_peer_offers_is_not_remembered() {
        let (mut spoken, now) = (Spoken::default(), Instant::now());
        for (version, offered, remembered) in [
            (4, Some((0, 5)), None),
            (4, Some((0, 4)), Some(4)),
            (HIGHEST, Some((0, 9)), None),
            (0, None, Some(0)),
        ] {
            spoken.hung_up("a:1", version + 1, now);
            spoken.agreed("a:1", version, offered, now);
            assert_eq!(spoken.at("a:1", now), remembered, "{version} {offered:?}");
        }
    }

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
