//! `aggregate`: folds the rows of each key into a value of another type.

use super::fold::Results;
use crate::{
    batch::{Decode, Encode},
    flow::{Aggregating, Keyed, Kind, Pipe},
    state::State,
};

impl<'b, T: Encode + Decode<'b>, P: Pipe<T>, F: FnMut(T) -> K, K: Encode + Decode<'b>>
    Keyed<'b, T, P, F, K>
{
    /// Folds the rows of each key into a value that begins as `initial`. The changed keys come out once at each commit, with their
    /// values; after each row with `.emit_every_update()`.
    ///
    /// The rows themselves cross to the worker that owns the key: project them first to what the step needs.
    ///
    /// ```
    /// use engine::testing::Driver;
    ///
    /// let mut driver = Driver::new(|s| {
    ///     s.source("sales").utf8()
    ///         .try_map(|l| -> Result<_, std::num::ParseIntError> {
    ///             let (shop, amount) = l.split_once(' ').unwrap_or((l, "0"));
    ///             Ok((shop, amount.parse::<u64>()?))
    ///         })
    ///         .key_by(|(shop, _)| shop)
    ///         .aggregate(0u64, |sum, (_, amount)| *sum += amount)
    ///         .sink("sums");
    /// });
    /// driver.feed("sales", ["north 2", "south 5", "north 3"]);
    /// driver.commit();
    /// let north = driver.read("sums").into_iter().find(|r| r.key_str() == Some("north")).unwrap();
    /// assert_eq!(north.value_u64(), Some(5));
    /// ```
    pub fn aggregate<A: State, S: FnMut(&mut A, T)>(
        self,
        initial: A,
        step: S,
    ) -> Results<'b, K, T, Aggregating<A, S>> {
        self.fold(Kind::Aggregate, Aggregating(initial, step))
    }
}
