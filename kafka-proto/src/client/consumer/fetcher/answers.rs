//! What an answer changes: positions, what is ready to be delivered, and where a lost position goes.

use std::sync::Arc;

use tokio::time::Instant;

use crate::{
    client::{BrokerId, IsolationLevel, error::Error},
    messages::{
        ErrorCode, FetchResponse,
        fetch::{FetchableTopicResponse, PartitionData},
    },
    wire::Records,
};

use super::{
    super::{
        accept::{Cut, cut},
        batches::{FetchedPartition, Origin, corrupt},
        room::{Room, counted},
        session::{Ask, Key},
        state::{Lost, Outcome},
    },
    Fetcher, Start, missing_topic,
};

/// How often in a row a batch may be cut, and asked for with twice the bytes at once.
const CUT_BATCHES_FREE: u32 = 4;

impl Fetcher {
    /// Goes through an answer. What was not asked for, or comes twice, is ignored.
    pub(super) fn fetched(
        &mut self,
        broker: i32,
        response: FetchResponse,
        mut room: Room,
        now: Instant,
    ) {
        self.answers += 1;
        self.news = false;
        let bytes = response
            .responses
            .iter()
            .flat_map(|t| &t.partitions)
            .filter_map(|p| p.records.as_ref());
        room.resize(bytes.map(Records::len).sum());
        let room = Arc::new(room);
        for node in &response.node_endpoints {
            let rack = node.rack.as_deref();
            self.cluster
                .learn_broker(node.node_id, &node.host, node.port, rack);
        }
        for FetchableTopicResponse {
            topic,
            topic_id,
            partitions,
        } in response.responses
        {
            let number = if topic_id.is_zero() {
                self.by_name.get(&topic)
            } else {
                self.by_id.get(&topic_id)
            };
            let Some(&number) = number else { continue };
            for data in partitions {
                let key = Key {
                    topic: number,
                    partition: data.partition_index,
                };
                let Some(ask) = self
                    .links
                    .get(&broker)
                    .and_then(|link| link.session.asked(key))
                else {
                    continue;
                };
                // What was refused waits by itself.
                self.news |= !data.error_code.is_ok();
                self.accept(broker, key, &ask, data, &room, now);
            }
        }
        if let Some(link) = self.links.get_mut(&broker) {
            link.answered(self.news, &self.settings.terms, &self.cluster, now);
        }
    }

    fn accept(
        &mut self,
        broker: i32,
        key: Key,
        ask: &Ask,
        mut data: PartitionData,
        room: &Arc<Room>,
        now: Instant,
    ) {
        let Some(assigned) = self.partitions.get_mut(&key) else {
            return;
        };
        if std::mem::replace(&mut assigned.answer, self.answers) == self.answers {
            return;
        }
        self.cluster.counters().error(data.error_code);
        let state = &mut assigned.state;
        let before = (
            state.high_watermark,
            state.last_stable_offset,
            state.log_start_offset,
        );
        match state.answered(ask, &data, now.into_std(), &self.settings.patience) {
            Outcome::Stale => {}
            Outcome::Good => {
                let same = before
                    == (
                        state.high_watermark,
                        state.last_stable_offset,
                        state.log_start_offset,
                    );
                let news = !(assigned.told && same);
                let records = data.records.take().unwrap_or_default().into_bytes();
                let records = counted(records, Arc::clone(room));
                let is_empty = records.is_empty();
                let aborted = match self.settings.terms.isolation {
                    IsolationLevel::ReadCommitted => data.aborted_transactions.take(),
                    IsolationLevel::ReadUncommitted => None,
                };
                let check_crcs = self.settings.check_crcs;
                let found = cut(
                    records,
                    ask.offset,
                    ask.last_fetched_epoch,
                    aborted,
                    check_crcs,
                    room.budget().left(),
                );
                room.copied(found.copied_bytes);
                let moved = self.moved(key, ask, &found, is_empty, now);
                if moved || (news && found.bad.is_none()) {
                    self.news = true;
                    self.make_ready(key, ask, found, room);
                }
            }
            Outcome::Retry { refresh } => {
                tracing::debug!(
                    broker, topic = %state.topic, partition = key.partition, offset = ask.offset,
                    code = %data.error_code, preferred_read_replica = data.preferred_read_replica, "to be fetched again"
                );
                let replica = data.preferred_read_replica;
                // Until metadata lists it there is no way to it: the leader is asked again, later each time.
                let is_nowhere =
                    replica >= 0 && self.cluster.metadata().broker(BrokerId(replica)).is_none();
                if is_nowhere {
                    state.broker_failed(replica);
                }
                let leader = &data.current_leader;
                let learnt = leader.leader_id >= 0
                    && self.cluster.learn_leader(
                        &state.topic,
                        key.partition,
                        BrokerId(leader.leader_id),
                        leader.leader_epoch,
                    );
                if is_nowhere || (refresh && !learnt) {
                    self.cluster.request_refresh();
                }
            }
            Outcome::Lost(lost) => self.lost(key, lost),
            Outcome::Failed(code) => {
                let error = if code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION {
                    missing_topic(&state.topic, code)
                } else {
                    Error::broker(
                        format!(
                            "fetching {}-{} at offset {}",
                            state.topic, key.partition, ask.offset
                        ),
                        code,
                        None,
                    )
                };
                self.errors.push_back(error);
            }
        }
    }

