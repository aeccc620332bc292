//! How batches leave a worker: from the outboxes of its plan to the sink.

use std::sync::Arc;
use std::time::Instant;

use super::Worker;
use crate::Error;
use crate::batch::{BatchBuilder, Outbox};
use crate::checkpoint::log::{Guard, Place, Sink, Source};
use crate::inspect::{Activity, Counters};

/// A batch on its way from an outbox to the producer.
pub(super) struct Full {
    place: Place,
    batch: BatchBuilder,
    guard: Option<Arc<Guard>>,
}

impl<S: Source, K: Sink> Worker<S, K> {
    /// Opens topics that rows have named.
    async fn open_topics(&mut self) -> Result<(), Error> {
        while let Some((sink, name)) = self.work.unopened() {
            let opened = match self.work.check_output(&name) {
                Ok(()) => self.sink.open(&name).await,
                Err(error) => Err(error),
            };
            match opened {
                Ok((index, partitions)) => self.work.opened(sink, &name, index, partitions)?,
                // Anything else is not about the topic: it would meet the next one too.
                Err(error @ Error::Settings(_)) => self.work.not_opened(sink, &name, error)?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Counts what operators, sinks and topics have left out since the last call.
    pub(super) fn count_left_out(&mut self) {
        let left_out = self.work.take_left_out();
        Counters::add(&self.counters.records_skipped, left_out.bad);
        Counters::add(&self.counters.rows_late, left_out.late);
        Counters::add(&self.counters.rows_without_key, left_out.null_keys);
        let lost = self.work.take_letters_lost();
        Counters::add(&self.counters.dead_letters_lost, lost);
        let counters = &self.counters;
        self.work
            .take_warnings(|operator, text| counters.warn_of(operator, text));
    }

    /// Sends full batches, or with `all` every batch that holds a record; but none of changelogs that are held back.
    pub(super) async fn send(&mut self, all: bool) -> Result<(), Error> {
        self.open_topics().await?;
        let mut waiting = false;
        for i in 0..self.work.outboxes() {
            if self.work.held_back_of(i).is_none() {
                waiting |= self.send_of(i, all).await?;
            }
        }
        let full = &mut self.full;
        self.work.each_named(|topic, outbox, guard| {
            waiting |= take_batches(outbox, topic, all, guard, full)
        });
        self.append(false).await?;
        self.waiting_since = match (waiting, self.waiting_since) {
            (false, _) => None,
            (true, None) => Some(Instant::now()),
            (true, since) => since,
        };
        Ok(())
    }

    /// Sends what the changelogs of a level have held back.
    pub(super) async fn send_held_back(&mut self, level: usize) -> Result<(), Error> {
        for i in 0..self.work.outboxes() {
            if self.work.held_back_of(i) == Some(level) {
                self.send_of(i, true).await?;
            }
        }
        Ok(())
    }

    /// Sends the batches of one outbox; whether some record stays there.
    async fn send_of(&mut self, i: usize, all: bool) -> Result<bool, Error> {
        let (topic, outbox, is_changelog, guard) = self.work.outbox(i);
        let Some(outbox) = outbox else {
            return Ok(false);
        };
        let waiting = take_batches(outbox, topic, all, guard, &mut self.full);
        self.append(is_changelog).await?;
        while let Some(builder) = self.sink.spare() {
            if let Some(outbox) = self.work.outbox(i).1 {
                outbox.lend(builder);
            }
        }
        Ok(waiting)
    }

    /// Hands what was taken from outboxes to the sink.
    async fn append(&mut self, is_changelog: bool) -> Result<(), Error> {
        if self.full.is_empty() {
            return Ok(());
        }
        let before = self.clock.turn_to(Activity::Send);
        let mut full = std::mem::take(&mut self.full);
        for Full {
            place,
            batch,
            guard,
        } in full.drain(..)
        {
            let (records, bytes) = (u64::from(batch.record_count()), batch.size_bytes() as u64);
            let appended = match guard {
                None => self.sink.append(place, batch).await,
                Some(guard) => self.sink.append_guarded(place, batch, &guard).await,
            };
            let ack = appended.map_err(|error| self.work.not_taken(place.topic, error))?;
            self.acks.push(ack);
            if is_changelog {
                Counters::add(&self.counters.changelog_records, records);
            } else {
                Counters::add(&self.counters.records_out, records);
                Counters::add(&self.counters.bytes_out, bytes);
            }
        }
        self.full = full;
        self.clock.turn_to(before);
        Ok(())
    }
}

/// Takes the full batches of an outbox, or with `all` every batch that holds a record; whether some record stays there.
fn take_batches(
    outbox: &mut Outbox,
    topic: usize,
    all: bool,
    guard: Option<&Arc<Guard>>,
    full: &mut Vec<Full>,
) -> bool {
    if outbox.full_bytes() == 0 && (!all || outbox.is_empty()) {
        return !outbox.is_empty();
    }
    let place = |(number, batch)| Full {
        place: Place::single(topic, number),
        batch,
        guard: guard.map(Arc::clone),
    };
    if all {
        full.extend(outbox.take_all().map(place));
    } else {
        full.extend(outbox.take_full().map(place));
    }
    !outbox.is_empty()
}
