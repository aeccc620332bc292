//! What is known of the cluster, and how an answer changes it. Pure.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use crate::messages::metadata::{MetadataResponseBroker, MetadataResponseTopic};
use crate::messages::{ErrorCode, MetadataResponse};
use crate::wire::Uuid;

/// A broker's number in its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrokerId(pub i32);

impl fmt::Display for BrokerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A snapshot of what is known of the cluster: all brokers, and the topics that somebody asked for.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Metadata {
    /// The cluster's id; none before the first answer, and from very old brokers.
    pub cluster_id: Option<Arc<str>>,
    /// Where admin requests go: the controller, or with KRaft any broker.
    pub controller: Option<BrokerId>,
    brokers: BTreeMap<BrokerId, Arc<Broker>>,
    topics: HashMap<Arc<str>, Arc<Topic>>,
    /// Topics that were asked for and are not there, or not usable, and why.
    failed: HashMap<Arc<str>, ErrorCode>,
}

/// Where a broker is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Broker {
    /// Its number.
    pub id: BrokerId,
    /// Its advertised host.
    pub host: Arc<str>,
    /// Its advertised port.
    pub port: u16,
    /// Its rack, if it has one.
    pub rack: Option<Arc<str>>,
}

impl Broker {
    pub(crate) fn new(id: BrokerId, host: &str, port: i32, rack: Option<&str>) -> Option<Self> {
        // A broker without an address (unknown or still starting) cannot be used.
        let port = u16::try_from(port).ok().filter(|port| *port != 0)?;
        (id.0 >= 0 && !host.is_empty()).then(|| Self {
            id,
            host: host.into(),
            port,
            rack: rack.map(Arc::from),
        })
    }

    fn from_response(broker: &MetadataResponseBroker) -> Option<Self> {
        Self::new(
            BrokerId(broker.node_id),
            &broker.host,
            broker.port,
            broker.rack.as_deref(),
        )
    }
}

/// A topic and its partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Topic {
    /// Its name.
    pub name: Arc<str>,
    /// Its id, which changes when the topic is deleted and created again; zero from brokers before 2.8.
    pub id: Uuid,
    /// Whether it is one of Kafka's own.
    pub is_internal: bool,
    /// Its partitions; the index is the partition's number.
    pub partitions: Vec<Partition>,
}

/// A partition as the cluster's metadata shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Partition {
    /// Who takes writes; `None` while there is nobody.
    pub leader: Option<BrokerId>,
    /// How often the leader has changed; -1 from brokers before 2.1.
    pub leader_epoch: i32,
    /// Who has copies.
    pub replicas: Vec<BrokerId>,
}

impl Metadata {
    /// The brokers, by number.
    pub fn brokers(&self) -> impl Iterator<Item = &Arc<Broker>> {
        self.brokers.values()
    }

    /// One broker.
    #[must_use]
    pub fn broker(&self, id: BrokerId) -> Option<&Arc<Broker>> {
        self.brokers.get(&id)
    }

