//! A run's connectors together: Kafka, if the plan has anything to do with it, and sources and sinks that users have written.
//!
//! **Without Kafka** state and positions live and die with the run; only a plan without state, under a `state.dir` that was asked for,
//! goes on where it left off. **Beside Kafka** state is in its changelogs, and positions of other sources are beside it; those of a plan without
//! state are in the state directory.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::lease::Lease;
use super::own_sinks::OwnSink;
use super::own_sources::{OwnArrival, OwnSources, Segments};
use super::positions::{Kept, Positions};
use crate::Error;
use crate::batch::source::{AnySource, Open};
use crate::batch::{Batch, BatchBuilder, OutboxConfig};
use crate::checkpoint::log::{
    Ack, Arrival, Change, Committed, Guard, KeptPositions, Log, Need, Place, Position, Share, Sink,
    Source, Worker,
};

/// What the run needs to know beside its plan.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setting {
    pub(crate) application_id: String,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) until_end: bool,
}

/// Kafka, or nothing, and what users have written.
pub(crate) struct Mixed<L> {
    kafka: Option<L>,
    setting: Setting,
    needs: Arc<[(String, Need)]>,
    /// Partitions of users' sources.
    own: Vec<Place>,
    /// The group has something to divide.
    has_joined: AtomicBool,
    /// The plan has state.
    is_whole: AtomicBool,
    is_given: AtomicBool,
    positions: Mutex<Option<Positions>>,
    segments: Segments,
    /// How the workers of one assignment write to users' sinks.
    lease: Mutex<Lease>,
}

fn own_source(needs: &[(String, Need)], topic: usize) -> Option<&Arc<dyn AnySource>> {
    match needs.get(topic) {
        Some((_, Need::Input(origin))) => origin.own(),
        _ => None,
    }
}

impl<L: Log> Mixed<L> {
    pub(crate) fn new(kafka: Option<L>, setting: Setting) -> Self {
        Self {
            kafka,
            setting,
            needs: Arc::new([]),
            own: Vec::new(),
            has_joined: AtomicBool::new(false),
            is_whole: AtomicBool::new(false),
            is_given: AtomicBool::new(false),
            positions: Mutex::new(None),
            segments: Segments::default(),
            lease: Mutex::default(),
        }
    }

    fn is_own(&self, place: &Place) -> bool {
        own_source(&self.needs, place.topic).is_some()
    }

    fn is_input(&self, place: &Place) -> bool {
        matches!(self.needs.get(place.topic), Some((_, Need::Input(_))))
    }

    fn name(&self, place: Place) -> &str {
        self.needs
            .get(place.topic)
            .map_or("", |(name, _)| name.as_str())
    }

    fn lease(&self) -> MutexGuard<'_, Lease> {
        // Each holder leaves a whole value behind.
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The positions of users' sources, where they are kept.
    fn with_positions<T>(&self, f: impl FnOnce(&mut Option<Positions>) -> T) -> T {
        // Each holder leaves a whole value behind.
        f(&mut self
            .positions
            .lock()
            .unwrap_or_else(PoisonError::into_inner))
    }

    fn keeps(&self, place: Place) -> bool {
        own_source(&self.needs, place.topic).is_some_and(|source| source.keeps_positions())
    }

    /// Where positions of users' sources are kept; `None` where they are not.
    fn state_dir(&self) -> Option<PathBuf> {
        let asked = self.setting.state_dir.clone();
        match &self.kafka {
            Some(_) => Some(asked.unwrap_or_else(crate::checkpoint::home::default_dir)),
            // State that dies with the run must not meet positions that do not.
            None if self.is_whole.load(Ordering::Relaxed) => None,
            None => asked,
        }
    }

