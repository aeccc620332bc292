//! `window`: what users write between `key_by` and the fold.

use std::{collections::BTreeSet, time::Duration};

use super::{
    folding::{self, Made},
    operator::{Results, windowed},
    spec::{Rules, Tumbling, WindowSpec},
};
use crate::{
    batch::{Decode, Encode},
    flow::{
        Aggregating, Averaging, Counting, Emit, Extreme, Fold, Keyed, Merge, Merging, Number,
        OutOfRange, Pipe, Reducing, Summing, Topping, TotalOrder,
    },
    state::State,
    time::millis,
};

/// Rows that are grouped by key and window, and wait to be told what is done with each group.
#[must_use = "windows do nothing before a fold such as `.count()` or `.sum(…)`"]
pub struct Windowed<'b, T, P, F, K, W> {
    keyed: Keyed<'b, T, P, F, K>,
    spec: W,
    rules: Rules,
    /// The modifier that says when results are given out.
    emits: Option<&'static str>,
    has_lateness: bool,
}

impl<'b, T, P, F, K> Keyed<'b, T, P, F, K> {
    /// Groups the rows of each key by windows of event time: [`Tumbling`], [`Hopping`](super::Hopping), [`Sliding`](super::Sliding) or
    /// [`Session`](super::Session). A window's result is given out when the watermark has passed its end. Folds that depend on the order
    /// of rows ([`Windowed::reduce`], ties of [`Windowed::top_n`]) see it as they were read, or by time behind [`Keyed::in_order`].
    pub fn window<W: WindowSpec>(self, spec: W) -> Windowed<'b, T, P, F, K, W> {
        Windowed {
            keyed: self,
            spec,
            rules: Rules {
                lateness_ms: 0,
                emit: Emit::OnClose,
                early_ms: 0,
            },
            emits: None,
            has_lateness: false,
        }
    }
}

impl<'b, T, P, F, K, W: WindowSpec> Windowed<'b, T, P, F, K, W> {
    /// Keeps windows for this long after they have closed: a row that comes in this time changes the result, which is given out again at
    /// the next commit. It costs the memory of that time.
    pub fn allowed_lateness(mut self, lateness: Duration) -> Self {
        let scope = self.keyed.scope;
        scope.only_once("`allowed_lateness`", self.has_lateness);
        self.has_lateness = true;
        self.rules.lateness_ms = millis(lateness).min(super::spec::TIME_MAX);
        self
    }

    /// Gives out the results of windows that have changed at each commit too, before they close.
    pub fn emit_each_commit(mut self) -> Self {
        self.emits("`emit_each_commit`", Emit::ChangedKeys);
        self
    }

    /// Gives out the results of windows that have changed before they close too, each at most once in `every`, by a clock that nobody sets. (Changes are
    /// gathered at commits, so a shorter time than the commit interval gives no more.) After a restart all windows that are open give out once.
    ///
    /// ```
    /// use std::time::Duration;
    /// use engine::{testing::Driver, windows::Tumbling};
    ///
    /// let mut driver = Driver::new(|s| {
    ///     s.source("in").utf8()
    ///         .key_by(|w| w)
    ///         .window(Tumbling::of(Duration::from_secs(3600)))
    ///         .emit_early(Duration::from_secs(10))
    ///         .count()
    ///         .map(|(word, _, n)| (word, n))
    ///         .sink("counts");
    /// });
    /// driver.feed("in", ["a", "a"]);
    /// driver.commit();
    /// driver.set_clock(10_000);
    /// assert_eq!(driver.read("counts")[0].value_u64(), Some(2));
    /// ```
    pub fn emit_early(mut self, every: Duration) -> Self {
        self.emits("`emit_early`", Emit::Early);
        self.rules.early_ms = millis(every).max(1);
        self
    }

    /// Gives out one result for each key and window, when its end and the allowed lateness have passed; nothing is corrected later.
    pub fn emit_final(mut self) -> Self {
        self.emits("`emit_final`", Emit::Final);
        self
    }

    fn emits(&mut self, modifier: &'static str, emit: Emit) {
        if let Some(before) = self.emits.replace(modifier) {
            let both = format!("{modifier} (behind {before})");
            self.keyed.scope.only_once(&both, true);
        }
        self.rules.emit = emit;
    }
}

