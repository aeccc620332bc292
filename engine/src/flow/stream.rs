//! Streams: the rows of one batch on their way through the operators.

use std::{marker::PhantomData, time::Duration};

use super::Scope;
use crate::{state::Store, time::millis};

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

    /// Groups rows by a key: what follows works on each key apart.
    pub fn key_by<K, F: FnMut(T) -> K>(self, key: F) -> Keyed<'b, T, P, F, K> {
        Keyed {
            scope: self.scope,
            pipe: self.pipe,
            node: self.node,
            key,
            kept: Kept::default(),
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

/// How the state of a keyed operator is kept.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kept {
    /// Where; in memory, unless something else was asked for.
    pub(crate) store: Option<Store>,
    /// State is forgotten when it was not worked on for this long.
    pub(crate) ttl_ms: Option<i64>,
    /// Stated before `in_order`: what follows it may say something else.
    is_inherited: bool,
}

impl Kept {
    fn own(&mut self) -> &mut Self {
        self.is_inherited = false;
        self
    }
}

/// Rows that are grouped by key, and wait to be told what is done with each group.
#[must_use = "rows grouped by key do nothing before an operator such as `.count()` or `.aggregate(…)`"]
pub struct Keyed<'b, T, P, F, K> {
    pub(crate) scope: Scope<'b>,
    pub(crate) pipe: P,
    pub(crate) node: usize,
    pub(crate) key: F,
    /// How the state of what follows is kept.
    pub(crate) kept: Kept,
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
        (key, kept): (F, Kept),
    ) -> Self {
        Self {
            scope,
            pipe,
            node,
            key,
            kept: Kept {
                is_inherited: true,
                ..kept
            },
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
        let before = self.kept.store.filter(|_| !self.kept.is_inherited);
        self.scope.only_once("`state_store`", before.is_some());
        self.kept.own().store = Some(store);
        self
    }

    /// State that was not worked on for this long, by the wall clock, is forgotten: hidden from the function at once, removed soon
    /// after. For [`Keyed::process`], [`Keyed::deduplicate`] and [`Keyed::distinct`], alone or behind [`Keyed::in_order`]; before any
    /// other operator it is an error when the plan is learned. Timers stay.
    pub fn state_ttl(mut self, ttl: Duration) -> Self {
        let before = self.kept.ttl_ms.filter(|_| !self.kept.is_inherited);
        self.scope.only_once("`state_ttl`", before.is_some());
        self.kept.own().ttl_ms = Some(millis(ttl));
        self
    }
}
