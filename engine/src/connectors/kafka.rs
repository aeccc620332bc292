//! A run over Kafka: one view of the cluster, one producer, one group member a process.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kafka_proto::client::{
    self, Assignor, Cluster, CommittedOffset, FetchBudget, GroupEvent, GroupOffsets, GroupOptions,
    IsolationLevel, Membership, Metadata, OffsetSpec as Ask, OffsetToCommit, Producer,
    RangeAssignor, Revocation, TopicPartition,
};
use kafka_proto::wire::Text;
use tokio::sync::watch;

use super::kafka_group::OneOwner;
use super::kafka_places::{Input, Places, read_twice};
use super::kafka_sink::KafkaSink;
use super::kafka_source::{KafkaSource, KafkaWorker};
use super::kafka_topics::{self, Created};
use super::lease::Lease;
use crate::Error;
use crate::batch::{Compression, OutboxConfig, Topics};
use crate::checkpoint::changelog;
use crate::checkpoint::home::Home;
use crate::checkpoint::log::{Change, Committed, KeptPositions, Log, Need, Place, Position, Share};

/// What is sent at the end has this long to be acknowledged; committed outputs are already.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// What lost workers have on its way is waited for this long: it is answered, or lost after `request.timeout.ms`.
const REVOKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How to reach Kafka, and who we are there.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) application_id: String,
    /// Properties of the client.
    pub(crate) client: BTreeMap<String, String>,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) replication_factor: i16,
    /// What internal topics begin with, if not with the application's id.
    pub(crate) internal_prefix: Option<String>,
    /// Settings of changelogs, as topics have them.
    pub(crate) internal_configs: BTreeMap<String, String>,
    pub(crate) until_end: bool,
}

/// One process's connection to Kafka.
pub(crate) struct Kafka {
    pub(super) cluster: Cluster,
    crew: Mutex<Crew>,
    budget: FetchBudget,
    pub(super) application_id: String,
    /// The topic with the positions of other sources.
    pub(super) kept_topic: String,
    pub(super) replication_factor: i16,
    pub(super) internal_configs: BTreeMap<String, String>,
    /// What a person should know of the topics and settings.
    warnings: Vec<String>,
    /// The run ends at what is there at its start: topics made later are not read.
    until_end: bool,
    /// `allow.auto.create.topics`, for the topics of the run alone.
    pub(super) auto_create: bool,
    /// Topics that are shared by the group.
    input: Mutex<Vec<usize>>,
    /// Their partitions when the run began.
    pub(super) places: Vec<Place>,
    /// What is read of Kafka.
    pub(super) inputs: Vec<Input>,
    needs: Vec<(String, Need)>,
    /// The greatest number of partitions of an input.
    widest: i32,
    topics: Mutex<Arc<Places>>,
    looking: Mutex<Option<Looking>>,
    home: Mutex<Option<Home>>,
    owner: OneOwner,
    membership: tokio::sync::Mutex<Option<Membership>>,
    /// The group's offsets, as the member commits them.
    offsets: Mutex<Option<GroupOffsets>>,
    revocation: Mutex<Option<Revocation>>,
}

/// How the workers of one assignment write: what one of them has left behind must not be sent among the next ones' records.
struct Crew {
    producer: Producer,
    lease: Lease,
}

impl Crew {
    fn new(cluster: &Cluster) -> client::Result<Self> {
        Ok(Self {
            producer: Producer::new(cluster)?,
            lease: Lease::default(),
        })
    }
}

/// Looks for topics while this lives.
struct Looking {
    /// What every topic was when it last looked.
    looked: watch::Receiver<Arc<Metadata>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.task.abort();
    }
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

/// The properties in a file.
pub(crate) fn properties_of(path: &std::path::Path) -> Result<Vec<(String, String)>, Error> {
    client::Config::properties_of(path).map_err(|e| Error::Settings(e.to_string()))
}

/// What changelogs take, the producer sends, unless it was given a limit of its own: that is said.
fn follow_max_message_bytes(settings: &Settings, config: &mut client::Config) -> Option<String> {
    let taken: usize = settings
        .internal_configs
        .get("max.message.bytes")?
        .parse()
        .ok()?;
    let own = ["max.request.size", "message.max.bytes"]
        .into_iter()
        .find(|name| settings.client.contains_key(*name));
    if taken <= config.max_request_size {
        return None;
    }
    let Some(name) = own else {
        config.max_request_size = taken;
        return None;
    };
    Some(format!(
        "topic.max.message.bytes={taken} lets changelogs take more than the producer sends: {name}={} is smaller; raise it, or leave it out",
        config.max_request_size
    ))
}

