//! `flat_map`: any number of rows for each row.

use std::marker::PhantomData;

use crate::flow::{Flow, Kind, Meta, Pipe, Stream};

/// The rows of an iterator for each row; see [`Stream::flat_map`].
pub struct FlatMap<T, P, F>(P, F, PhantomData<fn() -> T>);

impl<'b, T, P> Stream<'b, T, P> {
    /// Makes rows from each row: those of an iterator, an array, an `Option`.
    ///
    /// One row may give more than fits into memory: the batch is then left in the middle of the iterator, and `f` is called again
    /// with the same row, its first results being passed over. So it must give the same rows for the same row, and so
    /// must all closures before it ([`Scope`](crate::flow::Scope)).
    ///
    /// ```
    /// use engine::testing::Driver;
    ///
    /// let mut driver = Driver::new(|s| {
    ///     s.source("lines").utf8().flat_map(|line| line.split_ascii_whitespace()).map(|w| (w, w)).sink("words");
    /// });
    /// driver.feed("lines", ["a b", "c"]);
    /// assert_eq!(driver.read("words").len(), 3);
    /// ```
    pub fn flat_map<I: IntoIterator, F: FnMut(T) -> I>(
        self,
        f: F,
    ) -> Stream<'b, I::Item, FlatMap<T, P, F>> {
        let node = self.scope.operator(Kind::FlatMap, &[self.node], None);
        Stream::new(self.scope, node, FlatMap(self.pipe, f, PhantomData))
    }
}

#[inline]
fn step<T, I: IntoIterator>(
    mut f: impl FnMut(T) -> I,
    mut next: impl FnMut(Meta, I::Item) -> Flow,
) -> impl FnMut(Meta, T) -> Flow {
    move |meta, item| {
        for item in f(item) {
            next(meta, item)?;
        }
        Flow::Continue(())
    }
}

impl<T, U, P: Pipe<T>, I: IntoIterator<Item = U>, F: FnMut(T) -> I> Pipe<U> for FlatMap<T, P, F> {
    const SHARED: bool = P::SHARED;

    #[inline]
    fn drive(self, f: impl FnMut(Meta, U) -> Flow) -> Flow {
        self.0.drive(step(self.1, f))
    }
}
