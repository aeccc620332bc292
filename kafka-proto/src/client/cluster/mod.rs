//! The view of the cluster that everything in a client shares: its metadata, and connections by broker and purpose.
//!
//! [`Cluster`] is a handle; a task on the runtime where it was made keeps the metadata young. The rules of what an answer
//! changes are in `state`.

mod connections;
mod coordinator;
mod offsets;
mod state;
mod task;
mod wanted;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

pub use connections::Purpose;
pub use coordinator::CoordinatorKind;
pub use offsets::{ListedOffset, OffsetSpec};
pub use state::{Broker, BrokerId, Metadata, Partition, Topic};

pub(crate) use connections::OwnConnections;
pub(crate) use wanted::Held;

use self::connections::Connections;
use self::wanted::Wanted;
use super::backoff::{Backoff, Jitter};
use super::config::{Config, MetadataRecovery};
use super::connection::Connection;
use super::deadline::Deadline;
use super::error::{Error, Result};
use super::metrics::{Metrics, MetricsSnapshot};
use crate::messages::metadata::{MetadataRequestTopic, MetadataResponseTopic};
use crate::messages::{ErrorCode, MetadataRequest, MetadataResponse};
use crate::net::{Connect, Tcp};
use crate::wire::Text;

/// The longest name that a topic can have.
pub(crate) const TOPIC_NAME_BYTES_MAX: usize = 249;

/// A client's view of a Kafka cluster. Cheap to clone: clones share connections and metadata, and all of it closes with the last one,
/// or by [`Cluster::close`].
#[derive(Debug, Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: Arc<Config>,
    metrics: Arc<Metrics>,
    connections: Connections,
    metadata: watch::Sender<Arc<Metadata>>,
    /// Topics that somebody needs: all of them are asked for again when the metadata is old.
    wanted: Mutex<Wanted>,
    refresh_wanted: Arc<Notify>,
    /// One question at a time, with the time of the last good answer.
    asking: tokio::sync::Mutex<Instant>,
    coordinators: Mutex<HashMap<(CoordinatorKind, String), Arc<Broker>>>,
    jitter: Mutex<Jitter>,
}

impl Cluster {
    /// Connects to a cluster through any of its bootstrap servers and learns its brokers.
    ///
    /// A server that cannot be reached yet, or hangs up, is tried again for `default.api.timeout.ms`, which a warning says once: programs that are
    /// started together with their brokers wait for them, as Java's do. Safe to drop: nothing stays behind.
    ///
    /// # Errors
    /// [`Error::Config`] for settings that are missing or contradict each other, and [`Error::NotKafka`] for a server that speaks another
    /// protocol, at once; [`Error::NoBroker`] or what connecting says if none of the bootstrap servers, at none of its addresses, answers in that time.
    pub async fn connect(config: Config) -> Result<Self> {
        Self::connect_for(config, &[]).await
    }

    /// As [`Cluster::connect`], and asks for these topics with the same question: a round trip less for who reads or writes them next.
    ///
    /// Whether they are there shows when they are used. Brokers may create them (`allow.auto.create.topics`).
    ///
    /// # Errors
    /// As [`Cluster::connect`].
    pub async fn connect_for(config: Config, topics: &[&str]) -> Result<Self> {
        let bytes = |size: i32| u32::try_from(size).ok();
        let tcp = Tcp::with_buffers(
            bytes(config.send_buffer_bytes),
            bytes(config.receive_buffer_bytes),
        );
        Self::begin(config, Arc::new(tcp), topics).await
    }

    /// As [`Cluster::connect`], over another network than plain TCP.
    ///
    /// # Errors
    /// As [`Cluster::connect`].
    pub async fn connect_by(config: Config, connect: Arc<dyn Connect>) -> Result<Self> {
        Self::begin(config, connect, &[]).await
    }

    async fn begin(config: Config, connect: Arc<dyn Connect>, topics: &[&str]) -> Result<Self> {
        let config = config.validate()?;
        let metrics = Arc::new(Metrics::default());
        let cluster = Self {
            inner: Arc::new(Inner {
                connections: Connections::new(Arc::clone(&config), connect, Arc::clone(&metrics)),
                config,
                metrics,
                metadata: watch::Sender::new(Arc::default()),
                wanted: Mutex::default(),
                refresh_wanted: Arc::default(),
                asking: tokio::sync::Mutex::new(Instant::now()),
                coordinators: Mutex::default(),
                jitter: Mutex::default(),
            }),
        };
        cluster.first_answer(topics).await?;
        cluster.inner.connections.established();
        tokio::spawn(task::keep_young(
            Arc::downgrade(&cluster.inner),
            Arc::clone(&cluster.inner.refresh_wanted),
            Duration::from_millis(cluster.inner.config.metadata_max_age_ms),
        ));
        Ok(cluster)
    }

