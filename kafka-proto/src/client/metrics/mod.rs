//! What a client counts: per request, batch or answer, never per record, and without a lock. Read as one plain snapshot.
//!
//! Each item says in brackets what Java's client calls it, where it has the same. Java's rates and averages are computed from counters and
//! histograms: [`MetricsSnapshot::since`], [`MetricsSnapshot::per_second`], [`HistogramSnapshot::mean`].
//!
//! Whoever counts holds an `Arc` of the counters it bumps: that of the client, of a broker, of a partition. Only to get hold of them
//! takes a lock, once a connection or an assignment.

mod histogram;
mod text;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub(crate) use histogram::Histogram;
pub use histogram::HistogramSnapshot;

use crate::messages::ErrorCode;

/// Declares counters, levels and histograms once, as what is bumped and as what is read.
macro_rules! metrics {
    (
        $(#[$live_doc:meta])* $live:ident, $(#[$read_doc:meta])* $read:ident;
        counters { $( $(#[$doc:meta])* $counter:ident, )* }
        levels { $( $(#[$level_doc:meta])* $level:ident, )* }
        histograms { $( $(#[$histogram_doc:meta])* $histogram:ident, )* }
        also { $( $(#[$also_doc:meta])* $also:ident: $live_type:ty => $read_type:ty, )* }
    ) => {
        $(#[$live_doc])*
        #[derive(Debug, Default)]
        pub(crate) struct $live {
            $( pub(crate) $counter: Counter, )*
            $( pub(crate) $level: Level, )*
            $( pub(crate) $histogram: Histogram, )*
            $( pub(crate) $also: $live_type, )*
        }

        $(#[$read_doc])*
        #[derive(Debug, Clone, Default, PartialEq)]
        #[non_exhaustive]
        pub struct $read {
            $( $(#[$doc])* pub $counter: u64, )*
            $( $(#[$level_doc])* pub $level: i64, )*
            $( $(#[$histogram_doc])* pub $histogram: HistogramSnapshot, )*
            $( $(#[$also_doc])* pub $also: $read_type, )*
        }

        impl $live {
            pub(crate) fn snapshot(&self) -> $read {
                $read {
                    $( $counter: self.$counter.value(), )*
                    $( $level: self.$level.value(), )*
                    $( $histogram: self.$histogram.snapshot(), )*
                    $( $also: self.$also.snapshot(), )*
                }
            }
        }

        impl $read {
            /// Name and value of each counter, in a fixed order.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$( (stringify!($counter), self.$counter), )*].into_iter()
            }

            /// Name and values of each histogram, in a fixed order; the unit of its values stands at the end of its name.
            pub fn histograms(&self) -> impl Iterator<Item = (&'static str, &HistogramSnapshot)> {
                [$( (stringify!($histogram), &self.$histogram), )*].into_iter()
            }

            /// What happened since an earlier snapshot of the same client: counters and histograms are differences, levels are as they
            /// are now.
            #[must_use]
            pub fn since(&self, earlier: &Self) -> Self {
                Self {
                    $( $counter: self.$counter.saturating_sub(earlier.$counter), )*
                    $( $level: self.$level, )*
                    $( $histogram: self.$histogram.since(&earlier.$histogram), )*
                    $( $also: Since::since(&self.$also, &earlier.$also), )*
                }
            }
        }
    };
}

metrics! {
    /// The counters of a client, shared by everything that it is made of.
    Metrics,
    /// What the counters of a client stood at, all since the client was made. Its text form is for people; the rest is for programs.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let mock = kafka_proto::mock::Cluster::builder().topic("lines", 1).start().await?;
    /// # let config = kafka_proto::client::Config::new(&mock.bootstrap_servers());
    /// let cluster = kafka_proto::client::Cluster::connect(config).await?;
    /// let before = cluster.metrics();
    /// cluster.refresh(&["lines"]).await?;
    /// let now = cluster.metrics();
    /// assert_eq!(now.since(&before).metadata_refreshes, 1);
    /// println!("{now}");
    /// # Ok(()) }
    /// ```
    MetricsSnapshot;
    counters {
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
        /// Bytes of the same batches before compression.
        batch_bytes_uncompressed,
        /// Batches sent again after a failure.
        batch_retries,
        /// Batches that were too large for the broker or the topic and were sent as several.
        batch_splits,
        /// Records whose delivery failed for good.
        records_failed,
        /// Times that the producer's epoch was raised to renumber a partition's batches.
        epoch_bumps,
        /// Times that somebody had to wait for room in `buffer.memory`.
        buffer_waits,
        /// Records fetched.
        records_fetched,
        /// Batches fetched.
        batches_fetched,
        /// Bytes of fetched batches, as on the wire.
        batch_bytes_fetched,
    }
    levels {
        /// Brokers in the cluster, as far as is known; −1 before the first answer.
        cluster_size,
    }
    histograms {
        /// Records of each acknowledged batch.
        batch_records,
        /// Bytes of each acknowledged batch, as on the wire.
        batch_bytes,
        /// Microseconds from a batch's first record to its being written into a request: lingering, and waiting for its turn.
        batch_queue_us,
        /// Microseconds from a batch's first record to its acknowledgement.
        delivery_us,
        /// Microseconds from one poll of a consumer to the next (`time-between-poll-avg`, `-max`; a limit is `max.poll.interval.ms`), where
        /// it was a millisecond or more: reading record by record is not slowed down by counting what is shorter.
        poll_interval_us,
    }
    also {
        /// The time that was counted: since the client was made, or since the earlier snapshot.
        age: Age => Duration,
        /// The brokers that were connected to, by name.
        brokers: Family<Arc<str>, BrokerMetrics> => BTreeMap<Arc<str>, BrokerMetricsSnapshot>,
        /// The partitions that are being read now, by topic and number.
        partitions: Family<(Arc<str>, i32), PartitionMetrics> => BTreeMap<(Arc<str>, i32), PartitionMetricsSnapshot>,
        /// How long ago a consumer polled last, to the millisecond (`last-poll-seconds-ago`); `None`: none has.
        last_poll: LastTime => Option<Duration>,
        /// The topics that were produced to, by name.
        topics: Family<Arc<str>, TopicMetrics> => BTreeMap<Arc<str>, TopicMetricsSnapshot>,
        /// The groups that the client is or was a member of, or commits for, by name.
        groups: Family<Arc<str>, GroupMetrics> => BTreeMap<Arc<str>, GroupMetricsSnapshot>,
        /// How often each error code was answered.
        errors: Family<ErrorCode, Counter> => BTreeMap<ErrorCode, u64>,
        /// Byte budgets and how much of them is taken, by the property that sets them.
        budgets: Budgets => Vec<BudgetSnapshot>,
    }
}

metrics! {
    /// The counters of one broker's connections.
    BrokerMetrics,
    /// What the counters of one broker's connections stood at. Fetches are long polls: their time is mostly the broker's waiting.
    BrokerMetricsSnapshot;
    counters {
        /// Connections opened.
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
        /// Requests that were not answered in time.
        timeouts,
        /// Milliseconds for which it asked us to hold requests back (KIP-219).
        throttle_ms,
    }
    levels {
    }
    histograms {
        /// Microseconds that a request waited in the client before it was written, throttling included.
        queue_us,
        /// Microseconds from the first byte of a request written to its last: the network's and the broker's back-pressure.
        write_us,
        /// Microseconds from a Produce request written to its answer: the network and the broker's work.
        produce_us,
        /// Microseconds from a Fetch request written to its answer, the broker's waiting for records included.
        fetch_us,
        /// Microseconds from any other request written to its answer.
        request_us,
    }
    also {
        /// Requests that are not answered yet, now (`requests-in-flight`).
        requests_in_flight: Gauge => i64,
    }
}

metrics! {
    /// The counters of what is produced to one topic.
    TopicMetrics,
    /// What the counters of producing to one topic stood at.
    TopicMetricsSnapshot;
    counters {
        /// Records that the brokers acknowledged (`record-send-total`).
        records_sent,
        /// Batches that the brokers acknowledged.
        batches_sent,
        /// Bytes of acknowledged batches, as on the wire (`byte-total`).
        batch_bytes_sent,
        /// Bytes of the same batches before compression (`compression-rate` is the quotient).
        batch_bytes_uncompressed,
        /// Records whose delivery failed for good (`record-error-total`).
        records_failed,
    }
    levels {
    }
    histograms {
    }
    also {
    }
}

metrics! {
    /// Where the reading of one partition is.
    PartitionMetrics,
    /// Where the reading of one partition stood.
    PartitionMetricsSnapshot;
    counters {
        /// Records fetched.
        records_fetched,
        /// Bytes of fetched batches, as on the wire.
        batch_bytes_fetched,
    }
    levels {
        /// The next offset to be delivered; −1 if it is not known yet.
        position,
        /// Where the log ends for this reader: the high watermark, or the last stable offset under read_committed; −1 if it is not known.
        end_offset,
    }
    histograms {
    }
    also {
    }
}

metrics! {
    /// The counters of this client's membership in one group.
    GroupMetrics,
    /// What the counters of this client's membership in one group stood at.
    GroupMetricsSnapshot;
    counters {
        /// Times that it joined, for the first time or again (`join-total`).
        joins,
        /// Assignments that it was told of (`rebalance-total`).
        rebalances,
        /// Partitions that it got.
        partitions_assigned,
        /// Partitions that it was asked to give up.
        partitions_revoked,
        /// Partitions that it lost without being asked.
        partitions_lost,
        /// Rebalances that came to no assignment: the member was refused, or its partitions were lost (`failed-rebalance-total`).
        rebalances_failed,
        /// Commits that the coordinator took (`commit-total`).
        commits,
        /// Commits that failed for good.
        commits_failed,
        /// Heartbeats that were answered well (`heartbeat-total`).
        heartbeats,
        /// Heartbeats that were answered with an error, or not at all.
        heartbeats_failed,
    }
    levels {
    }
    histograms {
        /// Microseconds from joining, or from being asked to give partitions up, to the next assignment (`rebalance-latency-avg`, `-max`).
        rebalance_us,
        /// Microseconds from the start of a commit to its end, waiting for those before it and trying again included
        /// (`commit-latency-avg`, `-max`).
        commit_us,
        /// Microseconds from a heartbeat to its answer.
        heartbeat_us,
    }
    also {
        /// How long ago it was last told of an assignment (`last-rebalance-seconds-ago`); `None`: never.
        last_rebalance: LastTime => Option<Duration>,
        /// How long ago the last heartbeat was answered well (`last-heartbeat-seconds-ago`); `None`: none was.
        last_heartbeat: LastTime => Option<Duration>,
    }
}

impl MetricsSnapshot {
    /// A count as a rate per second over [`MetricsSnapshot::age`].
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a rate is no exact number")]
    pub fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.age.as_secs_f64().max(1e-9)
    }

    /// The largest lag of the partitions that are being read (`records-lag-max`); `None` while none is known.
    #[must_use]
    pub fn records_lag_max(&self) -> Option<u64> {
        self.partitions
            .values()
            .filter_map(PartitionMetricsSnapshot::lag)
            .max()
    }

    /// Requests to all brokers that are not answered yet (`requests-in-flight`).
    #[must_use]
    pub fn requests_in_flight(&self) -> i64 {
        let brokers = self.brokers.values();
        brokers.map(|broker| broker.requests_in_flight).sum()
    }

    /// How many times smaller compression made what was sent; 1 if nothing was.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a ratio is no exact number")]
    pub fn compression_rate(&self) -> f64 {
        match self.batch_bytes_sent {
            0 => 1.0,
            sent => self.batch_bytes_uncompressed as f64 / sent as f64,
        }
    }
}

impl PartitionMetricsSnapshot {
    /// Offsets between the position and the end of the log; `None` while either is unknown.
    #[must_use]
    pub fn lag(&self) -> Option<u64> {
        if self.position < 0 || self.end_offset < 0 {
            return None;
        }
        Some(u64::try_from(self.end_offset - self.position).unwrap_or_default())
    }
}

impl Metrics {
    /// The counters of a broker's connections, by the broker's name.
    pub(crate) fn broker(&self, name: &Arc<str>) -> Arc<BrokerMetrics> {
        self.brokers.entry(name)
    }

    /// Counts an error code that a broker answered.
    pub(crate) fn error(&self, code: ErrorCode) {
        if !code.is_ok() {
            self.errors.entry(&code).add(1);
        }
    }
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

/// A number that goes up and down; −1 until it is set.
#[derive(Debug)]
pub(crate) struct Level(AtomicI64);

impl Default for Level {
    fn default() -> Self {
        Self(AtomicI64::new(-1))
    }
}

impl Level {
    pub(crate) fn set(&self, value: i64) {
        self.0.store(value, Relaxed);
    }

    pub(crate) fn value(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// How many there are of something now.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicI64);

impl Gauge {
    fn snapshot(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// A request that counts as unanswered until this is dropped.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<BrokerMetrics>);

impl InFlight {
    pub(crate) fn to(broker: &Arc<BrokerMetrics>) -> Self {
        broker.requests_in_flight.0.fetch_add(1, Relaxed);
        Self(Arc::clone(broker))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.requests_in_flight.0.fetch_sub(1, Relaxed);
    }
}

/// When counting began.
#[derive(Debug)]
pub(crate) struct Age(Instant);

impl Default for Age {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Age {
    fn snapshot(&self) -> Duration {
        self.0.elapsed()
    }
}

/// When something happened last.
#[derive(Debug)]
pub(crate) struct LastTime {
    made: Instant,
    /// Milliseconds since then; −1: never.
    at: AtomicI64,
}

impl Default for LastTime {
    fn default() -> Self {
        Self {
            made: Instant::now(),
            at: AtomicI64::new(-1),
        }
    }
}

impl LastTime {
    /// It happens now.
    pub(crate) fn now(&self) {
        let at = i64::try_from(self.made.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.at.store(at, Relaxed);
    }

    fn snapshot(&self) -> Option<Duration> {
        let at = u64::try_from(self.at.load(Relaxed)).ok()?;
        Some(
            self.made
                .elapsed()
                .saturating_sub(Duration::from_millis(at)),
        )
    }
}

/// The same counters for each of many: locked only to find them.
#[derive(Debug)]
pub(crate) struct Family<K, T>(Mutex<BTreeMap<K, Arc<T>>>);

/// So many members a family has at most: who talks to us decides over names, and is not to fill the memory with them. When it is full, those go
/// whose counters nobody bumps any more.
const FAMILY_MAX: usize = 1024;

impl<K, T> Default for Family<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord + Clone, T: Default> Family<K, T> {
    /// The counters of one member, made if need be. Beyond a bound, counters that nobody will see.
    pub(crate) fn entry(&self, key: &K) -> Arc<T> {
        let mut members = lock(&self.0);
        if let Some(known) = members.get(key) {
            return Arc::clone(known);
        }
        let new = Arc::<T>::default();
        if members.len() >= FAMILY_MAX {
            members.retain(|_, member| Arc::strong_count(member) > 1);
        }
        if members.len() < FAMILY_MAX {
            members.insert(key.clone(), Arc::clone(&new));
        }
        new
    }

    fn read<S>(&self, read: impl Fn(&T) -> S) -> BTreeMap<K, S> {
        let members = lock(&self.0);
        let read = |(key, member): (&K, &Arc<T>)| (key.clone(), read(member));
        members.iter().map(read).collect()
    }
}

impl Family<Arc<str>, BrokerMetrics> {
    fn snapshot(&self) -> BTreeMap<Arc<str>, BrokerMetricsSnapshot> {
        self.read(BrokerMetrics::snapshot)
    }
}

impl Family<Arc<str>, TopicMetrics> {
    fn snapshot(&self) -> BTreeMap<Arc<str>, TopicMetricsSnapshot> {
        self.read(TopicMetrics::snapshot)
    }
}

impl Family<(Arc<str>, i32), PartitionMetrics> {
    /// Only of partitions that somebody still reads.
    fn snapshot(&self) -> BTreeMap<(Arc<str>, i32), PartitionMetricsSnapshot> {
        lock(&self.0).retain(|_, member| Arc::strong_count(member) > 1);
        self.read(PartitionMetrics::snapshot)
    }
}

impl Family<Arc<str>, GroupMetrics> {
    fn snapshot(&self) -> BTreeMap<Arc<str>, GroupMetricsSnapshot> {
        self.read(GroupMetrics::snapshot)
    }
}

impl Family<ErrorCode, Counter> {
    fn snapshot(&self) -> BTreeMap<ErrorCode, u64> {
        self.read(Counter::value)
    }
}

/// How much of a budget is taken, or `None` once the budget is gone.
type Taken = Box<dyn Fn() -> Option<u64> + Send + Sync>;

/// Byte budgets, asked only when a snapshot is taken.
#[derive(Default)]
pub(crate) struct Budgets(Mutex<Vec<(&'static str, u64, Taken)>>);

impl std::fmt::Debug for Budgets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Budgets")
    }
}

impl Budgets {
    /// Adds a budget of `limit` bytes under the name of the property that sets it. `taken` holds it weakly.
    pub(crate) fn watch(
        &self,
        property: &'static str,
        limit: u64,
        taken: impl Fn() -> Option<u64> + Send + Sync + 'static,
    ) {
        let mut budgets = lock(&self.0);
        budgets.retain(|(_, _, taken)| taken().is_some());
        budgets.push((property, limit, Box::new(taken)));
    }

    fn snapshot(&self) -> Vec<BudgetSnapshot> {
        let budgets = lock(&self.0);
        let read = |(property, limit, taken): &(&'static str, u64, Taken)| {
            Some(BudgetSnapshot {
                property,
                limit: *limit,
                taken: taken()?,
            })
        };
        budgets.iter().filter_map(read).collect()
    }
}

/// How much of a byte budget is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BudgetSnapshot {
    /// The property that sets it.
    pub property: &'static str,
    /// Its bytes.
    pub limit: u64,
    /// Bytes taken.
    pub taken: u64,
}

/// What two readings differ by.
trait Since {
    fn since(&self, earlier: &Self) -> Self;
}

impl Since for Duration {
    fn since(&self, earlier: &Self) -> Self {
        self.saturating_sub(*earlier)
    }
}

impl Since for u64 {
    fn since(&self, earlier: &Self) -> Self {
        self.saturating_sub(*earlier)
    }
}

impl Since for BrokerMetricsSnapshot {
    fn since(&self, earlier: &Self) -> Self {
        self.since(earlier)
    }
}

/// A gauge stays what it is now.
impl Since for i64 {
    fn since(&self, _: &Self) -> Self {
        *self
    }
}

impl Since for TopicMetricsSnapshot {
    fn since(&self, earlier: &Self) -> Self {
        self.since(earlier)
    }
}

impl Since for Option<Duration> {
    fn since(&self, _: &Self) -> Self {
        *self
    }
}

impl Since for GroupMetricsSnapshot {
    fn since(&self, earlier: &Self) -> Self {
        self.since(earlier)
    }
}

impl Since for PartitionMetricsSnapshot {
    fn since(&self, earlier: &Self) -> Self {
        self.since(earlier)
    }
}

impl Since for Vec<BudgetSnapshot> {
    fn since(&self, _: &Self) -> Self {
        self.clone()
    }
}

impl<K: Ord + Clone, S: Since + Clone> Since for BTreeMap<K, S> {
    fn since(&self, earlier: &Self) -> Self {
        let difference = |(key, now): (&K, &S)| {
            let before = earlier.get(key);
            let value = before.map_or_else(|| now.clone(), |before| Since::since(now, before));
            (key.clone(), value)
        };
        self.iter().map(difference).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_between_two_snapshots_is_their_difference() {
        let metrics = Metrics::default();
        let broker = metrics.broker(&"broker 1".into());
        metrics.requests.add(2);
        broker.requests.add(2);
        broker.request_us.record(100);
        let before = metrics.snapshot();
        metrics.requests.add(3);
        broker.requests.add(1);
        broker.request_us.record(200);
        metrics.error(ErrorCode::NONE);
        metrics.error(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        let difference = metrics.snapshot().since(&before);
        assert_eq!(difference.requests, 3);
        let of_broker = &difference.brokers["broker 1"];
        assert_eq!((of_broker.requests, of_broker.request_us.count()), (1, 1));
        let errors: Vec<_> = difference.errors.into_iter().collect();
        assert_eq!(errors, [(ErrorCode::NOT_LEADER_OR_FOLLOWER, 1)]);
    }

    #[test]
    fn partitions_that_nobody_reads_any_more_and_budgets_that_are_gone_are_not_shown() {
        let metrics = Metrics::default();
        let partition = metrics.partitions.entry(&("t".into(), 0));
        let bytes = Arc::new(5_u64);
        let weak = Arc::downgrade(&bytes);
        metrics
            .budgets
            .watch("buffer.memory", 10, move || weak.upgrade().map(|n| *n));
        assert_eq!(
            metrics.snapshot().partitions.values().next().unwrap().lag(),
            None
        );
        assert_eq!(metrics.snapshot().records_lag_max(), None);
        partition.position.set(3);
        partition.end_offset.set(10);
        let near = metrics.partitions.entry(&("t".into(), 1));
        near.position.set(9);
        near.end_offset.set(10);
        let seen = metrics.snapshot();
        assert_eq!(seen.records_lag_max(), Some(7));
        assert_eq!(seen.partitions.values().next().unwrap().lag(), Some(7));
        assert_eq!((seen.budgets[0].taken, seen.budgets[0].limit), (5, 10));
        drop((partition, near, bytes));
        let seen = metrics.snapshot();
        assert!(seen.partitions.is_empty() && seen.budgets.is_empty());
    }

    #[test]
    fn a_request_is_in_flight_until_it_is_dropped_and_a_difference_says_how_many_are_now() {
        let metrics = Metrics::default();
        let broker = metrics.broker(&"broker 1".into());
        let first = InFlight::to(&broker);
        let before = metrics.snapshot();
        let second = InFlight::to(&broker);
        let now = metrics.snapshot();
        assert_eq!(now.requests_in_flight(), 2);
        assert_eq!(now.since(&before).requests_in_flight(), 2);
        drop((first, second));
        assert_eq!(metrics.snapshot().requests_in_flight(), 0);
    }

    #[test]
    fn names_without_end_do_not_fill_the_memory() {
        let metrics = Metrics::default();
        for number in 0..2 * FAMILY_MAX {
            metrics.broker(&format!("broker {number}").into());
        }
        assert_eq!(metrics.snapshot().brokers.len(), FAMILY_MAX);
    }
}
