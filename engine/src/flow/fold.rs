//! Folds: how rows of one key, or of one key and window, become a value; and the ones that everybody needs.

use std::marker::PhantomData;

use super::{Accumulate, Number, OutOfRange, TotalOrder};
use crate::state::State;

/// Folds rows into a value.
pub trait Fold<T> {
    /// The value that is kept.
    type State: State;
    /// What is given out.
    type Out;

    /// Whether [`Fold::checked`] may refuse a value, so that the operator takes a policy for it.
    const REFUSES: bool = false;

    /// The value before the first row.
    fn initial(&self) -> Self::State;
    /// Takes a row in.
    fn step(&mut self, state: &mut Self::State, item: T);
    /// What is given out for a value; `None`: nothing.
    fn out(state: Self::State) -> Option<Self::Out>;
    /// As [`Fold::out`], where a value may be one that cannot be given out: that is a bad row of
    /// the operator, left out and counted, or what [`Stream::on_bad`](super::Stream::on_bad) says.
    ///
    /// # Errors
    /// When the value does not fit into what is given out.
    #[inline]
    fn checked(state: Self::State) -> Result<Option<Self::Out>, OutOfRange> {
        Ok(Self::out(state))
    }
}

/// A fold whose values can be joined: what two parts of the rows have given becomes what all of them would have given. Windows that
/// share slices, and sessions that grow together, need it.
pub trait Merge<T>: Fold<T> {
    /// Joins `other` into `state`; `other` holds rows that came later, or as early.
    fn merge(&mut self, state: &mut Self::State, other: Self::State);
}

/// Counts rows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counting;

impl<T> Fold<T> for Counting {
    type State = u64;
    type Out = u64;

    fn initial(&self) -> u64 {
        0
    }
    #[inline]
    fn step(&mut self, state: &mut u64, _: T) {
        *state += 1;
    }
    #[inline]
    fn out(state: u64) -> Option<u64> {
        Some(state)
    }
}

impl<T> Merge<T> for Counting {
    #[inline]
    fn merge(&mut self, state: &mut u64, other: u64) {
        *state += other;
    }
}

/// Sums, exactly where the numbers are whole: see [`Number::Sum`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Summing<N>(PhantomData<fn() -> N>);

impl<N> Summing<N> {
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<N: Number> Fold<N> for Summing<N> {
    type State = N::Sum;
    type Out = N;

    const REFUSES: bool = true;

    fn initial(&self) -> N::Sum {
        N::Sum::default()
    }
    #[inline]
    fn step(&mut self, state: &mut N::Sum, item: N) {
        state.add(item);
    }
    #[inline]
    fn out(state: N::Sum) -> Option<N> {
        state.total().ok()
    }
    #[inline]
    fn checked(state: N::Sum) -> Result<Option<N>, OutOfRange> {
        state.total().map(Some)
    }
}

impl<N: Number> Merge<N> for Summing<N> {
    #[inline]
    fn merge(&mut self, state: &mut N::Sum, other: N::Sum) {
        state.join(other);
    }
}

/// Keeps one of the values, the least or the greatest by their [`TotalOrder`].
#[derive(Clone, Copy, Debug)]
pub struct Extreme<N> {
    greatest: bool,
    value: PhantomData<fn() -> N>,
}

impl<N> Extreme<N> {
    pub(crate) fn new(greatest: bool) -> Self {
        Self {
            greatest,
            value: PhantomData,
        }
    }
}

impl<N: State + TotalOrder> Fold<N> for Extreme<N> {
    type State = Option<N>;
    type Out = N;

