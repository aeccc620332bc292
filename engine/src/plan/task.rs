//! A task: one worker's instance of a plan, with its state, its outgoing rows and the batches that it fills.
//!
//! It does nothing by itself. Whoever runs it hands in batches and rows, and after each call takes what came out.

use std::{cell::RefCell, fmt, path::PathBuf, sync::Arc};

use bumpalo::Bump;

use super::{App, Plan, times::Times};
use crate::{
    batch::{InputPartition, Outbox, OutboxConfig, Rows, by_topic::ByTopic, letter::Letter},
    flow::{
        Call, Counters, Error, Graph, Input, Kind, Limits, Mode, OnBad, Onces, Placement, Port,
        Position, Progress, Scope, Slot, TimeRange,
    },
    state::{KeyGroups, KeyedState, RestoreError, Store},
    time::{Mark, Now, PartOf, Quiet, is_time},
};

/// Rows that `share` keeps at most in one call; fewer where they fan out.
const SHARE_ROWS_MAX: usize = 4096;

/// Where a task stands among the workers, and how far its calls go.
#[derive(Clone, Debug)]
pub struct TaskConfig {
    /// The application's hash and its number of key groups.
    pub keys: KeyGroups,
    /// Number of workers.
    pub workers: u16,
    /// This one, counted from 0.
    pub me: u16,
    /// How far one call goes.
    pub limits: Limits,
    /// Where this worker may keep state on disk, alone; `None`: in a folder of its own among the system's temporary files.
    pub state_dir: Option<PathBuf>,
    /// By operator: a mark of what its state must be. State on disk that [`Task::keep_state`] has left with the same mark is taken up;
    /// other is emptied.
    pub state_marks: Vec<(usize, Vec<u8>)>,
}

impl TaskConfig {
    /// The only worker, with 16 key groups.
    #[must_use]
    pub fn single(seed: u64) -> Self {
        Self {
            keys: KeyGroups::new(seed, 16),
            workers: 1,
            me: 0,
            limits: Limits::default(),
            state_dir: None,
            state_marks: Vec::new(),
        }
    }
}

/// Size of one operator's state in one task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateSize {
    /// Number of keys.
    pub keys: usize,
    /// Bytes of memory, without what values own elsewhere.
    pub bytes: usize,
}

/// One worker's instance of a plan.
pub struct Task {
    plan: Plan,
    graph: Arc<Graph>,
    slots: Vec<RefCell<Slot>>,
    onces: Onces,
    bump: Bump,
    placement: Placement,
    limits: Limits,
    share_rows: usize,
    times: Times,
    now: Now,
    /// As [`Now::elapsed_ms`], for what is awaited: it goes on where `now` stands still.
    elapsed_ms: i64,
    writable: TimeRange,
    /// Some state is not in memory alone.
    has_stores: bool,
}

impl Task {
    /// An instance with empty state. Key groups are spread over the workers in equal runs; see [`Task::set_owners`].
    ///
    /// # Errors
    /// When the plan builds other operators than when it was learned.
    pub fn new(app: &App, config: &TaskConfig) -> Result<Self, Error> {
        let groups = config.keys.count();
        let workers = config.workers.max(1);
        let owner = |group: u32| (u64::from(group) * u64::from(workers) / u64::from(groups)) as u16;
        let placement = Placement {
            keys: config.keys,
            state_dir: config.state_dir.clone(),
            state_marks: config.state_marks.clone(),
            owners: (0..groups).map(owner).collect(),
            me: config.me,
            workers,
        };
        let graph = Arc::clone(app.graph());
        let slots = graph.nodes().iter().enumerate().map(|(i, node)| {
            let mut slot = Slot {
                clock: Times::clock(&graph, i),
                is_timed_for: matches!(node.kind, Kind::Source | Kind::Process)
                    .then(|| graph.is_timed_for(i))
                    .flatten(),
                ..Slot::default()
            };
            if node.kind.is_cut() {
                slot.rows.resize_with(usize::from(workers), Rows::new);
            }
            if node.kind == Kind::Sink && node.topic.is_none() {
                slot.by_topic = Some(ByTopic::default());
            } else if node.kind == Kind::Sink {
                slot.outbox = Some(Outbox::new(OutboxConfig::default()));
            }
            if node.dead_letters.is_some() {
                slot.letters = Some(Outbox::new(OutboxConfig::default()));
            }
            RefCell::new(slot)
        });
        let mut task = Self {
            plan: Arc::clone(app.plan()),
            slots: slots.collect(),
            times: Times::new(&graph, workers),
            now: Now::default(),
            elapsed_ms: 0,
            writable: TimeRange::ALL,
            has_stores: graph.nodes().iter().any(|n| n.store != Store::Memory),
            graph,
            onces: Onces::default(),
            bump: Bump::new(),
            placement,
            limits: config.limits,
            share_rows: 16,
        };
        // The first call has no data: each operator makes its state, so that it can be restored.
        task.call(Input::Tick, Position::START)?;
        Ok(task)
    }

