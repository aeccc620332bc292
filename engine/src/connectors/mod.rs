//! Where records come from and go to: Kafka, memory, files, and what users write by [`Source`] and [`Sink`].

pub use crate::batch::sink::{Destination, IntoDestination, Sink, Writer};
pub use crate::batch::source::{BoxError, IntoOrigin, Open, Origin, Read, Reader, Records, Source};
pub use crate::batch::topics::{OffsetSpec, Topics};

mod file;
mod memory;
#[cfg(test)]
pub(crate) mod memory_cluster;
pub(crate) mod mixed;
mod own_sinks;
mod own_sources;
mod positions;
mod reset;

pub use file::{
    Lines, LinesReader, LinesTo, LinesWriter, Stdin, StdinReader, Stdout, stdin, stdout,
};
pub use memory::{Collected, Elements, Generated, elements, generated};

pub use reset::Reset;

pub(crate) mod kafka;
mod kafka_group;
mod kafka_guard;
mod kafka_kept;
mod kafka_places;
mod kafka_positions;
pub(crate) mod kafka_reset;
mod kafka_sink;
mod kafka_source;
mod kafka_topics;
mod lease;