    /// The topics that are known.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.topics.values()
    }

    /// One topic, if it is known.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(name)
    }

    /// The topic of this id, if it is known.
    #[must_use]
    pub fn topic_by_id(&self, id: Uuid) -> Option<&Arc<Topic>> {
        self.topics.values().find(|topic| topic.id == id)
    }

    /// Why a topic that was asked for is not known.
    #[must_use]
    pub fn topic_error(&self, name: &str) -> Option<ErrorCode> {
        self.failed.get(name).copied()
    }

    /// Who takes writes for a partition, and in which epoch.
    #[must_use]
    pub fn leader(&self, topic: &str, partition: i32) -> Option<(BrokerId, i32)> {
        let index = usize::try_from(partition).ok()?;
        let partition = self.topic(topic)?.partitions.get(index)?;
        Some((partition.leader?, partition.leader_epoch))
    }

    /// How often the leader of a partition has changed, even if there is none now.
    pub(super) fn leader_epoch(&self, topic: &str, partition: i32) -> Option<i32> {
        let index = usize::try_from(partition).ok()?;
        Some(self.topic(topic)?.partitions.get(index)?.leader_epoch)
    }

    /// What is known after an answer to a question for `asked` topics (`None`: for all of them).
    ///
    /// A partial answer forgets nothing else. A partition does not go back to an older leader epoch, unless its topic was created anew
    /// (KIP-320, KIP-516). A topic without partitions is no success.
    #[must_use]
    pub(super) fn merged(&self, response: &MetadataResponse, asked: Option<&[Arc<str>]>) -> Self {
        let mut next = self.clone();
        next.cluster_id = response.cluster_id.as_deref().map(Arc::from);
        next.controller = Some(BrokerId(response.controller_id)).filter(|id| id.0 >= 0);
        let brokers: BTreeMap<_, _> = response
            .brokers
            .iter()
            .filter_map(Broker::from_response)
            .map(|broker| {
                // Unchanged brokers keep their place in memory, so that snapshots are cheap to compare.
                let known = self
                    .brokers
                    .get(&broker.id)
                    .filter(|known| ***known == broker);
                (
                    broker.id,
                    known.map_or_else(|| Arc::new(broker), Arc::clone),
                )
            })
            .collect();
        // An answer without brokers (a broker that is still starting) says nothing about them.
        if !brokers.is_empty() {
            next.brokers = brokers;
        }
        if asked.is_none() {
            next.topics.retain(|name, _| {
                response
                    .topics
                    .iter()
                    .any(|t| t.name.as_deref() == Some(name))
            });
            next.failed.clear();
        }
        for topic in &response.topics {
            next.merge_topic(topic);
        }
        next
    }

    fn merge_topic(&mut self, answer: &MetadataResponseTopic) {
        let Some(name) = answer.name.as_deref() else {
            return;
        };
        let code = if answer.error_code.is_ok() && answer.partitions.is_empty() {
            ErrorCode::LEADER_NOT_AVAILABLE
        } else {
            answer.error_code
        };
        if !code.is_ok() {
            self.failed.insert(name.into(), code);
            // What passes by itself does not take away what is known.
            if !code.is_retriable() || code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION {
                self.topics.remove(name);
            }
            return;
        }
        self.failed.remove(name);
        // Brokers before 2.8 know no ids: what another one has said of the topic still holds.
        let is_same = |known: &&Arc<Topic>| {
            known.id == answer.topic_id || known.id.is_zero() || answer.topic_id.is_zero()
        };
        let known = self.topics.get(name).filter(is_same);
        let id = match known {
            Some(known) if answer.topic_id.is_zero() => known.id,
            _ => answer.topic_id,
        };
        let mut partitions = vec![
            Partition {
                leader: None,
                leader_epoch: -1,
                replicas: Vec::new()
            };
            answer.partitions.len()
        ];
        for partition in &answer.partitions {
            // Numbers count from 0 without holes; what is outside cannot be used.
            let index = usize::try_from(partition.partition_index).unwrap_or(usize::MAX);
            let Some(slot) = partitions.get_mut(index) else {
                continue;
            };
            let newer = known
                .and_then(|known| known.partitions.get(index))
                .filter(|known| {
                    partition.leader_epoch >= 0 && known.leader_epoch > partition.leader_epoch
                });
            *slot = newer.cloned().unwrap_or_else(|| Partition {
                leader: Some(BrokerId(partition.leader_id)).filter(|id| id.0 >= 0),
                leader_epoch: partition.leader_epoch,
                replicas: partition
                    .replica_nodes
                    .iter()
                    .copied()
                    .map(BrokerId)
                    .collect(),
            });
        }
        let topic = Topic {
            name: name.into(),
            id,
            is_internal: answer.is_internal,
            partitions,
        };
        if self.topics.get(name).is_none_or(|known| **known != topic) {
            self.topics.insert(Arc::clone(&topic.name), Arc::new(topic));
        }
    }

    /// Moves a partition to a newer leader that a broker named in its answer (KIP-951); `false` if that is no news.
    pub(super) fn set_leader(
        &mut self,
        topic: &str,
        partition: i32,
        leader: BrokerId,
        epoch: i32,
    ) -> bool {
        let Some(known) = self.topics.get_mut(topic) else {
            return false;
        };
        let index = usize::try_from(partition).unwrap_or(usize::MAX);
        let Some(current) = known.partitions.get(index) else {
            return false;
        };
        if leader.0 < 0 || epoch <= current.leader_epoch || !self.brokers.contains_key(&leader) {
            return false;
        }
        let place = &mut Arc::make_mut(known).partitions[index];
        place.leader = Some(leader);
        place.leader_epoch = epoch;
        true
    }

    /// Adds a broker that is not known; `false` if there are too many to be true.
    pub(super) fn add_broker(&mut self, broker: Broker) -> bool {
        /// More than any cluster has: who names brokers without end is not to fill the memory.
        const BROKERS_MAX: usize = 10_000;
        let has_room = self.brokers.len() < BROKERS_MAX;
        if has_room {
            self.brokers.insert(broker.id, Arc::new(broker));
        }
        has_room
    }

    /// Forgets a topic that nobody needs any more; whether it was known.
    pub(super) fn forget_topic(&mut self, topic: &str) -> bool {
        self.failed.remove(topic);
        self.topics.remove(topic).is_some()
    }

    /// Forgets all brokers, so that the bootstrap servers are asked again (KIP-1102).
    pub(super) fn forget_brokers(&mut self) {
        self.brokers.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::metadata::MetadataResponsePartition;

    fn response(topics: Vec<MetadataResponseTopic>) -> MetadataResponse {
        MetadataResponse {
            brokers: vec![MetadataResponseBroker {
                node_id: 1,
                host: "a".into(),
                port: 9092,
                ..Default::default()
            }],
            topics,
            ..Default::default()
        }
    }

    fn topic(name: &str, id: u8, partitions: &[(i32, i32)]) -> MetadataResponseTopic {
        MetadataResponseTopic {
            name: Some(name.into()),
            topic_id: Uuid([id; 16]),
            partitions: partitions
                .iter()
                .enumerate()
                .map(|(index, (leader, epoch))| MetadataResponsePartition {
                    partition_index: index as i32,
                    leader_id: *leader,
                    leader_epoch: *epoch,
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        }
    }

    fn names(names: &[&str]) -> Vec<Arc<str>> {
        names.iter().map(|name| Arc::from(*name)).collect()
    }

    #[test]
    fn an_older_leader_epoch_does_not_move_a_partition_back() {
        let asked = names(&["t"]);
        let first = Metadata::default().merged(
            &response(vec![topic("t", 1, &[(2, 5), (1, 5)])]),
            Some(&asked),
        );
        let second = first.merged(
            &response(vec![topic("t", 1, &[(1, 4), (2, 6)])]),
            Some(&asked),
        );
        assert_eq!(second.leader("t", 0), Some((BrokerId(2), 5)));
        assert_eq!(second.leader("t", 1), Some((BrokerId(2), 6)));
    }

    #[test]
    fn a_recreated_topic_starts_again_at_its_own_epochs() {
        let asked = names(&["t"]);
        let first =
            Metadata::default().merged(&response(vec![topic("t", 1, &[(2, 5)])]), Some(&asked));
        let second = first.merged(&response(vec![topic("t", 9, &[(1, 0)])]), Some(&asked));
        assert_eq!(second.leader("t", 0), Some((BrokerId(1), 0)));
        assert!(second.topic_by_id(Uuid([9; 16])).is_some());
        assert!(second.topic_by_id(Uuid([1; 16])).is_none());
    }

    #[test]
    fn a_broker_that_knows_no_ids_takes_away_neither_the_id_nor_the_epochs() {
        let asked = names(&["t"]);
        let first =
            Metadata::default().merged(&response(vec![topic("t", 1, &[(2, 5)])]), Some(&asked));
        let second = first.merged(&response(vec![topic("t", 0, &[(1, 4)])]), Some(&asked));
        assert_eq!(second.topic("t").unwrap().id, Uuid([1; 16]));
        assert_eq!(second.leader("t", 0), Some((BrokerId(2), 5)));
        let third = second.merged(&response(vec![topic("t", 9, &[(1, 0)])]), Some(&asked));
        assert_eq!(third.leader("t", 0), Some((BrokerId(1), 0)), "made again");
    }

    #[test]
    fn a_partial_refresh_forgets_no_other_topic_and_a_full_one_does() {
        let both = Metadata::default().merged(
            &response(vec![topic("a", 1, &[(1, 0)]), topic("b", 2, &[(1, 0)])]),
            None,
        );
        let partial = both.merged(
            &response(vec![topic("a", 1, &[(1, 1)])]),
            Some(&names(&["a"])),
        );
        assert!(partial.topic("b").is_some());
        let full = both.merged(&response(vec![topic("a", 1, &[(1, 1)])]), None);
        assert!(full.topic("b").is_none());
    }

    #[test]
    fn a_topic_without_partitions_is_not_success() {
        let asked = names(&["t"]);
        let known = Metadata::default().merged(&response(vec![topic("t", 1, &[])]), Some(&asked));
        assert!(known.topic("t").is_none());
        assert_eq!(
            known.topic_error("t"),
            Some(ErrorCode::LEADER_NOT_AVAILABLE)
        );
        let later = known.merged(&response(vec![topic("t", 1, &[(1, 0)])]), Some(&asked));
        assert!(later.topic("t").is_some());
        assert_eq!(later.topic_error("t"), None);
    }

    #[test]
    fn a_passing_error_keeps_what_is_known_and_a_deleted_topic_goes() {
        let asked = names(&["t"]);
        let known =
            Metadata::default().merged(&response(vec![topic("t", 1, &[(1, 0)])]), Some(&asked));
        let mut failing = topic("t", 1, &[]);
        failing.error_code = ErrorCode::LEADER_NOT_AVAILABLE;
        assert!(
            known
                .merged(&response(vec![failing.clone()]), Some(&asked))
                .topic("t")
                .is_some()
        );
        failing.error_code = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
        let gone = known.merged(&response(vec![failing]), Some(&asked));
        assert!(gone.topic("t").is_none());
        assert_eq!(
            gone.topic_error("t"),
            Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
        );
    }

    #[test]
    fn a_broker_may_move_and_an_answer_without_brokers_forgets_none() {
        let known = Metadata::default().merged(&response(vec![]), None);
        let mut moved = response(vec![]);
        moved.brokers[0].port = 9093;
        assert_eq!(
            known.merged(&moved, None).broker(BrokerId(1)).unwrap().port,
            9093
        );
        moved.brokers[0].node_id = 2;
        assert!(known.merged(&moved, None).broker(BrokerId(1)).is_none());
        moved.brokers.clear();
        assert!(known.merged(&moved, None).broker(BrokerId(1)).is_some());
    }

    #[test]
    fn holes_and_absurd_partition_numbers_are_not_used() {
        let mut odd = topic("t", 1, &[(1, 0), (1, 0)]);
        odd.partitions[1].partition_index = i32::MAX;
        odd.partitions[0].leader_id = -1;
        let known = Metadata::default().merged(&response(vec![odd]), None);
        assert_eq!(known.topic("t").unwrap().partitions.len(), 2);
        assert_eq!(known.leader("t", 0), None);
        assert_eq!(known.leader("t", -1), None);
        assert_eq!(known.leader("t", i32::MAX), None);
    }

    #[test]
    fn a_leader_named_in_an_answer_counts_only_if_it_is_newer() {
        let mut known = Metadata::default().merged(&response(vec![topic("t", 1, &[(2, 5)])]), None);
        assert!(!known.set_leader("t", 0, BrokerId(1), 5));
        assert!(!known.set_leader("t", 0, BrokerId(7), 6));
        assert!(known.set_leader("t", 0, BrokerId(1), 6));
        assert_eq!(known.leader("t", 0), Some((BrokerId(1), 6)));
    }
}