    /// What was learned of the plan.
    #[must_use]
    pub fn graph(&self) -> &Arc<Graph> {
        &self.graph
    }

    /// The owner of each key group.
    #[must_use]
    pub fn owners(&self) -> &[u16] {
        &self.placement.owners
    }

    /// Says which worker owns each key group. State does not move by this: see [`Task::each_entry`], [`Task::restore`] and
    /// [`Task::drop_group`].
    ///
    /// # Panics
    /// When there are not as many owners as groups, or one is no worker.
    pub fn set_owners(&mut self, owners: &[u16]) {
        assert_eq!(
            owners.len(),
            self.placement.owners.len(),
            "one owner for each key group"
        );
        assert!(
            owners.iter().all(|o| *o < self.placement.workers),
            "each owner is a worker"
        );
        self.placement.owners.copy_from_slice(owners);
    }

    /// Calls the plan with `input`, from a place in it on. `None`: the input is done. A place: an output is full, or the call was long
    /// enough; take the outputs and call again with the same input from there. Rows for operators further down (those with a greater
    /// index) may be handed in before; other input for the same operator may not.
    ///
    /// # Errors
    /// The job cannot go on; this task must not be used again.
    pub fn call(&mut self, input: Input<'_>, from: Position) -> Result<Option<Position>, Error> {
        self.bump.reset();
        let tracks_time = self.times.is_needed();
        if tracks_time && let (Input::Frame { .. }, Some(of)) = (input, input.part()) {
            Times::wake(&mut self.slots, of);
        }
        let call = Call {
            mode: Mode::Run(&self.graph),
            slots: &self.slots,
            onces: &self.onces,
            bump: &self.bump,
            placement: &self.placement,
            input,
            from,
            limits: self.limits,
            now_ms: self.now.wall_ms,
            elapsed_ms: self.elapsed_ms,
            writable: self.writable,
            share_rows: self.share_rows,
            cursor: std::cell::Cell::default(),
            progress: Progress::new(from),
        };
        (self.plan)(Scope::new(&call));
        let built = call.progress.operators.get();
        if built != self.graph.nodes().len() && !call.progress.has_failed.get() {
            Scope::new(&call).changed(&self.graph, built, "the end of the plan".to_owned());
        }
        if let Some(error) = call.progress.error.borrow_mut().take() {
            return Err(error);
        }
        self.share_rows = if call.progress.full.get() {
            (self.share_rows / 8).max(1)
        } else {
            (self.share_rows * 2).min(SHARE_ROWS_MAX)
        };
        let stop = call.progress.stop.get();
        if tracks_time {
            if let (Input::Frame { frame, .. }, Some(of)) = (input, input.part()) {
                match stop {
                    None => self.saw(of, frame),
                    // Its rows must not become late because the rest of it waits.
                    Some(_) if is_time(frame.batch().max_timestamp()) => {
                        Times::came(&mut self.slots, of, true);
                    }
                    Some(_) => {}
                }
            }
            self.times.flow(&self.graph, &mut self.slots);
        }
        self.check_state()?;
        Ok(stop)
    }

