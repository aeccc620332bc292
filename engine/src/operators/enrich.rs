//! `enrich`: an answer from outside for each row, awaited while other rows go on.

use std::{fmt::Display, future::Future, marker::PhantomData, time::Duration};

use crate::{
    batch::{Decode, row::decode_all},
    flow::{
        ANSWERED, Ask, Error, Flow, Kind, Meta, OnBad, Pipe, Port, Scope, Slot, Stream, Waited,
        Waiting, send_own, undecodable,
    },
    state::State,
    time::millis,
};

/// How answers are waited for; see [`Stream::enrich`].
///
/// ```
/// use std::time::Duration;
/// use engine::operators::AsyncWait;
///
/// let wait = AsyncWait::unordered()
///     .capacity(500)
///     .timeout(Duration::from_secs(2))
///     .retries(3, Duration::from_millis(50));
/// assert_eq!(wait.to_string(), "unordered, 500 under way, 2000 ms, 3 retries");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct AsyncWait(Waiting);

impl AsyncWait {
    /// Answers come out as soon as they are there, but never past a watermark: rows before it stay before it, rows behind it behind it.
    #[must_use]
    pub fn unordered() -> Self {
        Self(Waiting {
            is_ordered: false,
            capacity: 100,
            timeout_ms: 10_000,
            retries: 0,
            backoff_ms: 0,
            backoff_max_ms: 0,
        })
    }

    /// Answers come out in the order of their rows. A slow one holds back those behind it.
    #[must_use]
    pub fn ordered() -> Self {
        Self(Waiting {
            is_ordered: true,
            ..Self::unordered().0
        })
    }

    /// Rows of a worker that wait for answers at the same time, 100 without it; at least 1. When there are so many, no more are read.
    #[must_use]
    pub fn capacity(self, rows: usize) -> Self {
        Self(Waiting {
            capacity: rows.max(1),
            ..self.0
        })
    }

    /// How long a row waits for its answer, all attempts and the pauses between them included: 10 seconds without it, by a clock that nobody sets. A commit waits for
    /// the rows before it, so this is also for how long a commit may be held up.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self(Waiting {
            timeout_ms: millis(timeout).max(1),
            ..self.0
        })
    }

    /// Asks again after an error, so often at most: after a pause, which doubles each time up to 32 times the first. None without it.
    #[must_use]
    pub fn retries(self, retries: u32, first_pause: Duration) -> Self {
        let backoff_ms = millis(first_pause).max(1);
        Self(Waiting {
            retries,
            backoff_ms,
            backoff_max_ms: backoff_ms.saturating_mul(32),
            ..self.0
        })
    }
}

impl Display for AsyncWait {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Waiting {
            is_ordered,
            capacity,
            timeout_ms,
            retries,
            ..
        } = self.0;
        let order = if is_ordered { "ordered" } else { "unordered" };
        write!(
            f,
            "{order}, {capacity} under way, {timeout_ms} ms, {retries} retries"
        )
    }
}

/// Answers from outside; see [`Stream::enrich`].
pub struct Enriched<'b, O> {
    scope: Scope<'b>,
    operator: usize,
    item: PhantomData<fn() -> O>,
}

