//! A run over Kafka: one view of the cluster, one producer, one group member a process.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kafka_proto::client::cluster::OffsetSpec;
use kafka_proto::client::consumer::FetchBudget;
use kafka_proto::client::group::{
    Assignor, GroupEvent, GroupOffsets, GroupOptions, Membership, OffsetToCommit, RangeAssignor,
    Revocation, TopicPartition,
};
use kafka_proto::client::{self, Cluster, IsolationLevel, OffsetReset, Producer, Purpose};

use super::kafka_group::OneOwner;
use super::kafka_sink::KafkaSink;
use super::kafka_source::{KafkaSource, KafkaWorker};
use super::kafka_topics;
use super::mixed::DEFAULT_STATE_DIR;
use crate::Error;
use crate::batch::{Compression, OutboxConfig};
use crate::checkpoint::home::Home;
use crate::checkpoint::log::{Change, Log, Need, Place, Position, Share};

/// Names of the run's topics by their index.
pub(super) type Topics = Arc<[Arc<str>]>;

/// What is sent at the end has this long to be acknowledged; committed outputs are already.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How to reach Kafka, and who we are there.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) application_id: String,
    /// Properties of the client.
    pub(crate) client: BTreeMap<String, String>,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) replication_factor: i16,
}

/// One process's connection to Kafka.
pub(crate) struct Kafka {
    cluster: Cluster,
    producer: Producer,
    budget: FetchBudget,
    application_id: String,
    replication_factor: i16,
    /// `allow.auto.create.topics`, for the topics of the run alone.
    auto_create: bool,
    /// Topics that are shared by the group.
    input: Mutex<Vec<usize>>,
    /// Their partitions when the run began.
    places: Vec<Place>,
    topics: Topics,
    home: Mutex<Option<Home>>,
    owner: OneOwner,
    membership: tokio::sync::Mutex<Option<Membership>>,
    /// The group's offsets, as the member commits them.
    offsets: Mutex<Option<GroupOffsets>>,
    revocation: Mutex<Option<Revocation>>,
}

/// An error of the client with what was being done.
pub(super) fn failed(doing: impl Into<String>, error: client::Error) -> Error {
    match error {
        client::Error::Config(error) => Error::Settings(error.to_string()),
        error => Error::Cluster {
            doing: doing.into(),
            retriable: error.is_retriable(),
            source: Box::new(error),
        },
    }
}

impl Kafka {
    pub(crate) async fn connect(settings: Settings) -> Result<Self, Error> {
        let mut config = client::Config::from_properties(&settings.client)
            .map_err(|e| Error::Settings(e.to_string()))?;
        config.group_id = Some(settings.application_id.clone());
        // Asking for a topic that was deleted while the run goes on must not bring it back, empty; `open` creates what may be created.
        let auto_create = std::mem::replace(&mut config.allow_auto_create_topics, false);
        // The disk first: what cannot be remembered there should be known before anything is read.
        let home = match settings.state_dir.as_deref() {
            Some(dir) => Some(Home::enter(dir, &settings.application_id)?),
            // Nobody asked for it: it only saves waiting after a crash.
            None => Home::enter(
                &std::env::temp_dir().join(DEFAULT_STATE_DIR),
                &settings.application_id,
            )
            .ok(),
        };
        let cluster = Cluster::connect(config)
            .await
            .map_err(|e| failed("connecting", e))?;
        let producer = Producer::new(&cluster).map_err(|e| failed("starting the producer", e))?;
        Ok(Self {
            budget: FetchBudget::new(cluster.config().fetch_buffer_bytes),
            producer,
            application_id: settings.application_id,
            replication_factor: settings.replication_factor,
            auto_create,
            input: Mutex::default(),
            places: Vec::new(),
            topics: Arc::new([]),
            home: Mutex::new(home),
            owner: OneOwner::new(),
            membership: tokio::sync::Mutex::new(None),
            offsets: Mutex::new(None),
            revocation: Mutex::new(None),
            cluster,
        })
    }

    fn partition(&self, place: &Place) -> TopicPartition {
        TopicPartition::new(&*self.topics[place.topic], place.partition)
    }

    fn offsets(&self) -> Result<GroupOffsets, Error> {
        lock(&self.offsets)
            .clone()
            .ok_or_else(|| Error::Fenced("this process is no member of its group".into()))
    }

    async fn list(
        &self,
        places: &[Place],
        spec: OffsetSpec,
        isolation: IsolationLevel,
    ) -> Result<Vec<i64>, Error> {
        let questions: Vec<(&str, i32, OffsetSpec)> = places
            .iter()
            .map(|p| (&*self.topics[p.topic], p.partition, spec))
            .collect();
        let answers = self
            .cluster
            .list_offsets(&questions, isolation, Purpose::Metadata)
            .await;
        let answers = answers.map_err(|e| failed("asking where topics begin and end", e))?;
        let offset = |(place, answer): (&Place, client::Result<client::cluster::ListedOffset>)| {
            let doing = || {
                format!(
                    "asking where {}-{} begins and ends",
                    self.topics[place.topic], place.partition
                )
            };
            let offset = answer.map_err(|e| failed(doing(), e))?.offset;
            // A negative answer is not an offset.
            offset
                .filter(|offset| *offset >= 0)
                .ok_or_else(|| Error::Cluster {
                    doing: doing(),
                    source: "the broker did not say".into(),
                    retriable: true,
                })
        };
        places.iter().zip(answers).map(offset).collect()
    }

