//! How time and answers pass through a driver.

use std::task::{Context, Waker};

use super::{Driver, Error};
use crate::batch::Rows;
use crate::flow::Position;

impl Driver {
    /// Gives out answers, and lets the rows ask that found no room before, until nothing changes any more.
    pub(super) fn give_answers(&mut self) -> Result<(), Error> {
        let graph = std::sync::Arc::clone(self.app.graph());
        let waiting: Vec<usize> = graph
            .cuts()
            .filter(|(_, node)| !node.kind.is_keyed())
            .map(|(operator, _)| operator)
            .collect();
        let mut is_any = !waiting.is_empty();
        while is_any {
            is_any = false;
            for operator in &waiting {
                for worker in 0..self.tasks.len() {
                    let mut cx = Context::from_waker(Waker::noop());
                    self.tasks[worker].poll_answers(&mut cx);
                    is_any |= self.fire_due(worker, *operator)?;
                }
            }
            is_any |= self.settle(0)?;
        }
        Ok(())
    }

    /// Tells every worker what every worker says of time, and gives out what that makes due.
    pub(super) fn pass_time(&mut self) -> Result<(), Error> {
        let graph = std::sync::Arc::clone(self.app.graph());
        if !graph.needs_time() {
            return Ok(());
        }
        for (operator, _) in graph.cuts() {
            self.pass_time_at(operator)?;
        }
        Ok(())
    }

    pub(super) fn pass_time_at(&mut self, operator: usize) -> Result<(), Error> {
        let tasks = self.tasks.iter_mut();
        let marks: Vec<_> = tasks.map(|t| t.mark_to(operator)).collect();
        // Partial values go before the marks that would make them late.
        (0..marks.len()).for_each(|worker| self.take_rows(worker));
        self.settle(0)?;
        for worker in 0..self.tasks.len() {
            // Time does not pass rows that have found no room yet.
            let is_here = |(o, w, ..): &(usize, u16, Rows, Position)| {
                *o == operator && usize::from(*w) == worker
            };
            if self.rows.iter().any(is_here) {
                continue;
            }
            for (from, mark) in marks.iter().enumerate() {
                self.tasks[worker].mark_from(operator, from, *mark);
            }
            self.fire_due(worker, operator)?;
        }
        Ok(())
    }
}