    /// A fetched batch is done: its greatest timestamp is that of its partition, where the plan says nothing else.
    fn saw(&mut self, of: PartOf, frame: crate::batch::Frame<'_>) {
        let source = of.operator();
        let slot = self.slots[source].get_mut();
        let is_timed = slot.is_timed_for.is_some();
        let greatest = frame.greatest_time();
        if let Some(greatest) = greatest
            && is_timed
        {
            slot.units.look(greatest, || self.graph.describe(source));
        }
        // Where nobody needs the times of records, such as have none are not waited for either.
        let greatest = greatest.or_else(|| (!is_timed).then_some(frame.batch().max_timestamp()));
        match greatest {
            Some(greatest) => Times::saw(&mut self.slots, of, greatest),
            None => Times::came(&mut self.slots, of, false),
        }
    }

    /// Whether state outside of memory could be read and written so far.
    ///
    /// # Errors
    /// [`Error::Store`]; this task must not be used again.
    pub fn check_state(&mut self) -> Result<(), Error> {
        if !self.has_stores {
            return Ok(());
        }
        for (operator, slot) in self.slots.iter_mut().enumerate() {
            let state = &mut slot.get_mut().state;
            if let Some(source) = state.as_mut().and_then(|s| s.take_error()) {
                let operator = self.graph.describe(operator);
                return Err(Error::Store { operator, source });
            }
        }
        Ok(())
    }

    /// Says what time it is, in milliseconds since 1970: the wall clock that plans see.
    pub fn set_now(&mut self, now_ms: i64) {
        let (wall_ms, elapsed_ms) = (now_ms, now_ms);
        self.set_clocks(Now {
            wall_ms,
            elapsed_ms,
        });
        self.set_elapsed(elapsed_ms);
    }

    /// Says what the clocks say to all but what is awaited.
    pub(crate) fn set_clocks(&mut self, now: Now) {
        self.now = now;
    }

    /// Says how much time has passed to what is awaited.
    pub(crate) fn set_elapsed(&mut self, elapsed_ms: i64) {
        self.elapsed_ms = elapsed_ms;
    }

    /// Whether a timer that a timer has set is due, in the next round.
    pub(crate) fn holds_time(&mut self, operator: usize) -> bool {
        let slot = self.slots[operator].get_mut();
        let watermark = slot.watermark.unwrap_or(i64::MIN);
        slot.state.as_ref().is_some_and(|s| s.holds_time(watermark))
    }

    /// Another round begins: timers that timers have set may be due. True when there are any.
    pub(crate) fn begin_round(&mut self) -> bool {
        let states = self
            .slots
            .iter_mut()
            .filter_map(|s| s.get_mut().state.as_mut());
        states.fold(false, |is_any, state| state.begin_round() | is_any)
    }

    /// Says how many records (or rows) of its input the next calls take.
    pub(crate) fn limit_records(&mut self, records: u32) {
        self.limits.records = records;
    }

    /// Looks whether rows still come of the keyed operators before a `with_timestamps`, where there are some: those that have none do not
    /// hold others back. True when there are new ones.
    pub(crate) fn look_for_quiet(&mut self, quiet: Quiet) -> bool {
        self.times
            .look_for_quiet(&self.graph, &mut self.slots, quiet)
    }

    /// Whether [`Self::look_for_quiet`] may find something.
    pub(crate) fn watches_quiet(&self) -> bool {
        self.times.watches_quiet(&self.slots)
    }

    /// Calls `f` with what a person should know, each once: the operator, and the text.
    pub(crate) fn take_warnings(&mut self, mut f: impl FnMut(usize, String)) {
        for (operator, slot) in self.slots.iter_mut().enumerate() {
            if let Some(text) = slot.get_mut().units.take() {
                f(operator, text);
            }
        }
    }

