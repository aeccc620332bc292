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

mod acks;
mod barrier;
mod reading;
mod send;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use acks::Acks;
use barrier::{Barrier, Flushing, Stage};

use super::alignment::Alignment;
use super::errand::{Command, Errand, Parcel, Report};
use super::exchange::{Exchange, Received};
use super::now::Clocks;
use super::pace::Outflow;
use super::quiet::Quiet;
use super::work::{At, Progress, Work};
use crate::Error;
use crate::batch::{Decompressor, Frame};
use crate::checkpoint::epoch::Epoch;
use crate::checkpoint::log::{Arrival, Place, Position, Sink, Source};
use crate::flow::TimeRange;
use crate::inspect::{Activity, Clock, Counters};

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
    outflow: Outflow,
    /// By level: rows of which a bounded call has left some, and who sent them.
    unfinished: Vec<Option<(usize, Parcel, At)>>,
    barrier: Option<Barrier>,
    /// A barrier that came where no position is: it waits for the end of the record at hand, or of the batch. Looked at in every turn.
    due: Option<(Epoch, bool)>,
    /// The last barrier has come.
    is_ending: bool,
    acks: Acks,
    /// Batches on their way from an outbox to the producer.
    full: Vec<send::Full>,
    flushing: Option<Flushing>,
    /// Since when a batch that is not full waits.
    waiting_since: Option<Instant>,
    reached: bool,
    lag: i64,
    tracks_time: bool,
    waits_for_answers: bool,
    quiet: Quiet,
    clocks: Clocks,
    /// Timers that timers have set may be due.
    has_begun_round: bool,
    /// When the source was last asked and had nothing more.
    asked_at: Instant,
    /// When to look again whether rows of keyed operators still come.
    look_again: Option<Duration>,
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
        let clocks = Clocks::begin(errand.wall_clock);
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
            outflow: Outflow::default(),
            unfinished: (0..work.levels()).map(|_| None).collect(),
            work,
            barrier: None,
            due: None,
            is_ending: false,
            acks: Acks::default(),
            full: Vec::new(),
            flushing: None,
            waiting_since: None,
            reached: false,
            lag: 0,
            tracks_time,
            waits_for_answers,
            quiet: Quiet::default(),
            clocks,
            has_begun_round: false,
            asked_at: Instant::now(),
            look_again: None,
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
            if self.look_around().await? {
                return Ok(());
            }
            let now = self.clocks.now();
            self.work.set_writable(TimeRange::at(now.wall_ms));
            let goes_on = self.barrier.is_none();
            if goes_on {
                // In an epoch that ends the clocks stand: what became due meanwhile belongs to the next one.
                self.work.set_clocks(now);
            }
            if self.tracks_time || self.waits_for_answers {
                self.look_again = self.work.look_for_quiet(self.errand.idle_after, goes_on);
            }
            self.work.set_elapsed(now.elapsed_ms);
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

    /// Sees what was told and what was acknowledged since the last turn: in every turn, however much there is to do, and at a bounded cost,
    /// so that a commit never waits for a pause in the work. True: the end, as in [`Self::wait`].
    async fn look_around(&mut self) -> Result<bool, Error> {
        if let Some((epoch, last)) = self.due.take() {
            self.begin_barrier(epoch, last).await?;
        }
        match self.commands.try_recv() {
            Ok(command) => self.obey(command).await?,
            Err(mpsc::error::TryRecvError::Disconnected) => return Ok(true),
            Err(mpsc::error::TryRecvError::Empty) => {}
        }
        // Whoever waits afterwards polls again, with a waker.
        let mut cx = Context::from_waker(Waker::noop());
        self.acks.poll_some(&mut cx)?;
        if let Poll::Ready(outcome) = poll_flushed(&mut self.flushing, &mut cx) {
            outcome?;
            return Ok(self.report_flushed());
        }
        Ok(false)
    }

    async fn obey(&mut self, command: Command) -> Result<(), Error> {
        match command {
            Command::Barrier { epoch, last } => self.begin_barrier(epoch, last).await?,
            Command::Log => self.log_next().await?,
            Command::Finish => self.finish(),
            Command::Start => {}
        }
        Ok(())
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
        // Everything that was due is out, and so are its rows here: now timers that timers have set have their turn.
        self.has_begun_round = self.tracks_time && self.work.begin_round();
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
        let (flushing, acks) = (&mut self.flushing, &mut self.acks);
        let acknowledged = std::future::poll_fn(|cx| match acks.poll_some(cx) {
            Err(error) => Poll::Ready(Err(error)),
            Ok(()) => poll_flushed(flushing, cx),
        });
        tokio::select! {
            biased;
            // First: what is known of idle partitions is as of the last time that this was asked.
            arrival = self.source.next(), if may_read => {
                let arrival = arrival?;
                self.begin_reading(arrival);
            }
            outcome = acknowledged => {
                outcome?;
                return Ok(self.report_flushed());
            }
            () = self.exchange.ready() => {}
            command = self.commands.recv() => match command {
                Some(command) => self.obey(command).await?,
                None => return Ok(true),
            },
            _ = self.aligned.changed(), if self.held.contains(&true) => self.align(),
            () = answered(&mut self.work), if self.waits_for_answers => {}
            () = until(linger), if linger.is_some() => self.send(true).await?,
            () = until(next_time), if next_time.is_some() => {}
        }
        if may_read {
            self.asked_at = Instant::now();
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
        let now = self.clocks.now();
        let (wall, elapsed) = match self.barrier {
            None => self.work.next_due(),
            // These clocks stand.
            Some(_) => (None, None),
        };
        let in_ms = |ms: i64| {
            let ms = u64::try_from(ms).unwrap_or(0);
            // A distant time is looked at again: what the wall clock says may change.
            Instant::now() + Duration::from_millis(ms.clamp(1, 60_000))
        };
        let wall = wall.map(|at| in_ms(at.saturating_sub(now.wall_ms)));
        let elapsed = [elapsed, self.work.next_answer_due_ms()];
        let elapsed = elapsed.into_iter().flatten().min();
        let elapsed = elapsed.map(|at| in_ms(at.saturating_sub(now.elapsed_ms)));
        let at_once = std::mem::take(&mut self.has_begun_round).then(Instant::now);
        let again = self.look_again.map(|after| Instant::now() + after);
        [look, wall, elapsed, at_once, again]
            .into_iter()
            .flatten()
            .min()
    }

    async fn handle_rows(
        &mut self,
        level: usize,
        from: usize,
        mut parcel: Parcel,
        at: At,
    ) -> Result<(), Error> {
        self.clock.turn_to(Activity::Rows);
        let began = Instant::now();
        let progress = self.work.rows(from, &parcel, at)?;
        let rows = parcel.rows.len() as u32;
        if rows > 0 {
            let part =
                u64::from(progress.records_since(at, rows)) * parcel.rows.size_bytes() as u64;
            let bytes = (part / u64::from(rows)) as usize;
            self.exchange.took(level, bytes, began.elapsed());
        }
        match progress {
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
        self.count_left_out();
        self.send_rows(false);
        self.send(false).await
    }

    /// Sends rows to the workers that own their keys: those worth it, or with `all` every one.
    fn send_rows(&mut self, all: bool) {
        let (exchange, outflow) = (&self.exchange, &mut self.outflow);
        self.work
            .take_rows(all, |worker, level, operator, mark, rows| {
                outflow.sent(rows.size_bytes());
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

    /// Shows the inspector the sizes of this worker's state, and how far its operators are in time.
    fn tell_sizes(&mut self) {
        let counters = &self.counters;
        for (operator, at) in self.work.acted_upon() {
            counters.watermark(operator, self.exchange.me(), at);
        }
        self.work.each_size_change(|operator, keys, bytes| {
            counters.state_changed(operator, keys, bytes);
        });
        for warning in self.work.take_size_warnings() {
            counters.warn(warning);
        }
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

fn unreadable(topic: &str, place: Place, offset: i64, error: &dyn std::fmt::Display) -> Error {
    Error::Data {
        topic: topic.to_owned(),
        partition: place.number(),
        offset,
        reason: format!("the batch cannot be read: {error}"),
    }
}

/// Ready when all that was sent for the epoch on its way is acknowledged; pending when none is.
fn poll_flushed(flushing: &mut Option<Flushing>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
    match flushing {
        Some(flushing) if !flushing.is_waiting => flushing.acks.poll_all(cx),
        _ => Poll::Pending,
    }
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
