//! How a worker reads: batch after batch in bounded pieces, and which of its partitions are idle, held or at their ends.

use std::time::Instant;

use super::super::alignment::is_ahead;
use super::super::errand::Report;
use super::super::quiet::{Look, Seen};
use super::super::work::{At, Progress};
use super::{Reading, Worker, is_past_end, unreadable};
use crate::Error;
use crate::batch::Frame;
use crate::checkpoint::log::{Arrival, Place, Position, Sink, Source};
use crate::inspect::{Activity, Counters};
use crate::time::Mark;

impl<S: Source, K: Sink> Worker<S, K> {
    /// A partition whose reader stood at Kafka's high watermark for a while, with nothing held back here, is idle. While the sources are
    /// stopped its clock stands.
    pub(super) fn look_for_idle(&mut self, may_read: bool) -> Option<Instant> {
        let (now, asked_at) = (Instant::now(), self.asked_at);
        let mut next = None;
        for (at, position) in self.positions.iter().enumerate() {
            let seen = if !may_read {
                Seen::Unknown
            } else if self.source.high_watermark(position.place) == Some(position.offset) {
                Seen::Nothing
            } else {
                Seen::Something
            };
            let idle_after = self.errand.idle_after;
            match self.quiet.look(at, seen, asked_at, now, idle_after) {
                Look::Idle => self.work.idle(position.place),
                Look::Again(when) => next = Some(next.map_or(when, |n: Instant| n.min(when))),
                Look::Nothing => {}
            }
        }
        if self.quiet.take_new() {
            self.send_rows(true);
            self.align();
        }
        next
    }

    /// Tells the others how far the slowest partition here is, and holds those that are too far ahead of the slowest of all. One that
    /// is held has something to read, so it is never taken to be idle; those that are idle or at their end are not waited for.
    pub(super) fn align(&mut self) {
        if self.work.alignments() == 0 {
            return;
        }
        let mut mine = vec![i64::MAX; self.work.alignments()];
        for position in &self.positions {
            for (group, mark, _) in self.work.followed(position.place) {
                if !mark.idle && !mark.is_end() {
                    mine[group] = mine[group].min(mark.at);
                }
            }
        }
        let least = self.alignment.publish(self.exchange.me(), &mine);
        for (at, position) in self.positions.iter().enumerate() {
            let is_held = self.held[at];
            let is_ahead = |(group, mark, drift_ms): (usize, Mark, i64)| {
                !mark.is_end() && is_ahead(mark.at, least[group], drift_ms, is_held)
            };
            let hold = self.work.followed(position.place).any(is_ahead);
            let is_this = |r: &Reading<S::Arrival>| r.arrival.place() == position.place;
            let reading = self.reading.as_ref().filter(|r| is_this(r));
            if hold == is_held || hold && reading.is_some_and(|r| r.batch.is_some()) {
                // A batch that was begun is finished first: read again from its beginning, its rows would come twice.
                continue;
            }
            let from = (!hold).then_some(position.offset);
            let comes_again = self.source.hold(position.place, from);
            self.held[at] = hold;
            if hold && comes_again && self.reading.as_ref().is_some_and(is_this) {
                // Between two batches: the position is where it goes on.
                self.reading = None;
            }
        }
    }

    pub(super) fn begin_reading(&mut self, arrival: S::Arrival) {
        if let Some(at) = self.index_of(arrival.place()) {
            self.quiet.wake(at);
            self.ends_seen[at] = arrival.end();
        }
        self.reading = Some(Reading {
            arrival,
            batch: None,
            at: None,
        });
    }

