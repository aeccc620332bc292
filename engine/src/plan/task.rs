//! A task: one worker's instance of a plan, with its state, its outgoing rows and the batches that it fills.
//!
//! It does nothing by itself. Whoever runs it hands in batches and rows, and after each call takes what came out.

use std::{cell::RefCell, fmt, sync::Arc};

use bumpalo::Bump;

use super::{App, Plan};
use crate::{
    batch::{Outbox, OutboxConfig, Rows},
    flow::{
        Call, Counters, Error, Graph, Input, Limits, Mode, Onces, Placement, Position, Progress,
        Scope, Slot,
    },
    state::{KeyGroups, KeyedState, RestoreError},
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
            owners: (0..groups).map(owner).collect(),
            me: config.me,
            workers,
        };
        let graph = Arc::clone(app.graph());
        let slots = graph.nodes().iter().map(|node| {
            let mut slot = Slot::default();
            if node.kind.is_keyed() {
                slot.rows.resize_with(usize::from(workers), Rows::new);
            }
            if node.kind == crate::flow::Kind::Sink {
                slot.outbox = Some(Outbox::new(OutboxConfig::default()));
            }
            RefCell::new(slot)
        });
        let mut task = Self {
            plan: Arc::clone(app.plan()),
            slots: slots.collect(),
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
        let call = Call {
            mode: Mode::Run(&self.graph),
            slots: &self.slots,
            onces: &self.onces,
            bump: &self.bump,
            placement: &self.placement,
            input,
            from,
            limits: self.limits,
            share_rows: self.share_rows,
            progress: Progress::new(from),
        };
        (self.plan)(Scope { call: &call });
        let built = call.progress.operators.get();
        if built != self.graph.nodes().len() && !call.progress.has_failed.get() {
            Scope { call: &call }.changed(&self.graph, built, "the end of the plan".to_owned());
        }
        if let Some(error) = call.progress.error.borrow_mut().take() {
            return Err(error);
        }
        self.share_rows = if call.progress.full.get() {
            (self.share_rows / 8).max(1)
        } else {
            (self.share_rows * 2).min(SHARE_ROWS_MAX)
        };
        Ok(call.progress.stop.get())
    }

    fn slot(&mut self, operator: usize) -> &mut Slot {
        self.slots[operator].get_mut()
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
