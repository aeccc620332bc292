//! One broker as a fetcher sees it: the connection, the fetch session on it, and the one fetch that may be under way.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    client::{
        Cluster, Connection, IsolationLevel, Pending, Purpose, cluster::BrokerId, error::Result,
    },
    messages::{
        ErrorCode, FetchRequest, FetchResponse, OffsetForLeaderEpochRequest,
        fetch::{FetchPartition, FetchTopic, ForgottenTopic},
    },
    wire::{Text, Uuid},
};

use super::{
    room::{Reader, Room},
    session::{Answer, Ask, FetchSession, Key, Plan},
};

pub(super) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The last version that names topics by name.
const LAST_BY_NAME: i16 = 12;

/// The first version that says where the logs part (KIP-320).
const FIRST_DIVERGING: i16 = 12;

/// What every fetch says.
#[derive(Clone, Debug)]
pub(super) struct FetchTerms {
    pub(super) max_wait: Duration,
    pub(super) min_bytes: i32,
    pub(super) isolation: IsolationLevel,
    pub(super) rack: Text,
    pub(super) request_timeout: Duration,
}

/// One broker.
pub(super) struct Link {
    broker: i32,
    state: State,
    pub(super) session: FetchSession,
    /// What it is to be asked for next, sorted by key; empty while a fetch is under way.
    pub(super) wanted: Vec<(Key, Ask)>,
    /// Some partition is read from it.
    pub(super) leads: bool,
    /// Counts for the share of the budget that a fetch may take.
    _reader: Reader,
    failures: u32,
    not_before: Option<Instant>,
    sent_at: Option<Instant>,
    /// How many answers in a row came before their time and said nothing.
    empty: u32,
}

enum State {
    Closed,
    Opening(BoxFuture<Result<Connection>>),
    Open(Connection),
    Waiting {
        connection: Connection,
        answer: Pending<FetchRequest>,
        room: Room,
    },
}

/// What came of a fetch.
pub(super) enum Event {
    /// An answer, with the room that was taken for it.
    Fetched(FetchResponse, Room),
    /// The session is lost; a full fetch follows.
    SessionLost(ErrorCode),
    /// No answer: the connection is gone or could not be made. Tried again after a while.
    Failed(crate::client::Error),
}

impl Link {
    pub(super) fn new(broker: i32, reader: Reader) -> Self {
        Self {
            broker,
            state: State::Closed,
            session: FetchSession::default(),
            wanted: Vec::new(),
            leads: true,
            _reader: reader,
            failures: 0,
            not_before: None,
            sent_at: None,
            empty: 0,
        }
    }

    /// Whether a fetch is under way.
    pub(super) const fn is_busy(&self) -> bool {
        matches!(self.state, State::Waiting { .. })
    }

