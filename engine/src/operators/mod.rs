//! The operators, one file each. They know rows, a scope and a slot; nothing of threads, brokers or clocks.

mod aggregate;
mod branch;
mod count;
mod enrich;
mod filter;
mod flat_map;
mod fold;
mod for_each;
mod in_order;
mod inspect;
mod map;
mod process;
mod reduce;
mod share;
mod sink;
mod source;
mod sum;
mod timestamps;
mod top_n;
mod try_map;
mod union;

pub use enrich::{AsyncWait, Enriched};
pub use filter::Filter;
pub use flat_map::FlatMap;
pub use fold::{Results, Totals};
pub use in_order::{InOrder, OutOfTime};
pub use inspect::Inspect;
pub use map::Map;
pub use process::{Context, Event, Out, Outputs, Processed};
pub use share::Shared;
pub use source::{Decoded, Records, Source, Values};
pub use timestamps::{Timestamped, WithTimestamps};
pub use try_map::TryMap;
pub use union::Union;