    /// Says which times its sinks may write into topics.
    pub(crate) fn set_writable(&mut self, writable: TimeRange) {
        self.writable = writable;
    }

    /// This worker reads a partition from now on: its watermark is low until something is known.
    pub fn assign(&mut self, source: usize, partition: InputPartition) {
        let of = PartOf::Input { source, partition };
        self.times.assign(&self.graph, &mut self.slots, of);
    }

    /// There is nothing to read in a partition at present: others need not wait for it. The next batch from it ends this.
    pub fn idle(&mut self, source: usize, partition: InputPartition) {
        let of = PartOf::Input { source, partition };
        self.times
            .set(&self.graph, &mut self.slots, of, true, false);
    }

    /// A partition is at its end.
    pub fn end(&mut self, source: usize, partition: InputPartition) {
        let of = PartOf::Input { source, partition };
        self.times
            .set(&self.graph, &mut self.slots, of, false, true);
    }

    /// All sources are at their ends: nothing more comes, so that every window closes.
    pub fn end_all(&mut self) {
        self.times.end(&self.graph, &mut self.slots);
    }

    /// Whether anything in the plan waits for time.
    #[must_use]
    pub fn tracks_time(&self) -> bool {
        self.times.is_needed()
    }

    /// The watermark at an operator: of a keyed one, the watermark of the rows that come to it; of another, of those behind it.
    #[must_use]
    pub fn watermark(&self, operator: usize) -> i64 {
        if self.graph.nodes()[operator].kind.is_cut() {
            self.times.before(operator).at
        } else {
            self.times.behind(operator).at
        }
    }

    /// What an operator's own clock knows of one partition of a source.
    pub(crate) fn partition_mark(
        &self,
        operator: usize,
        source: usize,
        partition: InputPartition,
    ) -> Mark {
        let of = PartOf::Input { source, partition };
        let known = self.slots[operator].borrow().clock.mark_of(of);
        known.unwrap_or(Mark::START)
    }

    /// What this worker says of the rows that it sends to a keyed operator: goes with them. Partial values that it would make late go
    /// to those rows now: take them when it has been asked for, not before.
    pub(crate) fn mark_to(&mut self, operator: usize) -> Mark {
        let mark = self.times.mark_to(&self.graph, operator);
        let Slot {
            partials,
            rows,
            counters,
            ..
        } = self.slots[operator].get_mut();
        if partials.before(mark, &self.placement, rows) {
            counters.fold(partials.take_saved());
        }
        mark
    }

    /// What worker `from` said of rows, all of which were handled here.
    pub(crate) fn mark_from(&mut self, operator: usize, from: usize, mark: Mark) {
        self.times.mark_from(operator, from, mark);
        let before = self.times.before(operator);
        if let Some(answers) = &mut self.slot(operator).answers {
            answers.note(before);
        }
    }

    /// Moves what time asks of a keyed operator now to `rows`, at most about `limit` bytes: call the plan with it at this entrance, and
    /// then ask again. `None`: there is nothing more, and time behind the operator has moved on.
    pub(crate) fn due(&mut self, operator: usize, rows: &mut Rows, limit: usize) -> Option<Port> {
        let before = self.times.before(operator);
        let now = self.now;
        let slot = self.slots[operator].get_mut();
        if let Some(port) = slot.take_results(rows) {
            return Some(port);
        }
        if slot.answers.is_some() {
            return self.due_answers(operator, rows, limit);
        }
        slot.watermark = slot.watermark.max(Some(before.at));
        if let (Some(state), Some(watermark)) = (&mut slot.state, slot.watermark) {
            let now_ms = match state.measures_durations() {
                true => now.elapsed_ms,
                false => now.wall_ms,
            };
            state.due(watermark, now_ms, rows, limit);
            if !rows.is_empty() {
                return Some(Port::Due);
            }
            if state.holds_time(watermark) {
                return None;
            }
        }
        self.times
            .passed(&self.graph, &mut self.slots, operator, false);
        None
    }

