//! What the plan of a worker writes: the batches of its sinks, of its dead letters and of its changelogs, and topics that rows name.

use std::sync::{Arc, atomic::Ordering};

use super::Work;
use crate::Error;
use crate::batch::Outbox;
use crate::batch::by_topic::ByTopic;
use crate::checkpoint::log::{Guard, Need};
use crate::flow::Counters;

impl Work {
    /// Calls `f` with each topic that rows have named and that is open.
    pub(crate) fn each_named(
        &mut self,
        mut f: impl FnMut(usize, &mut Outbox, Option<&Arc<Guard>>),
    ) {
        for (sink, guard) in &self.by_topic {
            for named in self
                .task
                .by_topic(*sink)
                .map_or(&mut [][..], ByTopic::topics)
            {
                if let Some(index) = named.index {
                    f(index, &mut named.outbox, guard.as_ref());
                }
            }
        }
    }

    /// A topic that a row has named and that is not open yet: the operator, and its name.
    pub(crate) fn unopened(&mut self) -> Option<(usize, String)> {
        let task = &mut self.task;
        self.by_topic.iter().find_map(|(sink, _)| {
            let name = task.by_topic(*sink)?.unopened()?;
            Some((*sink, name.to_owned()))
        })
    }

    /// Whether a topic that a row has named can be written to.
    ///
    /// # Errors
    /// When the application reads that topic.
    pub(crate) fn check_output(&self, name: &str) -> Result<(), Error> {
        let reads = |need: &Need| match need {
            Need::Input(origin) => origin
                .topics()
                .is_some_and(|topics| topics.list_of().iter().any(|of| of == name)),
            _ => false,
        };
        if self.job.topics.iter().any(|(_, need)| reads(need)) {
            return Err(Error::Settings(format!(
                "a row is to be written to topic {name}, which this application reads, so that it would never end"
            )));
        }
        Ok(())
    }

    /// That topic is open.
    pub(crate) fn opened(
        &mut self,
        sink: usize,
        name: &str,
        index: usize,
        partitions: i32,
    ) -> Result<(), Error> {
        let opened = self.task.topic_opened(sink, name, index, partitions);
        Ok(opened?)
    }

    /// That topic cannot be opened, for a reason that is about it alone.
    ///
    /// # Errors
    /// That reason, where the policy is to fail.
    pub(crate) fn not_opened(&mut self, sink: usize, name: &str, why: Error) -> Result<(), Error> {
        let refused = self.task.topic_refused(sink, name, &why.to_string())?;
        if refused { Ok(()) } else { Err(why) }
    }

    /// Number of sinks, topics for dead letters and changelogs.
    pub(crate) fn outboxes(&self) -> usize {
        self.guards.len() + self.changelogs.len()
    }

    /// The level with whose changelogs one of them is written, if it is held back.
    pub(crate) fn held_back_of(&self, index: usize) -> Option<usize> {
        let changelog = index.checked_sub(self.guards.len())?;
        self.job.changelogs[changelog].held_back
    }

    /// The batches being filled for one of them, its topic, whether that is a changelog, and what becomes of records that it does
    /// not take.
    pub(crate) fn outbox(
        &mut self,
        index: usize,
    ) -> (usize, Option<&mut Outbox>, bool, Option<&Arc<Guard>>) {
        let guard = self.guards.get(index).and_then(Option::as_ref);
        let job = &self.job;
        if let Some(&(operator, topic)) = job.sinks.get(index) {
            return (topic, Some(self.task.outbox(operator)), false, guard);
        }
        let index = index - job.sinks.len();
        if let Some(&(operator, topic)) = job.letters.get(index) {
            return (topic, self.task.letters(operator), false, guard);
        }
        let index = index - job.letters.len();
        let topic = job.changelogs[index].topic;
        (topic, self.changelogs.get_mut(index), true, None)
    }

    /// What operators have left out since the last call.
    pub(crate) fn take_left_out(&mut self) -> Counters {
        let mut all = Counters::default();
        for operator in 0..self.task.graph().nodes().len() {
            let of = self.task.counters(operator);
            all.bad += of.bad;
            all.late += of.late;
            all.null_keys += of.null_keys;
        }
        let before = std::mem::replace(&mut self.left_out, all);
        all.bad -= before.bad;
        all.late -= before.late;
        all.null_keys -= before.null_keys;
        all.bad += self.refused.records.swap(0, Ordering::Relaxed);
        all
    }

    /// Dead letters that could not be written since the last call.
    pub(crate) fn take_letters_lost(&mut self) -> u64 {
        self.refused.letters_lost.swap(0, Ordering::Relaxed)
    }
}
