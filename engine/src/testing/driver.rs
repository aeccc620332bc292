//! The driver: feeds a plan with records, runs it on any number of simulated workers, and keeps what its sinks write.

mod changelogs;
mod time;

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
};

use kafka_proto::records::{
    Batch, BatchBuilder, Compression, Decompressor, Placement, Stamp, batches,
};

use self::changelogs::Changelogs;
use super::inputs::Inputs;
use crate::{
    batch::{Frame, InputPartition, OutRecord, Outbox, OutboxConfig, Record, Rows},
    flow::{Counters, Emit, Error, Input, Limits, Port, Position, Scope},
    plan::{App, StateSize, Task, TaskConfig},
    state::KeyGroups,
    time::Quiet,
};

/// A record as [`Driver::feed_records`] takes it.
#[derive(Clone, Copy, Debug, Default)]
pub struct InRecord<'a> {
    /// Key, `None` for null.
    pub key: Option<&'a [u8]>,
    /// Value, `None` for null.
    pub value: Option<&'a [u8]>,
    /// Headers in their order.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
    /// Milliseconds since 1970.
    pub timestamp: i64,
}

/// Runs a plan without a broker: records in, records out.
///
/// The records go through the real batch format both ways, and rows between workers through the same cuts as in production.
///
/// ```
/// use engine::testing::Driver;
///
/// let mut driver = Driver::new(|s| {
///     s.source("lines").utf8().filter(|l| l.len() > 3).map(|l| ((), l)).sink("long");
/// });
/// driver.feed("lines", ["yes", "certainly"]);
/// assert_eq!(driver.read("long")[0].value_str(), Some("certainly"));
/// ```
pub struct Driver {
    app: App,
    keys: KeyGroups,
    tasks: Vec<Task>,
    /// Rows on their way: operator, worker, rows, and where to go on with them.
    rows: VecDeque<(usize, u16, Rows, Position)>,
    spare: Vec<Rows>,
    outputs: BTreeMap<String, Vec<OutRecord>>,
    changelogs: Changelogs,
    /// Where changelogs are written that are forgotten.
    written: Option<Outbox>,
    /// What each operator had acted upon at the last commit.
    watermarks: BTreeMap<String, i64>,
    /// Rows that went from one worker to another, by operator.
    exchanged: BTreeMap<usize, u64>,
    next: usize,
    /// By topic and partition: the offset of the next record that is fed.
    offsets: BTreeMap<(String, i32), i64>,
    inputs: Inputs,
    now_ms: i64,
    /// Bytes of results that are given out together.
    fire_bytes: usize,
}