    /// Answers whose turn has come; a mark goes on when everything before it is out.
    fn due_answers(&mut self, operator: usize, rows: &mut Rows, limit: usize) -> Option<Port> {
        while let Some(answers) = &mut self.slots[operator].get_mut().answers {
            answers.take(rows, limit);
            if !rows.is_empty() {
                return Some(Port::Fired);
            }
            let mark = answers.pass()?;
            self.times
                .pass_to(&self.graph, &mut self.slots, operator, mark);
        }
        None
    }

    /// Looks after what is awaited: true when there are answers to give out.
    pub(crate) fn poll_answers(&mut self, cx: &mut std::task::Context<'_>) -> bool {
        let elapsed_ms = self.elapsed_ms;
        let mut is_any = false;
        for slot in &mut self.slots {
            if let Some(answers) = &mut slot.get_mut().answers {
                is_any |= answers.poll(cx, elapsed_ms);
            }
        }
        is_any
    }

    /// Rows before an operator that have asked and are not given out.
    pub(crate) fn under_way(&self, operator: usize) -> usize {
        let slot = self.slots[operator].borrow();
        slot.answers.as_ref().map_or(0, |a| a.under_way())
    }

    /// Whether an operator can take a row in: one that waits for answers may wait for as many as it can.
    pub(crate) fn has_room(&self, operator: usize) -> bool {
        let slot = self.slots[operator].borrow();
        slot.answers.as_ref().is_none_or(|a| a.has_room())
    }

    /// When the clocks of [`Self::set_clocks`] next make something due: the wall clock, and the one that nobody sets.
    pub(crate) fn next_due(&self) -> (Option<i64>, Option<i64>) {
        let (mut wall, mut elapsed) = (None, None);
        for slot in &self.slots {
            let slot = slot.borrow();
            let Some(state) = slot.state.as_ref() else {
                continue;
            };
            let Some(at) = state.next_due_ms() else {
                continue;
            };
            let next: &mut Option<i64> = match state.measures_durations() {
                true => &mut elapsed,
                false => &mut wall,
            };
            *next = Some(next.map_or(at, |next| next.min(at)));
        }
        (wall, elapsed)
    }

    /// When something that is awaited is next to be looked at, by the clock of [`Self::set_elapsed`].
    pub(crate) fn next_answer_due_ms(&self) -> Option<i64> {
        let of = |slot: &RefCell<Slot>| slot.borrow().answers.as_ref()?.next_due_ms();
        self.slots.iter().filter_map(of).min()
    }

    /// Moves results that a commit gives out, beside those that time has given out, to `rows`: call the plan with them at this entrance, and
    /// then ask again. `None`: there are no more.
    pub(crate) fn updates(
        &mut self,
        operator: usize,
        rows: &mut Rows,
        limit: usize,
    ) -> Option<Port> {
        let slot = self.slots[operator].get_mut();
        if let Some(port) = slot.take_results(rows) {
            return Some(port);
        }
        slot.state.as_mut()?.updates(rows, limit);
        (!rows.is_empty()).then_some(Port::Due)
    }

    /// Moves keys whose state is gone to `rows`, until it holds `limit` bytes: the changelog's deletions. True when more are left.
    pub fn drain_removed(&mut self, operator: usize, rows: &mut Rows, limit: usize) -> bool {
        let state = self.slot(operator).state.as_mut();
        state.is_some_and(|s| s.drain_removed(rows, limit))
    }

    /// A commit has given out all that the operator had.
    pub(crate) fn committed(&mut self, operator: usize) {
        if self.times.is_needed() && !self.holds_time(operator) {
            self.times
                .passed(&self.graph, &mut self.slots, operator, true);
        }
    }

    /// The watermark that an operator has acted upon, to be kept with its state; `None` while there is none, and at the end of time.
    pub(crate) fn acted_upon(&self, operator: usize) -> Option<i64> {
        let watermark = self.slots[operator].borrow().watermark;
        watermark.filter(|at| *at != i64::MIN && *at != i64::MAX)
    }

