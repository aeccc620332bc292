//! The plan of one worker: its task, the changelogs beside it, and which of the run's topics each operator means.

mod changelogs;
mod outputs;
mod time;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::errand::Parcel;
use super::job::{Cut, Found, Job, Seat};
use super::pace::Pace;
use crate::Error;
use crate::batch::{Compression, Frame, Outbox, OutboxConfig, Rows};
use crate::checkpoint::log::{Guard, Guarded, Need, Place, Refused};
use crate::checkpoint::offset_metadata::Reached;
use crate::flow::{Counters, Input, Limits, Port, Position, TimeRange};
use crate::plan::{OnBad, StateSize, Task, TaskConfig};
use crate::state::KeyGroups;
use crate::time::{Mark, Quiet, millis};

/// Bytes of changed keys that are emitted and logged together.
const FIRE_BYTES: usize = 256 << 10;
/// Rows for another worker wait until they are this many bytes, fewer for a slow one, or until there is nothing else to do.
const PARCEL_BYTES: usize = 32 << 10;

/// Looks that it takes at least until rows that do not come are taken to be idle.
const QUIET_LOOKS: u32 = 4;

/// How far a bounded call got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    Done,
    /// Take what came out, then call again from here.
    More(At),
}

impl Progress {
    /// Records (or rows) that a call which began at `from` has done, of so many in all.
    pub(crate) fn records_since(self, from: At, all: u32) -> u32 {
        let to = match self {
            Self::More(at) if at.source == from.source => at.position.index(),
            Self::Done | Self::More(_) => all,
        };
        to.saturating_sub(from.position.index())
    }
}

/// How far the end of an epoch got at a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fire {
    Done,
    /// Call again, there is more.
    More,
    /// Answers of the epoch are still to come.
    Waits,
}

/// A place in a batch that is given to several sources in turn, or in a parcel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At {
    source: usize,
    position: Position,
}

impl At {
    pub(crate) const START: Self = Self {
        source: 0,
        position: Position::START,
    };
}

/// Results on their way out.
struct Fired {
    operator: usize,
    port: Port,
    rows: Rows,
    from: Position,
}

/// Where the work of a barrier goes on.
#[derive(Default)]
struct FireNext {
    cut: usize,
    /// What the commit before has let go of is on its way out of the changelog.
    is_begun: bool,
    /// What commits give out is out.
    is_updated: bool,
    group: u32,
}

pub(crate) struct Work {
    task: Task,
    pace: Pace,
    job: Arc<Job>,
    seat: Seat,
    keys: KeyGroups,
    /// Operators whose rows name their topics, with what becomes of rows that those do not take.
    by_topic: Vec<(usize, Option<Arc<Guard>>)>,
    /// The same of each sink, and of each topic for dead letters.
    guards: Vec<Option<Arc<Guard>>>,
    /// What topics have not taken.
    refused: Arc<Refused>,
    /// One for each changelog of the job.
    changelogs: Vec<Outbox>,
    /// By changelog: deletions of what is past at the watermark of the epoch on its way. They follow with the next epoch, when its positions are
    /// committed: until then a crash needs what they delete.
    deletions: Vec<Outbox>,
    /// By level.
    fired: Vec<Option<Fired>>,
    fire_next: FireNext,
    /// By operator: what this worker says of time, as of the last look.
    marks: Vec<Mark>,
    /// By operator and worker: what it was told last.
    marks_sent: Vec<Mark>,
    /// By changelog: how far time had come for its operator when its state was last drained.
    reached: Vec<Reached>,
    /// By changelog: the largest entry of those that are more than half of what a record may have, and its size.
    large: Vec<Option<(Box<[u8]>, usize)>>,
    record_bytes_max: usize,
    is_compressed: bool,
    /// To be shown to the user.
    warnings: Vec<String>,
    /// Where the changelog partitions of this worker end, as far as it knows: nobody else writes to them.
    changelog_ends: Vec<(Place, i64)>,
    /// By key group: records logged since they were added to those ends.
    logged: Vec<i64>,
    /// Changelogs and key groups whose first identity was seen.
    identified: Vec<(usize, u32)>,
    /// State on disk has a place to be found again.
    may_keep: bool,
    /// Rows for another worker wait until they are this many bytes.
    parcel_bytes: usize,
    spare: Vec<Rows>,
    key: Vec<u8>,
    left_out: Counters,
    /// When it was last looked whether rows of keyed operators still come.
    looked: Option<Instant>,
    /// By changelog: the size of the state as it was last told.
    sizes: Vec<StateSize>,
    writable: TimeRange,
}

