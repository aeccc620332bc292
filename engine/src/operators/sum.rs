//! `sum`, `min`, `max`, `average`: one number of each row, folded by key. Only the number crosses to the key's owner, and of the
//! numbers for another worker their sum (least, greatest, sum and count) so far.

use super::fold::Results;
use crate::{
    batch::{Decode, Encode},
    flow::{Averaging, Extreme, Keyed, Kind, Number, Pipe, Summing},
    state::State,
};

impl<'b, T, P: Pipe<T>, F: FnMut(T) -> K, K: Encode + Decode<'b>> Keyed<'b, T, P, F, K> {
    /// Sums a number of each row by key. Whole numbers stay at the end of their range instead of wrapping round. Results come out as
    /// with [`Keyed::aggregate`].
    ///
    /// ```
    /// use engine::testing::Driver;
    ///
    /// let mut driver = Driver::new(|s| {
    ///     s.source("n").utf8().try_map(str::parse::<u64>).key_by(|n| n % 2).sum(|n| *n).sink("sums");
    /// });
    /// driver.feed("n", ["1", "2", "3"]);
    /// driver.commit();
    /// let mut sums: Vec<_> = driver.read("sums").iter().map(|r| r.value_u64().unwrap()).collect();
    /// sums.sort();
    /// assert_eq!(sums, [2, 4]);
    /// ```
    pub fn sum<N: Number>(self, number: impl FnMut(&T) -> N) -> Results<'b, K, N, Summing<N>> {
        self.fold_merging(Kind::Sum, Summing::new(), number)
    }

    /// The average of a number of each row, by key. Results come out as with [`Keyed::aggregate`].
    pub fn average<N: Number>(
        self,
        number: impl FnMut(&T) -> N,
    ) -> Results<'b, K, N, Averaging<N>> {
        self.fold_merging(Kind::Average, Averaging::new(), number)
    }

    /// The least value of each key. Results come out as with [`Keyed::aggregate`].
    pub fn min<N: State + PartialOrd>(
        self,
        value: impl FnMut(&T) -> N,
    ) -> Results<'b, K, N, Extreme<N>> {
        self.fold_merging(Kind::Min, Extreme::new(false), value)
    }

    /// The greatest value of each key. Results come out as with [`Keyed::aggregate`].
    pub fn max<N: State + PartialOrd>(
        self,
        value: impl FnMut(&T) -> N,
    ) -> Results<'b, K, N, Extreme<N>> {
        self.fold_merging(Kind::Max, Extreme::new(true), value)
    }
}
