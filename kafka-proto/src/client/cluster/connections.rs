//! Connections by broker and purpose: one of each, opened when wanted, with back-off after failures (KIP-580, KIP-601).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::lock;
use super::state::{Broker, BrokerId, Metadata};
use crate::client::address;
use crate::client::backoff::{Backoff, Jitter};
use crate::client::config::Config;
use crate::client::connection::Connection;
use crate::client::error::{Error, Result};
use crate::client::metrics::Metrics;
use crate::net::Connect;

/// What a connection is for: what may wait for minutes must not hold up what may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// Short questions and admin requests.
    Metadata,
    /// Fetching; the number tells several fetchers apart.
    Fetch(u16),
    /// Producing.
    Produce,
    /// A group's or a transaction's coordinator.
    Coordinator,
    /// One member's heartbeats and joining, the number tells members apart: a JoinGroup is answered when all members have joined, and
    /// what stands behind it on its connection waits as long.
    Member(u16),
}

#[derive(Debug)]
pub(super) struct Connections {
    config: Arc<Config>,
    connect: Arc<dyn Connect>,
    metrics: Arc<Metrics>,
    slots: Mutex<HashMap<(BrokerId, Purpose), Arc<Slot>>>,
    /// The connection for questions that any broker answers.
    any: tokio::sync::Mutex<Attempts>,
    any_open: Mutex<Option<Connection>>,
    jitter: Mutex<Jitter>,
}

/// The place of one connection.
#[derive(Debug)]
struct Slot {
    host: Arc<str>,
    port: u16,
    open: Mutex<Option<Connection>>,
    /// Held while connecting, so that all who want the connection wait for one attempt.
    attempts: tokio::sync::Mutex<Attempts>,
}

#[derive(Debug, Default)]
struct Attempts {
    failures: u32,
    not_before: Option<Instant>,
}

