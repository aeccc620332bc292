//! The cluster's topics: names, ids, settings, and for each partition its replicas, leader and log. Pure.
use std::collections::{BTreeMap, HashMap};

use crate::messages::ErrorCode;
use crate::wire::Uuid;

use super::configs::TopicConfigs;
use super::log::{Log, Terms, Timestamps};

/// One partition: its log, and who leads it.
#[derive(Debug)]
pub(crate) struct Partition {
    /// Broker id; −1 while no replica is up.
    pub(crate) leader: i32,
    pub(crate) leader_epoch: i32,
    pub(crate) replicas: Vec<i32>,
    pub(crate) log: Log,
}

impl Partition {
    /// Is this broker the leader, and does the client know the leader's epoch (KIP-320)? −1 asks no such question.
    pub(crate) fn check_leader(&self, broker: i32, epoch: i32) -> Result<(), ErrorCode> {
        if self.leader != broker {
            return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        }
        if epoch < 0 || epoch == self.leader_epoch {
            Ok(())
        } else if epoch < self.leader_epoch {
            Err(ErrorCode::FENCED_LEADER_EPOCH)
        } else {
            Err(ErrorCode::UNKNOWN_LEADER_EPOCH)
        }
    }

    /// Gives the lead to a broker, under a new leader epoch.
    pub(crate) fn lead(&mut self, broker: i32) {
        self.leader = broker;
        self.leader_epoch += 1;
    }
}

/// A topic.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) id: Uuid,
    pub(crate) configs: TopicConfigs,
    pub(crate) partitions: Vec<Partition>,
}

impl Topic {
    /// Replicas of each partition.
    pub(crate) fn replication_factor(&self) -> usize {
        self.partitions
            .first()
            .map_or(1, |first| first.replicas.len())
    }

    /// What the topic's settings mean for an append to one of its partitions.
    pub(crate) fn terms(
        &self,
        partition: &Partition,
        now_ms: i64,
        retention_bytes: Option<u64>,
    ) -> Terms {
        let own = self
            .configs
            .number("retention.bytes")
            .and_then(|bytes| u64::try_from(bytes).ok());
        let retention_bytes = match (own, retention_bytes) {
            (Some(own), Some(cluster)) => Some(own.min(cluster)),
            (own, cluster) => own.or(cluster),
        };
        let max_message_bytes = self.configs.number("max.message.bytes").unwrap_or(0);
        Terms {
            leader_epoch: partition.leader_epoch,
            max_message_bytes: usize::try_from(max_message_bytes).unwrap_or(0),
            timestamps: Timestamps {
                now_ms,
                before_max_ms: self.configs.number("message.timestamp.before.max.ms"),
                after_max_ms: self.configs.number("message.timestamp.after.max.ms"),
            },
            keys_needed: self.configs.has_policy("compact"),
            log_append_time_ms: self.configs.log_append_time().then_some(now_ms),
            retention_bytes,
        }
    }
}

/// All topics.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    by_name: BTreeMap<String, Topic>,
    names: HashMap<Uuid, String>,
    ids: u64,
}

impl Topics {
    pub(crate) fn get(&self, name: &str) -> Option<&Topic> {
        self.by_name.get(name)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Topic> {
        self.by_name.get_mut(name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Topic)> {
        self.by_name.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&String, &mut Topic)> {
        self.by_name.iter_mut()
    }

    pub(crate) fn name_of(&self, id: &Uuid) -> Option<&str> {
        self.names.get(id).map(String::as_str)
    }

    /// A topic whose name differs from this one in dots and underscores alone: their metrics would have one name.
    pub(crate) fn colliding(&self, name: &str) -> Option<&str> {
        let collides = |other: &str| {
            other != name
                && other.len() == name.len()
                && dots_as_underscores(other).eq(dots_as_underscores(name))
        };
        self.by_name
            .keys()
            .map(String::as_str)
            .find(|other| collides(other))
    }

    /// A partition, whoever leads it.
    pub(crate) fn partition(
        &mut self,
        name: &str,
        partition: i32,
    ) -> Result<&mut Partition, ErrorCode> {
        let at = usize::try_from(partition).map_err(|_| ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        self.by_name
            .get_mut(name)
            .and_then(|topic| topic.partitions.get_mut(at))
            .ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
    }

    /// An id that no topic has had.
    pub(crate) fn next_id(&mut self) -> Uuid {
        self.ids += 1;
        let mut id = *b"mock topic\0\0\0\0\0\0";
        id[8..].copy_from_slice(&self.ids.to_be_bytes());
        Uuid(id)
    }

    /// Makes a topic; `replicas` says where each partition lies, its leader first. The name must be free.
    pub(crate) fn create(&mut self, name: &str, replicas: Vec<Vec<i32>>, configs: TopicConfigs) {
        let id = self.next_id();
        let topic = Topic {
            id,
            configs,
            partitions: replicas.into_iter().map(new_partition).collect(),
        };
        self.names.insert(id, name.to_owned());
        self.by_name.insert(name.to_owned(), topic);
    }

    pub(crate) fn delete(&mut self, name: &str) -> Option<Topic> {
        let topic = self.by_name.remove(name)?;
        self.names.remove(&topic.id);
        Some(topic)
    }
}

pub(crate) fn new_partition(replicas: Vec<i32>) -> Partition {
    Partition {
        leader: replicas.first().copied().unwrap_or(-1),
        leader_epoch: 0,
        replicas,
        log: Log::default(),
    }
}

/// Kafka's own topic for the offsets of groups.
pub(crate) const CONSUMER_OFFSETS: &str = "__consumer_offsets";
/// Kafka's own topic for the state of transactions.
pub(crate) const TRANSACTION_STATE: &str = "__transaction_state";

/// `offsets.topic.num.partitions` and `transaction.state.log.num.partitions`.
pub(crate) const INTERNAL_PARTITIONS: i32 = 50;

/// The partition of [`CONSUMER_OFFSETS`] or [`TRANSACTION_STATE`] that a group's or transaction's state is in: by Java's
/// `hashCode` of the key.
pub(crate) fn internal_partition(key: &str) -> i32 {
    let hash = key.encode_utf16().fold(0u32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(unit.into())
    });
    (hash & 0x7fff_ffff) as i32 % INTERNAL_PARTITIONS
}

/// Is it one of the cluster's own topics?
pub(crate) fn is_internal(name: &str) -> bool {
    matches!(name, CONSUMER_OFFSETS | TRANSACTION_STATE)
}

fn dots_as_underscores(name: &str) -> impl Iterator<Item = u8> {
    name.bytes()
        .map(|byte| if byte == b'.' { b'_' } else { byte })
}

/// Kafka's rule for topic names.
pub(crate) fn is_valid_name(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty() && name.len() <= 249 && name != "." && name != ".." && name.chars().all(legal)
}
