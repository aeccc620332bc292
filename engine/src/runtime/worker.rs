//! One worker: a thread with its own reader, its own part of the state, and one loop.
//!
//! ```text
//! fetched batches ──▶ plan ──▶ rows ──exchange──▶ keyed operators ──▶ state     at each barrier: changed keys ──▶ plan ──▶ outputs,
//!                      │                                                        dirty keys ──▶ changelog, and then the positions
//!                      └─ stateless plans ──▶ outputs ──▶ producer
//! ```
//! The order within the loop keeps it from standing still: first what came from other workers, the highest level first; new records only
//! when every inbox has room. At a barrier the sources stand still until all that was before it is through, so that the state written
//! is that of the positions committed.

mod send;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use super::alignment::{Alignment, is_ahead};
use super::errand::{Command, Errand, Parcel, Report};
use super::exchange::{Exchange, Received};
use super::quiet::{Look, Quiet};
use super::work::{At, Fire, Progress, Work};
use crate::Error;
use crate::batch::{BatchBuilder, Decompressor, Frame};
use crate::checkpoint::epoch::Epoch;
use crate::checkpoint::log::{Ack, Arrival, Place, Position, Sink, Source};
use crate::flow::TimeRange;
use crate::inspect::{Activity, Clock, Counters};
use crate::time::Mark;

/// A barrier on its way through this worker.
struct Barrier {
    epoch: Epoch,
    last: bool,
    /// Where the sources stood.
    positions: Vec<Position>,
    stage: Stage,
    level: usize,
}

/// What is being done at the barrier's level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Rows of the epoch are still to come from other workers.
    Aligning,
    /// All are in the state; changed keys are emitted and go into the changelog.
    Firing,
}

/// An epoch whose batches are with the producer.
struct Flushing {
    epoch: Epoch,
    last: bool,
    positions: Vec<Position>,
    acks: VecDeque<Ack>,
    /// The levels whose changelogs are still held back, in the order in which they follow.
    held_back: VecDeque<usize>,
    /// All that was sent is acknowledged; it waits for the other workers.
    is_waiting: bool,
}

/// A batch that is being processed.
struct Reading<A: Arrival> {
    arrival: A,
    /// The batch at hand; `None`: the next one is to be taken.
    batch: Option<A::Held>,
    /// Where in the batch to go on; `None`: at its beginning.
    at: Option<At>,
}

pub(crate) struct Worker<S: Source, K> {
    work: Work,
    source: S,
    /// Reads the changelogs at the start. Not `source`: its first fetch of the input would wait behind a fetch of changelogs that has
    /// nothing more to bring.
    changelogs: Option<S>,
    sink: K,
    exchange: Exchange<Parcel>,
    commands: mpsc::UnboundedReceiver<Command>,
    reports: mpsc::UnboundedSender<Report>,
    counters: Arc<Counters>,
    clock: Clock,
    errand: Errand,
    decompressor: Decompressor,
    positions: Vec<Position>,
    /// Ends of the places that can be read now, as last seen, in the order of `positions`.
    ends_seen: Vec<i64>,
    /// By input topic: where its batches go untouched.
    relay_to: Vec<Option<usize>>,
    reading: Option<Reading<S::Arrival>>,
    /// By level: rows of which a bounded call has left some, and who sent them.
    unfinished: Vec<Option<(usize, Parcel, At)>>,
    barrier: Option<Barrier>,
    /// A barrier that came in the middle of a batch: it waits for its end, so that positions lie between batches.
    due: Option<(Epoch, bool)>,
    /// The last barrier has come.
    is_ending: bool,
    acks: VecDeque<Ack>,
    /// Batches on their way from an outbox to the producer.
    full: Vec<(Place, BatchBuilder)>,
    flushing: Option<Flushing>,
    /// Since when a batch that is not full waits.
    waiting_since: Option<Instant>,
    reached: bool,
    lag: i64,
    tracks_time: bool,
    waits_for_answers: bool,
    quiet: Quiet,
    alignment: Arc<Alignment>,
    aligned: watch::Receiver<()>,
    /// Places that wait for others, in the order of `positions`.
    held: Vec<bool>,
}