impl Work {
    /// # Errors
    /// When the plan builds other operators than when it was learned.
    pub(crate) fn new(
        job: Arc<Job>,
        seat: Seat,
        partitions: &[i32],
        outbox: OutboxConfig,
        state_dir: Option<PathBuf>,
        found: Found,
    ) -> Result<Self, Error> {
        let Found {
            changelog_ends,
            mut reached,
            record_bytes_max,
        } = found;
        let may_keep = state_dir.is_some();
        let keys = KeyGroups::new(seat.seed, job.key_groups);
        let config = TaskConfig {
            keys,
            workers: seat.workers as u16,
            me: seat.me as u16,
            limits: Limits::default(),
            state_dir,
            state_marks: job.marks(seat.seed, &changelog_ends),
        };
        let mut task = Task::new(&job.app, &config)?;
        let groups = 0..job.key_groups as i32;
        task.set_owners(
            &groups
                .map(|group| job.owner(group, seat.workers) as u16)
                .collect::<Vec<_>>(),
        );
        let of = |topic: usize| OutboxConfig {
            partitions: partitions[topic],
            // What is not Kafka's takes records as they are.
            compression: match &job.topics[topic].1 {
                Need::Output(to) if to.own().is_some() => Compression::NONE,
                _ => outbox.compression,
            },
            ..outbox
        };
        let refused = Arc::new(Refused::default());
        let graph = Arc::clone(job.app.graph());
        let guard = |operator: usize, holds: Guarded| {
            let letters = job.letters.iter().find(|(of, _)| *of == operator);
            let is_needed =
                holds == Guarded::Letters || graph.nodes()[operator].on_bad != OnBad::Fail;
            is_needed.then(|| {
                Arc::new(Guard {
                    operator: graph.id(operator),
                    letters: letters.map(|(_, topic)| (*topic, partitions[*topic])),
                    holds,
                    refused: Arc::clone(&refused),
                })
            })
        };
        let mut guards = Vec::new();
        for &(operator, topic) in &job.sinks {
            task.configure_sink(operator, of(topic));
            task.outbox(operator).begin_with(seat.me);
            guards.push(guard(operator, Guarded::Results));
        }
        for &(operator, topic) in &job.letters {
            if let Some(letters) = task.letters(operator) {
                *letters = Outbox::new(of(topic));
                letters.begin_with(seat.me);
            }
            guards.push(guard(operator, Guarded::Letters));
        }
        let by_topic = graph.sinks_by_topic();
        let by_topic: Vec<_> = by_topic
            .map(|sink| (sink, guard(sink, Guarded::ResultsByTopic)))
            .collect();
        for (sink, _) in &by_topic {
            if let Some(sink) = task.by_topic(*sink) {
                sink.configure(outbox, seat.me);
            }
        }
        let outboxes = || job.changelogs.iter().map(|c| Outbox::new(of(c.topic)));
        let (changelogs, deletions) = (outboxes().collect(), outboxes().collect());
        reached.resize(job.changelogs.len(), Reached::default());
        for (changelog, reached) in job.changelogs.iter().zip(&reached) {
            if let Some(at) = reached.watermark {
                // Before its entries, some of which may be past.
                task.restore_watermark(changelog.operator, at);
            }
        }
        Ok(Self {
            pace: Pace::new(task.graph().nodes().len()),
            deletions,
            task,
            seat,
            keys,
            by_topic,
            guards,
            refused,
            changelogs,
            fired: (0..job.levels()).map(|_| None).collect(),
            fire_next: FireNext::default(),
            marks: vec![Mark::START; job.app.graph().nodes().len()],
            marks_sent: vec![Mark::START; job.app.graph().nodes().len() * seat.workers],
            large: vec![None; job.changelogs.len()],
            record_bytes_max,
            is_compressed: outbox.compression != Compression::NONE,
            warnings: Vec::new(),
            reached,
            logged: vec![0; job.key_groups as usize],
            changelog_ends,
            identified: Vec::new(),
            may_keep,
            parcel_bytes: PARCEL_BYTES,
            spare: Vec::new(),
            key: Vec::new(),
            left_out: Counters::default(),
            looked: None,
            sizes: vec![StateSize::default(); job.changelogs.len()],
            writable: TimeRange::ALL,
            job,
        })
    }

