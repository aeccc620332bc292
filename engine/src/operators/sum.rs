//! `sum`, `min`, `max`, `average`: one number of each row, folded by key. Only the number crosses to the key's owner, and of the
//! numbers for another worker their sum (least, greatest, sum and count) so far.

use super::fold::Results;
use crate::{
    batch::{Decode, Encode},
    flow::{Averaging, Extreme, Keyed, Kind, Number, Pipe, Summing, TotalOrder},
    state::State,
};

impl<'b, T, P: Pipe<T>, F: FnMut(T) -> K, K: Encode + Decode<'b>> Keyed<'b, T, P, F, K> {
    /// Sums a number of each row by key. Results come out as with [`Keyed::aggregate`].
    ///
    /// Sums of whole numbers are exact, whatever they add up to on the way, and so the same in
    /// every order and on any number of workers. Only a result must fit into the numbers' type: one
    /// that does not is a bad row of this operator, left out and counted (`bad`), or what
    /// [`on_bad`](crate::flow::Stream::on_bad) after it says. Where that can be, sum a wider type:
    /// `.sum(|r| i64::from(r.amount))`. (Flink's and Java's sums wrap round in silence, those of
    /// databases fail.)
    ///
    /// Sums of `f32` are added up as `f64`, and are bad rows when they are finite and beyond `f32`.
    /// Fractions are rounded at each step, so their last digits depend on the order of the rows;
    /// sum whole cents where that matters. NaN and opposite infinities make a sum NaN.
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

    /// The average of a number of each row, by key: of whole numbers their exact sum, of fractions
    /// the sum of doubles, divided by the number of rows. Results come out as with
    /// [`Keyed::aggregate`].
    pub fn average<N: Number>(
        self,
        number: impl FnMut(&T) -> N,
    ) -> Results<'b, K, N, Averaging<N>> {
        self.fold_merging(Kind::Average, Averaging::new(), number)
    }

    /// The least value of each key, in [`TotalOrder`]: NaN only where there is nothing else.
    /// Results come out as with [`Keyed::aggregate`].
    pub fn min<N: State + TotalOrder>(
        self,
        value: impl FnMut(&T) -> N,
    ) -> Results<'b, K, N, Extreme<N>> {
        self.fold_merging(Kind::Min, Extreme::new(false), value)
    }

    /// The greatest value of each key, in [`TotalOrder`]: NaN is greater than all numbers. Results
    /// come out as with [`Keyed::aggregate`].
    pub fn max<N: State + TotalOrder>(
        self,
        value: impl FnMut(&T) -> N,
    ) -> Results<'b, K, N, Extreme<N>> {
        self.fold_merging(Kind::Max, Extreme::new(true), value)
    }
}