    /// Nothing is assigned: because others have it, or because there is nothing any more?
    async fn check_input_exists(&self) -> Result<(), Error> {
        let names: Vec<&str> = lock(&self.input)
            .iter()
            .map(|&topic| &*self.topics[topic])
            .collect();
        let metadata = self
            .cluster
            .refresh(&names)
            .await
            .map_err(|e| failed("looking up the input", e))?;
        match names.iter().find(|name| metadata.topic(name).is_none()) {
            None => Ok(()),
            Some(name) => Err(Error::State(format!(
                "topic {name} does not exist any more: it was deleted while this application was reading it"
            ))),
        }
    }

    fn share(&self, partitions: &[TopicPartition]) -> Share {
        let place = |p: &TopicPartition| {
            let topic = self.topics.iter().position(|name| **name == *p.topic)?;
            Some(Place {
                topic,
                partition: p.partition,
            })
        };
        let places: Vec<Place> = partitions.iter().filter_map(place).collect();
        if places.is_empty() {
            Share::Standby
        } else {
            Share::Mine(places)
        }
    }
}

impl Log for Kafka {
    type Source = KafkaSource;
    type Sink = KafkaSink;
    type Worker = KafkaWorker;

    async fn open(&mut self, topics: &[(String, Need)]) -> Result<Vec<i32>, Error> {
        self.topics = kafka_topics::names(topics);
        let is_ours = |need: &Need| match need {
            Need::Input(origin) => origin.own().is_none(),
            Need::Output(to) => to.own().is_none(),
            Need::Changelog { .. } => true,
        };
        let ours: Vec<usize> = (0..topics.len())
            .filter(|i| is_ours(&topics[*i].1))
            .collect();
        let asked: Vec<(String, Need)> = ours.iter().map(|i| topics[*i].clone()).collect();
        let names: Vec<&str> = asked.iter().map(|(name, _)| name.as_str()).collect();
        let found = kafka_topics::open(
            &self.cluster,
            &asked,
            self.replication_factor,
            self.auto_create,
        )
        .await?;
        let mut counts = vec![0; topics.len()];
        for (topic, count) in ours.into_iter().zip(found) {
            counts[topic] = count;
            if matches!(topics[topic].1, Need::Input(_)) {
                self.places
                    .extend((0..count).map(|partition| Place { topic, partition }));
            }
        }
        self.cluster
            .refresh(&names)
            .await
            .map_err(|e| failed("looking up the topics", e))?;
        Ok(counts)
    }

    fn inputs(&self) -> Vec<Place> {
        self.places.clone()
    }

    async fn ends(&self, places: &[Place], until_end: bool) -> Result<Vec<Option<i64>>, Error> {
        if !until_end {
            return Ok(vec![None; places.len()]);
        }
        let bounds = self.bounds(places, true).await?;
        Ok(bounds.into_iter().map(|(_, end)| Some(end)).collect())
    }

    async fn join(&self, input: &[usize], whole: bool) -> Result<(), Error> {
        let assignor: Arc<dyn Assignor> = if whole {
            Arc::new(self.owner.clone())
        } else {
            Arc::new(RangeAssignor)
        };
        let mut options = GroupOptions::new(&self.application_id, &[]);
        options.topics = input
            .iter()
            .map(|&topic| self.topics[topic].to_string())
            .collect();
        options.assignors = vec![assignor];
        options.member_id = lock(&self.home)
            .as_ref()
            .and_then(Home::member_id)
            .map(str::to_owned);
        *lock(&self.input) = input.to_vec();
        let membership =
            Membership::join(&self.cluster, options).map_err(|e| failed("joining the group", e))?;
        *lock(&self.offsets) = Some(membership.offsets().clone());
        *self.membership.lock().await = Some(membership);
        Ok(())
    }

    async fn change(&self) -> Result<Change, Error> {
        let mut membership = self.membership.lock().await;
        let Some(membership) = membership.as_mut() else {
            return std::future::pending().await;
        };
        let doing = || format!("being a member of group {}", self.application_id);
        match membership
            .next_event()
            .await
            .map_err(|e| failed(doing(), e))?
        {
            GroupEvent::Assigned(assignment) => {
                if let Some(home) = lock(&self.home).as_mut() {
                    home.remember(&assignment.member_id)?;
                }
                let share = self.share(&assignment.partitions);
                if share == Share::Standby {
                    self.check_input_exists().await?;
                }
                self.owner
                    .note((share != Share::Standby).then_some(assignment.generation));
                Ok(Change::Assigned(share))
            }
            GroupEvent::Revoked(revocation) => {
                *lock(&self.revocation) = Some(revocation);
                Ok(Change::Revoked)
            }
            GroupEvent::Lost(loss) => {
                self.owner.note(None);
                Ok(Change::Lost(loss.reason.to_string()))
            }
        }
    }