impl Kafka {
    pub(crate) async fn connect(settings: Settings) -> Result<Self, Error> {
        let mut config = client::Config::from_properties(&settings.client)
            .map_err(|e| Error::Settings(e.to_string()))?;
        config.group_id = Some(settings.application_id.clone());
        let warnings = follow_max_message_bytes(&settings, &mut config);
        // Asking for a topic that was deleted while the run goes on must not bring it back, empty; `open` creates what may be created.
        let auto_create = std::mem::replace(&mut config.allow_auto_create_topics, false);
        // The disk first: what cannot be remembered there should be known before anything is read.
        let home = match settings.state_dir.as_deref() {
            Some(dir) => Some(Home::enter(dir, &settings.application_id)?),
            // Nobody asked for it: it only saves waiting after a crash.
            None => Home::enter(
                &crate::checkpoint::home::default_dir(),
                &settings.application_id,
            )
            .ok(),
        };
        let cluster = Cluster::connect(config)
            .await
            .map_err(|e| failed("connecting", e))?;
        let crew = Crew::new(&cluster).map_err(|e| failed("starting the producer", e))?;
        Ok(Self {
            budget: FetchBudget::new(cluster.config().fetch_buffer_bytes),
            crew: Mutex::new(crew),
            kept_topic: changelog::internal_topic(
                settings
                    .internal_prefix
                    .as_deref()
                    .unwrap_or(&settings.application_id),
                "",
            ),
            application_id: settings.application_id,
            replication_factor: settings.replication_factor,
            internal_configs: settings.internal_configs,
            warnings: warnings.into_iter().collect(),
            auto_create,
            input: Mutex::default(),
            places: Vec::new(),
            inputs: Vec::new(),
            needs: Vec::new(),
            widest: 1,
            topics: Mutex::default(),
            looking: Mutex::new(None),
            until_end: settings.until_end,
            home: Mutex::new(home),
            owner: OneOwner::new(),
            membership: tokio::sync::Mutex::new(None),
            offsets: Mutex::new(None),
            revocation: Mutex::new(None),
            cluster,
        })
    }

    pub(super) fn producer(&self) -> Producer {
        lock(&self.crew).producer.clone()
    }

    pub(super) fn topics(&self) -> Arc<Places> {
        Arc::clone(&lock(&self.topics))
    }

    pub(super) fn partition(&self, place: &Place) -> TopicPartition {
        let topics = self.topics();
        let name = topics.name(*place).map_or("", |name| name);
        TopicPartition::new(name, place.number())
    }

    /// Every topic that there is, where a pattern has to know.
    async fn all_topics(&self, needs: &[(String, Need)]) -> Result<Option<Arc<Metadata>>, Error> {
        let has_pattern = |(_, need): &(String, Need)| match need {
            Need::Input(origin) => origin
                .topics()
                .is_some_and(|topics| topics.list_of().is_empty()),
            _ => false,
        };
        if !needs.iter().any(has_pattern) {
            return Ok(None);
        }
        let all = self.cluster.refresh_all().await;
        all.map(Some)
            .map_err(|e| failed("looking for topics that match", e))
    }

    fn offsets(&self) -> Result<GroupOffsets, Error> {
        lock(&self.offsets)
            .clone()
            .ok_or_else(|| Error::Fenced("this process is no member of its group".into()))
    }

