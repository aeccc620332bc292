//! The batches of a sink whose records name their topics: an outbox for each topic, made when its first record comes.

use std::collections::BTreeMap;

use super::{Outbox, OutboxConfig, produce::SinkError};

/// Topics of one sink: each holds batches, and is created where the cluster allows it.
const TOPICS_MAX: usize = 10_000;
/// Batches of these sinks are smaller: there are many of them.
const BATCH_BYTES_MAX: usize = 32 << 10;

/// One topic that records have named.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) name: Box<str>,
    /// Its index among the run's topics, once it is open.
    pub(crate) index: Option<usize>,
    pub(crate) outbox: Outbox,
}

/// Outboxes by topic.
#[derive(Debug, Default)]
pub(crate) struct ByTopic {
    config: OutboxConfig,
    topics: Vec<Named>,
    by_name: BTreeMap<Box<str>, usize>,
    /// The last topic that was asked for: neighbours often go to the same one.
    last: usize,
    unopened: usize,
}

impl ByTopic {
    /// How batches are built; the number of partitions is each topic's own.
    pub(crate) fn configure(&mut self, config: OutboxConfig) {
        self.config = OutboxConfig {
            batch_bytes_max: config.batch_bytes_max.min(BATCH_BYTES_MAX),
            ..config
        };
    }

    /// The batches of a topic.
    #[inline]
    pub(crate) fn outbox(&mut self, name: &str) -> Result<&mut Outbox, SinkError> {
        let is_last = self
            .topics
            .get(self.last)
            .is_some_and(|of| *of.name == *name);
        if !is_last {
            self.last = match self.by_name.get(name) {
                Some(at) => *at,
                None => self.add(name)?,
            };
        }
        Ok(&mut self.topics[self.last].outbox)
    }

    #[cold]
    fn add(&mut self, name: &str) -> Result<usize, SinkError> {
        if self.topics.len() >= TOPICS_MAX {
            return Err(SinkError::TooManyTopics { max: TOPICS_MAX });
        }
        self.by_name.insert(name.into(), self.topics.len());
        self.topics.push(Named {
            name: name.into(),
            index: None,
            outbox: Outbox::unopened(self.config),
        });
        self.unopened += 1;
        Ok(self.topics.len() - 1)
    }

    /// A topic that waits to be opened.
    pub(crate) fn unopened(&self) -> Option<&str> {
        if self.unopened == 0 {
            return None;
        }
        let mut waiting = self.topics.iter().filter(|of| of.outbox.is_unopened());
        waiting.next().map(|of| &*of.name)
    }

    /// A topic is open, with so many partitions.
    pub(crate) fn opened(
        &mut self,
        name: &str,
        index: usize,
        partitions: i32,
    ) -> Result<(), SinkError> {
        let Some(of) = self
            .by_name
            .get(name)
            .and_then(|at| self.topics.get_mut(*at))
        else {
            return Ok(());
        };
        self.unopened -= usize::from(of.outbox.is_unopened());
        of.index = Some(index);
        of.outbox.opened(partitions)
    }

    /// The topics so far.
    pub(crate) fn topics(&mut self) -> &mut [Named] {
        &mut self.topics
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::produce::Target;

    #[test]
    fn what_waits_for_its_topic_goes_to_the_partitions_that_it_would_have_gone_to() {
        let mut by_topic = ByTopic::default();
        by_topic.configure(OutboxConfig::default());
        let mut known = Outbox::new(OutboxConfig {
            partitions: 5,
            ..OutboxConfig::default()
        });
        let keys: Vec<String> = (0..40).map(|n| format!("key {n}")).collect();
        for (n, key) in keys.iter().enumerate() {
            let target = if n % 10 == 0 {
                Target::Partition(4)
            } else {
                Target::Key
            };
            let waiting = by_topic.outbox("later").unwrap();
            for outbox in [waiting, &mut known] {
                outbox
                    .append(target, 7, Some(key.as_bytes()), None)
                    .unwrap();
            }
        }
        assert_eq!(by_topic.unopened(), Some("later"));
        assert!(
            by_topic.topics()[0].outbox.is_empty(),
            "nothing to send yet"
        );
        by_topic.opened("later", 9, 5).unwrap();
        assert_eq!(by_topic.unopened(), None);
        let all = |outbox: &mut Outbox| {
            let count = |(p, b): (i32, kafka_proto::records::BatchBuilder)| (p, b.record_count());
            outbox.take_all().map(count).collect::<Vec<_>>()
        };
        assert_eq!(all(&mut by_topic.topics()[0].outbox), all(&mut known));
        assert_eq!(by_topic.topics()[0].index, Some(9));
    }

    #[test]
    fn a_partition_that_the_topic_turns_out_not_to_have_is_an_error() {
        let mut by_topic = ByTopic::default();
        let outbox = by_topic.outbox("small").unwrap();
        outbox.append(Target::Partition(3), 0, None, None).unwrap();
        let error = by_topic.opened("small", 0, 2).unwrap_err().to_string();
        assert!(
            error.contains("partition 3") && error.contains("has 2"),
            "{error}"
        );
    }
}
