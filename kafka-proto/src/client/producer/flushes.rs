//! Which flush waits for which batches. Pure.

use std::collections::VecDeque;

use tokio::sync::oneshot;

/// Who waits for which batches: each flush ends a generation.
#[derive(Debug, Default)]
pub(super) struct Flushes {
    /// The number of the first generation in the queue.
    first: u64,
    generations: VecDeque<Generation>,
}

#[derive(Debug, Default)]
struct Generation {
    outstanding: usize,
    /// Told when it and all before it are empty.
    waiting: Option<oneshot::Sender<()>>,
}

impl Flushes {
    /// Counts a batch in, and returns its generation.
    pub(super) fn submitted(&mut self) -> u64 {
        if self
            .generations
            .back()
            .is_none_or(|last| last.waiting.is_some())
        {
            self.generations.push_back(Generation::default());
        }
        if let Some(last) = self.generations.back_mut() {
            last.outstanding += 1;
        }
        self.first + self.generations.len() as u64 - 1
    }

    /// A batch of a generation has become two.
    pub(super) fn split(&mut self, generation: u64) {
        let place = usize::try_from(generation - self.first).unwrap_or(usize::MAX);
        if let Some(generation) = self.generations.get_mut(place) {
            generation.outstanding += 1;
        }
    }

    pub(super) fn ended(&mut self, generation: u64) {
        let place = usize::try_from(generation - self.first).unwrap_or(usize::MAX);
        if let Some(generation) = self.generations.get_mut(place) {
            generation.outstanding -= 1;
        }
        self.tell();
    }

    pub(super) fn wait(&mut self, done: oneshot::Sender<()>) {
        match self.generations.back_mut() {
            Some(last) if last.waiting.is_none() => last.waiting = Some(done),
            _ => self.generations.push_back(Generation {
                outstanding: 0,
                waiting: Some(done),
            }),
        }
        self.tell();
    }

    fn tell(&mut self) {
        while let Some(generation) = self
            .generations
            .pop_front_if(|generation| generation.outstanding == 0 && generation.waiting.is_some())
        {
            self.first += 1;
            if let Some(done) = generation.waiting {
                // Who waited may have stopped to.
                let _ = done.send(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flush_waits_for_what_was_submitted_before_it_and_for_nothing_else() {
        let mut flushes = Flushes::default();
        let first = flushes.submitted();
        let (done, mut one) = oneshot::channel();
        flushes.wait(done);
        let second = flushes.submitted();
        let (done, mut two) = oneshot::channel();
        flushes.wait(done);
        flushes.ended(second);
        assert!(one.try_recv().is_err() && two.try_recv().is_err());
        flushes.ended(first);
        assert!(one.try_recv().is_ok() && two.try_recv().is_ok());
        let (done, mut three) = oneshot::channel();
        flushes.wait(done);
        assert!(three.try_recv().is_ok());
    }
}
