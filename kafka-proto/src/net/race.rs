//! Trying several ways in their order without waiting for a slow one to fail (as "happy eyeballs", RFC 8305, does for addresses).

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Runs attempts in their order: the next begins when all before it have failed, or have taken `stagger` each. The first success wins
/// and the others are dropped; if there is none, all errors in the order in which they came.
///
/// Safe to drop.
pub(crate) async fn race<T, E, F>(
    attempts: impl IntoIterator<Item = F>,
    stagger: Duration,
) -> Result<T, Vec<E>>
where
    F: Future<Output = Result<T, E>>,
{
    let mut waiting = attempts.into_iter();
    let mut running: Vec<Pin<Box<F>>> = Vec::new();
    let mut errors = Vec::new();
    let mut next_at: Pin<Box<Sleep>> = Box::pin(sleep_until(Instant::now()));
    let mut is_over = false;
    poll_fn(move |cx: &mut Context<'_>| {
        loop {
            let mut place = 0;
            while let Some(attempt) = running.get_mut(place) {
                match attempt.as_mut().poll(cx) {
                    Poll::Ready(Ok(success)) => return Poll::Ready(Ok(success)),
                    Poll::Ready(Err(error)) => {
                        errors.push(error);
                        drop(running.remove(place));
                    }
                    Poll::Pending => place += 1,
                }
            }
            if is_over && running.is_empty() {
                return Poll::Ready(Err(std::mem::take(&mut errors)));
            }
            if is_over || (!running.is_empty() && next_at.as_mut().poll(cx).is_pending()) {
                return Poll::Pending;
            }
            match waiting.next() {
                Some(attempt) => {
                    running.push(Box::pin(attempt));
                    next_at.as_mut().reset(Instant::now() + stagger);
                }
                None => is_over = true,
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAGGER: Duration = Duration::from_millis(250);

    /// Ends after some milliseconds; a negative number is a failure.
    async fn attempt(ms: i64) -> Result<i64, i64> {
        tokio::time::sleep(Duration::from_millis(ms.unsigned_abs())).await;
        if ms < 0 { Err(ms) } else { Ok(ms) }
    }

    async fn raced(attempts: &[i64]) -> (Result<i64, Vec<i64>>, u128) {
        let begin = Instant::now();
        let result = race(attempts.iter().map(|ms| attempt(*ms)), STAGGER).await;
        (result, begin.elapsed().as_millis())
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_address_delays_the_next_by_the_stagger_only_and_a_refusal_not_at_all() {
        assert_eq!(raced(&[100, 1]).await, (Ok(100), 100));
        assert_eq!(raced(&[60_000, 5]).await, (Ok(5), 255));
        assert_eq!(raced(&[-3, 5]).await, (Ok(5), 8));
        assert_eq!(raced(&[300, 500]).await, (Ok(300), 300));
        assert_eq!(raced(&[-10, -600, 20_000, -1]).await, (Ok(20_000), 20_260));
        assert_eq!(raced(&[-300, -10]).await, (Err(vec![-10, -300]), 300));
        assert_eq!(raced(&[]).await, (Err(vec![]), 0));
    }
}
