//! `reduce`: joins the rows of each key two by two.

use super::fold::{Fold, Results};
use crate::{
    batch::{Decode, Encode},
    flow::{Keyed, Kind, Pipe},
    state::State,
};

/// Joins two rows into one; see [`Keyed::reduce`].
pub struct Reducing<S>(S);

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

impl<'b, T: State, P: Pipe<T>, F: FnMut(T) -> K, K: Encode + Decode<'b>> Keyed<'b, T, P, F, K> {
    /// Joins the rows of each key: the first one is the key's value, each further one is joined to it by `step(value, row)`. Results
    /// come out as with [`Keyed::aggregate`]. The rows must own their parts.
    ///
    /// ```
    /// use engine::testing::Driver;
    ///
    /// let mut driver = Driver::new(|s| {
    ///     s.source("n").utf8().try_map(str::parse::<u64>).key_by(|n| n % 2).reduce(u64::max).map(|(k, n)| (k, n)).sink("max");
    /// });
    /// driver.feed("n", ["3", "8", "5", "2"]);
    /// driver.commit();
    /// let mut max: Vec<_> = driver.read("max").iter().map(|r| r.value_u64().unwrap()).collect();
    /// max.sort();
    /// assert_eq!(max, [5, 8]);
    /// ```
    pub fn reduce<S: FnMut(T, T) -> T>(self, step: S) -> Results<'b, K, T, Reducing<S>> {
        self.fold(Kind::Reduce, Reducing(step))
    }
}
