//! `for_each`: a stream that ends in a user's function.

use crate::flow::{Flow, Kind, Meta, Pipe, Stream};

impl<T, P: Pipe<T>> Stream<'_, T, P> {
    /// Calls `f` with each row. What it does outside the engine is not undone after a failure: rows since the last commit come again.
    pub fn for_each(self, f: impl FnMut(T)) {
        self.scope.operator(Kind::ForEach, &[self.node], None);
        if self.scope.running().is_some() {
            let _ = self.pipe.drive(step(f));
        }
    }
}

#[inline]
fn step<T>(mut f: impl FnMut(T)) -> impl FnMut(Meta, T) -> Flow {
    move |_, item| {
        f(item);
        Flow::Continue(())
    }
}
