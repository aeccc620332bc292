//! How far time has come at each operator of one worker: marks flow through the graph as rows do.

use std::cell::RefCell;

use crate::{
    flow::{Emit, Graph, Kind, Slot},
    time::{Bounded, Clock, Inputs, Mark, PartOf, Quiet},
};

/// The marks of one worker's operators.
pub(super) struct Times {
    /// Nothing in the plan waits for time: nothing is tracked.
    is_needed: bool,
    /// By operator: what its rows say of time here, behind it.
    marks: Vec<Mark>,
    /// By operator, of keyed ones: what each worker says of the rows that it sends.
    inputs: Vec<Option<Inputs>>,
    /// Operators whose clocks hear rows of keyed ones.
    behind_cuts: Vec<usize>,
}

impl Times {
    pub(super) fn new(graph: &Graph, workers: u16) -> Self {
        let hears_cut = |i: &usize| {
            let clock = Self::clock(graph, *i);
            let is_cut = |origin: &usize| graph.nodes()[*origin].kind.is_cut();
            clock.origins().iter().any(is_cut)
        };
        let inputs = |kind: Kind| kind.is_cut().then(|| Inputs::new(usize::from(workers)));
        Self {
            is_needed: graph.needs_time(),
            marks: vec![Mark::START; graph.nodes().len()],
            inputs: graph.nodes().iter().map(|n| inputs(n.kind)).collect(),
            behind_cuts: (0..graph.nodes().len()).filter(hears_cut).collect(),
        }
    }

    pub(super) fn is_needed(&self) -> bool {
        self.is_needed
    }

    /// The clock that an operator's slot begins with.
    pub(super) fn clock(graph: &Graph, operator: usize) -> Clock {
        let node = &graph.nodes()[operator];
        match node.kind {
            Kind::Source => Clock::new(vec![operator]),
            Kind::Timestamps => Clock::new(
                node.inputs
                    .iter()
                    .flat_map(|input| graph.origins(*input))
                    .collect(),
            ),
            _ => Clock::default(),
        }
    }

    /// Calls `f` with each clock that hears this partition.
    fn each_clock(slots: &mut [RefCell<Slot>], of: PartOf, mut f: impl FnMut(&mut Clock)) {
        for slot in slots {
            let clock = &mut slot.get_mut().clock;
            if clock.hears(of) {
                f(clock);
            }
        }
    }

    pub(super) fn assign(&mut self, graph: &Graph, slots: &mut [RefCell<Slot>], of: PartOf) {
        Self::each_clock(slots, of, |clock| clock.assign(of));
        self.flow(graph, slots);
    }

    pub(super) fn set(
        &mut self,
        graph: &Graph,
        slots: &mut [RefCell<Slot>],
        of: PartOf,
        idle: bool,
        ended: bool,
    ) {
        Self::each_clock(slots, of, |clock| clock.set(of, idle, ended));
        self.flow(graph, slots);
    }

    /// Every source is at its end.
    pub(super) fn end(&mut self, graph: &Graph, slots: &mut [RefCell<Slot>]) {
        for (source, _) in graph.sources() {
            slots[source].get_mut().clock.end();
        }
        self.flow(graph, slots);
    }

    /// Whether rows with a time may turn out not to come any more: [`Self::look_for_quiet`].
    pub(super) fn watches_quiet(&self, slots: &[RefCell<Slot>]) -> bool {
        let mut slots = slots.iter();
        self.is_needed && slots.any(|slot| slot.borrow().clock.is_watched())
    }

    /// Looks whether rows with a time still come of partitions, and of the keyed operators before a `with_timestamps`.
    pub(super) fn look_for_quiet(
        &mut self,
        graph: &Graph,
        slots: &mut [RefCell<Slot>],
        quiet: Quiet,
    ) -> bool {
        let mut has_changed = false;
        for slot in &mut *slots {
            has_changed |= slot.get_mut().clock.look_at_timeless(quiet);
        }
        for i in &self.behind_cuts {
            let clock = &mut slots[*i].get_mut().clock;
            for at in 0..clock.origins().len() {
                let operator = clock.origins()[at];
                if graph.nodes()[operator].kind.is_cut() {
                    let of = PartOf::Rows { operator };
                    has_changed |= clock.look(of, self.marks[operator], quiet);
                }
            }
        }
        if has_changed {
            self.flow(graph, slots);
        }
        has_changed
    }