impl<'b, T, P: Pipe<T>, F: FnMut(T) -> K, K: Encode + Decode<'b>, W: WindowSpec>
    Windowed<'b, T, P, F, K, W>
{
    /// A fold of what `item` makes of each row.
    fn made<V: Encode + Decode<'b>, G: Merge<V>>(
        self,
        fold: G,
        item: impl FnMut(&T) -> V,
    ) -> Results<'b, K, V, G> {
        windowed(self.keyed, self.spec, self.rules, fold, true, Made(item))
    }

    /// A fold of the rows themselves.
    fn whole<G: Merge<T>>(self, fold: G, merges: bool) -> Results<'b, K, T, G>
    where
        T: Encode + Decode<'b>,
    {
        let item = folding::Whole {
            bump: self.keyed.scope.scratch(),
            bytes: Vec::new(),
        };
        windowed(self.keyed, self.spec, self.rules, fold, merges, item)
    }

    /// Folds rows in a way of your own, whose parts can be joined: see [`Merge`].
    pub fn fold<G: Merge<T>>(self, fold: G) -> Results<'b, K, T, G>
    where
        T: Encode + Decode<'b>,
    {
        self.whole(fold, true)
    }

    /// Counts the rows of each key and window. Nothing but the key crosses to its owner.
    pub fn count(self) -> Results<'b, K, (), Counting> {
        windowed(
            self.keyed,
            self.spec,
            self.rules,
            Counting,
            true,
            folding::Nothing,
        )
    }

    /// Sums a number of each row, exactly where it is whole; what does not fit is a bad row, and
    /// `f32` is added up as `f64`: as [`Keyed::sum`].
    pub fn sum<N: Number>(self, number: impl FnMut(&T) -> N) -> Results<'b, K, N, Summing<N>> {
        self.made(Summing::new(), number)
    }

    /// The average of a number of each row, of whole numbers from their exact sum.
    pub fn average<N: Number>(
        self,
        number: impl FnMut(&T) -> N,
    ) -> Results<'b, K, N, Averaging<N>> {
        self.made(Averaging::new(), number)
    }

    /// The least value, in [`TotalOrder`].
    pub fn min<N: State + TotalOrder>(
        self,
        value: impl FnMut(&T) -> N,
    ) -> Results<'b, K, N, Extreme<N>> {
        self.made(Extreme::new(false), value)
    }

    /// The greatest value, in [`TotalOrder`]: NaN is greater than all numbers.
    pub fn max<N: State + TotalOrder>(
        self,
        value: impl FnMut(&T) -> N,
    ) -> Results<'b, K, N, Extreme<N>> {
        self.made(Extreme::new(true), value)
    }

    /// The rows with the greatest score in [`TotalOrder`], best first; of equal ones those that
    /// came first.
    pub fn top_n<S: State + TotalOrder, R: State>(
        self,
        count: usize,
        row: impl FnMut(&T) -> (S, R),
    ) -> Results<'b, K, (S, R), Topping<S, R>> {
        self.made(Topping::new(count), row)
    }

    /// The number of different values, exactly: they are kept, so memory grows with their number, and a commit writes those of each changed
    /// key into the changelog. Hopping windows and sessions join them.
    ///
    /// ```
    /// use std::time::Duration;
    /// use engine::{testing::Driver, windows::Hopping};
    ///
    /// // Visits: page, user, time. Different users of each page in the last ten seconds, every five.
    /// let mut driver = Driver::new(|s| {
    ///     s.source("visits").utf8()
    ///         .try_map(|l| -> Result<_, std::num::ParseIntError> {
    ///             let (page, rest) = l.split_once(' ').unwrap_or((l, "nobody 0"));
    ///             let (user, time) = rest.split_once(' ').unwrap_or((rest, "0"));
    ///             Ok((page, user, time.parse::<i64>()?))
    ///         })
    ///         .with_timestamps(|r| r.2, Duration::ZERO)
    ///         .key_by(|r| r.0)
    ///         .window(Hopping::of(Duration::from_secs(10), Duration::from_secs(5)))
    ///         .count_distinct(|r| r.1.to_owned())
    ///         .map(|(page, window, users)| (page, format!("{}: {users}", window.end)))
    ///         .sink("users");
    /// });
    /// driver.feed("visits", ["home ann 1000", "home bob 2000", "home ann 6000", "home cid 7000"]);
    /// driver.finish();
    /// let users: Vec<_> = driver.read("users").iter().map(|r| r.value_str().unwrap().to_owned()).collect();
    /// assert_eq!(users, ["5000: 2", "10000: 3", "15000: 2"]);
    /// ```
    pub fn count_distinct<N: State + Ord>(
        self,
        value: impl FnMut(&T) -> N,
    ) -> Results<'b, K, N, Differing<N>> {
        self.made(Differing(std::marker::PhantomData), value)
    }

    /// The different values themselves, in order; kept as for [`Windowed::count_distinct`].
    pub fn distinct<N: State + Ord>(
        self,
        value: impl FnMut(&T) -> N,
    ) -> Results<'b, K, N, Collecting<N>> {
        let fold = Collecting(Differing(std::marker::PhantomData));
        self.made(fold, value)
    }

    /// Joins rows two by two; the rows must own their parts. `step(a, b)` must not care how rows are grouped on the way:
    /// `step(step(a, b), c)` is `step(a, step(b, c))`.
    pub fn reduce<S: FnMut(T, T) -> T>(self, step: S) -> Results<'b, K, T, Reducing<S>>
    where
        T: State,
    {
        self.whole(Reducing(step), true)
    }

    /// Folds rows into a value that begins as `initial`. `merge` joins two such values: what two parts of the rows have given must
    /// become what all of them would have given. The rows themselves cross to the key's owner: project them first.
    pub fn aggregate_merging<A: State, S: FnMut(&mut A, T), M: FnMut(&mut A, A)>(
        self,
        initial: A,
        step: S,
        merge: M,
    ) -> Results<'b, K, T, Merging<A, S, M>>
    where
        T: Encode + Decode<'b>,
    {
        self.whole(Merging(initial, step, merge), true)
    }
}

