//! The scope: what a plan function is given.

use std::any::Any;
use std::cell::RefMut;

use bumpalo::Bump;

use super::stream::Kept;
use super::{Call, Emit, Error, Flow, Graph, Input, Kind, Mode, Node, OnBad, Port, Position, Slot};
use crate::batch::{Frame, Rows, WalkPlace, frame::RawRecord, letter::Letter};
use crate::state::{KeyGroups, KeyedState, Store, StoreError, StorePlace};

/// What a plan is given: its sources, its arena, and what it makes once.
///
/// **A plan is an ordinary function over one batch: its body runs for each batch**, and once without data so that the engine learns
/// which operators there are. Everything that a closure sees lives for `'b`, as long as the batch. What should outlive a batch belongs
/// in a keyed operator, or outside of the plan; what costs much to make, in [`Scope::once`].
///
/// **Closures must give the same for the same record.** A record that makes more rows than an output takes is left in the middle and begun
/// again: the closures before that output are called again for it, and as many rows as were written already are passed over. With random
/// numbers, counters or the clock in a closure rows can then be lost or come twice. What looks at rows without changing them
/// ([`inspect`](crate::flow::Stream::inspect), watermark generators, counters of bad rows, keyed state) sees each once, and all readers of
/// a stream that is [`share`](crate::flow::Stream::share)d see the same rows. Two sources of the same topic, and a restart, call closures
/// anew.
///
/// What is made from a scope inherits its policy for bad rows: [`Scope::on_bad`], [`Scope::dead_letters`].
#[derive(Clone, Copy)]
pub struct Scope<'b> {
    pub(crate) call: &'b Call<'b>,
    /// Of the graph's policies the one that operators made from here inherit.
    pub(super) policy: Option<usize>,
}

impl<'b> Scope<'b> {
    pub(crate) fn new(call: &'b Call<'b>) -> Self {
        Self { call, policy: None }
    }

