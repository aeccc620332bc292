//! Connections by broker and purpose: one of each, opened when wanted, with back-off after failures (KIP-580, KIP-601).
//!
//! Each is opened by a task of its own whose result all who wait share: a caller that gives up neither stops the attempt nor
//! holds anybody up, and a slow address holds up only those who want just that broker.

use std::collections::HashMap;
use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::state::{Broker, BrokerId, Metadata};
use super::{Cluster, Inner, lock};
use crate::client::address;
use crate::client::backoff::{Backoff, Jitter};
use crate::client::config::{Config, MetadataRecovery};
use crate::client::connection::{Connection, Identity, Opening as Attempt, Spoken};
use crate::client::error::{Error, Result};
use crate::client::metrics::Metrics;
use crate::net::{Connect, race};

/// What a connection is for: what may wait for minutes must not hold up what may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// Short questions and admin requests.
    Metadata,
    /// Fetching; the number tells several fetchers apart.
    Fetch(u64),
    /// Producing.
    Produce,
    /// A group's or a transaction's coordinator.
    Coordinator,
    /// One member's heartbeats and joining, the number tells members apart: a JoinGroup is answered when all members have joined, and
    /// what stands behind it on its connection waits as long.
    Member(u64),
}

#[derive(Debug)]
pub(super) struct Connections {
    opener: Arc<Opener>,
    slots: Mutex<HashMap<(BrokerId, Purpose), Place>>,
    /// The connection for questions that any broker answers.
    any: Arc<Slot>,
}

/// A purpose that nobody else has, and with it connections that nobody else uses: they are given back when it is dropped.
#[derive(Debug)]
pub(crate) struct OwnConnections {
    cluster: Weak<Inner>,
    purpose: Purpose,
}

impl OwnConnections {
    /// Of the next fetcher or member of this process. A counter of 64 bits does not come round.
    pub(crate) fn new(cluster: &Cluster, purpose: fn(u64) -> Purpose) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        Self {
            cluster: Arc::downgrade(&cluster.inner),
            purpose: purpose(NUMBERS.fetch_add(1, Relaxed)),
        }
    }

    pub(crate) const fn purpose(&self) -> Purpose {
        self.purpose
    }
}

impl Drop for OwnConnections {
    fn drop(&mut self) {
        if let Some(cluster) = self.cluster.upgrade() {
            cluster.connections.give_back(self.purpose);
        }
    }
}

/// The slot of a broker and purpose, and the address that it is for.
#[derive(Debug)]
struct Place {
    host: Arc<str>,
    port: u16,
    slot: Arc<Slot>,
}

/// The place of one connection.
#[derive(Debug, Default)]
struct Slot {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: Option<Connection>,
    opening: Option<Opening>,
    failures: u32,
    not_before: Option<Instant>,
}

/// An attempt under way.
#[derive(Debug)]
struct Opening {
    result: Outcome,
    task: AbortHandle,
}

/// What an attempt comes to; closed without a value if its runtime ended before it did.
type Outcome = watch::Receiver<Option<Result<Connection>>>;

/// Where to connect to.
#[derive(Debug)]
struct Target {
    host: Arc<str>,
    port: u16,
    name: Arc<str>,
    /// Who must be there; `None` for a bootstrap server.
    identity: Option<Identity>,
}

/// What it takes to open a connection.
#[derive(Debug)]
struct Opener {
    config: Arc<Config>,
    connect: Arc<dyn Connect>,
    metrics: Arc<Metrics>,
    spoken: Mutex<Spoken>,
    jitter: Mutex<Jitter>,
    is_closed: AtomicBool,
    /// A broker of the cluster has answered. What is not Kafka at one of its addresses after that stands in for a broker, and may go away
    /// again.
    is_established: AtomicBool,
}

/// How long one server may take before another is tried beside it, where any of them will do.
const PATIENCE: Duration = Duration::from_secs(1);

