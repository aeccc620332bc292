//! `try_map`: one row for each row, or an error.

use std::{fmt::Display, marker::PhantomData};

use crate::flow::{Flow, Kind, Meta, OnBad, Pipe, Scope, Stream};

/// Rows made by a function that may refuse; see [`Stream::try_map`].
pub struct TryMap<'b, T, P, F> {
    scope: Scope<'b>,
    operator: usize,
    pipe: P,
    f: F,
    item: PhantomData<fn() -> T>,
}

impl<'b, T, P> Stream<'b, T, P> {
    /// Makes a row from each row, or refuses it with a reason. Refused rows are left out and counted, or stop the job: see
    /// [`Stream::on_bad`].
    ///
    /// ```
    /// use engine::testing::Driver;
    ///
    /// let mut driver = Driver::new(|s| s.source("in").utf8().try_map(|l| l.parse::<i64>()).map(|n| ((), n)).sink("out"));
    /// driver.feed("in", ["1", "one", "2"]);
    /// assert_eq!(driver.read("out").len(), 2);
    /// assert_eq!(driver.counters("try_map-1").bad, 1);
    /// ```
    pub fn try_map<U, E: Display, F: FnMut(T) -> Result<U, E>>(
        self,
        f: F,
    ) -> Stream<'b, U, TryMap<'b, T, P, F>> {
        let operator = self.scope.operator(Kind::TryMap, &[self.node], None);
        self.scope.refuses(operator, OnBad::Skip);
        let pipe = TryMap {
            scope: self.scope,
            operator,
            pipe: self.pipe,
            f,
            item: PhantomData,
        };
        Stream::new(self.scope, operator, pipe)
    }
}

#[inline]
fn step<T, U, E: Display>(
    scope: Scope<'_>,
    operator: usize,
    mut f: impl FnMut(T) -> Result<U, E>,
    mut next: impl FnMut(Meta, U) -> Flow,
) -> impl FnMut(Meta, T) -> Flow {
    move |meta, item| match f(item) {
        Ok(item) => next(meta, item),
        Err(error) => scope.bad(operator, meta.record, || error.to_string()),
    }
}

impl<T, U, E: Display, P: Pipe<T>, F: FnMut(T) -> Result<U, E>> Pipe<U> for TryMap<'_, T, P, F> {
    const SHARED: bool = P::SHARED;

    #[inline]
    fn drive(self, f: impl FnMut(Meta, U) -> Flow) -> Flow {
        self.pipe.drive(step(self.scope, self.operator, self.f, f))
    }
}