    /// Reads the positions of users' sources, if any of these places has one and they are not here yet: from where the state is.
    async fn enter(&self, places: &[Place]) -> Result<(), Error> {
        let is_here = self.with_positions(|positions| positions.is_some());
        if is_here || !places.iter().any(|place| self.keeps(*place)) {
            return Ok(());
        }
        let kept = match &self.kafka {
            Some(log) if self.is_whole.load(Ordering::Relaxed) => log.kept_positions().await?,
            _ => KeptPositions::Elsewhere,
        };
        let entered = match (kept, self.state_dir()) {
            (KeptPositions::Here(kept), _) => Some(Positions::in_log(kept.as_deref())?),
            (KeptPositions::Elsewhere, Some(dir)) => {
                Some(Positions::enter(&dir, &self.setting.application_id)?)
            }
            (KeptPositions::Elsewhere, None) => None,
        };
        self.with_positions(|positions| *positions = entered);
        Ok(())
    }

    /// What is kept of users' sources; nothing of one that begins anew with each run.
    async fn own_committed(&self, places: &[Place]) -> Result<Vec<Option<Committed>>, Error> {
        self.enter(places).await?;
        self.with_positions(|positions| {
            let committed = |&place: &Place| {
                let positions = positions.as_ref().filter(|_| self.keeps(place))?;
                let kept = positions.of(self.name(place), place.number())?;
                Some(Committed {
                    offset: kept.offset,
                    metadata: String::new(),
                })
            };
            Ok(places.iter().map(committed).collect())
        })
    }

    async fn own_positions(&self, places: &[Place]) -> Result<Vec<Position>, Error> {
        self.enter(places).await?;
        self.with_positions(|positions| {
            let position = |&place: &Place| {
                let kept = positions
                    .as_ref()
                    .filter(|_| self.keeps(place))
                    .and_then(|p| p.of(self.name(place), place.number()));
                self.segments
                    .begin(place, kept.and_then(|kept| kept.segment.clone()));
                Position {
                    place,
                    offset: kept.map_or(0, |kept| kept.offset),
                }
            };
            Ok(places.iter().map(position).collect())
        })
    }

    /// What `f` says of places in Kafka, and `own` of the others, in the order of the places.
    async fn each<T>(
        &self,
        places: &[Place],
        own: impl Fn(Place) -> T,
        kafka: impl AsyncFnOnce(&L, &[Place]) -> Result<Vec<T>, Error>,
    ) -> Result<Vec<T>, Error> {
        let theirs: Vec<Place> = places.iter().filter(|p| !self.is_own(p)).copied().collect();
        let mut answers = match &self.kafka {
            Some(log) if !theirs.is_empty() => kafka(log, &theirs).await?,
            _ => Vec::new(),
        }
        .into_iter();
        let answer = |place: &Place| match self.is_own(place) {
            true => own(*place),
            false => answers.next().unwrap_or_else(|| own(*place)),
        };
        Ok(places.iter().map(answer).collect())
    }
}

impl<L: Log> Log for Mixed<L> {
    type Source = MixedSource<L::Source>;
    type Sink = MixedSink<L::Sink>;
    type Worker = MixedWorker<L::Worker>;

    async fn open(&mut self, topics: &[(String, Need)]) -> Result<Vec<i32>, Error> {
        self.needs = topics.into();
        let mut counts: Vec<i32> = match &mut self.kafka {
            Some(log) => log.open(topics).await?,
            None => vec![0; topics.len()],
        };
        for (topic, (name, need)) in topics.iter().enumerate() {
            counts[topic] = match need {
                Need::Input(origin) => match origin.own() {
                    None => continue,
                    Some(source) => {
                        let count = source.partitions().map_err(|source| Error::Connector {
                            doing: format!("opening {name}"),
                            source,
                        })?;
                        self.own
                            .extend((0..count).map(|number| Place::single(topic, number)));
                        count
                    }
                },
                Need::Output(destination) if destination.own().is_some() => 1,
                Need::Changelog { partitions } if self.kafka.is_none() => *partitions,
                Need::Output(_) | Need::Changelog { .. } => continue,
            };
        }
        Ok(counts)
    }

    fn warnings(&self) -> Vec<String> {
        self.kafka.as_ref().map_or_else(Vec::new, Log::warnings)
    }

