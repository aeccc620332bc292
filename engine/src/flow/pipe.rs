//! Pipes: rows of one batch by internal iteration, so that a chain of operators compiles to one loop.

use std::ops::ControlFlow;

use super::Scope;

/// Whether to go on with the batch. `Break` when an output is full or the call has failed.
pub type Flow = ControlFlow<()>;

/// What is known of a row beside the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Milliseconds since 1970, as the record says, or as the last update of an aggregate.
    pub timestamp: i64,
    /// Which record (or row) of the batch it was made from.
    pub record: u32,
}

/// A source of rows for one batch. Users see it in signatures of reusable pieces only:
///
/// ```
/// use engine::flow::{Pipe, Stream};
///
/// fn shout<'b>(lines: Stream<'b, &'b str, impl Pipe<&'b str>>) -> Stream<'b, String, impl Pipe<String>> {
///     lines.filter(|l| !l.is_empty()).map(|l| l.to_uppercase())
/// }
/// ```
// The item is a parameter, not an associated type: with an associated type each further operator doubles the compile time.
#[diagnostic::on_unimplemented(
    message = "this chain of operators does not give rows of type `{T}`",
    label = "one of the closures before takes or returns something else"
)]
pub trait Pipe<T>: Sized {
    /// Whether the rows were kept by `share`: then the ends of the chain cannot stop in the middle.
    #[doc(hidden)]
    const SHARED: bool;

    /// Calls `f` with each row until it breaks.
    fn drive(self, f: impl FnMut(Meta, T) -> Flow) -> Flow;

    /// The source whose records come through unchanged.
    #[doc(hidden)]
    fn relays(&self) -> Option<usize> {
        None
    }
}

/// The place of a loop's end in the batch: lets a call stop in the middle of one record's rows, and the next one go on behind them.
///
/// A record may fan out to more rows than fit into memory. The end then breaks after any row; the next call begins with the same
/// record and passes over as many rows as were written already.
#[derive(Debug)]
pub(crate) struct Resume {
    record: u32,
    /// Rows of `record` that reached this end.
    seen: u64,
    /// Rows of the first record that an earlier call has written.
    skip: u64,
    can_break: bool,
}

impl Resume {
    /// For the end of a pipe of type `P`.
    pub(crate) fn new<T, P: Pipe<T>>(scope: Scope<'_>) -> Self {
        let from = scope.call.from;
        Self {
            record: from.index,
            seen: 0,
            skip: if P::SHARED { 0 } else { from.skip },
            can_break: !P::SHARED,
        }
    }

    /// Notes a row; false when an earlier call has written it.
    #[inline]
    pub(crate) fn is_new(&mut self, scope: Scope<'_>, meta: Meta) -> bool {
        self.seen = if meta.record == self.record {
            self.seen + 1
        } else {
            1
        };
        self.record = meta.record;
        self.skip == 0 || self.is_behind_the_written(scope)
    }

    #[cold]
    fn is_behind_the_written(&mut self, scope: Scope<'_>) -> bool {
        let is_first = self.record == scope.call.from.index;
        if !is_first || self.seen >= self.skip {
            scope.call.progress.replaying.set(false);
            let skip = std::mem::take(&mut self.skip);
            return !is_first || self.seen > skip;
        }
        false
    }

    /// The output is full, the row at hand being the last that was written: stop here, if that is possible.
    #[cold]
    pub(crate) fn full(&self, scope: Scope<'_>) -> Flow {
        if self.can_break {
            scope.call.progress.written.set(self.seen);
            Flow::Break(())
        } else {
            scope.call.progress.full.set(true);
            Flow::Continue(())
        }
    }
}
