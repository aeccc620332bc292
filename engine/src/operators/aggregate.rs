//! `aggregate`: folds the rows of each key into a value of another type.

use super::fold::Results;
use crate::{
    batch::{Decode, Encode, row::copy},
    flow::{Aggregating, Keyed, Kind, Merging, Pipe},
    state::State,
};

// Bounds stand at the methods: at the `impl`, rustc would not say what `Encode` has to say.
impl<'b, T, P, F, K> Keyed<'b, T, P, F, K> {
    /// Folds the rows of each key into a value that begins as `initial`. The changed keys come out once at each commit, with their
    /// values; after each row with `.emit_every_update()`.
    ///
    /// The rows themselves cross to the worker that owns the key: project them first to what the step needs, or say which part of them it
    /// needs beside the key ([`Keyed::aggregate_of`]).
    ///
    /// They are folded in the order in which they were read, which over several partitions is another one on each run. If the result
    /// depends on it (a list, the last value), put [`Keyed::in_order`] before it.
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
    ) -> Results<'b, K, T, Aggregating<A, S>>
    where
        T: Encode + Decode<'b>,
        P: Pipe<T>,
        F: FnMut(T) -> K,
        K: Encode + Decode<'b>,
    {
        self.fold(Kind::Aggregate, Aggregating(initial, step))
    }

    /// As [`Keyed::aggregate`] over a part of each row: what `part` gives is all that crosses beside the key, and what `step` gets. So a
    /// key that is borrowed from the row crosses once.
    ///
    /// ```
    /// use engine::testing::Driver;
    ///
    /// let mut driver = Driver::with_workers(2, |s| {
    ///     s.source("sales").utf8()
    ///         .try_map(|l| -> Result<_, std::num::ParseIntError> {
    ///             let (shop, amount) = l.split_once(' ').unwrap_or((l, "0"));
    ///             Ok((shop, amount.parse::<u64>()?))
    ///         })
    ///         .key_by(|(shop, _)| shop)
    ///         .aggregate_of(|(_, amount)| *amount, (0u64, 0u64), |(count, sum), amount| {
    ///             *count += 1;
    ///             *sum += amount;
    ///         })
    ///         .map(|(shop, (count, sum))| (shop, sum / count))
    ///         .sink("averages");
    /// });
    /// driver.feed("sales", ["north 2", "south 5", "north 4"]);
    /// driver.commit();
    /// let north = driver.read("averages").into_iter().find(|r| r.key_str() == Some("north")).unwrap();
    /// assert_eq!(north.value_u64(), Some(3));
    /// ```
    pub fn aggregate_of<V, A: State, S: FnMut(&mut A, V)>(
        self,
        mut part: impl FnMut(&T) -> V,
        initial: A,
        step: S,
    ) -> Results<'b, K, V, Aggregating<A, S>>
    where
        V: Encode + Decode<'b>,
        P: Pipe<T>,
        F: FnMut(T) -> K,
        K: Encode + Decode<'b>,
    {
        let write = move |row: &T, out: &mut Vec<u8>| part(row).encode_last(out);
        self.fold_part(Kind::Aggregate, Aggregating(initial, step), write)
    }

    /// As [`Keyed::aggregate`], for values that can be joined: `merge` joins two values, and what two parts of the rows have given must
    /// become what all of them would have given. Then rows for another worker are folded before they leave, and values cross
    /// instead of rows.
    ///
    /// ```
    /// use engine::testing::Driver;
    ///
    /// let mut driver = Driver::with_workers(2, |s| {
    ///     s.source("words").utf8()
    ///         .key_by(|w| w.len() as u64)
    ///         .aggregate_merging((u64::MAX, 0u64), |(first, last), w| {
    ///             let letter = u64::from(w.as_bytes()[0]);
    ///             *first = letter.min(*first);
    ///             *last = letter.max(*last);
    ///         }, |a, b| *a = (a.0.min(b.0), a.1.max(b.1)))
    ///         .map(|(len, (first, last))| (len, format!("{}-{}", first as u8 as char, last as u8 as char)))
    ///         .sink("letters");
    /// });
    /// driver.feed("words", ["be", "or", "to"]);
    /// driver.commit();
    /// assert_eq!(driver.read("letters")[0].value_str(), Some("b-t"));
    /// ```
    pub fn aggregate_merging<A: State, S: FnMut(&mut A, T), M: FnMut(&mut A, A)>(
        self,
        initial: A,
        step: S,
        merge: M,
    ) -> Results<'b, K, T, Merging<A, S, M>>
    where
        T: Encode + Decode<'b>,
        P: Pipe<T>,
        F: FnMut(T) -> K,
        K: Encode + Decode<'b>,
    {
        let scope = self.scope;
        // The key's closure may consume the row: what is folded is read back from its bytes, in the batch's arena.
        let mut bytes = Vec::new();
        let item = move |row: &T| copy(row, &mut bytes, scope.scratch());
        self.fold_merging(Kind::Aggregate, Merging(initial, step, merge), item)
    }
}
