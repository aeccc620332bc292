//! `branch`: one stream becomes two, by a question to each row.

use std::rc::Rc;

use super::share::Shared;
use crate::flow::{Flow, Kind, Meta, Pipe, Resume, Scope, Stream};

impl<'b, T: Clone, P: Pipe<T>> Stream<'b, T, P> {
    /// Splits the stream: rows for which `f` is true, and the others. Call it again on a part to split further. The rows of a batch are
    /// kept meanwhile, as by [`Stream::share`]: two allocations a batch.
    ///
    /// ```
    /// use engine::testing::Driver;
    ///
    /// let mut driver = Driver::new(|s| {
    ///     let (errors, fine) = s.source("log").utf8().branch(|l| l.starts_with("ERROR"));
    ///     errors.map(|l| ((), l)).sink("alerts");
    ///     fine.key_by(|l| l.len() as u64).count().sink("lengths");
    /// });
    /// driver.feed("log", ["ERROR 1", "ok", "ok"]);
    /// driver.commit();
    /// assert_eq!((driver.read("alerts").len(), driver.read("lengths").len()), (1, 1));
    /// ```
    pub fn branch(
        self,
        f: impl FnMut(&T) -> bool,
    ) -> (Stream<'b, T, Shared<T>>, Stream<'b, T, Shared<T>>) {
        let scope = self.scope;
        let node = scope.operator(Kind::Branch, &[self.node], None);
        let (mut yes, mut no) = (Vec::new(), Vec::new());
        if scope.running().is_some() {
            let resume = Resume::new::<T, P>(scope);
            let _ = self.pipe.drive(step(scope, resume, f, &mut yes, &mut no));
        }
        let part = |rows| Stream::new(scope, node, Shared(Rc::new(rows)));
        (part(yes), part(no))
    }
}

#[inline]
fn step<T>(
    scope: Scope<'_>,
    mut resume: Resume,
    mut f: impl FnMut(&T) -> bool,
    yes: &mut Vec<(Meta, T)>,
    no: &mut Vec<(Meta, T)>,
) -> impl FnMut(Meta, T) -> Flow {
    let limit = scope.call.share_rows;
    move |meta, item| {
        if !resume.is_new(scope, meta) {
            return Flow::Continue(());
        }
        if f(&item) {
            yes.push((meta, item));
        } else {
            no.push((meta, item));
        }
        if yes.len() + no.len() >= limit {
            resume.full(scope)
        } else {
            Flow::Continue(())
        }
    }
}

impl<'b, A: Clone, B: Clone, P: Pipe<Result<A, B>>> Stream<'b, Result<A, B>, P> {
    /// Splits a stream of results: the `Ok` ones, and the others. With it a function has a side output. The rows of a batch are kept
    /// meanwhile, as by [`Stream::share`].
    ///
    /// ```
    /// use engine::testing::Driver;
    ///
    /// let mut driver = Driver::new(|s| {
    ///     let (numbers, others) = s.source("in").utf8().map(|l| l.parse::<u64>().map_err(|_| l)).split();
    ///     numbers.map(|n| ((), n)).sink("numbers");
    ///     others.map(|l| ((), l)).sink("others");
    /// });
    /// driver.feed("in", ["1", "one"]);
    /// assert_eq!(driver.read("others")[0].value_str(), Some("one"));
    /// ```
    pub fn split(self) -> (Stream<'b, A, Shared<A>>, Stream<'b, B, Shared<B>>) {
        let scope = self.scope;
        let node = scope.operator(Kind::Branch, &[self.node], None);
        let (mut yes, mut no) = (Vec::new(), Vec::new());
        if scope.running().is_some() {
            let resume = Resume::new::<Result<A, B>, P>(scope);
            let _ = self
                .pipe
                .drive(split_step(scope, resume, &mut yes, &mut no));
        }
        (
            Stream::new(scope, node, Shared(Rc::new(yes))),
            Stream::new(scope, node, Shared(Rc::new(no))),
        )
    }
}

#[inline]
fn split_step<A, B>(
    scope: Scope<'_>,
    mut resume: Resume,
    yes: &mut Vec<(Meta, A)>,
    no: &mut Vec<(Meta, B)>,
) -> impl FnMut(Meta, Result<A, B>) -> Flow {
    let limit = scope.call.share_rows;
    move |meta, item| {
        if !resume.is_new(scope, meta) {
            return Flow::Continue(());
        }
        match item {
            Ok(item) => yes.push((meta, item)),
            Err(item) => no.push((meta, item)),
        }
        if yes.len() + no.len() >= limit {
            resume.full(scope)
        } else {
            Flow::Continue(())
        }
    }
}
