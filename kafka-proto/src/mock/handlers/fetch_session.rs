//! Fetch sessions (KIP-227): a broker remembers what a client fetches, so that requests and responses name only changes.
use std::collections::HashMap;

use crate::messages::fetch::PartitionData;
use crate::messages::{ErrorCode, FetchRequest};
use crate::wire::{Text, Uuid};

/// Sessions a broker keeps; the oldest goes first (`max.incremental.fetch.session.cache.slots`).
const SESSIONS_MAX: usize = 1000;

/// One partition that a client fetches.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) topic: Text,
    pub(crate) topic_id: Uuid,
    pub(crate) partition: i32,
    pub(crate) leader_epoch: i32,
    pub(crate) offset: i64,
    pub(crate) last_fetched_epoch: i32,
    pub(crate) bytes_max: usize,
    /// What the client was last told: high watermark and start of the log.
    told: Option<(i64, i64)>,
}

impl Wanted {
    fn is(&self, topic: &Text, id: &Uuid, partition: i32) -> bool {
        self.partition == partition && self.topic_id == *id && self.topic == *topic
    }
}

#[derive(Debug)]
struct Session {
    epoch: i32,
    by_id: bool,
    wanted: Vec<Wanted>,
}

/// What one request fetches, and how it is to be answered.
#[derive(Debug)]
pub(crate) struct Plan {
    /// 0 without a session.
    pub(crate) session_id: i32,
    /// Leave out partitions with nothing new.
    pub(crate) incremental: bool,
    pub(crate) wanted: Vec<Wanted>,
}

/// The sessions of all brokers, by broker and session id.
#[derive(Debug, Default)]
pub(crate) struct FetchSessions {
    sessions: HashMap<(i32, i32), Session>,
    last_id: i32,
}

fn full(request: &FetchRequest) -> Vec<Wanted> {
    let mut wanted: Vec<Wanted> = Vec::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            wanted.push(Wanted {
                // The name outlives the request's frame.
                topic: topic.topic.detach(),
                topic_id: topic.topic_id,
                partition: partition.partition,
                leader_epoch: partition.current_leader_epoch,
                offset: partition.fetch_offset,
                last_fetched_epoch: partition.last_fetched_epoch,
                bytes_max: usize::try_from(partition.partition_max_bytes).unwrap_or(0),
                told: None,
            });
        }
    }
    wanted
}

impl FetchSessions {
    /// Finds out what a request wants, and moves its session on.
    pub(crate) fn plan(
        &mut self,
        broker: i32,
        version: i16,
        request: &FetchRequest,
    ) -> Result<Plan, ErrorCode> {
        let key = (broker, request.session_id);
        if version < 7 || request.session_epoch < 0 {
            self.sessions.remove(&key);
            return Ok(Plan {
                session_id: 0,
                incremental: false,
                wanted: full(request),
            });
        }
        let by_id = version >= 13;
        if request.session_epoch == 0 {
            self.sessions.remove(&key);
            let wanted = full(request);
            if wanted.is_empty() {
                return Ok(Plan {
                    session_id: 0,
                    incremental: false,
                    wanted,
                });
            }
            self.last_id = if self.last_id == i32::MAX {
                1
            } else {
                self.last_id + 1
            };
            let session = Session {
                epoch: 1,
                by_id,
                wanted: wanted.clone(),
            };
            if self.sessions.len() >= SESSIONS_MAX
                && let Some(oldest) = self.sessions.keys().min_by_key(|(_, id)| *id).copied()
            {
                self.sessions.remove(&oldest);
            }
            self.sessions.insert((broker, self.last_id), session);
            return Ok(Plan {
                session_id: self.last_id,
                incremental: false,
                wanted,
            });
        }
        let session = self
            .sessions
            .get_mut(&key)
            .ok_or(ErrorCode::FETCH_SESSION_ID_NOT_FOUND)?;
        if session.epoch != request.session_epoch {
            return Err(ErrorCode::INVALID_FETCH_SESSION_EPOCH);
        }
        if session.by_id != by_id {
            return Err(ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR);
        }
        for new in full(request) {
            let known = session
                .wanted
                .iter_mut()
                .find(|wanted| wanted.is(&new.topic, &new.topic_id, new.partition));
            match known {
                Some(known) => {
                    *known = Wanted {
                        told: known.told,
                        ..new
                    }
                }
                None => session.wanted.push(new),
            }
        }
        for topic in &request.forgotten_topics_data {
            session.wanted.retain(|wanted| {
                !topic
                    .partitions
                    .iter()
                    .any(|partition| wanted.is(&topic.topic, &topic.topic_id, *partition))
            });
        }
        session.epoch = if session.epoch == i32::MAX {
            1
        } else {
            session.epoch + 1
        };
        Ok(Plan {
            session_id: request.session_id,
            incremental: true,
            wanted: session.wanted.clone(),
        })
    }

    /// Notes what the client is told, and says whether the partition belongs into an incremental answer. Partitions
    /// that had records go to the end, so that a small limit does not starve the others.
    pub(crate) fn told(
        &mut self,
        broker: i32,
        session_id: i32,
        answers: &[(Wanted, PartitionData)],
    ) -> Vec<bool> {
        let session = self.sessions.get_mut(&(broker, session_id));
        let Some(session) = session else {
            return vec![true; answers.len()];
        };
        let mut worth = Vec::with_capacity(answers.len());
        let mut served = Vec::new();
        for (asked, data) in answers {
            let known = session
                .wanted
                .iter()
                .position(|wanted| wanted.is(&asked.topic, &asked.topic_id, asked.partition));
            let Some(at) = known else {
                worth.push(true);
                continue;
            };
            let failed = !data.error_code.is_ok();
            let diverging =
                data.diverging_epoch.end_offset >= 0 || data.preferred_read_replica >= 0;
            let news = (data.high_watermark, data.log_start_offset);
            let has_records = data
                .records
                .as_ref()
                .is_some_and(|records| !records.is_empty());
            worth.push(failed || diverging || has_records || session.wanted[at].told != Some(news));
            session.wanted[at].told = (!failed).then_some(news);
            if has_records {
                served.push(session.wanted.remove(at));
            }
        }
        session.wanted.extend(served);
        worth
    }
}
