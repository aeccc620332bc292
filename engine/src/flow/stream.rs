//! Streams: the rows of one batch on their way through the operators.

use std::marker::PhantomData;

use super::{OnBad, Scope};
use crate::state::Store;

/// Rows of type `T` in this batch. Operators take it by value and give the next one; nothing runs before the stream ends in a sink,
/// a keyed operator, `share` or `for_each`.
#[must_use = "a stream does nothing before it ends: in `.sink(topic)`, `.for_each(…)` or a keyed operator"]
pub struct Stream<'b, T, P> {
    pub(crate) scope: Scope<'b>,
    pub(crate) pipe: P,
    /// The operator that the rows come from.
    pub(crate) node: usize,
    item: PhantomData<fn() -> T>,
}

impl<'b, T, P> Stream<'b, T, P> {
    pub(crate) fn new(scope: Scope<'b>, node: usize, pipe: P) -> Self {
        Self {
            scope,
            pipe,
            node,
            item: PhantomData,
        }
    }

    /// Names the operator before it. The name of a keyed operator addresses its state and its changelog topic, so that it is found
    /// again when other operators were added to the plan; each name may be used once. It consists of letters, digits, '.', '_' and '-', as
    /// names of topics do; other names are refused when the plan is learned.
    pub fn named(self, name: &str) -> Self {
        self.scope
            .learn(self.node, |n| n.name = Some(name.to_owned()));
        if let Some(graph) = self.scope.running()
            && graph
                .node(self.node)
                .is_none_or(|n| n.name.as_deref() != Some(name))
        {
            let kind = graph.node(self.node).map_or("", |n| n.kind.name());
            self.scope
                .changed(graph, self.node, format!("{kind} \"{name}\""));
        }
        self
    }

    /// What the operator before it does with records that it cannot read: a source's decoder, or `try_map`.
    pub fn on_bad(self, on_bad: OnBad) -> Self {
        self.scope.learn(self.node, |n| n.on_bad = on_bad);
        self
    }

    /// What the operator before it cannot read is written to this topic: the record as it was read, with headers that say where it comes
    /// from (`__errors.topic`, `__errors.partition`, `__errors.offset`), which operator refused it (`__errors.operator`) and why
    /// (`__errors.message`). Behind a keyed operator there is no record any more: then key and row as they crossed, operator and reason. It
    /// is acknowledged before the position behind it is committed, and counted (`bad`).
    ///
    /// ```
    /// use engine::testing::Driver;
    ///
    /// let mut driver = Driver::new(|s| {
    ///     s.source("in").utf8().try_map(|l| l.parse::<u64>()).dead_letters("bad").map(|n| ((), n)).sink("out");
    /// });
    /// driver.feed("in", ["1", "one"]);
    /// let bad = &driver.read("bad")[0];
    /// assert_eq!(bad.value_str(), Some("one"));
    /// assert!(bad.headers.contains(&("__errors.message".to_owned(), Some(b"invalid digit found in string".to_vec()))));
    /// ```
    pub fn dead_letters(self, topic: &str) -> Self {
        self.scope.learn(self.node, |n| {
            n.on_bad = OnBad::DeadLetter;
            n.dead_letters = Some(topic.to_owned());
        });
        self
    }

    /// Groups rows by a key: what follows works on each key apart.
    pub fn key_by<K, F: FnMut(T) -> K>(self, key: F) -> Keyed<'b, T, P, F, K> {
        Keyed {
            scope: self.scope,
            pipe: self.pipe,
            node: self.node,
            key,
            ttl_ms: None,
            store: Store::default(),
            is_in_order: false,
            item: PhantomData,
        }
    }
}

impl<T, P: Clone> Clone for Stream<'_, T, P> {
    fn clone(&self) -> Self {
        Self::new(self.scope, self.node, self.pipe.clone())
    }
}

/// Rows that are grouped by key, and wait to be told what is done with each group.
#[must_use = "rows grouped by key do nothing before an operator such as `.count()` or `.aggregate(…)`"]
pub struct Keyed<'b, T, P, F, K> {
    pub(crate) scope: Scope<'b>,
    pub(crate) pipe: P,
    pub(crate) node: usize,
    pub(crate) key: F,
    /// State is forgotten when it was not worked on for this long.
    pub(crate) ttl_ms: Option<i64>,
    /// Where state is kept.
    pub(crate) store: Store,
    /// The rows of each key come in the order of their times.
    pub(crate) is_in_order: bool,
    item: PhantomData<fn() -> (T, K)>,
}

impl<'b, T, P, F, K> Keyed<'b, T, P, F, K> {
    /// Rows that come by time: what is known of the keyed stream beside them, from that stream.
    pub(crate) fn of_ordered(
        scope: Scope<'b>,
        node: usize,
        pipe: P,
        (key, ttl_ms, store): (F, Option<i64>, Store),
    ) -> Self {
        Self {
            scope,
            pipe,
            node,
            key,
            ttl_ms,
            store,
            is_in_order: true,
            item: PhantomData,
        }
    }

    /// Where the operator keeps its state: in memory, unless this says something else. With the feature `fjall` that may be the disk, for
    /// more keys than memory holds; for windows too. The results are the same. The folder is under `state.dir`, and is scratch space:
    /// a restart takes it up after an orderly end, if it holds what the changelog does (not of windows and process functions), and else fills it
    /// from the changelog.
    ///
    /// ```
    /// # #[cfg(feature = "fjall")] {
    /// use engine::{state::Store, testing::Driver};
    ///
    /// let mut driver = Driver::new(|s| {
    ///     s.source("clicks").utf8().key_by(|user| user).state_store(Store::disk()).count().sink("counts");
    /// });
    /// driver.feed("clicks", ["ada", "bob", "ada"]);
    /// driver.commit();
    /// assert_eq!(driver.read("counts").len(), 2);
    /// # }
    /// ```
    pub fn state_store(mut self, store: Store) -> Self {
        self.store = store;
        self
    }
}
