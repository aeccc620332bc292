//! Why a plan cannot be learned, or a call of it cannot go on.

use std::fmt;

use thiserror::Error;

use crate::batch::{RecordError, RowTooLarge, produce::SinkError};
use crate::state::StoreError;

/// An error of a plan. Whoever runs the plan stops: after a call that failed, its task must not be used again.
///
/// Its text says everything, so `source` of the `Error` trait is `None`, and `Debug` is the same text: that is what `main` and `unwrap`
/// print.
#[derive(Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// The plan has no source.
    #[error("the plan reads nothing: begin with `s.source(\"topic\")`")]
    NoSource,
    /// A stream ends nowhere.
    #[error(
        "nothing reads the stream of {operator}: end it with `.sink(topic)` or `.for_each(…)`, or leave it out"
    )]
    Unused {
        /// The operator whose rows go nowhere.
        operator: String,
    },
    /// Two operators have one name.
    #[error(
        "two operators are called \"{name}\": names address stored state, so each may be used once"
    )]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// A name that topics or folders cannot have.
    #[error("{what} \"{name}\": expected {expected}")]
    Name {
        /// Whose name it is: `application`, `count, named`, `topic of sink`.
        what: String,
        /// The name.
        name: String,
        /// What it would have to be.
        expected: &'static str,
    },
    /// Two operators have names that Kafka does not tell apart.
    #[error(
        "two operators are called \"{first}\" and \"{second}\": Kafka does not tell their changelog topics apart, because it takes '.' \
         and '_' for the same; rename one"
    )]
    NamesCollide {
        /// One name.
        first: String,
        /// The other.
        second: String,
    },
    /// A modifier stands where it has no meaning, or stands there twice.
    #[error("{modifier} {place}: {instead}")]
    Modifier {
        /// The modifier, as it stands in the plan.
        modifier: String,
        /// What is wrong with its place.
        place: String,
        /// Where it belongs, or what to write.
        instead: String,
    },
    /// The plan built other operators than when it was learned.
    #[error(
        "the plan is not what it was when it was learned: operator {operator} was {learned}, now it is {found}. The plan runs for each \
         batch and must build the same operators each time: choose inside a closure, or outside of the plan"
    )]
    PlanChanged {
        /// Place of the operator, counted from 0 in the order of the plan.
        operator: usize,
        /// What stood there when the plan was learned.
        learned: String,
        /// What stands there now.
        found: String,
    },
    /// The state of an operator has another type than what the plan asks for.
    #[error(
        "the state of {operator} has another type than in the call before: the plan must build the same operators each time"
    )]
    StateType {
        /// The operator.
        operator: String,
    },
    /// State outside of memory cannot be read or written.
    #[error("{operator}: {source}")]
    Store {
        /// The operator whose state it is.
        operator: String,
        /// Where, why, and what to do.
        r#source: StoreError,
    },
    /// There can be no such windows.
    #[error("a window cannot be made: {problem}")]
    Window {
        /// What is wrong with it.
        problem: String,
    },
    /// An epoch cannot end while answers of it are to come; runs wait for them, a test that drives a plan by hand must let them come.
    #[error(
        "{operator} still waits for answers to {rows} rows, and a commit waits for them: let them come before, or their time-out by \
         `set_clock`"
    )]
    Awaiting {
        /// The operator that waits.
        operator: String,
        /// Number of rows.
        rows: usize,
    },
    /// A record could not be read as what the plan says it is.
    #[error(
        "record at offset {offset} of {topic}-{partition} is bad: {reason} ({operator}). To skip and count such records: \
         `.on_bad(OnBad::Skip)`"
    )]
    BadRecord {
        /// The operator that refused it.
        operator: String,
        /// Topic of the record.
        topic: String,
        /// Its partition.
        partition: i32,
        /// Its offset.
        offset: i64,
        /// Why.
        reason: String,
    },
    /// A row behind a cut was refused by a user's function.
    #[error(
        "a row in {operator} is bad: {reason}. To skip and count such rows: `.on_bad(OnBad::Skip)`"
    )]
    BadRow {
        /// The operator that refused it.
        operator: String,
        /// Why.
        reason: String,
    },
    /// The bytes of a fetched batch are no records.
    #[error("a batch of {topic}-{partition} cannot be read: {source}")]
    Batch {
        /// Topic of the batch.
        topic: String,
        /// Its partition.
        partition: i32,
        /// What is wrong with it.
        r#source: RecordError,
    },
    /// A sink cannot write a record.
    #[error(
        "cannot write to {topic}: {source}. To leave such rows out and count them: `.then_on_bad(OnBad::Skip)` before the sink; to keep \
         them: `.then_dead_letters(topic)`"
    )]
    Sink {
        /// The sink's topic.
        topic: String,
        /// Why.
        r#source: SinkError,
    },
    /// A row does not fit into a batch.
    #[error("{operator}: {source}")]
    Row {
        /// The operator that the row goes to.
        operator: String,
        /// Its size.
        r#source: RowTooLarge,
    },
    /// A row that came out of an exchange or out of state cannot be read.
    #[error(
        "a row of {operator} cannot be read back: its `Decode` does not read what its `Encode` wrote, or the row comes from another \
         version of the plan"
    )]
    Undecodable {
        /// The operator that the row belongs to.
        operator: String,
    },
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
