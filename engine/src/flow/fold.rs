//! Folds: how rows of one key, or of one key and window, become a value; and the ones that everybody needs.

use std::{cmp::Ordering, marker::PhantomData};

use crate::{
    batch::{Decode, Encode},
    state::State,
};

/// Folds rows into a value.
pub trait Fold<T> {
    /// The value that is kept.
    type State: State;
    /// What is given out.
    type Out;

    /// The value before the first row.
    fn initial(&self) -> Self::State;
    /// Takes a row in.
    fn step(&mut self, state: &mut Self::State, item: T);
    /// What is given out for a value; `None`: nothing.
    fn out(state: Self::State) -> Option<Self::Out>;
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

/// A number that can be summed and compared.
pub trait Number: State + Copy + PartialOrd + for<'b> Decode<'b> + Encode {
    /// Nothing.
    const ZERO: Self;
    /// The sum; whole numbers stay at the end of their range instead of wrapping round.
    #[must_use]
    fn plus(self, other: Self) -> Self;
    /// For averages.
    fn to_f64(self) -> f64;
}

macro_rules! whole_numbers {
    ($($t:ty),*) => {$(
        impl Number for $t {
            const ZERO: Self = 0;
            #[inline]
            fn plus(self, other: Self) -> Self {
                self.saturating_add(other)
            }
            #[inline]
            fn to_f64(self) -> f64 {
                self as f64
            }
        }
    )*};
}
whole_numbers!(u8, u16, u32, u64, u128, i8, i16, i32, i64, i128);

macro_rules! fractions {
    ($($t:ty),*) => {$(
        impl Number for $t {
            const ZERO: Self = 0.0;
            #[inline]
            fn plus(self, other: Self) -> Self {
                self + other
            }
            #[inline]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
        }
    )*};
}
fractions!(f32, f64);

/// Sums.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summing<N>(PhantomData<fn() -> N>);

impl<N> Summing<N> {
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<N: Number> Fold<N> for Summing<N> {
    type State = N;
    type Out = N;

    fn initial(&self) -> N {
        N::ZERO
    }
    #[inline]
    fn step(&mut self, state: &mut N, item: N) {
        *state = state.plus(item);
    }
    #[inline]
    fn out(state: N) -> Option<N> {
        Some(state)
    }
}

impl<N: Number> Merge<N> for Summing<N> {
    #[inline]
    fn merge(&mut self, state: &mut N, other: N) {
        *state = state.plus(other);
    }
}

/// Keeps one of the values: the least or the greatest.
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

impl<N: State + PartialOrd> Fold<N> for Extreme<N> {
    type State = Option<N>;
    type Out = N;

    fn initial(&self) -> Option<N> {
        None
    }
    #[inline]
    fn step(&mut self, state: &mut Option<N>, item: N) {
        let is_better = match state {
            None => true,
            Some(kept) if self.greatest => item > *kept,
            Some(kept) => item < *kept,
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

impl<N: State + PartialOrd> Merge<N> for Extreme<N> {
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
    type State = (f64, u64);
    type Out = f64;

    fn initial(&self) -> (f64, u64) {
        (0.0, 0)
    }
    #[inline]
    fn step(&mut self, (sum, n): &mut (f64, u64), item: N) {
        *sum += item.to_f64();
        *n += 1;
    }
    #[inline]
    fn out((sum, n): (f64, u64)) -> Option<f64> {
        (n > 0).then(|| sum / n as f64)
    }
}

impl<N: Number> Merge<N> for Averaging<N> {
    #[inline]
    fn merge(&mut self, state: &mut (f64, u64), other: (f64, u64)) {
        state.0 += other.0;
        state.1 += other.1;
    }
}

/// Keeps the few greatest rows; of equal ones those that came first.
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

impl<S: State + PartialOrd, T: State> Fold<(S, T)> for Topping<S, T> {
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
                .is_some_and(|worst| row.0.partial_cmp(&worst.0) != Some(Ordering::Greater))
        {
            return;
        }
        let at = best.partition_point(|kept| kept.0 >= row.0);
        best.insert(at, row);
        best.truncate(self.count);
    }
    #[inline]
    fn out(best: Vec<(S, T)>) -> Option<Vec<(S, T)>> {
        Some(best)
    }
}

impl<S: State + PartialOrd, T: State> Merge<(S, T)> for Topping<S, T> {
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