impl Connections {
    pub(super) fn new(
        config: Arc<Config>,
        connect: Arc<dyn Connect>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            config,
            connect,
            metrics,
            slots: Mutex::default(),
            any: tokio::sync::Mutex::default(),
            any_open: Mutex::default(),
            jitter: Mutex::default(),
        }
    }

    /// The connection, if it is open.
    pub(super) fn open(&self, broker: &Broker, purpose: Purpose) -> Option<Connection> {
        alive(&self.slot(broker, purpose).open)
    }

    /// The connection to a broker, opened if need be.
    pub(super) async fn to(&self, broker: &Broker, purpose: Purpose) -> Result<Connection> {
        let slot = self.slot(broker, purpose);
        if let Some(connection) = alive(&slot.open) {
            return Ok(connection);
        }
        let mut attempts = slot.attempts.lock().await;
        if let Some(connection) = alive(&slot.open) {
            return Ok(connection);
        }
        if let Some(not_before) = attempts.not_before {
            tokio::time::sleep_until(not_before).await;
        }
        let name = format!("broker {} ({}:{})", broker.id, broker.host, broker.port);
        let opened = self
            .attempt(&broker.host, broker.port, name.into(), attempts.failures)
            .await;
        self.account(&mut attempts, opened.is_ok());
        let connection = opened?;
        *lock(&slot.open) = Some(connection.clone());
        Ok(connection)
    }

    /// A connection to anybody: the one that is there, else to a known broker, else to a bootstrap server (KIP-899).
    pub(super) async fn any(&self, metadata: &Metadata) -> Result<Connection> {
        if let Some(connection) = alive(&self.any_open) {
            return Ok(connection);
        }
        let mut attempts = self.any.lock().await;
        if let Some(connection) = alive(&self.any_open) {
            return Ok(connection);
        }
        if let Some(not_before) = attempts.not_before {
            tokio::time::sleep_until(not_before).await;
        }
        let mut candidates: Vec<(Arc<str>, u16, Arc<str>)> = metadata
            .brokers()
            .map(|broker| {
                let name = format!("broker {} ({}:{})", broker.id, broker.host, broker.port);
                (Arc::clone(&broker.host), broker.port, name.into())
            })
            .collect();
        self.shuffle(&mut candidates);
        let known = candidates.len();
        candidates.extend(self.config.bootstrap_servers.iter().filter_map(|server| {
            let (host, port) = address(server)?;
            Some((host.into(), port, server.as_str().into()))
        }));
        self.shuffle(&mut candidates[known..]);
        let mut last = None;
        let mut tried: Vec<Arc<str>> = Vec::new();
        for (host, port, name) in candidates {
            match self
                .attempt(&host, port, Arc::clone(&name), attempts.failures)
                .await
            {
                Ok(connection) => {
                    self.account(&mut attempts, true);
                    *lock(&self.any_open) = Some(connection.clone());
                    return Ok(connection);
                }
                Err(error) => {
                    tracing::debug!(broker = %name, %error, "cannot connect");
                    tried.push(name);
                    last = Some(error);
                }
            }
        }
        self.account(&mut attempts, false);
        Err(match last {
            // The only server there is: its own words say it best.
            Some(error) if tried.len() == 1 => error,
            Some(error) => Error::NoBroker {
                tried: tried.join(", ").into(),
                last: Box::new(error),
            },
            None => Error::usage("there is no server to connect to: `bootstrap.servers` is empty"),
        })
    }

    /// Drops the connection of [`Connections::any`], so that the next one is chosen anew.
    pub(super) fn forget_any(&self) {
        *lock(&self.any_open) = None;
    }

    /// The slot for a broker at its present address; a broker that moved gets a new one.
    fn slot(&self, broker: &Broker, purpose: Purpose) -> Arc<Slot> {
        let mut slots = lock(&self.slots);
        let slot = slots
            .entry((broker.id, purpose))
            .or_insert_with(|| Slot::new(broker));
        if slot.host != broker.host || slot.port != broker.port {
            *slot = Slot::new(broker);
        }
        Arc::clone(slot)
    }

    async fn attempt(
        &self,
        host: &str,
        port: u16,
        name: Arc<str>,
        failures: u32,
    ) -> Result<Connection> {
        let timeout = Backoff::new(
            Duration::from_millis(self.config.socket_connection_setup_timeout_ms),
            Duration::from_millis(self.config.socket_connection_setup_timeout_max_ms),
        );
        Connection::open_as(
            &*self.connect,
            host,
            port,
            &self.config,
            &self.metrics,
            name,
            timeout.delay(failures + 1, 0.5),
        )
        .await
    }

    fn account(&self, attempts: &mut Attempts, success: bool) {
        attempts.failures = if success { 0 } else { attempts.failures + 1 };
        let backoff = Backoff::new(
            Duration::from_millis(self.config.reconnect_backoff_ms),
            Duration::from_millis(self.config.reconnect_backoff_max_ms),
        );
        let delay = backoff.delay(attempts.failures.max(1), lock(&self.jitter).fraction());
        // Also after a success: a broker that accepts and closes at once is not to be hammered.
        attempts.not_before = Some(Instant::now() + delay);
    }

    fn shuffle<T>(&self, items: &mut [T]) {
        let mut jitter = lock(&self.jitter);
        for last in (1..items.len()).rev() {
            items.swap(last, (jitter.bits() % (last as u64 + 1)) as usize);
        }
    }
}

impl Slot {
    fn new(broker: &Broker) -> Arc<Self> {
        Arc::new(Self {
            host: Arc::clone(&broker.host),
            port: broker.port,
            open: Mutex::default(),
            attempts: tokio::sync::Mutex::default(),
        })
    }
}

/// The connection in a place, if it is still open.
fn alive(place: &Mutex<Option<Connection>>) -> Option<Connection> {
    let mut place = lock(place);
    if place.as_ref().is_some_and(Connection::is_closed) {
        *place = None;
    }
    place.clone()
}
