//! Subscriptions by pattern: which topics match, looked up again and again, so that topics appear and vanish by themselves.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use regex::Regex;
use tokio::time::sleep;

use crate::client::{
    Backoff, Cluster,
    cluster::Metadata,
    error::{Error, Result},
    group::GroupOptions,
};

use super::{consumer::Consumer, driving::Kept};

/// How soon topics are looked up again that one answer lacked; later each time.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Topic names to subscribe to.
#[derive(Debug)]
struct TopicPattern {
    regex: Regex,
    exclude_internal: bool,
}

impl TopicPattern {
    fn new(pattern: &str, exclude_internal: bool) -> Result<Self> {
        // The whole name has to match, as in Java.
        let regex = Regex::new(&format!("^(?:{pattern})$")).map_err(|error| {
            Error::usage(format!(
                "the pattern `{pattern}` is no regular expression: {error}"
            ))
        })?;
        Ok(Self {
            regex,
            exclude_internal,
        })
    }

    /// The names of the topics that match, sorted.
    fn matching(&self, metadata: &Metadata) -> Vec<String> {
        let wanted = metadata.topics().filter(|topic| {
            self.regex.is_match(&topic.name) && !(self.exclude_internal && topic.is_internal)
        });
        let mut names: Vec<String> = wanted.map(|topic| topic.name.to_string()).collect();
        names.sort_unstable();
        names
    }
}

/// A subscription by pattern.
pub(super) struct PatternSubscription {
    pattern: TopicPattern,
    /// What to join with, until it has joined.
    options: Option<GroupOptions>,
    looking: Kept<Result<Arc<Metadata>>>,
    failures: u32,
    /// In so many answers in a row something was missing.
    missed: u32,
}

impl fmt::Debug for PatternSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PatternSubscription")
            .field("regex", &self.pattern.regex.as_str())
            .finish_non_exhaustive()
    }
}

impl PatternSubscription {
    /// Whether to believe an answer, and when to look again. A broker that has just started may not know all topics yet: what it lacks is
    /// believed to be gone when the next answer lacks something too, and where nothing matches the next look comes soon.
    fn judge(&mut self, before: &[String], matched: &[String], age: Duration) -> (bool, Duration) {
        let is_gone = |name| !matched.contains(name);
        let lacks = matched.is_empty() || before.iter().any(is_gone);
        if !lacks {
            self.missed = 0;
            return (true, age);
        }
        self.missed = self.missed.saturating_add(1);
        let after = Backoff::new(LOOK_AGAIN, age).delay(self.missed, 0.5);
        let is_believed = self.missed > 1 || before.is_empty();
        (is_believed, after.min(age))
    }

    fn look(&mut self, cluster: &Cluster, after: Duration) {
        let cluster = cluster.clone();
        self.looking = Kept::of(async move {
            sleep(after).await;
            cluster.refresh_all().await
        });
    }
}

impl Consumer {
    /// Joins the group of `group.id` for all topics whose whole name matches a regular expression (the syntax of the `regex` crate; no
    /// look-around, no back references). Topics that appear later are joined to it, deleted ones leave it, within
    /// `metadata.max.age.ms`. Kafka's internal topics do not match unless `exclude.internal.topics` is off.
    ///
    /// The topics are matched in this process, so it works with every broker and both group protocols; the next poll begins to look for
    /// them. [`Consumer::subscribe_server_pattern`] has the coordinator match.
    ///
    /// # Errors
    /// [`Error::Usage`] for a pattern that is none, if the consumer is subscribed already, or partitions are assigned by hand;
    /// [`Error::Config`] without a `group.id`.
    pub fn subscribe_pattern(&mut self, pattern: &str) -> Result<()> {
        let options = GroupOptions::configured(self.cluster.config(), &[])?;
        self.subscribe_pattern_with(pattern, options)
    }

    /// Joins the group of `group.id` for all topics whose whole name matches a pattern in RE2's syntax, which the group's coordinator looks
    /// up and keeps up to date: with `group.protocol=consumer` only (KIP-848).
    ///
    /// # Errors
    /// [`Error::Usage`] with the classic protocol, if the consumer is subscribed already, or partitions are assigned by hand;
    /// [`Error::Config`] without a `group.id`. A pattern that the coordinator cannot read is an error of the next poll.
    pub fn subscribe_server_pattern(&mut self, pattern: &str) -> Result<()> {
        let mut options = GroupOptions::configured(self.cluster.config(), &[])?;
        options.pattern = Some(pattern.to_owned());
        self.subscribe_with(options)
    }