    /// Whether an operator has acted upon the end of time.
    pub(crate) fn is_at_end(&self, operator: usize) -> bool {
        self.slots[operator].borrow().watermark == Some(i64::MAX)
    }

    /// Takes back what [`Task::acted_upon`] has given: rows behind it are late, as before.
    pub(crate) fn restore_watermark(&mut self, operator: usize, at: i64) {
        let slot = self.slot(operator);
        slot.watermark = slot.watermark.max(Some(at));
        if let Some(state) = &mut slot.state {
            state.restore_watermark(at);
        }
    }

    fn slot(&mut self, operator: usize) -> &mut Slot {
        self.slots[operator].get_mut()
    }

    /// Moves partial values for other workers to the rows that wait for them; true when there were some. Without it they stay until they
    /// are too many: call it when there is nothing else to do, and before an epoch ends.
    pub fn send_partials(&mut self) -> bool {
        let mut is_any = false;
        for slot in &mut self.slots {
            let Slot {
                partials,
                rows,
                counters,
                ..
            } = slot.get_mut();
            if partials.send(&self.placement, rows) {
                counters.fold(partials.take_saved());
                is_any = true;
            }
        }
        is_any
    }

    /// Calls `f` with each operator and worker that rows wait for, and the rows. `f` takes them (by swapping in an empty batch) or
    /// leaves them for more to come.
    pub fn outgoing(&mut self, mut f: impl FnMut(usize, u16, &mut Rows)) {
        for (operator, slot) in self.slots.iter_mut().enumerate() {
            for (worker, rows) in (0..).zip(&mut slot.get_mut().rows) {
                if !rows.is_empty() {
                    f(operator, worker, rows);
                }
            }
        }
    }

    /// The batches that a sink fills.
    ///
    /// # Panics
    /// When the operator is no sink of this plan.
    pub fn outbox(&mut self, sink: usize) -> &mut Outbox {
        let outbox = self.slot(sink).outbox.as_mut();
        outbox.expect("only sinks have an outbox")
    }

    /// The batches of an operator's dead letters; `None` where it has no topic for them.
    pub fn letters(&mut self, operator: usize) -> Option<&mut Outbox> {
        self.slot(operator).letters.as_mut()
    }

    /// The batches of a sink whose records name their topics; `None` for every other operator.
    pub(crate) fn by_topic(&mut self, sink: usize) -> Option<&mut ByTopic> {
        self.slot(sink).by_topic.as_mut()
    }

    /// A topic that rows of a sink have named is open. Rows that have no place in it are for the sink's policy.
    pub(crate) fn topic_opened(
        &mut self,
        sink: usize,
        name: &str,
        index: usize,
        partitions: i32,
    ) -> Result<(), Error> {
        let (operator, on_bad) = (self.graph.describe(sink), self.graph.nodes()[sink].on_bad);
        let Slot {
            by_topic,
            letters,
            counters,
            ..
        } = self.slots[sink].get_mut();
        let Some(of) = by_topic else { return Ok(()) };
        let opened = of.opened(name, index, partitions, |record, error| {
            if on_bad == OnBad::Fail || !error.is_about_the_record() {
                return Err(error);
            }
            counters.bad += 1;
            let letter = Letter::of_result(record, &operator, name, &error.to_string());
            letters.as_mut().map_or(Ok(()), |to| letter.write(to))
        });
        opened.map_err(|source| {
            let topic = name.to_owned();
            Error::Sink { topic, source }
        })
    }

    /// A topic that rows of a sink have named cannot be opened: they are for the sink's policy, and those that name it later too. False:
    /// the policy is to fail.
    pub(crate) fn topic_refused(
        &mut self,
        sink: usize,
        name: &str,
        reason: &str,
    ) -> Result<bool, Error> {
        if self.graph.nodes()[sink].on_bad == OnBad::Fail {
            return Ok(false);
        }
        let operator = self.graph.describe(sink);
        let Slot {
            by_topic,
            letters,
            counters,
            ..
        } = self.slots[sink].get_mut();
        let Some(of) = by_topic else { return Ok(false) };
        let refused = of.refused(name, |record| {
            counters.bad += 1;
            let letter = Letter::of_result(record, &operator, name, reason);
            letters.as_mut().map_or(Ok(()), |to| letter.write(to))
        });
        refused.map_err(|source| {
            let topic = name.to_owned();
            Error::Sink { topic, source }
        })?;
        Ok(true)
    }

