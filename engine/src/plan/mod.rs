//! The plan: learning its graph, running calls of it, explaining it.

mod app;
mod explain;
mod task;
mod times;

pub use crate::flow::{
    Counters, Emit, Error, Graph, Input, Kind, Limits, Node, OnBad, Port, Position, Scope,
};
pub use app::{App, Plan};
pub use task::{StateSize, Task, TaskConfig};
