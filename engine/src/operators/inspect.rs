//! `inspect`: looks at rows as they pass.

use crate::flow::{Flow, Kind, Meta, Pipe, Scope, Stream};

/// Rows that a function has seen; see [`Stream::inspect`].
pub struct Inspect<'b, P, F>(Scope<'b>, P, F);

impl<'b, T, P> Stream<'b, T, P> {
    /// Calls `f` with each row and lets it pass. For looking, not for effects: after a restart the rows since the last commit come again.
    pub fn inspect<F: FnMut(&T)>(self, f: F) -> Stream<'b, T, Inspect<'b, P, F>> {
        let node = self.scope.operator(Kind::Inspect, &[self.node], None);
        Stream::new(self.scope, node, Inspect(self.scope, self.pipe, f))
    }
}

#[inline]
fn step<T>(
    scope: Scope<'_>,
    mut f: impl FnMut(&T),
    mut next: impl FnMut(Meta, T) -> Flow,
) -> impl FnMut(Meta, T) -> Flow {
    move |meta, item| {
        if !scope.call.progress.replaying.get() {
            f(&item);
        }
        next(meta, item)
    }
}

impl<T, P: Pipe<T>, F: FnMut(&T)> Pipe<T> for Inspect<'_, P, F> {
    const SHARED: bool = P::SHARED;

    #[inline]
    fn drive(self, f: impl FnMut(Meta, T) -> Flow) -> Flow {
        self.1.drive(step(self.0, self.2, f))
    }
}
