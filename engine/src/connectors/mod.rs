//! Where records come from and go to: the traits (`Source`, `Sink`, `Log`), and what implements them.

pub use crate::checkpoint::log::{
    Ack, Arrival, Change, Log, Need, Place, Position, Share, Sink, Source, Worker,
};

#[cfg(test)]
pub(crate) mod memory;

pub(crate) mod kafka;
mod kafka_group;
mod kafka_sink;
mod kafka_source;
mod kafka_topics;
