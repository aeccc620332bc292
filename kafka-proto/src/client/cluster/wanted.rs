//! Which topics the metadata is kept young for: those that somebody holds, and for `metadata.max.idle.ms` those that somebody asked for by
//! name.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::state::Metadata;
use super::{Inner, lock};

/// The topics that somebody needs.
#[derive(Debug, Default)]
pub(super) struct Wanted(BTreeMap<Arc<str>, Want>);

#[derive(Debug, Default)]
pub(super) struct Want {
    /// When it was asked for by name, the last time.
    pub(super) asked: Option<Instant>,
    pub(super) holders: usize,
    /// Nobody has seen it since somebody asked for it: brokers may create it.
    pub(super) may_create: bool,
    /// Since when answers do not have it.
    missing: Option<Instant>,
}

impl Wanted {
    pub(super) fn contains(&self, topic: &str) -> bool {
        self.0.contains_key(topic)
    }

    pub(super) fn want(&mut self, topic: &Arc<str>) -> &mut Want {
        self.0.entry(Arc::clone(topic)).or_default()
    }

    /// Nobody asks for it by name any more; it goes unless it is held.
    pub(super) fn forget(&mut self, topic: &str) {
        if let Some(want) = self.0.get_mut(topic) {
            want.asked = None;
        }
        self.0
            .retain(|name, want| **name != *topic || want.holders > 0);
    }

    /// The topics to ask for: those that may be created, and the others.
    pub(super) fn questions(&self) -> (Vec<Arc<str>>, Vec<Arc<str>>) {
        let names = |may_create: bool| {
            let of = self
                .0
                .iter()
                .filter(move |(_, want)| want.may_create == may_create);
            of.map(|(name, _)| Arc::clone(name)).collect()
        };
        (names(true), names(false))
    }

    /// Ends the interest in what nobody holds and nobody has asked for in so long; returns the names.
    pub(super) fn end_idle(&mut self, now: Instant, idle_max: Duration) -> Vec<Arc<str>> {
        let is_idle = |_: &Arc<str>, want: &mut Want| {
            let asked = want.asked;
            let is_recent = asked.is_some_and(|at| now.saturating_duration_since(at) < idle_max);
            want.holders == 0 && !is_recent
        };
        self.0
            .extract_if(.., is_idle)
            .map(|(name, _)| name)
            .collect()
    }

    /// What is there need not be created, not even if it is deleted later.
    pub(super) fn seen(&mut self, metadata: &Metadata, now: Instant) {
        for (name, want) in &mut self.0 {
            let is_missing = metadata.topic(name).is_none();
            want.may_create &= is_missing;
            let since = want.missing.unwrap_or(now);
            want.missing = is_missing.then_some(since);
        }
    }

    /// For how long the one is missing that is missing last; `None` if all are there.
    pub(super) fn missing_for(&self, now: Instant) -> Option<Duration> {
        let missing = self.0.values().filter_map(|want| want.missing);
        missing
            .map(|since| now.saturating_duration_since(since))
            .min()
    }
}

/// The metadata of a topic are kept young while this lives.
#[derive(Debug)]
pub(crate) struct Held {
    pub(super) cluster: Weak<Inner>,
    pub(super) topic: Arc<str>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(cluster) = self.cluster.upgrade() else {
            return;
        };
        let mut wanted = lock(&cluster.wanted);
        let want = wanted.want(&self.topic);
        want.holders = want.holders.saturating_sub(1);
        if want.holders > 0 || want.asked.is_some() {
            return;
        }
        wanted.forget(&self.topic);
        drop(wanted);
        // What is not kept young must not be taken for the truth later.
        cluster
            .metadata
            .send_if_modified(|metadata| Arc::make_mut(metadata).forget_topic(&self.topic));
    }
}