    fn inputs(&self) -> Vec<Place> {
        let mut inputs = self.kafka.as_ref().map_or_else(Vec::new, Log::inputs);
        inputs.extend(&self.own);
        inputs
    }

    async fn ends(&self, places: &[Place], until_end: bool) -> Result<Vec<Option<i64>>, Error> {
        // Users' sources say themselves when they are at their end.
        let own = |_| Some(i64::MAX);
        if let Some(log) = &self.kafka
            && places.iter().all(|place| self.is_own(place))
        {
            // A pattern that matches nothing has no places, and yet something to say.
            log.ends(&[], until_end).await?;
        }
        self.each(places, own, async |log, places| {
            log.ends(places, until_end).await
        })
        .await
    }

    async fn join(&self, input: &[usize], whole: bool) -> Result<(), Error> {
        self.is_whole.store(whole, Ordering::Relaxed);
        let is_kafka = |topic: &usize| own_source(&self.needs, *topic).is_none();
        let mut shared: Vec<usize> = input.iter().copied().filter(is_kafka).collect();
        if shared.is_empty() && whole {
            // One process must own the state, whatever it is made from: the group divides the changelogs instead.
            let is_log = |topic: &usize| matches!(self.needs[*topic].1, Need::Changelog { .. });
            shared = (0..self.needs.len()).filter(is_log).collect();
        }
        match &self.kafka {
            Some(log) if !shared.is_empty() => {
                self.has_joined.store(true, Ordering::Relaxed);
                log.join(&shared, whole).await
            }
            _ => Ok(()),
        }
    }

    async fn change(&self) -> Result<Change, Error> {
        let Some(log) = self
            .kafka
            .as_ref()
            .filter(|_| self.has_joined.load(Ordering::Relaxed))
        else {
            // Nobody to share with.
            if self.is_given.swap(true, Ordering::Relaxed) {
                return std::future::pending().await;
            }
            return Ok(Change::Assigned(Share::Mine(self.own.clone())));
        };
        let change = log.change().await?;
        Ok(match change {
            Change::Assigned(Share::Mine(mut places)) => {
                places.retain(|place| self.is_input(place));
                places.extend(&self.own);
                Change::Assigned(Share::Mine(places))
            }
            // What is local to this machine is read on this machine.
            Change::Assigned(Share::Standby)
                if !self.own.is_empty() && !self.is_whole.load(Ordering::Relaxed) =>
            {
                Change::Assigned(Share::Mine(self.own.clone()))
            }
            Change::Lost(why) => {
                self.with_positions(Option::take);
                Change::Lost(why)
            }
            other => other,
        })
    }

    fn release(&self) {
        self.with_positions(Option::take);
        if let Some(log) = &self.kafka {
            log.release();
        }
    }

    async fn positions(&self, places: &[Place]) -> Result<Vec<Position>, Error> {
        let own: Vec<Place> = places.iter().filter(|p| self.is_own(p)).copied().collect();
        let own = self.own_positions(&own).await?;
        let of = |place: Place| {
            let known = own.iter().find(|position| position.place == place);
            known.copied().unwrap_or(Position { place, offset: 0 })
        };
        self.each(places, of, async |log, places| log.positions(places).await)
            .await
    }

    async fn committed(&self, places: &[Place]) -> Result<Vec<Option<i64>>, Error> {
        self.each(
            places,
            |_| None,
            async |log, places| log.committed(places).await,
        )
        .await
    }

    async fn committed_with_metadata(
        &self,
        places: &[Place],
    ) -> Result<Vec<Option<Committed>>, Error> {
        let own: Vec<Place> = places.iter().filter(|p| self.is_own(p)).copied().collect();
        let kept = self.own_committed(&own).await?;
        let of = |place: Place| {
            let at = own.iter().position(|known| *known == place)?;
            kept[at].clone()
        };
        self.each(places, of, async |log, places| {
            log.committed_with_metadata(places).await
        })
        .await
    }