    /// One bounded step through what is being read.
    pub(super) async fn read_batch(&mut self) -> Result<(), Error> {
        let Some(reading) = &mut self.reading else {
            return Ok(());
        };
        self.clock.turn_to(Activity::Records);
        let place = reading.arrival.place();
        if self.tracks_time
            && reading.batch.is_none()
            && is_past_end(&self.errand.ends, &self.positions, place)
        {
            // What came after the end belongs to the next run: here time has ended.
            self.reading = None;
            return Ok(());
        }
        if reading.batch.is_none() {
            reading.batch = reading.arrival.next_batch()?;
        }
        let position = if let Some(held) = &reading.batch {
            let batch = held.as_ref();
            self.counters.seen_first_record(self.errand.started);
            let position = reading.arrival.position();
            let topic_name = reading.arrival.topic();
            let mut relayed = false;
            if let Some(topic) = self.relay_to[place.topic] {
                let to = Place { topic, ..place };
                if self.waiting_since.is_some() {
                    // What was rewritten record by record must not be overtaken.
                    return self.send(true).await;
                }
                self.clock.turn_to(Activity::Send);
                if let Some(ack) = self.sink.relay(to, batch, position).await? {
                    self.acks.push(ack);
                    Counters::add(&self.counters.records_out, u64::from(batch.record_count()));
                    Counters::add(&self.counters.bytes_out, batch.size_bytes() as u64);
                    relayed = true;
                }
                self.clock.turn_to(Activity::Records);
            }
            if !relayed {
                let body = batch
                    .uncompressed(&mut self.decompressor)
                    .map_err(|e| unreadable(topic_name, place, batch.base_offset(), &e))?;
                let frame = Frame::new(place.partition, batch, body, position).of_topic(topic_name);
                let from = reading.at.unwrap_or(At::START);
                // A barrier waits for the end of the record at hand.
                let share = self.exchange.share();
                let records_max = match self.due {
                    Some(_) => 1,
                    None => self.outflow.records_of(share),
                };
                self.work.set_share(share);
                let progress = self.work.records(place.topic, frame, from, records_max)?;
                self.outflow
                    .read(progress.records_since(from, batch.record_count()));
                if let Progress::More(at) = progress {
                    reading.at = Some(at);
                    return self.after_call().await;
                }
            }
            Counters::add(&self.counters.records_in, u64::from(batch.record_count()));
            Counters::add(&self.counters.bytes_in, batch.size_bytes() as u64);
            let next = batch.next_offset();
            (reading.batch, reading.at) = (None, None);
            next
        } else {
            let next = reading.arrival.next_position();
            if reading.arrival.is_last()
                && let Some(at) = self.positions.iter().position(|p| p.place == place)
            {
                self.errand.ends[at] = Some(next);
            }
            self.reading = None;
            next
        };
        if let Some(at) = self.index_of(place) {
            self.positions[at].offset = position;
        }
        self.check_reached();
        self.align();
        self.after_call().await
    }

    /// Where the batch at hand goes on.
    pub(super) fn middle(&mut self) -> Result<Middle, Error> {
        let Some(Reading {
            arrival,
            batch: Some(held),
            at: Some(at),
        }) = &self.reading
        else {
            return Ok(Middle::None);
        };
        let (place, batch) = (arrival.place(), held.as_ref());
        let body = batch
            .uncompressed(&mut self.decompressor)
            .map_err(|e| unreadable(arrival.topic(), place, batch.base_offset(), &e))?;
        let frame = Frame::new(place.partition, batch, body, arrival.position());
        Ok(match self.work.offset_at(place.topic, frame, *at) {
            Some(offset) => Middle::At(Position { place, offset }),
            None => Middle::Within,
        })
    }

    pub(super) fn check_reached(&mut self) {
        let is_at_end = |(end, position): (&Option<i64>, &Position)| {
            end.is_some_and(|end| position.offset >= end)
        };
        // What was read last says nothing of time where a later run goes on.
        if self.tracks_time && self.errand.drains && !self.reached {
            for (end, position) in self.errand.ends.iter().zip(&self.positions) {
                if is_at_end((end, position)) {
                    self.work.end(position.place);
                }
            }
        }
        if !self.reached && self.errand.ends.iter().zip(&self.positions).all(is_at_end) {
            self.reached = true;
            if self.tracks_time && self.errand.drains && self.errand.is_bounded {
                self.work.end_all();
            }
            let _ = self.reports.send(Report::Reached);
        }
    }

    /// Nothing comes any more, whoever reads it.
    pub(super) fn finish(&mut self) {
        if self.tracks_time && self.errand.drains {
            self.work.end_all();
        }
    }

    pub(super) fn index_of(&self, place: Place) -> Option<usize> {
        self.positions.iter().position(|p| p.place == place)
    }
}

/// Where the batch at hand stands.
pub(super) enum Middle {
    /// There is none, or it is not begun: positions are those of whole batches.
    None,
    /// Between two records.
    At(Position),
    /// Where no offset says: within what a record has become, or some of the topic's sources have had it and others have not.
    Within,
}
