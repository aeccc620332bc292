//! Counters of a client: bumped per request, frame or batch, never per record; read as one plain snapshot.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! metrics {
    ($( $(#[$doc:meta])* $name:ident, )*) => {
        /// The counters themselves, shared by everything that one client is made of.
        #[derive(Debug, Default)]
        pub(crate) struct Metrics { $( pub(crate) $name: Counter, )* }

        /// What the counters of a client stood at, all since the client was made.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct MetricsSnapshot { $( $(#[$doc])* pub $name: u64, )* }

        impl Metrics {
            pub(crate) fn snapshot(&self) -> MetricsSnapshot {
                MetricsSnapshot { $( $name: self.$name.value(), )* }
            }
        }

        impl MetricsSnapshot {
            /// Name and value of each counter, in a fixed order.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$( (stringify!($name), self.$name), )*].into_iter()
            }
        }
    };
}

metrics! {
    /// Connections opened, that is: streams made and versions agreed.
    connections_opened,
    /// Attempts to connect that failed.
    connections_failed,
    /// Connections that ended other than by our closing them.
    connections_lost,
    /// Requests written.
    requests,
    /// Bytes written.
    bytes_out,
    /// Responses read.
    responses,
    /// Bytes read.
    bytes_in,
    /// Requests that were not answered in time; each closed its connection.
    timeouts,
    /// Milliseconds for which brokers asked us to hold requests back (KIP-219).
    throttle_ms,
    /// Metadata refreshes.
    metadata_refreshes,
    /// Records that the brokers acknowledged.
    records_sent,
    /// Batches that the brokers acknowledged.
    batches_sent,
    /// Bytes of acknowledged batches, as on the wire.
    batch_bytes_sent,
    /// Batches sent again after a failure.
    batch_retries,
    /// Records whose delivery failed for good.
    records_failed,
    /// Times that the producer's epoch was raised to renumber a partition's batches.
    epoch_bumps,
    /// Records fetched.
    records_fetched,
    /// Batches fetched.
    batches_fetched,
    /// Bytes of fetched batches, as on the wire.
    batch_bytes_fetched,
}

/// One counter that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