    /// As [`Consumer::subscribe_pattern`], with assignors and member id as `options` say; their topics are replaced.
    ///
    /// # Errors
    /// As there.
    pub fn subscribe_pattern_with(&mut self, pattern: &str, options: GroupOptions) -> Result<()> {
        self.may_subscribe()?;
        let exclude_internal = self.cluster.config().exclude_internal_topics;
        let mut subscription = PatternSubscription {
            pattern: TopicPattern::new(pattern, exclude_internal)?,
            options: Some(options),
            looking: Kept::none(),
            failures: 0,
            missed: 0,
        };
        subscription.look(&self.cluster, Duration::ZERO);
        self.pattern = Some(subscription);
        Ok(())
    }

    /// Ready when the topics were looked up again.
    pub(super) fn poll_pattern(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Some(pattern) = &mut self.pattern else {
            return Poll::Pending;
        };
        let metadata = match ready!(pattern.looking.poll(cx)) {
            Ok(metadata) => metadata,
            Err(error) => {
                tracing::warn!(%error, "cannot look for topics that match; trying again");
                pattern.failures += 1;
                let after = self.cluster.retry_delay(pattern.failures);
                pattern.look(&self.cluster, after);
                return Poll::Ready(Ok(()));
            }
        };
        pattern.failures = 0;
        let age = Duration::from_millis(self.cluster.config().metadata_max_age_ms);
        let matched = pattern.pattern.matching(&metadata);
        let (is_believed, after) = pattern.judge(&self.subscription, &matched, age);
        pattern.look(&self.cluster, after);
        if !is_believed {
            return Poll::Ready(Ok(()));
        }
        if let Some(mut options) = pattern.options.take() {
            tracing::info!(topics = ?matched, "topics match the pattern");
            options.topics = matched;
            return Poll::Ready(self.join(options));
        }
        if matched != self.subscription {
            tracing::info!(topics = ?matched, "other topics match the pattern");
            if let Some(membership) = &self.membership {
                let names: Vec<&str> = matched.iter().map(String::as_str).collect();
                membership.subscribe(&names);
            }
            self.subscription = matched;
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_does_not_know_all_topics_yet_takes_none_from_a_subscription() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let mut subscription = PatternSubscription {
            pattern: TopicPattern::new(".*", true).unwrap(),
            options: None,
            looking: Kept::none(),
            failures: 0,
            missed: 0,
        };
        let age = Duration::from_secs(300);
        let mut judged = |before: &[&str], answer: &[&str]| {
            let (before, answer): (Vec<String>, Vec<String>) = (names(before), names(answer));
            let (is_believed, after) = subscription.judge(&before, &answer, age);
            (is_believed, after.as_secs())
        };
        assert_eq!(judged(&[], &[]), (true, 1), "none yet");
        assert_eq!(judged(&[], &[]), (true, 2));
        assert_eq!(judged(&[], &["a", "b"]), (true, 300));
        assert_eq!(judged(&["a", "b"], &["b"]), (false, 1), "a may be there");
        assert_eq!(judged(&["a", "b"], &["a", "b", "c"]), (true, 300));
        assert_eq!(judged(&["a", "b"], &[]), (false, 1));
        assert_eq!(judged(&["a", "b"], &["b"]), (true, 2), "a is gone");
        assert_eq!(judged(&["b"], &["b"]), (true, 300));
    }

    #[test]
    fn the_whole_name_has_to_match() {
        let pattern = TopicPattern::new("orders|a.*", true).unwrap();
        for (name, matches) in [
            ("orders", true),
            ("orders2", false),
            ("my-orders", false),
            ("abc", true),
            ("ba", false),
        ] {
            assert_eq!(pattern.regex.is_match(name), matches, "{name}");
        }
        let error = TopicPattern::new("(", true).unwrap_err().to_string();
        assert!(error.contains("`(`"), "{error}");
    }
}