    /// Says how a sink's batches are built; what it holds is dropped.
    ///
    /// # Panics
    /// When the operator is no sink of this plan.
    pub fn configure_sink(&mut self, sink: usize, config: OutboxConfig) {
        *self.outbox(sink) = Outbox::new(config);
    }

    /// Moves changed keys of an operator and key group to `rows`, their values encoded, each once, until `rows` holds `limit` bytes.
    /// True when more are left. The rows are the changelog's entries; and unless the operator emits every update, they are also what it
    /// gives out: hand them to [`Task::call`] as [`Port::Fired`](crate::flow::Port::Fired).
    pub fn drain_changed(
        &mut self,
        operator: usize,
        group: u32,
        rows: &mut Rows,
        limit: usize,
    ) -> bool {
        let state = self.slot(operator).state.as_mut();
        state.is_some_and(|s| s.drain_changed(group, rows, limit))
    }

    /// Number of keys changed since they were drained, in all operators.
    #[must_use]
    pub fn changed_keys(&self) -> usize {
        let of = |slot: &RefCell<Slot>| slot.borrow().state.as_ref().map_or(0, |s| s.changed());
        self.slots.iter().map(of).sum()
    }

    /// Takes an entry of the changelog: sets the value of a key, or removes the key.
    ///
    /// # Errors
    /// When this application cannot have written the entry.
    pub fn restore(
        &mut self,
        operator: usize,
        group: u32,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), RestoreError> {
        match &mut self.slot(operator).state {
            Some(state) => state.restore(group, key, value),
            None => Ok(()),
        }
    }

    /// At an orderly end, when all that has changed is drained: keeps the state that an operator has on disk for the next task with the same
    /// folder and this mark. False when there is none, or it cannot be kept: it is removed then, as ever.
    ///
    /// The operator must not be called any more.
    pub fn keep_state(&mut self, operator: usize, mark: &[u8]) -> bool {
        let state = self.slot(operator).state.as_mut();
        state.is_some_and(|state| state.keep(mark))
    }

    /// Whether the state of an operator was taken up, so that nothing of it is to be restored.
    #[must_use]
    pub fn is_state_kept(&self, operator: usize) -> bool {
        let slot = self.slots[operator].borrow();
        slot.state.as_ref().is_some_and(|state| state.is_kept())
    }

    /// Drops what an operator holds of a key group: it belongs to another worker now.
    pub fn drop_group(&mut self, operator: usize, group: u32) {
        if let Some(state) = &mut self.slot(operator).state {
            state.drop_group(group);
        }
    }

    /// Calls `f` with each key of an operator and key group, and its encoded value.
    pub fn each_entry(&self, operator: usize, group: u32, mut f: impl FnMut(&[u8], &[u8])) {
        if let Some(state) = &self.slots[operator].borrow().state {
            state.each_encoded(group, &mut f);
        }
    }

    /// What an operator has done so far.
    #[must_use]
    pub fn counters(&self, operator: usize) -> Counters {
        self.slots[operator].borrow().counters
    }

    /// How much state an operator holds.
    #[must_use]
    pub fn state_size(&self, operator: usize) -> StateSize {
        let slot = self.slots[operator].borrow();
        let of = |s: &dyn KeyedState| StateSize {
            keys: s.len(),
            bytes: s.memory_bytes(),
        };
        slot.state.as_deref().map_or_else(StateSize::default, of)
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("graph", &self.graph)
            .field("placement", &self.placement)
            .finish_non_exhaustive()
    }
}