    /// Moves the position behind what was found; `false` if it stays.
    fn moved(&mut self, key: Key, ask: &Ask, found: &Cut, is_empty: bool, now: Instant) -> bool {
        let Some(assigned) = self.partitions.get_mut(&key) else {
            return false;
        };
        if found.position != ask.offset {
            assigned.state.advance(found.position, found.leader_epoch);
            assigned.partition_max_bytes = self.settings.partition_max_bytes;
            return true;
        }
        if let Some((error, next)) = found.bad {
            // What stands before it was delivered the time before.
            assigned
                .state
                .back_off(now.into_std(), &self.settings.patience);
            let topic = &assigned.state.topic;
            self.errors
                .push_back(corrupt(topic, key.partition, ask.offset, next, error));
        } else if found.partial_bytes > 0 {
            // A batch larger than the limit, from a broker that cuts even the first one: ask for more.
            let patience = &self.settings.patience;
            assigned
                .state
                .falter(CUT_BATCHES_FREE, now.into_std(), patience);
            assigned.partition_max_bytes =
                assigned.partition_max_bytes.saturating_mul(2).max(1 << 16);
        } else if is_empty {
            // At the end of the log: nothing is wrong with it.
            assigned.state.gets_on();
        } else {
            // What stands before the position, again.
            let patience = &self.settings.patience;
            assigned.state.falter(1, now.into_std(), patience);
        }
        false
    }

    fn make_ready(&mut self, key: Key, ask: &Ask, found: Cut, room: &Arc<Room>) {
        let Some(assigned) = self.partitions.get_mut(&key) else {
            return;
        };
        assigned.told = true;
        let metrics = self.cluster.counters();
        metrics.records_fetched.add(found.record_count);
        metrics.batches_fetched.add(found.batches.len() as u64);
        metrics.batch_bytes_fetched.add(found.whole_bytes as u64);
        assigned.metrics.records_fetched.add(found.record_count);
        let bytes = found.whole_bytes as u64;
        assigned.metrics.batch_bytes_fetched.add(bytes);
        tracing::trace!(
            topic = %assigned.state.topic,
            partition = key.partition,
            offset = ask.offset,
            next_offset = found.position,
            records = found.record_count,
            bytes,
            "fetched"
        );
        let state = &assigned.state;
        let fetched = FetchedPartition {
            origin: Arc::new(Origin {
                topic: state.topic.clone(),
                partition: key.partition,
                check_crcs: self.settings.check_crcs,
                fault: Arc::clone(&assigned.fault),
                room: Arc::clone(room),
            }),
            batches: found.batches.into_iter(),
            from: ask.offset,
            from_epoch: ask.last_fetched_epoch,
            position: found.position,
            leader_epoch: state.position_epoch(),
            high_watermark: state.high_watermark,
            last_stable_offset: state.last_stable_offset,
            log_start_offset: state.log_start_offset,
            end: self.settings.end(state),
        };
        if assigned.state.is_paused() {
            self.held.push((key, fetched));
        } else {
            self.ready.push((key, fetched));
        }
    }

    /// A position that is none any more: go where `auto.offset.reset` says, or tell.
    pub(super) fn lost(&mut self, key: Key, lost: Lost) {
        let to = self.settings.reset_to();
        let Some(assigned) = self.partitions.get_mut(&key) else {
            return;
        };
        let topic = assigned.state.topic.clone();
        let (offset, reason) = match lost {
            Lost::OutOfRange {
                position,
                log_start,
                high_watermark,
            } => {
                let range = if log_start >= 0 && high_watermark >= 0 {
                    format!("the log now reaches from {log_start} to {high_watermark}")
                } else {
                    "it is outside the log".to_owned()
                };
                (position, range)
            }
            Lost::Truncated { position, to, .. } => (
                position,
                format!("an unclean leader election took away what was read from offset {to} on"),
            ),
            Lost::Recreated { position } => (
                position,
                "the topic was deleted and created again".to_owned(),
            ),
        };
        tracing::warn!(%topic, partition = key.partition, offset, reason, "the position is lost");
        match (lost, to) {
            (_, None) => {
                assigned.state.stop();
                assigned.lost = Some(Error::PositionLost {
                    topic: topic.as_str().into(),
                    partition: key.partition,
                    offset,
                    reason: reason.into(),
                });
            }
            (Lost::Truncated { to, epoch, .. }, Some(_)) => {
                self.start(key, Start::OffsetInEpoch(to, epoch));
            }
            (_, Some(to)) => {
                assigned.state.reset(to);
                assigned.delivered = None;
                assigned.told = false;
                self.forget(key);
            }
        }
    }
}
