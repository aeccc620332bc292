//! The plan of one worker: its task, the changelogs beside it, and which of the run's topics each operator means.

use std::sync::Arc;

use super::job::{Job, Seat};
use super::worker::Parcel;
use crate::Error;
use crate::batch::produce::Target;
use crate::batch::{Frame, Outbox, OutboxConfig, Rows};
use crate::checkpoint::changelog::{self, ENTRY, Entry, Identity};
use crate::flow::{Input, Limits, Port, Position};
use crate::plan::{Emit, Task, TaskConfig};
use crate::state::KeyGroups;

/// Bytes of changed keys that are emitted and logged together.
const FIRE_BYTES: usize = 256 << 10;
/// Rows for another worker wait until they are this many bytes, or until there is nothing else to do.
const PARCEL_BYTES: usize = 32 << 10;

/// How far a bounded call got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    Done,
    /// Take what came out, then call again from here.
    More(At),
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

/// Changed keys on their way out.
struct Fired {
    operator: usize,
    rows: Rows,
    from: Position,
}

pub(crate) struct Work {
    task: Task,
    job: Arc<Job>,
    seat: Seat,
    keys: KeyGroups,
    /// Operators that write, with their topics.
    sinks: Vec<(usize, usize)>,
    /// One for each changelog of the job.
    changelogs: Vec<Outbox>,
    fired: Option<Fired>,
    /// Changelog and key group to go on with at this barrier.
    fire_next: (usize, u32),
    spare: Vec<Rows>,
    key: Vec<u8>,
    skipped: u64,
}

impl Work {
    /// # Errors
    /// When the plan builds other operators than when it was learned.
    pub(crate) fn new(
        job: Arc<Job>,
        seat: Seat,
        partitions: &[i32],
        outbox: OutboxConfig,
    ) -> Result<Self, Error> {
        let keys = KeyGroups::new(seat.seed, job.key_groups);
        let config = TaskConfig {
            keys,
            workers: seat.workers as u16,
            me: seat.me as u16,
            limits: Limits::default(),
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
            ..outbox
        };
        let sinks: Vec<(usize, usize)> = job.sinks.clone();
        for &(operator, topic) in &sinks {
            task.configure_sink(operator, of(topic));
        }
        let changelogs = job
            .changelogs
            .iter()
            .map(|c| Outbox::new(of(c.topic)))
            .collect();
        Ok(Self {
            task,
            seat,
            keys,
            sinks,
            changelogs,
            fired: None,
            fire_next: (0, 0),
            spare: Vec::new(),
            key: Vec::new(),
            skipped: 0,
            job,
        })
    }

    /// Number of levels of keyed operators.
    pub(crate) fn levels(&self) -> usize {
        self.job.levels()
    }