    fn keeps_position(&self, place: Place) -> bool {
        !self.is_own(&place) || self.keeps(place) && self.state_dir().is_some()
    }

    fn name_of(&self, place: Place) -> String {
        match &self.kafka {
            Some(log) if !self.is_own(&place) => log.name_of(place),
            _ => self.name(place).to_owned(),
        }
    }

    async fn bounds(&self, places: &[Place], stable: bool) -> Result<Vec<(i64, i64)>, Error> {
        self.each(
            places,
            |_| (0, 0),
            async |log, places| log.bounds(places, stable).await,
        )
        .await
    }

    async fn commit(&self, positions: &[Position], metadata: &str) -> Result<(), Error> {
        let (own, theirs): (Vec<Position>, Vec<Position>) = positions
            .iter()
            .partition(|position| self.is_own(&position.place));
        if let Some(log) = &self.kafka
            && !theirs.is_empty()
        {
            log.commit(&theirs, metadata).await?;
        }
        let for_log = self.with_positions(|positions| {
            let Some(positions) = positions else {
                return Ok(None);
            };
            let kept = own.iter().filter(|p| self.keeps(p.place)).map(|p| {
                let segment = self.segments.of(p.place, p.offset);
                let offset = p.offset;
                (
                    self.name(p.place),
                    p.place.number(),
                    Kept { offset, segment },
                )
            });
            positions.keep(kept)
        })?;
        // After the group's, which a process that has lost the work cannot commit.
        if let (Some(log), Some(positions)) = (&self.kafka, for_log) {
            log.keep_positions(positions).await?;
        }
        Ok(())
    }

    fn record_bytes_max(&self) -> usize {
        self.kafka
            .as_ref()
            .map_or(usize::MAX, Log::record_bytes_max)
    }

    fn outbox(&self) -> OutboxConfig {
        self.kafka
            .as_ref()
            .map_or_else(OutboxConfig::default, Log::outbox)
    }

    fn worker(&self) -> Self::Worker {
        MixedWorker {
            kafka: self.kafka.as_ref().map(Log::worker),
            needs: Arc::clone(&self.needs),
            segments: self.segments.clone(),
            until_end: self.setting.until_end,
            lease: self.lease().clone(),
        }
    }

    fn revoke(&self) -> impl Future<Output = ()> {
        std::mem::take(&mut *self.lease()).revoke();
        let kafka = self.kafka.as_ref().map(Log::revoke);
        async move {
            if let Some(kafka) = kafka {
                kafka.await;
            }
        }
    }

    async fn close(self) {
        if let Some(log) = self.kafka {
            log.close().await;
        }
    }
}

/// What a worker takes to its thread.
pub(crate) struct MixedWorker<W> {
    kafka: Option<W>,
    needs: Arc<[(String, Need)]>,
    segments: Segments,
    until_end: bool,
    lease: Lease,
}

impl<W: Worker> Worker for MixedWorker<W> {
    type Source = MixedSource<W::Source>;
    type Sink = MixedSink<W::Sink>;

    fn source(&self) -> Result<Self::Source, Error> {
        Ok(MixedSource {
            kafka: self.kafka.as_ref().map(Worker::source).transpose()?,
            own: OwnSources::default(),
            needs: Arc::clone(&self.needs),
            segments: self.segments.clone(),
            until_end: self.until_end,
            failed: None,
            is_own_turn: false,
        })
    }

    fn sink(&self) -> Self::Sink {
        let own = self.needs.iter().enumerate();
        let own = own.filter_map(|(topic, (_, need))| match need {
            Need::Output(to) => Some(OwnSink::new(topic, to.own()?, &self.lease)),
            _ => None,
        });
        MixedSink {
            kafka: self.kafka.as_ref().map(Worker::sink),
            own: own.collect(),
            spare: Vec::new(),
        }
    }
}