    /// Number of levels of keyed operators.
    pub(crate) fn levels(&self) -> usize {
        self.job.levels()
    }

    /// As [`Job::held_back`].
    pub(crate) fn held_back(&self) -> Vec<usize> {
        self.job.held_back()
    }

    /// Handles the records of a batch of an input topic.
    pub(crate) fn records(
        &mut self,
        topic: usize,
        frame: Frame<'_>,
        from: At,
        records_max: u32,
    ) -> Result<Progress, Error> {
        let At {
            source: first,
            mut position,
        } = from;
        for (nth, &(source, _)) in self
            .job
            .sources
            .iter()
            .enumerate()
            .filter(|(_, (_, of))| *of == topic)
            .skip(first)
        {
            let input = Input::Frame { source, frame };
            let called = self
                .pace
                .call(&mut self.task, input, position, records_max)?;
            if let Some(position) = called {
                let passed = self.job.sources[..nth]
                    .iter()
                    .filter(|(_, of)| *of == topic)
                    .count();
                return Ok(Progress::More(At {
                    source: passed,
                    position,
                }));
            }
            position = Position::START;
        }
        Ok(Progress::Done)
    }

    /// The offset of the record at which a batch goes on; `None` where no offset says it: within what a record has become, or where one
    /// source of the topic has had more of the batch than another.
    pub(crate) fn offset_at(&self, topic: usize, frame: Frame<'_>, at: At) -> Option<i64> {
        let sources = self.job.sources.iter().filter(|(_, of)| *of == topic);
        let place = at.position.between_records()?;
        let next = frame.walk_from(place).next()?.ok()?;
        (sources.count() == 1).then_some(next.offset.max(frame.position()))
    }

    /// Handles rows of a keyed operator, and then takes what their sender says of time.
    pub(crate) fn rows(
        &mut self,
        sender: usize,
        parcel: &Parcel,
        from: At,
    ) -> Result<Progress, Error> {
        let operator = parcel.operator;
        if !parcel.rows.is_empty() {
            let input = Input::Rows {
                operator,
                port: Port::Sent,
                rows: &parcel.rows,
            };
            let called = self
                .pace
                .call(&mut self.task, input, from.position, u32::MAX)?;
            if let Some(position) = called {
                return Ok(Progress::More(At {
                    source: 0,
                    position,
                }));
            }
        }
        self.task.mark_from(operator, sender, parcel.mark);
        Ok(Progress::Done)
    }

    /// Gives out, at one level, what time has made due: one bounded piece. `false`: nothing was due.
    pub(crate) fn fire_due(&mut self, level: usize) -> Result<bool, Error> {
        if self.go_on_firing(level)? {
            return Ok(true);
        }
        let tracks_time = self.task.tracks_time();
        for at in 0..self.job.cuts.len() {
            let cut = self.job.cuts[at];
            if cut.level != level || !tracks_time && !cut.waits_for_answers {
                continue;
            }
            let operator = cut.operator;
            let mut rows = self.spare.pop().unwrap_or_default();
            if let Some(port) = self.task.due(operator, &mut rows, FIRE_BYTES) {
                self.fire_rows(level, operator, port, rows);
                return Ok(true);
            }
            self.spare.push(rows);
        }
        Ok(false)
    }

    /// Goes on with rows that were fired and not taken yet; true when there were some.
    fn go_on_firing(&mut self, level: usize) -> Result<bool, Error> {
        let Some(mut fired) = self.fired[level].take() else {
            return Ok(false);
        };
        let input = Input::Rows {
            operator: fired.operator,
            port: fired.port,
            rows: &fired.rows,
        };
        let called = self
            .pace
            .call(&mut self.task, input, fired.from, u32::MAX)?;
        if let Some(from) = called {
            self.fired[level] = Some(Fired { from, ..fired });
        } else {
            fired.rows.clear();
            self.spare.push(fired.rows);
        }
        Ok(true)
    }