    /// Handles the records of a batch of an input topic.
    pub(crate) fn records(
        &mut self,
        topic: usize,
        frame: Frame<'_>,
        from: At,
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
            if let Some(position) = self.task.call(Input::Frame { source, frame }, position)? {
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

    /// Handles rows of a keyed operator.
    pub(crate) fn rows(&mut self, parcel: &Parcel, from: At) -> Result<Progress, Error> {
        let input = Input::Rows {
            operator: parcel.operator,
            port: Port::Sent,
            rows: &parcel.rows,
        };
        Ok(match self.task.call(input, from.position)? {
            Some(position) => Progress::More(At {
                source: 0,
                position,
            }),
            None => Progress::Done,
        })
    }

    /// Emits the keys of the operators at `level` that changed since the last time, and writes them into the changelogs. `false`: call
    /// again, there are more.
    pub(crate) fn fire(&mut self, level: usize) -> Result<bool, Error> {
        if let Some(mut fired) = self.fired.take() {
            let input = Input::Rows {
                operator: fired.operator,
                port: Port::Fired,
                rows: &fired.rows,
            };
            if let Some(from) = self.task.call(input, fired.from)? {
                self.fired = Some(Fired { from, ..fired });
                return Ok(false);
            }
            fired.rows.clear();
            self.spare.push(fired.rows);
        }
        let (mut at, mut group) = self.fire_next;
        while let Some(changelog) = self.job.changelogs.get(at) {
            let (operator, emit) = (changelog.operator, changelog.emit);
            if self.job.level_of[operator] != Some(level) {
                (at, group) = (at + 1, 0);
                continue;
            }
            let mut rows = self.spare.pop().unwrap_or_default();
            while group < self.job.key_groups {
                let mine = self.job.owner(group as i32, self.seat.workers) == self.seat.me;
                if mine
                    && self
                        .task
                        .drain_changed(operator, group, &mut rows, FIRE_BYTES)
                {
                    break;
                }
                group += 1;
            }
            if rows.is_empty() {
                self.spare.push(rows);
                (at, group) = (at + 1, 0);
                continue;
            }
            self.log(at, &rows)?;
            if emit == Emit::ChangedKeys {
                self.fired = Some(Fired {
                    operator,
                    rows,
                    from: Position::START,
                });
            } else {
                rows.clear();
                self.spare.push(rows);
            }
            self.fire_next = (at, group);
            return Ok(false);
        }
        self.fire_next = (0, 0);
        Ok(true)
    }

    fn log(&mut self, changelog: usize, rows: &Rows) -> Result<(), Error> {
        for (head, key, value) in rows.iter() {
            self.key.clear();
            self.key.push(ENTRY);
            self.key.extend_from_slice(key);
            // The changelog has a partition for each key group.
            let group = self.keys.group_of_hash(head.hash) as i32;
            self.changelogs[changelog]
                .append(
                    Target::Partition(group),
                    head.timestamp,
                    Some(&self.key),
                    Some(value),
                )
                .map_err(|e| {
                    Error::State(format!(
                        "cannot write to {}: {e}",
                        self.job.topics[self.job.changelogs[changelog].topic].0
                    ))
                })?;
        }
        Ok(())
    }

    /// Hands out rows for workers: those worth sending, or with `all` every one. `swap` is given the worker, the level and the rows, and
    /// leaves an empty batch.
    pub(crate) fn take_rows(
        &mut self,
        all: bool,
        mut take: impl FnMut(usize, usize, usize, &mut Rows),
    ) {
        let job = &self.job;
        self.task.outgoing(|operator, worker, rows| {
            if (all || rows.size_bytes() >= PARCEL_BYTES)
                && let Some(level) = job.level_of[operator]
            {
                take(usize::from(worker), level, operator, rows);
            }
        });
    }

    /// Number of sinks and changelogs.
    pub(crate) fn outboxes(&self) -> usize {
        self.sinks.len() + self.changelogs.len()
    }

    /// The batches being filled for one of them, its topic, and whether that is a changelog.
    pub(crate) fn outbox(&mut self, index: usize) -> (usize, &mut Outbox, bool) {
        match self.sinks.get(index) {
            Some(&(operator, topic)) => (topic, self.task.outbox(operator), false),
            None => {
                let index = index - self.sinks.len();
                (
                    self.job.changelogs[index].topic,
                    &mut self.changelogs[index],
                    true,
                )
            }
        }
    }

    /// Where the batches of an input topic go untouched, if that is all that the plan does with them.
    pub(crate) fn relay_of(&self, topic: usize) -> Option<usize> {
        self.job
            .relays
            .iter()
            .find(|(from, _)| *from == topic)
            .map(|(_, to)| *to)
    }

    /// Reads back the records of a changelog batch; returns how many.
    pub(crate) fn restore(&mut self, topic: usize, frame: Frame<'_>) -> Result<u64, Error> {
        let Some(changelog) = self.job.changelogs.iter().find(|c| c.topic == topic) else {
            return Ok(0);
        };
        let name = &self.job.topics[topic].0;
        let (operator, group) = (changelog.operator, frame.partition() as u32);
        let mut count = 0;
        for record in frame.records() {
            let record = record.map_err(|e| {
                Error::State(format!(
                    "topic {name} partition {group} cannot be read: {e}"
                ))
            })?;
            let (key, state) = match changelog::entry(
                name,
                record.offset,
                record.key,
                record.value,
            )? {
                Entry::Put { key, state } => (key, Some(state)),
                Entry::Delete { key } => (key, None),
                Entry::Identity(bytes) => {
                    let (mine, theirs) = (
                        self.job.identity(changelog, self.seat.seed),
                        Identity::decode(name, bytes)?,
                    );
                    theirs.check(name, &mine)?;
                    if theirs != mine {
                        return Err(Error::State(format!(
                            "topic {name} partition {group} was created with another hash seed than its other partitions; delete the topic to start anew, or use another application id (--group-id)"
                        )));
                    }
                    continue;
                }
            };
            self.task
                .restore(operator, group, key, state)
                .map_err(|e| {
                    Error::State(format!(
                        "topic {name} partition {group} offset {}: {e}",
                        record.offset
                    ))
                })?;
            count += 1;
        }
        Ok(count)
    }

    /// Records skipped by policy since the last call.
    pub(crate) fn take_skipped(&mut self) -> u64 {
        let operators = 0..self.task.graph().nodes().len();
        let skipped: u64 = operators
            .map(|operator| self.task.counters(operator).bad)
            .sum();
        skipped - std::mem::replace(&mut self.skipped, skipped)
    }
}
