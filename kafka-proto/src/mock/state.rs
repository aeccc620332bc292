//! Everything the cluster knows, behind one lock: the brokers' common memory of topics, groups and transactions, so that
//! a leader can move without copying anything. Pure.
use core::net::SocketAddr;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::messages::{ApiKey, ErrorCode, Versions};

use super::configs::TopicConfigs;
use super::groups::{self, Groups, Ticket};
use super::handlers::fetch_session::FetchSessions;
use super::topics::{
    INTERNAL_PARTITIONS, Topics, internal_partition, is_valid_name, new_partition,
};
use super::transactions::{Ended, Transactions};

/// How the cluster is set up.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) cluster_id: String,
    /// `auto.create.topics.enable`
    pub(crate) auto_create_topics: bool,
    /// `num.partitions`
    pub(crate) partitions_default: i32,
    /// `default.replication.factor`
    pub(crate) replication_factor: i16,
    /// Of each partition, whatever its topic says.
    pub(crate) retention_bytes: Option<u64>,
    /// `fetch.max.bytes`
    pub(crate) fetch_bytes_max: usize,
    /// Ranges other than those of the newest brokers; an empty range hides the API.
    pub(crate) versions: BTreeMap<ApiKey, Versions>,
    /// The finalized feature `transaction.version`.
    pub(crate) transaction_version: i16,
    pub(crate) transaction_timeout_max: Duration,
    pub(crate) groups: groups::Settings,
}

/// One broker, as clients are told of it.
#[derive(Debug, Clone)]
pub(crate) struct Broker {
    pub(crate) id: i32,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Where it listens, which may differ from what clients are told.
    pub(crate) listener: SocketAddr,
    pub(crate) rack: Option<String>,
    pub(crate) up: bool,
}

/// The cluster's memory.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) settings: Settings,
    /// By id, ascending.
    pub(crate) brokers: Vec<Broker>,
    pub(crate) topics: Topics,
    pub(crate) groups: Groups,
    pub(crate) transactions: Transactions,
    pub(crate) fetch_sessions: FetchSessions,
    /// Coordinators that a test has moved, by group or transactional id.
    coordinators: HashMap<String, i32>,
    tickets: Ticket,
}