    /// When the wait after a failure ends.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        self.not_before
    }

    /// The connection, if a fetch may be sent on it now; opens one otherwise.
    pub(super) fn ready(
        &mut self,
        cluster: &Cluster,
        purpose: Purpose,
        cx: &mut Context<'_>,
        now: Instant,
    ) -> Poll<Option<Event>> {
        if self.not_before.is_some_and(|at| at > now) {
            return Poll::Pending;
        }
        self.not_before = None;
        if let State::Open(connection) = &self.state
            && connection.is_closed()
        {
            self.lose();
        }
        if matches!(self.state, State::Closed) {
            let (cluster, broker) = (cluster.clone(), BrokerId(self.broker));
            self.state = match cluster.open_connection(broker, purpose) {
                Some(connection) => State::Open(connection),
                None => State::Opening(Box::pin(async move {
                    cluster.connection(broker, purpose).await
                })),
            };
        }
        match &mut self.state {
            State::Open(_) => Poll::Ready(None),
            State::Opening(opening) => match opening.as_mut().poll(cx) {
                Poll::Ready(Ok(connection)) => {
                    self.state = State::Open(connection);
                    Poll::Ready(None)
                }
                Poll::Ready(Err(error)) => {
                    self.lose();
                    Poll::Ready(Some(Event::Failed(error)))
                }
                Poll::Pending => Poll::Pending,
            },
            State::Waiting { .. } | State::Closed => Poll::Pending,
        }
    }

    /// The connection gave no answer or could not be made.
    fn lose(&mut self) {
        self.session.restart();
        self.state = State::Closed;
    }

    /// An answer was gone through. A broker that has nothing lets a fetch wait; from one that answers empty at once it is not asked for
    /// over and over.
    pub(super) fn answered(
        &mut self,
        news: bool,
        terms: &FetchTerms,
        cluster: &Cluster,
        now: Instant,
    ) {
        /// A session may be answered early when it changes.
        const FREE: u32 = 2;
        let took = self.sent_at.map_or(terms.max_wait, |at| now - at);
        if news || terms.min_bytes == 0 || took >= terms.max_wait / 2 {
            self.empty = 0;
            return;
        }
        self.empty = self.empty.saturating_add(1);
        if self.empty > FREE {
            self.not_before = Some(now + cluster.retry_delay(self.empty - FREE));
        }
    }

    /// Waits before the next try, longer with each failure in a row.
    pub(super) fn back_off(&mut self, cluster: &Cluster, now: Instant) {
        self.failures += 1;
        self.not_before = Some(now + cluster.retry_delay(self.failures));
    }

    /// A lost session is opened again at once, but not over and over.
    pub(super) fn session_lost(&mut self, cluster: &Cluster, now: Instant) {
        if self.failures == 0 {
            self.failures = 1;
        } else {
            self.back_off(cluster, now);
        }
    }

    /// Whether topics may be named by id on the open connection.
    pub(super) fn speaks_ids(&self) -> bool {
        matches!(&self.state, State::Open(connection) if connection.version_for::<FetchRequest>() > Some(LAST_BY_NAME))
    }

    /// The open connection, if fetches on it do not notice that a log was cut off, and there is another way to ask.
    pub(super) fn must_check(&self) -> Option<&Connection> {
        let State::Open(connection) = &self.state else {
            return None;
        };
        let is_blind = connection.version_for::<FetchRequest>() < Some(FIRST_DIVERGING);
        let can_ask = connection
            .version_for::<OffsetForLeaderEpochRequest>()
            .is_some();
        (is_blind && can_ask).then_some(connection)
    }

    /// Sends a fetch.
    pub(super) fn send(
        &mut self,
        plan: &Plan,
        by_id: bool,
        topics: &[(Text, Uuid)],
        terms: &FetchTerms,
        room: Room,
    ) -> Result<()> {
        let State::Open(connection) = &self.state else {
            return Ok(());
        };
        let version_max = if by_id { i16::MAX } else { LAST_BY_NAME };
        let version = connection.version_at_most::<FetchRequest>(version_max)?;
        let request = request(plan, version, topics, terms, room.bytes());
        let answer = connection.send_at_most(
            &request,
            version_max,
            terms.request_timeout + terms.max_wait,
        )?;
        self.state = State::Waiting {
            connection: connection.clone(),
            answer,
            room,
        };
        self.sent_at = Some(Instant::now());
        Ok(())
    }

    /// Sending failed, whatever the reason: the session is not what it was.
    pub(super) fn send_failed(&mut self) {
        self.lose();
    }

    /// What came of the fetch under way.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        // Also while there is nothing to fetch here: whoever else wants this connection waits for the attempt that is under way.
        if let State::Opening(opening) = &mut self.state {
            match opening.as_mut().poll(cx) {
                Poll::Ready(Ok(connection)) => {
                    self.state = State::Open(connection);
                    // It may be wanted by now.
                    cx.waker().wake_by_ref();
                }
                Poll::Ready(Err(error)) => {
                    self.lose();
                    return Poll::Ready(Event::Failed(error));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        let State::Waiting { answer, .. } = &mut self.state else {
            return Poll::Pending;
        };
        let Poll::Ready(answer) = Pin::new(answer).poll(cx) else {
            return Poll::Pending;
        };
        let State::Waiting {
            connection, room, ..
        } = std::mem::replace(&mut self.state, State::Closed)
        else {
            return Poll::Pending;
        };
        let response = match answer {
            Ok(response) => response,
            Err(error) => {
                if matches!(error, crate::client::Error::Malformed { .. }) {
                    connection.close();
                }
                self.lose();
                return Poll::Ready(Event::Failed(error));
            }
        };
        self.state = State::Open(connection);
        let lost = response.error_code != ErrorCode::NONE;
        if self.session.answered(response.session_id, lost) == Answer::SessionLost {
            return Poll::Ready(Event::SessionLost(response.error_code));
        }
        self.failures = 0;
        Poll::Ready(Event::Fetched(response, room))
    }
}

fn request(
    plan: &Plan,
    version: i16,
    topics: &[(Text, Uuid)],
    terms: &FetchTerms,
    max_bytes: usize,
) -> FetchRequest {
    let mut request = FetchRequest {
        max_wait_ms: i32::try_from(terms.max_wait.as_millis()).unwrap_or(i32::MAX),
        min_bytes: terms.min_bytes,
        max_bytes: i32::try_from(max_bytes).unwrap_or(i32::MAX),
        isolation_level: terms.isolation.wire(),
        session_id: plan.session_id,
        session_epoch: plan.session_epoch,
        rack_id: terms.rack.clone(),
        ..FetchRequest::default()
    };
    let mut last = None;
    for &(key, ask) in &plan.asks {
        if last != Some(key.topic) {
            last = Some(key.topic);
            let (topic, topic_id) = topics[key.topic as usize].clone();
            request.topics.push(FetchTopic {
                topic,
                topic_id,
                partitions: Vec::new(),
            });
        }
        if let Some(topic) = request.topics.last_mut() {
            topic.partitions.push(FetchPartition {
                partition: key.partition,
                current_leader_epoch: ask.current_leader_epoch,
                fetch_offset: ask.offset,
                // Older versions cannot say it, and do not ask.
                last_fetched_epoch: if version >= 12 {
                    ask.last_fetched_epoch
                } else {
                    -1
                },
                partition_max_bytes: ask.partition_max_bytes,
                ..FetchPartition::default()
            });
        }
    }
    request.forgotten_topics_data = forgotten(&plan.forgotten, topics);
    request
}

fn forgotten(keys: &[Key], topics: &[(Text, Uuid)]) -> Vec<ForgottenTopic> {
    keys.chunk_by(|a, b| a.topic == b.topic)
        .map(|keys| {
            let (topic, topic_id) = topics[keys[0].topic as usize].clone();
            ForgottenTopic {
                topic,
                topic_id,
                partitions: keys.iter().map(|key| key.partition).collect(),
            }
        })
        .collect()
}

impl Drop for Link {
    fn drop(&mut self) {
        // No one else uses a fetcher's connections; the broker drops the session with time.
        if let State::Open(connection) | State::Waiting { connection, .. } = &self.state {
            connection.close();
        }
    }
}