/// One worker's reader.
pub(crate) struct MixedSource<S> {
    kafka: Option<S>,
    own: OwnSources,
    needs: Arc<[(String, Need)]>,
    segments: Segments,
    until_end: bool,
    /// What `try_next` met; the next wait says it.
    failed: Option<Error>,
    /// Which side is asked first: in turn.
    is_own_turn: bool,
}

impl<S: Source> MixedSource<S> {
    fn try_own(&mut self) -> Option<MixedArrival<S::Arrival>> {
        match self.own.try_next()? {
            Ok(arrival) => Some(MixedArrival::Own(arrival)),
            Err(error) => {
                self.failed = Some(error);
                None
            }
        }
    }

    /// The next of Kafka's arrivals. What a client has fetched is handed over only to who asks for it: beside a source that
    /// always has something nobody waits, so it is asked here.
    fn try_kafka(&mut self) -> Option<MixedArrival<S::Arrival>> {
        let kafka = self.kafka.as_mut()?;
        if let Some(arrival) = kafka.try_next() {
            return Some(MixedArrival::Kafka(arrival));
        }
        if self.own.is_empty() {
            return None;
        }
        // Whoever waits afterwards polls again, with a waker.
        let mut cx = Context::from_waker(Waker::noop());
        match std::pin::pin!(kafka.next()).poll(&mut cx) {
            Poll::Ready(Ok(arrival)) => Some(MixedArrival::Kafka(arrival)),
            Poll::Ready(Err(error)) => {
                self.failed = Some(error);
                None
            }
            Poll::Pending => None,
        }
    }
}

impl<S: Source> Source for MixedSource<S> {
    type Arrival = MixedArrival<S::Arrival>;

    fn assign(&mut self, positions: &[Position]) {
        self.own.clear();
        let mut theirs = Vec::new();
        for &position in positions {
            let Position { place, offset } = position;
            let Some(source) = own_source(&self.needs, place.topic) else {
                theirs.push(position);
                continue;
            };
            let open = Open {
                partition: place.number(),
                offset,
                segment: self.segments.of(place, offset),
                until_end: self.until_end,
            };
            self.own.add(place, source, &self.segments, open);
        }
        if let Some(kafka) = &mut self.kafka {
            kafka.assign(&theirs);
        }
    }

    fn hold(&mut self, place: Place, from: Option<i64>) -> bool {
        if own_source(&self.needs, place.topic).is_some() {
            self.own.hold(place, from.is_none());
            return false;
        }
        self.kafka.as_mut().is_some_and(|k| k.hold(place, from))
    }

    async fn next(&mut self) -> Result<Self::Arrival, Error> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let own = &mut self.own;
        let kafka = async {
            match &mut self.kafka {
                Some(kafka) => kafka.next().await,
                None => std::future::pending().await,
            }
        };
        if own.is_empty() {
            return kafka.await.map(MixedArrival::Kafka);
        }
        tokio::select! {
            arrival = kafka => arrival.map(MixedArrival::Kafka),
            arrival = std::future::poll_fn(|cx| own.poll(cx)) => arrival.map(MixedArrival::Own),
        }
    }

    fn try_next(&mut self) -> Option<Self::Arrival> {
        if self.own.is_empty() {
            return self.try_kafka();
        }
        if self.failed.is_some() {
            return None;
        }
        self.is_own_turn = !self.is_own_turn;
        if self.is_own_turn {
            self.try_own().or_else(|| self.try_kafka())
        } else {
            self.try_kafka().or_else(|| self.try_own())
        }
    }

    fn high_watermark(&self, place: Place) -> Option<i64> {
        if own_source(&self.needs, place.topic).is_some() {
            return self.own.quiet_at(place);
        }
        self.kafka.as_ref()?.high_watermark(place)
    }
}

/// What came from either side.
pub(crate) enum MixedArrival<A> {
    Kafka(A),
    Own(OwnArrival),
}

/// One batch of either side.
pub(crate) enum MixedHeld<H> {
    Kafka(H),
    Own(Batch),
}

