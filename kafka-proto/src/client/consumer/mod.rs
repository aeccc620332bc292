//! Reading topics: [`Fetcher`] reads partitions that it is told to, [`Consumer`] joins a group to it.
//!
//! The borrowed interface ([`Consumer::poll_batches`]) hands out the fetched batches as views of the response, to be walked in place;
//! the comfortable one ([`Consumer::poll`]) records as values; and a [`Consumer`] is a `Stream` of them.

mod accept;
mod batches;
#[expect(
    clippy::module_inception,
    reason = "the handle is what the module is named after"
)]
mod consumer;
mod driving;
mod fetcher;
mod link;
mod listing;
mod pattern;
mod queue;
mod rebalance;
mod records;
mod room;
mod session;
mod state;
mod stream;

pub use batches::{
    FetchedBatch, FetchedBatches, FetchedPartition, FetchedRecords, PartitionBatches,
};
pub use consumer::{Consumer, Rebalance};
pub use fetcher::{Fetcher, Progress, Start};
pub use rebalance::Rebalancing;
pub use records::ConsumerRecord;
pub use room::FetchBudget;