    /// Ends an epoch at `level`: gives out what time has made due, then what commits give out, and writes what has changed into the
    /// changelogs.
    pub(crate) fn fire(&mut self, level: usize) -> Result<Fire, Error> {
        if self.fire_due(level)? {
            return Ok(Fire::More);
        }
        while let Some(&cut) = self.job.cuts.get(self.fire_next.cut) {
            if cut.level == level {
                let fire = match cut.changelog {
                    Some(changelog) => self.fire_keyed(cut, changelog)?,
                    None if self.task.under_way(cut.operator) > 0 => Fire::Waits,
                    None => Fire::Done,
                };
                if fire != Fire::Done {
                    return Ok(fire);
                }
                self.task.committed(cut.operator);
            }
            self.fire_next = FireNext {
                cut: self.fire_next.cut + 1,
                ..FireNext::default()
            };
        }
        self.fire_next = FireNext::default();
        Ok(Fire::Done)
    }

    /// As [`Work::fire`], for one keyed operator.
    fn fire_keyed(&mut self, cut: Cut, changelog: usize) -> Result<Fire, Error> {
        let Cut {
            operator, level, ..
        } = cut;
        let mut rows = self.spare.pop().unwrap_or_default();
        let deletes_later = self.job.changelogs[changelog].forgets_by_time;
        if deletes_later && !self.fire_next.is_begun {
            // The changelog is held back, so what was drained before is sent.
            debug_assert!(self.changelogs[changelog].is_empty());
            std::mem::swap(
                &mut self.changelogs[changelog],
                &mut self.deletions[changelog],
            );
            self.fire_next.is_begun = true;
        }
        if cut.waits_for_time && !self.fire_next.is_updated {
            if let Some(port) = self.task.updates(operator, &mut rows, FIRE_BYTES) {
                self.fire_rows(level, operator, port, rows);
                return Ok(Fire::More);
            }
            self.fire_next.is_updated = true;
        }
        while rows.is_empty() && self.fire_next.group < self.job.key_groups {
            let group = self.fire_next.group;
            let mine = self.job.owner(group as i32, self.seat.workers) == self.seat.me;
            if !mine
                || !self
                    .task
                    .drain_changed(operator, group, &mut rows, FIRE_BYTES)
            {
                self.fire_next.group += 1;
            }
        }
        self.task.check_state()?;
        if !rows.is_empty() {
            self.log(changelog, &rows, false)?;
            if cut.emits_changes {
                self.fire_rows(level, operator, Port::Fired, rows);
            } else {
                rows.clear();
                self.spare.push(rows);
            }
            return Ok(Fire::More);
        }
        self.task.drain_removed(operator, &mut rows, FIRE_BYTES);
        let is_done = rows.is_empty();
        if !is_done {
            self.log(changelog, &rows, true)?;
            rows.clear();
        }
        self.spare.push(rows);
        if !is_done {
            return Ok(Fire::More);
        }
        if cut.waits_for_time {
            // At the end of time the watermark stays what it was: the next run goes on there.
            let watermark = self.task.acted_upon(operator);
            let reached = &mut self.reached[changelog];
            reached.watermark = reached.watermark.max(watermark);
            // That all is past is to be known as long as some of it stands in the changelog.
            reached.is_at_end =
                self.task.is_at_end(operator) && !self.deletions[changelog].is_empty();
        }
        Ok(Fire::Done)
    }

    fn fire_rows(&mut self, level: usize, operator: usize, port: Port, rows: Rows) {
        self.fired[level] = Some(Fired {
            operator,
            port,
            rows,
            from: Position::START,
        });
    }

    /// By changelog: how far time had come at the last barrier.
    pub(crate) fn reached(&self) -> &[Reached] {
        &self.reached
    }

    /// Whether the state that a changelog topic holds was kept by a former life.
    pub(crate) fn is_kept(&self, topic: usize) -> bool {
        let changelog = self.job.changelogs.iter().find(|c| c.topic == topic);
        changelog.is_some_and(|c| self.task.is_state_kept(c.operator))
    }

    /// The last epoch is durable: state on disk is that of the changelogs' ends, and is kept for the next life that finds them so.
    pub(crate) fn keep_state(&mut self) {
        if self.may_keep {
            for (operator, mark) in self.job.marks(self.seat.seed, &self.changelog_ends) {
                self.task.keep_state(operator, &mark);
            }
        }
    }

    /// Says how many bytes may be added to an inbox at once: rows for a slow worker leave in smaller parcels.
    pub(crate) fn set_share(&mut self, bytes: usize) {
        self.parcel_bytes = bytes.min(PARCEL_BYTES);
    }

