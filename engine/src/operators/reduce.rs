//! `reduce`: joins the rows of each key two by two.

use super::fold::Results;
use crate::{
    batch::{Decode, Encode},
    flow::{Keyed, Kind, Pipe, Reducing},
    state::State,
};

impl<'b, T: State, P: Pipe<T>, F: FnMut(T) -> K, K: Encode + Decode<'b>> Keyed<'b, T, P, F, K> {
    /// Joins the rows of each key: the first one is the key's value, each further one is joined to it by `step(value, row)`. Results
    /// come out as with [`Keyed::aggregate`]. The rows must own their parts.
    ///
    /// Rows are joined in the order in which they were read, which over several partitions is another one on each run. If the result
    /// depends on it (text put together, the last value), put [`Keyed::in_order`] before it.
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