// Bounds stand at the method: at the `impl`, rustc would only say that there is no such method.
impl<'b, T, P> Stream<'b, T, P> {
    /// Asks something outside for each row (a service, a database), and gives out the answers. Other rows go on meanwhile, as many as
    /// [`AsyncWait::capacity`] says; the order is kept, or not, as it says.
    ///
    /// The future owns its row, so the row must own its parts: `.map(|line| line.to_owned())` before it. The closure is kept: what it
    /// needs it must own too (an `Arc` of a client, cloned). It is called in the worker's own tokio runtime.
    ///
    /// An error, or no answer in time, stops the job, unless [`Stream::on_bad`] or [`Stream::dead_letters`] behind it say otherwise. Rows
    /// that wait are no state: a commit waits for them, so that they belong to its epoch; after a crash they are read, and asked for,
    /// again. Event time stands still behind it until the answers before a watermark are out.
    ///
    /// ```
    /// use engine::{flow::OnBad, operators::AsyncWait, testing::Driver};
    ///
    /// async fn country(ip: String) -> Result<(String, &'static str), &'static str> {
    ///     if ip.starts_with("10.") { Err("private") } else { Ok((ip, "NL")) }
    /// }
    /// let mut driver = Driver::new(|s| {
    ///     s.source("visits").utf8()
    ///         .map(str::to_owned)
    ///         .enrich(AsyncWait::ordered(), |ip| async { country(ip).await.map(|(ip, c)| (ip, c.to_owned())) })
    ///         .on_bad(OnBad::Skip)
    ///         .sink("countries");
    /// });
    /// driver.feed("visits", ["145.97.1.2", "10.0.0.1"]);
    /// let out = driver.read("countries");
    /// assert_eq!((out.len(), out[0].value_str()), (1, Some("NL")));
    /// assert_eq!(driver.counters("enrich-1").bad, 1);
    /// ```
    pub fn enrich<O, E, Fut, F>(self, wait: AsyncWait, f: F) -> Stream<'b, O, Enriched<'b, O>>
    where
        T: State,
        P: Pipe<T>,
        O: State,
        E: Display,
        Fut: Future<Output = Result<O, E>> + Send + 'static,
        F: Fn(T) -> Fut + Send + 'static,
    {
        let Self {
            scope, pipe, node, ..
        } = self;
        let operator = scope.operator(Kind::Enrich, &[node], None);
        scope.refuses(operator, OnBad::Fail);
        scope.learn(operator, |n| n.note = Some(wait.to_string()));
        if scope.running().is_some() {
            take_in::<T, O>(scope, operator, || {
                let ask: Ask<T, O> = Box::new(move |item| {
                    let answer = f(item);
                    Box::pin(async move { answer.await.map_err(|e| e.to_string()) })
                });
                Waited::new(wait.0, ask)
            });
            send_own(scope, pipe, operator);
        }
        let pipe = Enriched {
            scope,
            operator,
            item: PhantomData,
        };
        Stream::new(scope, operator, pipe)
    }
}

/// Asks for the rows that came, as far as there is room; the first call makes the place for them.
fn take_in<'b, T: State, O: State>(
    scope: Scope<'b>,
    operator: usize,
    make: impl FnOnce() -> Waited<T, O>,
) {
    let mut slot = scope.slot(operator);
    let Slot {
        answers, counters, ..
    } = &mut *slot;
    let answers = answers.get_or_insert_with(|| Box::new(make()));
    let Some(answers) = answers.as_any().downcast_mut::<Waited<T, O>>() else {
        let operator = scope
            .running()
            .map_or_else(String::new, |g| g.describe(operator));
        return scope.fail(Error::StateType { operator });
    };
    let Some(rows) = scope.rows(operator, Port::Sent) else {
        return;
    };
    let (data, first) = (rows.data(), scope.call.from.index as usize);
    for (index, head) in rows.heads().iter().enumerate().skip(first) {
        if !crate::flow::Answers::has_room(answers) {
            let _ = scope.stopped_before(index as u32);
            return;
        }
        let Some(item) = decode_all(head.value_of(data)) else {
            let _ = undecodable(scope, operator);
            return;
        };
        counters.records += 1;
        answers.ask(head.timestamp, item, scope.call.elapsed_ms);
    }
}

impl<'b, O: Decode<'b>> Pipe<O> for Enriched<'b, O> {
    const SHARED: bool = false;

    fn drive(self, mut f: impl FnMut(Meta, O) -> Flow) -> Flow {
        let Self {
            scope, operator, ..
        } = self;
        let Some(rows) = scope.rows(operator, Port::Fired) else {
            return Flow::Continue(());
        };
        let (data, first) = (rows.data(), scope.call.from.index as usize);
        for (index, head) in rows.heads().iter().enumerate().skip(first) {
            if scope.is_enough((index - first) as u32) {
                return scope.stopped_before(index as u32);
            }
            let record = index as u32;
            let Some((kind, value)) = head.value_of(data).split_first() else {
                return undecodable(scope, operator);
            };
            if *kind != ANSWERED {
                scope.bad(operator, record, || {
                    String::from_utf8_lossy(value).into_owned()
                })?;
                continue;
            }
            let Some(answer) = decode_all(value) else {
                return undecodable(scope, operator);
            };
            let meta = Meta {
                timestamp: head.timestamp,
                record,
            };
            if f(meta, answer).is_break() {
                return scope.stopped_at(record);
            }
        }
        Flow::Continue(())
    }
}