    /// Hands out rows for workers, with what this worker says of time behind them: those worth sending, or with `all` every one, and
    /// what is new of time. `take` is given the worker, the level, the operator, the mark and the rows, and leaves an empty batch.
    pub(crate) fn take_rows(
        &mut self,
        all: bool,
        mut take: impl FnMut(usize, usize, usize, Mark, &mut Rows),
    ) {
        let (job, marks, marks_sent) = (&self.job, &mut self.marks, &mut self.marks_sent);
        if self.task.tracks_time() {
            for cut in &job.cuts {
                marks[cut.operator] = self.task.mark_to(cut.operator);
            }
        }
        let (workers, parcel_bytes) = (self.seat.workers, self.parcel_bytes);
        if all {
            self.task.send_partials();
        }
        self.task.outgoing(|operator, worker, rows| {
            if (all || rows.size_bytes() >= parcel_bytes)
                && let Some(level) = job.level_of[operator]
            {
                let mark = marks[operator];
                marks_sent[operator * workers + usize::from(worker)] = mark;
                take(usize::from(worker), level, operator, mark, rows);
            }
        });
        if !all || !self.task.tracks_time() {
            return;
        }
        for cut in &job.cuts {
            let (operator, level) = (cut.operator, cut.level);
            for worker in 0..workers {
                let sent = &mut marks_sent[operator * workers + worker];
                if *sent != marks[operator] {
                    *sent = marks[operator];
                    take(worker, level, operator, *sent, &mut Rows::new());
                }
            }
        }
    }

    /// Looks after what is awaited: true when there are answers to give out.
    pub(crate) fn poll_answers(&mut self, cx: &mut std::task::Context<'_>) -> bool {
        self.task.poll_answers(cx)
    }

    /// Whether every operator of a level can take rows in.
    pub(crate) fn has_room(&self, level: usize) -> bool {
        let mut cuts = self.job.cuts.iter().filter(|cut| cut.level == level);
        cuts.all(|cut| !cut.waits_for_answers || self.task.has_room(cut.operator))
    }

    /// Looks whether rows still come of the keyed operators before a `with_timestamps`. Time counts while work `goes_on` alone, and never
    /// much of it at once: what stands still is not quiet. Tells after how long to look again.
    pub(crate) fn look_for_quiet(
        &mut self,
        idle_after: Duration,
        goes_on: bool,
    ) -> Option<Duration> {
        if !self.task.watches_quiet() {
            self.looked = None;
            return None;
        }
        let (now, step) = (
            Instant::now(),
            (idle_after / QUIET_LOOKS).max(Duration::from_millis(1)),
        );
        let before = self.looked.replace(now).unwrap_or(now);
        if goes_on {
            let after_ms = millis(idle_after);
            self.task.look_for_quiet(Quiet {
                passed_ms: millis((now - before).min(step)),
                after_ms,
                first_after_ms: after_ms,
            });
        }
        Some(step)
    }

    /// Calls `f` with what a person should know, each once: about which operator, and the text.
    pub(crate) fn take_warnings(&mut self, f: impl FnMut(usize, String)) {
        self.task.take_warnings(f);
    }

    /// Where the batches of an input topic go untouched, if that is all that the plan does with them.
    pub(crate) fn relay_of(&self, topic: usize) -> Option<usize> {
        self.job
            .relays
            .iter()
            .find(|(from, _)| *from == topic)
            .map(|(_, to)| *to)
    }

    /// The keyed operators that wait for time, and the watermark that each has acted upon.
    pub(crate) fn acted_upon(&self) -> impl Iterator<Item = (usize, i64)> {
        let changelogs = self.job.changelogs.iter().enumerate();
        changelogs
            .filter_map(|(at, changelog)| Some((at, self.task.acted_upon(changelog.operator)?)))
    }

    /// Calls `f` with each keyed operator whose state has changed its size since the last call, and by how many keys and bytes.
    pub(crate) fn each_size_change(&mut self, mut f: impl FnMut(usize, i64, i64)) {
        for (at, (changelog, before)) in self.job.changelogs.iter().zip(&mut self.sizes).enumerate()
        {
            let now = self.task.state_size(changelog.operator);
            let before = std::mem::replace(before, now);
            if before != now {
                let by = |now: usize, before: usize| now as i64 - before as i64;
                f(at, by(now.keys, before.keys), by(now.bytes, before.bytes));
            }
        }
    }
}