impl Connections {
    pub(super) fn new(
        config: Arc<Config>,
        connect: Arc<dyn Connect>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            opener: Arc::new(Opener {
                config,
                connect,
                metrics,
                spoken: Mutex::default(),
                jitter: Mutex::default(),
                is_closed: AtomicBool::new(false),
                is_established: AtomicBool::new(false),
            }),
            slots: Mutex::default(),
            any: Arc::default(),
        }
    }

    /// A broker of the cluster has answered.
    pub(super) fn established(&self) {
        self.opener.is_established.store(true, Relaxed);
    }

    /// The connection, if it is open.
    pub(super) fn open(&self, broker: &Broker, purpose: Purpose) -> Option<Connection> {
        lock(&self.slot(broker, purpose).state).alive()
    }

    /// The connection to a broker of this cluster, opened if need be.
    pub(super) async fn to(
        &self,
        cluster_id: Option<&Arc<str>>,
        broker: &Broker,
        purpose: Purpose,
    ) -> Result<Connection> {
        let slot = self.slot(broker, purpose);
        let target = || self.opener.target(cluster_id, broker);
        if matches!(purpose, Purpose::Fetch(_)) {
            self.take_over(&target(), &slot);
        }
        slot.connection(&self.opener, || vec![target()]).await
    }

    /// Fetching from the broker that the client happened to ask first goes on over the same connection, if nobody uses it now: the
    /// first record comes a connection's set-up earlier. Whoever has a question later opens another one.
    fn take_over(&self, broker: &Target, slot: &Slot) {
        let mut any = lock(&self.any.state);
        let fits = |open: &mut Connection| open.is_free_and_to(&broker.host, broker.port);
        let mut state = lock(&slot.state);
        if state.alive().is_some() || state.opening.is_some() {
            return;
        }
        if let Some(connection) = any.open.take_if(fits) {
            let opener = &self.opener;
            let connection = connection.renamed(Arc::clone(&broker.name), &opener.metrics);
            if let Some(identity) = &broker.identity {
                connection.confirm(identity, opener.config.request_timeout());
            }
            state.open = Some(connection);
            // It was not lost: the next one need not wait.
            state.not_before = any.not_before.take();
        }
    }

    /// A connection to anybody: the one that is there, else to a known broker, else to a bootstrap server (KIP-899).
    pub(super) async fn any(&self, metadata: &Metadata) -> Result<Connection> {
        let opener = &self.opener;
        let targets = || {
            let mut targets: Vec<Target> = metadata
                .brokers()
                .map(|broker| opener.target(metadata.cluster_id.as_ref(), broker))
                .collect();
            opener.shuffle(&mut targets);
            let known = targets.len();
            let recovers =
                opener.config.metadata_recovery_strategy == MetadataRecovery::Rebootstrap;
            if known == 0 || recovers {
                let servers = opener.config.bootstrap_servers.iter();
                targets.extend(servers.filter_map(|server| Target::server(server)));
                opener.shuffle(&mut targets[known..]);
            }
            targets
        };
        self.any.connection(opener, targets).await
    }

    /// Closes all of them, and opens none from now on; the open ones are returned, for those who wait until they have ended.
    pub(super) fn close(&self) -> Vec<Connection> {
        self.opener.is_closed.store(true, Release);
        // Held, so that no connection goes from here to a slot meanwhile.
        let mut any = lock(&self.any.state);
        let slots = lock(&self.slots);
        let slots: Vec<Arc<Slot>> = slots.values().map(|at| Arc::clone(&at.slot)).collect();
        let of_slots = slots.iter().filter_map(|slot| lock(&slot.state).close());
        any.close().into_iter().chain(of_slots).collect()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.opener.is_closed.load(Acquire)
    }

    /// Nobody will want the connections of this purpose any more. Who has one goes on with it.
    pub(super) fn give_back(&self, purpose: Purpose) {
        lock(&self.slots).retain(|(_, of), _| *of != purpose);
    }

    /// Drops the connection of [`Connections::any`], so that the next one is chosen anew.
    pub(super) fn forget_any(&self) {
        lock(&self.any.state).open = None;
    }

    /// The slot for a broker at its present address; a broker that moved gets a new one.
    fn slot(&self, broker: &Broker, purpose: Purpose) -> Arc<Slot> {
        let mut slots = lock(&self.slots);
        let new = || Place {
            host: Arc::clone(&broker.host),
            port: broker.port,
            slot: Arc::default(),
        };
        let place = slots.entry((broker.id, purpose)).or_insert_with(new);
        if place.host != broker.host || place.port != broker.port {
            *place = new();
        }
        Arc::clone(&place.slot)
    }
}