impl<'b, T, P: Pipe<T>, F: FnMut(T) -> K, K: Encode + Decode<'b>>
    Windowed<'b, T, P, F, K, Tumbling>
{
    /// Folds rows into a value that begins as `initial`. Other kinds of windows join parts of them:
    /// [`Windowed::aggregate_merging`].
    pub fn aggregate<A: State, S: FnMut(&mut A, T)>(
        self,
        initial: A,
        step: S,
    ) -> Results<'b, K, T, Whole<Aggregating<A, S>>>
    where
        T: Encode + Decode<'b>,
    {
        self.whole(Whole(Aggregating(initial, step)), false)
    }
}

/// A fold whose windows are never made of parts.
pub struct Whole<G>(G);

impl<T, G: Fold<T>> Fold<T> for Whole<G> {
    type State = G::State;
    type Out = G::Out;

    fn initial(&self) -> G::State {
        self.0.initial()
    }
    #[inline]
    fn step(&mut self, state: &mut G::State, item: T) {
        self.0.step(state, item);
    }
    #[inline]
    fn out(state: G::State) -> Option<G::Out> {
        G::out(state)
    }
    #[inline]
    fn checked(state: G::State) -> Result<Option<G::Out>, OutOfRange> {
        G::checked(state)
    }
}

impl<T, G: Fold<T>> Merge<T> for Whole<G> {
    fn merge(&mut self, _: &mut G::State, _: G::State) {
        debug_assert!(false, "a tumbling window is one slice");
    }
}

/// Counts different values; see [`Windowed::count_distinct`].
pub struct Differing<N>(std::marker::PhantomData<fn() -> N>);

impl<N: State + Ord> Fold<N> for Differing<N> {
    type State = BTreeSet<N>;
    type Out = u64;

    fn initial(&self) -> BTreeSet<N> {
        BTreeSet::new()
    }
    fn step(&mut self, values: &mut BTreeSet<N>, item: N) {
        values.insert(item);
    }
    fn out(values: BTreeSet<N>) -> Option<u64> {
        Some(values.len() as u64)
    }
}

impl<N: State + Ord> Merge<N> for Differing<N> {
    fn merge(&mut self, values: &mut BTreeSet<N>, mut other: BTreeSet<N>) {
        // Few into many: the cost is that of the fewer.
        if other.len() > values.len() {
            std::mem::swap(values, &mut other);
        }
        values.extend(other);
    }
}

/// Collects different values; see [`Windowed::distinct`].
pub struct Collecting<N>(Differing<N>);

impl<N: State + Ord> Fold<N> for Collecting<N> {
    type State = BTreeSet<N>;
    type Out = BTreeSet<N>;

    fn initial(&self) -> BTreeSet<N> {
        BTreeSet::new()
    }
    fn step(&mut self, values: &mut BTreeSet<N>, item: N) {
        self.0.step(values, item);
    }
    fn out(values: BTreeSet<N>) -> Option<BTreeSet<N>> {
        Some(values)
    }
}

impl<N: State + Ord> Merge<N> for Collecting<N> {
    fn merge(&mut self, values: &mut BTreeSet<N>, other: BTreeSet<N>) {
        self.0.merge(values, other);
    }
}