    /// Closes all connections, for all clones: what is unanswered fails, and what needs a connection later is [`Error::Closed`]. Producers and
    /// consumers on the cluster are to be closed before.
    ///
    /// It takes `default.api.timeout.ms` at most. Dropped before it has ended, the connections end all the same.
    ///
    /// # Errors
    /// [`Error::Timeout`] if a connection has not ended by then.
    pub async fn close(&self) -> Result<()> {
        self.close_by(Deadline::of_api(self.config())).await
    }

    /// As [`Cluster::close`], within another time than `default.api.timeout.ms`.
    ///
    /// # Errors
    /// As [`Cluster::close`].
    pub async fn close_within(&self, timeout: Duration) -> Result<()> {
        self.close_by(Deadline::after(timeout, "the timeout of `close_within`"))
            .await
    }

    async fn close_by(&self, deadline: Deadline) -> Result<()> {
        let open = self.inner.connections.close();
        // So that the task which keeps the metadata young sees it.
        self.request_refresh();
        let ended = async {
            for connection in &open {
                connection.closed().await;
            }
            Ok(())
        };
        let what = || "closing the connections".to_owned();
        deadline.bound(what, ended).await
    }

    /// The first metadata, asked for until it is there or the time is over.
    async fn first_answer(&self, topics: &[&str]) -> Result<()> {
        let deadline = Deadline::of_api(&self.inner.config);
        let servers = || self.inner.config.bootstrap_servers.join(", ");
        let (mut failures, mut last) = (0, None);
        loop {
            let asking = tokio::time::timeout_at(deadline.at(), self.refresh(topics));
            let error = match asking.await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) => error,
                Err(_) => {
                    let over = || deadline.over(format!("connecting to {}", servers()));
                    return Err(last.unwrap_or_else(over));
                }
            };
            if !error.is_retriable() {
                return Err(error);
            }
            if failures == 0 {
                let seconds = self.inner.config.default_api_timeout_ms / 1000;
                tracing::warn!(servers = servers(), %error, "waiting for the first broker, for {seconds} s at most (`default.api.timeout.ms`)");
            }
            failures += 1;
            last = Some(error.clone());
            self.pause(failures, deadline.at(), || error).await?;
        }
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &Arc<Config> {
        &self.inner.config
    }

    /// What the counters of this client stand at.
    #[must_use]
    pub fn metrics(&self) -> MetricsSnapshot {
        self.inner.metrics.snapshot()
    }

    pub(crate) fn counters(&self) -> &Arc<Metrics> {
        &self.inner.metrics
    }

    /// What is known now. A snapshot: take it once for a piece of work, not once a record.
    #[must_use]
    pub fn metadata(&self) -> Arc<Metadata> {
        Arc::clone(&self.inner.metadata.borrow())
    }

    /// Tells of each change of what is known. The first value counts as seen.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Arc<Metadata>> {
        self.inner.metadata.subscribe()
    }

    /// Asks for the brokers and these topics now, and whenever the metadata is old, until nobody has asked for them by name for
    /// `metadata.max.idle.ms`, and no consumer or producer uses them.
    ///
    /// Says nothing about whether the topics are there: [`Metadata::topic`] and [`Metadata::topic_error`] do. Safe to drop.
    ///
    /// # Errors
    /// [`Error::NoBroker`] if nobody can be asked; anything that goes wrong while asking.
    pub async fn refresh(&self, topics: &[&str]) -> Result<Arc<Metadata>> {
        let names: Vec<Arc<str>> = topics.iter().map(|name| Arc::from(*name)).collect();
        {
            let mut wanted = lock(&self.inner.wanted);
            let now = Some(Instant::now());
            names.iter().for_each(|name| wanted.want(name).asked = now);
        }
        self.ask(Some(names), true).await
    }

    /// Asks for the brokers and these topics now, without wanting them from now on.
    pub(crate) async fn look_at(
        &self,
        topics: impl IntoIterator<Item = impl AsRef<str>>,
        may_create: bool,
    ) -> Result<Arc<Metadata>> {
        let names = topics.into_iter().map(|topic| topic.as_ref().into());
        self.ask(Some(names.collect()), may_create).await
    }

    /// Asks for the brokers and for every topic that there is.
    ///
    /// # Errors
    /// As [`Cluster::refresh`].
    pub async fn refresh_all(&self) -> Result<Arc<Metadata>> {
        self.ask(None, true).await
    }

    /// Has the metadata refreshed soon: for when a broker answered that it is no longer the one to ask.
    pub fn request_refresh(&self) {
        self.inner.refresh_wanted.notify_one();
    }

    /// Adds a topic to those that are asked for, and has the metadata refreshed soon.
    pub fn want_topic(&self, topic: &str) {
        let is_new = {
            let mut wanted = lock(&self.inner.wanted);
            let is_new = !wanted.contains(topic);
            wanted.want(&topic.into()).asked = Some(Instant::now());
            is_new
        };
        self.look_for(topic, is_new);
    }

    /// As [`Cluster::want_topic`], for as long as what is returned lives, or somebody else wants the topic.
    pub(crate) fn hold_topic(&self, topic: &str) -> Held {
        let name: Arc<str> = topic.into();
        let is_new = {
            let mut wanted = lock(&self.inner.wanted);
            let is_new = !wanted.contains(topic);
            wanted.want(&name).holders += 1;
            is_new
        };
        self.look_for(topic, is_new);
        Held {
            cluster: Arc::downgrade(&self.inner),
            topic: name,
        }
    }

    fn look_for(&self, topic: &str, is_new: bool) {
        let is_missing = self.metadata().topic(topic).is_none();
        if is_missing {
            // Whoever needs it now may have it created; a refresh later on does not make a topic anew that was deleted.
            lock(&self.inner.wanted).want(&topic.into()).may_create = true;
        }
        if is_new || is_missing {
            self.request_refresh();
        }
    }

    /// A topic with its partitions, asked for until it is there or `timeout` is over. Brokers may create it
    /// (`allow.auto.create.topics`).
    ///
    /// Safe to drop.
    ///
    /// # Errors
    /// [`Error::Broker`] with the reason why the topic cannot be used: at once if it will not pass, else when the time is over.
    pub async fn topic(&self, name: &str, timeout: Duration) -> Result<Arc<Topic>> {
        let deadline = Deadline::after(timeout, "the timeout of the call");
        self.topic_by(name, deadline).await
    }

    /// As [`Cluster::topic`].
    pub(crate) async fn topic_by(&self, name: &str, deadline: Deadline) -> Result<Arc<Topic>> {
        let what = || format!("looking up topic {name}");
        let result = deadline
            .bound(what, self.wait_for_topic(name, deadline.at()))
            .await;
        if result.is_err() {
            // Who still wants it asks again; nobody else is to ask for it for ever.
            lock(&self.inner.wanted).forget(name);
        }
        result
    }

    async fn wait_for_topic(&self, name: &str, deadline: Instant) -> Result<Arc<Topic>> {
        if let Some(topic) = self.metadata().topic(name) {
            // It may be known because somebody has looked at it once: whoever uses it needs it looked after.
            let is_new = {
                let mut wanted = lock(&self.inner.wanted);
                let is_new = !wanted.contains(name);
                wanted.want(&topic.name).asked = Some(Instant::now());
                is_new
            };
            if is_new {
                self.request_refresh();
            }
            return Ok(Arc::clone(topic));
        }
        let mut failures = 0;
        loop {
            let metadata = match self.refresh(&[name]).await {
                Ok(metadata) => metadata,
                Err(error) if !error.is_retriable() => return Err(error),
                Err(error) => {
                    failures += 1;
                    self.pause(failures, deadline, || error).await?;
                    continue;
                }
            };
            if let Some(topic) = metadata.topic(name) {
                return Ok(Arc::clone(topic));
            }
            let code = metadata
                .topic_error(name)
                .unwrap_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
            let error = || {
                let hint = (code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
                    .then_some("the topic does not exist and was not created by the brokers; create it, or switch `auto.create.topics.enable` on");
                Error::broker(format!("looking up topic {name}"), code, hint)
            };
            if !code.is_retriable() {
                return Err(error());
            }
            failures += 1;
            self.pause(failures, deadline, error).await?;
        }
    }

    /// A connection to a broker, opened if there is none for this purpose. Waits for the back-off after failures.
    ///
    /// The connection's task runs on the runtime that opened it. Safe to drop.
    ///
    /// # Errors
    /// What [`Connection::open`] says; the next call waits longer. [`Error::Usage`] if the broker is not in the metadata.
    pub async fn connection(&self, broker: BrokerId, purpose: Purpose) -> Result<Connection> {
        let metadata = self.metadata();
        let Some(broker) = metadata.broker(broker) else {
            self.request_refresh();
            return Err(Error::Disconnected {
                broker: format!("broker {broker}").into(),
                reason: "it is not, or no longer, part of the cluster".into(),
            });
        };
        self.connection_to(broker, purpose).await
    }

    async fn connection_to(&self, broker: &Broker, purpose: Purpose) -> Result<Connection> {
        let cluster_id = self.metadata().cluster_id.clone();
        let connections = &self.inner.connections;
        let result = connections.to(cluster_id.as_ref(), broker, purpose).await;
        if let Err(Error::Misrouted { .. }) = result {
            // What is known may be of a cluster that is elsewhere now. Not if it has changed meanwhile, by another who was told so.
            let still = |metadata: &Metadata| {
                metadata
                    .broker(broker.id)
                    .is_some_and(|known| (&known.host, known.port) == (&broker.host, broker.port))
            };
            self.forget_brokers(still);
        }
        if result.is_err() {
            // It may have moved.
            self.request_refresh();
        }
        result
    }

    /// The connection to a broker for this purpose, if it is open: without waiting.
    #[must_use]
    pub fn open_connection(&self, broker: BrokerId, purpose: Purpose) -> Option<Connection> {
        let metadata = self.metadata();
        self.inner
            .connections
            .open(metadata.broker(broker)?, purpose)
    }

    /// A connection to any broker, for questions that each of them can answer. Safe to drop.
    ///
    /// # Errors
    /// [`Error::NoBroker`] if neither a known broker nor a bootstrap server can be reached.
    pub async fn any_connection(&self) -> Result<Connection> {
        self.inner.connections.any(&self.metadata()).await
    }

    /// A broker that another one named beside a leader (KIP-951), if it is not known yet.
    pub(crate) fn learn_broker(&self, id: i32, host: &str, port: i32, rack: Option<&str>) {
        let Some(broker) = Broker::new(BrokerId(id), host, port, rack) else {
            return;
        };
        self.inner.metadata.send_if_modified(|metadata| {
            metadata.broker(broker.id).is_none() && Arc::make_mut(metadata).add_broker(broker)
        });
    }

    /// A leader that a broker named when it refused (KIP-951). Returns whether that was news.
    pub(crate) fn learn_leader(
        &self,
        topic: &str,
        partition: i32,
        leader: BrokerId,
        epoch: i32,
    ) -> bool {
        let is_news = self.inner.metadata.send_if_modified(|metadata| {
            let is_newer = metadata
                .leader_epoch(topic, partition)
                .is_some_and(|known| known < epoch);
            is_newer && Arc::make_mut(metadata).set_leader(topic, partition, leader, epoch)
        });
        if is_news {
            tracing::debug!(topic, partition, broker = %leader, leader_epoch = epoch, "a new leader");
        }
        is_news
    }

    /// Waits as long as `failures` in a row demand, or gives up with `error` if that would be past the deadline.
    pub(crate) async fn pause(
        &self,
        failures: u32,
        deadline: Instant,
        error: impl FnOnce() -> Error,
    ) -> Result<()> {
        let delay = self.retry_delay(failures);
        if Instant::now() + delay >= deadline {
            return Err(error());
        }
        tokio::time::sleep(delay).await;
        Ok(())
    }

    /// The wait after `failures` in a row (`retry.backoff.ms`, `retry.backoff.max.ms`).
    pub(crate) fn retry_delay(&self, failures: u32) -> Duration {
        let config = &self.inner.config;
        let backoff = Backoff::new(
            Duration::from_millis(config.retry_backoff_ms),
            Duration::from_millis(config.retry_backoff_max_ms),
        );
        backoff.delay(failures, lock(&self.inner.jitter).fraction())
    }

    /// Asks for all topics that somebody needs: one question, or two while some of them may be created.
    async fn ask_again(&self) -> Result<Arc<Metadata>> {
        let idle_max = Duration::from_millis(self.inner.config.metadata_max_idle_ms);
        let idle = lock(&self.inner.wanted).end_idle(Instant::now(), idle_max);
        if !idle.is_empty() {
            tracing::debug!(topics = ?idle, "nobody has used these for `metadata.max.idle.ms`");
            self.inner.metadata.send_if_modified(|metadata| {
                // What is not kept young must not be taken for the truth later.
                let metadata = Arc::make_mut(metadata);
                idle.iter()
                    .fold(false, |known, name| metadata.forget_topic(name) | known)
            });
        }
        let (new, known) = lock(&self.inner.wanted).questions();
        if !new.is_empty() {
            let metadata = self.ask(Some(new), true).await?;
            if known.is_empty() {
                return Ok(metadata);
            }
        }
        self.ask(Some(known), false).await
    }

    /// One question for metadata and what its answer changes. `None` asks for all topics.
    async fn ask(&self, topics: Option<Vec<Arc<str>>>, may_create: bool) -> Result<Arc<Metadata>> {
        let mut answered = self.inner.asking.lock().await;
        let result = self.ask_once(topics.as_deref(), may_create).await;
        let config = &self.inner.config;
        let trigger = Duration::from_millis(config.metadata_recovery_rebootstrap_trigger_ms);
        let is_demanded = result
            .as_ref()
            .is_err_and(|error| error.code() == Some(ErrorCode::REBOOTSTRAP_REQUIRED));
        if result.is_ok() {
            *answered = Instant::now();
        } else if config.metadata_recovery_strategy == MetadataRecovery::Rebootstrap
            && (is_demanded || answered.elapsed() >= trigger)
        {
            self.forget_brokers(|_| true);
            *answered = Instant::now();
            if is_demanded {
                return self.ask_once(topics.as_deref(), may_create).await;
            }
        }
        result
    }

    /// Forgets the known brokers if `still` says so, so that the bootstrap servers are asked (KIP-1102).
    fn forget_brokers(&self, still: impl FnOnce(&Metadata) -> bool) {
        let forgot = self.inner.metadata.send_if_modified(|metadata| {
            let forgets = still(metadata);
            if forgets {
                Arc::make_mut(metadata).forget_brokers();
            }
            forgets
        });
        if forgot {
            tracing::info!("the known brokers are forgotten; asking the bootstrap servers");
            self.inner.connections.forget_any();
        }
    }

    async fn ask_once(
        &self,
        topics: Option<&[Arc<str>]>,
        may_create: bool,
    ) -> Result<Arc<Metadata>> {
        let connection = self.any_connection().await?;
        let (names, too_long): (Vec<_>, Vec<_>) = topics
            .into_iter()
            .flatten()
            .partition(|name| name.len() <= TOPIC_NAME_BYTES_MAX);
        let request = MetadataRequest {
            topics: topics.map(|_| {
                let topic = |name: &Arc<str>| MetadataRequestTopic {
                    name: Some(Text::from(&**name)),
                    ..Default::default()
                };
                names.into_iter().map(topic).collect()
            }),
            allow_auto_topic_creation: may_create && self.inner.config.allow_auto_create_topics,
            ..Default::default()
        };
        let mut response: MetadataResponse = connection
            .call(&request, self.inner.config.request_timeout())
            .await?;
        // What a broker would say of them, if their names fitted into a request: the others are not to wait for that.
        response
            .topics
            .extend(too_long.into_iter().map(|name| MetadataResponseTopic {
                name: Some(Text::from(&**name)),
                error_code: ErrorCode::INVALID_TOPIC_EXCEPTION,
                ..Default::default()
            }));
        self.inner.metrics.metadata_refreshes.add(1);
        self.inner.metrics.error(response.error_code);
        if !response.error_code.is_ok() {
            return Err(Error::broker(
                format!("asking {} for metadata", connection.name()),
                response.error_code,
                None,
            ));
        }
        self.inner.metadata.send_if_modified(|metadata| {
            let merged = metadata.merged(&response, topics);
            let changed = merged != **metadata;
            if changed {
                *metadata = Arc::new(merged);
            }
            changed
        });
        let metadata = self.metadata();
        lock(&self.inner.wanted).seen(&metadata, Instant::now());
        tracing::debug!(
            from = %connection.name(),
            topics = response.topics.len(),
            brokers = response.brokers.len(),
            "metadata"
        );
        let size = i64::try_from(metadata.brokers().count()).unwrap_or(i64::MAX);
        self.inner.metrics.cluster_size.set(size);
        Ok(metadata)
    }
}

/// The guard of a mutex whose data stay consistent even if a holder panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