impl<S: Source, K: Sink> Worker<S, K> {
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of a worker, each given once"
    )]
    pub(crate) fn new(
        work: Work,
        source: S,
        changelogs: Option<S>,
        sink: K,
        exchange: Exchange<Parcel>,
        commands: mpsc::UnboundedReceiver<Command>,
        reports: mpsc::UnboundedSender<Report>,
        counters: Arc<Counters>,
        errand: Errand,
    ) -> Self {
        let tracks_time = work.tracks_time();
        let waits_for_answers = work.waits_for_answers();
        let aligned = errand.alignment.changes();
        Self {
            source,
            changelogs,
            sink,
            exchange,
            commands,
            reports,
            clock: Clock::start(Arc::clone(&counters)),
            counters,
            decompressor: Decompressor::new(super::DECOMPRESSED_BYTES_MAX),
            positions: errand.input.clone(),
            held: vec![false; errand.input.len()],
            alignment: Arc::clone(&errand.alignment),
            aligned,
            ends_seen: Vec::new(),
            relay_to: (0..errand.topics.len())
                .map(|topic| work.relay_of(topic))
                .collect(),
            errand,
            reading: None,
            unfinished: (0..work.levels()).map(|_| None).collect(),
            work,
            barrier: None,
            due: None,
            is_ending: false,
            acks: VecDeque::new(),
            full: Vec::new(),
            flushing: None,
            waiting_since: None,
            reached: false,
            lag: 0,
            tracks_time,
            waits_for_answers,
            quiet: Quiet::default(),
        }
    }

    /// Runs until the last barrier is durable, or until the coordinator is gone. Dropping it abandons what is not committed.
    pub(crate) async fn run(mut self) -> Result<(), Error> {
        self.restore().await?;
        self.tell_sizes();
        let _ = self.reports.send(Report::Running);
        // All begin together: a stop before that finds nothing processed that would have to be committed.
        if self.commands.recv().await.is_none() {
            return Ok(());
        }
        self.ends_seen = self.positions.iter().map(|p| p.offset).collect();
        self.source.assign(&self.positions);
        for position in &self.positions {
            self.work.assign(position.place);
        }
        self.quiet.begin(self.positions.len());
        self.check_reached();
        self.align();
        loop {
            match self.commands.try_recv() {
                Ok(Command::Barrier { epoch, last }) => self.begin_barrier(epoch, last).await?,
                Ok(Command::Log) => self.log_next().await?,
                Err(mpsc::error::TryRecvError::Disconnected) => return Ok(()),
                Ok(Command::Finish) => self.finish(),
                Ok(Command::Start) | Err(mpsc::error::TryRecvError::Empty) => {}
            }
            let now_ms = wall_clock_ms();
            self.work.set_writable(TimeRange::at(now_ms));
            if self.tracks_time || self.waits_for_answers {
                self.work.set_now(now_ms);
            }
            if self.waits_for_answers {
                let work = &mut self.work;
                std::future::poll_fn(|cx| {
                    work.poll_answers(cx);
                    Poll::Ready(())
                })
                .await;
            }
            if !self.step().await? && self.wait().await? {
                return Ok(());
            }
            // The connections of this thread need their turn.
            tokio::task::yield_now().await;
        }
    }

    /// One bounded piece of work; false when there is none.
    async fn step(&mut self) -> Result<bool, Error> {
        // Below this level the epoch on its way is through here already; what comes there belongs to the next one.
        let lowest = match &self.barrier {
            None => 0,
            Some(Barrier {
                stage: Stage::Aligning,
                level,
                ..
            }) => *level,
            Some(Barrier { level, .. }) => level + 1,
        };
        for level in (lowest..self.work.levels()).rev() {
            if !self.exchange.room_above(level + 1) {
                continue;
            }
            // What is left of rows that found no room waits until answers have made some.
            let has_room = !self.waits_for_answers || self.work.has_room(level);
            if has_room && let Some((from, parcel, at)) = self.unfinished[level].take() {
                self.handle_rows(level, from, parcel, at).await?;
                return Ok(true);
            }
            if (self.tracks_time || self.waits_for_answers) && self.work.fire_due(level)? {
                self.after_call().await?;
                return Ok(true);
            }
            if !has_room {
                continue;
            }
            match self.exchange.receive(level) {
                Some(Received::Item { from, item }) => {
                    self.handle_rows(level, from, item, At::START).await?
                }
                Some(Received::Aligned) => self.aligned(level),
                None => continue,
            }
            return Ok(true);
        }
        if let Some(Barrier { stage, level, .. }) = &self.barrier {
            let (stage, level) = (*stage, *level);
            if stage == Stage::Aligning || !self.exchange.room_above(level + 1) {
                return Ok(false);
            }
            return self.fire(level).await;
        }
        // Behind the last barrier nothing may be read: its outputs would be written and its positions never committed.
        if self.is_ending || !self.exchange.room_above(0) {
            return Ok(false);
        }
        if self.reading.is_none() {
            match self.source.try_next() {
                Some(arrival) => self.begin_reading(arrival),
                None => return Ok(false),
            }
        }
        self.read_batch().await?;
        Ok(true)
    }

    /// Waits for whatever comes first. True when the last epoch is durable, or the coordinator is gone: the end.
    async fn wait(&mut self) -> Result<bool, Error> {
        self.send_rows(true);
        self.clock.turn_to(Activity::Wait);
        let may_read = !self.is_ending
            && self.barrier.is_none()
            && self.reading.is_none()
            && self.exchange.room_above(0);
        let next_time = self.next_time(may_read);
        let linger = match self.waiting_since {
            Some(since) if self.barrier.is_none() => Some(since + self.errand.linger),
            _ => None,
        };
        tokio::select! {
            biased;
            outcome = flushed(&mut self.flushing), if self.flushing.as_ref().is_some_and(|f| !f.is_waiting) => {
                outcome?;
                return Ok(self.report_flushed());
            }
            () = self.exchange.ready() => {}
            command = self.commands.recv() => match command {
                Some(Command::Barrier { epoch, last }) => self.begin_barrier(epoch, last).await?,
                Some(Command::Log) => self.log_next().await?,
                Some(Command::Finish) => self.finish(),
                Some(Command::Start) => {}
                None => return Ok(true),
            },
            arrival = self.source.next(), if may_read => {
                let arrival = arrival?;
                self.begin_reading(arrival);
            }
            _ = self.aligned.changed(), if self.held.contains(&true) => self.align(),
            () = answered(&mut self.work), if self.waits_for_answers => {}
            () = until(linger), if linger.is_some() => self.send(true).await?,
            () = until(next_time), if next_time.is_some() => {}
        }
        Ok(false)
    }

    /// Notes which partitions have nothing to read, and when to look again for the sake of time.
    fn next_time(&mut self, may_read: bool) -> Option<Instant> {
        let look = if self.tracks_time {
            self.look_for_idle(may_read)
        } else {
            None
        };
        let due = self.work.next_due_ms().map(|at| {
            let ms = u64::try_from(at.saturating_sub(wall_clock_ms())).unwrap_or(0);
            // A distant time is looked at again: what the wall clock says may change.
            Instant::now() + Duration::from_millis(ms.clamp(1, 60_000))
        });
        [look, due].into_iter().flatten().min()
    }

    /// A partition whose reader stood at Kafka's high watermark for a while, with nothing held back here, is idle. No such clock runs
    /// while the sources are stopped.
    fn look_for_idle(&mut self, may_read: bool) -> Option<Instant> {
        let now = Instant::now();
        let mut next = None;
        for (at, position) in self.positions.iter().enumerate() {
            let is_quiet =
                may_read && self.source.high_watermark(position.place) == Some(position.offset);
            match self.quiet.look(at, is_quiet, now, self.errand.idle_after) {
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
    fn align(&mut self) {
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
            if hold == is_held {
                continue;
            }
            let from = (!hold).then_some(position.offset);
            let comes_again = self.source.hold(position.place, from);
            self.held[at] = hold;
            let is_this = |r: &Reading<S::Arrival>| r.arrival.place() == position.place;
            if hold && comes_again && self.reading.as_ref().is_some_and(is_this) {
                // Between two batches: the position is where it goes on.
                self.reading = None;
            }
        }
    }

    fn begin_reading(&mut self, arrival: S::Arrival) {
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
    async fn read_batch(&mut self) -> Result<(), Error> {
        let Some(reading) = &mut self.reading else {
            return Ok(());
        };
        self.clock.turn_to(Activity::Records);
        let place = reading.arrival.place();
        if self.tracks_time && is_past_end(&self.errand.ends, &self.positions, place) {
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
                    self.acks.push_back(ack);
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
                if let Progress::More(at) = self.work.records(place.topic, frame, from)? {
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
        self.after_call().await?;
        match self.due.take() {
            Some((epoch, last)) => self.begin_barrier(epoch, last).await,
            None => Ok(()),
        }
    }

    async fn handle_rows(
        &mut self,
        level: usize,
        from: usize,
        mut parcel: Parcel,
        at: At,
    ) -> Result<(), Error> {
        self.clock.turn_to(Activity::Rows);
        match self.work.rows(from, &parcel, at)? {
            Progress::More(at) => self.unfinished[level] = Some((from, parcel, at)),
            Progress::Done => {
                parcel.rows.clear();
                self.exchange.give_back(from, parcel);
            }
        }
        self.after_call().await
    }

    /// What a call has made goes on its way: rows to their workers, full batches to the producer.
    async fn after_call(&mut self) -> Result<(), Error> {
        let left_out = self.work.take_left_out();
        Counters::add(&self.counters.records_skipped, left_out.bad);
        Counters::add(&self.counters.rows_late, left_out.late);
        Counters::add(&self.counters.rows_without_key, left_out.null_keys);
        self.send_rows(false);
        self.send(false).await
    }

    /// Sends rows to the workers that own their keys: those worth it, or with `all` every one.
    fn send_rows(&mut self, all: bool) {
        let exchange = &self.exchange;
        self.work
            .take_rows(all, |worker, level, operator, mark, rows| {
                let empty = exchange
                    .spare()
                    .map(|parcel| parcel.rows)
                    .unwrap_or_default();
                let rows = std::mem::replace(rows, empty);
                let parcel = Parcel {
                    operator,
                    rows,
                    mark,
                };
                exchange.send(worker, level, parcel);
            });
    }

    async fn begin_barrier(&mut self, epoch: Epoch, last: bool) -> Result<(), Error> {
        debug_assert!(self.barrier.is_none(), "one epoch at a time");
        if self
            .reading
            .as_ref()
            .is_some_and(|reading| reading.at.is_some())
        {
            self.due = Some((epoch, last));
            return Ok(());
        }
        let lag: i64 = self
            .ends_seen
            .iter()
            .zip(&self.positions)
            .map(|(end, p)| (end - p.offset).max(0))
            .sum();
        if self.tracks_time && !last {
            let may_read = self.exchange.room_above(0);
            self.look_for_idle(may_read);
        }
        self.counters
            .lag
            .fetch_add(lag - self.lag, Ordering::Relaxed);
        self.lag = lag;
        self.is_ending = last;
        self.barrier = Some(Barrier {
            epoch,
            last,
            positions: self.positions.clone(),
            stage: Stage::Aligning,
            level: 0,
        });
        if self.work.levels() == 0 {
            return self.end_barrier().await;
        }
        self.send_rows(true);
        self.exchange.pass_barrier(0);
        Ok(())
    }

    /// Every row that the epoch has for `level` is in the state.
    fn aligned(&mut self, level: usize) {
        if let Some(barrier) = &mut self.barrier {
            debug_assert_eq!(
                (barrier.stage, barrier.level),
                (Stage::Aligning, level),
                "barriers come level by level"
            );
            barrier.stage = Stage::Firing;
        }
    }

    /// One bounded piece of what a level has to do at a barrier. False: it waits for answers.
    async fn fire(&mut self, level: usize) -> Result<bool, Error> {
        self.clock.turn_to(Activity::Commit);
        let fire = self.work.fire(level)?;
        self.after_call().await?;
        if fire != Fire::Done {
            return Ok(fire == Fire::More);
        }
        self.send_rows(true);
        let Some(barrier) = &mut self.barrier else {
            return Ok(true);
        };
        if level + 1 < self.work.levels() {
            (barrier.stage, barrier.level) = (Stage::Aligning, level + 1);
            self.exchange.pass_barrier(level + 1);
            return Ok(true);
        }
        self.end_barrier().await?;
        Ok(true)
    }

    /// All of the epoch is in batches: send them. Work goes on while their acknowledgements are awaited.
    async fn end_barrier(&mut self) -> Result<(), Error> {
        self.send(true).await?;
        self.tell_sizes();
        self.sink.flush().await?;
        if let Some(Barrier {
            epoch,
            last,
            positions,
            ..
        }) = self.barrier.take()
        {
            debug_assert!(self.flushing.is_none(), "one epoch at a time");
            self.flushing = Some(Flushing {
                epoch,
                last,
                positions,
                acks: std::mem::take(&mut self.acks),
                held_back: self.work.held_back().into(),
                is_waiting: false,
            });
        }
        Ok(())
    }

    /// What all workers have sent for the epoch is acknowledged: the next changelogs follow.
    async fn log_next(&mut self) -> Result<(), Error> {
        let next = |flushing: &mut Flushing| flushing.held_back.pop_front();
        let Some(level) = self.flushing.as_mut().and_then(next) else {
            return Ok(());
        };
        // Batches of the next epoch may be on their way already.
        let others = std::mem::take(&mut self.acks);
        self.send_held_back(level).await?;
        let acks = std::mem::replace(&mut self.acks, others);
        if let Some(flushing) = &mut self.flushing {
            (flushing.acks, flushing.is_waiting) = (acks, false);
        }
        Ok(())
    }

    /// Shows the inspector the sizes of this worker's state, and how far its operators are in time.
    fn tell_sizes(&mut self) {
        let counters = &self.counters;
        for (operator, at) in self.work.acted_upon() {
            counters.watermark(operator, self.exchange.me(), at);
        }
        self.work.each_size_change(|operator, keys, bytes| {
            counters.state_changed(operator, keys, bytes);
        });
    }

    /// What was sent for the epoch is acknowledged. True when it was all, and the last epoch.
    fn report_flushed(&mut self) -> bool {
        let worker = self.exchange.me();
        if let Some(flushing) = &mut self.flushing
            && !flushing.held_back.is_empty()
        {
            flushing.is_waiting = true;
            let epoch = flushing.epoch;
            let _ = self.reports.send(Report::Written { worker, epoch });
            return false;
        }
        let Some(Flushing {
            epoch,
            last,
            positions,
            ..
        }) = self.flushing.take()
        else {
            return false;
        };
        let _ = self.reports.send(Report::Durable {
            worker,
            epoch,
            positions,
        });
        if last {
            self.work.keep_state();
        }
        last
    }

    fn check_reached(&mut self) {
        let is_at_end = |(end, position): (&Option<i64>, &Position)| {
            end.is_some_and(|end| position.offset >= end)
        };
        if self.tracks_time && !self.reached {
            for (end, position) in self.errand.ends.iter().zip(&self.positions) {
                if is_at_end((end, position)) {
                    self.work.end(position.place);
                }
            }
        }
        if !self.reached && self.errand.ends.iter().zip(&self.positions).all(is_at_end) {
            self.reached = true;
            if self.tracks_time && self.errand.is_bounded {
                self.work.end_all();
            }
            let _ = self.reports.send(Report::Reached);
        }
    }

    /// Nothing comes any more, whoever reads it.
    fn finish(&mut self) {
        if self.tracks_time {
            self.work.end_all();
        }
    }

    fn index_of(&self, place: Place) -> Option<usize> {
        self.positions.iter().position(|p| p.place == place)
    }

    /// Reads the changelogs of this worker's key groups up to the high watermarks taken at the start.
    async fn restore(&mut self) -> Result<(), Error> {
        let Some(mut changelogs) = self.changelogs.take() else {
            return Ok(());
        };
        self.clock.turn_to(Activity::Restore);
        let mut left: Vec<(Position, i64)> = std::mem::take(&mut self.errand.restore);
        left.retain(|(from, end)| from.offset < *end && !self.work.is_kept(from.place.topic));
        changelogs.assign(&left.iter().map(|(from, _)| *from).collect::<Vec<_>>());
        while !left.is_empty() {
            let mut arrival = changelogs.next().await?;
            let (place, next) = (arrival.place(), arrival.next_position());
            while let Some(held) = arrival.next_batch()? {
                let batch = held.as_ref();
                let body = batch
                    .uncompressed(&mut self.decompressor)
                    .map_err(|e| unreadable(arrival.topic(), place, batch.base_offset(), &e))?;
                let frame = Frame::new(place.partition, batch, body, arrival.position());
                let n = self.work.restore(place.topic, frame)?;
                Counters::add(&self.counters.records_restored, n);
            }
            left.retain(|(from, end)| from.place != place || next < *end);
        }
        Ok(())
    }
}

impl<S: Source, K> Drop for Worker<S, K> {
    fn drop(&mut self) {
        self.clock.turn_to(Activity::Wait);
        self.counters.lag.fetch_sub(self.lag, Ordering::Relaxed);
    }
}

/// Whether a place stands at the end of a bounded run, or behind it.
fn is_past_end(ends: &[Option<i64>], positions: &[Position], place: Place) -> bool {
    let at = positions.iter().zip(ends).find(|(p, _)| p.place == place);
    at.is_some_and(|(position, end)| end.is_some_and(|end| position.offset >= end))
}

/// The wall clock, in milliseconds since 1970.
fn wall_clock_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

fn unreadable(topic: &str, place: Place, offset: i64, error: &dyn std::fmt::Display) -> Error {
    Error::Data {
        topic: topic.to_owned(),
        partition: place.number(),
        offset,
        reason: format!("the batch cannot be read: {error}"),
    }
}

/// Waits for the acknowledgements of an epoch. Dropping the future loses nothing: what was acknowledged is taken out.
async fn flushed(flushing: &mut Option<Flushing>) -> Result<(), Error> {
    if let Some(flushing) = flushing {
        while let Some(ack) = flushing.acks.front_mut() {
            ack.await?;
            flushing.acks.pop_front();
        }
    }
    Ok(())
}

/// Waits until something that was awaited has its answer. Dropping it loses nothing.
async fn answered(work: &mut Work) {
    std::future::poll_fn(|cx| match work.poll_answers(cx) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
