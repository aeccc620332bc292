//! Threads, exchanges, commits and shutdown. Knows nothing of Kafka (it sees `checkpoint::log`) nor of the types that a plan handles.

mod alignment;
#[cfg(test)]
mod clock_tests;
mod config;
#[cfg(test)]
mod crash_tests;
mod errand;
mod error;
mod exchange;
mod job;
#[cfg(feature = "fjall")]
#[cfg(test)]
mod kept_tests;
mod now;
pub(crate) mod own_thread;
mod pace;
mod process;
mod quiet;
mod settle;
mod stop;
#[cfg(test)]
mod stop_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod turn_tests;
mod work;
#[cfg(test)]
mod work_tests;
mod worker;

pub use config::Config;
pub use error::Error;
pub(crate) use job::Job;
pub(crate) use process::run;
pub(crate) use stop::Stop;
pub use stop::stop_requested;

/// One decompressed batch may be this large: a compressed one that inflates to more is an attack or a mistake.
const DECOMPRESSED_BYTES_MAX: usize = 64 << 20;
