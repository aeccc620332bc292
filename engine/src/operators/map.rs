//! `map`: one row for each row.

use std::marker::PhantomData;

use crate::flow::{Flow, Kind, Meta, Pipe, Stream};

/// Rows made by a function from each row; see [`Stream::map`].
pub struct Map<T, P, F>(P, F, PhantomData<fn() -> T>);

impl<'b, T, P> Stream<'b, T, P> {
    /// Makes a row from each row. What it gives may borrow from the row, or from `scope.scratch()`.
    ///
    /// ```
    /// use engine::testing::Driver;
    ///
    /// let mut driver = Driver::new(|s| s.source("lines").utf8().map(|l| (l, l.len() as u64)).sink("lengths"));
    /// driver.feed("lines", ["hello"]);
    /// assert_eq!(driver.read("lengths")[0].value_u64(), Some(5));
    /// ```
    pub fn map<U, F: FnMut(T) -> U>(self, f: F) -> Stream<'b, U, Map<T, P, F>> {
        let node = self.scope.operator(Kind::Map, &[self.node], None);
        Stream::new(self.scope, node, Map(self.pipe, f, PhantomData))
    }
}

// Free functions throughout: a closure written inside `drive` would carry all that is upstream in its type.
#[inline]
fn step<T, U>(
    mut f: impl FnMut(T) -> U,
    mut next: impl FnMut(Meta, U) -> Flow,
) -> impl FnMut(Meta, T) -> Flow {
    move |meta, item| next(meta, f(item))
}

impl<T, U, P: Pipe<T>, F: FnMut(T) -> U> Pipe<U> for Map<T, P, F> {
    const SHARED: bool = P::SHARED;

    #[inline]
    fn drive(self, f: impl FnMut(Meta, U) -> Flow) -> Flow {
        self.0.drive(step(self.1, f))
    }
}
