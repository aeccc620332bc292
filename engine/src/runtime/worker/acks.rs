//! Acknowledgements that are awaited: taken out as they come, so that no more are kept than are on their way.

use std::task::{Context, Poll};

use crate::Error;
use crate::checkpoint::log::Ack;

/// How many are looked at in one turn of a worker, beside as many as came since: bounded, and all have their turn.
const A_TURN: usize = 4;

/// See the module's head.
#[derive(Default)]
pub(super) struct Acks {
    /// In no order: all must come.
    under_way: Vec<Ack>,
    /// Where the next look begins.
    next: usize,
    /// Added since the last look.
    new: usize,
}

impl Acks {
    pub(super) fn push(&mut self, ack: Ack) {
        self.under_way.push(ack);
        self.new += 1;
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.under_way.len()
    }

    /// Looks at some of them, each in its turn.
    ///
    /// # Errors
    /// When what was sent will not be acknowledged.
    pub(super) fn poll_some(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        let looks = (A_TURN + std::mem::take(&mut self.new)).min(self.under_way.len());
        for _ in 0..looks {
            if self.next >= self.under_way.len() {
                self.next = 0;
            }
            let Some(ack) = self.under_way.get_mut(self.next) else {
                return Ok(());
            };
            match ack.as_mut().poll(cx) {
                Poll::Ready(outcome) => {
                    drop(self.under_way.swap_remove(self.next));
                    outcome?;
                }
                Poll::Pending => self.next += 1,
            }
        }
        Ok(())
    }

    /// Looks at all of them; ready when none is left, or at the first that fails. What has come is taken out, whatever becomes of the wait.
    pub(super) fn poll_all(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut at = 0;
        while let Some(ack) = self.under_way.get_mut(at) {
            match ack.as_mut().poll(cx) {
                Poll::Ready(outcome) => {
                    drop(self.under_way.swap_remove(at));
                    outcome?;
                }
                Poll::Pending => at += 1,
            }
        }
        match self.under_way.is_empty() {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn pending() -> Ack {
        Box::pin(std::future::pending())
    }

    fn done() -> Ack {
        Box::pin(std::future::ready(Ok(())))
    }

    fn failed() -> Ack {
        Box::pin(std::future::ready(Err(Error::State("refused".into()))))
    }

    #[test]
    fn what_is_acknowledged_is_not_kept_although_an_earlier_one_is_awaited() {
        let mut cx = Context::from_waker(Waker::noop());
        let mut acks = Acks::default();
        acks.push(pending());
        for _ in 0..10_000 {
            acks.push(done());
            acks.poll_some(&mut cx).unwrap();
            assert!(acks.len() <= 2, "{}", acks.len());
        }
        assert!(acks.poll_all(&mut cx).is_pending());
    }

    #[test]
    fn a_failure_is_seen_whatever_is_awaited_beside_it() {
        let mut cx = Context::from_waker(Waker::noop());
        let mut acks = Acks::default();
        for _ in 0..100 {
            acks.push(pending());
        }
        acks.push(failed());
        let seen = (0..100).any(|_| acks.poll_some(&mut cx).is_err());
        assert!(seen);
        acks.push(failed());
        assert!(matches!(acks.poll_all(&mut cx), Poll::Ready(Err(_))));
    }

    #[test]
    fn all_are_acknowledged_when_none_is_left() {
        let mut cx = Context::from_waker(Waker::noop());
        let mut acks = Acks::default();
        assert!(matches!(acks.poll_all(&mut cx), Poll::Ready(Ok(()))));
        acks.push(done());
        acks.push(done());
        assert!(matches!(acks.poll_all(&mut cx), Poll::Ready(Ok(()))));
        assert_eq!(acks.len(), 0);
    }
}
