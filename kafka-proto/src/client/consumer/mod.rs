//! Reading topics: [`Fetcher`] reads partitions that it is told to.
//!
//! The borrowed interface ([`Fetcher::poll_batches`]) hands out the fetched batches as views of the response; records are walked in
//! place.

mod accept;
mod batches;
mod fetcher;
mod link;
mod room;
mod session;
mod state;

pub use batches::{FetchedBatch, FetchedBatches, FetchedPartition, FetchedRecords};
pub use fetcher::{Fetcher, Progress, Start};
pub use room::FetchBudget;
