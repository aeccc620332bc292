//! `top_n`: the few greatest rows of each key.

use super::fold::Results;
use crate::{
    batch::{Decode, Encode},
    flow::{Keyed, Kind, Pipe, Topping, TotalOrder},
    state::State,
};

impl<'b, T, P: Pipe<T>, F: FnMut(T) -> K, K: Encode + Decode<'b>> Keyed<'b, T, P, F, K> {
    /// Keeps the `count` rows of each key with the greatest score in [`TotalOrder`] (NaN comes
    /// first), best first; of equal ones those that came first (with [`Keyed::in_order`] before it:
    /// those of the earliest event time, on every run the same). `row` makes what is kept: a score,
    /// and what it belongs to. Results come out as with [`Keyed::aggregate`].
    ///
    /// ```
    /// use engine::{formats::Json, testing::Driver};
    ///
    /// let mut driver = Driver::new(|s| {
    ///     s.source("words").utf8()
    ///         .key_by(|w| w.chars().next())
    ///         .top_n(2, |w| (w.len() as u64, w.to_string()))
    ///         .map(|(_, best)| ((), Json(best)))
    ///         .sink("longest");
    /// });
    /// driver.feed("words", ["a", "alphabet", "ab", "all"]);
    /// driver.commit();
    /// assert_eq!(driver.read("longest")[0].value_str(), Some(r#"[[8,"alphabet"],[3,"all"]]"#));
    /// ```
    pub fn top_n<S: State + TotalOrder, R: State>(
        self,
        count: usize,
        mut row: impl FnMut(&T) -> (S, R),
    ) -> Results<'b, K, (S, R), Topping<S, R>> {
        self.fold_part(Kind::TopN, Topping::new(count), move |item, out| {
            row(item).encode_last(out);
        })
    }
}