impl Driver {
    /// One worker.
    ///
    /// # Panics
    /// When the plan cannot be learned; see [`Driver::of`] for errors as values.
    #[must_use]
    pub fn new(plan: impl Fn(Scope<'_>) + Send + Sync + 'static) -> Self {
        Self::with_workers(1, plan)
    }

    /// Any number of workers. Each batch that is fed goes to the next of them.
    ///
    /// # Panics
    /// As [`Driver::new`].
    #[must_use]
    pub fn with_workers(workers: u16, plan: impl Fn(Scope<'_>) + Send + Sync + 'static) -> Self {
        let driver =
            App::new("test", plan).and_then(|app| Self::of(app, workers, Limits::default()));
        driver.unwrap_or_else(|e| panic!("{e}"))
    }

    /// An application on a number of workers, with calls of a given length.
    ///
    /// # Errors
    /// When the plan is not the same twice.
    pub fn of(app: App, workers: u16, limits: Limits) -> Result<Self, Error> {
        let keys = KeyGroups::new(0x5eed, 16);
        let task = |me| {
            let config = TaskConfig {
                keys,
                workers: workers.max(1),
                me,
                limits,
                state_dir: None,
                state_marks: Vec::new(),
            };
            Task::new(&app, &config)
        };
        Ok(Self {
            tasks: (0..workers.max(1)).map(task).collect::<Result<_, _>>()?,
            app,
            keys,
            rows: VecDeque::new(),
            spare: Vec::new(),
            outputs: BTreeMap::new(),
            changelogs: Changelogs::default(),
            written: None,
            watermarks: BTreeMap::new(),
            exchanged: BTreeMap::new(),
            next: 0,
            offsets: BTreeMap::new(),
            inputs: Inputs::default(),
            now_ms: 0,
            fire_bytes: limits.rows_bytes.min(64 << 10),
        })
    }

    /// Sets the number of partitions of an output topic; 1 without it.
    ///
    /// # Panics
    /// When no sink writes to the topic.
    pub fn partitions(&mut self, topic: &str, partitions: i32) {
        let graph = std::sync::Arc::clone(self.app.graph());
        let config = OutboxConfig {
            partitions,
            ..OutboxConfig::default()
        };
        let is_of = |(_, of): &(usize, &str)| *of == topic;
        let sinks: Vec<_> = graph.sinks().filter(is_of).collect();
        let letters: Vec<_> = graph.dead_letters().filter(is_of).collect();
        assert!(
            !(sinks.is_empty() && letters.is_empty()),
            "no sink writes to \"{topic}\""
        );
        for task in &mut self.tasks {
            for (sink, _) in &sinks {
                task.configure_sink(*sink, config);
            }
            for (operator, _) in &letters {
                if let Some(outbox) = task.letters(*operator) {
                    *outbox = Outbox::new(config);
                }
            }
        }
    }

    /// Feeds values, one batch, to partition 0 of a topic (also one of several that a source reads), with timestamp 0.
    ///
    /// # Panics
    /// When the plan fails; see [`Driver::try_feed_records`].
    pub fn feed<V: AsRef<[u8]>>(&mut self, topic: &str, values: impl IntoIterator<Item = V>) {
        let values: Vec<V> = values.into_iter().collect();
        let records: Vec<_> = values
            .iter()
            .map(|v| InRecord {
                value: Some(v.as_ref()),
                ..InRecord::default()
            })
            .collect();
        self.feed_records(topic, 0, &records);
    }

    /// Feeds records, one batch, to a partition of a topic. Their offsets go on behind those that were fed before.
    ///
    /// # Panics
    /// When the plan fails; see [`Driver::try_feed_records`].
    pub fn feed_records(&mut self, topic: &str, partition: i32, records: &[InRecord<'_>]) {
        self.try_feed_records(topic, partition, records)
            .unwrap_or_else(|e| panic!("{e}"));
    }

    /// As [`Driver::feed_records`], with errors as values.
    ///
    /// # Errors
    /// When the plan fails.
    ///
    /// # Panics
    /// When no source reads the topic.
    pub fn try_feed_records(
        &mut self,
        topic: &str,
        partition: i32,
        records: &[InRecord<'_>],
    ) -> Result<(), Error> {
        if records.is_empty() {
            return Ok(());
        }
        let mut builder = BatchBuilder::new(Compression::NONE, 1 << 16);
        for r in records {
            builder
                .append(r.timestamp, r.key, r.value, r.headers)
                .expect("a batch of a test fits into 2 GiB");
        }
        let next = self.offsets.entry((topic.to_owned(), partition));
        let next = next.or_default();
        let placement = Placement {
            base_offset: *next,
            ..Placement::NONE
        };
        *next += records.len() as i64;
        let bytes = builder
            .finish_at(Stamp::NONE, placement)
            .expect("a batch without compression can be built");
        let batch = Batch::new(bytes).expect("what the builder writes is a batch");
        self.feed_batch(topic, partition, &batch)
    }

    /// Feeds a batch as it was fetched.
    ///
    /// # Errors
    /// When the plan fails, or the batch cannot be read.
    ///
    /// # Panics
    /// When no source reads the topic.
    pub fn feed_batch(&mut self, topic: &str, partition: i32, batch: &Batch) -> Result<(), Error> {
        let graph = std::sync::Arc::clone(self.app.graph());
        let sources = self.inputs.of(&graph, topic);
        let mut decompressor = Decompressor::new(1 << 30);
        let body = batch
            .uncompressed(&mut decompressor)
            .map_err(|source| Error::Batch {
                topic: topic.to_owned(),
                partition,
                source,
            })?;
        let batches_before = self.next;
        self.next += 1;
        for (source, nth) in sources {
            let partition = InputPartition::of_topic(nth, partition);
            // A partition has one reader, whose clock sees all of it; where there are no clocks, batches go round.
            let worker = match graph.needs_time() {
                true => self.reader(partition),
                false => batches_before % self.tasks.len(),
            };
            let frame = Frame::new(partition, batch, body, 0).of_topic(topic);
            self.call(worker, Input::Frame { source, frame })?;
        }
        self.advance()
    }

    /// Says what time it is, in milliseconds since 1970, and calls whatever waits for it. 0 before it is first said.
    ///
    /// # Panics
    /// When the plan fails.
    pub fn set_clock(&mut self, now_ms: i64) {
        let passed_ms = now_ms.saturating_sub(self.now_ms).max(0);
        self.now_ms = now_ms;
        for task in &mut self.tasks {
            task.set_now(now_ms);
        }
        self.look_for_quiet(passed_ms);
        self.advance().unwrap_or_else(|e| panic!("{e}"));
    }

    /// Lets the wall clock go on.
    ///
    /// # Panics
    /// When the plan fails.
    pub fn advance_clock(&mut self, by: std::time::Duration) {
        self.set_clock(self.now_ms.saturating_add(crate::time::millis(by)));
    }

    /// Looks after the futures of [`enrich`](crate::flow::Stream::enrich), and gives out the answers that have come. It is done after
    /// everything that is fed, too; call it when something outside has given an answer since.
    ///
    /// # Panics
    /// When the plan fails.
    pub fn poll(&mut self) {
        self.advance().unwrap_or_else(|e| panic!("{e}"));
    }

    /// Says that a partition of a topic is read, although nothing has come from it: its watermark is low.
    ///
    /// # Panics
    /// When the plan fails, or no source reads the topic.
    pub fn assign(&mut self, topic: &str, partition: i32) {
        self.each_source(topic, partition, Task::assign);
    }

    /// Says that there is nothing to read in a partition at present: others need not wait for it.
    ///
    /// # Panics
    /// When the plan fails, or no source reads the topic.
    pub fn idle(&mut self, topic: &str, partition: i32) {
        self.each_source(topic, partition, Task::idle);
    }

    /// Says that a partition is at its end.
    ///
    /// # Panics
    /// When the plan fails, or no source reads the topic.
    pub fn end(&mut self, topic: &str, partition: i32) {
        self.each_source(topic, partition, Task::end);
    }

    /// The worker that reads a partition.
    fn reader(&self, partition: InputPartition) -> usize {
        let number = usize::try_from(partition.number()).unwrap_or(0);
        (partition.nth() + number) % self.tasks.len()
    }

    fn each_source(
        &mut self,
        topic: &str,
        partition: i32,
        f: impl Fn(&mut Task, usize, InputPartition),
    ) {
        let graph = std::sync::Arc::clone(self.app.graph());
        for (source, nth) in self.inputs.of(&graph, topic) {
            let partition = InputPartition::of_topic(nth, partition);
            let worker = self.reader(partition);
            f(&mut self.tasks[worker], source, partition);
        }
        self.advance().unwrap_or_else(|e| panic!("{e}"));
    }

    /// The watermark at an operator, the least over all workers: of a keyed operator, that of the rows that come to it.
    ///
    /// # Panics
    /// When the plan has no such operator.
    #[must_use]
    pub fn watermark(&self, id: &str) -> i64 {
        let operator = self.operator(id);
        let is_cut = self.app.graph().nodes()[operator].kind.is_cut();
        let known = self.tasks.iter().map(|t| t.watermark(operator));
        if is_cut {
            known.min().unwrap_or(i64::MIN)
        } else {
            // A worker that reads nothing of it knows nothing.
            known.filter(|at| *at != i64::MIN).min().unwrap_or(i64::MIN)
        }
    }

    /// Keyed operators of which no rows come do not hold back a `with_timestamps` behind them: where none has ever come at once, because
    /// nothing is on its way here, and else when the wall clock has gone on for as long as Kafka's default for idle partitions.
    fn look_for_quiet(&mut self, passed_ms: i64) -> bool {
        let quiet = Quiet {
            passed_ms,
            after_ms: 500,
            first_after_ms: 0,
        };
        let looks = self.tasks.iter_mut().map(|t| t.look_for_quiet(quiet));
        looks.fold(false, |any, is_new| any | is_new)
    }

    /// What a person should know of the plan's input, once for each operator and worker: timestamps in another unit.
    pub fn warnings(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        for task in &mut self.tasks {
            task.take_warnings(|_, text| all.push(text));
        }
        all
    }

    /// Brings everything on its way as far as it goes.
    fn advance(&mut self) -> Result<(), Error> {
        self.give_answers()?;
        // Time first: partial values that must leave before it do so by themselves.
        self.pass_time()?;
        while self.look_for_quiet(0) {
            self.pass_time()?;
        }
        self.send_partials()
    }

    /// Gives out what is due at an operator of a worker; true when that was something.
    fn fire_due(&mut self, worker: usize, operator: usize) -> Result<bool, Error> {
        let mut is_any = false;
        let mut rows = self.spare.pop().unwrap_or_default();
        loop {
            while let Some(port) = self.tasks[worker].due(operator, &mut rows, self.fire_bytes) {
                is_any = true;
                self.fire(worker, operator, port, &mut rows)?;
            }
            // Timers that timers have set, as far as time has come.
            if !self.tasks[worker].holds_time(operator) {
                break;
            }
            self.tasks[worker].begin_round();
        }
        self.tasks[worker].begin_round();
        self.spare.push(rows);
        Ok(is_any)
    }

    /// Brings partial values to their owners, and the rows that come of that, until there are none.
    fn send_partials(&mut self) -> Result<(), Error> {
        loop {
            let mut is_any = false;
            for worker in 0..self.tasks.len() {
                if self.tasks[worker].send_partials() {
                    is_any = true;
                    self.take_rows(worker);
                }
            }
            if !is_any {
                return Ok(());
            }
            // Rows come from behind a source, which is the first operator of all.
            self.settle(0)?;
        }
    }

    /// Calls a worker's task until the input is done. In between, what came out is brought on its way, so that it does not pile up.
    fn call(&mut self, worker: usize, input: Input<'_>) -> Result<(), Error> {
        self.call_from(worker, input, Position::START).map(drop)
    }

    /// As [`Driver::call`] from a place on. A place comes back when the operator has no room for the rest.
    fn call_from(
        &mut self,
        worker: usize,
        input: Input<'_>,
        from: Position,
    ) -> Result<Option<Position>, Error> {
        let (operator, is_sent) = match input {
            Input::Frame { source, .. } => (source, false),
            Input::Rows { operator, port, .. } => (operator, port == Port::Sent),
            Input::Tick => (0, false),
        };
        let mut from = Some(from);
        while let Some(at) = from {
            from = self.tasks[worker].call(input, at)?;
            self.take_rows(worker);
            self.take_records(worker);
            self.settle(operator)?;
            if is_sent && !self.tasks[worker].has_room(operator) {
                return Ok(from);
            }
        }
        Ok(None)
    }

    fn take_rows(&mut self, worker: usize) {
        let (rows, spare) = (&mut self.rows, &mut self.spare);
        let exchanged = &mut self.exchanged;
        self.tasks[worker].outgoing(|operator, to, out| {
            if usize::from(to) != worker {
                *exchanged.entry(operator).or_default() += out.len() as u64;
            }
            let empty = spare.pop().unwrap_or_default();
            rows.push_back((operator, to, std::mem::replace(out, empty), Position::START));
        });
    }

    fn take_records(&mut self, worker: usize) {
        let graph = std::sync::Arc::clone(self.app.graph());
        for (sink, topic) in graph.sinks() {
            let outbox = self.tasks[worker].outbox(sink);
            take_out(topic, outbox, &mut self.outputs);
        }
        for sink in graph.sinks_by_topic() {
            let Some(by_topic) = self.tasks[worker].by_topic(sink) else {
                continue;
            };
            if let Some(name) = by_topic.unopened().map(str::to_owned) {
                let opened = self.tasks[worker].topic_opened(sink, &name, 0, 1);
                opened.unwrap_or_else(|e| panic!("{e}"));
                return self.take_records(worker);
            }
            for named in by_topic.topics() {
                take_out(&named.name, &mut named.outbox, &mut self.outputs);
            }
        }
        for (operator, topic) in graph.dead_letters() {
            if let Some(outbox) = self.tasks[worker].letters(operator) {
                take_out(topic, outbox, &mut self.outputs);
            }
        }
    }

    /// Brings rows to their workers until none are on their way to operators behind `operator`. Only to those: an operator must not
    /// get other rows while it is in the middle of some. True when there were some.
    fn settle(&mut self, operator: usize) -> Result<bool, Error> {
        let mut is_any = false;
        loop {
            let tasks = &self.tasks;
            let can_go = |(o, worker, ..): &(usize, u16, Rows, Position)| {
                *o > operator && tasks[usize::from(*worker)].has_room(*o)
            };
            let Some(at) = self.rows.iter().position(can_go) else {
                return Ok(is_any);
            };
            let Some((operator, worker, mut rows, from)) = self.rows.remove(at) else {
                return Ok(is_any);
            };
            is_any = true;
            let input = Input::Rows {
                operator,
                port: Port::Sent,
                rows: &rows,
            };
            if let Some(from) = self.call_from(usize::from(worker), input, from)? {
                self.rows.push_front((operator, worker, rows, from));
            } else {
                rows.clear();
                self.spare.push(rows);
            }
        }
    }

    /// Commits: every keyed operator gives out its changed keys, and they go into the changelog.
    ///
    /// # Panics
    /// When the plan fails; see [`Driver::try_commit`].
    pub fn commit(&mut self) {
        self.try_commit().unwrap_or_else(|e| panic!("{e}"));
    }

    /// As [`Driver::commit`], with errors as values.
    ///
    /// # Errors
    /// When the plan fails.
    pub fn try_commit(&mut self) -> Result<(), Error> {
        let graph = std::sync::Arc::clone(self.app.graph());
        let mut rows = self.spare.pop().unwrap_or_default();
        // Rows flow from an earlier operator to a later one only: each is drained when nothing can reach it any more.
        for (operator, node) in graph.cuts() {
            self.give_answers()?;
            self.send_partials()?;
            if graph.needs_time() {
                self.pass_time_at(operator)?;
            }
            let id = graph.id(operator);
            let parked = self.rows.iter().filter(|(o, ..)| *o == operator);
            let under_way = self.tasks.iter().map(|t| t.under_way(operator)).sum();
            if parked.count() > 0 || under_way > 0 {
                return Err(Error::Awaiting {
                    operator: id,
                    rows: under_way,
                });
            }
            let waits_for_time = node.kind.waits_for_time();
            let emits_changes = node.emit == Emit::ChangedKeys && !waits_for_time;
            for worker in 0..self.tasks.len() {
                while waits_for_time
                    && let Some(port) =
                        self.tasks[worker].updates(operator, &mut rows, self.fire_bytes)
                {
                    self.fire(worker, operator, port, &mut rows)?;
                }
                for group in 0..self.keys.count() {
                    let mut is_more = true;
                    while is_more {
                        is_more = self.tasks[worker].drain_changed(
                            operator,
                            group,
                            &mut rows,
                            self.fire_bytes,
                        );
                        self.log(&id, &rows, false);
                        if emits_changes {
                            self.fire(worker, operator, Port::Fired, &mut rows)?;
                        }
                        rows.clear();
                    }
                }
                let mut is_more = true;
                while is_more {
                    is_more =
                        self.tasks[worker].drain_removed(operator, &mut rows, self.fire_bytes);
                    self.log(&id, &rows, true);
                    rows.clear();
                }
                self.tasks[worker].committed(operator);
                if let Some(at) = self.tasks[worker].acted_upon(operator) {
                    self.watermarks.insert(id.clone(), at);
                }
            }
        }
        self.spare.push(rows);
        Ok(())
    }

    fn fire(
        &mut self,
        worker: usize,
        operator: usize,
        port: Port,
        rows: &mut Rows,
    ) -> Result<(), Error> {
        if !rows.is_empty() {
            self.call(
                worker,
                Input::Rows {
                    operator,
                    port,
                    rows,
                },
            )?;
            rows.clear();
        }
        Ok(())
    }

    /// Ends the input: time comes to its end, so that what waits comes out, and a last commit is made.
    ///
    /// # Panics
    /// When the plan fails.
    pub fn finish(&mut self) {
        for task in &mut self.tasks {
            task.end_all();
        }
        self.advance().unwrap_or_else(|e| panic!("{e}"));
        self.commit();
    }

    /// Takes what was written to a topic since it was last read.
    pub fn read(&mut self, topic: &str) -> Vec<OutRecord> {
        self.outputs.remove(topic).unwrap_or_default()
    }

    /// A new driver with the same plan and the state of the last commit, as after a restart; on another number of workers, if wanted.
    ///
    /// # Panics
    /// When the state cannot be restored.
    #[must_use]
    pub fn restarted(&self, workers: u16) -> Self {
        let mut next = Self::of(self.app.clone(), workers, Limits::default())
            .unwrap_or_else(|e| panic!("{e}"));
        for (operator, _) in self.app.graph().keyed() {
            let id = self.app.graph().id(operator);
            for group in 0..self.keys.count() {
                let owner = usize::from(next.tasks[0].owners()[group as usize]);
                for (key, value) in self.changelogs.entries(&id, group) {
                    let restored = next.tasks[owner].restore(operator, group, key, Some(value));
                    restored.unwrap_or_else(|e| panic!("{e}"));
                }
            }
        }
        for (id, at) in &self.watermarks {
            for task in &mut next.tasks {
                task.restore_watermark(self.operator(id), *at);
            }
        }
        next.changelogs.clone_from(&self.changelogs);
        next.offsets.clone_from(&self.offsets);
        next.inputs.clone_from(&self.inputs);
        next.watermarks.clone_from(&self.watermarks);
        next.set_clock(self.now_ms);
        next
    }

    fn operator(&self, id: &str) -> usize {
        let graph = self.app.graph();
        let found = (0..graph.nodes().len()).find(|i| graph.id(*i) == id);
        found.unwrap_or_else(|| {
            panic!(
                "the plan has no operator \"{id}\"; it has:\n{}",
                graph.explain()
            )
        })
    }

    /// What an operator has done, over all workers. Its id is its name, or its kind and number: `count-1`.
    ///
    /// # Panics
    /// When the plan has no such operator.
    #[must_use]
    pub fn counters(&self, id: &str) -> Counters {
        let operator = self.operator(id);
        let add = |mut sum: Counters, task: &Task| {
            let of = task.counters(operator);
            sum.records += of.records;
            sum.bad += of.bad;
            sum.null_keys += of.null_keys;
            sum.late += of.late;
            sum
        };
        self.tasks.iter().fold(Counters::default(), add)
    }

    /// Number of rows that went from one worker to another on their way to a keyed operator: as they were, or folded before.
    ///
    /// # Panics
    /// When the plan has no such operator.
    #[must_use]
    pub fn rows_exchanged(&self, id: &str) -> u64 {
        let exchanged = self.exchanged.get(&self.operator(id));
        exchanged.copied().unwrap_or_default()
    }

    /// Number of entries in an operator's changelog, as of the last commit: what a restart reads back.
    #[must_use]
    pub fn changelog_entries(&self, id: &str) -> usize {
        self.changelogs.len(id)
    }

    /// How much state an operator holds, over all workers.
    ///
    /// # Panics
    /// When the plan has no such operator.
    #[must_use]
    pub fn state_size(&self, id: &str) -> StateSize {
        let operator = self.operator(id);
        let add = |sum: StateSize, task: &Task| {
            let of = task.state_size(operator);
            StateSize {
                keys: sum.keys + of.keys,
                bytes: sum.bytes + of.bytes,
            }
        };
        self.tasks.iter().fold(StateSize::default(), add)
    }
}

/// Takes all records out of an outbox; its buffers go round.
fn take_out(topic: &str, outbox: &mut Outbox, outputs: &mut BTreeMap<String, Vec<OutRecord>>) {
    let mut built = Vec::new();
    for (partition, mut builder) in outbox.take_all() {
        let bytes = builder
            .finish(Stamp::NONE)
            .expect("a batch without compression can be built");
        built.push((partition, bytes, builder));
    }
    for (partition, bytes, builder) in built {
        outbox.lend(builder);
        let out = outputs.entry(topic.to_owned()).or_default();
        for batch in batches(bytes).flatten() {
            let records = batch.records(batch.body()).flatten();
            out.extend(records.map(|r| OutRecord::of(&Record::of(r, topic, partition))));
        }
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("app", &self.app)
            .finish_non_exhaustive()
    }
}