    fn release(&self) {
        // Dropping a revocation says that it is done.
        lock(&self.revocation).take();
    }

    async fn positions(&self, places: &[Place]) -> Result<Vec<Position>, Error> {
        let mut committed = self.committed(places).await?;
        let fresh: Vec<usize> = (0..places.len())
            .filter(|at| committed[*at].is_none())
            .collect();
        if !fresh.is_empty() {
            let spec = match self.cluster.config().auto_offset_reset {
                OffsetReset::Earliest => OffsetSpec::Earliest,
                OffsetReset::Latest => OffsetSpec::Latest,
                _ => {
                    let place = self.partition(&places[fresh[0]]);
                    return Err(Error::Settings(format!(
                        "group {} has no committed position for {place}, and auto.offset.reset does not say earliest or latest",
                        self.application_id
                    )));
                }
            };
            let asked: Vec<Place> = fresh.iter().map(|at| places[*at]).collect();
            let offsets = self
                .list(&asked, spec, IsolationLevel::ReadUncommitted)
                .await?;
            for (at, offset) in fresh.into_iter().zip(offsets) {
                committed[at] = Some(offset);
            }
        }
        Ok(places
            .iter()
            .zip(committed)
            .map(|(&place, offset)| Position {
                place,
                offset: offset.unwrap_or(0),
            })
            .collect())
    }

    async fn committed(&self, places: &[Place]) -> Result<Vec<Option<i64>>, Error> {
        let partitions: Vec<TopicPartition> =
            places.iter().map(|place| self.partition(place)).collect();
        let committed = self.offsets()?.committed(&partitions, true).await;
        let doing = || {
            format!(
                "reading the committed positions of group {}",
                self.application_id
            )
        };
        Ok(committed
            .map_err(|e| failed(doing(), e))?
            .into_iter()
            .map(|c| c.map(|c| c.offset))
            .collect())
    }

    async fn bounds(&self, places: &[Place], stable: bool) -> Result<Vec<(i64, i64)>, Error> {
        let isolation = if stable {
            self.cluster.config().isolation_level
        } else {
            IsolationLevel::ReadUncommitted
        };
        let (starts, ends) = tokio::try_join!(
            self.list(
                places,
                OffsetSpec::Earliest,
                IsolationLevel::ReadUncommitted
            ),
            self.list(places, OffsetSpec::Latest, isolation)
        )?;
        Ok(starts.into_iter().zip(ends).collect())
    }

    async fn commit(&self, positions: &[Position]) -> Result<(), Error> {
        let offsets: Vec<OffsetToCommit> = positions
            .iter()
            .map(|p| OffsetToCommit::new(&*self.topics[p.place.topic], p.place.partition, p.offset))
            .collect();
        use kafka_proto::messages::ErrorCode as E;
        match self.offsets()?.commit(&offsets).await {
            Ok(()) => Ok(()),
            Err(error) => match error.code() {
                Some(
                    E::ILLEGAL_GENERATION
                    | E::UNKNOWN_MEMBER_ID
                    | E::FENCED_INSTANCE_ID
                    | E::REBALANCE_IN_PROGRESS,
                ) => Err(Error::Fenced(error.to_string())),
                _ => Err(failed(
                    format!("committing the positions of group {}", self.application_id),
                    error,
                )),
            },
        }
    }

    fn outbox(&self) -> OutboxConfig {
        let config = self.cluster.config();
        // A codec that is not built in was refused when the producer started.
        OutboxConfig {
            partitions: 1,
            compression: config.compression().unwrap_or(Compression::NONE),
            batch_bytes_max: config.batch_size,
        }
    }

    fn worker(&self) -> KafkaWorker {
        KafkaWorker {
            cluster: self.cluster.clone(),
            producer: self.producer.clone(),
            budget: self.budget.clone(),
            topics: Arc::clone(&self.topics),
            batch_bytes_max: self.cluster.config().batch_size,
        }
    }

    async fn close(self) {
        self.release();
        if let Some(membership) = self.membership.into_inner() {
            // Heartbeats have ended; if the answer does not come the session does.
            if tokio::time::timeout(CLOSE_TIMEOUT, membership.leave())
                .await
                .is_ok()
                && let Some(home) = lock(&self.home).as_mut()
            {
                home.forget();
            }
        }
        if self.producer.close(CLOSE_TIMEOUT).await.is_err() {
            tracing::debug!(
                "outputs behind the last commit were not acknowledged; they are processed again"
            );
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Each holder leaves a whole value behind.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