impl<H: AsRef<Batch>> AsRef<Batch> for MixedHeld<H> {
    fn as_ref(&self) -> &Batch {
        match self {
            Self::Kafka(held) => held.as_ref(),
            Self::Own(batch) => batch,
        }
    }
}

impl<A: Arrival> Arrival for MixedArrival<A> {
    type Held = MixedHeld<A::Held>;

    fn place(&self) -> Place {
        match self {
            Self::Kafka(arrival) => arrival.place(),
            Self::Own(arrival) => arrival.place,
        }
    }

    fn position(&self) -> i64 {
        match self {
            Self::Kafka(arrival) => arrival.position(),
            Self::Own(arrival) => arrival.position,
        }
    }

    fn next_position(&self) -> i64 {
        match self {
            Self::Kafka(arrival) => arrival.next_position(),
            Self::Own(arrival) => arrival.next,
        }
    }

    fn topic(&self) -> &str {
        match self {
            Self::Kafka(arrival) => arrival.topic(),
            Self::Own(arrival) => arrival.name.name(),
        }
    }

    fn is_last(&self) -> bool {
        match self {
            Self::Kafka(arrival) => arrival.is_last(),
            Self::Own(arrival) => arrival.is_last,
        }
    }

    fn end(&self) -> i64 {
        match self {
            Self::Kafka(arrival) => arrival.end(),
            // How much there is to come nobody knows.
            Self::Own(arrival) => arrival.next,
        }
    }

    fn next_batch(&mut self) -> Result<Option<Self::Held>, Error> {
        match self {
            Self::Kafka(arrival) => Ok(arrival.next_batch()?.map(MixedHeld::Kafka)),
            Self::Own(arrival) => Ok(arrival.batch.take().map(MixedHeld::Own)),
        }
    }
}

/// One worker's writer.
pub(crate) struct MixedSink<K> {
    kafka: Option<K>,
    own: Vec<OwnSink>,
    spare: Vec<BatchBuilder>,
}

/// Batches that nobody wants are done at once.
fn done() -> Ack {
    Box::pin(std::future::ready(Ok(())))
}

impl<K: Sink> Sink for MixedSink<K> {
    async fn open(&mut self, topic: &str) -> Result<(usize, i32), Error> {
        match &mut self.kafka {
            Some(kafka) => kafka.open(topic).await,
            None => Err(Error::Settings(format!(
                "a record belongs to topic {topic}, and there is no Kafka here to write to: set bootstrap.servers"
            ))),
        }
    }

    async fn append(&mut self, place: Place, mut batch: BatchBuilder) -> Result<Ack, Error> {
        let own = self.own.iter_mut().find(|own| own.topic == place.topic);
        if let Some(own) = own {
            own.write(&mut batch).await?;
        } else if let Some(kafka) = &mut self.kafka {
            return kafka.append(place, batch).await;
        }
        // Without Kafka nobody keeps the changelogs.
        self.spare.push(batch);
        Ok(done())
    }

    async fn append_guarded(
        &mut self,
        place: Place,
        batch: BatchBuilder,
        guard: &Arc<Guard>,
    ) -> Result<Ack, Error> {
        let is_own = self.own.iter().any(|own| own.topic == place.topic);
        match &mut self.kafka {
            Some(kafka) if !is_own => kafka.append_guarded(place, batch, guard).await,
            _ => self.append(place, batch).await,
        }
    }

    async fn relay(
        &mut self,
        place: Place,
        batch: &Batch,
        position: i64,
    ) -> Result<Option<Ack>, Error> {
        match &mut self.kafka {
            Some(kafka) => kafka.relay(place, batch, position).await,
            None => Ok(None),
        }
    }

    async fn flush(&mut self) -> Result<(), Error> {
        for own in &mut self.own {
            own.flush().await?;
        }
        match &mut self.kafka {
            Some(kafka) => kafka.flush().await,
            None => Ok(()),
        }
    }

    fn spare(&mut self) -> Option<BatchBuilder> {
        match self.spare.pop() {
            None => self.kafka.as_mut()?.spare(),
            some => some,
        }
    }
}
