//! How a cluster is set up before it starts.
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::messages::{ApiKey, Versions};
use crate::net::Memory;

use super::cluster::Cluster;
use super::configs::TopicConfigs;
use super::groups;
use super::server::{self, Listener, Network, Shared};
use super::state::{Broker, Settings, State};

/// Sets up a [`Cluster`]; made by [`Cluster::builder`].
#[derive(Debug, Clone)]
#[must_use = "nothing runs before start()"]
pub struct Builder {
    brokers: i32,
    racks: Vec<String>,
    listeners: Vec<SocketAddr>,
    advertised: Vec<(String, u16)>,
    topics: Vec<NewTopic>,
    settings: Settings,
    replication_factor: Option<i16>,
    own_thread: bool,
    network: Network,
}

#[derive(Debug, Clone)]
struct NewTopic {
    name: String,
    partitions: i32,
    configs: Vec<(String, String)>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            brokers: 1,
            racks: Vec::new(),
            listeners: Vec::new(),
            advertised: Vec::new(),
            topics: Vec::new(),
            settings: Settings {
                cluster_id: String::from("mock-cluster-in-memory"),
                auto_create_topics: true,
                partitions_default: 1,
                replication_factor: 1,
                retention_bytes: None,
                fetch_bytes_max: 55 << 20,
                versions: BTreeMap::new(),
                transaction_version: 2,
                transaction_timeout_max: Duration::from_secs(15 * 60),
                groups: groups::Settings {
                    initial_rebalance_delay: Duration::ZERO,
                    session_timeout_min: Duration::from_secs(1),
                    session_timeout_max: Duration::from_secs(30 * 60),
                    size_max: usize::MAX,
                    modern_session_timeout: Duration::from_secs(45),
                    heartbeat_interval: Duration::from_secs(5),
                },
            },
            replication_factor: None,
            own_thread: true,
            network: Network::Tcp,
        }
    }
}

impl Builder {
    /// How many brokers, with the ids 1, 2 and so on. One by default.
    pub fn brokers(mut self, count: u16) -> Self {
        self.brokers = i32::from(count.max(1));
        self
    }

    /// A topic that is there from the start.
    pub fn topic(self, name: &str, partitions: i32) -> Self {
        self.topic_with(name, partitions, &[])
    }

