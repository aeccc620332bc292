//! The topics that a member is subscribed to: looked after while it is, and watched for errors that will not pass by themselves.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    client::{Cluster, cluster::Held, error::Error},
    messages::ErrorCode,
    wire::Text,
};

/// The topics of a subscription, by name.
#[derive(Debug)]
pub(super) struct Subscribed {
    cluster: Cluster,
    group: Arc<str>,
    topics: Vec<(Text, Held)>,
    /// Whose errors the application has.
    reported: BTreeSet<Text>,
}

impl Subscribed {
    pub(super) fn new(cluster: &Cluster, group: &Arc<str>) -> Self {
        Self {
            cluster: cluster.clone(),
            group: Arc::clone(group),
            topics: Vec::new(),
            reported: BTreeSet::new(),
        }
    }

    /// These topics from now on.
    pub(super) fn change<'a>(&mut self, topics: impl Iterator<Item = &'a Text>) {
        let held = topics.map(|topic| (topic.clone(), self.cluster.hold_topic(topic)));
        self.topics = held.collect();
        self.reported.clear();
    }

    /// The errors of topics that brokers refuse, each once: a name that is none, or a topic that this client may not see. Nobody would else
    /// notice, since the group simply assigns nothing of them.
    pub(super) fn refused(&mut self) -> Vec<Error> {
        let metadata = self.cluster.metadata();
        let mut errors = Vec::new();
        for (topic, _) in &self.topics {
            let code = metadata.topic_error(topic);
            let Some(code) = code.filter(|code| !code.is_retriable()) else {
                self.reported.remove(topic);
                continue;
            };
            if self.reported.insert(topic.clone()) {
                let what = format!("subscribing to topic {topic} in group {}", self.group);
                errors.push(Error::broker(what, code, hint(code)));
            }
        }
        errors
    }
}

fn hint(code: ErrorCode) -> Option<&'static str> {
    match code {
        ErrorCode::INVALID_TOPIC_EXCEPTION => Some(
            "names of topics have 1 to 249 letters, digits, dots, underscores and hyphens; for a regular expression use `subscribe_pattern`",
        ),
        ErrorCode::TOPIC_AUTHORIZATION_FAILED => {
            Some("the client may not describe it; it needs the ACLs to describe and to read it")
        }
        _ => None,
    }
}
