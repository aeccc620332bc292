//! What a plan is written in: scope, streams, pipes, the cut before a keyed operator, and the graph that is learned from them.
//!
//! A layer below the operators: every operator constructs streams. It knows no threads, no sockets and no clock.

mod answers;
mod call;
mod cut;
mod error;
mod fold;
mod graph;
mod number;
mod once;
mod order;
mod partial;
mod pipe;
mod policy;
mod scope;
mod slot;
mod stream;
mod wide;

pub(crate) use answers::{ANSWERED, Answers, Ask, Waited, Waiting};
pub(crate) use call::{Call, Mode, Progress, TimeRange};
pub use call::{Input, Limits, Port, Position};
pub(crate) use cut::{
    Count, Folded, Owners, Placement, Ship, each_row, receive, row_error, send, send_keyed,
    send_own, undecodable,
};
pub use error::Error;
pub use fold::{
    Aggregating, Averaging, Counting, Extreme, Fold, Merge, Merging, Reducing, Summing, Topping,
};
pub use graph::{Emit, Graph, Kind, Node, OnBad};
pub use number::{Accumulate, Number, OutOfRange};
pub(crate) use once::Onces;
pub use order::TotalOrder;
pub(crate) use partial::{Cache, Partials, Span};
pub(crate) use pipe::Resume;
pub use pipe::{Flow, Meta, Pipe};
pub use scope::Scope;
pub use slot::Counters;
pub(crate) use slot::Slot;
pub use stream::{Keyed, Stream};