    /// Nothing is assigned: because others have it, or because there is nothing any more?
    async fn check_input_exists(&self) -> Result<(), Error> {
        let topics = self.topics();
        let inputs = lock(&self.input).clone();
        // What a pattern matches comes and goes.
        let is_named = |index: &&usize| {
            let found = self.inputs.iter().find(|input| input.index == **index);
            found.is_none_or(|input| input.pattern.is_none())
        };
        let named = inputs.iter().filter(is_named);
        let names: Vec<&str> = named
            .flat_map(|index| topics.of(*index))
            .map(|name| &**name)
            .collect();
        if names.is_empty() {
            return Ok(());
        }
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

    /// Names of the topics that the group shares.
    fn shared_names(&self) -> Vec<String> {
        let topics = self.topics();
        let input = lock(&self.input);
        let of = |index: &usize| topics.of(*index).to_vec();
        input
            .iter()
            .flat_map(of)
            .map(|name| name.to_string())
            .collect()
    }

    /// Takes in topics that patterns match and that were not known; true when there are any.
    fn take_in(&self, metadata: &Metadata) -> Result<bool, Error> {
        let mut topics = (*self.topics()).clone();
        let mut has_new = false;
        for input in &self.inputs {
            let all = metadata
                .topics()
                .map(|topic| (&*topic.name, topic.is_internal));
            for name in input.matching(all, &self.needs)? {
                if topics
                    .add(input.index, name)
                    .map_err(|_| read_twice(name))?
                {
                    tracing::info!(topic = name, pattern = input.topics.title, "found a topic");
                    self.cluster.want_topic(name);
                    has_new = true;
                }
            }
        }
        *lock(&self.topics) = Arc::new(topics);
        Ok(has_new)
    }

    /// Looks for topics that match, again and again, in a task of its own: what waits for it may stop waiting at any time.
    fn look_for_topics(&self) -> Option<Looking> {
        let looks = |input: &&Input| input.pattern.is_some() && input.topics.until.is_none();
        if self.until_end || self.inputs.iter().find(looks).is_none() {
            return None;
        }
        let cluster = self.cluster.clone();
        let age = Duration::from_millis(cluster.config().metadata_max_age_ms);
        let (found, looked) = watch::channel(cluster.metadata());
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(age).await;
                match cluster.refresh_all().await {
                    Ok(metadata) => {
                        if found.send(metadata).is_err() {
                            return;
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot look for topics that match; trying again");
                    }
                }
            }
        });
        Some(Looking { looked, task })
    }

    fn share(&self, partitions: &[TopicPartition]) -> Share {
        let topics = self.topics();
        let place = |p: &TopicPartition| topics.place(&p.topic, p.partition);
        let is_read = |place: &Place| {
            let input = self.inputs.iter().find(|input| input.index == place.topic);
            input.is_none_or(|input| input.reads(place.number()))
        };
        let places = partitions.iter().filter_map(place).filter(is_read);
        let places: Vec<Place> = places.collect();
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
        self.needs = topics.to_vec();
        let mut places = Places::new(topics.len());
        let mut asked: Vec<(String, Need)> = Vec::new();
        let all = self.all_topics(topics).await?;
        for (index, (name, need)) in topics.iter().enumerate() {
            let names: Vec<&str> = match need {
                Need::Input(origin) => match Input::new(index, origin)? {
                    None => continue,
                    Some(input) => {
                        let all = all.iter().flat_map(|all| all.topics());
                        let all = all.map(|topic| (&*topic.name, topic.is_internal));
                        let mut names = input.matching(all, topics)?;
                        let list = origin.topics().map_or(&[][..], Topics::list_of);
                        names.extend(list.iter().map(String::as_str));
                        if names.is_empty() {
                            tracing::warn!(
                                pattern = name,
                                "no topic matches yet; looking again every metadata.max.age.ms"
                            );
                        }
                        self.inputs.push(input);
                        names
                    }
                },
                Need::Output(to) if to.own().is_some() => continue,
                Need::Output(_) | Need::Changelog { .. } => vec![name],
            };
            for name in names {
                if places.add(index, name).map_err(|_| read_twice(name))? {
                    asked.push((name.to_owned(), need.clone()));
                }
            }
        }
        let names: Vec<&str> = asked.iter().map(|(name, _)| name.as_str()).collect();
        let created = Created {
            replication_factor: self.replication_factor,
            auto_create: self.auto_create,
            partitions: 1,
        };
        let opened =
            kafka_topics::open(&self.cluster, &asked, created, &self.internal_configs).await?;
        self.warnings.extend(opened.warnings);
        self.cluster
            .refresh(&names)
            .await
            .map_err(|e| failed("looking up the topics", e))?;
        let mut counts = vec![0; topics.len()];
        for (name, count) in names.into_iter().zip(opened.counts) {
            let Some(first) = places.place(name, 0) else {
                continue;
            };
            counts[first.topic] = count.max(counts[first.topic]);
            if let Some(input) = self.inputs.iter().find(|input| input.index == first.topic) {
                let missing = input.topics.partitions.iter().flatten();
                if let Some(missing) = missing.copied().find(|p| !(0..count).contains(p)) {
                    return Err(Error::Settings(format!(
                        "topic {name} has {count} partitions, counted from 0: there is no partition {missing} to read"
                    )));
                }
                let read = (0..count).filter(|partition| input.reads(*partition));
                self.widest = self.widest.max(count);
                self.places
                    .extend(read.filter_map(|partition| places.place(name, partition)));
            }
        }
        *lock(&self.topics) = Arc::new(places);
        self.check_specs()?;
        Ok(counts)
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    fn inputs(&self) -> Vec<Place> {
        self.places.clone()
    }

    async fn ends(&self, places: &[Place], until_end: bool) -> Result<Vec<Option<i64>>, Error> {
        self.end_positions(places, until_end).await
    }

    async fn join(&self, input: &[usize], whole: bool) -> Result<(), Error> {
        let assignor: Arc<dyn Assignor> = if whole {
            Arc::new(self.owner.clone())
        } else {
            Arc::new(RangeAssignor)
        };
        let mut options = GroupOptions::new(&self.application_id, &[]);
        *lock(&self.input) = input.to_vec();
        options.topics = self.shared_names();
        options.assignors = vec![assignor];
        options.member_id = lock(&self.home)
            .as_ref()
            .and_then(Home::member_id)
            .map(str::to_owned);
        *lock(&self.looking) = self.look_for_topics();
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
        let event = loop {
            let looked = lock(&self.looking).as_ref().map(|l| l.looked.clone());
            let look = async {
                if let Some(mut looked) = looked
                    && looked.changed().await.is_ok()
                {
                    return;
                }
                // Nobody looks, or who did is gone.
                std::future::pending().await
            };
            tokio::select! {
                biased;
                event = membership.next_event() => break event.map_err(|e| failed(doing(), e))?,
                () = look => {
                    let found = lock(&self.looking)
                        .as_mut()
                        .map(|l| Arc::clone(&l.looked.borrow_and_update()));
                    if let Some(metadata) = found
                        && self.take_in(&metadata)?
                    {
                        let names = self.shared_names();
                        let names: Vec<&str> = names.iter().map(String::as_str).collect();
                        membership.subscribe(&names);
                    }
                }
            }
        };
        match event {
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
        self.start_positions(places).await
    }

    async fn committed(&self, places: &[Place]) -> Result<Vec<Option<i64>>, Error> {
        let committed = self.committed_with_metadata(places).await?;
        Ok(committed.into_iter().map(|c| c.map(|c| c.offset)).collect())
    }

    async fn committed_with_metadata(
        &self,
        places: &[Place],
    ) -> Result<Vec<Option<Committed>>, Error> {
        let partitions: Vec<TopicPartition> =
            places.iter().map(|place| self.partition(place)).collect();
        let committed = self.offsets()?.committed(&partitions).await;
        let doing = || {
            format!(
                "reading the committed positions of group {}",
                self.application_id
            )
        };
        let of = |c: CommittedOffset| Committed {
            offset: c.offset,
            metadata: c.metadata.as_str().to_owned(),
        };
        Ok(committed
            .map_err(|e| failed(doing(), e))?
            .into_iter()
            .map(|c| c.map(of))
            .collect())
    }

    fn name_of(&self, place: Place) -> String {
        self.partition(&place).topic.as_str().to_owned()
    }

    async fn bounds(&self, places: &[Place], stable: bool) -> Result<Vec<(i64, i64)>, Error> {
        let isolation = if stable {
            self.cluster.config().isolation_level
        } else {
            IsolationLevel::ReadUncommitted
        };
        let (starts, ends) = tokio::try_join!(
            self.list(places, Ask::Earliest, IsolationLevel::ReadUncommitted),
            self.list(places, Ask::Latest, isolation)
        )?;
        Ok(starts.into_iter().zip(ends).collect())
    }

    async fn commit(&self, positions: &[Position], metadata: &str) -> Result<(), Error> {
        let topics = self.topics();
        let metadata = Text::from(metadata);
        let offset = |p: &Position| {
            let name = topics.name(p.place)?;
            Some(OffsetToCommit {
                metadata: metadata.clone(),
                ..OffsetToCommit::new(&**name, p.place.number(), p.offset)
            })
        };
        let offsets: Vec<OffsetToCommit> = positions.iter().filter_map(offset).collect();
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

    fn record_bytes_max(&self) -> usize {
        self.cluster.config().max_request_size
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
        let (producer, lease) = {
            let crew = lock(&self.crew);
            (crew.producer.clone(), crew.lease.clone())
        };
        KafkaWorker {
            cluster: self.cluster.clone(),
            producer,
            lease,
            created: Created {
                replication_factor: self.replication_factor,
                auto_create: self.auto_create,
                partitions: self.widest,
            },
            budget: self.budget.clone(),
            topics: self.topics(),
            batch_bytes_max: self.cluster.config().batch_size,
            compression: self.outbox().compression,
        }
    }

    async fn kept_positions(&self) -> Result<KeptPositions, Error> {
        self.read_kept().await.map(KeptPositions::Here)
    }

    async fn keep_positions(&self, positions: Vec<u8>) -> Result<(), Error> {
        self.keep(&positions).await
    }

    fn revoke(&self) -> impl Future<Output = ()> {
        let mut crew = lock(&self.crew);
        crew.lease.revoke();
        let old = crew.producer.clone();
        let purged = old.purge();
        // The settings made one before.
        if let Ok(next) = Crew::new(&self.cluster) {
            *crew = next;
        }
        async move {
            if tokio::time::timeout(REVOKE_TIMEOUT, purged).await.is_err() {
                tracing::warn!(
                    "a broker does not answer for records of work that was lost; they may be written late"
                );
            }
            // Whoever still has it cannot send any more.
            let _ = old.close_within(Duration::ZERO).await;
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
        let crew = self
            .crew
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        if crew.producer.close_within(CLOSE_TIMEOUT).await.is_err() {
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

#[cfg(test)]
#[path = "kafka_tests.rs"]
mod tests;