    /// An arena for text and values derived from this batch; it is emptied before the next call.
    ///
    /// ```
    /// use engine::testing::Driver;
    ///
    /// let mut driver = Driver::new(|s| {
    ///     s.source("names").utf8()
    ///         .map(|name| { let upper = s.scratch().alloc_str(name); upper.make_ascii_uppercase(); ((), &*upper) })
    ///         .sink("loud");
    /// });
    /// driver.feed("names", ["ada"]);
    /// assert_eq!(driver.read("loud")[0].value_str(), Some("ADA"));
    /// ```
    #[must_use]
    pub fn scratch(self) -> &'b Bump {
        self.call.bump
    }

    /// A value that is made once for each worker (when the plan first runs there) and then borrowed in every batch: a compiled regular
    /// expression, a lookup table.
    ///
    /// # Panics
    /// When the same place of the plan asks for a value of another type than in the call before.
    #[must_use]
    pub fn once<T: Send + 'static>(self, init: impl FnOnce() -> T) -> &'b T {
        let index = self.call.progress.once.get();
        self.call.progress.once.set(index + 1);
        self.call
            .onces
            .value(index, init)
            .expect("a plan makes the same values, by `once`, in the same order each time")
    }

    /// Takes the next place in the graph: writes it down when learning, compares when running.
    pub(crate) fn operator(self, kind: Kind, inputs: &[usize], topic: Option<&str>) -> usize {
        let index = self.call.progress.operators.get();
        self.call.progress.operators.set(index + 1);
        match self.call.mode {
            Mode::Learn(graph) => graph.borrow_mut().push(Node {
                kind,
                name: None,
                topic: topic.map(str::to_owned),
                origin: None,
                destination: None,
                inputs: inputs.to_vec(),
                on_bad: OnBad::default(),
                dead_letters: None,
                refuses: false,
                own_policy: None,
                emit: Emit::default(),
                store: Store::default(),
                note: None,
                state_of: None,
                reads_late: false,
                aligned: None,
                relays: None,
            }),
            Mode::Run(graph) => {
                let is_same = graph.node(index).is_some_and(|n| {
                    n.kind == kind && n.inputs == inputs && n.topic.as_deref() == topic
                });
                if !is_same {
                    let found =
                        topic.map_or_else(|| kind.to_string(), |t| format!("{kind}(\"{t}\")"));
                    self.changed(graph, index, found);
                }
            }
        }
        index
    }

    #[cold]
    pub(crate) fn changed(self, graph: &Graph, operator: usize, found: String) {
        self.fail(Error::PlanChanged {
            operator,
            learned: graph.describe(operator),
            found,
        });
    }

    /// Notes something about an operator in the graph while it is learned.
    pub(crate) fn learn(self, operator: usize, note: impl FnOnce(&mut Node)) {
        if let Mode::Learn(graph) = self.call.mode
            && let Some(node) = graph.borrow_mut().node_mut(operator)
        {
            note(node);
        }
    }

    /// Notes where a keyed operator is to keep its state, and refuses an expiry where it has none.
    pub(crate) fn keeps_state(self, operator: usize, kept: Kept) {
        self.learn(operator, |n| n.store = kept.store.unwrap_or_default());
        let mut expires = false;
        self.learn(operator, |n| {
            // The expiry of rows that are brought into order is for what follows.
            expires = matches!(
                n.kind,
                Kind::Process | Kind::Deduplicate | Kind::Distinct | Kind::InOrder
            );
        });
        if kept.ttl_ms.is_some() && !expires {
            self.misplaced(
                "`state_ttl`",
                operator,
                |of| format!("has no meaning before {of}, which keeps its keys"),
                "it is for `process`, `deduplicate` and `distinct`; windows end by themselves, and a process function with a timer \
                 and `clear` can count or fold what is to be forgotten",
            );
        }
    }

    /// The state in an operator's slot; made in the first call, which has no data. `None` after an error, which is told.
    pub(crate) fn state<'s, S: KeyedState>(
        self,
        graph: &Graph,
        operator: usize,
        state: &'s mut Option<Box<dyn KeyedState>>,
        make: impl FnOnce(KeyGroups, StorePlace) -> S,
    ) -> Option<&'s mut S> {
        if state.is_none() {
            match self.place(graph, operator) {
                Ok(place) => *state = Some(Box::new(make(self.call.placement.keys, place))),
                Err(source) => {
                    let operator = graph.describe(operator);
                    self.fail(Error::Store { operator, source });
                }
            }
        }
        let state: &mut dyn Any = &mut **state.as_mut()?;
        let state = state.downcast_mut();
        if state.is_none() {
            let operator = graph.describe(operator);
            self.fail(Error::StateType { operator });
        }
        state
    }

    /// Where an operator's state is to be; a place on disk is opened, and so taken from whoever had it.
    fn place(self, graph: &Graph, operator: usize) -> Result<StorePlace, StoreError> {
        let place = match graph.node(operator).map(|n| n.store) {
            #[cfg(feature = "fjall")]
            Some(Store::Disk { cache_bytes }) => {
                let id = graph.id(operator);
                let path = match &self.call.placement.state_dir {
                    Some(folder) => folder.join(id),
                    None => crate::state::temporary_folder(&id),
                };
                let marks = &self.call.placement.state_marks;
                let mark = marks.iter().find(|(of, _)| *of == operator);
                let mark = mark.map(|(_, mark)| &mark[..]);
                let disk: Box<dyn crate::state::Cold> =
                    Box::new(crate::state::Disk::open(&path, mark)?);
                Some((disk, cache_bytes))
            }
            Some(Store::Memory) | None => None,
        };
        Ok(StorePlace(place))
    }

    /// The learned graph, while the plan runs and nothing has failed.
    pub(crate) fn running(self) -> Option<&'b Graph> {
        match self.call.mode {
            Mode::Run(graph) if !self.call.progress.has_failed.get() => Some(graph),
            _ => None,
        }
    }

    /// The first error of a call stays; nothing runs after it.
    #[cold]
    pub(crate) fn fail(self, error: Error) {
        if !self.call.progress.has_failed.replace(true) {
            *self.call.progress.error.borrow_mut() = Some(error);
        }
    }

    /// Fails, and ends the loop over the input.
    #[cold]
    pub(crate) fn broken(self, error: Error) -> Flow {
        self.fail(error);
        Flow::Break(())
    }

    /// Whether rows for other workers may be folded before they leave.
    pub(crate) fn folds_before(self) -> bool {
        self.call.placement.workers > 1 && self.call.limits.partials > 0
    }

    pub(crate) fn slot(self, operator: usize) -> RefMut<'b, Slot> {
        self.call.slots[operator].borrow_mut()
    }

    /// The batch, if it is for this source.
    pub(crate) fn frame(self, source: usize) -> Option<Frame<'b>> {
        match self.call.input {
            Input::Frame { source: s, frame } if s == source && self.running().is_some() => {
                Some(frame)
            }
            _ => None,
        }
    }

    /// The bytes of the records at hand; nothing where rows are.
    pub(crate) fn body(self) -> &'b [u8] {
        match self.call.input {
            Input::Frame { frame, .. } => frame.body(),
            _ => &[],
        }
    }

    /// The rows, if they are for this entrance.
    pub(crate) fn rows(self, operator: usize, port: Port) -> Option<&'b Rows> {
        match self.call.input {
            Input::Rows {
                operator: o,
                port: p,
                rows,
            } if o == operator && p == port && self.running().is_some() => Some(rows),
            _ => None,
        }
    }

    /// A loop over the input was broken at this record.
    pub(crate) fn stopped_at(self, index: u32) -> Flow {
        self.call.progress.stop.set(Some(Position {
            index,
            place: None,
            skip: self.call.progress.written.get(),
        }));
        Flow::Break(())
    }

    /// The walk over a batch stood here when the loop was left.
    #[cold]
    pub(crate) fn stopped_with(self, place: WalkPlace) {
        let place = Some(place);
        let stop = self.call.progress.stop.get();
        let stop = stop.map(|stop| Position { place, ..stop });
        self.call.progress.stop.set(stop);
    }

    /// Whether a loop over the input should end before the record `index`, `done` records after it began.
    #[inline]
    pub(crate) fn is_enough(self, done: u32) -> bool {
        done >= self.call.limits.records || self.call.progress.full.get()
    }

    /// A loop over the input ends before this record.
    #[cold]
    pub(crate) fn stopped_before(self, index: u32) -> Flow {
        self.call.progress.stop.set(Some(Position {
            index,
            place: None,
            skip: 0,
        }));
        Flow::Break(())
    }

    /// A record or row is bad: counts it, or fails, as the operator says.
    #[cold]
    pub(crate) fn bad(self, operator: usize, record: u32, reason: impl FnOnce() -> String) -> Flow {
        let Some(graph) = self.running() else {
            return Flow::Break(());
        };
        if self.call.progress.replaying.get() {
            return Flow::Continue(());
        }
        let on_bad = graph.node(operator).map(|n| n.on_bad);
        if on_bad != Some(OnBad::Fail) {
            self.slot(operator).counters.bad += 1;
        }
        if on_bad == Some(OnBad::Skip) {
            return Flow::Continue(());
        }
        let (name, reason) = (graph.describe(operator), reason());
        if on_bad == Some(OnBad::DeadLetter) {
            return self.dead_letter(graph, operator, record, &name, &reason);
        }
        let error = match self.call.input {
            Input::Frame { source, frame } => Error::BadRecord {
                operator: name,
                topic: frame
                    .topic()
                    .or_else(|| graph.node(source)?.topic.as_deref())
                    .unwrap_or_default()
                    .to_owned(),
                partition: frame.partition().number(),
                offset: self.record(frame, record).map_or(-1, |r| r.offset),
                reason,
            },
            _ => Error::BadRow {
                operator: name,
                reason,
            },
        };
        self.broken(error)
    }

    /// The record of this index in the frame at hand.
    fn record(self, frame: Frame<'b>, index: u32) -> Option<RawRecord<'b>> {
        let mut cursor = self.call.cursor.get();
        let record = cursor.record(frame, index);
        self.call.cursor.set(cursor);
        record
    }

    /// Writes what is bad to the operator's topic for dead letters: a record as it was read, or a row of a cut, with headers that say
    /// where it comes from and why it is there.
    #[cold]
    fn dead_letter(
        self,
        graph: &Graph,
        operator: usize,
        record: u32,
        name: &str,
        reason: &str,
    ) -> Flow {
        let mut slot = self.slot(operator);
        let Some(outbox) = &mut slot.letters else {
            return Flow::Continue(());
        };
        let mut letter = match self.call.input {
            Input::Frame { source, frame } => {
                let Some(bad) = self.record(frame, record) else {
                    return Flow::Continue(());
                };
                let mut letter = Letter::of_record(&bad);
                let topic = frame
                    .topic()
                    .or_else(|| graph.node(source)?.topic.as_deref());
                letter.say("topic", topic.unwrap_or_default());
                letter.say("partition", &frame.partition().number().to_string());
                letter.say("offset", &bad.offset.to_string());
                letter
            }
            Input::Rows { rows, .. } => {
                let at = record as usize;
                let Some(head) = rows.heads().get(at) else {
                    return Flow::Continue(());
                };
                if graph.node(operator).is_some_and(|n| n.kind == Kind::Enrich) {
                    // The value says why it was refused.
                    Letter::of_row(head.timestamp, None, Some(rows.key(at)))
                } else {
                    Letter::of_row(head.timestamp, Some(rows.key(at)), Some(rows.value(at)))
                }
            }
            Input::Tick => return Flow::Continue(()),
        };
        letter.say("operator", name);
        letter.say("message", reason);
        letter.timestamp = self.call.writable.nearest(letter.timestamp);
        match letter.write(outbox) {
            Ok(()) => Flow::Continue(()),
            Err(source) => {
                let topic = graph.node(operator).and_then(|n| n.dead_letters.clone());
                drop(slot);
                self.broken(Error::Sink {
                    topic: topic.unwrap_or_default(),
                    source,
                })
            }
        }
    }
}