impl State {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            groups: Groups::new(settings.groups.clone()),
            transactions: Transactions::new(settings.transaction_timeout_max),
            settings,
            brokers: Vec::new(),
            topics: Topics::default(),
            fetch_sessions: FetchSessions::default(),
            coordinators: HashMap::new(),
            tickets: 0,
        }
    }

    pub(crate) fn broker(&self, id: i32) -> Option<&Broker> {
        self.brokers.iter().find(|broker| broker.id == id)
    }

    pub(crate) fn up(&self) -> impl Iterator<Item = &Broker> {
        self.brokers.iter().filter(|broker| broker.up)
    }

    /// The broker that answers for the cluster as a whole; −1 if none is up.
    pub(crate) fn controller(&self) -> i32 {
        self.up().next().map_or(-1, |broker| broker.id)
    }

    /// The coordinator of a group or transactional id.
    pub(crate) fn coordinator(&self, key: &str) -> Option<&Broker> {
        if let Some(moved) = self.coordinators.get(key).and_then(|&id| self.broker(id))
            && moved.up
        {
            return Some(moved);
        }
        // Like Kafka's: the same broker for the same key, and another one only while that is down. It leads the key's
        // partition of the internal topic.
        let count = self.brokers.len().max(1);
        let first = internal_partition(key) as usize % count;
        (0..self.brokers.len())
            .map(|step| &self.brokers[(first + step) % count])
            .find(|broker| broker.up)
    }

    pub(crate) fn check_coordinator(&self, broker: i32, key: &str) -> Result<(), ErrorCode> {
        match self.coordinator(key) {
            None => Err(ErrorCode::COORDINATOR_NOT_AVAILABLE),
            Some(coordinator) if coordinator.id != broker => Err(ErrorCode::NOT_COORDINATOR),
            Some(_) => Ok(()),
        }
    }

    pub(crate) fn move_coordinator(&mut self, key: &str, broker: i32) {
        self.coordinators.insert(key.to_owned(), broker);
    }

    /// Where the replicas of new partitions lie: leaders go round, followers are the next ones.
    pub(crate) fn place(&self, from: i32, partitions: i32, factor: i16) -> Vec<Vec<i32>> {
        let count = self.brokers.len();
        (from..from + partitions)
            .map(|partition| {
                (0..usize::from(factor.unsigned_abs()).min(count))
                    .map(|replica| self.brokers[(partition as usize + replica) % count].id)
                    .collect()
            })
            .collect()
    }

    /// Replicas that a client has chosen for one partition, as many as `factor` if that is known.
    pub(crate) fn check_replicas(
        &self,
        replicas: &[i32],
        factor: Option<usize>,
    ) -> Result<(), (ErrorCode, String)> {
        let mut sorted = replicas.to_vec();
        sorted.sort_unstable();
        let unknown = sorted.iter().find(|id| self.broker(**id).is_none());
        let twice = sorted.windows(2).find(|pair| pair[0] == pair[1]);
        let text = match (unknown, twice, factor) {
            _ if replicas.is_empty() => String::from("includes an empty replica list."),
            (Some(id), ..) => format!("includes broker {id}, but no such broker is registered."),
            (None, Some(pair), _) => format!("includes the broker {} more than once.", pair[0]),
            (None, None, Some(factor)) if factor != replicas.len() => format!(
                "includes a partition with {} replica(s), but this is not consistent with previous partitions, which have {factor} replica(s).",
                replicas.len()
            ),
            _ if replicas
                .iter()
                .any(|id| self.broker(*id).is_some_and(|of| of.up)) =>
            {
                return Ok(());
            }
            _ => String::from("includes a partition all of whose brokers are down."),
        };
        let text = format!("The manual partition assignment {text}");
        Err((ErrorCode::INVALID_REPLICA_ASSIGNMENT, text))
    }

    /// Makes a topic where the name is free; leaders that are down hand on at once.
    pub(crate) fn create_topic(
        &mut self,
        name: &str,
        replicas: Vec<Vec<i32>>,
        configs: TopicConfigs,
    ) {
        self.topics.create(name, replicas, configs);
        self.elect_leaders();
    }

    /// Makes a topic for a test: with the cluster's replication factor, all rules checked.
    pub(crate) fn new_topic(
        &mut self,
        name: &str,
        partitions: i32,
        configs: TopicConfigs,
    ) -> Result<(), String> {
        if !is_valid_name(name) {
            return Err(format!("{name:?} is no legal topic name"));
        }
        configs.check()?;
        if self.topics.get(name).is_some() {
            return Err(format!("there is a topic {name:?} already"));
        }
        if let Some(other) = self.topics.colliding(name) {
            return Err(format!("topic {name:?} collides with {other:?}"));
        }
        if partitions < 1 {
            return Err(format!("topic {name:?} needs at least one partition"));
        }
        let replicas = self.place(0, partitions, self.settings.replication_factor);
        self.create_topic(name, replicas, configs);
        Ok(())
    }

    /// Adds partitions up to `count`, where the cluster thinks best.
    pub(crate) fn add_partitions(&mut self, name: &str, count: i32) {
        let Some(topic) = self.topics.get(name) else {
            return;
        };
        let has = topic.partitions.len() as i32;
        let replicas = self.place(has, (count - has).max(0), topic.replication_factor() as i16);
        self.add_partitions_on(name, replicas);
    }

    /// Adds partitions; `replicas` says where each lies, its leader first.
    pub(crate) fn add_partitions_on(&mut self, name: &str, replicas: Vec<Vec<i32>>) {
        if let Some(topic) = self.topics.get_mut(name) {
            topic
                .partitions
                .extend(replicas.into_iter().map(new_partition));
        }
        self.elect_leaders();
    }

    /// Makes the topic that coordinators keep their state in, as the first one who looks for a coordinator does. It stays
    /// empty: the state itself is not kept in records here.
    pub(crate) fn ensure_internal(&mut self, name: &str) {
        if self.topics.get(name).is_some() || self.up().next().is_none() {
            return;
        }
        let mut configs = TopicConfigs::default();
        let set = [
            ("cleanup.policy", "compact"),
            ("segment.bytes", "104857600"),
        ];
        for (config, value) in set {
            // Both are values that are taken.
            let _ = configs.set(config, value);
        }
        let factor = self.brokers.len().min(3) as i16;
        let replicas = self.place(0, INTERNAL_PARTITIONS, factor);
        self.create_topic(name, replicas, configs);
    }

    /// Deletes a topic and what groups committed for it.
    pub(crate) fn delete_topic(&mut self, name: &str) -> bool {
        let existed = self.topics.delete(name).is_some();
        if existed {
            self.groups.forget_topic(name);
        }
        existed
    }

    /// Partitions whose leader is down go to the first replica that is up.
    pub(crate) fn elect_leaders(&mut self) {
        let up: Vec<i32> = self.up().map(|broker| broker.id).collect();
        for (_, topic) in self.topics.iter_mut() {
            for partition in &mut topic.partitions {
                if up.contains(&partition.leader) {
                    continue;
                }
                let next = partition.replicas.iter().find(|id| up.contains(id));
                match next.copied() {
                    Some(next) => partition.lead(next),
                    None => partition.leader = -1,
                }
            }
        }
    }

    /// Writes the markers of transactions that are over.
    pub(crate) fn write_markers(&mut self, ended: &Ended, now_ms: i64) {
        for (name, index) in &ended.partitions {
            let retention_bytes = self.settings.retention_bytes;
            let Some(topic) = self.topics.get_mut(name) else {
                continue;
            };
            let at = usize::try_from(*index).unwrap_or(usize::MAX);
            let Some(partition) = topic.partitions.get(at) else {
                continue;
            };
            let terms = topic.terms(partition, now_ms, retention_bytes);
            let marker = ended.marker;
            topic.partitions[at].log.append_marker(
                marker.producer_id,
                marker.epoch,
                ended.commit,
                now_ms,
                terms,
            );
        }
        for group in &ended.groups {
            self.groups
                .end_transaction(group, ended.marker.producer_id, ended.commit);
        }
    }

    /// Names a request that the group coordinator answers later.
    pub(crate) fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        self.tickets
    }

    /// When `tick` has something to do next.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        let groups = self.groups.next_deadline();
        let transactions = self.transactions.next_deadline();
        groups.into_iter().chain(transactions).min()
    }

    /// Lets everything happen that was due by `now`.
    pub(crate) fn tick(&mut self, now: Duration, now_ms: i64) {
        self.groups.tick(now);
        for ended in self.transactions.tick(now) {
            self.write_markers(&ended, now_ms);
        }
    }
}
