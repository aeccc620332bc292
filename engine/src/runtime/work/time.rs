//! What a worker says to its plan of time, and what it asks of it.

use super::Work;
use crate::checkpoint::log::Place;
use crate::flow::TimeRange;
use crate::plan::Task;
use crate::time::{Mark, Now};

impl Work {
    /// This worker reads a partition of an input topic from now on.
    pub(crate) fn assign(&mut self, place: Place) {
        self.each_source(place.topic, |task, source| {
            task.assign(source, place.partition);
        });
    }

    /// There is nothing to read in a partition at present.
    pub(crate) fn idle(&mut self, place: Place) {
        self.each_source(place.topic, |task, source| {
            task.idle(source, place.partition);
        });
    }

    /// A partition is at its end.
    pub(crate) fn end(&mut self, place: Place) {
        self.each_source(place.topic, |task, source| {
            task.end(source, place.partition)
        });
    }

    /// Everything that this worker reads is at its end.
    pub(crate) fn end_all(&mut self) {
        self.task.end_all();
    }

    /// Says what time it is.
    pub(crate) fn set_clocks(&mut self, now: Now) {
        self.task.set_clocks(now);
    }

    /// As [`Task::set_elapsed`].
    pub(crate) fn set_elapsed(&mut self, elapsed_ms: i64) {
        self.task.set_elapsed(elapsed_ms);
    }

    /// As [`Task::begin_round`].
    pub(crate) fn begin_round(&mut self) -> bool {
        self.task.begin_round()
    }

    /// As [`Task::next_due`].
    pub(crate) fn next_due(&self) -> (Option<i64>, Option<i64>) {
        self.task.next_due()
    }

    /// As [`Task::next_answer_due_ms`].
    pub(crate) fn next_answer_due_ms(&self) -> Option<i64> {
        self.task.next_answer_due_ms()
    }

    /// Times that topics take now.
    pub(crate) fn set_writable(&mut self, writable: TimeRange) {
        self.writable = writable;
        self.task.set_writable(writable);
    }

    /// What is known of a place's time in each group that it belongs to: group, mark, and how far ahead it may be.
    pub(crate) fn followed(&self, place: Place) -> impl Iterator<Item = (usize, Mark, i64)> {
        let of = self
            .job
            .aligned
            .iter()
            .filter(move |f| f.topic == place.topic);
        of.map(move |f| {
            let mark = self
                .task
                .partition_mark(f.operator, f.source, place.partition);
            (f.group, mark, f.drift_max_ms)
        })
    }

    /// Whether anything in the plan waits for time.
    pub(crate) fn tracks_time(&self) -> bool {
        self.task.tracks_time()
    }

    /// Whether anything in the plan waits for answers.
    pub(crate) fn waits_for_answers(&self) -> bool {
        self.job.cuts.iter().any(|cut| cut.waits_for_answers)
    }

    /// Number of groups of partitions that wait for each other.
    pub(crate) fn alignments(&self) -> usize {
        self.job.alignments.len()
    }

    /// Calls `f` with each source that reads a topic.
    fn each_source(&mut self, topic: usize, mut f: impl FnMut(&mut Task, usize)) {
        for &(source, of) in &self.job.sources {
            if of == topic {
                f(&mut self.task, source);
            }
        }
    }
}