impl Slot {
    /// The connection that is there, or what the attempt under way comes to; one begins if there is none.
    async fn connection(
        self: &Arc<Self>,
        opener: &Arc<Opener>,
        targets: impl Fn() -> Vec<Target>,
    ) -> Result<Connection> {
        loop {
            let mut result = {
                let mut state = lock(&self.state);
                if let Some(connection) = state.alive() {
                    return Ok(connection);
                }
                if opener.is_closed.load(Acquire) {
                    return Err(Error::Closed { what: "client" });
                }
                // An attempt whose runtime ended is none.
                let opening = state.opening.as_ref().map(|opening| opening.result.clone());
                match opening.filter(|result| result.has_changed().is_ok()) {
                    Some(result) => result,
                    None => self.begin(&mut state, opener, targets()),
                }
            };
            if let Ok(result) = result.wait_for(Option::is_some).await
                && let Some(result) = &*result
            {
                return result.clone();
            }
        }
    }

    /// Begins an attempt on the runtime of the caller.
    fn begin(
        self: &Arc<Self>,
        state: &mut State,
        opener: &Arc<Opener>,
        targets: Vec<Target>,
    ) -> Outcome {
        let (sender, result) = watch::channel(None);
        let (slot, opener) = (Arc::downgrade(self), Arc::clone(opener));
        let (failures, not_before) = (state.failures, state.not_before);
        let task = tokio::spawn(async move {
            if let Some(not_before) = not_before {
                tokio::time::sleep_until(not_before).await;
            }
            let opened = opener.open(targets, failures).await;
            Self::end(&slot, &opener, &opened);
            // Nobody may be left who waits.
            sender.send_replace(Some(opened));
        });
        state.opening = Some(Opening {
            result: result.clone(),
            task: task.abort_handle(),
        });
        result
    }

    fn end(slot: &Weak<Self>, opener: &Opener, opened: &Result<Connection>) {
        let Some(slot) = slot.upgrade() else { return };
        let mut state = lock(&slot.state);
        state.failures = if opened.is_ok() {
            0
        } else {
            state.failures + 1
        };
        // Also after a success: a broker that accepts and closes at once is not to be hammered.
        state.not_before = Some(Instant::now() + opener.delay(state.failures.max(1)));
        state.open = opened.as_ref().ok().cloned();
        state.opening = None;
        if opener.is_closed.load(Acquire) {
            state.close();
        }
    }
}

/// Nobody wants the connection any more.
impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(opening) = lock(&self.state).opening.take() {
            opening.task.abort();
        }
    }
}

impl State {
    /// Ends the attempt and the connection, whichever there is.
    fn close(&mut self) -> Option<Connection> {
        if let Some(opening) = self.opening.take() {
            opening.task.abort();
        }
        let open = self.open.take();
        open.iter().for_each(Connection::close);
        open
    }

    /// The connection, if it is still open.
    fn alive(&mut self) -> Option<Connection> {
        if self.open.as_ref().is_some_and(Connection::is_closed) {
            self.open = None;
        }
        self.open.clone()
    }
}

impl Target {
    fn server(server: &str) -> Option<Self> {
        let (host, port) = address(server)?;
        Some(Self {
            host: host.into(),
            port,
            name: server.into(),
            identity: None,
        })
    }
}

/// How much an error says of why no server of several can be used: one that a broker has answered stands for the cluster, and will be the
/// same tomorrow; of the others one that may pass is worth another try. Of equals the last counts.
fn weight(error: &Error) -> u8 {
    match error {
        Error::Broker { .. } | Error::Unsupported { .. } if !error.is_retriable() => 2,
        _ => error.is_retriable().into(),
    }
}

impl Opener {
    /// A broker where the metadata says it is.
    fn target(&self, cluster_id: Option<&Arc<str>>, broker: &Broker) -> Target {
        let recovers = self.config.metadata_recovery_strategy == MetadataRecovery::Rebootstrap;
        let is_checked = recovers && self.config.metadata_cluster_check_enable;
        Target {
            host: Arc::clone(&broker.host),
            port: broker.port,
            name: format!("broker {} ({}:{})", broker.id, broker.host, broker.port).into(),
            identity: cluster_id.filter(|_| is_checked).map(|id| Identity {
                cluster_id: Arc::clone(id),
                node_id: broker.id.0,
            }),
        }
    }