    /// A topic with settings, such as `("cleanup.policy", "compact")`.
    pub fn topic_with(mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> Self {
        self.topics.push(NewTopic {
            name: name.to_owned(),
            partitions,
            configs: configs
                .iter()
                .map(|&(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        });
        self
    }

    /// `auto.create.topics.enable=false`: asking for a topic does not make it. It does by default, as in Kafka.
    pub fn no_auto_create_topics(mut self) -> Self {
        self.settings.auto_create_topics = false;
        self
    }

    /// `num.partitions`: of topics made without a number. 1 by default.
    pub fn default_partitions(mut self, count: i32) -> Self {
        self.settings.partitions_default = count.max(1);
        self
    }

    /// The brokers' racks, in the order of their ids. Clients with a `client.rack` are sent to a replica there (KIP-392).
    pub fn racks(mut self, racks: &[&str]) -> Self {
        self.racks = racks.iter().map(|rack| (*rack).to_owned()).collect();
        self
    }

    /// `listeners`: where the brokers listen, one address each in the order of their ids; port 0 is any free one. By default
    /// free ports of 127.0.0.1. Whoever reaches the port may read and write everything.
    pub fn listeners(mut self, listeners: &[SocketAddr]) -> Self {
        self.listeners = listeners.to_vec();
        self
    }

    /// `advertised.listeners`: host and port that clients are sent to, one each in the order of the brokers' ids, where
    /// that is not the listener itself: behind a proxy, in a container. Port 0 is the one listened on.
    pub fn advertised_listeners(mut self, advertised: &[(&str, u16)]) -> Self {
        self.advertised = advertised
            .iter()
            .map(|&(host, port)| (host.to_owned(), port))
            .collect();
        self
    }

    /// `default.replication.factor`. By default as many as there are brokers, at most 3.
    pub fn replication_factor(mut self, factor: i16) -> Self {
        self.replication_factor = Some(factor.max(1));
        self
    }

    /// Keeps about so many bytes of each partition and drops the oldest batches, so that long tries do not exhaust
    /// memory. Without it everything is kept. Counted in segments of up to 1 MiB.
    pub fn retention_bytes(mut self, bytes: u64) -> Self {
        self.settings.retention_bytes = Some(bytes);
        self
    }

    /// `group.initial.rebalance.delay.ms`. Zero by default (Kafka: 3 s), so that tests do not wait.
    pub fn initial_rebalance_delay(mut self, delay: Duration) -> Self {
        self.settings.groups.initial_rebalance_delay = delay;
        self
    }

    /// `group.min.session.timeout.ms` and `group.max.session.timeout.ms`. 1 s and 30 min by default (Kafka: 6 s and
    /// 30 min).
    pub fn session_timeouts(mut self, min: Duration, max: Duration) -> Self {
        self.settings.groups.session_timeout_min = min;
        self.settings.groups.session_timeout_max = max;
        self
    }

    /// `group.consumer.heartbeat.interval.ms` and `group.consumer.session.timeout.ms`, which hold for the newer group protocol (KIP-848).
    /// 5 s and 45 s by default, as Kafka's.
    pub fn consumer_group_timing(mut self, heartbeat: Duration, session: Duration) -> Self {
        self.settings.groups.heartbeat_interval = heartbeat;
        self.settings.groups.modern_session_timeout = session;
        self
    }

    /// `group.max.size`. Unlimited by default.
    pub fn group_max_size(mut self, members: usize) -> Self {
        self.settings.groups.size_max = members;
        self
    }

    /// Speaks only these versions of an API, to play an older broker. What the codec does not have is left out.
    pub fn versions(mut self, api: ApiKey, versions: Versions) -> Self {
        self.settings.versions.insert(api, versions);
        self
    }

    /// Does not have this API.
    pub fn without(self, api: ApiKey) -> Self {
        self.versions(api, Versions::NONE)
    }

    /// The finalized feature `transaction.version`: 2 by default, 0 or 1 to play a broker before 4.0. Below 2 the
    /// requests of the second version (Produce 12, EndTxn 5, TxnOffsetCommit 5) are not offered either.
    pub fn transaction_version(mut self, level: i16) -> Self {
        self.settings.transaction_version = level.clamp(0, 2);
        if level < 2 {
            for (api, max) in [
                (ApiKey::PRODUCE, 11),
                (ApiKey::END_TXN, 4),
                (ApiKey::TXN_OFFSET_COMMIT, 4),
            ] {
                let range = Versions::new(0, max);
                self.settings.versions.entry(api).or_insert(range);
            }
        }
        self
    }

    /// The cluster's id.
    pub fn cluster_id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.settings.cluster_id);
        self
    }

    /// Runs on the caller's tokio runtime instead of a thread of its own: slower to share, but a runtime with a paused
    /// clock then pauses the cluster too.
    pub fn on_this_runtime(mut self) -> Self {
        self.own_thread = false;
        self
    }

    /// Listens on an in-memory network instead of loopback ports, under the names `broker-1:9092`, `broker-2:9092` and so on.
    pub fn in_memory(mut self, network: &Memory) -> Self {
        self.network = Network::Memory(network.clone());
        self
    }

    /// Starts the brokers. When this returns they listen.
    ///
    /// # Errors
    /// No port or thread to be had, listeners that do not fit the brokers, or a topic that cannot be made (its name, its
    /// number of partitions or a setting; the text says which).
    pub async fn start(mut self) -> io::Result<Cluster> {
        let factor = i16::try_from(self.brokers.min(3)).unwrap_or(1);
        self.settings.replication_factor = self.replication_factor.unwrap_or(factor);
        if i32::from(self.settings.replication_factor) > self.brokers {
            return Err(invalid(format!(
                "a replication factor of {} needs as many brokers, there are {}",
                self.settings.replication_factor, self.brokers
            )));
        }
        self.check_listeners()?;
        let network = self.network.clone();
        let (commands, receiver) = mpsc::unbounded_channel();
        if !self.own_thread {
            let (shared, listeners) = self.listen().await?;
            tokio::spawn(server::supervise(
                Arc::clone(&shared),
                network,
                listeners,
                receiver,
                false,
            ));
            return Ok(Cluster::new(shared, commands, None));
        }
        let (started, outcome) = oneshot::channel();
        let thread = thread::Builder::new()
            .name(String::from("mock-cluster"))
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                let runtime = match runtime {
                    Ok(runtime) => runtime,
                    Err(error) => {
                        let _ = started.send(Err(error));
                        return;
                    }
                };
                runtime.block_on(async move {
                    match self.listen().await {
                        Err(error) => {
                            let _ = started.send(Err(error));
                        }
                        Ok((shared, listeners)) => {
                            let _ = started.send(Ok(Arc::clone(&shared)));
                            server::supervise(shared, network, listeners, receiver, true).await;
                        }
                    }
                });
            })?;
        let shared = outcome
            .await
            .map_err(|_| io::Error::other("the cluster's thread ended before it had started"))??;
        Ok(Cluster::new(shared, commands, Some(thread)))
    }

    fn check_listeners(&self) -> io::Result<()> {
        for (name, count) in [
            ("listeners", self.listeners.len()),
            ("advertised listeners", self.advertised.len()),
        ] {
            if count > 0 && !matches!(self.network, Network::Tcp) {
                return Err(invalid(format!(
                    "{name} are of no use in memory: leave them out, or listen on TCP"
                )));
            }
            if count > 0 && i32::try_from(count) != Ok(self.brokers) {
                return Err(invalid(format!(
                    "{name} must be as many as brokers: {count} for {}",
                    self.brokers
                )));
            }
        }
        let nowhere = self.listeners.iter().find(|at| at.ip().is_unspecified());
        match nowhere {
            Some(at) if self.advertised.is_empty() => Err(invalid(format!(
                "clients cannot be sent to {at}: say with advertised listeners where they reach it"
            ))),
            _ => Ok(()),
        }
    }

    /// Opens the ports and makes the topics.
    async fn listen(self) -> io::Result<(Arc<Shared>, Vec<(i32, Listener)>)> {
        let mut state = State::new(self.settings);
        let mut listeners = Vec::new();
        for id in 1..=self.brokers {
            let index = id as usize - 1;
            let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let mut at = self.listeners.get(index).copied().unwrap_or(any_port);
            let (listener, host, port) = self.network.listen(id, at).await?;
            at.set_port(port);
            let (host, port) = match self.advertised.get(index) {
                Some((host, 0)) => (host.clone(), port),
                Some((host, port)) => (host.clone(), *port),
                None => (host, port),
            };
            state.brokers.push(Broker {
                id,
                host,
                port,
                listener: at,
                rack: self.racks.get(index).cloned(),
                up: true,
            });
            listeners.push((id, listener));
        }
        for topic in self.topics {
            let mut configs = TopicConfigs::default();
            for (name, value) in &topic.configs {
                configs.set(name, value).map_err(invalid)?;
            }
            state
                .new_topic(&topic.name, topic.partitions, configs)
                .map_err(invalid)?;
        }
        Ok((Arc::new(Shared::new(state)), listeners))
    }
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}