    /// Something came from a partition.
    pub(super) fn wake(slots: &mut [RefCell<Slot>], of: PartOf) {
        Self::each_clock(slots, of, |clock| clock.wake(of));
    }

    /// A fetched batch was handled, and this is the greatest timestamp of its records.
    pub(super) fn saw(slots: &mut [RefCell<Slot>], of: PartOf, greatest: i64) {
        let clock = &mut slots[of.operator()].get_mut().clock;
        clock.came(of);
        if let Some(generator) = clock.generator(of, || Bounded::new(0)) {
            crate::time::Generator::observe(generator, greatest);
        }
    }

    /// A part of a fetched batch was handled: whether some record of it has a time.
    pub(super) fn came(slots: &mut [RefCell<Slot>], of: PartOf, has_time: bool) {
        let clock = &mut slots[of.operator()].get_mut().clock;
        match has_time {
            true => clock.came(of),
            false => clock.came_timeless(of),
        }
    }

    /// Brings marks along the graph: inputs stand before those who read them.
    pub(super) fn flow(&mut self, graph: &Graph, slots: &mut [RefCell<Slot>]) {
        for (i, node) in graph.nodes().iter().enumerate() {
            let next = match node.kind {
                Kind::Source => slots[i].get_mut().clock.mark(),
                Kind::Timestamps => self.timestamps(graph, slots, i),
                kind if kind.is_cut() => continue,
                _ => Mark::least(node.inputs.iter().map(|input| self.marks[*input])),
            };
            self.marks[i] = self.marks[i].then(next);
        }
    }

    /// Its own clock; whether there is more to come is for the operators before it to say.
    fn timestamps(&self, graph: &Graph, slots: &mut [RefCell<Slot>], operator: usize) -> Mark {
        let before = Mark::least(
            graph.nodes()[operator]
                .inputs
                .iter()
                .map(|input| self.marks[*input]),
        );
        let clock = &mut slots[operator].get_mut().clock;
        for at in 0..clock.origins().len() {
            let operator = clock.origins()[at];
            if graph.nodes()[operator].kind.is_cut() {
                clock.follow(PartOf::Rows { operator }, self.marks[operator]);
            }
        }
        if before.is_end() {
            before
        } else {
            clock.mark()
        }
    }

    /// What this worker says of the rows that it sends to a keyed operator.
    pub(super) fn mark_to(&self, graph: &Graph, operator: usize) -> Mark {
        let inputs = &graph.nodes()[operator].inputs;
        Mark::least(inputs.iter().map(|input| self.marks[*input]))
    }

    /// What worker `from` has said of the rows that were taken from it.
    pub(super) fn mark_from(&mut self, operator: usize, from: usize, mark: Mark) {
        if let Some(inputs) = &mut self.inputs[operator] {
            inputs.set(from, mark);
        }
    }

    /// How far time has come before a keyed operator.
    pub(super) fn before(&self, operator: usize) -> Mark {
        self.inputs[operator]
            .as_ref()
            .map_or(self.marks[operator], Inputs::mark)
    }

    pub(super) fn behind(&self, operator: usize) -> Mark {
        self.marks[operator]
    }

    /// A keyed operator has given out what its time asks for. One that gives out changed keys at commits says so at commits only: what
    /// it will give out may be older.
    pub(super) fn passed(
        &mut self,
        graph: &Graph,
        slots: &mut [RefCell<Slot>],
        operator: usize,
        is_commit: bool,
    ) {
        let node = &graph.nodes()[operator];
        if is_commit || node.kind.waits_for_time() || node.emit == Emit::EveryUpdate {
            self.pass_to(graph, slots, operator, self.before(operator));
        }
    }

    /// A cut has given out all that came before a mark.
    pub(super) fn pass_to(
        &mut self,
        graph: &Graph,
        slots: &mut [RefCell<Slot>],
        operator: usize,
        mark: Mark,
    ) {
        let next = self.marks[operator].then(mark);
        if self.marks[operator] != next {
            self.marks[operator] = next;
            self.flow(graph, slots);
        }
    }
}