    /// A connection to the first of these that answers.
    async fn open(&self, targets: Vec<Target>, failures: u32) -> Result<Connection> {
        let tried: Vec<&str> = targets.iter().map(|target| &*target.name).collect();
        let attempts: Vec<_> = targets
            .iter()
            .map(|target| self.attempt(target, failures))
            .collect();
        let errors = match race(attempts, PATIENCE).await {
            Ok(connection) => return Ok(connection),
            Err(errors) => errors,
        };
        Err(match errors.into_iter().max_by_key(weight) {
            // The only server there is: its own words say it best.
            Some(error) if tried.len() == 1 => error,
            Some(error) => Error::NoBroker {
                tried: tried.join(", ").into(),
                last: Box::new(error),
            },
            None => Error::usage("there is no server to connect to: `bootstrap.servers` is empty"),
        })
    }

    async fn attempt(&self, target: &Target, failures: u32) -> Result<Connection> {
        let timeout = Backoff::new(
            Duration::from_millis(self.config.socket_connection_setup_timeout_ms),
            Duration::from_millis(self.config.socket_connection_setup_timeout_max_ms),
        );
        let result = Connection::open_as(&Attempt {
            connect: &*self.connect,
            config: &self.config,
            metrics: &self.metrics,
            spoken: &self.spoken,
            host: &target.host,
            port: target.port,
            name: Arc::clone(&target.name),
            identity: target.identity.as_ref(),
            timeout: timeout.delay(failures + 1, 0.5),
        })
        .await;
        if let Err(error @ Error::Misrouted { .. }) = &result {
            tracing::warn!(%error);
        }
        match result {
            Err(Error::NotKafka { address, reason }) if self.is_established.load(Relaxed) => {
                Err(Error::Disconnected {
                    broker: address,
                    reason: format!("it is not a Kafka broker at present: {reason}").into(),
                })
            }
            result => result,
        }
    }

    /// The wait before the next attempt after so many failures.
    fn delay(&self, failures: u32) -> Duration {
        let backoff = Backoff::new(
            Duration::from_millis(self.config.reconnect_backoff_ms),
            Duration::from_millis(self.config.reconnect_backoff_max_ms),
        );
        backoff.delay(failures, lock(&self.jitter).fraction())
    }

    fn shuffle<T>(&self, items: &mut [T]) {
        let mut jitter = lock(&self.jitter);
        for last in (1..items.len()).rev() {
            items.swap(last, (jitter.bits() % (last as u64 + 1)) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::ErrorCode;

    #[cfg(feature = "mock")]
    #[tokio::test(start_paused = true)]
    async fn connections_of_a_fetcher_or_member_that_is_gone_are_given_back() {
        let network = crate::net::Memory::default();
        let mock = crate::mock::Cluster::builder().on_this_runtime();
        let mock = mock.in_memory(&network).start().await.unwrap();
        let config = Config::new(&mock.bootstrap_servers());
        let cluster = Cluster::connect_by(config, Arc::new(network)).await;
        let cluster = cluster.unwrap();
        let broker = BrokerId(mock.broker_ids()[0]);
        let kept = OwnConnections::new(&cluster, Purpose::Fetch);
        cluster.connection(broker, kept.purpose()).await.unwrap();
        for purpose in [Purpose::Fetch, Purpose::Member] {
            for _ in 0..100 {
                let own = OwnConnections::new(&cluster, purpose);
                assert_ne!(own.purpose(), kept.purpose());
                cluster.connection(broker, own.purpose()).await.unwrap();
            }
        }
        assert_eq!(lock(&cluster.inner.connections.slots).len(), 1);
        assert!(cluster.open_connection(broker, kept.purpose()).is_some());
    }

    #[test]
    fn of_several_servers_that_fail_the_one_that_a_broker_refused_for_good_is_told() {
        let refused = Error::broker("login", ErrorCode::SASL_AUTHENTICATION_FAILED, None);
        let down = Error::Connect {
            address: "a:1".into(),
            reason: "refused".into(),
        };
        let no_kafka = Error::NotKafka {
            address: "b:1".into(),
            reason: "nonsense".into(),
        };
        assert!(weight(&refused) > weight(&down) && weight(&down) > weight(&no_kafka));
        let of = |last: &Error| Error::NoBroker {
            tried: "a:1, b:1".into(),
            last: Box::new(last.clone()),
        };
        assert!(of(&down).is_retriable());
        assert!(!of(&no_kafka).is_retriable());
        assert!(!of(&refused).is_retriable());
        assert_eq!(of(&refused).code(), refused.code());
    }
}
