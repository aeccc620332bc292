//! `share`: keeps the rows of a batch, so that several operators can read them.

use std::rc::Rc;

use crate::flow::{Flow, Kind, Meta, Pipe, Resume, Scope, Stream};

/// The kept rows of a batch; see [`Stream::share`].
pub struct Shared<T>(pub(super) Rc<Vec<(Meta, T)>>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<'b, T: Clone, P: Pipe<T>> Stream<'b, T, P> {
    /// Keeps the rows, so that the stream can be cloned and read several times. One allocation a batch. What stands before it runs once for
    /// all readers, so that they see the same rows; it must give the same for the same record all the same ([`Scope`]).
    ///
    /// ```
    /// use engine::testing::Driver;
    ///
    /// let mut driver = Driver::new(|s| {
    ///     let lines = s.source("lines").utf8().share();
    ///     lines.clone().filter(|l| l.starts_with("ERROR")).map(|l| ((), l)).sink("errors");
    ///     lines.key_by(|l| l.len() as u64).count().sink("lengths");
    /// });
    /// driver.feed("lines", ["ERROR 1", "ok"]);
    /// assert_eq!(driver.read("errors").len(), 1);
    /// ```
    pub fn share(self) -> Stream<'b, T, Shared<T>> {
        let scope = self.scope;
        let node = scope.operator(Kind::Share, &[self.node], None);
        let mut kept = Vec::new();
        if scope.running().is_some() {
            let resume = Resume::new::<T, P>(scope);
            let _ = self.pipe.drive(step(scope, resume, &mut kept));
        }
        Stream::new(scope, node, Shared(Rc::new(kept)))
    }
}

#[inline]
fn step<T>(
    scope: Scope<'_>,
    mut resume: Resume,
    kept: &mut Vec<(Meta, T)>,
) -> impl FnMut(Meta, T) -> Flow {
    let limit = scope.call.share_rows;
    move |meta, item| {
        if !resume.is_new(scope, meta) {
            return Flow::Continue(());
        }
        kept.push((meta, item));
        if kept.len() >= limit {
            resume.full(scope)
        } else {
            Flow::Continue(())
        }
    }
}

impl<T: Clone> Pipe<T> for Shared<T> {
    const SHARED: bool = true;

    fn drive(self, mut f: impl FnMut(Meta, T) -> Flow) -> Flow {
        // The last reader could take the rows instead of cloning; they are views nearly always, so that it would gain nothing.
        for (meta, item) in self.0.iter() {
            f(*meta, item.clone())?;
        }
        Flow::Continue(())
    }
}