    fn initial(&self) -> Option<N> {
        None
    }
    #[inline]
    fn step(&mut self, state: &mut Option<N>, item: N) {
        let is_better = match state {
            None => true,
            Some(kept) if self.greatest => item.total_order(kept).is_gt(),
            Some(kept) => item.total_order(kept).is_lt(),
        };
        if is_better {
            *state = Some(item);
        }
    }
    #[inline]
    fn out(state: Option<N>) -> Option<N> {
        state
    }
}

impl<N: State + TotalOrder> Merge<N> for Extreme<N> {
    #[inline]
    fn merge(&mut self, state: &mut Option<N>, other: Option<N>) {
        if let Some(other) = other {
            self.step(state, other);
        }
    }
}

/// Averages: a sum and a number of rows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Averaging<N>(PhantomData<fn() -> N>);

impl<N> Averaging<N> {
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<N: Number> Fold<N> for Averaging<N> {
    type State = (N::Mean, u64);
    type Out = f64;

    fn initial(&self) -> (N::Mean, u64) {
        (N::Mean::default(), 0)
    }
    #[inline]
    fn step(&mut self, (sum, n): &mut (N::Mean, u64), item: N) {
        sum.add(item);
        *n += 1;
    }
    #[inline]
    fn out((sum, n): (N::Mean, u64)) -> Option<f64> {
        (n > 0).then(|| sum.mean(n))
    }
}

impl<N: Number> Merge<N> for Averaging<N> {
    #[inline]
    fn merge(&mut self, state: &mut (N::Mean, u64), other: (N::Mean, u64)) {
        state.0.join(other.0);
        state.1 += other.1;
    }
}

/// Keeps the few rows that are greatest by the [`TotalOrder`] of their scores; of equal ones those
/// that came first.
#[derive(Clone, Copy, Debug)]
pub struct Topping<S, T> {
    count: usize,
    row: PhantomData<fn() -> (S, T)>,
}

impl<S, T> Topping<S, T> {
    pub(crate) fn new(count: usize) -> Self {
        Self {
            count: count.max(1),
            row: PhantomData,
        }
    }
}

impl<S: State + TotalOrder, T: State> Fold<(S, T)> for Topping<S, T> {
    type State = Vec<(S, T)>;
    type Out = Vec<(S, T)>;

    fn initial(&self) -> Vec<(S, T)> {
        Vec::new()
    }
    #[inline]
    fn step(&mut self, best: &mut Vec<(S, T)>, row: (S, T)) {
        if best.len() >= self.count
            && best
                .last()
                .is_some_and(|worst| row.0.total_order(&worst.0).is_le())
        {
            return;
        }
        let at = best.partition_point(|kept| kept.0.total_order(&row.0).is_ge());
        best.insert(at, row);
        best.truncate(self.count);
    }
    #[inline]
    fn out(best: Vec<(S, T)>) -> Option<Vec<(S, T)>> {
        Some(best)
    }
}

impl<S: State + TotalOrder, T: State> Merge<(S, T)> for Topping<S, T> {
    fn merge(&mut self, best: &mut Vec<(S, T)>, other: Vec<(S, T)>) {
        for row in other {
            self.step(best, row);
        }
    }
}

/// An initial value and a step.
#[derive(Clone, Copy, Debug)]
pub struct Aggregating<A, S>(pub(crate) A, pub(crate) S);

impl<T, A: State, S: FnMut(&mut A, T)> Fold<T> for Aggregating<A, S> {
    type State = A;
    type Out = A;

    fn initial(&self) -> A {
        self.0.clone()
    }
    #[inline]
    fn step(&mut self, state: &mut A, item: T) {
        (self.1)(state, item);
    }
    #[inline]
    fn out(state: A) -> Option<A> {
        Some(state)
    }
}

/// An initial value, a step, and a way to join two values.
#[derive(Clone, Copy, Debug)]
pub struct Merging<A, S, M>(pub(crate) A, pub(crate) S, pub(crate) M);

impl<T, A: State, S: FnMut(&mut A, T), M> Fold<T> for Merging<A, S, M> {
    type State = A;
    type Out = A;

    fn initial(&self) -> A {
        self.0.clone()
    }
    #[inline]
    fn step(&mut self, state: &mut A, item: T) {
        (self.1)(state, item);
    }
    #[inline]
    fn out(state: A) -> Option<A> {
        Some(state)
    }
}

impl<T, A: State, S: FnMut(&mut A, T), M: FnMut(&mut A, A)> Merge<T> for Merging<A, S, M> {
    #[inline]
    fn merge(&mut self, state: &mut A, other: A) {
        (self.2)(state, other);
    }
}

/// Joins two rows into one.
#[derive(Clone, Copy, Debug)]
pub struct Reducing<S>(pub(crate) S);

impl<T: State, S: FnMut(T, T) -> T> Fold<T> for Reducing<S> {
    type State = Option<T>;
    type Out = T;

    fn initial(&self) -> Option<T> {
        None
    }
    #[inline]
    fn step(&mut self, state: &mut Option<T>, item: T) {
        *state = Some(match state.take() {
            Some(before) => (self.0)(before, item),
            None => item,
        });
    }
    #[inline]
    fn out(state: Option<T>) -> Option<T> {
        state
    }
}

impl<T: State, S: FnMut(T, T) -> T> Merge<T> for Reducing<S> {
    #[inline]
    fn merge(&mut self, state: &mut Option<T>, other: Option<T>) {
        if let Some(other) = other {
            self.step(state, other);
        }
    }
}
