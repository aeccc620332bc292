//! Which topics the metadata is kept young for: those that somebody asked for by name, and those that somebody holds.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use super::state::Metadata;
use super::{Inner, lock};

/// The topics that somebody needs.
#[derive(Debug, Default)]
pub(super) struct Wanted(BTreeMap<Arc<str>, Want>);

#[derive(Debug, Default)]
pub(super) struct Want {
    /// Wanted for as long as the cluster lives.
    pub(super) asked: bool,
    pub(super) holders: usize,
    /// Nobody has seen it since somebody asked for it: brokers may create it.
    pub(super) may_create: bool,
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
            want.asked = false;
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

    /// What is there need not be created, not even if it is deleted later.
    pub(super) fn seen(&mut self, metadata: &Metadata) {
        for (name, want) in &mut self.0 {
            want.may_create &= metadata.topic(name).is_none();
        }
    }

    /// Whether all of them are there.
    pub(super) fn all_in(&self, metadata: &Metadata) -> bool {
        self.0.keys().all(|name| metadata.topic(name).is_some())
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
        if want.holders > 0 || want.asked {
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
