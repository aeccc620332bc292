//! The batches of a sink whose records name their topics: an outbox for each topic, made when its first record comes.

use std::collections::BTreeMap;

use super::{Outbox, OutboxConfig, names, produce::SinkError};
use kafka_proto::records::Record;

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
    /// It could not be opened, and will not be.
    is_refused: bool,
}

/// Outboxes by topic.
#[derive(Debug, Default)]
pub(crate) struct ByTopic {
    config: OutboxConfig,
    /// The partition with which records without a key begin.
    first_partition: usize,
    topics: Vec<Named>,
    by_name: BTreeMap<Box<str>, usize>,
    /// The last topic that was asked for: neighbours often go to the same one.
    last: usize,
    unopened: usize,
}

impl ByTopic {
    /// How batches are built; the number of partitions is each topic's own.
    pub(crate) fn configure(&mut self, config: OutboxConfig, first_partition: usize) {
        self.first_partition = first_partition;
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
        match &mut self.topics[self.last] {
            of if of.is_refused => Err(SinkError::TopicRefused),
            of => Ok(&mut of.outbox),
        }
    }

    #[cold]
    fn add(&mut self, name: &str) -> Result<usize, SinkError> {
        if self.topics.len() >= TOPICS_MAX {
            return Err(SinkError::TooManyTopics { max: TOPICS_MAX });
        }
        if let Some(expected) = names::expected(name) {
            return Err(SinkError::TopicName { expected });
        }
        self.by_name.insert(name.into(), self.topics.len());
        let mut outbox = Outbox::unopened(self.config);
        outbox.begin_with(self.first_partition);
        self.topics.push(Named {
            name: name.into(),
            index: None,
            outbox,
            is_refused: false,
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

    fn named(&mut self, name: &str) -> Option<&mut Named> {
        let at = *self.by_name.get(name)?;
        let of = self.topics.get_mut(at)?;
        self.unopened -= usize::from(of.outbox.is_unopened());
        Some(of)
    }

    /// A topic is open, with this number of partitions. `refused` says what becomes of a record that has no place in it.
    pub(crate) fn opened(
        &mut self,
        name: &str,
        index: usize,
        partitions: i32,
        refused: impl FnMut(&Record<'_>, SinkError) -> Result<(), SinkError>,
    ) -> Result<(), SinkError> {
        let Some(of) = self.named(name) else {
            return Ok(());
        };
        of.index = Some(index);
        of.outbox.opened(partitions, refused)
    }

    /// A topic cannot be opened: calls `f` with each record that waits for it. Those that come later are refused at once.
    pub(crate) fn refused(
        &mut self,
        name: &str,
        f: impl FnMut(&Record<'_>) -> Result<(), SinkError>,
    ) -> Result<(), SinkError> {
        let Some(of) = self.named(name) else {
            return Ok(());
        };
        of.is_refused = true;
        of.outbox.never_opened(f)
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
        by_topic.configure(OutboxConfig::default(), 0);
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
        by_topic.opened("later", 9, 5, |_, e| Err(e)).unwrap();
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
        let opened = by_topic.opened("small", 0, 2, |_, e| Err(e));
        let error = opened.unwrap_err().to_string();
        assert!(
            error.contains("partition 3") && error.contains("has 2"),
            "{error}"
        );
    }

    #[test]
    fn a_topic_that_was_refused_gives_back_what_waited_and_takes_nothing_more() {
        let mut by_topic = ByTopic::default();
        for value in [b"a", b"b"] {
            let outbox = by_topic.outbox("gone").unwrap();
            outbox.append(Target::Key, 0, None, Some(value)).unwrap();
        }
        by_topic.outbox("there").unwrap();
        let mut waited = Vec::new();
        let refused = by_topic.refused("gone", |record| {
            waited.extend(record.value.map(<[u8]>::to_vec));
            Ok(())
        });
        refused.unwrap();
        assert_eq!(waited, [b"a", b"b"]);
        assert_eq!(
            by_topic.unopened(),
            Some("there"),
            "it is not asked for again"
        );
        let again = by_topic.outbox("gone").unwrap_err();
        assert_eq!(again, SinkError::TopicRefused);
        assert!(by_topic.outbox("there").is_ok());
    }

    #[test]
    fn names_beyond_the_bound_and_names_that_are_none_are_refused_and_the_others_stay() {
        let mut by_topic = ByTopic::default();
        for n in 0..TOPICS_MAX {
            assert!(by_topic.outbox(&n.to_string()).is_ok());
        }
        let error = by_topic.outbox("one more").unwrap_err();
        assert_eq!(error, SinkError::TooManyTopics { max: TOPICS_MAX });
        assert!(error.is_about_the_record());
        assert!(by_topic.outbox("17").is_ok());
        let error = ByTopic::default().outbox("a/b").map(drop).unwrap_err();
        assert!(matches!(error, SinkError::TopicName { .. }));
    }
}
