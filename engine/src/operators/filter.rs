//! `filter`: keeps some rows.

use crate::flow::{Flow, Kind, Meta, Pipe, Stream};

/// Rows for which a function says yes; see [`Stream::filter`].
pub struct Filter<P, F>(P, F);

impl<'b, T, P> Stream<'b, T, P> {
    /// Keeps the rows for which `f` is true.
    ///
    /// ```
    /// use engine::testing::Driver;
    ///
    /// let mut driver = Driver::new(|s| s.source("in").utf8().filter(|l| !l.is_empty()).map(|l| ((), l)).sink("out"));
    /// driver.feed("in", ["a", "", "b"]);
    /// assert_eq!(driver.read("out").len(), 2);
    /// ```
    pub fn filter<F: FnMut(&T) -> bool>(self, f: F) -> Stream<'b, T, Filter<P, F>> {
        let node = self.scope.operator(Kind::Filter, &[self.node], None);
        Stream::new(self.scope, node, Filter(self.pipe, f))
    }
}

#[inline]
fn step<T>(
    mut f: impl FnMut(&T) -> bool,
    mut next: impl FnMut(Meta, T) -> Flow,
) -> impl FnMut(Meta, T) -> Flow {
    move |meta, item| {
        if f(&item) {
            next(meta, item)
        } else {
            Flow::Continue(())
        }
    }
}

impl<T, P: Pipe<T>, F: FnMut(&T) -> bool> Pipe<T> for Filter<P, F> {
    const SHARED: bool = P::SHARED;

    #[inline]
    fn drive(self, f: impl FnMut(Meta, T) -> Flow) -> Flow {
        self.0.drive(step(self.1, f))
    }
}
